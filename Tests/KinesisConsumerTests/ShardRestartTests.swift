import AWSWire
import Leases
import Machine
import Testing

@testable import KinesisConsumer

private func batchCall(_ id: Int) -> ShardMachine.Call { .processRecords(batch: id) }
private func call(_ call: ShardMachine.Call) -> ShardMachine.Effect { .call(call, fence: at(9000)) }
private func failed(_ message: String, stopped: Bool = false) -> ShardMachine.Effect {
    var failed = event(.processorFailed, message: message)
    failed.isStopped = stopped
    return .emit(failed)
}

/// A processor that asks to be replaced: a child process that ended.
@Suite struct ShardRestartTests {
    @Test func `a new processor starts at the last checkpoint and gets again what came after it`() {
        var rig = ShardRig.processing()
        rig.deliver(fetchedBatch(1, through: 5), at: 0)
        _ = rig.send(.checkpointRequested(1, .commit(seq(3))), at: 10)
        _ = rig.send(.written(.checkpoint(seq(3)), nil), at: 20)
        _ = rig.advance(at: 1500)
        _ = rig.send(.fetched(fetchedBatch(2, through: 9)), at: 1500)
        #expect(
            rig.send(.abandoned(batchCall(2), "the child ended"), at: 1600) == [
                .discard([2]), .dropProcessor, failed("processRecords: the child ended"),
            ])
        #expect(rig.advance(at: 2099) == [])
        #expect(rig.advance(at: 2100) == [call(.initialize(seq(3), nil))])
        #expect(
            rig.send(.returned(.initialize(seq(3), nil), failure: nil), at: 2200) == [
                .emit(event(.initialized, checkpoint: seq(3))), .getIterator(.atSequenceNumber("3")),
            ])
        #expect(
            rig.send(.iteratorGot("i2", latestAt: nil), at: 2200)
                == [.fetch(iterator: "i2", dropThrough: seq(3), range: nil)])
    }

    @Test func `an answer that was asked for before the restart is dropped`() {
        var rig = ShardRig.processing()
        _ = rig.send(.fetched(fetchedBatch(1, through: 5)), at: 0)
        #expect(rig.advance(at: 1500) == [.fetch(iterator: "next", dropThrough: seq(5), range: nil)])
        _ = rig.send(.abandoned(batchCall(1), "the child ended"), at: 1600)
        _ = rig.advance(at: 2100)
        _ = rig.send(.returned(.initialize(.trimHorizon, nil), failure: nil), at: 2100)
        #expect(
            rig.send(.fetched(fetchedBatch(2, through: 9)), at: 2200) == [.discard([2]), .getIterator(.trimHorizon)])
    }

    @Test func `an answer that comes before the new processor is ready holds up nothing`() {
        var rig = ShardRig.processing()
        _ = rig.send(.fetched(fetchedBatch(1, through: 5)), at: 0)
        #expect(rig.advance(at: 1500) == [.fetch(iterator: "next", dropThrough: seq(5), range: nil)])
        _ = rig.send(.abandoned(batchCall(1), "the child ended"), at: 1600)
        #expect(rig.send(.fetched(fetchedBatch(2, through: 9)), at: 1700) == [.discard([2])])
        let initialize = ShardMachine.Call.initialize(.trimHorizon, nil)
        #expect(rig.advance(at: 2100) == [call(initialize)])
        #expect(rig.send(.returned(initialize, failure: nil), at: 2200).contains(.getIterator(.trimHorizon)))
    }

    @Test func `nothing that the old processor was given can be checkpointed by the new one unseen`() {
        var rig = ShardRig.processing()
        _ = rig.send(.fetched(fetchedBatch(1, through: 5)), at: 0)
        _ = rig.send(.abandoned(batchCall(1), "the child ended"), at: 10)
        #expect(rig.send(.checkpointRequested(1, .commit(nil)), at: 20) == [.answer(1, .success(.trimHorizon))])
    }

    @Test func `too many restarts without a checkpoint stop the shard and keep its lease`() {
        var rig = ShardRig(leaseRow(), .sample.with { $0.restartsMax = 2 })
        _ = rig.advance(at: 0)
        let initialize = ShardMachine.Call.initialize(.trimHorizon, nil)
        #expect(
            rig.send(.abandoned(initialize, "no such file"), at: 0)
                == [.discard([]), .dropProcessor, failed("initialize: no such file")])
        #expect(rig.advance(at: 500) == [call(initialize)])
        #expect(
            rig.send(.abandoned(initialize, "no such file"), at: 500) == [
                .discard([]), .dropProcessor,
                failed("initialize: no such file; the shard is stopped, its lease is kept", stopped: true),
            ])
        #expect(rig.advance(at: 600_000) == [])
        #expect(!rig.machine.isComplete)
        // The worker ends: the lease goes without a word to a processor that is not there.
        #expect(rig.send(.shutdownAsked(deadline: at(700_000)), at: 600_000) == [.giveUp])
    }

    @Test func `a checkpoint in between forgives the restarts before it`() {
        var rig = ShardRig.processing(.sample.with { $0.restartsMax = 2 })
        for (id, now) in [(1, Int64(0)), (2, 10_000), (3, 20_000)] {
            _ = rig.send(.fetched(fetchedBatch(id, through: UInt64(id))), at: now)
            _ = rig.send(.checkpointRequested(id, .commit(nil)), at: now)
            _ = rig.send(.written(.checkpoint(seq(UInt64(id))), nil), at: now)
            let effects = rig.send(.abandoned(batchCall(id), "gone"), at: now)
            #expect(effects.last == failed("processRecords: gone"))
            let initialize = ShardMachine.Call.initialize(seq(UInt64(id)), nil)
            #expect(rig.advance(at: now + 500).first == call(initialize))
            _ = rig.send(.returned(initialize, failure: nil), at: now + 500)
            _ = rig.send(.iteratorGot("i", latestAt: nil), at: now + 500)
        }
    }

    @Test func `a lease that was lost meanwhile goes without another word`() {
        var rig = ShardRig.processing()
        _ = rig.send(.fetched(fetchedBatch(1, through: 5)), at: 0)
        _ = rig.send(.leaseLost("taken by you"), at: 10)
        #expect(
            rig.send(.abandoned(batchCall(1), "gone"), at: 20)
                == [.discard([1]), .dropProcessor, failed("processRecords: gone")])
        #expect(rig.machine.isComplete)
    }
}
