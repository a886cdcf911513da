/// The straight line before the first take: the table, the fleet's mode, the shards, the first leases (kcl.md §5.1).
extension Worker {
    /// KCL's `maxInitializationAttempts`.
    private static let attemptsMax = 20
    private static let pauseMax: Duration = .seconds(10)

    /// `nil` where a shutdown was requested meanwhile.
    func prepare() async throws -> WorkerMachine.Start? {
        var attempt = 1
        while true {
            if isShutdownRequested { return nil }
            do { return try await prepareOnce() } catch let error as AWSError {
                try Task.checkCancellation()
                guard isWorthWaiting(for: error), attempt < Self.attemptsMax else { throw explained(error) }
                emit(WorkerEvent(.throttled, at: .zero, message: "cannot start yet: \(error)"))
                try await time.sleep(for: min(.seconds(1) * (1 << min(attempt - 1, 4)), Self.pauseMax))
                attempt += 1
            }
        }
    }

    private func isWorthWaiting(for error: AWSError) -> Bool {
        switch error.meaning {
        case .throttled, .transient, .inUse: true
        // The table may be new and not answer yet; a stream that does not exist is a mistake.
        case .notFound: error.operation.hasPrefix("DynamoDB")
        case .conditionFailed, .expiredIterator, .denied, .unauthenticated, .clockSkewed, .invalid, .cancelled: false
        }
    }

    private func explained(_ error: AWSError) -> any Error {
        guard error.meaning == .notFound, error.operation.hasPrefix("Kinesis") else { return error }
        return WorkerRefusal(
            "stream \(configuration.streamName) does not exist in \(kinesis.client.region) at "
                + "\(kinesis.client.endpoint); check its name and the region")
    }

    private func prepareOnce() async throws -> WorkerMachine.Start? {
        let table = try await ensureTable()
        let mode = try await checkMode()
        if let refusal = mode.refusal { throw WorkerRefusal(refusal) }
        guard try await ensureConsumer() else { return nil }
        let lookedAt = time.now()
        let shards = try await kinesis.listShards(stream: configuration.streamName)
        let tree = ShardTree(shards)
        var (rows, units) = try await scanAll()
        try refuseForeign(rows, tree)
        let leases = rows.compactMap(\.lease)
        let missing: [Lease]
        if leases.isEmpty {
            let listed = try await kinesis.listShards(
                stream: configuration.streamName, filter: configuration.initialPosition.filter)
            missing = leasesForEmptyTable(listed, at: configuration.initialPosition)
        } else {
            missing =
                shardSync(
                    tree, leases: leases, at: configuration.initialPosition,
                    ignoreUnexpectedChildShards: configuration.ignoreUnexpectedChildShards
                ).leasesToCreate
        }
        for lease in missing where try await create(lease, lookedAt: lookedAt) {
            emit(WorkerEvent(.leaseCreated, at: .zero, shardID: lease.shardID, checkpoint: lease.checkpoint))
        }
        if !missing.isEmpty { (rows, units) = try await scanAll() }
        // The machine's scans are not consistent and cost half.
        return WorkerMachine.Start(
            tree: tree, rows: rows, provisionedReads: table.provisionedReads, mode: mode,
            readUnits: min(max(0, units / 2), 1e6))
    }

    /// The lease table, created where there is none.
    private func ensureTable() async throws -> TableDescription {
        let name = configuration.tableName
        var table: TableDescription
        do { table = try await dynamoDB.describeTable(name) } catch {
            guard error.meaning == .notFound else { throw error }
            do {
                try await dynamoDB.createTable(
                    name, hashKey: LeaseTable.hashKey, capacity: configuration.leaseTableCapacity,
                    isDeletionProtected: configuration.isLeaseTableDeletionProtected)
            } catch {
                // Another worker was faster.
                guard error.type == "ResourceInUseException" else { throw error }
            }
            table = try await dynamoDB.describeTable(name)
        }
        // KCL waits for ten minutes at the most (kcl.md §1.3).
        var pause = Duration.milliseconds(50)
        for _ in 0..<600 where table.status == "CREATING" {
            try await time.sleep(for: pause)
            pause = min(pause * 2, .seconds(1))
            table = try await dynamoDB.describeTable(name)
        }
        if let reason = LeaseTable.whyNotALeaseTable(table) {
            throw WorkerRefusal(
                "table \(name) is not a lease table: \(reason); choose another applicationName or tableName")
        }
        return table
    }

    /// The fleet's mode, from the legacy coordinator table where it exists, else from the lease table.
    func checkMode() async throws(AWSError) -> FleetMode {
        let coordinator =
            configuration.coordinatorStateTable
            ?? FleetMode.coordinatorTable(application: configuration.applicationName)
        do {
            let item = try await dynamoDB.getItem(coordinator, key: ["key": .s(FleetMode.migrationKey)])
            if item != nil { return FleetMode(migrationItem: item) }
        } catch {
            // A worker needs no permission on a table that only KCL 3.0 to 3.4 has.
            guard error.meaning == .notFound || error.meaning == .denied else { throw error }
        }
        return FleetMode(
            migrationItem: try await dynamoDB.getItem(
                configuration.tableName, key: LeaseTable.key(FleetMode.migrationKey)))
    }

    private func refuseForeign(_ rows: [LeaseRow], _ tree: ShardTree) throws {
        let name = configuration.tableName
        let leases = rows.compactMap(\.lease)
        if leases.isEmpty, !rows.isEmpty, rows.allSatisfy({ if case .odd = $0 { true } else { false } }) {
            throw WorkerRefusal("table \(name) holds rows that are no leases; choose another applicationName")
        }
        if leases.contains(where: \.isMultiStream) {
            throw WorkerRefusal("table \(name) belongs to a multi-stream application; this worker reads one stream")
        }
        let isOurs = leases.contains {
            tree[$0.leaseKey] != nil || tree.children[$0.leaseKey] != nil
        }
        if !leases.isEmpty, !isOurs {
            throw WorkerRefusal(
                "the leases in table \(name) belong to another stream: none is a shard of "
                    + "\(configuration.streamName); choose another applicationName")
        }
    }

    private func scanAll() async throws(AWSError) -> (rows: [LeaseRow], readUnits: Double) {
        var rows: [LeaseRow] = []
        var units = 0.0
        var next: Item?
        repeat {
            let page = try await dynamoDB.scan(configuration.tableName, startingAfter: next, consistent: true)
            rows += page.items.map(LeaseTable.row)
            units += page.consumedReadUnits ?? 0
            next = page.lastEvaluatedKey
        } while next != nil
        return (rows, units)
    }

    /// Creates a lease unless it is there; true where this call did it.
    ///
    /// - Parameters:
    ///   - lookedAt: when the shards and leases were read that say it is missing. After failoverTimeMillis it may have
    ///     been created, read to its end and deleted, and would be read once more: look again.
    ///   - isChild: its parent has just ended here.
    func create(_ lease: Lease, lookedAt: Timestamp, isChild: Bool = false) async throws(AWSError) -> Bool {
        guard time.now() - lookedAt < configuration.failoverTime else {
            throw AWSError(
                operation: "DynamoDB.PutItem",
                cause: .transport(
                    TransportError(.timedOut, "the shards were listed too long ago", requestWasSent: false)))
        }
        do {
            try await measured(.createLease(lease.checkpoint, isChild: isChild), shardID: lease.shardID) {
                () async throws(AWSError) in
                try await dynamoDB.putNewItem(
                    configuration.tableName, LeaseTable.newItem(lease), hashKey: LeaseTable.hashKey)
            }
            return true
        } catch {
            if error.meaning == .conditionFailed { return false }
            throw error
        }
    }
}

extension InitialPosition {
    /// The shards that an empty table starts with (kcl.md §5.1).
    package var filter: ShardFilter {
        switch self {
        case .latest: .atLatest
        case .trimHorizon: .atTrimHorizon
        case .atTimestamp(let time): .atTimestamp(time)
        }
    }
}
