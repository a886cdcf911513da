import AWSWire
import Emulator
import KinesisConsumer
import Leases
import Machine
import Synchronization

/// One run of a worker of the fleet, on a node of its own.
final class SimulatedWorker: Sendable {
    /// What a worker is made of.
    enum Configuration: Sendable {
        case swift(WorkerConfiguration)
        case java(JavaConfiguration)
    }

    enum Engine: Sendable {
        case swift(Worker)
        case java(JavaWorker)
    }

    let incarnation: Referee.Incarnation
    let node: SimulatedNode
    let configuration: Configuration
    let engine: Engine

    private enum Status {
        case running, asked, ended
    }

    private let status = Mutex(Status.running)
    private let referee: Referee

    init(
        incarnation: Referee.Incarnation, node: SimulatedNode, world: World, configuration: Configuration,
        policy: CheckpointPolicy, generator: SeededGenerator
    ) {
        self.incarnation = incarnation
        self.node = node
        self.configuration = configuration
        self.referee = world.referee
        referee.joined(
            incarnation,
            Referee.Traits(isJava: configuration.isJava, failoverTime: configuration.failoverTime))
        var generator = generator
        switch configuration {
        case .swift(let configuration):
            engine = .swift(
                Self.swift(incarnation, node, world, configuration, policy: policy, generator: &generator))
        case .java(let configuration):
            engine = .java(Self.java(incarnation, node, world, configuration, policy: policy, generator: &generator))
        }
    }

    private static func transport(_ incarnation: Referee.Incarnation, _ node: SimulatedNode, _ world: World)
        -> any Transport
    {
        FaultyTransport(
            ServiceTap(
                emulator: world.emulator, referee: world.referee, worker: incarnation, streamName: World.streamName,
                tableName: World.applicationName),
            network: world.network, node: node)
    }

    private static func processors(
        _ incarnation: Referee.Incarnation, _ world: World, _ time: TimeSource, policy: CheckpointPolicy,
        retries: Bool, _ generator: SeededGenerator
    ) -> @Sendable (String) -> any RecordProcessor {
        let generators = Mutex(generator)
        let referee = world.referee
        return { shardID in
            let tenure = referee.made(shardID: shardID, owner: incarnation, retriesFailedBatches: retries)
            return SimulatedProcessor(
                referee: referee, tenure: tenure, policy: policy, faults: SimulatedProcessor.Faults(), time: time,
                generator: generators.withLock { $0.split() })
        }
    }

    private static func listener(
        _ incarnation: Referee.Incarnation, _ world: World
    ) -> @Sendable (WorkerEvent) -> Void {
        let referee = world.referee
        return { event in
            referee.note(
                "\(incarnation.workerID)#\(incarnation.number) \(event.kind.rawValue) \(event.shardID ?? "") "
                    + "\(event.message ?? "")")
            referee.happened(event, at: incarnation)
            world.record(event)
        }
    }

    private static func swift(
        _ incarnation: Referee.Incarnation, _ node: SimulatedNode, _ world: World,
        _ configuration: WorkerConfiguration, policy: CheckpointPolicy, generator: inout SeededGenerator
    ) -> Worker {
        let time = node.time(under: world.options.sabotage)
        var transport = transport(incarnation, node, world)
        if let sabotage = world.options.sabotage {
            transport = SabotagedTransport(transport, sabotage, workerID: configuration.workerID, time: time)
        }
        let seed = generator.next()
        let processors = processors(
            incarnation, world, time, policy: policy, retries: configuration.onProcessorFailure != .skip,
            generator.split())
        return Worker(
            configuration, kinesis: World.kinesis(transport, time, seed: generator.next()),
            dynamoDB: World.dynamoDB(transport, time, seed: generator.next()), time: time, seed: seed,
            onEvent: listener(incarnation, world), processor: processors)
    }

    private static func java(
        _ incarnation: Referee.Incarnation, _ node: SimulatedNode, _ world: World, _ configuration: JavaConfiguration,
        policy: CheckpointPolicy, generator: inout SeededGenerator
    ) -> JavaWorker {
        let transport = transport(incarnation, node, world)
        let referee = world.referee
        return JavaWorker(
            configuration,
            refresher: JavaLeaseRefresher(
                client: World.dynamoDB(transport, node.time, seed: generator.next()).client,
                table: configuration.tableName, time: node.time),
            kinesis: World.kinesis(transport, node.time, seed: generator.next()), node: node,
            hooks: JavaWorker.Hooks(
                error: { referee.javaError($0, of: incarnation) }, event: listener(incarnation, world),
                processor: processors(
                    incarnation, world, node.time, policy: policy, retries: false, generator.split()),
                skippedRest: { referee.skippedRest(of: $0, $1) },
                absence: { referee.absence(of: $0) }),
            generator: generator.split())
    }

    var isAlive: Bool { status.withLock { $0 == .running } && !referee.isDead(incarnation) }
    var isKilled: Bool { referee.isDead(incarnation) }
    var hasEnded: Bool { status.withLock { $0 == .ended } }
    var isJava: Bool { configuration.isJava }

    func start() {
        node.spawn {
            var reason = ""
            switch self.engine {
            case .swift(let worker): do { try await worker.run() } catch { reason = ": \(error)" }
            case .java(let worker): await worker.run()
            }
            let wasAsked = self.status.withLock { status in
                defer { status = .ended }
                return status == .asked
            }
            // A Java worker that cannot start gives up, after twenty tries.
            if !wasAsked, !self.isJava, !self.referee.isDead(self.incarnation) {
                self.referee.report(.workerRuns, "\(self.incarnation.workerID) ended by itself\(reason)")
            }
            self.referee.ended(self.incarnation)
        }
    }

    func shutDown() {
        status.withLock { status in
            if status == .running { status = .asked }
        }
        switch engine {
        case .swift(let worker): worker.requestShutdown()
        case .java(let worker): node.spawn { await worker.requestShutdown() }
        }
    }

    func kill() {
        referee.killed(incarnation)
        node.kill()
    }
}

extension SimulatedWorker.Configuration {
    var isJava: Bool { if case .java = self { true } else { false } }

    var failoverTime: Duration {
        switch self {
        case .swift(let configuration): configuration.failoverTime
        case .java(let configuration): configuration.failoverTime
        }
    }

    /// Java never gives its leases up when it ends.
    var releasesLeases: Bool {
        if case .swift(let configuration) = self { configuration.releaseLeasesOnShutdown } else { false }
    }
}

extension Referee {
    var hasViolations: Bool { state.withLock { $0.report.violationCount > 0 } }

    /// Whether the fleet came to rest after the turmoil.
    var isCalm: Bool { state.withLock { $0.calmSince != nil } }

    func calm() { state.withLock { $0.calmSince = $0.calmSince ?? now } }

    func isDead(_ incarnation: Incarnation) -> Bool { state.withLock { $0.dead.contains(incarnation) } }
}
