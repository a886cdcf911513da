import AWSWire
import Machine

/// One write of one item, read from a request but not yet looked at beside the table.
struct ItemWrite: Sendable {
    enum Change: Sendable {
        case put
        case update(Update)
        case delete
        /// A ConditionCheck of a transaction: nothing changes.
        case check
    }

    var table: String
    /// The whole item of a put, otherwise the key.
    var item: Item
    var change: Change
    var condition: Condition?
    /// NONE, ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATED_NEW.
    var returnValues = "NONE"
    /// Whether a failed condition answers the item as it is.
    var returnsItemOnFailure = false
}

/// What a write does to a table, found out before anything is changed.
struct WriteOutcome: Sendable {
    var key: RowKey
    var old: Item?
    var new: Item?
    var changesRow: Bool
}

extension DynamoDBTable {
    /// Checks `write` against the schema, its condition and the limits, and works out its result.
    func outcome(of write: ItemWrite) throws(ServiceError) -> WriteOutcome {
        let key: RowKey
        if case .put = write.change {
            key = try keys.rowKey(ofItem: write.item)
            for index in indexes { try index.checkKeys(of: write.item, isUpdate: false) }
            guard write.item.sizeBytes <= Self.itemBytesMax else {
                throw .validation("Item size has exceeded the maximum allowed size")
            }
        } else {
            key = try keys.rowKey(ofKey: write.item)
        }
        if case .update(let update) = write.change { try checkKeysUntouched(update) }
        let old = item(at: key)
        if let condition = write.condition, !condition.holds(for: old ?? [:]) {
            var failure = ServiceError("ConditionalCheckFailedException", "The conditional request failed")
            if write.returnsItemOnFailure, let old { failure.extra["Item"] = old.wire }
            throw failure
        }
        var outcome = WriteOutcome(key: key, old: old, new: old, changesRow: true)
        switch write.change {
        case .put: outcome.new = write.item
        case .delete: outcome.new = nil
        case .check: outcome.changesRow = false
        case .update(let update):
            guard old != nil || update.createsItem else {
                outcome.changesRow = false
                return outcome
            }
            let new = try update.applied(to: old ?? write.item)
            for index in indexes { try index.checkKeys(of: new, isUpdate: true) }
            guard new.sizeBytes <= Self.itemBytesMax else {
                throw .validation("Item size to update has exceeded the maximum allowed size")
            }
            outcome.new = new
        }
        return outcome
    }

    private func checkKeysUntouched(_ update: Update) throws(ServiceError) {
        for action in update.actions where keys.contains(action.path.attribute) {
            throw .invalidParameter(
                "Cannot update attribute \(action.path.attribute). This attribute is part of the key")
        }
    }

    /// Carries the outcome out.
    mutating func commit(_ outcome: WriteOutcome, at now: Timestamp) -> ConsumedCapacity {
        guard outcome.changesRow else {
            var consumed = ConsumedCapacity(isWrite: true)
            consumed.table = ConsumedCapacity.writeUnits(outcome.old?.sizeBytes ?? 0)
            return consumed
        }
        return replace(outcome.key, with: outcome.new, at: now)
    }

    /// What a write whose condition failed costs: as much as if it had written the old item.
    func cost(ofFailed write: ItemWrite) -> ConsumedCapacity {
        var consumed = ConsumedCapacity(isWrite: true)
        let key: RowKey?
        if case .put = write.change {
            key = try? keys.rowKey(ofItem: write.item)
        } else {
            key = try? keys.rowKey(ofKey: write.item)
        }
        consumed.table = ConsumedCapacity.writeUnits(key.flatMap { item(at: $0) }?.sizeBytes ?? 0)
        return consumed
    }
}

extension ItemWrite {
    /// The `Attributes` that the write's answer carries; `nil` for none.
    func returned(_ outcome: WriteOutcome) -> Item? {
        switch returnValues {
        case "ALL_OLD": return outcome.old
        case "ALL_NEW": return outcome.new
        case "UPDATED_OLD", "UPDATED_NEW":
            guard case .update(let update) = change,
                let item = returnValues == "UPDATED_OLD" ? outcome.old : outcome.new
            else { return nil }
            let part = item.projected(update.actions.map(\.path))
            return part.isEmpty ? nil : part
        default: return nil
        }
    }
}

// MARK: Reading the request

extension ItemWrite {
    private static let returnWords = ["ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"]

    /// Reads a PutItem, DeleteItem or UpdateItem.
    init(
        _ operation: String, _ request: DynamoDBRequest, _ cache: ExpressionCache
    ) throws(ServiceError) {
        table = try request.tableName()
        let isUpdate = operation == "UpdateItem"
        item = try request.item(operation == "PutItem" ? "Item" : "Key")
        try request.checkNotMixed(
            legacy: isUpdate
                ? ["AttributeUpdates", "Expected", "ConditionalOperator"] : ["Expected", "ConditionalOperator"],
            expressions: isUpdate ? ["UpdateExpression", "ConditionExpression"] : ["ConditionExpression"])
        returnValues = try request.word("ReturnValues", among: Self.returnWords) ?? "NONE"
        guard isUpdate || returnValues == "NONE" || returnValues == "ALL_OLD" else {
            throw .validation("ReturnValues set to invalid value")
        }
        returnsItemOnFailure = try Self.returnsItemOnFailure(request)
        let update = isUpdate ? try request.string("UpdateExpression") : nil
        let condition = try request.string("ConditionExpression")
        var scope = try ExpressionScope(
            request.input, for: isUpdate ? [.update: update, .condition: condition] : [.condition: condition])
        switch operation {
        case "PutItem": change = .put
        case "DeleteItem": change = .delete
        default:
            if let update {
                change = .update(try cache.update(update, &scope))
            } else if let update = try DynamoDBLegacy.attributeUpdates(request) {
                change = .update(update)
            } else {
                change = .update(try Update([]))
            }
        }
        if let condition {
            self.condition = try cache.condition(condition, as: .condition, &scope)
        } else {
            self.condition = try DynamoDBLegacy.expected(request)
        }
        try scope.finish()
    }

    /// Reads one action of a TransactWriteItems: Put, Update, Delete or ConditionCheck.
    init(
        transaction action: String, _ request: DynamoDBRequest, _ cache: ExpressionCache
    ) throws(ServiceError) {
        table = try request.tableName()
        item = try request.item(action == "Put" ? "Item" : "Key")
        returnsItemOnFailure = try Self.returnsItemOnFailure(request)
        let isUpdate = action == "Update"
        let update = isUpdate ? try request.required("UpdateExpression", try request.string("UpdateExpression")) : nil
        var condition = try request.string("ConditionExpression")
        if action == "ConditionCheck" { condition = try request.required("ConditionExpression", condition) }
        var scope = try ExpressionScope(
            request.input, for: isUpdate ? [.update: update, .condition: condition] : [.condition: condition])
        switch action {
        case "Put": change = .put
        case "Delete": change = .delete
        case "ConditionCheck": change = .check
        default: change = .update(try cache.update(update ?? "", &scope))
        }
        if let condition { self.condition = try cache.condition(condition, as: .condition, &scope) }
        try scope.finish()
    }

    private static func returnsItemOnFailure(_ request: DynamoDBRequest) throws(ServiceError) -> Bool {
        try request.word("ReturnValuesOnConditionCheckFailure", among: ["ALL_OLD", "NONE"]) == "ALL_OLD"
    }
}
