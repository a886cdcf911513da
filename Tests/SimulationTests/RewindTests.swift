import AWSWire
import Emulator
import Fleet
import KinesisConsumer
import Leases
import Machine
import Simulation
import Synchronization
import Testing

private let streamName = "orders"
private let application = "orders-app"
private let shardID = "shardId-000000000000"
private let failoverTime: Duration = .seconds(3)

/// A stream of one shard on the emulator, in virtual time, with what its workers and operators did.
private final class Bench: Sendable {
    let simulator: Simulator
    let emulator: Emulator
    private let seed: UInt64
    /// What each tenure was given, in order.
    let tenures = Mutex<[[Checkpoint]]>([])
    let events = Mutex<[WorkerEvent]>([])
    let audit = Mutex(0)
    /// A sentence for each thing that went wrong.
    let faults = Mutex<[String]>([])
    /// What was put: its number and the time just before.
    let stored = Mutex<[(number: SequenceNumber, time: UnixTime)]>([])

    init(seed: UInt64) {
        self.seed = seed
        simulator = Simulator(seed: seed)
        emulator = Emulator(configuration: .immediate, time: simulator.time, seed: seed)
    }

    func node(_ name: String, _ number: Int) -> SimulatedNode {
        SimulatedNode(name, number: number, simulator: simulator)
    }

    func client(_ service: AWSService, _ time: TimeSource) -> AWSClient {
        AWSClient(
            service, region: "us-east-1", endpoint: Endpoint(scheme: "http", host: "simulated"),
            transport: EmulatorTransport(
                emulator: emulator, latency: .milliseconds(1) ... .milliseconds(30), seed: seed),
            credentials: StaticCredentials(accessKeyID: "k", secretAccessKey: "s"), time: time, seed: seed)
    }

    /// Puts aggregates of three records each, one after another.
    func put(_ count: Int, on node: SimulatedNode) async throws {
        let kinesis = KinesisClient(client(.kinesis, node.time))
        for number in 0..<count {
            var aggregator = KPLAggregator()
            for part in 0..<3 { _ = aggregator.add(Bytes("record \(number).\(part)"), partitionKey: "key") }
            guard let record = aggregator.flush() else { continue }
            let time = node.time.wallClock()
            for case .stored(_, let number) in try await kinesis.putRecords(stream: streamName, [record]) {
                if let number = SequenceNumber(number) { stored.withLock { $0.append((number, time)) } }
            }
            try await node.time.sleep(for: .milliseconds(250))
        }
    }

    func worker(_ id: String, on node: SimulatedNode) -> Worker {
        var generator = SeededGenerator(seed: seed)
        var configuration = WorkerConfiguration(
            applicationName: application, streamName: streamName, workerID: id, generator: &generator)
        configuration.initialPosition = .trimHorizon
        configuration.failoverTime = failoverTime
        configuration.idleTimeBetweenReads = .milliseconds(500)
        return Worker(
            configuration, kinesis: KinesisClient(client(.kinesis, node.time)),
            dynamoDB: DynamoDBClient(client(.dynamodb, node.time)), time: node.time, seed: seed,
            onEvent: { event in self.events.withLock { $0.append(event) } },
            processor: { _ in
                let tenure = self.tenures.withLock { tenures in
                    tenures.append([])
                    return tenures.count - 1
                }
                return Keeper(bench: self, tenure: tenure)
            })
    }

    func snapshot(on node: SimulatedNode) async throws -> FleetSnapshot {
        try await Observer.observe(
            FleetConfiguration(identity: identity, failoverTime: failoverTime), for: .zero,
            dynamoDB: DynamoDBClient(client(.dynamodb, node.time)),
            kinesis: KinesisClient(client(.kinesis, node.time)), time: node.time)
    }

    private var identity: FleetIdentity {
        FleetIdentity(application: application, stream: streamName, region: "us-east-1", isWritable: true)
    }

    func actor(_ name: String, on node: SimulatedNode) -> Operator {
        Operator(
            identity, dynamoDB: DynamoDBClient(client(.dynamodb, node.time)),
            kinesis: KinesisClient(client(.kinesis, node.time)), time: node.time,
            audit: AuditLog { (_) async throws(AuditLog.Failure) in self.audit.withLock { $0 += 1 } },
            caller: Caller(name: name))
    }

    func lease(on node: SimulatedNode) async throws -> Lease? {
        try await DynamoDBClient(client(.dynamodb, node.time)).getItem(application, key: LeaseTable.key(shardID))
            .flatMap { LeaseTable.row($0).lease }
    }

    /// Starts `body`; its errors are faults.
    func start(on node: SimulatedNode, _ body: @escaping @Sendable () async throws -> Void) {
        node.spawn {
            do { try await body() } catch { self.faults.withLock { $0.append("\(node.name): \(error)") } }
        }
    }

    /// Waits, for a minute at most.
    func wait(on node: SimulatedNode, until holds: () async throws -> Bool) async throws {
        for _ in 0..<240 {
            if try await holds() { return }
            try await node.time.sleep(for: .milliseconds(250))
        }
        faults.withLock { $0.append("waited in vain") }
    }
}

private struct Keeper: RecordProcessor {
    let bench: Bench
    let tenure: Int

    func initialize(_ input: InitializationInput) async throws {}

    func processRecords(_ input: ProcessRecordsInput) async throws {
        bench.tenures.withLock { $0[tenure] += input.records.map(\.checkpoint) }
        // A zombie's last checkpoint is refused, and that is right.
        try? await input.checkpointer.checkpoint()
    }

    func leaseLost() async {}
    func shardEnded(_ checkpointer: Checkpointer) async throws { try await checkpointer.checkpoint() }
    func shutdownRequested(_ checkpointer: Checkpointer) async throws { try await checkpointer.checkpoint() }
}

extension Simulations {
    /// The owner renews, reads and checkpoints all the while, and a producer goes on. Every part of the record that was
    /// at the time comes again, and what follows, to a tenure of its own; nothing of the old one is stored any more.
    @Test(arguments: 0..<12 as Range<UInt64>)
    func aRewindToATimePrevailsOverAnOwnerThatLives(seed: UInt64) async throws {
        let bench = Bench(seed: seed)
        let (producing, working, operating) = (
            bench.node("producer", 0), bench.node("worker", 1), bench.node("operator", 2)
        )
        let written = Mutex<(before: FleetSnapshot, outcome: PlanOutcome, target: SequenceNumber)?>(nil)
        bench.start(on: producing) {
            try await KinesisClient(bench.client(.kinesis, producing.time)).createStream(streamName, shards: 1)
            let worker = bench.worker("w1", on: working)
            bench.start(on: working) { try await worker.run() }
            try await bench.put(80, on: producing)
        }
        bench.start(on: operating) {
            try await bench.wait(on: operating) { bench.stored.withLock { $0.count >= 40 } }
            let (number, time) = bench.stored.withLock { $0[20] }
            let snapshot = try await bench.snapshot(on: operating)
            guard case .search(let search) = try Plan.rewind(shardID, to: .time(time), in: snapshot) else { return }
            let found = try await search.perform(KinesisClient(bench.client(.kinesis, operating.time)))
            let plan = try Plan.rewind(after: search, found, in: snapshot)
            let outcome = await bench.actor("ops", on: operating).perform(plan)
            written.withLock { $0 = (snapshot, outcome, number) }
            try await bench.wait(on: operating) {
                let last = bench.stored.withLock { $0.count == 80 ? $0.last?.number : nil }
                guard let last else { return false }
                return try await bench.lease(on: operating)?.checkpoint.sequenceNumber == last
            }
        }
        bench.simulator.run(until: Timestamp.zero + .seconds(120))
        #expect(bench.faults.withLock { $0 } == [])
        let (before, outcome, target) = try #require(written.withLock { $0 })
        guard case .written(let item?) = outcome, let row = LeaseTable.row(item).lease else {
            Issue.record("\(outcome)")
            return
        }
        #expect(row.checkpoint == Checkpoint(.sequenceNumber(target), subSequenceNumber: -1))
        #expect(row.leaseOwner == nil)
        #expect(row.leaseCounter > (before.leases.first?.leaseCounter ?? .max))
        let tenures = bench.tenures.withLock { $0 }
        #expect(tenures.count == 2)
        let all = bench.stored.withLock { $0.map(\.number) }
        let expected = all.dropFirst(20).flatMap { number in
            (0..<3).map { Checkpoint(.sequenceNumber(number), subSequenceNumber: $0) }
        }
        #expect(tenures.last == expected)
        #expect(bench.events.withLock { $0.contains { $0.kind == .leaseLost } })
        #expect(bench.audit.withLock { $0 } >= 2)
    }

    /// Of two operators who were shown the same lease, which nobody owns, one writes and the other is told.
    @Test(arguments: 0..<12 as Range<UInt64>)
    func ofTwoOperatorsOneRewinds(seed: UInt64) async throws {
        let bench = Bench(seed: seed)
        let nodes = [bench.node("one", 0), bench.node("two", 1)]
        let rows = Mutex<[Item?]>([])
        let outcomes = Mutex<[(Checkpoint, PlanOutcome)]>([])
        bench.start(on: nodes[0]) {
            let dynamoDB = DynamoDBClient(bench.client(.dynamodb, nodes[0].time))
            try await KinesisClient(bench.client(.kinesis, nodes[0].time)).createStream(streamName, shards: 1)
            try await dynamoDB.createTable(application, hashKey: LeaseTable.hashKey)
            var item = LeaseTable.newItem(
                Lease(
                    leaseKey: shardID, leaseCounter: 7,
                    checkpoint: Checkpoint(.sequenceNumber(SequenceNumber(high: 0, low: 50)))))
            item["future"] = .s("kept")
            try await dynamoDB.putNewItem(application, item, hashKey: LeaseTable.hashKey)
            let snapshot = try await bench.snapshot(on: nodes[0])
            for (node, target) in zip(nodes, [Checkpoint.trimHorizon, .latest]) {
                guard case .plan(let plan) = try Plan.rewind(shardID, to: .sentinel(target), in: snapshot) else {
                    return
                }
                bench.start(on: node) {
                    let outcome = await bench.actor(node.name, on: node).perform(plan)
                    outcomes.withLock { $0.append((target, outcome)) }
                    let row = try await DynamoDBClient(bench.client(.dynamodb, node.time))
                        .getItem(application, key: LeaseTable.key(shardID))
                    rows.withLock { $0.append(row) }
                }
            }
        }
        bench.simulator.run(until: Timestamp.zero + .seconds(60))
        #expect(bench.faults.withLock { $0 } == [])
        let done = outcomes.withLock { $0 }
        let won = done.filter { if case .written = $0.1 { true } else { false } }
        let told = done.filter { if case .intentGone = $0.1 { true } else { false } }
        #expect(won.count == 1 && told.count == 1, "\(done)")
        let row = try #require(rows.withLock { $0.last } ?? nil)
        #expect(row["checkpoint"] == .s(try #require(won.first?.0.text)))
        #expect(row["leaseCounter"] == .n(8))
        #expect(row["future"] == .s("kept"))
    }
}
