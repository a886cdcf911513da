import Fleet
import Leases

/// A command as it is typed after `:`; every action of the screen has one.
struct Command: Sendable {
    enum Argument: Hashable, Sendable {
        case shard
        case worker
        case theme
        case column
        case word([String])
        case text
    }

    enum Name: String, CaseIterable, Sendable {
        case steal, evict, release, rewind, undo, create, delete, assign, split, merge
        case completeHandoff = "complete-handoff"
        case mark, show, trace, filter, sort, theme, refresh, past, pane, zoom, freeze, mouse, events, copy, export
        case start, stop, kill, pause, resume, rate, hot
        case help, quit
    }

    var name: Name
    var aliases: [String]
    var arguments: [Argument]
    var usage: String
    var help: String
    var isForDemo = false
    /// It is about child processes and is offered where there may be some.
    var isForChildren = false

    static let all: [Command] = [
        Command(
            name: .steal, aliases: [], arguments: [.shard, .worker], usage: "steal [SHARD [WORKER]]",
            help: "one of our own workers takes the lease"),
        Command(
            name: .evict, aliases: [], arguments: [.shard], usage: "evict [SHARD]", help: "clear the owner of a lease"),
        Command(
            name: .release, aliases: [], arguments: [.shard], usage: "release [SHARD]",
            help: "our worker gives a lease up"),
        Command(
            name: .assign, aliases: [], arguments: [.shard, .worker, .word(["hard"])],
            usage: "assign [SHARD [WORKER [hard]]]", help: "3.x: hand the lease over to another worker; hard: at once"),
        Command(
            name: .completeHandoff, aliases: ["handoff"], arguments: [.shard], usage: "complete-handoff [SHARD]",
            help: "3.x: end a handover that does not end"),
        Command(
            name: .rewind, aliases: ["advance"], arguments: [.shard, .word(["10m", "1h", "TRIM_HORIZON", "LATEST"])],
            usage: "rewind [SHARD [10m|TIME|NUMBER|TRIM_HORIZON|LATEST]]", help: "from where a lease is read"),
        Command(
            name: .undo, aliases: [], arguments: [.shard], usage: "undo [SHARD]",
            help: "take back the last rewind, create or delete"),
        Command(
            name: .create, aliases: [], arguments: [.shard], usage: "create [SHARD]",
            help: "make the lease that a MISSING shard lacks"),
        Command(
            name: .delete, aliases: [], arguments: [.shard], usage: "delete [SHARD]",
            help: "delete an ORPHAN lease, whose shard is no more"),
        Command(
            name: .split, aliases: [], arguments: [.shard, .word(["at"]), .word(["middle", "25%", "75%", "0x"])],
            usage: "split [SHARD [at KEY|0xKEY|N%]]", help: "split a shard; without a key in the middle"),
        Command(
            name: .merge, aliases: [], arguments: [.shard, .shard], usage: "merge [SHARD [SHARD]]",
            help: "merge a shard with its neighbour"),
        Command(
            name: .mark, aliases: ["unmark"], arguments: [.shard], usage: "mark [SHARD|all|none]",
            help: "mark a shard or take its mark away; actions are about all marked"),
        Command(
            name: .show, aliases: ["detail", "describe"], arguments: [.shard], usage: "show SHARD",
            help: "everything about a shard"),
        Command(
            name: .trace, aliases: ["protocol"], arguments: [.shard], usage: "trace [SHARD]",
            help: "the protocol with the shard's child, live; record data is left out", isForChildren: true),
        Command(
            name: .filter, aliases: [], arguments: [.text], usage: "filter [TEXT]",
            help: "filter this pane; nothing shows all"),
        Command(
            name: .sort, aliases: ["order"], arguments: [.column, .word(["asc", "desc"])],
            usage: "sort COLUMN|default [asc|desc]", help: "order the shards"),
        Command(
            name: .theme, aliases: ["colors", "skin"], arguments: [.theme], usage: "theme [NAME]",
            help: "choose a theme"),
        Command(
            name: .refresh, aliases: [], arguments: [.word(["now", "1s", "2s", "5s", "10s", "30s"])],
            usage: "refresh [now|SECONDS]", help: "how often the table is read"),
        Command(
            name: .past, aliases: ["time", "at"], arguments: [.word(["now", "1m", "5m", "10m", "30m"])],
            usage: "past now|10m|12:04:07", help: "the fleet as it was so long ago, or then; now comes back"),
        Command(
            name: .pane, aliases: ["go"],
            arguments: [.word(["shards", "hash", "lineage", "workers", "events", "problems"])], usage: "pane NAME",
            help: "go to a pane"),
        Command(name: .zoom, aliases: [], arguments: [], usage: "zoom", help: "this pane alone, or all again"),
        Command(
            name: .freeze, aliases: ["unfreeze"], arguments: [], usage: "freeze",
            help: "freeze the picture, or go on"),
        Command(
            name: .mouse, aliases: [], arguments: [.word(["on", "off"])], usage: "mouse [on|off]",
            help: "off lets the terminal select text"),
        Command(
            name: .events, aliases: [], arguments: [.word(["all", "main"])], usage: "events [all|main]",
            help: "with or without checkpoints, batches and syncs"),
        Command(
            name: .copy, aliases: ["yank"], arguments: [.shard], usage: "copy [SHARD]",
            help: "copy a lease row as stored, as JSON"),
        Command(
            name: .export, aliases: ["save"], arguments: [.text], usage: "export FILE",
            help: "write the shards as listed: CSV, or text where FILE ends in .txt"),
        Command(name: .start, aliases: [], arguments: [], usage: "start", help: "start a worker", isForDemo: true),
        Command(
            name: .stop, aliases: [], arguments: [.worker], usage: "stop [WORKER]", help: "stop a worker in order",
            isForDemo: true),
        Command(
            name: .kill, aliases: [], arguments: [.worker], usage: "kill [WORKER]", help: "kill a worker at once",
            isForDemo: true),
        Command(
            name: .pause, aliases: [], arguments: [.worker], usage: "pause [WORKER]", help: "let a worker stand still",
            isForDemo: true),
        Command(
            name: .resume, aliases: [], arguments: [.worker], usage: "resume [WORKER]",
            help: "let a paused worker go on", isForDemo: true),
        Command(
            name: .rate, aliases: [], arguments: [.word(["50", "200", "1000", "5000"])], usage: "rate N",
            help: "records a second to produce", isForDemo: true),
        Command(
            name: .hot, aliases: [], arguments: [.word(["0", "0.5", "0.9"])], usage: "hot FRACTION",
            help: "the share of records that go to one key", isForDemo: true),
        Command(name: .help, aliases: ["h", "?"], arguments: [], usage: "help", help: "keys and commands"),
        Command(name: .quit, aliases: ["q", "exit", "q!", "wq"], arguments: [], usage: "quit", help: "leave shardtop"),
    ]

    static func named(_ text: String) -> Command? {
        let lower = text.lowercased()
        return all.first { $0.name.rawValue == lower || $0.aliases.contains(lower) }
    }
}

/// Completions and suggestions for what is typed after `:`.
enum CommandPalette {
    /// Completions are offered up to here; a person types on rather than reads more.
    static let completionsMax = 50

    /// The words that could stand in place of the last one.
    static func completions(of line: String, in model: Model) -> [String] {
        let words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        let last = words.last ?? ""
        guard words.count > 1, let command = Command.named(words[0]) else {
            guard words.count <= 1 else { return [] }
            return available(in: model).map(\.name.rawValue).filter { $0.hasPrefix(last.lowercased()) }
        }
        let index = words.count - 2
        guard index < command.arguments.count else { return [] }
        let lower = last.lowercased()
        let all = candidates(command.arguments[index], in: model)
        let heads = all.filter { $0.lowercased().hasPrefix(lower) }
        let others =
            lower.isEmpty ? [] : all.filter { !$0.lowercased().hasPrefix(lower) && $0.lowercased().contains(lower) }
        return Array((heads + others).prefix(completionsMax))
    }

    static func available(in model: Model) -> [Command] {
        let hasChildren = model.configuration.purpose == .consume || model.snapshot?.children.isEmpty == false
        return Command.all.filter {
            (!$0.isForDemo || model.configuration.purpose == .demo) && (!$0.isForChildren || hasChildren)
        }
    }

    private static func candidates(_ argument: Command.Argument, in model: Model) -> [String] {
        guard let snapshot = model.snapshot else { return [] }
        switch argument {
        case .shard:
            return model.rows.shards.prefix(2000).map { snapshot.leases[$0] }.filter { $0.kind != .hole }
                .map { Format.shard($0.key) }
        case .worker: return snapshot.workers.prefix(2000).map(\.workerID)
        case .theme: return model.configuration.themes
        case .column: return ["default"] + ShardColumn.sortable.map(\.name)
        case .word(let words): return words
        case .text: return []
        }
    }

    /// The line with its last word replaced.
    static func completed(_ line: String, with completion: String) -> String {
        var words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        if words.isEmpty { words = [""] }
        words[words.count - 1] = completion
        return words.joined(separator: " ")
    }

    /// The nearest of some names, if it is near enough to have been meant.
    static func nearest(_ text: String, in names: [String]) -> String? {
        let lower = Array(text.lowercased())
        guard lower.count <= 64 else { return nil }
        let ranked = names.map { (distance(lower, Array($0.lowercased().prefix(64))), $0) }
        guard let best = ranked.min(by: { $0.0 < $1.0 }) else { return nil }
        return best.0 <= max(1, min(lower.count, best.1.count) / 2) ? best.1 : nil
    }

    /// Letters to insert, remove, change or swap with the next.
    static func distance(_ a: [Character], _ b: [Character]) -> Int {
        var before: [Int] = []
        var row = Array(0...b.count)
        for i in a.indices {
            var next = [i + 1]
            for j in b.indices {
                var cost = min(row[j] + (a[i] == b[j] ? 0 : 1), row[j + 1] + 1, next[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, before[j - 1] + 1) }
                next.append(cost)
            }
            (before, row) = (row, next)
        }
        return row[b.count]
    }
}
