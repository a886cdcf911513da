import AWSWire
import Leases
import Machine

/// What one shard asks for, and its place among the shards.
extension WorkerRuntime {
    func perform(
        _ effect: ShardMachine.Effect, tenure: Int, leaseKey: String
    ) async -> WorkerMachine.Event? {
        switch effect {
        case .checkParents(let parents): return .shard(tenure: tenure, await checkParents(parents))
        case .call(let call, let fence):
            return .shard(tenure: tenure, await perform(call, tenure: tenure, leaseKey: leaseKey, fence: fence))
        case .getIterator(let position):
            return .shard(tenure: tenure, await iterator(leaseKey, position))
        case .fetch(let iterator, let limit, let dropThrough, let range):
            return .shard(
                tenure: tenure,
                await fetch(
                    iterator, limit: limit, shard: leaseKey, tenure: tenure, dropThrough: dropThrough, range: range))
        case .subscribe(let id, let position, let fence):
            return .shard(
                tenure: tenure, await subscribe(id, shard: leaseKey, tenure: tenure, at: position, fence: fence))
        case .pull(let id, let dropThrough, let range):
            return .shard(
                tenure: tenure, await pull(id, shard: leaseKey, tenure: tenure, dropThrough: dropThrough, range: range))
        case .findChildren: return .shard(tenure: tenure, await findChildren(leaseKey))
        case .createChildren(let children):
            return .shard(tenure: tenure, await createChildren(children, parent: leaseKey))
        // Performed on the spot, or kept by the worker's machine to itself.
        case .answer, .emit, .discard, .unsubscribe, .dropProcessor, .write, .giveUp: return nil
        }
    }

    /// Parents whose leases exist and are not SHARD_END, by a consistent read (kcl.md §4.3).
    private func checkParents(_ parents: [String]) async -> ShardMachine.Event {
        var unfinished: [String] = []
        for parent in parents {
            do {
                let row = try await worker.dynamoDB.getItem(table, key: LeaseTable.key(parent)).map(LeaseTable.row)
                if let row, row.lease?.isEnded != true { unfinished.append(parent) }
            } catch {
                return .parentCheckFailed
            }
        }
        return .parentsChecked(unfinished: unfinished)
    }

    private func findChildren(_ shard: String) async -> ShardMachine.Event {
        do {
            let tree = ShardTree(try await worker.kinesis.listShards(stream: configuration.streamName))
            return .childrenFound(closed: tree[shard]?.isOpen != true, tree.childShards(of: shard))
        } catch {
            // Reading on finds out whether the stream is gone.
            return error.meaning == .notFound
                ? .childrenFound(closed: true, []) : .childrenNotCreated(error.description)
        }
    }

    /// Creates the children's leases. A merge child wants both parents' leases present, or both absent: with one
    /// missing the table is inconsistent, and somebody has to repair it first (kcl.md §4.4).
    private func createChildren(_ children: [ChildShard], parent: String) async -> ShardMachine.Event {
        let lookedAt = worker.time.now()
        do {
            for child in children {
                for other in child.parentShardIDs where other != parent {
                    guard try await worker.dynamoDB.getItem(table, key: LeaseTable.key(other)) == nil else { continue }
                    let existing = try await worker.dynamoDB.getItem(table, key: LeaseTable.key(child.shardID))
                    if existing == nil {
                        return .childrenNotCreated(
                            "the lease of \(other), the other parent of \(child.shardID), is missing")
                    }
                }
                // Of a merge, both parents come by here; the one whose write it was says so.
                guard try await worker.create(childLease(child), lookedAt: lookedAt, isChild: true) else {
                    continue
                }
                worker.emit(
                    WorkerEvent(
                        .childLeaseCreated, at: .zero, shardID: child.shardID, checkpoint: .trimHorizon,
                        message: "child of \(parent)"))
            }
            return .childrenCreated
        } catch {
            return .childrenNotCreated("\(error)")
        }
    }
}
