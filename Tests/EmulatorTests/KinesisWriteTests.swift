import AWSWire
import Emulator
import Machine
import Testing

@Suite("Writing and limits") struct KinesisWriteTests {
    private static func limited() -> EmulatorConfiguration {
        var configuration = EmulatorConfiguration.immediate
        configuration.enforcesShardLimits = true
        return configuration
    }

    @Test("A partition key goes where its MD5 says, an explicit hash key where it says", arguments: Door.allCases)
    func routing(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream(shards: 4)
            // MD5("a") = 0cc1…, MD5("b") = 92eb…, MD5("e") = e167….
            for (key, shard) in [("a", 0), ("b", 2), ("e", 3)] {
                let answer = try await subject.call(
                    "PutRecord", ["StreamName": "words", "Data": "YQ==", "PartitionKey": .string(key)])
                #expect(answer["ShardId"]?.string == shardID(shard))
            }
            let answer = try await subject.call(
                "PutRecord",
                [
                    "StreamName": "words", "Data": "YQ==", "PartitionKey": "a",
                    "ExplicitHashKey": "170141183460469231731687303715884105727",
                ])
            #expect(answer["ShardId"]?.string == shardID(1))
            #expect(
                try await subject.failure(
                    "PutRecord",
                    [
                        "StreamName": "words", "Data": "YQ==", "PartitionKey": "a",
                        "ExplicitHashKey": "340282366920938463463374607431768211456",
                    ])
                    == Failure(
                        "InvalidArgumentException",
                        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified "
                            + "value was 340282366920938463463374607431768211456"))
        }
    }

    @Test("Sequence numbers and arrivals go on rising when the clock is set back", arguments: Door.allCases)
    func clockSetBack(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            var numbers: [SequenceNumber] = []
            for _ in 0..<4 {
                numbers += try await subject.put(["a", "b"]).compactMap(SequenceNumber.init)
                subject.clock.stepWall(.seconds(-30))
            }
            try await subject.kinesis.splitShard(stream: "words", shard: shardID(0), at: 1000)
            numbers += try await subject.put(["child"]).compactMap(SequenceNumber.init)
            #expect(numbers.count == 9)
            #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 })
            let records = try await subject.kinesis.getRecords(iterator: try await subject.iterator(), limit: 10)
                .records
            #expect(records.map(\.sequenceNumber) == Array(numbers.dropLast()))
            #expect(records.allSatisfy { $0.approximateArrival == TestClock.start })
        }
    }

    @Test("Too much at once is refused whole", arguments: Door.allCases)
    func tooMuch(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            func entry(_ count: Int, key: String = "k") -> AWSValue {
                ["Data": .bytes(Bytes([UInt8](repeating: 1, count: count))), "PartitionKey": .string(key)]
            }
            func put(_ entries: [AWSValue]) async throws -> Failure? {
                try await subject.failure("PutRecords", ["StreamName": "words", "Records": .list(entries)])
            }
            #expect(try await put([])?.message.hasSuffix("length greater than or equal to 1") == true)
            #expect(
                try await put([AWSValue](repeating: entry(1), count: 501))?.message
                    .hasSuffix(
                        "at 'records' failed to satisfy constraint: Member must have length less than or equal to 500")
                    == true)
            #expect(
                try await put([entry(1), entry((1 << 20) + 1)])
                    == Failure(
                        "ValidationException",
                        "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1048577 "
                            + "cap=1048577]' at 'records.2.member.data' failed to satisfy constraint: Member must "
                            + "have length less than or equal to 1048576"))
            #expect(
                try await put([AWSValue](repeating: entry(1 << 20), count: 10))
                    == Failure("InvalidArgumentException", "Records size exceeds 10 MB limit"))
            #expect(try await put([entry(1, key: "")])?.type == "ValidationException")
            #expect(try await put([["Data": "%%%%", "PartitionKey": "k"]])?.type == "SerializationException")
            #expect(try await subject.read(try await subject.iterator()).texts.isEmpty)
        }
    }

    @Test("A shard takes 1000 records a second; the rest of a batch fails record by record", arguments: Door.allCases)
    func recordRate(door: Door) async throws {
        try await through(door, Self.limited()) { (subject) async throws in
            try await subject.stream(shards: 2)
            let hot = (0..<400).map { PutRecord(data: Bytes("\($0)"), partitionKey: "k", explicitHashKey: 0) }
            let cold = PutRecord(data: Bytes("cold"), partitionKey: "k", explicitHashKey: .max)
            for _ in 0..<2 { _ = try await subject.kinesis.putRecords(stream: "words", hot) }
            let outcomes = try await subject.kinesis.putRecords(stream: "words", hot + [cold])
            let refused = PutOutcome.failed(
                code: "ProvisionedThroughputExceededException",
                message: "Rate exceeded for shard shardId-000000000000 in stream words under account 123456789012.")
            #expect(outcomes.count { $0 == refused } == 200)
            #expect(outcomes[200] == refused && outcomes[199] != refused && outcomes[400] != refused)
            #expect(
                try await subject.failure(
                    "PutRecord",
                    ["StreamName": "words", "Data": "YQ==", "PartitionKey": "k", "ExplicitHashKey": "0"])?.type
                    == "ProvisionedThroughputExceededException")
            subject.clock.advance(.seconds(1))
            #expect(try await subject.put(["a"]).count == 1)
            #expect(subject.emulator.counters.byOperation["Kinesis.PutRecords"]?.throttles == 1)
            #expect(subject.emulator.counters.byOperation["Kinesis.PutRecord"]?.throttles == 1)
        }
    }

    @Test("A shard takes 1 MiB a second", arguments: Door.allCases)
    func byteRate(door: Door) async throws {
        try await through(door, Self.limited()) { (subject) async throws in
            try await subject.stream()
            let half = PutRecord(data: Bytes([UInt8](repeating: 1, count: 500 << 10)), partitionKey: "k")
            let outcomes = try await subject.kinesis.putRecords(stream: "words", [half, half, half])
            #expect(outcomes.map { if case .stored = $0 { true } else { false } } == [true, true, false])
        }
    }

    @Test("A shard is read five times a second", arguments: Door.allCases)
    func readRate(door: Door) async throws {
        try await through(door, Self.limited()) { (subject) async throws in
            try await subject.stream()
            let iterator = try await subject.iterator()
            let input: AWSValue = ["ShardIterator": .string(iterator)]
            for _ in 0..<5 { #expect(try await subject.failure("GetRecords", input) == nil) }
            #expect(
                try await subject.failure("GetRecords", input)
                    == Failure(
                        "ProvisionedThroughputExceededException",
                        "Rate exceeded for shard shardId-000000000000 in stream words under account 123456789012."))
            subject.clock.advance(.milliseconds(999))
            #expect(try await subject.failure("GetRecords", input) != nil)
            subject.clock.advance(.milliseconds(1))
            #expect(try await subject.failure("GetRecords", input) == nil)
        }
    }

    @Test("A read of more than 2 MiB is paid for with seconds in which the shard refuses reads")
    func readBytes() async throws {
        try await through(.inProcess, Self.limited()) { (subject) async throws in
            try await subject.stream()
            let data = Bytes([UInt8](repeating: 7, count: (1 << 20) - 1))
            for _ in 0..<4 {
                _ = try await subject.kinesis.putRecords(
                    stream: "words", [PutRecord(data: data, partitionKey: "k")])
                subject.clock.advance(.seconds(1))
            }
            let iterator = try await subject.iterator()
            #expect(try await subject.kinesis.getRecords(iterator: iterator, limit: 10).records.count == 4)
            let input: AWSValue = ["ShardIterator": .string(try await subject.iterator(.latest))]
            subject.clock.advance(.milliseconds(1990))
            #expect(try await subject.failure("GetRecords", input)?.type == "ProvisionedThroughputExceededException")
            subject.clock.advance(.milliseconds(10))
            #expect(try await subject.failure("GetRecords", input) == nil)
        }
    }
}
