import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct DoctorTests {
    private func delivered(
        _ watch: Watch, _ shard: String = id(0), records: Int = 1, bytes: Int = 100, lag: Int64
    ) -> FleetMachine.Event {
        .happened(
            WorkerEvent(
                .recordsProcessed, at: Watch.noon, workerID: "w1", shardID: shard, records: records, bytes: bytes,
                millisBehindLatest: lag))
    }

    @Test func `a lease that stays free is UNOWNED, first a warning, then critical`() throws {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0, owner: nil), lease(1, owner: nil)])
        watch.wait(.seconds(20))
        watch.scan([lease(0, owner: nil), lease(1, owner: nil)])
        #expect(watch.problem(.unowned) == nil)
        watch.wait(.seconds(10))
        watch.scan([lease(0, owner: nil), lease(1, owner: nil)])
        let warning = try #require(watch.problem(.unowned))
        #expect(warning.severity == .warning)
        #expect(warning.message == "2 shards unowned for 30s: no worker takes them")
        #expect(warning.shardIDs == [id(0), id(1)])
        #expect(warning.since == Watch.noon)
        #expect(warning.action == nil)
        watch.wait(.seconds(40))
        watch.send(.ownWorkersChanged([OwnWorker("w1")]))
        let critical = try #require(watch.problem(.unowned))
        #expect(critical.severity == .critical)
        #expect(critical.since == Watch.noon)
        #expect(critical.action == .steal)
        #expect(watch.snapshot.verdict.word == "CRITICAL")
        #expect(watch.view(id(0))?.severity == .critical)
    }

    @Test func `a dead worker is one finding with all its leases`() throws {
        var watch = Watch(.test(stream: nil))
        for counter in Int64(1)...4 {
            watch.scan([lease(0, owner: "dead"), lease(1, owner: "dead"), lease(2, counter: counter)])
            if counter < 4 { watch.wait(.seconds(5)) }
        }
        let problem = try #require(watch.problem(.expired))
        #expect(problem.id == "EXPIRED:dead")
        #expect(problem.workerID == "dead")
        #expect(problem.shardIDs == [id(0), id(1)])
        #expect(problem.message == "dead is gone: no renewal for 15s, its 2 leases wait for a taker")
        #expect(problem.action == .evict)
        #expect(watch.snapshot.totals.unowned == 2)
    }

    @Test func `a missing lease is said when it stays missing`() throws {
        var watch = Watch()
        watch.scan([lease(0, of: 2, checkpoint: checkpoint(age: .seconds(9)))])
        watch.list([shard(0, of: 2), shard(1, of: 2)])
        watch.settle()
        #expect(watch.problem(.missing) == nil)
        watch.wait(.seconds(10))
        watch.scan([lease(0, of: 2, counter: 2, checkpoint: checkpoint(age: .seconds(9)))])
        let problem = try #require(watch.problem(.missing))
        #expect(problem.severity == .critical)
        #expect(problem.shardIDs == [id(1)])
    }

    @Test func `a child that waits for a parent nobody reads is a finding with the parent`() throws {
        var watch = Watch(.test(stream: nil))
        let leases = [lease(0, owner: nil), lease(4, of: 5, owner: nil, parents: [id(0)])]
        watch.scan(leases)
        watch.wait(.seconds(10))
        watch.scan(leases)
        let problem = try #require(watch.problem(.blocked))
        #expect(problem.shardIDs == [id(4)])
        #expect(problem.message == "…0004 cannot start: …0000, the parent, is read by nobody")
    }

    @Test func `a shard that is read and never checkpoints while its lag grows is STUCK`() throws {
        var watch = Watch()
        watch.list([shard(0, of: 1)])
        for second in 0..<70 {
            watch.scan([lease(0, of: 1, counter: Int64(second), checkpoint: checkpoint(age: .seconds(100)))])
            watch.send(delivered(watch, lag: Int64(second) * 500))
            watch.wait(.seconds(1))
        }
        let problem = try #require(watch.problem(.stuck))
        #expect(problem.shardIDs == [id(0)])
        #expect(problem.action == .evict)
        watch.scan([lease(0, of: 1, counter: 99, checkpoint: checkpoint(age: .seconds(1)))])
        #expect(watch.problem(.stuck) == nil)
    }

    @Test func `an idle shard that does not checkpoint is not STUCK`() {
        var watch = Watch()
        watch.list([shard(0, of: 1)])
        for second in 0..<200 {
            watch.scan([lease(0, of: 1, counter: Int64(second), checkpoint: checkpoint(age: .seconds(100)))])
            watch.wait(.seconds(1))
        }
        #expect(watch.snapshot.problems == [])
    }

    @Test func `a shard near its write limit is HOT, one that catches up is not`() throws {
        var hot = Watch()
        var catchingUp = Watch()
        hot.list([shard(0, of: 1)])
        catchingUp.list([shard(0, of: 1)])
        for second in 0..<20 {
            hot.scan([lease(0, of: 1, counter: Int64(second))])
            catchingUp.scan([lease(0, of: 1, counter: Int64(second))])
            hot.send(delivered(hot, records: 950, bytes: 900_000, lag: 500))
            catchingUp.send(delivered(catchingUp, records: 950, bytes: 900_000, lag: 60_000 - Int64(second) * 1000))
            hot.wait(.seconds(1))
            catchingUp.wait(.seconds(1))
            hot.send(.woke)
            catchingUp.send(.woke)
        }
        let problem = try #require(hot.problem(.hot))
        #expect(problem.action == .split)
        #expect(problem.message == "…0000 takes 95 % of what a shard may: split it")
        #expect(catchingUp.problem(.hot) == nil)
    }

    @Test func `data at risk is critical by an exact lag, a remark by an estimate`() throws {
        var watch = Watch()
        watch.list([shard(0, of: 1)])
        watch.send(.streamDescribed(.test(hours: 1), watch.info()))
        watch.scan([lease(0, of: 1, checkpoint: checkpoint(age: .seconds(2400)))])
        let estimate = try #require(watch.problem(.dataLossRisk))
        #expect(estimate.severity == .info)
        #expect(watch.view(id(0))?.checkpointLag == Lag(2_400_000, .estimate))
        #expect(watch.view(id(0))?.secondsToTrim == 1200)
        guard let number = watch.view(id(0))?.checkpoint?.sequenceNumber else { return }
        watch.send(
            .happened(
                WorkerEvent(
                    .recordsProcessed, at: Watch.noon, workerID: "w1", shardID: id(0), records: 1, to: number,
                    millisBehindLatest: 2_400_000)))
        #expect(watch.view(id(0))?.checkpointLag == Lag(2_400_000, .exact))
        #expect(watch.problem(.dataLossRisk)?.severity == .critical)
    }

    @Test func `a handover that does not end is HANDOFF_STUCK`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        for counter in Int64(2)...14 {
            watch.scan([item(lease(0, owner: "w2", counter: counter, checkpointOwner: "w1"))])
            watch.wait(.seconds(4))
        }
        #expect(watch.problem(.handoffStuck)?.shardIDs == [id(0)])
    }

    @Test func `a shard that our engine stopped is critical until somebody runs it again`() {
        var watch = Watch()
        watch.scan([lease(0, of: 1)])
        var stopped = WorkerEvent(.processorFailed, at: Watch.noon, shardID: id(0), message: "the child ended")
        watch.send(.happened(stopped))
        #expect(watch.problem(.stuck) == nil)
        stopped.isStopped = true
        watch.send(.happened(stopped))
        #expect(watch.problem(.stuck)?.severity == .critical)
        #expect(watch.problem(.stuck)?.shardIDs == [id(0)])
        watch.send(.happened(WorkerEvent(.leaseLost, at: Watch.noon, shardID: id(0))))
        #expect(watch.problem(.stuck) == nil)
    }

    @Test func `throttling of a shard is said while it lasts`() {
        var watch = Watch()
        watch.scan([lease(0, of: 1)])
        watch.list([shard(0, of: 1)])
        for _ in 0..<50 { watch.send(.happened(WorkerEvent(.throttled, at: Watch.noon, shardID: id(0)))) }
        #expect(watch.problem(.throttled)?.shardIDs == [id(0)])
        #expect(watch.snapshot.events.count == 1)
        watch.wait(.seconds(31))
        watch.send(.woke)
        #expect(watch.problem(.throttled) == nil)
    }

    @Test func `a healthy fleet has no finding and says so`() {
        var watch = Watch()
        watch.noMigration()
        watch.list((0..<4).map { shard($0) })
        watch.send(.streamDescribed(.test(), watch.info()))
        for minute in 0..<120 {
            watch.scan(
                (0..<4).map {
                    lease(
                        $0, owner: "w\($0 % 2)", counter: Int64(minute),
                        checkpoint: checkpoint(age: .seconds(3), of: $0))
                })
            #expect(watch.snapshot.problems == [])
            watch.wait(.seconds(5))
        }
        let verdict = watch.snapshot.verdict
        #expect(verdict.word == "OK")
        #expect(verdict.headline == "2 workers read every shard")
        #expect(verdict.facts.last == "4 open")
        #expect(watch.snapshot.workers.map(\.state) == [.live, .live])
    }

    @Test func `a worker of ours that holds nothing, is paused or stopped is shown as such`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        watch.send(
            .ownWorkersChanged([
                OwnWorker("idle"), OwnWorker("paused", isPaused: true), OwnWorker("stopped", isStopped: true),
            ]))
        let workers = watch.snapshot.workers
        #expect(workers.map(\.workerID) == ["idle", "paused", "stopped", "w1"])
        #expect(workers.map(\.state) == [.idle, .paused, .stopped, .learning])
        #expect(workers.map(\.isOurs) == [true, true, true, false])
    }
}
