package import KinesisConsumer
package import Leases
package import Machine

/// A worker as its supervisor sees it: whether it lives, whether it is ready, and its numbers. Fed with what the worker
/// says; reads no clock.
package struct ServiceStatus: Sendable {
    /// What a probe is answered.
    package struct Answer: Hashable, Sendable {
        package var isOK: Bool
        /// One line.
        package var text: String
    }

    enum Stage: Hashable, Sendable {
        case starting, running, stopping
        case stopped(String?)
    }

    struct Shard: Sendable {
        var isHeld = true
        var hasEnded = false
        var records = 0
        var bytes = 0
        var skipped = 0
        var failures = 0
        var checkpoints = 0
        var throttles = 0
        var millisBehindLatest: Int64?
        /// Of the last checkpoint, else of the take.
        var checkpointedAt: Timestamp
        /// Why nothing more of it is processed until somebody looks.
        var stopped: String?
        var leftAt: Timestamp?

        init(at now: Timestamp) { checkpointedAt = now }
    }

    /// A start may wait ten minutes for a table, and for throttled calls besides.
    static let startMax: Duration = .seconds(900)
    /// For so long the last numbers of a shard that is gone can still be scraped.
    static let shardMemory: Duration = .seconds(300)

    let version: String
    let application: String
    let stream: String
    let workerID: String
    /// The worker's loop says something at least every few seconds; a longer silence means that it hangs.
    let silenceMax: Duration
    private(set) var stage = Stage.starting
    private(set) var shards: [String: Shard] = [:]
    private(set) var startedAt: Timestamp
    private var lastSign: Timestamp
    private(set) var zombies = 0
    private(set) var terminates = 0
    private(set) var taken = 0
    private(set) var renewals = 0
    private(set) var failedRenewals = 0
    private(set) var throttles = 0

    package init(
        version: String, application: String, stream: String, workerID: String, failoverTime: Duration,
        at now: Timestamp
    ) {
        self.version = version
        self.application = application
        self.stream = stream
        self.workerID = workerID
        silenceMax = max(failoverTime * 3, .seconds(30))
        startedAt = now
        lastSign = now
    }

    var held: Int { shards.values.count { $0.isHeld } }

    // MARK: What the worker says

    package mutating func note(_ event: WorkerEvent, at now: Timestamp) {
        guard event.source == .engine else { return }
        lastSign = now
        switch event.kind {
        case .workerStarted: if stage == .starting { stage = .running }
        case .workerStopped: stage = .stopped(event.message)
        case .throttled where event.shardID == nil: throttles += 1
        default: break
        }
        guard let shardID = event.shardID, concernsShard(event) else { return }
        if event.kind == .leaseTaken || event.kind == .leaseStolen { forgetOld(now) }
        var shard = shards[shardID] ?? Shard(at: now)
        note(event, &shard, now)
        shards[shardID] = shard
    }

    /// Whether it is about a shard that is held here, or was: leases of others are deleted here too.
    private func concernsShard(_ event: WorkerEvent) -> Bool {
        switch event.kind {
        case .leaseTaken, .leaseStolen: true
        case .leaseReleased, .leaseDeleted, .leaseLost, .recordsProcessed, .recordsSkipped, .checkpointed, .shardEnded,
            .processorFailed, .throttled:
            shards[event.shardID ?? ""] != nil
        default: false
        }
    }

    private mutating func note(_ event: WorkerEvent, _ shard: inout Shard, _ now: Timestamp) {
        switch event.kind {
        case .leaseTaken, .leaseStolen:
            taken += 1
            shard.isHeld = true
            shard.hasEnded = false
            shard.stopped = nil
            shard.leftAt = nil
            shard.checkpointedAt = now
        case .leaseLost:
            zombies += 1
            leave(&shard, now)
        case .leaseReleased, .leaseDeleted: leave(&shard, now)
        case .recordsProcessed:
            shard.records += event.records ?? 0
            shard.bytes += event.bytes ?? 0
            if shard.isHeld { shard.millisBehindLatest = event.millisBehindLatest ?? shard.millisBehindLatest }
        case .recordsSkipped: shard.skipped += event.records ?? 0
        case .checkpointed:
            shard.checkpoints += 1
            shard.checkpointedAt = now
        case .shardEnded:
            terminates += 1
            shard.hasEnded = true
            shard.millisBehindLatest = nil
            shard.stopped = nil
        case .processorFailed:
            shard.failures += 1
            if event.isStopped { shard.stopped = event.message ?? "the processor failed" }
        case .throttled: shard.throttles += 1
        default: break
        }
    }

    private func leave(_ shard: inout Shard, _ now: Timestamp) {
        shard.isHeld = false
        shard.millisBehindLatest = nil
        shard.stopped = nil
        shard.leftAt = now
    }

    private mutating func forgetOld(_ now: Timestamp) {
        for (key, shard) in shards {
            if let leftAt = shard.leftAt, now - leftAt > Self.shardMemory { shards[key] = nil }
        }
    }

    package mutating func note(_ measure: WorkerMeasure, at now: Timestamp) {
        lastSign = now
        guard case .renewLease = measure.operation else { return }
        if measure.isSuccess { renewals += 1 } else { failedRenewals += 1 }
    }

    /// The process was told to end; it is alive, but not ready.
    package mutating func shutdownRequested() {
        if case .stopped = stage { return }
        stage = .stopping
    }

    // MARK: What is asked

    /// Whether the worker's loop lives. Only what a restart mends is not healthy: an outage of AWS is, a stopped shard
    /// too.
    package func health(at now: Timestamp) -> Answer {
        let silence = now - lastSign
        let seconds = silence.wholeMilliseconds / 1000
        switch stage {
        case .starting where now - startedAt > Self.startMax:
            return Answer(isOK: false, text: "not started after \(Self.startMax.wholeMilliseconds / 1000) s")
        case .starting: return Answer(isOK: true, text: "starting")
        case .running, .stopping:
            if silence > silenceMax { return Answer(isOK: false, text: "no sign of the worker for \(seconds) s") }
            return Answer(isOK: true, text: stage == .running ? "ok" : "shutting down")
        case .stopped(let reason):
            return Answer(isOK: false, text: reason.map { "stopped: \(oneLine($0))" } ?? "stopped")
        }
    }

    /// Whether the worker runs and every shard that it holds is processed.
    package func readiness(at now: Timestamp) -> Answer {
        let health = health(at: now)
        guard health.isOK, stage == .running else { return Answer(isOK: false, text: health.text) }
        let stopped = shards.filter { $0.value.stopped != nil }.sorted { $0.key < $1.key }
        guard let first = stopped.first else {
            return Answer(isOK: true, text: "ready, \(held) leases")
        }
        let others = stopped.count > 1 ? " (and \(stopped.count - 1) more)" : ""
        return Answer(isOK: false, text: "\(first.key) is stopped\(others): \(oneLine(first.value.stopped ?? ""))")
    }

    private func oneLine(_ text: String) -> String {
        let scalars = text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : Character($0) }
        return String(String(scalars).prefix(300))
    }
}
