/// What one cell position of text holds: a base scalar with up to two combining marks, one or two columns wide.
///
/// Text from outside becomes glyphs in one place, so that measuring, cutting and drawing always agree. A C0, C1 or
/// bidi control becomes a visible replacement, so no escape sequence and no reordering ever reaches a terminal.
/// A joined emoji is reduced to its first scalar and a flag to its two letters, because terminals disagree about both.
@frozen public struct Glyph: Hashable, Sendable {
    public var base: UInt32
    public var mark: UInt32
    public var secondMark: UInt32
    public var columns: Int

    @inlinable public init(base: UInt32, mark: UInt32 = 0, secondMark: UInt32 = 0, columns: Int = 1) {
        self.base = base
        self.mark = mark
        self.secondMark = secondMark
        self.columns = columns
    }

    /// Appends the glyph's scalars to a string.
    @usableFromInline func append(to text: inout String) {
        for value in [base, mark, secondMark] where value != 0 {
            if let scalar = Unicode.Scalar(value) { text.unicodeScalars.append(scalar) }
        }
    }
}

/// Reads a string as glyphs.
package struct GlyphIterator: IteratorProtocol, Sequence {
    private var scalars: String.UnicodeScalarView.Iterator
    private var pending: UInt32?

    package init(_ text: String) {
        scalars = text.unicodeScalars.makeIterator()
    }

    package mutating func next() -> Glyph? {
        guard let first = take() else { return nil }
        var glyph = ScalarWidth.glyph(startingWith: first)
        while let following = take() {
            if following == 0x200D && glyph.columns == 2 {
                if let joined = take(), joined < 0x2000 {
                    pending = joined
                    break
                }
                continue
            }
            let isSkinTone = (0x1F3FB...0x1F3FF).contains(following) && glyph.columns == 2
            if isSkinTone || ScalarWidth.isVariationSelector(following) { continue }
            guard ScalarWidth.isCombining(following) else {
                pending = following
                break
            }
            if glyph.mark == 0 {
                glyph.mark = following
            } else if glyph.secondMark == 0 {
                glyph.secondMark = following
            }
        }
        return glyph
    }

    private mutating func take() -> UInt32? {
        if let scalar = pending {
            pending = nil
            return scalar
        }
        return scalars.next()?.value
    }
}

/// The fixed table of how many columns a scalar takes; no locale, no `wcwidth`.
package enum ScalarWidth {
    package static func columns(_ scalar: UInt32) -> Int {
        if scalar < 0x300 { return 1 }
        if scalar >= 0x2500 && scalar <= 0x25FC || scalar >= 0x2800 && scalar <= 0x28FF { return 1 }
        if isIn(zeroWidthRanges, scalar) { return 0 }
        return isIn(wideRanges, scalar) ? 2 : 1
    }

    static func isVariationSelector(_ scalar: UInt32) -> Bool {
        scalar >= 0xFE00 && scalar <= 0xFE0F || scalar >= 0xE0100 && scalar <= 0xE01EF
    }

    /// Whether the scalar is drawn over the one before it.
    static func isCombining(_ scalar: UInt32) -> Bool {
        scalar >= 0x300 && isIn(zeroWidthRanges, scalar) && !isBidiControl(scalar) && !isInvisible(scalar)
    }

    static func isBidiControl(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }

    /// Format characters that draw nothing and would only hide differences between names.
    static func isInvisible(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x200B...0x200D, 0x2060...0x206F, 0xFEFF, 0xFFF9...0xFFFB, 0xE0000...0xE0FFF: true
        default: false
        }
    }

    static func glyph(startingWith scalar: UInt32) -> Glyph {
        switch scalar {
        case 0..<0x20: Glyph(base: 0x2400 + scalar)
        case 0x20..<0x7F: Glyph(base: scalar)
        case 0x7F: Glyph(base: 0x2421)
        case 0x80..<0xA0, 0xAD: Glyph(base: 0xFFFD)
        case 0x1F1E6...0x1F1FF: Glyph(base: scalar - 0x1F1E6 + 0x41)
        case _ where isBidiControl(scalar) || isInvisible(scalar): Glyph(base: 0xFFFD)
        default:
            switch columns(scalar) {
            case 0: Glyph(base: 0x20, mark: scalar)
            case let columns: Glyph(base: scalar, columns: columns)
            }
        }
    }

    /// Binary search in a flat list of first and last scalars.
    private static func isIn(_ ranges: [UInt32], _ scalar: UInt32) -> Bool {
        var low = 0
        var high = ranges.count / 2
        while low < high {
            let middle = (low + high) / 2
            if scalar > ranges[2 * middle + 1] {
                low = middle + 1
            } else if scalar < ranges[2 * middle] {
                high = middle
            } else {
                return true
            }
        }
        return false
    }
}

/// Which part of a text survives when it is cut. Ids keep their tail: their heads are alike.
package enum Kept: Hashable, Sendable {
    case head
    case tail
    case ends
}

package enum Alignment: Hashable, Sendable {
    case left
    case right
    case center
}

extension String {
    /// How many columns the text takes on the screen.
    package var columns: Int {
        var isPlain = true
        var count = 0
        for byte in utf8 {
            count += 1
            if byte >= 0x80 {
                isPlain = false
                break
            }
        }
        if isPlain { return count }
        var sum = 0
        for glyph in GlyphIterator(self) { sum += glyph.columns }
        return sum
    }

    /// The text in at most `limit` columns, with an ellipsis where something was cut.
    package func truncated(to limit: Int, keeping kept: Kept = .head, ellipsis: String = "…") -> String {
        guard limit > 0 else { return "" }
        if utf8.count <= limit { return self }
        let glyphs = Array(GlyphIterator(self))
        let total = glyphs.reduce(0) { $0 + $1.columns }
        if total <= limit { return self }
        let mark = ellipsis.columns <= limit ? ellipsis : ""
        let room = limit - mark.columns
        let tailRoom =
            switch kept {
            case .head: 0
            case .tail: room
            case .ends: room / 2
            }
        let tail = glyphs.suffix(count(of: glyphs.reversed(), fitting: tailRoom))
        let head = glyphs.prefix(count(of: glyphs, fitting: kept == .tail ? 0 : room - tailRoom))
        var text = ""
        for glyph in head { glyph.append(to: &text) }
        text += mark
        for glyph in tail { glyph.append(to: &text) }
        return text
    }

    private func count(of glyphs: some Sequence<Glyph>, fitting limit: Int) -> Int {
        var columns = 0
        var count = 0
        for glyph in glyphs {
            columns += glyph.columns
            if columns > limit { break }
            count += 1
        }
        return count
    }

    /// The text in exactly `width` columns: cut if too long, filled with spaces if too short.
    package func padded(
        to width: Int, alignment: Alignment = .left, keeping kept: Kept = .head, ellipsis: String = "…"
    ) -> String {
        let text = truncated(to: width, keeping: kept, ellipsis: ellipsis)
        let missing = max(0, width - text.columns)
        let left =
            switch alignment {
            case .left: 0
            case .right: missing
            case .center: missing / 2
            }
        return String(repeating: " ", count: left) + text + String(repeating: " ", count: missing - left)
    }

    /// The text broken into lines of at most `width` columns, at spaces where possible.
    package func wrapped(to width: Int) -> [String] {
        guard width > 0 else { return [] }
        var lines: [String] = []
        for paragraph in split(separator: "\n", omittingEmptySubsequences: false) {
            var line = ""
            var used = 0
            for word in paragraph.split(separator: " ", omittingEmptySubsequences: false) {
                let word = String(word)
                let size = word.columns
                if !line.isEmpty && used + 1 + size <= width {
                    line += " " + word
                    used += 1 + size
                    continue
                }
                if !line.isEmpty { lines.append(line) }
                line = ""
                used = 0
                for glyph in GlyphIterator(word) {
                    if used + glyph.columns > width {
                        lines.append(line)
                        line = ""
                        used = 0
                    }
                    glyph.append(to: &line)
                    used += glyph.columns
                }
            }
            lines.append(line)
        }
        return lines
    }
}
