import AWSWire
import ArgumentParser
import CurlTransport
import KinesisConsumer
import Machine

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
        let interruption = Interruption()
        let tally = EventTally()
        let eventFile = try events.map { try LineFile($0) }
        let output = kind == .print ? try LineFile("-") : nil
        let worker = Worker(
            configuration, kinesis: connection.kinesis, dynamoDB: connection.dynamoDB, time: connection.time,
            seed: seed,
            onEvent: { event in
                tally.note(event)
                if event.kind == .recordsProcessed, event.records == 0 { return }
                try? eventFile?.append { event.json(seq: $0) }
                if let line = event.warning { Output.error("shardtop consume: \(line)") }
            }
        ) { shardID in
            BuiltInProcessor(kind: kind, shardID: shardID, output: output)
        }
        let watch = Task {
            _ = await interruption.wait()
            worker.requestShutdown()
        }
        defer { watch.cancel() }
        do { try await worker.run() } catch let refusal as WorkerRefusal {
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
