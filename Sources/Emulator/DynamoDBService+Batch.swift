import AWSWire
import OrderedCollections

extension DynamoDBService {
    private static let batchGetMax = 100
    private static let batchGetBytesMax = 16 << 20
    private static let batchWriteMax = 25

    func batchGetItem(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let asked = try request.returnConsumedCapacity()
        let tables = try request.required("RequestItems", try request.map("RequestItems"))
        guard !tables.isEmpty else { throw Self.emptyBatch(request) }
        var reads: [BatchRead] = []
        for (name, wire) in tables { reads.append(try batchRead(name, try DynamoDBRequest(wire), request)) }
        guard reads.reduce(0, { $0 + $1.keys.count }) <= Self.batchGetMax else {
            throw .validation("Too many items requested for the BatchGetItem call")
        }
        var responses: OrderedDictionary<String, AWSValue> = [:]
        var unprocessed: OrderedDictionary<String, AWSValue> = [:]
        var capacities: [AWSValue] = []
        var bytes = 0
        var throttle: ServiceError?
        for read in reads {
            let result = try self.read(read, bytes: &bytes)
            responses[read.table] = .list(result.items.map { (read.projection.map($0.projected) ?? $0).wire })
            if !result.rest.isEmpty {
                var rest = read.request.input
                rest["Keys"] = .list(result.rest)
                unprocessed[read.table] = rest
            }
            throttle = throttle ?? result.throttle
            if let capacity = result.consumed.wire(asked, table: read.table) { capacities.append(capacity) }
        }
        if let throttle, responses.values.allSatisfy({ $0.list?.isEmpty ?? true }), bytes == 0 { throw throttle }
        return .members([
            "Responses": .map(responses), "UnprocessedKeys": .map(unprocessed),
            "ConsumedCapacity": asked == "NONE" ? nil : .list(capacities),
        ])
    }

    private struct BatchRead {
        var table: String
        var request: DynamoDBRequest
        var keys: [(wire: AWSValue, item: Item)]
        var projection: [DocumentPath]?
        var isConsistent: Bool
    }

    private struct BatchReadResult: Sendable {
        var items: [Item] = []
        /// Keys that were not read.
        var rest: [AWSValue] = []
        var throttle: ServiceError?
        var consumed = ConsumedCapacity(isWrite: false)
    }

    private static func emptyBatch(_ request: DynamoDBRequest) -> ServiceError {
        request.constraint("requestItems", "{}", "Member must have length greater than or equal to 1")
    }

    private func batchRead(
        _ name: String, _ request: DynamoDBRequest, _ whole: DynamoDBRequest
    ) throws(ServiceError) -> BatchRead {
        let table = try DynamoDBRequest.checkedName(name, "RequestItems", whole)
        let wires = try request.required("requestItems.\(name).member.keys", try request.list("Keys"))
        guard !wires.isEmpty else {
            throw request.constraint(
                "requestItems.\(name).member.keys", "[]", "Member must have length greater than or equal to 1")
        }
        var keys: [(wire: AWSValue, item: Item)] = []
        for wire in wires { keys.append((wire, try DynamoDBValue.item(wire))) }
        guard Set(keys.map(\.item)).count == keys.count else { throw Self.duplicateKeys }
        return BatchRead(
            table: table, request: request, keys: keys, projection: try projection(request),
            isConsistent: try request.bool("ConsistentRead") ?? false)
    }

    private static var duplicateKeys: ServiceError {
        .validation("Provided list of item keys contains duplicates")
    }

    private func read(_ read: BatchRead, bytes: inout Int) throws(ServiceError) -> BatchReadResult {
        var total = bytes
        let keys = read.keys
        let result = try withTable(read.table) { (table, now) throws(ServiceError) in
            var result = BatchReadResult()
            for (wire, item) in keys {
                let key = try table.keys.rowKey(ofKey: item)
                guard result.throttle == nil, total < Self.batchGetBytesMax else {
                    result.rest.append(wire)
                    continue
                }
                do throws(ServiceError) {
                    try table.admitRead(index: nil, at: now)
                } catch {
                    result.throttle = error
                    result.rest.append(wire)
                    continue
                }
                let answer = table.get(key, isConsistent: read.isConsistent, at: now)
                table.charge(answer.consumed)
                result.consumed = result.consumed + answer.consumed
                total += answer.item?.sizeBytes ?? 0
                if let item = answer.item { result.items.append(item) }
            }
            return result
        }
        bytes = total
        return result
    }

    func batchWriteItem(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let asked = try request.returnConsumedCapacity()
        let tables = try request.required("RequestItems", try request.map("RequestItems"))
        guard !tables.isEmpty else { throw Self.emptyBatch(request) }
        var batches: [(table: String, writes: [(wire: AWSValue, write: ItemWrite)])] = []
        var count = 0
        for (name, wire) in tables {
            let table = try DynamoDBRequest.checkedName(name, "RequestItems", request)
            guard let wires = wire.list, !wires.isEmpty else {
                throw request.constraint(
                    "requestItems.\(name).member", "[]", "Member must have length greater than or equal to 1")
            }
            count += wires.count
            guard count <= Self.batchWriteMax else {
                throw .validation("Too many items requested for the BatchWriteItem call")
            }
            var writes: [(wire: AWSValue, write: ItemWrite)] = []
            for wire in wires { writes.append((wire, try batchWrite(table, try DynamoDBRequest(wire)))) }
            batches.append((table, writes))
        }
        var unprocessed: OrderedDictionary<String, AWSValue> = [:]
        var capacities: [AWSValue] = []
        var throttle: ServiceError?
        var isAnythingDone = false
        for (table, writes) in batches {
            let result = try perform(writes, on: table)
            if !result.rest.isEmpty { unprocessed[table] = .list(result.rest) }
            isAnythingDone = isAnythingDone || result.rest.count < writes.count
            throttle = throttle ?? result.throttle
            if let capacity = result.consumed.wire(asked, table: table) { capacities.append(capacity) }
        }
        if let throttle, !isAnythingDone { throw throttle }
        return .members([
            "UnprocessedItems": .map(unprocessed), "ConsumedCapacity": asked == "NONE" ? nil : .list(capacities),
        ])
    }

    private func batchWrite(_ table: String, _ request: DynamoDBRequest) throws(ServiceError) -> ItemWrite {
        let put = try request.request("PutRequest")
        let delete = try request.request("DeleteRequest")
        switch (put, delete) {
        case (let put?, nil): return ItemWrite(table: table, item: try put.item("Item"), change: .put)
        case (nil, let delete?): return ItemWrite(table: table, item: try delete.item("Key"), change: .delete)
        case (nil, nil):
            throw .validation(
                "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
        default:
            throw .validation(
                "Supplied AttributeValue has more than one datatypes set, "
                    + "must contain exactly one of the supported datatypes")
        }
    }

    private struct BatchWriteResult: Sendable {
        var rest: [AWSValue] = []
        var throttle: ServiceError?
        var consumed = ConsumedCapacity(isWrite: true)
    }

    private func perform(
        _ writes: [(wire: AWSValue, write: ItemWrite)], on name: String
    ) throws(ServiceError) -> BatchWriteResult {
        try withTable(name) { (table, now) throws(ServiceError) in
            var outcomes: [WriteOutcome] = []
            // The whole batch is checked before any of it is done.
            for (_, write) in writes { outcomes.append(try table.outcome(of: write)) }
            guard Set(outcomes.map(\.key)).count == outcomes.count else { throw Self.duplicateKeys }
            var result = BatchWriteResult()
            defer { tidyJournal(of: &table, at: now) }
            for (index, outcome) in outcomes.enumerated() {
                do throws(ServiceError) {
                    try table.admitWrite(at: now)
                } catch {
                    result.throttle = error
                    result.rest.append(writes[index].wire)
                    continue
                }
                try table.keep([outcome])
                let consumed = table.commit(outcome, at: now)
                table.charge(consumed)
                result.consumed = result.consumed + consumed
            }
            return result
        }
    }
}
