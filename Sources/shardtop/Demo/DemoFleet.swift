import AWSWire
import Emulator
import KinesisConsumer
import Machine
import Synchronization

/// What the demo consists of besides its screen: the emulator, a stream, workers, a producer and the ledger.
///
/// The workers are the ones that run against AWS; only their transport leads into this process.
final class DemoFleet: Sendable {
    struct Options: Sendable {
        var shards = 4
        var workers = 3
        var workload = Workload(rate: 200)
        var seed: UInt64 = 1
        var failoverTime: Duration = .seconds(3)
    }

    static let application = "shardtop-demo"
    static let stream = "orders"

    let options: Options
    let time: TimeSource
    private let startedAt: Timestamp
    let emulator: Emulator
    let ledger = DeliveryLedger()
    let producer: Producer
    let connection: Connection
    /// How long the processors take for a batch: the backlog that a resharding starts with.
    private let slowness = Mutex<[String: Duration]>([:])
    private let roster: Mutex<[FleetWorker]>
    private let listeners = Mutex<[@Sendable (WorkerEvent) -> Void]>([])

    init(_ options: Options, time: TimeSource) {
        self.options = options
        self.time = time
        startedAt = time.now()
        var configuration = EmulatorConfiguration()
        configuration.enforcesScalingLimits = false
        // The first frame waits for both.
        configuration.streamStatusDelay = .milliseconds(5)
        configuration.dynamoDB.tableDelay = .milliseconds(2)
        emulator = Emulator(configuration: configuration, time: time, seed: options.seed)
        connection = Self.connection(emulator, time: time, keyID: "operator", seed: options.seed)
        producer = Producer(
            options.workload, stream: Self.stream,
            kinesis: Self.connection(emulator, time: time, keyID: "producer", seed: options.seed &+ 1).kinesis,
            time: time, ledger: ledger, seed: options.seed &+ 2)
        roster = Mutex([])
    }

    private static func connection(
        _ emulator: Emulator, time: TimeSource, keyID: String, seed: UInt64, gate: PauseGate? = nil
    ) -> Connection {
        let door = EmulatorTransport(emulator: emulator, seed: seed)
        return Connection(
            region: emulator.configuration.region, transport: gate?.gating(door) ?? door,
            credentials: StaticCredentials(accessKeyID: keyID, secretAccessKey: "demo"),
            time: gate?.gating(time) ?? time, seed: seed)
    }

    func onEvent(_ listener: @escaping @Sendable (WorkerEvent) -> Void) {
        listeners.withLock { $0.append(listener) }
    }

    private func publish(_ event: WorkerEvent) {
        for listener in listeners.withLock({ $0 }) { listener(event) }
    }

    /// Creates the stream and starts the workers.
    func start() async throws {
        try await connection.kinesis.createStream(Self.stream, shards: options.shards)
        for _ in 0..<2000 where try await status() != "ACTIVE" { try await time.sleep(for: .milliseconds(2)) }
        // Whoever watches finds the table there, and no worker has a start over the others.
        try await connection.dynamoDB.createTable(Self.application, hashKey: LeaseTable.hashKey)
        for _ in 0..<1000 where await !hasTable() { try await time.sleep(for: .milliseconds(2)) }
        for _ in 0..<options.workers { addWorker().start() }
    }

    func status() async throws -> String {
        try await connection.kinesis.describeStreamSummary(Self.stream).status
    }

    private func hasTable() async -> Bool {
        (try? await connection.dynamoDB.describeTable(Self.application).status) == "ACTIVE"
    }

    // MARK: Workers

    var workers: [FleetWorker] { roster.withLock { $0 } }

    func worker(_ id: String) -> FleetWorker? { workers.first { $0.id == id } }

    /// A new worker with the next free name; not started yet.
    @discardableResult
    func addWorker() -> FleetWorker {
        roster.withLock { roster in
            let number = roster.count + 1
            let id = "worker-\(number)"
            let worker = FleetWorker(id: id) { [self] gate in makeWorker(id, number: number, gate: gate) }
            roster.append(worker)
            return worker
        }
    }

    private func makeWorker(_ id: String, number: Int, gate: PauseGate) -> Worker {
        var generator = SeededGenerator(seed: options.seed &+ UInt64(number) &* 7919)
        var configuration = WorkerConfiguration(
            applicationName: Self.application, streamName: Self.stream, workerID: id, generator: &generator)
        configuration.releaseLeasesOnShutdown = true
        configuration.initialPosition = .trimHorizon
        configuration.failoverTime = options.failoverTime
        // A lease that changes hands is read by both for a moment, and a shard allows five reads a second.
        configuration.idleTimeBetweenReads = .milliseconds(400)
        configuration.parentShardPollInterval = .seconds(1)
        configuration.completedLeaseCleanupInterval = .seconds(60)
        let connection = Self.connection(
            emulator, time: time, keyID: id, seed: options.seed &+ UInt64(number) &* 104_729, gate: gate)
        return Worker(
            configuration, kinesis: connection.kinesis, dynamoDB: connection.dynamoDB, time: connection.time,
            seed: generator.next(), onEvent: { [self] in publish($0) }
        ) { [self] shardID in
            LedgerProcessor(ledger: ledger, time: connection.time, gate: gate) { [self] in
                slowness.withLock { $0[shardID] ?? .zero }
            }
        }
    }

    /// Makes each batch of a shard take `pause`, so that a backlog builds up; `.zero` ends it.
    func slow(_ shardID: String, by pause: Duration) {
        slowness.withLock { $0[shardID] = pause == .zero ? nil : pause }
    }

    func slowNone() { slowness.withLock { $0 = [:] } }

    /// The time by which faults are planned.
    var sinceStart: Duration { time.now() - startedAt }

    /// Stops every worker and waits for the last checkpoints.
    func stop() async {
        for worker in workers { worker.stop() }
        for worker in workers { await worker.ended() }
    }
}

/// Enters what it gets in the ledger and checkpoints after each batch.
private struct LedgerProcessor: RecordProcessor {
    let ledger: DeliveryLedger
    let time: TimeSource
    let gate: PauseGate
    let pause: @Sendable () -> Duration

    func initialize(_ input: InitializationInput) async throws {}

    func processRecords(_ input: ProcessRecordsInput) async throws {
        let pause = pause()
        if pause > .zero { try await time.sleep(for: pause) }
        ledger.delivered(input.records.lazy.map(\.data))
        // Work takes a moment, so that a robbed or paused worker has something that is not checkpointed yet.
        try await time.sleep(for: .milliseconds(20))
        do { try await input.checkpointer.checkpoint() } catch CheckpointError.shutdown {
            // The lease is gone; leaseLost follows.
        }
    }

    func leaseLost() async {}

    func shardEnded(_ checkpointer: Checkpointer) async throws { try await checkpointer.checkpoint() }

    func shutdownRequested(_ checkpointer: Checkpointer) async throws { try await checkpointer.checkpoint() }
}
