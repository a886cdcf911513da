import AWSWire
import Machine

extension DynamoDBService {
    func getItem(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let name = try request.tableName()
        let key = try request.item("Key")
        let isConsistent = try request.bool("ConsistentRead") ?? false
        let asked = try request.returnConsumedCapacity()
        let projection = try self.projection(request)
        let (item, consumed) = try withTable(name) { (table, now) throws(ServiceError) in
            let row = try table.keys.rowKey(ofKey: key)
            try table.admitRead(index: nil, at: now)
            let answer = table.get(row, isConsistent: isConsistent, at: now)
            table.charge(answer.consumed)
            return answer
        }
        return .members([
            "Item": item.map { projection.map($0.projected)?.wire ?? $0.wire },
            "ConsumedCapacity": consumed.wire(asked, table: name),
        ])
    }

    /// `ProjectionExpression` or `AttributesToGet`; `nil` where neither is given.
    func projection(_ request: DynamoDBRequest) throws(ServiceError) -> [DocumentPath]? {
        try request.checkNotMixed(legacy: ["AttributesToGet"], expressions: ["ProjectionExpression"])
        let expression = try request.string("ProjectionExpression")
        var scope = try ExpressionScope(request.input, for: [.projection: expression])
        guard let expression else { return try attributesToGet(request) }
        let paths = try cache.projection(expression, &scope)
        try scope.finish()
        return paths
    }

    private func attributesToGet(_ request: DynamoDBRequest) throws(ServiceError) -> [DocumentPath]? {
        guard let names = try request.strings("AttributesToGet") else { return nil }
        guard !names.isEmpty else {
            throw request.constraint("attributesToGet", "[]", "Member must have length greater than or equal to 1")
        }
        guard Set(names).count == names.count else {
            throw .invalidParameter(
                "Duplicate value in attribute name: \(names.first { name in names.count { $0 == name } > 1 } ?? "")")
        }
        return names.map { DocumentPath(attribute: $0) }
    }

    func write(_ operation: String, _ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let write = try ItemWrite(operation, request, cache)
        let asked = try request.returnConsumedCapacity()
        let (outcome, consumed) = try withTable(write.table) { (table, now) throws(ServiceError) in
            defer { tidyJournal(of: &table, at: now) }
            try table.admitWrite(at: now)
            do throws(ServiceError) {
                let outcome = try table.outcome(of: write)
                try table.keep([outcome])
                let consumed = table.commit(outcome, at: now)
                table.charge(consumed)
                return (outcome, consumed)
            } catch {
                if error.type == "ConditionalCheckFailedException" { table.charge(table.cost(ofFailed: write)) }
                throw error
            }
        }
        return .members([
            "Attributes": write.returned(outcome)?.wire,
            "ConsumedCapacity": consumed.wire(asked, table: write.table),
        ])
    }

    func page(_ operation: String, _ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let asked = try request.returnConsumedCapacity()
        let page = try pageRequest(operation, request)
        let answer = try withTable(page.table) { (table, now) throws(ServiceError) in try table.page(page, at: now) }
        return .members([
            "Items": page.select == "COUNT" ? nil : .list(answer.items.map(\.wire)),
            "Count": .int(Int64(answer.count)), "ScannedCount": .int(Int64(answer.scannedCount)),
            "LastEvaluatedKey": answer.lastKey?.wire,
            "ConsumedCapacity": answer.consumed.wire(asked, table: page.table),
        ])
    }

    private func pageRequest(
        _ operation: String, _ request: DynamoDBRequest
    ) throws(ServiceError) -> PageRequest {
        let isQuery = operation == "Query"
        let legacyFilter = isQuery ? "QueryFilter" : "ScanFilter"
        var page = PageRequest(table: try request.tableName())
        if let index = try request.string("IndexName") {
            page.index = try DynamoDBRequest.checkedName(index, "IndexName", request)
        }
        page.limit = try request.int("Limit", in: 1...Int.max)
        page.isConsistent = try request.bool("ConsistentRead") ?? false
        page.select = try request.word(
            "Select", among: ["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"])
        try request.checkNotMixed(
            legacy: ["AttributesToGet", legacyFilter, "ConditionalOperator"] + (isQuery ? ["KeyConditions"] : []),
            expressions: ["ProjectionExpression", "FilterExpression"] + (isQuery ? ["KeyConditionExpression"] : []))
        let projection = try request.string("ProjectionExpression")
        let filter = try request.string("FilterExpression")
        let keyCondition = isQuery ? try request.string("KeyConditionExpression") : nil
        var scope = try ExpressionScope(
            request.input,
            for: isQuery
                ? [.filter: filter, .projection: projection, .keyCondition: keyCondition]
                : [.filter: filter, .projection: projection])
        if let keyCondition {
            page.keyCondition = try cache.condition(keyCondition, as: .keyCondition, &scope)
        } else if isQuery {
            page.keyCondition = try DynamoDBLegacy.keyConditions(request)
        }
        if let filter {
            page.filter = try cache.condition(filter, as: .filter, &scope)
        } else {
            page.filterName = legacyFilter
            page.filter = try DynamoDBLegacy.filter(request, legacyFilter)
        }
        if let projection {
            page.projection = try cache.projection(projection, &scope)
        } else {
            page.projection = try attributesToGet(request)
        }
        try scope.finish()
        try readPosition(request, isQuery, &page)
        return page
    }

    private func readPosition(
        _ request: DynamoDBRequest, _ isQuery: Bool, _ page: inout PageRequest
    ) throws(ServiceError) {
        if request.input["ExclusiveStartKey"] != nil { page.startKey = try request.item("ExclusiveStartKey") }
        if let select = page.select, select != "SPECIFIC_ATTRIBUTES", page.projection != nil {
            let member = request.input["AttributesToGet"] == nil ? "ProjectionExpression" : "AttributesToGet"
            throw .validation(
                "Cannot specify the \(member) when choosing to get \(select == "COUNT" ? "only the Count" : select)")
        }
        if page.select == "SPECIFIC_ATTRIBUTES", page.projection == nil {
            throw .validation(
                "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
        }
        if isQuery {
            page.isForward = try request.bool("ScanIndexForward") ?? true
            guard page.keyCondition != nil else {
                throw .validation(
                    "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
            }
            return
        }
        let total = try request.int("TotalSegments", in: 1...1_000_000)
        let segment = try request.int("Segment", in: 0...999_999)
        switch (segment, total) {
        case (nil, nil): break
        case (_?, nil):
            throw .validation(
                "The TotalSegments parameter is required but was not present in the request "
                    + "when Segment parameter is present")
        case (nil, _?):
            throw .validation(
                "The Segment parameter is required but was not present in the request "
                    + "when parameter TotalSegments is present")
        case (let segment?, let total?):
            guard segment < total else {
                throw .validation(
                    "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
                        + "Segment: \(segment) is not less than TotalSegments: \(total)")
            }
            page.segment = (segment, total)
        }
    }
}

extension DynamoDBTable {
    /// One row, and what reading it cost.
    mutating func get(
        _ key: RowKey, isConsistent: Bool, at now: Timestamp
    ) -> (item: Item?, consumed: ConsumedCapacity) {
        let seen = rows[key].flatMap { visible($0, isConsistent: isConsistent, at: now) }
        var consumed = ConsumedCapacity(isWrite: false)
        consumed.table = ConsumedCapacity.readUnits(seen?.sizeBytes ?? 0, isConsistent: isConsistent)
        return (seen?.item, consumed)
    }
}
