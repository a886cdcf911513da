import AWSWire
import Leases
import Machine

/// A scan under way.
struct ScanPass: Sendable {
    var startedAt: Timestamp
    var units = 0.0
    var pages = 0
    /// Whether a row came, went or is not as it was.
    var hasChanged = false
}

extension FleetMachine {
    mutating func scanned(_ page: TablePage, _ info: CallInfo, at now: Timestamp) -> [Effect] {
        clock.note(info, at: now)
        meter.note(info, at: now)
        shown.overrun()
        guard var pass else { return [] }
        pass.units += info.readUnits ?? 0
        pass.pages += 1
        for item in page.items where read(item, at: now) { pass.hasChanged = true }
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
        _ = read(item, at: now)
        surveyed = nil
        schedule.isDirty = true
        schedule.nextScan = min(schedule.nextScan, now + .milliseconds(200))
    }

    private mutating func finishScan(_ pass: ScanPass, at now: Timestamp) {
        var hasChanged = shown.takeHasChanged() || pass.hasChanged
        for (key, row) in rows.removeUnseen(in: scans) {
            hasChanged = true
            liveness.forget(key: key)
            order = []
            if let lease = row.lease { inferred(.leaseDeleted, of: lease, at: now) }
        }
        scans += 1
        previousScanTime = clock.time(at: now)
        lastScanAt = now
        meter.scanned(units: pass.units, hasChanged: hasChanged)
        surveyed = nil
        succeeded(.scan)
        updateFailoverTime()
        notePaces()
        updateMode(at: now)
        updateLeader(at: now)
        noteReportsOfLeaseTable(at: now)
        judgeStream(at: now)
        planProbes(at: now)
        schedule.nextScan = max(now, pass.startedAt + refreshInterval)
        shown.nextRead = max(shown.nextRead, now + (shownInterval ?? ShownRows.interval))
        schedule.isDirty = true
    }

    /// Returns whether the row is new or not as it was.
    ///
    /// - Parameter asked: of a read of certain rows, when it was asked for; which rows there are, scans alone say.
    mutating func read(_ item: Item, at now: Timestamp, asked: Timestamp? = nil) -> Bool {
        let key = item[LeaseTable.hashKey]?.string ?? "?"
        guard let place = rows.position(of: key) else {
            appeared(item, key: key, at: now)
            return true
        }
        if asked == nil {
            rows.slots[place].scan = scans
            if rows.slots[place].takeIsAhead(), rows.slots[place].isNewer(than: item) { return false }
        }
        defer { rows.slots[place].readAt = now }
        let before = rows.slots[place].lease
        var hasChanged = true
        switch RowChange(from: rows.slots[place].stored, lease: before, to: item) {
        case .none: hasChanged = false
        case .progress(let counter, let checkpoint):
            rows.slots[place].stored = item
            rows.slots[place].lease?.leaseCounter = counter
            rows.slots[place].lease?.checkpoint = checkpoint
            if let old = before, let new = rows.slots[place].lease { changed(from: old, to: new, place, at: now) }
        case .other:
            rows.slots[place].stored = item
            rows.slots[place].decode()
            surveyed = nil
            if before == nil, let lease = rows.slots[place].lease {
                rows.slots[place].stream = stream(of: lease, at: now)
            }
            if let old = before, let new = rows.slots[place].lease {
                if old.hashKeyRange != new.hashKeyRange { order = [] }
                changed(from: old, to: new, place, at: now)
            } else if before != nil || rows.slots[place].lease != nil {
                order = []
            }
        }
        if let lease = rows.slots[place].lease {
            observe(lease, at: now, asked: asked ?? now)
            noteProgress(of: lease, before: before, place, at: now)
        }
        return hasChanged
    }

    private mutating func appeared(_ item: Item, key: String, at now: Timestamp) {
        var row = Row(item, scan: scans, history: emptyHistory, at: now)
        order = []
        if let lease = row.lease {
            row.handoffSince = lease.isInHandoff ? now : nil
            row.stream = stream(of: lease, at: now)
            row.shard = ShardNote(
                row.stream.map { streams.all[$0].shards } ?? shards, lease.shardID, now: clock.time(at: now))
            observe(lease, at: now, asked: now)
            row.progress.note(
                Progress.Reading(position: lease.checkpoint, throughput: lease.throughputKBps), at: now)
            row.cadence.changed(to: lease.leaseCounter, at: now, refresh: refreshInterval)
            if scans > 0 {
                row.isOwnerChangeSeen = true
                inferred(lease.parentShardIDs.isEmpty ? .leaseCreated : .childLeaseCreated, of: lease, at: now)
                if lease.leaseOwner != nil { inferred(.leaseTaken, of: lease, at: now) }
            }
            wantShards(of: lease, row.stream, at: now)
        }
        rows.append(row, key: key)
    }

    /// A counter that stands was surely seen only until the read was asked for: its answer may have been long on the
    /// way.
    private mutating func observe(_ lease: Lease, at now: Timestamp, asked: Timestamp) {
        var time = now
        if asked < now, let seen = liveness[lease.leaseKey], seen.counter == lease.leaseCounter,
            seen.owner == lease.leaseOwner
        {
            time = max(asked, seen.notBefore)
        }
        liveness.observe(key: lease.leaseKey, counter: lease.leaseCounter, owner: lease.leaseOwner, at: time)
    }

    private mutating func noteProgress(of lease: Lease, before: Lease?, _ place: Int, at now: Timestamp) {
        guard let before else { return }
        let flow = flows.isEmpty ? nil : flows[lease.shardID]
        let delivered = flow?.deliveredLag(at: now)
        let measured = delivered?.isUpperBound ?? true ? nil : delivered
        let isCheckpointChanged = lease.checkpoint != before.checkpoint
        let hasCounterMoved = lease.leaseCounter != before.leaseCounter
        guard isCheckpointChanged || hasCounterMoved || measured != nil else { return }
        var reading = Progress.Reading(
            position: lease.checkpoint, lag: measured, hasCounterMoved: hasCounterMoved,
            throughput: lease.throughputKBps)
        if isCheckpointChanged, measured == nil {
            reading.lag = Fleet.checkpointLag(lease.checkpoint, flow: nil, at: now, serviceTime: clock.time(at: now))
        }
        rows.slots[place].progress.note(reading, at: now)
    }

    /// Compares two states of a row: what changed is an event, and moves the row's own clocks.
    private mutating func changed(from old: Lease, to new: Lease, _ place: Int, at now: Timestamp) {
        let isOwnerChanged = old.leaseOwner != new.leaseOwner
        let isCheckpointChanged = old.checkpoint != new.checkpoint
        if isCheckpointChanged {
            rows.slots[place].checkpointChangedAt = now
            rows.slots[place].isCheckpointChangeSeen = true
            rows.slots[place].hasMovedSinceCheckpoint = false
            if var flow = flows[new.shardID] {
                flow.recordsSinceCheckpoint = 0
                flow.lagAtCheckpoint = flow.deliveredLag(at: now)?.milliseconds
                flows[new.shardID] = flow
            }
        } else if new.leaseCounter != old.leaseCounter {
            rows.slots[place].hasMovedSinceCheckpoint = true
        }
        if isOwnerChanged {
            rows.slots[place].cadence = Cadence()
        } else if isCheckpointChanged {
            rows.slots[place].cadence.interrupt()
        }
        if new.leaseCounter != old.leaseCounter {
            // A row that is read oftener is known better, but its owner renews no oftener.
            rows.slots[place].cadence.changed(
                to: new.leaseCounter, at: now, refresh: min(refreshInterval, now - rows.slots[place].readAt))
        }
        if isOwnerChanged { ownerChanged(from: old, to: new, place, at: now) }
        if old.isInHandoff != new.isInHandoff {
            rows.slots[place].handoffSince = new.isInHandoff ? now : nil
            inferred(new.isInHandoff ? .handoffStarted : .handoffCompleted, of: new, before: old, at: now)
        }
        if !old.isEnded, new.isEnded {
            inferred(.shardEnded, of: new, at: now)
            if let stream = rows.slots[place].stream {
                wantShards(of: stream, at: now)
            } else {
                schedule.nextShardList = min(schedule.nextShardList, earliestShardList(at: now))
            }
        }
        if old.childShardIDs != new.childShardIDs { wantShards(of: new, rows.slots[place].stream, at: now) }
    }

    private mutating func ownerChanged(from old: Lease, to new: Lease, _ place: Int, at now: Timestamp) {
        if let before = old.leaseOwner ?? rows.slots[place].lastOwner, let owner = new.leaseOwner, owner != before {
            rows.slots[place].takeovers.append(Takeover(at: now, from: before))
            let excess = rows.slots[place].takeovers.count - max(1, configuration.flappingChanges) * 4
            if excess > 0 { rows.slots[place].takeovers.removeFirst(excess) }
        }
        rows.slots[place].ownerSince = now
        rows.slots[place].progress.ownerChanged(at: now)
        rows.slots[place].isOwnerChangeSeen = true
        rows.slots[place].lastOwner = old.leaseOwner
        // During a handoff the counter's holder is still the old owner; the handoff event says it all.
        guard !new.isInHandoff, !old.isInHandoff else { return }
        let kind: WorkerEvent.Kind =
            switch (old.leaseOwner, new.leaseOwner) {
            case (nil, _): .leaseTaken
            case (_, nil): .leaseReleased
            default: .ownerChanged
            }
        inferred(kind, of: new, before: old, at: now)
    }

    /// Notes an event that two reads of the table show.
    private mutating func inferred(
        _ kind: WorkerEvent.Kind, of lease: Lease, before old: Lease? = nil, at now: Timestamp
    ) {
        if namesStreams, isHidden(lease) { return }
        let time = clock.time(at: now)
        var event = WorkerEvent(
            kind, at: time, source: .table, shardID: lease.leaseKey, previousOwner: old?.leaseOwner,
            owner: lease.leaseOwner, checkpoint: lease.checkpoint, leaseCounter: lease.leaseCounter,
            childShardIDs: lease.childShardIDs)
        let lastRead = rows.position(of: lease.leaseKey).map { clock.time(at: rows.slots[$0].readAt) }
        if let before = [previousScanTime, lastRead].compactMap({ $0 }).max(), before <= time, scans > 0 {
            event.observedBetween = before...time
        }
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

    private mutating func wantShards(of lease: Lease, _ stream: Int?, at now: Timestamp) {
        if let stream { return wantShards(of: lease, stream: stream, at: now) }
        guard let shards, !lease.isMultiStream else { return }
        if shards[lease.shardID] == nil || lease.childShardIDs.contains(where: { shards[$0] == nil }) {
            schedule.nextShardList = min(schedule.nextShardList, earliestShardList(at: now))
        }
    }

    func earliestShardList(at now: Timestamp) -> Timestamp {
        guard configuration.identity.stream != nil, !namesStreams else { return .never }
        return max(now, (shardsListedAt ?? now) + configuration.shardListIntervalMin)
    }

    private mutating func updateFailoverTime() {
        guard configuration.failoverTime == nil, failover.source != .inferred || scans % 8 == 0 else { return }
        var gaps: [(gap: Duration, tolerance: Double)] = []
        for place in rows.slots.indices {
            if let gap = rows.slots[place].cadence.gap { gaps.append((gap, rows.slots[place].cadence.tolerance)) }
        }
        guard let time = inferredFailoverTime(gaps) else { return }
        let old = failover.duration.inSeconds
        // Rhythms of a few reads wobble; a figure that jumps to and fro helps nobody.
        if failover.source == .inferred, abs(time.inSeconds - old) < old * 0.3 { return }
        failover = FailoverTime(time, .inferred)
    }
}
