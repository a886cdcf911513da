import AWSWire
package import Leases
import Machine

extension Plan {
    /// Makes the lease that an open or closed shard of the stream lacks, as KCL's shard sync would.
    ///
    /// - Parameter position: where it is read from. A child of a reshard is read from its beginning, or its parents'
    ///   records and its own would be out of order: only `TRIM_HORIZON`.
    package static func create(
        _ shard: String, at position: Checkpoint = .trimHorizon, in fleet: FleetSnapshot
    ) throws(Refusal) -> Plan {
        let (fleet, shard) = try fleet.narrowed(to: shard)
        let (stream, tree) = try verified(fleet, "made")
        guard let shard = tree[shard] else {
            throw Refusal(.noSuchShard, "\(stream) has no shard \(shard): no lease is made for it")
        }
        let id = shard.shardID
        if let view = fleet.leases.first(where: { $0.shardID == id && $0.kind == .lease }) {
            throw Refusal(.exists, "\(id) has a lease already (\(view.why))")
        }
        let key = fleet.leaseKey(of: id)
        if fleet.otherRows.contains(where: { $0.key == key }) {
            throw Refusal(.unreadable, "row \(id) is there and is no lease that can be read: nothing is written to it")
        }
        let parents = shard.parentShardIDs
        for parent in tree.listedParents(of: id) {
            guard let lease = fleet.leases.first(where: { $0.shardID == parent })?.lease, !lease.isEnded else {
                continue
            }
            throw Refusal(
                .parentUnread,
                "\(parent), of which \(id) was born, is still being read: whoever reads it to its end makes this lease")
        }
        try check(position, of: shard, isChild: !parents.isEmpty)
        let lease = Lease(
            leaseKey: key, leaseCounter: 0, checkpoint: position, parentShardIDs: parents,
            hashKeyRange: shard.hashKeyRange, streamName: fleet.only?.text)
        var item = LeaseTable.newItem(lease)
        // Where the fleet's own rows say what they are (3.5), this one does.
        if fleet.leases.contains(where: { LeaseTable.namesItsKind($0.stored) }) {
            item = LeaseTable.namingItsKind(item)
        }
        let skips = position == .latest
        var plan = Plan(
            action: .create(at: position), table: fleet.identity.table, shardIDs: [key],
            intent: Intent(leaseKey: key), stored: [:], call: .put(item),
            title: "create the lease of \(fleet.name(of: id)) at \(position)",
            forecast: createForecast(shard, tree, skips: skips, in: fleet), expectedGap: takeGap(in: fleet),
            expectedDuplicates: "what was read of the shard before, if it was, is delivered again", isUndoable: true)
        if skips {
            plan.typed = fleet.identity.application
            plan.expectedDuplicates = "none"
        }
        return plan
    }

    /// Deletes a lease whose shard the stream does not have any more.
    package static func delete(_ shard: String, in fleet: FleetSnapshot) throws(Refusal) -> Plan {
        let (fleet, shard) = try fleet.narrowed(to: shard)
        let (stream, _) = try verified(fleet, "deleted")
        let (view, lease) = try lease(shard, in: fleet, endedToo: true)
        guard view.state == .orphan else {
            throw Refusal(
                .notOrphan,
                fleet.shards?[view.shardID] != nil
                    ? "\(stream) has the shard \(view.fullName): only a lease without a shard may be deleted"
                    : "that \(stream) has no shard \(view.fullName) is sure only after two full lists a minute apart: "
                        + "watch for longer")
        }
        var plan = plan(.delete, lease, view, in: fleet)
        plan.intent.isEnded = lease.isEnded
        if lease.leaseOwner == nil { plan.intent.checkpoint = lease.checkpoint }
        plan.call = .delete(lease.leaseKey, LeaseTable.deletion(ofOrphan: lease))
        if fleet.only != nil { plan.stream = stream }
        plan.title = "delete the lease of \(view.fullName), which \(stream) does not have"
        plan.forecast = ["KCL's workers delete such a lease themselves, within about 30 minutes"]
        if let owner = lease.actualOwner {
            plan.forecast.append("\(owner) gets ZOMBIE when it next renews or checkpoints (\(renewal(in: fleet)))")
        }
        plan.expectedDuplicates = "none: the stream has none of the shard's records"
        plan.isUndoable = true
        return plan
    }

    private static func verified(
        _ fleet: FleetSnapshot, _ done: String
    ) throws(Refusal) -> (stream: String, ShardTree) {
        guard fleet.scans > 0 else { throw Refusal(.notRead, "the lease table was not read yet: wait a moment") }
        guard let stream = fleet.identity.stream, let tree = fleet.shards else {
            throw Refusal(.noStream, "the stream is not known: give --stream; no lease is \(done) without it")
        }
        guard fleet.streamMatch == .verified else {
            let match = fleet.streamMatch
            throw Refusal(
                .unverifiedStream,
                "\(stream) is not proven to be the stream of \(fleet.identity.table) "
                    + "(\(match?.why ?? match?.word ?? "not looked at")): no lease is \(done)")
        }
        guard fleet.only != nil || !fleet.leases.contains(where: { $0.lease?.isMultiStream ?? false }) else {
            throw Refusal(
                .multiStream, "\(fleet.identity.table) holds the leases of several streams: no lease is \(done) there")
        }
        return (stream, tree)
    }

    private static func check(_ position: Checkpoint, of shard: Shard, isChild: Bool) throws(Refusal) {
        switch position.position {
        case .trimHorizon: return
        case .latest where !isChild && shard.isOpen: return
        case .latest where isChild:
            throw Refusal(
                .sentinel,
                "\(shard.shardID) was born of \(shard.parentShardIDs.joined(separator: " and ")): a child is read from "
                    + "TRIM_HORIZON, or records between are lost")
        case .latest: throw Refusal(.closed, "\(shard.shardID) is closed: at LATEST nothing would be read")
        case .sequenceNumber, .atTimestamp, .shardEnd:
            throw Refusal(.sentinel, "a lease is made at TRIM_HORIZON or LATEST; rewind it afterwards")
        }
    }

    private static func createForecast(
        _ shard: Shard, _ tree: ShardTree, skips: Bool, in fleet: FleetSnapshot
    ) -> [String] {
        var lines = takersForecast(in: fleet)
        if skips { lines.insert("SKIPPED: all that is in the shard now. No worker gets it", at: 0) }
        let orphaned = tree.listedParents(of: shard.shardID).filter { parent in
            !fleet.leases.contains { $0.shardID == parent && $0.kind == .lease }
        }
        if !orphaned.isEmpty {
            lines.append(
                "\(orphaned.joined(separator: " and ")), of which it was born, \(orphaned.count == 1 ? "has" : "have") "
                    + "no lease either: what is left there is read by nobody, unless its lease is made first")
        }
        if !shard.isOpen { lines.append("the shard is closed: what is left of it is read, then it is ENDED") }
        return lines
    }
}
