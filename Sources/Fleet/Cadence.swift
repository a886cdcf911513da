import Machine

/// The rhythm of one lease's counter, from reads between which its checkpoint did not change: a checkpoint raises the
/// counter too, so only the others are renewals.
struct Cadence: Hashable, Sendable {
    /// Where it began, and how late that may have been seen.
    private var first: (at: Timestamp, counter: Int64, late: Duration)?
    private var lastAt: Timestamp = .zero
    /// The mean time between two renewals and how far off it may be, as a part of itself.
    private(set) var gap: Duration?
    private(set) var tolerance: Double = 1

    /// Takes note of a counter that changed, seen by reads about `refresh` apart: so much later than it did, at most.
    mutating func changed(to counter: Int64, at now: Timestamp, refresh: Duration) {
        guard let first, counter > first.counter, now > first.at else {
            restart(at: now, counter, late: refresh)
            return
        }
        if let gap, now - lastAt > gap * 4 + refresh {
            // The owner or this observer paused; that is no rhythm.
            restart(at: now, counter, late: refresh)
            return
        }
        if gap == nil, refresh * 3 < first.late {
            // A look so much sharper is worth more than the time that was watched.
            restart(at: now, counter, late: refresh)
            return
        }
        lastAt = now
        let late = max(refresh, first.late)
        let steps = counter - first.counter
        let elapsed = now - first.at
        guard steps >= 2, elapsed >= late * 3 else { return }
        gap = .nanoseconds(elapsed.wholeNanoseconds / steps)
        tolerance = late.inSeconds / elapsed.inSeconds + 0.03
        if elapsed > .seconds(120) { restart(at: now, counter, late: refresh) }
    }

    /// Begins anew: the owner or the checkpoint changed.
    mutating func interrupt() { first = nil }

    private mutating func restart(at now: Timestamp, _ counter: Int64, late: Duration) {
        first = (now, counter, late)
        lastAt = now
    }

    static func == (a: Cadence, b: Cadence) -> Bool {
        a.first?.at == b.first?.at && a.first?.counter == b.first?.counter && a.lastAt == b.lastAt && a.gap == b.gap
    }

    func hash(into hasher: inout Hasher) { hasher.combine(gap) }
}

/// The failover time that workers with these rhythms have: KCL renews every third of it, less 25 ms.
///
/// - Parameter gaps: mean time between two renewals of a lease, with its tolerance; one a lease.
/// - Returns: the value a person would have configured where one lies within the tolerance; `nil` without evidence.
func inferredFailoverTime(_ gaps: [(gap: Duration, tolerance: Double)]) -> Duration? {
    guard !gaps.isEmpty else { return nil }
    let sorted = gaps.sorted { $0.gap < $1.gap }
    let median = sorted[sorted.count / 2]
    let estimate = median.gap.inSeconds * 3 + 0.075
    let usual: [Double] = [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600]
    let nearest = usual.min { abs($0 - estimate) < abs($1 - estimate) } ?? estimate
    if abs(nearest - estimate) <= estimate * min(median.tolerance, 0.25) { return .seconds(nearest) }
    return .milliseconds(Int64((estimate * 10).rounded(.up)) * 100)
}
