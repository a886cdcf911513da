import AWSWire
import Machine
import OrderedCollections

/// An UpdateTable request.
struct TableChanges: Sendable {
    var billing: String?
    var request: DynamoDBRequest
    var attributeTypes: OrderedDictionary<String, String>
    var isDeletionProtected: Bool?
    var tableClass: String?
    var indexUpdates: [DynamoDBRequest]

    init(_ request: DynamoDBRequest) throws(ServiceError) {
        self.request = request
        if try request.request("StreamSpecification")?.bool("StreamEnabled") ?? false {
            throw .validation("DynamoDB Streams are not emulated: StreamSpecification.StreamEnabled must be false")
        }
        billing = try TableDefinition.billing(request)
        attributeTypes = try TableDefinition.types(try request.requests("AttributeDefinitions") ?? [])
        isDeletionProtected = try request.bool("DeletionProtectionEnabled")
        tableClass = try request.word("TableClass", among: ["STANDARD", "STANDARD_INFREQUENT_ACCESS"])
        indexUpdates = try request.requests("GlobalSecondaryIndexUpdates") ?? []
        if indexUpdates.count(where: { $0.input["Update"] == nil }) > 1 {
            throw ServiceError(
                "LimitExceededException",
                "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")
        }
        let members = [
            "BillingMode", "ProvisionedThroughput", "GlobalSecondaryIndexUpdates", "DeletionProtectionEnabled",
            "TableClass", "SSESpecification", "StreamSpecification", "OnDemandThroughput",
        ]
        guard members.contains(where: { request.input[$0] != nil }) else {
            throw .validation(
                "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates "
                    + "or SSESpecification or ReplicaUpdates is required")
        }
    }
}

extension DynamoDBTable {
    /// Changes what the request asks for; true where the table is UPDATING for a while because of it. Where it fails
    /// a part may be done: it is for a copy, as `DynamoDBService.changing` makes one.
    mutating func apply(
        _ changes: TableChanges, at now: Timestamp, wallClock: UnixTime
    ) throws(ServiceError) -> Bool {
        for (name, type) in changes.attributeTypes {
            guard attributeTypes[name] ?? type == type else {
                throw .invalidParameter("Attribute \(name) is already defined with another type")
            }
            attributeTypes[name] = type
        }
        var isUpdating = try applyThroughput(changes, at: now, wallClock: wallClock)
        for update in changes.indexUpdates {
            try apply(update, at: now)
            isUpdating = true
        }
        let used = Set(keys.names + indexes.filter { $0.status.change != .deleting }.flatMap(\.keys.names))
        if let unused = changes.attributeTypes.keys.first(where: { !used.contains($0) }) {
            throw .invalidParameter(
                "Some AttributeDefinitions are not used. AttributeDefinitions: "
                    + "[\(changes.attributeTypes.keys.joined(separator: ", "))], "
                    + "keys used: [\(used.sorted().joined(separator: ", "))], unused: \(unused)")
        }
        attributeTypes.removeAll { !used.contains($0.key) }
        if let isProtected = changes.isDeletionProtected { isDeletionProtected = isProtected }
        if let tableClass = changes.tableClass { self.tableClass = tableClass }
        return isUpdating
    }

    private mutating func applyThroughput(
        _ changes: TableChanges, at now: Timestamp, wallClock: UnixTime
    ) throws(ServiceError) -> Bool {
        let current = throughput.map { (reads: $0.reads.rate, writes: $0.writes.rate) }
        let isOnDemand = (changes.billing ?? (current == nil ? "PAY_PER_REQUEST" : "PROVISIONED")) == "PAY_PER_REQUEST"
        if isOnDemand {
            _ = try TableDefinition.throughput(changes.request, isOnDemand: true, index: nil)
            guard throughput != nil else { return false }
            throughput = nil
            onDemandSince = wallClock
            for index in indexes.indices { indexes[index].throughput = nil }
            return true
        }
        guard changes.request.input["ProvisionedThroughput"] != nil || current == nil else { return false }
        guard let units = try TableDefinition.throughput(changes.request, isOnDemand: false, index: nil) else {
            return false
        }
        if let current, current == units {
            throw .validation(
                "The provisioned throughput for the table will not change. The requested value equals the current "
                    + "value. Current ReadCapacityUnits provisioned for the table: \(current.reads). "
                    + "Requested ReadCapacityUnits: \(units.reads). "
                    + "Current WriteCapacityUnits provisioned for the table: \(current.writes). "
                    + "Requested WriteCapacityUnits: \(units.writes). "
                    + "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher "
                    + "limits.")
        }
        let isLess = current.map { units.reads < $0.reads || units.writes < $0.writes } ?? false
        let isMore = current.map { units.reads > $0.reads || units.writes > $0.writes } ?? true
        var new = ProvisionedThroughput(reads: units.reads, writes: units.writes, burst: settings.burst, at: now)
        new.increasedAt = isMore ? wallClock : throughput?.increasedAt
        new.decreasedAt = isLess ? wallClock : throughput?.decreasedAt
        throughput = new
        return true
    }

    /// One of `GlobalSecondaryIndexUpdates`.
    private mutating func apply(_ update: DynamoDBRequest, at now: Timestamp) throws(ServiceError) {
        let isOnDemand = throughput == nil
        if let create = try update.request("Create") {
            let definition = try IndexDefinition(
                create, isGlobal: true, isOnDemand: isOnDemand, types: attributeTypes)
            guard !indexes.contains(where: { $0.name == definition.name }) else {
                throw .validation("Attempting to create an index which already exists")
            }
            guard indexes.count(where: { $0.isGlobal }) < TableDefinition.globalIndexesMax else {
                throw .invalidParameter(
                    "GlobalSecondaryIndexes count exceeds the per-table limit of \(TableDefinition.globalIndexesMax)")
            }
            let status = ResourceStatus(change: .creating, until: now + settings.tableDelay)
            add(definition.index(status, burst: settings.burst, at: now))
        } else if let delete = try update.request("Delete") {
            let index = try index(of: delete)
            indexes[index].status = ResourceStatus(change: .deleting, until: now + settings.tableDelay)
        } else if let change = try update.request("Update") {
            let index = try index(of: change)
            if let units = try TableDefinition.throughput(change, isOnDemand: isOnDemand, index: indexes[index].name) {
                indexes[index].throughput = ProvisionedThroughput(
                    reads: units.reads, writes: units.writes, burst: settings.burst, at: now)
            }
            indexes[index].status = ResourceStatus(change: .updating, until: now + settings.tableDelay)
        } else {
            throw .invalidParameter("One of GlobalSecondaryIndexUpdate.Update, Create or Delete must not be null")
        }
    }

    private func index(of request: DynamoDBRequest) throws(ServiceError) -> Int {
        let name = try request.required("IndexName", try request.string("IndexName"))
        guard let index = indexes.firstIndex(where: { $0.name == name && $0.isGlobal }) else {
            throw ServiceError("ResourceNotFoundException", "Requested resource not found")
        }
        return index
    }
}

// MARK: Description

extension DynamoDBTable {
    /// The `Table` of DescribeTable; `status` where the answer names a change that takes no time here.
    func description(at now: Timestamp, status: String? = nil) -> AWSValue {
        func list(isGlobal: Bool) -> AWSValue? {
            let members = indexes.filter { $0.isGlobal == isGlobal && !$0.status.isGone(at: now) }
            return members.isEmpty ? nil : .list(members.map { description(of: $0, at: now, tableStatus: status) })
        }
        return .members([
            "AttributeDefinitions": .list(
                attributeTypes.map { ["AttributeName": .string($0.key), "AttributeType": .string($0.value)] }),
            "TableName": .string(name), "KeySchema": keys.wire,
            "TableStatus": .string(status ?? self.status.name(at: now)),
            "CreationDateTime": .double(createdAt.seconds),
            "ProvisionedThroughput": Self.wire(throughput),
            "TableSizeBytes": .int(Int64(sizeBytes)), "ItemCount": .int(Int64(itemCount)),
            "TableArn": .string(arn), "TableId": .string(id),
            "BillingModeSummary": onDemandSince.map {
                [
                    "BillingMode": .string(throughput == nil ? "PAY_PER_REQUEST" : "PROVISIONED"),
                    "LastUpdateToPayPerRequestDateTime": .double($0.seconds),
                ]
            },
            "LocalSecondaryIndexes": list(isGlobal: false), "GlobalSecondaryIndexes": list(isGlobal: true),
            "TableClassSummary": tableClass.map { ["TableClass": .string($0)] },
            "DeletionProtectionEnabled": .bool(isDeletionProtected),
        ])
    }

    private func description(of index: SecondaryIndex, at now: Timestamp, tableStatus: String?) -> AWSValue {
        var projection: AWSValue = ["ProjectionType": .string(index.projection.name)]
        if case .include(let names) = index.projection {
            projection["NonKeyAttributes"] = .list(names.map { .string($0) })
        }
        let status = tableStatus == "CREATING" ? "CREATING" : index.status.name(at: now)
        return .members([
            "IndexName": .string(index.name), "KeySchema": index.keys.wire, "Projection": projection,
            "IndexStatus": index.isGlobal ? .string(status) : nil,
            "Backfilling": index.isGlobal && status == "CREATING" && tableStatus == nil ? true : nil,
            "ProvisionedThroughput": index.isGlobal ? Self.wire(index.throughput) : nil,
            "IndexSizeBytes": .int(Int64(index.sizeBytes)), "ItemCount": .int(Int64(index.entries.count)),
            "IndexArn": .string("\(arn)/index/\(index.name)"),
        ])
    }

    private static func wire(_ throughput: ProvisionedThroughput?) -> AWSValue {
        .members([
            "LastIncreaseDateTime": throughput?.increasedAt.map { .double($0.seconds) },
            "LastDecreaseDateTime": throughput?.decreasedAt.map { .double($0.seconds) },
            "NumberOfDecreasesToday": 0,
            "ReadCapacityUnits": .int(Int64(throughput?.reads.rate ?? 0)),
            "WriteCapacityUnits": .int(Int64(throughput?.writes.rate ?? 0)),
        ])
    }
}

extension KeySchema {
    fileprivate var wire: AWSValue {
        .list(
            zip(attributes, ["HASH", "RANGE"]).map { attribute, role in
                ["AttributeName": .string(attribute.name), "KeyType": .string(role)]
            })
    }
}
