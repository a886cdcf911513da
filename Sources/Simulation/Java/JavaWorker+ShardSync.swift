import AWSWire
import KinesisConsumer
import Leases
import Machine

/// `ShardSyncTask`, `PeriodicShardSyncManager` and `DeterministicShuffleShardSyncLeaderDecider` (kcl.md §3.2, §5).
extension JavaWorker {
    /// `checkAndCreateLeaseForNewShards`, and the sleep after it.
    func syncShards() async throws {
        let isEmpty = try await refresher.isTableEmpty()
        let shards =
            isEmpty
            ? try await shardsAtInitialPosition()
            : try await kinesis.listShards(
                stream: configuration.streamName)
        if shards.isEmpty { return }
        let sync = JavaShardSync(shards, at: configuration.initialPosition)
        if let child = sync.inconsistent.sorted().first {
            throw JavaFailure.dependency("the open child \(child) of an open parent: a torn listing")
        }
        let leases = try await refresher.listLeases()
        for lease in isEmpty ? sync.leasesForEmptyTable() : sync.leases(beside: Set(leases.map(\.leaseKey))) {
            if try await refresher.create(lease) { emit(.leaseCreated, lease.leaseKey) }
        }
        try await time.sleep(for: constants.shardSyncIdle)
    }

    private func shardsAtInitialPosition() async throws -> [Shard] {
        for _ in 0..<3 {
            let shards = try await kinesis.listShards(
                stream: configuration.streamName, filter: configuration.initialPosition.filter)
            if Leases.holes(in: shards.map(\.hashKeyRange)).isEmpty { return shards }
            try await time.sleep(for: .seconds(1))
        }
        throw JavaFailure.dependency("the hash range of the shards is incomplete")
    }

    /// Everybody is leader where nobody owns anything.
    func isLeader() async throws -> Bool {
        if leaders.isEmpty || electsAgainAt.map({ $0 <= now }) ?? false {
            electsAgainAt = now + (electsAgainAt == nil ? constants.electionDelay : constants.electionInterval)
            let owners = try await refresher.listLeases().compactMap(\.leaseOwner)
            leaders = Set(shardSyncLeader(owners: owners).map { [$0] } ?? [])
        }
        return leaders.isEmpty || leaders.contains(configuration.workerID)
    }

    func audit() async {
        do {
            guard try await isLeader() else { return }
            let leases = try await refresher.listLeases()
            if leases.isEmpty { return try await syncShards() }
            let active = try await filled(leases.filter { !$0.isEnded })
            guard
                holes.isSure(of: Leases.holes(in: active.compactMap(\.hashKeyRange)).first, constants.auditorConfidence)
            else {
                return
            }
            // A sync that was cut short leaves one.
            emit(.shardSynced, nil, "a hole in the hash range for \(constants.auditorConfidence) audits")
            try await syncShards()
        } catch {
            logged(error, in: "audit")
        }
    }

    /// `fillWithHashRangesIfRequired`.
    private func filled(_ leases: [JavaLease]) async throws -> [JavaLease] {
        guard leases.contains(where: { $0.hashKeyRange == nil }) else { return leases }
        let tree = ShardTree(try await kinesis.listShards(stream: configuration.streamName))
        var filled: [JavaLease] = []
        for var lease in leases {
            if lease.hashKeyRange == nil, let range = tree[lease.leaseKey]?.hashKeyRange {
                lease.hashKeyRange = range
                try? await refresher.setHashKeyRange(lease.leaseKey, range)
            }
            filled.append(lease)
        }
        return filled
    }
}

/// `HashRangeHoleTracker`: the same hole, seen several times in a row.
struct JavaHoleTracker {
    private var hole: HashKeyRange?
    private var count = 0

    mutating func isSure(of seen: HashKeyRange?, _ confidence: Int) -> Bool {
        guard let seen else {
            self = JavaHoleTracker()
            return false
        }
        count = hole == seen ? count + 1 : 1
        hole = seen
        return count >= confidence
    }
}

/// `HierarchicalShardSyncer`: the leases to create (kcl.md §5.1).
struct JavaShardSync {
    private let shards: [String: Shard]
    private let position: InitialPosition
    private var created: [String: JavaLease] = [:]
    private var isDescendant: [String: Bool] = [:]
    private var shouldCreate: Set<String> = []

    init(_ shards: [Shard], at position: InitialPosition) {
        self.shards = Dictionary(shards.map { ($0.shardID, $0) }, uniquingKeysWith: { $1 })
        self.position = position
    }

    /// `findInconsistentShardIds`: children of shards that are open.
    var inconsistent: Set<String> {
        Set(
            shards.values.filter { child in listedParents(child).contains { shards[$0]?.isOpen == true } }
                .map(\.shardID))
    }

    private func newLease(_ shard: Shard) -> JavaLease {
        var lease = JavaLease(leaseKey: shard.shardID, checkpoint: position.checkpoint)
        lease.parentShardIDs = shard.parentShardIDs.sorted()
        lease.hashKeyRange = shard.hashKeyRange
        return lease
    }

    func leasesForEmptyTable() -> [JavaLease] { sorted(shards.values.map(newLease)) }

    func leases(beside existing: Set<String>) -> [JavaLease] {
        var sync = self
        for shard in shards.values.filter(\.isOpen).sorted(by: { $0.shardID < $1.shardID })
        where !existing.contains(shard.shardID) {
            if !sync.checkIfDescendant(shard.shardID, existing) { sync.created[shard.shardID] = newLease(shard) }
        }
        return sorted(Array(sync.created.values))
    }

    private func listedParents(_ shard: Shard) -> [String] {
        shard.parentShardIDs.filter { shards[$0] != nil }.sorted()
    }

    /// `checkIfDescendantAndAddNewLeasesForAncestors`.
    private mutating func checkIfDescendant(_ id: String, _ existing: Set<String>) -> Bool {
        if let known = isDescendant[id] { return known }
        guard let shard = shards[id] else { return false }
        var answer = existing.contains(id)
        if !answer {
            let parents = listedParents(shard)
            var descendants: Set<String> = []
            for parent in parents where checkIfDescendant(parent, existing) || shouldCreate.contains(parent) {
                answer = true
                descendants.insert(parent)
            }
            if answer {
                for parent in parents where !existing.contains(parent) { lease(parent, descendants) }
            } else if position != .latest {
                shouldCreate.insert(id)
            }
        }
        isDescendant[id] = answer
        return answer
    }

    private mutating func lease(_ parent: String, _ descendants: Set<String>) {
        guard let shard = shards[parent],
            created[parent] != nil || shouldCreate.contains(parent) || !descendants.contains(parent)
        else { return }
        var lease = created[parent] ?? newLease(shard)
        let isTimed = if case .atTimestamp = position { true } else { false }
        lease.checkpoint = descendants.contains(parent) && !isTimed ? .trimHorizon : position.checkpoint
        created[parent] = lease
    }

    /// By starting sequence number, then shard id.
    private func sorted(_ leases: [JavaLease]) -> [JavaLease] {
        func number(_ lease: JavaLease) -> SequenceNumber {
            shards[lease.leaseKey].flatMap { SequenceNumber($0.startingSequenceNumber) } ?? .zero
        }
        return leases.sorted { a, b in
            let (first, second) = (number(a), number(b))
            return first != second ? first < second : a.leaseKey < b.leaseKey
        }
    }
}
