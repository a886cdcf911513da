import Leases
import Machine

/// Which releases a Java worker is of: their lease takers differ in what they think of a lease that nobody owns.
enum JavaGeneration: String, Hashable, Sendable, CaseIterable {
    /// 2.3 to 2.5: a lease that was released is nobody's, and still counts as held until it is expired.
    case v25
    /// 2.6 and later: an unowned lease is available at once.
    case v27
}

/// `DynamoDBLeaseTaker`: what one worker knows of the table, and what it takes (kcl.md §3.1, §0.7).
struct JavaLeaseTaker: Sendable {
    let workerID: String
    let failoverTime: Duration
    let generation: JavaGeneration
    private(set) var allLeases: [String: JavaLease] = [:]
    private var lastScan: Timestamp = .zero

    /// `veryOldLeaseDurationNanosMultiplier`.
    private static let veryOldMultiplier = 3
    private static let maxLeasesToStealAtOneTime = 1

    init(workerID: String, failoverTime: Duration, generation: JavaGeneration) {
        self.workerID = workerID
        self.failoverTime = failoverTime
        self.generation = generation
    }

    /// `updateAllLeases`.
    ///
    /// - Returns: the keys whose counter went back since the scan before.
    mutating func update(_ fresh: [JavaLease], at now: Timestamp) -> [String] {
        lastScan = now
        var gone = Set(allLeases.keys)
        var wentBack: [String] = []
        for var lease in fresh {
            gone.remove(lease.leaseKey)
            if let old = allLeases[lease.leaseKey] {
                lease.lastIncrement = old.leaseCounter == lease.leaseCounter ? old.lastIncrement : now
                if lease.leaseCounter < old.leaseCounter { wentBack.append(lease.leaseKey) }
            } else {
                // Nobody's, and never seen: as old as can be.
                lease.lastIncrement = lease.leaseOwner == nil ? .zero : now
            }
            allLeases[lease.leaseKey] = lease
        }
        for key in gone { allLeases[key] = nil }
        return wentBack
    }

    /// A take went through, or did not: the worker's copy of the row says so.
    mutating func note(_ lease: JavaLease) { allLeases[lease.leaseKey] = lease }

    private func isAvailable(_ lease: JavaLease) -> Bool {
        generation == .v27 && lease.leaseOwner == nil || lease.isExpired(failoverTime, at: lastScan)
    }

    /// `computeLeaseCounts`: every lease that is not available counts for its owner, ended ones too; in 2.5 "nobody" is
    /// an owner like any other.
    func leaseCounts() -> [String?: Int] {
        var counts: [String?: Int] = [workerID: 0]
        for lease in allLeases.values where !isAvailable(lease) { counts[lease.leaseOwner, default: 0] += 1 }
        return counts
    }

    func target(_ counts: [String?: Int]) -> Int {
        let (leases, workers) = (allLeases.count, counts.count)
        return workers >= leases ? 1 : (leases + workers - 1) / workers
    }

    /// `computeLeasesToTake`. The order of Java's hash maps is left to the generator.
    func leasesToTake(at now: Timestamp, using generator: inout SeededGenerator) throws(JavaFailure) -> [JavaLease] {
        if allLeases.isEmpty { return [] }
        let leases = allLeases.values.sorted { $0.leaseKey < $1.leaseKey }
        let counts = leaseCounts()
        let target = target(counts)
        let mine = counts[workerID] ?? 0
        let needed = target - mine
        let threshold = now - failoverTime * Self.veryOldMultiplier
        let veryOld = leases.filter { threshold > ($0.lastIncrement ?? .zero) }
        if !veryOld.isEmpty { return veryOld.shuffled(using: &generator) }
        if needed <= 0 { return [] }
        let available = leases.filter { isAvailable($0) }.shuffled(using: &generator)
        if !available.isEmpty { return Array(available.prefix(needed)) }
        return try leasesToSteal(from: counts, leases, needed: needed, target: target, using: &generator)
    }

    /// `chooseLeasesToSteal`.
    private func leasesToSteal(
        from counts: [String?: Int], _ leases: [JavaLease], needed: Int, target: Int,
        using generator: inout SeededGenerator
    ) throws(JavaFailure) -> [JavaLease] {
        let most = counts.values.max() ?? 0
        let loaded = counts.filter { $0.value == most }.keys.sorted { ($0 ?? "") < ($1 ?? "") }
        guard most >= target, let victim = loaded.randomElement(using: &generator) else { return [] }
        var count = min(needed, most - target)
        if needed > 1, count == 0 { count = 1 }
        count = min(count, Self.maxLeasesToStealAtOneTime)
        if count <= 0 { return [] }
        guard let victim else {
            // `mostLoadedWorkerIdentifier.equals(…)`, and nobody is loaded most.
            throw .runtime("NullPointerException: \(most) leases are nobody's, more than any worker has")
        }
        return leases.filter { $0.leaseOwner == victim }.shuffled(using: &generator).prefix(count).map {
            var lease = $0
            lease.isMarkedForSteal = true
            return lease
        }
    }
}
