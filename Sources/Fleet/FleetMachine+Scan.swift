import AWSWire
import Leases
import Machine

/// One row of the table as it was last read, and what its past reads told.
struct Row: Sendable {
    var stored: Item
    var decoded: LeaseRow
    /// When it was first read, and in which scan it was last seen.
    var firstSeen: Timestamp
    var scan: Int
    var ownerSince: Timestamp
    /// Whether the present owner's coming (or the last one's going) was seen.
    var isOwnerChangeSeen = false
    var lastOwner: String?
    var checkpointChangedAt: Timestamp
    var isCheckpointChangeSeen = false
    var handoffSince: Timestamp?
    var cadence = Cadence()
    /// Whether the counter moved since the checkpoint last changed.
    var hasMovedSinceCheckpoint = false
}

/// A scan under way.
struct ScanPass: Sendable {
    var startedAt: Timestamp
    var units = 0.0
    var pages = 0
}

extension FleetMachine {
    mutating func scanned(_ page: TablePage, _ info: CallInfo, at now: Timestamp) -> [Effect] {
        clock.note(info, at: now)
        meter.note(info, at: now)
        guard var pass else { return [] }
        pass.units += info.readUnits ?? 0
        pass.pages += 1
        for item in page.items { read(item, at: now) }
        // A table of more pages than any fleet has rows is not read to its end.
        if let next = page.next, pass.pages < 10_000 {
            self.pass = pass
            return [.scan(startingAfter: next)]
        }
        self.pass = nil
        finishScan(pass, at: now)
        return []
    }

    mutating func scanFailed(_ error: AWSError, _ info: CallInfo, at now: Timestamp) {
        pass = nil
        if error.meaning == .throttled { meter.throttled() }
        failed(.scan, error, info, at: now)
    }

    /// A row that an operator's write returned: shown at once, not at the next scan.
    mutating func rowWritten(_ item: Item, at now: Timestamp) {
        read(item, at: now)
        schedule.isDirty = true
        schedule.nextScan = min(schedule.nextScan, now + .milliseconds(200))
    }

    private mutating func finishScan(_ pass: ScanPass, at now: Timestamp) {
        let gone = rows.compactMap { $0.value.scan == scans ? nil : $0.key }
        for key in gone.sorted() {
            guard let row = rows.removeValue(forKey: key) else { continue }
            liveness.forget(key: key)
            histories[key] = nil
            order = []
            if let lease = row.decoded.lease { inferred(.leaseDeleted, of: lease, row: row, at: now) }
        }
        scans += 1
        previousScanTime = clock.time(at: now)
        lastScanAt = now
        meter.scanned(units: pass.units)
        succeeded(.scan)
        updateFailoverTime()
        updateMode(at: now)
        schedule.nextScan = max(now, pass.startedAt + refreshInterval)
        schedule.isDirty = true
    }

    private mutating func read(_ item: Item, at now: Timestamp) {
        let key = item[LeaseTable.hashKey]?.string ?? "?"
        guard var row = rows[key] else {
            let decoded = LeaseTable.row(item)
            var row = Row(
                stored: item, decoded: decoded, firstSeen: now, scan: scans, ownerSince: now, checkpointChangedAt: now)
            order = []
            if let lease = decoded.lease {
                row.handoffSince = lease.isInHandoff ? now : nil
                observe(lease, at: now)
                row.cadence.changed(to: lease.leaseCounter, at: now, refresh: refreshInterval)
                if scans > 0 { appeared(lease, &row, at: now) }
                wantShards(of: lease, at: now)
            }
            rows[key] = row
            return
        }
        row.scan = scans
        if row.stored == item {
            if let lease = row.decoded.lease { observe(lease, at: now) }
        } else {
            let before = row.decoded
            row.stored = item
            row.decoded = LeaseTable.row(item)
            if let lease = row.decoded.lease {
                observe(lease, at: now)
                if let old = before.lease {
                    if old.hashKeyRange != lease.hashKeyRange { order = [] }
                    changed(from: old, to: lease, &row, at: now)
                }
            } else {
                order = []
            }
        }
        rows[key] = row
    }

    private mutating func observe(_ lease: Lease, at now: Timestamp) {
        liveness.observe(key: lease.leaseKey, counter: lease.leaseCounter, owner: lease.leaseOwner, at: now)
    }

    private mutating func appeared(_ lease: Lease, _ row: inout Row, at now: Timestamp) {
        row.isOwnerChangeSeen = true
        inferred(lease.parentShardIDs.isEmpty ? .leaseCreated : .childLeaseCreated, of: lease, row: row, at: now)
        if lease.leaseOwner != nil { inferred(.leaseTaken, of: lease, row: row, at: now) }
    }

    /// Compares two states of a row: what changed is an event, and moves the row's own clocks.
    private mutating func changed(from old: Lease, to new: Lease, _ row: inout Row, at now: Timestamp) {
        let isOwnerChanged = old.leaseOwner != new.leaseOwner
        let isCheckpointChanged = old.checkpoint != new.checkpoint
        if isCheckpointChanged {
            row.checkpointChangedAt = now
            row.isCheckpointChangeSeen = true
            row.hasMovedSinceCheckpoint = false
            if var flow = flows[new.shardID] {
                flow.recordsSinceCheckpoint = 0
                flow.lagAtCheckpoint = flow.deliveredLag(at: now)?.milliseconds
                flows[new.shardID] = flow
            }
        } else if new.leaseCounter != old.leaseCounter {
            row.hasMovedSinceCheckpoint = true
        }
        if isOwnerChanged || isCheckpointChanged { row.cadence.interrupt() }
        if new.leaseCounter != old.leaseCounter {
            row.cadence.changed(to: new.leaseCounter, at: now, refresh: refreshInterval)
        }
        if isOwnerChanged { ownerChanged(from: old, to: new, &row, at: now) }
        if old.isInHandoff != new.isInHandoff {
            row.handoffSince = new.isInHandoff ? now : nil
            inferred(new.isInHandoff ? .handoffStarted : .handoffCompleted, of: new, before: old, row: row, at: now)
        }
        if !old.isEnded, new.isEnded {
            inferred(.shardEnded, of: new, row: row, at: now)
            schedule.nextShardList = min(schedule.nextShardList, earliestShardList(at: now))
        }
        if old.childShardIDs != new.childShardIDs { wantShards(of: new, at: now) }
    }

    private mutating func ownerChanged(from old: Lease, to new: Lease, _ row: inout Row, at now: Timestamp) {
        row.ownerSince = now
        row.isOwnerChangeSeen = true
        row.lastOwner = old.leaseOwner
        // During a handoff the counter's holder is still the old owner; the handoff event says it all.
        guard !new.isInHandoff, !old.isInHandoff else { return }
        let kind: WorkerEvent.Kind =
            switch (old.leaseOwner, new.leaseOwner) {
            case (nil, _): .leaseTaken
            case (_, nil): .leaseReleased
            default: .ownerChanged
            }
        inferred(kind, of: new, before: old, row: row, at: now)
    }

    /// Notes an event that two reads of the table show.
    private mutating func inferred(
        _ kind: WorkerEvent.Kind, of lease: Lease, before old: Lease? = nil, row: Row, at now: Timestamp
    ) {
        let time = clock.time(at: now)
        var event = WorkerEvent(
            kind, at: time, source: .table, shardID: lease.shardID, previousOwner: old?.leaseOwner,
            owner: lease.leaseOwner, checkpoint: lease.checkpoint, leaseCounter: lease.leaseCounter,
            childShardIDs: lease.childShardIDs)
        if let previousScanTime, previousScanTime <= time { event.observedBetween = previousScanTime...time }
        switch kind {
        case .ownerChanged:
            event.message = "ZOMBIE inferred: \(old?.leaseOwner ?? "the old owner") finds out when it renews"
        case .handoffStarted: event.previousOwner = lease.checkpointOwner
        case .handoffCompleted: event.previousOwner = old?.checkpointOwner
        default: break
        }
        let isOurs = [event.owner, event.previousOwner].contains { $0.map { ownWorkers[$0] != nil } ?? false }
        // An engine of ours tells it better; its word may be still on the way.
        log.append(event, at: now, isHeld: isOurs || !ownWorkers.isEmpty && lease.leaseOwner == nil)
    }

    private mutating func wantShards(of lease: Lease, at now: Timestamp) {
        guard let shards, !lease.isMultiStream else { return }
        if shards[lease.shardID] == nil || lease.childShardIDs.contains(where: { shards[$0] == nil }) {
            schedule.nextShardList = min(schedule.nextShardList, earliestShardList(at: now))
        }
    }

    func earliestShardList(at now: Timestamp) -> Timestamp {
        guard configuration.identity.stream != nil else { return .never }
        return max(now, (shardsListedAt ?? now) + configuration.shardListIntervalMin)
    }

    private mutating func updateFailoverTime() {
        guard configuration.failoverTime == nil, failover.source != .inferred || scans % 8 == 0 else { return }
        let gaps = rows.values.compactMap { row in row.cadence.gap.map { ($0, row.cadence.tolerance) } }
        guard let time = inferredFailoverTime(gaps) else { return }
        let old = failover.duration.inSeconds
        // Rhythms of a few reads wobble; a figure that jumps to and fro helps nobody.
        if failover.source == .inferred, abs(time.inSeconds - old) < old * 0.3 { return }
        failover = FailoverTime(time, .inferred)
    }
}
