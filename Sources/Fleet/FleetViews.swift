package import Machine

/// A worker as its leases (and, for our own, the program that runs it) show it.
package struct WorkerView: Hashable, Sendable, Identifiable {
    package enum State: String, Hashable, Sendable, CaseIterable {
        case learning = "LEARNING"
        case live = "LIVE"
        case late = "LATE"
        /// None of its leases was renewed for the failover time.
        case expired = "EXPIRED"
        /// It holds nothing: one of ours, or a 3.x worker that reports.
        case idle = "IDLE"
        case paused = "PAUSED"
        case stopped = "STOPPED"
    }

    package var workerID: String
    /// Leases it owns, SHARD_END ones not counted.
    package var leases: Int
    /// Of those, the ones it renews and reads.
    package var activeLeases: Int
    /// Leases at SHARD_END that still name it.
    package var endedLeases = 0
    package var state: State
    /// Since the youngest renewal of any of its leases; `nil` where none was seen.
    package var heartbeatAge: Duration?
    /// It runs in this process.
    package var isOurs: Bool
    package var isPaused: Bool
    package var isStopped: Bool
    /// It is the leader (3.x) or audits the leases (2.x).
    package var isLeader: Bool
    package var recordsPerSecond: Double?
    package var bytesPerSecond: Double?
    /// What a 3.x worker says of itself.
    package var report: WorkerReport?

    package init(
        workerID: String, leases: Int = 0, activeLeases: Int = 0, state: State = .learning,
        heartbeatAge: Duration? = nil, isOurs: Bool = false, isPaused: Bool = false, isStopped: Bool = false,
        isLeader: Bool = false, recordsPerSecond: Double? = nil, bytesPerSecond: Double? = nil
    ) {
        self.workerID = workerID
        self.leases = leases
        self.activeLeases = activeLeases
        self.state = state
        self.heartbeatAge = heartbeatAge
        self.isOurs = isOurs
        self.isPaused = isPaused
        self.isStopped = isStopped
        self.isLeader = isLeader
        self.recordsPerSecond = recordsPerSecond
        self.bytesPerSecond = bytesPerSecond
    }

    package var id: String { workerID }
}

/// A worker of this process, as the program that runs it knows it.
package struct OwnWorker: Hashable, Sendable {
    package var workerID: String
    package var isPaused: Bool
    package var isStopped: Bool

    package init(_ workerID: String, isPaused: Bool = false, isStopped: Bool = false) {
        self.workerID = workerID
        self.isPaused = isPaused
        self.isStopped = isStopped
    }
}

package enum Severity: Int, Hashable, Comparable, Sendable, CaseIterable {
    case info
    case warning
    case critical

    package static func < (a: Severity, b: Severity) -> Bool { a.rawValue < b.rawValue }

    /// As reports write it.
    package var name: String {
        switch self {
        case .info: "info"
        case .warning: "warning"
        case .critical: "critical"
        }
    }
}

/// Something that is wrong, in words, with what to do about it.
package struct Problem: Hashable, Sendable, Identifiable {
    package enum Kind: String, Hashable, Sendable, CaseIterable {
        case unowned = "UNOWNED"
        case expired = "EXPIRED"
        case hole = "HOLE"
        case orphan = "ORPHAN"
        case missing = "MISSING"
        case blocked = "BLOCKED"
        case stuck = "STUCK"
        case handoffStuck = "HANDOFF_STUCK"
        case oddRow = "ODD_ROW"
        case throttled = "THROTTLED"
        case dataLossRisk = "DATA_LOSS_RISK"
        /// The checkpoint is older than the retention: what was not read then is gone.
        case dataLost = "DATA_LOST"
        /// The stream was deleted and created again; checkpoints are of the one before.
        case streamRecreated = "STREAM_RECREATED"
        case hot = "HOT"
        /// One lease goes from owner to owner.
        case flapping = "FLAPPING"
        /// Workers have different failover times.
        case failoverDiffers = "FAILOVER_DIFFERS"
        /// Two workers have one id.
        case sameID = "SAME_ID"
        /// A 3.x fleet has nobody who hands out leases.
        case leaderLost = "LEADER_LOST"
        /// Leases are shared out badly.
        case uneven = "UNEVEN"
        /// The table cannot be read.
        case table = "TABLE"
        /// The stream cannot be read.
        case stream = "STREAM"
        case clock = "CLOCK"
        case denied = "DENIED"
        /// A child process keeps us waiting, failed, or writes what is no message.
        case child = "CHILD"
    }

    /// Stable while the problem lasts.
    package var id: String
    package var kind: Kind
    package var severity: Severity
    package var since: UnixTime
    /// How long it lasts at the snapshot's time.
    package var age: Duration
    /// Sorted; empty where it concerns no shard. Lease keys, where the table names its streams.
    package var shardIDs: [String]
    /// The worker concerned, where there is one.
    package var workerID: String?
    /// Of a table that names its streams: the one concerned, where it is one.
    package var stream: String?
    package var message: String
    package var action: ProblemAction?

    package init(
        id: String, kind: Kind, severity: Severity, since: UnixTime, age: Duration = .zero, shardIDs: [String] = [],
        workerID: String? = nil, stream: String? = nil, message: String, action: ProblemAction? = nil
    ) {
        self.id = id
        self.kind = kind
        self.severity = severity
        self.since = since
        self.age = age
        self.shardIDs = shardIDs
        self.workerID = workerID
        self.stream = stream
        self.message = message
        self.action = action
    }
}

/// What a key does about a problem. The screen shows `key label`.
package enum ProblemAction: String, Hashable, Sendable {
    case evict
    case steal
    case split
    case merge
    case completeHandoff = "complete-handoff"
    case create
    case delete

    package var key: Character {
        switch self {
        case .evict: "e"
        case .steal: "s"
        case .split: "S"
        case .merge: "M"
        case .completeHandoff: "a"
        case .create: "C"
        case .delete: "D"
        }
    }

    package var label: String { rawValue }
}

/// The one line that an operator reads first.
package struct Verdict: Hashable, Sendable {
    package enum Trend: Hashable, Sendable {
        case falling
        case steady
        case rising
    }

    /// `nil` where nothing is wrong.
    package var severity: Severity?
    /// OK, WARNING, CRITICAL, INFO, LEARNING, UNKNOWN.
    package var word: String
    /// The worst problem, or that all is well.
    package var headline: String
    /// Max lag, time to data loss, counts: each a phrase of its own.
    package var facts: [String]
    /// Where the largest lag is going.
    package var lagTrend: Trend

    package init(
        severity: Severity? = nil, word: String = "UNKNOWN", headline: String = "nothing was read yet",
        facts: [String] = [], lagTrend: Trend = .steady
    ) {
        self.severity = severity
        self.word = word
        self.headline = headline
        self.facts = facts
        self.lagTrend = lagTrend
    }

    package var text: String { ([headline] + facts).joined(separator: " · ") }
}
