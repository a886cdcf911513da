import AWSWire
import Leases
import Machine

/// How often a 3.x worker reports, by its own clock.
struct ReportPace: Sendable {
    private static let gapsMax = 10
    private var last: UnixTime
    private var gaps: [Duration] = []

    init(_ time: UnixTime) { last = time }

    /// Another report, or the last one read again.
    mutating func note(_ time: UnixTime) {
        guard time != last else { return }
        // Of two workers with clocks apart the later report may bear the earlier time.
        gaps.append(time > last ? time - last : last - time)
        if gaps.count > Self.gapsMax { gaps.removeFirst() }
        last = time
    }

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
    mutating func noteReportsOfLeaseTable() {
        var reports: [(worker: String, time: UnixTime)] = []
        for place in rows.slots.indices {
            guard case .foreign(let key, "WORKER_METRIC_STATS")? = rows.slots[place].other,
                let seconds = rows.slots[place].stored["lut"]?.int, seconds >= 0, seconds < 1 << 40
            else { continue }
            reports.append((key, UnixTime(milliseconds: seconds * 1000)))
        }
        guard !reports.isEmpty else { return }
        note(reports)
    }

    /// Notes all reports of one read. Who is not among them is forgotten.
    mutating func note(_ reports: [(worker: String, time: UnixTime)]) {
        var paces: [String: ReportPace] = [:]
        for (worker, time) in reports {
            var pace = sides.paces[worker] ?? ReportPace(time)
            pace.note(time)
            paces[worker] = pace
        }
        sides.paces = paces
    }

    func reportFindings() -> [Finding] {
        let intervals = sides.paces.compactMapValues(\.interval)
        return intervals.sorted { $0.key < $1.key }.compactMap { worker, interval in
            let others = intervals.filter { $0.key != worker }.values.sorted()
            let usual = others.isEmpty ? Self.reportInterval : others[others.count / 2]
            guard interval < usual * Self.tooOften else { return nil }
            let comparison =
                others.isEmpty
                ? "where KCL does every \(usual.brief) unless it is told otherwise" : "the others every \(usual.brief)"
            return Finding(
                kind: .sameID, subject: worker, severity: .warning, workerID: worker, patience: .seconds(60),
                message: "\(worker) reports every \(interval.brief), \(comparison): two workers have this id, so both "
                    + "read its shards and neither notices, or one starts again and again; give each its own workerId")
        }
    }
}
