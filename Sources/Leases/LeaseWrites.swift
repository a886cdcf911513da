public import AWSWire

/// The conditional writes of kcl.md §2, as values.
///
/// Each requires that the row exists and that its counter is the one that was read; each but the meta-information
/// raises the counter by one. Java's `Expected`/`AttributeUpdates` mean the same.
extension LeaseTable {
    /// The holder's heartbeat.
    public static func renew(table: String, _ lease: Lease) -> UpdateItem {
        write(table, lease, set: [])
    }

    /// `worker` becomes the owner, from nobody, from a dead worker or from a living one (a steal).
    ///
    /// - Parameter failoverTime: where the taker itself writes: it marks the row as one of ours.
    public static func take(
        table: String, _ lease: Lease, by worker: String, failoverTime: Duration? = nil
    ) -> UpdateItem {
        let mark = failoverTime.map { value(OwnerMark(owner: worker, failoverTime: $0)) }
        var values: [String: AttributeValue] = [":owner": .s(worker)]
        values[":mark"] = mark
        var write = write(
            table, lease, set: ["\(Name.owner) = :owner"] + (mark == nil ? [] : ["\(Name.ownerMark) = :mark"]),
            remove: [Name.checkpointOwner],
            add: lease.leaseOwner != nil && lease.leaseOwner != worker ? ["\(Name.ownerSwitches) :one"] : [],
            values: values)
        write.returnValues = "ALL_NEW"
        return write
    }

    /// The holder gives its own lease up, or an operator clears a foreign owner (evict): nobody owns it afterwards.
    ///
    /// During a handoff the successor stays in `leaseOwner`, so that it picks the lease up (kcl.md §2, evict [3]).
    public static func release(table: String, _ lease: Lease) -> UpdateItem {
        let mark = lease.ownerMark == nil ? [] : [Name.ownerMark]
        var write = write(
            table, lease, set: [],
            remove: (lease.isInHandoff ? [Name.checkpointOwner] : [Name.owner, Name.checkpointOwner]) + mark)
        guardOwners(&write, lease)
        write.returnValues = "ALL_NEW"
        return write
    }

    /// Commits `checkpoint`: clears what was pending and starts counting owner switches anew.
    public static func checkpoint(table: String, _ lease: Lease, at checkpoint: Checkpoint) -> UpdateItem {
        write(
            table, lease,
            set: [
                "\(Name.checkpoint) = :checkpoint", "\(Name.subSequence) = :sub", "\(Name.ownerSwitches) = :zero",
            ], remove: [Name.pending, Name.pendingSubSequence, Name.pendingState],
            values: [
                ":checkpoint": .s(checkpoint.text), ":sub": .n(checkpoint.subSequenceNumber), ":zero": .n(0),
            ])
    }

    /// An operator moves the checkpoint, and what was prepared is dropped. Nobody owns the lease afterwards: an owner
    /// that stayed would adopt the raised counter and overwrite the position with its next checkpoint (kcl.md §0.1).
    ///
    /// Requires the owner as read, and that no handoff is under way, whatever `lease` says.
    public static func rewind(table: String, _ lease: Lease, to checkpoint: Checkpoint) -> UpdateItem {
        var lease = lease
        lease.checkpointOwner = nil
        var write = write(
            table, lease, set: ["\(Name.checkpoint) = :checkpoint", "\(Name.subSequence) = :sub"],
            remove: [Name.owner, Name.pending, Name.pendingSubSequence, Name.pendingState]
                + (lease.ownerMark == nil ? [] : [Name.ownerMark]),
            values: [":checkpoint": .s(checkpoint.text), ":sub": .n(checkpoint.subSequenceNumber)])
        guardOwners(&write, lease)
        write.returnValues = "ALL_NEW"
        return write
    }

    /// Stores a prepared checkpoint beside the committed one.
    public static func prepare(table: String, _ lease: Lease, pending: PendingCheckpoint) -> UpdateItem {
        var write = write(
            table, lease, set: ["\(Name.pending) = :pending", "\(Name.pendingSubSequence) = :pendingSub"],
            values: [
                ":pending": .s(pending.checkpoint.text), ":pendingSub": .n(pending.checkpoint.subSequenceNumber),
            ])
        if let state = pending.state {
            write.update = write.update.replacing("SET ", with: "SET \(Name.pendingState) = :state, ")
            write.values[":state"] = .b(state)
        } else {
            write.update += " REMOVE \(Name.pendingState)"
        }
        return write
    }

    /// Notes the children of an ended shard; the counter stays (kcl.md §2, meta-info update).
    public static func setChildren(table: String, _ lease: Lease, _ children: [String]) -> UpdateItem {
        UpdateItem(
            table: table, key: key(lease.leaseKey), update: "SET \(Name.children) = :children",
            condition: "attribute_exists(\(hashKey)) AND \(Name.counter) = :counter",
            values: [":children": .ss(Set(children)), ":counter": .n(lease.leaseCounter)])
    }

    /// Back-fills the hash range of an old lease; the counter stays, and it need not be ours.
    public static func setHashKeyRange(table: String, _ leaseKey: String, _ range: HashKeyRange) -> UpdateItem {
        UpdateItem(
            table: table, key: key(leaseKey),
            update: "SET \(Name.startingHash) = :start, \(Name.endingHash) = :end",
            condition: "attribute_exists(\(hashKey)) AND attribute_not_exists(\(Name.startingHash))",
            values: [":start": .s(String(range.start)), ":end": .s(String(range.end))])
    }

    /// What a DeleteItem of ours requires: a row that is still SHARD_END and of the same owner, and of a foreign one
    /// that it stands still. No worker that holds the lease finds its row gone.
    public static func deletion(of lease: Lease, by worker: String) -> Deletion {
        var values: Item = [":end": .s(Checkpoint.shardEnd.text)]
        var condition = "#checkpoint = :end AND "
        if let owner = lease.leaseOwner {
            values[":owner"] = .s(owner)
            condition += "\(Name.owner) = :owner"
        } else {
            condition += "attribute_not_exists(\(Name.owner))"
        }
        if lease.leaseOwner != worker {
            values[":counter"] = .n(lease.leaseCounter)
            condition += " AND \(Name.counter) = :counter"
        }
        return Deletion(condition: condition, names: ["#checkpoint": Name.checkpoint], values: values)
    }

    /// The condition of a DeleteItem.
    public struct Deletion: Hashable, Sendable {
        public var condition: String
        public var names: [String: String]
        public var values: Item

        public init(condition: String, names: [String: String], values: Item) {
            self.condition = condition
            self.names = names
            self.values = values
        }
    }

    static func write(
        _ table: String, _ lease: Lease, set: [String], remove: [String] = [], add: [String] = [],
        values: [String: AttributeValue] = [:]
    ) -> UpdateItem {
        var update = "SET " + (set + ["\(Name.counter) = :next"]).joined(separator: ", ")
        if !remove.isEmpty { update += " REMOVE " + remove.joined(separator: ", ") }
        if !add.isEmpty { update += " ADD " + add.joined(separator: ", ") }
        var all = values
        all[":counter"] = .n(lease.leaseCounter)
        all[":next"] = .n(lease.leaseCounter &+ 1)
        if !add.isEmpty { all[":one"] = .n(1) }
        return UpdateItem(
            table: table, key: key(lease.leaseKey), update: update,
            condition: "attribute_exists(\(hashKey)) AND \(Name.counter) = :counter", values: all)
    }

    /// Adds to the condition that owner and checkpointOwner are as read.
    static func guardOwners(_ write: inout UpdateItem, _ lease: Lease) {
        for (name, placeholder, value) in [
            (Name.owner, ":wasOwner", lease.leaseOwner),
            (Name.checkpointOwner, ":wasCheckpointOwner", lease.checkpointOwner),
        ] {
            if let value {
                write.condition = (write.condition ?? "") + " AND \(name) = \(placeholder)"
                write.values[placeholder] = .s(value)
            } else {
                write.condition = (write.condition ?? "") + " AND attribute_not_exists(\(name))"
            }
        }
    }
}

extension LeaseTable {
    /// `write` with the further condition that owner and checkpointOwner are as in `lease`: the start of a graceful
    /// handoff does not raise the counter (kcl.md §2), so the counter alone does not tell that they are.
    public static func guarded(_ write: UpdateItem, as lease: Lease) -> UpdateItem {
        var write = write
        guardOwners(&write, lease)
        return write
    }
}
