/// What graphs are drawn with.
package enum GraphSymbols: String, Hashable, Sendable, CaseIterable {
    /// Dots, two samples wide and four high in each cell.
    case braille
    /// Eighths of a cell, one sample wide.
    case block
    /// Plain characters for fonts and terminals without the others.
    case ascii

    package var samplesPerColumn: Int { self == .braille ? 2 : 1 }

    var levelsPerRow: Int {
        switch self {
        case .braille: 4
        case .block: 8
        case .ascii: 3
        }
    }
}

/// A graph of samples over time, the newest at the right edge. A sample that is NaN is a gap: nothing was known then.
/// Zero is drawn as a line at the foot, so that "nothing to do" and "nothing known" look different.
package struct Graph: Hashable, Sendable {
    package enum Direction: Hashable, Sendable {
        case up
        case down
    }

    package var values: [Double]
    /// The value that fills the full height; nil takes the largest value in view.
    package var maximum: Double?
    package var gradient: Gradient
    package var symbols: GraphSymbols
    package var direction: Direction
    package var background: Color

    package init(
        values: [Double], maximum: Double? = nil, gradient: Gradient, symbols: GraphSymbols,
        direction: Direction = .up, background: Color = .default
    ) {
        self.values = values
        self.maximum = maximum
        self.gradient = gradient
        self.symbols = symbols
        self.direction = direction
        self.background = background
    }

    /// How many of the newest samples a graph of this width shows.
    package static func sampleCount(width: Int, symbols: GraphSymbols) -> Int {
        max(0, width) * symbols.samplesPerColumn
    }

    package func draw(in rect: Rect, on buffer: inout CellBuffer) {
        guard !rect.isEmpty else { return }
        let perColumn = symbols.samplesPerColumn
        let shown = values.suffix(rect.width * perColumn)
        let full = scale(shown)
        let samples = Array(repeating: Double.nan, count: rect.width * perColumn - shown.count) + shown
        for column in 0..<rect.width {
            let levels = (0..<perColumn).map { level(samples[column * perColumn + $0], full: full, rows: rect.height) }
            guard let highest = levels.max(), highest > 0 else { continue }
            for row in 0..<rect.height {
                draw(levels, row: row, highest: highest, x: rect.x + column, in: rect, on: &buffer)
            }
        }
    }

    private func scale(_ shown: ArraySlice<Double>) -> Double {
        if let maximum, maximum > 0, maximum.isFinite { return maximum }
        let largest = shown.reduce(0) { $1.isFinite ? max($0, $1) : $0 }
        return largest > 0 ? largest : 1
    }

    /// How many levels high a sample stands, 0 for a gap and at least 1 for a known value.
    private func level(_ value: Double, full: Double, rows: Int) -> Int {
        guard !value.isNaN else { return 0 }
        let most = rows * symbols.levelsPerRow
        return min(most, max(1, Int((min(1, max(0, value / full)) * Double(most)).rounded())))
    }

    private func draw(
        _ levels: [Int], row: Int, highest: Int, x: Int, in rect: Rect, on buffer: inout CellBuffer
    ) {
        let per = symbols.levelsPerRow
        let filled = levels.map { min(per, max(0, $0 - row * per)) }
        guard let glyph = glyph(filled) else { return }
        let y = direction == .up ? rect.endY - 1 - row : rect.y + row
        guard rect.contains(x: x, y: y) else { return }
        let fraction =
            rect.height == 1
            ? Double(highest) / Double(per) : Double(row + 1) / Double(rect.height)
        let style = Style(foreground: gradient.color(at: fraction), background: background)
        buffer[x, y] = Cell(base: glyph, style: style)
    }

    /// The character with these levels filled, one per sample; nil where it would be blank.
    private func glyph(_ filled: [Int]) -> UInt32? {
        guard let first = filled.first, filled.contains(where: { $0 > 0 }) else { return nil }
        switch symbols {
        case .braille:
            let left: [UInt32] = direction == .up ? [0, 0x40, 0x44, 0x46, 0x47] : [0, 0x01, 0x03, 0x07, 0x47]
            let right: [UInt32] = direction == .up ? [0, 0x80, 0xA0, 0xB0, 0xB8] : [0, 0x08, 0x18, 0x38, 0xB8]
            return 0x2800 | left[first] | right[filled[1]]
        case .block:
            guard direction == .down else { return 0x2580 + UInt32(first) }
            return first >= 8 ? 0x2588 : first >= 4 ? 0x2580 : 0x2594
        case .ascii:
            let up: [UInt32] = [0x20, 0x2E, 0x3A, 0x7C]
            let down: [UInt32] = [0x20, 0x27, 0x3A, 0x7C]
            return direction == .up ? up[first] : down[first]
        }
    }
}

/// A horizontal bar that fills from the left, on a faint ground.
package struct Meter: Hashable, Sendable {
    /// 0...1; NaN draws an empty bar.
    package var fraction: Double
    package var gradient: Gradient
    package var symbols: GraphSymbols
    package var ground: Style

    package init(fraction: Double, gradient: Gradient, symbols: GraphSymbols, ground: Style) {
        self.fraction = fraction
        self.gradient = gradient
        self.symbols = symbols
        self.ground = ground
    }

    package func draw(in rect: Rect, on buffer: inout CellBuffer) {
        let rect = rect.row(0)
        guard !rect.isEmpty else { return }
        // Without colours the rest of the bar needs another character, not just another shade.
        let isPlain = ground.foreground == .default
        let full: UInt32 = symbols == .ascii ? 0x23 : 0x25A0
        let empty: UInt32 = symbols == .ascii ? 0x2E : isPlain ? 0xB7 : 0x25A0
        let clamped = fraction.isNaN ? 0 : min(1, max(0, fraction))
        var filled = Int((clamped * Double(rect.width)).rounded())
        if clamped > 0 && filled == 0 { filled = 1 }
        for column in 0..<rect.width {
            if column < filled {
                let color = gradient.color(at: Double(column + 1) / Double(rect.width))
                let style = Style(foreground: color, background: ground.background)
                buffer[rect.x + column, rect.y] = Cell(base: full, style: style)
            } else {
                buffer[rect.x + column, rect.y] = Cell(base: empty, style: ground)
            }
        }
    }
}

/// Parts of a whole side by side in one row, such as the hash key space: each part at least one column wide where
/// there is room, all together exactly the width.
package enum Proportions {
    /// The first column and width of each part. `weights` that are not positive count as nothing.
    package static func columns(of weights: [Double], width: Int) -> [(x: Int, width: Int)] {
        let sane = weights.map { $0.isFinite ? max(0, $0) : 0 }
        let total = sane.reduce(0, +)
        guard width > 0, total > 0 else { return weights.map { _ in (0, 0) } }
        let least = weights.count <= width ? 1 : 0
        let room = Double(width - least * weights.count)
        var result: [(x: Int, width: Int)] = []
        var sum = 0.0
        var taken = 0
        for (index, weight) in sane.enumerated() {
            sum += weight
            let end = min(width, Int((sum / total * room).rounded()) + least * (index + 1))
            result.append((taken, max(0, end - taken)))
            taken = max(taken, end)
        }
        return result
    }
}
