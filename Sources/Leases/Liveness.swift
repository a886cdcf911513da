public import Machine

/// Who is alive, judged as KCL does: a lease whose counter did not change for the failover time is expired, on the
/// observer's own monotonic clock (kcl.md §3.1). Nothing in the table is a time.
///
/// The failover time is the owner's where it is known, if that is longer than the observer's: a worker of ours writes
/// it into its rows, a Java worker shows it by its pulse.
public struct Liveness: Sendable {
    public struct Observation: Hashable, Sendable {
        public var counter: Int64
        public var owner: String?
        /// When the present counter was first seen.
        public var changedAt: Timestamp
        /// When the counter before it was last seen: the change happened after this.
        public var notBefore: Timestamp
        /// Whether the counter was ever seen to change; before that, nothing is known of the owner's pulse.
        public var hasMoved: Bool
        /// The failover time that the owner itself wrote into the row.
        public var declared: Duration?
    }

    private var observations: [String: Observation] = [:]
    /// By lease key: the renewals that are being counted.
    private var counts: [String: RenewalCount] = [:]
    /// By owner.
    private var pulses: [String: Pulse] = [:]

    /// How long an owner of which no pulse is known is waited for, at the least: KCL's default of failoverTimeMillis.
    /// That is how long a Java worker may go on after a renewal, and it may miss one.
    private static let patience: Duration = .seconds(10)
    /// A row may say anything.
    private static let declaredMax: Duration = .seconds(600)

    public init() {}

    /// Takes note of a row read at `now`, of which only the counter and the owner are known.
    public mutating func observe(key: String, counter: Int64, owner: String?, at now: Timestamp) {
        guard var seen = observations[key] else {
            observations[key] = Observation(
                counter: counter, owner: owner, changedAt: now, notBefore: now, hasMoved: false)
            return
        }
        if seen.counter == counter, seen.owner == owner {
            seen.notBefore = now
        } else {
            seen = Observation(
                counter: counter, owner: owner, changedAt: now, notBefore: now, hasMoved: owner == seen.owner)
        }
        observations[key] = seen
    }

    /// Takes note of a row read at `now`.
    public mutating func observe(_ lease: Lease, at now: Timestamp) {
        let key = lease.leaseKey
        let before = observations[key]
        observe(key: key, counter: lease.leaseCounter, owner: lease.leaseOwner, at: now)
        observations[key]?.declared =
            lease.isOwnerMarked
            ? lease.ownerMark.map { min($0.failoverTime, Self.declaredMax) } : nil
        guard let owner = lease.leaseOwner, !lease.isOwnerMarked else {
            counts[key] = nil
            return
        }
        guard let before, before.owner == owner, before.counter != lease.leaseCounter else {
            if before?.owner != owner { counts[key] = RenewalCount(lease) }
            return
        }
        var count = counts[key] ?? RenewalCount(lease)
        let pulse = count.moved(lease, from: before, at: now, known: pulses[owner])
        if let pulse { note(pulse, of: owner) }
        if pulse != nil || count.isLate { pulses[owner]?.isDoubted = count.isLate }
        counts[key] = count
    }

    private mutating func note(_ pulse: Pulse, of owner: String) {
        guard let known = pulses[owner] else {
            pulses[owner] = pulse
            return
        }
        // KCL renews at a fixed rate: what an outage held up follows it at once, and is no quicker pulse.
        let isBurst = pulse.longest < known.shortest && pulse.span < Pulse.steady
        if isBurst, pulse.at - known.at <= Pulse.memory { return }
        // The sharpest of late.
        if pulse.width <= known.width || pulse.at - known.at > Pulse.memory { pulses[owner] = pulse }
    }

    public mutating func forget(key: String) {
        observations[key] = nil
        counts[key] = nil
    }

    /// Forgets the rows that a full scan no longer showed.
    public mutating func keep(only keys: Set<String>) {
        observations = observations.filter { keys.contains($0.key) }
        counts = counts.filter { keys.contains($0.key) }
        let owners = Set(observations.values.compactMap(\.owner))
        pulses = pulses.filter { owners.contains($0.key) }
    }

    public subscript(key: String) -> Observation? { observations[key] }

    /// How often `owner`, who does not say so itself, renews; `nil` until it was seen.
    public func pulse(of owner: String) -> Pulse? { pulses[owner] }

    /// The failover time by which to judge `owner`, who does not say its own: what its pulse surely shows, if that is
    /// longer than the configured one.
    public func failoverTime(of owner: String, configured: Duration) -> Duration {
        guard let pulse = pulses[owner] else { return max(configured, Self.patience) }
        if pulse.shortestFailoverTime > configured { return pulse.longestFailoverTime }
        if pulse.isDoubted { return max(configured, Self.patience) }
        // It may be longer, and may be not: what is not known well is waited for.
        return pulse.isSharp ? configured : max(configured, min(pulse.longestFailoverTime, Self.patience))
    }

    /// When the lease under `key` expires if its counter does not change; `nil` where it was never seen.
    public func expiry(of key: String, configured: Duration) -> Timestamp? {
        guard let seen = observations[key] else { return nil }
        guard let owner = seen.owner else { return seen.changedAt }
        if let declared = seen.declared { return seen.changedAt + max(configured, declared) }
        return seen.changedAt + failoverTime(of: owner, configured: configured)
    }
}

/// The time between two renewals of a worker, within bounds. KCL renews every failoverTimeMillis / 3 − 25 ms.
public struct Pulse: Hashable, Sendable {
    public var shortest: Duration
    public var longest: Duration
    /// When this was found.
    public var at: Timestamp
    /// For how long the renewals were counted, at the least.
    var span: Duration
    /// The owner was slower of late: an outage, or another owner under the same name.
    var isDoubted = false

    /// KCL's margin for clock granularity.
    private static let epsilon: Duration = .milliseconds(25)
    static let memory: Duration = .seconds(60)
    /// What lasts for so long is no burst.
    static let steady: Duration = .seconds(10)

    public var width: Duration { longest - shortest }
    public var shortestFailoverTime: Duration { (shortest + Self.epsilon) * 3 }
    public var longestFailoverTime: Duration { (longest + Self.epsilon) * 3 }
    /// Known to a third.
    public var isSharp: Bool { shortest > .zero && longest * 3 <= shortest * 4 }
}

/// Counts the renewals of one lease between two moments at which its counter was seen to have changed.
///
/// The counter rises with each checkpoint, too; a step that leaves the checkpoint as it was is a renewal. So the count
/// starts anew at every checkpoint.
private struct RenewalCount: Sendable {
    private var checkpoint: Checkpoint
    private var pending: PendingCheckpoint?
    /// When the renewal happened from which on is counted.
    private var from: (after: Timestamp, by: Timestamp)?
    private var renewals: Int64 = 0
    /// Gaps that did not fit, in a row.
    private var misfits = 0
    /// The last renewal surely came later than the known pulse says.
    private(set) var isLate = false

    /// How old what an eventually consistent read shows may be.
    private static let staleness: Duration = .seconds(1)
    /// A count that is longer tells nothing new, and would carry an old irregularity along.
    private static let renewalsMax: Int64 = 40

    init(_ lease: Lease) {
        checkpoint = lease.checkpoint
        pending = lease.pendingCheckpoint
    }

    /// The counter changed after `before`; `nil` where that says nothing of the pulse.
    mutating func moved(
        _ lease: Lease, from before: Liveness.Observation, at now: Timestamp, known: Pulse?
    ) -> Pulse? {
        let steps = lease.leaseCounter.subtractingReportingOverflow(before.counter)
        guard lease.checkpoint == checkpoint, lease.pendingCheckpoint == pending, !steps.overflow,
            1...Self.renewalsMax ~= steps.partialValue
        else {
            self = RenewalCount(lease)
            return nil
        }
        let change = (after: before.notBefore - Self.staleness, by: now)
        guard let from, renewals + steps.partialValue <= Self.renewalsMax else {
            (from, renewals) = (change, 0)
            return nil
        }
        // An outage is no pulse; a slower one is, when it stays.
        let gap = before.notBefore - Self.staleness - before.changedAt
        isLate = known.map { gap > $0.longest } ?? false
        if let known, gap * 2 > known.longest * 3, misfits < 3 {
            misfits += 1
            (self.from, renewals) = (change, 0)
            return nil
        }
        if known.map({ gap * 2 <= $0.longest * 3 }) ?? true { misfits = 0 }
        renewals += steps.partialValue
        let span = max(.zero, change.after - from.by)
        return Pulse(
            shortest: span / Int(renewals), longest: (change.by - from.after) / Int(renewals), at: now, span: span)
    }
}
