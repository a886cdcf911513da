import Machine
import Testing

@testable import AWSWire

@Suite struct RecordBatchTests {
    static let number = "49590338271490256608559692538361571095921575989136588898"

    static func answer(
        records: String = "[]", next: String = "\"iterator\"", more: String = ""
    ) -> Bytes {
        Bytes("{\"Records\":\(records),\"NextShardIterator\":\(next),\"MillisBehindLatest\":5\(more)}")
    }

    @Test func anAnswerIsReadWithItsDataInOneArena() throws {
        let batch = try RecordBatch(
            json: Self.answer(
                records: """
                    [{"SequenceNumber":"\(Self.number)","ApproximateArrivalTimestamp":1.769860800123E9,
                      "Data":"aGVsbG8=","PartitionKey":"key","EncryptionType":"KMS"},
                     {"PartitionKey":"","Data":"","SequenceNumber":"1"}]
                    """))
        #expect(batch.records.count == 2)
        #expect(batch.records[0].data.text == "hello")
        #expect(batch.records[0].partitionKey.text == "key")
        #expect(batch.records[0].sequenceNumber.description == Self.number)
        #expect(batch.records[0].approximateArrival == UnixTime(milliseconds: 1_769_860_800_123))
        #expect(batch.records[1].data.isEmpty)
        #expect(batch.records[1].approximateArrival == nil)
        #expect(batch.nextShardIterator == "iterator")
        #expect(batch.millisBehindLatest == 5)
        #expect(batch.childShards == [])
    }

    @Test func theEndOfAShardHasNoIteratorAndNamesTheChildren() throws {
        let children = """
            ,"ChildShards":[{"ShardId":"shardId-1","ParentShards":["shardId-0"],
            "HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"9"}}]
            """
        for next in ["null", "\"x\""] {
            let batch = try RecordBatch(json: Self.answer(next: next, more: children))
            #expect(batch.nextShardIterator == (next == "null" ? nil : "x"))
            #expect(
                batch.childShards == [
                    ChildShard(
                        shardID: "shardId-1", parentShardIDs: ["shardId-0"],
                        hashKeyRange: HashKeyRange(start: 0, end: 9))
                ])
        }
        #expect(try RecordBatch(json: Bytes("{\"Records\":[]}")).nextShardIterator == nil)
    }

    @Test func whatIsEscapedIsReadAllTheSame() throws {
        let batch = try RecordBatch(
            json: Bytes(
                """
                {"Re\\u0063ords":[{"SequenceNumber":"\\u0031\\u0032","Data":"\\/\\/8\\u003d",
                "PartitionKey":"a\\"\\n\\ud83d\\ude42"},
                {"SequenceNumber":"13","PartitionKey":"é","Data":"//8="}]}
                """))
        #expect(batch.records[0].sequenceNumber.description == "12")
        #expect(batch.records[0].data.array == [0xFF, 0xFF])
        #expect(batch.records[0].partitionKey.text == "a\"\n🙂")
        #expect(batch.records[1].data.array == [0xFF, 0xFF])
        #expect(batch.records[1].partitionKey.text == "é")
    }

    @Test func recordsThatBeginAsAggregatesDoAreNoted() throws {
        let magic: [UInt8] = [0xF3, 0x89, 0x9A, 0xC2]
        let data = [magic, magic + [1, 2], [], Array(magic.dropLast()), [0xF3, 0, 0, 0, 0], Array("hello".utf8)]
        let expected = [true, true, false, false, false, false]
        let records = AWSValue.list(
            data.map { ["SequenceNumber": "1", "PartitionKey": "k", "Data": .bytes(Bytes($0))] })
        for encoding in WireEncoding.allCases {
            let body = Bytes(encoding.encode(["Records": records]))
            #expect(try RecordBatch(body, in: encoding).records.map(\.beginsAsAggregate) == expected)
        }
        let escaped = Bytes("{\"Records\":[{\"SequenceNumber\":\"1\",\"Data\":\"84mawg\\u003d=\"}]}")
        #expect(try RecordBatch(json: escaped).records.map(\.beginsAsAggregate) == [true])
    }

    @Test(
        "What could pass for the end of a shard, or for lost records, is malformed",
        arguments: [
            "", "{}", "[]", "null", "<html>", "{\"Records\":null}", "{\"Records\":{}}", "{\"NextShardIterator\":null}",
            "{\"Records\":[],\"NextShardIterator\":7}", "{\"Records\":[],\"NextShardIterator\":\"\"}",
            "{\"Records\":[],\"NextShardIterator\":[\"x\"]}", "{\"Records\":[],\"ChildShards\":{}}",
            "{\"Records\":[],\"ChildShards\":[{}]}", "{\"Records\":[],\"ChildShards\":[{\"ShardId\":\"a\"}]}",
            "{\"Records\":[]", "{\"Records\":[]}}", "{\"Records\":[null]}", "{\"Records\":[{}]}",
            "{\"Records\":[{\"SequenceNumber\":\"\"}]}", "{\"Records\":[{\"SequenceNumber\":\"x\"}]}",
            "{\"Records\":[{\"SequenceNumber\":5}]}", "{\"Records\":[{\"SequenceNumber\":\"1\",\"Data\":\"Zg=\"}]}",
            "{\"Records\":[{\"SequenceNumber\":\"1\",\"Data\":null}]}",
            "{\"Records\":[{\"SequenceNumber\":\"1\",\"PartitionKey\":\"a\nb\"}]}",
        ])
    func refuses(_ text: String) {
        #expect(throws: MalformedBody.self) { try RecordBatch(json: Bytes(text)) }
    }

    @Test func aTimeInWholeMillisecondsIsOne() throws {
        let text = """
            {"Records":[{"SequenceNumber":"5","Data":"","ApproximateArrivalTimestamp":1769860800123}]}
            """
        let arrival = try RecordBatch(json: Bytes(text)).records[0].approximateArrival
        #expect(arrival == UnixTime(milliseconds: 1_769_860_800_123))
    }

    @Test("Random answers read as the value tree reads them", arguments: 0..<200 as Range<UInt64>)
    func agreesWithTheTree(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let bytes = Bytes(Self.randomAnswer(using: &generator))
        let reference = try #require(Reading(json: bytes))
        #expect(Reading(try RecordBatch(json: bytes)) == reference)
    }

    @Test("Damaged answers never trap, and what is read is what the tree reads", arguments: 0..<60 as Range<UInt64>)
    func damaged(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let answer = Self.randomAnswer(using: &generator)
        for _ in 0..<100 {
            let bytes = Bytes(answer.damaged(using: &generator))
            guard let batch = try? RecordBatch(json: bytes) else { continue }
            // The tree keeps one of two members of a name; only answers without such are comparable.
            guard Self.namesAreUnique(bytes) else { continue }
            #expect(Reading(json: bytes).map { $0 == Reading(batch) } ?? false, "\(bytes.text)")
        }
    }

    @Test("An answer cut off anywhere is malformed", arguments: 0..<10 as Range<UInt64>)
    func truncated(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let answer = Self.randomAnswer(using: &generator)
        for count in 0..<answer.count {
            #expect(throws: MalformedBody.self) { try RecordBatch(json: Bytes(Array(answer[..<count]))) }
        }
    }

    private static func namesAreUnique(_ bytes: Bytes) -> Bool {
        guard let tree = try? JSON.decode(bytes) else { return true }
        return JSON.encode(tree).count(where: { $0 == UInt8(ascii: ":") })
            == bytes.array.count(where: { $0 == UInt8(ascii: ":") })
    }

    /// An answer with records in any order of members, escapes, odd numbers and white space.
    private static func randomAnswer(using generator: inout SeededGenerator) -> [UInt8] {
        let space = { (generator: inout SeededGenerator) in
            generator.chance(0.2) ? (generator.chance(0.5) ? " " : "\n\t") : ""
        }
        func quoted(_ text: String) -> String {
            var text = JSON.text(.string(text))
            if generator.chance(0.1) { text.replace("/", with: "\\/") }
            if generator.chance(0.1) { text.replace("a", with: "\\u0061") }
            return text
        }
        var records: [String] = []
        for _ in 0..<Int.random(in: 0..<12, using: &generator) {
            let data = (0..<Int.random(in: 0..<40, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            var members = [
                "\"SequenceNumber\"\(space(&generator)):\"\(generator.next())\(generator.next())\"",
                "\"PartitionKey\":\(space(&generator))\(quoted(.random(using: &generator)))",
                "\"Data\":\(quoted(Base64.encode(Bytes(data))))",
            ]
            if generator.chance(0.8) {
                let seconds = Double(Int64.random(in: 1...2_000_000_000_000, using: &generator)) / 1000
                members.append("\"ApproximateArrivalTimestamp\":\(seconds)")
            }
            if generator.chance(0.1) { members.append("\"Unknown\":{\"a\":[1,null,\"x\"]}") }
            members.shuffle(using: &generator)
            records.append("{" + members.joined(separator: ",\(space(&generator))") + "}")
        }
        var members = ["\"Records\":[" + records.joined(separator: ",") + "\(space(&generator))]"]
        if generator.chance(0.9) { members.append("\"NextShardIterator\":\(quoted("AAAA/\(generator.next())"))") }
        if generator.chance(0.9) { members.append("\"MillisBehindLatest\":\(generator.next() >> 20)") }
        members.shuffle(using: &generator)
        return Array(("{" + members.joined(separator: ",") + "}").utf8)
    }
}
