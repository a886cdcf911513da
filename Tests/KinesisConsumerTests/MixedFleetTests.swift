import Leases
import Machine
import Testing

@testable import KinesisConsumer

/// `count` leases of `owner` with the keys `prefix0…`.
private func leases(
    _ prefix: String, _ count: Int, owner: String?, counter: Int64 = 7, ended: Bool = false
) -> [Lease] {
    (0..<count).map {
        leaseRow("\(prefix)\($0)", owner: owner, counter: counter, checkpoint: ended ? .shardEnd : .trimHorizon)
    }
}

private func decide(_ view: TakingView, seed: UInt64 = 1) -> TakingDecision {
    var generator = SeededGenerator(seed: seed)
    return decideTaking(view, using: &generator)
}

/// The taker beside Java workers, who count every lease.
@Suite struct TakingBesideJavaTests {
    private func view(_ table: [Lease], expired: [String] = []) -> TakingView {
        TakingView(
            me: "me", leases: table, expired: Set(expired),
            held: Set(table.filter { $0.leaseOwner == "me" }.map(\.leaseKey)), mayTakeOverTarget: true)
    }

    @Test func `ended leases count for the target and for their owners`() {
        let table =
            leases("j", 4, owner: "java") + leases("e", 4, owner: "java", ended: true) + leases("m", 8, owner: "me")
        let decision = decide(view(table))
        #expect(decision == TakingDecision(take: [], steal: [], target: 8, mine: 8, workers: 2))
    }

    @Test func `a worker that has fewer of the active ones steals an active one`() {
        let table =
            leases("j", 8, owner: "java") + leases("e", 2, owner: "java", ended: true) + leases("m", 4, owner: "me")
        for seed in 0..<10 as Range<UInt64> {
            #expect(decide(view(table), seed: seed).steal.map { $0.prefix(1) } == ["j"])
        }
    }

    @Test func `a worker that has as many of the active ones steals an ended one`() {
        let table =
            leases("j", 4, owner: "java") + leases("e", 6, owner: "java", ended: true) + leases("m", 5, owner: "me")
        for seed in 0..<10 as Range<UInt64> {
            #expect(decide(view(table), seed: seed).steal.map { $0.prefix(1) } == ["e"])
        }
    }

    @Test func `ended leases that nobody cares for are taken up to the target, after all others`() {
        let table =
            leases("j", 4, owner: "java") + leases("e", 9, owner: nil, ended: true)
            + leases("d", 2, owner: "dead", ended: true) + leases("f", 1, owner: nil)
        let decision = decide(view(table, expired: ["d0", "d1"]))
        #expect(decision.target == 8)
        #expect(decision.take.count == 8)
        #expect(decision.take.first == "f0")
        #expect(decision.steal == [])
    }

    @Test func `ended leases that nobody cares for keep nobody at its target from anything`() {
        let table =
            leases("j", 2, owner: "java") + leases("e", 1, owner: nil, ended: true) + leases("m", 3, owner: "me")
        #expect(decide(view(table)).take == [])
    }

    @Test func `new leases are taken up to the target only, so that Java finds the rest`() {
        let table = leases("j", 1, owner: "java") + leases("n", 9, owner: nil, counter: 0)
        #expect(decide(view(table)).take.count == 5)
    }

    @Test func `a new lease that nobody came for is taken whatever the target`() {
        var view = view(
            leases("j", 2, owner: "java") + leases("m", 2, owner: "me") + leases("n", 1, owner: nil, counter: 0))
        view.held = ["m0", "m1"]
        view.leases.append(leaseRow("m2", owner: "me", counter: 3))
        view.held.insert("m2")
        #expect(decide(view).take == [])
        view.veryOld = ["n0"]
        #expect(decide(view).take == ["n0"])
    }
}

@Suite struct FirstLookTests {
    @Test func `a worker that is new takes one lease to be seen, and no other new one`() {
        var view = TakingView(
            me: "me", leases: leases("n", 9, owner: nil, counter: 0), mayTakeOverTarget: true, newMax: 1)
        #expect(decide(view).take.count == 1)
        view.newMax = 0
        #expect(decide(view).take == [])
    }

    @Test func `workers that see the same new leases begin with different ones`() {
        let table =
            leases("a", 1, owner: "a") + leases("b", 1, owner: "b") + leases("n", 14, owner: nil, counter: 0)
        let shares = ["a", "b"].map { me in
            decide(
                TakingView(me: me, leases: table, held: ["\(me)0"], mayTakeOverTarget: true), seed: me == "a" ? 1 : 2
            )
            .take
        }
        #expect(shares.map(\.count) == [7, 7])
        #expect(Set(shares[0]).isDisjoint(with: shares[1]))
    }
}

/// Workers of ours and literal Java takers (kcl.md §3.1, §0.7) at one table, in rounds of 20 s.
private struct MixedFleet {
    var table: [Lease]
    var ours: [String]
    var java: [String]
    var generator: SeededGenerator
    /// By Java worker and key: the round in which it first saw the lease as it is; 0 for what it never saw owned.
    private var seen: [String: [String: Int]] = [:]
    private var now = 100

    init(table: [Lease], ours: [String], java: [String], generator: SeededGenerator) {
        self.table = table
        self.ours = ours
        self.java = java
        self.generator = generator
    }

    private var workers: [String] { ours + java }

    /// Each looks and writes at once, in random order. Returns how many leases changed hands.
    mutating func round() -> Int {
        now += 1
        var changes = 0
        for worker in workers.shuffled(using: &generator) {
            for key in java.contains(worker) ? javaTakes(worker) : ourTakes(worker) {
                guard let index = table.firstIndex(where: { $0.leaseKey == key }) else { continue }
                table[index].leaseOwner = worker
                table[index].leaseCounter += 1
                changes += 1
            }
        }
        return changes
    }

    private func isDead(_ lease: Lease) -> Bool { lease.leaseOwner.map { !workers.contains($0) } ?? false }

    private mutating func ourTakes(_ me: String) -> [String] {
        let living = Set(table.filter { !isDead($0) }.compactMap(\.leaseOwner))
        let besideJava = java.contains(where: living.contains)
        let decision = decideTaking(
            TakingView(
                me: me, leases: table.filter { besideJava || !$0.isEnded },
                expired: Set(table.filter(isDead).map(\.leaseKey)),
                held: Set(table.filter { $0.leaseOwner == me }.map(\.leaseKey)), mayTakeOverTarget: true),
            using: &generator)
        return decision.take + decision.steal
    }

    /// DynamoDBLeaseTaker, abridged: the very old ones whatever the target, else what is available, else a steal.
    private mutating func javaTakes(_ me: String) -> [String] {
        var counts: [String: Int] = [me: 0]
        var available: [String] = []
        var veryOld: [String] = []
        for lease in table {
            let key = lease.leaseKey
            guard lease.leaseOwner == nil || isDead(lease) else {
                counts[lease.leaseOwner ?? "", default: 0] += 1
                seen[me, default: [:]][key] = nil
                continue
            }
            // Unowned and never seen before: time 0. What was seen alive becomes very old after three failover times.
            let since = seen[me]?[key] ?? (lease.leaseCounter == 0 ? 0 : now)
            seen[me, default: [:]][key] = since
            available.append(key)
            if now - since >= 2 { veryOld.append(key) }
        }
        if !veryOld.isEmpty { return veryOld }
        let target = counts.count >= table.count ? 1 : (table.count + counts.count - 1) / counts.count
        let need = target - (counts[me] ?? 0)
        guard need > 0 else { return [] }
        if !available.isEmpty { return Array(available.shuffled(using: &generator).prefix(need)) }
        guard let most = counts.filter({ $0.key != me }).max(by: { ($0.value, $0.key) < ($1.value, $1.key) }),
            most.value >= target, max(min(need, most.value - target), need > 1 ? 1 : 0) > 0
        else { return [] }
        return table.filter { $0.leaseOwner == most.key }.map(\.leaseKey).shuffled(using: &generator).prefix(1).map(
            \.self)
    }

    var loads: [Int] { workers.map { worker in table.count { $0.leaseOwner == worker } } }
}

@Suite struct MixedBalanceTests {
    private static func fleet(_ seed: UInt64) -> MixedFleet {
        var generator = SeededGenerator(seed: seed)
        let ours = (0..<Int.random(in: 1...4, using: &generator)).map { "ours\($0)" }
        let java = (0..<Int.random(in: 1...4, using: &generator)).map { "java\($0)" }
        let owners: [String?] = ours + java + [nil, nil, "dead"]
        let table = (0..<Int.random(in: 1...50, using: &generator)).map { index in
            let owner = owners.randomElement(using: &generator) ?? nil
            let isNew = owner == nil && generator.chance(0.5)
            return leaseRow(
                "s\(index)", owner: owner, counter: isNew ? 0 : 3,
                checkpoint: !isNew && generator.chance(0.3) ? .shardEnd : .trimHorizon)
        }
        return MixedFleet(table: table, ours: ours, java: java, generator: generator)
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func `beside Java any fleet ends balanced within one, as Java counts, and then nothing changes hands any more`(
        seed: UInt64
    ) throws {
        var fleet = Self.fleet(seed)
        var quiet = 0
        var rounds = 0
        while quiet < 5, rounds < 500 {
            quiet = fleet.round() == 0 ? quiet + 1 : 0
            rounds += 1
        }
        #expect(quiet == 5, "still moving after \(rounds) rounds: \(fleet.loads)")
        let loads = fleet.loads
        #expect(loads.reduce(0, +) == fleet.table.count, "unowned leases: \(loads)")
        #expect((loads.max() ?? 0) - (loads.min() ?? 0) <= 1, "\(loads)")
    }

    /// (Deficit of the neediest + 2) runs, as the contract has it.
    @Test(arguments: 0..<60 as Range<UInt64>)
    func `balance is reached at the pace of one steal a worker and run`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let (ours, java) = (["o1", "o2"], ["j1", "j2"])
        let first = generator.chance(0.5) ? "o1" : "j1"
        let count = Int.random(in: 8...32, using: &generator)
        var fleet = MixedFleet(
            table: leases("s", count, owner: first) + leases("e", Int(seed % 5), owner: first, ended: true), ours: ours,
            java: java, generator: generator)
        let share = (fleet.table.count + 3) / 4
        for _ in 0..<share + 2 { _ = fleet.round() }
        #expect((fleet.loads.max() ?? 0) - (fleet.loads.min() ?? 0) <= 1, "\(fleet.loads)")
    }
}
