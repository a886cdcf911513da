import Glibc
import OrderedCollections

/// A pull parser over a buffer of JSON; the value tree and the streaming decoders of the hot shapes share it.
struct JSONScanner {
    let buffer: UnsafeRawBufferPointer
    var index = 0

    init(_ buffer: UnsafeRawBufferPointer) { self.buffer = buffer }

    /// A string as it lies in the buffer, without its quotes.
    struct RawString {
        var range: Range<Int>
        /// It must be unescaped before it means anything.
        var isEscaped: Bool
    }

    func malformed(_ reason: String) -> MalformedBody { MalformedBody(reason, at: index) }

    /// The next byte that is no white space, not consumed; 0 at the end.
    mutating func peek() -> UInt8 {
        while index < buffer.count {
            switch buffer[index] {
            case 0x20, 0x09, 0x0A, 0x0D: index += 1
            default: return buffer[index]
            }
        }
        return 0
    }

    mutating func consume(_ byte: UInt8) -> Bool {
        guard peek() == byte, index < buffer.count else { return false }
        index += 1
        return true
    }

    mutating func expect(_ character: Unicode.Scalar) throws(MalformedBody) {
        guard consume(UInt8(ascii: character)) else { throw malformed("expected '\(character)'") }
    }

    mutating func end() throws(MalformedBody) {
        _ = peek()
        guard index == buffer.count else { throw malformed("trailing bytes") }
    }

    mutating func value(depth: Int) throws(MalformedBody) -> AWSValue {
        guard depth < JSON.depthMax else { throw malformed("nested too deeply") }
        switch peek() {
        case UInt8(ascii: "{"):
            var map: OrderedDictionary<String, AWSValue> = [:]
            try members { (scanner, name) throws(MalformedBody) in
                map[try scanner.text(name)] = try scanner.value(depth: depth + 1)
            }
            return .map(map)
        case UInt8(ascii: "["):
            var list: [AWSValue] = []
            try elements { (scanner) throws(MalformedBody) in
                list.append(try scanner.value(depth: depth + 1))
            }
            return .list(list)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        default: return try number()
        }
    }

    /// Calls `body` at the value of each member of an object, with the member's name.
    mutating func members(
        _ body: (inout JSONScanner, RawString) throws(MalformedBody) -> Void
    ) throws(MalformedBody) {
        try expect("{")
        if consume(UInt8(ascii: "}")) { return }
        repeat {
            guard peek() == UInt8(ascii: "\"") else { throw malformed("expected a member name") }
            let name = try rawString()
            try check(name.range)
            try expect(":")
            try body(&self, name)
        } while consume(UInt8(ascii: ","))
        try expect("}")
    }

    /// Calls `body` at each element of an array.
    mutating func elements(_ body: (inout JSONScanner) throws(MalformedBody) -> Void) throws(MalformedBody) {
        try expect("[")
        if consume(UInt8(ascii: "]")) { return }
        repeat { try body(&self) } while consume(UInt8(ascii: ","))
        try expect("]")
    }

    private mutating func literal(_ text: StaticString, _ value: AWSValue) throws(MalformedBody) -> AWSValue {
        guard matches(index..<index + text.utf8CodeUnitCount, text) else { throw malformed("unknown word") }
        index += text.utf8CodeUnitCount
        return value
    }

    private func matches(_ range: Range<Int>, _ text: StaticString) -> Bool {
        matches(range, text.utf8Start, text.utf8CodeUnitCount)
    }

    private func matches(_ range: Range<Int>, _ text: UnsafePointer<UInt8>?, _ count: Int) -> Bool {
        guard range.count == count, range.upperBound <= buffer.count, let base = buffer.baseAddress, let text
        else { return false }
        return memcmp(base + range.lowerBound, text, count) == 0
    }
}

// Strings.
extension JSONScanner {
    /// The extent of a string, found without looking at each byte twice; its bytes are not checked.
    mutating func rawString() throws(MalformedBody) -> RawString {
        try expect("\"")
        let start = index
        guard let base = buffer.baseAddress,
            let quote = memchr(base + start, Int32(UInt8(ascii: "\"")), buffer.count - start)
        else { throw unterminated() }
        let end = base.distance(to: UnsafeRawPointer(quote))
        guard let backslash = memchr(base + start, Int32(UInt8(ascii: "\\")), end - start) else {
            index = end + 1
            return RawString(range: start..<end, isEscaped: false)
        }
        // The quote may be an escaped one.
        index = base.distance(to: UnsafeRawPointer(backslash))
        while index < buffer.count {
            switch buffer[index] {
            case UInt8(ascii: "\""):
                index += 1
                return RawString(range: start..<index - 1, isEscaped: true)
            case UInt8(ascii: "\\"): index += 2
            default: index += 1
            }
        }
        throw unterminated()
    }

    private mutating func unterminated() -> MalformedBody {
        index = buffer.count
        return malformed("unterminated string")
    }

    mutating func string() throws(MalformedBody) -> String { try text(try rawString()) }

    /// The string that `raw` spells.
    func text(_ raw: RawString) throws(MalformedBody) -> String {
        if raw.isEscaped { return String(decoding: try unescaped(raw.range), as: UTF8.self) }
        try check(raw.range)
        return String(decoding: buffer[raw.range], as: UTF8.self)
    }

    /// Whether `raw` spells `text`, which is ASCII.
    func spells(_ raw: RawString, _ text: StaticString) throws(MalformedBody) -> Bool {
        raw.isEscaped ? try self.text(raw) == "\(text)" : matches(raw.range, text)
    }

    /// Whether `raw`, which has no escapes, is `text`.
    func equals(_ raw: RawString, _ text: String) -> Bool {
        var text = text
        return text.withUTF8 { matches(raw.range, $0.baseAddress, $0.count) }
    }

    /// Throws where a control character stands in the string as it is.
    func check(_ range: Range<Int>) throws(MalformedBody) {
        var lowest = UInt8.max
        for at in range { lowest = min(lowest, buffer[at]) }
        if lowest < 0x20 { throw MalformedBody("control character in a string", at: range.lowerBound) }
    }

    func unescaped(_ range: Range<Int>) throws(MalformedBody) -> [UInt8] {
        try check(range)
        var units: [UInt8] = []
        units.reserveCapacity(range.count)
        var at = range.lowerBound
        while at < range.upperBound {
            guard buffer[at] == UInt8(ascii: "\\") else {
                units.append(buffer[at])
                at += 1
                continue
            }
            guard at + 1 < range.upperBound else { throw MalformedBody("unknown escape", at: at) }
            at += 2
            switch buffer[at - 1] {
            case UInt8(ascii: "n"): units.append(0x0A)
            case UInt8(ascii: "t"): units.append(0x09)
            case UInt8(ascii: "r"): units.append(0x0D)
            case UInt8(ascii: "b"): units.append(0x08)
            case UInt8(ascii: "f"): units.append(0x0C)
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): units.append(buffer[at - 1])
            case UInt8(ascii: "u"):
                let (scalar, next) = try scalar(at, range.upperBound)
                units.append(contentsOf: String(Character(scalar)).utf8)
                at = next
            default: throw MalformedBody("unknown escape", at: at - 1)
            }
        }
        return units
    }

    /// The scalar of a `\u` escape whose digits begin at `at`, and where reading goes on. Half a surrogate pair is
    /// U+FFFD, as it is in a Swift string.
    private func scalar(_ at: Int, _ end: Int) throws(MalformedBody) -> (Unicode.Scalar, next: Int) {
        let unit = try hex4(at, end)
        let next = at + 4
        if 0xD800..<0xDC00 ~= unit, next + 6 <= end, buffer[next] == UInt8(ascii: "\\"),
            buffer[next + 1] == UInt8(ascii: "u")
        {
            let low = try hex4(next + 2, end)
            if 0xDC00..<0xE000 ~= low, let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)) {
                return (scalar, next + 6)
            }
        }
        return (Unicode.Scalar(unit) ?? "\u{FFFD}", next)
    }

    private func hex4(_ at: Int, _ end: Int) throws(MalformedBody) -> UInt32 {
        guard at + 4 <= end else { throw MalformedBody("bad \\u escape", at: at) }
        var value: UInt32 = 0
        for digit in buffer[at..<at + 4] {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt32(digit - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt32(digit - UInt8(ascii: "A") + 10)
            default: throw MalformedBody("bad \\u escape", at: at)
            }
        }
        return value
    }
}

// Numbers.
extension JSONScanner {
    /// A number by RFC 8259's grammar: whole and within 64 bits an `int`, otherwise a `double`.
    mutating func number() throws(MalformedBody) -> AWSValue {
        let start = index
        let isNegative = index < buffer.count && buffer[index] == UInt8(ascii: "-")
        if isNegative { index += 1 }
        let whole = digits()
        // A number that is all zero is "0"; no other begins with one.
        var isValid = whole.count > 0 && (whole.count == 1 || buffer[index - whole.count] != UInt8(ascii: "0"))
        var fraction = Digits()
        var exponent = 0
        var hasExponent = false
        if index < buffer.count, buffer[index] == UInt8(ascii: ".") {
            index += 1
            fraction = digits()
            isValid = isValid && fraction.count > 0
        }
        if index < buffer.count, buffer[index] | 0x20 == UInt8(ascii: "e") {
            hasExponent = true
            index += 1
            let sign = index < buffer.count ? buffer[index] : 0
            if sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { index += 1 }
            let power = digits()
            isValid = isValid && power.count > 0
            // One that is too long for a quick answer below is left to the slow way.
            exponent = power.count > 3 ? 1000 : Int(power.value) * (sign == UInt8(ascii: "-") ? -1 : 1)
        }
        guard isValid else {
            index = start
            throw malformed("expected a value")
        }
        let isWhole = fraction.count == 0 && !hasExponent
        if isWhole, whole.count <= 18 { return .int(isNegative ? -Int64(whole.value) : Int64(whole.value)) }
        let scale = exponent - fraction.count
        if whole.count + fraction.count <= 15, -15...15 ~= scale {
            // Both are exact doubles, so that the one rounding of the division or multiplication is the right one.
            let mantissa = Double(whole.value * Self.powers[fraction.count] + fraction.value)
            let power = Double(Self.powers[abs(scale)])
            let value = scale < 0 ? mantissa / power : mantissa * power
            return .double(isNegative ? -value : value)
        }
        let text = String(decoding: buffer[start..<index], as: UTF8.self)
        if isWhole, let value = Int64(text) { return .int(value) }
        guard let value = Double(text), value.isFinite else {
            index = start
            throw malformed("a number too large")
        }
        return .double(value)
    }

    private struct Digits {
        /// Right for up to 19 digits.
        var value: UInt64 = 0
        var count = 0
    }

    private static let powers: [UInt64] = (0...15).map { (0..<$0).reduce(1) { power, _ in power * 10 } }

    private mutating func digits() -> Digits {
        var digits = Digits()
        while index < buffer.count {
            let digit = buffer[index] &- UInt8(ascii: "0")
            guard digit < 10 else { break }
            digits.value = digits.value &* 10 &+ UInt64(digit)
            digits.count += 1
            index += 1
        }
        return digits
    }
}
