import AWSWire
import Leases
import Machine
import Testing

@testable import KinesisConsumer

private let initialize = ShardMachine.Call.initialize(.trimHorizon, nil)
private func call(_ call: ShardMachine.Call) -> ShardMachine.Effect { .call(call, fence: at(9000)) }
private let callLeaseLost = ShardMachine.Effect.call(.leaseLost, fence: .never)
private func batchCall(_ id: Int) -> ShardMachine.Call { .processRecords(batch: id) }

private func failed(_ message: String, stopped: Bool = false) -> ShardMachine.Effect {
    var failed = event(.processorFailed, message: message)
    failed.isStopped = stopped
    return .emit(failed)
}
private func policy(_ policy: ProcessorFailurePolicy) -> WorkerConfiguration {
    .sample.with { $0.onProcessorFailure = policy }
}

@Suite struct ShardMachineTests {
    @Test func `a tenure goes from initialize over records to leaseLost`() {
        var rig = ShardRig()
        let first = fetchedBatch(1, through: 5, records: 2)
        #expect(rig.advance(at: 0) == [call(initialize)])
        #expect(
            rig.send(.returned(initialize, failure: nil), at: 10) == [
                .emit(event(.initialized, checkpoint: .trimHorizon)), .getIterator(.trimHorizon),
            ])
        #expect(
            rig.send(.iteratorGot("i1", latestAt: nil), at: 20)
                == [.fetch(iterator: "i1", dropThrough: nil, range: nil)])
        #expect(rig.send(.fetched(first), at: 30) == [call(batchCall(1))])
        #expect(
            rig.send(.returned(batchCall(1), failure: nil), at: 40) == [.discard([1]), .emit(batchEvent(first))])
        #expect(
            rig.send(.checkpointRequested(7, .commit(nil)), at: 50) == [.write(.checkpoint(seq(5)))])
        #expect(
            rig.send(.written(.checkpoint(seq(5)), nil), at: 60) == [
                .answer(7, .success(seq(5))), .emit(event(.checkpointed, checkpoint: seq(5))),
            ])
        #expect(
            rig.send(.leaseLost("taken by you"), at: 70) == [
                .discard([]), .emit(event(.leaseLost, message: "taken by you")), callLeaseLost,
            ])
        #expect(rig.send(.returned(.leaseLost, failure: nil), at: 80) == [])
        #expect(rig.machine.isComplete)
        #expect(rig.machine.nextDeadline(after: .zero) == .never)
        #expect(
            rig.send(.checkpointRequested(8, .commit(nil)), at: 90) == [.answer(8, .failure(.shutdown))])
    }

    @Test func `a pending checkpoint is handed to initialize`() {
        var lease = leaseRow(checkpoint: seq(3))
        lease.pendingCheckpoint = PendingCheckpoint(checkpoint: seq(9), state: Bytes("s"))
        var rig = ShardRig(lease)
        #expect(rig.advance(at: 0) == [call(.initialize(seq(3), lease.pendingCheckpoint))])
    }

    @Test func `both parents of a merge end before initialize`() {
        var rig = ShardRig(leaseRow(parents: ["p1", "p2"]))
        #expect(rig.advance(at: 0) == [.checkParents(["p1", "p2"])])
        #expect(rig.advance(at: 1) == [])
        #expect(rig.send(.parentsChecked(unfinished: ["p2"]), at: 10) == [])
        #expect(rig.machine.nextDeadline(after: .zero) == at(10_010))
        #expect(rig.advance(at: 10_009) == [])
        #expect(rig.advance(at: 10_010) == [.checkParents(["p1", "p2"])])
        #expect(rig.send(.parentsChecked(unfinished: []), at: 10_020) == [call(initialize)])
    }

    @Test func `a parent that ends in the meantime is looked at without waiting for the poll`() {
        var rig = ShardRig(leaseRow(parents: ["p1"]))
        _ = rig.advance(at: 0)
        _ = rig.send(.parentsChecked(unfinished: ["p1"]), at: 10)
        rig.machine.parentMayHaveEnded()
        #expect(rig.advance(at: 20) == [.checkParents(["p1"])])
    }

    @Test func `a check of the parents that fails is repeated`() {
        var rig = ShardRig(leaseRow(parents: ["p1"]))
        _ = rig.advance(at: 0)
        #expect(rig.send(.parentCheckFailed, at: 10) == [])
        #expect(rig.advance(at: 509) == [])
        #expect(rig.advance(at: 510) == [.checkParents(["p1"])])
    }

    @Test func `a lease that is SHARD_END already is not processed, nor are its parents asked`() {
        var rig = ShardRig(leaseRow(checkpoint: .shardEnd, parents: ["p1"]))
        #expect(rig.advance(at: 0) == [])
        #expect(rig.machine.isComplete)
        #expect(rig.machine.hasEnded)
        #expect(rig.send(.leaseLost("taken by you"), at: 10) == [])
    }

    @Test func `initialize is repeated with a growing pause until it passes`() {
        var rig = ShardRig()
        _ = rig.advance(at: 0)
        #expect(rig.send(.returned(initialize, failure: "boom"), at: 0) == [failed("initialize: boom")])
        #expect(rig.advance(at: 499) == [])
        #expect(rig.advance(at: 500) == [call(initialize)])
        #expect(
            rig.send(.returned(initialize, failure: "boom"), at: 500) == [failed("initialize: boom (attempt 2)")])
        #expect(rig.advance(at: 1499) == [])
        #expect(rig.advance(at: 1500) == [call(initialize)])
    }

    @Test func `calls come one at a time while the next batches are fetched`() {
        var rig = ShardRig.processing()
        #expect(rig.send(.fetched(fetchedBatch(1, through: 5)), at: 0) == [call(batchCall(1))])
        #expect(rig.advance(at: 1500) == [.fetch(iterator: "next", dropThrough: seq(5), range: nil)])
        #expect(rig.send(.fetched(fetchedBatch(2, through: 6)), at: 1500) == [])
        #expect(rig.send(.returned(batchCall(2), failure: nil), at: 1600) == [])
        // More waits, so that the tip went on for as long as the batch lay here.
        let first = batchEvent(fetchedBatch(1, through: 5, behind: 1700))
        #expect(
            rig.send(.returned(batchCall(1), failure: nil), at: 1700) == [
                .discard([1]), .emit(first), call(batchCall(2)),
            ])
    }

    // MARK: The fence

    @Test func `after two thirds of the failover time nothing is delivered until a renewal`() {
        var rig = ShardRig.processing()
        rig.deliverUntil = at(6000)
        #expect(
            rig.send(.fetched(fetchedBatch(1, through: 5)), at: 6000)
                == [.fetch(iterator: "next", dropThrough: seq(5), range: nil)])
        #expect(rig.advance(at: 6500) == [])
        rig.deliverUntil = at(12_500)
        rig.fence = at(15_500)
        #expect(rig.advance(at: 6600) == [.call(batchCall(1), fence: at(15_500))])
    }

    @Test func `a batch that was not handed over is sent again and cannot be checkpointed`() {
        var rig = ShardRig.processing()
        rig.deliver(fetchedBatch(1, through: 5), at: 0)
        _ = rig.advance(at: 1500)
        _ = rig.send(.fetched(fetchedBatch(2, through: 9)), at: 1500)
        rig.deliverUntil = .zero
        #expect(rig.send(.notHandedOver(batch: 2), at: 1600) == [])
        #expect(
            rig.send(.checkpointRequested(1, .commit(nil)), at: 1700) == [.write(.checkpoint(seq(5)))])
        rig.deliverUntil = .never
        #expect(rig.advance(at: 1800) == [call(batchCall(2))])
    }

    // MARK: A processor that throws

    @Test func `skip goes on, says what was skipped, and later checkpoints cover it`() {
        var rig = ShardRig.processing()
        let batch = fetchedBatch(1, through: 5, records: 3)
        _ = rig.send(.fetched(batch), at: 0)
        #expect(
            rig.send(.returned(batchCall(1), failure: "boom"), at: 0) == [
                .discard([1]), failed("processRecords: boom"), .emit(batchEvent(batch, skippedFor: "boom")),
            ])
        #expect(rig.machine.skippedRecords == 3)
        #expect(rig.advance(at: 1500) == [.fetch(iterator: "next", dropThrough: seq(5), range: nil)])
        #expect(rig.send(.checkpointRequested(1, .commit(nil)), at: 1500) == [.write(.checkpoint(seq(5)))])
    }

    @Test func `retry sends the same batch again, and no checkpoint covers it until it passes`() {
        var rig = ShardRig.processing(policy(.retry))
        _ = rig.send(.fetched(fetchedBatch(1, through: 5)), at: 0)
        #expect(rig.send(.returned(batchCall(1), failure: "boom"), at: 0) == [failed("processRecords: boom")])
        #expect(rig.send(.checkpointRequested(1, .commit(nil)), at: 1) == [.answer(1, .success(.trimHorizon))])
        #expect(rig.advance(at: 499) == [])
        #expect(rig.advance(at: 500) == [call(batchCall(1))])
        #expect(
            rig.send(.returned(batchCall(1), failure: "boom"), at: 500)
                == [failed("processRecords: boom (attempt 2)")])
        #expect(rig.advance(at: 1499) == [])
        #expect(
            rig.advance(at: 1500) == [
                call(batchCall(1)), .fetch(iterator: "next", dropThrough: seq(5), range: nil),
            ])
        #expect(
            rig.send(.returned(batchCall(1), failure: nil), at: 1600) == [
                .discard([1]), .emit(batchEvent(fetchedBatch(1, through: 5))),
            ])
        #expect(rig.send(.checkpointRequested(2, .commit(nil)), at: 1700) == [.write(.checkpoint(seq(5)))])
    }

    @Test func `a batch that passes resets the pauses of retry`() {
        var rig = ShardRig.processing(policy(.retry))
        _ = rig.send(.fetched(fetchedBatch(1, through: 5)), at: 0)
        _ = rig.send(.returned(batchCall(1), failure: "boom"), at: 0)
        _ = rig.advance(at: 500)
        _ = rig.send(.returned(batchCall(1), failure: nil), at: 600)
        _ = rig.advance(at: 1500)
        _ = rig.send(.fetched(fetchedBatch(2, through: 6)), at: 1500)
        #expect(rig.send(.returned(batchCall(2), failure: "boom"), at: 1500) == [failed("processRecords: boom")])
        #expect(rig.advance(at: 2000) == [call(batchCall(2))])
    }

    @Test func `stopShard processes nothing more, keeps the lease, and no checkpoint covers the call`() {
        var rig = ShardRig.processing(policy(.stopShard))
        rig.deliver(fetchedBatch(1, through: 5), at: 0)
        _ = rig.advance(at: 1500)
        _ = rig.send(.fetched(fetchedBatch(2, through: 6)), at: 1500)
        _ = rig.advance(at: 3000)
        _ = rig.send(.fetched(fetchedBatch(3, through: 7)), at: 3000)
        _ = rig.advance(at: 3050)
        #expect(
            rig.send(.returned(batchCall(2), failure: "boom"), at: 3100) == [
                .discard([2, 3]),
                failed("processRecords: boom; the shard is stopped, its lease is kept", stopped: true),
            ])
        #expect(rig.advance(at: 60_000) == [])
        // What was on its way is not kept for nobody.
        #expect(rig.send(.fetched(fetchedBatch(4, through: 8)), at: 60_000) == [.discard([4])])
        #expect(rig.machine.retrieval.claimedBytes == 0)
        #expect(rig.send(.checkpointRequested(1, .commit(nil)), at: 60_000) == [.write(.checkpoint(seq(5)))])
        _ = rig.send(.written(.checkpoint(seq(5)), nil), at: 60_000)
        if case .answer(2, .failure(.illegalArgument))? =
            rig.send(.checkpointRequested(2, .commit(seq(6))), at: 60_000).first
        {
        } else {
            Issue.record("the records of the call that threw were checkpointed")
        }
    }

    // MARK: The lease is lost

    @Test func `a lease that is lost before initialize says nothing to the processor`() {
        var rig = ShardRig(leaseRow(parents: ["p1"]))
        _ = rig.advance(at: 0)
        #expect(
            rig.send(.leaseLost("gone"), at: 10) == [.discard([]), .emit(event(.leaseLost, message: "gone"))])
        #expect(rig.machine.isComplete)
        #expect(rig.send(.parentsChecked(unfinished: []), at: 20) == [])
        #expect(rig.machine.isComplete)
    }

    @Test func `a lease that is lost while initialize runs is told after it`() {
        var rig = ShardRig()
        _ = rig.advance(at: 0)
        #expect(
            rig.send(.leaseLost("gone"), at: 10) == [.discard([]), .emit(event(.leaseLost, message: "gone"))])
        #expect(
            rig.send(.returned(initialize, failure: nil), at: 20) == [
                .emit(event(.initialized, checkpoint: .trimHorizon)), callLeaseLost,
            ])
        #expect(rig.send(.returned(.leaseLost, failure: nil), at: 30) == [])
        #expect(rig.machine.isComplete)
    }

    @Test func `a lease that is lost while initialize fails is not told, and nothing is repeated`() {
        var rig = ShardRig()
        _ = rig.advance(at: 0)
        _ = rig.send(.leaseLost("gone"), at: 10)
        #expect(rig.send(.returned(initialize, failure: "boom"), at: 20) == [failed("initialize: boom")])
        #expect(rig.machine.isComplete)
        #expect(rig.advance(at: 60_000) == [])
    }

    @Test(arguments: ProcessorFailurePolicy.allCases)
    func `a lease that is lost while processRecords runs is told once, without a pause, whatever it throws`(
        failurePolicy: ProcessorFailurePolicy
    ) {
        var rig = ShardRig.processing(policy(failurePolicy))
        _ = rig.send(.fetched(fetchedBatch(1, through: 5)), at: 0)
        _ = rig.advance(at: 1500)
        _ = rig.send(.fetched(fetchedBatch(2, through: 6)), at: 1500)
        #expect(
            rig.send(.leaseLost("gone"), at: 1600) == [.discard([2]), .emit(event(.leaseLost, message: "gone"))])
        #expect(rig.send(.leaseLost("gone"), at: 1700) == [])
        let effects = rig.send(.returned(batchCall(1), failure: "boom"), at: 1800)
        #expect(effects.filter { $0 == callLeaseLost } == [callLeaseLost])
        #expect(effects.last == callLeaseLost)
        #expect(rig.send(.returned(.leaseLost, failure: nil), at: 1900) == [])
        #expect(rig.machine.isComplete)
    }

    @Test func `a fetch that comes back after the loss is discarded`() {
        var rig = ShardRig.processing()
        _ = rig.send(.leaseLost("gone"), at: 10)
        #expect(rig.send(.fetched(fetchedBatch(1, through: 5)), at: 20) == [.discard([1])])
    }

    // MARK: Shutting down

    @Test func `shutdownRequested is answered, its checkpoint stored, then leaseLost, then the lease is given up`() {
        var rig = ShardRig.processing()
        _ = rig.send(.fetched(fetchedBatch(1, through: 5)), at: 0)
        _ = rig.advance(at: 1500)
        #expect(rig.send(.shutdownAsked(deadline: at(11_000)), at: 1600) == [])
        #expect(rig.send(.fetched(fetchedBatch(2, through: 6)), at: 1700) == [.discard([2])])
        #expect(
            rig.send(.returned(batchCall(1), failure: nil), at: 1800) == [
                .discard([1]), .emit(batchEvent(fetchedBatch(1, through: 5))), .discard([]),
                .emit(event(.shutdownRequested)), call(.shutdownRequested),
            ])
        #expect(rig.send(.checkpointRequested(7, .commit(nil)), at: 1900) == [.write(.checkpoint(seq(5)))])
        #expect(rig.send(.returned(.shutdownRequested, failure: nil), at: 2000) == [])
        #expect(
            rig.send(.written(.checkpoint(seq(5)), nil), at: 2100) == [
                .answer(7, .success(seq(5))), .emit(event(.checkpointed, checkpoint: seq(5))), callLeaseLost,
            ])
        #expect(
            rig.send(.checkpointRequested(8, .commit(nil)), at: 2200) == [.answer(8, .failure(.shutdown))])
        #expect(rig.send(.returned(.leaseLost, failure: nil), at: 2300) == [.giveUp])
        #expect(rig.machine.isComplete)
    }

    @Test func `shutdownRequested that throws is said and goes on`() {
        var rig = ShardRig.processing()
        _ = rig.send(.shutdownAsked(deadline: at(10_000)), at: 0)
        #expect(
            rig.send(.returned(.shutdownRequested, failure: "boom"), at: 10) == [
                failed("shutdownRequested: boom"), callLeaseLost,
            ])
    }

    @Test func `a child that waits for its parents is given up at once`() {
        var rig = ShardRig(leaseRow(parents: ["p1"]))
        _ = rig.advance(at: 0)
        _ = rig.send(.parentsChecked(unfinished: ["p1"]), at: 10)
        let effects = rig.send(.shutdownAsked(deadline: at(10_000)), at: 20)
        #expect(Set(effects) == [.giveUp])
        #expect(rig.machine.isComplete)
    }

    @Test func `a pause of retry does not hold the shutdown up`() {
        var rig = ShardRig.processing(policy(.retry))
        _ = rig.send(.fetched(fetchedBatch(1, through: 5)), at: 0)
        _ = rig.send(.returned(batchCall(1), failure: "boom"), at: 0)
        #expect(
            rig.send(.shutdownAsked(deadline: at(10_000)), at: 1) == [
                .discard([1]), .emit(event(.shutdownRequested)), call(.shutdownRequested),
            ])
    }

    @Test func `a lease that is lost during shutdownRequested still ends, with leaseLost once`() {
        var rig = ShardRig.processing()
        _ = rig.send(.shutdownAsked(deadline: at(10_000)), at: 0)
        #expect(
            rig.send(.leaseLost("gone"), at: 10) == [.discard([]), .emit(event(.leaseLost, message: "gone"))])
        #expect(rig.send(.returned(.shutdownRequested, failure: nil), at: 20) == [callLeaseLost])
        #expect(rig.send(.returned(.leaseLost, failure: nil), at: 30) == [])
        #expect(rig.machine.isComplete)
    }

    @Test func `a lease that is lost during the last leaseLost is not told twice`() {
        var rig = ShardRig.processing()
        _ = rig.send(.shutdownAsked(deadline: at(10_000)), at: 0)
        #expect(rig.send(.returned(.shutdownRequested, failure: nil), at: 10) == [callLeaseLost])
        #expect(
            rig.send(.leaseLost("gone"), at: 20) == [.discard([]), .emit(event(.leaseLost, message: "gone"))])
        #expect(rig.send(.returned(.leaseLost, failure: nil), at: 30) == [])
        #expect(rig.machine.isComplete)
    }

    @Test func `a processor that outlasts its grace loses the lease, and is told when it returns`() {
        var rig = ShardRig.processing()
        _ = rig.send(.fetched(fetchedBatch(1, through: 5)), at: 0)
        _ = rig.send(.shutdownAsked(deadline: at(10_000)), at: 0)
        #expect(rig.advance(at: 9999) == [])
        #expect(
            rig.advance(at: 10_000) == [
                .discard([]), .emit(event(.leaseLost, message: "shutdown grace of 10000 ms is over")), .giveUp,
            ])
        #expect(
            rig.send(.returned(batchCall(1), failure: nil), at: 20_000) == [
                .discard([1]), .emit(batchEvent(fetchedBatch(1, through: 5))), callLeaseLost,
            ])
        #expect(rig.send(.returned(.leaseLost, failure: nil), at: 20_001) == [])
    }

    @Test func `asked again, the earlier deadline holds`() {
        var rig = ShardRig.processing()
        _ = rig.send(.fetched(fetchedBatch(1, through: 5)), at: 0)
        _ = rig.send(.shutdownAsked(deadline: at(5000)), at: 0)
        _ = rig.send(.shutdownAsked(deadline: at(9000)), at: 10)
        #expect(rig.advance(at: 4999) == [])
        #expect(rig.advance(at: 5000).last == .giveUp)
    }
}
