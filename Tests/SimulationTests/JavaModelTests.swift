import AWSWire
import KinesisConsumer
import Leases
import Machine
import Testing

@testable import Simulation

/// The literal model of the Java 2.x worker, against its source and what was recorded of it (java-kcl.md §4, §5).

private func lease(_ key: String, _ owner: String?, _ counter: Int64 = 5, ended: Bool = false) -> JavaLease {
    var lease = JavaLease(leaseKey: key, checkpoint: ended ? .shardEnd : .trimHorizon)
    lease.leaseOwner = owner
    lease.leaseCounter = counter
    return lease
}

private func taker(_ generation: JavaGeneration = .v27, failoverTime: Duration = .seconds(10)) -> JavaLeaseTaker {
    JavaLeaseTaker(workerID: "me", failoverTime: failoverTime, generation: generation)
}

private func at(_ seconds: Double) -> Timestamp { .zero + .seconds(1000) + .milliseconds(Int64(seconds * 1000)) }

private func keys(_ leases: [JavaLease]) -> [String] { leases.map(\.leaseKey).sorted() }

@Test func javaTakesEveryLeaseThatNobodyEverOwnedWhateverItsTarget() throws {
    var (taker, generator) = (taker(), SeededGenerator(seed: 1))
    _ = taker.update([lease("a", nil, 0), lease("b", nil, 0), lease("c", nil, 0), lease("d", "other")], at: at(0))
    #expect(keys(try taker.leasesToTake(at: at(0), using: &generator)) == ["a", "b", "c"])
}

@Test func javaCountsEndedLeasesForShareAndTarget() throws {
    var (taker, generator) = (taker(), SeededGenerator(seed: 1))
    let rows = [lease("a", "me", ended: true), lease("b", "me", ended: true), lease("c", "other"), lease("d", "other")]
    _ = taker.update(rows, at: at(0))
    #expect(taker.leaseCounts() == ["me": 2, "other": 2])
    #expect(try taker.leasesToTake(at: at(0), using: &generator).isEmpty)
}

@Test func javaStealsOneLeaseOfTheMostLoadedAndNoneWhereItLacksOnlyOne() throws {
    var (taker, generator) = (taker(), SeededGenerator(seed: 1))
    _ = taker.update((0..<4).map { lease("\($0)", "other") }, at: at(0))
    let stolen = try taker.leasesToTake(at: at(0), using: &generator)
    #expect(stolen.count == 1 && stolen.allSatisfy(\.isMarkedForSteal))
    var second = JavaLeaseTaker(workerID: "me", failoverTime: .seconds(10), generation: .v27)
    _ = second.update([lease("a", "other"), lease("b", "other"), lease("c", "me")], at: at(0))
    #expect(try second.leasesToTake(at: at(0), using: &generator).isEmpty)
}

@Test func aLeaseIsExpiredWhenItsCounterStoodStillForTheFailoverTime() throws {
    var (taker, generator) = (taker(), SeededGenerator(seed: 1))
    _ = taker.update([lease("a", "other", 5)], at: at(0))
    #expect(try taker.leasesToTake(at: at(0), using: &generator).isEmpty)
    _ = taker.update([lease("a", "other", 5)], at: at(9))
    #expect(try taker.leasesToTake(at: at(9), using: &generator).isEmpty)
    _ = taker.update([lease("a", "other", 5)], at: at(20.05))
    #expect(keys(try taker.leasesToTake(at: at(20.05), using: &generator)) == ["a"])
}

@Test func aReleasedLeaseIsAvailableAtOnceFrom26On() throws {
    for (generation, expected) in [(JavaGeneration.v27, ["a"]), (.v25, [])] {
        var (taker, generator) = (taker(generation), SeededGenerator(seed: 1))
        _ = taker.update([lease("a", "other", 5), lease("b", "me")], at: at(0))
        _ = taker.update([lease("a", nil, 6), lease("b", "me", 6)], at: at(20.05))
        #expect(keys(try taker.leasesToTake(at: at(20.05), using: &generator)) == expected)
    }
}

/// 2.5.8 fails with a NullPointerException where more freshly released leases are nobody's than any worker holds.
@Test func java25FailsWhereNobodyIsTheMostLoadedWorker() {
    let before = (0..<4).map { lease("r\($0)", "gone", 5) } + [lease("b", "me"), lease("c", "other")]
    let after = (0..<4).map { lease("r\($0)", nil, 6) } + [lease("b", "me", 6), lease("c", "other", 6)]
    var (taker, generator) = (taker(.v25), SeededGenerator(seed: 1))
    _ = taker.update(before, at: at(0))
    _ = taker.update(after, at: at(20.05))
    #expect(throws: JavaFailure.self) { try taker.leasesToTake(at: at(20.05), using: &generator) }
}

@Test func aCounterThatGoesBackIsNoticed() {
    var taker = taker()
    #expect(taker.update([lease("a", "other", 5)], at: at(0)).isEmpty)
    #expect(taker.update([lease("a", "other", 4)], at: at(20)) == ["a"])
}

@Test func javaReadsOurRowsAndFailsOnWhatLacksACounter() throws {
    let ours = Lease(
        leaseKey: "shardId-000000000004", leaseOwner: "w", leaseCounter: 3, checkpoint: .trimHorizon,
        parentShardIDs: ["shardId-000000000001"], hashKeyRange: HashKeyRange(start: 8, end: 15))
    let item = LeaseTable.newItem(ours)
    let read = try JavaLease(item)
    #expect(read.leaseOwner == "w" && read.leaseCounter == 3 && read.parentShardIDs == ["shardId-000000000001"])
    #expect(read.hashKeyRange == ours.hashKeyRange)
    #expect(LeaseTable.row(read.item).lease == ours)
    for name in ["leaseCounter", "ownerSwitchesSinceCheckpoint", "checkpoint", "leaseKey"] {
        var broken = item
        broken[name] = nil
        #expect(throws: JavaLease.Unreadable.self) { try JavaLease(broken) }
    }
    for (name, value) in [
        ("checkpoint", AttributeValue.s("somewhere")), ("leaseCounter", .s("3")), ("parentShardId", .l([])),
        ("startingHashKey", .s("-")), ("pendingCheckpointState", .n(1)), ("leaseOwner", .n(1)),
    ] {
        var broken = item
        broken[name] = value
        #expect(throws: JavaLease.Unreadable.self, "\(name)") { try JavaLease(broken) }
    }
}

/// The canonical example of KCL's own comments: leases of 4, 5 and 7, shard 6 is open without one.
@Test func aJavaSyncCreatesTheLeasesOfTheCanonicalExample() {
    func shard(_ id: String, _ parents: [String], isOpen: Bool) -> Shard {
        Shard(
            shardID: id, parentShardID: parents.first, adjacentParentShardID: parents.dropFirst().first,
            hashKeyRange: .whole, startingSequenceNumber: "1", endingSequenceNumber: isOpen ? nil : "2")
    }
    let shards = [
        shard("0", [], isOpen: false), shard("1", [], isOpen: false), shard("2", [], isOpen: false),
        shard("3", [], isOpen: false), shard("4", [], isOpen: true), shard("5", [], isOpen: false),
        shard("6", ["0", "1"], isOpen: false), shard("7", ["2", "3"], isOpen: false),
        shard("8", ["6", "7"], isOpen: true), shard("9", ["5"], isOpen: true), shard("10", ["5"], isOpen: true),
    ]
    func created(_ position: InitialPosition) -> [String] {
        JavaShardSync(shards, at: position).leases(beside: ["4", "5", "7"]).map(\.leaseKey)
    }
    #expect(created(.latest) == ["6"])
    #expect(created(.trimHorizon) == ["0", "1"])
}

@Test func aPreparedCheckpointIsWrittenAndCommitted() throws {
    var checkpointer = JavaCheckpointer()
    let ten = Checkpoint(.sequenceNumber(SequenceNumber("10") ?? .zero))
    checkpointer.last = .trimHorizon
    checkpointer.largestPermitted = ten
    #expect(try checkpointer.write(for: .prepare(nil, nil)).write == .prepare(ten, nil))
    #expect(try checkpointer.write(for: .commit(nil)).write == .checkpoint(ten))
    checkpointer.last = ten
    #expect(try checkpointer.write(for: .commit(nil)).write == .nothing)
    #expect(throws: (any Error).self) { try checkpointer.write(for: .commit(.trimHorizon)) }
    checkpointer.atShardEnd = ten
    checkpointer.last = .trimHorizon
    checkpointer.largestPermitted = .shardEnd
    #expect(try checkpointer.write(for: .commit(ten)).write == .checkpoint(.shardEnd))
}
