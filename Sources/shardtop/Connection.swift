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
}

/// Both services of one account and region.
struct Connection: Sendable {
    var kinesis: KinesisClient
    var dynamoDB: DynamoDBClient
    var region: String
    var time: TimeSource
    /// Shown wherever it is not AWS itself.
    var endpoint: String?
    let transport: any Transport
    let credentials: any CredentialProvider
    private let curl: CurlTransport?

    /// Over libcurl, as flags, environment and shared files say.
    init(_ options: ConnectionOptions, host: SystemHost = SystemHost()) throws {
        let shared: SharedConfiguration
        let endpoints: [AWSService: Endpoint]
        let region: String
        do throws(AWSConfigurationError) {
            shared = try SharedConfiguration(host: host, profile: options.profile)
            if let name = options.region {
                region = try SharedConfiguration.checked(region: name, from: "--region")
            } else {
                region = try shared.region()
            }
            endpoints = try Self.endpoints(options, shared)
        } catch {
            throw Failure(error.message, status: .usage)
        }
        let seed = SystemSeed.next()
        let curl = CurlTransport(configuration: CurlConfiguration(environment: host.environment))
        let credentials = CredentialChain.standard(profile: options.profile)
            .provider(host: host, transport: curl, time: .system, seed: seed)
        self.init(
            region: region, endpoints: endpoints, transport: curl, credentials: credentials, time: .system,
            seed: seed &+ 1, curl: curl)
    }

    /// Over a given transport: the emulator in this process.
    init(
        region: String, endpoints: [AWSService: Endpoint] = [:], transport: any Transport,
        credentials: any CredentialProvider, time: TimeSource, seed: UInt64, retry: RetryPolicy = RetryPolicy(),
        curl: CurlTransport? = nil
    ) {
        var generator = SeededGenerator(seed: seed)
        func client(_ service: AWSService) -> AWSClient {
            AWSClient(
                service, region: region, endpoint: endpoints[service], transport: transport, credentials: credentials,
                time: time, retry: retry, seed: generator.next())
        }
        kinesis = KinesisClient(client(.kinesis))
        dynamoDB = DynamoDBClient(client(.dynamodb))
        self.region = region
        self.time = time
        self.transport = transport
        self.credentials = credentials
        self.curl = curl
        let foreign = [AWSService.kinesis, .dynamodb].compactMap { endpoints[$0]?.description }
        endpoint = foreign.isEmpty ? nil : Set(foreign).count == 1 ? foreign[0] : foreign.joined(separator: " + ")
    }

    private static func endpoints(
        _ options: ConnectionOptions, _ shared: SharedConfiguration
    ) throws(AWSConfigurationError) -> [AWSService: Endpoint] {
        var endpoints: [AWSService: Endpoint] = [:]
        for service in AWSService.allCases {
            let own =
                service == .kinesis
                ? (options.kinesisEndpoint, "--kinesis-endpoint") : (options.dynamoDBEndpoint, "--dynamodb-endpoint")
            if let text = own.0 {
                endpoints[service] = try SharedConfiguration.checked(endpoint: text, from: own.1)
            } else if let text = options.endpointURL {
                endpoints[service] = try SharedConfiguration.checked(endpoint: text, from: "--endpoint-url")
            } else {
                endpoints[service] = try shared.endpoint(for: service)
            }
        }
        return endpoints
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
