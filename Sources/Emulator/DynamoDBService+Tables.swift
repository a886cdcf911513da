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
        var generator = generator(ofTable: name)
        var table = DynamoDBTable(
            name: name, arn: arn(ofTable: name), id: generator.uuid(), createdAt: time.wallClock(),
            keys: definition.keys, settings: settings, attributeTypes: definition.attributeTypes,
            indexes: definition.indexes.map { $0.index(status, burst: settings.burst, at: now) },
            throughput: throughput, tableClass: definition.tableClass,
            isDeletionProtected: definition.isDeletionProtected, tags: definition.tags, status: status,
            generator: generator)
        guard find(name, at: now) == nil else { throw Self.alreadyExists(name) }
        if let state {
            table.journal = TableJournal(in: state)
            do throws(ServiceError) { try table.keepDefinition(at: Moment(now: now, wall: table.createdAt)) } catch {
                table.journal?.remove()
                throw error
            }
        }
        guard insert(table, at: now) else {
            table.journal?.remove()
            throw Self.alreadyExists(name)
        }
        return ["TableDescription": table.description(at: now, status: "CREATING")]
    }

    private static func alreadyExists(_ name: String) -> ServiceError {
        ServiceError("ResourceInUseException", "Table already exists: \(name)")
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

    /// Runs `body`, which changes what the table is, on a table in any status.
    private func withChangedTable<R: Sendable>(
        _ name: String, _ body: (inout DynamoDBTable, Moment) throws(ServiceError) -> R
    ) throws(ServiceError) -> R {
        guard let table = find(name, at: time.now()) else { throw Self.notFound(table: name) }
        return try changing(table) { (table, moment) throws(ServiceError) in
            table.settle(at: moment.now)
            return try body(&table, moment)
        }
    }

    func describeTable(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        try withAnyTable(try request.tableName()) { (table, now) throws(ServiceError) in
            ["Table": table.description(at: now)]
        }
    }

    func deleteTable(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let delay = settings.tableDelay
        return try withChangedTable(try request.tableName()) { (table, moment) throws(ServiceError) in
            let now = moment.now
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
        if let start = try request.string("ExclusiveStartTableName") {
            _ = try DynamoDBRequest.checkedName(start, "ExclusiveStartTableName", request)
            names.removeAll { $0 <= start }
        }
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
        return try withChangedTable(name) { (table, moment) throws(ServiceError) in
            let now = moment.now
            try Self.checkSettled(table, at: now)
            let isUpdating = try table.apply(changes, at: now, wallClock: moment.wall)
            if isUpdating {
                table.status = ResourceStatus(change: .updating, until: now + settings.tableDelay)
            }
            return ["TableDescription": table.description(at: now, status: isUpdating ? "UPDATING" : nil)]
        }
    }
}

// MARK: Backups, expiry and tags

extension DynamoDBService {
    func describeTimeToLive(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        try withAnyTable(try request.tableName()) { (table, _) throws(ServiceError) in
            [
                "TimeToLiveDescription": .members([
                    "TimeToLiveStatus": table.timeToLive == nil ? "DISABLED" : "ENABLED",
                    "AttributeName": table.timeToLive.map { .string($0) },
                ])
            ]
        }
    }

    /// The setting is kept and told; rows never expire here, as the service gives no time within which they do.
    func updateTimeToLive(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let name = try request.tableName()
        let specification = try request.required(
            "TimeToLiveSpecification", try request.request("TimeToLiveSpecification"))
        let isEnabled = try specification.required(
            "timeToLiveSpecification.enabled", try specification.bool("Enabled"))
        let attribute = try specification.required(
            "timeToLiveSpecification.attributeName", try specification.string("AttributeName"))
        try request.checkLength(
            attribute.utf8.count, of: attribute, at: "timeToLiveSpecification.attributeName", 1...255)
        return try withChangedTable(name) { (table, moment) throws(ServiceError) in
            guard table.status.name(at: moment.now) == "ACTIVE" else {
                throw ServiceError("ResourceInUseException", "Table is not ACTIVE: \(name)")
            }
            guard (table.timeToLive != nil) != isEnabled else {
                throw .validation("TimeToLive is already \(isEnabled ? "enabled" : "disabled")")
            }
            guard isEnabled || table.timeToLive == attribute else {
                throw .validation(
                    "TimeToLive is active on a different AttributeName: current AttributeName is "
                        + (table.timeToLive ?? ""))
            }
            table.timeToLive = isEnabled ? attribute : nil
            return [
                "TimeToLiveSpecification": ["Enabled": .bool(isEnabled), "AttributeName": .string(attribute)]
            ]
        }
    }

    func describeContinuousBackups(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        try continuousBackups(try request.tableName(), isEnabled: nil)
    }

    func updateContinuousBackups(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let specification = try request.required(
            "PointInTimeRecoverySpecification", try request.request("PointInTimeRecoverySpecification"))
        let isEnabled = try specification.required(
            "pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled",
            try specification.bool("PointInTimeRecoveryEnabled"))
        return try continuousBackups(try request.tableName(), isEnabled: isEnabled)
    }

    /// - Parameter isEnabled: `nil` changes nothing.
    private func continuousBackups(_ name: String, isEnabled: Bool?) throws(ServiceError) -> AWSValue {
        guard let table = find(name, at: time.now()) else {
            throw ServiceError("TableNotFoundException", "Table not found: \(name)")
        }
        if let isEnabled {
            try changing(table) { (table, moment) throws(ServiceError) in
                table.recoverableSince = isEnabled ? table.recoverableSince ?? moment.wall : nil
            }
        }
        let wallClock = time.wallClock()
        return try table.withLock { (table) throws(ServiceError) in
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
    private func taggedTable(_ request: DynamoDBRequest) throws(ServiceError) -> LockedTable {
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
        return table
    }

    func tagResource(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let tags = try TableDefinition.tags(request)
        return try changing(try taggedTable(request)) { (table, _) throws(ServiceError) in
            table.tags.merge(tags) { $1 }
            guard table.tags.count <= 50 else {
                throw .validation("One or more parameter values were invalid: Too many tags: \(table.tags.count)")
            }
            return [:]
        }
    }

    func untagResource(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        let keys = try request.required("TagKeys", try request.strings("TagKeys"))
        for (index, key) in keys.enumerated() {
            try request.checkLength(key.utf16.count, of: key, at: "tagKeys.\(index + 1).member", 1...128)
        }
        return try changing(try taggedTable(request)) { (table, _) throws(ServiceError) in
            for key in keys { table.tags[key] = nil }
            return [:]
        }
    }

    func listTagsOfResource(_ request: DynamoDBRequest) throws(ServiceError) -> AWSValue {
        try taggedTable(request).withLock { (table) throws(ServiceError) in
            ["Tags": .list(table.tags.map { ["Key": .string($0.key), "Value": .string($0.value)] })]
        }
    }
}
