import AWSWire
import Emulator
import Machine
import Testing

@Suite("Fan-out consumers") struct KinesisConsumerTests {
    @Test("A consumer is CREATING, then ACTIVE, then DELETING, then gone", arguments: Door.allCases)
    func life(door: Door) async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.streamStatusDelay = .seconds(2)
        try await through(door, configuration) { (subject) async throws in
            try await subject.stream()
            let registered = try await subject.call(
                "RegisterStreamConsumer", ["StreamARN": .string(Subject.arn()), "ConsumerName": "readers"])
            let consumer = try #require(registered["Consumer"])
            #expect(consumer["ConsumerStatus"]?.string == "CREATING")
            let seconds = subject.clock.wall.milliseconds / 1000
            let arn = "\(Subject.arn())/consumer/readers:\(seconds)"
            #expect(consumer["ConsumerARN"]?.string == arn)
            #expect(
                try await subject.failure(
                    "RegisterStreamConsumer", ["StreamARN": .string(Subject.arn()), "ConsumerName": "readers"])?.type
                    == "ResourceInUseException")
            func status(_ input: AWSValue) async throws -> String? {
                let answer = try await subject.call("DescribeStreamConsumer", input)
                #expect(answer["ConsumerDescription"]?["StreamARN"]?.string == Subject.arn())
                return answer["ConsumerDescription"]?["ConsumerStatus"]?.string
            }
            let byName: AWSValue = ["StreamARN": .string(Subject.arn()), "ConsumerName": "readers"]
            #expect(try await status(byName) == "CREATING")
            subject.clock.advance(.seconds(2))
            #expect(try await status(byName) == "ACTIVE")
            #expect(try await status(["ConsumerARN": .string(arn)]) == "ACTIVE")
            let summary = try await subject.call("DescribeStreamSummary", ["StreamName": "words"])
            #expect(summary["StreamDescriptionSummary"]?["ConsumerCount"]?.int == 1)
            try await subject.call("DeregisterStreamConsumer", ["ConsumerARN": .string(arn)])
            #expect(try await status(byName) == "DELETING")
            subject.clock.advance(.seconds(2))
            #expect(
                try await subject.failure("DescribeStreamConsumer", ["ConsumerARN": .string(arn)])
                    == Failure("ResourceNotFoundException", "Consumer \(arn), account 123456789012 not found."))
            #expect(try await subject.call("ListStreamConsumers", byStream)["Consumers"]?.list == [])
        }
    }

    private let byStream: AWSValue = ["StreamARN": .string(Subject.arn())]

    @Test("A stream has twenty consumers, of which five are created at a time; they are listed in pages")
    func limits() async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.streamStatusDelay = .seconds(1)
        try await through(.inProcess, configuration) { (subject) async throws in
            try await subject.stream()
            func register(_ number: Int) async throws -> Failure? {
                try await subject.failure(
                    "RegisterStreamConsumer",
                    ["StreamARN": .string(Subject.arn()), "ConsumerName": .string("reader-\(10 + number)")])
            }
            for number in 0..<5 { #expect(try await register(number) == nil) }
            #expect(try await register(5)?.type == "LimitExceededException")
            for number in 5..<20 {
                if number % 5 == 0 { subject.clock.advance(.seconds(1)) }
                #expect(try await register(number) == nil)
            }
            subject.clock.advance(.seconds(1))
            #expect(try await register(20)?.message.contains("Limit: 20") == true)
            var input = byStream
            input["MaxResults"] = 15
            let first = try await subject.call("ListStreamConsumers", input)
            #expect(first["Consumers"]?.list?.count == 15)
            input["NextToken"] = first["NextToken"]
            let second = try await subject.call("ListStreamConsumers", input)
            #expect(second["Consumers"]?.list?.compactMap { $0["ConsumerName"]?.string }.last == "reader-29")
            #expect(second["Consumers"]?.list?.count == 5)
            #expect(second["NextToken"] == nil)
            input["NextToken"] = "made up"
            #expect(try await subject.failure("ListStreamConsumers", input)?.type == "InvalidArgumentException")
        }
    }

    @Test("A consumer is named by its ARN, by its stream and name, or by both if they agree")
    func references() async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.stream()
            let arn = try await subject.consumer()
            func failure(_ input: AWSValue) async throws -> String? {
                try await subject.failure("DescribeStreamConsumer", input)?.type
            }
            let stream: AWSValue = .string(Subject.arn())
            #expect(
                try await failure(["ConsumerARN": .string(arn), "StreamARN": stream, "ConsumerName": "readers"]) == nil)
            #expect(
                try await failure(["ConsumerARN": .string(arn), "ConsumerName": "x"]) == "InvalidArgumentException")
            #expect(
                try await failure(["ConsumerARN": .string(arn), "StreamARN": .string(Subject.arn("x"))])
                    == "InvalidArgumentException")
            #expect(try await failure(["StreamARN": stream]) == "InvalidArgumentException")
            #expect(try await failure([:]) == "InvalidArgumentException")
            #expect(
                try await failure(["StreamARN": stream, "ConsumerName": "x"]) == "ResourceNotFoundException")
            #expect(try await failure(["ConsumerARN": .string(arn + "1")]) == "ResourceNotFoundException")
            #expect(try await failure(["ConsumerARN": "readers"]) == "ValidationException")
        }
    }

    @Test("A stream that has consumers is deleted only when the caller says so")
    func enforcedDeletion() async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.stream()
            _ = try await subject.consumer()
            #expect(
                try await subject.failure("DeleteStream", ["StreamName": "words"])?.type == "ResourceInUseException")
            try await subject.call("DeleteStream", ["StreamName": "words", "EnforceConsumerDeletion": true])
            #expect(
                try await subject.failure("ListStreamConsumers", byStream)?.type == "ResourceNotFoundException")
        }
    }
}
