import AWSWire
package import Leases
package import Machine

/// A rewind or advance that was done, as the audit keeps it.
package struct RewindDeed: Hashable, Sendable {
    package var at: UnixTime
    /// The checkpoint before and after.
    package var from: Checkpoint
    package var to: Checkpoint

    package init(at: UnixTime, from: Checkpoint, to: Checkpoint) {
        self.at = at
        self.from = from
        self.to = to
    }

    /// The newest one of `shard` in the lines of an audit, in the same table at the same place; refuses where there is
    /// none, or it was undone.
    ///
    /// - Parameter start: where the fleet began only then; what was done before was done to another.
    package static func last(
        of shard: String, in audit: some Sequence<String>, _ identity: FleetIdentity, notBefore start: UnixTime? = nil
    ) throws(Refusal) -> RewindDeed {
        let found = entries(of: shard, in: audit, identity, ["rewind", "advance", "undo"], notBefore: start).last
        guard let found else {
            throw Refusal(
                .nothingToUndo, "the audit of this user has no rewind of \(shard) in \(identity.table)")
        }
        let at = found["at"]?.string.flatMap { CivilTime.parseISO8601($0) }
        guard found["action"]?.string != "undo" else {
            throw Refusal(
                .nothingToUndo,
                "the last rewind of \(shard) was undone\(at.map { " at \(CivilTime($0).iso8601)" } ?? "") already")
        }
        guard let at, let from = checkpoint(found["oldRow"]), let to = checkpoint(found["newRow"]) else {
            throw Refusal(.nothingToUndo, "the audit does not tell where \(shard) was before")
        }
        return RewindDeed(at: at, from: from, to: to)
    }

    /// The lines that tell of something written to `shard`.
    static func entries(
        of shard: String, in audit: some Sequence<String>, _ identity: FleetIdentity, _ actions: Set<String>,
        notBefore start: UnixTime?
    ) -> [AWSValue] {
        audit.compactMap { line in
            guard let entry = try? JSON.decode(Bytes(line)), entry["phase"]?.string == "after",
                entry["outcome"]?.string?.hasPrefix("written") ?? false, entry["shardIds"]?.strings == [shard],
                entry["table"]?.string == identity.table, entry["region"]?.string == identity.region,
                entry["endpoint"]?.string == identity.endpoint, actions.contains(entry["action"]?.string ?? "")
            else { return nil }
            if let start, let at = entry["at"]?.string.flatMap({ CivilTime.parseISO8601($0) }), at < start {
                return nil
            }
            return entry
        }
    }

    private static func checkpoint(_ row: AWSValue?) -> Checkpoint? {
        row.flatMap { Item(wire: $0) }.flatMap { LeaseTable.row($0).lease }?.checkpoint
    }

    /// Whether a lease at `now` can have come there from the deed and has something to go back to.
    func isUndoable(at now: Checkpoint) -> Bool {
        if now == to { return true }
        guard let number = now.sequenceNumber else { return false }
        if let begin = to.sequenceNumber, number < begin { return false }
        // Past where it was there is nothing to undo; what an advance skipped was not read, however far it came.
        guard !Plan.skips(from: from, to: to), from.sequenceNumber != nil else { return true }
        return now < from
    }
}

extension Plan {
    /// Puts the checkpoint back to where a rewind found it. The counter goes on: it never goes back.
    package static func undo(
        _ shard: String, _ deed: RewindDeed, in fleet: FleetSnapshot
    ) throws(Refusal) -> Plan {
        let (fleet, shard) = try fleet.narrowed(to: shard)
        let (view, lease) = try rewindable(shard, in: fleet)
        guard deed.from.position != .atTimestamp else {
            throw Refusal(.sentinel, "\(view.fullName) was at AT_TIMESTAMP, which is never written")
        }
        guard deed.isUndoable(at: lease.checkpoint) else {
            throw Refusal(
                .nothingToUndo,
                "\(view.fullName) is at \(lease.checkpoint): it was moved again, or is past \(deed.from) already")
        }
        var plan = plan(.undo(deed), lease, view, in: fleet)
        plan.intent.isEnded = lease.isEnded
        if lease.leaseOwner == nil { plan.intent.checkpoint = lease.checkpoint }
        plan.call = .update(LeaseTable.rewind(table: fleet.identity.table, lease, to: deed.from))
        plan.title =
            "undo the \(skips(from: deed.from, to: deed.to) ? "advance" : "rewind") of \(CivilTime(deed.at).iso8601): "
            + "\(view.fullName) from \(lease.checkpoint) to \(deed.from)"
        plan.forecast = rewindForecast(lease, view, to: deed.from, in: fleet)
        plan.expectedGap = takeGap(in: fleet)
        plan.expectedDuplicates =
            skips(from: deed.from, to: deed.to)
            ? "what was read since is delivered again, after what was skipped"
            : "none: what was read before is not read again"
        return plan
    }
}
