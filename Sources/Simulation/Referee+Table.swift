import KinesisConsumer
import Leases
import Machine
import Synchronization

/// The lease table: every write is checked at the moment at which it takes effect.
extension Referee {
    /// A write of `worker` took effect.
    ///
    /// - Parameters:
    ///   - before: the row as it was; `nil` where there was none.
    ///   - after: the row as it is; `nil` where it was deleted.
    ///   - children: of the shard, where the write ends it.
    func wrote(
        _ key: String, before: Lease?, after: Lease?, by worker: Incarnation, sentAt: Timestamp, children: [String]
    ) {
        note(
            "\(worker.workerID)#\(worker.number) wrote \(key) \(after?.leaseOwner ?? "-") "
                + "\(after.map { String($0.leaseCounter) } ?? "deleted") \(after?.checkpoint.description ?? "")")
        state.withLock { state in
            state.leases[key] = after
            if after == nil || before == nil { state.disturbedAt = now }
            if before == nil { state.createdAt[key] = now }
            if after == nil || after?.isEnded == true && before?.isEnded == false { state.goneAt[key] = now }
            guard let after else {
                deleted(key, before, by: worker, &state)
                return
            }
            guard let before else {
                if !state.everExisted.insert(key).inserted {
                    report(.deletedOnlyAtShardEnd, "\(key) was deleted and is created again", &state)
                }
                return
            }
            if after.leaseCounter < before.leaseCounter {
                report(
                    .counterNeverFalls,
                    "\(worker.workerID) set \(key) from \(before.leaseCounter) to \(after.leaseCounter)", &state)
            }
            checkCheckpoint(key, before, after, worker, children, &state)
            changeOwner(key, before, after, worker, &state)
            if after.leaseOwner == worker.workerID, after.leaseCounter != before.leaseCounter {
                state.confirmed[key, default: [:]][worker] = sentAt
            }
        }
    }

    private func deleted(_ key: String, _ before: Lease?, by worker: Incarnation, _ state: inout State) {
        state.report.leasesDeleted += 1
        guard let before else { return }
        if before.isEnded {
            state.cleanedUp.insert(key)
        } else {
            report(.deletedOnlyAtShardEnd, "\(worker.workerID) deleted \(key) at \(before.checkpoint)", &state)
        }
    }

    private func checkCheckpoint(
        _ key: String, _ before: Lease, _ after: Lease, _ worker: Incarnation, _ children: [String],
        _ state: inout State
    ) {
        guard after.checkpoint != before.checkpoint else { return }
        state.report.checkpoints += 1
        if after.checkpoint < before.checkpoint {
            report(.checkpointNeverFalls, "\(key) went from \(before.checkpoint) to \(after.checkpoint)", &state)
        }
        if before.leaseOwner != worker.workerID || state.holders[key] != worker {
            report(
                .zombieNeverCheckpoints,
                "\(worker.workerID) checkpointed \(key), which \(before.leaseOwner ?? "nobody") holds", &state)
        }
        let asked = state.asked[key]?[worker] ?? .atTimestamp
        if after.checkpoint > asked {
            report(.storedAsAsked, "\(key) is checkpointed at \(after.checkpoint), only \(asked) was asked for", &state)
        }
        if var history = state.shards[key] {
            let count = history.count(through: after.checkpoint)
            if let index = history.deliveries[min(history.checked, count)..<count].firstIndex(where: { $0 <= 0 }) {
                report(
                    .nothingBelowCheckpointSkipped,
                    "\(key) is checkpointed at \(after.checkpoint), but \(history.name(index)) was not delivered",
                    &state)
            }
            history.checked = max(history.checked, count)
            state.shards[key] = history
        }
        if after.isEnded {
            for child in children where !state.everExisted.contains(child) {
                report(.childrenBeforeShardEnd, "\(key) ended before its child \(child) has a lease", &state)
            }
        }
    }

    private func changeOwner(
        _ key: String, _ before: Lease, _ after: Lease, _ worker: Incarnation, _ state: inout State
    ) {
        let isTake = after.leaseOwner == worker.workerID && state.holders[key] != worker
        guard before.leaseOwner != after.leaseOwner || isTake else { return }
        state.ownershipChanges += 1
        state.causes[key] = cause(key, before, worker, state)
        if after.leaseOwner == nil {
            // Whoever was robbed before may not know it yet; its own fence goes on.
            state.confirmed[key]?[worker] = nil
            state.leftAt[key, default: [:]][worker] = now
            state.holders[key] = nil
            state.releasedAt[key] = now
            return
        }
        if before.leaseOwner == nil, before.leaseCounter == 0 { checkShare(key, worker, &state) }
        state.unfencedTakes[key] = nil
        if let from = state.holders[key], from != worker, !state.dead.contains(from),
            let confirmed = state.confirmed[key]?[from],
            now < confirmed + failoverTime(of: from, state) - tolerance(failoverTime(of: from, state)),
            before.leaseOwner == from.workerID
        {
            state.unfencedTakes[key] = (worker, from, after.leaseCounter)
        }
        state.holders[key] = worker
        state.confirmed[key]?[worker] = nil
    }

    /// Whoever was robbed may believe that it holds the lease until its fence, and no longer.
    func subscribed(_ shardID: String, by worker: Incarnation, sentAt: Timestamp) {
        state.withLock { state in
            if let confirmed = state.confirmed[shardID]?[worker] {
                guard sentAt > confirmed + failoverTime(of: worker, state) + tolerance(failoverTime(of: worker, state))
                else { return }
            } else if let left = state.leftAt[shardID]?[worker] {
                guard sentAt > left else { return }
            }
            report(
                .holderSubscribes, "\(worker.workerID) subscribes to \(shardID), whose lease it does not hold", &state)
        }
    }

    /// Why `worker` writes itself into the row, for the duplicates that follow.
    private func cause(_ key: String, _ before: Lease, _ worker: Incarnation, _ state: State) -> String {
        guard let from = state.holders[key], before.leaseOwner == from.workerID else { return "release" }
        if from == worker { return "lost answer" }
        if from.workerID == worker.workerID { return "restart" }
        if state.dead.contains(from) { return state.killed.contains(from) ? "kill" : "shutdown" }
        let confirmed = state.confirmed[key]?[from] ?? .zero
        return now < confirmed + failoverTime(of: from, state) ? "theft" : "cut off"
    }

    /// - Parameter action: as IAM calls it, `dynamodb:Scan`.
    func called(_ action: String) { state.withLock { _ = $0.report.actions.insert(action) } }

    func scanned(rows: Int, segment: String, by worker: Incarnation) {
        note("\(worker.workerID)#\(worker.number) scanned \(segment): \(rows) rows")
        state.withLock { state in
            state.scannedRows += Double(rows) / Double(max(1, state.leases.count))
        }
    }
}
