import AWSWire
import Leases
import Machine

/// A `Lease` of KCL 2.x: what the row says, and what only the worker's memory knows of it.
struct JavaLease: Hashable, Sendable {
    var leaseKey: String
    var leaseOwner: String?
    var leaseCounter: Int64 = 0
    var checkpoint: Checkpoint
    var ownerSwitchesSinceCheckpoint: Int64 = 0
    var parentShardIDs: [String] = []
    var childShardIDs: [String] = []
    var hashKeyRange: HashKeyRange?
    var pendingCheckpoint: Checkpoint?
    var pendingCheckpointState: Bytes?

    /// `lastCounterIncrementNanos`, on the worker's `System.nanoTime()`.
    var lastIncrement: Timestamp?
    /// `concurrencyToken`: another one each time the lease is acquired.
    var token = 0
    var isMarkedForSteal = false

    init(leaseKey: String, checkpoint: Checkpoint) {
        self.leaseKey = leaseKey
        self.checkpoint = checkpoint
    }

    /// `Lease.isExpired`; what is more than a year old is expired, too.
    func isExpired(_ duration: Duration, at now: Timestamp) -> Bool {
        guard let lastIncrement else { return true }
        return now - lastIncrement > duration
    }

    var isEnded: Bool { checkpoint.position == .shardEnd }

    /// `Lease.update`: the application's part of `other`.
    mutating func update(_ other: JavaLease) {
        ownerSwitchesSinceCheckpoint = other.ownerSwitchesSinceCheckpoint
        checkpoint = other.checkpoint
        pendingCheckpoint = other.pendingCheckpoint
        pendingCheckpointState = other.pendingCheckpointState
        parentShardIDs = other.parentShardIDs
        childShardIDs = Set(childShardIDs).union(other.childShardIDs).sorted()
    }
}

/// `DynamoDBLeaseSerializer` of 2.5.8 to 2.7.2, which has no mercy with a row: one that it cannot read makes every
/// `listLeases` fail, and with it each run of the taker, the auditor and the leader's election (kcl.md §0.6, §1.1).
extension JavaLease {
    struct Unreadable: Error, CustomStringConvertible {
        var description: String
    }

    /// `fromDynamoRecord`.
    init(_ item: Item) throws(Unreadable) {
        let key = try Self.string(item, "leaseKey", of: "a row")
        guard let key else { throw Unreadable(description: "a row has no leaseKey") }
        // Both are unboxed into `@NonNull` setters.
        guard let counter = try Self.long(item, "leaseCounter", of: key) else {
            throw Unreadable(description: "\(key) has no leaseCounter: NullPointerException")
        }
        guard let switches = try Self.long(item, "ownerSwitchesSinceCheckpoint", of: key) else {
            throw Unreadable(description: "\(key) has no ownerSwitchesSinceCheckpoint: NullPointerException")
        }
        let checkpoint = try Self.sequenceNumber(item, "checkpoint", "checkpointSubSequenceNumber", of: key)
        // Java reads such a row, and fails wherever it compares the checkpoint.
        guard let checkpoint else { throw Unreadable(description: "\(key) has no checkpoint") }
        self.init(leaseKey: key, checkpoint: checkpoint)
        leaseOwner = try Self.string(item, "leaseOwner", of: key)
        leaseCounter = counter
        ownerSwitchesSinceCheckpoint = switches
        parentShardIDs = try Self.strings(item, "parentShardId", of: key)
        childShardIDs = try Self.strings(item, "childShardIds", of: key)
        pendingCheckpoint = try Self.sequenceNumber(
            item, "pendingCheckpoint", "pendingCheckpointSubSequenceNumber", of: key)
        if let state = item["pendingCheckpointState"] {
            guard case .b(let bytes) = state else {
                throw Unreadable(description: "\(key) has a pendingCheckpointState of type \(state.tag)")
            }
            pendingCheckpointState = bytes
        }
        let start = try Self.string(item, "startingHashKey", of: key)
        let end = try Self.string(item, "endingHashKey", of: key)
        if let start, let end, !start.isEmpty, !end.isEmpty {
            guard let start = UInt128(start), let end = UInt128(end), start <= end else {
                throw Unreadable(description: "\(key) has the hash key range \(start)…\(end)")
            }
            hashKeyRange = HashKeyRange(start: start, end: end)
        }
    }

    private static func string(_ item: Item, _ name: String, of key: String) throws(Unreadable) -> String? {
        guard let value = item[name] else { return nil }
        guard let text = value.string else { throw Unreadable(description: "\(key): \(name) is no S") }
        return text
    }

    private static func long(_ item: Item, _ name: String, of key: String) throws(Unreadable) -> Int64? {
        guard let value = item[name] else { return nil }
        guard case .n(let text) = value, let number = Int64(text) else {
            throw Unreadable(description: "\(key): \(name) is no long: NumberFormatException")
        }
        return number
    }

    /// A set that is empty cannot be stored; one of another type reads as none, and parents would be lost.
    private static func strings(_ item: Item, _ name: String, of key: String) throws(Unreadable) -> [String] {
        guard let value = item[name] else { return [] }
        guard case .ss(let set) = value, !set.isEmpty else {
            throw Unreadable(description: "\(key): \(name) is no SS")
        }
        return set.sorted()
    }

    private static func sequenceNumber(
        _ item: Item, _ name: String, _ subName: String, of key: String
    ) throws(Unreadable) -> Checkpoint? {
        guard let text = try string(item, name, of: key), !text.isEmpty else { return nil }
        let sub = try long(item, subName, of: key) ?? 0
        guard let checkpoint = Checkpoint(text, subSequenceNumber: sub) else {
            throw Unreadable(description: "\(key): \(name) is \(text): IllegalArgumentException")
        }
        return checkpoint
    }

    /// `toDynamoRecord`.
    var item: Item {
        var item: Item = [
            "leaseKey": .s(leaseKey), "leaseCounter": .n(leaseCounter),
            "ownerSwitchesSinceCheckpoint": .n(ownerSwitchesSinceCheckpoint), "checkpoint": .s(checkpoint.text),
            "checkpointSubSequenceNumber": .n(checkpoint.subSequenceNumber),
        ]
        if let leaseOwner { item["leaseOwner"] = .s(leaseOwner) }
        if !parentShardIDs.isEmpty { item["parentShardId"] = .ss(Set(parentShardIDs)) }
        if !childShardIDs.isEmpty { item["childShardIds"] = .ss(Set(childShardIDs)) }
        if let hashKeyRange {
            item["startingHashKey"] = .s(String(hashKeyRange.start))
            item["endingHashKey"] = .s(String(hashKeyRange.end))
        }
        return item
    }
}
