import AWSWire
import Emulator
import Machine
import Testing

@Suite("Subscriptions") struct KinesisSubscriptionTests {
    @Test("Records come as they are put, and each event says where to go on")
    func records() async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.stream()
            let numbers = try await subject.put(["a", "b"])
            let arn = try await subject.consumer()
            let subscription = try await subject.subscribe(arn)
            let event = try await subscription.event()
            #expect(event.texts == ["a", "b"])
            #expect(event["Records"]?.list?.compactMap { $0["PartitionKey"]?.string } == ["key-a", "key-b"])
            #expect(event["Records"]?.list?.compactMap { $0["SequenceNumber"]?.string } == numbers)
            #expect(event["ContinuationSequenceNumber"]?.string == numbers[1])
            #expect(event["MillisBehindLatest"]?.int == 0)
            try await subject.put(["c"])
            #expect(try await subscription.event().texts == ["c"])
            subscription.stream.close()
            subject.clock.advance(.seconds(5))
            let resumed = try await subject.subscribe(
                arn, at: ["Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": .string(numbers[1])])
            #expect(try await resumed.event().texts == ["c"])
        }
    }

    @Test("Every kind of starting position starts where it says")
    func positions() async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.stream()
            let numbers = try await subject.put(["a", "b"])
            let arn = try await subject.consumer()
            subject.clock.advance(.seconds(10))
            try await subject.put(["c"])
            func texts(_ position: AWSValue) async throws -> [String] {
                subject.clock.advance(.seconds(5))
                return try await subject.subscribe(arn, at: position).event().texts
            }
            let time = AWSValue.timestamp(TestClock.start + .milliseconds(1))
            #expect(try await texts(["Type": "TRIM_HORIZON"]) == ["a", "b", "c"])
            #expect(try await texts(["Type": "LATEST"]) == [])
            #expect(try await texts(["Type": "AT_TIMESTAMP", "Timestamp": time]) == ["c"])
            #expect(
                try await texts(["Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": .string(numbers[1])]) == ["b", "c"])
            #expect(
                try await texts(["Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": .string(numbers[1])]) == ["c"])
            subject.clock.advance(.seconds(5))
            for position: AWSValue in [
                ["Type": "AT_SEQUENCE_NUMBER"], ["Type": "LATEST", "SequenceNumber": "7"],
                ["Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": "7"], ["Type": "AT_TIMESTAMP"],
            ] {
                #expect(try await subject.refusal(arn, at: position).type == "InvalidArgumentException")
            }
            #expect(try await subject.refusal(arn, at: ["Type": "NOWHERE"]).type == "ValidationException")
            #expect(try await subject.refusal(arn, shard: 9).type == "ResourceNotFoundException")
        }
    }

    @Test("While nothing is put an event comes every four seconds, and after five minutes the stream ends")
    func idle() async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.stream()
            let arn = try await subject.consumer()
            let subscription = try await subject.subscribe(arn, at: ["Type": "LATEST"])
            let start = subject.clock.now
            var times: [Duration] = []
            var last: AWSValue = [:]
            while let message = try await subscription.message() {
                times.append(subject.clock.now - start)
                last = try JSON.decode(message.payload)
                #expect(last.texts.isEmpty)
            }
            #expect(times == (0..<75).map { .seconds(4 * $0) })
            #expect(subject.clock.now - start == .seconds(300))
            #expect(try await subscription.message() == nil)
            // What an idle event says is good for going on.
            try await subject.put(["a"])
            let resumed = try await subject.subscribe(
                arn,
                at: [
                    "Type": "AFTER_SEQUENCE_NUMBER",
                    "SequenceNumber": try #require(last["ContinuationSequenceNumber"]),
                ])
            #expect(try await resumed.event().texts == ["a"])
        }
    }

    @Test("A put wakes whoever waits")
    func wake() async throws {
        let clock = HandClock()
        let emulator = Emulator(configuration: .immediate, time: clock.source, seed: 1)
        let subject = Subject(
            emulator: emulator, clock: TestClock(), transport: EmulatorTransport(emulator: emulator),
            endpoint: Endpoint(scheme: "http", host: "emulator"))
        try await subject.stream()
        let stream = try await subject.open(try await subject.consumer(), at: ["Type": "LATEST"])
        let subscription = TestSubscription(stream)
        _ = try await subscription.message()
        _ = try await subscription.message()
        async let piece: Bytes? = stream.next()
        while clock.sleeping == 0 { await Task.yield() }
        try await subject.put(["a"])
        var decoder = EventStreamDecoder()
        let bytes = try #require(try await piece)
        let event = try #require(try decoder.append(bytes).first)
        #expect(try JSON.decode(event.payload).texts == ["a"])
        // Closing ends the wait, too.
        async let closed: Bytes? = stream.next()
        while clock.sleeping == 0 { await Task.yield() }
        stream.close()
        do {
            _ = try await closed
            Issue.record("a closed subscription has no more")
        } catch {
            #expect((error as? TransportError)?.kind == .closed)
        }
        #expect(clock.sleeping == 0)
    }

    @Test("At the end of the shard come its children, and then the end")
    func shardEnd() async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.streamStatusDelay = .seconds(1)
        try await through(.inProcess, configuration) { (subject) async throws in
            try await subject.stream()
            try await subject.put(["a"])
            let arn = try await subject.consumer()
            let subscription = try await subject.subscribe(arn)
            try await subject.call(
                "SplitShard",
                ["StreamName": "words", "ShardToSplit": .string(shardID(0)), "NewStartingHashKey": "1000"])
            #expect(try await subscription.event().texts == ["a"])
            let event = try await subscription.event()
            #expect(event["ContinuationSequenceNumber"] == nil)
            #expect(event["MillisBehindLatest"]?.int == 0)
            #expect(event["ChildShards"]?.list?.compactMap { $0["ShardId"]?.string } == [shardID(1), shardID(2)])
            #expect(event["ChildShards"]?.list?.first?["ParentShards"]?.strings == [shardID(0)])
            #expect(try await subscription.message() == nil)
            let child = try await subject.subscribe(arn, shard: 1)
            #expect(try await child.event().texts == [])
        }
    }

    @Test("A consumer reads a shard once: five seconds later a second subscription takes over")
    func takeover() async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.stream(shards: 2)
            let arn = try await subject.consumer()
            let first = try await subject.subscribe(arn)
            subject.clock.advance(.milliseconds(4999))
            #expect(try await subject.refusal(arn).type == "ResourceInUseException")
            // Other shards and other consumers are not concerned.
            _ = try await subject.subscribe(arn, shard: 1)
            _ = try await subject.subscribe(try await subject.consumer("others"))
            #expect(try await first.event().texts == [])
            subject.clock.advance(.milliseconds(1))
            let second = try await subject.subscribe(arn)
            #expect(try await first.failure().type == "ResourceInUseException")
            #expect(try await first.message() == nil)
            #expect(try await second.event().texts == [])
        }
    }

    @Test("Who reads hears that the consumer was deregistered or the stream deleted")
    func midStreamErrors() async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.stream()
            let arn = try await subject.consumer()
            let others = try await subject.consumer("others")
            let first = try await subject.subscribe(arn)
            let second = try await subject.subscribe(others)
            #expect(try await first.event().texts == [])
            try await subject.call("DeregisterStreamConsumer", ["ConsumerARN": .string(arn)])
            #expect(
                try await first.failure()
                    == Failure("ResourceNotFoundException", "Consumer \(arn), account 123456789012 not found."))
            #expect(try await first.message() == nil)
            #expect(try await second.event().texts == [])
            try await subject.call("DeleteStream", ["StreamName": "words", "EnforceConsumerDeletion": true])
            #expect(try await second.failure().type == "ResourceNotFoundException")
            #expect(try await second.message() == nil)
            #expect(try await subject.refusal(others).type == "ResourceNotFoundException")
        }
    }

    @Test("A consumer that is being created cannot subscribe")
    func notActive() async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.streamStatusDelay = .seconds(1)
        try await through(.inProcess, configuration) { (subject) async throws in
            try await subject.stream()
            let arn = try await subject.consumer()
            try await subject.call("DeregisterStreamConsumer", ["ConsumerARN": .string(arn)])
            #expect(try await subject.refusal(arn).type == "ResourceInUseException")
            #expect(try await subject.refusal(arn + "0").type == "ResourceNotFoundException")
        }
    }

    @Test("A consumer gets 2 MiB a second of a shard, in events of 1 MiB")
    func pace() async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.enforcesShardLimits = true
        try await through(.inProcess, configuration) { (subject) async throws in
            try await subject.stream()
            for _ in 0..<4 {
                let data = Bytes([UInt8](repeating: 7, count: (1 << 20) - 1))
                _ = try await subject.kinesis.putRecords(
                    stream: "words", [PutRecord(data: data, partitionKey: "k")])
                subject.clock.advance(.seconds(1))
            }
            let subscription = try await subject.subscribe(try await subject.consumer())
            let start = subject.clock.now
            var times: [Duration] = []
            var behind: [Int] = []
            for _ in 0..<4 {
                let event = try await subscription.event()
                #expect(event["Records"]?.list?.count == 1)
                times.append(subject.clock.now - start)
                behind.append(event["MillisBehindLatest"]?.int ?? -1)
            }
            #expect(times == [.zero, .milliseconds(500), .seconds(1), .milliseconds(1500)])
            #expect(behind == [4000, 3500, 3000, 0])
        }
    }

    @Test("The fault plan stands before a subscription, too")
    func faults() async throws {
        var fault = Fault(.throttle)
        fault.operation = "SubscribeToShard"
        fault.count = 1
        try await through(.inProcess, faults: FaultPlan([fault])) { (subject) async throws in
            try await subject.stream()
            let arn = try await subject.consumer()
            #expect(try await subject.refusal(arn).type == "LimitExceededException")
            _ = try await subject.subscribe(arn)
        }
    }
}
