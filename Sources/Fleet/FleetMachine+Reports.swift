import AWSWire
import Leases
import Machine

/// How often a 3.x worker reports, by its own clock.
struct ReportPace: Sendable {
    private static let gapsMax = 10
    /// Longer than any worker is silent that reports: it was away, or we were.
    private static let gapMax: Duration = .seconds(120)
    private var last: UnixTime
    private var gaps: [Duration] = []
    /// When the last report was first read, by our clock.
    private var changedAt: Timestamp

    init(_ time: UnixTime, at now: Timestamp) {
        last = time
        changedAt = now
    }

    /// Another report, or the last one read again.
    mutating func note(_ time: UnixTime, at now: Timestamp) {
        guard time != last else { return }
        // Of two workers with clocks apart the later report may bear the earlier time.
        let gap = time > last ? time - last : last - time
        if gap > Self.gapMax { gaps = [] } else { gaps.append(gap) }
        if gaps.count > Self.gapsMax { gaps.removeFirst() }
        last = time
        changedAt = now
    }

    /// Whether it still reports; its row stays for a day after it stopped.
    func isCurrent(at now: Timestamp) -> Bool { now - changedAt <= Self.gapMax }

    /// Some of its reports were seen, and not yet enough.
    var isLearning: Bool { 1..<Self.gapsMax ~= gaps.count }

    /// The average of the last ten; `nil` before there are as many.
    var interval: Duration? {
        gaps.count == Self.gapsMax ? gaps.reduce(.zero, +) / Self.gapsMax : nil
    }
}

/// Two workers of one id renew the same leases and never notice each other (kcl.md §0.1): the lease table shows one
/// worker. In a 3.x fleet their reports, in one row, come twice as often as those of others.
extension FleetMachine {
    /// What reporters do unless `workerMetricsReporterFreqInMillis` says otherwise.
    private static let reportInterval: Duration = .seconds(30)
    /// Of the others' interval; two workers report in half of it.
    private static let tooOften = 0.7

    /// Notes the reports in the lease table (3.5 and later), called after every scan.
    mutating func noteReportsOfLeaseTable(at now: Timestamp) {
        var reports: [(worker: String, time: UnixTime)] = []
        for place in rows.slots.indices {
            guard case .foreign(let key, "WORKER_METRIC_STATS")? = rows.slots[place].other,
                let seconds = rows.slots[place].stored["lut"]?.int, seconds >= 0, seconds < 1 << 40
            else { continue }
            reports.append((key, UnixTime(milliseconds: seconds * 1000)))
        }
        sides.pacesOfLeaseTable.note(reports, at: now)
    }

    func reportFindings(at now: Timestamp) -> [Finding] {
        // While a fleet moves from one table to the other it reports in one of them.
        let paces = sides.paces.filter { $0.value.isCurrent(at: now) }
            .merging(sides.pacesOfLeaseTable.filter { $0.value.isCurrent(at: now) }) { $1 }
        // Whoever is soonest known is not compared with nobody.
        guard !paces.values.contains(where: \.isLearning) else { return [] }
        let intervals = paces.compactMapValues(\.interval)
        return intervals.sorted { $0.key < $1.key }.compactMap { worker, interval in
            let others = intervals.filter { $0.key != worker }.values.sorted()
            // One neighbour alone may be slow for reasons of its own.
            let usual =
                others.count > 1
                ? others[(others.count - 1) / 2] : min(others.first ?? Self.reportInterval, Self.reportInterval)
            guard interval < usual * Self.tooOften else { return nil }
            let comparison =
                others.isEmpty
                ? "where KCL does every \(usual.brief) unless it is told otherwise" : "the others every \(usual.brief)"
            return Finding(
                kind: .sameID, subject: worker, severity: .warning, workerID: worker,
                message: "\(worker) reports every \(interval.brief), \(comparison): two workers have this id, so both "
                    + "read its shards and neither notices, or one starts again and again; give each its own workerId")
        }
    }
}

extension [String: ReportPace] {
    /// Notes all reports of one read of a table. Who is not among them is forgotten.
    mutating func note(_ reports: [(worker: String, time: UnixTime)], at now: Timestamp) {
        var paces: [String: ReportPace] = [:]
        for (worker, time) in reports {
            var pace = self[worker] ?? ReportPace(time, at: now)
            pace.note(time, at: now)
            paces[worker] = pace
        }
        self = paces
    }
}
