import AWSWire
import KinesisConsumer
import Leases
import Machine

/// A Java KCL 2.x worker, read off its source (`Scheduler` and what it drives, tags 2.5.8 and 2.7.2): the same loops
/// at the same intervals, the same requests, and the same faults (kcl.md §0).
///
/// Where it is simpler than Java: one batch is read ahead of the processor instead of a few, and a batch whose
/// de-aggregation fails does not exist.
actor JavaWorker {
    /// What the outside hears of a worker.
    struct Hooks: Sendable {
        /// KCL would log an error although no service failed: its neighbours are to blame.
        var error: @Sendable (String) -> Void
        var event: @Sendable (WorkerEvent) -> Void
        var processor: @Sendable (_ shardID: String) -> any RecordProcessor
        /// The rest of the aggregate at this checkpoint will not be read (kcl.md §0.10).
        var skippedRest: @Sendable (_ shardID: String, Checkpoint) -> Void
        /// What is true of a row that a read did not show.
        var absence: @Sendable (_ leaseKey: String) -> Referee.Absence
    }

    /// A held lease: renewals and checkpoints of it take turns.
    final class Held {
        var lease: JavaLease
        let monitor = JavaMonitor()

        init(_ lease: JavaLease) { self.lease = lease }
    }

    nonisolated let configuration: JavaConfiguration
    let refresher: JavaLeaseRefresher
    let kinesis: KinesisClient
    let node: SimulatedNode
    let time: TimeSource
    let hooks: Hooks
    var generator: SeededGenerator

    var taker: JavaLeaseTaker
    /// `ownedLeases` of the renewer.
    var owned: [String: Held] = [:]
    /// By the token of their lease.
    var consumers: [Int: JavaConsumer] = [:]
    var lastToken = 0
    private var lastConsumer = 0
    /// What the cleanup will look at: leases as they were when their shard ended.
    var deletionQueue: [JavaLease] = []
    var completedSince: Timestamp = .zero
    var leaders: Set<String> = []
    var electsAgainAt: Timestamp?
    var holes = JavaHoleTracker()

    private var isTakerStopped = false
    private(set) var shutdownSince: Timestamp?
    private var isShutdownRequested = false
    private var isInitialized = false

    init(
        _ configuration: JavaConfiguration, refresher: JavaLeaseRefresher, kinesis: KinesisClient, node: SimulatedNode,
        hooks: Hooks, generator: SeededGenerator
    ) {
        self.configuration = configuration
        self.refresher = refresher
        self.kinesis = kinesis
        self.node = node
        self.time = node.time
        self.hooks = hooks
        self.generator = generator
        taker = JavaLeaseTaker(
            workerID: configuration.workerID, failoverTime: configuration.failoverTime,
            generation: configuration.generation)
    }

    var now: Timestamp { time.now() }
    var constants: JavaConstants { configuration.constants }

    /// Says what KCL would log as an error, where the cause is not a service that failed.
    func logged(_ error: any Error, in place: String) {
        if case .runtime(let message)? = error as? JavaFailure { hooks.error("\(place): \(message)") }
    }

    /// What KCL throws at a row that it did not find. Its reads are eventually consistent: one that does not show yet
    /// what is there is nobody's fault.
    func missing(_ leaseKey: String, _ message: String, mayBeCleanedUp: Bool = false) -> JavaFailure {
        switch hooks.absence(leaseKey) {
        case .staleRead: .ownRuntime(message)
        case .cleanedUp: mayBeCleanedUp ? .ownRuntime(message) : .runtime(message)
        case .lost: .runtime(message)
        }
    }

    func emit(_ kind: WorkerEvent.Kind, _ shardID: String? = nil, _ message: String? = nil, counter: Int64? = nil) {
        hooks.event(
            WorkerEvent(
                kind, at: time.wallClock(), workerID: configuration.workerID, shardID: shardID, leaseCounter: counter,
                message: message))
    }

    // MARK: Scheduler

    /// Returns when the worker was asked to end and did, or could not start.
    func run() async {
        do { try await initialize() } catch {
            if Task.isCancelled { return }
            shutDown()
        }
        isInitialized = true
        emit(.workerStarted)
        while !isOver, !Task.isCancelled {
            await runProcessLoop()
            try? await time.sleep(for: constants.dispatchInterval)
        }
        emit(.workerStopped)
    }

    private func initialize() async throws {
        var last: any Error = JavaFailure.killed
        for _ in 0..<constants.initializationAttempts {
            do {
                try await refresher.createTableIfMissing()
                if try await shouldInitiateLeaseSync() { try await syncShards() }
                try await startCoordinator()
                startLoops()
                return
            } catch {
                try Task.checkCancellation()
                logged(error, in: "Worker.run")
                last = error
            }
            try await time.sleep(for: constants.initializationBackoff)
        }
        throw last
    }

    /// Waits for somebody else to fill an empty table.
    private func shouldInitiateLeaseSync() async throws -> Bool {
        let until = now + .milliseconds(Int.random(in: constants.emptyTableWait, using: &generator))
        var isEmpty = true
        while now < until {
            isEmpty = try await refresher.isTableEmpty()
            if !isEmpty { return false }
            try await time.sleep(for: constants.emptyTableCheck)
        }
        return isEmpty
    }

    /// `DynamoDBLeaseRenewer.initialize`: rows with our id are ours, however old.
    private func startCoordinator() async throws {
        for var lease in try await refresher.listLeases() where lease.leaseOwner == configuration.workerID {
            guard try await refresher.renew(&lease) else { continue }
            lease.lastIncrement = now
            hold(lease)
            emit(.leaseTaken, lease.leaseKey, "its own", counter: lease.leaseCounter)
        }
    }

    private func startLoops() {
        completedSince = now
        node.spawn { await self.takerLoop() }
        node.spawn { await self.renewerLoop() }
        node.spawn { await self.cleanupLoop() }
        node.spawn { await self.auditorLoop() }
    }

    /// With a fixed delay after each run.
    private func takerLoop() async {
        while !isTakerStopped, !Task.isCancelled {
            await runTaker()
            try? await time.sleep(for: configuration.takeInterval)
        }
    }

    /// At a fixed rate: a run that was held up is followed by those that it delayed.
    private func renewerLoop() async {
        var next = now
        while shutdownSince == nil, !Task.isCancelled {
            await renewAll()
            next = next + configuration.renewInterval
            if next > now { try? await time.sleep(next) }
        }
    }

    private func cleanupLoop() async {
        var next = now
        while shutdownSince == nil, !Task.isCancelled {
            await cleanUpLeases()
            next = next + constants.cleanupInterval
            if next > now { try? await time.sleep(next) }
        }
    }

    private func auditorLoop() async {
        try? await time.sleep(for: constants.auditorDelay)
        while shutdownSince == nil, !Task.isCancelled {
            await audit()
            try? await time.sleep(for: constants.auditorInterval)
        }
    }

    private func runProcessLoop() async {
        var assigned: Set<Int> = []
        for lease in heldLeases() {
            let consumer = consumer(of: lease)
            executeLifecycle(consumer)
            assigned.insert(lease.token)
        }
        for token in consumers.keys.sorted() where !assigned.contains(token) {
            guard let consumer = consumers[token] else { continue }
            consumer.isCancelled = true
            consumer.mark(.leaseLost)
            if consumer.isShutdown {
                consumers[token] = nil
            } else {
                executeLifecycle(consumer)
            }
        }
        // Single-stream workers elect at every turn, and do nothing with it.
        do { _ = try await isLeader() } catch { logged(error, in: "Scheduler") }
    }

    /// The consumer that a task was started for, unless it was replaced meanwhile.
    func consumer(_ token: Int, _ id: Int) -> JavaConsumer? {
        consumers[token].flatMap { $0.id == id ? $0 : nil }
    }

    private func consumer(of lease: JavaLease) -> JavaConsumer {
        if let known = consumers[lease.token], !(known.isShutdown && known.reason == .leaseLost) { return known }
        lastConsumer += 1
        let consumer = JavaConsumer(lease, id: lastConsumer, processor: hooks.processor(lease.leaseKey))
        consumers[lease.token] = consumer
        return consumer
    }

    // MARK: Shutdown

    private var isOver: Bool {
        guard let shutdownSince else { return false }
        return consumers.isEmpty || now - shutdownSince >= configuration.failoverTime
    }

    /// `startGracefulShutdown`: each processor hears of it, then the leases are dropped, locally only (kcl.md §4.5).
    func requestShutdown() {
        guard !isShutdownRequested else { return }
        isShutdownRequested = true
        node.spawn { await self.shutDownGracefully() }
    }

    private func shutDownGracefully() async {
        while !isInitialized {
            do { try await time.sleep(for: .seconds(1)) } catch { return }
        }
        isTakerStopped = true
        let asked = heldLeases().compactMap { consumers[$0.token] }
        for consumer in asked {
            consumer.isCancelled = true
            consumer.mark(.requested)
        }
        while asked.contains(where: { !$0.isNotified && !$0.isShutdown }), !consumers.isEmpty {
            do { try await time.sleep(for: .seconds(1)) } catch { return }
        }
        shutDown()
    }

    private func shutDown() {
        guard shutdownSince == nil else { return }
        shutdownSince = now
        isTakerStopped = true
        owned = [:]
    }
}
