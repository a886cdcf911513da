import ArgumentParser
import Fleet
import Machine

extension LeaseCommand {
    struct Assign: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a lease of a 3.x fleet to another worker.",
            discussion: """
                The owner is told, checkpoints and passes the lease on; with --hard, and where it has no owner that \
                lives, the worker owns it at once. The worker must have reported to the leader within the last minute. \
                The leader may move the lease again when it balances.

                On a table of 1.x or 2.x nobody would pick the lease up, so it is refused: evict instead. Exit status \
                3: the lease was no longer as shown, nothing was written.
                """)

        @OptionGroup var fleet: FleetOptions
        @Argument(help: "The shard.")
        var shard: String

        @Option(help: "The worker that shall have it.")
        var to: String

        @Flag(help: "At once: the owner gets ZOMBIE, and records since its last checkpoint are delivered again.")
        var hard = false

        @OptionGroup var action: ActionOptions

        @Option(help: "How long to watch before, to tell whether the owner lives.")
        var observe: Duration = .zero

        func run() async throws {
            let fleet = try await self.fleet.open(for: "lease assign", action)
            defer { fleet.close() }
            let snapshot = try await fleet.observe(for: observe)
            try await action.perform(
                { try Plan.assign(shard, to: to, isHard: hard, in: snapshot) }, fleet.actor)
        }
    }

    struct CompleteHandoff: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "complete-handoff",
            abstract: "End the handover of a lease of a 3.x fleet that does not end by itself.",
            discussion: """
                The successor owns the lease, as if the old owner had passed it on; the old one gets ZOMBIE. By itself \
                a handover ends within about 45 s: HANDOFF_STUCK in status and on the screen says which did not. Exit \
                status 3: the lease was no longer as shown, nothing was written.
                """)

        @OptionGroup var fleet: FleetOptions
        @Argument(help: "The shards.")
        var shards: [String]
        @OptionGroup var action: ActionOptions

        @Option(help: "How long to watch before, to tell for how long it is being handed over.")
        var observe: Duration = .zero

        func run() async throws {
            let fleet = try await self.fleet.open(for: "lease complete-handoff", action)
            defer { fleet.close() }
            for shard in shards {
                let snapshot = try await fleet.observe(for: observe)
                try await action.perform({ try Plan.completeHandoff(shard, in: snapshot) }, fleet.actor)
            }
        }
    }
}
