/// The part of TOML that settings need: `key = value` with text, numbers and yes or no, tables, comments. What else
/// TOML has (arrays, dates, texts over several lines) no setting takes, so it is refused with its line.
struct SettingsFile: Hashable, Sendable {
    /// One `key = value`.
    struct Entry: Hashable, Sendable {
        /// The tables that it stands in, and its key.
        var path: [String]
        var value: SettingValue
        /// From 1 on.
        var line: Int
    }

    private(set) var entries: [Entry] = []

    /// Far more than there are settings for any number of applications.
    static let bytesMax = 1 << 20

    init() {}

    init(_ bytes: [UInt8]) throws(SettingsError) {
        var table: [String] = []
        var lineOfPath: [[String]: Int] = [:]
        var lineOfTable: [[String]: Int] = [:]
        var number = 0
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            var line = line
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            // Some editors mark their files so.
            if number == 1, line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
            guard let text = String(validating: line, as: UTF8.self) else {
                throw SettingsError(number, "this is no UTF-8 text")
            }
            var scanner = SettingsScanner(text, line: number)
            switch try scanner.statement() {
            case nil: continue
            case .table(let path):
                if let first = lineOfTable[path] {
                    throw SettingsError(
                        number, "[\(path.joined(separator: "."))] is in line \(first) already: put the two together")
                }
                lineOfTable[path] = number
                table = path
            case .entry(let keys, let value):
                let path = table + keys
                if let first = lineOfPath[path] {
                    throw SettingsError(
                        number, "\(keys.joined(separator: ".")) is set in line \(first) already: take one out")
                }
                lineOfPath[path] = number
                entries.append(Entry(path: path, value: value, line: number))
            }
        }
    }
}

/// What a setting is set to.
package enum SettingValue: Hashable, Sendable {
    case text(String)
    case flag(Bool)
    case number(Double)

    /// As TOML writes it.
    package var toml: String {
        switch self {
        case .flag(let flag): return flag ? "true" : "false"
        case .number(let number): return Int64(exactly: number).map(String.init) ?? "\(number)"
        case .text(let text):
            var quoted = "\""
            for scalar in text.unicodeScalars {
                switch scalar {
                case "\"": quoted += "\\\""
                case "\\": quoted += "\\\\"
                case _ where scalar.value < 0x20 || 0x7F...0x9F ~= scalar.value:
                    let digits = String(scalar.value, radix: 16, uppercase: true)
                    quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                default: quoted.unicodeScalars.append(scalar)
                }
            }
            return quoted + "\""
        }
    }
}

/// What is wrong with the settings, and what to do about it.
package struct SettingsError: Error, Hashable, Sendable, CustomStringConvertible {
    /// From 1 on; `nil` where it is no line of the file.
    package var line: Int?
    package var message: String
    /// The file; it is known only to whoever read it.
    package var path: String?

    init(_ line: Int?, _ message: String) {
        self.line = line
        self.message = message
    }

    package var description: String {
        guard let line else { return message }
        return "\(path ?? "settings"):\(line): \(message)"
    }
}

/// Reads one line of a settings file.
private struct SettingsScanner {
    enum Statement {
        case table([String])
        case entry([String], SettingValue)
    }

    private let scalars: [Unicode.Scalar]
    private var index = 0
    private let line: Int

    init(_ text: String, line: Int) {
        scalars = Array(text.unicodeScalars)
        self.line = line
    }

    private var next: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

    private mutating func skip(_ scalar: Unicode.Scalar) -> Bool {
        guard next == scalar else { return false }
        index += 1
        return true
    }

    private mutating func skipBlanks() {
        while let scalar = next, scalar == " " || scalar == "\t" { index += 1 }
    }

    private func error(_ message: String) -> SettingsError { SettingsError(line, message) }

    /// `nil` where there is none: an empty line, a comment.
    mutating func statement() throws(SettingsError) -> Statement? {
        skipBlanks()
        guard let first = next, first != "#" else { return nil }
        if skip("[") {
            guard next != "[" else { throw error("no setting is a list of tables: write [application.NAME]") }
            let path = try keys()
            guard skip("]") else { throw error("a table's name ends with ], as in [application.NAME]") }
            try end()
            return .table(path)
        }
        let keys = try keys()
        guard skip("=") else {
            throw error(
                "= is missing after \(keys.joined(separator: ".")): write \(keys.joined(separator: ".")) = VALUE")
        }
        skipBlanks()
        let value = try value(of: keys.last ?? "")
        try end()
        return .entry(keys, value)
    }

    private mutating func end() throws(SettingsError) {
        skipBlanks()
        guard let rest = next, rest != "#" else { return }
        throw error("something follows that does not belong there: \(String(remaining.prefix(20)))")
    }

    private var remaining: String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars[index...])
        return String(view)
    }

    /// Keys with dots between them.
    private mutating func keys() throws(SettingsError) -> [String] {
        var keys: [String] = []
        repeat {
            skipBlanks()
            keys.append(try key())
            skipBlanks()
        } while skip(".")
        return keys
    }

    private mutating func key() throws(SettingsError) -> String {
        if let quote = next, quote == "\"" || quote == "'" { return try quoted() }
        let start = index
        while let scalar = next, Self.isBare(scalar) { index += 1 }
        guard index > start else {
            throw error(
                next == nil
                    ? "a name is missing" : "\(remaining.prefix(1)) is no name: put names with such letters in quotes")
        }
        return text(start..<index)
    }

    private static func isBare(_ scalar: Unicode.Scalar) -> Bool {
        scalar.isASCII && (scalar.properties.isAlphabetic || "0"..."9" ~= scalar || scalar == "-" || scalar == "_")
    }

    private func text(_ range: Range<Int>) -> String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars[range])
        return String(view)
    }

    private mutating func value(of key: String) throws(SettingsError) -> SettingValue {
        switch next {
        case nil, "#"?: throw error("\(key) has no value")
        case "\""?, "'"?: return .text(try quoted())
        case "["?: throw error("\(key) takes one value, no list")
        case "{"?: throw error("\(key) takes one value, no table")
        default: break
        }
        let start = index
        while let scalar = next, scalar != " ", scalar != "\t", scalar != "#" { index += 1 }
        let word = text(start..<index)
        switch word {
        case "true": return .flag(true)
        case "false": return .flag(false)
        default: break
        }
        if let number = Self.number(word) { return .number(number) }
        throw error("\(word) is no value: a text stands in quotes, as in \(key) = \(SettingValue.text(word).toml)")
    }

    /// TOML's decimal numbers: underscores stand between digits, a zero in front of digits is an error.
    private static func number(_ word: String) -> Double? {
        var digits: [UInt8] = []
        let bytes = Array(word.utf8)
        func isDigit(_ index: Int) -> Bool { bytes.indices.contains(index) && 48...57 ~= bytes[index] }
        for (index, byte) in bytes.enumerated() {
            switch byte {
            case UInt8(ascii: "_"):
                guard isDigit(index - 1), isDigit(index + 1) else { return nil }
            case UInt8(ascii: "."):
                guard isDigit(index - 1), isDigit(index + 1) else { return nil }
                digits.append(byte)
            case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "e"), UInt8(ascii: "E"), 48...57:
                digits.append(byte)
            default: return nil
            }
        }
        let text = String(decoding: digits, as: UTF8.self)
        let unsigned = text.drop { $0 == "+" || $0 == "-" }
        guard unsigned.first?.isNumber == true,
            !(unsigned.first == "0" && unsigned.dropFirst().first?.isNumber == true),
            let number = Double(text), number.isFinite
        else { return nil }
        return number
    }

    /// A text in double quotes with escapes, or in single ones as it stands.
    private mutating func quoted() throws(SettingsError) -> String {
        guard let quote = next else { return "" }
        index += 1
        if next == quote, index + 1 < scalars.count, scalars[index + 1] == quote {
            throw error("a text stands in one line here")
        }
        var view = String.UnicodeScalarView()
        while let scalar = next {
            index += 1
            if scalar == quote { return String(view) }
            if scalar.value < 0x20 && scalar != "\t" || scalar.value == 0x7F {
                throw error("a control character stands in the text: write it as \\u00\(hex(scalar))")
            }
            if scalar == "\\", quote == "\"" { view.append(try escaped()) } else { view.append(scalar) }
        }
        throw error("the text that begins with \(quote) has no end: \(quote) is missing")
    }

    private func hex(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return digits.count < 2 ? "0" + digits : digits
    }

    private mutating func escaped() throws(SettingsError) -> Unicode.Scalar {
        guard let letter = next else { throw error("the text has no end") }
        index += 1
        switch letter {
        case "b": return "\u{8}"
        case "t": return "\t"
        case "n": return "\n"
        case "f": return "\u{C}"
        case "r": return "\r"
        case "\"", "\\": return letter
        case "u", "U":
            let count = letter == "u" ? 4 : 8
            let digits = text(index..<min(index + count, scalars.count))
            index += digits.unicodeScalars.count
            guard digits.utf8.count == count, digits.allSatisfy(\.isHexDigit), let code = UInt32(digits, radix: 16),
                let scalar = Unicode.Scalar(code)
            else { throw error("\\\(letter)\(digits) is no character") }
            return scalar
        default: throw error("\\\(letter) means nothing: a backslash is written \\\\, or the text in single quotes")
        }
    }
}
