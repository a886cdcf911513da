import Fleet
import Leases

/// `?`: the keys of where one is, then those of everywhere, the commands and the words.
extension Frame {
    mutating func drawHelp(offset: Int) {
        let width = min(buffer.width - 8, 92)
        let lines = helpLines(width: width)
        let height = buffer.height - 4
        let most = max(0, lines.count - (height - 2))
        let place = model.trace != nil ? "protocol" : model.detail == nil ? model.focus.title : "one shard"
        let dialog = Dialog(
            title: "help: \(place)", lines: lines, offset: min(offset, most), width: width)
        let places = dialog.draw(in: buffer.bounds.inset(rows: 1), on: &buffer, look: look)
        let text = places.hiddenLines > 0 ? " \(places.hiddenLines) more, Space goes on, Esc closes " : " Esc closes "
        buffer.write(
            text.asASCII(symbols), x: places.frame.x + 2, y: places.frame.endY - 1, style: look.style(.dim),
            clip: places.frame)
    }

    private func helpLines(width: Int) -> [[Span]] {
        let applying = Binding.all.filter { $0.applies(in: model.situation) }
        var lines: [[Span]] = []
        func section(_ title: String, _ content: [[Span]]) {
            guard !content.isEmpty else { return }
            if !lines.isEmpty { lines.append([]) }
            lines.append([Span(title, look.style(.title))])
            lines += content
        }
        for text in about.asASCII(symbols).wrapped(to: width) { lines.append([Span(text, look.style(.text))]) }
        section("in the past", keyLines(applying.filter { $0.scope == .past }, width))
        section(
            "here",
            keyLines(applying.filter { $0.scope != .everywhere && $0.scope != .demo && $0.scope != .past }, width))
        section("the demo's workers and producer", keyLines(applying.filter { $0.scope == .demo }, width))
        section("everywhere", keyLines(applying.filter { $0.scope == .everywhere }, width))
        let commands = CommandPalette.available(in: model).map { command in
            entry(":" + command.usage, command.help, keyWidth: 34, width)
        }
        section("commands, after :", commands.flatMap { $0 })
        section("states", stateLines(width))
        let words = Self.words + (model.snapshot?.children.isEmpty == false ? Self.childWords(symbols) : [])
        section("words", words.flatMap { entry($0.0, $0.1, keyWidth: 14, width) })
        return lines
    }

    /// What the pane in focus shows.
    private var about: String {
        if model.trace != nil {
            return
                "The lines that pass between us and the shard's child, newest at the bottom: → to the child, ← from it. "
                + "Record data is left out. Only while this view is open are lines kept, the newest \(TraceRing.linesMax)."
        }
        if model.detail != nil {
            return "Everything that is known of one shard: why it is as it is, its row, its last minutes."
        }
        return switch model.focus {
        case .shards:
            "One line a shard. LAG is how far behind the newest record delivery is; ≤ is an estimate from the "
                + "checkpoint, an upper bound. AGE is since the checkpoint moved, BEAT since the lease counter moved."
        case .hashKeys:
            "The 128-bit space of hash keys from left to right: the colour is the owner, the height the throughput, "
                + "holes that nobody reads are crossed out. Closed shards still being read stand above their children."
        case .lineage:
            "Which shard came of which by splits and merges. Families in which something is going on come first."
        case .workers: "Who holds leases. BEAT is the time since the last renewal that was seen."
        case .events:
            "What happened, newest first. TERMINATE: a shard was read to its end. ZOMBIE: a worker found that its lease "
                + "was taken; seen from the table alone it is inferred."
        case .problems: "What is wrong, worst first; the key shown does something about it."
        }
    }

    private func keyLines(_ bindings: [Binding], _ width: Int) -> [[Span]] {
        bindings.flatMap { entry($0.name.asASCII(symbols), $0.help, keyWidth: 10, width) }
    }

    private func entry(_ key: String, _ text: String, keyWidth: Int, _ width: Int) -> [[Span]] {
        let room = max(12, width - keyWidth - 2)
        return text.asASCII(symbols).wrapped(to: room).enumerated().map { index, line in
            [
                Span("  " + (index == 0 ? key : "").padded(to: keyWidth), look.style(.hotKey)),
                Span(line, look.style(.text)),
            ]
        }
    }

    private func stateLines(_ width: Int) -> [[Span]] {
        let meanings: [(LeaseState, String)] = [
            (.live, "owned, and renewed in time"), (.late, "the owner missed a renewal"),
            (.expired, "no renewal for the failover time: any worker may take it"), (.free, "nobody owns it"),
            (.learning, "its counter was not watched long enough to tell"),
            (.handoff, "on its way from one worker to another"), (.pending, "a prepared checkpoint is not committed"),
            (.blocked, "waits for a parent shard to end"), (.drain, "closed; what is left is being read"),
            (.ended, "read to its end (SHARD_END)"), (.orphan, "a lease whose shard the stream does not have"),
            (.missing, "an open shard without a lease"), (.hole, "hash keys that no lease covers"),
        ]
        return meanings.map { state, meaning in
            let stateLook = StateLook(state, isASCII: symbols.isASCII)
            return [
                Span("  " + "\(stateLook.symbol) \(state.rawValue)".padded(to: 12), look.style(stateLook.role)),
                Span(meaning, look.style(.text)),
            ]
        }
    }

    private static func childWords(_ symbols: Symbols) -> [(String, String)] {
        [
            (
                "CHILD",
                "the process that reads the shard: \(symbols.warning) owes an answer for 30 s or more, "
                    + "\(symbols.isASCII ? "r" : "↻") was restarted, \(symbols.alarm) failed"
            ),
            ("STDERR", "a line that a child wrote to its standard error"),
        ]
    }

    private static let words: [(String, String)] = [
        ("steal", "one of our own workers takes the lease; the owner gets ZOMBIE"),
        ("evict", "the owner is cleared; records since its checkpoint are delivered again"),
        ("release", "the owner gives its lease up after its last checkpoint"),
        ("TERMINATE", "a shard was read to its end"), ("ZOMBIE", "a worker found that it lost its lease"),
    ]
}
