import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct FleetEventTests {
    private func kinds(_ watch: Watch) -> [WorkerEvent.Kind] { watch.snapshot.events.map(\.event.kind) }

    @Test func `what changed between two reads is an event, with the reads between which it happened`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0), lease(1), lease(2, owner: nil), lease(3)])
        #expect(watch.snapshot.events == [])
        watch.wait(.seconds(5))
        watch.scan(
            [
                lease(0, owner: "w2", counter: 2), lease(1, owner: nil, counter: 2), lease(2, counter: 1),
                lease(4, of: 5, owner: nil, parents: [id(0)]),
            ].map { item($0) })
        let events = watch.snapshot.events.map(\.event)
        #expect(
            events.map { "\($0.kind) \($0.shardID ?? "") \($0.previousOwner ?? "-") \($0.owner ?? "-")" } == [
                "ownerChanged \(id(0)) w1 w2", "leaseReleased \(id(1)) w1 -", "leaseTaken \(id(2)) - w1",
                "childLeaseCreated \(id(4)) - -", "leaseDeleted \(id(3)) - w1",
            ])
        #expect(events.allSatisfy { $0.source == .table })
        #expect(events.first?.observedBetween == Watch.noon...(Watch.noon + .seconds(5)))
        #expect(events.first?.message == "ZOMBIE inferred: w1 finds out when it renews")
        #expect(watch.snapshot.events.map(\.seq) == [1, 2, 3, 4, 5])
    }

    @Test func `a handoff is one event at its start and one at its end`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        watch.scan([item(lease(0, owner: "w2", checkpointOwner: "w1"))])
        watch.wait(.seconds(8))
        #expect(watch.view(id(0))?.why == "handed over from w1 to w2, for 8.0s")
        watch.scan([item(lease(0, owner: "w2", counter: 2))])
        #expect(kinds(watch) == [.handoffStarted, .handoffCompleted])
        #expect(watch.snapshot.events.map(\.event.previousOwner) == ["w1", "w1"])
    }

    @Test func `the end of a shard is TERMINATE`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        watch.scan([lease(0, counter: 2, checkpoint: .shardEnd)])
        #expect(watch.snapshot.events.map(\.event.reason) == ["TERMINATE"])
    }

    @Test func `our engine's word and the table's are one event, whichever comes first`() {
        for engineFirst in [true, false] {
            var watch = Watch(.test(stream: nil))
            watch.send(.ownWorkersChanged([OwnWorker("w1"), OwnWorker("w2")]))
            watch.scan([lease(0)])
            let stolen = WorkerEvent(
                .leaseStolen, at: Watch.noon, workerID: "w2", shardID: id(0), previousOwner: "w1", owner: "w2")
            if engineFirst { watch.send(.happened(stolen)) }
            watch.wait(.milliseconds(300))
            watch.scan([lease(0, owner: "w2", counter: 2)])
            if !engineFirst { watch.send(.happened(stolen)) }
            watch.wait(.seconds(10))
            watch.send(.woke)
            #expect(kinds(watch) == [.leaseStolen], "engine first: \(engineFirst)")
        }
    }

    @Test func `what our engine never says is logged after a short wait`() {
        var watch = Watch(.test(stream: nil))
        watch.send(.ownWorkersChanged([OwnWorker("w1")]))
        watch.scan([lease(0)])
        watch.scan([lease(0, owner: "stranger", counter: 2)])
        #expect(kinds(watch) == [])
        watch.wait(.seconds(2))
        watch.send(.woke)
        #expect(kinds(watch) == [.ownerChanged])
    }

    @Test func `a later change back is an event of its own`() {
        var watch = Watch(.test(stream: nil))
        watch.send(.ownWorkersChanged([OwnWorker("w2")]))
        watch.scan([lease(0)])
        watch.send(
            .happened(WorkerEvent(.leaseTaken, at: Watch.noon, workerID: "w2", shardID: id(0), owner: "w2")))
        watch.scan([lease(0, owner: "w2", counter: 2)])
        watch.scan([lease(0, owner: "w1", counter: 3)])
        watch.wait(.seconds(3))
        watch.send(.woke)
        #expect(kinds(watch) == [.leaseTaken, .ownerChanged])
    }

    @Test func `records and checkpoints move figures, not the log`() throws {
        var watch = Watch()
        watch.send(.ownWorkersChanged([OwnWorker("w1")]))
        watch.scan([lease(0, of: 1)])
        watch.list([shard(0, of: 1)])
        for _ in 0..<10 {
            watch.wait(.seconds(1))
            watch.send(
                .happened(
                    WorkerEvent(
                        .recordsProcessed, at: Watch.noon, workerID: "w1", shardID: id(0), records: 100, bytes: 51_200,
                        millisBehindLatest: 850)))
        }
        let view = try #require(watch.view(id(0)))
        #expect(watch.snapshot.events == [])
        #expect(view.deliveredLag == Lag(850, .exact))
        #expect(abs((view.recordsPerSecond ?? 0) - 100) < 15)
        #expect(abs((view.kilobytesPerSecond ?? 0) - 50) < 8)
        #expect(view.history.samples.count >= 4)
        #expect(view.isOurs)
    }

    @Test func `the log is bounded`() {
        var watch = Watch(.test(stream: nil))
        for number in 0..<2000 {
            watch.send(.happened(WorkerEvent(.leaseTaken, at: Watch.noon, shardID: "s\(number)", owner: "w")))
        }
        let events = watch.snapshot.events
        #expect(events.count == 500)
        #expect(events.last?.seq == 2000)
    }

    @Test func `an old report of lag becomes an upper bound and then unknown`() {
        var watch = Watch()
        watch.scan([lease(0, of: 1)])
        watch.send(
            .happened(
                WorkerEvent(
                    .recordsProcessed, at: Watch.noon, workerID: "w1", shardID: id(0), records: 1,
                    millisBehindLatest: 2000)))
        #expect(watch.view(id(0))?.deliveredLag == Lag(2000, .exact))
        watch.wait(.seconds(10))
        #expect(watch.view(id(0))?.deliveredLag == Lag(12_000, .estimate))
        watch.wait(.seconds(60))
        #expect(watch.view(id(0))?.deliveredLag == nil)
    }
}
