import AWSWire
import DequeModule
import Leases
import Machine

/// What the machine knows of a fetched batch; the shell holds the records under `id`.
struct FetchedBatch: Hashable, Sendable {
    var id: Int
    /// User records that are left after de-aggregation and filtering.
    var records: Int
    /// Bytes of their data.
    var dataBytes: Int
    /// What the batch keeps in memory.
    var arenaBytes: Int
    var first: Checkpoint?
    var last: Checkpoint?
    /// The last Kinesis record, also where nothing of it is left.
    var lastWireRecord: SequenceNumber?
    var firstWireRecord: SequenceNumber?
    var nextIterator: String?
    var millisBehindLatest: Int64?
    var children: [ChildShard] = []
    /// When the answer came; the machine notes it.
    var fetchedAt = Timestamp.zero
}

/// Polling of one shard: where to read next, when, and what waits for the processor (kcl.md §6.1).
struct Retrieval: Sendable {
    enum End: Hashable, Sendable {
        /// A null iterator, with the children that the answer named.
        case children([ChildShard])
        /// ResourceNotFound: the stream or the shard was deleted.
        case deleted
    }

    /// The service allows five reads a second and shard; one is left to others.
    static let shortestPause: Duration = .milliseconds(250)

    private let configuration: WorkerConfiguration
    private var start: ShardPosition
    private let range: HashKeyRange?
    private var iterator: String?
    private var lastRead: SequenceNumber?
    private var dropThrough: Checkpoint?
    private var queue: Deque<FetchedBatch> = []
    private var isFetching = false
    /// What is on its way was asked for before a restart: its answer is dropped.
    private var isFetchStale = false
    private var nextFetchAt = Timestamp.zero
    private var fetchStarted = Timestamp.zero
    private var failures = 0
    private var nextIdleReport = Timestamp.zero
    /// A batch is with the processor: an empty read is not what it has come to.
    var isProcessing = false
    private(set) var end: End?
    private(set) var millisBehindLatest: Int64?

    init(lease: Lease, start: ShardPosition, configuration: WorkerConfiguration) {
        self.start = start
        range = lease.hashKeyRange
        self.configuration = configuration
        dropThrough = lease.checkpoint.isSentinel ? nil : lease.checkpoint
    }

    /// Where an iterator starts: after what was read, or, with nothing read yet, where the tenure started, so that
    /// the rest of an aggregate is not lost (kcl.md §0.10).
    private var position: ShardPosition {
        lastRead.map { .afterSequenceNumber($0.description) } ?? start
    }

    /// Everything that was read was handed over, and there is no more.
    var isDrained: Bool { end != nil && queue.isEmpty }

    /// Batches wait for the processor.
    var hasWaiting: Bool { !queue.isEmpty }

    private var hasRoom: Bool {
        queue.count < configuration.prefetchBatchesMax
            && queue.reduce(0) { $0 + $1.arenaBytes } < configuration.prefetchBytesMax
            && queue.reduce(0) { $0 + $1.records } < configuration.prefetchRecordsMax
    }

    var nextDeadline: Timestamp { end == nil && !isFetching && hasRoom ? nextFetchAt : .never }

    mutating func fetchIfDue(_ now: Timestamp) -> [ShardMachine.Effect] {
        guard end == nil, !isFetching, hasRoom, now >= nextFetchAt else { return [] }
        isFetching = true
        fetchStarted = now
        guard let iterator else { return [.getIterator(position)] }
        return [.fetch(iterator: iterator, dropThrough: dropThrough, range: range)]
    }

    /// - Parameter latestAt: a LATEST that was asked for means this moment from now on, so that a new iterator leaves
    ///   no gap (kcl.md §0.10).
    mutating func iteratorGot(_ iterator: String, latestAt: UnixTime?, _ now: Timestamp) {
        isFetching = false
        if let latestAt, start == .latest { start = .atTimestamp(latestAt) }
        if dropStaleAnswer() { return }
        self.iterator = iterator
        nextFetchAt = now
    }

    mutating func fetched(_ batch: FetchedBatch, shardID: String, _ now: Timestamp) -> [ShardMachine.Effect] {
        guard isFetching else { return [.discard([batch.id])] }
        isFetching = false
        if dropStaleAnswer() { return [.discard([batch.id])] }
        failures = 0
        iterator = batch.nextIterator
        millisBehindLatest = batch.millisBehindLatest
        if let last = batch.lastWireRecord { lastRead = last }
        if let last = batch.last { dropThrough = last }
        if batch.nextIterator == nil { end = .children(batch.children) }
        let isBehind = (batch.millisBehindLatest ?? 0) > 0
        let pause =
            isBehind ? min(configuration.idleTimeBetweenReads, Self.shortestPause) : configuration.idleTimeBetweenReads
        nextFetchAt = fetchStarted + pause
        var batch = batch
        batch.fetchedAt = now
        if batch.records > 0 || configuration.callProcessRecordsEvenForEmptyRecordList {
            queue.append(batch)
            return []
        }
        return [.discard([batch.id])] + idleReport(batch, shardID, now)
    }

    /// An empty read still tells the lag; it is said at most every two seconds.
    private mutating func idleReport(
        _ batch: FetchedBatch, _ shardID: String, _ now: Timestamp
    ) -> [ShardMachine.Effect] {
        guard now >= nextIdleReport, queue.isEmpty, !isProcessing else { return [] }
        nextIdleReport = now + .seconds(2)
        return [
            .emit(
                WorkerEvent(
                    .recordsProcessed, at: .zero, shardID: shardID, records: 0, bytes: 0,
                    millisBehindLatest: batch.millisBehindLatest))
        ]
    }

    mutating func failed(
        _ meaning: AWSError.Meaning, _ message: String, shardID: String, _ now: Timestamp
    ) -> [ShardMachine.Effect] {
        guard isFetching else { return [] }
        isFetching = false
        if dropStaleAnswer() { return [] }
        switch meaning {
        case .notFound:
            end = .deleted
            return []
        case .expiredIterator, .invalid:
            // An invalid argument is what the service says of an iterator that it no longer accepts.
            iterator = nil
            guard meaning == .invalid else {
                nextFetchAt = now
                return []
            }
            failures += 1
            nextFetchAt = now + pauseAfterFailure
            return sayNowAndThen(message, shardID)
        case .throttled:
            failures += 1
            nextFetchAt = now + pauseAfterFailure
            return [.emit(WorkerEvent(.throttled, at: .zero, shardID: shardID, message: message))]
        case .transient, .conditionFailed, .inUse, .denied, .unauthenticated, .clockSkewed, .cancelled:
            failures += 1
            nextFetchAt = now + pauseAfterFailure
            return sayNowAndThen(message, shardID)
        }
    }

    /// A failure that lasts is said, but not at every try.
    private func sayNowAndThen(_ message: String, _ shardID: String) -> [ShardMachine.Effect] {
        guard failures == 2 || failures % 20 == 0 else { return [] }
        return [.emit(WorkerEvent(.throttled, at: .zero, shardID: shardID, message: message))]
    }

    private var pauseAfterFailure: Duration {
        max(configuration.idleTimeBetweenReads, .milliseconds(500)) * (1 << min(max(failures - 1, 0), 3))
    }

    /// The next batch for the processor.
    mutating func next() -> FetchedBatch? { queue.popFirst() }

    /// A batch that was not done goes first again.
    mutating func putBack(_ batch: FetchedBatch) { queue.prepend(batch) }

    mutating func discardAll() -> [Int] {
        let ids = queue.map(\.id)
        queue.removeAll()
        return ids
    }

    /// Reads again from `checkpoint`; a tenure that never checkpointed, from where it started.
    mutating func restart(from checkpoint: Checkpoint, _ now: Timestamp) {
        if case .sequenceNumber(let number) = checkpoint.position { start = .atSequenceNumber(number.description) }
        dropThrough = checkpoint.isSentinel ? nil : checkpoint
        iterator = nil
        lastRead = nil
        end = nil
        isFetchStale = isFetching
        nextFetchAt = now
    }

    /// What was on its way came, and nobody wants it.
    mutating func dropAnswer() {
        isFetching = false
        isFetchStale = false
    }

    private mutating func dropStaleAnswer() -> Bool {
        defer { isFetchStale = false }
        return isFetchStale
    }

    /// The null iterator was no end; read on after the last record.
    mutating func endWasWrong(_ now: Timestamp) {
        end = nil
        iterator = nil
        failures += 1
        nextFetchAt = now + pauseAfterFailure
    }
}
