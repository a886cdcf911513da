import AWSWire
import Machine
import Testing

@testable import Emulator

/// Streams in a state directory.
struct KinesisStorageTests {
    private let clock = TestClock()

    private func emulator(
        _ files: MemoryFiles, _ configuration: EmulatorConfiguration = .immediate
    ) throws -> Emulator {
        let emulator = Emulator(
            configuration: configuration, time: clock.source, seed: 1,
            state: try StateDirectory(files: files) { _ in })
        try emulator.restore()
        return emulator
    }

    private func subject(_ files: MemoryFiles, _ configuration: EmulatorConfiguration = .immediate) throws -> Subject {
        let emulator = try emulator(files, configuration)
        return Subject(
            emulator: emulator, clock: clock, transport: EmulatorTransport(emulator: emulator),
            endpoint: Endpoint(scheme: "http", host: "emulator"))
    }

    /// The same files in the hands of a new process.
    private func restarted(
        _ files: MemoryFiles, _ configuration: EmulatorConfiguration = .immediate
    ) throws -> Subject {
        try subject(MemoryFiles(files.files), configuration)
    }

    private func description(_ subject: Subject) async throws -> [AWSValue] {
        [
            try await subject.call("DescribeStream", ["StreamName": "words"]),
            try await subject.call("DescribeStreamSummary", ["StreamName": "words"]),
            try await subject.call("ListShards", ["StreamName": "words"]),
        ]
    }

    @Test func aStreamComesBackWithItsShardsAndRecords() async throws {
        let files = MemoryFiles()
        let first = try subject(files)
        try await first.stream(shards: 2)
        let numbers = try await first.put(["a", "b", "c"])
        try await first.call(
            "IncreaseStreamRetentionPeriod", ["StreamName": "words", "RetentionPeriodHours": 48])
        try await first.call(
            "SplitShard",
            [
                "StreamName": "words", "ShardToSplit": .string(shardID(1)),
                "NewStartingHashKey": .string(String(UInt128.max / 4 * 3)),
            ])
        try await first.put(["d"], hashKey: .max)
        let second = try restarted(files)
        #expect(try await description(first) == description(second))
        #expect(try await second.read(try await second.iterator()).texts == ["a", "b", "c"])
        #expect(try await second.read(try await second.iterator(shard: 3)).texts == ["d"])
        let later = try await second.put(["e"])
        let last = try #require(SequenceNumber(numbers[2]))
        let next = try #require(SequenceNumber(later[0]))
        #expect(next > last)
        #expect(
            try await second.read(try await second.iterator(.afterSequenceNumber(numbers[1]))).texts == ["c", "e"])
    }

    @Test func aReshardThatWasAcceptedHappensAfterTheRestart() async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.streamStatusDelay = .seconds(10)
        let files = MemoryFiles()
        let first = try subject(files, configuration)
        try await first.stream()
        try await first.put(["a"])
        try await first.call(
            "UpdateShardCount",
            ["StreamName": "words", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"])
        clock.advance(.seconds(4))
        let second = try restarted(files, configuration)
        #expect(try await second.kinesis.describeStreamSummary("words").status == "UPDATING")
        clock.advance(.seconds(7))
        #expect(try await description(first) == description(second))
        #expect(try await second.kinesis.describeStreamSummary("words").status == "ACTIVE")
    }

    @Test func aDeletedStreamsFilesGoAndItsNameIsFree() async throws {
        let files = MemoryFiles()
        let first = try subject(files)
        try await first.stream()
        try await first.put(["old"])
        try await first.call("DeleteStream", ["StreamName": "words"])
        try await first.stream()
        #expect(files.names(of: "records") == [])
        #expect(files.names(of: "stream") == ["stream-2"])
        let second = try restarted(files)
        #expect(try await second.read(try await second.iterator()).texts == [])
    }

    @Test func consumersComeBack() async throws {
        let files = MemoryFiles()
        let first = try subject(files)
        try await first.stream()
        let arn: AWSValue = .string(first.emulator.configuration.arn(ofStream: "words"))
        try await first.call("RegisterStreamConsumer", ["StreamARN": arn, "ConsumerName": "reports"])
        let second = try restarted(files)
        #expect(
            try await first.call("ListStreamConsumers", ["StreamARN": arn])
                == second.call("ListStreamConsumers", ["StreamARN": arn]))
    }

    @Test func whatIsSetForAStreamAndTheAccountComesBack() async throws {
        let files = MemoryFiles()
        let first = try subject(files)
        try await first.stream()
        let arn: AWSValue = .string(first.emulator.configuration.arn(ofStream: "words"))
        for (operation, input) in [
            ("AddTagsToStream", ["StreamName": "words", "Tags": ["team": "orders"]]),
            ("PutResourcePolicy", ["ResourceARN": arn, "Policy": #"{"Statement":[]}"#]),
            ("EnableEnhancedMonitoring", ["StreamName": "words", "ShardLevelMetrics": ["IncomingBytes"]]),
            ("StartStreamEncryption", ["StreamName": "words", "EncryptionType": "KMS", "KeyId": "alias/orders"]),
            ("UpdateMaxRecordSize", ["StreamARN": arn, "MaxRecordSizeInKiB": 2048]),
            ("UpdateStreamMode", ["StreamARN": arn, "StreamModeDetails": ["StreamMode": "ON_DEMAND"]]),
            ("UpdateAccountSettings", ["MinimumThroughputBillingCommitment": ["Status": "ENABLED"]]),
        ] as [(String, AWSValue)] {
            try await first.call(operation, input)
        }
        let second = try restarted(files)
        for (operation, input) in [
            ("DescribeStreamSummary", ["StreamName": "words"]), ("ListTagsForStream", ["StreamName": "words"]),
            ("GetResourcePolicy", ["ResourceARN": arn]), ("DescribeAccountSettings", [:]),
        ] as [(String, AWSValue)] {
            #expect(try await first.call(operation, input) == second.call(operation, input))
        }
        let summary = try await second.call("DescribeStreamSummary", ["StreamName": "words"])
        #expect(summary["StreamDescriptionSummary"]?["EncryptionType"] == "KMS")
        #expect(summary["StreamDescriptionSummary"]?["MaxRecordSizeInKiB"] == 2048)
    }

    @Test func aFullDiskIsAnErrorStoresNothingAndHindersNoReader() async throws {
        let files = MemoryFiles()
        let subject = try subject(files)
        try await subject.stream(shards: 2)
        try await subject.put(["before"])
        for room in [0, 10, 60] {
            files.room = room
            for operation: (String, AWSValue) in [
                ("PutRecord", ["StreamName": "words", "Data": "eA==", "PartitionKey": "k"]),
                ("CreateStream", ["StreamName": "other", "ShardCount": 1]),
                (
                    "PutRecords",
                    [
                        "StreamName": "words",
                        "Records": [
                            ["Data": "eA==", "PartitionKey": "k", "ExplicitHashKey": "0"],
                            ["Data": "eA==", "PartitionKey": "k", "ExplicitHashKey": "0"],
                        ],
                    ]
                ),
            ] {
                let failure = try await subject.failure(operation.0, operation.1)
                #expect(failure?.type == "InternalFailure")
                #expect(failure?.message.contains("No space left on device") == true)
            }
            #expect(try await subject.read(try await subject.iterator()).texts == ["before"])
        }
        files.room = .max
        try await subject.put(["after"])
        let second = try restarted(files)
        #expect(try await second.read(try await second.iterator()).texts == ["before", "after"])
        #expect(try await second.kinesis.listStreams() == ["words"])
    }

    @Test func aFullDiskHindersNoReaderWhereTheStreamChangedByItself() async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.streamStatusDelay = .seconds(1)
        let files = MemoryFiles()
        let subject = try subject(files, configuration)
        try await subject.stream()
        let stream: AWSValue = .string(Subject.arn())
        let policy: AWSValue = #"{"Statement":[]}"#
        let input: AWSValue = ["StreamARN": stream, "ConsumerName": "readers"]
        let consumer = try #require(
            try await subject.call("RegisterStreamConsumer", input)["Consumer"]?["ConsumerARN"]?.string)
        for resource in [stream, .string(consumer)] {
            try await subject.call("PutResourcePolicy", ["ResourceARN": resource, "Policy": policy])
        }
        files.room = 0
        // The consumer becomes ACTIVE, which cannot be kept.
        clock.advance(.seconds(1))
        for resource in [stream, .string(consumer)] {
            #expect(try await subject.call("GetResourcePolicy", ["ResourceARN": resource])["Policy"] == policy)
            #expect(try await subject.call("ListTagsForResource", ["ResourceARN": resource])["Tags"] == [])
        }
        #expect(try await subject.call("ListTagsForStream", ["StreamName": "words"])["Tags"] == [])
        let description = try await subject.call("DescribeStreamConsumer", ["ConsumerARN": .string(consumer)])
        #expect(description["ConsumerDescription"]?["ConsumerStatus"] == "ACTIVE")
        #expect(try await subject.call("ListStreamConsumers", ["StreamARN": stream])["Consumers"]?.list?.count == 1)
        #expect(try await subject.subscribe(consumer).event().texts == [])
    }

    @Test func whatAFullDiskDoesNotTakeHasNotHappened() async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.streamStatusDelay = .seconds(1)
        let files = MemoryFiles()
        let subject = try subject(files, configuration)
        try await subject.stream()
        let before = try await description(subject)
        let arn: AWSValue = .string(Subject.arn())
        for room in [0, 100] {
            files.room = room
            for (operation, input) in [
                ("AddTagsToStream", ["StreamName": "words", "Tags": ["team": "orders"]]),
                ("IncreaseStreamRetentionPeriod", ["StreamName": "words", "RetentionPeriodHours": 48]),
                ("UpdateShardCount", ["StreamName": "words", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"]),
                ("RegisterStreamConsumer", ["StreamARN": arn, "ConsumerName": "reports"]),
                ("DeleteStream", ["StreamName": "words"]),
            ] as [(String, AWSValue)] {
                #expect(try await subject.failure(operation, input)?.type == "InternalFailure", "\(operation)")
                clock.advance(.seconds(1))
                #expect(try await description(subject) == before, "\(operation)")
            }
            #expect(try await subject.call("ListTagsForStream", ["StreamName": "words"])["Tags"] == [])
        }
        files.room = .max
        try await subject.put(["after"])
        let second = try restarted(files, configuration)
        #expect(try await description(second) == before)
        #expect(try await second.read(try await second.iterator()).texts == ["after"])
    }

    @Test func recordsThatExpiredWhileNobodyServedThemAreGone() async throws {
        let files = MemoryFiles()
        let first = try subject(files)
        try await first.stream()
        let numbers = try await first.put(["old"])
        clock.advance(.seconds(25 * 3600))
        let left = MemoryFiles(files.files)
        let second = try subject(left)
        #expect(try await second.read(try await second.iterator()).texts == [])
        let later = try await second.put(["new"])
        #expect(try #require(SequenceNumber(later[0])) > #require(SequenceNumber(numbers[0])))
        let third = try restarted(left)
        #expect(try await third.read(try await third.iterator()).texts == ["new"])
    }

    @Test func whatWasFoundOfADeletedStreamIsNotTakenForTheNextOneOfItsName() async throws {
        let subject = try subject(MemoryFiles())
        let service = subject.emulator.kinesis
        try await subject.stream()
        let slot = try service.slot("words")
        try await subject.call("DeleteStream", ["StreamName": "words"])
        try await subject.stream()
        #expect(throws: ServiceError.streamNotFound("words", account: "123456789012")) {
            try service.withStream("words", in: slot) { (stream, _) in stream.name }
        }
        #expect(try service.withStream("words") { (stream, _) in stream.name } == "words")
    }

    /// A property that is new must be kept, or be named here for one that need not be.
    @Test func nothingAStreamHasIsForgotten() {
        func names(_ value: Any) -> [String] { Mirror(reflecting: value).children.compactMap(\.label) }
        let moment = Moment(now: clock.now, wall: clock.wall)
        let stream = KinesisStream(
            name: "words", shards: 1, isOnDemand: false, recordBytesMax: 1, configuration: .immediate, at: moment)
        let kept: Set = [
            "name", "created", "isOnDemand", "warmThroughput", "recordBytesMax", "retention", "resource", "encryption",
            "monitoring", "status", "statusUntil", "update", "initialShards", "nextIndex", "scalings", "modeChanges",
            "shards", "consumers",
        ]
        let derived: Set = [
            "arn", "account", "id", "routes", "consumersSettleAt", "lastSubscriptionID", "nextSweep", "journal",
        ]
        #expect(Set(names(stream)).subtracting(derived) == kept)
        let shard = KinesisShard(index: 0, range: .whole, openedAt: moment.wall)
        let keptOfShard: Set = [
            "index", "range", "parent", "adjacentParent", "openedAt", "createdSeconds", "closedAt", "children", "log",
        ]
        #expect(Set(names(shard)).subtracting(["id", "limits", "subscribers"]) == keptOfShard)
        let consumer = StreamConsumer(
            name: "c", ofStream: "arn", resource: ResourceState(), created: moment.wall, until: moment.now)
        #expect(
            Set(names(consumer)).subtracting(["arn", "subscribed"])
                == ["name", "created", "status", "statusUntil", "resource"])
        #expect(names(ResourceState()) == ["tags", "policy"])
        #expect(names(StreamEncryption()) == ["keyID", "switches"])
        #expect(names(StreamMonitoring()) == ["enabled"])
        #expect(names(AccountSettings()) == ["status", "startedAt", "endedAt", "earliestEnd"])
        let entry = ShardLog.Entry(arrival: 0, offset: 0, dataCount: 0, keyCount: 0, isKeyEscaped: false)
        #expect(names(entry) == ["arrival", "offset", "dataCount", "keyCount", "isKeyEscaped"])
    }

    @Test func readingWritesNothing() async throws {
        let files = MemoryFiles(keepsHistory: true)
        let subject = try subject(files)
        try await subject.stream()
        try await subject.put(["a"])
        _ = try await description(subject)
        let steps = files.history.count
        for _ in 0..<3 {
            _ = try await subject.read(try await subject.iterator())
            _ = try await description(subject)
        }
        #expect(files.history.count == steps)
    }
}
