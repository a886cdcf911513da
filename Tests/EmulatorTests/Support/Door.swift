import AWSWire
import CurlTransport
import Emulator
import Machine
import Synchronization
import Testing

/// The two ways to the emulator; what a handler does must not depend on which one was taken.
enum Door: String, CaseIterable, CustomTestStringConvertible {
    case inProcess = "in process"
    case http = "over HTTP"

    var testDescription: String { rawValue }
}

/// A clock that tests move. Who sleeps moves it too, so that nothing waits.
final class TestClock: Sendable {
    static let start = UnixTime(milliseconds: 1_900_000_000_250)

    private let elapsed = Mutex<Duration>(.zero)
    private let wallOffset = Mutex<Duration>(.zero)

    var source: TimeSource {
        TimeSource(
            now: { self.now }, wallClock: { self.wall },
            sleep: { until in
                try Task.checkCancellation()
                self.elapsed.withLock { $0 = max($0, until - .zero) }
                await Task.yield()
            })
    }

    var now: Timestamp { Timestamp.zero + elapsed.withLock { $0 } }
    var wall: UnixTime { Self.start + elapsed.withLock { $0 } + wallOffset.withLock { $0 } }

    /// Sets the wall clock forward or back, as a time server does.
    func stepWall(_ duration: Duration) { wallOffset.withLock { $0 += duration } }

    func advance(_ duration: Duration) { elapsed.withLock { $0 += duration } }
}

/// An error of the service as a test compares it.
struct Failure: Hashable, CustomStringConvertible {
    var type: String
    var message: String

    init(_ type: String, _ message: String) {
        self.type = type
        self.message = message
    }

    var description: String { "\(type): \(message)" }
}

/// An emulator behind one of its doors.
struct Subject: Sendable {
    let emulator: Emulator
    let clock: TestClock
    let transport: any Transport
    let endpoint: Endpoint

    func client(
        _ service: AWSService = .kinesis, worker: String = "worker-1", encoding: WireEncoding? = nil
    ) -> AWSClient {
        AWSClient(
            service, region: "us-east-1", endpoint: endpoint, transport: transport,
            credentials: StaticCredentials(accessKeyID: worker, secretAccessKey: "secret"), time: clock.source,
            retry: .once, encoding: encoding, seed: 1)
    }

    var kinesis: KinesisClient { KinesisClient(client()) }

    @discardableResult
    func call(_ operation: String, _ input: AWSValue, worker: String = "worker-1") async throws -> AWSValue {
        try await client(worker: worker).call(operation, input)
    }

    /// What a call fails with; `nil` where it succeeds.
    func failure(_ operation: String, _ input: AWSValue, worker: String = "worker-1") async throws -> Failure? {
        do {
            try await call(operation, input, worker: worker)
            return nil
        } catch let error as AWSError {
            guard case .service(let type, let message, _, _) = error.cause else { throw error }
            return Failure(type, message)
        }
    }

    /// A stream that is ACTIVE.
    func stream(_ name: String = "words", shards: Int = 1) async throws {
        try await kinesis.createStream(name, shards: shards)
        clock.advance(emulator.configuration.streamStatusDelay)
    }

    func iterator(
        _ position: ShardPosition = .trimHorizon, shard: Int = 0, stream: String = "words"
    ) async throws -> String {
        try await kinesis.shardIterator(stream: stream, shard: shardID(shard), at: position)
    }

    /// Puts texts under the explicit hash key; returns their sequence numbers.
    @discardableResult
    func put(_ texts: [String], hashKey: UInt128 = 0, stream: String = "words") async throws -> [String] {
        let records = texts.map { PutRecord(data: Bytes($0), partitionKey: "key-\($0)", explicitHashKey: hashKey) }
        return try await kinesis.putRecords(stream: stream, records).compactMap {
            if case .stored(_, let number) = $0 { number } else { nil }
        }
    }

    /// The texts of all records of a shard from `iterator` on, and how the reading ended.
    func read(_ iterator: String, limit: Int = 10_000) async throws -> (texts: [String], last: RecordBatch) {
        var texts: [String] = []
        var batch = try await kinesis.getRecords(iterator: iterator, limit: limit)
        while true {
            texts += batch.records.map(\.data.text)
            guard !batch.records.isEmpty, let next = batch.nextShardIterator else { return (texts, batch) }
            batch = try await kinesis.getRecords(iterator: next, limit: limit)
        }
    }
}

func shardID(_ index: Int) -> String {
    let digits = String(index)
    return "shardId-" + String(repeating: "0", count: 12 - digits.count) + digits
}

/// Runs `body` against a new emulator through `door`.
func through(
    _ door: Door, _ configuration: EmulatorConfiguration = .immediate, faults: FaultPlan = FaultPlan(),
    body: (Subject) async throws -> Void
) async throws {
    let clock = TestClock()
    let emulator = Emulator(configuration: configuration, time: clock.source, seed: 1, faults: faults)
    switch door {
    case .inProcess:
        try await body(
            Subject(
                emulator: emulator, clock: clock, transport: EmulatorTransport(emulator: emulator),
                endpoint: Endpoint(scheme: "http", host: "emulator")))
    case .http:
        try await serving(emulator) { server in
            let curl = CurlTransport()
            defer { curl.close() }
            try await body(Subject(emulator: emulator, clock: clock, transport: curl, endpoint: server.endpoint))
        }
    }
}

/// Runs `body` while the emulator is served on a free port.
func serving(
    _ emulator: Emulator, limits: EmulatorServer.Limits = EmulatorServer.Limits(), allowsRemote: Bool = false,
    certificate: ServerCertificate? = nil, capture: (@Sendable (CapturedExchange) -> Void)? = nil,
    answering: EmulatorServer.Answering? = nil, body: (EmulatorServer) async throws -> Void
) async throws {
    let server = try await EmulatorServer.bind(
        emulator: emulator, allowsRemote: allowsRemote, certificate: certificate, limits: limits, capture: capture,
        answering: answering)
    async let served: Void = server.run()
    do {
        try await body(server)
        server.shutdown()
        await served
    } catch {
        server.shutdown()
        await served
        throw error
    }
}
