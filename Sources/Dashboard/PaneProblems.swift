import Fleet
import Machine

/// What is wrong, worst first, with the key that does something about it.
extension Frame {
    mutating func drawProblems(_ place: PanesLayout.Place) {
        let problems = model.snapshot?.problems ?? []
        let rows = model.rows.problems
        let note = problems.isEmpty ? [] : [Span("\(problems.count)", look.style(.dim))]
        var footer: [Span] = []
        if model.focus == .problems, let line = model.rows.problems[safe: model.list(.problems).index] {
            footer = [Span(message(problems[line]), look.style(.text))]
        }
        let area = panel(place, note: note, footer: footer)
        guard !rows.isEmpty else {
            let isWell = problems.isEmpty && (model.snapshot?.scans ?? 0) > 0
            let text =
                isWell
                ? "\(symbols.check) nothing is wrong" : problems.isEmpty ? "" : "no problem matches; Esc shows all"
            drawMessage([(text, isWell ? .ok : .dim)], in: area)
            return
        }
        var list = list(.problems, count: rows.count)
        if model.focus != .problems { list.selection = nil }
        var picture = buffer
        list.draw(in: area, on: &picture, look: look) { problemLine(problems[rows[$0]]) }
        buffer = picture
        calmSelection(in: area, row: list.selection.map { $0 - list.offset })
        hitLines(.problems, in: area, offset: list.offset, count: rows.count)
    }

    private func message(_ problem: Problem) -> String {
        let text = Format.sentence(problem.message)
        return symbols.isASCII ? text.asciiBounds : text
    }

    func problemLine(_ problem: Problem) -> [Span] {
        let severity = SeverityLook(problem.severity, symbols)
        let style = look.style(severity.role)
        var shards = problem.shardIDs.first.map(Format.shard) ?? problem.workerID ?? ""
        if problem.shardIDs.count > 1 { shards += " +\(problem.shardIDs.count - 1)" }
        var spans = [
            Span(severity.symbol.padded(to: 3), style), Span(problem.kind.rawValue.padded(to: 9) + " ", style),
            Span(shards.padded(to: max(6, min(16, shards.columns))) + " ", look.style(.title)),
            Span(problem.age.brief.padded(to: 6), look.style(.text)),
        ]
        if let action = problem.action {
            spans += [
                Span(" \(action.key)", look.style(.hotKey)), Span(" \(action.label)  ", look.style(.text)),
            ]
        }
        spans.append(Span(message(problem), look.style(.dim)))
        return spans
    }
}

extension Array {
    /// The element, or `nil` outside.
    subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
