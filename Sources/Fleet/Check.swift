import Machine

/// A fleet in one line and one status, in the convention of monitoring plugins.
///
/// https://www.monitoring-plugins.org/doc/guidelines.html: status, text, `|`, performance data.
package struct Check: Hashable, Sendable {
    package enum Status: Int32, Hashable, Sendable {
        case ok = 0
        case warning = 1
        case critical = 2
        /// Nothing can be said: not readable, not watched long enough.
        case unknown = 3

        var word: String {
            switch self {
            case .ok: "OK"
            case .warning: "WARNING"
            case .critical: "CRITICAL"
            case .unknown: "UNKNOWN"
            }
        }

        /// What was seen to be wrong goes before what could not be seen.
        fileprivate var rank: Int {
            switch self {
            case .ok: 0
            case .unknown: 1
            case .warning: 2
            case .critical: 3
            }
        }
    }

    /// What is not given is not judged.
    package struct Limits: Hashable, Sendable {
        package var lag: Duration?
        package var checkpointAge: Duration?

        package init(lag: Duration? = nil, checkpointAge: Duration? = nil) {
            self.lag = lag
            self.checkpointAge = checkpointAge
        }
    }

    package var status: Status
    package var line: String

    /// - Parameter hasStream: whether a stream was asked for, which `snapshot` must then show.
    package init(_ snapshot: FleetSnapshot, limits: Limits, hasStream: Bool) {
        let figures = CheckFigures(snapshot)
        var findings = Self.findings(snapshot, figures, hasStream: hasStream)
        if snapshot.scans > 0 { findings += Self.lagFindings(figures, limits) }
        findings = findings.enumerated().sorted { ($1.element.0.rank, $0.offset) < ($0.element.0.rank, $1.offset) }
            .map(\.element)
        status = findings.first?.0 ?? .ok
        let texts = findings.map(\.1)
        let text: String
        if let worst = texts.first {
            text = texts.count == 1 ? worst : "\(worst) (+\(texts.count - 1) more)"
        } else {
            text =
                "\(count(figures.leases, "lease")), \(count(figures.workers, "worker"))"
                + (figures.lag.map { ", max lag \($0.isUpperBound ? "<=" : "")\($0.brief)" } ?? "")
        }
        line = Self.line(status, text)
        if snapshot.scans > 0 { line += " | " + figures.performance(limits) }
    }

    /// The line of a check that could not be made.
    package static func unknown(_ reason: String) -> String { line(.unknown, reason) }

    private static func line(_ status: Status, _ text: String) -> String {
        "SHARDTOP \(status.word) - \(StatusReport.printable(text).replacing("|", with: "/"))"
    }

    // MARK: - Findings

    private typealias Finding = (Status, String)

    private static func findings(
        _ snapshot: FleetSnapshot, _ figures: CheckFigures, hasStream: Bool
    ) -> [Finding] {
        guard snapshot.scans > 0 else {
            return [(.unknown, snapshot.problems.first?.message ?? "the table \(snapshot.identity.table) was not read")]
        }
        var findings = snapshot.problems.compactMap { problem -> Finding? in
            if problem.severity == .info { return nil }
            if problem.isOfWatching { return (.unknown, problem.message) }
            return (problem.severity == .critical ? .critical : .warning, problem.message)
        }
        let isListed = snapshot.shards != nil || snapshot.streams.contains { $0.shards != nil }
        if hasStream, !isListed, !findings.contains(where: { $0.0 == .unknown }) {
            findings.append((.unknown, "the stream \(snapshot.identity.stream ?? "") was not listed"))
        }
        if figures.leases == 0, !findings.contains(where: { $0.0 != .ok }) {
            findings.append((.unknown, "the table \(snapshot.identity.table) holds no lease that is still read"))
        }
        let readable = figures.leases - figures.blocked
        if readable > 0, figures.unowned + figures.expired == readable {
            findings.append((.critical, "nobody reads any of the \(count(readable, "lease"))"))
        } else if figures.unowned > 0, !snapshot.problems.contains(where: { $0.kind == .unowned }) {
            // Seldom watched as long as the doctor's patience.
            let patience = min(snapshot.failoverTime.duration, snapshot.observedFor * 0.8)
            let free = snapshot.leases.filter { $0.state == .free && ($0.counterAge ?? .zero) >= patience }
            if let first = free.first {
                let rest = free.count == 1 ? "" : " and \(free.count - 1) more"
                findings.append(
                    (.warning, "\(first.fullName)\(rest) unowned all the \(snapshot.observedFor.brief) watched"))
            }
        }
        if figures.unsure > 0 {
            findings.append(
                (
                    .unknown,
                    "no renewal of \(count(figures.unsure, "lease")) was seen in \(snapshot.observedFor.brief): give a "
                        + "longer --observe, or --failover-time"
                ))
        }
        return findings
    }

    private static func lagFindings(_ figures: CheckFigures, _ limits: Limits) -> [Finding] {
        var findings: [Finding] = []
        if let limit = limits.lag {
            for lag in [figures.measuredLag, figures.lag].compactMap(\.self)
            where lag.milliseconds > limit.wholeMilliseconds {
                // An idle shard's estimate grows though nothing waits in it.
                findings.append(
                    (
                        lag.isUpperBound ? .warning : .critical,
                        "\(lag.shardID) lags \(lag.isUpperBound ? "up to " : "")\(lag.brief), more than \(limit.brief)"
                    ))
                break
            }
        }
        if let limit = limits.checkpointAge, let age = figures.checkpointAge,
            age.milliseconds > limit.wholeMilliseconds
        {
            findings.append(
                (
                    age.isUpperBound ? .warning : .critical,
                    "the checkpoint of \(age.shardID) is \(age.brief) old, more than \(limit.brief)"
                ))
        }
        return findings
    }
}

private func count(_ number: Int, _ what: String) -> String { "\(number) \(what)\(number == 1 ? "" : "s")" }

extension Problem {
    /// It hinders the watching, and says nothing of the fleet.
    package var isOfWatching: Bool {
        switch kind {
        case .table, .denied: true
        case .stream: id != "\(Kind.stream.rawValue):foreign"
        case .throttled: shardIDs.isEmpty
        default: false
        }
    }
}

/// What a check counts: leases of ended shards are not among them.
private struct CheckFigures {
    struct Worst {
        var shardID: String
        var milliseconds: Int64
        var isUpperBound: Bool

        var brief: String { Duration.milliseconds(milliseconds).brief }
    }

    var leases = 0
    var workers = 0
    var unowned = 0
    var expired = 0
    /// Leases that wait for their parents to end, as they should.
    var blocked = 0
    /// Leases whose owner may be alive or dead.
    var unsure = 0
    var problems = 0
    var lag: Worst?
    var measuredLag: Worst?
    var checkpointAge: Worst?

    init(_ snapshot: FleetSnapshot) {
        problems = snapshot.problems.count { $0.severity > .info }
        for view in snapshot.leases where view.kind == .lease && view.state != .ended && view.state != .orphan {
            leases += 1
            switch view.state {
            case .free: unowned += 1
            case .expired: expired += 1
            case .blocked: blocked += 1
            case .learning: unsure += 1
            case .late where !snapshot.failoverTime.isKnown: unsure += 1
            default: break
            }
            if let lag = view.deliveredLag ?? view.checkpointLag {
                let found = Worst(
                    shardID: view.fullName, milliseconds: lag.milliseconds, isUpperBound: lag.isUpperBound)
                self.lag = Self.worse(self.lag, found)
                if !lag.isUpperBound { measuredLag = Self.worse(measuredLag, found) }
            }
            if let age = view.checkpointLag {
                checkpointAge = Self.worse(
                    checkpointAge,
                    Worst(shardID: view.fullName, milliseconds: age.milliseconds, isUpperBound: age.isUpperBound))
            }
        }
        workers = snapshot.workers.count { $0.leases > 0 && $0.state != .expired && $0.state != .stopped }
    }

    private static func worse(_ a: Worst?, _ b: Worst) -> Worst {
        guard let a, (a.milliseconds, a.isUpperBound ? 0 : 1) >= (b.milliseconds, b.isUpperBound ? 0 : 1) else {
            return b
        }
        return a
    }

    /// `label=value;warn;crit;min`; what is not known is `U`.
    func performance(_ limits: Check.Limits) -> String {
        func time(_ label: String, _ worst: Worst?, _ limit: Duration?) -> String {
            let bound = limit.map { seconds($0.wholeMilliseconds) } ?? ""
            let critical = worst.map { !$0.isUpperBound } ?? true ? bound : ""
            return "\(label)=\(worst.map { seconds($0.milliseconds) + "s" } ?? "U");\(bound);\(critical);0"
        }
        return [
            time("maxlag", lag, limits.lag), time("maxcheckpointage", checkpointAge, limits.checkpointAge),
            "leases=\(leases);;;0", "workers=\(workers);;;0", "unowned=\(unowned);;;0", "expired=\(expired);;;0",
            "problems=\(problems);;;0",
        ].joined(separator: " ")
    }

    /// `4.1`, `60`: with one decimal, unless it is 0.
    private func seconds(_ milliseconds: Int64) -> String {
        let tenths = milliseconds / 100
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }
}
