import AWSWire
import KinesisConsumer
import Leases
import Machine
import Synchronization

/// Faults are over: the fleet has to come to rest, stay there, and fail over in time.
extension FleetSimulation {
    func examine() async throws {
        guard try await comesToRest() else { return }
        try await staysAtRest()
        try await releaseAtRest()
        try await killAtRest()
        guard try await comesToRest() else { return }
        try await shutDownAtRest()
        _ = try await comesToRest()
    }

    /// Waits until the fleet is at rest and stays so until every worker has read the whole table once more: until then
    /// they may disagree on who reads which part of it, and a released lease is found late.
    private func comesToRest() async throws -> Bool {
        let limit = world.simulator.now + scenario.failoverTime * world.options.restWithin
        var since: Timestamp?
        var reason: (Invariant, String)?
        while world.simulator.now < limit {
            try await sleep(.milliseconds(500))
            let open = (try? await world.trueKinesis.listShards(stream: World.streamName))?.filter(\.isOpen) ?? []
            if let why = world.referee.whyNotAtRest(alive.map(\.incarnation), open: Set(open.map(\.shardID))) {
                (since, reason) = (nil, why)
            } else if world.simulator.now - (since ?? world.simulator.now) >= scenario.failoverTime * 2.1 {
                world.referee.calm()
                world.referee.note("at rest")
                return true
            } else {
                since = since ?? world.simulator.now
            }
        }
        let patience = scenario.failoverTime * world.options.restWithin
        let (invariant, message) = reason ?? (.quietAtRest, "no peace")
        world.referee.report(invariant, "no rest within \(patience.inSeconds) s: \(message)")
        return false
    }

    /// For some takers' runs of every worker nothing changes hands, and the table is read sparingly.
    private func staysAtRest() async throws {
        let before = world.referee.state.withLock { ($0.ownershipChanges, $0.scannedRows) }
        let window = scenario.failoverTime * 7
        try await sleep(window)
        let after = world.referee.state.withLock { ($0.ownershipChanges, $0.scannedRows) }
        let reads = (after.1 - before.1) / window.inSeconds
        world.referee.state.withLock { $0.report.tableReadsPerSecond = (reads * 100).rounded() / 100 }
        if after.0 != before.0 {
            world.referee.report(.quietAtRest, "\(after.0 - before.0) leases changed hands in \(window.inSeconds) s")
        }
        let most = Referee.tableReadsPerSecondMax(workers: alive.count, failoverTime: scenario.failoverTime)
        if reads > most {
            world.referee.report(.readBudget, "the table is read \(reads) times a second; \(most) are allowed")
        }
    }

    private func releaseAtRest() async throws {
        guard let (worker, leases) = busiest() else { return }
        incident("release \(leases[0]) by \(worker.incarnation.workerID) at rest")
        worker.worker.release(leases[0])
        try await sleep(.seconds(5))
    }

    private func killAtRest() async throws {
        guard let (worker, leases) = busiest() else { return }
        incident("kill \(worker.incarnation.workerID) at rest")
        let start = world.simulator.now
        worker.kill()
        let allowed = scenario.failoverTime * 1.2 + .seconds(2) + scenario.staleness
        let slowest = try await untilRunning(leases, since: start, limit: allowed + scenario.failoverTime)
        world.referee.state.withLock { $0.report.slowestFailover = slowest }
        if slowest > allowed {
            world.referee.report(
                .failoverTime,
                "the leases of \(worker.incarnation.workerID) ran elsewhere after \(slowest.inSeconds) s, "
                    + "\(allowed.inSeconds) s are allowed")
        }
    }

    private func shutDownAtRest() async throws {
        let releasing = alive.filter { $0.worker.configuration.releaseLeasesOnShutdown }
        guard let worker = random({ releasing.randomElement(using: &$0) }) else { return }
        let leases = world.referee.leases(of: worker.incarnation)
        incident("shut down \(worker.incarnation.workerID) at rest")
        let start = world.simulator.now
        worker.shutDown()
        let limit = scenario.failoverTime * 2 + .seconds(5)
        let slowest = try await untilRunning(leases, since: start, limit: limit)
        if slowest >= limit {
            world.referee.report(.releaseTime, "the leases that \(worker.incarnation.workerID) released are not taken")
        }
    }

    private func busiest() -> (SimulatedWorker, [String])? {
        let held = alive.map { ($0, world.referee.leases(of: $0.incarnation)) }
        return held.max { $0.1.count < $1.1.count }.flatMap { $0.1.isEmpty ? nil : $0 }
    }

    /// How long it takes until each of `leases` was initialized anew.
    private func untilRunning(_ leases: [String], since start: Timestamp, limit: Duration) async throws -> Duration {
        var slowest: Duration = .zero
        for lease in leases {
            var running: Timestamp?
            while running == nil, world.simulator.now < start + limit {
                running = world.referee.initialized(lease, since: start)
                if running == nil { try await sleep(.milliseconds(20)) }
            }
            slowest = max(slowest, running.map { $0 - start } ?? limit)
        }
        return slowest
    }
}
