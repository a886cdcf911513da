import AWSWire
import Leases
import Machine
import Synchronization
import Testing

@testable import KinesisConsumer

/// Checkpointed at 10, with everything through 20 delivered, the last batch from 15 on.
private func tenure(start: Checkpoint = seq(10)) -> Checkpoints {
    var checkpoints = Checkpoints(start: start)
    checkpoints.deliver(through: seq(14))
    checkpoints.deliver(through: seq(20))
    return checkpoints
}

extension Checkpoints {
    fileprivate mutating func request(_ id: Int, _ request: CheckpointRequest) -> [ShardMachine.Effect] {
        requests.append((id, request))
        return advance(mayWrite: true)
    }

    fileprivate mutating func store(_ write: HeldLease.Write) -> [ShardMachine.Effect] {
        written(write, nil, shardID: "s1")
    }
}

private func isIllegal(_ effects: [ShardMachine.Effect]) -> Bool {
    if effects.count == 1, case .answer(_, .failure(.illegalArgument)) = effects[0] { true } else { false }
}

/// Keeps what it is asked.
private final class Asked: Sendable {
    private let kept = Mutex<[CheckpointRequest]>([])

    var requests: [CheckpointRequest] { kept.withLock { $0 } }

    func answer(_ request: CheckpointRequest, _ answer: CheckpointAnswer) -> CheckpointAnswer {
        kept.withLock { $0.append(request) }
        return answer
    }
}

@Suite struct CheckpointsTests {
    @Test func `checkpoint() stores the last record that was delivered`() {
        var checkpoints = tenure()
        #expect(checkpoints.request(1, .commit(nil)) == [.write(.checkpoint(seq(20)))])
        #expect(!checkpoints.areSettled)
        #expect(
            checkpoints.store(.checkpoint(seq(20))) == [
                .answer(1, .success(seq(20))), .emit(event(.checkpointed, checkpoint: seq(20))),
            ])
        #expect(checkpoints.committed == seq(20))
        #expect(checkpoints.areSettled)
    }

    @Test func `with nothing delivered, checkpoint() writes nothing`() {
        var checkpoints = Checkpoints(start: .latest)
        #expect(checkpoints.request(1, .commit(nil)) == [.answer(1, .success(.latest))])
        #expect(checkpoints.areSettled)
    }

    @Test func `a position that is stored already writes nothing`() {
        var checkpoints = tenure()
        #expect(checkpoints.request(1, .commit(seq(10))) == [.answer(1, .success(seq(10)))])
        #expect(checkpoints.request(2, .prepare(seq(10), nil)) == [.answer(2, .success(seq(10)))])
    }

    @Test(arguments: [
        seq(9), seq(21), seq(20, 1), seq(15, -1), .trimHorizon, .latest, .atTimestamp, .shardEnd,
    ])
    func `a position outside of what may be checkpointed is the caller's mistake`(position: Checkpoint) {
        var checkpoints = tenure()
        #expect(isIllegal(checkpoints.request(1, .commit(position))))
        #expect(isIllegal(checkpoints.request(2, .prepare(position, nil))))
        #expect(isIllegal(checkpoints.request(3, .commitPrepared(position))))
        #expect(checkpoints.areSettled)
    }

    @Test func `checkpoints never go back`() {
        var checkpoints = tenure()
        _ = checkpoints.request(1, .commit(seq(18)))
        _ = checkpoints.store(.checkpoint(seq(18)))
        #expect(isIllegal(checkpoints.request(2, .commit(seq(17)))))
        #expect(checkpoints.request(3, .commit(seq(19))) == [.write(.checkpoint(seq(19)))])
    }

    @Test func `a first checkpoint may be anywhere up to the last delivered record`() {
        var checkpoints = tenure(start: .trimHorizon)
        #expect(checkpoints.request(1, .commit(seq(1))) == [.write(.checkpoint(seq(1)))])
    }

    @Test func `positions inside an aggregate are told apart`() {
        var checkpoints = Checkpoints(start: seq(10, 2))
        checkpoints.deliver(through: seq(10, 5))
        #expect(isIllegal(checkpoints.request(1, .commit(seq(10, 1)))))
        #expect(isIllegal(checkpoints.request(2, .commit(seq(10, 6)))))
        #expect(checkpoints.request(3, .commit(seq(10, 4))) == [.write(.checkpoint(seq(10, 4)))])
    }

    @Test func `requests are served one at a time and in order`() {
        var checkpoints = tenure()
        #expect(checkpoints.request(1, .commit(seq(12))) == [.write(.checkpoint(seq(12)))])
        #expect(checkpoints.request(2, .commit(seq(13))) == [])
        #expect(checkpoints.request(3, .commit(seq(11))) == [])
        _ = checkpoints.store(.checkpoint(seq(12)))
        #expect(checkpoints.advance(mayWrite: true) == [.write(.checkpoint(seq(13)))])
        _ = checkpoints.store(.checkpoint(seq(13)))
        #expect(isIllegal(checkpoints.advance(mayWrite: true)))
    }

    @Test func `an answer to another write is none`() {
        var checkpoints = tenure()
        _ = checkpoints.request(1, .commit(seq(12)))
        #expect(checkpoints.store(.checkpoint(seq(13))) == [])
        #expect(checkpoints.store(.renew) == [])
        #expect(checkpoints.committed == seq(10))
    }

    @Test func `a prepared checkpoint is stored beside, then committed`() {
        var checkpoints = tenure()
        let pending = PendingCheckpoint(checkpoint: seq(20), state: Bytes("s"))
        #expect(checkpoints.request(1, .prepare(nil, Bytes("s"))) == [.write(.prepare(pending))])
        #expect(checkpoints.store(.prepare(pending)) == [.answer(1, .success(seq(20)))])
        #expect(checkpoints.committed == seq(10))
        #expect(checkpoints.request(2, .commitPrepared(seq(20))) == [.write(.checkpoint(seq(20)))])
    }

    @Test func `a prepared checkpoint that was stored before, a sentinel too, commits as nothing`() {
        var checkpoints = Checkpoints(start: .trimHorizon)
        #expect(checkpoints.request(1, .prepare(nil, nil)) == [.answer(1, .success(.trimHorizon))])
        #expect(checkpoints.request(2, .commitPrepared(.trimHorizon)) == [.answer(2, .success(.trimHorizon))])
    }

    @Test func `a prepared checkpoint means what it was, though more was delivered and committed since`() async throws {
        let asked = Asked()
        let checkpointer = Checkpointer(shardID: "s1") { asked.answer($0, .success(seq(5))) }
        let prepared = try await checkpointer.prepareCheckpoint()
        try await prepared.checkpoint()
        #expect(asked.requests == [.prepare(nil, nil), .commitPrepared(seq(5))])
    }

    @Test func `an error reaches the caller of the checkpointer`() async {
        let checkpointer = Checkpointer(shardID: "s1") { _ in .failure(.throttling) }
        await #expect(throws: CheckpointError.throttling) { try await checkpointer.checkpoint() }
        await #expect(throws: CheckpointError.throttling) { _ = try await checkpointer.prepareCheckpoint() }
    }

    @Test func `what a call that threw was given cannot be checkpointed`() {
        var checkpoints = tenure()
        checkpoints.takeBack()
        #expect(isIllegal(checkpoints.request(1, .commit(seq(15)))))
        #expect(checkpoints.request(2, .commit(nil)) == [.write(.checkpoint(seq(14)))])
    }

    @Test func `what was committed inside the call that threw stays`() {
        var checkpoints = tenure()
        _ = checkpoints.request(1, .commit(seq(16)))
        _ = checkpoints.store(.checkpoint(seq(16)))
        checkpoints.takeBack()
        #expect(checkpoints.request(2, .commit(nil)) == [.answer(2, .success(seq(16)))])
    }

    @Test(arguments: [nil, seq(20), Checkpoint.shardEnd])
    func `at the shard's end, the last position is SHARD_END`(position: Checkpoint?) {
        var checkpoints = tenure()
        checkpoints.isAtShardEnd = true
        #expect(checkpoints.request(1, .commit(position)) == [.write(.checkpoint(.shardEnd))])
        #expect(
            checkpoints.store(.checkpoint(.shardEnd)) == [
                .answer(1, .success(.shardEnd)), .emit(event(.checkpointed, checkpoint: .shardEnd)),
            ])
    }

    @Test func `at the shard's end, the last record promotes though it was checkpointed before`() {
        var checkpoints = tenure()
        _ = checkpoints.request(1, .commit(nil))
        _ = checkpoints.store(.checkpoint(seq(20)))
        checkpoints.isAtShardEnd = true
        #expect(checkpoints.request(2, .commit(seq(20))) == [.write(.checkpoint(.shardEnd))])
    }

    @Test func `at the shard's end, a position before the last is a plain one`() {
        var checkpoints = tenure()
        checkpoints.isAtShardEnd = true
        #expect(checkpoints.request(1, .commit(seq(19))) == [.write(.checkpoint(seq(19)))])
    }

    @Test func `after the loss every request is answered with shutdown`() {
        var checkpoints = tenure()
        checkpoints.requests = [(1, .commit(nil)), (2, .prepare(nil, nil)), (3, .commitPrepared(seq(12)))]
        #expect(
            checkpoints.advance(mayWrite: false) == [
                .answer(1, .failure(.shutdown)), .answer(2, .failure(.shutdown)), .answer(3, .failure(.shutdown)),
            ])
    }

    @Test func `a checkpoint that failed may be tried again`() {
        var checkpoints = tenure()
        _ = checkpoints.request(1, .commit(nil))
        #expect(
            checkpoints.written(.checkpoint(seq(20)), .throttling, shardID: "s1")
                == [.answer(1, .failure(.throttling))])
        #expect(checkpoints.committed == seq(10))
        #expect(checkpoints.request(2, .commit(nil)) == [.write(.checkpoint(seq(20)))])
    }
}
