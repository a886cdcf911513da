import AWSWire
import Dashboard
import Emulator
import KinesisConsumer
import Machine
import Synchronization

/// Plays a scenario on a demo's fleet, through the same calls that a person's keys make.
final class ScenarioPlayer: Sendable {
    private let fleet: DemoFleet
    private let sights = Mutex<[Scenario.Sight: Int]>([:])
    private let chosen = Mutex<String?>(nil)

    init(_ fleet: DemoFleet) {
        self.fleet = fleet
        fleet.onEvent { [self] event in note(event) }
    }

    private func note(_ event: WorkerEvent) {
        let sight: Scenario.Sight? =
            switch event.kind {
            case .shardEnded: .terminate
            case .leaseLost: .zombie
            case .leaseTaken, .leaseStolen: .taken
            case .throttled: .throttled
            default: nil
            }
        if let sight { sights.withLock { $0[sight, default: 0] += 1 } }
    }

    private func count(_ sight: Scenario.Sight) -> Int {
        let seen = sights.withLock { $0[sight] ?? 0 }
        return sight == .throttled ? seen + fleet.ledger.counts.throttledPuts : seen
    }

    /// Returns when the last step is over, or the task is cancelled.
    func play(_ scenario: Scenario, _ show: @Sendable (Caption) -> Void) async {
        for (index, step) in scenario.steps.enumerated() {
            if Task.isCancelled { return }
            show(
                Caption(
                    title: step.title, text: step.text, step: index + 1, steps: scenario.steps.count,
                    isTour: scenario.name == "tour"))
            let before = step.until.seen.map(count) ?? 0
            let start = fleet.time.now()
            for act in step.acts {
                do { try await perform(act) } catch {
                    if Task.isCancelled { return }
                    Output.error("shardtop demo: \(step.title): \(error)")
                }
            }
            while !Task.isCancelled {
                let elapsed = fleet.time.now() - start
                if elapsed >= step.until.atMost { break }
                let isSeen = step.until.seen.map { count($0) - before >= step.until.count } ?? false
                if isSeen, elapsed >= step.until.atLeast { break }
                try? await fleet.time.sleep(for: .milliseconds(100))
            }
        }
    }

    private func perform(_ act: Scenario.Act) async throws {
        switch act {
        case .rate(let rate): fleet.producer.workload.rate = rate
        case .hot(let fraction): fleet.producer.workload.hotFraction = fraction
        case .slow(.all, let pause) where pause == .zero: fleet.slowNone()
        case .slow(let shards, let pause):
            for shard in try await open(shards) { fleet.slow(shard.shardID, by: pause) }
        case .steal: try await steal()
        case .split(let shards):
            guard let shard = try await open(shards).first else { return }
            let hot = fleet.producer.workload.hotMiddle
            let point =
                shard.hashKeyRange.contains(hot) && hot > shard.hashKeyRange.start ? hot : shard.hashKeyRange.middle
            try await fleet.connection.kinesis.splitShard(stream: DemoFleet.stream, shard: shard.shardID, at: point)
        case .merge:
            let pair = try await open(.firstPair)
            guard pair.count == 2 else { return }
            try await fleet.connection.kinesis.mergeShards(
                stream: DemoFleet.stream, shard: pair[0].shardID, adjacent: pair[1].shardID)
        case .scale(let count):
            try await fleet.connection.kinesis.updateShardCount(stream: DemoFleet.stream, target: count)
        case .pauseWorker: try await busiest()?.pause()
        case .resumeWorker: chosenWorker?.resume()
        case .killWorker: try await busiest()?.kill()
        case .startWorker: chosenWorker?.start()
        case .throttle(let duration):
            let until = fleet.sinceStart + duration
            fleet.emulator.faults.add(Fault(.throttle, operation: "GetRecords", until: until))
            fleet.emulator.faults.add(
                Fault(.throttle, operation: "DynamoDB.UpdateItem", probability: 0.33, until: until))
        }
    }

    private func open(_ shards: Scenario.Shards) async throws -> [Shard] {
        let open = ShardTree(try await fleet.connection.kinesis.listShards(stream: DemoFleet.stream)).open
            .sorted { $0.hashKeyRange.start < $1.hashKeyRange.start }
        switch shards {
        case .all: return open
        case .firstPair: return Array(open.prefix(2))
        case .hot:
            let hot = fleet.producer.workload.hotMiddle
            return open.filter { $0.hashKeyRange.contains(hot) }
        }
    }

    private func leases() async throws -> [Lease] {
        try await fleet.connection.dynamoDB.scan(DemoFleet.application, consistent: true).items
            .compactMap { LeaseTable.row($0).lease }
    }

    private var chosenWorker: FleetWorker? { chosen.withLock { $0 }.flatMap { fleet.worker($0) } }

    /// The running worker with the most leases; it stays the one that later steps resume or start.
    private func busiest() async throws -> FleetWorker? {
        let owners = try await leases().filter { !$0.isEnded }.compactMap(\.leaseOwner)
        let running = fleet.workers.filter { $0.condition == .running }
        let worker = running.max { a, b in
            owners.count { $0 == a.id } < owners.count { $0 == b.id }
        }
        chosen.withLock { $0 = worker?.id }
        return worker
    }

    /// The worker with the fewest leases robs the one with the most.
    private func steal() async throws {
        let active = try await leases().filter { !$0.isEnded }
        let running = fleet.workers.filter { $0.condition == .running }
        let load = { (worker: FleetWorker) in active.count { $0.leaseOwner == worker.id } }
        guard let victim = running.max(by: { load($0) < load($1) }),
            let thief = running.filter({ $0.id != victim.id }).min(by: { load($0) < load($1) })
        else { return }
        // The victim renews while we read: the condition fails then, and the next try reads anew.
        for _ in 0..<5 {
            guard let lease = try await leases().first(where: { $0.leaseOwner == victim.id && !$0.isEnded }) else {
                return
            }
            do {
                try await fleet.connection.dynamoDB.updateItem(
                    LeaseTable.take(table: DemoFleet.application, lease, by: thief.id))
                thief.poke(lease.leaseKey)
                return
            } catch {
                guard error.meaning == .conditionFailed else { throw error }
            }
        }
    }
}
