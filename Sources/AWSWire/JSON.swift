import Machine
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
        case .timestamp(let value): out.append(contentsOf: "\(value.seconds)".utf8)
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
