import AWSWire
import Fleet
import Leases
import Machine

extension Model {
    /// Does what was typed after `:`, or says in one line why not.
    mutating func run(_ line: String) -> [ModelEffect] {
        let words = line.split(separator: " ").map(String.init)
        guard let first = words.first else { return [] }
        guard let command = Command.named(first) else {
            let names = CommandPalette.available(in: self).map(\.name.rawValue)
            let nearest = CommandPalette.nearest(first, in: names)
            say(.warning, "no command \(first)" + (nearest.map { "; did you mean :\($0)?" } ?? "; ? lists them"))
            return []
        }
        if command.isForDemo && configuration.purpose != .demo {
            say(.warning, ":\(command.name.rawValue) steers the demo's workers and producer; this is no demo")
            return []
        }
        let arguments = Array(words.dropFirst())
        switch command.name {
        case .steal, .evict, .release, .rewind, .undo, .create, .delete, .assign, .completeHandoff, .split, .merge,
            .show, .copy,
            .trace:
            return runOnShard(command, arguments)
        case .stop, .kill, .pause, .resume: return runOnWorker(command, arguments)
        case .rate, .hot, .refresh: return runNumber(command, arguments)
        case .past: return runPast(arguments)
        case .start: return perform(.startWorker)
        case .mark: return runMark(arguments)
        case .theme: return runTheme(arguments)
        case .sort: runSort(arguments)
        case .filter:
            setFilter(arguments.joined(separator: " "), on: focus == .hashKeys || focus == .lineage ? .shards : focus)
        case .pane: runPane(arguments)
        case .zoom: return perform(.zoom)
        case .freeze: return perform(.freeze)
        case .mouse:
            let wanted = arguments.first.map { $0 == "on" } ?? !isMouseOn
            return wanted == isMouseOn ? [] : perform(.mouse)
        case .events:
            let wanted = arguments.first.map { $0 == "all" } ?? !showsChatter
            return wanted == showsChatter ? [] : perform(.chatter)
        case .export:
            guard !arguments.isEmpty else {
                say(.warning, "usage: :\(command.usage)")
                return []
            }
            let path = arguments.joined(separator: " ")
            return [.export(path: path, text: exportText(isCSV: !path.lowercased().hasSuffix(".txt")))]
        case .help: return perform(.help)
        case .quit: return quit()
        }
        return []
    }

    /// The row that a typed shard means: its whole id, its short form, or its number.
    func find(shard text: String) -> Result<LeaseView, Unknown> {
        guard let snapshot else { return .failure(Unknown("nothing was read yet")) }
        if let exact = lease(shard: text) ?? lease(id: text) { return .success(exact) }
        let number = UInt64(text)
        let found = snapshot.leases.filter { lease in
            guard lease.kind != .hole else { return false }
            let short = Format.shard(lease.shardID)
            return short == text || lease.stream != nil && Format.shard(lease.key) == text
                || number != nil && UInt64(short) == number
        }
        if found.count == 1 { return .success(found[0]) }
        if found.count > 1 { return .failure(Unknown("\(text) means \(found.count) shards; give the whole id")) }
        let names = snapshot.leases.prefix(5000).map { Format.shard($0.key) }
        let nearest = CommandPalette.nearest(text, in: names)
        return .failure(Unknown("no shard \(text) in this table" + (nearest.map { "; did you mean \($0)?" } ?? "")))
    }

    /// The worker that a typed name means: its id, or a part of one only.
    func find(worker text: String) -> Result<WorkerView, Unknown> {
        guard let snapshot else { return .failure(Unknown("nothing was read yet")) }
        if let exact = snapshot.workers.first(where: { $0.workerID == text }) { return .success(exact) }
        let found = snapshot.workers.filter { $0.workerID.lowercased().contains(text.lowercased()) }
        if found.count == 1 { return .success(found[0]) }
        if found.count > 1 { return .failure(Unknown("\(text) means \(found.count) workers; give the whole id")) }
        let nearest = CommandPalette.nearest(text, in: snapshot.workers.prefix(5000).map(\.workerID))
        return .failure(Unknown("no worker \(text) here" + (nearest.map { "; did you mean \($0)?" } ?? "")))
    }

    struct Unknown: Error, Hashable {
        var message: String

        init(_ message: String) { self.message = message }
    }

    private mutating func runOnShard(_ command: Command, _ arguments: [String]) -> [ModelEffect] {
        if command.name == .trace, snapshot?.children.isEmpty != false { return openTrace("") }
        var chosen = subject
        if let text = arguments.first {
            switch find(shard: text) {
            case .success(let lease): chosen = lease
            // A lease that was deleted has no line any more; what was done to it is told by the audit.
            case .failure where command.name == .undo && text.contains("shardId-"):
                return undo(gone: text)
            case .failure(let unknown):
                say(.warning, unknown.message)
                return []
            }
        }
        guard let lease = chosen else {
            say(.warning, "no shard is selected; usage: :\(command.usage)")
            return []
        }
        if !arguments.isEmpty && detail == nil { selectedLease = lease.id }
        switch command.name {
        case .show:
            selectedLease = lease.id
            detail = Detail(lease: lease.id)
            return []
        case .trace: return openTrace(lease.shardID)
        case .copy:
            guard lease.kind == .lease else {
                say(.warning, "\(lease.shardID) has no lease")
                return []
            }
            say(nil, "copied the lease row of \(lease.shardID)")
            return [.copy(JSON.text(lease.stored.wire))]
        default: return runAction(command, lease, isNamed: !arguments.isEmpty, Array(arguments.dropFirst()))
        }
    }

    private mutating func runAction(
        _ command: Command, _ lease: LeaseView, isNamed: Bool, _ rest: [String]
    ) -> [ModelEffect] {
        let actions: [Command.Name: Action] = [
            .steal: .steal, .evict: .evict, .release: .release, .assign: .assign, .completeHandoff: .assign,
            .rewind: .rewind, .undo: .undo, .create: .create, .delete: .delete, .split: .split, .merge: .merge,
        ]
        guard let action = actions[command.name] else { return [] }
        if !isNamed, let effects = actOnMarked(action) { return effects }
        if let obstacle = obstacle(to: action, on: lease) {
            say(.warning, obstacle)
            return []
        }
        if command.name == .completeHandoff {
            guard lease.checkpointOwner != nil else {
                say(.warning, "\(Format.shard(lease.key)) is not being handed over: there is nothing to complete")
                return []
            }
            return request(.completeHandoff(lease: lease.id))
        }
        guard let argument = rest.first else {
            return act(action, on: lease)
        }
        do {
            switch action {
            case .steal:
                let worker = try find(worker: argument).get()
                guard worker.isOurs else {
                    throw Unknown("\(worker.workerID) does not run in this process; steal takes for our own workers")
                }
                return request(.steal(lease: lease.id, worker: worker.workerID))
            case .assign:
                let worker = try find(worker: argument).get()
                return request(
                    .assign(lease: lease.id, worker: worker.workerID, isHard: rest.dropFirst().first == "hard"))
            case .rewind: return try rewind(lease, to: rest.joined(separator: " "))
            case .split:
                guard argument == "at", rest.count > 1 else { throw Unknown("usage: :\(command.usage)") }
                return request(.split(shard: lease.key, at: try splitKey(rest[1], in: lease)))
            case .merge:
                let other = try find(shard: argument).get()
                guard neighbours(of: lease).contains(other.key) else {
                    throw Unknown("the keys of \(other.shardID) do not adjoin those of \(lease.shardID)")
                }
                return request(.merge(shard: lease.key, adjacent: other.key))
            default: throw Unknown("usage: :\(command.usage)")
            }
        } catch let unknown as Unknown {
            say(.warning, unknown.message)
        } catch {
            say(.warning, "usage: :\(command.usage)")
        }
        return []
    }

    /// A hash key in decimal, as `0x…`, or `30%` of the shard's own range.
    private func splitKey(_ text: String, in lease: LeaseView) throws -> UInt128? {
        if text == "middle" { return nil }
        guard let range = lease.hashKeyRange else { throw Unknown("the keys of \(lease.shardID) are not known") }
        let key: UInt128
        if text.hasSuffix("%"), let percent = UInt128(text.dropLast()), percent < 100 {
            key = range.start + (range.end - range.start) / 100 * percent
        } else if text.lowercased().hasPrefix("0x"), let hex = UInt128(text.dropFirst(2), radix: 16) {
            key = hex
        } else if let decimal = UInt128(text) {
            key = decimal
        } else {
            throw Unknown("\(text) is no hash key: give decimal digits, 0x and hex digits, or a percentage")
        }
        guard key > range.start && key <= range.end else {
            throw Unknown(
                "the key must be above \(Format.hashKey(range.start))… and at most \(Format.hashKey(range.end))… (hex)")
        }
        return key
    }

    private mutating func runOnWorker(_ command: Command, _ arguments: [String]) -> [ModelEffect] {
        var chosen = subjectWorker
        if let text = arguments.first {
            switch find(worker: text) {
            case .success(let worker): chosen = worker
            case .failure(let unknown):
                say(.warning, unknown.message)
                return []
            }
        }
        guard let worker = chosen else {
            say(.warning, "no worker is selected; usage: :\(command.usage)")
            return []
        }
        switch command.name {
        case .pause where worker.isPaused:
            say(.info, "\(worker.workerID) is paused already")
            return []
        case .resume where !worker.isPaused:
            say(.info, "\(worker.workerID) is not paused")
            return []
        case .kill: return steer(.killWorker, worker)
        case .stop: return steer(.stopWorker, worker)
        default: return steer(.pauseWorker, worker)
        }
    }

    private mutating func runNumber(_ command: Command, _ arguments: [String]) -> [ModelEffect] {
        guard let text = arguments.first else {
            if command.name == .refresh { return [.refreshNow] }
            say(.warning, "usage: :\(command.usage)")
            return []
        }
        if command.name == .refresh {
            if text == "now" { return [.refreshNow] }
            let digits = text.hasSuffix("s") ? String(text.dropLast()) : text
            guard let seconds = Double(digits), seconds >= 0.5, seconds <= 3600 else {
                say(.warning, "refresh takes 0.5 to 3600 seconds")
                return []
            }
            return setRefresh(.milliseconds(Int64(seconds * 1000)))
        }
        guard let value = Double(text), value.isFinite, value >= 0 else {
            say(.warning, "\(text) is no number; usage: :\(command.usage)")
            return []
        }
        if command.name == .rate { return setRate(value) }
        guard value <= 1 else {
            say(.warning, "hot takes a fraction from 0 to 1")
            return []
        }
        return setHot(value)
    }

    private mutating func runTheme(_ arguments: [String]) -> [ModelEffect] {
        guard let name = arguments.first else { return perform(.themes) }
        guard configuration.themes.contains(name) else {
            let nearest = CommandPalette.nearest(name, in: configuration.themes)
            say(.warning, "no theme \(name)" + (nearest.map { "; did you mean \($0)?" } ?? "; t shows them"))
            return []
        }
        return setTheme(name)
    }

    private mutating func runSort(_ arguments: [String]) {
        guard let name = arguments.first?.lowercased(), name != "default" else { return order(.standard) }
        guard let column = ShardColumn.sortable.first(where: { $0.name == name }) else {
            let names = ShardColumn.sortable.map(\.name)
            let nearest = CommandPalette.nearest(name, in: names)
            say(.warning, "no column \(name)" + (nearest.map { "; did you mean \($0)?" } ?? ""))
            return
        }
        let direction = arguments.dropFirst().first
        order(RowOrder(column: column, isAscending: direction.map { $0 == "asc" } ?? column.startsAscending))
    }

    private mutating func runPane(_ arguments: [String]) {
        guard let name = arguments.first?.lowercased(),
            let pane = Pane.allCases.first(where: { $0.title.hasPrefix(name) || String($0.rawValue) == name })
        else {
            say(.warning, "the panes are \(Pane.allCases.map(\.title).joined(separator: ", "))")
            return
        }
        detail = nil
        focus(on: pane)
    }

    /// The shards as listed now.
    private func exportText(isCSV: Bool) -> String {
        guard let snapshot else { return "" }
        let columns: [ShardColumn] =
            (snapshot.namesStreams ? [.stream] : []) + [
                .shard, .owner, .state, .lag, .checkpointLag, .checkpoint, .subSequence, .age, .heartbeat, .records,
                .kilobytes, .switches, .counter,
            ]
        var text = isCSV ? columns.map(\.name).joined(separator: ",") : columns.map(\.title).joined(separator: "\t")
        text += "\n"
        for row in rows.shards {
            let lease = snapshot.leases[row]
            let fields = columns.map { ShardsTable.plain($0, lease) }
            text += fields.map { isCSV ? $0.csvQuoted : $0 }.joined(separator: isCSV ? "," : "\t") + "\n"
        }
        return text
    }
}

extension String {
    /// As a field of a CSV file. A leading sign that a spreadsheet would run as a formula is disarmed.
    fileprivate var csvQuoted: String {
        let risky = "=+-@".contains(first ?? " ") && Double(self) == nil
        let text = risky ? "'" + self : self
        guard text.contains(where: { ",\"\n\r".contains($0) }) else { return text }
        return "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }
}
