import ArgumentParser
import CurlTransport
import Dashboard
import Emulator
import Fleet
import KinesisConsumer
import Machine

struct DemoCommand: AsyncParsableCommand, HandlesSignals {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "A fleet of real workers on an emulated stream, in this process.")

    @Option(help: "Shards of the stream.")
    var shards = 4

    @Option(help: "Workers to start with.")
    var workers = 3

    @Option(help: "Records a second.")
    var rate = 200.0

    @Option(help: "Makes the run's random choices repeatable.")
    var seed: UInt64 = 1

    @Option(help: "failoverTimeMillis of the workers.")
    var failoverTime: Duration = .seconds(3)

    @Option(help: "Serve the same emulator on this port of 127.0.0.1, for the AWS CLI.")
    var port: Int?

    @Flag(help: "Draw nothing; end with one line.")
    var headless = false

    @Option(name: .customLong("for"), help: "How long to run.")
    var duration: Duration?

    @Option(help: "Write events as NDJSON; - is stdout.")
    var events: String?

    @Option(help: "Show a scenario: \(Scenario.names.joined(separator: ", ")).")
    var scenario: String?

    @OptionGroup var screen: ScreenOptions

    func validate() throws {
        guard port.map({ 0...65_535 ~= $0 }) ?? true else { throw ValidationError("--port must be 0 to 65535") }
        guard 1...256 ~= shards else { throw ValidationError("--shards must be 1 to 256") }
        guard 0...64 ~= workers else { throw ValidationError("--workers must be 0 to 64") }
        guard 0...100_000 ~= rate else { throw ValidationError("--rate must be 0 to 100000") }
        if let scenario, !Scenario.names.contains(scenario) {
            throw ValidationError("no scenario \(scenario); there are \(Scenario.names.joined(separator: ", "))")
        }
    }

    func run() async throws {
        var options = DemoFleet.Options()
        options.shards = shards
        options.workers = workers
        options.workload.rate = rate
        options.seed = seed
        options.failoverTime = failoverTime
        let script = scenario.flatMap { Scenario.named($0) }
        script?.prepare(&options)
        let fleet = DemoFleet(options, time: .system)
        let tally = EventTally()
        let file = try events.map { try LineFile($0) }
        fleet.onEvent { event in
            tally.note(event)
            if event.kind == .recordsProcessed, event.records == 0 { return }
            try? file?.append { event.json(seq: $0) }
        }
        let server = try await port.asyncMap {
            try await EmulateCommand.serve(
                fleet.emulator, port: $0, limits: EmulatorServer.Limits(openFilesMax: OpenFiles.allowed))
        }
        let isDrawn = try !headless && events != "-" && (Output.isTerminal || screen.isAccessible(SystemHost()))
        try await withThrowingTaskGroup(of: Void.self) { group in
            if let server { group.addTask { await server.run() } }
            group.addTask { await fleet.producer.run() }
            try await fleet.start()
            if isDrawn {
                try await draw(fleet, script)
            } else {
                await runHeadless(fleet, script)
            }
            fleet.producer.stop()
            try? await fleet.time.sleep(for: .milliseconds(800))
            await fleet.stop()
            server?.shutdown()
            group.cancelAll()
        }
        Output.print("shardtop demo: \(tally.counts.summary(fleet.ledger.counts))")
    }

    /// Until the time is over, the scenario has ended or a signal comes.
    private func runHeadless(_ fleet: DemoFleet, _ script: Scenario?) async {
        let interruption = Interruption()
        if duration == nil, script == nil {
            Output.error("shardtop demo: running without a screen until Ctrl-C; --for 30s ends it by itself")
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = await interruption.wait() }
            if let duration { group.addTask { try? await fleet.time.sleep(for: duration) } }
            if let script {
                group.addTask {
                    await ScenarioPlayer(fleet).play(script) { caption in
                        Output.error("[\(caption.step)/\(caption.steps)] \(caption.title): \(caption.text)")
                    }
                    if duration != nil { try? await fleet.time.sleep(.never) }
                }
            }
            await group.next()
            group.cancelAll()
        }
    }

    private func draw(_ fleet: DemoFleet, _ script: Scenario?) async throws {
        let host = SystemHost()
        let desk = DemoDesk(fleet)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await FleetScreen.run(
                    desk.configuration, fleet.connection, screen, host: host, purpose: .demo,
                    actor: desk.actor(AuditFile.log(host)), engine: desk.engine(script))
            }
            if let duration { group.addTask { try? await fleet.time.sleep(for: duration) } }
            try await group.next()
            group.cancelAll()
        }
    }
}

extension Optional {
    fileprivate func asyncMap<T>(_ transform: (Wrapped) async throws -> T) async rethrows -> T? {
        if let self { try await transform(self) } else { nil }
    }
}
