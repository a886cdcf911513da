import AWSWire
import Emulator
import KinesisConsumer
import Leases
import Machine
import Synchronization

/// One run of a worker of the fleet, on a node of its own.
final class SimulatedWorker: Sendable {
    let incarnation: Referee.Incarnation
    let node: SimulatedNode
    let worker: Worker

    private enum Status {
        case running, asked, ended
    }

    private let status = Mutex(Status.running)
    private let referee: Referee

    init(
        incarnation: Referee.Incarnation, node: SimulatedNode, world: World, configuration: WorkerConfiguration,
        policy: CheckpointPolicy, generator: SeededGenerator
    ) {
        self.incarnation = incarnation
        self.node = node
        self.referee = world.referee
        var generator = generator
        let referee = world.referee
        let time = node.time(under: world.options.sabotage)
        var transport: any Transport = FaultyTransport(
            ServiceTap(
                emulator: world.emulator, referee: referee, worker: incarnation,
                streamName: configuration.streamName, tableName: configuration.tableName),
            network: world.network, node: node)
        if let sabotage = world.options.sabotage {
            transport = SabotagedTransport(
                inner: transport, sabotage: sabotage, workerID: configuration.workerID)
        }
        let seed = generator.next()
        let processors = Mutex(generator.split())
        let faults = SimulatedProcessor.Faults()
        let retries = configuration.onProcessorFailure != .skip
        worker = Worker(
            configuration, kinesis: World.kinesis(transport, time, seed: generator.next()),
            dynamoDB: World.dynamoDB(transport, time, seed: generator.next()), time: time, seed: seed,
            onEvent: { event in
                referee.note(
                    "\(incarnation.workerID)#\(incarnation.number) \(event.kind.rawValue) \(event.shardID ?? "") "
                        + "\(event.message ?? "")")
                referee.happened(event, at: incarnation)
                world.record(event)
            },
            processor: { shardID in
                let tenure = referee.made(
                    shardID: shardID, owner: incarnation, retriesFailedBatches: retries)
                return SimulatedProcessor(
                    referee: referee, tenure: tenure, policy: policy, faults: faults, time: time,
                    generator: processors.withLock { $0.split() })
            })
    }

    var isAlive: Bool { status.withLock { $0 == .running } && !referee.isDead(incarnation) }
    var isKilled: Bool { referee.isDead(incarnation) }
    var hasEnded: Bool { status.withLock { $0 == .ended } }

    func start() {
        node.spawn {
            var reason = ""
            do { try await self.worker.run() } catch { reason = ": \(error)" }
            let wasAsked = self.status.withLock { status in
                defer { status = .ended }
                return status == .asked
            }
            if !wasAsked, !self.referee.isDead(self.incarnation) {
                self.referee.report(.workerRuns, "\(self.incarnation.workerID) ended by itself\(reason)")
            }
            self.referee.ended(self.incarnation)
        }
    }

    func shutDown() {
        status.withLock { status in
            if status == .running { status = .asked }
        }
        worker.requestShutdown()
    }

    func kill() {
        referee.killed(incarnation)
        node.kill()
    }
}

extension Referee {
    var hasViolations: Bool { state.withLock { $0.report.violationCount > 0 } }

    /// Whether the fleet came to rest after the turmoil.
    var isCalm: Bool { state.withLock { $0.calmSince != nil } }

    func calm() { state.withLock { $0.calmSince = $0.calmSince ?? now } }

    func isDead(_ incarnation: Incarnation) -> Bool { state.withLock { $0.dead.contains(incarnation) } }
}
