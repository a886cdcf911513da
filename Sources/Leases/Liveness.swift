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
    private var rhythms: [String: Rhythm] = [:]

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
        guard let before, before.owner == owner else {
            if before != nil { rhythms[owner, default: Rhythm()].showsLife(at: now, after: .zero) }
            counts[key] = RenewalCount(lease)
            return
        }
        if before.counter == lease.leaseCounter { return }
        var rhythm = rhythms[owner] ?? Rhythm()
        rhythm.showsLife(at: now, after: RenewalCount.silence(before))
        var count = counts[key] ?? RenewalCount(lease)
        if let pulse = count.moved(lease, from: before, at: now, lateAt: rhythm.lateAt) {
            rhythm.note(pulse, isSettled: count.isSettled)
        }
        counts[key] = count
        rhythms[owner] = rhythm
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
        rhythms = rhythms.filter { owners.contains($0.key) }
    }

    public subscript(key: String) -> Observation? { observations[key] }

    /// How often `owner`, who does not say so itself, seems to renew; `nil` until it was seen. A burst that follows a
    /// stall may make it look quicker than it is.
    public func pulse(of owner: String) -> Pulse? { rhythms[owner]?.pulse }

    /// How often `owner` surely renews; `nil` where that is not known, or no more.
    public func settledPulse(of owner: String) -> Pulse? { rhythms[owner]?.settled }

    /// The failover time by which to judge `owner`, who does not say its own: what its pulse surely shows, if that is
    /// longer than the configured one.
    public func failoverTime(of owner: String, configured: Duration) -> Duration {
        guard let pulse = settledPulse(of: owner) else { return max(configured, Self.patience) }
        if pulse.shortestFailoverTime > configured { return pulse.longestFailoverTime }
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
