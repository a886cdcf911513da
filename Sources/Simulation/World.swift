import AWSWire
import Emulator
import Fleet
import KinesisConsumer
import Leases
import Machine
import Synchronization

/// What all nodes share: the services, the network between, the referee.
struct World: Sendable {
    static let streamName = "orders"
    static let applicationName = "simulated"
    static let region = "us-east-1"

    /// The ids of the first `count` shards of the stream.
    static func shards(_ count: Int) -> [String] {
        (0..<count).map { "shardId-" + String(String(1_000_000_000_000 + $0).dropFirst()) }
    }

    let seed: UInt64
    let options: SimulationOptions
    let failoverTime: Duration
    let simulator: Simulator
    /// The node of the network, the producer and the director: its clock is true and it never stops.
    let earth: SimulatedNode
    let network: Network
    let emulator: Emulator
    let referee: Referee
    /// What is written down for `shardtop replay`, where somebody wants it.
    let observer: Observer?

    func record(_ event: WorkerEvent) { observer?.post(event) }

    static func kinesis(_ transport: any Transport, _ time: TimeSource, seed: UInt64) -> KinesisClient {
        KinesisClient(client(.kinesis, transport, time, seed: seed))
    }

    static func dynamoDB(_ transport: any Transport, _ time: TimeSource, seed: UInt64) -> DynamoDBClient {
        DynamoDBClient(client(.dynamodb, transport, time, seed: seed))
    }

    private static func client(
        _ service: AWSService, _ transport: any Transport, _ time: TimeSource, seed: UInt64
    ) -> AWSClient {
        AWSClient(
            service, region: region, endpoint: Endpoint(scheme: "http", host: "simulated"),
            transport: transport,
            credentials: StaticCredentials(accessKeyID: "simulated", secretAccessKey: "simulated"), time: time,
            seed: seed)
    }

    /// A client without any faults, for the producer and the director.
    var trueKinesis: KinesisClient {
        Self.kinesis(EmulatorDoor(emulator: emulator), simulator.time, seed: seed)
    }
}

/// The emulator without network, faults or scheduling points: an answer is there in the same step.
struct EmulatorDoor: Transport {
    let emulator: Emulator

    func send(_ request: Request) async throws(TransportError) -> Response {
        do { return try await emulator.handle(request, requiresSignature: false) } catch {
            throw TransportError(.closed, "the connection was closed", requestWasSent: true)
        }
    }

    func open(_ request: Request) async throws(TransportError) -> any ResponseStream {
        do { return try await emulator.answer(request, requiresSignature: false).opened } catch {
            throw TransportError(.closed, "the connection was closed", requestWasSent: true)
        }
    }
}

/// Reads always see the last write. A stale read is a choice of the seed, and whoever only watches must not use any up.
struct ConsistentDoor: Transport {
    let emulator: Emulator

    func send(_ request: Request) async throws(TransportError) -> Response {
        var request = request
        if request.operation == "Scan", var input = try? JSON.decode(Bytes(request.body)) {
            input["ConsistentRead"] = true
            request.body = JSON.encode(input)
        }
        return try await EmulatorDoor(emulator: emulator).send(request)
    }

    func open(_ request: Request) async throws(TransportError) -> any ResponseStream {
        try await EmulatorDoor(emulator: emulator).open(request)
    }
}

/// Puts numbered records with known keys, KPL aggregates among them.
final class Producer: Sendable {
    private struct State {
        var generator: SeededGenerator
        var number = 0
        var isStopped = false
        var hasEnded = false
    }

    private let world: World
    private let state: Mutex<State>

    init(world: World, generator: SeededGenerator) {
        self.world = world
        state = Mutex(State(generator: generator))
    }

    func stop() { state.withLock { $0.isStopped = true } }
    /// Nothing more will be put.
    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    func run() async throws {
        let kinesis = world.trueKinesis
        while !state.withLock({ $0.isStopped }) {
            let (pause, batch) = state.withLock { Self.nextBatch(&$0) }
            try await world.simulator.time.sleep(for: pause)
            let outcomes = try? await kinesis.putRecords(stream: World.streamName, batch.map(\.record))
            for (put, outcome) in zip(batch, outcomes ?? []) {
                guard case .stored(let shard, let number) = outcome, let number = SequenceNumber(number) else {
                    continue
                }
                world.referee.stored(shard, number, count: put.count, payload: put.number)
            }
        }
        state.withLock { $0.hasEnded = true }
    }

    private struct Put: Sendable {
        var record: PutRecord
        var number: Int
        var count: Int
    }

    private static func nextBatch(_ state: inout State) -> (pause: Duration, batch: [Put]) {
        let pause = Duration.milliseconds(Int.random(in: 100...900, using: &state.generator))
        var batch: [Put] = []
        for _ in 0..<Int.random(in: 1...12, using: &state.generator) {
            let key = "key \(Int.random(in: 0..<500, using: &state.generator))"
            // One key for the whole aggregate: its records always lie in one shard.
            let count = state.generator.chance(0.25) ? Int.random(in: 2...6, using: &state.generator) : 1
            var aggregator = KPLAggregator()
            for sub in 0..<count {
                _ = aggregator.add(Bytes("record \(state.number + sub)"), partitionKey: key)
            }
            if let record = aggregator.flush() {
                batch.append(Put(record: record, number: state.number, count: count))
            }
            state.number += count
        }
        return (pause, batch)
    }
}
