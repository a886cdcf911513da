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
    /// Kinesis records, before de-aggregation.
    var wireRecords = 0
    var first: Checkpoint?
    var last: Checkpoint?
    /// The last Kinesis record, also where nothing of it is left.
    var lastWireRecord: SequenceNumber?
    var firstWireRecord: SequenceNumber?
    /// The next page's iterator, or where the next subscription starts; absent at the end of the shard.
    var next: String?
    var millisBehindLatest: Int64?
    var children: [ChildShard] = []
    /// When the answer came; the machine notes it.
    var fetchedAt = Timestamp.zero
}

/// Reading of one shard, by polling or by a subscription: where to read next, when, and what waits for the processor
/// (kcl.md §6).
struct Retrieval: Sendable {
    enum End: Hashable, Sendable {
        /// A null iterator or continuation, with the children that the answer named.
        case children([ChildShard])
        /// ResourceNotFound: the stream or the shard was deleted.
        case deleted
    }

    let configuration: WorkerConfiguration
    let range: HashKeyRange?
    var start: ShardPosition
    /// After what was read.
    var readOn: ShardPosition?
    var dropThrough: Checkpoint?
    var polling = Polling()
    /// `nil` where the shard is polled.
    var fanOut: FanOut?
    private var queue: Deque<FetchedBatch> = []
    private(set) var queuedBytes = 0
    private var queuedRecords = 0
    private var nextIdleReport = Timestamp.zero
    /// What the batch with the processor keeps in memory; `nil` without one.
    var processingBytes: Int?
    /// How much the worker lets this shard hold, what is with the processor and on its way included.
    var allowance = Int.max
    /// Of the shard's records as of late, with what surrounds them on the wire; `nil` until there was one.
    private var bytesPerRecord: Int?
    /// Of the last page or event.
    private var lastBytes = 0
    var end: End?
    var millisBehindLatest: Int64?

    init(lease: Lease, start: ShardPosition, configuration: WorkerConfiguration) {
        self.start = start
        range = lease.hashKeyRange
        self.configuration = configuration
        dropThrough = lease.checkpoint.isSentinel ? nil : lease.checkpoint
        if case .fanOut = configuration.retrieval { fanOut = FanOut() }
    }

    /// Where reading starts: after what was read, or, with nothing read yet, where the tenure started, so that the rest
    /// of an aggregate is not lost (kcl.md §0.10).
    var position: ShardPosition { readOn ?? start }

    /// Everything that was read was handed over, and there is no more.
    var isDrained: Bool { end != nil && queue.isEmpty }

    /// Batches wait for the processor.
    var hasWaiting: Bool { !queue.isEmpty }

    /// A batch is with the processor: an empty read is not what it has come to.
    var isProcessing: Bool { processingBytes != nil }

    /// What the shard keeps in memory for its processor.
    var heldBytes: Int { queuedBytes + (processingBytes ?? 0) }

    /// A shard that holds nothing may always read, whatever the others hold, so that none starves.
    var hasRoom: Bool {
        let batchesMax = fanOut == nil ? configuration.prefetchBatchesMax : FanOut.queuedMax
        return queue.count < batchesMax && queuedBytes < configuration.prefetchBytesMax
            && queuedRecords < configuration.prefetchRecordsMax && (heldBytes == 0 || heldBytes < allowance)
    }

    /// What the shard holds or is about to.
    var claimedBytes: Int { heldBytes + (isReading ? expectedBytes : 0) }

    private var isReading: Bool { fanOut?.isPulling ?? polling.isFetching }

    private var expectedBytes: Int {
        if fanOut != nil { return min(max(FanOut.eventBytes, lastBytes), FanOut.eventBytesMax) }
        // At the tip a page brings about what came since the one before.
        if millisBehindLatest == 0 { return min(answerBytes, lastBytes + Polling.recordBytes) }
        return min(answerBytes, bytesPerRecord.map { $0 * configuration.maxRecords } ?? answerBytes)
    }

    /// How big the next page may be: one half of the allowance is with the processor while the other half comes.
    private var answerBytes: Int { min(Polling.answerBytesMax, max(allowance, 2) / 2) }

    /// How many records a page may have so that its size is about right.
    var pageLimit: Int {
        guard answerBytes < Polling.answerBytesMax else { return configuration.maxRecords }
        return min(configuration.maxRecords, max(1, answerBytes / (bytesPerRecord ?? Polling.recordBytes)))
    }

    var nextDeadline: Timestamp {
        guard end == nil else { return .never }
        return fanOut.map { subscriptionDeadline($0) }
            ?? (!polling.isFetching && hasRoom ? polling.nextFetchAt : .never)
    }

    /// - Parameters:
    ///   - mayOpen: whether the lease is surely ours for a while, so that a subscription may be opened.
    ///   - fence: until when it is ours at all.
    mutating func fetchIfDue(
        _ now: Timestamp, mayOpen: Bool = true, fence: Timestamp = .never, shardID: String = ""
    ) -> [ShardMachine.Effect] {
        guard end == nil else { return [] }
        return fanOut == nil
            ? pollIfDue(now) : readSubscriptionIfDue(now, mayOpen: mayOpen, fence: fence, shardID: shardID)
    }

    /// Takes what an answer or an event brought.
    mutating func received(_ batch: FetchedBatch, shardID: String, _ now: Timestamp) -> [ShardMachine.Effect] {
        millisBehindLatest = batch.millisBehindLatest
        if let last = batch.lastWireRecord { readOn = .afterSequenceNumber(last.description) }
        if let last = batch.last { dropThrough = last }
        if batch.next == nil { end = .children(batch.children) }
        lastBytes = batch.arenaBytes
        if batch.wireRecords > 0 {
            // Big records count at once, and are forgotten slowly.
            bytesPerRecord = max(batch.arenaBytes / batch.wireRecords, (bytesPerRecord ?? 0) * 3 / 4, 1)
        }
        var batch = batch
        batch.fetchedAt = now
        if batch.records > 0 || configuration.callProcessRecordsEvenForEmptyRecordList {
            enqueue(batch)
            return []
        }
        return [.discard([batch.id])] + idleReport(batch, shardID, now)
    }

    private mutating func enqueue(_ batch: FetchedBatch) {
        queue.append(batch)
        queuedBytes += batch.arenaBytes
        queuedRecords += batch.records
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

    /// LATEST that was asked for means this moment from now on, so that a new start leaves no gap (kcl.md §0.10).
    mutating func started(latestAt: UnixTime?) {
        if let latestAt, start == .latest { start = .atTimestamp(latestAt) }
    }

    /// The next batch for the processor.
    mutating func next() -> FetchedBatch? {
        guard let batch = queue.popFirst() else { return nil }
        queuedBytes -= batch.arenaBytes
        queuedRecords -= batch.records
        return batch
    }

    /// A batch that was not done goes first again.
    mutating func putBack(_ batch: FetchedBatch) {
        queue.prepend(batch)
        queuedBytes += batch.arenaBytes
        queuedRecords += batch.records
    }

    mutating func discardAll() -> [Int] {
        let ids = queue.map(\.id)
        queue.removeAll()
        (queuedBytes, queuedRecords) = (0, 0)
        return ids
    }

    /// Reads again from `checkpoint`; a tenure that never checkpointed, from where it started.
    mutating func restart(from checkpoint: Checkpoint, _ now: Timestamp) {
        if case .sequenceNumber(let number) = checkpoint.position { start = .atSequenceNumber(number.description) }
        dropThrough = checkpoint.isSentinel ? nil : checkpoint
        readOn = nil
        end = nil
        if fanOut == nil { polling.restart(now) } else { fanOut?.restart(now) }
    }

    /// The end was none; read on after the last record.
    mutating func endWasWrong(_ now: Timestamp) {
        end = nil
        guard fanOut == nil else {
            fanOut?.tryAgain(now)
            return
        }
        polling.iterator = nil
        pauseAfterPollFailed(now)
    }
}
