package import AWSWire
import Leases
import Machine

/// A snapshot as text, for scripts and for people without a screen.
package enum StatusReport {
    package enum Format: String, Sendable, CaseIterable {
        case table
        case json
        case csv
        /// The text format of Prometheus.
        case prometheus
    }

    package static func text(_ snapshot: FleetSnapshot, as format: Format) -> String {
        switch format {
        case .table: table(snapshot)
        case .json: JSON.text(json(snapshot)) + "\n"
        case .csv: csv(snapshot)
        case .prometheus: prometheus(snapshot)
        }
    }

    // MARK: - JSON

    /// The object of `status --format json`, version 1: members are never renamed, new ones may come.
    package static func json(_ snapshot: FleetSnapshot) -> AWSValue {
        let identity = snapshot.identity
        return object([
            ("version", 1), ("application", .string(identity.application)), ("stream", string(identity.stream)),
            ("region", .string(identity.region)), ("account", string(identity.account)),
            ("tableArn", string(identity.tableARN)), ("takenAt", .string(CivilTime(snapshot.takenAt).iso8601)),
            ("observedSeconds", rounded(snapshot.observedFor.inSeconds)),
            ("generation", .string(snapshot.generation.rawValue)), ("mode", string(snapshot.mode?.words)),
            ("leader", string(snapshot.leader)),
            ("leaderHeartbeatAgeSeconds", seconds(snapshot.leaderHeartbeat?.age)),
            ("migration", migration(snapshot.migration)), ("layout", string(snapshot.layout?.rawValue)),
            ("assignment", string(snapshot.assignment?.words)),
            ("failoverTimeMillis", .int(snapshot.failoverTime.duration.wholeMilliseconds)),
            ("failoverTimeSource", .string(snapshot.failoverTime.source.rawValue)),
            ("retentionHours", snapshot.retention.map { .int($0.wholeMilliseconds / 3_600_000) } ?? .null),
            ("streamState", string(snapshot.streamMatch?.word)), ("streamStateWhy", string(snapshot.streamMatch?.why)),
            ("streams", .list(snapshot.streams.map { json($0, in: snapshot) })),
            ("leases", .list(snapshot.leases.map(json))), ("workers", .list(snapshot.workers.map(json))),
            ("problems", .list(snapshot.problems.map(json))),
            (
                "totals",
                object([
                    ("open", int(snapshot.totals.open)), ("draining", int(snapshot.totals.draining)),
                    ("ended", int(snapshot.totals.ended)), ("unowned", int(snapshot.totals.unowned)),
                    ("maxCheckpointLagMilliseconds", lag(snapshot.totals.maxCheckpointLag)),
                    ("maxDeliveredLagMilliseconds", lag(snapshot.totals.maxDeliveredLag)),
                ])
            ),
            (
                "cost",
                object([
                    ("readCapacityUnits", rounded(snapshot.cost.readUnits)), ("calls", int(snapshot.cost.calls)),
                ])
            ),
        ])
    }

    private static func json(_ view: LeaseView) -> AWSValue {
        let source = (view.deliveredLag ?? view.checkpointLag)?.source.rawValue ?? "none"
        return object([
            ("leaseKey", view.kind == .lease ? .string(view.id) : .null),
            ("shardId", view.kind == .hole ? .null : .string(view.shardID)), ("stream", string(view.stream)),
            ("owner", string(view.owner)), ("checkpointOwner", string(view.checkpointOwner)),
            ("state", .string(view.state.rawValue)), ("why", .string(view.why)),
            ("checkpoint", string(view.checkpoint?.text)),
            ("checkpointSubSequenceNumber", view.checkpoint.map { .int($0.subSequenceNumber) } ?? .null),
            ("checkpointAgeSeconds", seconds(view.checkpointAge)),
            ("checkpointLagMilliseconds", lag(view.checkpointLag)),
            ("deliveredLagMilliseconds", lag(view.deliveredLag)), ("lagSource", .string(source)),
            ("secondsToTrim", view.secondsToTrim.map { .int($0) } ?? .null),
            ("leaseCounter", view.leaseCounter.map { .int($0) } ?? .null),
            ("counterAgeSeconds", seconds(view.counterAge)),
            ("ownerSwitchesSinceCheckpoint", .int(view.ownerSwitches)),
            ("parentShardIds", .list(view.parents.map { .string($0) })),
            ("childShardIds", .list(view.children.map { .string($0) })),
            ("startingHashKey", string(view.hashKeyRange.map { String($0.start) })),
            ("endingHashKey", string(view.hashKeyRange.map { String($0.end) })),
            ("pendingCheckpoint", string(view.lease?.pendingCheckpoint?.checkpoint.text)),
            ("throughputKBps", view.kilobytesPerSecond.map { rounded($0) } ?? .null),
            ("progress", string(view.progress?.judgement.rawValue)),
            ("secondsToCatchUp", view.progress?.secondsToCatchUp.map { rounded($0) } ?? .null),
            ("catchesUp", view.progress?.catchUp.map { .bool($0 != .never) } ?? .null),
        ])
    }

    private static func json(_ worker: WorkerView) -> AWSValue {
        object([
            ("workerId", .string(worker.workerID)), ("leases", int(worker.leases)),
            ("activeLeases", int(worker.activeLeases)), ("state", .string(worker.state.rawValue)),
            ("report", json(worker.report)),
        ])
    }

    private static func json(_ problem: Problem) -> AWSValue {
        object([
            ("id", .string(problem.id)), ("kind", .string(problem.kind.rawValue)),
            ("severity", .string(problem.severity.name)), ("since", .string(CivilTime(problem.since).iso8601)),
            ("shardIds", .list(problem.shardIDs.map { .string($0) })), ("workerId", string(problem.workerID)),
            ("stream", string(problem.stream)),
            ("message", .string(problem.message)),
            ("action", string(problem.action?.label)),
        ])
    }

    static func object(_ members: [(String, AWSValue)]) -> AWSValue {
        var value: AWSValue = [:]
        for (name, member) in members { value[name] = member }
        return value
    }

    static func string(_ text: String?) -> AWSValue { text.map { .string($0) } ?? .null }
    static func int(_ value: Int) -> AWSValue { .int(Int64(value)) }
    static func lag(_ lag: Lag?) -> AWSValue { lag.map { .int($0.milliseconds) } ?? .null }
    private static func seconds(_ duration: Duration?) -> AWSValue { duration.map { rounded($0.inSeconds) } ?? .null }

    /// Three decimals; a whole number without any.
    static func rounded(_ value: Double) -> AWSValue {
        guard value.isFinite else { return .null }
        let scaled = (value * 1000).rounded() / 1000
        return Int64(exactly: scaled).map { .int($0) } ?? .double(scaled)
    }

    // MARK: - Table

    private static func table(_ snapshot: FleetSnapshot) -> String {
        let identity = snapshot.identity
        var lines = [
            ([
                identity.application, identity.stream.map { "stream \($0)" }, identity.account, identity.region,
                "KCL \(snapshot.generation.rawValue)", CivilTime(snapshot.takenAt).iso8601,
            ] as [String?]).compactMap { $0 }.joined(separator: "  ")
        ]
        if let line = fleetLine(snapshot) { lines.append(line) }
        lines += streamLines(snapshot)
        let names = snapshot.namesStreams
        lines += ["\(snapshot.verdict.word)  \(snapshot.verdict.text)", ""]
        lines += aligned(
            [
                (names ? ["STREAM"] : []) + [
                    "SHARD", "STATE", "OWNER", "LAG", "CHECKPOINT", "AGE", "REC/S", "PROGRESS", "WHY",
                ]
            ]
                + snapshot.leases.map { view in
                    (names ? [streamName(view)] : []) + [
                        view.kind == .hole ? "-" : view.shardID, view.state.rawValue, owner(view),
                        words(view.deliveredLag ?? view.checkpointLag), view.checkpoint?.description ?? "-",
                        view.checkpointAge.map(\.brief) ?? "-",
                        view.recordsPerSecond.map { String(Int($0.rounded())) } ?? "-",
                        view.progress?.brief ?? "-", view.why,
                    ]
                })
        lines.append("")
        let isReporting = snapshot.workers.contains { $0.report != nil }
        lines += aligned(
            [["WORKER", "STATE", "LEASES", "ACTIVE", "HEARTBEAT"] + (isReporting ? reportColumns : [])]
                + snapshot.workers.map { worker in
                    [
                        worker.workerID, worker.state.rawValue, String(worker.leases), String(worker.activeLeases),
                        worker.heartbeatAge.map { "\($0.brief) ago" } ?? "-",
                    ] + (isReporting ? reportFields(worker.report) : [])
                })
        if !snapshot.problems.isEmpty {
            lines.append("")
            lines += aligned(
                [["PROBLEM", "SEVERITY", "FOR", "MESSAGE"]]
                    + snapshot.problems.map { [$0.kind.rawValue, $0.severity.name, $0.age.brief, $0.message] })
        }
        return lines.map { printable($0) + "\n" }.joined()
    }

    private static func owner(_ view: LeaseView) -> String {
        if let old = view.checkpointOwner, old != view.owner { return "\(old) -> \(view.owner ?? "-")" }
        return view.owner ?? "-"
    }

    private static func words(_ lag: Lag?) -> String {
        guard let lag else { return "-" }
        return (lag.isUpperBound ? "<=" : "") + Duration.milliseconds(lag.milliseconds).brief
    }

    static func aligned(_ rows: [[String]]) -> [String] {
        var widths: [Int] = []
        for row in rows {
            for (index, cell) in row.enumerated() {
                if index == widths.count { widths.append(0) }
                widths[index] = max(widths[index], cell.count)
            }
        }
        return rows.map { row in
            row.enumerated().map { index, cell in
                index == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[index] - cell.count + 2)
            }.joined()
        }
    }

    /// Control characters of tables never reach a terminal.
    package static func printable(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var clean = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { clean.append(isControl(scalar) ? "\u{FFFD}" : scalar) }
        return String(clean)
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || 0x7F..<0xA0 ~= scalar.value || 0x202A...0x202E ~= scalar.value
            || 0x2066...0x2069 ~= scalar.value
    }

    // MARK: - CSV

    private static func csv(_ snapshot: FleetSnapshot) -> String {
        let columns = [
            "leaseKey", "shardId", "owner", "checkpointOwner", "state", "checkpoint", "checkpointSubSequenceNumber",
            "checkpointAgeSeconds", "checkpointLagMilliseconds", "deliveredLagMilliseconds", "lagSource",
            "secondsToTrim", "leaseCounter", "counterAgeSeconds", "ownerSwitchesSinceCheckpoint", "startingHashKey",
            "endingHashKey", "throughputKBps", "why", "progress", "secondsToCatchUp", "catchesUp", "stream",
        ]
        var text = columns.joined(separator: ",") + "\r\n"
        for view in snapshot.leases {
            let value = json(view)
            text += columns.map { field(value[$0]) }.joined(separator: ",") + "\r\n"
        }
        return text
    }

    /// RFC 4180; a cell that a spreadsheet would take for a formula is quoted with an apostrophe.
    static func field(_ value: AWSValue?) -> String {
        switch value {
        case .string(let text)?:
            let isFormula = text.first.map { "=+-@\t\r".contains($0) } ?? false
            let safe = isFormula ? "'" + text : text
            let needsQuotes = safe.contains { $0 == "," || $0 == "\"" || $0.isNewline }
            return needsQuotes ? "\"" + safe.replacing("\"", with: "\"\"") + "\"" : safe
        case .int(let number)?: return String(number)
        case .double(let number)?: return "\(number)"
        case .bool(let flag)?: return flag ? "true" : "false"
        default: return ""
        }
    }
}
