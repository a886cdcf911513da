import AWSWire
import ArgumentParser
import CurlTransport
import Fleet
import KinesisConsumer
import Machine

struct ShardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shard", abstract: "Split a shard or merge two.", subcommands: [Split.self, Merge.self])

    /// What both need.
    struct Target: ParsableArguments {
        @Argument(help: "The stream.")
        var stream: String

        @Flag(help: "Allow it. SHARDTOP_READ_ONLY=1 beats it.")
        var write = false

        @OptionGroup var connection: ConnectionOptions
        @OptionGroup var action: ActionOptions

        func perform(_ verb: String, _ make: (FleetSnapshot) throws -> Plan) async throws {
            let host = SystemHost()
            let connection = try await Connection(self.connection, host: host)
            defer { connection.close() }
            let isWritable = write && host.variable("SHARDTOP_READ_ONLY") != "1"
            guard isWritable || action.dryRun else {
                throw Failure(
                    "shard \(verb) changes the stream: allow it with --write, or look with --dry-run", status: .refused)
            }
            let identity = FleetIdentity(
                application: stream, stream: stream, region: connection.region, endpoint: connection.endpoint,
                isWritable: isWritable)
            var snapshot = FleetSnapshot(identity: identity)
            do { snapshot.shards = ShardTree(try await connection.kinesis.listShards(stream: stream)) } catch {
                throw Failure(
                    error.meaning == .notFound
                        ? "stream \(stream) does not exist in \(connection.region)\(connection.place)" : "\(error)")
            }
            let actor = Operator(
                identity, dynamoDB: connection.dynamoDB, kinesis: connection.kinesis, time: connection.time,
                audit: AuditFile.log(host), caller: AuditFile.caller(host, profile: self.connection.profile))
            try await action.perform({ try make(snapshot) }, actor)
        }
    }

    struct Split: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Split a shard in two, in the middle or at a hash key.")

        @OptionGroup var target: Target
        @Argument(help: "The shard.")
        var shard: String
        @Option(help: "`middle`, or the hash key that the second child begins with.")
        var at = "middle"

        func run() async throws {
            let point: Plan.SplitPoint
            if at == "middle" {
                point = .middle
            } else if let key = UInt128(at) {
                point = .key(key)
            } else {
                throw Failure("--at \(at): give `middle` or a hash key, a decimal number below 2^128", status: .usage)
            }
            try await target.perform("split") { try Plan.split(shard, at: point, in: $0) }
        }
    }

    struct Merge: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Merge two adjacent shards.")

        @OptionGroup var target: Target
        @Argument(help: "The shard.")
        var shard: String
        @Argument(help: "Its neighbour.")
        var adjacent: String

        func run() async throws {
            try await target.perform("merge") { try Plan.merge(shard, with: adjacent, in: $0) }
        }
    }
}
