import Leases
import Machine

/// What a worker knows when it decides which leases to take (kcl.md §3.1).
struct TakingView: Sendable {
    var me: String
    /// The leases of our stream that have not ended.
    var leases: [Lease]
    /// Keys of leases whose owner's counter stood still for its failover time.
    var expired: Set<String> = []
    /// Keys of the leases that this worker holds, whatever a row that was read before says.
    var held: Set<String> = []
    var maxLeases = Int.max
    var maxToSteal = 1
    /// Released and expired leases are taken whatever the target; new ones only ever up to it.
    var mayTakeOverTarget = false
    /// Only a look at the whole table shows who has too many.
    var maySteal = true
}

/// What one run of the taker decides.
struct TakingDecision: Hashable, Sendable {
    /// Keys in the order in which to take them: own rows first, then what was released or expired, then new leases.
    var take: [String]
    /// Keys of leases of a living worker.
    var steal: [String]
    /// How many leases each worker should have.
    var target: Int
    /// How many this worker has, the own rows that it takes back included.
    var mine: Int
    /// The living workers, this one included.
    var workers: Int
}

/// Decides what to take so that the workers end up with equal shares (kcl.md §3.1).
///
/// Candidates are sorted before they are shuffled, so that the same view and generator decide the same.
func decideTaking(_ view: TakingView, using generator: inout SeededGenerator) -> TakingDecision {
    var ownRows: [String] = []
    var free: [String] = []
    var new: [String] = []
    var owned: [String: [String]] = [view.me: []]
    for lease in view.leases.sorted(by: { $0.leaseKey < $1.leaseKey }) {
        let key = lease.leaseKey
        if view.held.contains(key) {
            owned[view.me]?.append(key)
        } else if lease.leaseOwner == view.me, !lease.isInHandoff {
            ownRows.append(key)
        } else if let owner = lease.leaseOwner, !view.expired.contains(key) {
            owned[owner, default: []].append(key)
        } else if lease.leaseOwner == nil, lease.leaseCounter == 0 {
            new.append(key)
        } else {
            free.append(key)
        }
    }
    let workers = owned.count
    let fair = workers >= view.leases.count ? 1 : (view.leases.count + workers - 1) / workers
    let target = min(fair, view.maxLeases)
    let held = owned[view.me]?.count ?? 0
    let takenBack = Array(ownRows.prefix(max(0, view.maxLeases - held)))
    let mine = held + takenBack.count
    var decision = TakingDecision(take: takenBack, steal: [], target: target, mine: mine, workers: workers)
    guard mine < view.maxLeases else { return decision }

    free.shuffle(using: &generator)
    new.shuffle(using: &generator)
    if free.isEmpty, new.isEmpty {
        if view.maySteal {
            decision.steal = steal(from: owned, need: target - mine, view, target, using: &generator)
        }
    } else {
        if !view.mayTakeOverTarget {
            // One pot, as in KCL: neither kind is served before the other.
            free = (free + new).shuffled(using: &generator)
            new = []
        }
        free = Array(free.prefix((view.mayTakeOverTarget ? view.maxLeases : target).room(beyond: mine)))
        new = Array(new.prefix(target.room(beyond: mine + free.count)))
        decision.take += free + new
    }
    return decision
}

/// The leases to steal from the worker that has most of them: as many as it has beyond the target, at least one where
/// two are missing here, so that nobody is left two behind the others.
private func steal(
    from owned: [String: [String]], need: Int, _ view: TakingView, _ target: Int,
    using generator: inout SeededGenerator
) -> [String] {
    let others = owned.filter { $0.key != view.me }
    guard need > 0, let most = others.values.map(\.count).max(), most >= target else { return [] }
    let loaded = others.filter { $0.value.count == most }.keys.sorted().shuffled(using: &generator)
    let count = max(min(need, most - target), need > 1 ? 1 : 0)
    guard let victim = loaded.first, let leases = others[victim] else { return [] }
    return Array(leases.shuffled(using: &generator).prefix(min(count, view.maxToSteal)))
}

extension Int {
    fileprivate func room(beyond taken: Int) -> Int { Swift.max(0, self - taken) }
}
