import ArgumentParser
import CurlTransport
import Fleet
import Machine

extension LeaseCommand {
    struct Rewind: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Move the checkpoint of a lease, back or forth.",
            discussion: """
                One conditional write sets the checkpoint and clears the owner, who would overwrite it otherwise; it \
                finds out at its next write (ZOMBIE), and whoever takes the lease reads from there. A time is resolved \
                to the first record at it, which is delivered again; that reads the stream (kinesis:GetShardIterator, \
                kinesis:GetRecords) and needs --stream.

                Going forth, and LATEST, skip records: the application's name must be typed, or given with --confirm. \
                Refused are a handover, AT_TIMESTAMP, SHARD_END, a table of several streams, and while workers live a \
                lease at SHARD_END and a time before the shard. Exit status 3: the lease was no longer as shown, \
                nothing was written.
                """)

        @OptionGroup var fleet: FleetOptions
        @Argument(help: "The shard.")
        var shard: String

        @Option(
            help: """
                TRIM_HORIZON, LATEST, a sequence number (itself included), a time as 2026-01-31T12:00:00Z, or how long \
                ago: 10m, 1h30m.
                """)
        var to: String

        @Option(help: "The application's name, where records are skipped.")
        var confirm: String?

        @OptionGroup var action: ActionOptions

        @Option(help: "How long to watch before, to tell whether workers live.")
        var observe: Duration = .zero

        func run() async throws {
            guard let request = RewindRequest(to) else {
                throw Failure(
                    "--to \(to): give TRIM_HORIZON, LATEST, a sequence number, a time as 2026-01-31T12:00:00Z, or 10m",
                    status: .usage)
            }
            let fleet = try await self.fleet.open(for: "lease rewind", action)
            defer { fleet.close() }
            let snapshot = try await fleet.observe(for: observe)
            let step: Plan.RewindStep
            do { step = try Plan.rewind(shard, to: request, in: snapshot) } catch {
                throw Failure(error.description, status: .refused)
            }
            switch step {
            case .plan(let plan): try await action.perform({ plan }, fleet.actor, typed: confirm)
            case .search(let search):
                let found = try await fleet.connection.perform(search)
                try await action.perform(
                    { try Plan.rewind(after: search, found, in: snapshot) }, fleet.actor, typed: confirm)
            }
        }
    }
}

extension LeaseCommand {
    struct Undo: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take back the last rewind, create or delete of a lease.",
            discussion: """
                What was there before stands in the audit of this user. Nothing is undone where the lease was moved \
                again, has come past that position already, or was taken since it was made. The lease's counter goes \
                on: it never goes back.
                """)

        @OptionGroup var fleet: FleetOptions
        @Argument(help: "The shard.")
        var shard: String
        @OptionGroup var action: ActionOptions

        @Option(help: "How long to watch before, to tell whether workers live.")
        var observe: Duration = .zero

        func run() async throws {
            let host = SystemHost()
            let fleet = try await self.fleet.open(for: "lease undo", action, host)
            defer { fleet.close() }
            let audit = try AuditFile.lines(host)
            let snapshot = try await fleet.observe(for: observe)
            try await action.perform(
                {
                    let shard = try snapshot.leaseKey(meantBy: shard)
                    let deed = try Deed.last(of: shard, in: audit, snapshot.identity)
                    return try Plan.undo(shard, deed, in: snapshot)
                }, fleet.actor)
        }
    }
}
