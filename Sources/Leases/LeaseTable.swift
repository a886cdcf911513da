public import AWSWire
import Machine

/// The lease table's format: attribute names and how a row is read and written (kcl.md §1.1).
public enum LeaseTable {
    public static let hashKey = "leaseKey"

    /// The attribute names, exactly as Java writes them.
    enum Name {
        static let owner = "leaseOwner"
        static let counter = "leaseCounter"
        static let checkpoint = "checkpoint"
        static let subSequence = "checkpointSubSequenceNumber"
        static let ownerSwitches = "ownerSwitchesSinceCheckpoint"
        static let parents = "parentShardId"
        static let children = "childShardIds"
        static let startingHash = "startingHashKey"
        static let endingHash = "endingHashKey"
        static let pending = "pendingCheckpoint"
        static let pendingSubSequence = "pendingCheckpointSubSequenceNumber"
        static let pendingState = "pendingCheckpointState"
        static let checkpointOwner = "checkpointOwner"
        static let throughput = "throughputKBps"
        static let entityType = "entityType"
        static let streamName = "streamName"
        static let shardID = "shardId"
        /// A map that only workers of ours write and read.
        static let ownerMark = "shardtop"
    }

    private enum MarkName {
        static let owner = "owner"
        static let failover = "failoverTimeMillis"
    }

    public static func key(_ leaseKey: String) -> Item { [hashKey: .s(leaseKey)] }

    /// Reads a row; never fails. Attributes that we do not know are left alone.
    public static func row(_ item: Item) -> LeaseRow {
        guard let key = item[hashKey]?.string else {
            return .odd(key: "?", reason: "no \(hashKey)")
        }
        let entityType = item[Name.entityType]?.string
        if let entityType, entityType != "LEASE" { return .foreign(key: key, entityType: entityType) }
        if item[Name.counter] == nil, item[Name.checkpoint] == nil {
            return .foreign(key: key, entityType: entityType)
        }
        do throws(OddAttribute) { return .lease(try lease(item, key)) } catch {
            return .odd(key: key, reason: error.reason)
        }
    }

    private struct OddAttribute: Error {
        var reason: String
    }

    private static func lease(_ item: Item, _ key: String) throws(OddAttribute) -> Lease {
        guard let counter = item[Name.counter]?.int else { throw OddAttribute(reason: "\(Name.counter) is no number") }
        let checkpoint = try checkpoint(item, Name.checkpoint, Name.subSequence)
        guard let checkpoint else { throw OddAttribute(reason: "no \(Name.checkpoint)") }
        let pending = try self.checkpoint(item, Name.pending, Name.pendingSubSequence)
        var range: HashKeyRange?
        if let start = item[Name.startingHash]?.string, let end = item[Name.endingHash]?.string {
            guard let start = UInt128(start), let end = UInt128(end), start <= end else {
                throw OddAttribute(reason: "the hash key range is none")
            }
            range = HashKeyRange(start: start, end: end)
        }
        return Lease(
            leaseKey: key, leaseOwner: nonEmpty(item[Name.owner]), leaseCounter: counter, checkpoint: checkpoint,
            ownerSwitchesSinceCheckpoint: item[Name.ownerSwitches]?.int ?? 0,
            parentShardIDs: strings(item[Name.parents]), childShardIDs: strings(item[Name.children]),
            hashKeyRange: range,
            pendingCheckpoint: pending.map { PendingCheckpoint(checkpoint: $0, state: state(item)) },
            checkpointOwner: nonEmpty(item[Name.checkpointOwner]), throughputKBps: item[Name.throughput]?.double,
            streamName: item[Name.streamName]?.string, ownerMark: mark(item))
    }

    private static func mark(_ item: Item) -> OwnerMark? {
        guard case .m(let mark) = item[Name.ownerMark], let owner = mark[MarkName.owner]?.string,
            let milliseconds = mark[MarkName.failover]?.int, milliseconds > 0
        else { return nil }
        return OwnerMark(owner: owner, failoverTime: .milliseconds(milliseconds))
    }

    static func value(_ mark: OwnerMark) -> AttributeValue {
        .m([MarkName.owner: .s(mark.owner), MarkName.failover: .n(mark.failoverTime.wholeMilliseconds)])
    }

    private static func checkpoint(
        _ item: Item, _ name: String, _ subName: String
    ) throws(OddAttribute) -> Checkpoint? {
        guard let value = item[name] else { return nil }
        let sub = item[subName].map(\.int) ?? 0
        guard let text = value.string, let sub, let checkpoint = Checkpoint(text, subSequenceNumber: sub) else {
            throw OddAttribute(reason: "\(name) is neither a sequence number nor a sentinel")
        }
        return checkpoint
    }

    private static func state(_ item: Item) -> Bytes? {
        // Java's create path may have written a number here (kcl.md §1.1); that is no state.
        if case .b(let bytes) = item[Name.pendingState] { bytes } else { nil }
    }

    private static func nonEmpty(_ value: AttributeValue?) -> String? {
        value?.string.flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func strings(_ value: AttributeValue?) -> [String] {
        if case .ss(let set) = value { set.sorted() } else { [] }
    }

    /// The item that creates `lease`: what Java 2.x writes, no attribute more.
    public static func newItem(_ lease: Lease) -> Item {
        var item: Item = [
            hashKey: .s(lease.leaseKey), Name.counter: .n(lease.leaseCounter),
            Name.ownerSwitches: .n(lease.ownerSwitchesSinceCheckpoint),
            Name.checkpoint: .s(lease.checkpoint.text), Name.subSequence: .n(lease.checkpoint.subSequenceNumber),
        ]
        if let owner = lease.leaseOwner { item[Name.owner] = .s(owner) }
        if let mark = lease.ownerMark { item[Name.ownerMark] = value(mark) }
        if !lease.parentShardIDs.isEmpty { item[Name.parents] = .ss(Set(lease.parentShardIDs)) }
        if !lease.childShardIDs.isEmpty { item[Name.children] = .ss(Set(lease.childShardIDs)) }
        if let range = lease.hashKeyRange {
            item[Name.startingHash] = .s(String(range.start))
            item[Name.endingHash] = .s(String(range.end))
        }
        if let stream = lease.streamName {
            item[Name.streamName] = .s(stream)
            item[Name.shardID] = .s(lease.shardID)
        }
        return item
    }

    /// Whether a table's key is that of a lease table; otherwise why not, for a person.
    public static func whyNotALeaseTable(_ table: TableDescription) -> String? {
        guard table.keySchema == [hashKey: "HASH"], table.attributeTypes[hashKey] == "S" else {
            let keys = table.keySchema.keys.sorted().joined(separator: ", ")
            return "its key is (\(keys)), a lease table's is (leaseKey: S)"
        }
        return nil
    }
}
