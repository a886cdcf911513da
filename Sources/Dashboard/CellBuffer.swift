/// How a cell's text is drawn besides its colours.
@frozen public struct Attributes: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8

    @inlinable public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    @inlinable public static var bold: Attributes { Attributes(rawValue: 1) }
    @inlinable public static var dim: Attributes { Attributes(rawValue: 2) }
    @inlinable public static var italic: Attributes { Attributes(rawValue: 4) }
    @inlinable public static var underline: Attributes { Attributes(rawValue: 8) }
    @inlinable public static var reverse: Attributes { Attributes(rawValue: 16) }
}

/// Colours and attributes of a cell.
@frozen public struct Style: Hashable, Sendable {
    public var foreground: Color
    public var background: Color
    public var attributes: Attributes

    @inlinable public init(
        foreground: Color = .default, background: Color = .default, attributes: Attributes = []
    ) {
        self.foreground = foreground
        self.background = background
        self.attributes = attributes
    }

    @inlinable public static var plain: Style { Style() }
}

extension Style {
    package func with(foreground: Color) -> Style {
        var style = self
        style.foreground = foreground
        return style
    }

    package func with(background: Color) -> Style {
        var style = self
        style.background = background
        return style
    }

    package func adding(_ attributes: Attributes) -> Style {
        var style = self
        style.attributes.formUnion(attributes)
        return style
    }

    package var bold: Style { adding(.bold) }
    package var dim: Style { adding(.dim) }
    package var underlined: Style { adding(.underline) }
    package var reversed: Style { adding(.reverse) }
}

/// One position of the screen. `base` is zero for the right half of a wide glyph, whose left half is the cell before.
@frozen public struct Cell: Hashable, Sendable {
    public var base: UInt32
    public var mark: UInt32
    public var secondMark: UInt32
    public var style: Style

    @inlinable public init(base: UInt32 = 0x20, mark: UInt32 = 0, secondMark: UInt32 = 0, style: Style = .plain) {
        self.base = base
        self.mark = mark
        self.secondMark = secondMark
        self.style = style
    }

    @inlinable public var isContinuation: Bool { base == 0 }

    /// The cell's text; empty for the right half of a wide glyph.
    package var text: String {
        var text = ""
        if base != 0 { Glyph(base: base, mark: mark, secondMark: secondMark).append(to: &text) }
        return text
    }
}

/// A piece of text in one style.
package struct Span: Hashable, Sendable {
    package var text: String
    package var style: Style

    package init(_ text: String, _ style: Style) {
        self.text = text
        self.style = style
    }
}

/// A screen as values: a grid of cells and where the cursor is. Everything is drawn into one of these; what is
/// outside it, or outside a clip, is left away without a trap.
public struct CellBuffer: Hashable, Sendable {
    public let width: Int
    public let height: Int
    public private(set) var cells: [Cell]
    /// Where the terminal's cursor is shown; nil hides it.
    public var cursor: Position?

    @frozen public struct Position: Hashable, Sendable {
        public var x: Int
        public var y: Int

        @inlinable public init(x: Int, y: Int) {
            self.x = x
            self.y = y
        }
    }

    /// The most columns or rows a buffer has; no terminal is larger, and a broken size report must not exhaust memory.
    package static let sizeMax = 2000

    package init(width: Int, height: Int, style: Style = .plain) {
        self.width = min(Self.sizeMax, max(0, width))
        self.height = min(Self.sizeMax, max(0, height))
        cells = Array(repeating: Cell(style: style), count: self.width * self.height)
    }

    package var bounds: Rect { Rect(x: 0, y: 0, width: width, height: height) }

    /// The cell at a position; a blank outside. Setting one outside does nothing.
    package subscript(x: Int, y: Int) -> Cell {
        get { bounds.contains(x: x, y: y) ? cells[y * width + x] : Cell() }
        set {
            guard bounds.contains(x: x, y: y) else { return }
            breakWideGlyph(at: y * width + x, row: y)
            cells[y * width + x] = newValue
        }
    }

    /// Draws a text in one row and returns the column after it, whether or not all of it was visible.
    @discardableResult
    package mutating func write(_ text: String, x: Int, y: Int, style: Style, clip: Rect? = nil) -> Int {
        let clip = (clip ?? bounds).intersection(bounds)
        var column = x
        for glyph in GlyphIterator(text) {
            let next = column + glyph.columns
            if y >= clip.y && y < clip.endY && next > clip.x && column < clip.endX {
                put(glyph, x: column, y: y, style: style, clip: clip)
            }
            column = next
        }
        return column
    }

    /// Draws pieces of text one after the other and returns the column after the last.
    @discardableResult
    package mutating func write(_ spans: [Span], x: Int, y: Int, clip: Rect? = nil) -> Int {
        var column = x
        for span in spans {
            column = write(span.text, x: column, y: y, style: span.style, clip: clip)
        }
        return column
    }

    /// Draws a text inside the first row of a rectangle, cut and aligned.
    package mutating func write(
        _ text: String, in rect: Rect, style: Style, alignment: Alignment = .left, keeping kept: Kept = .head,
        ellipsis: String = "…"
    ) {
        guard !rect.isEmpty else { return }
        let text = text.truncated(to: rect.width, keeping: kept, ellipsis: ellipsis)
        let missing = max(0, rect.width - text.columns)
        let indent =
            switch alignment {
            case .left: 0
            case .right: missing
            case .center: missing / 2
            }
        write(text, x: rect.x + indent, y: rect.y, style: style, clip: rect)
    }

    private mutating func put(_ glyph: Glyph, x: Int, y: Int, style: Style, clip: Rect) {
        let start = y * width
        guard glyph.columns == 2 else {
            breakWideGlyph(at: start + x, row: y)
            cells[start + x] = Cell(
                base: glyph.base, mark: glyph.mark, secondMark: glyph.secondMark, style: style)
            return
        }
        guard x >= clip.x && x + 1 < clip.endX else {
            let visible = max(x, clip.x)
            breakWideGlyph(at: start + visible, row: y)
            cells[start + visible] = Cell(style: style)
            return
        }
        breakWideGlyph(at: start + x, row: y)
        breakWideGlyph(at: start + x + 1, row: y)
        cells[start + x] = Cell(base: glyph.base, mark: glyph.mark, secondMark: glyph.secondMark, style: style)
        cells[start + x + 1] = Cell(base: 0, style: style)
    }

    /// Half of a wide glyph cannot be shown: when one half is drawn over, the other becomes a blank.
    private mutating func breakWideGlyph(at index: Int, row: Int) {
        if cells[index].isContinuation && index > row * width {
            cells[index - 1].base = 0x20
            cells[index - 1].mark = 0
            cells[index - 1].secondMark = 0
        }
        if index + 1 < (row + 1) * width && cells[index + 1].isContinuation {
            cells[index + 1].base = 0x20
        }
    }

    /// Fills a rectangle with one narrow scalar.
    package mutating func fill(_ rect: Rect, style: Style, scalar: Unicode.Scalar = " ") {
        let rect = rect.intersection(bounds)
        guard !rect.isEmpty else { return }
        let glyph = ScalarWidth.glyph(startingWith: scalar.value)
        let cell = Cell(base: glyph.columns == 1 ? glyph.base : 0x20, style: style)
        for y in rect.y..<rect.endY {
            breakWideGlyph(at: y * width + rect.x, row: y)
            breakWideGlyph(at: y * width + rect.endX - 1, row: y)
            for x in rect.x..<rect.endX { cells[y * width + x] = cell }
        }
    }

    /// Changes the style of cells that are already drawn, for a selected row, for one.
    package mutating func restyle(_ rect: Rect, _ change: (inout Style) -> Void) {
        let rect = rect.intersection(bounds)
        guard !rect.isEmpty else { return }
        for y in rect.y..<rect.endY {
            for x in rect.x..<rect.endX { change(&cells[y * width + x].style) }
        }
    }
}
