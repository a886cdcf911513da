import Fleet
import Leases
import Machine

/// What happened, newest first.
extension Frame {
    mutating func drawEvents(_ place: PanesLayout.Place) {
        let events = model.snapshot?.events ?? []
        let rows = model.rows.events
        let state = model.list(.events)
        let note = state.id == nil ? [] : [Span("\(state.index + 1)/\(rows.count)", look.style(.dim))]
        let area = panel(place, note: note)
        guard !rows.isEmpty else {
            let text = model.filters[.events] == nil ? "nothing happened yet" : "no event matches; Esc shows all"
            if isRead { drawMessage([(text, .dim)], in: area) }
            return
        }
        var list = list(.events, count: rows.count)
        if model.focus != .events && state.id == nil { list.selection = nil }
        var picture = buffer
        list.draw(in: area, on: &picture, look: look) { eventLine(events[rows[$0]].event, width: area.width) }
        buffer = picture
        calmSelection(in: area, row: list.selection.map { $0 - list.offset })
        hitLines(.events, in: area, offset: list.offset, count: rows.count)
    }

    func eventLine(_ event: WorkerEvent, width: Int, withShard: Bool = true) -> [Span] {
        let word = EventWord(event.kind)
        let text = look.style(.text)
        let dim = look.style(.dim)
        var spans = [
            Span(CivilTime(event.at).clock + " ", dim),
            Span(word.word.padded(to: 10), look.style(word.role)),
        ]
        if event.kind == .childOutput {
            // A child's own words, not ours: they stay as they are and in the background.
            if withShard, let shard = event.shardID { spans.append(Span(Format.shard(shard) + " ", dim)) }
            return spans + [Span(event.message ?? "", dim)]
        }
        if withShard, let shard = event.shardID { spans.append(Span(Format.shard(shard) + " ", look.style(.title))) }
        // A generated id is long, and in a narrow pane what happened matters more.
        let names = owners(of: event, width: min(22, max(9, width / 4)))
        if !names.isEmpty { spans += names + [Span(" ", text)] }
        if event.kind == .shardEnded, !event.childShardIDs.isEmpty {
            let children = event.childShardIDs.map(Format.shard).joined(separator: " ")
            spans.append(Span("\(symbols.arrow) \(children) ", text))
        }
        if let records = event.records { spans.append(Span("\(records) records ", text)) }
        if event.source == .table && event.kind == .ownerChanged && event.previousOwner != nil {
            spans.append(Span("(ZOMBIE inferred) ", dim))
        }
        if let message = event.message { spans.append(Span(Format.sentence(message), dim)) }
        return spans
    }

    /// Whose lease it was and whose it is, as far as the event tells.
    private func owners(of event: WorkerEvent, width: Int) -> [Span] {
        func name(_ worker: String) -> Span {
            Span(worker.truncated(to: width, keeping: .ends, ellipsis: symbols.ellipsis), ownerStyle(worker))
        }
        let arrow = Span(" \(symbols.arrow) ", look.style(.dim))
        let before = event.previousOwner ?? (event.kind == .leaseLost ? event.workerID : nil)
        let after = event.owner ?? (before == nil ? event.workerID : nil)
        switch (before, after) {
        case (let before?, let after?) where before != after: return [name(before), arrow, name(after)]
        case (let before?, nil): return [name(before)]
        case (_, let after?): return [name(after)]
        case (nil, nil): return []
        }
    }
}
