package import AWSWire
package import Leases
package import Machine

/// A KCL application at one moment, as far as its lease table, its stream and our own workers tell: all that a screen,
/// a status report or a script shows of it. A plain value; everything in it is bounded.
package struct FleetSnapshot: Hashable, Sendable {
    /// Rises with every snapshot of an observer; of two snapshots the one with the larger number is the newer.
    package var sequence: Int
    package var identity: FleetIdentity
    package var takenAt: UnixTime
    /// The monotonic moment of `takenAt`, for ages that go on while the picture stands.
    package var takenAtInstant: Timestamp
    /// How long the fleet has been watched.
    package var observedFor: Duration
    /// How old the newest complete table scan is; `nil` before the first.
    package var refreshAge: Duration?
    /// The present time between two scans.
    package var refreshInterval: Duration
    /// Scans completed so far; 0 means that nothing is known yet.
    package var scans: Int

    package var generation: Generation
    /// 1.x to 3.x rules of assignment; `nil` before they were read.
    package var mode: FleetMode?
    /// The mode is not known because the coordinator table may not be read.
    package var isModeDenied = false
    /// The elected leader (3.x), or the worker that 2.x elects to audit the leases.
    package var leader: String?
    /// The leader's heartbeat, of a 3.x fleet.
    package var leaderHeartbeat: LeaderHeartbeat?
    /// How far the fleet is on its way from 2.x, of a 3.x fleet.
    package var migration: MigrationView?
    package var layout: TableLayout?
    package var assignment: LeaseAssignment?
    /// A first look at the tables beside the lease table is under way.
    package var awaitsSides = false
    package var failoverTime: FailoverTime
    package var retention: Duration?

    /// Every row of the shards pane: leases, shards that have none, holes; sorted by hash range, then id.
    package var leases: [LeaseView]
    /// Rows of the table that are no lease of ours to read: metrics, coordinator state, unreadable ones.
    package var otherRows: [OtherRow]
    /// The stream's shards with their family ties, closed ones within the retention included; `nil` in table-only mode.
    package var shards: ShardTree?
    /// Whether the stream is proven to be the table's; `nil` in table-only mode.
    package var streamMatch: StreamMatch?
    /// The streams that a multi-stream table names, sorted; empty for any other table.
    package var streams: [StreamView] = []
    /// All of this is of one of them: `narrowed`.
    var only: StreamID?
    /// Sorted by id.
    package var workers: [WorkerView]
    /// The child processes of this program, by the shard that each reads; empty where it runs none.
    package var children: [String: ChildView]
    /// The newest events, oldest first, bounded.
    package var events: [LoggedEvent]
    /// Most severe first.
    package var problems: [Problem]
    package var verdict: Verdict
    package var totals: FleetTotals
    package var cost: Cost

    package init(
        identity: FleetIdentity, sequence: Int = 0, takenAt: UnixTime = UnixTime(milliseconds: 0),
        takenAtInstant: Timestamp = .zero, observedFor: Duration = .zero, refreshAge: Duration? = nil,
        refreshInterval: Duration = .seconds(5), scans: Int = 0, generation: Generation = .unknown,
        mode: FleetMode? = nil, leader: String? = nil, failoverTime: FailoverTime = .assumed,
        retention: Duration? = nil, leases: [LeaseView] = [], otherRows: [OtherRow] = [],
        shards: ShardTree? = nil, workers: [WorkerView] = [],
        children: [String: ChildView] = [:], events: [LoggedEvent] = [], problems: [Problem] = [],
        verdict: Verdict = Verdict(), totals: FleetTotals = FleetTotals(), cost: Cost = Cost()
    ) {
        self.identity = identity
        self.sequence = sequence
        self.takenAt = takenAt
        self.takenAtInstant = takenAtInstant
        self.observedFor = observedFor
        self.refreshAge = refreshAge
        self.refreshInterval = refreshInterval
        self.scans = scans
        self.generation = generation
        self.mode = mode
        self.leader = leader
        self.failoverTime = failoverTime
        self.retention = retention
        self.leases = leases
        self.otherRows = otherRows
        self.shards = shards
        self.workers = workers
        self.children = children
        self.events = events
        self.problems = problems
        self.verdict = verdict
        self.totals = totals
        self.cost = cost
    }
}

/// What is watched, where and as whom: always in view.
package struct FleetIdentity: Hashable, Sendable {
    package var application: String
    package var table: String
    /// `nil` in table-only mode: a lease table does not name its stream.
    package var stream: String?
    package var region: String
    package var account: String?
    package var tableARN: String?
    /// Whose credentials: `role/ops`, a profile, `demo`.
    package var role: String?
    /// Any endpoint that is not AWS's own, or `in process`; `nil` for AWS.
    package var endpoint: String?
    /// The fleet is the one of our own demo.
    package var isDemo: Bool
    /// The tables of 3.0 to 3.4, where they are not named after the application.
    package var coordinatorTable: String?
    package var workerMetricsTable: String?
    /// Whether plans may be performed; the screen says READ-ONLY or WRITE.
    package var isWritable: Bool

    package init(
        application: String, table: String? = nil, stream: String?, region: String, account: String? = nil,
        tableARN: String? = nil, role: String? = nil, endpoint: String? = nil, isDemo: Bool = false,
        isWritable: Bool = false
    ) {
        self.application = application
        self.table = table ?? application
        self.stream = stream
        self.region = region
        self.account = account
        self.tableARN = tableARN
        self.role = role
        self.endpoint = endpoint
        self.isDemo = isDemo
        self.isWritable = isWritable
    }
}

/// Which KCL wrote the table, as far as it tells.
package enum Generation: String, Hashable, Sendable {
    case v1 = "1.x"
    case v2 = "2.x"
    case v3 = "3.x"
    case unknown
}

/// The time without a renewal after which workers take a lease.
package struct FailoverTime: Hashable, Sendable {
    package enum Source: String, Hashable, Sendable {
        /// Told by the user or by the embedding program.
        case given
        /// From the cadence of the counters: workers renew three times in it.
        case inferred
        /// Not known: KCL's default is shown and EXPIRED is never said.
        case assumed = "default"
    }

    package var duration: Duration
    package var source: Source

    package init(_ duration: Duration, _ source: Source) {
        self.duration = duration
        self.source = source
    }

    /// KCL's default, `failoverTimeMillis = 10000`.
    package static let assumed = FailoverTime(.seconds(10), .assumed)

    package var isKnown: Bool { source != .assumed }
}

/// A row of the lease table that is no readable lease; shown, never fatal.
package struct OtherRow: Hashable, Sendable {
    package var key: String
    /// Where it is a known kind of row: `LEADER`, `WORKER_METRIC_STATS`, ….
    package var entityType: String?
    /// Why it cannot be read, for a row that should be a lease; `nil` for a foreign row.
    package var oddity: String?
    package var stored: Item

    package init(key: String, entityType: String? = nil, oddity: String? = nil, stored: Item = [:]) {
        self.key = key
        self.entityType = entityType
        self.oddity = oddity
        self.stored = stored
    }
}

/// An event with its number in the log, which is unique and rises.
package struct LoggedEvent: Hashable, Sendable, Identifiable {
    package var seq: Int
    package var event: WorkerEvent

    package init(seq: Int, _ event: WorkerEvent) {
        self.seq = seq
        self.event = event
    }

    package var id: Int { seq }
}

package struct FleetTotals: Hashable, Sendable {
    /// Leases of open shards; without a stream, leases that did not end.
    package var open = 0
    /// Leases of closed shards whose records are still being read.
    package var draining = 0
    package var ended = 0
    /// FREE and EXPIRED leases: nobody consumes their shards.
    package var unowned = 0
    package var blocked = 0
    package var workers = 0
    package var maxDeliveredLag: Lag?
    package var maxCheckpointLag: Lag?
    package var sumDeliveredLagMilliseconds: Int64 = 0
    /// Sum over the shards whose throughput is known; `nil` where none is.
    package var recordsPerSecond: Double?
    package var bytesPerSecond: Double?
    /// The least time until an unread record falls out of the retention.
    package var secondsToTrim: Int64?

    package init() {}
}

/// What watching costs.
package struct Cost: Hashable, Sendable {
    /// Read capacity units a second over the last minute, as the answers say.
    package var readUnitsPerSecond: Double = 0
    package var readUnits: Double = 0
    package var callsPerSecond: Double = 0
    package var calls: Int = 0

    package init(
        readUnitsPerSecond: Double = 0, readUnits: Double = 0, callsPerSecond: Double = 0, calls: Int = 0
    ) {
        self.readUnitsPerSecond = readUnitsPerSecond
        self.readUnits = readUnits
        self.callsPerSecond = callsPerSecond
        self.calls = calls
    }
}
