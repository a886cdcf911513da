/// One word, number, symbol or placeholder of an expression, with where it stands in the text.
struct ExpressionToken: Equatable {
    enum Kind: Equatable {
        case word
        /// `#name`
        case name
        /// `:value`
        case value
        case number
        case symbol
        /// A character that no expression contains.
        case unknown
        case end
    }

    var kind: Kind
    var text: String
    /// Offsets in the UTF-8 text.
    var start: Int
    var end: Int

    /// The tokens of `source` and one of kind `end`.
    static func tokens(of source: [UInt8]) -> [ExpressionToken] {
        var tokens: [ExpressionToken] = []
        var index = 0
        while index < source.count {
            let byte = source[index]
            if byte == 0x20 || 0x09...0x0D ~= byte {
                index += 1
                continue
            }
            let (kind, end) = extent(of: source, at: index)
            let text = String(decoding: source[index..<end], as: UTF8.self)
            tokens.append(ExpressionToken(kind: kind, text: text, start: index, end: end))
            index = end
        }
        let end = tokens.last?.end ?? 0
        tokens.append(ExpressionToken(kind: .end, text: "<EOF>", start: end, end: end))
        return tokens
    }

    private static func extent(of source: [UInt8], at start: Int) -> (Kind, end: Int) {
        func end(from index: Int, while matches: (UInt8) -> Bool) -> Int {
            var index = index
            while index < source.count, matches(source[index]) { index += 1 }
            return index
        }
        let byte = source[start]
        let next = start + 1 < source.count ? source[start + 1] : 0
        switch byte {
        case _ where isWordStart(byte): return (.word, end(from: start, while: isWordPart))
        case _ where isDigit(byte): return (.number, end(from: start, while: isDigit))
        case UInt8(ascii: "#") where isWordPart(next): return (.name, end(from: start + 1, while: isWordPart))
        case UInt8(ascii: ":") where isWordPart(next): return (.value, end(from: start + 1, while: isWordPart))
        case UInt8(ascii: "<") where next == UInt8(ascii: "=") || next == UInt8(ascii: ">"): return (.symbol, start + 2)
        case UInt8(ascii: ">") where next == UInt8(ascii: "="): return (.symbol, start + 2)
        case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: ","), UInt8(ascii: "."), UInt8(ascii: "["),
            UInt8(ascii: "]"), UInt8(ascii: "="), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "+"),
            UInt8(ascii: "-"):
            return (.symbol, start + 1)
        default:
            // A character of several bytes is one token, so that the error shows it whole.
            return (.unknown, end(from: start + 1) { $0 & 0xC0 == 0x80 })
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }

    private static func isWordStart(_ byte: UInt8) -> Bool {
        UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 && byte >= 0x40 || byte == UInt8(ascii: "_")
    }

    static func isWordPart(_ byte: UInt8) -> Bool { isWordStart(byte) || isDigit(byte) }
}
