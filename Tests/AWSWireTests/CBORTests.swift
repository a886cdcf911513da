import Machine
import Testing

@testable import AWSWire

@Suite struct CBORTests {
    static func bytes(_ hex: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = Substring(hex)
        while rest.count >= 2 {
            bytes.append(UInt8(rest.prefix(2), radix: 16) ?? 0)
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }

    /// RFC 8949, appendix A, as far as services use it.
    static let vectors: [(String, AWSValue)] = [
        ("00", 0), ("01", 1), ("0a", 10), ("17", 23), ("1818", 24), ("1864", 100), ("1903e8", 1000),
        ("1a000f4240", 1_000_000), ("1b000000e8d4a51000", 1_000_000_000_000), ("20", -1), ("29", -10),
        ("3863", -100), ("3903e7", -1000), ("fb3ff199999999999a", .double(1.1)),
        ("fb7e37e43c8800759c", .double(1.0e+300)), ("fbc010666666666666", .double(-4.1)), ("f4", false),
        ("f5", true), ("f6", .null), ("40", .bytes(Bytes())),
        ("4401020304", .bytes(Bytes([1, 2, 3, 4]))),
        ("60", ""), ("6161", "a"), ("6449455446", "IETF"), ("62225c", "\"\\"), ("62c3bc", "ü"),
        ("63e6b0b4", "水"),
        ("64f0908591", "𐅑"), ("80", []), ("83010203", [1, 2, 3]),
        ("8301820203820405", [1, [2, 3], [4, 5]]),
        ("a0", [:]), ("a26161016162820203", ["a": 1, "b": [2, 3]]),
        ("826161a161626163", ["a", ["b": "c"]]),
        (
            "98190102030405060708090a0b0c0d0e0f101112131415161718181819", .list((1...25).map { .int($0) })
        ),
        ("3b7fffffffffffffff", .int(.min)), ("1b7fffffffffffffff", .int(.max)),
        ("c11b000001bc25d8b2fa", .timestamp(UnixTime(milliseconds: 1_907_600_438_010))),
    ]

    @Test("The examples of RFC 8949 are read and written", arguments: vectors.indices)
    func known(_ index: Int) throws {
        let (hex, value) = Self.vectors[index]
        #expect(try CBOR.decode(Bytes(Self.bytes(hex))) == value)
        #expect(Self.hex(CBOR.encode(value)) == hex)
    }

    /// What we never write.
    static let readOnly: [(String, AWSValue)] = [
        ("f90000", .double(0)), ("f93c00", .double(1)), ("f93e00", .double(1.5)),
        ("f97bff", .double(65504)),
        ("f90001", .double(5.960464477539063e-8)), ("f90400", .double(0.00006103515625)),
        ("f9c400", .double(-4)),
        ("fa47c35000", .double(100_000)), ("fa7f7fffff", .double(3.4028234663852886e+38)),
        ("f97c00", .double(.infinity)), ("fbfff0000000000000", .double(-.infinity)), ("f7", .null),
        ("1bffffffffffffffff", .double(18_446_744_073_709_551_616)),
        ("3bffffffffffffffff", .double(-18_446_744_073_709_551_616)),
        ("c249010000000000000000", .double(18_446_744_073_709_551_616)), ("c2420100", 256),
        ("c3420100", -257),
        ("c240", 0), ("5f42010243030405ff", .bytes(Bytes([1, 2, 3, 4, 5]))),
        ("7f657374726561646d696e67ff", "streaming"),
        ("9fff", []), ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("83018202039f0405ff", [1, [2, 3], [4, 5]]),
        ("bf61610161629f0203ffff", ["a": 1, "b": [2, 3]]), ("826161bf61626163ff", ["a", ["b": "c"]]),
        ("bf6346756ef563416d7421ff", ["Fun": true, "Amt": -2]), ("1800", 0), ("190001", 1),
        ("d74401020304", .bytes(Bytes([1, 2, 3, 4]))),
        ("d9d9f7a0", [:]),
        (
            "c074323031332d30332d32315432303a30343a30305a",
            .timestamp(UnixTime(milliseconds: 1_363_896_240_000))
        ),
        ("c1fb41d452d9e20033b6", .timestamp(UnixTime(milliseconds: 1_363_896_200_003))),
        ("bf7f6141ffa0ff", ["A": [:]]),
    ]

    @Test(
        "Other spellings are read: short floats, parts without a length, big numbers, tags",
        arguments: readOnly.indices)
    func other(_ index: Int) throws {
        let (hex, value) = Self.readOnly[index]
        let read = try CBOR.decode(Bytes(Self.bytes(hex)))
        if case .timestamp(let time) = read, case .timestamp(let expected) = value,
            hex.hasPrefix("c1fb")
        {
            #expect(abs(time.milliseconds - expected.milliseconds) < 1000)
        } else {
            #expect(read == value)
        }
    }

    @Test(
        "What is none is malformed",
        arguments: [
            "", "18", "19ff", "1a010203", "1b01020304050607", "1c", "1d", "1e", "1f", "3c", "3f", "41",
            "5801", "61",
            "62c3", "61ff", "62c328", "81", "8201", "9f01", "bf6161", "a1", "a161", "a16161", "a10101",
            "bf0101ff",
            "ff", "9fffff", "0000", "f8", "f800", "f818", "f8ff", "f0", "fc", "5f", "5f00ff", "5f6161ff",
            "7f4101ff", "5f5f4101ffff", "c1", "c16161", "c000", "c06161", "c200", "df", "d8", "dc00",
            "c1f97e00",
            "9b7fffffffffffffff", "9bffffffffffffffff", "bb7fffffffffffffff", "5b7fffffffffffffff",
            "7bffffffffffffffff", "9affffffff00", "ba0000000200",
        ])
    func refuses(_ hex: String) {
        #expect(throws: MalformedBody.self) { try CBOR.decode(Bytes(Self.bytes(hex))) }
    }

    @Test(
        "Depth is bounded",
        arguments: [[0x81] as [UInt8], [0x9F], [0xC6], [0xA1, 0x61, 0x61], [0xBF, 0x60]])
    func depth(_ opening: [UInt8]) {
        let deep = Array(repeatElement(opening, count: 100_000).joined())
        #expect(throws: MalformedBody.self) { try CBOR.decode(Bytes(deep + [0])) }
    }

    @Test("Both codecs carry the same trees", arguments: 0..<300 as Range<UInt64>)
    func agreesWithJSON(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<10 {
            let tree = AWSValue.random(depth: 5, using: &generator)
            let read = try CBOR.decode(Bytes(CBOR.encode(tree)))
            #expect(read == tree)
            // And by way of JSON and back.
            let json = try JSON.decode(Bytes(JSON.encode(read)))
            #expect(json == (try JSON.decode(Bytes(JSON.encode(tree)))))
            #expect(try CBOR.decode(Bytes(CBOR.encode(json))) == json)
        }
    }

    @Test("Blobs and times mean the same in both", arguments: 0..<50 as Range<UInt64>)
    func blobsAndTimes(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let blob = Bytes(
            (0..<Int.random(in: 0..<300, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            })
        let time = UnixTime(milliseconds: Int64.random(in: 0...4_000_000_000_000, using: &generator))
        for encoding in WireEncoding.allCases {
            let tree = try encoding.decode(
                Bytes(encoding.encode(["Data": .bytes(blob), "At": .timestamp(time)])))
            #expect(tree["Data"]?.blob == blob)
            #expect(tree["At"]?.time == time, "\(encoding)")
        }
        #expect(AWSValue.int(1_907_600_438_010).time == UnixTime(milliseconds: 1_907_600_438_010))
        #expect(AWSValue.int(1_907_600_438).time == UnixTime(milliseconds: 1_907_600_438_000))
    }

    @Test("Damaged trees never trap", arguments: 0..<100 as Range<UInt64>)
    func damaged(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let tree = CBOR.encode(.random(depth: 5, using: &generator))
        for _ in 0..<100 {
            let bytes = tree.damagedCBOR(using: &generator)
            guard let read = try? CBOR.decode(Bytes(bytes)) else { continue }
            // What is read can be written, and read again: but for what is not a number.
            let again = try? CBOR.decode(Bytes(CBOR.encode(read)))
            #expect(again.map { JSON.encode($0) } == JSON.encode(read))
        }
        var noise = (0..<64).map { _ in UInt8.random(in: 0...255, using: &generator) }
        for _ in 0..<1000 {
            _ = try? CBOR.decode(Bytes(noise))
            noise = noise.damagedCBOR(using: &generator)
            if noise.count < 8 { noise += tree.prefix(64) }
        }
    }

    @Test func aTreeCutOffAnywhereIsMalformed() {
        let tree: AWSValue = [
            "a": [
                1, 1000, -70_000, .double(0.5), .timestamp(UnixTime(milliseconds: 5)),
                .bytes(Bytes("blob")),
            ],
            "text": "漢", "b": [:], "c": .null,
        ]
        let whole = CBOR.encode(tree)
        for count in 0..<whole.count {
            #expect(throws: MalformedBody.self) { try CBOR.decode(Bytes(Array(whole[..<count]))) }
        }
        #expect(throws: MalformedBody.self) { try CBOR.decode(Bytes(whole + [0])) }
    }
}

extension [UInt8] {
    /// The same with a few bytes changed, taken away, doubled or cut off, often where a head is.
    func damagedCBOR(using generator: inout SeededGenerator) -> [UInt8] {
        var bytes = self
        let heads: [UInt8] = [
            0x00, 0x1B, 0x3B, 0x40, 0x5B, 0x5F, 0x7F, 0x7B, 0x9B, 0x9F, 0xBB, 0xBF, 0xC1, 0xF9, 0xFF,
        ]
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
            let at = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: bytes[at] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes[at] = heads.randomElement(using: &generator) ?? 0
            case 2: bytes.remove(at: at)
            case 3: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 4: if generator.chance(0.3) { bytes.removeLast(bytes.count - at) }
            default: bytes.insert(contentsOf: bytes[at..<Swift.min(bytes.count, at + 8)], at: at)
            }
        }
        return bytes
    }
}
