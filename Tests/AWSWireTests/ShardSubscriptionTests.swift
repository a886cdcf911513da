import Machine
import Synchronization
import Testing

@testable import AWSWire

/// A stream of given pieces, and of what comes after them.
private final class ScriptedStream: ResponseStream {
    let status: Int
    let headers: [Header]
    private let state: Mutex<State>

    struct State: Sendable {
        var pieces: [Bytes]
        var failure: TransportError?
        var isClosed = false
        var pulls = 0
    }

    init(
        _ pieces: [Bytes], failure: TransportError? = nil, status: Int = 200,
        type: String = "application/vnd.amazon.eventstream"
    ) {
        self.status = status
        headers = [Header("Content-Type", type)]
        state = Mutex(State(pieces: pieces.reversed(), failure: failure))
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }
    var pulls: Int { state.withLock { $0.pulls } }

    func next() async throws(TransportError) -> Bytes? {
        let result: Result<Bytes?, TransportError> = state.withLock { state in
            state.pulls += 1
            if let piece = state.pieces.popLast() { return .success(piece) }
            return state.failure.map { .failure($0) } ?? .success(nil)
        }
        return try result.get()
    }

    func close() { state.withLock { $0.isClosed = true } }
}

/// A refusal whose words do not come: its reader waits until it is cancelled, and then for whoever may close it.
private final class WordlessRefusal: ResponseStream {
    let status = 400
    let headers = [Header("Content-Type", "application/x-amz-json-1.1")]
    private let isClosed = Mutex(false)
    let pulled = Mutex(false)

    func next() async throws(TransportError) -> Bytes? {
        pulled.withLock { $0 = true }
        while !Task.isCancelled { await Task.yield() }
        for _ in 0..<200 {
            if isClosed.withLock({ $0 }) { throw TransportError(.closed, "closed", requestWasSent: true) }
            await Task.yield()
        }
        throw TransportError(.cancelled, "cancelled", requestWasSent: true)
    }

    func close() { isClosed.withLock { $0 = true } }
}

/// Answers each request with the next stream.
private final class StreamTransport: Transport {
    private let state: Mutex<(streams: [any ResponseStream], requests: [Request])>

    init(_ streams: any ResponseStream...) { state = Mutex((streams.reversed(), [])) }

    var requests: [Request] { state.withLock { $0.requests } }

    func send(_ request: Request) async throws(TransportError) -> Response {
        throw TransportError(.invalidRequest, "no whole answers here", requestWasSent: false)
    }

    func open(_ request: Request) async throws(TransportError) -> any ResponseStream {
        let stream = state.withLock { state in
            state.requests.append(request)
            return state.streams.popLast()
        }
        guard let stream else { throw TransportError(.cannotConnect, "refused", requestWasSent: false) }
        return stream
    }
}

private let initial = EventMessage.event("initial-response", Bytes("{}")).encoded()

private func frame(_ number: Int, next: String? = "9") -> [UInt8] {
    let continuation = next.map { ",\"ContinuationSequenceNumber\":\"\($0)\"" } ?? ""
    return EventMessage.event(
        "SubscribeToShardEvent",
        Bytes(
            """
            {"Records":[{"SequenceNumber":"\(number)","Data":"YQ==","PartitionKey":"k"}],"MillisBehindLatest":0\
            \(continuation)}
            """)
    ).encoded()
}

private func kinesis(_ transport: any Transport, credentials: (any CredentialProvider)? = nil) -> KinesisClient {
    KinesisClient(
        AWSClientTests.client(
            transport, credentials: credentials ?? StaticCredentials(accessKeyID: "ID", secretAccessKey: "secret"),
            service: .kinesis))
}

private func subscribe(_ transport: StreamTransport) async throws(AWSError) -> ShardSubscription {
    try await kinesis(transport).subscribeToShard(
        consumerARN: "arn:c", shard: "shardId-0", at: .afterSequenceNumber("7"))
}

private func numbers(_ subscription: ShardSubscription) async throws(AWSError) -> [String] {
    var numbers: [String] = []
    while let batch = try await subscription.next() { numbers += batch.records.map(\.sequenceNumber.description) }
    return numbers
}

private func failure(_ body: () async throws -> Void) async -> AWSError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? AWSError
    }
}

@Suite struct ShardSubscriptionTests {
    @Test func `a subscription is asked for in JSON, signed, from the position`() async throws {
        let transport = StreamTransport(ScriptedStream([Bytes(initial)]))
        _ = try await subscribe(transport)
        let request = try #require(transport.requests.first)
        #expect(request.headers["X-Amz-Target"] == "Kinesis_20131202.SubscribeToShard")
        #expect(request.headers["Content-Type"] == "application/x-amz-json-1.1")
        #expect(request.headers["Authorization"] != nil)
        #expect(
            try JSON.decode(Bytes(request.body)) == [
                "ConsumerARN": "arn:c", "ShardId": "shardId-0",
                "StartingPosition": ["Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "7"],
            ])
    }

    @Test(arguments: [1, 2, 7, 100, 10_000])
    func `events come whole, however the stream is cut`(size: Int) async throws {
        let bytes = initial + frame(1) + frame(2) + EventMessage.event("SomethingNew", Bytes("?")).encoded() + frame(3)
        let pieces = stride(from: 0, to: bytes.count, by: size).map { Bytes(bytes, $0..<min($0 + size, bytes.count)) }
        let stream = ScriptedStream(pieces)
        let subscription = try await subscribe(StreamTransport(stream))
        #expect(try await numbers(subscription) == ["1", "2", "3"])
    }

    @Test func `only what is asked for is pulled`() async throws {
        let stream = ScriptedStream([Bytes(initial), Bytes(frame(1)), Bytes(frame(2))])
        let subscription = try await subscribe(StreamTransport(stream))
        #expect(stream.pulls == 0)
        #expect(try await subscription.next()?.continuationSequenceNumber == "9")
        #expect(stream.pulls == 2)
    }

    @Test func `an exception in the stream is the service's error, and closes it`() async throws {
        let cases: [(String, AWSError.Meaning)] = [
            ("ResourceNotFoundException", .notFound), ("ResourceInUseException", .inUse),
            ("LimitExceededException", .throttled), ("KMSThrottlingException", .throttled),
            ("InternalFailureException", .transient), ("InvalidArgumentException", .invalid),
        ]
        for (type, meaning) in cases {
            let exception = EventMessage.exception(type, Bytes("{\"message\":\"why\"}")).encoded()
            let stream = ScriptedStream([Bytes(initial + frame(1) + exception)])
            let subscription = try await subscribe(StreamTransport(stream))
            #expect(try await subscription.next() != nil)
            let error = await failure { _ = try await subscription.next() }
            #expect(error?.meaning == meaning)
            #expect(error?.description == "Kinesis.SubscribeToShard: \(type): why")
            #expect(stream.isClosed)
        }
    }

    @Test func `an error without a model is told, too`() async throws {
        let message = EventMessage(
            headers: [
                Header(":message-type", "error"), Header(":error-code", "InternalFailure"),
                Header(":error-message", "sorry"),
            ], payload: Bytes())
        let subscription = try await subscribe(StreamTransport(ScriptedStream([Bytes(message.encoded())])))
        #expect(await failure { _ = try await subscription.next() }?.meaning == .transient)
    }

    @Test func `a stream that breaks off or is corrupt is no end`() async throws {
        let cut = Array((initial + frame(1)).dropLast(3))
        var corrupt = initial + frame(1)
        corrupt[corrupt.count - 20] ^= 1
        let nonsense = EventMessage.event("SubscribeToShardEvent", Bytes("{\"Records\":5}")).encoded()
        let untyped = EventMessage(headers: [], payload: Bytes()).encoded()
        for bytes in [cut, corrupt, nonsense, untyped] {
            let stream = ScriptedStream([Bytes(bytes)])
            let subscription = try await subscribe(StreamTransport(stream))
            let error = await failure { _ = try await subscription.next() }
            #expect(error?.meaning == .transient)
            #expect(stream.isClosed)
        }
        let lost = TransportError(.closed, "gone", requestWasSent: true)
        let subscription = try await subscribe(StreamTransport(ScriptedStream([Bytes(initial)], failure: lost)))
        #expect(await failure { _ = try await subscription.next() }?.cause == .transport(lost))
    }

    @Test func `a refusal is the service's error, and is not tried again`() async throws {
        let body = "{\"__type\":\"ResourceInUseException\",\"message\":\"another one\"}"
        let stream = ScriptedStream([Bytes(body)], status: 400, type: "application/x-amz-json-1.1")
        let transport = StreamTransport(stream, ScriptedStream([]))
        let error = await failure { _ = try await subscribe(transport) }
        #expect(error?.meaning == .inUse)
        #expect(error?.description == "Kinesis.SubscribeToShard: ResourceInUseException: another one")
        #expect(transport.requests.count == 1)
        #expect(stream.isClosed)
    }

    @Test func `who is cancelled while the words of a refusal are awaited hears that, and of no refusal`() async {
        let refusal = WordlessRefusal()
        let still = TimeSource(
            now: { .zero }, wallClock: { UnixTime(milliseconds: 1_769_860_800_000) },
            sleep: { _ in
                while true {
                    try Task.checkCancellation()
                    await Task.yield()
                }
            })
        let client = AWSClient(
            .kinesis, region: "us-east-1", transport: StreamTransport(refusal),
            credentials: StaticCredentials(accessKeyID: "ID", secretAccessKey: "secret"), time: still, encoding: .json,
            seed: 1)
        let task = Task {
            await failure {
                _ = try await KinesisClient(client).subscribeToShard(
                    consumerARN: "arn:c", shard: "shardId-0", at: .trimHorizon)
            }
        }
        while !refusal.pulled.withLock({ $0 }) { await Task.yield() }
        task.cancel()
        #expect(await task.value?.meaning == .cancelled)
    }

    @Test func `after an error nothing more comes of what came with it`() async throws {
        let lost = TransportError(.closed, "closed", requestWasSent: true)
        let exception = EventMessage.exception("ResourceInUseException", Bytes("{}")).encoded()
        let stream = ScriptedStream([Bytes(initial + exception + frame(1))], failure: lost)
        let subscription = try await subscribe(StreamTransport(stream))
        #expect(await failure { _ = try await subscription.next() }?.meaning == .inUse)
        #expect(await failure { _ = try await subscription.next() }?.cause == .transport(lost))
    }

    @Test func `an answer that is no event stream is malformed`() async throws {
        let stream = ScriptedStream([Bytes("<html>")], type: "text/html")
        let error = await failure { _ = try await subscribe(StreamTransport(stream)) }
        #expect(error?.description.contains("text/html") == true)
        #expect(stream.isClosed)
    }

    @Test func `a clock that is wrong is corrected once`() async throws {
        let body = """
            {"__type":"InvalidSignatureException","message":"Signature expired: 20260131T120000Z is now earlier"}
            """
        let skewed = { ScriptedStream([Bytes(body)], status: 400, type: "application/x-amz-json-1.1") }
        let transport = StreamTransport(skewed(), skewed(), ScriptedStream([]))
        #expect(await failure { _ = try await subscribe(transport) }?.meaning == .clockSkewed)
        #expect(transport.requests.count == 2)
    }
}
