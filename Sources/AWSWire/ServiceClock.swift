import Machine

/// What the `Date` of the answers tells about the service's clock: by how much it is ahead of ours.
///
/// A `Date` of second S, answered between our times `sent` and `received`, says that the difference lies between
/// S − received and S + 1 s − sent. Every answer narrows that range, so that it soon is smaller than the second in
/// which dates are told.
struct ServiceClock: Sendable {
    private var lowest: Duration?
    private var highest: Duration = .zero
    private var learnedAt: Timestamp = .zero
    /// How fast two clocks may part: what is known gets less certain at this rate.
    private static let driftPerMillion = 500

    /// The service's clock minus ours; `nil` before the first answer.
    var offset: Duration? { lowest.map { ($0 + highest) / 2 } }

    mutating func learn(_ date: UnixTime, sent: UnixTime, received: UnixTime, at now: Timestamp) {
        let least = date - received
        let most = date + .seconds(1) - sent
        // Our own clock was set while the answer was on its way.
        guard least <= most else { return }
        defer { learnedAt = now }
        if let lowest {
            let drift = (now - learnedAt) * Self.driftPerMillion / 1_000_000
            let narrowed = (least: max(lowest - drift, least), most: min(highest + drift, most))
            if narrowed.least <= narrowed.most {
                self.lowest = narrowed.least
                highest = narrowed.most
                return
            }
            // One of the clocks was set: what was known is of no use.
        }
        lowest = least
        highest = most
    }
}
