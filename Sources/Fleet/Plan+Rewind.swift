import AWSWire
import Leases
import Machine

extension Plan {
    /// A rewind, or what must be looked up before it can be planned.
    package enum RewindStep: Hashable, Sendable {
        case plan(Plan)
        case search(PositionSearch)
    }

    /// Moves the checkpoint of a lease, back or forth, and clears its owner.
    package static func rewind(
        _ shard: String, to request: RewindRequest, in fleet: FleetSnapshot
    ) throws(Refusal) -> RewindStep {
        let (fleet, shard) = try fleet.narrowed(to: shard)
        let (view, lease) = try rewindable(shard, in: fleet)
        switch request {
        case .sentinel(let checkpoint):
            try check(sentinel: checkpoint, lease, view)
            return .plan(try rewind(lease, view, to: checkpoint, in: fleet))
        case .number(let number): return .search(try search(from: .number(number), view, in: fleet))
        case .time(let time): return .search(try search(from: .time(time), view, in: fleet))
        case .ago(let duration):
            return .search(try search(from: .time(fleet.takenAt + (.zero - duration)), view, in: fleet))
        }
    }

    /// The rewind for which `search` was made, to the record that it found: that record is delivered again.
    ///
    /// Every worker resumes AT the sequence number of its checkpoint and drops what is not above (number,
    /// sub-sequence); user records count from 0, so above (number, −1) is all of the record, an aggregate's every part
    /// (kcl.md §1.6).
    package static func rewind(
        after search: PositionSearch, _ found: PositionSearch.Found, in fleet: FleetSnapshot
    ) throws(Refusal) -> Plan {
        let (fleet, shard) = try fleet.narrowed(to: search.leaseKey)
        let (view, lease) = try rewindable(shard, in: fleet)
        switch found {
        case .record(let number, let arrival):
            return try rewind(
                lease, view, to: Checkpoint(.sequenceNumber(number), subSequenceNumber: -1),
                foundLines(search, number, arrival, in: fleet), in: fleet)
        case .nothing:
            throw Refusal(
                .noRecord, "no record of \(view.fullName) came \(search.start.words) or later: there is none to go to")
        case .unfinished(let pages):
            throw Refusal(
                .noRecord,
                "no record of \(view.fullName) was found in \(pages) reads from \(search.start.words) on: give a later time"
            )
        }
    }

    /// Whether records that nobody read would never be delivered. Where it is not known they might be.
    static func skips(from old: Checkpoint, to new: Checkpoint) -> Bool {
        switch (old.position, new.position) {
        case (_, .trimHorizon), (.shardEnd, _): false
        case (.sequenceNumber, .sequenceNumber): new > old
        default: true
        }
    }

    /// Whether `lease`, read again, is still what was confirmed.
    func holds(for lease: Lease) -> Bool {
        guard intent.holds(for: lease) else { return false }
        // An owner moves its checkpoint all the time; past the target a rewind would be an advance, and the reverse.
        return switch action {
        case .rewind(let target, let skips): Self.skips(from: lease.checkpoint, to: target) == skips
        case .undo(let deed): deed.isUndoable(at: lease.checkpoint)
        case .evict, .steal, .release, .assign, .completeHandoff, .create, .delete, .uncreate,
            .undelete, .split, .merge, .scale:
            true
        }
    }

    // MARK: - What is refused

    static func rewindable(
        _ shard: String, in fleet: FleetSnapshot
    ) throws(Refusal) -> (LeaseView, Lease) {
        let (view, lease) = try lease(shard, in: fleet, endedToo: true)
        guard !lease.isMultiStream || fleet.only != nil else {
            throw Refusal(
                .multiStream,
                "\(fleet.identity.table) holds the leases of several streams: a rewind there is refused")
        }
        if let owner = lease.checkpointOwner {
            throw Refusal(
                .inHandoff,
                "\(view.fullName) is being handed over: \(owner) may checkpoint yet and would overwrite the position; "
                    + "wait until the handover is done, or evict first")
        }
        if lease.isEnded, let why = whyNotAtRest(fleet) {
            let children = fleet.shards?.children[view.shardID] ?? lease.childShardIDs
            throw Refusal(
                .ended,
                "\(view.fullName) is at SHARD_END"
                    + (children.isEmpty ? "" : ", its children \(children.joined(separator: " and ")) are being read")
                    + ": KCL's cleanup deletes its lease whatever it says, and its records would come after those of "
                    + "its children. Stop all workers first: \(why)")
        }
        return (view, lease)
    }

    private static func check(sentinel: Checkpoint, _ lease: Lease, _ view: LeaseView) throws(Refusal) {
        switch sentinel.position {
        case .trimHorizon: break
        case .latest:
            guard !lease.isEnded else {
                throw Refusal(.ended, "\(view.fullName) was read to its end: nothing comes after")
            }
        case .atTimestamp:
            throw Refusal(
                .sentinel,
                "AT_TIMESTAMP is never written: a worker whose initial position is another fails at it again and "
                    + "again. Give the time itself")
        case .shardEnd, .sequenceNumber:
            throw Refusal(
                .sentinel,
                "SHARD_END is never written: only the worker that read a shard to its end knows that. LATEST skips "
                    + "what is unread")
        }
    }

    /// Why it is not sure that no worker runs; `nil` where it is.
    private static func whyNotAtRest(_ fleet: FleetSnapshot) -> String? {
        let living = fleet.workers.filter { ![.learning, .expired, .stopped].contains($0.state) }
        if !living.isEmpty { return "\(names(living)) \(living.count == 1 ? "lives" : "live")" }
        let doubted = fleet.workers.filter { $0.state == .learning }
        if !doubted.isEmpty {
            return "whether \(names(doubted)) lives is not known; watch for longer with --observe, or give "
                + "--failover-time"
        }
        // A worker that lives would take what is free.
        let enough = fleet.failoverTime.duration * 2
        return fleet.observedFor < enough
            ? "that none lives is not sure before \(enough.brief); watch for longer with --observe" : nil
    }

    // MARK: - Positions inside the shard

    private static func search(
        from start: PositionSearch.Start, _ view: LeaseView, in fleet: FleetSnapshot
    ) throws(Refusal) -> PositionSearch {
        guard let stream = fleet.identity.stream, let shards = fleet.shards else {
            throw Refusal(
                .noStream,
                "the record to go to is looked up in the stream, which is not known: give --stream, or go to "
                    + "TRIM_HORIZON")
        }
        if let match = fleet.streamMatch, match != .verified {
            throw Refusal(
                .unverifiedStream,
                "\(stream) is not proven to be the stream of \(fleet.identity.table) (\(match.why ?? match.word)), and "
                    + "nobody could read from a position of another: only TRIM_HORIZON and LATEST are possible")
        }
        guard let shard = shards[view.shardID] else {
            throw Refusal(.noSuchShard, "\(stream) has no shard \(view.fullName)")
        }
        try check(start, in: shard, fleet)
        return PositionSearch(
            stream: stream, leaseKey: fleet.leaseKey(of: shard.shardID), shardID: shard.shardID, start: start)
    }

    private static func check(
        _ start: PositionSearch.Start, in shard: Shard, _ fleet: FleetSnapshot
    ) throws(Refusal) {
        switch start {
        case .number(let number):
            if let first = SequenceNumber(shard.startingSequenceNumber), number < first {
                throw Refusal(
                    .beforeBirth,
                    "\(number) is before the first number of \(shard.shardID), \(first)"
                        + (lineage(of: shard, in: fleet).map { ": \($0); rewind there, with all workers stopped" } ?? "")
                )
            }
            if let last = shard.endingSequenceNumber.flatMap({ SequenceNumber($0) }), number > last {
                throw Refusal(.outsideRange, "\(number) is after the last number of \(shard.shardID), \(last)")
            }
        case .time(let time):
            guard time <= fleet.takenAt else {
                throw Refusal(
                    .inFuture, "\(CivilTime(time).iso8601) is not yet: it is \(CivilTime(fleet.takenAt).iso8601)")
            }
            if let lineage = linesBefore(time, of: shard, in: fleet), let why = whyNotAtRest(fleet) {
                throw Refusal(
                    .beforeBirth,
                    "\(lineage). What came before lies there, and cannot be read before this shard while workers run. "
                        + "TRIM_HORIZON is this shard's first record. To go back further stop all workers: \(why)")
            }
        }
    }

    /// Where the records of `time` are, if that is before the shard; `nil` where it is not, or nobody can read them.
    private static func linesBefore(_ time: UnixTime, of shard: Shard, in fleet: FleetSnapshot) -> String? {
        guard let birth = ShardBirth(SequenceNumber(shard.startingSequenceNumber), now: fleet.takenAt),
            time < birth.created
        else { return nil }
        return lineage(of: shard, in: fleet)
    }

    /// Of which shards it was born, and how their leases stand; `nil` where the stream has none of them any more.
    private static func lineage(of shard: Shard, in fleet: FleetSnapshot) -> String? {
        let parents = fleet.shards?.listedParents(of: shard.shardID) ?? []
        guard !parents.isEmpty else { return nil }
        let words = parents.map { parent in
            let lease = fleet.leases.first { $0.shardID == parent }?.lease
            return "\(parent) (\(lease.map { "its lease at \($0.checkpoint)" } ?? "without lease"))"
        }
        let birth = ShardBirth(SequenceNumber(shard.startingSequenceNumber), now: fleet.takenAt)
        return "\(shard.shardID) was born "
            + (birth.map { "at \(CivilTime($0.created).iso8601) " } ?? "") + "of \(words.joined(separator: " and "))"
    }

    // MARK: - The plan

    private static func rewind(
        _ lease: Lease, _ view: LeaseView, to target: Checkpoint, _ found: [String] = [], in fleet: FleetSnapshot
    ) throws(Refusal) -> Plan {
        guard lease.checkpoint != target else {
            throw Refusal(.samePosition, "\(view.fullName) is at \(target) already")
        }
        let skips = skips(from: lease.checkpoint, to: target)
        var plan = plan(.rewind(to: target, skips: skips), lease, view, in: fleet)
        plan.intent.isEnded = lease.isEnded
        if lease.leaseOwner == nil { plan.intent.checkpoint = lease.checkpoint }
        plan.call = .update(LeaseTable.rewind(table: fleet.identity.table, lease, to: target))
        plan.title = "\(plan.action.verb) \(view.fullName) from \(lease.checkpoint) to \(target)"
        plan.typed = skips ? fleet.identity.application : nil
        plan.isUndoable = lease.checkpoint.position != .atTimestamp
        plan.forecast = found + rewindForecast(lease, view, to: target, in: fleet)
        let again = Span(from: target, to: lease.checkpoint, at: fleet.takenAt)
        if skips {
            plan.forecast.insert(skipped(lease, view, to: target, in: fleet), at: 0)
            plan.expectedDuplicates = "none"
        } else if target == .trimHorizon {
            plan.expectedDuplicates =
                "all that the stream still holds of the shard"
                + (fleet.retention.map { ", up to \($0.brief) of records" } ?? "") + ", is delivered again"
        } else {
            plan.expectedDuplicates =
                "all records from there on" + (again.map { ", about \($0.length.brief) of them" } ?? "")
                + ", are delivered again"
        }
        plan.expectedGap = takeGap(in: fleet)
        return plan
    }

    static func rewindForecast(
        _ lease: Lease, _ view: LeaseView, to target: Checkpoint, in fleet: FleetSnapshot
    ) -> [String] {
        var lines = takersForecast(in: fleet)
        if let owner = lease.leaseOwner {
            lines.append(
                "\(owner) gets ZOMBIE when it next renews or checkpoints (\(renewal(in: fleet))), and delivers from "
                    + "where it is until then")
        }
        if lease.pendingCheckpoint != nil { lines.append("the prepared checkpoint is dropped") }
        if target == .latest {
            lines.append("until its first checkpoint whoever takes the lease begins at LATEST, each time anew")
        }
        if lease.isEnded {
            let children = fleet.shards?.children[view.shardID] ?? lease.childShardIDs
            if !children.isEmpty {
                lines.append(
                    "\(children.joined(separator: " and ")) go on where they are: rewind them to TRIM_HORIZON too, or "
                        + "the order of keys is lost")
            }
        }
        return lines
    }

    /// How much nobody will get, as far as the numbers tell.
    private static func skipped(
        _ lease: Lease, _ view: LeaseView, to target: Checkpoint, in fleet: FleetSnapshot
    ) -> String {
        let isLatest = target == .latest
        let span = Span(from: lease.checkpoint, to: target, at: fleet.takenAt)
        let end = isLatest ? "the moment a worker takes the lease" : "\(target)"
        var amount = "how much that is the table does not tell"
        if let span { amount = "\(isLatest ? "at most" : "about") \(span.length.brief) of records" }
        if isLatest, let lag = view.checkpointLag, !lag.isUpperBound {
            amount = "about \(Duration.milliseconds(lag.milliseconds).brief) of records"
        }
        return "SKIPPED: what lies between \(lease.checkpoint)"
            + (span.map { " of \(CivilTime($0.start).iso8601)" } ?? "") + " and \(end); \(amount). No worker gets it"
    }

    private static func foundLines(
        _ search: PositionSearch, _ number: SequenceNumber, _ arrival: UnixTime?, in fleet: FleetSnapshot
    ) -> [String] {
        var lines = [
            "the first record \(search.start.words) or later"
                + (arrival.map { " came at \(CivilTime($0).iso8601)" } ?? " is \(number)")
                + ": it is delivered again, and all after it"
        ]
        if case .time(let time) = search.start, let shard = fleet.shards?[search.shardID],
            let lineage = linesBefore(time, of: shard, in: fleet)
        {
            lines.append("\(lineage): what came before is there")
        }
        return lines
    }
}

/// A stretch of a shard's records, by the times in their numbers.
private struct Span {
    var start: UnixTime
    var length: Duration

    /// `nil` where the numbers do not tell, or it is none.
    init?(from: Checkpoint, to: Checkpoint, at now: UnixTime) {
        guard let start = Self.time(of: from, at: now),
            let end = to == .latest ? now : Self.time(of: to, at: now), start <= end
        else { return nil }
        self.start = start
        length = end - start
    }

    private static func time(of checkpoint: Checkpoint, at now: UnixTime) -> UnixTime? {
        checkpoint.sequenceNumber.flatMap { SequenceNumberParts($0, now: now) }?.recordTime
    }
}

extension PositionSearch.Start {
    /// `at 2026-01-31T12:00:00.000Z`, `at 4960…`
    fileprivate var words: String {
        switch self {
        case .time(let time): "at \(CivilTime(time).iso8601)"
        case .number(let number): "at \(number)"
        }
    }
}
