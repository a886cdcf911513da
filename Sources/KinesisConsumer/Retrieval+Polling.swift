import AWSWire
import Leases
import Machine

/// Polling with GetRecords (kcl.md §6.1).
extension Retrieval {
    struct Polling: Sendable {
        /// The service allows five reads a second and shard; one is left to others.
        static let shortestPause: Duration = .milliseconds(250)
        /// The service's own limit of an answer's records.
        static let answerBytesMax = 10 << 20
        /// What a record is taken for before there was one, where memory is short.
        static let recordBytes = 10 << 10

        var iterator: String?
        var isFetching = false
        /// What is on its way was asked for before a restart: its answer is dropped.
        var isFetchStale = false
        var nextFetchAt = Timestamp.zero
        var fetchStarted = Timestamp.zero
        var failures = 0

        mutating func restart(_ now: Timestamp) {
            iterator = nil
            isFetchStale = isFetching
            nextFetchAt = now
        }
    }

    mutating func pollIfDue(_ now: Timestamp) -> [ShardMachine.Effect] {
        guard !polling.isFetching, hasRoom, now >= polling.nextFetchAt else { return [] }
        polling.isFetching = true
        polling.fetchStarted = now
        guard let iterator = polling.iterator else { return [.getIterator(position)] }
        return [.fetch(iterator: iterator, limit: pageLimit, dropThrough: dropThrough, range: range)]
    }

    mutating func iteratorGot(_ iterator: String, latestAt: UnixTime?, _ now: Timestamp) {
        polling.isFetching = false
        started(latestAt: latestAt)
        if dropStaleAnswer() { return }
        polling.iterator = iterator
        polling.nextFetchAt = now
    }

    mutating func fetched(
        _ batch: FetchedBatch, isWanted: Bool = true, shardID: String, _ now: Timestamp
    ) -> [ShardMachine.Effect] {
        guard polling.isFetching else { return [.discard([batch.id])] }
        polling.isFetching = false
        if dropStaleAnswer() || !isWanted { return [.discard([batch.id])] }
        polling.failures = 0
        polling.iterator = batch.next
        let isBehind = (batch.millisBehindLatest ?? 0) > 0
        let idle = configuration.idleTimeBetweenReads
        polling.nextFetchAt = polling.fetchStarted + (isBehind ? min(idle, Polling.shortestPause) : idle)
        return received(batch, shardID: shardID, now)
    }

    mutating func failed(
        _ meaning: AWSError.Meaning, _ message: String, shardID: String, _ now: Timestamp
    ) -> [ShardMachine.Effect] {
        guard polling.isFetching else { return [] }
        polling.isFetching = false
        if dropStaleAnswer() { return [] }
        switch meaning {
        case .notFound:
            end = .deleted
            return []
        case .expiredIterator, .invalid:
            // An invalid argument is what the service says of an iterator that it no longer accepts.
            polling.iterator = nil
            guard meaning == .invalid else {
                polling.nextFetchAt = now
                return []
            }
            pauseAfterPollFailed(now)
            return sayNowAndThen(polling.failures, message, shardID)
        case .throttled:
            pauseAfterPollFailed(now)
            return [.emit(WorkerEvent(.throttled, at: .zero, shardID: shardID, message: message))]
        case .transient, .conditionFailed, .inUse, .denied, .unauthenticated, .clockSkewed, .cancelled:
            pauseAfterPollFailed(now)
            return sayNowAndThen(polling.failures, message, shardID)
        }
    }

    /// A failure that lasts is said, but not at every try.
    func sayNowAndThen(_ failures: Int, _ message: String, _ shardID: String) -> [ShardMachine.Effect] {
        guard failures == 2 || failures % 20 == 0 else { return [] }
        return [.emit(WorkerEvent(.throttled, at: .zero, shardID: shardID, message: message))]
    }

    mutating func pauseAfterPollFailed(_ now: Timestamp) {
        polling.failures += 1
        let pause = max(configuration.idleTimeBetweenReads, .milliseconds(500))
        polling.nextFetchAt = now + pause * (1 << min(polling.failures - 1, 3))
    }

    private mutating func dropStaleAnswer() -> Bool {
        defer { polling.isFetchStale = false }
        return polling.isFetchStale
    }
}
