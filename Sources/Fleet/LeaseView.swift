package import AWSWire
package import Leases
import Machine

/// One row of the shards pane.
package struct LeaseView: Hashable, Sendable, Identifiable {
    package enum Kind: Hashable, Sendable {
        case lease
        /// A shard of the stream that has no lease: BLOCKED or MISSING.
        case shard
        /// A hash range without lease.
        case hole
    }

    /// The lease key, or the shard id, or `hole:START`: unique, and the same from snapshot to snapshot.
    package var id: String
    package var kind: Kind
    package var shardID: String
    /// The serialised stream identifier of a multi-stream table's row.
    package var stream: String?
    /// The row as decoded; `nil` unless `kind` is lease.
    package var lease: Lease?
    /// The row as it is stored, unknown attributes included.
    package var stored: Item
    package var state: LeaseState
    package var reason: StateReason
    /// The owner, or during a handoff the successor.
    package var owner: String?
    /// During a handoff the worker that still processes.
    package var checkpointOwner: String?
    /// The owner is a worker of this process.
    package var isOurs: Bool

    /// How far behind the latest record delivery is.
    package var deliveredLag: Lag?
    /// How far behind the latest record the checkpoint is.
    package var checkpointLag: Lag?
    /// Since the checkpoint changed, on our clock.
    package var checkpointAge: Duration?
    /// False until the checkpoint was seen to change: then `checkpointAge` is how long we have watched, at least that.
    package var isCheckpointAgeExact: Bool
    /// Since the lease counter changed, on our clock.
    package var counterAge: Duration?
    package var recordsPerSecond: Double?
    package var bytesPerSecond: Double?
    package var history: History
    /// How its reader gets on; `nil` where it is not known, ended or not to be read yet.
    package var progress: ProgressView?

    package var parents: [String]
    package var children: [String]
    package var hashKeyRange: HashKeyRange?
    /// Whether the shard still takes records; `nil` where the stream is not known.
    package var isOpen: Bool?
    /// Until the oldest unread record falls out of the retention, at least.
    package var secondsToTrim: Int64?
    /// The worst problem that names this shard.
    package var severity: Severity?

    package init(
        id: String, kind: Kind = .lease, shardID: String? = nil, stream: String? = nil, lease: Lease? = nil,
        stored: Item = [:], state: LeaseState, reason: StateReason, owner: String? = nil,
        checkpointOwner: String? = nil, isOurs: Bool = false, deliveredLag: Lag? = nil, checkpointLag: Lag? = nil,
        checkpointAge: Duration? = nil, isCheckpointAgeExact: Bool = false, counterAge: Duration? = nil,
        recordsPerSecond: Double? = nil, bytesPerSecond: Double? = nil, history: History = History(),
        progress: ProgressView? = nil, parents: [String] = [], children: [String] = [],
        hashKeyRange: HashKeyRange? = nil, isOpen: Bool? = nil, secondsToTrim: Int64? = nil, severity: Severity? = nil
    ) {
        self.id = id
        self.kind = kind
        self.shardID = shardID ?? id
        self.stream = stream
        self.lease = lease
        self.stored = stored
        self.state = state
        self.reason = reason
        self.owner = owner
        self.checkpointOwner = checkpointOwner
        self.isOurs = isOurs
        self.deliveredLag = deliveredLag
        self.checkpointLag = checkpointLag
        self.checkpointAge = checkpointAge
        self.isCheckpointAgeExact = isCheckpointAgeExact
        self.counterAge = counterAge
        self.recordsPerSecond = recordsPerSecond
        self.bytesPerSecond = bytesPerSecond
        self.history = history
        self.progress = progress
        self.parents = parents
        self.children = children
        self.hashKeyRange = hashKeyRange
        self.isOpen = isOpen
        self.secondsToTrim = secondsToTrim
        self.severity = severity
    }

    package var why: String { reason.text }
    package var checkpoint: Checkpoint? { lease?.checkpoint }
    package var leaseCounter: Int64? { lease?.leaseCounter }
    package var ownerSwitches: Int64 { lease?.ownerSwitchesSinceCheckpoint ?? 0 }
    /// Kilobytes (1 024 bytes) a second, as KCL 3.x writes `throughputKBps`.
    package var kilobytesPerSecond: Double? { bytesPerSecond.map { $0 / 1024 } }

    /// The attribute names and values of the stored row, leaseKey first, then by name: for the detail view.
    package var storedAttributes: [(name: String, type: String, value: String)] {
        stored.keys.sorted { ($0 == LeaseTable.hashKey ? 0 : 1, $0) < ($1 == LeaseTable.hashKey ? 0 : 1, $1) }
            .compactMap { name in stored[name].map { (name, $0.tag, $0.plainText) } }
    }
}

/// A lag and where it comes from.
package struct Lag: Hashable, Comparable, Sendable {
    package enum Source: String, Hashable, Sendable {
        /// The service said it to our own engine (MillisBehindLatest).
        case exact
        case cloudwatch
        case probe
        /// From the time inside a sequence number: an upper bound, useless on an idle shard; shown with `≤`.
        case estimate
    }

    package var milliseconds: Int64
    package var source: Source

    package init(_ milliseconds: Int64, _ source: Source) {
        self.milliseconds = milliseconds
        self.source = source
    }

    package var isUpperBound: Bool { source == .estimate }

    package static func < (a: Lag, b: Lag) -> Bool {
        (a.milliseconds, a.isUpperBound ? 0 : 1) < (b.milliseconds, b.isUpperBound ? 0 : 1)
    }
}

/// The last minutes of a shard, bounded, oldest first; for sparklines and the detail graph.
package struct History: Hashable, Sendable {
    package struct Sample: Hashable, Sendable {
        /// Delivered lag, else checkpoint lag, in milliseconds; not a number where neither is known.
        package var lagMilliseconds: Float
        /// Not a number where it is not known.
        package var recordsPerSecond: Float

        package init(lagMilliseconds: Float, recordsPerSecond: Float) {
            self.lagMilliseconds = lagMilliseconds
            self.recordsPerSecond = recordsPerSecond
        }
    }

    /// One sample an `interval`.
    package private(set) var samples: [Sample] = []
    package var interval: Duration
    package var capacity: Int

    package init(interval: Duration = .seconds(2), capacity: Int = 60) {
        self.interval = interval
        self.capacity = capacity
    }

    package init(_ samples: [Sample], interval: Duration = .seconds(2), capacity: Int = 60) {
        self.init(interval: interval, capacity: capacity)
        self.samples = Array(samples.suffix(capacity))
    }

    package mutating func append(_ sample: Sample) {
        if samples.count >= capacity { samples.removeFirst(samples.count - capacity + 1) }
        samples.append(sample)
    }
}

extension AttributeValue {
    /// The value as a person reads it.
    package var plainText: String {
        switch self {
        case .s(let text), .n(let text): text
        case .b(let bytes): "\(bytes.count) bytes"
        case .bool(let flag): flag ? "true" : "false"
        case .null: "null"
        case .ss(let set), .ns(let set): set.sorted().joined(separator: ", ")
        case .bs(let set): "\(set.count) binary values"
        case .l, .m: JSON.text(wire)
        }
    }
}
