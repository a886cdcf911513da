import Fleet
import Machine

/// Draws a model: a function of its arguments, nothing else. Only lines in view are formatted.
package func render(_ model: Model, look: Look) -> CellBuffer {
    var frame = Frame(model, look: look)
    frame.draw()
    return frame.buffer
}

/// A picture while it is drawn, and what a click on each part of it would mean.
struct Frame {
    struct Hit {
        var rect: Rect
        var target: Target
    }

    enum Target: Hashable {
        case key(Key)
        case pane(Pane)
        case line(Pane, Int)
        case column(ShardColumn)
        /// A button of a question: yes or no.
        case answer(Bool)
        case choice(Int)
        case nothing
    }

    let model: Model
    let look: Look
    let layout: PanesLayout
    var buffer: CellBuffer
    /// Later ones lie above earlier ones.
    var hits: [Hit] = []

    init(_ model: Model, look: Look) {
        self.model = model
        self.look = look
        layout = model.layout
        buffer = CellBuffer(width: model.width, height: model.height, style: look.style(.text))
    }

    var symbols: Symbols { look.symbols }

    /// Whether the table was read at all; before that nothing can be said about what is not there.
    var isRead: Bool { (model.snapshot?.scans ?? 0) > 0 }

    mutating func draw() {
        guard model.width >= PanesLayout.widthMin && model.height >= PanesLayout.heightMin else {
            drawTooSmall()
            return
        }
        drawHeader()
        drawVerdict()
        drawCaption()
        drawStrip()
        drawFooter()
        if let trace = model.trace {
            drawTrace(trace)
        } else if let detail = model.detail {
            drawDetail(detail)
        } else {
            for place in layout.places { draw(place) }
        }
        guard let overlay = model.overlay else { return }
        hits.removeAll()
        draw(overlay)
    }

    /// The uppermost part at a position.
    func target(x: Int, y: Int) -> Target? {
        hits.last { $0.rect.contains(x: x, y: y) }?.target
    }

    mutating func hit(_ rect: Rect, _ target: Target) {
        hits.append(Hit(rect: rect, target: target))
    }

    private mutating func drawTooSmall() {
        let by = symbols.isASCII ? "x" : "×"
        let text =
            "terminal too small: need \(PanesLayout.widthMin)\(by)\(PanesLayout.heightMin), "
            + "have \(model.width)\(by)\(model.height)"
        let lines = text.wrapped(to: max(1, model.width))
        let top = max(0, (model.height - lines.count) / 2)
        for (row, line) in lines.enumerated() {
            let rect = Rect(x: 0, y: top + row, width: model.width, height: 1)
            buffer.write(line, in: rect, style: look.style(.warning), alignment: .center)
        }
    }

    private mutating func draw(_ place: PanesLayout.Place) {
        guard place.rect.height >= 3 else { return }
        hit(place.rect, .pane(place.pane))
        switch place.pane {
        case .shards: drawShards(place)
        case .hashKeys: drawHashKeys(place)
        case .lineage: drawLineage(place)
        case .workers: drawWorkers(place)
        case .events: drawEvents(place)
        case .problems: drawProblems(place)
        }
    }

    /// The frame of a pane. Other panes that could stand in the same place are named as tabs.
    mutating func panel(_ place: PanesLayout.Place, title: String? = nil, note: [Span] = [], footer: [Span] = [])
        -> Rect
    {
        let pane = place.pane
        var notes = note
        if let filter = model.filters[pane], !filter.isEmpty {
            notes.append(Span(" /\(filter.text) ", look.style(.match)))
        }
        let tabsWidth = place.tabs.reduce(pane.title.columns + 10) { $0 + $1.title.columns + 4 }
        var tabs: [(pane: Pane, start: Int, width: Int)] = []
        func notesWidth() -> Int { notes.reduce(0) { $0 + $1.text.columns } }
        for tab in place.tabs {
            if !notes.isEmpty { notes.append(Span(" ", look.style(.dim))) }
            let start = notesWidth()
            notes.append(Span(symbols.superscript(tab.rawValue), look.style(.hotKey)))
            if tabsWidth <= place.rect.width {
                notes.append(Span(tab.title + tabCount(tab), look.style(tabRole(tab))))
            }
            tabs.append((tab, start, notesWidth() - start))
        }
        let left = place.rect.endX - 3 - notesWidth()
        for tab in tabs where left > place.rect.x + pane.title.columns + 5 {
            hit(Rect(x: left + tab.start, y: place.rect.y, width: tab.width, height: 1), .pane(tab.pane))
        }
        let panel = Panel(
            number: pane.rawValue, title: title ?? pane.title, note: notes, footer: footer, border: pane.border,
            hasFocus: model.focus == pane && model.detail == nil)
        return panel.draw(in: place.rect, on: &buffer, look: look)
    }

    private func tabCount(_ tab: Pane) -> String {
        tab == .problems && !model.rows.problems.isEmpty ? " \(model.rows.problems.count)" : ""
    }

    private func tabRole(_ tab: Pane) -> Theme.Role {
        guard tab == .problems, let worst = model.snapshot?.problems.first?.severity else { return .dim }
        return worst == .critical ? .critical : worst == .warning ? .warning : .dim
    }

    /// The style of a worker's name: its colour, the same in every pane.
    func ownerStyle(_ worker: String?) -> Style {
        guard let worker, let index = model.ownerIndexes[worker] else { return look.style(.text) }
        return look.theme.depth == .mono ? look.style(.text) : look.theme.ownerStyle(index)
    }

    /// Words in the middle of an area, wrapped; the first in the role given.
    mutating func drawMessage(_ paragraphs: [(String, Theme.Role)], in rect: Rect) {
        var lines: [Span] = []
        for (text, role) in paragraphs {
            let style = look.style(role)
            lines += text.wrapped(to: max(1, min(76, rect.width - 4))).map { Span($0, style) }
        }
        let top = rect.y + max(0, (rect.height - lines.count) / 2)
        for (row, line) in lines.prefix(rect.height).enumerated() {
            let place = Rect(x: rect.x, y: top + row, width: rect.width, height: 1)
            buffer.write(line.text, in: place, style: line.style, alignment: .center)
        }
    }

    func list(_ pane: Pane, count: Int) -> List {
        let state = model.list(pane)
        return List(
            count: count, offset: state.offset, selection: state.index, hasFocus: model.focus == pane)
    }

    /// With 16 colours a selection is drawn by reversing; a row of many colours would become a patchwork.
    mutating func calmSelection(in rect: Rect, row: Int?) {
        guard look.theme.depth == .ansi16, let row, row >= 0, row < rect.height else { return }
        buffer.restyle(rect.row(row)) { $0.foreground = .default }
    }

    /// Notes which line each row of a list shows, for clicks.
    mutating func hitLines(_ pane: Pane, in rect: Rect, offset: Int, count: Int) {
        for row in 0..<rect.height where offset + row < count { hit(rect.row(row), .line(pane, offset + row)) }
    }
}
