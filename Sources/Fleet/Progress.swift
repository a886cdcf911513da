import Leases
import Machine

/// What the movement of a lease's checkpoint says of its reader.
package struct ProgressView: Hashable, Sendable {
    package enum Judgement: String, Hashable, Sendable, CaseIterable {
        /// It keeps up, or catches up, or nothing speaks against it.
        case ok = "OK"
        /// The checkpoint advances, but the lag does not fall.
        case warn = "WARN"
        /// The lease is renewed, the checkpoint stands, and it is proven that there are records after it.
        case stalled = "STALLED"
        /// Nobody renews the lease.
        case stopped = "STOPPED"
        /// The checkpoint went back and is not yet where it was.
        case rewound = "REWOUND"
    }

    /// When the latest record is reached at the present rates of writing and reading.
    package enum CatchUp: Hashable, Sendable {
        case caughtUp
        case after(Duration)
        case never
    }

    package var judgement: Judgement
    /// `nil` where the rates are not known.
    package var catchUp: CatchUp?

    package init(_ judgement: Judgement, _ catchUp: CatchUp? = nil) {
        self.judgement = judgement
        self.catchUp = catchUp
    }

    /// 0 where it keeps up; `nil` for never and where it is not known.
    package var secondsToCatchUp: Double? {
        switch catchUp {
        case .caughtUp?: 0
        case .after(let left)?: left.inSeconds
        case .never?, nil: nil
        }
    }

    /// For a table: `OK`, `OK 2m05s`, `WARN never`.
    package var brief: String {
        switch catchUp {
        case .after(let left)?: "\(judgement.rawValue) \(left.brief)"
        case .never? where judgement == .warn || judgement == .rewound: "\(judgement.rawValue) never"
        default: judgement.rawValue
        }
    }

    package var words: String {
        switch judgement {
        case .ok:
            switch catchUp {
            case .caughtUp?: "keeps up"
            case .after(let left)?: "behind, caught up in \(left.brief) at the present rates"
            case .never?, nil: "no sign that it falls behind"
            }
        case .warn: "the checkpoint moves, but the lag does not fall: never caught up at the present rates"
        case .stalled: "renewed, but the checkpoint stands though there are records after it"
        case .stopped: "nobody reads it"
        case .rewound:
            switch catchUp {
            case .after(let left)?: "set back, not yet where it was; caught up in \(left.brief) at the present rates"
            case .never?: "set back, not yet where it was; never caught up at the present rates"
            case .caughtUp?, nil: "set back, not yet where it was"
            }
        }
    }
}

/// The recent movements of one lease's checkpoint, bounded, and the judgement of them: Burrow's rules, without a limit
/// that somebody must set.
///
/// Burrow knows the newest offset of each partition; a lease table does not. The time inside a checkpoint's sequence
/// number bounds the lag from above, and on an idle shard the bound rises although nothing waits. So an estimate counts
/// only at the moment when the checkpoint moved, and of one that stands only proof says that records wait: a measured
/// lag that grew, an owner's throughput that rose, a shard that is closed and not ended.
///
/// https://github.com/linkedin/Burrow/wiki/Consumer-Lag-Evaluation-Rules
struct Progress: Sendable {
    /// What one read of the row tells.
    struct Reading {
        var position: Checkpoint
        /// How far behind the latest record delivery (measured) or the position (estimated) is.
        var lag: Lag?
        /// Whether the lease counter is another than at the reading before.
        var hasCounterMoved = false
        /// What the owner says that it reads, kilobytes a second (3.x).
        var throughput: Double?
    }

    /// Who holds the lease, by its counter.
    enum Attendance {
        /// Not watched long enough, or not to be read yet.
        case unknown
        case renewed
        case nobody
    }

    private struct Point {
        var at: Timestamp
        var lagMilliseconds: Int64
        /// The lag is more than what reading and watching at intervals explain.
        var isBehind: Bool
    }

    private var position: Checkpoint?
    /// Where the checkpoint was before it went back; `nil` once it is there again.
    private var highest: Checkpoint?
    private var firstAt: Timestamp = .zero
    private var lastAt: Timestamp = .zero
    private var changedAt: Timestamp = .zero
    private var isChangeSeen = false
    /// The longest of the recent times between two changes of the checkpoint; an old one fades.
    private var usualGap: Duration?

    /// Since when this owner has this checkpoint, how often it renewed since, and when last.
    private var standsSince: Timestamp = .zero
    private var renewals = 0
    private var renewedAt: Timestamp = .zero
    /// When its throughput last rose: until then it read records that are not checkpointed.
    private var readAt: Timestamp?
    private var throughput: Double?

    /// The smallest measured lag since the checkpoint changed, and whether it grew well beyond.
    private var leastLag: Int64?
    private var hasLagGrown = false

    /// Oldest first, all measured or all estimated.
    private var points: [Point] = []
    private var isMeasured = false
    private var isBehind = false

    private static let pointsMax = 12
    private static let spacing: Duration = .seconds(5)
    /// MillisBehindLatest of a reader that polls each second.
    private static let measuredBlur: Int64 = 1000
    /// Times in sequence numbers and in the service's answers are whole seconds.
    private static let estimateBlur: Int64 = 5000

    /// Takes note of a read. One that shows neither a movement nor a measured lag may be left out.
    mutating func note(_ reading: Reading, at now: Timestamp) {
        lastAt = now
        if position == nil {
            firstAt = now
            changedAt = now
            standsSince = now
            position = reading.position
        } else if reading.position != position {
            moved(to: reading, at: now)
        } else if reading.hasCounterMoved {
            renewals += 1
            renewedAt = now
            if let new = reading.throughput, let old = throughput, new > old { readAt = now }
        }
        throughput = reading.throughput
        if let lag = reading.lag, !lag.isUpperBound { measured(lag.milliseconds, at: now) }
    }

    /// Another owner took the lease: it gets its own time to move the checkpoint.
    mutating func ownerChanged(at now: Timestamp) {
        standsSince = now
        renewals = 0
        readAt = nil
        throughput = nil
    }

    private mutating func moved(to reading: Reading, at now: Timestamp) {
        let old = position ?? reading.position
        let new = reading.position
        if new < old, new == .trimHorizon || !new.isSentinel {
            highest = max(highest ?? old, old)
            points = []
        } else if new.isSentinel || new >= highest ?? new {
            // Whoever sets a lease to LATEST wants no more of what was before.
            highest = nil
        }
        // The first change ends a time whose beginning was not seen.
        if isChangeSeen {
            let gap = now - changedAt
            usualGap = max(gap, (usualGap ?? gap) * 7 / 8)
        }
        position = new
        isChangeSeen = true
        changedAt = now
        standsSince = now
        renewals = 0
        readAt = nil
        leastLag = nil
        hasLagGrown = false
        if let lag = reading.lag, lag.isUpperBound, let usualGap { estimated(lag.milliseconds, gap: usualGap, at: now) }
    }

    /// A record older than two of the usual gaps was there when the checkpoint before was made, and was not read then.
    private mutating func estimated(_ lag: Int64, gap: Duration, at now: Timestamp) {
        // What was measured a moment ago is worth more.
        if isMeasured, let last = points.last, now - last.at < .seconds(60) { return }
        append(lag, isBehind: lag > 2 * gap.wholeMilliseconds + Self.estimateBlur, isMeasured: false, at: now)
    }

    private mutating func measured(_ lag: Int64, at now: Timestamp) {
        let least = min(leastLag ?? lag, lag)
        leastLag = least
        if lag <= Self.measuredBlur { hasLagGrown = false } else if lag - least > 1000 { hasLagGrown = true }
        append(lag, isBehind: lag > Self.measuredBlur, isMeasured: true, at: now)
    }

    private mutating func append(_ lag: Int64, isBehind: Bool, isMeasured: Bool, at now: Timestamp) {
        if isMeasured != self.isMeasured { points = [] }
        self.isMeasured = isMeasured
        self.isBehind = isBehind
        var point = Point(at: now, lagMilliseconds: lag, isBehind: isBehind)
        if points.count >= 2, points[points.count - 1].at - points[points.count - 2].at < Self.spacing {
            // To have had no lag once counts, however shortly.
            point.isBehind = isBehind && points[points.count - 1].isBehind
            points[points.count - 1] = point
            return
        }
        if points.count == Self.pointsMax { points.removeFirst() }
        points.append(point)
    }

    /// The judgement; `nil` until there is ground for one.
    ///
    /// - Parameters:
    ///   - isClosed: the shard takes no more records, so a checkpoint that is not SHARD_END has something before it.
    ///   - patience: a checkpoint whose rhythm is known may stand for twice its usual gap and at least so long; five
    ///     times so long where the rhythm is not known and nothing was measured.
    func view(_ attendance: Attendance, isClosed: Bool = false, patience: Duration) -> ProgressView? {
        switch attendance {
        case .unknown: return nil
        case .nobody: return ProgressView(.stopped, .never)
        case .renewed: break
        }
        if isStalled(isClosed: isClosed, patience: patience) { return ProgressView(.stalled, .never) }
        let catchUp = catchUp
        if highest != nil { return ProgressView(.rewound, catchUp) }
        if catchUp == .never { return ProgressView(.warn, .never) }
        guard catchUp != nil || lastAt - firstAt >= .seconds(30) else { return nil }
        return ProgressView(.ok, catchUp)
    }

    private func isStalled(isClosed: Bool, patience: Duration) -> Bool {
        guard renewals >= 2 else { return false }
        let rhythm = usualGap.map { max($0 * 2, patience) }
        let stood = renewedAt - standsSince
        if hasLagGrown { return stood >= rhythm ?? patience }
        let limit = rhythm ?? patience * 5
        // A position that was further is no proof: what lies between may be older than the retention.
        if isClosed, stood >= limit { return true }
        return readAt.map { $0 - standsSince >= limit } ?? false
    }

    private var catchUp: ProgressView.CatchUp? {
        guard let first = points.first, let last = points.last else { return nil }
        // Points tell of the present only while they come.
        let fresh: Duration = isMeasured ? .seconds(60) : (usualGap ?? .zero) * 2 + .seconds(15)
        guard lastAt - last.at <= fresh else { return nil }
        if !isBehind { return .caughtUp }
        guard points.count >= 4, last.at - first.at >= .seconds(15) else { return nil }
        // The mean of the newer half against that of the older: single points are too blurred.
        let half = points.count / 2
        let (earlier, later) = (mean(points.prefix(half)), mean(points.suffix(half)))
        let fall = (earlier.lag - later.lag) / (later.at - earlier.at)
        // Less than a hundredth of the time that passes is no fall that points of whole seconds show.
        if fall > 0.01 { return .after(.milliseconds(Int64(min(1e15, Double(last.lagMilliseconds) / fall)))) }
        return points.allSatisfy(\.isBehind) ? .never : nil
    }

    /// The mean lag and the mean time since the first reading, in milliseconds.
    private func mean(_ points: ArraySlice<Point>) -> (at: Double, lag: Double) {
        var (at, lag) = (0.0, 0.0)
        for point in points {
            at += (point.at - firstAt).inSeconds * 1000
            lag += Double(point.lagMilliseconds)
        }
        return (at / Double(points.count), lag / Double(points.count))
    }
}
