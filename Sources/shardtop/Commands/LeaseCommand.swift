import ArgumentParser
import CurlTransport
import Fleet
import Machine

struct LeaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lease", abstract: "List the leases of an application, or act on one.",
        subcommands: [
            List.self, Evict.self, Assign.self, CompleteHandoff.self, Rewind.self, Create.self, Delete.self, Undo.self,
        ])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One line for each lease.")

        @OptionGroup var fleet: FleetOptions

        @Option(help: "How long to watch; 0 looks once, and says nothing of the living and the dead.")
        var observe: Duration = .zero

        func run() async throws {
            let fleet = try await self.fleet.open(SystemHost())
            defer { fleet.close() }
            let snapshot = try await fleet.observe(for: observe)
            Output.printBlock(StatusReport.text(snapshot, as: .csv))
        }
    }

    struct Evict: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Clear the owner of leases, so that other workers take them.",
            discussion: """
                The owner finds out at its next write (ZOMBIE); records since its last checkpoint are delivered again. \
                Exit status 3: the lease was no longer as shown, nothing was written.
                """)

        @OptionGroup var fleet: FleetOptions
        @Argument(help: "The shards.")
        var shards: [String]
        @OptionGroup var action: ActionOptions

        @Option(help: "How long to watch before, to tell whether the owner lives.")
        var observe: Duration = .zero

        func run() async throws {
            let fleet = try await self.fleet.open(for: "lease evict", action)
            defer { fleet.close() }
            for shard in shards {
                let snapshot = try await fleet.observe(for: observe)
                try await action.perform({ try Plan.evict(shard, in: snapshot) }, fleet.actor)
            }
        }
    }
}
