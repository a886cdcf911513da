import AWSWire
import Leases
import Machine

/// The checkpointer's contract for one tenure (kcl.md §7, §0.5): what may be checkpointed, one request at a time.
struct Checkpoints: Sendable {
    /// Stored last.
    private(set) var committed: Checkpoint
    /// Prepared and not committed.
    private(set) var pending: PendingCheckpoint?
    /// The last record that was delivered.
    private var delivered: Checkpoint
    /// `delivered` before the batch in progress.
    private var deliveredBefore: Checkpoint
    /// Inside `shardEnded`: SHARD_END may be checkpointed.
    var isAtShardEnd = false
    var requests: [(id: Int, request: CheckpointRequest)] = []
    private var active: (id: Int, write: HeldLease.Write)?

    init(start: Checkpoint, pending: PendingCheckpoint? = nil) {
        committed = start
        self.pending = pending
        delivered = start
        deliveredBefore = start
    }

    var areSettled: Bool { requests.isEmpty && active == nil }

    mutating func deliver(through last: Checkpoint?) {
        deliveredBefore = delivered
        if let last { delivered = max(delivered, last) }
    }

    /// The call threw: nothing of its batch may be checkpointed any more.
    mutating func takeBack() {
        delivered = max(deliveredBefore, committed)
    }

    /// A new processor starts at what is stored.
    mutating func restart() {
        delivered = committed
        deliveredBefore = committed
        isAtShardEnd = false
    }

    /// Answers or starts the requests that wait.
    mutating func advance(mayWrite: Bool) -> [ShardMachine.Effect] {
        var effects: [ShardMachine.Effect] = []
        while active == nil, let (id, request) = requests.first {
            requests.removeFirst()
            guard mayWrite else {
                effects.append(.answer(id, .failure(.shutdown)))
                continue
            }
            do throws(CheckpointError) {
                let position = try position(of: request)
                // Stored already.
                guard position != committed else {
                    effects.append(.answer(id, .success(position)))
                    continue
                }
                let write: HeldLease.Write =
                    if case .prepare(_, let state) = request {
                        .prepare(PendingCheckpoint(checkpoint: position, state: state))
                    } else { .checkpoint(position) }
                active = (id, write)
                effects.append(.write(write))
            } catch {
                effects.append(.answer(id, .failure(error)))
            }
        }
        return effects
    }

    private func position(of request: CheckpointRequest) throws(CheckpointError) -> Checkpoint {
        switch request {
        case .commit(let position), .prepare(let position, _): try allowed(position)
        // What was prepared may be stored already, a sentinel among it.
        case .commitPrepared(let position): position == committed ? position : try allowed(position)
        }
    }

    private func allowed(_ position: Checkpoint?) throws(CheckpointError) -> Checkpoint {
        guard let position else { return isAtShardEnd ? .shardEnd : delivered }
        if isAtShardEnd, position == delivered || position == .shardEnd { return .shardEnd }
        guard !position.isSentinel, position.subSequenceNumber >= 0 else {
            throw .illegalArgument("\(position) is no sequence number")
        }
        guard position <= delivered, committed.isSentinel || position >= committed else {
            throw .illegalArgument(
                "\(position) is not between the last checkpoint \(committed) and the last delivered record \(delivered)"
            )
        }
        return position
    }

    mutating func written(
        _ write: HeldLease.Write, _ error: CheckpointError?, shardID: String
    ) -> [ShardMachine.Effect] {
        guard let active, active.write == write else { return [] }
        self.active = nil
        if let error { return [.answer(active.id, .failure(error))] }
        let position: Checkpoint
        switch write {
        case .checkpoint(let stored): position = stored
        case .prepare(let prepared):
            pending = prepared
            return [.answer(active.id, .success(prepared.checkpoint))]
        case .renew, .setChildren, .release: return []
        }
        committed = position
        pending = nil
        delivered = max(delivered, position)
        return [
            .answer(active.id, .success(position)),
            .emit(WorkerEvent(.checkpointed, at: .zero, shardID: shardID, checkpoint: position)),
        ]
    }
}
