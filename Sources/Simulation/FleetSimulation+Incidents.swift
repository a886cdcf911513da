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
            startWorker(id: worker.incarnation.workerID)
        case .newID(let after):
            try await sleep(after)
            startWorker()
        }
    }

    private func split() async throws {
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

    private func release() {
        guard let worker = victim(leaving: 1) else { return }
        let held = world.referee.leases(of: worker.incarnation)
        guard let shard = random({ held.randomElement(using: &$0) }) else { return }
        incident("release \(shard) by \(worker.incarnation.workerID)")
        worker.worker.release(shard)
    }
}
