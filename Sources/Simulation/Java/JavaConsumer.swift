import AWSWire
import KinesisConsumer
import Leases
import Machine

/// `ShardConsumer`: one acquisition of a lease and its processor (kcl.md §4.2–4.3). The worker runs its tasks.
final class JavaConsumer {
    enum State: Hashable {
        case waitingOnParents, initializing, processing, shutdownRequested, shutdownRequestedWaiting, shuttingDown
        case complete
    }

    enum Outcome: Hashable {
        case successful, endOfShard, failure
    }

    /// A higher one replaces a lower one.
    enum Reason: Int, Comparable {
        case requested = 1
        case shardEnd
        case leaseLost

        static func < (a: Reason, b: Reason) -> Bool { a.rawValue < b.rawValue }
    }

    /// The lease as it was when it was acquired: key, token and parents are the consumer's identity.
    let lease: JavaLease
    /// Which of the consumers of one acquisition: a lease that was renewed too late, and still was, gets a second one.
    let id: Int
    let processor: any RecordProcessor
    let monitor = JavaMonitor()
    var checkpointer = JavaCheckpointer()
    var reader = JavaReader()
    private(set) var state = State.waitingOnParents
    private(set) var reason: Reason?
    var outcome: Outcome?
    var needsInitialization = true
    /// `stateChangeFuture` is not done.
    var isStepRunning = false
    /// What the last one answered.
    var isInitialized = false
    /// The subscription was cancelled: nothing more is handed over.
    var isCancelled = false
    /// Of the last batch.
    var childShards: [ChildShard] = []
    /// A worker that ends waits for this.
    var isNotified = false

    init(_ lease: JavaLease, id: Int, processor: any RecordProcessor) {
        self.lease = lease
        self.id = id
        self.processor = processor
        if lease.isEnded { mark(.shardEnd) }
    }

    var key: String { lease.leaseKey }
    var isShutdown: Bool { state == .complete }

    func mark(_ new: Reason) { reason = max(reason ?? new, new) }

    /// `updateState`.
    func advance(_ outcome: Outcome) {
        var next = state
        switch outcome {
        case .successful: next = successor
        case .endOfShard: mark(.shardEnd)
        case .failure: break
        }
        if let reason, outcome != .failure { next = transition(reason) }
        state = next
    }

    private var successor: State {
        switch state {
        case .waitingOnParents: .initializing
        case .initializing, .processing: .processing
        case .shutdownRequested, .shutdownRequestedWaiting: .shutdownRequestedWaiting
        case .shuttingDown, .complete: .complete
        }
    }

    /// `shutdownTransition`.
    private func transition(_ reason: Reason) -> State {
        switch state {
        case .waitingOnParents: .shuttingDown
        case .initializing, .processing: reason == .requested ? .shutdownRequested : .shuttingDown
        case .shutdownRequested, .shutdownRequestedWaiting:
            reason == .requested ? .shutdownRequestedWaiting : .shuttingDown
        case .shuttingDown, .complete: .complete
        }
    }
}

/// `ShardRecordProcessorCheckpointer`: what may be checkpointed (kcl.md §7, §0.5).
struct JavaCheckpointer {
    var last: Checkpoint?
    var largestPermitted: Checkpoint?
    var atShardEnd: Checkpoint?

    enum Write: Hashable {
        case nothing
        case checkpoint(Checkpoint)
        case prepare(Checkpoint, Bytes?)
    }

    /// The write that `request` asks for, and the position that it means.
    func write(for request: CheckpointRequest) throws(CheckpointError) -> (write: Write, position: Checkpoint) {
        switch request {
        // No check: it is the largest permitted one itself.
        case .commit(nil): return try advance(permitted())
        case .commit(let position?), .commitPrepared(let position): return try advance(checked(position))
        case .prepare(let position, let state):
            let wanted: Checkpoint = if let position { position } else { try permitted() }
            let asked = try checked(wanted)
            let meant = asked == atShardEnd ? .shardEnd : asked
            return (meant == last ? .nothing : .prepare(meant, state), meant)
        }
    }

    private func permitted() throws(CheckpointError) -> Checkpoint {
        guard let largestPermitted else { throw .illegalArgument("nothing was delivered") }
        return largestPermitted
    }

    private func checked(_ position: Checkpoint) throws(CheckpointError) -> Checkpoint {
        guard position.subSequenceNumber >= 0 else { throw .illegalArgument("negative sub-sequence number") }
        let largest = try permitted()
        guard last.map({ $0 <= position }) ?? true, position <= largest else {
            throw .illegalArgument("\(position) is not between the last checkpoint and what was delivered")
        }
        return position
    }

    private func advance(_ position: Checkpoint) -> (write: Write, position: Checkpoint) {
        let meant = position == atShardEnd ? .shardEnd : position
        return (position == last ? .nothing : .checkpoint(meant), meant)
    }
}

/// `KinesisDataFetcher`: where the next read starts.
struct JavaReader {
    var iterator: String?
    /// The last sequence number that was read; before that, the checkpoint that reading started at.
    var lastKnown: Checkpoint = .trimHorizon
    /// Whether `lastKnown` was read here.
    var hasRead = false
    var isFirstCall = true
    var lastSuccess: Timestamp?

    /// `IteratorBuilder.request`, at the start.
    static func position(at checkpoint: Checkpoint, _ initial: InitialPosition) throws(JavaFailure) -> ShardPosition {
        switch checkpoint.position {
        case .sequenceNumber(let number): return .atSequenceNumber(number.description)
        case .trimHorizon: return .trimHorizon
        case .latest: return .latest
        case .shardEnd: throw .runtime("an iterator at SHARD_END")
        case .atTimestamp:
            // The time is not in the table (kcl.md §0.11).
            guard case .atTimestamp(let time) = initial else {
                throw .runtime("NullPointerException: AT_TIMESTAMP in a row, another initial position configured")
            }
            return .atTimestamp(time)
        }
    }

    /// `IteratorBuilder.reconnectRequest`: after the last one known, although that may be the middle of an aggregate
    /// that was checkpointed there (kcl.md §0.10).
    func restartPosition(_ initial: InitialPosition) throws(JavaFailure) -> ShardPosition {
        if case .sequenceNumber(let number) = lastKnown.position { return .afterSequenceNumber(number.description) }
        return try Self.position(at: lastKnown, initial)
    }
}
