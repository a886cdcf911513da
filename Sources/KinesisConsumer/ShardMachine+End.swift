import AWSWire
import Leases
import Machine

/// The end of the shard (kcl.md §4.4).
extension ShardMachine {
    mutating func advanceEnd(_ fence: Timestamp) -> [Effect] {
        switch end {
        case .none:
            switch retrieval.end {
            case nil: return []
            case .deleted: end = .callable([])
            case .children(let children): end = children.isEmpty ? .findingChildren : .creating(children)
            }
            return advanceEnd(fence)
        case .creating(let children) where !isAwaitingEnd:
            isAwaitingEnd = true
            return [.createChildren(children)]
        case .findingChildren where !isAwaitingEnd:
            isAwaitingEnd = true
            return [.findChildren]
        case .callable:
            if checkpoints.committed.position == .shardEnd { return ended() }
            checkpoints.isAtShardEnd = true
            call = .shardEnded
            return [.call(.shardEnded, fence: fence)]
        case .creating, .findingChildren, .notingChildren: return []
        }
    }

    /// SHARD_END is stored: that is the last word, whatever was asked or lost meanwhile.
    mutating func ended() -> [Effect] {
        state = .shutdownComplete
        hasEnded = true
        let ended = WorkerEvent(
            .shardEnded, at: .zero, shardID: shardID, checkpoint: .shardEnd,
            childShardIDs: endingChildren.map(\.shardID))
        return [.emit(ended)] + (shutdownDeadline != nil && !isLost ? [.giveUp] : [])
    }

    mutating func childrenFound(
        closed: Bool, _ children: [ChildShard], _ now: Timestamp
    ) -> [Effect] {
        isAwaitingEnd = false
        guard end == .findingChildren else { return [] }
        guard closed, !children.isEmpty else {
            // A null iterator of a shard that is listed as open, or whose children are not listed yet: the answer was
            // wrong or early. Reading goes on after the last record.
            end = .none
            retrieval.endWasWrong(now)
            return []
        }
        attempts = 0
        end = .creating(children)
        return []
    }

    mutating func retryEnd(_ message: String, _ now: Timestamp) -> [Effect] {
        isAwaitingEnd = false
        attempts += 1
        notBefore = now + backOff
        // A failure that lasts is said, but not at every try.
        guard attempts == 2 || attempts % 20 == 0 else { return [] }
        return [
            .emit(
                WorkerEvent(
                    .throttled, at: .zero, shardID: shardID,
                    message: "the shard cannot end: its children have no leases yet: \(message)"))
        ]
    }

    /// The children whose leases this shard creates before it ends.
    var endingChildren: [ChildShard] {
        switch end {
        case .creating(let children), .notingChildren(let children), .callable(let children): children
        case .none, .findingChildren: []
        }
    }
}
