import Leases
import Machine

extension ShardMachine {
    /// The processor is of no use any more. A new one starts at the last checkpoint, after a pause that grows; one that
    /// was replaced too often without a checkpoint in between stops the shard.
    mutating func abandoned(_ abandoned: Call, _ message: String, _ now: Timestamp) -> [Effect] {
        guard call == abandoned else { return [] }
        var dropped = retrieval.discardAll()
        if let processing { dropped.append(processing.id) }
        call = nil
        processing = nil
        // The leases of those that lost it or give it up go without a further word.
        isInitialized = false
        let effects: [Effect] = [.discard(dropped.sorted()), .dropProcessor]
        if checkpoints.committed.position == .shardEnd {
            // It did what matters before it went.
            return effects + [processorFailed(abandoned.name, message)] + ended()
        }
        guard !isLost, shutdownDeadline == nil else { return effects + [processorFailed(abandoned.name, message)] }
        state = .initializing
        end = .none
        restarts += 1
        attempts = restarts
        checkpoints.restart()
        retrieval.restart(from: checkpoints.committed, now)
        isStopped = restarts >= configuration.restartsMax
        notBefore = now + backOff
        return effects + [processorFailed(abandoned.name, message)]
    }
}

extension ShardMachine.Call {
    /// The callback's name in `RecordProcessor`.
    fileprivate var name: String {
        switch self {
        case .initialize: "initialize"
        case .processRecords: "processRecords"
        case .leaseLost: "leaseLost"
        case .shardEnded: "shardEnded"
        case .shutdownRequested: "shutdownRequested"
        }
    }
}
