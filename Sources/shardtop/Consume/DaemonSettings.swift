import AWSWire
import ChildProcesses
import CurlTransport
import Glibc
import KinesisConsumer
import Machine
import Metrics
import MultiLang

/// A `.properties` file with the flags before it and the environment behind it.
struct DaemonSettings {
    let path: String
    let daemon: DaemonConfiguration
    /// Where a fleet of KCL 3.0 to 3.4 keeps its workers' metrics, where the file names it: for one who looks.
    let workerMetricsTable: String?
    /// Of the worker's own choices.
    let seed: UInt64
    private let shared: SharedConfiguration
    private let options: ConnectionOptions

    init(_ path: String, _ options: ConnectionOptions, host: SystemHost) throws {
        try self.init(path, options, host: host, more: [])
    }

    /// For one who only looks at the fleet: what a worker would miss or refuse does not matter.
    init(_ path: String, _ options: ConnectionOptions, watching stream: String?, host: SystemHost) throws {
        typealias Override = DaemonConfiguration.Override
        var more = [
            Override("processor", "count", source: "watching"),
            Override("retrievalMode", "POLLING", source: "watching"),
            Override("metricsLevel", "NONE", source: "watching"),
        ]
        if let stream { more.append(Override("streamName", stream, source: "--stream")) }
        try self.init(path, options, host: host, more: more)
    }

    private init(
        _ path: String, _ options: ConnectionOptions, host: SystemHost, more: [DaemonConfiguration.Override]
    ) throws {
        self.path = path
        self.options = options
        let file: PropertiesFile
        do {
            guard let bytes = try host.readFile(path, bytesMax: 8 << 20) else {
                throw Failure("\(path): no such file", status: .usage)
            }
            file = try PropertiesFile(bytes, path: path)
            workerMetricsTable = file["workerMetricsTableName"]?.value
            shared = try SharedConfiguration(host: host, profile: options.profile)
            var generator = SeededGenerator(seed: SystemSeed.next())
            daemon = try DaemonConfiguration.load(
                file, overrides: try Self.overrides(file, options, shared) + more, generator: &generator)
            seed = generator.next()
        } catch let error as HostError {
            throw Failure(error.message, status: .usage)
        } catch let error as AWSConfigurationError {
            throw Failure(error.message, status: .usage)
        } catch let error as PropertiesError {
            throw Failure(error.errors.map(\.description).joined(separator: "\n"), status: .usage)
        }
    }

    /// Flags win over the file, the file over the environment.
    private static func overrides(
        _ file: PropertiesFile, _ options: ConnectionOptions, _ shared: SharedConfiguration
    ) throws -> [DaemonConfiguration.Override] {
        var overrides: [DaemonConfiguration.Override] = []
        func add(_ name: String, _ value: String?, _ source: String) {
            if let value { overrides.append(DaemonConfiguration.Override(name, value, source: source)) }
        }
        add("regionName", options.region, "--region")
        add("kinesisEndpoint", options.endpointURL, "--endpoint-url")
        add("dynamoDBEndpoint", options.endpointURL, "--endpoint-url")
        add("kinesisEndpoint", options.kinesisEndpoint, "--kinesis-endpoint")
        add("dynamoDBEndpoint", options.dynamoDBEndpoint, "--dynamodb-endpoint")
        add("AwsCredentialsProvider", options.profile.map { "ProfileCredentialsProvider|\($0)" }, "--profile")
        let isGiven = Set(overrides.map(\.name)).union(file.entries.map(\.name))
        for (name, service) in [("kinesisEndpoint", AWSService.kinesis), ("dynamoDBEndpoint", .dynamodb)] {
            if !isGiven.contains(name),
                !isGiven.contains("\(service == .kinesis ? "kinesis" : "dynamoDb")Client.endpointOverride")
            {
                add(name, try shared.endpoint(for: service)?.description, "environment or profile")
            }
        }
        if !isGiven.contains("regionName") {
            add("regionName", try shared.regionIfSet(), "environment or profile")
        }
        return overrides
    }

    /// Warnings, which are always said, and notes, which only `--check` shows.
    func say(notes: Bool) {
        for message in daemon.messages where notes || message.severity == .warning {
            Output.error("shardtop consume: \(message)")
        }
    }

    /// Name and value of everything that is used, and where the value comes from.
    var description: [String] { daemon.settings.map(\.description) }

    /// The fleet's failover time, where the file itself says it.
    var failoverTimeOfFile: Duration? {
        guard let setting = daemon.settings.first(where: { $0.name == "failoverTimeMillis" }),
            case .file = setting.origin
        else { return nil }
        return daemon.worker.failoverTime
    }

    func connection(host: SystemHost) async throws -> Connection {
        func chain(_ service: AWSService, _ elements: [CredentialElement]) -> CredentialChain {
            options.chain(for: service, over: CredentialChain(elements), host: host)
        }
        return try await Connection(
            kinesis: ServicePlan(
                region: daemon.regions.kinesis, endpoint: daemon.endpoints.kinesis,
                chain: chain(.kinesis, daemon.credentials.kinesis)),
            dynamoDB: ServicePlan(
                region: daemon.regions.dynamoDB, endpoint: daemon.endpoints.dynamoDB,
                chain: chain(.dynamodb, daemon.credentials.dynamoDB)),
            cloudWatch: try publishesMetrics()
                ? ServicePlan(
                    region: daemon.regions.cloudWatch, endpoint: daemon.endpoints.cloudWatch,
                    chain: chain(.kinesis, daemon.credentials.cloudWatch)) : nil,
            shared: shared, proxy: daemon.proxy.url, host: host)
    }

    /// Metrics are KCL's default. A built-in processor publishes only where the file asks for it, and a stand-in for
    /// Kinesis does not bring figures of its own into the account's CloudWatch.
    private func publishesMetrics() throws -> Bool {
        guard daemon.metrics.level != .none else { return false }
        let isAsked = daemon.settings.contains { $0.name == "metricsLevel" && $0.origin != .standard }
        guard daemon.builtIn == nil || isAsked else { return false }
        if daemon.endpoints.kinesis == nil || daemon.endpoints.cloudWatch != nil { return true }
        do throws(AWSConfigurationError) {
            if try shared.endpoint(ofService: "cloudwatch") != nil { return true }
        } catch {
            throw Failure(error.message, status: .usage)
        }
        if isAsked {
            Output.error(
                "shardtop consume: no metrics are published: Kinesis is not AWS's here, and cloudWatchClient."
                    + "endpointOverride does not say where CloudWatch is")
        }
        return false
    }

    /// What of the file concerns the metrics.
    var metrics: MetricsSettings {
        MetricsSettings(
            namespace: daemon.worker.applicationName, workerID: daemon.worker.workerID,
            failoverTime: daemon.worker.failoverTime,
            level: MetricsSettings.Level(rawValue: daemon.metrics.level.rawValue) ?? .detailed,
            bufferTime: daemon.metrics.bufferTime, queueMax: daemon.metrics.queueMax,
            dimensions: daemon.metrics.dimensions)
    }

    /// Refuses what would do harm or cannot run, before anything is touched.
    func check(_ host: SystemHost) throws {
        guard daemon.builtIn == nil || daemon.worker.applicationName.hasPrefix("shardtop-") else {
            throw Failure(
                "applicationName \(daemon.worker.applicationName) does not start with shardtop-: a built-in processor "
                    + "would take this application's leases and checkpoint records that nobody processed",
                status: .refused)
        }
        guard let program = daemon.child.arguments.first, daemon.builtIn == nil else { return }
        let existing = candidates(for: program, path: host.variable("PATH")).filter {
            access($0, F_OK) == 0 && !Self.isDirectory($0)
        }
        if existing.contains(where: { access($0, X_OK) == 0 }) { return }
        throw Failure(
            existing.first.map { "executableName: \($0) is not executable: chmod +x it" }
                ?? "executableName: \(program) is not there\(program.contains("/") ? "" : ", nor anywhere in PATH")",
            status: .usage)
    }
}

extension DaemonSettings {
    private static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}

extension CredentialChain {
    /// What `AwsCredentialsProvider` names (kcl.md §10).
    init(_ elements: [CredentialElement]) {
        self.init(
            elements.flatMap { element -> [Source] in
                switch element {
                case .defaultChain: CredentialChain.standard().sources
                case .environment: [.environment]
                case .profile(let name): [.profile(name)]
                case .webIdentityToken: [.webIdentityToken]
                case .container: [.container]
                case .instanceMetadata: [.instanceMetadata]
                case .containerOrInstance: [.container, .instanceMetadata]
                case .anonymous: [.anonymous]
                case .assumeRole(let role):
                    [
                        .assumeRole(
                            AssumeRole(
                                roleARN: role.roleARN, sessionName: role.sessionName, externalID: role.externalID,
                                region: role.signingRegion ?? role.endpointRegion, endpoint: role.endpoint))
                    ]
                }
            })
    }
}
