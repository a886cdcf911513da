import AWSWire
import Leases
import Machine

/// What cannot be read.
extension FleetMachine {
    func rowFindings(_ rows: [OtherRow]) -> [Finding] {
        let odd = rows.filter { $0.oddity != nil }
        guard let first = odd.first else { return [] }
        return [
            Finding(
                kind: .oddRow, severity: .warning, shardIDs: odd.map(\.key),
                message: "\(odd.count == 1 ? "row" : "\(odd.count) rows, first") \(first.key): \(first.oddity ?? ""); "
                    + "workers may stumble over it")
        ]
    }

    func failureFindings(at now: Timestamp) -> [Finding] {
        var findings: [Finding] = []
        let table = configuration.identity.table
        if let notALeaseTable {
            findings.append(
                Finding(
                    kind: .table, severity: .critical,
                    message: "\(table) is not a lease table: \(notALeaseTable); give the application's own with --table"
                ))
        }
        for what in [Failing.scan, .shards, .stream, .table, .migration, .leader, .metrics, .probe, .cloudWatch, .rows]
        {
            guard let failing = failures[what] else { continue }
            // Said once of one table.
            if what == .table, isTableMissing, failing.failure.meaning == .notFound { continue }
            // The scan says it too, or reads them all the same.
            if what == .rows, failures[.scan] != nil || failing.failure.meaning == .transient && failing.count < 3 {
                continue
            }
            findings.append(
                deniedStreamFinding(what, failing.failure)
                    ?? failureFinding(what, failing.failure, count: failing.count))
        }
        findings += namedStreamFindings()
        if configuration.measures.contains(.probe), scans > 0, !namesStreams, configuration.identity.stream == nil {
            findings.append(
                Finding(
                    kind: .stream, subject: "probe", severity: .info,
                    message: "no lag is probed: that reads the stream's shards, and the table does not name it; give "
                        + "--stream"))
        }
        if case .foreign(let why)? = streamMatch, let stream = configuration.identity.stream {
            findings.append(
                Finding(
                    kind: .stream, subject: "foreign", severity: .warning,
                    message: "\(stream) is not the stream of \(table), \(why): is it the right one?"))
        }
        let offset = clock.offset
        if offset != .zero {
            let isAhead = offset < .zero
            findings.append(
                Finding(
                    kind: .clock, severity: .info,
                    message: "this machine's clock is \((isAhead ? .zero - offset : offset).brief) "
                        + "\(isAhead ? "ahead of" : "behind") the service's; times are shown by the service's"))
        }
        return findings
    }

    private var isTableMissing: Bool { failures[.scan]?.failure.meaning == .notFound }

    private func failureFinding(_ what: Failing, _ failure: FleetFailure, count: Int) -> Finding {
        if what == .scan, isTableMissing, !ownWorkers.isEmpty {
            return Finding(
                kind: .table, subject: "\(what)", severity: .info,
                message: "there is no table \(configuration.identity.table) yet: the worker here creates it")
        }
        let isOptional = ![Failing.scan, .shards, .stream].contains(what)
        if failure.meaning == .denied, isOptional {
            let loss =
                switch what {
                case .migration where mode == nil:
                    "whether workers take leases or a 3.x leader assigns them stays unknown, and steal is off"
                case .metrics: "what the workers report is not shown, and assign is off"
                case .probe: "lags are estimated"
                case .rows: "rows on screen are as old as the last scan"
                default: "shown without it"
                }
            return Finding(
                kind: .denied, subject: "\(what)", severity: .info, message: "\(failure.message); \(loss)")
        }
        if failure.meaning == .throttled {
            return Finding(
                kind: .throttled, subject: "\(what)", severity: .warning, message: failure.message)
        }
        let isPassing = failure.meaning == .transient && count < 3
        let severity: Severity = isOptional ? .info : isPassing ? .warning : .critical
        let kind: Problem.Kind = what == .shards || what == .stream ? .stream : .table
        return Finding(kind: kind, subject: "\(what)", severity: severity, message: failure.message)
    }
}
