import AWSWire
import Leases
import Machine
import Testing

@testable import KinesisConsumer

private let started = WorkerMachine.Effect.emit(WorkerEvent(.workerStarted, at: .zero))
private let whole = WorkerMachine.Scan(segment: 0, segments: 1)

private func rows(_ leases: [Lease]) -> [LeaseRow] { leases.map { .lease($0) } }

extension WorkerRig {
    /// Wakes for a scan at `now` and answers it with `leases`.
    fileprivate mutating func scan(_ leases: [Lease], at now: Int64) -> [WorkerMachine.Effect] {
        let woken = wake(at: now)
        guard let scan = woken.scans.first else { return woken }
        return woken + send(.scanned(scan, leases.map { .lease($0) }, readUnits: 1), at: now)
    }
}

@Suite struct WorkerMachineTakingTests {
    /// The newcomer after it took its first lease: its key, and the rows as they are then.
    private func newcomer(_ rig: inout WorkerRig, _ ids: [String]) -> (key: String, rows: [Lease]) {
        let shards = listedShards("s1", "s2", "s3", "s4", "s5", "s6", "s7").prefix(ids.count)
        let key = rig.start(Array(shards), ids.map { leaseRow($0) }).takes[0]
        let mine = leaseRow(key, owner: "me", counter: 1, isOurs: true)
        _ = rig.send(.taken(key: key, .stored(mine), sentAt: .zero), at: 20)
        return (key, ids.map { $0 == key ? mine : leaseRow($0) })
    }

    @Test func `a new worker takes one lease that nobody ever owned, so that it is seen`() {
        var rig = WorkerRig()
        let effects = rig.start(listedShards("s1", "s2", "s3"), ["s1", "s2", "s3"].map { leaseRow($0) })
        #expect(effects.takes.count == 1)
        #expect(effects == [started] + effects.takes.map { takeEffect(leaseRow($0)) } + [.wake(at(900))])
    }

    @Test func `a lone worker takes all others at its second look, a second later`() {
        var rig = WorkerRig()
        let (key, rows) = newcomer(&rig, ["s1", "s2", "s3", "s4", "s5"])
        let second = rig.scan(rows, at: 900)
        #expect(second.scans == [whole])
        #expect(Set(second.takes) == Set(rows.map(\.leaseKey)).subtracting([key]))
    }

    @Test func `workers that start together see each other before they share out`() {
        var rig = WorkerRig()
        var (key, rows) = newcomer(&rig, ["s1", "s2", "s3", "s4", "s5", "s6"])
        let other = rows.firstIndex { $0.leaseKey != key } ?? 0
        rows[other] = leaseRow(rows[other].leaseKey, owner: "you", counter: 1, isOurs: true)
        let second = rig.scan(rows, at: 900)
        #expect(second.scans == [whole])
        #expect(second.takes.count == 2)
    }

    @Test func `the second look comes soon, however rarely a provisioned table is read`() {
        var rig = WorkerRig()
        let new = ["s1", "s2"].map { leaseRow($0) }
        #expect(rig.start(listedShards("s1", "s2"), new, provisionedReads: 10, readUnits: 9).wakes == [at(900)])
    }

    @Test func `a newcomer whose first take lost a race takes another lease at once`() {
        var rig = WorkerRig()
        let key = rig.start(listedShards("s1", "s2"), ["s1", "s2"].map { leaseRow($0) }).takes[0]
        let lost = leaseRow(key, owner: "you", counter: 1, isOurs: true)
        let other = key == "s1" ? "s2" : "s1"
        #expect(
            rig.send(.taken(key: key, .conditionFailed(lost), sentAt: .zero), at: 50).calm
                == [takeEffect(leaseRow(other))])
    }

    @Test func `a take on its way counts, so that the next look takes no more than the share`() {
        let other = leaseRow("s0", owner: "a", counter: 7, isOurs: true)
        var rig = WorkerRig.holding("s1", others: [other], shards: listedShards("s0", "s1", "s2", "s3"))
        let rows = [other, leaseRow("s1", owner: "me", counter: 5), leaseRow("s2")]
        #expect(rig.scan(rows, at: 900).takes == ["s2"])
        // Two of four leases are its share, and the answer is not there yet.
        let second = rig.scan(rows + [leaseRow("s3")], at: 2000)
        #expect(!second.scans.isEmpty)
        #expect(second.takes == [])
    }

    @Test func `a look that began before a new row was there does not forget that it is being taken`() {
        let rows = [leaseRow("s0", owner: "a", counter: 7), leaseRow("s1", owner: "me", counter: 5)]
        var rig = WorkerRig.holding("s1", others: [rows[0]], shards: listedShards("s0", "s1", "s2", "s3"))
        #expect(rig.scan(rows + [leaseRow("s2")], at: 900).takes == ["s2"])
        let second = rig.scan(rows + [leaseRow("s3")], at: 2000)
        #expect(second.scans == [whole])
        #expect(second.takes == [])
    }

    @Test func `children are taken without a further look`() {
        var rig = WorkerRig()
        let (_, rows) = newcomer(&rig, ["s1", "s2"])
        _ = rig.scan(rows, at: 900)
        let born = ["c1", "c2"].map { leaseRow($0, parents: ["s1"]) }
        #expect(Set(rig.scan(rows + born, at: 20_000).takes) == ["c1", "c2"])
    }

    @Test func `released leases are taken at once, all of them`() {
        var rig = WorkerRig()
        let free = ["s1", "s2", "s3"].map { leaseRow($0, counter: 9) }
        #expect(rig.start(listedShards("s1", "s2", "s3"), free).takes.sorted() == ["s1", "s2", "s3"])
    }

    @Test func `a restarted worker takes back the rows that name it`() {
        var rig = WorkerRig()
        let mine = leaseRow(owner: "me", counter: 4)
        #expect(rig.start(listedShards("s1"), [mine]) == [started, takeEffect(mine), .wake(at(900))])
    }

    @Test func `a key that is no shard of the stream is never taken, and the listing is asked once`() {
        var rig = WorkerRig()
        let foreign = leaseRow("other", counter: 3)
        let ours = leaseRow("s1", counter: 3)
        #expect(
            rig.start(listedShards("s1"), [ours, foreign])
                == [started, takeEffect(ours), .listShards, .wake(at(900))])
        #expect(rig.send(.shardsListed(ShardTree(listedShards("s1"))), at: 100).calm == [])
        #expect(rig.scan([ours, foreign], at: 900).calm == [.scan(whole)])
        #expect(rig.scan([ours, foreign], at: 20_000).calm == [.scan(whole)])
    }

    @Test func `a new child is ours by its parent, and is taken before it is listed`() {
        var rig = WorkerRig()
        let born = leaseRow("c1", parents: ["s1"])
        let parent = leaseRow("s1", owner: "you", counter: 3, checkpoint: .shardEnd)
        #expect(rig.start(listedShards("s1"), [parent, born]).takes == ["c1"])
    }

    @Test func `rows that are no leases, ended leases and keys of other streams are left alone`() {
        var rig = WorkerRig()
        let effects = rig.send(
            .started(
                WorkerMachine.Start(
                    tree: ShardTree(listedShards("s1", "s2", "s3")),
                    rows: [
                        .foreign(key: "s1", entityType: "LEADER"), .odd(key: "s2", reason: "no checkpoint"),
                        .lease(leaseRow("s3", counter: 4, checkpoint: .shardEnd)),
                        .lease(leaseRow("1:orders:2:s1", counter: 4)),
                    ], provisionedReads: nil, mode: .takers(clientVersion: nil))), at: 0)
        #expect(effects == [started, .wake(at(900))])
    }

    @Test func `no lease is taken twice at a time`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [leaseRow(counter: 3)])
        #expect(rig.scan([leaseRow(counter: 3)], at: 900).takes == [])
        _ = rig.send(.taken(key: "s1", .failed(.throttled, "slow"), sentAt: .zero), at: 1000)
        #expect(rig.scan([leaseRow(counter: 3)], at: 20_000).takes == ["s1"])
    }

    @Test func `a lost take is made up for by taking the row back`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [leaseRow(counter: 3)])
        #expect(rig.send(.taken(key: "s1", .lost("timed out"), sentAt: .zero), at: 500).calm == [])
        let mine = leaseRow(owner: "me", counter: 4)
        #expect(rig.scan([mine], at: 900).calm == [.scan(whole), takeEffect(mine)])
    }

    @Test func `a take that lost a race is not repeated`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [leaseRow(counter: 3)])
        #expect(
            rig.send(
                .taken(key: "s1", .conditionFailed(leaseRow(owner: "you", counter: 4)), sentAt: .zero), at: 50
            ).calm == [])
    }

    // MARK: Stealing

    @Test func `a steal that meets a renewal is tried once more with the fresh row`() {
        var rig = WorkerRig()
        let theirs = ["s1", "s2"].map { leaseRow($0, owner: "you", counter: 3) }
        let effects = rig.start(listedShards("s1", "s2"), theirs)
        #expect(effects.takes.count == 1)
        let key = effects.takes[0]
        let renewed = leaseRow(key, owner: "you", counter: 4)
        #expect(
            rig.send(.taken(key: key, .conditionFailed(renewed), sentAt: .zero), at: 50).calm == [takeEffect(renewed)])
        let again = leaseRow(key, owner: "you", counter: 5)
        #expect(rig.send(.taken(key: key, .conditionFailed(again), sentAt: at(50)), at: 90).calm == [])
    }

    @Test func `a steal that comes too late is given up`() {
        var rig = WorkerRig()
        let key = rig.start(
            listedShards("s1", "s2"), ["s1", "s2"].map { leaseRow($0, owner: "you", counter: 3) }
        ).takes[0]
        #expect(
            rig.send(
                .taken(key: key, .conditionFailed(leaseRow(key, owner: "they", counter: 4)), sentAt: .zero), at: 50
            ).calm == [])
    }

    @Test func `a stolen lease says from whom`() {
        var rig = WorkerRig()
        let key = rig.start(
            listedShards("s1", "s2"), ["s1", "s2"].map { leaseRow($0, owner: "you", counter: 3) }
        ).takes[0]
        let effects = rig.send(
            .taken(key: key, .stored(leaseRow(key, owner: "me", counter: 4)), sentAt: .zero), at: 50)
        #expect(
            effects.first
                == .emit(
                    WorkerEvent(
                        .leaseStolen, at: .zero, shardID: key, previousOwner: "you", owner: "me",
                        checkpoint: .trimHorizon, leaseCounter: 4)))
    }

    @Test func `only a look at the whole table at KCL's pace steals`() {
        var rig = WorkerRig()
        let balanced = [leaseRow("s1", owner: "you", counter: 3), leaseRow("s2", owner: "me", counter: 3)]
        _ = rig.start(listedShards("s1", "s2", "s3", "s4"), balanced)
        _ = rig.send(.taken(key: "s2", .stored(leaseRow("s2", owner: "me", counter: 4)), sentAt: .zero), at: 0)
        let uneven = ["s1", "s3", "s4"].map { leaseRow($0, owner: "you", counter: 4) }
        #expect(rig.scan(uneven, at: 900).takes == [])
        let later = ["s1", "s3", "s4"].map { leaseRow($0, owner: "you", counter: 9) }
        #expect(rig.scan(later + [leaseRow("s2", owner: "me", counter: 4)], at: 18_050).takes.count == 1)
    }

    /// One at a time; whoever lacks many still has its share within two intervals of Java's taker.
    @Test func `the next steal comes the sooner the more are missing`() throws {
        var rig = WorkerRig(.sample.with { $0.segmentScanInterval = .seconds(60) })
        let keys = (10..<30).map { "s\($0)" }
        _ = rig.start(keys.flatMap { listedShards($0) }, keys.map { leaseRow($0, owner: "you", counter: 3) })
        let effects = rig.scan(keys.map { leaseRow($0, owner: "you", counter: 9) }, at: 18_050)
        #expect(effects.takes.count == 1)
        let next = try #require(effects.wakes.min())
        #expect(next == at(18_050) + .milliseconds(18_050) / 16)
    }

    // MARK: The dead

    @Test func `a lease whose counter stands still is taken when it expires, by a timer`() {
        var rig = WorkerRig()
        let dead = leaseRow("s1", owner: "you", counter: 3)
        _ = rig.start(listedShards("s1"), [dead])
        #expect(rig.scan([dead], at: 900).takes == [])
        #expect(rig.scan([dead], at: 8000).takes == [])
        // Nothing is known of its owner's failover time: KCL's default is presumed.
        #expect(rig.wake(at: 9999).takes == [])
        #expect(rig.wake(at: 10_000).takes == ["s1"])
    }

    @Test func `the timer is set to the expiry`() {
        var rig = WorkerRig(.sample.with { $0.segmentScanInterval = .seconds(60) })
        let dead = leaseRow("s1", owner: "you", counter: 3)
        _ = rig.start(listedShards("s1"), [dead])
        _ = rig.wake(at: 18_050)
        let moved = leaseRow("s1", owner: "you", counter: 4)
        #expect(
            rig.send(.scanned(whole, rows([moved]), readUnits: 1), at: 18_100).wakes.contains(at(28_100)))
    }

    @Test func `an owner that moves its counter is alive`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [leaseRow("s1", owner: "you", counter: 3)])
        for (now, counter) in [(3000, 4), (6000, 5), (9000, 6), (12_000, 7)] as [(Int64, Int64)] {
            #expect(rig.scan([leaseRow("s1", owner: "you", counter: counter)], at: now).takes == [])
        }
        #expect(rig.wake(at: 20_999).takes == [])
    }

    @Test func `a row that was not read lately is not judged dead between KCL's scans`() {
        var rig = WorkerRig()
        let silent = leaseRow("s1", owner: "you", counter: 3)
        _ = rig.start(listedShards("s1"), [silent])
        _ = rig.scan([silent], at: 900)
        #expect(rig.wake(at: 9000).takes == [])
    }

    @Test func `a stale read does not bring an old counter back`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [leaseRow("s1", owner: "you", counter: 5)])
        _ = rig.scan([leaseRow("s1", owner: "you", counter: 6)], at: 900)
        _ = rig.scan([leaseRow("s1", owner: "they", counter: 5)], at: 1900)
        #expect(rig.machine.rows["s1"] == .lease(leaseRow("s1", owner: "you", counter: 6)))
    }

    @Test func `an owner whose pulse is slower than our failover time allows is named once`() {
        var rig = WorkerRig()
        let shards = listedShards("s1")
        _ = rig.start(shards, [leaseRow("s1", owner: "you", counter: 3)])
        var said: [WorkerMachine.Effect] = []
        var counter: Int64 = 3
        for now in stride(from: Int64(1000), through: 60_000, by: 1000) {
            if now % 9000 == 0 { counter += 1 }
            said += rig.scan([leaseRow("s1", owner: "you", counter: counter)], at: now).filter {
                if case .emit(let event) = $0 { event.kind == .modeChanged } else { false }
            }
        }
        #expect(said.count == 1)
        if case .emit(let event)? = said.first { #expect(event.owner == "you") }
    }

    // MARK: An operator's poke

    @Test func `a row into which an operator wrote our name is taken at once`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [leaseRow("s1", owner: "you", counter: 3)])
        #expect(rig.send(.pokeRequested(shardID: "s1"), at: 100).calm == [.read(key: "s1")])
        let given = leaseRow("s1", owner: "me", counter: 4)
        #expect(
            rig.send(.read(key: "s1", .lease(given), failed: false), at: 150).calm == [takeEffect(given)])
        _ = rig.send(.shutdownRequested, at: 200)
        #expect(rig.send(.pokeRequested(shardID: "s1"), at: 210).calm == [])
    }

    @Test func `at most maxLeasesForWorker are held`() {
        var rig = WorkerRig(.sample.with { $0.maxLeasesForWorker = 2 })
        let free = ["s1", "s2", "s3"].map { leaseRow($0, counter: 9) }
        #expect(rig.start(listedShards("s1", "s2", "s3"), free).takes.count == 2)
    }
}
