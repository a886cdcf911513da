import Machine
import Testing

@testable import AWSWire

@Suite struct RecordBatchCBORTests {
    static let number = RecordBatchTests.number

    static func answer(_ more: AWSValue...) -> AWSValue {
        ["Records": .list(more), "NextShardIterator": "iterator", "MillisBehindLatest": 5]
    }

    @Test func recordsLieInTheBodyTheyCameIn() throws {
        let body = Bytes(
            CBOR.encode(
                Self.answer(
                    [
                        "SequenceNumber": .string(Self.number), "Data": .bytes(Bytes("hello")),
                        "PartitionKey": "key",
                        "ApproximateArrivalTimestamp": .timestamp(UnixTime(milliseconds: 1_769_860_800_123)),
                        "EncryptionType": "KMS",
                    ], ["PartitionKey": "", "Data": .bytes(Bytes()), "SequenceNumber": "1"])))
        let batch = try RecordBatch(body, in: .cbor)
        #expect(batch.records.count == 2)
        #expect(batch.records[0].data.text == "hello")
        #expect(batch.records[0].partitionKey.text == "key")
        #expect(batch.records[0].sequenceNumber.description == Self.number)
        #expect(batch.records[0].approximateArrival == UnixTime(milliseconds: 1_769_860_800_123))
        #expect(batch.records[1].approximateArrival == nil)
        #expect(batch.nextShardIterator == "iterator")
        #expect(batch.millisBehindLatest == 5)
        #expect(batch.arenaBytes == body.count)
        let (start, end) = body.withUnsafeBytes { (UInt(bitPattern: $0.baseAddress), UInt($0.count)) }
        for part in [batch.records[0].data, batch.records[0].partitionKey] {
            #expect(
                part.withUnsafeBytes { (start..<start + end).contains(UInt(bitPattern: $0.baseAddress)) })
        }
    }

    @Test("A time is milliseconds, tagged or not, or seconds with a fraction")
    func times() throws {
        for time in [
            AWSValue.timestamp(UnixTime(milliseconds: 1_769_860_800_500)), 1_769_860_800_500,
            .double(1_769_860_800.5),
        ] {
            let record: AWSValue = ["SequenceNumber": "1", "ApproximateArrivalTimestamp": time]
            let batch = try RecordBatch(cbor: Bytes(CBOR.encode(Self.answer(record))))
            #expect(batch.records[0].approximateArrival == UnixTime(milliseconds: 1_769_860_800_500))
        }
    }

    @Test func theEndOfAShardHasNoIteratorAndNamesTheChildren() throws {
        let child: AWSValue = [
            "ShardId": "shardId-1", "ParentShards": ["shardId-0"],
            "HashKeyRange": ["StartingHashKey": "0", "EndingHashKey": "9"],
        ]
        let batch = try RecordBatch(cbor: Bytes(CBOR.encode(["Records": [], "ChildShards": [child]])))
        #expect(batch.nextShardIterator == nil)
        #expect(batch.childShards.map(\.shardID) == ["shardId-1"])
    }

    @Test(
        "What could pass for the end of a shard, or for lost records, is malformed",
        arguments: [
            [:], [], .null, ["Records": .null], ["Records": [:]], ["NextShardIterator": .null],
            ["Records": [], "NextShardIterator": 7], ["Records": [], "NextShardIterator": ""],
            ["Records": [], "ChildShards": [:]], ["Records": [], "ChildShards": [[:]]],
            ["Records": [.null]],
            ["Records": [[:]]], ["Records": [["SequenceNumber": ""]]],
            ["Records": [["SequenceNumber": "x"]]],
            ["Records": [["SequenceNumber": 5]]], ["Records": [["SequenceNumber": "1", "Data": .null]]],
            ["Records": [["SequenceNumber": "1", "Data": "AA=="]]],
            ["Records": [["SequenceNumber": "1", "PartitionKey": .bytes(Bytes([65]))]]],
        ] as [AWSValue])
    func refuses(_ answer: AWSValue) {
        #expect(throws: MalformedBody.self) { try RecordBatch(cbor: Bytes(CBOR.encode(answer))) }
        #expect(throws: MalformedBody.self) { try RecordBatch(cbor: Bytes(CBOR.encode(answer) + [0])) }
    }

    @Test(
        "Random answers read alike in CBOR, in JSON and as a tree", arguments: 0..<200 as Range<UInt64>)
    func agrees(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let tree = Self.randomAnswer(using: &generator)
        let reading = try #require(Reading(tree))
        for encoding in WireEncoding.allCases {
            #expect(
                Reading(try RecordBatch(Bytes(encoding.encode(tree)), in: encoding)) == reading,
                "\(encoding)")
        }
        // The same without lengths, in parts and with odd heads.
        let loose = Bytes(try Self.loose(tree, using: &generator))
        #expect(try CBOR.decode(loose) == tree)
        #expect(Reading(try RecordBatch(cbor: loose)) == reading)
    }

    @Test(
        "Damaged answers never trap, and what is read is what the tree reads",
        arguments: 0..<60 as Range<UInt64>)
    func damaged(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let tree = Self.randomAnswer(using: &generator)
        let answer = generator.chance(0.5) ? CBOR.encode(tree) : try Self.loose(tree, using: &generator)
        for _ in 0..<100 {
            let bytes = Bytes(answer.damagedCBOR(using: &generator))
            guard let batch = try? RecordBatch(cbor: bytes) else { continue }
            #expect((try? CBOR.decode(bytes)) != nil)
            _ = Reading(batch)
        }
        for count in 0..<answer.count {
            #expect(throws: MalformedBody.self) { try RecordBatch(cbor: Bytes(Array(answer[..<count]))) }
        }
    }

    private static func randomAnswer(using generator: inout SeededGenerator) -> AWSValue {
        var records: [AWSValue] = []
        for _ in 0..<Int.random(in: 0..<8, using: &generator) {
            let data = (0..<Int.random(in: 0..<40, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            var members: [(String, AWSValue)] = [
                ("SequenceNumber", .string("\(generator.next())\(generator.next())")),
                ("PartitionKey", .string(.random(using: &generator))), ("Data", .bytes(Bytes(data))),
            ]
            if generator.chance(0.8) {
                let time = UnixTime(
                    milliseconds: Int64.random(in: 1...2_000_000_000_000, using: &generator))
                members.append(("ApproximateArrivalTimestamp", .timestamp(time)))
            }
            if generator.chance(0.1) { members.append(("Unknown", ["a": [1, .null, "x"]])) }
            members.shuffle(using: &generator)
            records.append(Self.map(members))
        }
        var members: [(String, AWSValue)] = [("Records", .list(records))]
        if generator.chance(0.9) {
            members.append(("NextShardIterator", .string("AAAA/\(generator.next())")))
        }
        if generator.chance(0.9) {
            members.append(("MillisBehindLatest", .int(Int64(generator.next() >> 20))))
        }
        members.shuffle(using: &generator)
        return map(members)
    }

    private static func map(_ members: [(String, AWSValue)]) -> AWSValue {
        members.reduce(into: .members([:])) { $0[$1.0] = $1.1 }
    }

    /// The tree as another writer might write it: maps, arrays and strings without a length, longer heads than needed.
    private static func loose(_ value: AWSValue, using generator: inout SeededGenerator) throws
        -> [UInt8]
    {
        let bytes = Bytes(CBOR.encode(value))
        return try bytes.withUnsafeBytes { (buffer) throws(MalformedBody) in
            var scanner = CBORScanner(buffer, of: bytes)
            return try loose(&scanner, using: &generator)
        }
    }

    private static func loose(
        _ scanner: inout CBORScanner, using generator: inout SeededGenerator
    ) throws(MalformedBody) -> [UInt8] {
        let start = scanner.index
        var out: [UInt8] = []
        switch CBOR.Major(rawValue: scanner.buffer[start] >> 5) {
        case .map:
            out.append(0xBF)
            try scanner.members { (scanner, name) throws(MalformedBody) in
                out += string(scanner.bytes(name).array, 0x60, using: &generator)
                out += try loose(&scanner, using: &generator)
            }
            return out + [0xFF]
        case .array:
            out.append(0x9F)
            try scanner.elements { (scanner) throws(MalformedBody) in
                out += try loose(&scanner, using: &generator)
            }
            return out + [0xFF]
        case .text:
            return string(scanner.bytes(try scanner.rawString(.text)).array, 0x60, using: &generator)
        case .bytes:
            return string(scanner.bytes(try scanner.rawString(.bytes)).array, 0x40, using: &generator)
        default:
            _ = try scanner.value(depth: 0)
            return Array(scanner.buffer[start..<scanner.index])
        }
    }

    private static func string(
        _ bytes: [UInt8], _ major: UInt8, using generator: inout SeededGenerator
    ) -> [UInt8] {
        let count = UInt8(truncatingIfNeeded: bytes.count)
        guard bytes.count < 256, generator.chance(0.3) else {
            var out: [UInt8] = []
            CBOR.append(major == 0x40 ? .bytes : .text, UInt64(bytes.count), to: &out)
            return out + bytes
        }
        if generator.chance(0.5) { return [major | 25, 0, count] + bytes }
        return [major | 31, major, major | 24, count] + bytes + [0xFF]
    }
}
