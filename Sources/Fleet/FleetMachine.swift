import AWSWire
import DequeModule
import Leases
package import Machine

/// The observer: turns reads of the lease table and the stream, and what our own engine says, into snapshots.
///
/// It never writes. Expiry is judged on the monotonic clock by reads that really happened, so an outage of the table or
/// a sleeping laptop never makes an owner look dead.
package struct FleetMachine: Machine {
    package internal(set) var configuration: FleetConfiguration
    /// The moments of the next read of each kind, and what is under way.
    var schedule: Schedule
    var clock: ServiceClock
    let startedAt: Timestamp
    package internal(set) var isFinished = false

    // The table.
    var rows = RowTable()
    /// The places of lease rows by hash range and id; empty means that it must be made again.
    var order: [Int] = []
    /// What the last scan and list said of the whole; `nil` means that it must be found again.
    var surveyed: Survey?
    var liveness = Liveness()
    var pass: ScanPass?
    var scans = 0
    var lastScanAt: Timestamp?
    /// The rows that a person looks at, read also between two scans.
    var shown = ShownRows()
    var previousScanTime: UnixTime?
    var failover: FailoverTime
    var legacyMigrationItem: Item?
    /// Whether the coordinator table could be looked at; without it the mode is not known.
    var migrationAccess = MigrationAccess.notAsked
    var mode: FleetMode?
    /// The tables that 3.0 to 3.4 keep beside the lease table.
    var sides = SideTables()
    var provisionedReads: Int?
    var notALeaseTable: String?

    /// The streams that the keys name, where the table is of several.
    var streams = NamedStreams()

    // The stream.
    var shards: ShardTree?
    var isShardListDenied = false
    /// `shards`, but for a list that may not be read again: that one says ever less of the stream as it is.
    var currentShards: ShardTree? { isShardListDenied ? nil : shards }
    var shardsListedAt: Timestamp?
    var retention: Duration?
    /// Whether the stream is the table's; `nil` where none was given.
    var streamMatch: StreamMatch?
    /// When checkpoints first did not fit the stream's shards.
    var strangeSince: Timestamp?
    /// Shards whose checkpoint is of an earlier stream, sorted.
    var recreatedShards: [String] = []

    /// The measured lags of checkpoints.
    var probes: LagProbes
    var isProbeDenied = false
    /// What workers say of themselves to CloudWatch.
    var metricLags = MetricLags()

    // What our own engine and program say.
    var flows: [String: Flow] = [:]
    var ownWorkers: [String: OwnWorker] = [:]
    /// Shards that our own engine gave up processing while it keeps their leases, with its last word on them.
    var stoppedShards: [String: String] = [:]
    /// The child processes that read shards for our own workers.
    var children = Children()
    /// When a shard was last throttled, for the engine or for a producer.
    var throttledAt: [String: (at: Timestamp, message: String?)] = [:]

    // What is kept for people.
    var log: EventLog
    var outputGate = OutputGate()
    var lagHistory = History()
    var historyTicks: Int64 = 0
    /// Since when a shard takes nearly all that it may.
    var hotSince: [String: Timestamp] = [:]
    /// When workers were first seen; zero for those that were there when we came.
    var workersSince: [String: Timestamp] = [:]
    /// The rhythm of each worker's renewals.
    var paces: [String: Pace] = [:]
    var failures: [Failing: (failure: FleetFailure, since: UnixTime, count: Int)] = [:]
    var problemSince: [String: UnixTime] = [:]
    var holes = HoleWatch()
    var meter = CostMeter()
    var sequence = 0
    var recorder: Recorder?

    /// What may fail on its own.
    enum Failing: Hashable {
        case scan
        case shards
        case stream
        case table
        case migration
        case leader
        case metrics
        case probe
        case cloudWatch
        case rows
    }

    package init(_ configuration: FleetConfiguration, at now: Timestamp, wallClock: UnixTime) {
        self.configuration = configuration
        schedule = Schedule(
            at: now, hasStream: configuration.identity.stream != nil,
            readsCloudWatch: configuration.measures.contains(.cloudwatch))
        clock = ServiceClock(at: now, wallClock: wallClock)
        probes = LagProbes(at: now)
        startedAt = now
        streamMatch = configuration.identity.stream == nil ? nil : .unverified("nothing was read yet")
        failover = configuration.failoverTime.map { FailoverTime($0, .given) } ?? .assumed
        log = EventLog(capacity: configuration.eventsMax)
        lagHistory = History(interval: configuration.historyInterval, capacity: configuration.historyCapacity)
        if configuration.isRecording { recorder = Recorder(configuration) }
    }

    /// The first effects; call it once, before any event.
    package mutating func start(at now: Timestamp) -> [Effect] {
        var effects = recorder?.begin(at: now, wallClock: clock.time(at: now)) ?? []
        effects += due(at: now)
        return effects
    }

    package mutating func handle(_ event: Event, at now: Timestamp) -> [Effect] {
        guard !isFinished else { return [] }
        let event = shown.admitted(event)
        var effects = recorder?.record(event, at: now) ?? []
        switch event {
        case .woke: schedule.woke(at: now)
        case .scanned(let page, let info): effects += scanned(page, info, at: now)
        case .scanFailed(let error, let info): scanFailed(error, info, at: now)
        case .shardsListed(let shards, let info): listed(shards, info, at: now)
        case .shardListFailed(let error, let info): failed(.shards, error, info, at: now)
        case .streamDescribed(let summary, let info): described(summary, info, at: now)
        case .streamDescriptionFailed(let error, let info): failed(.stream, error, info, at: now)
        case .streamRead(let stream, let answer, let info): streamRead(stream, answer, info, at: now)
        case .tableDescribed(let table, let info): described(table, info, at: now)
        case .tableDescriptionFailed(let error, let info): failed(.table, error, info, at: now)
        case .migrationItemRead(let item, let info): migrationRead(item, info, at: now)
        case .migrationItemFailed(let error, let info): failed(.migration, error, info, at: now)
        case .leaderRead(let item, let info): leaderRead(item, info, at: now)
        case .leaderFailed(let error, let info): failed(.leader, error, info, at: now)
        case .workerMetricsRead(let items, let info): workerMetricsRead(items, info, at: now)
        case .workerMetricsFailed(let error, let info): failed(.metrics, error, info, at: now)
        case .rowsRead(let answer, let info): rowsRead(answer, info, at: now)
        case .rowsReadFailed(let error, let info): rowsReadFailed(error, info, at: now)
        case .probed(let probe, let answer, let info): probed(probe, answer, info, at: now)
        case .probeFailed(let probe, let error, let info): probeFailed(probe, error, info, at: now)
        case .metricLagsRead(let lags, let info): metricLagsRead(lags, info, at: now)
        case .metricLagsFailed(let error, let info): failed(.cloudWatch, error, info, at: now)
        case .happened(let event): happened(event, at: now)
        case .rowWritten(let item): rowWritten(item, at: now)
        case .ownWorkersChanged(let workers):
            ownWorkers = Dictionary(workers.map { ($0.workerID, $0) }, uniquingKeysWith: { $1 })
            schedule.isDirty = true
        case .childrenChanged(let views):
            children.told(views, at: now)
            schedule.isDirty = true
        case .writabilityChanged(let isWritable):
            configuration.identity.isWritable = isWritable
            schedule.isDirty = true
        case .refreshChanged(let rate):
            configuration.refresh = rate
            schedule.nextScan = min(schedule.nextScan, now + refreshInterval)
            schedule.isDirty = true
        case .rowsShown(let keys):
            shown.show(keys)
            if isScanCheaper, failures[.scan] == nil, let lastScanAt {
                schedule.nextScan = min(schedule.nextScan, max(now, lastScanAt + refreshInterval))
            }
        case .refreshRequested:
            schedule.nextScan = now
            schedule.nextShardList = min(schedule.nextShardList, now)
            wantFewStreams(at: now)
        case .stopRequested: isFinished = true
        }
        return effects + (isFinished ? [] : due(at: now))
    }

    /// Starts what is due, publishes if something changed, and asks to be woken for the rest.
    private mutating func due(at now: Timestamp) -> [Effect] {
        var effects: [Effect] = []
        if schedule.nextScan <= now, pass == nil, notALeaseTable == nil {
            pass = ScanPass(startedAt: now)
            effects.append(.scan(startingAfter: nil))
        }
        effects += schedule.dueReads(
            at: now, table: configuration.identity.table, stream: namesStreams ? nil : configuration.identity.stream,
            coordinatorTable: configuration.identity.coordinatorTableName)
        effects += dueShownRows(at: now)
        effects += dueStreamReads(at: now) + dueSideReads(at: now)
        effects += dueProbes(at: now) + dueMetricLags(at: now)
        sample(at: now)
        if log.settle(at: now) { schedule.isDirty = true }
        for event in outputGate.flush(at: now) {
            log.append(event, at: now)
            schedule.isDirty = true
        }
        if schedule.isDirty, schedule.nextPublish <= now {
            schedule.isDirty = false
            schedule.nextPublish = now + configuration.publishInterval
            effects.append(.publish(snapshot(at: now)))
        }
        if let wake = schedule.wake(
            at: now, isScanning: pass != nil || notALeaseTable != nil,
            heldUntil: [log.heldUntil, outputGate.flushAt, probes.wake, shownWake(at: now), streamWake(at: now)]
                .compactMap { $0 }.min())
        {
            effects.append(.wake(wake))
        }
        return effects
    }

    /// The time between two scans, as it is now.
    var refreshInterval: Duration {
        let given = configuration.readUnitsPerSecondMax
        if case .every(let duration) = configuration.refresh {
            return max(duration, .milliseconds(50), given.map { meter.timeOfScan(at: $0 * scanShare) } ?? .zero)
        }
        let limit = readUnitsPerSecondLimit
        let usual = isScanCheaper ? min(configuration.autoRefresh, ShownRows.interval) : configuration.autoRefresh
        let interval = max(usual, meter.timeOfScan(at: limit * scanShare))
        // Where reading costs nothing there is nothing to save.
        let idleness = limit.isFinite ? meter.idleness : 1
        return min(interval * max(meter.slowness, idleness), .seconds(300))
    }

    /// What reading may take.
    var readUnitsPerSecondLimit: Double {
        configuration.readUnitsPerSecondMax ?? provisionedReads.map { Double($0) * 0.05 }
            ?? FleetConfiguration.usualReadUnitsPerSecond
    }
}
