import AWSWire
import Machine
import OrderedCollections

extension DynamoDBService {
    func createTable(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let now = time.now()
        let name = try request.tableName()
        let definition = try TableDefinition(request)
        let throughput = try definition.throughput.map { (units) throws(ServiceError) in
            ProvisionedThroughput(reads: units.reads, writes: units.writes, burst: settings.burst, at: now)
        }
        let status = ResourceStatus(change: .creating, until: now + settings.tableDelay)
        var generator = SeededGenerator(seed: seed ^ RowKey.hash(Array(name.utf8)))
        let table = DynamoDBTable(
            name: name, arn: arn(ofTable: name), id: generator.uuid(), createdAt: time.wallClock(),
            keys: definition.keys, settings: settings, attributeTypes: definition.attributeTypes,
            indexes: definition.indexes.map { $0.index(status, burst: settings.burst, at: now) },
            throughput: throughput, tableClass: definition.tableClass,
            isDeletionProtected: definition.isDeletionProtected, tags: definition.tags, status: status,
            generator: generator)
        guard insert(table, at: now) else {
            throw ServiceError("ResourceInUseException", "Table already exists: \(name)")
        }
        return ["TableDescription": table.description(at: now, status: "CREATING")]
    }

    /// Runs `body` on a table in any status.
    private func withAnyTable<R: Sendable>(
        _ name: String, _ body: (inout DynamoDBTable, Timestamp) throws(ServiceError) -> R
    ) throws(ServiceError) -> R {
        let now = time.now()
        guard let table = find(name, at: now) else { throw Self.notFound(table: name) }
        return try table.withLock { (table) throws(ServiceError) in
            table.settle(at: now)
            return try body(&table, now)
        }
    }

    func describeTable(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        try withAnyTable(try request.tableName()) { (table, now) throws(ServiceError) in
            ["Table": table.description(at: now)]
        }
    }

    func deleteTable(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let delay = settings.tableDelay
        return try withAnyTable(try request.tableName()) { (table, now) throws(ServiceError) in
            try Self.checkSettled(table, at: now)
            guard !table.isDeletionProtected else {
                throw .validation(
                    "Resource cannot be deleted as it is currently protected against deletion. "
                        + "Disable deletion protection first.")
            }
            table.status = ResourceStatus(change: .deleting, until: now + delay)
            return ["TableDescription": table.description(at: now)]
        }
    }

    private static func checkSettled(_ table: DynamoDBTable, at now: Timestamp) throws(ServiceError) {
        let change =
            switch table.status.name(at: now) {
            case "CREATING": "created"
            case "UPDATING": "updated"
            case "DELETING": "deleted"
            default: ""
            }
        guard change.isEmpty else {
            throw ServiceError(
                "ResourceInUseException",
                "Attempt to change a resource which is still in use: Table is being \(change): \(table.name)")
        }
    }

    func listTables(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let limit = try request.int("Limit", in: 1...100) ?? 100
        var names = names(at: time.now())
        if let start = try request.string("ExclusiveStartTableName") { names.removeAll { $0 <= start } }
        let page = names.prefix(limit)
        return .members([
            "TableNames": .list(page.map { .string($0) }),
            "LastEvaluatedTableName": page.count < names.count ? page.last.map { .string($0) } : nil,
        ])
    }

    func updateTable(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let name = try request.tableName()
        let changes = try TableChanges(request)
        let settings = settings
        let wallClock = time.wallClock()
        return try withAnyTable(name) { (table, now) throws(ServiceError) in
            try Self.checkSettled(table, at: now)
            let isUpdating = try table.apply(changes, at: now, wallClock: wallClock)
            if isUpdating {
                table.status = ResourceStatus(change: .updating, until: now + settings.tableDelay)
            }
            return ["TableDescription": table.description(at: now, status: isUpdating ? "UPDATING" : nil)]
        }
    }
}

// MARK: Backups, expiry and tags

extension DynamoDBService {
    /// Rows never expire here, and the answer says so.
    func describeTimeToLive(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        try withAnyTable(try request.tableName()) { (_, _) throws(ServiceError) in
            ["TimeToLiveDescription": ["TimeToLiveStatus": "DISABLED"]]
        }
    }

    func describeContinuousBackups(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        try continuousBackups(try request.tableName()) { _ in }
    }

    func updateContinuousBackups(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let specification = try request.required(
            "PointInTimeRecoverySpecification", try request.request("PointInTimeRecoverySpecification"))
        let isEnabled = try specification.required(
            "pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled",
            try specification.bool("PointInTimeRecoveryEnabled"))
        let wallClock = time.wallClock()
        return try continuousBackups(try request.tableName()) { table in
            table.recoverableSince = isEnabled ? table.recoverableSince ?? wallClock : nil
        }
    }

    private func continuousBackups(
        _ name: String, _ change: (inout DynamoDBTable) -> Void
    ) throws(ServiceError) -> AWSValue {
        let now = time.now()
        guard let table = find(name, at: now) else {
            throw ServiceError("TableNotFoundException", "Table not found: \(name)")
        }
        let wallClock = time.wallClock()
        return try table.withLock { (table) throws(ServiceError) in
            change(&table)
            var recovery: AWSValue = [
                "PointInTimeRecoveryStatus": .string(table.recoverableSince == nil ? "DISABLED" : "ENABLED")
            ]
            if let since = table.recoverableSince {
                recovery["RecoveryPeriodInDays"] = 35
                recovery["EarliestRestorableDateTime"] = .double(since.seconds)
                recovery["LatestRestorableDateTime"] = .double(wallClock.seconds)
            }
            return [
                "ContinuousBackupsDescription": [
                    "ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery,
                ]
            ]
        }
    }

    /// The table that an operation on tags names by its ARN.
    private func withTaggedTable<R: Sendable>(
        _ request: DynamoDBRequest, _ body: (inout DynamoDBTable) throws(ServiceError) -> R
    ) throws(ServiceError) -> R {
        let arn = try request.required("ResourceArn", try request.string("ResourceArn"))
        guard arn.hasPrefix("arn:"), let slash = arn.firstIndex(of: "/"),
            let table = find(String(arn[arn.index(after: slash)...]), at: time.now())
        else {
            guard arn.hasPrefix("arn:") else {
                throw .validation("Invalid TableArn: Invalid ResourceArn provided as input \(arn)")
            }
            throw ServiceError(
                "ResourceNotFoundException", "Requested resource not found: ResourcArn: \(arn) not found")
        }
        return try table.withLock(body)
    }

    func tagResource(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let tags = try TableDefinition.tags(request)
        return try withTaggedTable(request) { (table) throws(ServiceError) in
            table.tags.merge(tags) { $1 }
            return [:]
        }
    }

    func untagResource(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let keys = try request.required("TagKeys", try request.strings("TagKeys"))
        return try withTaggedTable(request) { (table) throws(ServiceError) in
            for key in keys { table.tags[key] = nil }
            return [:]
        }
    }

    func listTagsOfResource(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        try withTaggedTable(request) { (table) throws(ServiceError) in
            ["Tags": .list(table.tags.map { ["Key": .string($0.key), "Value": .string($0.value)] })]
        }
    }
}
