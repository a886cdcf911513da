import ArgumentParser
import CurlTransport
import Fleet
import KinesisConsumer
import Machine

/// Which fleet is looked at, and how.
struct FleetOptions: ParsableArguments {
    @Argument(help: "The application's name, which is its lease table's name.")
    var application: String

    @Option(help: "The stream it reads; a lease table does not name it. Without it nothing is said about the stream.")
    var stream: String?

    @Option(help: "The lease table, where it is not named as the application.")
    var table: String?

    @Option(help: "The fleet's failoverTimeMillis, where it is known.")
    var failoverTime: Duration?

    @Flag(help: "Allow actions. SHARDTOP_READ_ONLY=1 beats it.")
    var write = false

    @OptionGroup var connection: ConnectionOptions

    func isWritable(_ host: SystemHost) -> Bool { write && host.variable("SHARDTOP_READ_ONLY") != "1" }

    func configuration(_ connection: Connection, _ host: SystemHost) -> FleetConfiguration {
        FleetConfiguration(
            identity: FleetIdentity(
                application: application, table: table, stream: stream, region: connection.region,
                role: self.connection.profile.map { "profile \($0)" }, endpoint: connection.endpoint,
                isWritable: isWritable(host)), failoverTime: failoverTime)
    }

    /// Watches for `duration` and returns what was seen, or fails with the reason that nothing was.
    func observe(_ connection: Connection, _ host: SystemHost, for duration: Duration) async throws -> FleetSnapshot {
        let snapshot = try await Observer.observe(
            configuration(connection, host), for: duration, dynamoDB: connection.dynamoDB,
            kinesis: stream == nil ? nil : connection.kinesis, time: connection.time)
        if snapshot.scans == 0 {
            throw Failure(
                snapshot.problems.first?.message ?? "table \(table ?? application) could not be read\(connection.place)"
            )
        }
        if stream != nil, snapshot.shards == nil {
            throw Failure(
                snapshot.problems.first { $0.kind == .stream }?.message
                    ?? "stream \(stream ?? "") could not be listed\(connection.place)")
        }
        return snapshot
    }

    func actor(_ connection: Connection, _ host: SystemHost) -> Operator {
        Operator(
            configuration(connection, host).identity, dynamoDB: connection.dynamoDB, kinesis: connection.kinesis,
            time: connection.time, audit: AuditFile.log(host),
            caller: AuditFile.caller(host, profile: self.connection.profile))
    }
}

/// How an action of the command line is confirmed.
struct ActionOptions: ParsableArguments {
    @Flag(help: "Show what would be written, and write nothing.")
    var dryRun = false

    @Flag(help: "Do not ask.")
    var yes = false

    @Option(help: "Why, for the audit.")
    var reason: String?

    /// Shows the plan, asks, performs it; ends with the plan's exit status.
    func perform(_ make: () throws -> Plan, _ actor: Operator) async throws {
        let plan: Plan
        do { plan = try make() } catch let refusal as Refusal {
            throw Failure(refusal.description, status: .refused)
        }
        for line in plan.lines { Output.error(line) }
        if dryRun { return }
        if !yes {
            guard Output.isTerminal else {
                throw Failure("nobody to ask: confirm with --yes, or look with --dry-run", status: .refused)
            }
            Output.error("Type yes to do it: ")
            guard readLine() == "yes" else { throw Failure("nothing was written", status: .refused) }
        }
        switch await actor.perform(plan, reason: reason) {
        case .written: Output.print("done: \(plan.title)")
        case .intentGone:
            throw Failure("nothing was written: the lease is no longer as it was shown", status: .intentGone)
        case .refused(let refusal): throw Failure(refusal.description, status: .refused)
        case .failed(let reason): throw Failure(reason)
        }
    }
}
