import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct StreamMatchTests {
    /// A fleet whose first shard has `checkpoint` and whose second has no lease; the stream has three shards.
    private func watch(_ checkpoint: Checkpoint, created: UnixTime = Watch.created) -> Watch {
        var watch = Watch()
        watch.noMigration()
        let leases = [lease(0, checkpoint: checkpoint), lease(3, of: 4)]
        watch.scan(leases)
        watch.list((0..<4).map { shard($0, created: created) })
        for _ in 0..<3 {
            watch.wait(.seconds(5))
            watch.scan(leases)
        }
        return watch
    }

    private func refusal(_ snapshot: FleetSnapshot) -> Refusal? {
        do throws(Refusal) {
            _ = try Plan.split(id(0), in: snapshot)
            return nil
        } catch {
            return error
        }
    }

    @Test func `before the first checkpoint nothing is said of shards without lease, and no shard is split`() {
        let snapshot = watch(.trimHorizon).snapshot
        #expect(snapshot.streamMatch == .unverified("no checkpoint in it yet"))
        #expect(!snapshot.leases.contains { $0.state == .missing || $0.state == .hole })
        #expect(!snapshot.problems.contains { [.missing, .hole, .orphan].contains($0.kind) })
        let refusal = refusal(snapshot)
        #expect(refusal?.reason == .unverifiedStream)
        #expect(refusal?.description.contains("no checkpoint in it yet") == true)
    }

    @Test func `the first checkpoint that fits its shard verifies the stream, for good`() {
        var watch = watch(.trimHorizon)
        watch.scan([lease(0, counter: 2, checkpoint: checkpoint(age: .zero)), lease(3, of: 4)])
        watch.settle()
        watch.wait(.seconds(20))
        watch.scan([lease(0, counter: 3, checkpoint: checkpoint(age: .zero)), lease(3, of: 4)])
        #expect(watch.snapshot.streamMatch == .verified)
        #expect(watch.snapshot.problems.contains { $0.kind == .missing })
        #expect(refusal(watch.snapshot) == nil)
        watch.scan([lease(0, counter: 4), lease(3, of: 4)])
        #expect(watch.snapshot.streamMatch == .verified)
    }

    @Test func `checkpoints of a younger stream, an older one that lived on or another index are foreign`() {
        for checkpoint in [
            checkpoint(age: .zero, created: Watch.created + .seconds(60)), checkpoint(age: .zero, of: 7),
            checkpoint(age: .zero, created: Watch.created + .seconds(-60)),
        ] {
            var watch = watch(checkpoint)
            #expect(watch.snapshot.streamMatch == .unverified("checkpoints do not fit its shards"))
            watch.list((0..<4).map { shard($0) })
            #expect(watch.snapshot.streamMatch == .foreign("checkpoints are of another stream"))
            #expect(watch.problem(.stream)?.id == "STREAM:foreign")
            #expect(!watch.snapshot.problems.contains { [.missing, .hole, .orphan].contains($0.kind) })
            #expect(refusal(watch.snapshot)?.reason == .unverifiedStream)
        }
    }

    @Test func `numbers in another layout leave the stream unverified`() {
        var watch = Watch()
        watch.scan([lease(0, of: 1, checkpoint: Checkpoint(.sequenceNumber(SequenceNumber("12345") ?? birth(0))))])
        watch.list([shard(0, of: 1)])
        #expect(watch.snapshot.streamMatch == .unverified("its sequence numbers do not tell"))
    }

    @Test func `without a stream there is nothing to match, and a stream alone may be split`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        #expect(watch.snapshot.streamMatch == nil)
        var alone = FleetSnapshot(identity: FleetConfiguration.test().identity)
        alone.shards = ShardTree([shard(0, of: 1)])
        #expect(refusal(alone) == nil)
    }

    @Test func `a stream that is created anew while it is watched must be verified again`() {
        var watch = watch(checkpoint(age: .zero))
        #expect(watch.snapshot.streamMatch == .verified)
        watch.list((0..<4).map { shard($0, created: Watch.noon) })
        #expect(watch.snapshot.streamMatch == .unverified("checkpoints are of an earlier stream"))
        #expect(refusal(watch.snapshot)?.reason == .unverifiedStream)
    }

    @Test func `a multi-stream table names its streams`() {
        func named(_ stream: String) -> StreamMatch? {
            var watch = Watch()
            var row = lease(0)
            row.leaseKey = "123456789012:\(stream):1700000000:\(id(0))"
            watch.scan([row])
            watch.list([shard(0, of: 1)])
            watch.send(.tableDescribed(.test(), watch.info()))
            watch.answerStreams()
            return watch.snapshot.streamMatch
        }
        #expect(named("orders") == .verified)
        #expect(named("others") == .foreign("the table is of others"))
    }
}
