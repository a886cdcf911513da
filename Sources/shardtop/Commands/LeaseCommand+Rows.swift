import ArgumentParser
import Fleet
import Leases
import Machine

extension LeaseCommand {
    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make the lease that a shard of the stream lacks.",
            discussion: """
                One PutItem that must find no row. A shard born of others is read from TRIM_HORIZON, and only when \
                nobody reads its parents any more; --at LATEST of another skips records and wants the application's \
                name typed or --confirm. The stream must be proven to be the table's. `lease undo` deletes it again, \
                until somebody takes it. Exit status 3: the lease is there already.
                """)

        @OptionGroup var fleet: FleetOptions
        @Argument(help: "The shard.")
        var shard: String
        @Option(help: "TRIM_HORIZON or LATEST.")
        var at = "TRIM_HORIZON"
        @Option(help: "The application's name, where records are skipped.")
        var confirm: String?
        @OptionGroup var action: ActionOptions
        @Option(help: "How long to watch before.")
        var observe: Duration = .zero

        func run() async throws {
            guard let position = Checkpoint(at), position.isSentinel else {
                throw Failure("--at \(at): give TRIM_HORIZON or LATEST", status: .usage)
            }
            let fleet = try await self.fleet.open(for: "lease create", action)
            defer { fleet.close() }
            let snapshot = try await fleet.observe(for: observe)
            try await action.perform(
                { try Plan.create(shard, at: position, in: snapshot) }, fleet.actor, typed: confirm)
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete a lease whose shard the stream does not have any more.",
            discussion: """
                Only where two full lists of the stream's shards a minute apart do not have the shard, so it watches \
                for two minutes first; the list is asked once more before the row is deleted, on the condition that \
                owner and counter are as just read. The stream must be proven to be the table's. `lease undo` puts \
                the row back. Exit status 3: the lease was no longer as shown, nothing was deleted.
                """)

        @OptionGroup var fleet: FleetOptions
        @Argument(help: "The shard.")
        var shard: String
        @OptionGroup var action: ActionOptions
        @Option(help: "How long to watch before.")
        var observe: Duration = .seconds(126)

        func run() async throws {
            let fleet = try await self.fleet.open(for: "lease delete", action)
            defer { fleet.close() }
            let snapshot = try await fleet.observe(for: observe)
            try await action.perform({ try Plan.delete(shard, in: snapshot) }, fleet.actor)
        }
    }
}
