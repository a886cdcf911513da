/// A Java `.properties` file, read as `java.util.Properties.load` reads it.
///
/// https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/Properties.html#load(java.io.Reader)
/// Two things are more lenient: a byte order mark is dropped, and a file that is valid UTF-8 is read as UTF-8 where
/// Java would read ISO-8859-1 (a warning says so). One is stricter: half a surrogate pair is an error.
package struct PropertiesFile: Hashable, Sendable {
    package struct Entry: Hashable, Sendable {
        package var name: String
        /// With the blanks at its end, as Java keeps them.
        package var value: String
        /// The line where the entry begins, from 1.
        package var line: Int
    }

    /// For messages.
    package let path: String
    /// Each name once, in the order of the lines that count: of a name given twice the last line.
    package private(set) var entries: [Entry] = []
    package private(set) var warnings: [PropertiesMessage] = []

    /// - Throws: every malformed `\u` escape of the file, each with its line.
    package init(_ bytes: [UInt8], path: String) throws(PropertiesError) {
        self.path = path
        let scalars = try decode(bytes)
        var scanner = PropertiesScanner(scalars)
        var errors: [PropertiesMessage] = []
        var all: [Entry] = []
        while let line = scanner.nextLine() {
            let (name, value) = line.split
            let entry = Entry(
                name: unescape(name, of: line, &errors), value: unescape(value, of: line, &errors), line: line.number)
            if entry.name.isEmpty {
                warn(entry.line, "there is no name before the value; the line is left out")
            } else {
                all.append(entry)
            }
        }
        guard errors.isEmpty else { throw PropertiesError(errors, warnings: warnings) }
        keepLast(of: all)
    }

    package subscript(name: String) -> Entry? { entries.first { $0.name == name } }

    private mutating func warn(_ line: Int, _ text: String) {
        warnings.append(PropertiesMessage(.warning, "\(path):\(line)", text))
    }

    private mutating func keepLast(of all: [Entry]) {
        var last: [String: Int] = [:]
        var earlier: [Int: Int] = [:]
        for (index, entry) in all.enumerated() { earlier[index] = last.updateValue(index, forKey: entry.name) }
        for (index, entry) in all.enumerated() {
            if let before = earlier[index] {
                warn(
                    entry.line,
                    "\(entry.name.quoted) is given twice, in line \(all[before].line) and in line \(entry.line); "
                        + "line \(entry.line) counts")
            }
            if last[entry.name] == index { entries.append(entry) }
        }
    }

    private mutating func decode(_ bytes: [UInt8]) throws(PropertiesError) -> [Unicode.Scalar] {
        var bytes = bytes[...]
        if bytes.starts(with: [0xFE, 0xFF]) || bytes.starts(with: [0xFF, 0xFE]) {
            throw PropertiesError([
                PropertiesMessage(.error, path, "the file is UTF-16; save it as UTF-8 or ISO-8859-1")
            ])
        }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            bytes.removeFirst(3)
            warn(1, "the file begins with a byte order mark, which Java would take for a part of the first name")
        }
        guard let foreign = bytes.firstIndex(where: { $0 >= 0x80 }) else {
            return bytes.map { Unicode.Scalar($0) }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { return bytes.map { Unicode.Scalar($0) } }
        warn(
            lineNumber(of: foreign, in: bytes),
            "the file is read as UTF-8; Java reads ISO-8859-1, where \\u escapes stand for other characters")
        return Array(text.unicodeScalars)
    }

    private func lineNumber(of index: Int, in bytes: ArraySlice<UInt8>) -> Int {
        var line = 1
        var isAfterReturn = false
        for byte in bytes[..<index] {
            if byte == UInt8(ascii: "\r") || byte == UInt8(ascii: "\n") && !isAfterReturn { line += 1 }
            isAfterReturn = byte == UInt8(ascii: "\r")
        }
        return line
    }

    private func unescape(
        _ range: Range<Int>, of line: PropertiesScanner.Line, _ errors: inout [PropertiesMessage]
    ) -> String {
        var text = String.UnicodeScalarView()
        var index = range.lowerBound
        while index < range.upperBound {
            let scalar = line.scalars[index]
            index += 1
            guard scalar == "\\", index < range.upperBound else {
                text.append(scalar)
                continue
            }
            let escaped = line.scalars[index]
            index += 1
            switch escaped {
            case "t": text.append("\t")
            case "n": text.append("\n")
            case "r": text.append("\r")
            case "f": text.append("\u{C}")
            case "u":
                let start = index - 2
                do throws(MalformedEscape) {
                    text.append(try unicode(line.scalars[..<range.upperBound], &index))
                } catch {
                    let place = "\(path):\(line.number(at: start))"
                    errors.append(PropertiesMessage(.error, place, error.text))
                }
            default: text.append(escaped)
            }
        }
        return String(text)
    }

    private struct MalformedEscape: Error {
        var text: String
    }

    /// The character whose four digits begin at `index`, which comes to stand behind it.
    private func unicode(
        _ scalars: ArraySlice<Unicode.Scalar>, _ index: inout Int
    ) throws(MalformedEscape) -> Unicode.Scalar {
        guard let unit = hexadecimal(scalars, index) else {
            throw MalformedEscape(text: "\\u must be followed by four hexadecimal digits")
        }
        index += 4
        if let scalar = Unicode.Scalar(unit) { return scalar }
        let isPair =
            unit < 0xDC00 && index + 1 < scalars.endIndex && scalars[index] == "\\" && scalars[index + 1] == "u"
        guard isPair, let low = hexadecimal(scalars, index + 2), 0xDC00...0xDFFF ~= low,
            let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
        else {
            let digits = String(unit, radix: 16, uppercase: true)
            throw MalformedEscape(text: "\\u\(digits) is half of a surrogate pair and the other half is missing")
        }
        index += 6
        return scalar
    }

    private func hexadecimal(_ scalars: ArraySlice<Unicode.Scalar>, _ index: Int) -> UInt32? {
        guard index + 4 <= scalars.endIndex else { return nil }
        var unit: UInt32 = 0
        for scalar in scalars[index..<index + 4] {
            guard scalar.isASCII, let digit = Character(scalar).hexDigitValue else { return nil }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }
}
