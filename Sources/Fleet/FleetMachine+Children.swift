import Leases
import Machine

extension FleetMachine {
    /// What is wrong with child processes. A shard that was stopped is said already, and worse.
    func childFindings(at now: Timestamp) -> [Finding] {
        guard !children.isEmpty else { return [] }
        let views = children.views(at: now).values.sorted { $0.shardID < $1.shardID }
        var overdue: [ChildView] = []
        var stray: [ChildView] = []
        var failed: [String: [ChildView]] = [:]
        for view in views {
            if view.stray > 0 { stray.append(view) }
            if stoppedShards[view.shardID] != nil { continue }
            if case .failed(let why) = view.state {
                failed[why, default: []].append(view)
            } else if view.isOverdue {
                overdue.append(view)
            }
        }
        var findings = failed.sorted { $0.key < $1.key }.map { failedFinding($0.key, $0.value) }
        if !overdue.isEmpty { findings.append(overdueFinding(overdue)) }
        if !stray.isEmpty {
            let lines = stray.reduce(0) { $0.addingReportingOverflow($1.stray).partialValue }
            findings.append(
                Finding(
                    kind: .child, subject: "stray", severity: .info, shardIDs: stray.map(\.shardID),
                    message: "\(stray.map(\.shardID).briefShards): \(lines) line\(lines == 1 ? "" : "s") on the "
                        + "standard output of a child that are no messages; standard error is for its own lines"))
        }
        return findings
    }

    private func failedFinding(_ why: String, _ children: [ChildView]) -> Finding {
        let restarts = children.map(\.restarts).max() ?? 0
        let shards = children.map(\.shardID)
        return Finding(
            kind: .child, subject: "failed \(why)", severity: .warning, shardIDs: shards,
            message: "\(shards.briefShards): \(shards.count == 1 ? "the child" : "their children") failed: "
                + (why.isEmpty ? "the reason is not known" : why)
                + (restarts > 0 ? "; restarted \(restarts) time\(restarts == 1 ? "" : "s") before" : ""))
    }

    private func overdueFinding(_ children: [ChildView]) -> Finding {
        let worst = children.max { ($0.waiting ?? .zero) < ($1.waiting ?? .zero) } ?? children[0]
        let waiting = worst.waiting ?? .zero
        let pid = worst.pid.map { " (pid \($0))" } ?? ""
        let owed = worst.lastAction.map { "the answer to \($0)" } ?? "an answer"
        let others = children.count - 1
        return Finding(
            kind: .child, subject: "waiting", severity: .warning, shardIDs: children.map(\.shardID), age: waiting,
            message: "\(worst.shardID.briefShard): its child\(pid) owes \(owed) for \(waiting.brief)"
                + (others > 0 ? ", and \(others) more \(others == 1 ? "child keeps" : "children keep") us waiting" : "")
        )
    }
}

/// Keeps a flood of a child's lines from burying the log: so many a second of a shard are logged, then it is said how
/// many more there were.
struct OutputGate: Hashable, Sendable {
    private struct Window: Hashable, Sendable {
        var endsAt: Timestamp
        var passed = 0
        var held = 0
        var newest: WorkerEvent
    }

    private var windows: [String: Window] = [:]

    static let linesMax = 20
    static let window: Duration = .seconds(1)
    /// A line is cut there.
    static let lengthMax = 1000

    /// When it is to be said how many lines were held back; `nil` while there are none.
    private(set) var flushAt: Timestamp?

    /// The events that are logged for a line: what was held back before it, and the line itself while it may.
    mutating func take(_ event: WorkerEvent, at now: Timestamp) -> [WorkerEvent] {
        var event = event
        if let text = event.message, text.utf8.count > Self.lengthMax {
            event.message = text.prefix(Self.lengthMax) + "…"
        }
        var logged = flush(at: now)
        let shard = event.shardID ?? ""
        var window = windows[shard] ?? Window(endsAt: now + Self.window, newest: event)
        window.newest = event
        if window.passed < Self.linesMax {
            window.passed += 1
            logged.append(event)
        } else {
            window.held += 1
            flushAt = min(flushAt ?? window.endsAt, window.endsAt)
        }
        windows[shard] = window
        return logged
    }

    /// Closes the windows whose time is up: a line for each that held some back.
    mutating func flush(at now: Timestamp) -> [WorkerEvent] {
        let over = windows.filter { $0.value.endsAt <= now }.sorted { $0.key < $1.key }
        guard !over.isEmpty else { return [] }
        for (shard, _) in over { windows[shard] = nil }
        flushAt = windows.values.filter { $0.held > 0 }.map(\.endsAt).min()
        return over.compactMap { _, window in
            guard window.held > 0 else { return nil }
            var event = window.newest
            event.message = "… \(window.held) line\(window.held == 1 ? "" : "s") more"
            return event
        }
    }
}
