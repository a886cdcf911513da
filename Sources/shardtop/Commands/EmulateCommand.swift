import AWSWire
import ArgumentParser
import CTerminal
import CurlTransport
import Emulator
import Machine

struct EmulateCommand: AsyncParsableCommand, HandlesSignals {
    static let configuration = CommandConfiguration(
        commandName: "emulate",
        abstract: "Serve Kinesis and DynamoDB from memory on one port.",
        discussion: """
            Prints one line when it is ready, and ends on SIGTERM and SIGINT. Any credentials are accepted. Point a \
            client at it with AWS_ENDPOINT_URL=http://127.0.0.1:4567. The same port speaks HTTP/1.1 and HTTP/2.

            At run time, GET /_shardtop/health says whether it is up, GET /_shardtop/counts how often each operation \
            was called, and GET, PUT and DELETE /_shardtop/faults read, replace and clear the plan of --faults.
            """)

    @Option(help: "The port; 0 picks a free one.")
    var port = 4567

    @Option(help: "The address to listen on.")
    var bind = "127.0.0.1"

    @Option(name: .customLong("stream"), help: "A stream to create, NAME:SHARDS; may be repeated.")
    var streams: [String] = []

    @Option(help: "A JSON file of faults: throttles, failures, delays, lost answers.")
    var faults: String?

    @Option(help: "A file that a line of JSON is appended to for each call: at, service, operation, status.")
    var logCalls: String?

    @Option(
        help: ArgumentHelp(
            "A file that a line of JSON is appended to for each request that reaches the services: protocol, operation, "
                + "encoding, input, status, milliseconds. Data of records is left out, signatures always are.",
            valueName: "file"))
    var capture: String?

    @Flag(help: "Write the data of records to the file of --capture, too.")
    var withData = false

    @Flag(help: "Speak TLS, with a certificate made at start.")
    var tls = false

    @Option(
        help: ArgumentHelp(
            "Speak TLS, and write the authority that clients must trust to this PEM file, anew at each start. "
                + "boto3 and the AWS CLI take it in AWS_CA_BUNDLE, the JVM after keytool -importcert.",
            valueName: "file"))
    var tlsCertificate: String?

    @Option(
        help: ArgumentHelp(
            "A directory that keeps streams, records and tables over a restart, also kill -9.",
            discussion: "Made where there is none; one emulator at a time. Nothing waits for the disk itself.",
            valueName: "dir"))
    var stateDir: String?

    @Flag(help: "Listen on an address that is not loopback, and serve any Host.")
    var allowRemote = false

    @Flag(help: "Do not enforce the limits of shards (5 reads/s, 2 MB/s; 1 MB/s, 1000 records/s).")
    var noLimits = false

    func validate() throws {
        guard 0...65_535 ~= port else { throw ValidationError("--port must be 0 to 65535") }
        if withData, capture == nil { throw ValidationError("--with-data is for --capture") }
    }

    func run() async throws {
        let interruption = Interruption()
        var configuration = EmulatorConfiguration()
        configuration.enforcesShardLimits = !noLimits
        let time = TimeSource.system
        let withData = withData
        let emulator = Emulator(
            configuration: configuration, time: time, seed: SystemSeed.next(), faults: try faultPlan(),
            state: try stateDirectory(), onCall: try Self.writer(logCalls) { (call: EmulatedCall) in call.json })
        do { try emulator.restore() } catch { throw Failure(error.description) }
        try await createStreams(emulator, time)
        let server = try await Self.serve(
            emulator, host: bind, port: port, allowsRemote: allowRemote, certificate: try certificate(time),
            limits: EmulatorServer.Limits(openFilesMax: OpenFiles.raise()),
            capture: try Self.writer(capture) { (exchange: CapturedExchange) in exchange.json(withData: withData) })
        Output.print("shardtop emulate: listening on \(server.endpoint)")
        await withDiscardingTaskGroup { group in
            group.addTask { await server.run() }
            _ = await interruption.wait()
            server.shutdown()
        }
    }

    private func stateDirectory() throws -> StateDirectory? {
        guard let stateDir else { return nil }
        do throws(StateError) {
            return try StateDirectory(path: stateDir) { line in Output.error("shardtop emulate: \(line)") }
        } catch {
            throw Failure("--state-dir: \(error)")
        }
    }

    static func serve(
        _ emulator: Emulator, host: String = "127.0.0.1", port: Int, allowsRemote: Bool = false,
        certificate: ServerCertificate? = nil, limits: EmulatorServer.Limits,
        capture: (@Sendable (CapturedExchange) -> Void)? = nil
    ) async throws -> EmulatorServer {
        do {
            return try await EmulatorServer.bind(
                emulator: emulator, host: host, port: port, allowsRemote: allowsRemote, certificate: certificate,
                limits: limits, capture: capture)
        } catch {
            throw Failure(error.description)
        }
    }

    /// Appends a line to the file at `path` for each of what it is called with; `nil` where there is no path.
    private static func writer<Entry>(
        _ path: String?, line: @escaping @Sendable (Entry) -> String
    ) throws -> (@Sendable (Entry) -> Void)? {
        guard let file = try path.map({ try LineFile($0) }) else { return nil }
        // A file that cannot be written is no reason to stop serving.
        return { entry in try? file.append(line(entry)) }
    }

    private func certificate(_ time: TimeSource) throws -> ServerCertificate? {
        guard tls || tlsCertificate != nil else { return nil }
        let certificate = try ServerCertificate(host: bind, now: time.wallClock())
        if let tlsCertificate { try LineFile(tlsCertificate, truncating: true).append(certificate.authorityPEM) }
        return certificate
    }

    private func faultPlan() throws -> FaultPlan {
        guard let faults else { return FaultPlan() }
        do {
            guard let bytes = try SystemHost().readFile(faults, bytesMax: 1 << 20) else {
                throw Failure("\(faults): no such file", status: .usage)
            }
            return try FaultPlan(json: bytes)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("\(faults): \(error)", status: .usage)
        }
    }

    private func createStreams(_ emulator: Emulator, _ time: TimeSource) async throws {
        let connection = Connection(
            region: emulator.configuration.region, transport: EmulatorTransport(emulator: emulator),
            credentials: StaticCredentials(accessKeyID: "emulate", secretAccessKey: "emulate"), time: time, seed: 0)
        for text in streams {
            let parts = text.split(separator: ":")
            guard let name = parts.first, parts.count <= 2, let shards = parts.count == 2 ? Int(parts[1]) : 1 else {
                throw Failure("--stream \(text): write it NAME:SHARDS", status: .usage)
            }
            do { try await connection.kinesis.createStream(String(name), shards: shards) } catch
                where stateDir != nil && error.type == "ResourceInUseException"
            {
                // It was kept, with the shards that it had.
            } catch {
                throw Failure("--stream \(text): \(error)", status: .usage)
            }
            // Whoever reads that it listens may write; a fault plan may hide the status, so not for ever.
            for _ in 0..<200 {
                let status = try? await connection.kinesis.describeStreamSummary(String(name)).status
                if status == "ACTIVE" { break }
                try await time.sleep(for: .milliseconds(10))
            }
        }
    }
}
