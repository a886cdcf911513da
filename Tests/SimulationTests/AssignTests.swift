import AWSWire
import Emulator
import Fleet
import Leases
import Machine
import Simulation
import Synchronization
import Testing

private let application = "orders-app"
private let shardID = "shardId-000000000000"

/// A 3.x fleet of one lease on the emulator, in virtual time: its tables, its owner, its successor.
private final class Bench: Sendable {
    let simulator: Simulator
    let emulator: Emulator
    private let seed: UInt64
    /// A sentence for each thing that went wrong.
    let faults = Mutex<[String]>([])
    /// What happened, in order.
    let log = Mutex<[String]>([])
    let outcomes = Mutex<[PlanOutcome]>([])

    init(seed: UInt64) {
        self.seed = seed
        simulator = Simulator(seed: seed)
        emulator = Emulator(configuration: .immediate, time: simulator.time, seed: seed)
    }

    func node(_ name: String, _ number: Int) -> SimulatedNode {
        SimulatedNode(name, number: number, simulator: simulator)
    }

    func dynamoDB(_ node: SimulatedNode) -> DynamoDBClient {
        DynamoDBClient(
            AWSClient(
                .dynamodb, region: "us-east-1", endpoint: Endpoint(scheme: "http", host: "simulated"),
                transport: EmulatorTransport(
                    emulator: emulator, latency: .milliseconds(1) ... .milliseconds(30), seed: seed),
                credentials: StaticCredentials(accessKeyID: "k", secretAccessKey: "s"), time: node.time, seed: seed))
    }

    /// The tables of 3.0 to 3.4, with workers `old`, `new` and `other` that report.
    func makeTables(on node: SimulatedNode, checkpointOwner: String? = nil) async throws {
        let dynamoDB = dynamoDB(node)
        try await dynamoDB.createTable(application, hashKey: "leaseKey")
        try await dynamoDB.createTable("\(application)-CoordinatorState", hashKey: "key")
        try await dynamoDB.createTable("\(application)-WorkerMetricStats", hashKey: "wid")
        var item = LeaseTable.newItem(
            Lease(
                leaseKey: shardID, leaseOwner: checkpointOwner == nil ? "old" : "new", leaseCounter: 7,
                checkpoint: Checkpoint(.sequenceNumber(SequenceNumber(high: 0, low: 50))), hashKeyRange: .whole))
        item["future"] = .s("kept")
        if let checkpointOwner { item["checkpointOwner"] = .s(checkpointOwner) }
        try await dynamoDB.putNewItem(application, item, hashKey: "leaseKey")
        try await dynamoDB.putNewItem(
            "\(application)-CoordinatorState", ["key": .s("Migration3.0"), "cv": .s("CLIENT_VERSION_3X")],
            hashKey: "key")
        for worker in ["old", "new", "other"] {
            try await dynamoDB.putNewItem(
                "\(application)-WorkerMetricStats",
                [
                    "wid": .s(worker), "lut": .n(node.time.wallClock().milliseconds / 1000), "sts": .m([:]),
                    "opr": .m([:]),
                ], hashKey: "wid")
        }
    }

    private var identity: FleetIdentity {
        FleetIdentity(application: application, stream: nil, region: "us-east-1", isWritable: true)
    }

    func snapshot(on node: SimulatedNode) async throws -> FleetSnapshot {
        try await Observer.observe(
            FleetConfiguration(identity: identity, failoverTime: .seconds(10)), for: .zero, dynamoDB: dynamoDB(node),
            kinesis: nil, time: node.time)
    }

    func perform(_ plan: Plan, on node: SimulatedNode) async {
        let actor = Operator(
            identity, dynamoDB: dynamoDB(node), kinesis: nil, time: node.time,
            audit: AuditLog { (_) async throws(AuditLog.Failure) in }, caller: Caller(name: node.name))
        let outcome = await actor.perform(plan)
        outcomes.withLock { $0.append(outcome) }
        note("performed")
    }

    func note(_ what: String) { log.withLock { $0.append(what) } }

    func row(on node: SimulatedNode) async throws -> Lease? {
        try await dynamoDB(node).getItem(application, key: LeaseTable.key(shardID)).flatMap { LeaseTable.row($0).lease }
    }

    func start(on node: SimulatedNode, _ body: @escaping @Sendable () async throws -> Void) {
        node.spawn {
            do { try await body() } catch { self.faults.withLock { $0.append("\(node.name): \(error)") } }
        }
    }
}

/// A Java 3.x worker that holds the lease: it renews, checkpoints, learns of a handover as its renewal fails, and ends
/// that (kcl.md §2).
private struct Owner {
    let bench: Bench
    let node: SimulatedNode
    var lease: Lease
    /// The callback returns; one that does not leaves the handover stuck.
    var endsHandovers = true

    /// The highest checkpoint that was stored.
    var stored: Int64 = 50

    private var dynamoDB: DynamoDBClient { bench.dynamoDB(node) }

    /// Works until it lost the lease or passed it on, or `until`.
    mutating func work(until end: Timestamp) async throws {
        while node.time.now() < end {
            try await node.time.sleep(for: .milliseconds(330))
            guard try await renew() else { return bench.note("lost") }
            if lease.isInHandoff, endsHandovers {
                guard try await checkpoint() else { return bench.note("lost") }
                bench.note("last checkpoint \(stored)")
                return try await passOn()
            }
            guard try await checkpoint() else { return bench.note("lost") }
        }
    }

    private func update(_ set: String, _ condition: String, _ values: Item) -> UpdateItem {
        UpdateItem(
            table: application, key: LeaseTable.key(shardID), update: set, condition: condition, values: values,
            returnValues: nil)
    }

    private mutating func renew() async throws -> Bool {
        let values: Item = [":c": .n(lease.leaseCounter), ":n": .n(lease.leaseCounter + 1)]
        let alone = lease.checkpointOwner == nil ? " AND attribute_not_exists(checkpointOwner)" : ""
        do throws(AWSError) {
            try await dynamoDB.updateItem(update("SET leaseCounter = :n", "leaseCounter = :c" + alone, values))
        } catch {
            guard error.meaning == .conditionFailed, let image = error.conditionImage,
                let seen = LeaseTable.row(image).lease
            else { return false }
            guard seen.isInHandoff, seen.actualOwner == lease.actualOwner, lease.checkpointOwner == nil else {
                return false
            }
            // It adopts the two owners, and renews with the counter that it knows.
            lease.leaseOwner = seen.leaseOwner
            lease.checkpointOwner = seen.checkpointOwner
            bench.note("learned")
            do throws(AWSError) {
                try await dynamoDB.updateItem(update("SET leaseCounter = :n", "leaseCounter = :c", values))
            } catch {
                return false
            }
        }
        lease.leaseCounter += 1
        return true
    }

    private mutating func checkpoint() async throws -> Bool {
        do throws(AWSError) {
            try await dynamoDB.updateItem(
                update(
                    "SET leaseCounter = :n, checkpoint = :p, ownerSwitchesSinceCheckpoint = :zero", "leaseCounter = :c",
                    [
                        ":c": .n(lease.leaseCounter), ":n": .n(lease.leaseCounter + 1), ":p": .s("\(stored + 1)"),
                        ":zero": .n(0),
                    ]))
        } catch {
            return false
        }
        lease.leaseCounter += 1
        stored += 1
        return true
    }

    private func passOn() async throws {
        do throws(AWSError) {
            try await dynamoDB.updateItem(
                update(
                    "REMOVE checkpointOwner ADD leaseCounter :one, ownerSwitchesSinceCheckpoint :one",
                    "leaseOwner = :o AND checkpointOwner = :k",
                    [":one": .n(1), ":o": .s(lease.leaseOwner ?? ""), ":k": .s(lease.checkpointOwner ?? "")]))
            bench.note("passed on")
        } catch {
            bench.note("lost")
        }
    }
}

extension Simulations {
    /// Runs an owner and whatever `operate` does beside it, then looks at the row.
    private func race(
        _ bench: Bench, checkpointOwner: String? = nil, endsHandovers: Bool = true,
        _ operate: @escaping @Sendable (FleetSnapshot) async throws -> Void
    ) async throws -> (row: Lease, log: [String], stored: Int64) {
        let (holding, operating) = (bench.node("owner", 0), bench.node("operator", 1))
        let last = Mutex<Lease?>(nil)
        let stored = Mutex<Int64>(0)
        bench.start(on: operating) {
            try await bench.makeTables(on: operating, checkpointOwner: checkpointOwner)
            guard let lease = try await bench.row(on: operating) else { return }
            bench.start(on: holding) {
                var owner = Owner(bench: bench, node: holding, lease: lease, endsHandovers: endsHandovers)
                try await owner.work(until: Timestamp.zero + .seconds(20))
                stored.withLock { $0 = owner.stored }
            }
            try await operating.time.sleep(for: .milliseconds(1700))
            try await operate(try await bench.snapshot(on: operating))
            try await operating.time.sleep(for: .seconds(25))
            let row = try await bench.row(on: operating)
            last.withLock { $0 = row }
        }
        bench.simulator.run(until: Timestamp.zero + .seconds(60))
        #expect(bench.faults.withLock { $0 } == [])
        let row = try #require(last.withLock { $0 })
        // Whatever happened: nothing stored is lost, and the counter never fell.
        #expect(row.checkpoint.text == "\(stored.withLock { $0 })")
        #expect(row.leaseCounter > 7)
        return (row, bench.log.withLock { $0 }, stored.withLock { $0 })
    }

    /// The owner learns of the handover, checkpoints a last time and passes the lease on; it never loses it.
    @Test(arguments: 0..<16 as Range<UInt64>)
    func aGracefulAssignIsEndedByTheOwner(seed: UInt64) async throws {
        let bench = Bench(seed: seed)
        let node = bench.node("hand", 2)
        let (row, log, stored) = try await race(bench) { fleet in
            await bench.perform(try Plan.assign(shardID, to: "new", in: fleet), on: node)
        }
        #expect(row.leaseOwner == "new" && row.checkpointOwner == nil)
        #expect(row.ownerSwitchesSinceCheckpoint == 1)
        #expect(log.filter { $0 != "performed" } == ["learned", "last checkpoint \(stored)", "passed on"])
        guard case .written(let item?)? = bench.outcomes.withLock({ $0.first }) else {
            Issue.record("\(bench.outcomes.withLock { $0 })")
            return
        }
        #expect(item["future"] == .s("kept"))
        #expect(item["checkpointOwner"] == .s("old") && item["leaseOwner"] == .s("new"))
    }

    /// Why the start of a handover leaves the counter: an owner takes a raised one for a lost lease, and what it read
    /// since its checkpoint is delivered again.
    @Test func aRaisedCounterWouldCostTheOwnerItsLease() async throws {
        let bench = Bench(seed: 1)
        let node = bench.node("hand", 2)
        let (row, log, _) = try await race(bench) { _ in
            for _ in 0..<50 {
                guard let lease = try await bench.row(on: node) else { return }
                var write = LeaseTable.startHandoff(table: application, lease, to: "new")
                write.update += " ADD leaseCounter :one"
                write.values[":one"] = .n(1)
                do { try await bench.dynamoDB(node).updateItem(write) } catch { continue }
                return
            }
        }
        #expect(log.contains("lost") && !log.contains("passed on"))
        #expect(row.checkpointOwner == "old")
    }

    @Test(arguments: 0..<16 as Range<UInt64>)
    func aHardAssignFencesTheOwner(seed: UInt64) async throws {
        let bench = Bench(seed: seed)
        let node = bench.node("hand", 2)
        let (row, log, _) = try await race(bench) { fleet in
            await bench.perform(try Plan.assign(shardID, to: "new", isHard: true, in: fleet), on: node)
        }
        switch try #require(bench.outcomes.withLock { $0.first }) {
        case .written(let item):
            #expect(item?["future"] == .s("kept"))
            #expect(log == ["performed", "lost"] || log == ["lost", "performed"])
            #expect(row.leaseOwner == "new" && row.ownerSwitchesSinceCheckpoint == 1)
        // It moved under all three tries.
        case .intentGone: #expect(row.leaseOwner == "old" && !log.contains("lost"))
        case let outcome: Issue.record("\(outcome)")
        }
    }

    /// The owner renews and checkpoints on; completing ends that.
    @Test(arguments: 0..<16 as Range<UInt64>)
    func aStuckHandoverIsCompletedUnderItsOwner(seed: UInt64) async throws {
        let bench = Bench(seed: seed)
        let node = bench.node("hand", 2)
        let (row, log, _) = try await race(bench, checkpointOwner: "old", endsHandovers: false) { fleet in
            await bench.perform(try Plan.completeHandoff(shardID, in: fleet), on: node)
        }
        switch try #require(bench.outcomes.withLock { $0.first }) {
        case .written:
            #expect(row.leaseOwner == "new" && row.checkpointOwner == nil && row.ownerSwitchesSinceCheckpoint == 1)
            #expect(log.contains("lost"))
        case .intentGone: #expect(row.checkpointOwner == "old")
        case let outcome: Issue.record("\(outcome)")
        }
    }

    /// A handover that ends just then is ended once: the owner passes the lease on, or the operator does.
    @Test(arguments: 0..<16 as Range<UInt64>)
    func aHandoverThatEndsMeanwhileIsNotCompletedTwice(seed: UInt64) async throws {
        let bench = Bench(seed: seed)
        let node = bench.node("hand", 2)
        let (row, log, _) = try await race(bench) { fleet in
            let plan = try Plan.assign(shardID, to: "new", in: fleet)
            await bench.perform(plan, on: node)
            let handed = try await bench.snapshot(on: node)
            guard let plan = try? Plan.completeHandoff(shardID, in: handed) else { return }
            await bench.perform(plan, on: node)
        }
        #expect(row.leaseOwner == "new" && row.checkpointOwner == nil)
        // Each end of it counts one switch; checkpoints in between count anew.
        #expect(row.ownerSwitchesSinceCheckpoint == 1)
        let outcomes = bench.outcomes.withLock { $0 }
        let wasWritten = if outcomes.count > 1, case .written = outcomes[1] { true } else { false }
        #expect(log.contains("passed on") != wasWritten, "\(log)")
    }

    /// Of two operators who were shown the same lease one writes, and the other is told.
    @Test(arguments: 0..<16 as Range<UInt64>)
    func ofTwoOperatorsOneAssigns(seed: UInt64) async throws {
        let bench = Bench(seed: seed)
        let nodes = [bench.node("one", 2), bench.node("two", 3)]
        let (row, _, _) = try await race(bench) { fleet in
            for (node, target) in zip(nodes, ["new", "other"]) {
                let plan = try Plan.assign(shardID, to: target, isHard: true, in: fleet)
                bench.start(on: node) { await bench.perform(plan, on: node) }
            }
        }
        let outcomes = bench.outcomes.withLock { $0 }
        let written = outcomes.compactMap {
            if case .written(let item) = $0 { item?["leaseOwner"]?.string } else { nil }
        }
        let told = outcomes.count { if case .intentGone = $0 { true } else { false } }
        #expect(written.count <= 1 && written.count + told == 2, "\(outcomes)")
        #expect(row.leaseOwner == written.first ?? "old")
    }
}
