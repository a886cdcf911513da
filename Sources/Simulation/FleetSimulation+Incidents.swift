import AWSWire
import KinesisConsumer
import Leases
import Machine
import Synchronization

extension FleetSimulation {
    func perform(_ incident: Scenario.Incident) async throws {
        switch incident {
        case .kill(let restart): try await kill(restart)
        case .shutDown(let restart): try await shutDown(restart)
        case .pause(let duration):
            guard let worker = victim(leaving: 1) else { return }
            self.incident("pause \(worker.incarnation.workerID) for \(duration.inSeconds) s")
            worker.node.pause()
            try await sleep(duration)
            worker.node.resume()
            self.incident("resume \(worker.incarnation.workerID)")
        case .partition(let partition, let duration):
            guard let worker = victim(leaving: 1) else { return }
            self.incident("cut \(worker.incarnation.workerID) off (\(partition)) for \(duration.inSeconds) s")
            world.network.setPartition(partition, of: worker.node)
            try await sleep(duration)
            world.network.setPartition(nil, of: worker.node)
        case .storm(let faults, let duration):
            self.incident("storm of \(faults.answerLost) for \(duration.inSeconds) s")
            world.network.setFaults(faults)
            try await sleep(duration)
            world.network.setFaults(scenario.faults)
        case .split: try await split()
        case .merge: try await merge()
        case .release: release()
        case .join: startWorker()
        case .deregister: try await deregister()
        case .evict: try await evict()
        case .steal: try await steal()
        }
    }

    private func deregister() async throws {
        let kinesis = world.trueKinesis
        let stream = try await kinesis.describeStreamSummary(World.streamName)
        incident("deregister the consumer")
        _ = try await kinesis.client.call(
            "DeregisterStreamConsumer",
            ["StreamARN": .string(stream.arn), "ConsumerName": .string(World.applicationName)])
    }

    /// A running worker that nothing happens to yet; `nil` where too few would be left.
    private func victim(leaving left: Int) -> SimulatedWorker? {
        let workers = alive.filter { !$0.node.isPaused }
        guard workers.count > left else { return nil }
        return random { workers.randomElement(using: &$0) }
    }

    private func kill(_ restart: Scenario.Restart) async throws {
        guard let worker = victim(leaving: 1) else { return }
        incident("kill \(worker.incarnation.workerID)")
        worker.kill()
        try await self.restart(worker, restart)
    }

    private func shutDown(_ restart: Scenario.Restart) async throws {
        guard let worker = victim(leaving: 2) else { return }
        incident("shut down \(worker.incarnation.workerID)")
        worker.shutDown()
        // Two runs of one id at a time are the operator's mistake.
        for _ in 0..<600 where !worker.hasEnded { try await sleep(.milliseconds(200)) }
        // One that does not end is the examination's business.
        guard worker.hasEnded || worker.isKilled else { return }
        try await self.restart(worker, restart)
    }

    private func restart(_ worker: SimulatedWorker, _ restart: Scenario.Restart) async throws {
        switch restart {
        case .never: break
        case .sameID(let after):
            try await sleep(after)
            startWorker(id: worker.incarnation.workerID, isJava: worker.isJava)
        case .newID(let after):
            try await sleep(after)
            startWorker(isJava: worker.isJava)
        }
    }

    func split() async throws {
        let kinesis = world.trueKinesis
        let open = try await kinesis.listShards(stream: World.streamName).filter(\.isOpen)
        guard let shard = random({ open.randomElement(using: &$0) }) else { return }
        try await kinesis.splitShard(
            stream: World.streamName, shard: shard.shardID, at: shard.hashKeyRange.middle)
        incident("split \(shard.shardID)")
    }

    private func merge() async throws {
        let kinesis = world.trueKinesis
        let open = try await kinesis.listShards(stream: World.streamName).filter(\.isOpen)
            .sorted { $0.hashKeyRange.start < $1.hashKeyRange.start }
        guard open.count > 1 else { return }
        let index = random { Int.random(in: 0..<open.count - 1, using: &$0) }
        try await kinesis.mergeShards(
            stream: World.streamName, shard: open[index].shardID, adjacent: open[index + 1].shardID)
        incident("merge \(open[index].shardID) \(open[index + 1].shardID)")
    }

    private func evict() async throws {
        guard let worker = victim(leaving: 1) else { return }
        let held = world.referee.leases(of: worker.incarnation)
        guard let shard = random({ held.randomElement(using: &$0) }) else { return }
        try await evict(shard, of: worker)
    }

    /// As `shardtop lease evict` does.
    func evict(_ shard: String, of worker: SimulatedWorker) async throws {
        incident("evict \(worker.incarnation.workerID) from \(shard)")
        try await operate(shard, as: Referee.Incarnation(number: 0, workerID: "operator")) {
            LeaseTable.release(table: World.applicationName, $0)
        }
    }

    /// A worker of ours is told that it owns somebody else's lease, as the dashboard does.
    private func steal() async throws {
        let ours = alive.filter { !$0.isJava && !$0.node.isPaused }
        guard let thief = random({ ours.randomElement(using: &$0) }),
            case .swift(let worker) = thief.engine
        else { return }
        let others = alive.filter { $0.incarnation != thief.incarnation }
        let held = others.flatMap { world.referee.leases(of: $0.incarnation) }
        guard let shard = random({ held.randomElement(using: &$0) }) else { return }
        incident("steal \(shard) for \(thief.incarnation.workerID)")
        try await operate(shard, as: thief.incarnation) {
            LeaseTable.take(table: World.applicationName, $0, by: thief.incarnation.workerID)
        }
        worker.poke(shard)
    }

    private func operate(
        _ shard: String, as incarnation: Referee.Incarnation, _ write: (Lease) -> UpdateItem
    ) async throws {
        let tap = ServiceTap(
            emulator: world.emulator, referee: world.referee, worker: incarnation, streamName: World.streamName,
            tableName: World.applicationName)
        let dynamoDB = World.dynamoDB(tap, world.simulator.time, seed: 0)
        guard let item = try await dynamoDB.getItem(World.applicationName, key: LeaseTable.key(shard)),
            let lease = LeaseTable.row(item).lease
        else { return }
        _ = try await dynamoDB.updateItem(write(lease))
    }

    private func release() {
        guard let worker = victim(leaving: 1) else { return }
        let held = world.referee.leases(of: worker.incarnation)
        guard let shard = random({ held.randomElement(using: &$0) }) else { return }
        incident("release \(shard) by \(worker.incarnation.workerID)")
        release(shard, by: worker)
    }

    func release(_ shard: String, by worker: SimulatedWorker) {
        // Java has no such thing.
        if case .swift(let worker) = worker.engine { worker.release(shard) }
    }
}
