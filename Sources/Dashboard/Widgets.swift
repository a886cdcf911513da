/// A titled frame around a pane, as in btop: `╭─┐¹shards┌────────┐/filter┌─╮`.
package struct Panel: Hashable, Sendable {
    /// The digit that brings the pane to the front; nil draws none.
    package var number: Int?
    package var title: String
    /// Drawn at the right end of the top border.
    package var note: [Span]
    /// Drawn at the right end of the bottom border.
    package var footer: [Span]
    package var border: Theme.Role
    package var hasFocus: Bool

    package init(
        number: Int? = nil, title: String, note: [Span] = [], footer: [Span] = [], border: Theme.Role,
        hasFocus: Bool = false
    ) {
        self.number = number
        self.title = title
        self.note = note
        self.footer = footer
        self.border = border
        self.hasFocus = hasFocus
    }

    /// Draws the frame, clears the inside and returns it.
    @discardableResult
    package func draw(in rect: Rect, on buffer: inout CellBuffer, look: Look) -> Rect {
        buffer.fill(rect, style: look.style(.text))
        guard rect.width >= 2, rect.height >= 2 else { return Rect(x: rect.x, y: rect.y, width: 0, height: 0) }
        var line = look.style(border)
        if hasFocus { line = brightened(line, look) }
        buffer.box(rect, symbols: look.symbols, style: line)
        var name: [Span] = []
        if let number { name.append(Span(look.symbols.superscript(number), look.style(.hotKey))) }
        let titleStyle = look.style(.title)
        name.append(Span(title, hasFocus ? titleStyle.underlined : titleStyle))
        let room = rect.width - 4
        let used = label(name, atRightEnd: false, y: rect.y, room: room, rect, line, on: &buffer, look)
        label(note, atRightEnd: true, y: rect.y, room: room - used, rect, line, on: &buffer, look)
        label(footer, atRightEnd: true, y: rect.endY - 1, room: room, rect, line, on: &buffer, look)
        return rect.inset(columns: 1, rows: 1)
    }

    /// The border of the pane that has the keys, nearer to the colour of its title.
    private func brightened(_ line: Style, _ look: Look) -> Style {
        switch look.theme.depth {
        case .mono, .ansi16: line.bold
        case .x256, .truecolor:
            line.with(
                foreground: line.foreground.mixed(with: look.style(.title).foreground, by: 0.45)
                    .reduced(to: look.theme.depth)
            ).bold
        }
    }

    /// Sets a text into a border and returns how many columns of it are taken.
    @discardableResult
    private func label(
        _ spans: [Span], atRightEnd: Bool, y: Int, room: Int, _ rect: Rect, _ line: Style,
        on buffer: inout CellBuffer, _ look: Look
    ) -> Int {
        let width = spans.reduce(0) { $0 + $1.text.columns }
        guard width > 0, room >= 4 else { return 0 }
        let size = min(width, room - 2)
        let start = atRightEnd ? rect.endX - 3 - size - 1 : rect.x + 2
        buffer.write(look.symbols.titleLeft, x: start, y: y, style: line)
        let area = Rect(x: start + 1, y: y, width: size, height: 1)
        let end = buffer.write(spans, x: area.x, y: y, clip: area)
        if end > area.endX, let last = spans.last {
            buffer.write(look.symbols.ellipsis, x: area.endX - 1, y: y, style: last.style)
        }
        buffer.write(look.symbols.titleRight, x: area.endX, y: y, style: line)
        return size + 2
    }
}

/// One key and what it does, for the hint line. A disabled one is dim, and says why where it is pressed.
package struct KeyHint: Hashable, Sendable {
    package var key: String
    package var label: String
    package var isEnabled: Bool

    package init(_ key: String, _ label: String, isEnabled: Bool = true) {
        self.key = key
        self.label = label
        self.isEnabled = isEnabled
    }
}

/// The line of key hints. Those that do not fit are left away from the end, but the last `pinned` ones always stay.
package struct KeyHints: Hashable, Sendable {
    package var hints: [KeyHint]
    package var pinned: Int

    package init(_ hints: [KeyHint], pinned: Int = 2) {
        self.hints = hints
        self.pinned = pinned
    }

    /// Draws the hints and returns where each is, for clicks; by index into `hints`.
    @discardableResult
    package func draw(in rect: Rect, on buffer: inout CellBuffer, look: Look) -> [(index: Int, rect: Rect)] {
        let rect = rect.row(0)
        buffer.fill(rect, style: look.style(.text))
        guard !rect.isEmpty else { return [] }
        var places: [(index: Int, rect: Rect)] = []
        var x = rect.x + 1
        for index in fitting(width: rect.width - 1) {
            let hint = hints[index]
            let start = x
            x = buffer.write(
                hint.key, x: x, y: rect.y, style: look.style(hint.isEnabled ? .hotKey : .dim), clip: rect)
            x = buffer.write(
                " " + hint.label, x: x, y: rect.y, style: look.style(hint.isEnabled ? .text : .dim), clip: rect)
            places.append((index, Rect(x: start, y: rect.y, width: x - start, height: 1)))
            x += 2
        }
        return places
    }

    private func fitting(width: Int) -> [Int] {
        let kept = max(0, hints.count - max(0, pinned))..<hints.count
        func size(_ index: Int) -> Int { hints[index].key.columns + 1 + hints[index].label.columns + 2 }
        var left = width + 2 - kept.reduce(0) { $0 + size($1) }
        var chosen: [Int] = []
        for index in 0..<kept.lowerBound {
            guard size(index) <= left else { break }
            left -= size(index)
            chosen.append(index)
        }
        return chosen + kept
    }
}

/// The bar at the edge of a list that shows which part is in view.
package struct ScrollBar: Hashable, Sendable {
    package var offset: Int
    package var count: Int

    package init(offset: Int, count: Int) {
        self.offset = offset
        self.count = count
    }

    /// Draws in the first column of the rectangle; nothing where everything is in view.
    package func draw(in rect: Rect, on buffer: inout CellBuffer, look: Look) {
        guard rect.height > 0, count > rect.height else { return }
        let size = max(1, rect.height * rect.height / count)
        let travel = rect.height - size
        let hidden = count - rect.height
        let start = min(travel, max(0, (offset * travel + hidden / 2) / hidden))
        for row in 0..<rect.height {
            let isThumb = row >= start && row < start + size
            let scalar = isThumb ? look.symbols.scrollThumb : look.symbols.scrollTrack
            buffer[rect.x, rect.y + row] = Cell(
                base: scalar.value, style: look.style(isThumb ? .text : .divider))
        }
    }
}

/// Which part of a list is in view.
package enum Scroll {
    /// The first row in view, as near to the earlier one as keeps the selection visible.
    package static func offset(selection: Int?, count: Int, height: Int, earlier: Int) -> Int {
        guard height > 0, count > height else { return 0 }
        var offset = earlier
        if let selection {
            let selection = min(max(0, selection), count - 1)
            if selection < offset { offset = selection }
            if selection >= offset + height { offset = selection - height + 1 }
        }
        return min(max(0, offset), count - height)
    }
}

/// Lines of spans, one of them selected, scrolled.
package struct List: Hashable, Sendable {
    package var count: Int
    package var offset: Int
    package var selection: Int?
    package var hasFocus: Bool

    package init(count: Int, offset: Int = 0, selection: Int? = nil, hasFocus: Bool = false) {
        self.count = count
        self.offset = offset
        self.selection = selection
        self.hasFocus = hasFocus
    }

    /// Draws the lines in view; `line` is asked only for those.
    package func draw(
        in rect: Rect, on buffer: inout CellBuffer, look: Look, line: (Int) -> [Span]
    ) {
        let hasBar = count > rect.height && rect.width > 1
        let area = hasBar ? rect.splitRight(1).rest : rect
        guard !area.isEmpty else { return }
        let start = max(0, offset)
        for row in 0..<area.height where start + row < count {
            let place = area.row(row)
            let end = buffer.write(line(start + row), x: place.x, y: place.y, clip: place)
            if end > place.endX {
                let style = buffer[place.endX - 1, place.y].style
                buffer.write(look.symbols.ellipsis, x: place.endX - 1, y: place.y, style: style)
            }
            if start + row == selection { buffer.select(place, hasFocus: hasFocus, look: look) }
        }
        if hasBar { ScrollBar(offset: start, count: count).draw(in: rect.splitRight(1).right, on: &buffer, look: look) }
    }
}

extension CellBuffer {
    /// Marks what is drawn in a rectangle as selected. Colours of the text stay where the theme has colours.
    package mutating func select(_ rect: Rect, hasFocus: Bool, look: Look) {
        let selected = look.style(hasFocus ? .selected : .selectedInactive)
        let text = look.style(.text).foreground
        let dim = look.style(.dim).foreground
        restyle(rect) { style in
            style.background = selected.background
            style.attributes.formUnion(selected.attributes)
            if style.foreground == text { style.foreground = selected.foreground }
            if style.foreground == dim { style.foreground = text }
        }
    }
}
