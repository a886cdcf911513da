import AWSWire
import ArgumentParser
import CurlTransport
import Fleet

struct AppsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apps",
        abstract: "The lease tables of this account and region: the KCL applications there are.",
        discussion: """
            It lists all tables and describes them, slowly; a table whose only key is leaseKey is a lease table. Items \
            and size are as DynamoDB counts them, every six hours or so. Needs dynamodb:ListTables and \
            dynamodb:DescribeTable; with dynamodb:Scan it reads a few rows of each for the KCL's generation.
            """)

    @OptionGroup var connection: ConnectionOptions

    @Option(help: "table, json or csv.")
    var format: LeaseTableList.Format = .table

    @Option(name: .customLong("max"), help: "Describe so many tables at most.")
    var describesMax = 500

    func validate() throws {
        guard 1...100_000 ~= describesMax else { throw ValidationError("--max must be 1 to 100000") }
    }

    func run() async throws {
        let connection = try await Connection(self.connection, host: SystemHost())
        defer { connection.close() }
        let list: LeaseTableList
        do {
            list = try await LeaseTableList.read(
                connection.dynamoDB, time: connection.time, describesMax: describesMax)
        } catch let error as AWSError {
            throw Failure(
                error.meaning == .denied
                    ? "listing tables is denied: the policy must allow dynamodb:ListTables"
                    : "\(error)\(connection.place)")
        }
        Output.printBlock(list.text(as: format))
        if list.leftOut > 0 {
            Output.error("shardtop apps: \(list.leftOut) more tables were not looked at: raise --max")
        }
        if let reason = list.firstFailure {
            Output.error("shardtop apps: \(list.unreadable.count) tables could not be described: \(reason)")
        }
    }
}

extension LeaseTableList.Format: ExpressibleByArgument {}
