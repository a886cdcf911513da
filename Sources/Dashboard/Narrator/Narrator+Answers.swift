package import Fleet
import Leases
import Machine

extension Narrator {
    /// `status --accessible`: all of a snapshot, in lines.
    package static func report(_ snapshot: FleetSnapshot) -> [String] {
        var narrator = Narrator(Model.Configuration(purpose: .watch), now: snapshot.takenAtInstant)
        _ = narrator.model.handle(.snapshotTaken(snapshot))
        return narrator.introduction(snapshot) + [verdict(snapshot)] + narrator.problemLines + narrator.workerLines
            + narrator.shardLines(filter: "", max: .max)
    }

    /// Lines of one answer; a filter finds what is beyond.
    static let listedMax = 200

    func introduction(_ snapshot: FleetSnapshot) -> [String] {
        let identity = snapshot.identity
        var parts = ["application \(identity.application)"]
        let named = snapshot.streams.map { "\($0.id.name) \($0.match.word)" }
        let several =
            named.isEmpty ? "stream not known" : "\(named.count) streams: \(named.prefix(5).joined(separator: ", "))"
        parts.append(identity.stream.map { "stream \($0)" } ?? several)
        if let match = snapshot.streamMatch, let why = match.why { parts.append("\(match.word), \(why)") }
        if identity.isDemo {
            parts.append("a DEMO in this process")
        } else {
            if let account = identity.account { parts.append("account \(account)") }
            parts.append(identity.region)
            if let role = identity.role { parts.append(role) }
            if let endpoint = identity.endpoint { parts.append("endpoint \(endpoint)") }
            parts.append(identity.isWritable ? "WRITE" : "READ-ONLY")
        }
        switch model.configuration.purpose {
        case .consume: parts.append("CONSUMING")
        case .replay: parts.append("REPLAY")
        case .demo, .watch: break
        }
        if snapshot.generation != .unknown { parts.append("KCL \(snapshot.generation.rawValue)") }
        if let leader = snapshot.leader { parts.append("leader \(leader)") }
        return [Self.plain(parts.joined(separator: ", "))]
    }

    private var nothingRead: [String] { ["nothing was read yet"] }

    var statusLines: [String] {
        guard let snapshot = model.snapshot else { return nothingRead }
        let totals = snapshot.totals
        var lines = introduction(snapshot) + [Self.verdict(snapshot)]
        let problems = snapshot.problems.count
        let workers = snapshot.workers.count { $0.leases > 0 }
        lines.append(
            "\(workers) worker\(workers == 1 ? "" : "s") with leases, \(totals.open) shards open, "
                + "\(totals.draining) draining, \(totals.ended) ended, \(totals.unowned) unowned; "
                + (problems == 1 ? "1 problem" : "\(problems) problems"))
        if let records = totals.recordsPerSecond {
            lines.append("\(Format.rate(records, .ascii)) records a second")
        }
        if let demo = model.demo {
            lines.append(
                "the demo produced \(demo.produced) and delivered \(demo.delivered), \(demo.duplicates) of them twice, "
                    + "\(demo.outOfOrder) out of order, \(demo.lost) lost")
        }
        let cost = snapshot.cost
        if cost.readUnitsPerSecond > 0 || cost.callsPerSecond > 0 {
            lines.append(
                "watching takes \(Format.decimals(cost.readUnitsPerSecond, 1)) read units and "
                    + "\(Format.decimals(cost.callsPerSecond, 1)) calls a second, reading every "
                    + snapshot.refreshInterval.brief)
        }
        return lines
    }

    /// Worst first, as on the screen.
    func shardLines(filter: String, max: Int) -> [String] {
        guard let snapshot = model.snapshot else { return nothingRead }
        let rowFilter = RowFilter(filter)
        let found = model.rows.shards.map { snapshot.leases[$0] }.filter { rowFilter.matches($0) }
        guard !found.isEmpty else { return [filter.isEmpty ? "no shards" : Self.plain("no shard matches \(filter)")] }
        let lines = found.prefix(max).map { words($0) }
        guard found.count > max else { return lines }
        return lines + ["and \(found.count - max) more: give a filter, as in shards lag>30s"]
    }

    private func words(_ lease: LeaseView) -> String {
        var parts = ["\(lease.kind == .hole ? hole(lease) : Format.shard(lease.key)) \(lease.state.rawValue)"]
        if let old = lease.checkpointOwner, old != lease.owner {
            parts.append("from \(old) to \(lease.owner ?? "nobody")")
        } else if let owner = lease.owner {
            parts.append("owner \(owner)")
        }
        if let lag = lease.deliveredLag ?? lease.checkpointLag {
            parts.append("lag \(Format.lag(lag, .unicode))")
        }
        if let age = lease.checkpointAge, lease.isCheckpointAgeExact {
            parts.append("checkpoint moved \(age.brief) ago")
        }
        if let rate = lease.recordsPerSecond { parts.append("\(Format.rate(rate, .ascii)) records a second") }
        if let progress = lease.progress { parts.append("progress \(progress.brief)") }
        if lease.state != .live { parts.append(lease.why) }
        return Self.plain(parts.joined(separator: ", "))
    }

    private func hole(_ lease: LeaseView) -> String { lease.streamName.map { "hole in \($0)" } ?? "hole" }

    /// Everything about one shard.
    mutating func detail(of text: String) -> [String] {
        let lease: LeaseView
        switch model.find(shard: text) {
        case .success(let found): lease = found
        case .failure(let unknown): return [Self.plain(unknown.message)]
        }
        model.detail = Detail(lease: lease.id)
        defer { model.detail = nil }
        var lines = ["\(lease.kind == .hole ? "hole" : "shard") \(lease.key)"]
        for line in DetailLines(model).lines {
            switch line {
            case .heading(let text), .text(let text, _): lines.append(Self.plain(text))
            case .state(let state): lines.append("state \(state.rawValue)")
            case .pair(let name, let value, _), .owner(let name, let value):
                lines.append(Self.plain(name.isEmpty ? value : "\(name): \(value)"))
            case .family(let name, let shard, let state):
                lines.append("\(name): \(Format.shard(shard)) \(state?.rawValue ?? "gone")")
            case .attribute(let name, _, let value): lines.append(StatusReport.printable("\(name) = \(value)"))
            case .blank: break
            }
        }
        return lines
    }

    var workerLines: [String] {
        guard let snapshot = model.snapshot else { return nothingRead }
        guard !snapshot.workers.isEmpty else { return ["no workers"] }
        return snapshot.workers.prefix(Self.listedMax).map { worker in
            var parts = ["worker \(worker.workerID) \(worker.state.rawValue)"]
            parts.append("\(worker.leases) lease\(worker.leases == 1 ? "" : "s")")
            if worker.isLeader { parts.append("leader") }
            if worker.isOurs { parts.append("in this process") }
            if let age = worker.heartbeatAge { parts.append("heartbeat \(age.brief) ago") }
            if let rate = worker.recordsPerSecond { parts.append("\(Format.rate(rate, .ascii)) records a second") }
            return Self.plain(parts.joined(separator: ", "))
        }
    }

    var problemLines: [String] {
        guard let snapshot = model.snapshot else { return nothingRead }
        guard !snapshot.problems.isEmpty else { return ["no problems"] }
        return snapshot.problems.prefix(Self.listedMax).map { problem in
            "problem, \(problem.severity.name), for \(problem.age.brief): \(words(problem, snapshot))"
        }
    }

    private static let eventsMax = 20

    /// The newest, oldest first.
    func eventLines(all: Bool) -> [String] {
        let events = (model.snapshot?.events ?? []).map(\.event).filter { all || Self.isSaid($0) }
        guard !events.isEmpty else { return ["nothing happened yet"] }
        return events.suffix(all ? Self.listedMax : Self.eventsMax).map { Self.words($0) }
    }

    /// Commands that the screen does not have, because it shows what they say.
    static let own: [(name: String, usage: String, help: String)] = [
        ("status", "status", "what is watched, the verdict and the totals"),
        ("shards", "shards [FILTER]", "a line for each shard, worst first; FILTER as on the screen: lag>30s owner:x"),
        ("shard", "shard SHARD", "everything about a shard"), ("workers", "workers", "a line for each worker"),
        ("problems", "problems", "what is wrong, and what to do"),
        ("events", "events [all]", "what happened lately; all: checkpoints and batches too"),
        ("quiet", "quiet", "do not say what changes"), ("speak", "speak", "say it again"),
    ]

    var help: [String] {
        let isWritable = model.snapshot?.identity.isWritable == true && model.configuration.purpose != .replay
        let named: Set<Command.Name> = [.events, .show, .help]
        let commands = CommandPalette.available(in: model).filter { command in
            let isAction = [.steal, .evict, .release, .split, .merge].contains(command.name)
            return Self.isOffered(command) && !named.contains(command.name) && (isWritable || !isAction)
        }
        return Self.own.map { "\($0.usage): \($0.help)" } + commands.map { Self.plain("\($0.usage): \($0.help)") }
            + (isWritable ? [] : ["this is READ-ONLY: with --write there are actions too"])
    }
}
