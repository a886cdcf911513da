public import AWSWire

/// One row of a lease table, as Java KCL 1.x to 3.x writes it (kcl.md §1.1).
public struct Lease: Hashable, Sendable {
    /// The shard's id, or `account:stream:creation:shardId` in a multi-stream table.
    public var leaseKey: String
    /// The worker that holds it, or that it is being handed to; absent when nobody does.
    public var leaseOwner: String?
    /// Rises with every write of the holder: heartbeat and fencing token in one. The row holds no time.
    public var leaseCounter: Int64
    public var checkpoint: Checkpoint
    public var ownerSwitchesSinceCheckpoint: Int64
    /// Shard ids, sorted; empty for an original shard.
    public var parentShardIDs: [String]
    /// Shard ids, sorted; empty until the shard ended.
    public var childShardIDs: [String]
    public var hashKeyRange: HashKeyRange?
    public var pendingCheckpoint: PendingCheckpoint?
    /// 3.x, during a graceful handoff: the worker that still processes and may checkpoint.
    public var checkpointOwner: String?
    /// 3.x: the owner's smoothed throughput.
    public var throughputKBps: Double?
    /// Multi-stream tables: the serialised stream identifier.
    public var streamName: String?
    /// What a worker of ours wrote beside its name. It stays in the row when a Java worker takes the lease.
    public var ownerMark: OwnerMark?

    public init(
        leaseKey: String, leaseOwner: String? = nil, leaseCounter: Int64 = 0, checkpoint: Checkpoint,
        ownerSwitchesSinceCheckpoint: Int64 = 0, parentShardIDs: [String] = [], childShardIDs: [String] = [],
        hashKeyRange: HashKeyRange? = nil, pendingCheckpoint: PendingCheckpoint? = nil,
        checkpointOwner: String? = nil, throughputKBps: Double? = nil, streamName: String? = nil,
        ownerMark: OwnerMark? = nil
    ) {
        self.leaseKey = leaseKey
        self.leaseOwner = leaseOwner
        self.leaseCounter = leaseCounter
        self.checkpoint = checkpoint
        self.ownerSwitchesSinceCheckpoint = ownerSwitchesSinceCheckpoint
        self.parentShardIDs = parentShardIDs.sorted()
        self.childShardIDs = childShardIDs.sorted()
        self.hashKeyRange = hashKeyRange
        self.pendingCheckpoint = pendingCheckpoint
        self.checkpointOwner = checkpointOwner
        self.throughputKBps = throughputKBps
        self.streamName = streamName
        self.ownerMark = ownerMark
    }

    /// The plain shard id, also of a multi-stream key.
    public var shardID: String { Self.shardID(of: leaseKey) }

    package static func shardID(of leaseKey: String) -> String {
        guard let colon = leaseKey.utf8.lastIndex(of: UInt8(ascii: ":")) else { return leaseKey }
        return String(leaseKey[leaseKey.utf8.index(after: colon)...])
    }

    /// The stream that a multi-stream key names; `nil` for any other key.
    public var streamID: StreamID? { isMultiStream ? StreamID(leaseKey: leaseKey) : nil }

    public var isMultiStream: Bool { streamName != nil || leaseKey.utf8.contains(UInt8(ascii: ":")) }
    public var isEnded: Bool { checkpoint.position == .shardEnd }
    public var isInHandoff: Bool { checkpointOwner != nil && checkpointOwner != leaseOwner }
    /// Who processes the shard now: during a handoff still the old owner.
    public var actualOwner: String? { checkpointOwner ?? leaseOwner }
    /// Whether the owner is a worker of ours, by its own word.
    public var isOwnerMarked: Bool { leaseOwner != nil && ownerMark?.owner == leaseOwner }
}

/// What a worker of ours writes into the rows that it takes, beside what KCL's rows have, and no Java worker reads:
/// that it is one of ours, and when others may think it dead.
///
/// Workers of ours share the table out for reading and leave ended leases out of their balance. A neighbour without the
/// mark does neither.
public struct OwnerMark: Hashable, Sendable {
    /// The mark is of this worker; a row that has another owner by now carries it still.
    public var owner: String
    public var failoverTime: Duration

    public init(owner: String, failoverTime: Duration) {
        self.owner = owner
        self.failoverTime = failoverTime
    }
}

/// A checkpoint that was prepared and not yet committed (kcl.md §7).
public struct PendingCheckpoint: Hashable, Sendable {
    public var checkpoint: Checkpoint
    /// Opaque bytes of the application.
    public var state: Bytes?

    public init(checkpoint: Checkpoint, state: Bytes? = nil) {
        self.checkpoint = checkpoint
        self.state = state
    }
}

/// A row of a lease table: a lease, a row of another kind, or a lease we cannot read. None ever breaks a scan.
public enum LeaseRow: Hashable, Sendable {
    case lease(Lease)
    /// A row that is no lease: worker metrics, coordinator state, or another's. `entityType` where it says.
    case foreign(key: String, entityType: String?)
    /// It should be a lease, but an attribute is missing or odd; the reason names it.
    case odd(key: String, reason: String)

    public var lease: Lease? {
        if case .lease(let lease) = self { lease } else { nil }
    }

    public var key: String {
        switch self {
        case .lease(let lease): lease.leaseKey
        case .foreign(let key, _), .odd(let key, _): key
        }
    }
}
