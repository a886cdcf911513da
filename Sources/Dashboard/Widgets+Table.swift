/// A column of a table.
package struct Column: Hashable, Sendable {
    package var title: String
    /// The column is left away rather than made narrower than this.
    package var widthMin: Int
    /// Wider is no better; more room goes to other columns.
    package var widthMax: Int
    package var weight: Int
    package var alignment: Alignment
    package var kept: Kept
    /// When the table is too narrow the column with the largest number goes first; zero always stays.
    package var priority: Int

    package init(
        _ title: String, min widthMin: Int, max widthMax: Int? = nil, weight: Int = 1, alignment: Alignment = .left,
        keeping kept: Kept = .head, priority: Int = 0
    ) {
        self.title = title
        self.widthMin = Swift.max(1, widthMin)
        self.widthMax = Swift.max(widthMax ?? widthMin, self.widthMin)
        self.weight = weight
        self.alignment = alignment
        self.kept = kept
        self.priority = priority
    }
}

/// What one field of a table shows.
package enum TableField: Hashable, Sendable {
    case text(String, Style)
    case spans([Span])
    case graph([Double], maximum: Double?, Gradient)
    case meter(Double, Gradient)
    case empty
    /// A text that runs on over all following columns, such as the reason why a shard is blocked.
    case spanning([Span])
}

/// Where a table's parts were drawn, to tell what a click hits.
package struct TableLayout: Hashable, Sendable {
    package struct Place: Hashable, Sendable {
        /// The index into the table's columns.
        package var column: Int
        package var x: Int
        package var width: Int
    }

    package enum Hit: Hashable, Sendable {
        case header(column: Int)
        case row(Int)
    }

    package var columns: [Place]
    package var headerY: Int
    package var body: Rect
    package var offset: Int
    package var rowCount: Int

    package func hit(x: Int, y: Int) -> Hit? {
        if y == headerY {
            return columns.last { x >= $0.x && x <= $0.x + $0.width }.map { .header(column: $0.column) }
        }
        guard body.contains(x: x, y: y) else { return nil }
        let row = offset + y - body.y
        return row < rowCount ? .row(row) : nil
    }
}

/// A table with a header. It sorts nothing and keeps nothing: rows, order, selection and offset are given.
package struct Table: Hashable, Sendable {
    package struct Sort: Hashable, Sendable {
        package var column: Int
        package var isAscending: Bool

        package init(column: Int, isAscending: Bool) {
            self.column = column
            self.isAscending = isAscending
        }
    }

    package var columns: [Column]
    package var rowCount: Int
    package var offset: Int
    package var selection: Int?
    package var sort: Sort?
    package var hasFocus: Bool

    package init(
        columns: [Column], rowCount: Int, offset: Int = 0, selection: Int? = nil, sort: Sort? = nil,
        hasFocus: Bool = true
    ) {
        self.columns = columns
        self.rowCount = rowCount
        self.offset = offset
        self.selection = selection
        self.sort = sort
        self.hasFocus = hasFocus
    }

    /// The rows that a rectangle of this height shows below the header.
    package static func bodyHeight(_ rect: Rect) -> Int { max(0, rect.height - 1) }

    /// Draws the header and the rows in view. `field` is asked only for visible rows and columns, as (row, column).
    @discardableResult
    package func draw(
        in rect: Rect, on buffer: inout CellBuffer, look: Look, field: (Int, Int) -> TableField
    ) -> TableLayout {
        let hasBar = rowCount > Self.bodyHeight(rect) && rect.width > 4
        let area = hasBar ? rect.splitRight(1).rest : rect
        let (header, body) = area.splitTop(1)
        let offset = Scroll.offset(selection: nil, count: rowCount, height: body.height, earlier: self.offset)
        let places = places(in: area)
        let layout = TableLayout(
            columns: places, headerY: rect.y, body: body, offset: offset, rowCount: rowCount)
        guard !area.isEmpty else { return layout }
        drawHeader(places, in: header, on: &buffer, look: look)
        for row in 0..<body.height where offset + row < rowCount {
            let line = body.row(row)
            for place in places {
                let field = field(offset + row, place.column)
                let isSpanning = if case .spanning = field { true } else { false }
                let width = isSpanning ? line.endX - place.x : place.width
                let cell = Rect(x: place.x, y: line.y, width: width, height: 1).intersection(line)
                draw(field, columns[place.column], in: cell, on: &buffer, look: look)
                if isSpanning { break }
            }
            if offset + row == selection { buffer.select(line, hasFocus: hasFocus, look: look) }
        }
        if hasBar {
            let bar = rect.splitRight(1).right.splitTop(1).rest
            ScrollBar(offset: offset, count: rowCount).draw(in: bar, on: &buffer, look: look)
        }
        return layout
    }

    /// The columns that fit, one blank apart, and how wide each is.
    private func places(in rect: Rect) -> [TableLayout.Place] {
        var shown = Array(columns.indices)
        func needed() -> Int { shown.reduce(0) { $0 + columns[$1].widthMin } + max(0, shown.count - 1) }
        while needed() > rect.width, let leaving = shown.max(by: { columns[$0].priority < columns[$1].priority }),
            columns[leaving].priority > 0
        {
            shown.removeAll { $0 == leaving }
        }
        let lengths = shown.map {
            Length.share(columns[$0].weight, min: columns[$0].widthMin, max: columns[$0].widthMax)
        }
        let sizes = Length.sizes(lengths, total: rect.width - max(0, shown.count - 1))
        var x = rect.x
        return zip(shown, sizes).compactMap { column, width in
            defer { x += width + 1 }
            return width > 0 ? TableLayout.Place(column: column, x: x, width: width) : nil
        }
    }

    private func drawHeader(
        _ places: [TableLayout.Place], in line: Rect, on buffer: inout CellBuffer, look: Look
    ) {
        for place in places {
            let column = columns[place.column]
            let isSorted = sort?.column == place.column
            let arrow = isSorted ? (sort?.isAscending == true ? look.symbols.ascending : look.symbols.descending) : ""
            let room = max(0, place.width - arrow.columns)
            let title = column.title.truncated(to: room, ellipsis: "") + arrow
            let cell = Rect(x: place.x, y: line.y, width: place.width, height: 1).intersection(line)
            let style = look.style(isSorted ? .hotKey : .header)
            buffer.write(title, in: cell, style: style, alignment: column.alignment)
        }
    }

    private func draw(
        _ field: TableField, _ column: Column, in cell: Rect, on buffer: inout CellBuffer, look: Look
    ) {
        switch field {
        case .empty: break
        case .text(let text, let style):
            buffer.write(
                text, in: cell, style: style, alignment: column.alignment, keeping: column.kept,
                ellipsis: look.symbols.ellipsis)
        case .spans(let spans), .spanning(let spans):
            let width = spans.reduce(0) { $0 + $1.text.columns }
            let indent = column.alignment == .right ? max(0, cell.width - width) : 0
            buffer.write(spans, x: cell.x + indent, y: cell.y, clip: cell)
            if width > cell.width, let last = spans.last {
                buffer.write(look.symbols.ellipsis, x: cell.endX - 1, y: cell.y, style: last.style, clip: cell)
            }
        case .graph(let values, let maximum, let gradient):
            let graph = Graph(
                values: values, maximum: maximum, gradient: gradient, symbols: look.symbols.graph,
                background: look.style(.text).background)
            graph.draw(in: cell, on: &buffer)
        case .meter(let fraction, let gradient):
            let meter = Meter(
                fraction: fraction, gradient: gradient, symbols: look.symbols.graph,
                ground: look.style(.meterBackground))
            meter.draw(in: cell, on: &buffer)
        }
    }
}
