import AWSWire
import Emulator
import Machine
import Testing

@Suite("Streams") struct KinesisStreamTests {
    @Test("A stream is CREATING, then ACTIVE with shards that share the hash key space", arguments: Door.allCases)
    func create(door: Door) async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.streamStatusDelay = .seconds(2)
        try await through(door, configuration) { (subject) async throws in
            try await subject.kinesis.createStream("words", shards: 3)
            #expect(try await subject.kinesis.describeStreamSummary("words").status == "CREATING")
            #expect(
                try await subject.failure("ListShards", ["StreamName": "words"])
                    == Failure(
                        "ResourceInUseException",
                        "Stream words under account 123456789012 not ACTIVE, instead in state CREATING"))
            subject.clock.advance(.seconds(2))
            let summary = try await subject.kinesis.describeStreamSummary("words")
            #expect(summary.status == "ACTIVE")
            #expect(summary.openShards == 3)
            #expect(summary.arn == "arn:aws:kinesis:us-east-1:123456789012:stream/words")
            #expect(summary.created == TestClock.start)
            let shards = try await subject.kinesis.listShards(stream: "words")
            #expect(shards.map(\.shardID) == [shardID(0), shardID(1), shardID(2)])
            #expect(shards[0].hashKeyRange.start == 0)
            #expect(shards[1].hashKeyRange.start == UInt128("113427455640312821154458202477256070485"))
            #expect(shards[2].hashKeyRange.end == .max)
            #expect(shards.allSatisfy { $0.startingSequenceNumber.count == 56 && $0.isOpen })
        }
    }

    @Test("A name is taken once, and free again after the stream was deleted", arguments: Door.allCases)
    func delete(door: Door) async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.streamStatusDelay = .seconds(1)
        try await through(door, configuration) { (subject) async throws in
            try await subject.stream()
            #expect(
                try await subject.failure("CreateStream", ["StreamName": "words", "ShardCount": 1])
                    == Failure(
                        "ResourceInUseException", "Stream words under account 123456789012 already exists."))
            let iterator = try await subject.iterator()
            try await subject.kinesis.deleteStream("words")
            #expect(try await subject.kinesis.describeStreamSummary("words").status == "DELETING")
            #expect(
                try await subject.failure(
                    "PutRecord", ["StreamName": "words", "Data": "YQ==", "PartitionKey": "a"])
                    == Failure(
                        "ResourceNotFoundException", "Stream words under account 123456789012 not found."))
            subject.clock.advance(.seconds(1))
            #expect(
                try await subject.failure("GetRecords", ["ShardIterator": .string(iterator)])
                    == Failure(
                        "ResourceNotFoundException",
                        "Shard shardId-000000000000 in stream words under account 123456789012 does not exist"))
            #expect(try await subject.kinesis.listStreams().isEmpty)
            try await subject.stream()
            // The old stream's iterator is not good for the new one.
            #expect(
                try await subject.failure("GetRecords", ["ShardIterator": .string(iterator)])?.type
                    == "ResourceNotFoundException")
        }
    }

    @Test("Streams are listed in pages by name", arguments: Door.allCases)
    func listStreams(door: Door) async throws {
        try await through(door) { (subject) async throws in
            for name in ["c", "a", "b"] { try await subject.stream(name) }
            let first = try await subject.call("ListStreams", ["Limit": 2])
            #expect(first["StreamNames"]?.strings == ["a", "b"])
            #expect(first["HasMoreStreams"]?.bool == true)
            let token = try #require(first["NextToken"]?.string)
            let second = try await subject.call("ListStreams", ["NextToken": .string(token)])
            #expect(second["StreamNames"]?.strings == ["c"])
            #expect(second["HasMoreStreams"]?.bool == false)
            let after = try await subject.call("ListStreams", ["ExclusiveStartStreamName": "b"])
            #expect(after["StreamSummaries"]?.list?.first?["StreamARN"]?.string?.hasSuffix(":stream/c") == true)
        }
    }

    @Test("DescribeStream pages through the shards", arguments: Door.allCases)
    func describe(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream(shards: 3)
            let first = try await subject.call("DescribeStream", ["StreamName": "words", "Limit": 2])
            #expect(first["StreamDescription"]?["Shards"]?.list?.count == 2)
            #expect(first["StreamDescription"]?["HasMoreShards"]?.bool == true)
            let second = try await subject.call(
                "DescribeStream", ["StreamName": "words", "ExclusiveStartShardId": .string(shardID(1))])
            #expect(second["StreamDescription"]?["Shards"]?.list?.first?["ShardId"]?.string == shardID(2))
            #expect(second["StreamDescription"]?["HasMoreShards"]?.bool == false)
        }
    }

    @Test("A stream may be named by its ARN, which must be of this account and region", arguments: Door.allCases)
    func arn(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/words"
            let shards = try await subject.call("ListShards", ["StreamARN": .string(arn)])
            #expect(shards["Shards"]?.list?.count == 1)
            #expect(
                try await subject.failure(
                    "ListShards", ["StreamARN": "arn:aws:kinesis:us-east-1:999999999999:stream/words"])
                    == Failure("ResourceNotFoundException", "Stream words under account 999999999999 not found."))
            #expect(
                try await subject.failure("DescribeStream", ["StreamARN": "words"])
                    == Failure(
                        "ValidationException",
                        "1 validation error detected: Value 'words' at 'streamARN' failed to satisfy constraint: "
                            + "Member must satisfy regular expression pattern: "
                            + #"arn:aws.*:kinesis:.*:\d{12}:stream/\S+"#))
        }
    }

    @Test("Requests are validated in the service's words", arguments: Door.allCases)
    func validation(door: Door) async throws {
        try await through(door) { (subject) async throws in
            #expect(
                try await subject.failure("CreateStream", ["StreamName": "a b", "ShardCount": 0])
                    == Failure(
                        "ValidationException",
                        "2 validation errors detected: Value 'a b' at 'streamName' failed to satisfy constraint: "
                            + "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '0' at "
                            + "'shardCount' failed to satisfy constraint: Member must have value greater than or "
                            + "equal to 1"))
            #expect(
                try await subject.failure("SplitShard", ["StreamName": "", "ShardToSplit": "x"])
                    == Failure(
                        "ValidationException",
                        "3 validation errors detected: Value null at 'newStartingHashKey' failed to satisfy "
                            + "constraint: Member must not be null; Value '' at 'streamName' failed to satisfy "
                            + "constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; "
                            + "Value '' at 'streamName' failed to satisfy constraint: Member must have length "
                            + "greater than or equal to 1"))
            #expect(
                try await subject.failure("DescribeStream", ["StreamName": 7])
                    == Failure(
                        "SerializationException",
                        "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an "
                            + "String"))
            #expect(try await subject.failure("Nonsense", [:])?.type == "UnknownOperationException")
            #expect(
                try await subject.failure("DescribeStreamSummary", ["StreamName": "none"])
                    == Failure("ResourceNotFoundException", "Stream none under account 123456789012 not found."))
        }
    }

    @Test("The retention is changed within the service's bounds", arguments: Door.allCases)
    func retention(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            func change(_ operation: String, _ hours: Int64) async throws -> String? {
                try await subject.failure(
                    "\(operation)StreamRetentionPeriod",
                    ["StreamName": "words", "RetentionPeriodHours": .int(hours)])?.message
            }
            #expect(try await change("Increase", 48) == nil)
            #expect(try await subject.kinesis.describeStreamSummary("words").retentionHours == 48)
            #expect(
                try await change("Increase", 24)
                    == "Requested retention period (24 hours) for stream words can not be shorter than existing "
                    + "retention period (48 hours). Use DecreaseRetentionPeriod API.")
            #expect(try await change("Decrease", 24) == nil)
            #expect(
                try await change("Decrease", 23)
                    == "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too "
                    + "short.")
            #expect(
                try await change("Increase", 9000)
                    == "Maximum allowed retention period is 8760 hours. Requested retention period (9000 hours) is "
                    + "too long.")
        }
    }

    @Test("An account has no more shards than its limit")
    func shardLimit() async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.shardsMax = 4
        try await through(.inProcess, configuration) { (subject) async throws in
            try await subject.stream(shards: 3)
            let failure = try await subject.failure("CreateStream", ["StreamName": "more", "ShardCount": 2])
            #expect(failure?.type == "LimitExceededException")
            #expect(failure?.message.contains("Current shard count for the account: 3. Limit: 4.") == true)
            try await subject.stream("fits", shards: 1)
            #expect(
                try await subject.failure(
                    "SplitShard",
                    [
                        "StreamName": "fits", "ShardToSplit": .string(shardID(0)), "NewStartingHashKey": "1000",
                    ])?.type == "LimitExceededException")
        }
    }
}
