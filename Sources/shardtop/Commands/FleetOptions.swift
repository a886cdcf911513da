import ArgumentParser
import CurlTransport
import Dashboard
import Fleet
import KinesisConsumer
import Machine
import MultiLang

/// Which fleet is looked at, and how.
struct FleetOptions: ParsableArguments {
    @Argument(
        help: "The application's name, which is its lease table's name; or the .properties file of its workers.",
        completion: .file(extensions: ["properties"]))
    var application: String

    @Option(
        help: """
            The stream it reads; a lease table does not name it. Without it nothing is said about the stream; with it \
            the checkpoints must prove that it is the one. The keys of a table of several streams name them: there it \
            says which one is looked at, and without it all are.
            """)
    var stream: String?

    @Option(help: "The lease table, where it is not named as the application.")
    var table: String?

    @Option(help: "The fleet's failoverTimeMillis, where it is known.")
    var failoverTime: Duration?

    @Flag(help: "Allow actions. SHARDTOP_READ_ONLY=1 and read_only in the settings beat it.")
    var write = false

    @OptionGroup var connection: ConnectionOptions

    /// Finds the fleet that is meant, and how to talk to it: by the flags, or by a `.properties` file with the flags
    /// before it, and by the settings behind them.
    func open(_ host: SystemHost) async throws -> OpenFleet {
        let settings = try Settings(host)
        var identity = FleetIdentity(application: application, table: table, stream: stream, region: "")
        var failoverTime = self.failoverTime
        var connection = connection
        let found: Connection
        if application.hasSuffix(".properties") {
            let file = try DaemonSettings(application, connection, watching: stream, host: host)
            let worker = file.daemon.worker
            identity.application = worker.applicationName
            identity.table = table ?? worker.tableName
            identity.stream = stream ?? worker.streamName
            identity.coordinatorTable = worker.coordinatorStateTable
            identity.workerMetricsTable = file.workerMetricsTable
            failoverTime = failoverTime ?? file.failoverTimeOfFile
            found = try await file.connection(host: host)
        } else {
            identity.table = table ?? settings.text(.table, application: application) ?? application
            identity.stream = stream ?? settings.text(.stream, application: application)
            try settings.complete(&connection, for: application, host)
            found = try await Connection(connection, host: host)
        }
        identity.region = found.region
        identity.endpoint = found.endpoint
        identity.role = connection.role
        identity.isWritable = settings.allows(
            write: write, application: identity.application, connection: connection, host)
        return OpenFleet(
            connection: found,
            configuration: FleetConfiguration(
                identity: identity,
                failoverTime: failoverTime
                    ?? settings.duration(.failoverTime, application: identity.application)),
            host: host, settings: settings)
    }

    /// The same for a `command` that writes, unless it only shows its plan: refused where writing is not allowed.
    func open(for command: String, _ action: ActionOptions, _ host: SystemHost = SystemHost()) async throws -> OpenFleet
    {
        let fleet = try await open(host)
        guard fleet.configuration.identity.isWritable || action.dryRun else {
            fleet.close()
            throw Failure("\(command) writes: allow it with --write, or look with --dry-run", status: .refused)
        }
        return fleet
    }
}

/// A fleet and the connection to it.
struct OpenFleet {
    let connection: Connection
    var configuration: FleetConfiguration
    let host: SystemHost
    let settings: Settings
    /// By flag, so that what cannot be measured is an error; what the settings wish for is done where it can be.
    var isLagAsked = false

    var stream: String? { configuration.identity.stream }

    func close() { connection.close() }

    /// Watches for `duration` and returns what was seen; where that is nothing, its problems say why.
    func watch(for duration: Duration) async throws -> FleetSnapshot {
        let snapshot = try await Observer.observe(
            configuration, for: duration, dynamoDB: connection.dynamoDB,
            kinesis: connection.kinesis, cloudWatch: connection.cloudWatch, time: connection.time)
        if isLagAsked, configuration.measures.contains(.probe), stream == nil, snapshot.scans > 0,
            !snapshot.namesStreams
        {
            throw Failure("--lag probe reads the stream's shards: name it with --stream", status: .usage)
        }
        return snapshot
    }

    /// Watches for `duration` and returns what was seen, or fails with the reason that nothing was.
    func observe(for duration: Duration) async throws -> FleetSnapshot {
        let snapshot = try await watch(for: duration)
        if snapshot.scans == 0 {
            throw Failure(
                snapshot.problems.first?.message
                    ?? "table \(configuration.identity.table) could not be read\(connection.place)")
        }
        if let stream, snapshot.shards == nil, snapshot.streams.isEmpty, !snapshot.isShardListDenied {
            throw Failure(
                snapshot.problems.first { $0.kind == .stream }?.message
                    ?? "stream \(stream) could not be listed\(connection.place)")
        }
        return snapshot
    }

    var actor: Operator {
        Operator(
            configuration.identity, dynamoDB: connection.dynamoDB, kinesis: connection.kinesis, time: connection.time,
            audit: AuditFile.log(host), caller: AuditFile.caller(host, role: configuration.identity.role))
    }
}

/// How often a table is read that is watched for long.
struct RefreshOptions: ParsableArguments {
    @Option(
        help: """
            How often to read the table. `auto`, the default, is 5 s; less often where that takes more than --max-rcu, \
            where reads are throttled, and where nothing changed for a minute (10 s) or three (20 s), until something \
            does. The rows that a screen shows are read again once a second in between, if --max-rcu leaves room, or \
            the whole table where that costs less.
            """)
    var refresh: String?

    @Option(
        name: .customLong("max-rcu"),
        help: """
            Read capacity units a second that watching may take, whatever --refresh says. Without it `auto` takes 5 % \
            of a provisioned table's reads, or 25 on demand.
            """)
    var readUnitsMax: Double?

    func validate() throws {
        if let readUnitsMax, !(readUnitsMax.isFinite && readUnitsMax > 0) {
            throw ValidationError("--max-rcu must be above 0")
        }
    }

    /// By flag, else by the settings.
    func apply(to fleet: inout OpenFleet) throws {
        let application = fleet.configuration.identity.application
        fleet.configuration.refresh = try rate(refresh ?? fleet.settings.text(.refresh) ?? "auto")
        fleet.configuration.readUnitsPerSecondMax =
            readUnitsMax ?? fleet.settings.number(.readUnitsMax, application: application)
    }

    private func rate(_ refresh: String) throws -> RefreshRate {
        if refresh == "auto" { return .auto }
        guard let interval = Duration(argument: refresh), interval >= .seconds(1) else {
            throw Failure("--refresh \(refresh): give auto, or a time of a second or more", status: .usage)
        }
        return .every(interval)
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
    ///
    /// - Parameter typed: what was typed already, where a plan wants more than a yes.
    func perform(_ make: () throws -> Plan, _ actor: Operator, typed: String? = nil) async throws {
        let plan: Plan
        do { plan = try make() } catch let refusal as Refusal {
            throw Failure(refusal.description, status: .refused)
        }
        for line in plan.lines { Output.error(line) }
        if dryRun { return }
        try Settings(SystemHost()).check(reason: reason)
        try confirm(plan, typed)
        switch await actor.perform(plan, reason: reason) {
        case .written: Output.print("done: \(plan.title)")
        case .intentGone:
            throw Failure("nothing was written: the lease is no longer as it was shown", status: .intentGone)
        case .refused(let refusal): throw Failure(refusal.description, status: .refused)
        case .failed(let reason): throw Failure(reason)
        }
    }

    private func confirm(_ plan: Plan, _ typed: String?) throws {
        if let typed, let wanted = plan.typed {
            guard typed == wanted else {
                throw Failure("--confirm \(typed): the application is \(wanted)", status: .refused)
            }
            return
        }
        if yes, plan.typed == nil { return }
        let answer = plan.typed ?? "yes"
        guard Output.isTerminal, !yes else {
            throw Failure(
                plan.typed.map { "records are skipped, and --yes is not enough for that: --confirm \($0)" }
                    ?? "nobody to ask: confirm with --yes, or look with --dry-run", status: .refused)
        }
        Output.error("Type \(answer) to do it: ")
        guard readLine() == answer else { throw Failure("nothing was written", status: .refused) }
    }
}
