import AWSWire
import ArgumentParser
import CurlTransport
import Glibc
import Machine

/// The flags that every command which talks to AWS shares.
struct ConnectionOptions: ParsableArguments {
    @Option(help: "The AWS region (else AWS_REGION, AWS_DEFAULT_REGION or the profile's).")
    var region: String?

    @Option(help: "The profile of the shared configuration files.")
    var profile: String?

    @Option(name: .customLong("endpoint-url"), help: "An endpoint for both services, http://127.0.0.1:4567 for one.")
    var endpointURL: String?

    @Option(help: "An endpoint for Kinesis.")
    var kinesisEndpoint: String?

    @Option(name: .customLong("dynamodb-endpoint"), help: "An endpoint for DynamoDB.")
    var dynamoDBEndpoint: String?

    @Option(
        name: .customLong("role-arn"),
        help: "Assume this role first, with the credentials that were found otherwise; AWS_ROLE_SESSION_NAME names it.")
    var roleARN: String?

    @Option(name: .customLong("external-id"), help: "The external id that the role asks for.")
    var externalID: String?

    @Option(
        name: .customLong("dynamodb-profile"),
        help: "Another profile for the lease table, used as it is: --role-arn is then assumed for Kinesis alone.")
    var dynamoDBProfile: String?

    func validate() throws {
        if externalID != nil, roleARN == nil { throw ValidationError("--external-id goes with --role-arn") }
        guard let roleARN else { return }
        let parts = roleARN.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0] == "arn", parts[2] == "iam", parts[5].hasPrefix("role/"),
            parts[5].count > 5
        else { throw ValidationError("--role-arn \(roleARN): write arn:aws:iam::ACCOUNT:role/NAME") }
    }

    /// As whom we look, for the screen.
    var role: String? {
        var words = [
            roleARN.map { arn in "role \(arn.split(separator: "/").last ?? "")" } ?? profile.map { "profile \($0)" }
        ]
        words.append(dynamoDBProfile.map { "table: profile \($0)" })
        let said = words.compactMap { $0 }
        return said.isEmpty ? nil : said.joined(separator: ", ")
    }

    /// Whose credentials sign requests to `service`, where without flags it were `base`.
    func chain(for service: AWSService, over base: CredentialChain, host: SystemHost) -> CredentialChain {
        if service == .dynamodb, let dynamoDBProfile { return .standard(profile: dynamoDBProfile) }
        guard let roleARN else { return base }
        return CredentialChain([
            .assumeRole(
                CredentialChain.AssumeRole(
                    roleARN: roleARN, sessionName: host.variable("AWS_ROLE_SESSION_NAME") ?? "shardtop",
                    externalID: externalID, region: region, base: base))
        ])
    }
}

/// Where one service is and who asks it; what is `nil` is looked for in the environment and the shared files.
struct ServicePlan {
    var region: String?
    var endpoint: Endpoint?
    var chain: CredentialChain
}

/// Both services of one account and region.
struct Connection: Sendable {
    var kinesis: KinesisClient
    var dynamoDB: DynamoDBClient
    var region: String
    var time: TimeSource
    /// Shown wherever it is not AWS itself.
    var endpoint: String?
    /// Where metrics go and come from; `nil` for a worker that publishes none.
    private(set) var cloudWatch: CloudWatchClient?
    private let curl: CurlTransport?
    /// Credentials that expire.
    private var refreshing: [RefreshingCredentials] = []

    /// Over libcurl, as flags, environment and shared files say.
    init(_ options: ConnectionOptions, host: SystemHost = SystemHost()) async throws {
        let kinesis: ServicePlan
        let dynamoDB: ServicePlan
        let cloudWatch: ServicePlan
        let shared: SharedConfiguration
        do throws(AWSConfigurationError) {
            let region: String? =
                if let name = options.region { try SharedConfiguration.checked(region: name, from: "--region") } else {
                    nil
                }
            func plan(_ service: AWSService) throws(AWSConfigurationError) -> ServicePlan {
                ServicePlan(
                    region: region, endpoint: try Self.endpoint(of: service, options),
                    chain: options.chain(for: service, over: .standard(profile: options.profile), host: host))
            }
            kinesis = try plan(.kinesis)
            dynamoDB = try plan(.dynamodb)
            cloudWatch = ServicePlan(
                region: region, endpoint: try Self.commonEndpoint(options), chain: kinesis.chain)
            shared = try SharedConfiguration(host: host, profile: options.profile)
        } catch {
            throw Failure(error.message, status: .usage)
        }
        try await self.init(
            kinesis: kinesis, dynamoDB: dynamoDB, cloudWatch: cloudWatch, shared: shared, proxy: nil, host: host)
    }

    /// Over libcurl, by plans of both services, and of CloudWatch where metrics are published.
    init(
        kinesis: ServicePlan, dynamoDB: ServicePlan, cloudWatch: ServicePlan? = nil, shared: SharedConfiguration,
        proxy: String?, host: SystemHost
    ) async throws {
        var configuration = CurlConfiguration(environment: host.environment)
        if let proxy {
            configuration.httpsProxy = proxy
            configuration.httpProxy = proxy
        }
        let curl = CurlTransport(configuration: configuration)
        var seeds = SeededGenerator(seed: SystemSeed.next())
        var providers: [CredentialChain: RefreshingCredentials] = [:]
        func provider(_ chain: CredentialChain) -> RefreshingCredentials {
            let provider =
                providers[chain] ?? chain.provider(host: host, transport: curl, time: .system, seed: seeds.next())
            providers[chain] = provider
            return provider
        }
        do throws(AWSConfigurationError) {
            // Looked for only where no plan says it, because the instance may have to be asked.
            var common: String?
            func region(_ plan: ServicePlan) async throws(AWSConfigurationError) -> String {
                if let known = plan.region ?? common { return known }
                let found = try await shared.region(transport: curl, time: .system)
                common = found
                return found
            }
            func endpoint(_ plan: ServicePlan, _ service: String) throws(AWSConfigurationError) -> Endpoint? {
                if let given = plan.endpoint { return given }
                return try shared.endpoint(ofService: service)
            }
            // `nil` where it is AWS's own.
            var endpoints: [Endpoint?] = []
            func client(_ service: AWSService, _ plan: ServicePlan) async throws(AWSConfigurationError) -> AWSClient {
                let region = try await region(plan)
                let endpoint = try endpoint(plan, service.rawValue)
                endpoints.append(endpoint)
                return AWSClient(
                    service, region: region, endpoint: endpoint,
                    transport: curl, credentials: provider(plan.chain), time: .system, retry: RetryPolicy(),
                    encoding: shared.encoding, seed: seeds.next())
            }
            self.kinesis = KinesisClient(try await client(.kinesis, kinesis))
            self.dynamoDB = DynamoDBClient(try await client(.dynamodb, dynamoDB))
            self.region = self.kinesis.client.region
            if let cloudWatch {
                self.cloudWatch = CloudWatchClient(
                    region: cloudWatch.region ?? common ?? self.region,
                    endpoint: try endpoint(cloudWatch, "cloudwatch"), transport: curl,
                    credentials: provider(cloudWatch.chain), time: .system, seed: seeds.next())
            }
            self.endpoint = Self.shown(endpoints)
        } catch {
            throw Failure(error.message, status: .usage)
        }
        time = .system
        self.curl = curl
        refreshing = Array(providers.values)
    }

    /// Over a given transport: the emulator in this process.
    init(
        region: String, transport: any Transport, credentials: any CredentialProvider, time: TimeSource, seed: UInt64
    ) {
        var generator = SeededGenerator(seed: seed)
        func client(_ service: AWSService) -> AWSClient {
            AWSClient(
                service, region: region, endpoint: nil, transport: transport, credentials: credentials, time: time,
                retry: RetryPolicy(), seed: generator.next())
        }
        kinesis = KinesisClient(client(.kinesis))
        dynamoDB = DynamoDBClient(client(.dynamodb))
        self.region = region
        self.time = time
        curl = nil
    }

    /// `nil` where all are AWS's own.
    private static func shown(_ endpoints: [Endpoint?]) -> String? {
        let foreign = endpoints.compactMap { $0?.description }
        return foreign.isEmpty ? nil : Set(foreign).count == 1 ? foreign[0] : foreign.joined(separator: " + ")
    }

    private static func endpoint(
        of service: AWSService, _ options: ConnectionOptions
    ) throws(AWSConfigurationError) -> Endpoint? {
        let own =
            service == .kinesis
            ? (options.kinesisEndpoint, "--kinesis-endpoint") : (options.dynamoDBEndpoint, "--dynamodb-endpoint")
        if let text = own.0 { return try SharedConfiguration.checked(endpoint: text, from: own.1) }
        return try commonEndpoint(options)
    }

    private static func commonEndpoint(_ options: ConnectionOptions) throws(AWSConfigurationError) -> Endpoint? {
        try options.endpointURL.map { text throws(AWSConfigurationError) in
            try SharedConfiguration.checked(endpoint: text, from: "--endpoint-url")
        }
    }

    /// Finds the credentials before a screen is opened, because a person may be asked for a code.
    func authenticate() async throws {
        for provider in refreshing {
            do { _ = try await provider.credentials() } catch { throw Failure(error.message) }
        }
    }

    /// Renews credentials ahead of their end until the task is cancelled.
    func keepFresh() async {
        await withDiscardingTaskGroup { group in
            for provider in refreshing { group.addTask { await provider.keepFresh() } }
        }
    }

    func close() { curl?.close() }
}

/// Seeds from the kernel, for runs that nobody asked to replay.
enum SystemSeed {
    static func next() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}
