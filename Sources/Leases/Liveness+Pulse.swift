public import Machine

/// The time between two renewals of a worker, within bounds. KCL renews every failoverTimeMillis / 3 − 25 ms.
public struct Pulse: Hashable, Sendable {
    public var shortest: Duration
    public var longest: Duration
    /// When this was found.
    public var at: Timestamp
    /// For how long the renewals were counted, at the least.
    var span: Duration

    /// KCL's margin for clock granularity.
    private static let epsilon: Duration = .milliseconds(25)

    public var width: Duration { longest - shortest }
    public var shortestFailoverTime: Duration { (shortest + Self.epsilon) * 3 }
    public var longestFailoverTime: Duration { (longest + Self.epsilon) * 3 }
    /// Known to a third.
    public var isSharp: Bool { shortest > .zero && longest * 3 <= shortest * 4 }
}

/// What is known of how one owner renews, by all of its leases.
///
/// KCL renews at a fixed rate: what a stall held up follows in a burst. Over both the renewals are as many as they
/// should be; a count that begins within the burst finds too many of them, and the owner's pulse too quick. So leases
/// are judged by counts only that began when whatever was held up had followed.
struct Rhythm: Sendable {
    /// By all counts.
    private(set) var pulse: Pulse?
    /// By those that began after the owner had renewed for a while.
    private(set) var settled: Pulse?
    /// When the owner was last later than its settled pulse: an outage, or a slower worker under the same name. What
    /// was counted before says nothing of it.
    private(set) var lateAt: Timestamp?
    /// When one of its leases was last seen to move.
    private var seenAt: Timestamp?

    private static let memory: Duration = .seconds(60)
    /// What a late look and a stale read may hide of a life.
    private static let hidden: Duration = .seconds(2)
    /// A burst is over, and what lasts for so long is none.
    static let burst: Duration = .seconds(10)

    /// One of its leases moved that had stood still for surely so long.
    mutating func showsLife(at now: Timestamp, after silence: Duration) {
        let before = seenAt
        seenAt = now
        guard let known = settled else { return }
        // Whoever showed no life at all for its failover time was dead, or cut off; who comes back may be another.
        let isBack = before.map { now - $0 > known.longestFailoverTime + Self.hidden } ?? false
        if isBack || silence > known.longest { forget(now) }
    }

    private mutating func forget(_ now: Timestamp) {
        settled = nil
        lateAt = now
    }

    mutating func note(_ new: Pulse, isSettled: Bool) {
        let isBurst = pulse.map { new.longest < $0.shortest && new.span < Self.burst } ?? false
        if !isBurst || isOld(pulse, new), isSharper(new, than: pulse) { pulse = new }
        if let known = settled, new.shortest > known.longest {
            // This count may have begun before it was slower.
            forget(new.at)
        } else if isSettled, isSharper(new, than: settled) {
            settled = new
        }
    }

    /// The sharpest of late counts.
    private func isSharper(_ new: Pulse, than known: Pulse?) -> Bool {
        known.map { new.width <= $0.width } ?? true || isOld(known, new)
    }

    private func isOld(_ known: Pulse?, _ new: Pulse) -> Bool { known.map { new.at - $0.at > Self.memory } ?? false }
}

/// Counts the renewals of one lease between two moments at which its counter was seen to have changed.
///
/// The counter rises with each checkpoint, too; a step that leaves the checkpoint as it was is a renewal. So the count
/// starts anew at every checkpoint.
struct RenewalCount: Sendable {
    private var checkpoint: Checkpoint
    private var pending: PendingCheckpoint?
    /// When the renewal happened from which on is counted.
    private var from: (after: Timestamp, by: Timestamp)?
    private var renewals: Int64 = 0
    /// When the first renewal since the checkpoint was seen.
    private var firstAt: Timestamp?
    /// The count began when no burst was under way any more.
    private(set) var isSettled = false

    /// How old what an eventually consistent read shows may be.
    private static let staleness: Duration = .seconds(1)
    /// A count that is longer tells nothing new, and would carry an old irregularity along.
    private static let renewalsMax: Int64 = 40

    init(_ lease: Lease) {
        checkpoint = lease.checkpoint
        pending = lease.pendingCheckpoint
    }

    /// How long the counter stood still before it changed, at the least.
    static func silence(_ before: Liveness.Observation) -> Duration {
        before.notBefore - staleness - before.changedAt
    }

    /// The counter changed after `before`; `nil` where that says nothing of the pulse.
    ///
    /// - Parameter lateAt: what was counted before says nothing any more.
    mutating func moved(
        _ lease: Lease, from before: Liveness.Observation, at now: Timestamp, lateAt: Timestamp?
    ) -> Pulse? {
        let steps = lease.leaseCounter.subtractingReportingOverflow(before.counter)
        guard lease.checkpoint == checkpoint, lease.pendingCheckpoint == pending, !steps.overflow,
            1...Self.renewalsMax ~= steps.partialValue
        else {
            self = RenewalCount(lease)
            return nil
        }
        let change = (after: before.notBefore - Self.staleness, by: now)
        if let lateAt, let first = firstAt, first < lateAt { (firstAt, from, isSettled) = (lateAt, nil, false) }
        let first = firstAt ?? now
        firstAt = first
        let settles = !isSettled && change.after - first >= Rhythm.burst
        guard let from, !settles, renewals + steps.partialValue <= Self.renewalsMax else {
            (from, renewals) = (change, 0)
            if settles { isSettled = true }
            return nil
        }
        renewals += steps.partialValue
        let span = max(.zero, change.after - from.by)
        return Pulse(
            shortest: span / Int(renewals), longest: (change.by - from.after) / Int(renewals), at: now, span: span)
    }
}
