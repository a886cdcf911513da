import AWSWire
import Leases
import Machine
import Synchronization

/// What must hold when nothing goes wrong any more.
extension Referee {
    /// The active leases that `worker` holds and runs, sorted.
    func leases(of worker: Incarnation) -> [String] {
        state.withLock { state in
            state.leases.values.filter { !$0.isEnded && state.holders[$0.leaseKey] == worker }.map(\.leaseKey).sorted()
        }
    }

    /// Whether there ever was a lease of each of `shards`.
    func everExisted(_ shards: [String]) -> Bool { state.withLock { $0.everExisted.isSuperset(of: shards) } }

    /// When a processor of `lease` was first initialized after `start`.
    func initialized(_ lease: String, since start: Timestamp) -> Timestamp? {
        state.withLock { state in
            state.tenures.values.filter { $0.shardID == lease }.compactMap(\.initializedAt).filter { $0 > start }.min()
        }
    }

    /// - Parameter open: the shards that are open.
    func whyNotAtRest(_ alive: [Incarnation], open: Set<String>) -> (Invariant, String)? {
        state.withLock { state in
            // Java shares out ended leases, too, and who works beside it does the same.
            let isMixed = alive.contains { isJava($0, state) }
            let active = state.leases.values.filter { !$0.isEnded }.sorted { $0.leaseKey < $1.leaseKey }
            let holes = holes(in: active.compactMap(\.hashKeyRange))
            if let hole = holes.first { return (.balancedAtRest, "nobody covers \(hole.start)…\(hole.end)") }
            var counts: [Incarnation: Int] = [:]
            for worker in alive { counts[worker] = 0 }
            for lease in active {
                if !open.contains(lease.leaseKey) {
                    return (.balancedAtRest, "\(lease.leaseKey) is closed and still at \(lease.checkpoint)")
                }
                guard let holder = state.holders[lease.leaseKey], counts[holder] != nil,
                    lease.leaseOwner == holder.workerID
                else { return (.balancedAtRest, "\(lease.leaseKey) is of \(lease.leaseOwner ?? "nobody")") }
                counts[holder, default: 0] += 1
                let runs = state.tenures.values.contains {
                    $0.shardID == lease.leaseKey && $0.owner == holder && $0.phase == .initialized
                }
                if !runs { return (.balancedAtRest, "\(lease.leaseKey) is not running at \(holder.workerID)") }
                if lease.parentShardIDs.contains(where: { state.leases[$0].map { !$0.isEnded } ?? false }) {
                    return (.balancedAtRest, "a parent of \(lease.leaseKey) has not ended")
                }
            }
            if isMixed {
                for lease in state.leases.values.filter(\.isEnded).sorted(by: { $0.leaseKey < $1.leaseKey }) {
                    guard let holder = state.holders[lease.leaseKey], counts[holder] != nil,
                        lease.leaseOwner == holder.workerID
                    else { return (.balancedAtRest, "\(lease.leaseKey) is of \(lease.leaseOwner ?? "nobody")") }
                    counts[holder, default: 0] += 1
                }
            }
            let (most, least) = (counts.values.max() ?? 0, counts.values.min() ?? 0)
            if most - least > 1 {
                let shares = counts.map { "\($0.key.workerID): \($0.value)" }.sorted().joined(separator: ", ")
                return (.balancedAtRest, "unequal shares: \(shares)")
            }
            return nil
        }
    }

    /// A processor was initialized: how long had its lease been free?
    func checkRelease(_ tenure: Tenure, _ state: inout State) {
        guard let released = state.releasedAt.removeValue(forKey: tenure.shardID),
            let calm = state.calmSince, released >= calm
        else { return }
        let waited = now - released
        state.report.slowestRelease = max(state.report.slowestRelease ?? .zero, waited)
        if !isMixed(state), waited > .seconds(2) + staleness {
            report(
                .releaseTime, "\(tenure.shardID) ran elsewhere \(waited.inSeconds) s after it was released", &state)
        }
    }

    func isMixed(_ state: State) -> Bool { state.traits.values.contains(where: \.isJava) }

    var hasUndelivered: Bool {
        state.withLock { $0.shards.values.contains { $0.firstUndelivered(below: $0.deliveries.count) != nil } }
    }

    /// Everybody was shut down.
    func checkEnd() {
        state.withLock { state in
            for shard in state.shards.keys.sorted() {
                guard let history = state.shards[shard],
                    let missing = history.firstUndelivered(below: history.deliveries.count)
                else { continue }
                let lost = history.deliveries.count { $0 <= 0 }
                report(
                    .deliveredAtLeastOnce,
                    "\(lost) of \(history.deliveries.count) records of \(shard), the first \(history.name(missing)); "
                        + "its lease: \(state.leases[shard].map { "\($0.leaseOwner ?? "nobody") \($0.checkpoint)" } ?? "gone")",
                    &state)
            }
            for id in state.tenures.keys.sorted() {
                guard let tenure = state.tenures[id] else { continue }
                switch tenure.phase {
                case .made, .over, .crashed: break
                // Java goes after its failover time, whatever its processors still do.
                case .initialized where isJava(tenure.owner, state), .requested where isJava(tenure.owner, state): break
                case .initialized, .requested:
                    report(
                        .callbackOrder,
                        "\(tenure.owner.workerID)'s processor of \(tenure.shardID) never heard how its tenure ended",
                        &state)
                }
            }
        }
    }
}
