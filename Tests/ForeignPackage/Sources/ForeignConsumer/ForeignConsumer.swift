import CurlTransport
import KinesisConsumer

/// Counts words, prints what it has seen at each checkpoint, and checkpoints after each batch.
struct WordCounter: RecordProcessor {
    func initialize(_ input: InitializationInput) async throws {
        print("\(input.shardID): from \(input.checkpoint)")
    }

    func processRecords(_ input: ProcessRecordsInput) async throws {
        let words = input.records.reduce(0) { $0 + $1.data.text.split(separator: " ").count }
        print("\(input.shardID): \(input.records.count) records, \(words) words")
        try await input.checkpointer.checkpoint()
    }

    func leaseLost() async {}

    func shardEnded(_ checkpointer: Checkpointer) async throws { try await checkpointer.checkpoint() }

    func shutdownRequested(_ checkpointer: Checkpointer) async throws { try await checkpointer.checkpoint() }
}

@main
struct ForeignConsumer {
    /// Arguments: the endpoint of both services, the stream, and after how many records to stop.
    static func main() async throws {
        guard CommandLine.arguments.count == 4, let endpoint = Endpoint(CommandLine.arguments[1]),
            let wanted = Int(CommandLine.arguments[3])
        else { fatalError("usage: ForeignConsumer http://127.0.0.1:4567 STREAM RECORDS") }

        var generator = SystemRandomNumberGenerator()
        var configuration = WorkerConfiguration(
            applicationName: "word-counter", streamName: CommandLine.arguments[2], generator: &generator)
        configuration.initialPosition = .trimHorizon
        configuration.failoverTime = .seconds(3)

        let transport = CurlTransport()
        let credentials = StaticCredentials(accessKeyID: "test", secretAccessKey: "test")
        func client(_ service: AWSService) -> AWSClient {
            AWSClient(
                service, region: "us-east-1", endpoint: endpoint, transport: transport, credentials: credentials,
                time: .system, seed: generator.next())
        }
        let worker = Worker(
            configuration, kinesis: KinesisClient(client(.kinesis)), dynamoDB: DynamoDBClient(client(.dynamodb)),
            time: .system, seed: generator.next()
        ) { _ in WordCounter() }

        async let run: Void = worker.run()
        var processed = 0
        for await event in worker.events {
            processed += event.kind == .recordsProcessed ? event.records ?? 0 : 0
            if processed >= wanted { worker.requestShutdown() }
        }
        try await run
        transport.close()
        print("processed \(processed)")
    }
}
