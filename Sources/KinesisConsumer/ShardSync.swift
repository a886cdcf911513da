import AWSWire
import Leases

/// The leases to create in an empty table: one for each shard of the listing that was filtered by `position`
/// (kcl.md §5.1, "Empty table").
///
/// Ordered by starting sequence number, then shard id, so that a run that dies half-way leaves the older ones.
func leasesForEmptyTable(_ shards: [Shard], at position: InitialPosition) -> [Lease] {
    oldestFirst(shards).map { lease(of: $0, at: position.checkpoint) }
}

/// What a shard sync beside existing leases finds.
struct ShardSyncResult: Hashable, Sendable {
    /// Ordered by starting sequence number, then shard id. Creation is conditional, so two syncs may race.
    var leasesToCreate: [Lease]
    /// Children of parents that the listing shows open: the listing is torn. The caller lists again, and nothing is to
    /// be created until then.
    var unexpectedChildren: [String]
}

/// The leases to create beside existing ones (kcl.md §5.1, "Non-empty table").
///
/// A shard whose ancestor has a lease, or gets one here, gets none: the end of the ancestor creates it. Of the others,
/// open shards start at LATEST; from TRIM_HORIZON and AT_TIMESTAMP their oldest listed ancestors start instead. The
/// parent that a merge child has outside of the leased family is leased as well, for the child waits for both.
///
/// Unlike Java's, this sync also repairs a lost child: where every parent is done and neither the child nor a
/// descendant of it has a lease, the child is created at TRIM_HORIZON, as the end of its parents should have done.
///
/// - Parameters:
///   - leases: all leases of the stream, ended ones included.
///   - ignoreUnexpectedChildShards: leave such children out instead of reporting them.
func shardSync(
    _ tree: ShardTree, leases: [Lease], at position: InitialPosition, ignoreUnexpectedChildShards: Bool
) -> ShardSyncResult {
    let unexpected = tree.children.keys.sorted().filter { tree[$0]?.isOpen == true }
        .flatMap { tree.children[$0] ?? [] }
    if !unexpected.isEmpty, !ignoreUnexpectedChildShards {
        return ShardSyncResult(leasesToCreate: [], unexpectedChildren: Set(unexpected).sorted())
    }
    let position = position.beside(leases)
    var family = Family(tree, leases: leases)
    let skipped = Set(unexpected)
    for shard in tree.open where !skipped.contains(shard.shardID) { family.need(shard.shardID) }
    return ShardSyncResult(leasesToCreate: family.leasesToCreate(at: position), unexpectedChildren: [])
}

/// Whether a completed lease may be deleted (kcl.md §5.4, §0.9).
///
/// It may once every child has a lease that is past TRIM_HORIZON and AT_TIMESTAMP, so that the sync does not bring this
/// one back, and once no parent has a lease any more. Where no children are known, only a shard that the stream does
/// not list any more is deleted: an empty set of children proves nothing.
///
/// - Parameters:
///   - leases: all leases of the stream by key.
///   - tree: the full listing; `nil` when the stream does not exist any more.
func mayDelete(_ lease: Lease, leases: [String: Lease], tree: ShardTree?) -> Bool {
    guard lease.isEnded else { return false }
    guard let tree else { return true }
    let listed = tree[lease.shardID]
    let parents = Set(lease.parentShardIDs).union(listed?.parentShardIDs ?? [])
    guard parents.allSatisfy({ leases[$0] == nil }) else { return false }
    let children = Set(lease.childShardIDs).union(tree.children[lease.shardID] ?? [])
    if children.isEmpty { return listed == nil }
    return children.allSatisfy { child in
        switch leases[child]?.checkpoint.position {
        case .trimHorizon, .atTimestamp: false
        case .latest, .sequenceNumber, .shardEnd: true
        // Both are trimmed: nobody can read the child any more.
        case nil: listed == nil && tree[child] == nil
        }
    }
}

/// The lease of a child that the end of a shard named (kcl.md §5.2): whatever the initial position, all of it is read.
func childLease(_ child: ChildShard) -> Lease {
    Lease(
        leaseKey: child.shardID, checkpoint: .trimHorizon, parentShardIDs: child.parentShardIDs,
        hashKeyRange: child.hashKeyRange)
}

private func lease(of shard: Shard, at checkpoint: Checkpoint) -> Lease {
    Lease(
        leaseKey: shard.shardID, checkpoint: checkpoint, parentShardIDs: shard.parentShardIDs,
        hashKeyRange: shard.hashKeyRange)
}

private func oldestFirst(_ shards: [Shard]) -> [Shard] {
    let numbered: [(number: SequenceNumber, shard: Shard)] = shards.map {
        (SequenceNumber($0.startingSequenceNumber) ?? .zero, $0)
    }
    return numbered.sorted { a, b in
        a.number != b.number ? a.number < b.number : a.shard.shardID < b.shard.shardID
    }.map(\.shard)
}

extension InitialPosition {
    /// AT_TIMESTAMP in a row makes a Java worker that is configured otherwise fail at every initialize (kcl.md §0.11).
    /// Where a row shows that others are, TRIM_HORIZON is written instead, which skips nothing.
    fileprivate func beside(_ leases: [Lease]) -> InitialPosition {
        guard case .atTimestamp = self else { return self }
        let isAnothers = leases.contains {
            // A child starts at TRIM_HORIZON whatever the initial position.
            $0.checkpoint.position == .latest || ($0.checkpoint.position == .trimHorizon && $0.parentShardIDs.isEmpty)
        }
        return isAnothers ? .trimHorizon : self
    }

    /// The sentinel that a new lease starts with.
    package var checkpoint: Checkpoint {
        switch self {
        case .latest: .latest
        case .trimHorizon: .trimHorizon
        case .atTimestamp: .atTimestamp
        }
    }
}

/// The shards of a listing with what their leases say about their ancestors and descendants; each question is answered
/// once a shard, without recursion, because a stream that is resharded daily has a long ancestry.
private struct Family {
    private let tree: ShardTree
    private let leases: [String: Lease]
    /// Parents before children; shards of a cyclic (malformed) listing are left out.
    private let order: [String]
    /// Itself or an ancestor has a lease.
    private var isCovered: Set<String> = []
    private var hasLeasedDescendant: Set<String> = []
    /// Read to the end: its lease says so, or it has none any more while its parents are done and a descendant runs.
    private var isDone: Set<String> = []
    private var needed: Set<String> = []

    init(_ tree: ShardTree, leases: [Lease]) {
        self.tree = tree
        self.leases = Dictionary(leases.map { ($0.shardID, $0) }, uniquingKeysWith: { $1 })
        order = parentsFirst(tree)
        for id in order.reversed() where self.leases[id] != nil || hasLeasedDescendant.contains(id) {
            hasLeasedDescendant.formUnion(tree[id]?.parentShardIDs ?? [])
        }
        for id in order {
            let parents = parents(of: id)
            if let lease = self.leases[id] {
                isCovered.insert(id)
                if lease.isEnded { isDone.insert(id) }
            } else if !parents.isEmpty {
                if parents.contains(where: covered) { isCovered.insert(id) }
                if hasLeasedDescendant.contains(id), parents.allSatisfy(done) { isDone.insert(id) }
            }
        }
    }

    mutating func need(_ id: String) { needed.insert(id) }

    /// From the youngest to the oldest: a needed shard is leased itself or needs its parents. Then it needs all of
    /// them, one that was done and deleted too, because the last one creates a merge child only beside the other.
    mutating func leasesToCreate(at position: InitialPosition) -> [Lease] {
        var created: [Shard] = []
        var lost: Set<String> = []
        for id in order.reversed() where needed.contains(id) && leases[id] == nil {
            guard let shard = tree[id] else { continue }
            let parents = parents(of: id)
            if parents.isEmpty || position == .latest && !isCovered.contains(id) {
                created.append(shard)
            } else if parents.allSatisfy(done) {
                created.append(shard)
                lost.insert(id)
            } else {
                needed.formUnion(parents)
            }
        }
        return oldestFirst(created).map {
            lease(of: $0, at: lost.contains($0.shardID) ? .trimHorizon : position.checkpoint)
        }
    }

    /// The parents that are still listed, and those that are not but still have a lease.
    private func parents(of id: String) -> [String] {
        (tree[id]?.parentShardIDs ?? []).filter { tree[$0] != nil || leases[$0] != nil }
    }

    private func covered(_ id: String) -> Bool { leases[id] != nil || isCovered.contains(id) }
    private func done(_ id: String) -> Bool { leases[id]?.isEnded == true || isDone.contains(id) }
}

/// The shard ids so that each comes after its listed parents.
private func parentsFirst(_ tree: ShardTree) -> [String] {
    var waitsFor: [String: Int] = [:]
    var order: [String] = []
    for id in tree.shards.keys.sorted() {
        let parents = tree.listedParents(of: id).count
        waitsFor[id] = parents
        if parents == 0 { order.append(id) }
    }
    var next = 0
    while next < order.count {
        for child in tree.children[order[next]] ?? [] {
            waitsFor[child, default: 0] -= 1
            if waitsFor[child] == 0 { order.append(child) }
        }
        next += 1
    }
    return order
}
