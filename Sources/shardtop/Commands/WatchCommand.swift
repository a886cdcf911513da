import ArgumentParser
import CurlTransport
import Dashboard
import Fleet
import Machine
import Synchronization

struct WatchCommand: AsyncParsableCommand, HandlesSignals {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Watch a KCL application, whoever wrote its workers.",
        discussion: """
            It reads the lease table and, with --stream, the stream's shards. It writes only with --write. With \
            --headless there is no screen: it serves what it sees to Prometheus (--listen) or records it (--record), \
            until SIGINT or SIGTERM.
            """)

    @OptionGroup var fleet: FleetOptions
    @OptionGroup var screen: ScreenOptions

    @OptionGroup var refresh: RefreshOptions
    @OptionGroup var lag: LagOptions

    @Option(help: "Write what changes as NDJSON, for `replay`.")
    var record: String?

    @Option(help: "With --write: why, for the audit of each action.")
    var reason: String?

    @Flag(help: "No screen.")
    var headless = false

    @Option(help: "Serve /metrics, /healthz and /readyz, with --headless: a port of loopback, or HOST:PORT.")
    var listen: String?

    func validate() throws {
        if let listen {
            guard headless else { throw ValidationError("--listen goes with --headless") }
            guard ListenAddress(listen) != nil else {
                throw ValidationError("--listen \(listen): write a port, HOST:PORT or [IPV6]:PORT")
            }
        } else if headless, record == nil {
            throw ValidationError("--headless shows nothing: give --listen HOST:PORT, or --record FILE")
        }
        guard !(headless && fleet.write) else { throw ValidationError("--write goes with the screen, not --headless") }
    }

    func run() async throws {
        // Before anything else, so that a signal that comes early is not lost.
        let interruption = headless ? Interruption() : nil
        let host = SystemHost()
        var fleet = try await self.fleet.open(host)
        defer { fleet.close() }
        try refresh.apply(to: &fleet)
        lag.apply(to: &fleet)
        if fleet.configuration.identity.isWritable { try fleet.settings.check(reason: reason) }
        let recording = try record.map { try LineFile($0, truncating: true) }
        if let interruption {
            return try await HeadlessWatch(fleet, listen: listen.flatMap { ListenAddress($0) }, recording: recording)
                .run(until: interruption)
        }
        try await FleetScreen.run(
            fleet.configuration, fleet.connection, screen, host: host, purpose: .watch, actor: fleet.actor,
            reason: reason, recording: recording)
    }
}

/// An observer, an operator and the screen in front of them.
enum FleetScreen {
    /// What the embedding program adds to a fleet that it runs itself.
    struct Engine: Sendable {
        /// Connects the workers' events to the observer, and reports the workers.
        var attach: @Sendable (Observer, Screen) async -> Void
        var demo: @Sendable (Dashboard.DemoCommand) -> Void
        /// Passes the protocol of a shard's child on from now on; `nil` ends it.
        var trace: @Sendable (String?, @escaping @Sendable (TraceLine) -> Void) -> Void = { _, _ in }
    }

    @discardableResult
    static func run(
        _ configuration: FleetConfiguration, _ connection: Connection, _ options: ScreenOptions, host: SystemHost,
        purpose: Model.Configuration.Purpose, actor: Operator, reason: String? = nil, recording: LineFile? = nil,
        engine: Engine? = nil
    ) async throws -> Screen.End {
        let post = ObserverBox()
        let desk = PlanDesk(
            connection, host: host, since: configuration.identity.isDemo ? connection.time.wallClock() : nil)
        let past = PastDesk(
            Timeline(configuration, at: connection.time.now(), wallClock: connection.time.wallClock()))
        let doors = Screen.Doors(
            plan: { request, newest in try await desk.answer(request, newest) },
            perform: { plan in
                let outcome = await actor.perform(plan, reason: reason)
                post.observer?.note(plan, outcome)
                return outcome
            },
            performSet: { set, goesOn, done in
                await actor.perform(set, goesOn: goesOn) { plan, outcome, count in
                    post.observer?.note(plan, outcome)
                    done(count)
                }
            },
            setRefresh: { interval in post.observer?.post(FleetMachine.Event.refreshChanged(.every(interval))) },
            refreshNow: { post.observer?.post(FleetMachine.Event.refreshRequested) },
            showRows: { keys in
                // Of workers that we run ourselves we hear sooner than by reading.
                if purpose == .watch { post.observer?.post(FleetMachine.Event.rowsShown(keys)) }
            },
            demo: { command in engine?.demo(command) },
            trace: { shard in engine?.trace(shard) { post.screen?.trace($0) } },
            showPast: { past.show($0, $1) })
        let screen = try Screen(options, purpose: purpose, host: host, time: connection.time, doors: doors)
        let observer = Observer(
            configuration, dynamoDB: connection.dynamoDB,
            kinesis: connection.kinesis, cloudWatch: connection.cloudWatch,
            time: connection.time,
            record: recording?.recorder, heard: { past.note($0, at: $1) },
            publish: { screen.show($0) })
        post.set(observer, screen)
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await observer.run() }
            if let engine { group.addTask { await engine.attach(observer, screen) } }
            let end = await screen.run()
            group.cancelAll()
            return end
        }
    }
}

/// The observer is made after the screen that it publishes to.
private final class ObserverBox: Sendable {
    private let box = Mutex<(observer: Observer, screen: Screen)?>(nil)

    var observer: Observer? { box.withLock { $0?.observer } }
    var screen: Screen? { box.withLock { $0?.screen } }

    func set(_ observer: Observer, _ screen: Screen) { box.withLock { $0 = (observer, screen) } }
}
