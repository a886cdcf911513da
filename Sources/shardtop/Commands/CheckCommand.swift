import AWSWire
import ArgumentParser
import CurlTransport
import Fleet
import Glibc

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Is the application well? One line and an exit status, for monitoring systems.",
        discussion: """
            Exit status: 0 ok; 1 warning; 2 critical; 3 unknown, whatever hindered the check: usage, credentials, \
            missing permissions, throttling, too short a look. What is wrong is what `status` calls a problem. A limit \
            on a lag that is only estimated from a sequence number makes a warning, never a critical: an idle shard \
            looks the same.
            """)

    @OptionGroup var fleet: FleetOptions

    @Option(help: "Lag of delivery that is too much, such as 60s; not judged without.")
    var maxLag: Duration?

    @Option(help: "Age of the newest checkpointed record that is too much, such as 5m; not judged without.")
    var maxCheckpointAge: Duration?

    @OptionGroup var lag: LagOptions

    @Option(help: "How long to watch.")
    var observe: Duration = .seconds(12)

    func run() async throws {
        var fleet = try await self.fleet.open(SystemHost())
        defer { fleet.close() }
        lag.apply(to: &fleet)
        let snapshot = try await fleet.watch(for: observe)
        let check = Check(
            snapshot, limits: Check.Limits(lag: maxLag, checkpointAge: maxCheckpointAge),
            hasStream: fleet.stream != nil)
        Output.print(check.line)
        Glibc.exit(check.status.rawValue)
    }

    /// Whether the command line asks for a check, also where it cannot be parsed.
    static var isAskedFor: Bool { CommandLine.arguments.dropFirst().first == configuration.commandName }

    /// Ends a check that could not be made.
    static func end(unknown reason: String) -> Never {
        Output.print(Check.unknown(reason.split(whereSeparator: \.isNewline).joined(separator: " ")))
        Glibc.exit(Check.Status.unknown.rawValue)
    }
}
