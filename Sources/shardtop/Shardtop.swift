import ArgumentParser
import CTerminal
import Glibc

@main
struct Shardtop: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "shardtop",
        abstract: "Watch and operate fleets of Amazon Kinesis consumers; run one; emulate both services.",
        discussion: """
            Without a command it starts `demo`: a fleet of real workers on an emulated stream, in this process, with \
            no account and no network. `shardtop help keys` prints the keys of the screen, `shardtop help man` the \
            manual page for man(1).

            Exit status: 0 done; 1 failed; 2 usage; 3 the condition no longer held and nothing was written; 4 refused \
            for safety. `check` has its own.
            """,
        version: "shardtop \(Shardtop.version)",
        subcommands: [
            DemoCommand.self, WatchCommand.self, ConsumeCommand.self, EmulateCommand.self, PutCommand.self,
            StatusCommand.self, CheckCommand.self, AppsCommand.self, LeaseCommand.self, ShardCommand.self,
            StreamCommand.self, IAMCommand.self, ReplayCommand.self, ConfigCommand.self, SimulateCommand.self,
        ],
        defaultSubcommand: DemoCommand.self)

    /// Parses and runs; ArgumentParser's own status for usage (64) is mapped to 2.
    @concurrent
    static func main() async {
        // Before any thread exists, so that every thread inherits the mask.
        shardtop_block_signals()
        // Writing to a closed pipe is an error that is seen, not a signal.
        signal(SIGPIPE, SIG_IGN)
        do {
            if let topic = HelpTopic(CommandLine.arguments) {
                Output.printBlock(topic.text)
                Output.exit(.done)
            }
            try checkCommandName()
            var command = try parseAsRoot()
            if !(command is any HandlesSignals) { shardtop_unblock_signals() }
            if let found = command as? any AsyncParsableCommand {
                // The command is nobody else's any more; ArgumentParser's existentials cannot say so.
                nonisolated(unsafe) var asynchronous = found
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as Failure {
            if CheckCommand.isAskedFor { CheckCommand.end(unknown: failure.message) }
            Output.error("shardtop: \(failure.message)")
            Output.exit(failure.status)
        } catch {
            let status = exitCode(for: error)
            let text = fullMessage(for: error)
            if status.isSuccess {
                Output.print(text)
                Output.exit(.done)
            }
            if CheckCommand.isAskedFor { CheckCommand.end(unknown: text) }
            Output.error(text)
            Output.exit(.usage)
        }
    }

    /// A word that is no command would be taken for an argument of the default one.
    private static func checkCommandName() throws {
        guard let word = CommandLine.arguments.dropFirst().first, !word.hasPrefix("-") else { return }
        let names = configuration.subcommands.compactMap { command in command.configuration.commandName } + ["help"]
        guard !names.contains(word) else { return }
        throw Failure(
            "no command \(word); there are \(names.filter { $0 != "simulate" }.joined(separator: ", ")). See shardtop "
                + "--help", status: .usage)
    }
}

/// A command that ends by itself on SIGINT and SIGTERM; every other is ended by them.
protocol HandlesSignals {}

/// What the process ends with.
enum ExitStatus: Int32 {
    case done = 0
    case failed = 1
    case usage = 2
    /// The condition no longer held; nothing was written.
    case intentGone = 3
    /// Refused for safety.
    case refused = 4
}

/// A command ends with one clear line and a status.
struct Failure: Error {
    var status: ExitStatus
    var message: String

    init(_ message: String, status: ExitStatus = .failed) {
        self.message = message
        self.status = status
    }
}
