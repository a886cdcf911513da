import Fleet
import Leases
import Machine

extension Narrator {
    /// What was said of the fleet, so that only changes are said next.
    struct Told: Sendable {
        var isReading = false
        var isIntroduced = false
        /// The verdict's word and the problem that it is about: its numbers change all the time.
        var verdict: String?
        var problems: [Problem] = []
        var eventSeq = 0
    }

    /// More at once is a flood that nobody listens to; the rest is counted.
    static let changesMax = 12

    /// A line for each change that matters since the last snapshot.
    mutating func changes(to snapshot: FleetSnapshot) -> [String] {
        var lines: [String] = []
        if !told.isReading {
            told.isReading = true
            lines.append(Self.plain("reading the lease table \(snapshot.identity.table)"))
        }
        if !told.isIntroduced, snapshot.scans > 0 {
            told.isIntroduced = true
            lines += introduction(snapshot)
            lines.append("Type help for the commands.")
        }
        let time = CivilTime(snapshot.takenAt).clock + "Z"
        lines += Self.limited(problemChanges(snapshot), "problems", "problems").map { "\($0), \(time)" }
        let worst = snapshot.problems.first.flatMap { $0.severity > .info || snapshot.scans == 0 ? $0.id : nil }
        let verdict = "\(snapshot.verdict.word) \(worst ?? "")"
        if verdict != told.verdict, snapshot.scans > 0 || worst != nil {
            told.verdict = verdict
            lines.append("\(Self.verdict(snapshot)), \(time)")
        }
        return lines + Self.limited(newEvents(snapshot), "events", "events all")
    }

    private static func limited(_ lines: [String], _ name: String, _ command: String) -> [String] {
        guard lines.count > changesMax else { return lines }
        return lines.prefix(changesMax) + ["and \(lines.count - changesMax) more \(name); `\(command)` lists them"]
    }

    private mutating func problemChanges(_ snapshot: FleetSnapshot) -> [String] {
        let before = Dictionary(told.problems.map { ($0.id, $0) }) { first, _ in first }
        let now = Set(snapshot.problems.map(\.id))
        var lines: [String] = []
        for problem in snapshot.problems {
            if let old = before[problem.id] {
                guard old.severity != problem.severity else { continue }
                lines.append("problem, now \(problem.severity.name): " + words(problem, snapshot))
            } else {
                lines.append("problem, \(problem.severity.name): " + words(problem, snapshot))
            }
        }
        for problem in told.problems where !now.contains(problem.id) {
            lines.append("problem gone: \(Self.name(problem)), after \(problem.age.brief)")
        }
        told.problems = snapshot.problems
        return lines
    }

    private static func name(_ problem: Problem) -> String {
        let shards = problem.shardIDs.prefix(3).map(Format.shard).joined(separator: " ")
        let more = problem.shardIDs.count > 3 ? " and \(problem.shardIDs.count - 3) more" : ""
        return plain([problem.kind.rawValue, shards].filter { !$0.isEmpty }.joined(separator: " ") + more)
    }

    /// Kind, sentence and, where something can be done here, the command for it.
    func words(_ problem: Problem, _ snapshot: FleetSnapshot) -> String {
        var text = Self.plain("\(problem.kind.rawValue), \(problem.message)")
        if let action = problem.action, let shard = problem.shardIDs.first, snapshot.identity.isWritable,
            model.configuration.purpose != .replay
        {
            text += "; to act, type \(action.label) \(Format.shard(shard))"
        }
        return text
    }

    private mutating func newEvents(_ snapshot: FleetSnapshot) -> [String] {
        let new = snapshot.events.filter { $0.seq > told.eventSeq }
        told.eventSeq = max(told.eventSeq, new.last?.seq ?? 0)
        return new.filter { Self.isSaid($0.event) }.map { Self.words($0.event) }
    }

    /// Not what happens all the time, nor what children say.
    static func isSaid(_ event: WorkerEvent) -> Bool { !EventWord(event.kind).isChatter && event.kind != .childOutput }

    static func words(_ event: WorkerEvent) -> String {
        var parts = [EventWord(event.kind).word]
        if let shard = event.shardID { parts.append(Format.shard(shard)) }
        let before = event.previousOwner ?? (event.kind == .leaseLost ? event.workerID : nil)
        let after = event.owner ?? (before == nil ? event.workerID : nil)
        switch (before, after) {
        case (let before?, let after?) where before != after: parts.append("from \(before) to \(after)")
        case (let before?, nil): parts.append("of \(before)")
        case (_, let after?): parts.append("by \(after)")
        case (nil, nil): break
        }
        if event.kind == .shardEnded, !event.childShardIDs.isEmpty {
            parts.append("continues in \(event.childShardIDs.map(Format.shard).joined(separator: " and "))")
        }
        if let records = event.records { parts.append("\(records) records") }
        if event.source == .table, event.kind == .ownerChanged, event.previousOwner != nil {
            parts.append("(ZOMBIE inferred)")
        }
        let message = event.message.map { ": \($0)" } ?? ""
        return plain(parts.joined(separator: " ") + message) + ", \(CivilTime(event.at).clock)Z"
    }

    static func verdict(_ snapshot: FleetSnapshot) -> String {
        let trend =
            switch snapshot.verdict.lagTrend {
            case .rising: ", lag rising"
            case .falling: ", lag falling"
            case .steady: ""
            }
        let facts = snapshot.verdict.facts.map { ", " + $0 }.joined()
        return plain("verdict \(snapshot.verdict.word): \(snapshot.verdict.headline)\(facts)\(trend)")
    }
}
