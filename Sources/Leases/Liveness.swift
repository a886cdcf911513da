public import Machine

/// Who is alive, judged as KCL does: a lease whose counter did not change for the failover time is expired, on the
/// observer's own monotonic clock (kcl.md §3.1). Nothing in the table is a time.
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
    }

    private var observations: [String: Observation] = [:]
    /// The gaps between two renewals seen of an owner, by owner.
    private var gaps: [String: Gaps] = [:]

    /// The largest gap of late: an outage must not slow failover down for ever.
    private struct Gaps: Sendable {
        /// Since `since`, and in the span before it.
        var recent: Duration = .zero
        var before: Duration = .zero
        var since: Timestamp

        var largest: Duration { max(recent, before) }
    }

    /// A gap is remembered for one to two of these; for longer where the next one takes longer to see.
    private static let gapMemory: Duration = .seconds(20)

    /// How old what an eventually consistent read shows may be: the counter may have moved so long before it was last
    /// seen unmoved.
    private static let staleness: Duration = .seconds(1)

    public init() {}

    /// Takes note of a row read at `now`. `readAt` is when the read before it of the same row happened, if it did.
    public mutating func observe(key: String, counter: Int64, owner: String?, at now: Timestamp) {
        guard var seen = observations[key] else {
            observations[key] = Observation(
                counter: counter, owner: owner, changedAt: now, notBefore: now, hasMoved: false)
            return
        }
        if seen.counter == counter, seen.owner == owner {
            seen.notBefore = now
        } else {
            if let owner, owner == seen.owner, seen.hasMoved {
                // Only a step of one bounds the gap: it lies between the last sight of the old counter minus its age
                // and now; the surely observed part is what counts.
                let gap = counter == seen.counter &+ 1 ? seen.notBefore - seen.changedAt - Self.staleness : nil
                note(gap: gap, of: owner, at: now)
            }
            seen = Observation(
                counter: counter, owner: owner, changedAt: now, notBefore: now, hasMoved: owner == seen.owner)
        }
        observations[key] = seen
    }

    /// `gap` is `nil` where the owner moved and nothing is known of the gap: that, too, lets old gaps go.
    private mutating func note(gap: Duration?, of owner: String, at now: Timestamp) {
        guard var seen = gaps[owner] ?? gap.map({ _ in Gaps(since: now) }) else { return }
        if now - seen.since > Self.gapMemory { seen = Gaps(before: seen.recent, since: now) }
        seen.recent = max(seen.recent, gap ?? .zero)
        gaps[owner] = seen
    }

    public mutating func forget(key: String) { observations[key] = nil }

    /// Forgets the rows that a full scan no longer showed.
    public mutating func keep(only keys: Set<String>) {
        observations = observations.filter { keys.contains($0.key) }
    }

    public subscript(key: String) -> Observation? { observations[key] }

    /// The largest renewal gap seen of `owner` of late; `nil` until its pulse is known.
    public func largestGap(of owner: String) -> Duration? { gaps[owner]?.largest }

    /// The failover time to use for `owner`: the larger of the configured one and three times its largest gap, so that
    /// a foreign worker with a slower pulse is not robbed.
    public func failoverTime(of owner: String, configured: Duration) -> Duration {
        max(configured, (largestGap(of: owner) ?? .zero) * 3)
    }

    /// When the lease under `key` expires if its counter does not change; `nil` where it was never seen.
    public func expiry(of key: String, configured: Duration) -> Timestamp? {
        guard let seen = observations[key] else { return nil }
        guard let owner = seen.owner else { return seen.changedAt }
        return seen.changedAt + failoverTime(of: owner, configured: configured)
    }
}
