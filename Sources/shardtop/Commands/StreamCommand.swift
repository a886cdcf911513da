import AWSWire
import ArgumentParser
import CurlTransport
import Fleet
import Machine

struct StreamCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream", abstract: "Show a stream and its shards, or scale it.",
        subcommands: [Show.self, Scale.self])

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What a stream is, and its shards.",
            discussion: "Needs kinesis:DescribeStreamSummary and kinesis:ListShards.")

        @Argument(help: "The stream.")
        var stream: String

        @Option(help: "table, json or csv.")
        var format: StreamReport.Format = .table

        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            let connection = try await Connection(self.connection, host: SystemHost())
            defer { connection.close() }
            let summary = try await connection.reading(stream) { () async throws(AWSError) in
                try await connection.kinesis.describeStreamSummary(stream)
            }
            let shards = try await connection.reading(stream) { () async throws(AWSError) in
                try await connection.kinesis.listShards(stream: stream)
            }
            Output.printBlock(StreamReport(summary, shards).text(as: format))
        }
    }

    struct Scale: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change the number of open shards to N, evenly.",
            discussion: """
                One call of UpdateShardCount, which reaches half to twice of the open shards; the service then splits \
                and merges for some minutes while the stream stays usable. Exit status 4: refused, nothing was sent.
                """)

        @OptionGroup var target: StreamTarget

        @Option(help: "How many open shards it shall have.")
        var shards: Int

        func run() async throws {
            try await target.perform("stream scale") { try Plan.scale(to: shards, in: $0) }
        }
    }
}

extension StreamReport.Format: ExpressibleByArgument {}
