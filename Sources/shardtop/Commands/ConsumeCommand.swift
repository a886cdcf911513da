import AWSWire
import ArgumentParser
import CurlTransport
import Dashboard
import Fleet
import KinesisConsumer
import Machine
import Synchronization

struct ConsumeCommand: AsyncParsableCommand, HandlesSignals {
    static let configuration = CommandConfiguration(
        commandName: "consume",
        abstract: "Run a worker with a built-in processor: count the records, or print them as NDJSON.",
        discussion: """
            FILE is a KCL .properties file; `processor = count` or `processor = print` chooses the processor. The \
            built-in processors run only under an applicationName that starts with `shardtop-`: under any other name \
            they would take a fleet's leases and checkpoint records that nobody processed.
            """)

    @Argument(help: "The .properties file.")
    var file: String

    @Flag(help: "Draw nothing.")
    var headless = false

    @Flag(help: "Validate the file, print the effective configuration and end.")
    var check = false

    @Option(help: "Write events as NDJSON; - is stdout.")
    var events: String?

    @OptionGroup var options: ConnectionOptions
    @OptionGroup var screen: ScreenOptions

    func run() async throws {
        let properties = try Properties(try Self.read(file), path: file)
        var generator = SeededGenerator(seed: SystemSeed.next())
        let configuration = try properties.configuration(generator: &generator)
        let kind = try properties.processor()
        for name in properties.unknown {
            Output.error("shardtop consume: \(file):\(properties.entries[name]?.line ?? 0): \(name) is not used here")
        }
        if let mistake = configuration.mistakes.first { throw Failure("\(file): \(mistake)", status: .usage) }
        if check { return configuration.describe().forEach(Output.print) }
        guard configuration.applicationName.hasPrefix("shardtop-") else {
            throw Failure(
                "applicationName \(configuration.applicationName) does not start with shardtop-: a built-in processor "
                    + "would take this application's leases and checkpoint records that nobody processed",
                status: .refused)
        }
        try await consume(configuration, kind, try connection(properties), seed: generator.next())
    }

    private static func read(_ path: String) throws -> String {
        do {
            guard let bytes = try SystemHost().readFile(path, bytesMax: 1 << 20) else {
                throw Failure("\(path): no such file", status: .usage)
            }
            return String(decoding: bytes, as: UTF8.self)
        } catch let error as HostError {
            throw Failure(error.message, status: .usage)
        }
    }

    /// What the file says of region and endpoints, where no flag does.
    private func connection(_ properties: Properties) throws -> Connection {
        var options = options
        options.region = options.region ?? properties.string("regionName")
        options.kinesisEndpoint = options.kinesisEndpoint ?? options.endpointURL ?? properties.string("kinesisEndpoint")
        options.dynamoDBEndpoint =
            options.dynamoDBEndpoint ?? options.endpointURL ?? properties.string("dynamoDBEndpoint")
        return try Connection(options)
    }

    private func consume(
        _ configuration: WorkerConfiguration, _ kind: BuiltInProcessor.Kind, _ connection: Connection, seed: UInt64
    ) async throws {
        defer { connection.close() }
        let isDrawn = !headless && kind == .count && events != "-" && Output.isTerminal
        let tally = EventTally()
        let relay = EventRelay()
        let eventFile = try events.map { try LineFile($0) }
        let output = kind == .print ? try LineFile("-") : nil
        let worker = Worker(
            configuration, kinesis: connection.kinesis, dynamoDB: connection.dynamoDB, time: connection.time,
            seed: seed,
            onEvent: { event in
                tally.note(event)
                if relay.pass(event) == false, let line = event.warning { Output.error("shardtop consume: \(line)") }
                if event.kind == .recordsProcessed, event.records == 0 { return }
                try? eventFile?.append { event.json(seq: $0) }
            }
        ) { shardID in
            BuiltInProcessor(kind: kind, shardID: shardID, output: output)
        }
        // The worker has a task of its own: nothing that a terminal does can hold up a renewal.
        let run = Task { try await worker.run() }
        let watch = Task {
            defer { worker.requestShutdown() }
            if isDrawn, try await draw(worker, relay, connection) == .quit { return }
            _ = await Interruption().wait()
        }
        let result = await run.result
        watch.cancel()
        // The terminal is given back before anything is said.
        if case .failure(let error) = await watch.result, error is Failure { throw error }
        do { try result.get() } catch let refusal as WorkerRefusal {
            throw Failure(refusal.reason, status: .refused)
        } catch let error as AWSError {
            throw Failure("\(error)\(connection.place)")
        }
        let counts = tally.counts
        Output.error(
            "shardtop consume: \(counts.records) records in \(counts.batches) batches, checkpointed "
                + "\(counts.checkpointed) times, TERMINATE \(counts.terminated), ZOMBIE \(counts.zombies), skipped "
                + "\(counts.skipped)")
    }

    /// The screen in front of the worker. It ends when it is quit, when its terminal goes, or with the worker.
    private func draw(
        _ worker: Worker, _ relay: EventRelay, _ connection: Connection
    ) async throws -> Screen.End {
        let host = SystemHost()
        let configuration = worker.configuration
        let identity = FleetIdentity(
            application: configuration.applicationName, table: configuration.tableName,
            stream: configuration.streamName, region: connection.region, role: options.profile.map { "profile \($0)" },
            endpoint: connection.endpoint)
        let end = try await FleetScreen.run(
            FleetConfiguration(identity: identity, failoverTime: configuration.failoverTime), connection, screen,
            host: host, purpose: .consume,
            actor: Operator(
                identity, dynamoDB: connection.dynamoDB, kinesis: connection.kinesis, time: connection.time,
                audit: AuditFile.log(host), caller: AuditFile.caller(host, profile: options.profile)),
            engine: FleetScreen.Engine(
                attach: { observer, _ in
                    relay.connect { event in
                        observer.post(event)
                        // The table is there now; the observer may have looked before.
                        if event.kind == .workerStarted { observer.post(FleetMachine.Event.refreshRequested) }
                    }
                    observer.post(FleetMachine.Event.ownWorkersChanged([OwnWorker(configuration.workerID)]))
                    try? await connection.time.sleep(.never)
                }, demo: { _ in }))
        relay.connect(nil)
        return end
    }
}

/// Passes the worker's events to the screen while there is one.
private final class EventRelay: Sendable {
    private let listener = Mutex<(@Sendable (WorkerEvent) -> Void)?>(nil)

    func connect(_ listener: (@Sendable (WorkerEvent) -> Void)?) { self.listener.withLock { $0 = listener } }

    /// False where nobody listens.
    func pass(_ event: WorkerEvent) -> Bool {
        guard let listener = listener.withLock({ $0 }) else { return false }
        listener(event)
        return true
    }
}

extension WorkerEvent {
    /// The line for a log where the event is one that somebody should see.
    var warning: String? {
        let place = shardID.map { "\($0): " } ?? ""
        switch kind {
        case .leaseLost: return "\(place)ZOMBIE, the lease is lost: \(message ?? "")"
        case .processorFailed, .throttled, .modeChanged: return "\(place)\(message ?? kind.rawValue)"
        case .recordsSkipped:
            return "\(place)skipped \(records ?? 0) records, \(from?.description ?? "?") to \(to?.description ?? "?"): "
                + (message ?? "")
        default: return nil
        }
    }
}

extension WorkerConfiguration {
    /// The effective values, one line each.
    func describe() -> [String] {
        [
            "applicationName = \(applicationName)", "streamName = \(streamName)", "tableName = \(tableName)",
            "workerId = \(workerID)", "initialPosition = \(initialPosition)",
            "failoverTimeMillis = \(failoverTime.wholeMilliseconds)",
            "maxLeasesForWorker = \(maxLeasesForWorker)", "maxLeasesToStealAtOneTime = \(maxLeasesToStealAtOneTime)",
            "maxRecords = \(maxRecords)", "idleTimeBetweenReadsInMillis = \(idleTimeBetweenReads.wholeMilliseconds)",
            "parentShardPollIntervalMillis = \(parentShardPollInterval.wholeMilliseconds)",
            "taskBackoffTimeMillis = \(taskBackoffTime.wholeMilliseconds)",
            "shutdownGraceMillis = \(shutdownGrace.wholeMilliseconds)",
            "cleanupLeasesUponShardCompletion = \(cleanupLeasesUponShardCompletion)",
            "onProcessorFailure = \(onProcessorFailure.rawValue)",
            "releaseLeasesOnShutdown = \(releaseLeasesOnShutdown)",
        ]
    }
}
