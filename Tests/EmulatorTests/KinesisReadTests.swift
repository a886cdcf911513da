import AWSWire
import Emulator
import Machine
import Testing

@Suite("Reading") struct KinesisReadTests {
    @Test("Records come back in order, whatever their bytes and keys", arguments: Door.allCases)
    func roundTrip(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            let keys = ["plain", "quote\"back\\slash", "new\nline", "Grüße 日本", String(repeating: "k", count: 256)]
            let datas = (0..<keys.count).map { index in Bytes((0..<index * 300).map { UInt8(truncatingIfNeeded: $0) }) }
            let outcomes = try await subject.kinesis.putRecords(
                stream: "words", zip(keys, datas).map { PutRecord(data: $1, partitionKey: $0) })
            let batch = try await subject.kinesis.getRecords(iterator: try await subject.iterator(), limit: 100)
            #expect(batch.records.map(\.partitionKey.text) == keys)
            #expect(batch.records.map(\.data) == datas)
            #expect(batch.records.allSatisfy { $0.approximateArrival == TestClock.start })
            #expect(
                outcomes
                    == batch.records.map {
                        .stored(shardID: shardID(0), sequenceNumber: $0.sequenceNumber.description)
                    })
            #expect(zip(batch.records, batch.records.dropFirst()).allSatisfy { $0.sequenceNumber < $1.sequenceNumber })
            #expect(batch.records.allSatisfy { $0.sequenceNumber.description.count == 56 })
        }
    }

    @Test("Every kind of iterator starts where it says", arguments: Door.allCases)
    func iterators(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            let early = try await subject.put(["a", "b"])
            let latest = try await subject.iterator(.latest)
            subject.clock.advance(.seconds(10))
            try await subject.put(["c", "d"])
            func texts(_ position: ShardPosition) async throws -> [String] {
                try await subject.read(try await subject.iterator(position)).texts
            }
            #expect(try await texts(.trimHorizon) == ["a", "b", "c", "d"])
            #expect(try await subject.read(latest).texts == ["c", "d"])
            #expect(try await texts(.latest) == [])
            #expect(try await texts(.atSequenceNumber(early[1])) == ["b", "c", "d"])
            #expect(try await texts(.afterSequenceNumber(early[1])) == ["c", "d"])
            #expect(try await texts(.atTimestamp(TestClock.start)) == ["a", "b", "c", "d"])
            #expect(try await texts(.atTimestamp(TestClock.start + .milliseconds(1))) == ["c", "d"])
            #expect(try await texts(.atTimestamp(subject.clock.wall)) == ["c", "d"])
            let shard = try await subject.kinesis.listShards(stream: "words")[0]
            #expect(try await texts(.afterSequenceNumber(shard.startingSequenceNumber)) == ["a", "b", "c", "d"])
        }
    }

    @Test("Pages end at the limit and go on behind it", arguments: Door.allCases)
    func limit(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            let texts = (0..<25).map { "record \($0)" }
            try await subject.put(texts)
            let first = try await subject.kinesis.getRecords(iterator: try await subject.iterator(), limit: 10)
            #expect(first.records.count == 10)
            #expect(try await subject.read(try await subject.iterator(), limit: 10).texts == texts)
            #expect(
                try await subject.failure(
                    "GetRecords", ["ShardIterator": .string(try await subject.iterator()), "Limit": 10_001])
                    == Failure(
                        "ValidationException",
                        "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: "
                            + "Member must have value less than or equal to 10000"))
        }
    }

    @Test("A stream set to larger records takes them, and one answer carries no more than 10 MiB")
    func bytes() async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.call(
                "CreateStream", ["StreamName": "words", "ShardCount": 1, "MaxRecordSizeInKiB": 10_240])
            let data = Bytes([UInt8](repeating: 7, count: 4 << 20))
            for _ in 0..<3 {
                _ = try await subject.kinesis.putRecords(
                    stream: "words", [PutRecord(data: data, partitionKey: "k")])
            }
            let first = try await subject.kinesis.getRecords(iterator: try await subject.iterator(), limit: 10_000)
            #expect(first.records.map(\.data) == [data, data])
            let next = try #require(first.nextShardIterator)
            let second = try await subject.kinesis.getRecords(iterator: next, limit: 10_000)
            #expect(second.records.map(\.data) == [data])
        }
    }

    @Test("MillisBehindLatest is true while records wait and 0 at the tip", arguments: Door.allCases)
    func behind(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            for text in ["a", "b", "c"] {
                try await subject.put([text])
                subject.clock.advance(.seconds(10))
            }
            var batch = try await subject.kinesis.getRecords(iterator: try await subject.iterator(), limit: 1)
            #expect(batch.millisBehindLatest == 30_000)
            batch = try await subject.kinesis.getRecords(iterator: try #require(batch.nextShardIterator), limit: 1)
            #expect(batch.millisBehindLatest == 20_000)
            batch = try await subject.kinesis.getRecords(iterator: try #require(batch.nextShardIterator), limit: 1)
            #expect(batch.millisBehindLatest == 0)
            batch = try await subject.kinesis.getRecords(iterator: try #require(batch.nextShardIterator), limit: 1)
            #expect(batch.records.isEmpty)
            #expect(batch.millisBehindLatest == 0)
            #expect(batch.nextShardIterator != nil)
        }
    }

    @Test("An iterator is good for five minutes", arguments: Door.allCases)
    func expiry(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            let iterator = try await subject.iterator()
            subject.clock.advance(.seconds(300))
            #expect(try await subject.failure("GetRecords", ["ShardIterator": .string(iterator)]) == nil)
            subject.clock.advance(.milliseconds(1))
            #expect(
                try await subject.failure("GetRecords", ["ShardIterator": .string(iterator)])
                    == Failure(
                        "ExpiredIteratorException",
                        "Iterator expired. The iterator was created at time Sun Mar 17 17:46:40 UTC 2030 while "
                            + "right now it is Sun Mar 17 17:51:40 UTC 2030 which is further in the future than the "
                            + "tolerated delay of 300000 milliseconds."))
        }
    }

    @Test("An iterator that the emulator did not make is refused", arguments: Door.allCases)
    func madeUp(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            var cut = try await subject.iterator()
            cut.removeLast(8)
            for iterator in ["x", "AAAAAAAAAAE=", cut] {
                #expect(
                    try await subject.failure("GetRecords", ["ShardIterator": .string(iterator)])
                        == Failure("InvalidArgumentException", "Invalid ShardIterator."))
            }
        }
    }

    @Test("Sequence numbers of other shards, other streams and no shard are told apart", arguments: Door.allCases)
    func foreignNumbers(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream(shards: 2)
            subject.clock.advance(.seconds(5))
            try await subject.stream("other")
            let number = try await subject.put(["a"])[0]
            let foreign = try await subject.put(["a"], stream: "other")[0]
            func failure(_ number: String, shard: Int) async throws -> Failure? {
                try await subject.failure(
                    "GetShardIterator",
                    [
                        "StreamName": "words", "ShardId": .string(shardID(shard)),
                        "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": .string(number),
                    ])
            }
            #expect(
                try await failure(number, shard: 1)
                    == Failure(
                        "InvalidArgumentException",
                        "Invalid StartingSequenceNumber. It encodes shardId-000000000000, while it was used in a "
                            + "call to a shard with shardId-000000000001"))
            let used = "used in GetShardIterator on shard shardId-000000000000 in stream words under account "
            #expect(
                try await failure(foreign, shard: 0)
                    == Failure(
                        "InvalidArgumentException",
                        "StartingSequenceNumber \(foreign) \(used)123456789012 is invalid because it did not come "
                            + "from this stream."))
            #expect(
                try await failure("123", shard: 0)
                    == Failure(
                        "InvalidArgumentException",
                        "StartingSequenceNumber 123 \(used)123456789012 is invalid."))
        }
    }

    @Test("An iterator's type and its arguments must fit", arguments: Door.allCases)
    func iteratorArguments(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            func failure(_ type: String, _ more: KeyValuePairs<String, AWSValue> = [:]) async throws -> Failure? {
                var input: AWSValue = [
                    "StreamName": "words", "ShardId": .string(shardID(0)), "ShardIteratorType": .string(type),
                ]
                for (name, value) in more { input[name] = value }
                return try await subject.failure("GetShardIterator", input)
            }
            let rule =
                "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "
                + "(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified "
            #expect(
                try await failure("AT_SEQUENCE_NUMBER")
                    == Failure(
                        "InvalidArgumentException", rule + "AT_SEQUENCE_NUMBER and no StartingSequenceNumber."))
            #expect(
                try await failure("LATEST", ["StartingSequenceNumber": "1"])
                    == Failure("InvalidArgumentException", rule + "LATEST and also a StartingSequenceNumber."))
            #expect(try await failure("AT_TIMESTAMP")?.type == "InvalidArgumentException")
            #expect(
                try await failure("AT_TIMESTAMP", ["Timestamp": .double(subject.clock.wall.seconds + 1)])?.message
                    .hasPrefix("The timestampInMillis parameter cannot be greater than") == true)
            #expect(try await failure("SIDEWAYS")?.type == "ValidationException")
            #expect(
                try await subject.failure(
                    "GetShardIterator",
                    [
                        "StreamName": "words", "ShardId": "shardId-000000000009", "ShardIteratorType": "LATEST",
                    ])
                    == Failure(
                        "ResourceNotFoundException",
                        "Shard shardId-000000000009 in stream words under account 123456789012 does not exist"))
        }
    }

    @Test("Records expire after the retention, and iterators step over the gap", arguments: Door.allCases)
    func retention(door: Door) async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.retention = .seconds(60)
        try await through(door, configuration) { (subject) async throws in
            try await subject.stream()
            let old = try await subject.put(["a", "b"])
            subject.clock.advance(.seconds(40))
            try await subject.put(["c"])
            subject.clock.advance(.seconds(30))
            #expect(try await subject.read(try await subject.iterator()).texts == ["c"])
            #expect(try await subject.read(try await subject.iterator(.atSequenceNumber(old[0]))).texts == ["c"])
            subject.clock.advance(.seconds(60))
            let batch = try await subject.kinesis.getRecords(iterator: try await subject.iterator(), limit: 10)
            #expect(batch.records.isEmpty)
            #expect(batch.millisBehindLatest == 0)
            // Numbers go on where they were.
            let next = try await subject.put(["d"])[0]
            #expect(try #require(SequenceNumber(next)) > #require(SequenceNumber(old[1])))
        }
    }
}
