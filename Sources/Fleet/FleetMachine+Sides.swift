import AWSWire
import Leases
import Machine

/// What a 3.x fleet keeps beside its leases, as last read.
struct SideTables: Sendable {
    enum Access: Hashable, Sendable {
        case notAsked
        case read
        /// There is no such table: 3.5 never makes it.
        case absent
        case denied
    }

    var coordinator = Access.notAsked
    var metrics = Access.notAsked
    /// Of the coordinator table, and when it was read.
    var leaderItem: Item?
    var leaderReadAt = Timestamp.zero
    /// Of the metrics table.
    var reports: [WorkerReport] = []
    /// By worker, of the metrics table and of the lease table.
    var paces: [String: ReportPace] = [:]
    var pacesOfLeaseTable: [String: ReportPace] = [:]
    /// What the last read of the metrics took.
    var metricsUnits = 0.0
    var beat: LeaderBeat?
}

extension FleetMachine {
    static let leaderKey = "Leader"
    static let tableMigrationKey = "TableMigration3.5"
    /// A third of the leader's heartbeat.
    static let leaderReadInterval: Duration = .seconds(10)
    /// Half of the reporters' interval.
    static let metricsReadInterval: Duration = .seconds(15)

    /// Starts the reads of the two side tables of 3.0 to 3.4, where such a fleet is.
    mutating func dueSideReads(at now: Timestamp) -> [Effect] {
        wantSides(at: now)
        var effects: [Effect] = []
        if schedule.nextLeaderRead <= now, schedule.underWay.insert(.leader).inserted {
            effects.append(.readLeader(table: configuration.identity.coordinatorTableName))
        }
        if schedule.nextMetricsRead <= now, schedule.underWay.insert(.metrics).inserted {
            effects.append(.readWorkerMetrics(table: configuration.identity.workerMetricsTableName))
        }
        return effects
    }

    private mutating func wantSides(at now: Timestamp) {
        guard scans > 0 else { return }
        // Workers that are held at 2.x elect without a lock.
        let electsWithLock = if case .takers? = mode { false } else { true }
        if !hasCoordinatorTable || !electsWithLock {
            schedule.nextLeaderRead = .never
        } else if schedule.nextLeaderRead == .never {
            schedule.nextLeaderRead = now
        }
        // Where the coordinator table may not be read, leases of 3.x without metrics in their own table tell enough.
        // Between a scan and the next picture the generation is not known, and the last answer stands.
        if migrationAccess == .denied, mode == nil, surveyed == nil { return }
        if !hasMetricsTable {
            schedule.nextMetricsRead = .never
        } else if schedule.nextMetricsRead == .never {
            schedule.nextMetricsRead = now
        }
    }

    var hasCoordinatorTable: Bool {
        legacyMigrationItem != nil
            || rows[Self.tableMigrationKey]?.stored["tm"]?.string == "TABLE_MIGRATION_STATUS_PENDING"
    }

    private var hasMetricsTable: Bool {
        switch mode {
        case .leaderAssigned?, .upgrading?: hasCoordinatorTable
        case .takers?: false
        case nil: migrationAccess == .denied && surveyed?.generation == .v3 && rows[Self.leaderKey] == nil
        }
    }

    /// Whether a first answer is still to come.
    var awaitsSides: Bool {
        schedule.nextLeaderRead != .never && sides.coordinator == .notAsked
            || schedule.nextMetricsRead != .never && sides.metrics == .notAsked
    }

    mutating func leaderRead(_ item: Item?, _ info: CallInfo, at now: Timestamp) {
        clock.note(info, at: now)
        meter.note(info, at: now)
        sides.coordinator = .read
        sides.leaderItem = item
        sides.leaderReadAt = now
        schedule.underWay.remove(.leader)
        schedule.nextLeaderRead = now + Self.leaderReadInterval
        schedule.isDirty = true
        succeeded(.leader)
        updateLeader(at: now)
    }

    /// - Parameter items: `nil` where there is no such table.
    mutating func workerMetricsRead(_ items: [Item]?, _ info: CallInfo, at now: Timestamp) {
        clock.note(info, at: now)
        meter.note(info, at: now)
        sides.metrics = items == nil ? .absent : .read
        sides.reports = (items ?? []).compactMap { WorkerReport($0, keyName: WorkerReport.sideKey) }
        sides.metricsUnits = info.readUnits ?? 0
        sides.paces.note(
            sides.reports.compactMap { report in report.reportedAt.map { (report.workerID, $0) } }, at: now)
        schedule.underWay.remove(.metrics)
        // A table that is not there appears when the first worker makes it.
        schedule.nextMetricsRead = now + (items == nil ? .seconds(60) : metricsInterval)
        schedule.isDirty = true
        succeeded(.metrics)
    }

    /// Slower where it takes more than a fifth of what reading may take.
    var metricsInterval: Duration {
        let share = readUnitsPerSecondLimit / 5
        guard share.isFinite, share > 0 else { return Self.metricsReadInterval }
        return min(.seconds(300), max(Self.metricsReadInterval, .seconds(sides.metricsUnits / share)))
    }

    // MARK: - The picture

    /// The newest report of each worker, of either table.
    func workerReports(_ others: [OtherRow], at time: UnixTime) -> [String: WorkerReport] {
        var reports: [String: WorkerReport] = [:]
        let ofLeaseTable = others.lazy.filter { $0.entityType == "WORKER_METRIC_STATS" }
            .compactMap { WorkerReport($0.stored, keyName: LeaseTable.hashKey) }
        for report in sides.reports + ofLeaseTable {
            if let known = reports[report.workerID]?.reportedAt, known >= (report.reportedAt ?? known) { continue }
            reports[report.workerID] = report.aged(at: time)
        }
        return reports
    }

    var migrationView: MigrationView? { MigrationView(legacyMigrationItem ?? rows[FleetMode.migrationKey]?.stored) }

    /// `nil` where no row tells.
    func layout(_ others: [OtherRow]) -> TableLayout? {
        if hasCoordinatorTable { return .sideTables }
        let isSingle = others.contains { $0.entityType.map { Self.singleTableTypes.contains($0) } ?? false }
        return isSingle ? .single : nil
    }

    private static let singleTableTypes: Set<String> = [
        "LEADER", "WORKER_METRIC_STATS", "CLIENT_VERSION_MIGRATION", "TABLE_MIGRATION",
    ]

    func assignment(_ reports: [String: WorkerReport]) -> LeaseAssignment? {
        switch mode {
        case nil: return nil
        case .takers?, .upgrading?: return .takers
        case .leaderAssigned?:
            let fresh = reports.values.filter(\.isFresh)
            return .leader(
                metrics: WorkerReport.Metric.allCases.filter { metric in fresh.contains { $0.ranges[metric] != nil } })
        }
    }
}

extension FleetIdentity {
    /// The table of 3.0 to 3.4 that holds the coordinator's items.
    package var coordinatorTableName: String {
        coordinatorTable ?? FleetMode.coordinatorTable(application: application)
    }

    /// The table of 3.0 to 3.4 that holds the workers' metrics.
    package var workerMetricsTableName: String {
        workerMetricsTable ?? FleetMode.workerMetricsTable(application: application)
    }
}
