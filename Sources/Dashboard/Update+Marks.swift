import Fleet
import Leases
import Machine

/// Marked shards: an action then is about all of them.
extension Model {
    /// The marked shards that there still are, in the order of the table.
    var markedLeases: [LeaseView] {
        guard !marked.isEmpty, let snapshot else { return [] }
        return snapshot.leases.filter { marked.contains($0.id) }
    }

    mutating func mark(_ action: Action) {
        switch action {
        case .mark:
            guard let subject, subject.kind != .hole else {
                say(.info, "no shard is selected")
                return
            }
            if marked.remove(subject.id) == nil { marked.insert(subject.id) }
            if focus == .shards, detail == nil { move(.down) }
        case .markAll:
            let listed = rows.shards.compactMap { snapshot?.leases[$0] }.filter { $0.kind != .hole }.map(\.id)
            marked.formUnion(listed)
        default: marked = []
        }
        sayMarks()
    }

    /// What was typed after `:mark`.
    mutating func runMark(_ arguments: [String]) -> [ModelEffect] {
        switch arguments.first {
        case nil: mark(.mark)
        case "all": mark(.markAll)
        case "none": mark(.unmarkAll)
        case let text?:
            switch find(shard: text) {
            case .success(let lease):
                if marked.remove(lease.id) == nil { marked.insert(lease.id) }
                sayMarks()
            case .failure(let unknown): say(.warning, unknown.message)
            }
        }
        return []
    }

    private mutating func sayMarks() {
        let count = markedLeases.count
        say(
            nil,
            count == 0
                ? "no shard is marked"
                : "\(count) shard\(count == 1 ? "" : "s") marked: an action is about all; U unmarks")
    }

    /// Marks of shards that the table has no more.
    mutating func forgetMarks() {
        guard !marked.isEmpty, let live else { return }
        marked.formIntersection(live.leases.lazy.map(\.id))
    }

    /// Does an action to the marked shards; `nil` where it is about the one at the cursor.
    mutating func actOnMarked(_ action: Action) -> [ModelEffect]? {
        let leases = markedLeases
        guard !leases.isEmpty else { return nil }
        if let obstacle = generalObstacle {
            say(.warning, obstacle)
            return []
        }
        let ids = leases.map(\.id)
        switch action {
        case .evict: return request(.several(ids.map { .evict(lease: $0) }))
        case .release: return request(.several(ids.map { .release(lease: $0) }))
        case .undo: return request(.several(ids.map { .undo(lease: $0) }))
        case .create: return request(.several(leases.map { .create(shard: $0.key) }))
        case .delete: return request(.several(ids.map { .delete(lease: $0) }))
        case .rewind:
            askPosition(of: leases)
            return []
        case .steal:
            let targets = ownWorkers.map(\.workerID)
            if targets.isEmpty {
                say(
                    .warning, "stealing needs a worker in this process that runs; e evicts, and another worker takes it"
                )
            } else {
                overlay = .picker(Picker(kind: .stealMarked, title: "steal \(ids.count) shards to", choices: targets))
            }
            return []
        default:
            say(.warning, "this is about one shard: U takes the \(ids.count) marks away")
            return []
        }
    }

    /// What stands against any action, in a sentence. What is wrong with one of the shards is said by its plan.
    private var generalObstacle: String? {
        guard let lease = markedLeases.first, let why = obstacle(to: .evict, on: lease) else { return nil }
        return why.hasPrefix(Format.shard(lease.key)) ? nil : why
    }

    // MARK: A set of plans

    mutating func offer(_ set: PlanSet) {
        guard !isPlanUnwanted else { return }
        isBusy = false
        guard let first = set.plans.first else {
            overlay = nil
            say(.warning, "nothing can be done: " + (set.refused.first.map { "\($0.why)" } ?? "no shard is marked"))
            return
        }
        if set.plans.count == 1, set.refused.isEmpty { return offer(first) }
        switch overlay {
        case .waiting?, nil:
            overlay = .question(Question(kind: .plans(set), input: set.typed == nil ? nil : TextInput()))
        case .help?, .note?, .input?, .picker?, .question?, .performing?:
            say(.info, "\(set.title): dropped, because something else was opened meanwhile")
        }
    }

    mutating func perform(_ set: PlanSet) -> [ModelEffect] {
        isBusy = true
        overlay = .performing(Performing(title: set.title, total: set.plans.count))
        return [.performSet(set)]
    }

    mutating func progressed(_ done: Int) {
        guard case .performing(var performing)? = overlay else { return }
        performing.done = done
        overlay = .performing(performing)
    }

    mutating func handleWhilePerforming(_ key: Key, _ performing: Performing) -> [ModelEffect] {
        guard [.escape, .control("c"), .character("q")].contains(key), !performing.isStopping else { return [] }
        var performing = performing
        performing.isStopping = true
        overlay = .performing(performing)
        return [.stopSet]
    }

    mutating func concluded(_ outcome: SetOutcome) {
        isBusy = false
        if case .performing? = overlay { overlay = nil }
        if let failed = outcome.failed {
            let (severity, text) = Self.words(for: failed.outcome)
            say(
                severity == .critical ? .critical : .warning,
                "stopped at \(Format.shard(failed.shardID)), \(outcome.done) of \(outcome.total) done: \(text)")
        } else if outcome.done < outcome.total {
            say(.warning, "stopped: \(outcome.done) of \(outcome.total) done")
        } else {
            marked = []
            say(nil, "all \(outcome.total) done")
        }
    }
}

/// A set that is under way.
struct Performing: Hashable, Sendable {
    var title: String
    var done = 0
    var total: Int
    var isStopping = false
}
