package import AWSWire
import Leases
package import Machine

/// A lease that an operator made or deleted, as the audit keeps it.
package struct RowDeed: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case created
        case deleted
    }

    package var kind: Kind
    package var at: UnixTime
    /// The row that was made or deleted.
    package var row: Item

    package init(_ kind: Kind, at: UnixTime, row: Item) {
        self.kind = kind
        self.at = at
        self.row = row
    }
}

/// The last thing done to a shard that can be undone.
package enum Deed: Hashable, Sendable {
    case moved(RewindDeed)
    case row(RowDeed)

    /// Reads the audit as `RewindDeed.last` does, leases made and deleted included.
    package static func last(
        of shard: String, in audit: some Sequence<String>, _ identity: FleetIdentity, notBefore start: UnixTime? = nil
    ) throws(Refusal) -> Deed {
        let entries = RewindDeed.entries(
            of: shard, in: audit, identity, ["rewind", "advance", "undo", "create", "delete"], notBefore: start)
        guard let last = entries.last, let action = last["action"]?.string, action == "create" || action == "delete"
        else {
            return .moved(try RewindDeed.last(of: shard, in: audit, identity, notBefore: start))
        }
        let row = (action == "create" ? last["newRow"] : last["oldRow"]).flatMap { Item(wire: $0) }
        guard let row, let at = last["at"]?.string.flatMap({ CivilTime.parseISO8601($0) }) else {
            throw Refusal(.nothingToUndo, "the audit does not tell what the lease of \(shard) was")
        }
        return .row(RowDeed(action == "create" ? .created : .deleted, at: at, row: row))
    }
}

extension Plan {
    package static func undo(_ shard: String, _ deed: Deed, in fleet: FleetSnapshot) throws(Refusal) -> Plan {
        switch deed {
        case .moved(let deed): try undo(shard, deed, in: fleet)
        case .row(let deed): try undo(shard, deed, in: fleet)
        }
    }

    /// Deletes a lease that was made, as long as nobody took it; puts one that was deleted back, without owner.
    package static func undo(_ shard: String, _ deed: RowDeed, in fleet: FleetSnapshot) throws(Refusal) -> Plan {
        guard fleet.scans > 0 else { throw Refusal(.notRead, "the lease table was not read yet: wait a moment") }
        let when = CivilTime(deed.at).iso8601
        let view = fleet.leases.first {
            ($0.id == shard || $0.shardID == shard && !fleet.namesStreams) && $0.kind == .lease
        }
        switch deed.kind {
        case .created:
            guard let view, let lease = view.lease else {
                throw Refusal(.nothingToUndo, "the lease of \(shard) that was made at \(when) is gone already")
            }
            guard view.stored == deed.row else {
                throw Refusal(
                    .nothingToUndo, "the lease of \(shard) was taken or changed since it was made at \(when)")
            }
            var plan = plan(.uncreate, lease, view, in: fleet)
            plan.intent.checkpoint = lease.checkpoint
            plan.call = .delete(lease.leaseKey, LeaseTable.deletion(ofOrphan: lease))
            plan.title = "undo the create of \(when): delete the lease of \(view.fullName)"
            plan.forecast = ["nobody reads the shard; KCL's shard sync makes such a lease within about 6 minutes"]
            plan.expectedDuplicates = "none: nobody took the lease"
            return plan
        case .deleted:
            guard view == nil, let lease = LeaseTable.row(deed.row).lease else {
                throw Refusal(.nothingToUndo, "\(shard) has a lease again: nothing is put back over it")
            }
            return Plan(
                action: .undelete, table: fleet.identity.table, shardIDs: [lease.leaseKey],
                intent: Intent(leaseKey: lease.leaseKey), stored: [:], call: .put(LeaseTable.restored(deed.row, lease)),
                title: "undo the delete of \(when): put the lease of \(lease.shardID) back at \(lease.checkpoint)",
                forecast: takersForecast(in: fleet), expectedGap: takeGap(in: fleet),
                expectedDuplicates: "all after \(lease.checkpoint), if the stream still has it", isUndoable: false)
        }
    }
}
