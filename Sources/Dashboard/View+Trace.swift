import Fleet
import Machine

/// What there is room for in the view of a child's protocol.
struct TraceLayout {
    /// Columns before the text: the time, the pid where there is room, the direction.
    var headWidth: Int
    var textWidth: Int
    var height: Int
    var hasPid: Bool

    init(_ main: Rect) {
        hasPid = main.width >= 100
        headWidth = 13 + (hasPid ? 8 : 0) + 3
        // The border, a blank and the scroll bar in the border.
        textWidth = max(1, main.width - 4 - headWidth)
        height = max(0, main.height - 2)
    }
}

extension Frame {
    mutating func drawTrace(_ trace: Trace) {
        let child = model.snapshot?.children[trace.shardID]
        let ring = trace.shown
        let title = "protocol \(symbols.pointer) \(Format.shard(trace.shardID))"
        let area = Panel(
            title: title, note: traceNote(trace, child),
            footer: [Span("record data is left out", look.style(.dim))], border: .logBorder, hasFocus: true
        ).draw(in: layout.main, on: &buffer, look: look).inset(columns: 1)
        guard ring.count > 0 else {
            drawMessage(emptyTrace(child), in: area)
            return
        }
        let parts = TraceLayout(layout.main)
        guard let lowest = trace.lowest(width: parts.textWidth, height: area.height) else { return }
        var place = lowest
        // From the newest upwards; with few lines they stand at the top.
        var rows: [(line: TraceLine, text: String, isFirst: Bool)] = []
        var texts: [String] = []
        var textsOf: Int?
        while rows.count < area.height, let line = ring[place.line] {
            if textsOf != place.line {
                texts = trace.rows(line, width: parts.textWidth)
                textsOf = place.line
            }
            rows.append((line, texts[safe: place.row] ?? "", place.row == 0))
            let next = trace.place(1, above: place, width: parts.textWidth)
            if next == place { break }
            place = next
        }
        for (row, entry) in rows.reversed().enumerated() {
            drawTraceRow(entry.line, entry.text, isFirst: entry.isFirst, parts, in: area.row(row))
        }
        let bar = Rect(x: layout.main.endX - 1, y: area.y, width: 1, height: area.height)
        ScrollBar(offset: max(0, lowest.line - ring.first - area.height + 1), count: ring.count)
            .draw(in: bar, on: &buffer, look: look)
    }

    private func traceNote(_ trace: Trace, _ child: ChildView?) -> [Span] {
        var note: [Span] = []
        if trace.frozen != nil {
            let more = trace.live.end - trace.shown.end
            note.append(Span(" FROZEN\(more > 0 ? ", \(more) more" : "") ", look.style(.paused)))
        } else if trace.bottom != nil {
            note.append(Span("End follows again", look.style(.notice)))
        }
        if let child {
            if !note.isEmpty { note.append(Span(" ", look.style(.dim))) }
            let state = ChildLook(child, symbols)
            let pid = child.pid.map { "pid \($0) " } ?? ""
            note += [Span(pid, look.style(.dim)), Span(child.state.word, look.style(state.role))]
        }
        return note
    }

    private func emptyTrace(_ child: ChildView?) -> [(String, Theme.Role)] {
        let what =
            child == nil
            ? "no child of this process reads the shard now" : "nothing passed since this view was opened"
        return [
            (what, .title), ("lines appear here as they pass; record data is left out", .dim), ("Esc goes back", .dim),
        ]
    }

    private mutating func drawTraceRow(
        _ line: TraceLine, _ text: String, isFirst: Bool, _ parts: TraceLayout, in rect: Rect
    ) {
        let isToChild = line.direction == .toChild
        var x = rect.x
        if isFirst {
            let time = CivilTime(line.at)
            let fraction = String(1000 + time.millisecond).dropFirst()
            buffer.write("\(time.clock).\(fraction)", x: x, y: rect.y, style: look.style(.dim), clip: rect)
            x += 13
            if parts.hasPid {
                let pid = "\(line.pid)".padded(to: 7, alignment: .right)
                buffer.write(pid, x: x, y: rect.y, style: look.style(.dim), clip: rect)
                x += 8
            }
            let arrow = isToChild ? (symbols.isASCII ? "->" : "→") : (symbols.isASCII ? "<-" : "←")
            buffer.write(arrow, x: x, y: rect.y, style: look.style(isToChild ? .notice : .ok).bold, clip: rect)
        }
        // What a child writes there is a message or a mistake.
        let isStray = !isToChild && line.line.first { $0 != " " } != "{"
        let place = Rect(x: rect.x + parts.headWidth, y: rect.y, width: parts.textWidth, height: 1)
        buffer.write(
            text, in: place, style: look.style(isStray ? .warning : .text), ellipsis: symbols.ellipsis)
    }
}

/// How a child looks: whether there is trouble with it.
struct ChildLook {
    var role: Theme.Role
    /// Empty where all is well.
    var mark: String

    init(_ child: ChildView, _ symbols: Symbols) {
        switch child.state {
        case .failed: (role, mark) = (.critical, symbols.alarm)
        case _ where child.isOverdue: (role, mark) = (.warning, symbols.warning)
        case _ where child.restarts > 0: (role, mark) = (.warning, symbols.isASCII ? "r" : "↻")
        case .working, .idle: (role, mark) = (.text, "")
        case .ending, .ended: (role, mark) = (.dim, "")
        }
    }
}

extension DetailLines {
    /// The child process that reads the shard.
    mutating func addChild(_ child: ChildView) {
        lines.append(.heading("child"))
        let state: String = if case .failed(let why) = child.state { "failed: \(why)" } else { child.state.word }
        let isFailed = state.hasPrefix("failed")
        add("pid", child.pid.map { "\($0), \(state)" } ?? state, isFailed ? .critical : .text)
        var usage: [String] = []
        if let share = child.processorShare, share.isFinite {
            usage.append("\(Format.decimals(max(0, share) * 100, 1))% of a core")
        }
        if let bytes = child.residentBytes { usage.append(Format.size(bytes)) }
        if !usage.isEmpty { add("usage", usage.joined(separator: ", ")) }
        let message = [child.lastAction, child.lastMessageAge.map { "\($0.brief) ago" }].compactMap { $0 }
        add("last message", message.isEmpty ? "none yet" : message.joined(separator: ", "))
        if let waiting = child.waiting {
            add("waiting", "\(waiting.brief) for its answer", child.isOverdue ? .warning : .text)
        } else {
            add("waiting", "no, it answered all of \(Format.count(Int64(child.answered)))")
        }
        let refused = child.refusedCheckpoints
        add(
            "checkpoints", "\(Format.count(Int64(child.checkpoints))) stored, \(Format.count(Int64(refused))) refused",
            refused > 0 ? .notice : .text)
        add("sent", Format.size(child.bytesWritten))
        add(
            "stray lines", child.stray == 0 ? "0" : "\(child.stray) on its standard output are no messages",
            child.stray > 0 ? .warning : .text)
        add("restarts", "\(child.restarts)", child.restarts > 0 ? .warning : .text)
        lines.append(.blank)
    }
}
