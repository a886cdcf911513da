import ArgumentParser
import CurlTransport
import Fleet

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Who owns which shard, and what is wrong: once, as a table, JSON or CSV.",
        discussion: """
            One scan shows no heartbeat, so the table is watched for --observe before anything is said of the living \
            and the dead; with 0 every state is LEARNING.
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case table, json, csv
    }

    @OptionGroup var fleet: FleetOptions

    @Option(help: "How long to watch.")
    var observe: Duration = .seconds(12)

    @Option(help: "table, json or csv.")
    var format: Format = .table

    func run() async throws {
        let host = SystemHost()
        let connection = try await Connection(fleet.connection, host: host)
        defer { connection.close() }
        let snapshot = try await fleet.observe(connection, host, for: observe)
        let wanted: StatusReport.Format =
            switch format {
            case .table: .table
            case .json: .json
            case .csv: .csv
            }
        Output.printBlock(StatusReport.text(snapshot, as: wanted))
    }
}
