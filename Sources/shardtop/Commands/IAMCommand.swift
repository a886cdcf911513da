import AWSWire
import ArgumentParser
import CurlTransport
import Fleet
import KinesisConsumer
import MultiLang

struct IAMCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "iam", abstract: "Print the least IAM policy for a purpose, as JSON.",
        discussion: """
            It allows the operations that shardtop calls, on the tables and the stream that it calls them on. Without \
            --region and --account the ARNs hold * in their place.
            """, subcommands: [Watch.self, Operate.self, Consume.self])

    struct Place: ParsableArguments {
        @Option(help: "The stream, by its name or ARN; given again for each of a table that names several.")
        var stream: [String] = []

        @Option(help: "The lease table, where it is not named as the application.")
        var table: String?

        @Option(help: "The AWS region.")
        var region: String?

        @Option(help: "The number of the AWS account.")
        var account: String?

        func validate() throws {
            if let account, account.count != 12 || !account.allSatisfy({ $0.isASCII && $0.isNumber }) {
                throw ValidationError("--account must be twelve digits")
            }
        }

        func of(_ application: String) -> LeastPolicy.Place {
            var place = LeastPolicy.Place(application: application, streams: stream, region: region, account: account)
            place.table = table
            return place
        }
    }

    struct Watch: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "For watch and status: nothing is written.")

        @Argument(help: "The application's name.")
        var application: String
        @OptionGroup var place: Place

        @Option(help: "What `watch` is told to measure lags by: probe, cloudwatch.")
        var lag: [LagMeasure] = []

        func run() throws {
            var place = place.of(application)
            place.measures = Set(lag)
            Output.print(LeastPolicy.document(for: .watch, place))
        }
    }

    struct Operate: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "For watch --write, lease, shard and stream.")

        @Argument(help: "The application's name.")
        var application: String
        @OptionGroup var place: Place

        func run() throws {
            Output.print(LeastPolicy.document(for: .operate, place.of(application)))
        }
    }

    struct Consume: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "For a worker without a screen; with one, allow `iam watch` besides.")

        @Argument(help: "A .properties file, or the application's name; then --stream is needed.")
        var application: String
        @OptionGroup var place: Place

        @Option(help: "The registered consumer, for a worker that reads by enhanced fan-out.")
        var consumer: String?

        func run() throws {
            var place = place
            var wanted: LeastPolicy.Place
            if application.hasSuffix(".properties") {
                let daemon = try DaemonSettings(application, ConnectionOptions.parse([]), host: SystemHost()).daemon
                if place.stream.isEmpty { place.stream = [daemon.worker.streamName] }
                place.table = place.table ?? daemon.worker.tableName
                place.region = place.region ?? daemon.regions.kinesis
                wanted = place.of(daemon.worker.applicationName)
                wanted.coordinatorTable = daemon.worker.coordinatorStateTable
                wanted.publishesMetrics = daemon.metrics.level != .none
                if case .fanOut(let given) = daemon.worker.retrieval {
                    wanted.reading = .fanOut(consumer: given.name(for: daemon.worker.applicationName))
                }
            } else {
                wanted = place.of(application)
            }
            guard wanted.streams.count == 1 else {
                throw Failure("a worker reads one stream: give --stream NAME once", status: .usage)
            }
            if let consumer { wanted.reading = .fanOut(consumer: consumer) }
            Output.print(LeastPolicy.document(for: .consume, wanted))
        }
    }
}
