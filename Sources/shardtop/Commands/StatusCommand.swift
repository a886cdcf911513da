import ArgumentParser
import CTerminal
import CurlTransport
import Dashboard
import Fleet
import Machine

struct StatusCommand: AsyncParsableCommand, HandlesSignals {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Who owns which shard, and what is wrong: once, or as a stream of JSON lines.",
        discussion: """
            One scan shows no heartbeat, so the table is watched for --observe before anything is said of the living \
            and the dead; with 0 every state is LEARNING. With --watch it writes the JSON object as one line after \
            every scan, until a signal or until nobody reads it any more.
            """)

    @OptionGroup var fleet: FleetOptions

    @Option(help: "How long to watch.")
    var observe: Duration = .seconds(12)

    @Option(help: "table (the default), json, csv or prometheus (text format 0.0.4).")
    var format: StatusReport.Format?

    @Flag(inversion: .prefixedNo, exclusivity: .chooseLast, help: "Plain lines that a screen reader reads, or a table.")
    var accessible: Bool?

    @Flag(help: "Go on, one JSON object a line.")
    var watch = false

    @OptionGroup var refresh: RefreshOptions
    @OptionGroup var lag: LagOptions

    func validate() throws {
        guard accessible != true || format == nil && !watch else {
            throw ValidationError("--accessible is a format of its own; to go on, `watch APPLICATION --accessible`")
        }
    }

    func run() async throws {
        guard watch else {
            shardtop_unblock_signals()
            return try await once()
        }
        guard format == nil || format == .json else {
            throw Failure("--watch writes JSON only: leave --format out", status: .usage)
        }
        let interruption = Interruption()
        var fleet = try await self.fleet.open(SystemHost())
        defer { fleet.close() }
        try refresh.apply(to: &fleet)
        lag.apply(to: &fleet)
        try await follow(fleet, until: interruption)
    }

    private func once() async throws {
        var fleet = try await self.fleet.open(SystemHost())
        defer { fleet.close() }
        lag.apply(to: &fleet)
        let snapshot = try await fleet.observe(for: observe)
        if format == nil, accessible ?? fleet.settings.flag(.accessible) {
            return Narrator.report(snapshot).forEach(Output.print)
        }
        Output.printBlock(StatusReport.text(snapshot, as: format ?? .table))
    }

    private func follow(_ fleet: OpenFleet, until interruption: Interruption) async throws {
        // A slow reader gets the newest picture, not all.
        let (snapshots, continuation) = AsyncStream.makeStream(
            of: FleetSnapshot.self, bufferingPolicy: .bufferingNewest(1))
        let observer = Observer(
            fleet.configuration, dynamoDB: fleet.connection.dynamoDB,
            kinesis: fleet.connection.kinesis, cloudWatch: fleet.connection.cloudWatch,
            time: fleet.connection.time,
            publish: { continuation.yield($0) })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await observer.run() }
            group.addTask { _ = await interruption.wait() }
            group.addTask {
                var lines = StatusLines()
                for await snapshot in snapshots {
                    if let line = try lines.line(of: snapshot) { Output.print(line) }
                }
            }
            try await group.next()
            group.cancelAll()
        }
    }
}

/// Which snapshots are worth a line: every scan, and every change of the problems.
private struct StatusLines {
    private var scans = 0
    private var problems: Set<String> = []

    mutating func line(of snapshot: FleetSnapshot) throws -> String? {
        let seen = Set(snapshot.problems.map(\.id))
        if snapshot.scans == 0 {
            // Before anything was read, what a person must mend is no outage to sit out.
            guard let hopeless = snapshot.problems.first(where: { $0.kind == .table && $0.severity == .critical })
            else { return nil }
            throw Failure(hopeless.message)
        }
        guard snapshot.scans != scans || seen != problems else { return nil }
        scans = snapshot.scans
        problems = seen
        let text = StatusReport.text(snapshot, as: .json)
        return String(text.dropLast())
    }
}

extension StatusReport.Format: ExpressibleByArgument {}
