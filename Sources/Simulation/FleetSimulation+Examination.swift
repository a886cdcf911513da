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
        guard try await splitAtRest() else { return }
        try await killAtRest()
        guard try await comesToRest() else { return }
        try await shutDownAtRest()
        _ = try await comesToRest()
    }

    /// Waits until the fleet is at rest and stays so until every worker has read the whole table once more: until then
    /// they may disagree on who reads which part of it, and a released lease is found late.
    private func comesToRest() async throws -> Bool {
        let start = world.simulator.now
        var limit = start + (isMixed ? mixedPatience : scenario.failoverTime * world.options.restWithin)
        var isPatient = false
        var balance: Balance?
        var since: Timestamp?
        var reason: (Invariant, String)?
        while world.simulator.now < limit {
            try await sleep(.milliseconds(500))
            if isMixed { balance = self.balance(after: balance, since: start) }
            let open = (try? await world.trueKinesis.listShards(stream: World.streamName))?.filter(\.isOpen) ?? []
            if let why = world.referee.whyNotAtRest(alive.map(\.incarnation), open: Set(open.map(\.shardID))) {
                (since, reason) = (nil, why)
                // Only the auditor repairs what a sync that was cut short left out.
                if isMixed, !isPatient, why.1.hasPrefix("nobody covers") {
                    isPatient = true
                    limit = limit + auditPatience
                }
            } else if world.simulator.now - (since ?? world.simulator.now) >= failoverTimeMax * 2.1 {
                world.referee.calm()
                if let balance, let since { checkBalance(balance, reached: since) }
                world.referee.note("at rest")
                return true
            } else {
                since = since ?? world.simulator.now
            }
        }
        let (invariant, message) = reason ?? (.quietAtRest, "no peace")
        world.referee.report(invariant, "no rest within \((limit - start).inSeconds) s: \(message)")
        return false
    }

    /// For some takers' runs of every worker nothing changes hands, and the table is read sparingly.
    private func staysAtRest() async throws {
        let start = world.simulator.now
        let before = world.referee.state.withLock { ($0.ownershipChanges, $0.scannedRows) }
        let window = failoverTimeMax * 7
        try await sleep(window)
        let after = world.referee.state.withLock { ($0.ownershipChanges, $0.scannedRows) }
        let reads = (after.1 - before.1) / window.inSeconds
        world.referee.state.withLock { $0.report.tableReadsPerSecond = (reads * 100).rounded() / 100 }
        // Where a completed lease goes, the shares are others.
        let isDisturbed = isMixed && world.referee.state.withLock { $0.disturbedAt > start }
        if after.0 != before.0, !isDisturbed {
            world.referee.report(.quietAtRest, "\(after.0 - before.0) leases changed hands in \(window.inSeconds) s")
        }
        // A Java worker reads the table as a taker, and one of them as the auditor; all of them elect.
        let java = Double(alive.count(where: \.isJava)) / 10
        let shortest = alive.map(\.configuration.failoverTime).min() ?? scenario.failoverTime
        let most = Referee.tableReadsPerSecondMax(workers: alive.count, failoverTime: shortest) + java
        if reads > most {
            world.referee.report(.readBudget, "the table is read \(reads) times a second; \(most) are allowed")
        }
    }

    private func releaseAtRest() async throws {
        guard let (worker, leases) = busiest(where: { !$0.isJava }) else { return }
        incident("release \(leases[0]) by \(worker.incarnation.workerID) at rest")
        release(leases[0], by: worker)
        let start = world.simulator.now
        try await sleep(.seconds(5))
        guard isMixed else { return }
        let slowest = try await untilRunning([leases[0]], since: start, limit: takeoverMax)
        if slowest >= takeoverMax {
            world.referee.report(.releaseTime, "\(leases[0]) is not taken within \(takeoverMax.inSeconds) s")
        }
    }

    /// Several new leases at a time, which nobody owned yet.
    private func splitAtRest() async throws -> Bool {
        for _ in 0..<3 {
            // A stream that is being resharded refuses.
            while try await world.trueKinesis.describeStreamSummary(World.streamName).status != "ACTIVE" {
                try await sleep(.milliseconds(100))
            }
            try await split()
        }
        return try await comesToRest()
    }

    private func killAtRest() async throws {
        guard let (worker, leases) = busiest() else { return }
        incident("kill \(worker.incarnation.workerID) at rest")
        let start = world.simulator.now
        worker.kill()
        let allowed = isMixed ? takeoverMax : scenario.failoverTime * 1.2 + .seconds(2) + scenario.staleness
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
        let releasing = alive.filter(\.configuration.releasesLeases)
        guard let worker = random({ releasing.randomElement(using: &$0) }) else { return }
        let leases = world.referee.leases(of: worker.incarnation)
        incident("shut down \(worker.incarnation.workerID) at rest")
        let start = world.simulator.now
        worker.shutDown()
        let limit = isMixed ? takeoverMax : scenario.failoverTime * 2 + .seconds(5)
        let slowest = try await untilRunning(leases, since: start, limit: limit)
        if slowest >= limit {
            world.referee.report(.releaseTime, "the leases that \(worker.incarnation.workerID) released are not taken")
        }
    }

    private func busiest(
        where isCandidate: (SimulatedWorker) -> Bool = { _ in true }
    ) -> (SimulatedWorker, [String])? {
        let held = alive.filter(isCandidate).map { ($0, world.referee.leases(of: $0.incarnation)) }
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
