import AWSWire
import Leases
import Machine
import Testing

@testable import KinesisConsumer

private let children = [child("c1", of: "s1"), child("c2", of: "s1")]
private func call(_ call: ShardMachine.Call) -> ShardMachine.Effect { .call(call, fence: at(9000)) }
private let lastBatch = fetchedBatch(1, through: 5, next: nil, children: children)
private let callLeaseLost = ShardMachine.Effect.call(.leaseLost, fence: .never)
private let shardEnded = ShardMachine.Effect.emit(
    event(.shardEnded, checkpoint: .shardEnd, children: ["c1", "c2"]))

/// The last batch is with the processor.
private func processingLast(_ configuration: WorkerConfiguration = .sample) -> ShardRig {
    var rig = ShardRig.processing(configuration)
    _ = rig.send(.fetched(lastBatch), at: 0)
    return rig
}

/// `shardEnded` is with the processor.
private func ending() -> ShardRig {
    var rig = processingLast()
    _ = rig.send(.returned(.processRecords(batch: 1), failure: nil), at: 0)
    _ = rig.send(.childrenCreated, at: 0)
    _ = rig.send(.written(.setChildren(["c1", "c2"]), nil), at: 0)
    return rig
}

@Suite struct ShardEndTests {
    @Test func `children are created and noted before shardEnded, which checkpoints SHARD_END`() {
        var rig = processingLast()
        #expect(
            rig.send(.returned(.processRecords(batch: 1), failure: nil), at: 10) == [
                .discard([1]), .emit(batchEvent(lastBatch)), .createChildren(children),
            ])
        #expect(rig.send(.childrenCreated, at: 20) == [.write(.setChildren(["c1", "c2"]))])
        #expect(
            rig.send(.written(.setChildren(["c1", "c2"]), nil), at: 30) == [
                call(.shardEnded)
            ])
        #expect(
            rig.send(.checkpointRequested(7, .commit(nil)), at: 40) == [.write(.checkpoint(.shardEnd))])
        #expect(
            rig.send(.written(.checkpoint(.shardEnd), nil), at: 50) == [
                .answer(7, .success(.shardEnd)), .emit(event(.checkpointed, checkpoint: .shardEnd)),
            ])
        #expect(rig.send(.returned(.shardEnded, failure: nil), at: 60) == [shardEnded])
        #expect(rig.machine.isComplete)
        #expect(rig.machine.hasEnded)
        #expect(rig.send(.leaseLost("gone"), at: 70) == [])
    }

    @Test func `the end waits for every batch before the last answer`() {
        var rig = ShardRig.processing()
        _ = rig.send(.fetched(fetchedBatch(1, through: 5)), at: 0)
        _ = rig.advance(at: 1500)
        #expect(rig.send(.fetched(fetchedBatch(2, through: 9, next: nil, children: children)), at: 1500) == [])
        #expect(
            rig.send(.returned(.processRecords(batch: 1), failure: nil), at: 1600).last
                == call(.processRecords(batch: 2)))
        #expect(
            rig.send(.returned(.processRecords(batch: 2), failure: nil), at: 1700).last == .createChildren(children))
    }

    @Test func `the end waits for the last batch's checkpoint`() {
        var rig = processingLast()
        #expect(rig.send(.checkpointRequested(1, .commit(nil)), at: 0) == [.write(.checkpoint(seq(5)))])
        #expect(
            rig.send(.returned(.processRecords(batch: 1), failure: nil), at: 10) == [
                .discard([1]), .emit(batchEvent(lastBatch)),
            ])
        #expect(
            rig.send(.written(.checkpoint(seq(5)), nil), at: 20) == [
                .answer(1, .success(seq(5))), .emit(event(.checkpointed, checkpoint: seq(5))),
                .createChildren(children),
            ])
    }

    @Test func `shardEnded is repeated until it checkpoints`() {
        var rig = ending()
        let missing = "shardEnded: the application did not checkpoint at the end of the shard; it must"
        #expect(
            rig.send(.returned(.shardEnded, failure: nil), at: 10)
                == [.emit(event(.processorFailed, message: missing))])
        #expect(rig.advance(at: 509) == [])
        #expect(rig.advance(at: 510) == [call(.shardEnded)])
        #expect(
            rig.send(.returned(.shardEnded, failure: "boom"), at: 510)
                == [.emit(event(.processorFailed, message: "shardEnded: boom (attempt 2)"))])
        #expect(rig.advance(at: 1510) == [call(.shardEnded)])
        #expect(!rig.machine.hasEnded)
    }

    /// Seed 199 of the simulation, once.
    @Test func `a checkpoint at a shutdown between two tries of shardEnded does not end the shard`() {
        var rig = ending()
        _ = rig.send(.returned(.shardEnded, failure: nil), at: 10)
        #expect(rig.send(.shutdownAsked(deadline: at(10_000)), at: 20).contains(call(.shutdownRequested)))
        let effects = rig.send(.checkpointRequested(7, .commit(nil)), at: 30)
        #expect(!effects.isEmpty)
        #expect(!effects.contains(.write(.checkpoint(.shardEnd))))
    }

    @Test func `shardEnded that throws after it checkpointed has ended, and the throw is said`() {
        var rig = ending()
        _ = rig.send(.checkpointRequested(7, .commit(nil)), at: 0)
        _ = rig.send(.written(.checkpoint(.shardEnd), nil), at: 0)
        #expect(
            rig.send(.returned(.shardEnded, failure: "boom"), at: 10)
                == [.emit(event(.processorFailed, message: "shardEnded: boom")), shardEnded])
        #expect(rig.machine.hasEnded)
    }

    @Test func `children that cannot be created yet are tried again`() {
        var rig = processingLast()
        _ = rig.send(.returned(.processRecords(batch: 1), failure: nil), at: 0)
        #expect(rig.send(.childrenNotCreated("the other parent is missing"), at: 0) == [])
        #expect(rig.advance(at: 499) == [])
        #expect(rig.advance(at: 500) == [.createChildren(children)])
    }

    @Test func `children that the row names already are not noted again`() {
        var rig = ShardRig.processing(leaseRow(children: ["c1", "c2"]))
        _ = rig.send(.fetched(emptyBatch(1, next: nil, children: children)), at: 0)
        #expect(rig.send(.childrenCreated, at: 10) == [call(.shardEnded)])
    }

    @Test func `a null iterator without children asks the listing, and an open shard goes on`() {
        var rig = ShardRig.processing()
        rig.deliver(fetchedBatch(1, through: 5), at: 0)
        _ = rig.advance(at: 1500)
        #expect(rig.send(.fetched(emptyBatch(2, next: nil)), at: 1500).last == .findChildren)
        #expect(rig.send(.childrenFound(closed: false, []), at: 1600) == [])
        #expect(rig.advance(at: 3099) == [])
        #expect(rig.advance(at: 3100) == [.getIterator(.afterSequenceNumber("5"))])
    }

    @Test func `a closed shard whose children are not listed yet goes on`() {
        var rig = ShardRig.processing()
        _ = rig.send(.fetched(emptyBatch(1, next: nil)), at: 0)
        #expect(rig.send(.childrenFound(closed: true, []), at: 100) == [])
        #expect(rig.advance(at: 1600) == [.getIterator(.trimHorizon)])
    }

    @Test func `a closed shard ends with the children that are listed`() {
        var rig = ShardRig.processing()
        _ = rig.send(.fetched(emptyBatch(1, next: nil)), at: 0)
        #expect(rig.send(.childrenFound(closed: true, children), at: 100) == [.createChildren(children)])
    }

    @Test func `a listing that fails is tried again`() {
        var rig = ShardRig.processing()
        _ = rig.send(.fetched(emptyBatch(1, next: nil)), at: 0)
        #expect(rig.send(.childrenNotCreated("throttled"), at: 100) == [])
        #expect(rig.advance(at: 600) == [.findChildren])
    }

    @Test func `a shard that is closed, empty and not behind is no end`() {
        var rig = ShardRig.processing()
        let said = WorkerEvent(
            .recordsProcessed, at: .zero, shardID: "s1", records: 0, bytes: 0, millisBehindLatest: 0)
        #expect(rig.send(.fetched(emptyBatch(1)), at: 0) == [.discard([1]), .emit(said)])
        #expect(rig.advance(at: 1500) == [.fetch(iterator: "next", dropThrough: nil, range: nil)])
    }

    @Test func `a deleted stream ends the shard without children, with SHARD_END`() {
        var rig = ShardRig.processing()
        #expect(rig.send(.retrievalFailed(.notFound, "gone"), at: 0) == [call(.shardEnded)])
        #expect(
            rig.send(.checkpointRequested(7, .commit(nil)), at: 10) == [.write(.checkpoint(.shardEnd))])
        _ = rig.send(.written(.checkpoint(.shardEnd), nil), at: 20)
        #expect(
            rig.send(.returned(.shardEnded, failure: nil), at: 30)
                == [.emit(event(.shardEnded, checkpoint: .shardEnd))])
    }

    @Test func `a skipped last batch does not hold the end up`() {
        var rig = processingLast()
        #expect(
            rig.send(.returned(.processRecords(batch: 1), failure: "boom"), at: 0).last == .createChildren(children))
    }

    @Test func `with retry a shard does not end before its last batch passes`() {
        var rig = processingLast(.sample.with { $0.onProcessorFailure = .retry })
        #expect(
            rig.send(.returned(.processRecords(batch: 1), failure: "boom"), at: 0)
                == [.emit(event(.processorFailed, message: "processRecords: boom"))])
        #expect(rig.advance(at: 500) == [call(.processRecords(batch: 1))])
        #expect(
            rig.send(.returned(.processRecords(batch: 1), failure: nil), at: 600).last == .createChildren(children))
    }

    @Test func `with stopShard a shard whose last batch failed never ends`() {
        var rig = processingLast(.sample.with { $0.onProcessorFailure = .stopShard })
        _ = rig.send(.returned(.processRecords(batch: 1), failure: "boom"), at: 0)
        #expect(rig.advance(at: 600_000) == [])
        #expect(!rig.machine.isComplete)
        #expect(rig.send(.checkpointRequested(1, .commit(nil)), at: 600_000) == [.answer(1, .success(.trimHorizon))])
    }

    // MARK: What else happens meanwhile

    @Test func `a lease that is lost during shardEnded is told after it`() {
        var rig = ending()
        #expect(
            rig.send(.leaseLost("gone"), at: 10) == [.discard([]), .emit(event(.leaseLost, message: "gone"))])
        #expect(rig.send(.checkpointRequested(7, .commit(nil)), at: 20) == [.answer(7, .failure(.shutdown))])
        #expect(
            rig.send(.returned(.shardEnded, failure: "ShutdownException"), at: 30) == [
                .emit(event(.processorFailed, message: "shardEnded: ShutdownException")), callLeaseLost,
            ])
        #expect(rig.send(.returned(.leaseLost, failure: nil), at: 40) == [])
        #expect(rig.machine.isComplete)
        #expect(!rig.machine.hasEnded)
    }

    @Test func `after SHARD_END was stored a lost lease is no ZOMBIE to the processor`() {
        var rig = ending()
        _ = rig.send(.checkpointRequested(7, .commit(nil)), at: 0)
        _ = rig.send(.written(.checkpoint(.shardEnd), nil), at: 0)
        _ = rig.send(.leaseLost("gone"), at: 10)
        #expect(rig.send(.returned(.shardEnded, failure: nil), at: 20) == [shardEnded])
        #expect(rig.machine.isComplete)
    }

    @Test func `a shutdown while shardEnded runs lets the end stand and gives the lease up`() {
        var rig = ending()
        _ = rig.send(.checkpointRequested(7, .commit(nil)), at: 0)
        #expect(rig.send(.shutdownAsked(deadline: at(8000)), at: 10) == [])
        _ = rig.send(.written(.checkpoint(.shardEnd), nil), at: 20)
        #expect(rig.send(.returned(.shardEnded, failure: nil), at: 30) == [shardEnded, .giveUp])
        #expect(rig.machine.isComplete)
    }

    @Test func `a shutdown while children are created does not wait for them`() {
        var rig = processingLast()
        _ = rig.send(.returned(.processRecords(batch: 1), failure: nil), at: 0)
        #expect(
            rig.send(.shutdownAsked(deadline: at(8000)), at: 10) == [
                .discard([]), .emit(event(.shutdownRequested)), call(.shutdownRequested),
            ])
        #expect(rig.send(.checkpointRequested(7, .commit(nil)), at: 20) == [.write(.checkpoint(seq(5)))])
    }
}
