import OrderedCollections

/// The JSON codec of the value tree (RFC 8259). Depth is bounded, so that no answer can exhaust the stack.
public enum JSON {
    /// Deeper nesting than DynamoDB's 32 levels of attribute values with their type tags is an error.
    public static let depthMax = 128

    /// Encodes `value`; blobs become base64.
    public static func encode(_ value: AWSValue) -> [UInt8] {
        var out: [UInt8] = []
        append(value, to: &out)
        return out
    }

    public static func text(_ value: AWSValue) -> String { String(decoding: encode(value), as: UTF8.self) }

    public static func append(_ value: AWSValue, to out: inout [UInt8]) {
        switch value {
        case .null: out.append(contentsOf: "null".utf8)
        case .bool(let value): out.append(contentsOf: (value ? "true" : "false").utf8)
        case .int(let value): out.append(contentsOf: String(value).utf8)
        case .double(let value): out.append(contentsOf: (value.isFinite ? "\(value)" : "null").utf8)
        case .string(let value): append(string: value, to: &out)
        case .bytes(let value):
            out.append(UInt8(ascii: "\""))
            Base64.append(value, to: &out)
            out.append(UInt8(ascii: "\""))
        case .list(let values):
            out.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                append(value, to: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .map(let members):
            out.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                append(string: member.key, to: &out)
                out.append(UInt8(ascii: ":"))
                append(member.value, to: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }

    /// Appends `text` as a JSON string; control characters are escaped, everything else stays UTF-8.
    public static func append(string text: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { bytes in
            var plain = 0
            for index in bytes.indices {
                let byte = bytes[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                out.append(contentsOf: bytes[plain..<index])
                plain = index + 1
                out.append(UInt8(ascii: "\\"))
                switch byte {
                case 0x0A: out.append(UInt8(ascii: "n"))
                case 0x0D: out.append(UInt8(ascii: "r"))
                case 0x09: out.append(UInt8(ascii: "t"))
                case 0..<0x20:
                    let hex = Array("0123456789abcdef".utf8)
                    out.append(contentsOf: [UInt8(ascii: "u"), 48, 48, hex[Int(byte >> 4)], hex[Int(byte & 15)]])
                default: out.append(byte)
                }
            }
            out.append(contentsOf: bytes[plain...])
        }
        out.append(UInt8(ascii: "\""))
    }

    /// Decodes one value; `MalformedBody` says at which byte it is not JSON.
    public static func decode(_ bytes: Bytes) throws(MalformedBody) -> AWSValue {
        try bytes.withUnsafeBytes { (buffer) throws(MalformedBody) in
            var scanner = JSONScanner(buffer)
            let value = try scanner.value(depth: 0)
            try scanner.end()
            return value
        }
    }
}

/// A body that is not what its content type says.
public struct MalformedBody: Error, Hashable, CustomStringConvertible {
    public var reason: String
    public var offset: Int

    public init(_ reason: String, at offset: Int) {
        self.reason = reason
        self.offset = offset
    }

    public var description: String { "\(reason) at byte \(offset)" }
}

/// A pull parser over a buffer of JSON; the value tree and the streaming decoders of the hot shapes share it.
struct JSONScanner {
    let buffer: UnsafeRawBufferPointer
    var index = 0

    init(_ buffer: UnsafeRawBufferPointer) { self.buffer = buffer }

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
                map[name] = try scanner.value(depth: depth + 1)
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

    mutating func members(
        _ body: (inout JSONScanner, String) throws(MalformedBody) -> Void
    ) throws(MalformedBody) {
        try expect("{")
        if consume(UInt8(ascii: "}")) { return }
        repeat {
            guard peek() == UInt8(ascii: "\"") else { throw malformed("expected a member name") }
            let name = try string()
            try expect(":")
            try body(&self, name)
        } while consume(UInt8(ascii: ","))
        try expect("}")
    }

    mutating func elements(_ body: (inout JSONScanner) throws(MalformedBody) -> Void) throws(MalformedBody) {
        try expect("[")
        if consume(UInt8(ascii: "]")) { return }
        repeat { try body(&self) } while consume(UInt8(ascii: ","))
        try expect("]")
    }

    private mutating func literal(_ text: StaticString, _ value: AWSValue) throws(MalformedBody) -> AWSValue {
        let count = text.utf8CodeUnitCount
        guard index + count <= buffer.count,
            (0..<count).allSatisfy({ buffer[index + $0] == text.utf8Start[$0] })
        else { throw malformed("unknown word") }
        index += count
        return value
    }

    private mutating func number() throws(MalformedBody) -> AWSValue {
        let start = index
        var isInteger = true
        if index < buffer.count, buffer[index] == UInt8(ascii: "-") { index += 1 }
        scan: while index < buffer.count {
            switch buffer[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): break
            case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "+"), UInt8(ascii: "-"):
                isInteger = false
            default: break scan
            }
            index += 1
        }
        let text = String(decoding: buffer[start..<index], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .int(value) }
        guard let value = Double(text), text.utf8.last != UInt8(ascii: ".") else {
            index = start
            throw malformed("expected a value")
        }
        return .double(value)
    }

    /// The extent of a string without its quotes, and whether it needs unescaping.
    mutating func rawString() throws(MalformedBody) -> (range: Range<Int>, isEscaped: Bool) {
        try expect("\"")
        let start = index
        var isEscaped = false
        while index < buffer.count {
            switch buffer[index] {
            case UInt8(ascii: "\""):
                index += 1
                return (start..<index - 1, isEscaped)
            case UInt8(ascii: "\\"):
                isEscaped = true
                index += 2
            case 0..<0x20: throw malformed("control character in a string")
            default: index += 1
            }
        }
        index = min(index, buffer.count)
        throw malformed("unterminated string")
    }

    mutating func string() throws(MalformedBody) -> String {
        let (range, isEscaped) = try rawString()
        if !isEscaped { return String(decoding: buffer[range], as: UTF8.self) }
        return try unescaped(range)
    }

    private func unescaped(_ range: Range<Int>) throws(MalformedBody) -> String {
        var units: [UInt8] = []
        units.reserveCapacity(range.count)
        var at = range.lowerBound
        while at < range.upperBound {
            guard buffer[at] == UInt8(ascii: "\\") else {
                units.append(buffer[at])
                at += 1
                continue
            }
            at += 2
            switch buffer[at - 1] {
            case UInt8(ascii: "n"): units.append(0x0A)
            case UInt8(ascii: "t"): units.append(0x09)
            case UInt8(ascii: "r"): units.append(0x0D)
            case UInt8(ascii: "b"): units.append(0x08)
            case UInt8(ascii: "f"): units.append(0x0C)
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): units.append(buffer[at - 1])
            case UInt8(ascii: "u"):
                var scalar = try hex4(at, range.upperBound)
                at += 4
                if 0xD800..<0xDC00 ~= scalar, at + 6 <= range.upperBound, buffer[at] == UInt8(ascii: "\\"),
                    buffer[at + 1] == UInt8(ascii: "u")
                {
                    let low = try hex4(at + 2, range.upperBound)
                    if 0xDC00..<0xE000 ~= low {
                        scalar = 0x10000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
                        at += 6
                    }
                }
                units.append(contentsOf: String(Character(Unicode.Scalar(scalar) ?? "\u{FFFD}")).utf8)
            default: throw MalformedBody("unknown escape", at: at - 1)
            }
        }
        return String(decoding: units, as: UTF8.self)
    }

    private func hex4(_ at: Int, _ end: Int) throws(MalformedBody) -> UInt32 {
        guard at + 4 <= end, let value = UInt32(String(decoding: buffer[at..<at + 4], as: UTF8.self), radix: 16)
        else { throw MalformedBody("bad \\u escape", at: at) }
        return value
    }
}
