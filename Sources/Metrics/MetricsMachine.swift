package import AWSWire
package import KinesisConsumer
package import Leases
package import Machine

/// Sums up what a worker does under KCL's names, and decides when it is published (kcl.md §9).
///
/// One put is on its way at a time; what it carries is dropped where it fails, as KCL does. Nothing here can hold up
/// the worker.
package struct MetricsMachine: Machine, Sendable {
    package enum Event: Hashable, Sendable {
        case happened(WorkerEvent)
        case measured(WorkerMeasure)
        case woke(Timestamp)
        /// The put came back; the message is of its failure.
        case published(failure: String?)
        /// The worker has ended: what is gathered is published, and that is all.
        case shutdownRequested
    }

    package enum Effect: Hashable, Sendable {
        case wake(Timestamp)
        /// At most `CloudWatchClient.dataMax`.
        case publish([MetricDatum])
        /// One line for people.
        case say(String)
    }

    /// How long a worker that ended waits for its last puts.
    static let shutdownGrace: Duration = .seconds(5)

    let settings: MetricsSettings
    private var gathered = GatheredMetrics()
    private var waiting: [MetricDatum] = []
    /// Data in the put on its way; `nil` while there is none.
    private var inFlight: Int?
    private var isFailing = false
    private var isFull = false
    /// Data that were not published: of puts that failed, and for which there was no room.
    package private(set) var dropped = 0
    private var droppedInOutage = 0
    private var flushAt = Timestamp.never
    private var shutdownDeadline = Timestamp.never
    private var wakeAt = Timestamp.never
    package private(set) var isFinished = false

    // What KCL says in rounds and the worker one by one.
    private var held: Set<String> = []
    private var round = Round()
    private var nextRound = Timestamp.never
    private var taken = 0
    private var untaken = 0

    private struct Round {
        var lost = 0
        var longest = Duration.zero
        var hasFailed = false
    }

    package init(_ settings: MetricsSettings) { self.settings = settings }

    package mutating func handle(_ event: Event, at now: Timestamp) -> [Effect] {
        if isFinished { return [] }
        var effects: [Effect] = []
        switch event {
        case .happened(let event): happened(event, now)
        case .measured(let measure):
            measured(measure)
            renewAllIfDue(measure.at, now)
        case .woke(let deadline):
            if wakeAt <= deadline { wakeAt = .never }
        case .published(let failure): effects += published(failure)
        case .shutdownRequested:
            if shutdownDeadline == .never { shutdownDeadline = now + Self.shutdownGrace }
            flushAt = now
        }
        return effects + advance(now)
    }

    private mutating func advance(_ now: Timestamp) -> [Effect] {
        if flushAt == .never, !gathered.isEmpty { flushAt = now + settings.bufferTime }
        var effects: [Effect] = []
        if now >= flushAt {
            flushAt = .never
            waiting += gathered.drain(settings)
        }
        if inFlight == nil, !waiting.isEmpty {
            let batch = Array(waiting.prefix(CloudWatchClient.dataMax))
            waiting.removeFirst(batch.count)
            inFlight = batch.count
            effects.append(.publish(batch))
        }
        effects += sayIfFull()
        isFinished = shutdownDeadline != .never && (inFlight == nil || now >= shutdownDeadline)
        if isFinished { return effects }
        let deadline = min(flushAt, shutdownDeadline)
        if deadline < wakeAt {
            wakeAt = deadline
            effects.append(.wake(deadline))
        }
        return effects
    }

    private mutating func published(_ failure: String?) -> [Effect] {
        guard let count = inFlight else { return [] }
        inFlight = nil
        guard let failure else {
            defer {
                isFailing = false
                droppedInOutage = 0
            }
            guard isFailing else { return [] }
            return [.say("metrics are published to CloudWatch again; \(droppedInOutage) data were dropped")]
        }
        dropped += count
        droppedInOutage += count
        defer { isFailing = true }
        return isFailing
            ? [] : [.say("metrics cannot be published to CloudWatch and are dropped, the worker goes on: \(failure)")]
    }

    private mutating func sayIfFull() -> [Effect] {
        guard gathered.refused > 0 else {
            if waiting.isEmpty { isFull = false }
            return []
        }
        dropped += gathered.refused
        gathered.refused = 0
        defer { isFull = true }
        return isFull
            ? [] : [.say("more than metricsMaxQueueSize = \(settings.queueMax) metrics wait; some are dropped")]
    }

    // MARK: Events

    private mutating func happened(_ event: WorkerEvent, _ now: Timestamp) {
        switch event.kind {
        case .workerStarted: nextRound = now + settings.renewInterval
        case .leaseTaken, .leaseStolen:
            if let shard = event.shardID { held.insert(shard) }
        case .leaseReleased, .leaseDeleted:
            if let shard = event.shardID { held.remove(shard) }
        case .leaseLost:
            if let shard = event.shardID, held.remove(shard) != nil { round.lost += 1 }
        case .workerStopped: nextRound = .never
        default: break
        }
        renewAllIfDue(event.at, now)
    }

    /// KCL renews all leases in one round, we each by itself: the renewals of an interval count as one.
    private mutating func renewAllIfDue(_ at: UnixTime, _ now: Timestamp) {
        guard now >= nextRound else { return }
        nextRound = now + settings.renewInterval
        record(
            Scope("RenewAllLeases", hasWorker: true), at,
            [
                Sample("LostLeases", Double(round.lost)), Sample("CurrentLeases", Double(held.count)),
                .success(!round.hasFailed), .time(round.longest),
            ])
        round = Round()
    }

    // MARK: Measures

    private mutating func measured(_ measure: WorkerMeasure) {
        let at = measure.at
        let process = Scope("ProcessTask", shardID: measure.shardID)
        switch measure.operation {
        case .initialize:
            record(Scope("Scheduler:Initialize"), at, [.success(measure.isSuccess, of: "Initialize")])
        case .getShardIterator: record(process, at, measure.outcome("KinesisDataFetcher.getShardIterator"))
        case .getRecords: record(process, at, measure.outcome("KinesisDataFetcher.getRecords"))
        // KCL has no metric for it.
        case .subscribeToShard: break
        // Without the shard, as KCL has it.
        case .expireIterator: record(Scope("ProcessTask"), at, [Sample("ExpiredIterator", 1)])
        case .process(let records, let bytes, let behind, let isDelivered):
            processed(measure, records, bytes, behind, isDelivered: isDelivered)
        case .initializeProcessor:
            record(Scope("InitializeTask"), at, [.time(measure.duration, of: "RecordProcessor.initialize")])
        case .shutDownProcessor:
            record(Scope("ShutdownTask"), at, [.time(measure.duration, of: "RecordProcessor.shutdown")])
        case .renewLease:
            round.longest = max(round.longest, measure.duration)
            if !measure.isSuccess { round.hasFailed = true }
            record(Scope("RenewAllLeases", hasWorker: true), at, measure.outcome("RenewLease"))
        case .updateLease(let isEnd):
            let scope = isEnd ? Scope("ShutdownTask", shardID: measure.shardID) : process
            record(scope, at, measure.outcome("UpdateLease"))
        case .listLeases: record(Scope("TakeLeases", hasWorker: true), at, measure.outcome("ListLeases"))
        case .takeLease(let isTaken):
            if isTaken { taken += 1 } else { untaken += 1 }
            record(Scope("TakeLeases", hasWorker: true), at, measure.outcome("TakeLease"))
        case .takeLeases(let taking): tookLeases(taking, measure)
        case .createLease(let checkpoint, let isChild):
            let scope = Scope(isChild ? "ShutdownTask" : "ShardSyncTask")
            let start = checkpoint.isSentinel ? checkpoint.text : "SEQUENCE_NUMBER"
            record(
                scope, at,
                measure.outcome("CreateLease") + [.success(true, of: "CreateLease_\(start)", .detailed)])
        case .listShards:
            record(
                Scope("ShardSyncTask"), at,
                [
                    .success(measure.isSuccess, of: "SyncShards", .detailed), .success(measure.isSuccess),
                    .time(measure.duration),
                ])
        case .audit(let hasHoles, let wantsSync): audited(measure, hasHoles: hasHoles, wantsSync: wantsSync)
        case .auditByAnother:
            record(Scope("LeaderDecider"), at, [Sample("LeaderDecider:IsLeader", 0, .detailed)])
        }
    }

    private mutating func processed(
        _ measure: WorkerMeasure, _ records: Int, _ bytes: Int, _ behind: Int64?, isDelivered: Bool
    ) {
        let scope = Scope("ProcessTask", shardID: measure.shardID)
        // KCL begins each task with a zero.
        var samples = [Sample("RecordsProcessed", 0), Sample("DataBytesProcessed", 0, unit: .bytes)]
        if let behind {
            let lag = Sample("MillisBehindLatest", Double(behind), unit: .milliseconds)
            samples.append(lag)
            record(Scope("ApplicationTracker"), measure.at, [lag])
        }
        if records > 0 {
            samples += [
                Sample("RecordsProcessed", Double(records)),
                Sample("DataBytesProcessed", Double(bytes), unit: .bytes),
            ]
        }
        if isDelivered { samples.append(.time(measure.duration, of: "RecordProcessor.processRecords")) }
        record(scope, measure.at, samples + [.success(measure.isSuccess), .time(measure.duration)])
    }

    private mutating func tookLeases(_ taking: WorkerMeasure.Taking?, _ measure: WorkerMeasure) {
        var samples: [Sample] = []
        if let taking {
            samples = [
                Sample("ExpiredLeases", Double(taking.available)), Sample("LeaseSpillover", Double(taking.spillover)),
                Sample("LeasesToTake", Double(taking.toTake), .detailed),
                Sample("NeededLeases", Double(taking.needed), .detailed),
                Sample("NumWorkers", Double(taking.workers)), Sample("TotalLeases", Double(taking.leases), .detailed),
                Sample("VeryOldLeases", Double(taking.veryOld)),
                // Those since the look before this one.
                Sample("TakenLeases", Double(taken)), Sample("UntakenLeases", Double(untaken)),
            ]
            (taken, untaken) = (0, 0)
        }
        record(
            Scope("TakeLeases", hasWorker: true), measure.at,
            samples + [.success(measure.isSuccess), .time(measure.duration)])
    }

    private mutating func audited(_ measure: WorkerMeasure, hasHoles: Bool, wantsSync: Bool) {
        record(Scope("LeaderDecider"), measure.at, [Sample("LeaderDecider:IsLeader", 1, .detailed)])
        record(
            Scope("PeriodicShardSyncManager"), measure.at,
            [
                Sample("NumStreamsWithPartialLeases", hasHoles ? 1 : 0),
                Sample("NumStreamsToSync", wantsSync ? 1 : 0), Sample("NumSkippedShardSyncTask", 0),
                .success(true), .time(measure.duration),
            ])
    }

    private mutating func record(_ scope: Scope, _ at: UnixTime, _ samples: [Sample]) {
        let key = settings.key(of: scope)
        let room = settings.queueMax - waiting.count
        for sample in samples where sample.level <= settings.level {
            gathered.add(sample, key, at, room: room)
        }
    }
}
