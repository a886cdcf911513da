package import AWSWire
package import KinesisConsumer
import Machine

/// All that a properties file says about a worker and its children, with the defaults for what it leaves open.
package struct DaemonConfiguration: Sendable {
    package var worker: WorkerConfiguration
    package var streamARN: StreamARN?
    /// A processor of our own in the place of a child program.
    package var builtIn: BuiltInProcessor?
    package var child = Child()
    package var regions = Regions()
    package var endpoints = Endpoints()
    package var credentials = Credentials()
    package var metrics = Metrics()
    package var proxy = Proxy()
    /// A task (a message to a child, for one) that takes longer is worth a warning; `nil` for never.
    package var logWarningForTaskAfter: Duration?

    /// Each property that this program uses, in the order of the table.
    package internal(set) var settings: [Setting] = []
    /// Warnings and notes: those about single lines in the file's order, then those about several properties.
    package internal(set) var messages: [PropertiesMessage] = []

    /// What only the loading needs.
    var billingMode = BillingMode.onDemand
    var leaseTableCapacity = TableCapacity(reads: 10, writes: 10)
    var retrievalMode = RetrievalMode.default
    var fanOut = FanOutConsumer()
    var startTime: UnixTime?

    init(worker: WorkerConfiguration) { self.worker = worker }
}

extension DaemonConfiguration {
    package enum BuiltInProcessor: String, Hashable, Sendable, CaseIterable {
        case count
        case print
    }

    /// The child program and how it is treated.
    package struct Child: Hashable, Sendable {
        /// The program and its arguments; empty where the processor is built in.
        package var arguments: [String] = []
        /// How long one answer may take (`timeoutInSeconds`); `nil`: as long as it likes.
        package var answerTimeout: Duration?
        package var onFailure = ChildFailurePolicy.restart
        /// What the child is written in, as the file says.
        package var processingLanguage: String?
    }

    /// What happens when a child ends, breaks the protocol or does not answer in time.
    package enum ChildFailurePolicy: String, Hashable, Sendable, CaseIterable {
        /// Only that child is started again, and gets its records again from the last checkpoint.
        case restart
        /// The whole program ends, as Java's does.
        case exit
    }

    /// Each `nil` for the AWS default chain.
    package struct Regions: Hashable, Sendable {
        /// `regionName`: where no other is given.
        package var common: String?
        var kinesisOwn: String?
        var dynamoDBOwn: String?
        var cloudWatchOwn: String?

        package var kinesis: String? { kinesisOwn ?? common }
        package var dynamoDB: String? { dynamoDBOwn ?? common }
        package var cloudWatch: String? { cloudWatchOwn ?? common }
    }

    /// Each `nil` for the service's own.
    package struct Endpoints: Hashable, Sendable {
        package var kinesis: Endpoint?
        package var dynamoDB: Endpoint?
        package var cloudWatch: Endpoint?
    }

    package struct Credentials: Hashable, Sendable {
        package var kinesis: [CredentialElement] = [.defaultChain]
        var dynamoDBOwn: [CredentialElement]?
        var cloudWatchOwn: [CredentialElement]?

        package var dynamoDB: [CredentialElement] { dynamoDBOwn ?? kinesis }
        package var cloudWatch: [CredentialElement] { cloudWatchOwn ?? kinesis }
    }

    /// What is published to CloudWatch (kcl.md §9).
    package struct Metrics: Hashable, Sendable {
        package var level = MetricsLevel.detailed
        package var bufferTime: Duration = .milliseconds(10_000)
        package var queueMax = 10_000
        /// Besides `Operation`, which is always there; `nil` for all.
        package var dimensions: [String]?
    }

    package enum MetricsLevel: String, Hashable, Sendable, CaseIterable {
        case none = "NONE"
        case summary = "SUMMARY"
        case detailed = "DETAILED"
    }

    enum BillingMode: String, Hashable, Sendable, CaseIterable {
        case onDemand = "PAY_PER_REQUEST"
        case provisioned = "PROVISIONED"
    }

    enum RetrievalMode: String, Hashable, Sendable, CaseIterable {
        case `default` = "DEFAULT"
        case polling = "POLLING"
        case fanOut = "FANOUT"
    }

    /// 1.x's `http.proxyHost` and `http.proxyPort`.
    package struct Proxy: Hashable, Sendable {
        package var host: String?
        package var port: Int?

        /// `http://HOST:PORT`; `nil` where none is given.
        package var url: String? { host.map { "http://\($0):\(port ?? 80)" } }
    }

    /// Where a value comes from.
    package enum Origin: Hashable, Sendable, CustomStringConvertible {
        case file(path: String, line: Int)
        case standard
        /// A flag or a variable, by its name.
        case given(String)

        package var description: String {
            switch self {
            case .file(let path, let line): "\(path):\(line)"
            case .standard: "default"
            case .given(let name): name
            }
        }
    }

    /// A line of the effective configuration.
    package struct Setting: Hashable, Sendable, CustomStringConvertible {
        package var name: String
        /// `nil` where nothing is set and nothing is done.
        package var value: String?
        package var origin: Origin
        package var meaning: String

        package var description: String { "\(name) = \(value ?? "(unset)")  [\(origin)]" }
    }

    /// A property that comes from elsewhere than the file, and counts before it.
    package struct Override: Hashable, Sendable {
        package var name: String
        package var value: String
        /// The flag or the variable.
        package var source: String

        package init(_ name: String, _ value: String, source: String) {
            self.name = name
            self.value = value
            self.source = source
        }
    }
}
