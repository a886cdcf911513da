import AWSWire
import Machine

/// What the shard reads, and while which it reads at all.
extension ShardMachine {
    private var isReading: Bool { state == .processing && !isStopped && !isLost && shutdownDeadline == nil }

    mutating func fetchIfDue(_ now: Timestamp, _ deliverUntil: Timestamp, _ fence: Timestamp) -> [Effect] {
        guard isReading else { return [] }
        return retrieval.fetchIfDue(now, mayOpen: now < deliverUntil, fence: fence, shardID: shardID)
    }

    /// A subscription belongs to the holder of the lease, and to nobody for longer than it is read.
    mutating func stopReadingIfUnwanted() -> [Effect] {
        guard retrieval.fanOut != nil, !isReading else { return retrieval.closing() }
        let reason =
            isLost
            ? "the lease is lost"
            : shutdownDeadline != nil
                ? "shutdown requested" : isStopped ? "the shard is stopped" : "reading starts anew"
        return retrieval.stopReading(shardID, reason)
    }

    mutating func fetched(_ batch: FetchedBatch, _ now: Timestamp) -> [Effect] {
        retrieval.fetched(batch, isWanted: isReading, shardID: shardID, now)
    }

    mutating func subscription(_ event: Event, _ now: Timestamp) -> [Effect] {
        switch event {
        case .subscribed(let id, let latestAt):
            retrieval.subscribed(id, latestAt: latestAt, shardID: shardID, now)
        case .pulled(let id, let batch): retrieval.pulled(id, batch, shardID: shardID, now)
        case .subscriptionEnded(let id): retrieval.subscriptionEnded(id, shardID: shardID, now)
        case .subscriptionFailed(let id, let meaning, let message):
            retrieval.subscriptionFailed(id, meaning, message, shardID: shardID, now)
        case .consumerMissing(let id, let message):
            // It was deregistered: that is no end of the shard.
            retrieval.subscriptionFailed(id, .throttled, message, shardID: shardID, now)
        default: []
        }
    }
}
