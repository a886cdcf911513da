import AWSWire
import ArgumentParser
import CurlTransport
import Dashboard
import Fleet
import Leases

/// A stream that a command changes, and how that is allowed and confirmed.
struct StreamTarget: ParsableArguments {
    @Argument(help: "The stream.")
    var stream: String

    @Flag(help: "Allow it. SHARDTOP_READ_ONLY=1 and read_only in the settings beat it.")
    var write = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var action: ActionOptions

    /// Plans with the stream's shards as they are, confirms and performs.
    ///
    /// - Parameter command: its words, for messages.
    func perform(_ command: String, _ make: (FleetSnapshot) throws -> Plan) async throws {
        let host = SystemHost()
        let connection = try await Connection(self.connection, host: host)
        defer { connection.close() }
        let isWritable = try Settings(host).allows(
            write: write, application: nil, connection: self.connection, host)
        guard isWritable || action.dryRun else {
            throw Failure(
                "\(command) changes the stream: allow it with --write, or look with --dry-run", status: .refused)
        }
        let identity = FleetIdentity(
            application: stream, stream: stream, region: connection.region, endpoint: connection.endpoint,
            isWritable: isWritable)
        var snapshot = FleetSnapshot(identity: identity)
        snapshot.shards = ShardTree(
            try await connection.reading(stream) { () async throws(AWSError) in
                try await connection.kinesis.listShards(stream: stream)
            })
        let actor = Operator(
            identity, dynamoDB: connection.dynamoDB, kinesis: connection.kinesis, time: connection.time,
            audit: AuditFile.log(host), caller: AuditFile.caller(host, role: self.connection.role))
        try await action.perform({ try make(snapshot) }, actor)
    }
}

extension Connection {
    /// The answer of a call that reads `stream`, or one clear line why there is none.
    func reading<Answer>(
        _ stream: String, _ call: () async throws(AWSError) -> Answer
    ) async throws -> Answer {
        do { return try await call() } catch {
            throw Failure(
                error.meaning == .notFound ? "stream \(stream) does not exist in \(region)\(place)" : "\(error)\(place)"
            )
        }
    }
}
