import AWSWire
import Machine
import Testing

@Suite struct JSONTests {
    static let valid: [(String, AWSValue)] = [
        ("null", .null), (" true ", true), ("false", false), ("0", 0), ("-0", 0), ("12", 12), ("-7", -7),
        ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)),
        ("9223372036854775808", .double(9_223_372_036_854_775_808)), ("1.5", .double(1.5)),
        ("-0.25", .double(-0.25)), ("1e3", .double(1000)), ("1E+2", .double(100)), ("25e-1", .double(2.5)),
        ("1769860800.123", .double(1_769_860_800.123)), ("0.1", .double(0.1)),
        ("1.769860800123E9", .double(1_769_860_800.123)), ("7e15", .double(7e15)),
        ("123456789012345e-15", .double(0.123_456_789_012_345)), ("3e22", .double(3e22)),
        ("123456789012345.6", .double(123_456_789_012_345.6)),
        ("5e-324", .double(.leastNonzeroMagnitude)), ("1e-400", .double(0)), ("\"\"", ""), ("\"a\"", "a"),
        ("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\u{8}\u{C}\n\r\t"), ("\"\\u00e9\\u4F60\"", "é你"),
        ("\"\\ud83d\\ude42\"", "🙂"), ("\"\\uD83D\"", "\u{FFFD}"), ("\"\\ude42\\ud83d\"", "\u{FFFD}\u{FFFD}"),
        ("\"\\ud83dx\"", "\u{FFFD}x"), ("\"\\ud83d\\u0041\"", "\u{FFFD}A"), ("\"\\u0000\"", "\0"),
        ("\"é🙂\u{7F}\"", "é🙂\u{7F}"), ("[]", []), ("[ ]", []), ("[1,[2],\"x\"]", [1, [2], "x"]), ("{}", [:]),
        ("{\"a\":{\"b\":[null]}}", ["a": ["b": [.null]]]), ("\t{ \"a\" :\r\n1 , \"b\" : 2 } ", ["a": 1, "b": 2]),
        ("{\"a\":1,\"a\":2}", ["a": 2]), ("{\"\\u0061\":1}", ["a": 1]), ("{\"\":0}", ["": 0]),
    ]

    @Test("Valid texts decode to what they say", arguments: valid)
    func decodes(_ text: String, _ value: AWSValue) throws {
        #expect(try JSON.decode(Bytes(text)) == value)
    }

    @Test(
        "Invalid texts are malformed",
        arguments: [
            "", " ", "nul", "nulll", "True", "tru", "undefined", "NaN", "Infinity", "+1", "-", "--1", "01", "-01", "00",
            "1.", ".5", "1.e1", "1e", "1e+", "1e1.5", "0x10", "1e400", "-1e999", "1_0", "\"", "\"a", "\"\\\"", "\"\\",
            "\"\\x41\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\u+123\"", "\"\\u-123\"", "\"\\ud83d\\u12\"", "\"a\nb\"",
            "\"\u{1}\"", "\"\u{0}\"", "'a'", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1]]", "{", "}",
            "{\"a\"", "{\"a\":", "{\"a\":}", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}", "{1:1}", "{\"a\" 1}",
            "{\"a\":1}}", "{,}", "1 2", "null null", "\u{FEFF}1", "// x\n1",
        ])
    func refuses(_ text: String) {
        #expect(throws: MalformedBody.self) { try JSON.decode(Bytes(text)) }
    }

    @Test func nestingIsAcceptedUpToTheLimitAndNoFurther() throws {
        func nested(_ depth: Int) -> Bytes {
            Bytes(String(repeating: "[", count: depth) + String(repeating: "]", count: depth))
        }
        #expect(throws: Never.self) { try JSON.decode(nested(JSON.depthMax)) }
        #expect(throws: MalformedBody.self) { try JSON.decode(nested(JSON.depthMax + 1)) }
        #expect(throws: MalformedBody.self) { try JSON.decode(nested(1_000_000)) }
        #expect(throws: MalformedBody.self) { try JSON.decode(Bytes(String(repeating: "{\"a\":", count: 100_000))) }
    }

    @Test func anErrorNamesTheByte() {
        #expect(throws: MalformedBody("expected a value", at: 6)) { try JSON.decode(Bytes("{\"a\": x}")) }
    }

    @Test func invalidUTF8BecomesReplacementCharacters() throws {
        #expect(try JSON.decode(Bytes([0x22, 0xFF, 0x61, 0xC3, 0x22])) == "\u{FFFD}a\u{FFFD}")
    }

    @Test func encodingEscapesWhatMustBeEscaped() {
        #expect(JSON.text("a\"\\\n\r\t\u{1}\u{1F}é🙂/") == "\"a\\\"\\\\\\n\\r\\t\\u0001\\u001fé🙂/\"")
        #expect(
            JSON.text(["b": .bytes(Bytes("hi")), "n": .null, "d": .double(1.5)]) == #"{"b":"aGk=","n":null,"d":1.5}"#)
        #expect(JSON.text(.double(.nan)) == "null")
    }

    @Test("What is encoded decodes to itself", arguments: 0..<200 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let value = AWSValue.random(depth: 5, using: &generator)
        #expect(try JSON.decode(Bytes(JSON.encode(value))) == value)
    }

    @Test("Damaged texts decode or are malformed, and never trap", arguments: 0..<100 as Range<UInt64>)
    func damaged(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let text = JSON.encode(.random(depth: 5, using: &generator))
        for _ in 0..<200 {
            let bytes = Bytes(text.damaged(using: &generator))
            guard let value = try? JSON.decode(bytes) else { continue }
            // What was accepted is a value like any other.
            #expect((try? JSON.decode(Bytes(JSON.encode(value)))) == value)
        }
    }
}

extension AWSValue {
    /// A value of any shape; no blobs, which JSON does not tell from strings.
    static func random(depth: Int, using generator: inout SeededGenerator) -> AWSValue {
        switch Int.random(in: 0..<(depth > 0 ? 9 : 6), using: &generator) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &generator))
        case 2: return .int(Int64(truncatingIfNeeded: generator.next()) >> Int64.random(in: 0..<64, using: &generator))
        case 3:
            let value = Double(bitPattern: generator.next())
            return value.isFinite ? .double(value) : .double(0.5)
        case 4, 5: return .string(.random(using: &generator))
        case 6:
            return .list(
                (0..<Int.random(in: 0..<6, using: &generator)).map { _ in .random(depth: depth - 1, using: &generator) }
            )
        default:
            var map = AWSValue.members([:])
            for _ in 0..<Int.random(in: 0..<6, using: &generator) {
                let name = String.random(using: &generator)
                map[name] = AWSValue.random(depth: depth - 1, using: &generator)
            }
            return map
        }
    }
}

extension String {
    /// Up to twenty scalars, with what JSON must escape among them more often than chance has it.
    static func random(using generator: inout SeededGenerator) -> String {
        var text = ""
        for _ in 0..<Int.random(in: 0..<20, using: &generator) {
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: text.append("\"\\/\n\u{0}\u{1F}".randomElement(using: &generator) ?? " ")
            case 1:
                text.unicodeScalars.append(Unicode.Scalar(UInt32.random(in: 0..<0x11_0000, using: &generator)) ?? "x")
            default: text.append("abcdefghij0123456789 é漢🙂".randomElement(using: &generator) ?? " ")
            }
        }
        return text
    }
}

extension [UInt8] {
    /// The same with a few bytes changed, taken away, doubled or cut off.
    func damaged(using generator: inout SeededGenerator) -> [UInt8] {
        var bytes = self
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
            let at = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: bytes[at] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes[at] = "{}[]\",:\\0-e.u+ntf".utf8.randomElement(using: &generator) ?? 0
            case 2: bytes.remove(at: at)
            case 3: bytes.insert(bytes[at], at: at)
            case 4: bytes.removeLast(bytes.count - at)
            default: bytes.insert(contentsOf: bytes[at..<Swift.min(bytes.count, at + 8)], at: at)
            }
        }
        return bytes
    }
}
