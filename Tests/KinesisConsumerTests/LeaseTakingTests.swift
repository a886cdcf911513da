import Leases
import Machine
import Testing

@testable import KinesisConsumer

/// `count` leases of `owner` with the keys `prefix0…`; a counter of 7 unless they were never owned.
private func leases(_ prefix: String, _ count: Int, owner: String?, counter: Int64 = 7) -> [Lease] {
    (0..<count).map {
        Lease(leaseKey: "\(prefix)\($0)", leaseOwner: owner, leaseCounter: counter, checkpoint: .trimHorizon)
    }
}

private func keys(_ prefix: String, _ count: Int) -> [String] { (0..<count).map { "\(prefix)\($0)" } }

private func decide(_ view: TakingView, seed: UInt64 = 1) -> TakingDecision {
    var generator = SeededGenerator(seed: seed)
    return decideTaking(view, using: &generator)
}

@Suite struct LeaseTakingTests {
    @Test func `an empty table gives nothing to do`() {
        #expect(
            decide(TakingView(me: "me", leases: []))
                == TakingDecision(take: [], steal: [], target: 1, mine: 0, workers: 1))
    }

    @Test func `a lone worker takes everything`() {
        let view = TakingView(me: "me", leases: leases("n", 3, owner: nil, counter: 0) + leases("r", 2, owner: nil))
        let decision = decide(view)
        #expect(decision.take.sorted() == keys("n", 3) + keys("r", 2))
        #expect(decision.target == 5)
    }

    @Test func `the target is the share of a living worker, rounded up`() {
        var view = TakingView(me: "me", leases: leases("a", 4, owner: "a") + leases("b", 3, owner: "b"))
        #expect(decide(view).target == 3)
        #expect(decide(view).workers == 3)
        view.expired = Set(keys("b", 3))
        #expect(decide(view).target == 4)
        #expect(decide(view).workers == 2)
    }

    @Test func `with more workers than leases the target is one`() {
        let view = TakingView(me: "me", leases: leases("a", 1, owner: "a") + leases("b", 1, owner: "b"))
        #expect(decide(view) == TakingDecision(take: [], steal: [], target: 1, mine: 0, workers: 3))
    }

    @Test func `only what is missing to the target is taken`() {
        let view = TakingView(
            me: "me", leases: leases("a", 3, owner: "a") + leases("m", 1, owner: "me") + leases("r", 4, owner: nil),
            held: ["m0"])
        let decision = decide(view)
        #expect(decision.target == 4)
        #expect(decision.mine == 1)
        #expect(decision.take.count == 3)
        #expect(Set(decision.take).isSubset(of: keys("r", 4)))
        #expect(decision.steal == [])
    }

    @Test func `released and expired leases are taken beyond the target, new ones only up to it`() {
        let table =
            leases("a", 3, owner: "a") + leases("d", 3, owner: "dead") + leases("r", 2, owner: nil)
            + leases("n", 4, owner: nil, counter: 0)
        var view = TakingView(me: "me", leases: table, expired: Set(keys("d", 3)), mayTakeOverTarget: true)
        #expect(decide(view).target == 6)
        #expect(decide(view).take.prefix(5).sorted() == keys("d", 3) + keys("r", 2))
        #expect(decide(view).take.count == 6)
        view.leases += leases("m", 6, owner: "me")
        view.held = Set(keys("m", 6))
        #expect(decide(view).target == 9)
        view.leases += leases("b", 1, owner: "b") + leases("c", 1, owner: "c")
        let beyond = decide(view)
        #expect(beyond.target == 5)
        #expect(beyond.take.sorted() == keys("d", 3) + keys("r", 2))
        view.mayTakeOverTarget = false
        #expect(decide(view).take == [])
    }

    @Test func `an expired lease that nobody moved yet is not a new one`() {
        let view = TakingView(
            me: "me",
            leases: leases("m", 2, owner: "me") + leases("d", 1, owner: "dead", counter: 0)
                + leases("a", 1, owner: "a"), expired: ["d0"], held: ["m0", "m1"], mayTakeOverTarget: true)
        #expect(decide(view).target == 2)
        #expect(decide(view).take == ["d0"])
    }

    @Test func `rows that name me and that I do not hold are taken back first`() {
        let table = leases("m", 3, owner: "me") + leases("a", 1, owner: "a") + leases("r", 1, owner: nil)
        let view = TakingView(me: "me", leases: table, held: ["m1"])
        let decision = decide(view)
        #expect(decision == TakingDecision(take: ["m0", "m2"], steal: [], target: 3, mine: 3, workers: 2))
    }

    @Test func `a lease that is being handed to me still belongs to its old owner`() {
        var handed = leases("h", 1, owner: "me")[0]
        handed.checkpointOwner = "old"
        let view = TakingView(me: "me", leases: [handed] + leases("m", 1, owner: "me"), held: ["m0"])
        #expect(decide(view).take == [])
    }

    @Test func `what I hold counts as mine whatever an old row says`() {
        let stale = leases("s", 2, owner: nil) + leases("t", 2, owner: "a")
        let view = TakingView(me: "me", leases: stale, held: ["s0", "s1", "t0"])
        #expect(decide(view) == TakingDecision(take: [], steal: [], target: 2, mine: 3, workers: 2))
    }

    @Test(arguments: [false, true]) func `a worker takes no more than its maximum`(mayTakeOverTarget: Bool) {
        var view = TakingView(
            me: "me", leases: leases("m", 3, owner: "me") + leases("r", 9, owner: nil), held: ["m0"], maxLeases: 4,
            mayTakeOverTarget: mayTakeOverTarget)
        #expect(decide(view).take.prefix(2) == ["m1", "m2"])
        #expect(decide(view).take.count == 3)
        #expect(decide(view).target == 4)
        view.maxLeases = 2
        #expect(decide(view).take == ["m1"])
        view.maxLeases = 1
        #expect(decide(view).take == [])
    }

    @Test func `a worker at its maximum does not steal`() {
        let view = TakingView(
            me: "me", leases: leases("m", 1, owner: "me") + leases("a", 9, owner: "a"), held: ["m0"], maxLeases: 1)
        #expect(decide(view).steal == [])
    }

    @Test func `the same view and seed decide the same, whatever the order of the rows`() {
        let table = leases("r", 20, owner: nil)
        let forwards = decide(TakingView(me: "me", leases: table), seed: 9)
        let backwards = decide(TakingView(me: "me", leases: table.reversed()), seed: 9)
        #expect(forwards == backwards)
        #expect(decide(TakingView(me: "me", leases: table), seed: 10).take != forwards.take)
    }
}

@Suite struct LeaseStealingTests {
    private func view(_ mine: Int, _ others: [String: Int], maxToSteal: Int = 1) -> TakingView {
        var table = leases("me-", mine, owner: "me")
        for (owner, count) in others.sorted(by: { $0.key < $1.key }) {
            table += leases("\(owner)-", count, owner: owner)
        }
        return TakingView(me: "me", leases: table, held: Set(keys("me-", mine)), maxToSteal: maxToSteal)
    }

    @Test func `one lease is stolen from the most loaded worker`() {
        for seed in 0..<20 as Range<UInt64> {
            let decision = decide(view(0, ["a": 3, "b": 6]), seed: seed)
            #expect(decision.take == [])
            #expect(decision.steal.count == 1)
            #expect(decision.steal.allSatisfy { $0.hasPrefix("b-") })
        }
    }

    @Test func `as many as it has beyond the target, if the limit allows`() {
        #expect(decide(view(0, ["a": 9, "b": 3], maxToSteal: 10)).steal.count == 4)
        #expect(decide(view(3, ["a": 5, "b": 4], maxToSteal: 10)).steal.count == 1)
        #expect(decide(view(0, ["a": 9, "b": 3], maxToSteal: 3)).steal.count == 3)
        #expect(Set(decide(view(0, ["a": 9, "b": 3], maxToSteal: 10)).steal).count == 4)
    }

    @Test func `nobody is robbed below the target unless two are missing`() {
        // 3 + 3 + 2: the target is 3, one is missing, and nobody has more.
        #expect(decide(view(2, ["a": 3, "b": 3])).steal == [])
        // 3 + 3 + 1: two are missing.
        #expect(decide(view(1, ["a": 3, "b": 3])).steal.count == 1)
    }

    @Test func `nothing is stolen while something is free, or at a partial look`() {
        var partial = view(0, ["a": 6])
        partial.maySteal = false
        #expect(decide(partial).steal == [])
        var free = view(0, ["a": 6])
        free.leases += leases("n", 1, owner: nil, counter: 0)
        #expect(decide(free).steal == [])
        #expect(decide(free).take == ["n0"])
    }

    @Test func `of equally loaded workers each may be the victim`() {
        let victims = (0..<40 as Range<UInt64>).compactMap { seed in
            decide(view(0, ["a": 4, "b": 4]), seed: seed).steal.first?.first
        }
        #expect(Set(victims) == ["a", "b"])
    }
}

/// Fleets whose workers run the taker again and again against one table.
private struct Fleet {
    var table: [Lease]
    var workers: [String]
    var generator: SeededGenerator
    var maxToSteal = 1
    var mayTakeOverTarget = false

    /// Each worker looks, in random order, and writes at once; or all look first and then write, as the unluckiest
    /// fleet would, where only the first write of a lease succeeds. Returns how many leases changed hands.
    mutating func round(allLookFirst: Bool) -> Int {
        let snapshot = table
        var changes = 0
        for worker in workers.shuffled(using: &generator) {
            let seen = allLookFirst ? snapshot : table
            let dead = seen.filter { lease in lease.leaseOwner.map { !workers.contains($0) } ?? false }
            let decision = decideTaking(
                TakingView(
                    me: worker, leases: seen, expired: Set(dead.map(\.leaseKey)),
                    held: Set(seen.filter { $0.leaseOwner == worker }.map(\.leaseKey)), maxToSteal: maxToSteal,
                    mayTakeOverTarget: mayTakeOverTarget),
                using: &generator)
            for key in decision.take + decision.steal {
                guard let index = table.firstIndex(where: { $0.leaseKey == key }),
                    let old = seen.first(where: { $0.leaseKey == key }),
                    table[index].leaseCounter == old.leaseCounter
                else { continue }
                table[index].leaseOwner = worker
                table[index].leaseCounter += 1
                changes += 1
            }
        }
        return changes
    }

    var loads: [Int] {
        workers.map { worker in table.count { $0.leaseOwner == worker } }
    }
}

@Suite struct BalanceTests {
    private static func fleet(_ seed: UInt64) -> Fleet {
        var generator = SeededGenerator(seed: seed)
        let workers = keys("w", Int.random(in: 1...9, using: &generator))
        let owners: [String?] = workers.map { $0 } + [nil, "dead", "gone"]
        let table = (0..<Int.random(in: 1...60, using: &generator)).map { index in
            let owner = generator.chance(0.3) ? "w0" : owners.randomElement(using: &generator) ?? nil
            return Lease(
                leaseKey: "s\(index)", leaseOwner: owner, leaseCounter: generator.chance(0.5) ? 0 : 3,
                checkpoint: .trimHorizon)
        }
        return Fleet(
            table: table, workers: workers, generator: generator, maxToSteal: Int(seed % 3) + 1,
            mayTakeOverTarget: seed % 2 == 0)
    }

    @Test(arguments: 0..<150 as Range<UInt64>, [false, true])
    func `any fleet ends balanced within one, and then nothing changes hands any more`(
        seed: UInt64, allLookFirst: Bool
    ) throws {
        var fleet = Self.fleet(seed)
        var quiet = 0
        var rounds = 0
        while quiet < 5, rounds < 500 {
            quiet = fleet.round(allLookFirst: allLookFirst) == 0 ? quiet + 1 : 0
            rounds += 1
        }
        #expect(quiet == 5, "still moving after \(rounds) rounds: \(fleet.loads)")
        let loads = fleet.loads
        #expect(loads.reduce(0, +) == fleet.table.count, "unowned leases: \(loads)")
        let most = try #require(loads.max())
        let least = try #require(loads.min())
        #expect(most - least <= 1, "\(loads)")
    }

    @Test(arguments: 0..<30 as Range<UInt64>) func `balance is reached at the pace of one steal a worker and round`(
        seed: UInt64
    ) {
        var generator = SeededGenerator(seed: seed)
        let workers = keys("w", Int.random(in: 2...8, using: &generator))
        let count = Int.random(in: 8...64, using: &generator)
        var fleet = Fleet(table: leases("s", count, owner: "w0"), workers: workers, generator: generator)
        let share = (count + workers.count - 1) / workers.count
        for _ in 0..<share + 2 { _ = fleet.round(allLookFirst: false) }
        let loads = fleet.loads
        #expect((loads.max() ?? 0) - (loads.min() ?? 0) <= 1, "\(loads)")
    }
}
