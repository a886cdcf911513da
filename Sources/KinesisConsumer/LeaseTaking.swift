import Leases
import Machine

/// What a worker knows of the table when it decides which leases to take (kcl.md §3.1).
struct TakingView: Sendable {
    var me: String
    /// The leases of our stream that count: those that have not ended, and beside Java all.
    var leases: [Lease]
    /// Keys of leases whose owner's counter stood still for its failover time.
    var expired: Set<String> = []
    /// Keys of the leases that this worker holds, whatever a row that was read before says.
    var held: Set<String> = []
    /// Keys of leases whose counter stood still for longer than anybody needs to come by.
    var veryOld: Set<String> = []
    var maxLeases = Int.max
    var maxToSteal = 1
    /// Released and expired leases are taken whatever the target; new ones only ever up to it.
    var mayTakeOverTarget = false
    /// Only a look at the whole table shows who has too many.
    var maySteal = true
    /// A worker that is new here takes no more new leases at first than make it known, so that those who start with it
    /// see each other before they share out.
    var newMax = Int.max
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
    var shares = Shares(view)
    let workers = shares.owned.count
    let fair = workers >= view.leases.count ? 1 : (view.leases.count + workers - 1) / workers
    let target = min(fair, view.maxLeases)
    let held = shares.owned[view.me]?.count ?? 0
    let takenBack = Array(shares.ownRows.prefix(max(0, view.maxLeases - held)))
    let mine = held + takenBack.count
    var decision = TakingDecision(take: takenBack, steal: [], target: target, mine: mine, workers: workers)
    guard mine < view.maxLeases else { return decision }

    shares.free.shuffle(using: &generator)
    shares.inTurn(of: view.me)
    if shares.free.isEmpty, shares.new.isEmpty, shares.freeEnded.isEmpty || mine >= target {
        if view.maySteal { decision.steal = shares.steal(need: target - mine, target, using: &generator) }
        return decision
    }
    if !view.mayTakeOverTarget {
        // One pot, as in KCL: neither kind is served before the other.
        shares.free = (shares.free + shares.new).shuffled(using: &generator)
        shares.new = []
    }
    func room(_ most: Int) -> Int { max(0, most - held - decision.take.count) }
    decision.take += shares.free.prefix(room(view.mayTakeOverTarget ? view.maxLeases : target))
    decision.take += shares.new.prefix(min(room(target), view.newMax))
    decision.take += shares.freeEnded.shuffled(using: &generator).prefix(room(target))
    return decision
}

/// The leases by what may be done with them, sorted.
private struct Shares {
    let view: TakingView
    /// By living owner; this worker is always one.
    var owned: [String: [String]]
    /// Rows that name this worker, and that it does not hold.
    var ownRows: [String] = []
    var free: [String] = []
    /// Never owned.
    var new: [String] = []
    /// Ended ones that nobody cares for; counted beside Java only.
    var freeEnded: [String] = []
    private var ended: Set<String> = []

    init(_ view: TakingView) {
        self.view = view
        owned = [view.me: []]
        for lease in view.leases.sorted(by: { $0.leaseKey < $1.leaseKey }) {
            let key = lease.leaseKey
            if lease.isEnded { ended.insert(key) }
            if view.held.contains(key) {
                owned[view.me]?.append(key)
            } else if lease.leaseOwner == view.me, !lease.isInHandoff, !lease.isEnded {
                ownRows.append(key)
            } else if let owner = lease.leaseOwner, owner != view.me || !lease.isEnded, !view.expired.contains(key) {
                owned[owner, default: []].append(key)
            } else if lease.isEnded {
                freeEnded.append(key)
            } else if lease.leaseOwner == nil, lease.leaseCounter == 0, !view.veryOld.contains(key) {
                new.append(key)
            } else {
                free.append(key)
            }
        }
    }

    /// Workers that see the same leases for the first time begin with different ones.
    mutating func inTurn(of me: String) {
        let workers = owned.keys.sorted()
        guard !new.isEmpty, let rank = workers.firstIndex(of: me) else { return }
        let first = rank * new.count / workers.count
        new = Array(new[first...] + new[..<first])
    }

    /// The leases to steal from the worker that has most of them: as many as it has beyond the target, at least one
    /// where two are missing here, so that nobody is left two behind the others.
    ///
    /// Whoever has more that are still read gives up one of those; otherwise an ended one evens the count.
    func steal(need: Int, _ target: Int, using generator: inout SeededGenerator) -> [String] {
        let others = owned.filter { $0.key != view.me }
        guard need > 0, let most = others.values.map(\.count).max(), most >= target else { return [] }
        let loaded = others.filter { $0.value.count == most }.keys.sorted().shuffled(using: &generator)
        let count = max(min(need, most - target), need > 1 ? 1 : 0)
        guard let victim = loaded.first, let leases = others[victim] else { return [] }
        let candidates = leases.shuffled(using: &generator)
        let (active, over) = (candidates.filter { !ended.contains($0) }, candidates.filter(ended.contains))
        let mine = ownRows.count + (owned[view.me] ?? []).count { !ended.contains($0) }
        return Array((active.count > mine ? active + over : over + active).prefix(min(count, view.maxToSteal)))
    }
}
