import AWSWire
import DequeModule
import Leases
import Machine

/// Why a tenure ends; a higher rank replaces a lower one, never the reverse (kcl.md §4.2).
enum ShutdownReason: Int, Comparable, Sendable {
    case requested = 1
    case shardEnd
    case leaseLost

    static func < (a: ShutdownReason, b: ShutdownReason) -> Bool { a.rawValue < b.rawValue }
}

/// One tenure of one shard: from the take of its lease to the last callback of its processor (kcl.md §4.3).
///
/// ```
/// waitingOnParentShards → initializing → processing → shuttingDown → shutdownComplete
///                                          ↓               ↑
///                                          shutdownRequested
/// ```
/// Every state goes to `shuttingDown` when the lease is lost. It decides what is fetched, handed over, checkpointed and
/// called; it does not decide who holds the lease, and it holds no records, only their counts.
struct ShardMachine: Sendable {
    enum State: Hashable, Sendable {
        case waitingOnParentShards
        case initializing
        case processing
        /// The callback was sent or has returned; nothing more is delivered.
        case shutdownRequested(isAnswered: Bool)
        case shuttingDown(ShutdownReason)
        case shutdownComplete
    }

    enum Call: Hashable, Sendable {
        case initialize(Checkpoint, PendingCheckpoint?)
        case processRecords(batch: Int)
        case leaseLost
        case shardEnded
        case shutdownRequested
    }

    enum Event: Hashable, Sendable {
        case begun
        case parentsChecked(unfinished: [String])
        case parentCheckFailed
        /// With the service's time from before the answer, where it was asked for LATEST.
        case iteratorGot(String, latestAt: UnixTime?)
        case retrievalFailed(AWSError.Meaning, String)
        case fetched(FetchedBatch)
        /// With the service's time from before the answer, where the start is LATEST.
        case subscribed(Int, latestAt: UnixTime?)
        case pulled(Int, FetchedBatch)
        /// By the service, without an error.
        case subscriptionEnded(Int)
        case subscriptionFailed(Int, AWSError.Meaning, String)
        /// The service knows the shard, but not our consumer.
        case consumerMissing(Int, String)
        case childrenFound(closed: Bool, [ChildShard])
        case childrenCreated
        case childrenNotCreated(String)
        /// A processor's call came back; the message is of what it threw.
        case returned(Call, failure: String?)
        /// A processor's call came back with `RestartFromCheckpoint`.
        case abandoned(Call, String)
        /// The hand-over came too late: the lease may be somebody else's.
        case notHandedOver(batch: Int)
        case checkpointRequested(Int, CheckpointRequest)
        case written(HeldLease.Write, CheckpointError?)
        case leaseLost(String)
        case shutdownAsked(deadline: Timestamp)
    }

    enum Effect: Hashable, Sendable {
        case checkParents([String])
        /// The shell hands over only before `fence`.
        case call(Call, fence: Timestamp)
        case getIterator(ShardPosition)
        /// Records at or below `dropThrough` were done before; aggregates reach beyond `range` only after a reshard.
        case fetch(iterator: String, limit: Int = 10_000, dropThrough: Checkpoint?, range: HashKeyRange?)
        /// The shell sends it only before `fence`.
        case subscribe(Int, at: ShardPosition, fence: Timestamp)
        /// The next event of a subscription.
        case pull(Int, dropThrough: Checkpoint?, range: HashKeyRange?)
        case unsubscribe(Int)
        case discard([Int])
        /// The processor is let go; the next call makes a new one.
        case dropProcessor
        case findChildren
        case createChildren([ChildShard])
        case answer(Int, CheckpointAnswer)
        case write(HeldLease.Write)
        /// The processor is done with the shard: the lease may go.
        case giveUp
        case emit(WorkerEvent)
    }

    let shardID: String
    let tenure: Int
    let lease: Lease
    let configuration: WorkerConfiguration
    var state = State.waitingOnParentShards
    var retrieval: Retrieval
    var checkpoints: Checkpoints
    /// The processor's call in progress; there is never more than one.
    var call: Call?
    var processing: FetchedBatch? {
        didSet { retrieval.processingBytes = processing?.arenaBytes }
    }
    var isInitialized = false
    var isStopped = false
    var shutdownDeadline: Timestamp?
    /// Until when a stopping worker waits for a call that outlasts the grace: a checkpoint that hangs is answered when
    /// the grace ends, and whoever waited for it still hears that its lease is lost (kcl.md §4.5).
    var lastWordDeadline: Timestamp { shutdownDeadline.map { $0 + .seconds(2) } ?? .never }
    var isLost = false
    var notBefore = Timestamp.zero
    var attempts = 0
    /// Processors let go since the last checkpoint.
    var restarts = 0
    private var isChecking = false
    var end = EndProgress.none
    /// A step of the end is with the shell.
    var isAwaitingEnd = false
    private(set) var skippedRecords = 0

    /// How far the end of the shard has come.
    enum EndProgress: Hashable, Sendable {
        case none, findingChildren
        case creating([ChildShard])
        case notingChildren([ChildShard])
        case callable([ChildShard])
    }

    init(_ lease: Lease, tenure: Int, start: ShardPosition, configuration: WorkerConfiguration) {
        self.lease = lease
        self.tenure = tenure
        self.configuration = configuration
        shardID = lease.shardID
        retrieval = Retrieval(lease: lease, start: start, configuration: configuration)
        checkpoints = Checkpoints(start: lease.checkpoint, pending: lease.pendingCheckpoint)
    }

    var isComplete: Bool { state == .shutdownComplete }
    /// Ended properly: its lease is SHARD_END and is renewed until it can be cleaned up.
    var hasEnded = false

    mutating func handle(_ event: Event, at now: Timestamp) -> [Effect] {
        switch event {
        case .begun: return []
        case .parentsChecked(let unfinished): return parentsChecked(unfinished, now)
        case .parentCheckFailed:
            isChecking = false
            notBefore = now + configuration.taskBackoffTime
            return []
        case .iteratorGot(let iterator, let latestAt):
            retrieval.iteratorGot(iterator, latestAt: latestAt, now)
            return []
        case .retrievalFailed(let meaning, let message):
            return retrieval.failed(meaning, message, shardID: shardID, now)
        case .fetched(let batch): return fetched(batch, now)
        case .subscribed, .pulled, .subscriptionEnded, .subscriptionFailed, .consumerMissing:
            return subscription(event, now)
        case .childrenFound(let closed, let children): return childrenFound(closed: closed, children, now)
        case .childrenCreated:
            isAwaitingEnd = false
            guard case .creating(let children) = end else { return [] }
            attempts = 0
            if children.isEmpty || lease.childShardIDs == children.map(\.shardID).sorted() {
                end = .callable(children)
                return []
            }
            end = .notingChildren(children)
            return [.write(.setChildren(children.map(\.shardID)))]
        case .childrenNotCreated(let message): return retryEnd(message, now)
        case .returned(let call, let failure): return returned(call, failure, now)
        case .abandoned(let call, let message): return abandoned(call, message, now)
        case .notHandedOver(let batch):
            guard call == .processRecords(batch: batch), let processing else { return [] }
            call = nil
            self.processing = nil
            checkpoints.takeBack()
            retrieval.putBack(processing)
            return []
        case .checkpointRequested(let id, let request):
            checkpoints.requests.append((id, request))
            return []
        case .written(let write, let error): return written(write, error)
        case .leaseLost(let reason): return lost(reason)
        case .shutdownAsked(let deadline):
            shutdownDeadline = min(shutdownDeadline ?? .never, deadline)
            return []
        }
    }

    // MARK: What is due

    /// Starts everything that can start now. `deliverUntil` is the lease's delivery fence, `fence` its end.
    mutating func advance(_ now: Timestamp, deliverUntil: Timestamp, fence: Timestamp) -> [Effect] {
        var effects = advanceCheckpoints() + stopReadingIfUnwanted()
        if let shutdownDeadline, now >= shutdownDeadline, !isLost, !isComplete, !hasEnded {
            // The processor had its time; the lease goes without its consent, and is not handed on while it may run.
            return effects + lost("shutdown grace of \(configuration.shutdownGrace.wholeMilliseconds) ms is over")
                + [.giveUp]
        }
        // Back-off is for what is tried again; the last calls do not wait for it.
        guard call == nil, now >= notBefore || isLost || shutdownDeadline != nil else {
            return effects + fetchIfDue(now, deliverUntil, fence)
        }
        if isLost { return effects + advanceLost() }
        if shutdownDeadline != nil, !hasEnded { return effects + advanceShutdown(fence) }
        switch state {
        case .waitingOnParentShards:
            guard !isChecking else { break }
            if lease.parentShardIDs.isEmpty || lease.isEnded {
                effects += initialize(fence)
            } else {
                isChecking = true
                effects.append(.checkParents(lease.parentShardIDs))
            }
        case .initializing: effects += initialize(fence)
        case .processing: effects += process(now, deliverUntil, fence)
        case .shutdownRequested, .shuttingDown, .shutdownComplete: break
        }
        return effects + fetchIfDue(now, deliverUntil, fence)
    }

    private mutating func parentsChecked(_ unfinished: [String], _ now: Timestamp) -> [Effect] {
        isChecking = false
        guard state == .waitingOnParentShards else { return [] }
        if unfinished.isEmpty {
            state = .initializing
        } else {
            notBefore = now + configuration.parentShardPollInterval
        }
        return []
    }

    /// A parent ended: look again now instead of at the next poll.
    mutating func parentMayHaveEnded() {
        if state == .waitingOnParentShards { notBefore = .zero }
    }

    private mutating func initialize(_ fence: Timestamp) -> [Effect] {
        if isStopped { return [] }
        if lease.isEnded {
            // Nothing to process and nothing to say: the lease waits for its cleanup (kcl.md §4.3).
            state = .shutdownComplete
            hasEnded = true
            return []
        }
        state = .initializing
        let initialize = Call.initialize(checkpoints.committed, checkpoints.pending)
        call = initialize
        return [.call(initialize, fence: fence)]
    }

    private mutating func process(_ now: Timestamp, _ deliverUntil: Timestamp, _ fence: Timestamp) -> [Effect] {
        if isStopped { return [] }
        if now < deliverUntil, let batch = retrieval.next() {
            processing = batch
            call = .processRecords(batch: batch.id)
            checkpoints.deliver(through: batch.last)
            return [.call(.processRecords(batch: batch.id), fence: fence)]
        }
        guard retrieval.isDrained, checkpoints.areSettled else { return [] }
        return advanceEnd(fence)
    }

    private mutating func returned(_ returned: Call, _ failure: String?, _ now: Timestamp) -> [Effect] {
        guard call == returned else { return [] }
        call = nil
        switch returned {
        case .initialize:
            if let failure {
                attempts += 1
                notBefore = now + backOff
                return [processorFailed("initialize", failure)]
            }
            attempts = 0
            isInitialized = true
            if !isLost { state = .processing }
            return [.emit(WorkerEvent(.initialized, at: .zero, shardID: shardID, checkpoint: checkpoints.committed))]
        case .processRecords: return batchReturned(failure, now)
        case .leaseLost:
            state = .shutdownComplete
            return isLost ? [] : [.giveUp]
        case .shutdownRequested:
            // The lease may have been lost meanwhile: then leaseLost is what is left to say.
            if !isLost { state = .shutdownRequested(isAnswered: true) }
            return failure.map { [processorFailed("shutdownRequested", $0)] } ?? []
        case .shardEnded:
            if checkpoints.committed.position == .shardEnd {
                return (failure.map { [processorFailed("shardEnded", $0)] } ?? []) + ended()
            }
            attempts += 1
            notBefore = now + backOff
            // A shutdown may come before the next try: what is checkpointed then is no end of the shard.
            checkpoints.isAtShardEnd = false
            return [
                processorFailed(
                    "shardEnded", failure ?? "the application did not checkpoint at the end of the shard; it must")
            ]
        }
    }

    var backOff: Duration { configuration.taskBackoffTime * (1 << min(max(attempts - 1, 0), 6)) }

    private mutating func batchReturned(_ failure: String?, _ now: Timestamp) -> [Effect] {
        guard let batch = processing else { return [] }
        processing = nil
        guard let failure else {
            attempts = 0
            return [.discard([batch.id]), .emit(processed(batch, now))]
        }
        let name = "processRecords"
        switch configuration.onProcessorFailure {
        case .skip:
            skippedRecords += batch.records
            var skipped = processed(batch, now)
            skipped.kind = .recordsSkipped
            skipped.message = failure
            return [.discard([batch.id]), processorFailed(name, failure), .emit(skipped)]
        case .retry:
            checkpoints.takeBack()
            retrieval.putBack(batch)
            attempts += 1
            notBefore = now + backOff
            return [processorFailed(name, failure)]
        case .stopShard:
            checkpoints.takeBack()
            isStopped = true
            return [.discard([batch.id] + retrieval.discardAll()), processorFailed(name, failure)]
        }
    }

    private func processed(_ batch: FetchedBatch, _ now: Timestamp) -> WorkerEvent {
        WorkerEvent(
            .recordsProcessed, at: .zero, shardID: shardID, records: batch.records, bytes: batch.dataBytes,
            from: batch.first?.sequenceNumber, to: batch.last?.sequenceNumber, millisBehindLatest: lag(of: batch, now))
    }

    /// How far behind the tip the end of a delivered batch is. Where more waits, the tip went on since it was read.
    private func lag(of batch: FetchedBatch, _ now: Timestamp) -> Int64? {
        guard let behind = batch.millisBehindLatest, retrieval.hasWaiting else { return batch.millisBehindLatest }
        // The service's number may be anything.
        return min(behind, Int64.max / 2) + (now - batch.fetchedAt).wholeMilliseconds
    }

    func processorFailed(_ callback: String, _ message: String) -> Effect {
        let consequence =
            isStopped ? "; the shard is stopped, its lease is kept" : attempts > 1 ? " (attempt \(attempts))" : ""
        var event = WorkerEvent(
            .processorFailed, at: .zero, shardID: shardID, message: "\(callback): \(message)\(consequence)")
        event.isStopped = isStopped
        return .emit(event)
    }

    // MARK: Losing the lease, shutting down

    private mutating func lost(_ reason: String) -> [Effect] {
        guard !isLost, !isComplete || hasEnded else { return [] }
        isLost = true
        notBefore = .zero
        if hasEnded {
            state = .shutdownComplete
            return []
        }
        state = .shuttingDown(.leaseLost)
        return [
            .discard(retrieval.discardAll()),
            .emit(WorkerEvent(.leaseLost, at: .zero, shardID: shardID, message: reason)),
        ]
    }

    private mutating func advanceLost() -> [Effect] {
        guard state == .shuttingDown(.leaseLost) else { return [] }
        guard isInitialized else {
            state = .shutdownComplete
            return []
        }
        call = .leaseLost
        return [.call(.leaseLost, fence: .never)]
    }

    private mutating func advanceShutdown(_ fence: Timestamp) -> [Effect] {
        guard isInitialized else {
            if isComplete { return [] }
            state = .shutdownComplete
            return [.giveUp]
        }
        switch state {
        case .shutdownRequested(isAnswered: true):
            guard checkpoints.areSettled else { return [] }
            call = .leaseLost
            state = .shuttingDown(.requested)
            return [.call(.leaseLost, fence: .never)]
        case .shutdownRequested(isAnswered: false), .shuttingDown, .shutdownComplete: return []
        case .waitingOnParentShards, .initializing, .processing:
            state = .shutdownRequested(isAnswered: false)
            call = .shutdownRequested
            return [
                .discard(retrieval.discardAll()),
                .emit(WorkerEvent(.shutdownRequested, at: .zero, shardID: shardID)),
                .call(.shutdownRequested, fence: fence),
            ]
        }
    }

    // MARK: Checkpoints

    private mutating func advanceCheckpoints() -> [Effect] {
        let mayWrite = !isLost && !isComplete && state != .shuttingDown(.requested)
        return checkpoints.advance(mayWrite: mayWrite)
    }

    private mutating func written(_ write: HeldLease.Write, _ error: CheckpointError?) -> [Effect] {
        if case .setChildren = write {
            guard case .notingChildren(let children) = end, error == nil else { return [] }
            end = .callable(children)
            return []
        }
        if case .checkpoint = write, error == nil { restarts = 0 }
        return checkpoints.written(write, error, shardID: shardID)
    }
}

extension UnixTime {
    /// Events leave the machines undated; the shell dates them.
    static let zero = UnixTime(milliseconds: 0)
}
