package import AWSWire
package import Leases
import Machine

/// An action before it is done: the stored row, the one write, what the fleet will do next. What a person confirms,
/// `--dry-run` prints and the audit keeps; only `Operator.perform` acts on it.
package struct Plan: Hashable, Sendable {
    package enum Action: Hashable, Sendable {
        /// Clear the owner; it finds out when it renews.
        case evict
        /// A worker of this process takes the lease.
        case steal(worker: String)
        /// A worker of this process gives its own lease up, after its last checkpoint.
        case release(worker: String)
        /// Give the lease to another worker of a 3.x fleet: after its owner's last checkpoint, or at once.
        case assign(worker: String, isHard: Bool)
        /// End a handover that does not end.
        case completeHandoff
        /// Move the checkpoint and clear the owner. `skips`: records that nobody read are never delivered.
        case rewind(to: Checkpoint, skips: Bool)
        /// Put the checkpoint back to where it was before.
        case undo(RewindDeed)
        /// Make the lease that a shard lacks.
        case create(at: Checkpoint)
        /// Delete a lease whose shard is no more.
        case delete
        /// Delete a lease that was made, put one back that was deleted.
        case uncreate
        case undelete
        /// `at` is the second child's first hash key.
        case split(at: UInt128)
        case merge(with: String)
        case scale(to: Int)

        package var verb: String {
            switch self {
            case .evict: "evict"
            case .steal: "steal"
            case .release: "release"
            case .assign: "assign"
            case .completeHandoff: "complete-handoff"
            case .rewind(_, let skips): skips ? "advance" : "rewind"
            case .undo, .uncreate, .undelete: "undo"
            case .create: "create"
            case .delete: "delete"
            case .split: "split"
            case .merge: "merge"
            case .scale: "scale"
            }
        }
    }

    /// What a person confirms. A live owner moves the counter every few seconds, so the counter is none of it.
    package struct Intent: Hashable, Sendable {
        /// The lease key; `nil` for what concerns the stream only.
        package var leaseKey: String?
        package var owner: String?
        package var checkpointOwner: String?
        /// The worker that shall have it.
        package var target: String?
        /// Whether the shard was read to its end.
        package var isEnded = false
        /// Of a lease without owner, where it matters: only another operator moves it then.
        package var checkpoint: Checkpoint?

        package init(leaseKey: String?, owner: String? = nil, checkpointOwner: String? = nil, target: String? = nil) {
            self.leaseKey = leaseKey
            self.owner = owner
            self.checkpointOwner = checkpointOwner
            self.target = target
        }

        /// Whether `lease` still is what was confirmed.
        package func holds(for lease: Lease) -> Bool {
            lease.leaseKey == leaseKey && lease.leaseOwner == owner && lease.checkpointOwner == checkpointOwner
                && lease.isEnded == isEnded && (checkpoint == nil || lease.checkpoint == checkpoint)
        }
    }

    /// The one call that would be sent now; a lease's is made again from the fresh row.
    package enum Call: Hashable, Sendable {
        case update(UpdateItem)
        /// A row that must not be there yet.
        case put(Item)
        case delete(String, LeaseTable.Deletion)
        case split(stream: String, shard: Shard, at: UInt128)
        case merge(stream: String, shard: Shard, adjacent: Shard)
        case scale(stream: String, from: Int, to: Int)
    }

    package var action: Action
    package var table: String
    /// The shards concerned; the keys of their leases, where the table names its streams.
    package var shardIDs: [String]
    package var intent: Intent
    /// The row as it was last read; empty for a shard action.
    package var stored: Item
    package var call: Call
    /// One line: what is done to what.
    package var title: String
    /// What this generation of fleet does next, a line each.
    package var forecast: [String]
    /// How long nobody reads the shard.
    package var expectedGap: String
    /// What is delivered twice.
    package var expectedDuplicates: String
    package var isUndoable: Bool
    /// Where the worker that shall have the lease shows that it lives; looked at again before the write.
    package var targetReport: ReportPlace?
    /// What a person types to confirm; `nil` where a yes will do.
    package var typed: String?
    /// The stream of the shard, name or ARN, where it is not the fleet's only one.
    package var stream: String?

    /// The call as lines for a screen: the operation, then its members.
    package var callLines: [String] {
        switch call {
        case .update(let update):
            var lines = ["UpdateItem \(update.table) \(update.key[LeaseTable.hashKey]?.plainText ?? "")"]
            lines.append("  \(update.update)")
            if let condition = update.condition { lines.append("  IF \(condition)") }
            lines += update.values.keys.sorted().map { "  \($0) = \(update.values[$0]?.plainText ?? "")" }
            return lines
        case .put(let item):
            return ["PutItem \(table) \(intent.leaseKey ?? "")", "  IF attribute_not_exists(\(LeaseTable.hashKey))"]
                + item.keys.sorted().map { "  \($0) = \(item[$0]?.plainText ?? "")" }
        case .delete(let key, let deletion):
            return ["DeleteItem \(table) \(key)", "  IF \(deletion.condition)"]
                + deletion.values.keys.sorted().map { "  \($0) = \(deletion.values[$0]?.plainText ?? "")" }
        case .split(let stream, let shard, let key):
            return ["SplitShard \(stream) \(shard.shardID)", "  NewStartingHashKey = \(key)"]
        case .merge(let stream, let shard, let adjacent):
            return ["MergeShards \(stream)", "  \(shard.shardID) + \(adjacent.shardID)"]
        case .scale(let stream, let from, let to):
            return ["UpdateShardCount \(stream)", "  \(from) -> \(to), UNIFORM_SCALING"]
        }
    }

    /// The whole confirmation, plain: for `--dry-run` and `--accessible`.
    package var lines: [String] {
        var lines = [title]
        if !stored.isEmpty {
            lines.append("stored row:")
            lines += stored.keys.sorted().map { "  \($0) = \(stored[$0]?.plainText ?? "")" }
        }
        lines += callLines
        lines += forecast
        if !expectedGap.isEmpty { lines.append("gap: \(expectedGap)") }
        if !expectedDuplicates.isEmpty { lines.append("duplicates: \(expectedDuplicates)") }
        lines.append(isUndoable ? "can be undone" : "cannot be undone")
        if let typed { lines.append("to confirm, \(typed) must be typed") }
        return lines
    }
}

/// Why something is not done, in a sentence; exit status 4.
package struct Refusal: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        case readOnly
        case noSuchShard
        case noLease
        case ended
        case unowned
        case alreadyOwner
        case unknownWorker
        case notOurs
        case leaderAssigns
        /// Workers take leases: none is assigned.
        case notAssigned
        case staleWorker
        case noHandoff
        case unknownMode
        case unverifiedStream
        case inHandoff
        case closed
        case tooNarrow
        case outsideRange
        case notAdjacent
        case noNeighbour
        case outsideLimits
        case noStream
        case unreadable
        case noAudit
        case notRead
        case multiStream
        /// A shard's id that several streams have.
        case ambiguous
        case beforeBirth
        case sentinel
        case samePosition
        case inFuture
        case noRecord
        case nothingToUndo
        case exists
        case parentUnread
        case notOrphan
    }

    package var reason: Reason
    package var description: String

    package init(_ reason: Reason, _ description: String) {
        self.reason = reason
        self.description = description
    }
}
