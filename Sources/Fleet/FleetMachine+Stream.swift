import AWSWire
import Leases
import Machine

extension FleetMachine {
    mutating func listed(_ shards: [Shard], _ info: CallInfo, at now: Timestamp) {
        clock.note(info, at: now)
        meter.note(info, at: now)
        schedule.underWay.remove(.shards)
        // An answer that was on its way when the keys were first seen.
        if namesStreams { return }
        let tree = ShardTree(shards)
        if tree != self.shards {
            if let old = self.shards?.shards, isRecreated(tree, from: old) { streamMatch = .unverified("created anew") }
            self.shards = tree
            order = []
            surveyed = nil
            for place in rows.slots.indices {
                guard let lease = rows.slots[place].lease else { continue }
                rows.slots[place].shard = ShardNote(tree, lease.shardID, now: clock.time(at: now))
            }
            schedule.isDirty = true
            flows = flows.filter { tree[$0.key] != nil || rows.contains($0.key) }
        }
        for place in rows.slots.indices {
            rows.slots[place].absentSince =
                rows.slots[place].shard == nil ? rows.slots[place].absentSince ?? now : nil
        }
        shardsListedAt = now
        isShardListDenied = false
        schedule.nextShardList = now + configuration.shardListInterval
        succeeded(.shards)
        judgeStream(at: now)
    }

    /// Whether a shard's first sequence number changed: it is a shard of another stream then.
    func isRecreated(_ tree: ShardTree, from old: [String: Shard]) -> Bool {
        tree.shards.values.contains { shard in
            old[shard.shardID].map { $0.startingSequenceNumber != shard.startingSequenceNumber } ?? false
        }
    }

    mutating func described(_ summary: StreamSummary, _ info: CallInfo, at now: Timestamp) {
        clock.note(info, at: now)
        meter.note(info, at: now)
        schedule.underWay.remove(.stream)
        if namesStreams { return }
        if summary.retention != retention { schedule.isDirty = true }
        retention = summary.retention
        schedule.nextStreamDescription = now + .seconds(60)
        succeeded(.stream)
    }

    mutating func described(_ table: TableDescription, _ info: CallInfo, at now: Timestamp) {
        clock.note(info, at: now)
        meter.note(info, at: now)
        provisionedReads = table.provisionedReads
        // arn:aws:dynamodb:REGION:ACCOUNT:table/NAME
        let parts = table.arn.split(separator: ":", omittingEmptySubsequences: false)
        if parts.count > 4, !parts[4].isEmpty { configuration.identity.account = String(parts[4]) }
        if !table.arn.isEmpty { configuration.identity.tableARN = table.arn }
        let reason = LeaseTable.whyNotALeaseTable(table)
        if reason == nil, notALeaseTable != nil { schedule.nextScan = now }
        notALeaseTable = reason
        schedule.underWay.remove(.table)
        schedule.nextTableDescription = now + .seconds(reason == nil ? 300 : 30)
        schedule.isDirty = true
        succeeded(.table)
    }

    mutating func migrationRead(_ item: Item?, _ info: CallInfo, at now: Timestamp) {
        clock.note(info, at: now)
        meter.note(info, at: now)
        legacyMigrationItem = item
        migrationAccess = .read
        schedule.underWay.remove(.migration)
        schedule.nextMigrationRead = now + .seconds(60)
        succeeded(.migration)
        updateMode(at: now)
    }

    /// The mode as the migration item tells: of the coordinator table where that has one, else of the lease table.
    mutating func updateMode(at now: Timestamp) {
        guard scans > 0, let new = presentMode else { return }
        guard new != mode else { return }
        if let mode, let new {
            log.append(
                WorkerEvent(
                    .modeChanged, at: clock.time(at: now), source: .table,
                    message: "the fleet went from \(mode.words) to \(new.words)"), at: now)
        }
        mode = new
        surveyed = nil
        schedule.isDirty = true
    }

    /// `nil` before it can be told; `.some(nil)` where it is not known, however long we wait.
    private var presentMode: FleetMode?? {
        let row = rows[FleetMode.migrationKey]?.stored
        switch migrationAccess {
        case .notAsked: return nil
        case .read: return FleetMode(migrationItem: legacyMigrationItem ?? row)
        // No item in the lease table proves nothing: that of 3.0 to 3.4 lies in the table that we may not read.
        case .denied: return .some(row.map { FleetMode(migrationItem: $0) })
        }
    }

    mutating func failed(_ what: Failing, _ error: AWSError, _ info: CallInfo, at now: Timestamp) {
        meter.note(info, at: now)
        if what == .scan {
            // The read's clock is ours alone; no Date came with it.
            clock.note(info, at: now)
        }
        schedule.underWay.remove(what)
        if namesStreams, what == .shards || what == .stream { return }
        schedule.isDirty = true
        let table = configuration.identity.table
        let stream = configuration.identity.stream ?? ""
        let (subject, permission): (FleetFailure.Subject, String) =
            switch what {
            case .scan: (.table(table), "dynamodb:Scan")
            case .rows: (.table(table), "dynamodb:BatchGetItem")
            case .table: (.table(table), "dynamodb:DescribeTable")
            case .migration, .leader:
                (.sideTable(configuration.identity.coordinatorTableName), "dynamodb:GetItem")
            case .metrics: (.sideTable(configuration.identity.workerMetricsTableName), "dynamodb:Scan")
            case .shards: (.stream(stream), "kinesis:ListShards")
            case .stream: (.stream(stream), "kinesis:DescribeStreamSummary")
            case .cloudWatch: (.metrics(configuration.identity.application), "cloudwatch:GetMetricData")
            case .probe: (.stream(stream), "kinesis:GetShardIterator and kinesis:GetRecords")
            }
        let failure = FleetFailure(
            error, subject, region: configuration.identity.region, endpoint: configuration.identity.endpoint,
            permission: permission)
        let old = failures[what]
        let count = (old?.count ?? 0) + 1
        failures[what] = (failure, old?.since ?? clock.time(at: now), count)
        let wait = backOff(after: count, error.meaning)
        switch what {
        case .scan: schedule.nextScan = now + max(wait, refreshInterval)
        case .table: schedule.nextTableDescription = now + max(wait, .seconds(5))
        case .migration:
            schedule.nextMigrationRead = now + max(wait, .seconds(60))
            if error.meaning == .denied {
                migrationAccess = .denied
                legacyMigrationItem = nil
                surveyed = nil
            }
            updateMode(at: now)
        case .leader: schedule.nextLeaderRead = now + max(wait, Self.leaderReadInterval)
        case .metrics:
            schedule.nextMetricsRead = now + max(wait, .seconds(error.meaning == .denied ? 60 : 15))
            if error.meaning == .denied {
                sides.metrics = .denied
                sides.reports = []
            }
        case .shards:
            schedule.nextShardList = now + wait
            if error.meaning == .denied { isShardListDenied = true }
            surveyed = nil
        case .stream: schedule.nextStreamDescription = now + max(wait, .seconds(5))
        case .probe: break
        case .rows:
            let pause = max(wait, error.meaning == .denied ? Self.deniedRowsPause : .zero)
            shown.nextRead = max(shown.nextRead, now + pause)
        case .cloudWatch: schedule.nextCloudWatchRead = now + max(wait, MetricLags.interval)
        }
    }

    /// Somebody may allow it while we watch.
    static let deniedRowsPause: Duration = .seconds(60)

    mutating func succeeded(_ what: Failing) {
        guard failures.removeValue(forKey: what) != nil else { return }
        schedule.isDirty = true
        if what == .shards { surveyed = nil }
    }

    /// 1, 2, 4, … 30 s; what a person must mend is asked for every 15 s.
    func backOff(after count: Int, _ meaning: AWSError.Meaning) -> Duration {
        switch meaning {
        case .throttled, .transient, .cancelled: .seconds(min(30, 1 << min(count - 1, 5)))
        case .notFound, .inUse: .seconds(5)
        case .denied, .unauthenticated, .clockSkewed, .invalid, .conditionFailed, .expiredIterator: .seconds(15)
        }
    }
}

extension StreamSummary {
    /// For how long records are kept; bounded, whatever the service says.
    var retention: Duration { .seconds(max(0, min(retentionHours, 100_000)) * 3600) }
}

/// Whether the migration item of KCL 3.0 to 3.4 could be read.
enum MigrationAccess: Hashable, Sendable {
    case notAsked
    case read
    case denied
}

extension FleetMode {
    /// `2.x`, `upgrading from 2.x`, `3.x`: for people.
    package var words: String {
        switch self {
        case .takers(let version):
            switch version {
            case "CLIENT_VERSION_2X"?: "3.x held at 2.x"
            case nil: "2.x"
            case let version?: "2.x rules (\(version))"
            }
        case .upgrading: "upgrading from 2.x to 3.x"
        case .leaderAssigned(let version): version.hasSuffix("ROLLBACK") ? "3.x (with rollback)" : "3.x"
        }
    }
}
