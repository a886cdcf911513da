import AWSWire
import Leases
import Machine
import Testing

@testable import KinesisConsumer

private func call(_ call: ShardMachine.Call, _ tenure: Int = 1, _ key: String = "s1", fence: Timestamp = at(9000))
    -> WorkerMachine.Effect
{
    .shard(tenure: tenure, leaseKey: key, .call(call, fence: fence))
}

private func renewal(_ key: String, _ tenure: Int, counter: Int64) -> WorkerMachine.Effect {
    .write(
        key: key, tenure: tenure, LeaseTable.renew(table: "app", leaseRow(key, owner: "me", counter: counter)))
}

private func release(_ key: String, _ tenure: Int, counter: Int64) -> WorkerMachine.Effect {
    .write(
        key: key, tenure: tenure, LeaseTable.release(table: "app", leaseRow(key, owner: "me", counter: counter)))
}

private func taken(_ kind: WorkerEvent.Kind, _ key: String, from: String?, counter: Int64) -> WorkerMachine.Effect {
    .emit(
        WorkerEvent(
            kind, at: .zero, shardID: key, previousOwner: from, owner: "me", checkpoint: .trimHorizon,
            leaseCounter: counter))
}

private func released(_ key: String) -> WorkerMachine.Effect {
    .emit(
        WorkerEvent(.leaseReleased, at: .zero, shardID: key, previousOwner: "me", checkpoint: .trimHorizon))
}

private let started = WorkerMachine.Effect.emit(WorkerEvent(.workerStarted, at: .zero))

@Suite struct WorkerMachineTests {
    @Test func `a worker takes a lease, runs its shard, and renews before it reads on`() {
        var rig = WorkerRig()
        #expect(
            rig.start(listedShards("s1"), [leaseRow()]) == [started, takeEffect(leaseRow()), .wake(at(900))])
        #expect(
            rig.send(.taken(key: "s1", .stored(leaseRow(owner: "me", counter: 1)), sentAt: .zero), at: 50) == [
                taken(.leaseTaken, "s1", from: nil, counter: 1), call(.initialize(.trimHorizon, nil)),
            ])
        #expect(
            rig.send(.shard(tenure: 1, .returned(.initialize(.trimHorizon, nil), failure: nil)), at: 60) == [
                .emit(event(.initialized, checkpoint: .trimHorizon)),
                .shard(tenure: 1, leaseKey: "s1", .getIterator(.trimHorizon)),
            ])
        #expect(
            rig.send(.shard(tenure: 1, .iteratorGot("i1", latestAt: nil)), at: 70) == [
                .shard(tenure: 1, leaseKey: "s1", .fetch(iterator: "i1", dropThrough: nil, range: nil))
            ])
        #expect(
            rig.wake(at: 900) == [.scan(WorkerMachine.Scan(segment: 0, segments: 1)), .wake(at(2975))])
        #expect(rig.wake(at: 2975).calm == [renewal("s1", 1, counter: 1)])
        #expect(rig.send(.written(key: "s1", tenure: 1, .stored(nil)), at: 2990).calm == [])
        #expect(
            rig.send(.shard(tenure: 1, .fetched(fetchedBatch(1, through: 5))), at: 3000).calm == [
                call(.processRecords(batch: 1), fence: at(2975 + 9000)),
                .shard(tenure: 1, leaseKey: "s1", .fetch(iterator: "next", dropThrough: seq(5), range: nil)),
            ])
    }

    @Test func `a worker that was paused renews before it delivers`() {
        var rig = WorkerRig.holding("s1")
        #expect(
            rig.send(.shard(tenure: 1, .fetched(fetchedBatch(1, through: 5))), at: 7000).calm.filter {
                if case .scan = $0 { false } else { true }
            } == [
                renewal("s1", 1, counter: 5),
                .shard(tenure: 1, leaseKey: "s1", .fetch(iterator: "next", dropThrough: seq(5), range: nil)),
            ])
        #expect(
            rig.send(.written(key: "s1", tenure: 1, .stored(nil)), at: 7100).calm
                == [call(.processRecords(batch: 1), fence: at(16_000))])
    }

    @Test func `a worker that was paused past its lease delivers nothing and says so`() {
        var rig = WorkerRig.holding("s1")
        let effects = rig.send(.shard(tenure: 1, .fetched(fetchedBatch(1, through: 5))), at: 9000).calm
        #expect(
            effects.filter { if case .scan = $0 { false } else { true } } == [
                .shard(tenure: 1, leaseKey: "s1", .discard([1])),
                .emit(event(.leaseLost, message: "not renewed for 9000 ms")), call(.leaseLost, fence: .never),
            ])
        #expect(
            rig.send(.shard(tenure: 1, .returned(.leaseLost, failure: nil)), at: 9100).calm == [.forget(tenure: 1)])
    }

    @Test func `a take that was answered after the fence is over before it began`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [leaseRow()])
        let effects = rig.send(
            .taken(key: "s1", .stored(leaseRow(owner: "me", counter: 1)), sentAt: .zero), at: 9000
        ).calm.filter { if case .scan = $0 { false } else { true } }
        #expect(
            effects == [
                taken(.leaseTaken, "s1", from: nil, counter: 1),
                .emit(event(.leaseLost, message: "not renewed for 9000 ms")), .forget(tenure: 1),
            ])
    }

    @Test func `a tenure starts from the image that its take returned`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [leaseRow(owner: nil, counter: 7, checkpoint: seq(3))])
        let effects = rig.send(
            .taken(
                key: "s1", .stored(leaseRow(owner: "me", counter: 8, checkpoint: seq(9))), sentAt: .zero), at: 10
        ).calm
        #expect(effects.last == call(.initialize(seq(9), nil)))
        _ = rig.send(.shard(tenure: 1, .returned(.initialize(seq(9), nil), failure: nil)), at: 20)
        #expect(
            rig.send(.shard(tenure: 1, .retrievalFailed(.expiredIterator, "")), at: 30).calm
                == [.shard(tenure: 1, leaseKey: "s1", .getIterator(.atSequenceNumber("9")))])
    }

    @Test func `a stolen lease is a ZOMBIE, and nothing can be checkpointed any more`() {
        var rig = WorkerRig.holding("s1")
        _ = rig.wake(at: 2975)
        #expect(
            rig.send(
                .written(key: "s1", tenure: 1, .conditionFailed(leaseRow(owner: "you", counter: 6))), at: 3000
            ).calm == [
                .emit(event(.leaseLost, message: "taken by you")), call(.leaseLost, fence: .never),
            ])
        #expect(
            rig.send(.shard(tenure: 1, .checkpointRequested(7, .commit(nil))), at: 3100).calm
                == [.shard(tenure: 1, leaseKey: "s1", .answer(7, .failure(.shutdown)))])
        #expect(
            rig.send(.shard(tenure: 1, .returned(.leaseLost, failure: nil)), at: 3200).calm == [.forget(tenure: 1)])
        #expect(
            rig.send(.shard(tenure: 1, .checkpointRequested(8, .commit(nil))), at: 3300).calm
                == [.shard(tenure: 1, leaseKey: "", .answer(8, .failure(.shutdown)))])
        #expect(
            rig.send(.shard(tenure: 1, .fetched(fetchedBatch(1, through: 5))), at: 3400).calm
                == [.shard(tenure: 1, leaseKey: "", .discard([1]))])
    }

    @Test func `a row of ours in another's hands is read at once`() {
        var rig = WorkerRig.holding("s1", others: [leaseRow("s2", owner: "you", counter: 3)])
        let scan = rig.wake(at: 900).scans
        #expect(scan.count == 1)
        let effects = rig.send(
            .scanned(scan[0], [.lease(leaseRow("s1", owner: "you", counter: 6))], readUnits: 1), at: 1000)
        #expect(effects.calm == [.read(key: "s1")])
        #expect(
            rig.send(.read(key: "s1", .lease(leaseRow(owner: "you", counter: 6)), failed: false), at: 1100).calm
                == [.emit(event(.leaseLost, message: "taken by you")), call(.leaseLost, fence: .never)])
    }

    @Test func `a stale row of ours in another's hands is no doubt`() {
        var rig = WorkerRig.holding("s1", others: [leaseRow("s2", owner: "you", counter: 3)])
        let scan = rig.wake(at: 900).scans
        let effects = rig.send(
            .scanned(scan[0], [.lease(leaseRow("s1", owner: "you", counter: 3))], readUnits: 1), at: 1000)
        #expect(effects.calm == [])
    }

    // MARK: Reshards

    @Test func `who ends the parent may take a child at once, and children wait for the parent's SHARD_END`() {
        let shards = listedShards("s1", closed: ["s1"])
        var rig = WorkerRig.holding("s1", shards: shards)
        let children = [child("c1", of: "s1")]
        _ = rig.send(.shard(tenure: 1, .fetched(emptyBatch(1, next: nil, children: children))), at: 10)
        let effects = rig.send(.shard(tenure: 1, .childrenCreated), at: 20).calm
        let row = childLease(children[0])
        #expect(
            effects == [
                takeEffect(row),
                .write(
                    key: "s1", tenure: 1,
                    LeaseTable.setChildren(table: "app", leaseRow(owner: "me", counter: 5), ["c1"])),
            ])
        var mine = row
        mine.leaseOwner = "me"
        mine.leaseCounter = 1
        #expect(
            rig.send(.taken(key: "c1", .stored(mine), sentAt: at(20)), at: 30).calm == [
                taken(.leaseTaken, "c1", from: nil, counter: 1),
                .shard(tenure: 2, leaseKey: "c1", .checkParents(["s1"])),
            ])
        #expect(rig.send(.shard(tenure: 2, .parentsChecked(unfinished: ["s1"])), at: 40).calm == [])
        _ = rig.send(.written(key: "s1", tenure: 1, .stored(nil)), at: 50)
        _ = rig.send(.shard(tenure: 1, .checkpointRequested(7, .commit(nil))), at: 60)
        #expect(
            rig.send(.written(key: "s1", tenure: 1, .stored(nil)), at: 70).calm == [
                .shard(tenure: 1, leaseKey: "s1", .answer(7, .success(.shardEnd))),
                .emit(event(.checkpointed, checkpoint: .shardEnd)),
                .shard(tenure: 2, leaseKey: "c1", .checkParents(["s1"])),
            ])
    }

    @Test func `an ended shard's lease is renewed, and released at the shutdown`() {
        var rig = WorkerRig.holding("s1")
        #expect(
            rig.send(.shard(tenure: 1, .retrievalFailed(.notFound, "gone")), at: 10).calm == [call(.shardEnded)])
        _ = rig.send(.shard(tenure: 1, .checkpointRequested(7, .commit(nil))), at: 20)
        _ = rig.send(.written(key: "s1", tenure: 1, .stored(nil)), at: 30)
        #expect(
            rig.send(.shard(tenure: 1, .returned(.shardEnded, failure: nil)), at: 40).calm
                == [.emit(event(.shardEnded, checkpoint: .shardEnd))])
        #expect(rig.wake(at: 2975).calm.last == renewal("s1", 1, counter: 6))
        _ = rig.send(.written(key: "s1", tenure: 1, .stored(nil)), at: 3000)
        #expect(rig.send(.shutdownRequested, at: 3100).calm == [release("s1", 1, counter: 7)])
        #expect(
            rig.send(.written(key: "s1", tenure: 1, .stored(nil)), at: 3200) == [
                .emit(
                    WorkerEvent(
                        .leaseReleased, at: .zero, shardID: "s1", previousOwner: "me", checkpoint: .shardEnd)),
                .forget(tenure: 1),
            ])
        #expect(rig.machine.isFinished)
    }

    // MARK: LATEST

    @Test func `a LATEST lease that comes back starts where it first did`() {
        let latest = leaseRow(owner: "me", counter: 4, checkpoint: .latest)
        func begin(_ rig: inout WorkerRig, _ token: Int, _ counter: Int64, at now: Int64) -> [WorkerMachine.Effect] {
            var row = latest
            row.leaseCounter = counter
            _ = rig.send(.taken(key: "s1", .stored(row), sentAt: at(now)), at: now)
            return rig.send(.shard(tenure: token, .returned(.initialize(.latest, nil), failure: nil)), at: now).calm
        }
        func lose(_ rig: inout WorkerRig, _ token: Int, _ counter: Int64, at now: Int64) {
            _ = rig.wake(at: now)
            _ = rig.send(
                .written(
                    key: "s1", tenure: token,
                    .conditionFailed(leaseRow(owner: nil, counter: counter, checkpoint: .latest))), at: now)
            _ = rig.send(.shard(tenure: token, .returned(.leaseLost, failure: nil)), at: now)
        }
        let moment = UnixTime(milliseconds: 7000)
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [latest])
        #expect(
            begin(&rig, 1, 5, at: 0).last == .shard(tenure: 1, leaseKey: "s1", .getIterator(.latest)))
        _ = rig.send(.shard(tenure: 1, .iteratorGot("i1", latestAt: moment)), at: 0)
        lose(&rig, 1, 7, at: 2975)
        #expect(
            begin(&rig, 2, 8, at: 4000).last == .shard(tenure: 2, leaseKey: "s1", .getIterator(.atTimestamp(moment))))
        _ = rig.send(.shard(tenure: 2, .iteratorGot("i2", latestAt: nil)), at: 4000)
        _ = rig.send(.shard(tenure: 2, .fetched(fetchedBatch(1, through: 5))), at: 4000)
        _ = rig.send(.shard(tenure: 2, .returned(.processRecords(batch: 1), failure: "boom")), at: 4000)
        lose(&rig, 2, 10, at: 7000)
        #expect(
            begin(&rig, 3, 11, at: 8000).last
                == .shard(tenure: 3, leaseKey: "s1", .getIterator(.atSequenceNumber("5"))))
    }

    @Test func `AT_TIMESTAMP that another worker meant is read from the start`() {
        let row = leaseRow(owner: "me", counter: 4, checkpoint: .atTimestamp)
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [row])
        _ = rig.send(.taken(key: "s1", .stored(row), sentAt: .zero), at: 0)
        let effects = rig.send(
            .shard(tenure: 1, .returned(.initialize(.atTimestamp, nil), failure: nil)), at: 0)
        #expect(effects.calm.last == .shard(tenure: 1, leaseKey: "s1", .getIterator(.trimHorizon)))
    }

    // MARK: Shutting down

    @Test func `a shutdown ends with released leases, and renews until then`() {
        var rig = WorkerRig.holding("s1", "s2")
        #expect(
            rig.send(.shutdownRequested, at: 1000).calm == [
                .emit(event(.shutdownRequested, "s1")), call(.shutdownRequested),
                .emit(event(.shutdownRequested, "s2")), call(.shutdownRequested, 2, "s2"),
            ])
        #expect(rig.send(.shutdownRequested, at: 1001).calm == [])
        #expect(
            rig.send(.shard(tenure: 1, .returned(.shutdownRequested, failure: nil)), at: 1100).calm
                == [call(.leaseLost, fence: .never)])
        #expect(
            rig.send(.shard(tenure: 1, .returned(.leaseLost, failure: nil)), at: 1200).calm
                == [release("s1", 1, counter: 5)])
        #expect(
            rig.send(.written(key: "s1", tenure: 1, .stored(nil)), at: 1300).calm
                == [released("s1"), .forget(tenure: 1)])
        #expect(rig.wake(at: 2975).calm == [renewal("s2", 2, counter: 5)])
        #expect(rig.send(.shard(tenure: 2, .returned(.shutdownRequested, failure: nil)), at: 3000).calm.count == 1)
        #expect(rig.send(.shard(tenure: 2, .returned(.leaseLost, failure: nil)), at: 3010).calm == [])
        #expect(
            rig.send(.written(key: "s2", tenure: 2, .stored(nil)), at: 3020).calm
                == [release("s2", 2, counter: 6)])
        #expect(!rig.machine.isFinished)
        #expect(
            rig.send(.written(key: "s2", tenure: 2, .stored(nil)), at: 3030) == [released("s2"), .forget(tenure: 2)])
        #expect(rig.machine.isFinished)
    }

    @Test func `a worker with a name of its own keeps its leases when it stops`() {
        var rig = WorkerRig.holding("s1", configuration: .sample.with { $0.releaseLeasesOnShutdown = false })
        _ = rig.send(.shutdownRequested, at: 1000)
        _ = rig.send(.shard(tenure: 1, .returned(.shutdownRequested, failure: nil)), at: 1100)
        #expect(
            rig.send(.shard(tenure: 1, .returned(.leaseLost, failure: nil)), at: 1200) == [.forget(tenure: 1)])
        #expect(rig.machine.isFinished)
    }

    @Test func `a processor that outlasts its grace does not hold the worker, and its lease is not released`() {
        var rig = WorkerRig.holding("s1", configuration: .sample.with { $0.shutdownGrace = .seconds(2) })
        _ = rig.send(.shutdownRequested, at: 500)
        #expect(rig.wake(at: 900).wakes == [at(2500)])
        #expect(
            rig.wake(at: 2500) == [
                .emit(event(.leaseLost, message: "shutdown grace of 2000 ms is over")), .wake(at(4500)),
            ])
        #expect(!rig.machine.isFinished)
        #expect(rig.wake(at: 4500) == [.forget(tenure: 1)])
        #expect(rig.machine.isFinished)
    }

    @Test func `a processor whose last checkpoint hangs hears that its lease is lost when the grace is over`() {
        var rig = WorkerRig.holding("s1", configuration: .sample.with { $0.shutdownGrace = .seconds(2) })
        _ = rig.send(.shard(tenure: 1, .fetched(fetchedBatch(1, through: 7))), at: 100)
        _ = rig.send(.shard(tenure: 1, .returned(.processRecords(batch: 1), failure: nil)), at: 110)
        _ = rig.send(.shutdownRequested, at: 500)
        _ = rig.send(.shard(tenure: 1, .checkpointRequested(1, .commit(nil))), at: 510)
        _ = rig.send(.written(key: "s1", tenure: 1, .lost("timeout")), at: 2450)
        #expect(
            rig.wake(at: 2500).calm == [
                .emit(event(.leaseLost, message: "shutdown grace of 2000 ms is over")),
                .shard(tenure: 1, leaseKey: "s1", .answer(1, .failure(.shutdown))),
            ])
        #expect(
            rig.send(.shard(tenure: 1, .returned(.shutdownRequested, failure: "refused")), at: 2510).calm == [
                .emit(event(.processorFailed, message: "shutdownRequested: refused")), call(.leaseLost, fence: .never),
            ])
        #expect(rig.send(.shard(tenure: 1, .returned(.leaseLost, failure: nil)), at: 2520) == [.forget(tenure: 1)])
        #expect(rig.machine.isFinished)
    }

    @Test func `a processor that hangs when its lease is lost does not hold a worker that stops`() {
        var rig = WorkerRig.holding("s1", configuration: .sample.with { $0.shutdownGrace = .seconds(2) })
        _ = rig.send(.shard(tenure: 1, .fetched(fetchedBatch(1, through: 7))), at: 100)
        _ = rig.wake(at: 2975)
        let thief = leaseRow("s1", owner: "thief", counter: 6)
        let lost = rig.send(.written(key: "s1", tenure: 1, .conditionFailed(thief)), at: 3000)
        #expect(lost.contains(.emit(event(.leaseLost, message: "taken by thief"))))
        _ = rig.send(.shutdownRequested, at: 4000)
        _ = rig.wake(at: 6000)
        #expect(!rig.machine.isFinished)
        _ = rig.wake(at: 8000)
        #expect(rig.machine.isFinished)
    }

    @Test func `a lease that is taken while the worker stops is released again`() {
        var rig = WorkerRig()
        _ = rig.start(listedShards("s1"), [leaseRow()])
        #expect(rig.send(.shutdownRequested, at: 10).calm == [])
        #expect(!rig.machine.isFinished)
        #expect(
            rig.send(.taken(key: "s1", .stored(leaseRow(owner: "me", counter: 1)), sentAt: .zero), at: 20).calm == [
                taken(.leaseTaken, "s1", from: nil, counter: 1), release("s1", 1, counter: 1),
            ])
        #expect(
            rig.send(.written(key: "s1", tenure: 1, .stored(nil)), at: 30) == [released("s1"), .forget(tenure: 1)])
        #expect(rig.machine.isFinished)
    }

    @Test func `a shutdown before the start ends at once`() {
        var rig = WorkerRig()
        #expect(rig.send(.shutdownRequested, at: 0) == [])
        #expect(rig.machine.isFinished)
    }

    @Test func `an operator's release is graceful, and the lease is not taken back for a while`() {
        var rig = WorkerRig.holding("s1")
        #expect(
            rig.send(.releaseRequested(shardID: "s1"), at: 100).calm == [
                .emit(event(.shutdownRequested)), call(.shutdownRequested),
            ])
        #expect(rig.send(.releaseRequested(shardID: "s9"), at: 100).calm == [])
        _ = rig.send(.shard(tenure: 1, .returned(.shutdownRequested, failure: nil)), at: 110)
        _ = rig.send(.shard(tenure: 1, .returned(.leaseLost, failure: nil)), at: 120)
        _ = rig.send(.written(key: "s1", tenure: 1, .stored(nil)), at: 130)
        let free = leaseRow(owner: nil, counter: 6)
        let scan = rig.wake(at: 900).scans
        #expect(rig.send(.scanned(scan[0], [.lease(free)], readUnits: 1), at: 1000).takes == [])
        let later = rig.wake(at: 9200).scans
        #expect(rig.send(.scanned(later[0], [.lease(free)], readUnits: 1), at: 9300).takes == ["s1"])
    }

    // MARK: The mode

    @Test(arguments: [FleetMode.leaderAssigned(clientVersion: "CLIENT_VERSION_3X"), .upgrading])
    func `a fleet that changes its mode makes the worker stop`(mode: FleetMode) {
        var rig = WorkerRig.holding("s1")
        #expect(rig.wake(at: 60_000).contains(.checkMode))
        let effects = rig.send(.modeChecked(mode), at: 60_100).calm
        #expect(
            effects.first == .emit(WorkerEvent(.modeChanged, at: .zero, message: "\(mode)")))
        #expect(rig.machine.isShuttingDown)
        #expect(rig.machine.refusal != nil)
    }

    @Test func `a mode that stays, or cannot be read, changes nothing`() {
        var rig = WorkerRig.holding("s1")
        #expect(rig.send(.modeChecked(.takers(clientVersion: nil)), at: 100).calm == [])
        #expect(rig.send(.modeCheckFailed, at: 100).calm == [])
        #expect(!rig.machine.isShuttingDown)
    }
}
