import AWSWire
import ArgumentParser
import CurlTransport
import Fleet

struct IAMCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "iam", abstract: "Print the least IAM policy for a purpose, as JSON.",
        discussion: """
            It allows the operations that shardtop calls, on the tables and the stream that it calls them on. Without \
            --region and --account the ARNs hold * in their place.
            """, subcommands: [Watch.self, Operate.self, Consume.self])

    struct Place: ParsableArguments {
        @Option(help: "The stream.")
        var stream: String?

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
            var place = LeastPolicy.Place(application: application, stream: stream, region: region, account: account)
            place.table = table
            return place
        }
    }

    struct Watch: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "For watch and status: nothing is written.")

        @Argument(help: "The application's name.")
        var application: String
        @OptionGroup var place: Place

        func run() throws {
            Output.print(LeastPolicy.document(for: .watch, place.of(application)))
        }
    }

    struct Operate: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "For watch --write, lease and shard.")

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

        func run() throws {
            var place = place
            var wanted: LeastPolicy.Place
            if application.hasSuffix(".properties") {
                let properties = try Self.read(application)
                place.stream = try place.stream ?? properties.required("streamName")
                place.table = place.table ?? properties.string("tableName")
                place.region = place.region ?? properties.string("regionName")
                wanted = place.of(try properties.required("applicationName"))
                wanted.coordinatorTable = properties.string("coordinatorStateTableName")
                wanted.publishesMetrics = properties.string("metricsLevel")?.uppercased() != "NONE"
            } else {
                guard place.stream != nil else { throw Failure("give --stream NAME", status: .usage) }
                wanted = place.of(application)
            }
            Output.print(LeastPolicy.document(for: .consume, wanted))
        }

        private static func read(_ path: String) throws -> Properties {
            do {
                guard let bytes = try SystemHost().readFile(path, bytesMax: 1 << 20) else {
                    throw Failure("\(path): no such file", status: .usage)
                }
                return try Properties(String(decoding: bytes, as: UTF8.self), path: path)
            } catch let error as HostError {
                throw Failure("\(path): \(error)", status: .usage)
            }
        }
    }
}
