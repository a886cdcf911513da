/// What a key does. The table of bindings is the one source for dispatch, for the hints at the foot and for `?`.
package enum Action: Hashable, Sendable {
    case up, down, left, right, pageUp, pageDown, first, last
    case open, back
    case nextPane, previousPane
    case pane(Pane)
    case zoom
    case wrap
    case filter, command, help, freeze, themes, mouse, copy, redraw
    case refreshFaster, refreshSlower, refreshNow
    case sortNext, sortPrevious, reverse, defaultOrder, chatter
    case earlier, later, earlierBookmark, laterBookmark, present
    case mark, markAll, unmarkAll
    case steal, evict, release, rewind, undo, create, delete, assign, split, merge
    case killWorker, stopWorker, pauseWorker, startWorker, rateUp, rateDown, hot
    case suspend, quit
}

/// Keys, where they work, and what they do in words.
struct Binding: Sendable {
    enum Scope: Hashable, Sendable {
        case everywhere
        case panes(Set<Pane>)
        case detail
        /// The protocol with a child.
        case trace
        /// The panes and the detail view of the demo.
        case demo
        /// While the past is shown.
        case past
    }

    var keys: [Key]
    /// As the hint line writes the key, where that is shorter than `name`.
    var hintKey: String
    /// As help writes the keys.
    var name: String
    /// One word for the hint line; `nil` is found in help only.
    var hint: String?
    var help: String
    var action: Action
    var scope: Scope

    init(
        _ keys: [Key], _ name: String, hint: String? = nil, hintKey: String? = nil, _ help: String,
        _ action: Action, _ scope: Scope
    ) {
        self.keys = keys
        self.hintKey = hintKey ?? name
        self.name = name
        self.hint = hint
        self.help = help
        self.action = action
        self.scope = scope
    }

    /// What is on the screen, as far as keys depend on it.
    struct Situation: Hashable, Sendable {
        var focus: Pane
        var isDetail: Bool
        var isTrace: Bool
        var isDemo: Bool
        var isPast = false
    }

    func applies(in situation: Situation) -> Bool {
        switch scope {
        case .everywhere: !situation.isTrace || Self.worksInTrace(action)
        case .panes(let panes): !situation.isDetail && !situation.isTrace && panes.contains(situation.focus)
        case .detail: situation.isDetail && !situation.isTrace
        case .trace: situation.isTrace
        case .demo: situation.isDemo && !situation.isTrace
        case .past: situation.isPast && !situation.isTrace
        }
    }

    /// Of what works everywhere, what does not act on panes that are out of sight.
    private static func worksInTrace(_ action: Action) -> Bool {
        switch action {
        case .up, .down, .pageUp, .pageDown, .first, .last, .back, .themes, .mouse, .redraw, .suspend, .help, .quit:
            true
        default: false
        }
    }

    static func action(of key: Key, in situation: Situation) -> Action? {
        all.first { $0.keys.contains(key) && $0.applies(in: situation) }?.action
    }

    private static func character(_ character: Character) -> [Key] { [.character(character)] }

    private static let shardPanes: Set<Pane> = [.shards, .hashKeys, .lineage, .problems, .events]

    /// Special scopes come first: of several that apply the first is taken.
    static let all: [Binding] = traceKeys + pastKeys + shardKeys + demoKeys + paneKeys + commonKeys

    /// What is done to the shard at the cursor.
    private static let shardKeys: [Binding] = [Scope.panes(shardPanes), .detail].flatMap { scope in
        [
            Binding(
                character("s"), "s", hint: "steal", "steal: one of our own workers takes the lease", .steal, scope),
            Binding(
                character("e"), "e", hint: "evict", "evict: clear the owner of the lease; it gets ZOMBIE", .evict,
                scope),
            Binding(
                character("r"), "r", hint: "release",
                "release: our worker gives the lease up after its last checkpoint",
                .release, scope),
            Binding(
                character("a"), "a", hint: "assign",
                "assign (3.x): hand the lease over to another worker; in a handover: complete it", .assign, scope),
            Binding(
                character("w"), "w", hint: "rewind",
                "rewind or advance: from where the lease is read, a time or a position (:undo puts it back)", .rewind,
                scope),
            Binding(
                character("S"), "S", hint: "split", "split the shard in the middle (:split SHARD at KEY for elsewhere)",
                .split, scope),
            Binding(character("C"), "C", "create the lease that a MISSING shard lacks", .create, scope),
            Binding(character("D"), "D", "delete an ORPHAN lease, whose shard is no more", .delete, scope),
            Binding(character("M"), "M", hint: "merge", "merge the shard with its neighbour", .merge, scope),
        ]
    }

    private static let traceKeys: [Binding] = [
        Binding(
            [.enter, .character("w")], "Enter w", hint: "wrap", hintKey: "w", "wrap long lines, or cut them", .wrap,
            .trace),
        Binding(
            character("p"), "p", hint: "freeze", "freeze the lines, or follow the newest again", .freeze, .trace),
    ]

    private static let pastKeys: [Binding] = [
        Binding([.escape, .end], "Esc End", hint: "now", hintKey: "Esc", "return to now", .present, .past),
        Binding(character("["), "[", hint: "earlier", "go back in time; held, the steps grow", .earlier, .past),
        Binding(character("]"), "]", hint: "later", "go forth in time, as far as now", .later, .past),
        Binding(
            character("{"), "{", hint: "event before", "to the steal, ZOMBIE, TERMINATE, reshard or action before",
            .earlierBookmark, .past),
        Binding(
            character("}"), "}", hint: "event after", "to the steal, ZOMBIE, TERMINATE, reshard or action after",
            .laterBookmark, .past),
    ]

    private static let demoKeys: [Binding] = [
        Binding(
            character("K"), "K", hint: "kill", "kill the worker: at once, it checkpoints nothing", .killWorker, .demo),
        Binding(
            character("x"), "x", hint: "stop", "stop the worker: it checkpoints and releases its leases", .stopWorker,
            .demo),
        Binding(
            character("P"), "P", hint: "pause", "pause the worker as a long garbage collection does, or resume it",
            .pauseWorker, .demo),
        Binding(character("n"), "n", hint: "new worker", "start another worker", .startWorker, .demo),
        Binding(character(">"), ">", hint: "rate", "produce more", .rateUp, .demo),
        Binding(character("<"), "<", "produce less", .rateDown, .demo),
        Binding(character("H"), "H", hint: "hot key", "send more of the records to one key, in steps", .hot, .demo),
    ]

    private static let paneKeys: [Binding] = [
        Binding(
            character(" "), "Space", hint: "mark",
            "mark the shard, or take the mark away: actions are about all marked",
            .mark, .panes([.shards, .hashKeys, .lineage])),
        Binding(
            character("*"), "*", "mark all shards that are listed", .markAll, .panes([.shards, .hashKeys, .lineage])),
        Binding(character("U"), "U", "take all marks away", .unmarkAll, .everywhere),
        Binding(
            [.right, .character("l"), .character("o")], "→ l o", hint: "sort", hintKey: "o", "sort by the next column",
            .sortNext,
            .panes([.shards])),
        Binding(
            [.left, .character("h"), .character("O")], "← h O", "sort by the column before", .sortPrevious,
            .panes([.shards])),
        Binding(character("R"), "R", "reverse the order", .reverse, .panes([.shards])),
        Binding(character("0"), "0", "default order: severity, then lag", .defaultOrder, .panes([.shards])),
        Binding(
            character("v"), "v", hint: "all events", "show or hide checkpoints, batches and syncs", .chatter,
            .panes([.events])),
        Binding(
            [.left, .character("h")], "← h", "the shard before, in the order of the table", .left,
            .detail),
        Binding([.right, .character("l")], "→ l", hint: "next shard", hintKey: "→", "the next shard", .right, .detail),
        Binding([.left, .character("h")], "← h", "the shard to the left", .left, .panes([.hashKeys])),
        Binding(
            [.right, .character("l")], "→ l", hint: "move", hintKey: "←→", "the shard to the right", .right,
            .panes([.hashKeys])),
    ]

    private static let commonKeys: [Binding] = [
        Binding([.up, .character("k")], "↑ k", "up", .up, .everywhere),
        Binding([.down, .character("j")], "↓ j", "down", .down, .everywhere),
        Binding([.pageUp, .control("b"), .control("u")], "PgUp", "a page up", .pageUp, .everywhere),
        Binding([.pageDown, .control("f"), .control("d")], "PgDn", "a page down", .pageDown, .everywhere),
        Binding([.home, .character("g")], "Home g", "to the first", .first, .everywhere),
        Binding([.end, .character("G")], "End G", "to the last", .last, .everywhere),
        Binding([.enter], "Enter", hint: "details", "everything about the shard", .open, .panes(shardPanes)),
        Binding([.enter], "Enter", hint: "its shards", "filter the shards of the worker", .open, .panes([.workers])),
        Binding(
            character("/"), "/", hint: "filter", "filter: words, !without, ~fuzzy, owner:NAME, state:LATE, lag>30s",
            .filter, .everywhere),
        Binding(
            [.character(":"), .function(2)], ":", hint: "command", "type a command; Tab completes it", .command,
            .everywhere),
        Binding(character("p"), "p", hint: "freeze", "freeze the picture, or go on", .freeze, .everywhere),
        Binding(
            character("["), "[", hint: "time", hintKey: "[ ]",
            "go back in time, through the last hour or the recording",
            .earlier, .everywhere),
        Binding(character("]"), "]", "go forth in time", .later, .everywhere),
        Binding(
            character("{"), "{", "back to the last steal, ZOMBIE, TERMINATE, reshard or action", .earlierBookmark,
            .everywhere),
        Binding(
            character("}"), "}", "forth to the next steal, ZOMBIE, TERMINATE, reshard or action", .laterBookmark,
            .everywhere),
        Binding(character("t"), "t", hint: "theme", "choose a theme", .themes, .everywhere),
        Binding([.escape, .backspace], "Esc", "back: close the view, drop the zoom or the filter", .back, .everywhere),
        Binding([.tab], "Tab", hint: "next pane", "next pane", .nextPane, .everywhere),
        Binding([.backTab], "Shift-Tab", "pane before", .previousPane, .everywhere),
        Binding(character("1"), "1", "shards: go to the pane, or hide it from there", .pane(.shards), .everywhere),
        Binding(character("2"), "2", "hash key space", .pane(.hashKeys), .everywhere),
        Binding(character("3"), "3", "lineage", .pane(.lineage), .everywhere),
        Binding(character("4"), "4", "workers", .pane(.workers), .everywhere),
        Binding(character("5"), "5", "events", .pane(.events), .everywhere),
        Binding(character("6"), "6", "problems", .pane(.problems), .everywhere),
        Binding(character("z"), "z", hint: "zoom", "this pane alone, or all again", .zoom, .everywhere),
        Binding([.character("+"), .character("=")], "+", "read the table more often", .refreshFaster, .everywhere),
        Binding(character("-"), "-", "read the table less often", .refreshSlower, .everywhere),
        Binding([.function(5)], "F5", "read the table now", .refreshNow, .everywhere),
        Binding(character("m"), "m", "mouse on or off; off lets the terminal select text", .mouse, .everywhere),
        Binding(character("y"), "y", "copy the shard or worker id", .copy, .everywhere),
        Binding([.control("l")], "Ctrl-L", "draw everything again", .redraw, .everywhere),
        Binding([.control("z")], "Ctrl-Z", "suspend; fg comes back", .suspend, .everywhere),
        Binding([.character("?"), .function(1)], "?", hint: "help", "this help", .help, .everywhere),
        Binding([.character("q"), .control("c")], "q", hint: "quit", "quit", .quit, .everywhere),
    ]
}
