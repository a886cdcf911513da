import AWSWire
import Emulator
import Machine
import Synchronization
import Testing

/// A fan-out subscription as a test reads it.
final class TestSubscription {
    let stream: any ResponseStream
    private var decoder = EventStreamDecoder()
    private var waiting: [EventMessage] = []

    init(_ stream: any ResponseStream) { self.stream = stream }

    /// The next message; `nil` at the end.
    func message() async throws -> EventMessage? {
        while waiting.isEmpty {
            guard let piece = try await stream.next() else { return nil }
            waiting = try decoder.append(piece)
        }
        return waiting.removeFirst()
    }

    /// The payload of the next message, which must be an event of records.
    func event() async throws -> AWSValue {
        let message = try #require(try await message())
        #expect(message.headers[":message-type"] == "event")
        #expect(message.headers[":event-type"] == "SubscribeToShardEvent")
        return try JSON.decode(message.payload)
    }

    /// The error in the next message.
    func failure() async throws -> Failure {
        let message = try #require(try await message())
        #expect(message.headers[":message-type"] == "exception")
        let payload = try JSON.decode(message.payload)
        return Failure(message.headers[":exception-type"] ?? "", payload["message"]?.string ?? "")
    }
}

extension AWSValue {
    /// The data of an event's records, as texts.
    var texts: [String] { (self["Records"]?.list ?? []).compactMap { $0["Data"]?.blob?.text } }
}

extension Subject {
    /// Registers a consumer that is ACTIVE, and returns its ARN.
    func consumer(_ name: String = "readers", stream: String = "words") async throws -> String {
        let answer = try await call(
            "RegisterStreamConsumer",
            ["StreamARN": .string(Self.arn(stream)), "ConsumerName": .string(name)])
        clock.advance(emulator.configuration.streamStatusDelay)
        return try #require(answer["Consumer"]?["ConsumerARN"]?.string)
    }

    static func arn(_ stream: String = "words") -> String {
        "arn:aws:kinesis:us-east-1:123456789012:stream/\(stream)"
    }

    func open(_ consumer: String, shard: Int = 0, at position: AWSValue) async throws -> any ResponseStream {
        let input: AWSValue = [
            "ConsumerARN": .string(consumer), "ShardId": .string(shardID(shard)), "StartingPosition": position,
        ]
        return try await transport.open(
            Request(
                url: endpoint,
                headers: [
                    Header("X-Amz-Target", "Kinesis_20131202.SubscribeToShard"),
                    Header("Content-Type", "application/x-amz-json-1.1"),
                    Header("Authorization", "AWS4-HMAC-SHA256 Credential=worker-1/d/r/kinesis/aws4_request"),
                ], body: JSON.encode(input)))
    }

    /// Subscribes, and reads the message with which the service begins.
    func subscribe(
        _ consumer: String, shard: Int = 0, at position: AWSValue = ["Type": "TRIM_HORIZON"]
    ) async throws -> TestSubscription {
        let stream = try await open(consumer, shard: shard, at: position)
        #expect(stream.status == 200)
        #expect(stream.headers["content-type"] == "application/vnd.amazon.eventstream")
        let subscription = TestSubscription(stream)
        let first = try #require(try await subscription.message())
        #expect(first.headers[":event-type"] == "initial-response")
        #expect(first.payload.text == "{}")
        return subscription
    }

    /// How the service refuses a subscription.
    func refusal(
        _ consumer: String, shard: Int = 0, at position: AWSValue = ["Type": "TRIM_HORIZON"]
    ) async throws -> Failure {
        let stream = try await open(consumer, shard: shard, at: position)
        #expect(stream.status == 400)
        let body = try JSON.decode(try #require(try await stream.next()))
        return Failure(body["__type"]?.string ?? "", body["message"]?.string ?? "")
    }
}

/// A clock on which sleepers wait until a test moves it.
final class HandClock: Sendable {
    private struct State {
        var now = Timestamp.zero
        var sleepers: [Int: (until: Timestamp, continuation: CheckedContinuation<Void, any Error>)] = [:]
        var lastID = 0
        var cancelled: Set<Int> = []
    }

    private let state = Mutex(State())

    var source: TimeSource {
        TimeSource(
            now: { self.state.withLock(\.now) }, wallClock: { TestClock.start + (self.state.withLock(\.now) - .zero) },
            sleep: { try await self.sleep($0) })
    }

    /// How many sleep now.
    var sleeping: Int { state.withLock { $0.sleepers.count } }

    func advance(_ duration: Duration) {
        let due = state.withLock { state in
            state.now = state.now + duration
            let due = state.sleepers.filter { $0.value.until <= state.now }
            for id in due.keys { state.sleepers[id] = nil }
            return due.values.map(\.continuation)
        }
        for continuation in due { continuation.resume() }
    }

    private func sleep(_ until: Timestamp) async throws {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isAwake = state.withLock { state in
                    if state.cancelled.contains(id) || until <= state.now { return true }
                    state.sleepers[id] = (until, continuation)
                    return false
                }
                if isAwake { continuation.resume() }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                state.cancelled.insert(id)
                return state.sleepers.removeValue(forKey: id)
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }
}
