import AWSWire
import Leases
import Machine
import Testing

@testable import KinesisConsumer

private let whole = WorkerMachine.Scan(segment: 0, segments: 1)

/// A worker's machine at a table whose other rows are moved by hand: what the machine sends is answered at once.
private struct Table {
    var rig: WorkerRig
    var rows: [String: Lease]
    /// What the machine sent, with the time.
    private(set) var sent: [(at: Int64, effect: WorkerMachine.Effect)] = []
    private(set) var now: Int64 = 0

    init(_ rows: [Lease], shards: [Shard]? = nil, _ configuration: WorkerConfiguration = .sample) {
        rig = WorkerRig(configuration)
        self.rows = Dictionary(uniqueKeysWithValues: rows.map { ($0.leaseKey, $0) })
        perform(rig.start(shards ?? rows.flatMap { listedShards($0.leaseKey) }, rows))
    }

    /// Wakes the machine every 100 ms; `live` moves the others' rows to what they are at a time.
    mutating func run(until end: Int64, _ live: (Int64, inout [String: Lease]) -> Void) {
        while now < end {
            now += 100
            live(now, &rows)
            perform(rig.wake(at: now))
        }
    }

    mutating func perform(_ effects: [WorkerMachine.Effect]) {
        for effect in effects {
            sent.append((now, effect))
            switch effect {
            case .scan(let scan):
                let read = rows.keys.sorted().compactMap { rows[$0] }.map { LeaseRow.lease($0) }
                perform(rig.send(.scanned(scan, read, readUnits: 1), at: now))
            case .take(let key, _):
                guard var lease = rows[key] else { continue }
                lease.leaseOwner = "me"
                lease.leaseCounter += 1
                lease.ownerMark = OwnerMark(owner: "me", failoverTime: rig.machine.configuration.failoverTime)
                rows[key] = lease
                perform(rig.send(.taken(key: key, .stored(lease), sentAt: at(now)), at: now))
            case .write(let key, let tenure, _):
                let isHeld = rows[key]?.leaseOwner == "me"
                if isHeld { rows[key]?.leaseCounter += 1 }
                perform(
                    rig.send(
                        .written(key: key, tenure: tenure, isHeld ? .stored(nil) : .conditionFailed(rows[key])), at: now
                    ))
            default: break
            }
        }
    }

    func takes(since start: Int64 = -1) -> [String] { sent.filter { $0.at > start }.map(\.effect).takes }
    func writes(since start: Int64) -> [String] { sent.filter { $0.at > start }.map(\.effect).writes }
    var messages: [String] { sent.map(\.effect).messages }
}

/// A Java worker's row at `now`, renewed every `failover` / 3 − 25 ms.
private func renewed(_ key: String, by owner: String = "java", failover: Int64, at now: Int64) -> Lease {
    leaseRow(key, owner: owner, counter: 1 + (now + 700) / (failover / 3 - 25), checkpoint: seq(7))
}

@Suite struct FailoverTimeNeighbourTests {
    @Test func `a Java worker with a longer failover time keeps its lease`() {
        var table = Table(
            [renewed("s1", failover: 10_000, at: 0)], .sample.with { $0.failoverTime = .seconds(2) })
        table.run(until: 90_000) { now, rows in rows["s1"] = renewed("s1", failover: 10_000, at: now) }
        #expect(table.takes() == [])
        #expect(
            table.messages.count { $0.contains("java renews every") && $0.contains("judged by its pulse") } == 1)
    }

    @Test func `and loses it by its own failover time when it dies`() throws {
        var table = Table(
            [renewed("s1", failover: 10_000, at: 0)], .sample.with { $0.failoverTime = .seconds(2) })
        table.run(until: 60_000) { now, rows in rows["s1"] = renewed("s1", failover: 10_000, at: now) }
        table.run(until: 90_000) { _, _ in }
        let takenAt = try #require(table.sent.first { [$0.effect].takes == ["s1"] }?.at)
        #expect(60_000 + 10_000 - 3308...60_000 + 13_000 ~= takenAt)
    }

    @Test func `beside a Java worker with a shorter failover time we renew as often as it does, and say so`() {
        var table = Table([leaseRow("s1", owner: "me", counter: 4), renewed("s2", failover: 2000, at: 0)])
        table.run(until: 60_000) { now, rows in rows["s2"] = renewed("s2", failover: 2000, at: now) }
        #expect(table.takes() == ["s1"])
        // Java would take it after 2 s of silence; once its pulse is known, there are none.
        let renewals = table.sent.filter { $0.at > 30_000 && [$0.effect].writes == ["s1"] }.map(\.at)
        #expect(renewals.count > 40)
        #expect(zip(renewals, renewals.dropFirst()).allSatisfy { $1 - $0 <= 700 })
        #expect(table.messages.count { $0.contains("smaller than ours") } == 1)
    }

    @Test func `and go back to our own pace when it is gone`() {
        var table = Table([leaseRow("s1", owner: "me", counter: 4), renewed("s2", failover: 2000, at: 0)])
        table.run(until: 40_000) { now, rows in rows["s2"] = renewed("s2", failover: 2000, at: now) }
        table.run(until: 100_000) { _, _ in }
        #expect(table.takes().contains("s2"))
        #expect(table.writes(since: 80_000).filter { $0 == "s1" }.count <= 8)
    }

    @Test func `beside workers of ours nobody changes its pace`() {
        var fast = leaseRow("s2", owner: "you", counter: 1)
        fast.ownerMark = OwnerMark(owner: "you", failoverTime: .seconds(2))
        var table = Table([leaseRow("s1", owner: "me", counter: 4), fast])
        table.run(until: 60_000) { now, rows in
            fast.leaseCounter = 1 + now / 641
            rows["s2"] = fast
        }
        #expect(table.writes(since: 30_000).count <= 12)
        #expect(table.messages == [])
    }

    @Test func `a lease that was renewed in time stays held when the pace quickens`() {
        var lease = HeldLease(
            leaseRow(owner: "me", counter: 5), table: "app", owner: "me", failoverTime: .seconds(9),
            renewInterval: .milliseconds(2975), sentAt: .zero)
        lease.adapt(to: WorkerMachine.Pace(failoverTime: .seconds(2), renewInterval: .milliseconds(641)))
        #expect(lease.nextDeadline == at(641))
        #expect(lease.fence == at(9000))
        #expect(lease.advance(at(2500)) == [.send(LeaseTable.renew(table: "app", leaseRow(owner: "me", counter: 5)))])
        #expect(lease.written(.stored(nil), at: at(2600)) == [])
        #expect(lease.fence == at(4500))
        lease.adapt(to: WorkerMachine.Pace(failoverTime: .seconds(9), renewInterval: .milliseconds(2975)))
        #expect(lease.fence == at(11_500))
    }
}

@Suite struct JavaNeighbourTests {
    @Test func `a Java worker that restarts in place in time keeps its leases`() {
        var table = Table([renewed("s1", failover: 9000, at: 0)])
        table.run(until: 30_000) { now, rows in rows["s1"] = renewed("s1", failover: 9000, at: now) }
        // Eight seconds without a renewal, of the nine that it has.
        table.run(until: 36_000) { _, _ in }
        table.run(until: 90_000) { now, rows in rows["s1"] = renewed("s1", failover: 9000, at: now - 5000) }
        #expect(table.takes() == [])
    }

    @Test func `a Java worker that restarts in place too late is not fought for what it still has`() {
        let both = ["s1", "s2"]
        var table = Table(both.map { renewed($0, failover: 9000, at: 0) }, .sample.with { $0.maxLeasesForWorker = 1 })
        table.run(until: 30_000) { now, rows in
            for key in both where rows[key]?.leaseOwner == "java" { rows[key] = renewed(key, failover: 9000, at: now) }
        }
        let taken = table.takes()
        #expect(taken.count == 1)
        // Down for a minute; we are full. Then it renews its own row, as Java does at its start.
        table.run(until: 90_000) { _, _ in }
        table.run(until: 180_000) { now, rows in
            for key in both where rows[key]?.leaseOwner == "java" {
                rows[key] = renewed(key, failover: 9000, at: now)
            }
        }
        #expect(table.takes() == taken)
        #expect(table.rows.values.map(\.leaseOwner).sorted { ($0 ?? "") < ($1 ?? "") } == ["java", "me"])
    }

    @Test func `the row's position counts, whatever initial position this worker is configured with`() {
        for (position, row, start) in [
            (InitialPosition.trimHorizon, Checkpoint.latest, ShardPosition.latest),
            (.latest, .trimHorizon, .trimHorizon), (.latest, seq(5), .atSequenceNumber("5")),
            (.latest, .atTimestamp, .trimHorizon),
        ] {
            var rig = WorkerRig(.sample.with { $0.initialPosition = position })
            let lease = leaseRow("s1", counter: 3, checkpoint: row)
            _ = rig.start(listedShards("s1"), [lease])
            var mine = lease
            mine.leaseOwner = "me"
            _ = rig.send(.taken(key: "s1", .stored(mine), sentAt: .zero), at: 10)
            let effects = rig.send(.shard(tenure: 1, .returned(.initialize(row, nil), failure: nil)), at: 20)
            #expect(effects.calm.last == .shard(tenure: 1, leaseKey: "s1", .getIterator(start)))
        }
    }

    @Test func `a pending checkpoint that a Java worker prepared reaches the processor`() {
        var rig = WorkerRig()
        var lease = leaseRow("s1", counter: 3, checkpoint: seq(5))
        lease.pendingCheckpoint = PendingCheckpoint(checkpoint: seq(7, 2), state: Bytes([1, 2]))
        _ = rig.start(listedShards("s1"), [lease])
        var mine = lease
        mine.leaseOwner = "me"
        #expect(
            rig.send(.taken(key: "s1", .stored(mine), sentAt: .zero), at: 10).calm.last
                == .shard(
                    tenure: 1, leaseKey: "s1",
                    .call(.initialize(seq(5), lease.pendingCheckpoint), fence: at(9000))))
    }

    @Test func `who lost a lease reads and subscribes no more, however late an answer comes`() {
        var rig = WorkerRig.holding("s1")
        _ = rig.wake(at: 2975)
        _ = rig.send(
            .written(key: "s1", tenure: 1, .conditionFailed(leaseRow(owner: "java", counter: 6))), at: 3000)
        var effects = rig.send(.shard(tenure: 1, .fetched(fetchedBatch(1, through: 5))), at: 3100)
        effects += rig.send(.shard(tenure: 1, .retrievalFailed(.inUse, "another subscribed")), at: 3200)
        effects += rig.send(.shard(tenure: 1, .iteratorGot("i2", latestAt: nil)), at: 3300)
        effects += rig.send(.shard(tenure: 1, .returned(.leaseLost, failure: nil)), at: 3400)
        effects += rig.send(.shard(tenure: 1, .retrievalFailed(.inUse, "another subscribed")), at: 3500)
        #expect(effects.calm == [.shard(tenure: 1, leaseKey: "s1", .discard([1])), .forget(tenure: 1)])
    }

    @Test(arguments: [false, true])
    func
        `beside Java workers, whose taker may fail on a released lease, a worker that stops keeps its name in its rows`(
            isOurs: Bool
        )
    {
        var rig = WorkerRig.holding("s1", others: [leaseRow("s2", owner: "you", counter: 3, isOurs: isOurs)])
        _ = rig.send(.shutdownRequested, at: 1000)
        _ = rig.send(.shard(tenure: 1, .returned(.shutdownRequested, failure: nil)), at: 1100)
        let effects = rig.send(.shard(tenure: 1, .returned(.leaseLost, failure: nil)), at: 1200).calm
        #expect(effects.writes == (isOurs ? ["s1"] : []))
        #expect(rig.machine.isFinished == !isOurs)
    }

    @Test func `Java workers read no segment for us, ours do`() {
        let java = [leaseRow("s1", owner: "a", counter: 3), leaseRow("s2", owner: "z", counter: 3)]
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1", "s2", "s3"), java)
        rig.machine.isNewcomer = false
        #expect(rig.wake(at: 900).scans == [whole])
        rig = WorkerRig()
        _ = rig.start(
            listedShards("s1", "s2", "s3"), java + [leaseRow("s3", owner: "b", counter: 3, isOurs: true)])
        rig.machine.isNewcomer = false
        #expect(rig.wake(at: 900).scans.map(\.segments) == [2])
    }

    @Test func `of a provisioned table the share is the same beside Java workers`() {
        let java = (1...3).map { leaseRow("s\($0)", owner: "java\($0)", counter: 3) }
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1", "s2", "s3"), java, provisionedReads: 10, readUnits: 9)
        rig.machine.isNewcomer = false
        var reads: [Int64] = []
        var moved = java
        for now in stride(from: Int64(100), through: 90_000, by: 100) {
            for index in moved.indices { moved[index].leaseCounter = 3 + now / 2975 }
            for scan in rig.wake(at: now).scans {
                reads.append(now)
                _ = rig.send(.scanned(scan, moved.map { .lease($0) }, readUnits: 9), at: now)
            }
        }
        // 9 units of 1 a second for us alone, and our quarter of as much again for the runs of all takers.
        #expect(7...14 ~= reads.count)
    }

    // MARK: Counting

    private func table(ownedBy owner: String, isOurs: Bool) -> (shards: [Shard], rows: [Lease]) {
        (
            listedShards("e1", "e2", "s1", "s2", "s3", "s4", closed: ["e1", "e2"]),
            ["e1", "e2"].map { leaseRow($0, owner: owner, counter: 3, checkpoint: .shardEnd, isOurs: isOurs) }
                + ["s1", "s2"].map { leaseRow($0, owner: owner, counter: 3, isOurs: isOurs) }
        )
    }

    @Test(arguments: [false, true]) func `ended leases count beside Java workers, and among ours they do not`(
        isOurs: Bool
    ) {
        let (shards, theirs) = table(ownedBy: "you", isOurs: isOurs)
        var rig = WorkerRig()
        let takes = rig.start(shards, theirs + ["s3", "s4"].map { leaseRow($0, owner: "me", counter: 3) }).takes
        #expect(takes.prefix(2) == ["s3", "s4"])
        // Six leases make three for each, four make two.
        #expect(takes.dropFirst(2).map { $0.prefix(1) } == (isOurs ? [] : ["e"]))
    }

    @Test func `an ended lease that was stolen is renewed and cleaned up like one's own`() {
        let (shards, rows) = table(ownedBy: "java", isOurs: false)
        var rig = WorkerRig()
        _ = rig.start(shards, rows)
        let ended = leaseRow("e1", owner: "me", counter: 4, checkpoint: .shardEnd, isOurs: true)
        _ = rig.send(.taken(key: "e1", .stored(ended), sentAt: .zero), at: 10)
        #expect(rig.wake(at: 2975).writes == ["e1"])
        #expect(rig.machine.tenures["e1"]?.shard.hasEnded == true)
    }
}

/// Java's rule elects one owner; Java workers audit only if it is one of them.
@Suite struct ElectionTests {
    /// A hole in the hash key space beside leases of `owners`; the first is this worker's.
    private func audits(_ me: String, living: [String], dead: [String] = [], ended: [String] = []) -> Bool {
        var rig = WorkerRig(
            .sample.with {
                $0.workerID = me
                $0.leasesRecoveryAuditorInterval = .seconds(60)
            })
        let keys = (living + dead + ended).map { "of-\($0)" }
        let shards = (keys + ["missing"]).enumerated().map { index, key in
            Shard(
                shardID: key, hashKeyRange: HashKeyRange(start: UInt128(index) * 10, end: UInt128(index) * 10 + 9),
                startingSequenceNumber: "\(index)", endingSequenceNumber: nil)
        }
        func rows(_ counter: Int64) -> [Lease] {
            zip(living + dead + ended, shards).map { owner, shard in
                leaseRow(
                    shard.shardID, owner: owner, counter: dead.contains(owner) ? 3 : counter,
                    checkpoint: ended.contains(owner) ? .shardEnd : seq(3), range: shard.hashKeyRange)
            }
        }
        _ = rig.start(shards, rows(3))
        var asked = false
        for now in stride(from: Int64(1000), through: 250_000, by: 1000) {
            let effects = rig.wake(at: now)
            for scan in effects.scans {
                _ = rig.send(.scanned(scan, rows(3 + now / 1000).map { .lease($0) }, readUnits: 1), at: now)
            }
            asked = asked || effects.contains(.listShards)
        }
        return asked
    }

    private let names = ["a", "b", "c", "x", "y", "z"]

    @Test func `the worker that Java's rule elects audits, one that it does not elect does not`() throws {
        let owners = ["java", "me", "zoe"]
        let elected = try #require(shardSyncLeader(owners: owners))
        for me in owners {
            #expect(audits(me, living: [me] + owners.filter { $0 != me }) == (me == elected))
        }
    }

    @Test func `a worker that owns nothing is not elected while others own something`() {
        #expect(!audits("me", living: ["java"]))
    }

    @Test func `owners of ended leases stand, too, as with Java`() throws {
        // A pair in which the newcomer changes who is elected.
        let (me, other) = try #require(
            names.lazy.flatMap { a in names.map { (a, $0) } }.first { me, other in
                me != other && shardSyncLeader(owners: ["java", me]) == me
                    && shardSyncLeader(owners: ["java", me, other]) == other
            })
        #expect(audits(me, living: [me, "java"]))
        #expect(!audits(me, living: [me, "java"], ended: [other]))
    }

    @Test func `where Java's rule elects a dead one, one of the living audits`() throws {
        let (me, other) = try #require(
            names.lazy.flatMap { a in names.map { (a, $0) } }.first { me, other in
                me != other && shardSyncLeader(owners: ["java", me]) == me
                    && shardSyncLeader(owners: ["java", me, other]) == other
            })
        #expect(audits(me, living: [me, "java"], dead: [other]))
    }
}
