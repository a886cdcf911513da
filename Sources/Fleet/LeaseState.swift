package import Leases
import Machine

/// The state of a row of the shards pane. Each comes with a `StateReason`, the one-line why.
package enum LeaseState: String, Hashable, Sendable, CaseIterable {
    /// Owned, but its counter was not watched long enough to say whether the owner lives.
    case learning = "LEARNING"
    case live = "LIVE"
    /// The owner missed a renewal.
    case late = "LATE"
    /// No renewal for the failover time: any worker may take it.
    case expired = "EXPIRED"
    /// Nobody owns it.
    case free = "FREE"
    /// 3.x: on its way from one worker to another, the old one still processes.
    case handoff = "HANDOFF"
    /// A checkpoint was prepared and is not committed.
    case pending = "PENDING"
    /// Waits for a parent shard to end.
    case blocked = "BLOCKED"
    /// The shard is closed; its backlog is being read.
    case drain = "DRAIN"
    /// SHARD_END.
    case ended = "ENDED"
    /// A lease whose shard the stream does not have.
    case orphan = "ORPHAN"
    /// An open shard without a lease.
    case missing = "MISSING"
    /// A hash range that no lease covers.
    case hole = "HOLE"

    /// Whether somebody reads the shard now.
    package var isConsumed: Bool {
        switch self {
        case .live, .late, .handoff, .pending, .drain, .learning: true
        case .expired, .free, .blocked, .ended, .orphan, .missing, .hole: false
        }
    }

    /// 0 for what needs a person first, rising; the default order of the shards pane.
    package var rank: Int {
        switch self {
        case .hole: 0
        case .missing: 1
        case .expired: 2
        case .free: 3
        case .orphan: 4
        case .late: 5
        case .handoff: 6
        case .blocked: 7
        case .drain: 8
        case .pending: 9
        case .learning: 10
        case .live: 11
        case .ended: 12
        }
    }
}

/// Why a row has its state, as facts; `text` says it in one line.
package enum StateReason: Hashable, Sendable {
    case watching(for: Duration)
    case renewed(ago: Duration, counter: Int64)
    case missedRenewal(since: Duration, failover: FailoverTime)
    case expired(since: Duration, failover: FailoverTime)
    /// `since` is when we saw it become free; `nil` if it was so when we came. `lastOwner` where we saw it.
    case unowned(since: Duration?, lastOwner: String?)
    case handingOver(from: String, to: String?, since: Duration)
    case pendingCheckpoint(Checkpoint)
    /// `isMerge`: the shard has two parents. `left`: until the parent's backlog is read, where the rates tell.
    case waitsFor(parents: [String], isMerge: Bool, left: Duration?)
    /// The parents it waits for are read by nobody.
    case waitsForUnread(parents: [String])
    case closed(children: [String], left: Duration?)
    case shardEnd(children: [String])
    case noSuchShard
    /// `isTableEmpty`: no worker ever made leases.
    case noLease(isTableEmpty: Bool)
    case uncovered

    package var text: String {
        switch self {
        case .watching(let time): "its counter was watched for \(time.brief) only, one renewal is still to be seen"
        case .renewed(let ago, let counter): "renewed \(ago.brief) ago, counter \(counter)"
        case .missedRenewal(let since, let failover):
            failover.isKnown
                ? "no renewal for \(since.brief), it expires at \(failover.duration.brief)"
                : "no renewal for \(since.brief); the failover time is not known, give --failover-time"
        case .expired(let since, let failover):
            "no renewal for \(since.brief), failover time \(failover.duration.brief) (\(failover.source.rawValue)): "
                + "any worker may take it"
        case .unowned(let since, let lastOwner):
            "nobody owns it" + (since.map { ", for \($0.brief)" } ?? "")
                + (lastOwner.map { "; before that \($0)" } ?? "")
        case .handingOver(let from, let to, let since):
            "handed over from \(from) to \(to ?? "nobody"), for \(since.brief)"
        case .pendingCheckpoint(let checkpoint): "checkpoint \(checkpoint) is prepared and not committed"
        case .waitsFor(let parents, let isMerge, let left):
            "waits for \(parents.joined(separator: " and ")) (\(isMerge ? "merge" : "split"))"
                + (left.map { ", ~\($0.brief) left" } ?? "")
        case .waitsForUnread(let parents): "waits for \(parents.joined(separator: " and ")), which nobody reads"
        case .closed(let children, let left):
            "closed" + (children.isEmpty ? "" : ", continues in \(children.joined(separator: " and "))")
                + "; the rest is being read" + (left.map { ", ~\($0.brief) left" } ?? "")
        case .shardEnd(let children):
            "read to its end" + (children.isEmpty ? "" : ", continues in \(children.joined(separator: " and "))")
        case .noSuchShard: "the stream has no such shard"
        case .noLease(let isTableEmpty):
            isTableEmpty ? "the table holds no lease yet: no worker has run" : "an open shard that no lease stands for"
        case .uncovered: "no lease covers this hash range: its records are read by nobody"
        }
    }
}

extension Duration {
    /// `0.9s`, `42s`, `4m12s`, `23h41m`, `3d04h`: for people.
    package var brief: String {
        let milliseconds = max(0, wholeMilliseconds)
        let seconds = milliseconds / 1000
        func padded(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        switch seconds {
        case ..<10: return "\(seconds).\(milliseconds % 1000 / 100)s"
        case ..<60: return "\(seconds)s"
        case ..<3600: return "\(seconds / 60)m\(padded(seconds % 60))s"
        case ..<86_400: return "\(seconds / 3600)h\(padded(seconds / 60 % 60))m"
        default: return "\(seconds / 86_400)d\(padded(seconds / 3600 % 24))h"
        }
    }
}
