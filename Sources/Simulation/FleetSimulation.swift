import AWSWire
import Emulator
import Fleet
import KinesisConsumer
import Leases
import Machine
import Synchronization

/// Runs one seed: a fleet on an emulated stream goes through a scenario, comes to rest, and is examined.
///
/// The result depends on nothing but the arguments; the same seed always gives the same report, trace hash included.
///
/// - Parameters:
///   - record: gets the run as a recording for `shardtop replay`, line by line, when it is over.
///   - trace: gets everything that the trace hash covers, a line each: writes, calls, events and incidents.
package func simulate(
    seed: UInt64, options: SimulationOptions = SimulationOptions(), record: ((String) -> Void)? = nil,
    trace: ((String) -> Void)? = nil
) -> SimulationReport {
    let (recorded, traced) = (Lines(isWanted: record != nil), Lines(isWanted: trace != nil))
    let report = FleetSimulation(
        seed: seed, options: options, recorder: recorded.listener, tracer: traced.listener
    ).run()
    if let record { recorded.pass(to: record) }
    if let trace { traced.pass(to: trace) }
    return report
}

/// Lines that wait until the run is over.
private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    private let isWanted: Bool

    init(isWanted: Bool) { self.isWanted = isWanted }

    var listener: (@Sendable (String) -> Void)? {
        guard isWanted else { return nil }
        return { line in self.lines.withLock { $0.append(line) } }
    }

    func pass(to receiver: (String) -> Void) {
        for line in lines.withLock({ $0 }) { receiver(line) }
    }
}

final class FleetSimulation: Sendable {
    struct State {
        var workers: [SimulatedWorker] = []
        var generator: SeededGenerator
        /// When the director was done.
        var ended: Timestamp?
    }

    let world: World
    let scenario: Scenario
    private let spectator: SimulatedNode
    let state: Mutex<State>

    init(
        seed: UInt64, options: SimulationOptions, recorder: (@Sendable (String) -> Void)?,
        tracer: (@Sendable (String) -> Void)?
    ) {
        var generator = SeededGenerator(seed: seed)
        let scenario = Scenario(options: options, generator: &generator)
        let simulator = Simulator(seed: generator.next())
        let earth = SimulatedNode("earth", number: 0, simulator: simulator)
        var configuration = EmulatorConfiguration()
        if scenario.staleness > .zero {
            configuration.dynamoDB.staleReads = DynamoDBSettings.StaleReads(
                probability: 0.1, ageMax: scenario.staleness)
        }
        // So that a run sees subscriptions end by themselves.
        configuration.subscriptionLifetime = .seconds(20)
        let trace = Trace(listener: tracer)
        let emulator = Emulator(configuration: configuration, time: simulator.time, seed: generator.next())
        self.scenario = scenario
        spectator = SimulatedNode("spectator", number: -1, isSpectator: true, simulator: simulator)
        world = World(
            seed: generator.next(), options: options, failoverTime: scenario.failoverTime, simulator: simulator,
            earth: earth, network: Network(faults: scenario.faults, seed: generator.next(), carrier: earth),
            emulator: emulator,
            referee: Referee(
                seed: seed, failoverTime: scenario.failoverTime, staleness: scenario.staleness, trace: trace,
                clock: { simulator.now }),
            observer: recorder.map {
                Self.observer(of: emulator, failoverTime: scenario.failoverTime, time: simulator.time, recorder: $0)
            })
        state = Mutex(State(generator: generator))
    }

    /// Watches as `shardtop watch` does; what it records can be replayed.
    private static func observer(
        of emulator: Emulator, failoverTime: Duration, time: TimeSource, recorder: @escaping @Sendable (String) -> Void
    ) -> Observer {
        let door = ConsistentDoor(emulator: emulator)
        let identity = FleetIdentity(
            application: World.applicationName, table: World.applicationName, stream: World.streamName,
            region: World.region)
        return Observer(
            FleetConfiguration(identity: identity, failoverTime: failoverTime, autoRefresh: .seconds(1)),
            dynamoDB: World.dynamoDB(door, time, seed: 0), kinesis: World.kinesis(door, time, seed: 0), time: time,
            record: { $0.forEach(recorder) }, publish: { _ in })
    }

    func run() -> SimulationReport {
        if let observer = world.observer { spectator.spawn { try? await observer.run() } }
        world.earth.spawn { await self.direct() }
        if !runsToTheEnd() {
            world.referee.report(.simulationHolds, "the run did not come to its end")
        }
        if world.simulator.escapes > 0 {
            world.referee.report(.simulationHolds, "\(world.simulator.escapes) jobs ran outside of the simulator")
        }
        var report = world.referee.state.withLock { $0.report }
        report.virtualDuration = (state.withLock { $0.ended } ?? world.simulator.now) - .zero
        report.jobs = world.simulator.jobsRun
        world.referee.note("end after \(report.jobs) jobs")
        report.traceHash = world.referee.trace.hash
        // What is left over is cancelled, so that nothing of this run outlives it.
        for worker in state.withLock({ $0.workers }) { worker.node.kill() }
        world.earth.kill()
        spectator.kill()
        world.simulator.run(jobsMax: 1_000_000)
        return report
    }

    private func runsToTheEnd() -> Bool {
        let limit = Timestamp.zero + .seconds(60 * world.options.minutesMax)
        var ending = Simulator.Ending.reachedTime
        while ending == .reachedTime, world.simulator.now < limit {
            ending = world.simulator.run(until: world.simulator.now + .seconds(1))
            if world.options.stopsAtViolation, world.referee.hasViolations { return true }
        }
        return ending == .idle && state.withLock { $0.ended } != nil
    }

    var alive: [SimulatedWorker] { state.withLock { $0.workers.filter(\.isAlive) } }

    func random<T>(_ body: (inout SeededGenerator) -> T) -> T { state.withLock { body(&$0.generator) } }

    func incident(_ text: String) {
        world.referee.state.withLock {
            $0.report.incidents.append("\((world.simulator.now - .zero).inSeconds) \(text)")
        }
        world.referee.note("INCIDENT \(text)")
        world.record(
            WorkerEvent(.operatorAction, at: world.simulator.time.wallClock(), message: "simulation: \(text)"))
    }

    // MARK: Workers

    /// Starts a worker; `id` is that of an earlier one where it restarts.
    ///
    /// - Parameter isJava: the seed decides where this is `nil`, in the fleet's proportion.
    @discardableResult
    func startWorker(id: String? = nil, isJava: Bool? = nil) -> SimulatedWorker {
        let worker = state.withLock { state in
            let number = state.workers.count + 1
            let share = Double(world.options.javaWorkers) / Double(max(1, world.options.workers))
            let isJava = isJava ?? (share > 0 && state.generator.chance(share))
            let workerID = id ?? "\(isJava ? "java" : "worker")-\(number)"
            var generator = state.generator.split()
            let node = SimulatedNode(
                "\(workerID)#\(number)", number: number, clock: Self.clock(number, &generator),
                simulator: world.simulator)
            let policies = CheckpointPolicy.allCases
            let worker = SimulatedWorker(
                incarnation: Referee.Incarnation(number: number, workerID: workerID), node: node, world: world,
                configuration: configuration(workerID, isJava: isJava, number: number, &generator),
                policy: policies.randomElement(using: &generator) ?? .everyBatch, generator: generator)
            state.workers.append(worker)
            return worker
        }
        let own = scenario.mix?.hasOwnFailoverTimes == true
        let failoverTime = own ? " with \(worker.configuration.failoverTime.inSeconds) s" : ""
        incident("start \(worker.incarnation.workerID)#\(worker.incarnation.number)\(failoverTime)")
        worker.start()
        return worker
    }

    private static func clock(_ number: Int, _ generator: inout SeededGenerator) -> NodeClock {
        NodeClock(
            origin: Timestamp(nanoseconds: Int64(number) * 86_400_000_000_000),
            driftPPM: Int64.random(in: -200...200, using: &generator),
            wallOffset: generator.chance(0.1)
                ? .seconds(600) : .milliseconds(Int.random(in: -3000...3000, using: &generator)))
    }

    private func configuration(
        _ workerID: String, isJava: Bool, number: Int, _ generator: inout SeededGenerator
    ) -> SimulatedWorker.Configuration {
        guard let mix = scenario.mix else { return .swift(configuration(workerID, &generator)) }
        let failoverTime =
            mix.hasOwnFailoverTimes
            ? .seconds([3, 5, 10].randomElement(using: &generator) ?? 5) : scenario.failoverTime
        // The first workers fill the table; who comes later finds its leases. One that comes before a slow sync is done
        // gives LATEST to what is missing, by KCL's rule (kcl.md §5.1): then it is configured as the others.
        let wantsLatest = mix.hasOwnPositions && number > world.options.workers && generator.chance(0.5)
        let isLatest = wantsLatest && world.referee.everExisted(World.shards(world.options.shards))
        if isJava {
            return .java(
                JavaConfiguration(
                    workerID: workerID, streamName: World.streamName, tableName: World.applicationName,
                    initialPosition: isLatest ? .latest : .trimHorizon, failoverTime: failoverTime,
                    generation: mix.generation,
                    idleTimeBetweenReads: .milliseconds(Int.random(in: 1000...1500, using: &generator)),
                    constants: mix.constants))
        }
        var ours = configuration(workerID, &generator)
        ours.failoverTime = failoverTime
        if isLatest { ours.initialPosition = .latest }
        return .swift(ours)
    }

    private func configuration(_ workerID: String, _ generator: inout SeededGenerator) -> WorkerConfiguration {
        var configuration = WorkerConfiguration(
            applicationName: World.applicationName, streamName: World.streamName, workerID: workerID,
            generator: &generator)
        configuration.initialPosition = .trimHorizon
        configuration.failoverTime = scenario.failoverTime
        configuration.onProcessorFailure = generator.chance(0.5) ? .retry : .skip
        configuration.releaseLeasesOnShutdown = generator.chance(0.7)
        configuration.idleTimeBetweenReads = .milliseconds(Int.random(in: 1000...3000, using: &generator))
        configuration.parentShardPollInterval = .seconds(2)
        configuration.completedLeaseCleanupInterval = .seconds(20)
        configuration.leasesRecoveryAuditorInterval = .seconds(15)
        configuration.shutdownGrace = .seconds(5)
        // No choice of the seed is used up where nobody subscribes.
        if world.options.fanOut > 0, generator.chance(world.options.fanOut) {
            configuration.retrieval = .fanOut(FanOutConsumer())
        }
        return configuration
    }

    // MARK: The course of things

    private func direct() async {
        do {
            try await createStream()
            let producer = Producer(world: world, generator: random { $0.split() })
            world.earth.spawn { try? await producer.run() }
            for isJava in firstWorkers() {
                startWorker(isJava: isJava)
                try await sleep(.milliseconds(random { Int.random(in: 0...1500, using: &$0) }))
            }
            await turmoil()
            try Task.checkCancellation()
            calmDown()
            try await examine()
            producer.stop()
            // What was put last has to arrive.
            for _ in 0..<60 where !producer.hasEnded || world.referee.hasUndelivered {
                try await sleep(.milliseconds(500))
            }
            try await finish()
        } catch is CancellationError {
            // The run is over before its end.
        } catch {
            world.referee.report(.simulationHolds, "the director failed: \(error)")
        }
        state.withLock { $0.ended = world.simulator.now }
        world.observer?.post(.stopRequested)
    }

    /// Which of the first workers are Java ones.
    private func firstWorkers() -> [Bool] {
        let java = min(world.options.javaWorkers, world.options.workers)
        let kinds = (0..<world.options.workers).map { $0 < java }
        return java == 0 ? kinds : random { kinds.shuffled(using: &$0) }
    }

    func sleep(_ duration: Duration) async throws { try await world.simulator.time.sleep(for: duration) }

    private func createStream() async throws {
        let kinesis = world.trueKinesis
        try await kinesis.createStream(World.streamName, shards: world.options.shards)
        for _ in 0..<100 where try await kinesis.describeStreamSummary(World.streamName).status != "ACTIVE" {
            try await sleep(.milliseconds(100))
        }
    }

    private func turmoil() async {
        let start = world.simulator.now
        await withDiscardingTaskGroup { group in
            for (at, incident) in scenario.incidents {
                group.addTask {
                    do {
                        try await self.world.simulator.time.sleep(start + at)
                        try await self.perform(incident)
                    } catch {
                        // A split or merge that the stream refuses now is none.
                        self.world.referee.note("refused: \(error)")
                    }
                }
            }
            group.addTask { try? await self.sleep(self.world.options.turmoil) }
        }
    }

    private func calmDown() {
        incident("calm")
        world.network.setFaults(.none)
        world.network.repairAll()
        for worker in alive where worker.node.isPaused { worker.node.resume() }
        while alive.count < world.options.workers {
            startWorker(isJava: alive.count(where: \.isJava) < world.options.javaWorkers)
        }
    }

    /// Everybody is shut down; each processor hears how its tenure ended.
    private func finish() async throws {
        incident("finish")
        for worker in alive { worker.shutDown() }
        let limit = world.simulator.now + .seconds(60) + failoverTimeMax * 2
        while world.simulator.now < limit, state.withLock({ $0.workers.contains { $0.isWaitedFor } }) {
            try await sleep(.milliseconds(500))
        }
        for worker in state.withLock({ $0.workers }) where worker.isWaitedFor {
            world.referee.report(.workerRuns, "\(worker.incarnation.workerID) does not end when it is shut down")
        }
        world.referee.checkEnd()
    }
}

extension SimulatedWorker {
    /// Asked to end, and has not.
    var isWaitedFor: Bool { !hasEnded && !isKilled }
}
