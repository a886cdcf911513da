import AWSWire
import Leases
import Machine

/// The checkpointer's contract for one tenure (kcl.md §7, §0.5): what may be checkpointed, one request at a time.
struct Checkpoints: Sendable {
    /// Stored last.
    private(set) var committed: Checkpoint
    /// The last record that was delivered.
    private var delivered: Checkpoint
    /// `delivered` before the batch in progress.
    private var deliveredBefore: Checkpoint
    private var prepared: Checkpoint?
    /// Inside `shardEnded`: SHARD_END may be checkpointed.
    var isAtShardEnd = false
    var requests: [(id: Int, request: CheckpointRequest)] = []
    private var active: (id: Int, write: HeldLease.Write)?

    init(start: Checkpoint) {
        committed = start
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

    /// Answers or starts the requests that wait.
    mutating func advance(mayWrite: Bool) -> [ShardMachine.Effect] {
        var effects: [ShardMachine.Effect] = []
        while active == nil, let (id, request) = requests.first {
            requests.removeFirst()
            guard mayWrite else {
                effects.append(.answer(id, .shutdown))
                continue
            }
            do throws(CheckpointError) {
                guard let write = try write(for: request) else {
                    effects.append(.answer(id, nil))
                    continue
                }
                active = (id, write)
                effects.append(.write(write))
            } catch {
                effects.append(.answer(id, error))
            }
        }
        return effects
    }

    /// The write that `request` asks for; `nil` where it is stored already.
    private mutating func write(for request: CheckpointRequest) throws(CheckpointError) -> HeldLease.Write? {
        switch request {
        case .commit(let position):
            let position = try allowed(position)
            return position == committed ? nil : .checkpoint(position)
        case .prepare(let position, let state):
            let position = try allowed(position)
            if position == committed { return nil }
            prepared = position
            return .prepare(PendingCheckpoint(checkpoint: position, state: state))
        case .commitPrepared(let position):
            let position = try allowed(position ?? prepared)
            return position == committed ? nil : .checkpoint(position)
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
        if let error { return [.answer(active.id, error)] }
        guard case .checkpoint(let position) = write else { return [.answer(active.id, nil)] }
        committed = position
        delivered = max(delivered, position)
        prepared = nil
        return [
            .answer(active.id, nil),
            .emit(WorkerEvent(.checkpointed, at: .zero, shardID: shardID, checkpoint: position)),
        ]
    }
}
