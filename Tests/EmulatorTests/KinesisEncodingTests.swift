import AWSWire
import Emulator
import Machine
import Testing

@Suite("Both encodings at the emulator") struct KinesisEncodingTests {
    struct Way: Sendable, CustomTestStringConvertible {
        var door: Door
        var encoding: WireEncoding
        var testDescription: String { "\(encoding) \(door.rawValue)" }

        static let all = Door.allCases.flatMap { door in
            WireEncoding.allCases.map { Way(door: door, encoding: $0) }
        }
    }

    private func ask(
        _ subject: Subject, _ operation: String, _ body: [UInt8],
        type: String = "application/x-amz-cbor-1.1"
    ) async throws -> Response {
        try await subject.transport.send(
            Request(
                url: subject.endpoint,
                headers: [
                    Header("Content-Type", type), Header("X-Amz-Target", "Kinesis_20131202.\(operation)"),
                    Header(
                        "Authorization",
                        "AWS4-HMAC-SHA256 Credential=w/20300317/us-east-1/kinesis/aws4_request, SignedHeaders=host, "
                            + "Signature=00"),
                ], body: body))
    }

    @Test("Records go in and come out byte by byte", arguments: Way.all)
    func records(_ way: Way) async throws {
        try await through(way.door) { subject in
            let kinesis = KinesisClient(subject.client(encoding: way.encoding))
            try await kinesis.createStream("words", shards: 1)
            subject.clock.advance(subject.emulator.configuration.streamStatusDelay)
            let all = Bytes((0...255).map { UInt8($0) } + Array(repeating: 7, count: 70_000))
            let records = [
                PutRecord(data: all, partitionKey: "a\"\\\né漢"),
                PutRecord(data: Bytes(), partitionKey: "k"),
            ]
            for outcome in try await kinesis.putRecords(stream: "words", records) {
                guard case .stored = outcome else {
                    throw AWSError(operation: "PutRecords", cause: .malformed("\(outcome)"))
                }
            }
            let start = try await kinesis.shardIterator(
                stream: "words", shard: shardID(0), at: .atTimestamp(TestClock.start))
            let batch = try await kinesis.getRecords(iterator: start, limit: 10)
            #expect(batch.records.map(\.data) == records.map(\.data))
            #expect(batch.records.map(\.partitionKey.text) == records.map(\.partitionKey))
            #expect(batch.records[0].approximateArrival == subject.clock.wall)
            #expect(batch.millisBehindLatest == 0)
            let summary = try await kinesis.describeStreamSummary("words")
            #expect(summary.created == TestClock.start)
            // The end of the shard, its children among the answer.
            try await kinesis.splitShard(stream: "words", shard: shardID(0), at: 1 << 127)
            subject.clock.advance(subject.emulator.configuration.streamStatusDelay)
            let next = try #require(batch.nextShardIterator)
            let last = try await kinesis.getRecords(iterator: next, limit: 10)
            #expect(last.nextShardIterator == nil)
            #expect(last.childShards.map(\.shardID) == [shardID(1), shardID(2)])
            #expect(last.childShards.first?.parentShardIDs == [shardID(0)])
        }
    }

    @Test("An answer and an error are in the encoding of the request", arguments: Door.allCases)
    func envelope(_ door: Door) async throws {
        try await through(door) { subject in
            try await subject.stream()
            // A map without a length, as Java's SDK writes it.
            let name = CBOR.encode("StreamName")
            let open: [UInt8] = [0xBF] + name + CBOR.encode("words") + [0xFF]
            let answer = try await ask(subject, "DescribeStreamSummary", open)
            #expect(answer.status == 200)
            #expect(answer.headers["Content-Type"] == "application/x-amz-cbor-1.1")
            let created = try CBOR.decode(answer.body)["StreamDescriptionSummary"]?[
                "StreamCreationTimestamp"]
            #expect(created == .timestamp(TestClock.start))
            // Whole milliseconds behind tag 1, and no float.
            let number: [UInt8] = [0xC1] + CBOR.encode(.int(TestClock.start.milliseconds))
            #expect(answer.body.array.firstRange(of: number) != nil)

            let missing = try await ask(
                subject, "DescribeStreamSummary", [0xBF] + name + CBOR.encode("none") + [0xFF])
            #expect(missing.status == 400)
            #expect(missing.headers["Content-Type"] == "application/x-amz-cbor-1.1")
            #expect(try CBOR.decode(missing.body)["__type"] == "ResourceNotFoundException")
            for body in [[0xBF], [0x80], [], Array("{}".utf8), [0xA1, 0x61]] as [[UInt8]] {
                let refused = try await ask(subject, "ListStreams", body)
                #expect(refused.status == 400)
                #expect(try CBOR.decode(refused.body)["__type"] == "SerializationException")
            }
            let unknown = try await ask(subject, "Nothing", [0xA0])
            #expect(try CBOR.decode(unknown.body)["__type"] == "UnknownOperationException")
            let json = try await ask(
                subject, "ListStreams", Array("{}".utf8), type: "application/x-amz-json-1.1")
            #expect(json.headers["Content-Type"] == "application/x-amz-json-1.1")
            #expect(try JSON.decode(json.body)["StreamNames"] == ["words"])
            #expect(
                try await ask(subject, "ListStreams", [0xA0], type: "application/x-amz-json-1.1").status
                    == 400)
        }
    }

    @Test("What is put in one encoding is read in the other", arguments: 0..<20 as Range<UInt64>)
    func mixed(seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let records = (0..<20).map { index in
            PutRecord(
                data: Bytes(
                    (0..<Int.random(in: 0..<2000, using: &generator)).map { _ in
                        UInt8.random(in: 0...255, using: &generator)
                    }),
                partitionKey: "key \(index) \u{1}\"é")
        }
        try await through(.inProcess) { subject in
            try await subject.stream()
            let clients = WireEncoding.allCases.map { KinesisClient(subject.client(encoding: $0)) }
            for (index, record) in records.enumerated() {
                _ = try await clients[index % 2].putRecords(stream: "words", [record])
            }
            let iterator = try await subject.iterator()
            for client in clients {
                let batch = try await client.getRecords(iterator: iterator, limit: 100)
                #expect(batch.records.map(\.data) == records.map(\.data))
                #expect(batch.records.map(\.partitionKey.text) == records.map(\.partitionKey))
            }
        }
    }

    @Test func damagedRequestsNeverTrap() async throws {
        try await through(.inProcess) { subject in
            try await subject.stream()
            var generator = SeededGenerator(seed: 5)
            let whole = CBOR.encode([
                "StreamName": "words",
                "Records": [["Data": .bytes(Bytes("data")), "PartitionKey": "k", "ExplicitHashKey": "7"]],
            ])
            for _ in 0..<3000 {
                var bytes = whole
                for _ in 0..<Int.random(in: 1...3, using: &generator) {
                    let at = Int.random(in: bytes.indices, using: &generator)
                    bytes[at] = UInt8.random(in: 0...255, using: &generator)
                }
                let status = try await ask(subject, "PutRecords", bytes).status
                #expect(status == 200 || status == 400)
            }
        }
    }
}
