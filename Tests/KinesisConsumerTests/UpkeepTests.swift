import AWSWire
import Leases
import Machine
import Testing

@testable import KinesisConsumer

private let whole = WorkerMachine.Scan(segment: 0, segments: 1)
private func segment(_ segment: Int, of segments: Int) -> WorkerMachine.Scan {
    WorkerMachine.Scan(segment: segment, segments: segments)
}

/// The next alarm after the scan that is woken at `now` and answered with `leases` at a cost of `units`.
private func nextScan(
    _ rig: inout WorkerRig, at now: Int64, _ leases: [Lease], units: Double
) -> Int64? {
    guard let scan = rig.wake(at: now).scans.first else { return nil }
    let woken = rig.send(.scanned(scan, leases.map { .lease($0) }, readUnits: units), at: now)
    return woken.wakes.map { $0.nanoseconds / 1_000_000 }.min()
}

@Suite struct ReadingTests {
    @Test func `a lone worker reads the whole table`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [leaseRow(counter: 3)])
        #expect(rig.wake(at: 900).scans == [whole])
        #expect(rig.wake(at: 5000).scans == [])
    }

    @Test func `workers share the table by their ranks, and read the segment before their own too`() {
        var rig = WorkerRig()
        let others = [
            leaseRow("s1", owner: "a", counter: 3, isOurs: true), leaseRow("s2", owner: "z", counter: 3, isOurs: true),
        ]
        _ = rig.start(listedShards("s1", "s2"), others)
        rig.machine.isNewcomer = false
        var read: [WorkerMachine.Scan] = []
        for now in [1000, 2000, 3000, 4000] as [Int64] {
            let scans = rig.wake(at: now).scans
            read += scans
            for scan in scans {
                _ = rig.send(.scanned(scan, others.map { .lease($0) }, readUnits: 1), at: now)
            }
        }
        #expect(read == [segment(0, of: 3), segment(1, of: 3), segment(0, of: 3), segment(1, of: 3)])
    }

    @Test func `the dead keep their ranks, and the segments of those before us are read too`() {
        var rig = WorkerRig(.sample.with { $0.maxLeasesForWorker = 1 })
        var alive = leaseRow("s2", owner: "a", counter: 3, isOurs: true)
        let dead = leaseRow("s1", owner: "b", counter: 3, isOurs: true)
        _ = rig.start(listedShards("s1", "s2", "s3"), [dead, alive, leaseRow("s3", owner: "me", counter: 3)])
        rig.machine.isNewcomer = false
        _ = rig.send(.taken(key: "s3", .stored(leaseRow("s3", owner: "me", counter: 4)), sentAt: .zero), at: 0)
        var read: Set<WorkerMachine.Scan> = []
        for now in stride(from: Int64(1000), through: 17_000, by: 1000) {
            alive.leaseCounter += 1
            for scan in rig.wake(at: now).scans {
                if now > 11_000 { read.insert(scan) }
                _ = rig.send(.scanned(scan, [.lease(dead), .lease(alive)], readUnits: 1), at: now)
            }
        }
        #expect(read == [segment(0, of: 3), segment(1, of: 3), segment(2, of: 3)])
    }

    @Test func `the whole table is read at KCL's pace`() {
        var rig = WorkerRig()
        let others = [
            leaseRow("s1", owner: "a", counter: 3, isOurs: true), leaseRow("s2", owner: "z", counter: 3, isOurs: true),
        ]
        _ = rig.start(listedShards("s1", "s2"), others)
        rig.machine.isNewcomer = false
        #expect(rig.wake(at: 18_049).scans == [segment(0, of: 3)])
        _ = rig.send(.scanned(segment(0, of: 3), [], readUnits: 1), at: 18_049)
        #expect(rig.wake(at: 18_050).scans == [whole])
    }

    @Test func `an answer to another scan is none`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [leaseRow(counter: 3)])
        _ = rig.wake(at: 900)
        #expect(rig.send(.scanned(segment(1, of: 2), [], readUnits: 1), at: 950) == [])
        #expect(rig.machine.rows["s1"] != nil)
    }

    @Test func `a whole scan forgets the rows that are gone, a segment does not`() {
        var rig = WorkerRig()
        let others = [
            leaseRow("s1", owner: "a", counter: 3, isOurs: true), leaseRow("s2", owner: "z", counter: 3, isOurs: true),
        ]
        _ = rig.start(listedShards("s1", "s2"), others)
        rig.machine.isNewcomer = false
        _ = rig.wake(at: 900)
        _ = rig.send(.scanned(segment(0, of: 3), [], readUnits: 1), at: 950)
        #expect(rig.machine.rows.count == 2)
        _ = rig.wake(at: 18_050)
        _ = rig.send(
            .scanned(whole, [.lease(leaseRow("s2", owner: "z", counter: 4, isOurs: true))], readUnits: 1), at: 18_100)
        #expect(rig.machine.rows.keys.sorted() == ["s2"])
    }

    @Test func `a failed scan is repeated after a growing pause, and said the second time`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [leaseRow(counter: 3)])
        _ = rig.wake(at: 900)
        #expect(rig.send(.scanFailed(whole, .throttled, "slow"), at: 1000).calm == [])
        #expect(rig.wake(at: 2400).scans == [])
        #expect(rig.wake(at: 3200).scans == [whole])
        #expect(
            rig.send(.scanFailed(whole, .throttled, "slow"), at: 3300).calm
                == [.emit(WorkerEvent(.throttled, at: .zero, message: "slow"))])
    }

    @Test func `of a provisioned table at most a tenth is spent on segments, from the start`() throws {
        var rig = WorkerRig()
        // 9 units of 10 a second: a tenth of the reads allows one every 9 s.
        #expect(
            rig.start(listedShards("s1"), [leaseRow(counter: 3)], provisionedReads: 10, readUnits: 9).wakes == [
                at(9000)
            ])
        let next = try #require(nextScan(&rig, at: 9000, [leaseRow(counter: 3)], units: 9))
        #expect(17_500...18_050 ~= next)
    }

    @Test func `of a provisioned table at most a tenth is spent on whole scans, by all workers together`() {
        var rig = WorkerRig(.sample.with { $0.segmentScanInterval = .seconds(3600) })
        let others = [
            leaseRow("s1", owner: "a", counter: 3, isOurs: true), leaseRow("s2", owner: "z", counter: 3, isOurs: true),
        ]
        _ = rig.start(listedShards("s1", "s2"), others, provisionedReads: 10, readUnits: 20)
        _ = rig.wake(at: 18_050)
        var moved = others
        for index in moved.indices { moved[index].leaseCounter = 4 }
        _ = rig.send(.scanned(whole, moved.map { .lease($0) }, readUnits: 20), at: 18_050)
        // Three workers at 20 units each: 60 units at one a second.
        #expect(rig.wake(at: 78_049).scans == [])
        #expect(rig.wake(at: 78_050).scans == [whole])
    }

    @Test func `a cost that is no cost traps nobody`() {
        for units in [-1, Double.infinity, 1e300, Double.nan] {
            var rig = WorkerRig()
            _ = rig.start(listedShards("s1"), [leaseRow(counter: 3)], provisionedReads: 1)
            _ = rig.wake(at: 900)
            _ = rig.send(.scanned(whole, [.lease(leaseRow(counter: 3))], readUnits: units), at: 950)
            #expect(rig.wake(at: 20_000).scans.count <= 1)
        }
    }
}

@Suite struct AuditTests {
    private func hole(_ rig: inout WorkerRig) -> [Shard] {
        let shards = listedShards("s1", "s2")
        _ = rig.start(shards, [leaseRow("s1", counter: 3, range: shards[0].hashKeyRange)])
        rig.machine.isNewcomer = false
        return shards
    }

    @Test func `a hole that is seen three times is filled by a shard sync`() {
        var rig = WorkerRig()
        let shards = hole(&rig)
        #expect(rig.wake(at: 60_000).calm == [.scan(whole), .checkMode])
        #expect(rig.wake(at: 180_000).calm == [.checkMode])
        #expect(rig.wake(at: 300_000).calm == [.checkMode, .listShards])
        let missing = leaseRow("s2", range: shards[1].hashKeyRange)
        #expect(
            rig.send(.shardsListed(ShardTree(shards)), at: 300_100).calm == [
                .create([missing], lookedAt: at(300_100)),
                .emit(
                    WorkerEvent(
                        .shardSynced, at: .zero, message: "1 leases to create, 0 shards listed inconsistently")),
            ])
        #expect(
            rig.send(.created([missing], failure: nil), at: 300_200).calm == [
                .emit(event(.leaseCreated, "s2", checkpoint: .trimHorizon)), takeEffect(missing),
            ])
    }

    @Test func `a hole that closes in between is no hole`() {
        var rig = WorkerRig()
        let shards = hole(&rig)
        _ = rig.wake(at: 60_000)
        let both = shards.map { leaseRow($0.shardID, counter: 3, range: $0.hashKeyRange) }
        _ = rig.send(.scanned(whole, both.map { .lease($0) }, readUnits: 1), at: 60_100)
        for now in [180_000, 300_000, 420_000, 540_000] as [Int64] {
            #expect(!rig.wake(at: now).contains(.listShards))
        }
    }

    @Test func `only the elected worker audits`() {
        var rig = WorkerRig()
        let shards = listedShards("s1", "s2")
        _ = rig.start(shards, [leaseRow("s1", owner: "you", counter: 3, range: shards[0].hashKeyRange)])
        for now in [60_000, 180_000, 300_000, 420_000] as [Int64] {
            #expect(!rig.wake(at: now).contains(.listShards))
        }
    }

    @Test func `an empty table is synced at once`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [])
        #expect(rig.wake(at: 60_000).calm == [.scan(whole), .checkMode, .listShards])
    }

    @Test func `an old lease without a hash range gets its shard's`() {
        var rig = WorkerRig()
        let shards = listedShards("s1")
        _ = rig.start(shards, [leaseRow("s1", counter: 3)])
        #expect(
            rig.wake(at: 60_000).calm == [
                .scan(whole), .checkMode, .setHashKeyRange(key: "s1", shards[0].hashKeyRange),
            ])
    }

    @Test func `leases that could not be created are tried again with a new listing`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [])
        _ = rig.wake(at: 60_000)
        _ = rig.send(.shardsListed(ShardTree(listedShards("s1"))), at: 60_100)
        #expect(
            rig.send(.created([], failure: "slow"), at: 60_200).calm
                == [.emit(WorkerEvent(.throttled, at: .zero, message: "slow"))])
        #expect(rig.wake(at: 64_999).calm == [])
        #expect(rig.wake(at: 65_000).calm == [.listShards])
    }

    @Test func `a listing that fails is tried again after a pause`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [])
        _ = rig.wake(at: 60_000)
        #expect(rig.send(.listFailed("slow"), at: 60_100).calm == [])
        #expect(rig.wake(at: 65_000).calm == [.listShards])
    }
}

@Suite struct CleanupTests {
    private static let shards = listedShards("p", "c", parents: ["c": ["p"]], closed: ["p"])

    /// At the time of the first cleanup, listed.
    private func cleanUp(
        parent: Lease, child: Lease?, tree: ShardTree? = ShardTree(shards),
        _ configuration: WorkerConfiguration = .sample
    ) -> (rig: WorkerRig, effects: [WorkerMachine.Effect]) {
        var rig = WorkerRig(configuration)
        _ = rig.start(Self.shards, [parent] + (child.map { [$0] } ?? []))
        guard rig.wake(at: 300_000).contains(.listShards) else { return (rig, []) }
        return (rig, rig.send(.shardsListed(tree), at: 300_100).deletions)
    }

    private func deletion(_ lease: Lease) -> WorkerMachine.Effect {
        .delete(key: lease.leaseKey, LeaseTable.deletion(of: lease, by: "me"))
    }

    private func ended(owner: String? = nil) -> Lease {
        leaseRow("p", owner: owner, counter: 9, checkpoint: .shardEnd, children: ["c"])
    }

    private func child(_ checkpoint: Checkpoint, owner: String? = nil) -> Lease {
        leaseRow("c", owner: owner, counter: 3, checkpoint: checkpoint, parents: ["p"])
    }

    @Test func `an ended lease whose children are on their way is deleted by the elected worker`() {
        #expect(cleanUp(parent: ended(), child: child(seq(5))).effects == [deletion(ended())])
        #expect(cleanUp(parent: ended(), child: child(.latest)).effects == [deletion(ended())])
    }

    @Test func `it stays while a child has not begun, or has no lease`() {
        #expect(cleanUp(parent: ended(), child: child(.trimHorizon)).effects == [])
        #expect(cleanUp(parent: ended(), child: nil).effects == [])
    }

    @Test func `it stays for a worker that was not elected`() {
        #expect(cleanUp(parent: ended(), child: child(seq(5), owner: "you")).effects == [])
    }

    @Test func `it stays for its living owner, who cleans up itself`() {
        #expect(cleanUp(parent: ended(owner: "you"), child: child(seq(5))).effects == [])
    }

    @Test func `rows that name us from an earlier run are ours to clean up`() {
        let mine = ended(owner: "me")
        #expect(cleanUp(parent: mine, child: child(seq(5), owner: "you")).effects == [deletion(mine)])
    }

    @Test func `a dead owner is not elected, and its ended leases are cleaned up`() {
        var rig = WorkerRig()
        let rows = [ended(owner: "you"), child(seq(5))]
        _ = rig.start(Self.shards, rows)
        _ = rig.wake(at: 18_050)
        _ = rig.send(.scanned(whole, rows.map { .lease($0) }, readUnits: 1), at: 18_100)
        #expect(rig.wake(at: 300_000).contains(.listShards))
        #expect(
            rig.send(.shardsListed(ShardTree(Self.shards)), at: 300_100).contains(deletion(rows[0])))
    }

    @Test func `leases of a stream that was deleted are cleaned up`() {
        #expect(cleanUp(parent: ended(), child: child(.trimHorizon), tree: nil).effects == [deletion(ended())])
    }

    @Test func `no cleanup where it is switched off`() {
        let off = WorkerConfiguration.sample.with { $0.cleanupLeasesUponShardCompletion = false }
        #expect(cleanUp(parent: ended(), child: child(seq(5)), off).effects == [])
    }

    @Test func `a deleted lease is said and forgotten, one whose condition failed is not`() {
        var (rig, _) = cleanUp(parent: ended(), child: child(seq(5)))
        #expect(rig.send(.deleted(key: "p", .conditionFailed(nil)), at: 300_200).calm == [])
        #expect(rig.machine.rows["p"] != nil)
        #expect(
            rig.send(.deleted(key: "p", .stored(nil)), at: 300_300).calm
                == [.emit(event(.leaseDeleted, "p"))])
        #expect(rig.machine.rows["p"] == nil)
    }

    @Test func `the lease of a shard that this worker ended ends its tenure when it is deleted`() {
        var rig = WorkerRig.holding("s1")
        _ = rig.send(.shard(tenure: 1, .retrievalFailed(.notFound, "gone")), at: 10)
        _ = rig.send(.shard(tenure: 1, .checkpointRequested(7, .commit(nil))), at: 20)
        _ = rig.send(.written(key: "s1", tenure: 1, .stored(nil)), at: 30)
        _ = rig.send(.shard(tenure: 1, .returned(.shardEnded, failure: nil)), at: 40)
        #expect(
            rig.send(.deleted(key: "s1", .stored(nil)), at: 50).calm
                == [.emit(event(.leaseDeleted)), .forget(tenure: 1)])
        #expect(rig.wake(at: 2975).calm.filter { if case .write = $0 { true } else { false } } == [])
    }
}
