import AWSWire
import CurlTransport
import Dashboard
import Fleet
import Glibc
import KinesisConsumer
import Machine
import Metrics
import MultiLang
import Synchronization

/// A worker with its processors, its children where it has some, and its screen where there is one.
struct Consumer {
    struct TraceOptions {
        var directory: String
        var hasData: Bool
    }

    private let configuration: WorkerConfiguration
    private let connection: Connection
    private let host: SystemHost
    private let screen: ScreenOptions?
    private let role: String?
    private let worker: Worker
    private let children: Children?
    private let relay: EventRelay
    private let tally = EventTally()
    private let fate: Fate
    private let publisher: MetricsPublisher?
    private let desk: ServiceDesk?
    private let listen: ListenAddress?

    /// Why a run ends before it is asked to: `onChildFailure = exit`.
    private final class Fate: Sendable {
        private let reason = Mutex<String?>(nil)
        private let (ends, continuation) = AsyncStream.makeStream(of: Void.self)

        var fatal: String? { reason.withLock { $0 } }

        func end(_ why: String) {
            reason.withLock { if $0 == nil { $0 = why } }
            continuation.yield()
        }

        func wait() async { for await _ in ends { return } }
    }

    init(
        _ settings: DaemonSettings, _ connection: Connection, host: SystemHost, events: String?, trace: TraceOptions?,
        listen: ListenAddress?, screen: ScreenOptions?, role: String?
    ) throws {
        let daemon = settings.daemon
        let configuration = daemon.worker
        let time = connection.time
        let workerID = configuration.workerID
        let relay = EventRelay()
        let fate = Fate()
        let children: Children? =
            if daemon.builtIn == nil {
                try Children(
                    daemon, host: host, time: time, trace: trace?.directory, withData: trace?.hasData ?? false,
                    onLine: { shard, line in relay.say(line, of: shard, by: workerID, at: time.wallClock()) },
                    onFailure: { shard, reason in
                        if daemon.child.onFailure == .exit {
                            fate.end("\(shard): \(reason); onChildFailure = exit ends the worker")
                        }
                    })
            } else {
                nil
            }
        let eventFile = try events.map { try LineFile($0) }
        let output = daemon.builtIn == .print ? try LineFile("-") : nil
        let tally = tally
        let publisher = connection.cloudWatch.map { cloudWatch in
            MetricsPublisher(settings.metrics, cloudWatch: cloudWatch, time: time) { line in
                relay.say(line, by: workerID, at: time.wallClock())
            }
        }
        let desk = listen.map { _ in
            ServiceDesk(configuration, version: Shardtop.version, time: time) { now in
                (children?.application.statuses ?? []).map { ChildFigures($0, at: now) }
            }
        }
        var onMeasure: (@Sendable (WorkerMeasure) -> Void)?
        if publisher != nil || desk != nil {
            onMeasure = { measure in
                publisher?.measure(measure)
                desk?.measure(measure)
            }
        }
        worker = Worker(
            configuration, kinesis: connection.kinesis, dynamoDB: connection.dynamoDB, time: time, seed: settings.seed,
            onEvent: { event in
                tally.note(event)
                relay.pass(event)
                publisher?.observe(event)
                desk?.observe(event)
                // An empty read is a sign of life, no event.
                if event.kind == .recordsProcessed, event.records == 0 { return }
                try? eventFile?.append { event.json(seq: $0) }
            },
            onMeasure: onMeasure
        ) { shardID in
            children?.application.makeProcessor(shardID)
                ?? BuiltInProcessor(kind: daemon.builtIn ?? .count, shardID: shardID, output: output)
        }
        self.configuration = configuration
        self.connection = connection
        self.host = host
        self.screen = screen
        self.role = role
        self.children = children
        self.relay = relay
        self.fate = fate
        self.publisher = publisher
        self.desk = desk
        self.listen = listen
    }

    /// Until a signal, the screen or the worker itself ends it.
    func run() async throws {
        // Nothing ends the process from here on, and what comes before somebody hears it is kept for them.
        let keeper = SignalListener { _ in .left }
        let listener = try await startListening()
        let publishing = Task { try await publisher?.run() }
        // The worker has a task of its own: nothing that a terminal does can hold up a renewal.
        let run = Task { try await worker.run() }
        let watch = Task { () async throws -> Interruption in
            defer {
                desk?.shutdownRequested()
                worker.requestShutdown()
            }
            // The screen hears the signals itself while it is there.
            let end: Screen.End? = if let screen { try await draw(screen) } else { nil }
            // A terminal that goes may be noticed before its SIGHUP comes, which is its end and not the worker's.
            let interruption = screen == nil ? Interruption() : Interruption(heard: [SIGINT, SIGTERM])
            keeper.stop()
            if end != .quit { _ = await interruption.wait() }
            return interruption
        }
        // After the first signal a second one does not wait for anybody's last checkpoint.
        let impatience = Task {
            if let interruption = try? await watch.value, await interruption.wait() != 0 { run.cancel() }
        }
        let verdict = Task {
            await fate.wait()
            if fate.fatal != nil { run.cancel() }
        }
        let result = await run.result
        for task in [impatience, verdict] { task.cancel() }
        watch.cancel()
        await children?.end()
        publisher?.shutdown()
        _ = await publishing.result
        await listener?.shutdown()
        // The terminal is given back before anything is said.
        if case .failure(let error) = await watch.result, error is Failure { throw error }
        if let fatal = fate.fatal {
            sayCounts()
            throw Failure(fatal)
        }
        do { try result.get() } catch let refusal as WorkerRefusal {
            throw Failure(refusal.reason, status: .refused)
        } catch let error as AWSError {
            throw Failure("\(error)\(connection.place)")
        } catch is CancellationError {
            sayCounts()
            throw Failure("ended by a second signal: leases and last checkpoints were not given up in order")
        }
        sayCounts()
    }

    private func startListening() async throws -> HTTPListener? {
        guard let listen, let desk else { return nil }
        let listener = try await HTTPListener.bind(listen) { desk.page($0) }
        Output.error("shardtop consume: listening on http://\(listener.address)")
        return listener
    }

    private func sayCounts() {
        let counts = tally.counts
        Output.error(
            "shardtop consume: \(counts.records) records in \(counts.batches) batches, checkpointed "
                + "\(counts.checkpointed) times, TERMINATE \(counts.terminated), ZOMBIE \(counts.zombies), skipped "
                + "\(counts.skipped)")
    }

    /// The screen in front of the worker. It ends when it is quit, when its terminal goes, or with the worker.
    private func draw(_ screen: ScreenOptions) async throws -> Screen.End {
        let identity = FleetIdentity(
            application: configuration.applicationName, table: configuration.tableName,
            stream: configuration.streamName, region: connection.region, role: role,
            endpoint: connection.endpoint)
        let end = try await FleetScreen.run(
            FleetConfiguration(identity: identity, failoverTime: configuration.failoverTime), connection, screen,
            host: host, purpose: .consume,
            actor: Operator(
                identity, dynamoDB: connection.dynamoDB, kinesis: connection.kinesis, time: connection.time,
                audit: AuditFile.log(host), caller: AuditFile.caller(host, role: role)),
            engine: FleetScreen.Engine(
                attach: { observer, _ in
                    relay.connect { event in
                        observer.post(event)
                        // The table is there now; the observer may have looked before.
                        if event.kind == .workerStarted { observer.post(FleetMachine.Event.refreshRequested) }
                    }
                    observer.post(FleetMachine.Event.ownWorkersChanged([OwnWorker(configuration.workerID)]))
                    guard let children else { return }
                    var look = ChildrenLook()
                    repeat {
                        let views = look.views(children.application.statuses, at: connection.time.now())
                        observer.post(FleetMachine.Event.childrenChanged(views))
                    } while (try? await connection.time.sleep(for: .seconds(1))) != nil
                }, demo: { _ in },
                trace: { shardID, show in
                    children?.follow(shardID) { trace in
                        show(TraceLine(trace, at: connection.time.wallClock()))
                    }
                }))
        relay.connect(nil)
        return end
    }
}
