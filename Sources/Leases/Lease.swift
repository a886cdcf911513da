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

    public init(
        leaseKey: String, leaseOwner: String? = nil, leaseCounter: Int64 = 0, checkpoint: Checkpoint,
        ownerSwitchesSinceCheckpoint: Int64 = 0, parentShardIDs: [String] = [], childShardIDs: [String] = [],
        hashKeyRange: HashKeyRange? = nil, pendingCheckpoint: PendingCheckpoint? = nil,
        checkpointOwner: String? = nil, throughputKBps: Double? = nil, streamName: String? = nil
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
    }

    /// The plain shard id, also of a multi-stream key.
    public var shardID: String {
        guard let colon = leaseKey.utf8.lastIndex(of: UInt8(ascii: ":")) else { return leaseKey }
        return String(leaseKey[leaseKey.utf8.index(after: colon)...])
    }

    public var isMultiStream: Bool { streamName != nil || leaseKey.utf8.contains(UInt8(ascii: ":")) }
    public var isEnded: Bool { checkpoint.position == .shardEnd }
    public var isInHandoff: Bool { checkpointOwner != nil && checkpointOwner != leaseOwner }
    /// Who processes the shard now: during a handoff still the old owner.
    public var actualOwner: String? { checkpointOwner ?? leaseOwner }
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
