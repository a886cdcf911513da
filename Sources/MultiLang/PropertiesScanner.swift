/// Cuts a properties file into logical lines: without blank lines and comments, with continuations joined.
struct PropertiesScanner {
    struct Line {
        /// Still escaped, without the backslashes that continue it.
        var scalars: [Unicode.Scalar] = []
        /// Where each line of the file begins in `scalars`.
        var pieces: [(start: Int, number: Int)] = []

        var number: Int { pieces.first?.number ?? 0 }

        /// The line of the file that holds `index`.
        func number(at index: Int) -> Int { pieces.last { $0.start <= index }?.number ?? number }

        /// The name ends at the first `=`, `:` or blank without a backslash; blanks and one `=` or `:` separate it
        /// from the value.
        var split: (name: Range<Int>, value: Range<Int>) {
            var end = 0
            var isEscaped = false
            while end < scalars.count {
                let scalar = scalars[end]
                if !isEscaped, scalar.isSeparator || scalar.isBlank { break }
                isEscaped = scalar == "\\" && !isEscaped
                end += 1
            }
            var start = end
            var isSeparated = false
            while start < scalars.count {
                if scalars[start].isSeparator, !isSeparated {
                    isSeparated = true
                } else if !scalars[start].isBlank {
                    break
                }
                start += 1
            }
            return (0..<end, start..<scalars.count)
        }
    }

    private let scalars: [Unicode.Scalar]
    private var index = 0
    private var line = 1

    init(_ scalars: [Unicode.Scalar]) { self.scalars = scalars }

    /// The next line with something in it; `nil` at the end.
    mutating func nextLine() -> Line? {
        while true {
            skipBlanks()
            guard index < scalars.count else { return nil }
            if scalars[index] == "#" || scalars[index] == "!" {
                _ = restOfLine()
                endLine()
                continue
            }
            let logical = logicalLine()
            if !logical.scalars.isEmpty { return logical }
        }
    }

    /// From here to the end of the last line that continues this one. A comment sign in a continuation is text.
    private mutating func logicalLine() -> Line {
        var logical = Line()
        while true {
            let piece = restOfLine()
            logical.pieces.append((logical.scalars.count, line))
            logical.scalars += piece
            endLine()
            let backslashes = piece.reversed().prefix { $0 == "\\" }.count
            guard !backslashes.isMultiple(of: 2) else { return logical }
            logical.scalars.removeLast()
            skipBlanks()
        }
    }

    private mutating func skipBlanks() {
        while index < scalars.count, scalars[index].isBlank { index += 1 }
    }

    private mutating func restOfLine() -> ArraySlice<Unicode.Scalar> {
        let start = index
        while index < scalars.count, scalars[index] != "\n", scalars[index] != "\r" { index += 1 }
        return scalars[start..<index]
    }

    /// Steps over LF, CR or CRLF.
    private mutating func endLine() {
        guard index < scalars.count else { return }
        if scalars[index] == "\r", index + 1 < scalars.count, scalars[index + 1] == "\n" { index += 1 }
        index += 1
        line += 1
    }
}

extension Unicode.Scalar {
    fileprivate var isBlank: Bool { self == " " || self == "\t" || self == "\u{C}" }
    fileprivate var isSeparator: Bool { self == "=" || self == ":" }
}
