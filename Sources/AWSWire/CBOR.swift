package import Machine
import OrderedCollections

/// The CBOR codec of the value tree (RFC 8949), in the dialect of `x-amz-cbor-1.1`: a time is tag 1 around whole
/// milliseconds since 1970, where the RFC has seconds. Depth is bounded, so that no answer can exhaust the stack.
public enum CBOR {
    /// Deeper nesting is an error; tags count.
    public static let depthMax = 128

    public static func encode(_ value: AWSValue) -> [UInt8] {
        var out: [UInt8] = []
        append(value, to: &out)
        return out
    }

    public static func append(_ value: AWSValue, to out: inout [UInt8]) {
        switch value {
        case .null: out.append(0xF6)
        case .bool(let value): out.append(value ? 0xF5 : 0xF4)
        case .int(let value): append(int: value, to: &out)
        case .double(let value):
            out.append(0xFB)
            append(word: value.bitPattern, byteCount: 8, to: &out)
        case .timestamp(let value): append(time: value, to: &out)
        case .string(let value): append(string: value, to: &out)
        case .bytes(let value): append(bytes: value, to: &out)
        case .list(let values):
            append(.array, UInt64(values.count), to: &out)
            for value in values { append(value, to: &out) }
        case .map(let members):
            append(.map, UInt64(members.count), to: &out)
            for (name, value) in members {
                append(string: name, to: &out)
                append(value, to: &out)
            }
        }
    }

    /// The kind of an item: the top three bits of its first byte.
    package enum Major: UInt8, Sendable {
        case unsigned, negative, bytes, text, array, map, tag, simple
    }

    /// Appends the head of an item: its kind and a length, a number or a tag.
    package static func append(_ major: Major, _ argument: UInt64, to out: inout [UInt8]) {
        let kind = major.rawValue << 5
        switch argument {
        case ..<24: out.append(kind | UInt8(truncatingIfNeeded: argument))
        case ...0xFF:
            out.append(kind | 24)
            out.append(UInt8(truncatingIfNeeded: argument))
        case ...0xFFFF:
            out.append(kind | 25)
            append(word: argument, byteCount: 2, to: &out)
        case ...0xFFFF_FFFF:
            out.append(kind | 26)
            append(word: argument, byteCount: 4, to: &out)
        default:
            out.append(kind | 27)
            append(word: argument, byteCount: 8, to: &out)
        }
    }

    private static func append(word: UInt64, byteCount: Int, to out: inout [UInt8]) {
        for place in (0..<byteCount).reversed() { out.append(UInt8(truncatingIfNeeded: word >> UInt64(place * 8))) }
    }

    package static func append(int value: Int64, to out: inout [UInt8]) {
        append(value < 0 ? .negative : .unsigned, UInt64(bitPattern: value < 0 ? ~value : value), to: &out)
    }

    package static func append(time: UnixTime, to out: inout [UInt8]) {
        append(.tag, 1, to: &out)
        append(int: time.milliseconds, to: &out)
    }

    package static func append(string text: String, to out: inout [UInt8]) {
        var text = text
        text.withUTF8 { utf8 in
            append(.text, UInt64(utf8.count), to: &out)
            out.append(contentsOf: utf8)
        }
    }

    package static func append(bytes: Bytes, to out: inout [UInt8]) {
        append(.bytes, UInt64(bytes.count), to: &out)
        bytes.withUnsafeBytes { out.append(contentsOf: $0) }
    }

    /// Decodes one item; `MalformedBody` says at which byte it is none, or none of those that services send. Blobs
    /// stay where they lie in `bytes`. Whole numbers beyond 64 bits become doubles, as they do in JSON.
    public static func decode(_ bytes: Bytes) throws(MalformedBody) -> AWSValue {
        try bytes.withUnsafeBytes { (buffer) throws(MalformedBody) in
            var scanner = CBORScanner(buffer, of: bytes)
            let value = try scanner.value(depth: 0)
            try scanner.end()
            return value
        }
    }
}
