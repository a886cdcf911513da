import AWSWire
import Leases
import Machine

/// What the worker knows of the table, and what it takes (kcl.md §3.1).
extension WorkerMachine {
    /// Takes note of rows that were read. Counters only rise: an older image of a row (a stale read) changes nothing.
    mutating func note(_ read: [LeaseRow], isWhole: Bool, _ now: Timestamp) {
        for row in read {
            readAt[row.key] = now
            guard let lease = row.lease else {
                rows[row.key] = row
                continue
            }
            if let known = rows[row.key]?.lease, lease.leaseCounter < known.leaseCounter,
                let seen = liveness[row.key], now - seen.changedAt < configuration.failoverTime
            {
                continue
            }
            rows[row.key] = row
            observe(lease, now)
        }
        guard isWhole else { return }
        let present = Set(read.map(\.key))
        // A scan that began before a row was created does not show it; what is being taken counts until it is answered.
        rows = rows.filter { present.contains($0.key) || tenures[$0.key] != nil || takes[$0.key] != nil }
        readAt = readAt.filter { present.contains($0.key) }
        liveness.keep(only: present)
    }

    mutating func observe(_ lease: Lease, _ now: Timestamp) {
        readAt[lease.leaseKey] = now
        liveness.observe(lease, at: now)
    }

    /// Whether the lease's owner is judged dead at `now`.
    func isExpired(_ key: String, _ now: Timestamp) -> Bool {
        liveness.expiry(of: key, configured: configuration.failoverTime).map { $0 <= now } ?? false
    }

    /// A key is of our stream if it is listed, or if the listing or the row itself ties it to a listed shard: a new
    /// child is ours by its parent, a shard that was trimmed away by its children.
    func isOurs(_ lease: Lease) -> Bool {
        tree[lease.leaseKey] != nil || tree.children[lease.leaseKey] != nil
            || lease.parentShardIDs.contains { tree[$0] != nil } || lease.childShardIDs.contains { tree[$0] != nil }
            || (isStreamGone && tenures[lease.leaseKey] != nil)
    }

    // MARK: What is taken

    /// Takes and steals what the rules give us now.
    mutating func takeLeases(maySteal: Bool, _ now: Timestamp) -> [Effect] {
        guard !isShuttingDown, refusal == nil else { return [] }
        var view = TakingView(
            // What is about to be taken is as good as held, or the next look would take as much once more.
            me: configuration.workerID, leases: [], held: Set(tenures.keys).union(takes.keys),
            maxLeases: configuration.maxLeasesForWorker, maxToSteal: configuration.maxLeasesToStealAtOneTime,
            mayTakeOverTarget: true, maySteal: maySteal)
        // Java counts every lease. Two rules beside each other would never agree on who has too many.
        let countsEnded = hasForeignNeighbours
        let fresh = now - configuration.segmentScanInterval * 3
        for key in rows.keys.sorted() {
            guard let lease = rows[key]?.lease, countsEnded || !lease.isEnded, !lease.isMultiStream else { continue }
            guard isOurs(lease) else {
                if !lease.isEnded { upkeep.unknownKeys.insert(key) }
                continue
            }
            view.leases.append(lease)
            // Only a row that was read lately shows by its counter that its owner stands still.
            if isExpired(key, now), maySteal || (readAt[key] ?? .zero) >= fresh { view.expired.insert(key) }
            if let seen = liveness[key], now - seen.changedAt > configuration.failoverTime * 3 {
                view.veryOld.insert(key)
            }
        }
        if isNewcomer { view.newMax = tenures.isEmpty && takes.isEmpty ? 1 : 0 }
        let decision = decideTaking(view, using: &generator)
        if isNewcomer, decision.mine + decision.take.count < decision.target { upkeep.lookSoon(now) }
        let missing = decision.target - decision.mine - decision.steal.count
        if !decision.steal.isEmpty, missing > 0 { upkeep.stealSoon(missing, now) }
        if isMeasured { taking = counts(of: decision, view) }
        return decision.take.compactMap { take($0, isSteal: false, now) }
            + decision.steal.compactMap { take($0, isSteal: true, now) }
    }

    mutating func take(_ key: String, isSteal: Bool, _ now: Timestamp) -> Effect? {
        guard let lease = rows[key]?.lease, tenures[key] == nil, takes[key] == nil else { return nil }
        if let until = avoided[key] {
            if now < until { return nil }
            avoided[key] = nil
        }
        takes[key] = isSteal
        return .take(
            key: key,
            LeaseTable.take(
                table: configuration.tableName, lease, by: configuration.workerID,
                failoverTime: configuration.failoverTime))
    }
}
