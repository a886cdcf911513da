public import AWSWire

/// The shards of a stream by id, with their family ties.
public struct ShardTree: Hashable, Sendable {
    public private(set) var shards: [String: Shard]
    public private(set) var children: [String: [String]]

    public init(_ shards: [Shard]) {
        self.shards = Dictionary(shards.map { ($0.shardID, $0) }, uniquingKeysWith: { $1 })
        children = [:]
        for shard in shards {
            for parent in shard.parentShardIDs { children[parent, default: []].append(shard.shardID) }
        }
        for key in children.keys { children[key]?.sort() }
    }

    public subscript(id: String) -> Shard? { shards[id] }

    /// Open shards, sorted by id.
    public var open: [Shard] { shards.values.filter(\.isOpen).sorted { $0.shardID < $1.shardID } }

    /// The parents that ListShards still lists.
    public func listedParents(of id: String) -> [String] {
        (shards[id]?.parentShardIDs ?? []).filter { shards[$0] != nil }
    }

    /// The children of a closed shard in the form in which its last answer names them.
    public func childShards(of id: String) -> [ChildShard] {
        (children[id] ?? []).compactMap { child in
            shards[child].map {
                ChildShard(shardID: child, parentShardIDs: $0.parentShardIDs, hashKeyRange: $0.hashKeyRange)
            }
        }
    }
}

/// The hash ranges that no lease covers: nobody consumes the records that fall there (kcl.md §5.3).
///
/// - Parameter ranges: of the leases whose checkpoint is not SHARD_END.
public func holes(in ranges: [HashKeyRange]) -> [HashKeyRange] {
    var holes: [HashKeyRange] = []
    var next: UInt128 = 0
    for range in ranges.sorted(by: { ($0.start, $0.end) < ($1.start, $1.end) }) {
        if range.start > next { holes.append(HashKeyRange(start: next, end: range.start - 1)) }
        if range.end == .max { return holes }
        next = max(next, range.end + 1)
    }
    holes.append(HashKeyRange(start: next, end: .max))
    return holes
}
