import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct LossTests {
    @Test func `a checkpoint of an earlier stream of the name is STREAM_RECREATED, never a loss of data`() throws {
        let old = checkpoint(age: .seconds(20 * 86_400))
        let reborn = Watch.noon + .seconds(-86_400 * 10)
        var watch = Watch()
        watch.send(.streamDescribed(.test(), watch.info()))
        watch.scan([lease(0, of: 2, checkpoint: old), lease(1, of: 2)])
        watch.list((0..<2).map { shard($0, of: 2, created: reborn) })
        let problem = try #require(watch.problem(.streamRecreated))
        #expect(problem.severity == .warning)
        #expect(problem.shardIDs == [id(0)])
        #expect(problem.message.contains("or is the wrong one"))
        #expect(watch.problem(.dataLost) == nil)
        // Another lease proves that the stream is the right one.
        watch.scan([
            lease(0, of: 2, checkpoint: old),
            lease(1, of: 2, counter: 2, checkpoint: checkpoint(age: .zero, of: 1, created: reborn)),
        ])
        #expect(watch.problem(.streamRecreated)?.severity == .critical)
        watch.scan([
            lease(0, of: 2, counter: 2),
            lease(1, of: 2, counter: 3, checkpoint: checkpoint(age: .zero, of: 1, created: reborn)),
        ])
        #expect(watch.problem(.streamRecreated) == nil)
    }

    @Test func `how long what waits is kept is said once it waited for a minute`() {
        for (age, says) in [(30, false), (90, true)] {
            var watch = Watch()
            watch.list([shard(0, of: 1)])
            watch.send(.streamDescribed(.test(hours: 1), watch.info()))
            watch.scan([lease(0, of: 1, checkpoint: checkpoint(age: .seconds(age)))])
            #expect(watch.snapshot.verdict.facts.contains("oldest unread expires in 58m30s") == says)
            #expect(watch.snapshot.verdict.facts.contains { $0.hasPrefix("oldest") } == says)
        }
    }

    @Test func `a checkpoint beyond the retention is DATA_LOST, a remark as long as it is estimated`() throws {
        var watch = Watch()
        watch.list([shard(0, of: 1)])
        watch.send(.streamDescribed(.test(hours: 1), watch.info()))
        watch.scan([lease(0, of: 1, checkpoint: checkpoint(age: .seconds(4000)))])
        #expect(watch.problem(.dataLost)?.severity == .info)
        #expect(watch.problem(.dataLossRisk) == nil)
        let number = try #require(watch.view(id(0))?.checkpoint?.sequenceNumber)
        watch.send(
            .happened(
                WorkerEvent(
                    .recordsProcessed, at: Watch.noon, workerID: "w1", shardID: id(0), records: 1, to: number,
                    millisBehindLatest: 4_000_000)))
        let problem = try #require(watch.problem(.dataLost))
        #expect(problem.severity == .critical)
        #expect(problem.message.contains("unread for 1h06m, longer than the retention of 1h00m"))
        #expect(watch.snapshot.problems.count { $0.kind == .dataLost } == 1)
    }
}
