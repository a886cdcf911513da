import AWSWire
import Machine
import Synchronization

/// Client tokens of transactions that were carried out: the same one again within ten minutes changes nothing.
struct TransactionTokens: Sendable {
    static let countMax = 4096
    static let lifetime: Duration = .seconds(600)

    private var tokens: [String: (input: AWSValue, at: Timestamp)] = [:]

    /// Whether the transaction was carried out before; fails where its token stands for another one.
    mutating func isRepeated(_ token: String, _ input: AWSValue, at now: Timestamp) throws(ServiceError) -> Bool {
        guard let known = tokens[token], now - known.at < Self.lifetime else { return false }
        guard known.input == input else {
            throw ServiceError(
                "IdempotentParameterMismatchException",
                "The provided client token is already in use by another request with different parameters")
        }
        return true
    }

    mutating func remember(_ token: String, _ input: AWSValue, at now: Timestamp) {
        if tokens.count >= Self.countMax {
            tokens = tokens.filter { now - $0.value.at < Self.lifetime }
            if tokens.count >= Self.countMax { tokens = [:] }
        }
        tokens[token] = (input, now)
    }
}

extension DynamoDBService {
    private static let transactionMax = 100
    private static let transactionBytesMax = 4 << 20

    /// One action of a transaction with its place in the request.
    private struct Step: Sendable {
        var position: Int
        var write: ItemWrite
    }

    /// Why an action could not be done; `nil` where it could.
    private typealias Reasons = [Int: ServiceError]

    func transactWriteItems(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let asked = try request.returnConsumedCapacity()
        let actions = try transactItems(request)
        var steps: [Step] = []
        for (position, action) in actions.enumerated() {
            steps.append(Step(position: position, write: try transactWrite(action)))
        }
        guard steps.reduce(0, { $0 + $1.write.item.sizeBytes }) <= Self.transactionBytesMax else {
            throw .validation("Collection of items in the transaction exceeds the limit of 4 MB")
        }
        let now = time.now()
        let token = try request.text("ClientRequestToken", "clientRequestToken", lengths: 1...36)
        if let token,
            try transactions.withLock({ (tokens) throws(ServiceError) in
                try tokens.isRepeated(token, request.input, at: now)
            })
        {
            return [:]
        }
        let groups = Dictionary(grouping: steps, by: \.write.table).sorted { $0.key < $1.key }
        var locked: [(table: LockedTable, steps: [Step])] = []
        for (name, steps) in groups {
            guard let table = find(name, at: now) else { throw Self.notFound }
            locked.append((table, steps))
        }
        let (reasons, consumed, _) = try transact(locked[...], at: now, Reasons(), [])
        guard reasons.isEmpty else { throw Self.cancelled(actions.count, reasons) }
        if let token { transactions.withLock { $0.remember(token, request.input, at: now) } }
        guard asked != "NONE" else { return [:] }
        let capacities = consumed.sorted { $0.key < $1.key }.compactMap { name, consumed in
            consumed.doubled.wire(asked, table: name, isTransaction: true)
        }
        return ["ConsumedCapacity": .list(capacities)]
    }

    private func transactItems(_ request: DynamoDBRequest) throws(ServiceError) -> [DynamoDBRequest] {
        let actions = try request.required("TransactItems", try request.requests("TransactItems"))
        guard !actions.isEmpty else {
            throw request.constraint("transactItems", "[]", "Member must have length greater than or equal to 1")
        }
        guard actions.count <= Self.transactionMax else {
            throw .validation(
                "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: "
                    + "Member must have length less than or equal to \(Self.transactionMax)")
        }
        return actions
    }

    private func transactWrite(_ action: DynamoDBRequest) throws(ServiceError) -> ItemWrite {
        var writes: [ItemWrite] = []
        for name in ["ConditionCheck", "Put", "Delete", "Update"] {
            guard let request = try action.request(name) else { continue }
            writes.append(try ItemWrite(transaction: name, request, cache))
        }
        guard writes.count == 1 else {
            throw .validation(
                "TransactItems can only contain one of Check, Put, Update or Delete")
        }
        return writes[0]
    }

    /// Rows by the number of the table's file.
    private typealias KeptRows = [(table: UInt64, rows: [UInt8])]

    /// Locks the tables one inside the other in the order of their names, checks every action, and only when all
    /// tables agreed, and all of it is kept where it outlives the process, carries them out on the way back.
    ///
    /// - Returns: also the number that the transaction is kept under, where it is over several kept tables.
    private func transact(
        _ groups: ArraySlice<(table: LockedTable, steps: [Step])>, at now: Timestamp, _ before: Reasons,
        _ rows: KeptRows
    ) throws(ServiceError) -> (reasons: Reasons, consumed: [String: ConsumedCapacity], number: UInt64?) {
        guard let group = groups.first else { return (before, [:], before.isEmpty ? try keep(rows) : nil) }
        let steps = group.steps
        let rest = groups.dropFirst()
        return try group.table.withLock { (table) throws(ServiceError) in
            try Self.prepare(&table, at: now)
            var reasons = before
            var outcomes: [WriteOutcome] = []
            for step in steps {
                do throws(ServiceError) {
                    try table.admitWrite(at: now)
                    outcomes.append(try table.outcome(of: step.write))
                } catch {
                    reasons[step.position] = error
                }
            }
            guard Set(outcomes.map(\.key)).count == outcomes.count else {
                throw .validation("Transaction request cannot include multiple operations on one item")
            }
            var kept = rows
            // A single table takes its outcomes as they are.
            if let id = table.journal?.id, reasons.isEmpty, !rest.isEmpty || !rows.isEmpty {
                kept.append((id, RowChange.bytes(outcomes.compactMap { $0.change(table.keys) })))
            }
            var (all, consumed, number) = try transact(rest, at: now, reasons, kept)
            var mine = ConsumedCapacity(isWrite: true)
            if all.isEmpty {
                if let number, let mine = kept.last {
                    table.journal?.save(transaction: number, rows: mine.rows)
                } else {
                    try table.keep(outcomes)
                }
                for outcome in outcomes { mine = mine + table.commit(outcome, at: now) }
                consumed[table.name] = mine
            } else {
                for step in steps { mine = mine + table.cost(ofFailed: step.write) }
            }
            table.charge(mine.doubled)
            tidyJournal(of: &table, at: now)
            return (all, consumed, number)
        }
    }

    /// Keeps a transaction as a whole where it is over several tables; one table's file takes its rows at once anyway.
    private func keep(_ rows: KeptRows) throws(ServiceError) -> UInt64? {
        guard rows.count > 1 else { return nil }
        do throws(StateError) {
            return try multiTableJournal.withLock { (journal) throws(StateError) in try journal?.begin(rows) }
        } catch {
            throw Self.notKept(error)
        }
    }

    private static func cancelled(_ count: Int, _ reasons: Reasons) -> ServiceError {
        let codes = (0..<count).map { reasons[$0].map(code) ?? "None" }
        let list: [AWSValue] = (0..<count).map { position in
            guard let error = reasons[position] else { return ["Code": "None"] }
            return .members([
                "Code": .string(code(error)), "Message": .string(error.message), "Item": error.extra["Item"],
            ])
        }
        return ServiceError(
            "TransactionCanceledException",
            "Transaction cancelled, please refer cancellation reasons for specific reasons "
                + "[\(codes.joined(separator: ", "))]",
            extra: ["CancellationReasons": .list(list)])
    }

    private static func code(_ error: ServiceError) -> String {
        switch error.type {
        case "ConditionalCheckFailedException": "ConditionalCheckFailed"
        case "ProvisionedThroughputExceededException": "ProvisionedThroughputExceeded"
        case "ValidationException": "ValidationError"
        default: error.type
        }
    }

    func transactGetItems(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let asked = try request.returnConsumedCapacity()
        var reads: [(position: Int, table: String, key: Item, projection: [DocumentPath]?)] = []
        for (position, action) in try transactItems(request).enumerated() {
            let get = try action.required("Get", try action.request("Get"))
            reads.append((position, try get.tableName(), try get.item("Key"), try projection(get)))
        }
        let now = time.now()
        let names = Set(reads.map(\.table)).sorted()
        var tables: [LockedTable] = []
        for name in names {
            guard let table = find(name, at: now) else { throw Self.notFound }
            tables.append(table)
        }
        let (items, consumed) = try get(
            tables[...], reads.map { (position: $0.position, table: $0.table, key: $0.key) }, at: now)
        let responses: [AWSValue] = reads.map { read in
            guard let item = items[read.position] else { return [:] }
            return ["Item": (read.projection.map(item.projected) ?? item).wire]
        }
        let capacities = consumed.sorted { $0.key < $1.key }.compactMap { name, consumed in
            consumed.doubled.wire(asked, table: name, isTransaction: true)
        }
        return .members([
            "Responses": .list(responses), "ConsumedCapacity": asked == "NONE" ? nil : .list(capacities),
        ])
    }

    private typealias Found = (items: [Int: Item], consumed: [String: ConsumedCapacity])

    /// Reads under the locks of all tables at once.
    private func get(
        _ tables: ArraySlice<LockedTable>, _ reads: [(position: Int, table: String, key: Item)], at now: Timestamp
    ) throws(ServiceError) -> Found {
        guard let locked = tables.first else { return ([:], [:]) }
        return try locked.withLock { (table) throws(ServiceError) in
            try Self.prepare(&table, at: now)
            var (items, all) = try get(tables.dropFirst(), reads, at: now)
            var consumed = ConsumedCapacity(isWrite: false)
            try table.admitRead(index: nil, at: now)
            for read in reads where read.table == table.name {
                let answer = table.get(try table.keys.rowKey(ofKey: read.key), isConsistent: true, at: now)
                consumed = consumed + answer.consumed
                items[read.position] = answer.item
            }
            table.charge(consumed.doubled)
            all[table.name] = consumed
            return (items, all)
        }
    }
}
