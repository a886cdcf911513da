/// The characters that pictures are made of: a full set, and one for terminals and fonts without them.
package struct Symbols: Hashable, Sendable {
    package var graph: GraphSymbols
    package var isASCII: Bool
    package var horizontal: Unicode.Scalar
    package var vertical: Unicode.Scalar
    package var topLeft: String
    package var topRight: String
    package var bottomLeft: String
    package var bottomRight: String
    package var titleLeft: String
    package var titleRight: String
    package var ellipsis: String
    package var ascending: String
    package var descending: String
    package var pointer: String
    package var bullet: String
    package var hollowBullet: String
    package var cross: String
    package var check: String
    package var arrow: String
    package var bothWays: String
    package var alarm: String
    package var warning: String
    package var none: String
    package var atMost: String
    package var middleDot: String
    package var scrollThumb: Unicode.Scalar
    package var scrollTrack: Unicode.Scalar
    package var branch: String
    package var lastBranch: String
    package var trunk: String

    package static let unicode = Symbols(
        graph: .braille, isASCII: false, horizontal: "─", vertical: "│", topLeft: "╭", topRight: "╮", bottomLeft: "╰",
        bottomRight: "╯", titleLeft: "┐", titleRight: "┌", ellipsis: "…", ascending: "▴", descending: "▾",
        pointer: "▸", bullet: "●", hollowBullet: "◌", cross: "✗", check: "✓", arrow: "→", bothWays: "⟷", alarm: "‼",
        warning: "!", none: "–", atMost: "≤", middleDot: "·", scrollThumb: "┃", scrollTrack: "│", branch: "├─",
        lastBranch: "└─", trunk: "│ ")

    package static let ascii = Symbols(
        graph: .ascii, isASCII: true, horizontal: "-", vertical: "|", topLeft: "+", topRight: "+", bottomLeft: "+",
        bottomRight: "+", titleLeft: "[", titleRight: "]", ellipsis: "~", ascending: "^", descending: "v",
        pointer: ">", bullet: "*", hollowBullet: "o", cross: "x", check: "+", arrow: "->", bothWays: "<->",
        alarm: "!!", warning: "!", none: "-", atMost: "<=", middleDot: "-", scrollThumb: "#", scrollTrack: "|",
        branch: "|-", lastBranch: "`-", trunk: "| ")

    /// A number as small raised digits, where the font has them.
    package func superscript(_ number: Int) -> String {
        guard !isASCII else { return String(number) }
        let digits: [Character] = ["⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"]
        return String(String(number).compactMap { $0.wholeNumberValue.map { digits[$0] } })
    }
}

/// What every widget needs to know about looks: the colours and the characters.
package struct Look: Hashable, Sendable {
    package var theme: Theme
    package var symbols: Symbols

    package init(theme: Theme, symbols: Symbols = .unicode) {
        self.theme = theme
        self.symbols = symbols
    }

    package func style(_ role: Theme.Role) -> Style { theme.style(role) }
}

/// A run of changed cells in one row.
package struct CellRun: Hashable, Sendable {
    package var x: Int
    package var y: Int
    package var count: Int

    package init(x: Int, y: Int, count: Int) {
        self.x = x
        self.y = y
        self.count = count
    }
}

extension CellBuffer {
    /// A frame around a rectangle; the inside is left as it is.
    package mutating func box(_ rect: Rect, symbols: Symbols, style: Style) {
        guard rect.width >= 2 && rect.height >= 2 else { return }
        let right = rect.endX - 1
        let bottom = rect.endY - 1
        fill(Rect(x: rect.x, y: rect.y, width: rect.width, height: 1), style: style, scalar: symbols.horizontal)
        fill(Rect(x: rect.x, y: bottom, width: rect.width, height: 1), style: style, scalar: symbols.horizontal)
        fill(Rect(x: rect.x, y: rect.y, width: 1, height: rect.height), style: style, scalar: symbols.vertical)
        fill(Rect(x: right, y: rect.y, width: 1, height: rect.height), style: style, scalar: symbols.vertical)
        write(symbols.topLeft, x: rect.x, y: rect.y, style: style)
        write(symbols.topRight, x: right, y: rect.y, style: style)
        write(symbols.bottomLeft, x: rect.x, y: bottom, style: style)
        write(symbols.bottomRight, x: right, y: bottom, style: style)
    }

    /// Copies another buffer's cells to a place in this one.
    package mutating func draw(_ other: CellBuffer, x: Int, y: Int) {
        for row in 0..<other.height {
            for column in 0..<other.width { self[x + column, y + row] = other[column, row] }
        }
    }

    /// The runs of cells that differ from an earlier frame; the whole screen if the size changed or there was none.
    /// A run never begins with the right half of a wide glyph.
    package func changes(since earlier: CellBuffer?) -> [CellRun] {
        guard let earlier, earlier.width == width, earlier.height == height else {
            return (0..<height).map { CellRun(x: 0, y: $0, count: width) }
        }
        var runs: [CellRun] = []
        for y in 0..<height {
            var x = 0
            while x < width {
                guard cells[y * width + x] != earlier.cells[y * width + x] else {
                    x += 1
                    continue
                }
                var start = x
                while start > 0 && cells[y * width + start].isContinuation { start -= 1 }
                while x < width && cells[y * width + x] != earlier.cells[y * width + x] { x += 1 }
                runs.append(CellRun(x: start, y: y, count: x - start))
            }
        }
        return runs
    }

    /// The screen as plain text, one line per row at full width.
    package var textDump: String {
        var text = ""
        for y in 0..<height {
            for x in 0..<width { text += cells[y * width + x].text }
            text += "\n"
        }
        return text
    }

    /// The styles as one letter per cell, and what each letter means. The most usual style is a dot.
    package var styleDump: String {
        var counts: [Style: Int] = [:]
        var order: [Style] = []
        for cell in cells {
            if counts[cell.style] == nil { order.append(cell.style) }
            counts[cell.style, default: 0] += 1
        }
        let most = counts.values.max() ?? 0
        let usual = order.first { counts[$0] == most }
        let alphabet = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
        var letters: [Style: Character] = [:]
        var legend = ""
        var used = 0
        for style in order {
            let letter: Character = style == usual ? "." : used < alphabet.count ? alphabet[used] : "?"
            if style != usual { used += 1 }
            letters[style] = letter
            legend += "\(letter) \(style.dump)\n"
        }
        var text = ""
        for y in 0..<height {
            for x in 0..<width { text.append(letters[cells[y * width + x].style] ?? "?") }
            text += "\n"
        }
        return text + legend
    }
}

extension Style {
    /// The style in words, for goldens.
    package var dump: String {
        var words = [foreground.dump, "on", background.dump]
        for (attribute, name) in [
            (Attributes.bold, "bold"), (.dim, "dim"), (.italic, "italic"), (.underline, "underline"),
            (.reverse, "reverse"),
        ] where attributes.contains(attribute) {
            words.append(name)
        }
        return words.joined(separator: " ")
    }
}

extension Color {
    fileprivate var dump: String {
        switch self {
        case .default: return "default"
        case .palette(let index): return String(index)
        case .rgb(let red, let green, let blue):
            let value = Int(red) << 16 | Int(green) << 8 | Int(blue)
            let digits = String(value, radix: 16)
            return "#" + String(repeating: "0", count: 6 - digits.count) + digits
        }
    }
}
