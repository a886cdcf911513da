import AWSWire
import Leases
import Machine

/// What the counter of a lease says of its owner.
enum Pulse: Hashable, Sendable {
    case none
    case learning(watched: Duration)
    case live(ago: Duration)
    case late(since: Duration)
    case expired(since: Duration)
}

extension FleetMachine {
    /// Judges the owner by reads that happened: `quiet` is the time over which the counter surely stood still.
    func pulse(of lease: Lease, _ row: Row, at now: Timestamp) -> Pulse {
        guard lease.leaseOwner != nil, let seen = liveness[lease.leaseKey] else { return .none }
        let quiet = seen.notBefore - seen.changedAt
        let hasPulse = seen.hasMoved || row.isOwnerChangeSeen
        if failover.isKnown, quiet >= failover.duration { return .expired(since: quiet) }
        if !hasPulse { return .learning(watched: quiet) }
        if quiet >= (failover.isKnown ? failover.duration / 2 : failover.duration) { return .late(since: quiet) }
        return .live(ago: now - seen.changedAt)
    }

    /// The state of a lease and why.
    func state(
        of lease: Lease, _ row: Row, pulse: Pulse, survey: Survey, at now: Timestamp
    ) -> (LeaseState, StateReason) {
        let children =
            lease.childShardIDs.isEmpty ? survey.shard(of: row)?.children ?? [] : lease.childShardIDs
        if lease.isEnded { return (.ended, .shardEnd(children: children)) }
        if isOrphan(lease, row, survey) { return (.orphan, .noSuchShard) }
        if let blocked = blocked(lease, row, survey: survey, at: now) { return (.blocked, blocked) }
        if case .expired(let since) = pulse { return (.expired, .expired(since: since, failover: failover)) }
        if lease.isInHandoff, let old = lease.checkpointOwner {
            let since = row.handoffSince.map { now - $0 } ?? .zero
            return (.handoff, .handingOver(from: old, to: lease.leaseOwner, since: since))
        }
        switch pulse {
        case .none, .expired:
            let since = row.isOwnerChangeSeen ? now - row.ownerSince : nil
            return (.free, .unowned(since: since, lastOwner: row.lastOwner))
        case .late(let since): return (.late, .missedRenewal(since: since, failover: failover))
        case .learning(let watched): return (.learning, .watching(for: watched))
        case .live(let ago):
            if isClosed(lease, row, survey) {
                return (.drain, .closed(children: children, left: timeLeft(of: lease.leaseKey)))
            }
            if let pending = lease.pendingCheckpoint {
                return (.pending, .pendingCheckpoint(pending.checkpoint))
            }
            return (.live, .renewed(ago: ago, counter: lease.leaseCounter))
        }
    }

    private func isClosed(_ lease: Lease, _ row: Row, _ survey: Survey) -> Bool {
        if let shard = survey.shard(of: row) { return !shard.isOpen }
        return !lease.childShardIDs.isEmpty
    }

    private func isOrphan(_ lease: Lease, _ row: Row, _ survey: Survey) -> Bool {
        let listedAt = row.stream.map { streams.all[$0].listedAt } ?? shardsListedAt
        guard survey.isVerified(row), row.shard == nil, let absentSince = row.absentSince, let listedAt else {
            return false
        }
        // A list may be older than a shard, and lists are eventually consistent: one alone proves nothing.
        return listedAt - absentSince >= configuration.orphanAfter
    }

    /// A child is read from its beginning only after all its parents' leases ended; one that was begun is not held up.
    private func blocked(_ lease: Lease, _ row: Row, survey: Survey, at now: Timestamp) -> StateReason? {
        guard lease.checkpoint.isSentinel else { return nil }
        let parents =
            lease.parentShardIDs.isEmpty ? survey.shard(of: row)?.parents ?? [] : lease.parentShardIDs
        if parents.isEmpty { return nil }
        let prefix = lease.leaseKey.dropLast(lease.shardID.count)
        let waiting = parents.filter { parent in
            rows[prefix + parent]?.lease.map { !$0.isEnded } ?? false
        }
        return waiting.isEmpty
            ? nil : waitingReason(for: waiting.sorted(), of: parents.count, prefix: String(prefix), at: now)
    }

    /// Why a shard waits for the leases of `parents`, and for how long yet.
    func waitingReason(for parents: [String], of count: Int, prefix: String = "", at now: Timestamp) -> StateReason {
        let unread = parents.filter { parent in
            guard let row = rows[prefix + parent], let lease = row.lease else { return true }
            switch pulse(of: lease, row, at: now) {
            case .none, .expired: return true
            case .learning, .live, .late: return false
            }
        }
        if !unread.isEmpty { return .waitsForUnread(parents: unread) }
        let left = parents.compactMap { timeLeft(of: prefix + $0) }.max()
        return .waitsFor(parents: parents, isMerge: count > 1, left: left)
    }

    /// Until a lag that falls is gone, at the rate of the last samples.
    func timeLeft(of key: String) -> Duration? {
        guard let history = rows[key]?.history else { return nil }
        let recent = history.samples.suffix(6).map(\.lagMilliseconds).filter { !$0.isNaN }
        guard recent.count >= 3, let first = recent.first, let last = recent.last, first > last else { return nil }
        let seconds = history.interval.inSeconds * Double(recent.count - 1)
        let left = Double(last) / (Double(first - last) / seconds)
        guard left < 86_400 else { return nil }
        return .milliseconds(Int64(left * 1000))
    }
}

/// What a snapshot needs to know of the whole before it looks at a row.
struct Survey {
    /// The shards, where they are known to be the table's; `nil` in table-only mode.
    var tree: ShardTree?
    /// The stream is proven to be the table's, so what does not match is wrong.
    var isVerified = false
    var isMultiStream = false
    var leaseCount = 0
    var generation = Generation.unknown
    /// The shards that have no row, sorted by id.
    var leaseless: [Shard] = []
    /// By place, where the table names its streams.
    var streams: [OfStream] = []

    struct OfStream {
        var hasShards = false
        var isVerified = false
        var leaseless: [Shard] = []
    }

    /// What the row's stream says of its shard, where that is known to be the table's.
    func shard(of row: Row) -> ShardNote? {
        (row.stream.map { streams[$0].hasShards } ?? (tree != nil)) ? row.shard : nil
    }

    func isVerified(_ row: Row) -> Bool { row.stream.map { streams[$0].isVerified } ?? isVerified }
}

extension FleetMachine {
    func survey() -> Survey {
        var survey = Survey(tree: currentShards)
        for place in rows.slots.indices {
            guard let lease = rows.slots[place].lease else { continue }
            survey.leaseCount += 1
            if lease.isMultiStream { survey.isMultiStream = true }
        }
        if survey.isMultiStream { survey.tree = nil }
        if case .foreign? = streamMatch { survey.tree = nil }
        survey.isVerified = survey.tree != nil && streamMatch == .verified
        survey.generation = generation()
        if let tree = survey.tree { survey.leaseless = leaseless(tree) { $0 } }
        survey.streams = streams.all.map { stream in
            guard stream.isWanted, stream.leases > 0, !stream.isForeign, let tree = stream.currentShards else {
                return Survey.OfStream()
            }
            return Survey.OfStream(
                hasShards: true, isVerified: stream.match == .verified,
                leaseless: leaseless(tree) { stream.id.leaseKey($0) })
        }
        return survey
    }

    private func leaseless(_ tree: ShardTree, key: (String) -> String) -> [Shard] {
        tree.shards.values.filter { !rows.contains(key($0.shardID)) }.sorted { $0.shardID < $1.shardID }
    }

    /// The shards that ought to have a lease and have none: children whose parents' leases did not end, and open ones.
    ///
    /// - Parameters:
    ///   - stream: of a table that names its streams.
    ///   - isCertain: the stream is surely the table's.
    func leaselessShards(
        _ tree: ShardTree, _ leaseless: [Shard], of stream: StreamID? = nil, isCertain: Bool,
        isTableEmpty: Bool = false,
        at now: Timestamp
    ) -> [LeaseView] {
        var waiting = WaitingParents(tree)
        var views: [LeaseView] = []
        let prefix = stream.map { $0.leaseKey("") } ?? ""
        for shard in leaseless {
            let parents = waiting.parents(of: shard.shardID) { parent in
                rows[prefix + parent]?.lease.map { $0.isEnded ? .ended : .unfinished }
            }
            let state: (LeaseState, StateReason)
            if !parents.isEmpty {
                state = (
                    .blocked, waitingReason(for: parents, of: shard.parentShardIDs.count, prefix: prefix, at: now)
                )
            } else if shard.isOpen, isCertain || isTableEmpty {
                // An empty table is no other stream's.
                state = (.missing, .noLease(isTableEmpty: isTableEmpty))
            } else {
                continue
            }
            views.append(
                LeaseView(
                    id: prefix + shard.shardID, kind: .shard, shardID: shard.shardID, stream: stream?.text,
                    state: state.0, reason: state.1, parents: shard.parentShardIDs,
                    children: tree.children[shard.shardID] ?? [], hashKeyRange: shard.hashKeyRange,
                    isOpen: shard.isOpen))
        }
        return views
    }
}

/// Finds the nearest ancestors with an unfinished lease, each shard looked at once.
private struct WaitingParents {
    enum Standing {
        case ended
        case unfinished
    }

    private let tree: ShardTree
    private var found: [String: [String]] = [:]

    init(_ tree: ShardTree) { self.tree = tree }

    mutating func parents(of id: String, lease: (String) -> Standing?) -> [String] {
        // Depth first without recursion: a lineage may be long.
        var stack = [id]
        while let shard = stack.last {
            if found[shard] != nil {
                stack.removeLast()
                continue
            }
            let parents = tree.listedParents(of: shard)
            let open = parents.filter { lease($0) == nil && found[$0] == nil && !stack.contains($0) }
            if !open.isEmpty {
                stack += open
                continue
            }
            var waiting: Set<String> = []
            for parent in parents {
                switch lease(parent) {
                case .unfinished?: waiting.insert(parent)
                case .ended?: break
                case nil: waiting.formUnion(found[parent] ?? [])
                }
            }
            found[shard] = waiting.sorted()
            stack.removeLast()
        }
        return found[id] ?? []
    }
}
