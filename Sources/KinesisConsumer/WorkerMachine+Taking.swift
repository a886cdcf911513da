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
        rows = rows.filter { present.contains($0.key) || tenures[$0.key] != nil }
        readAt = readAt.filter { present.contains($0.key) }
        liveness.keep(only: present)
    }

    mutating func observe(_ lease: Lease, _ now: Timestamp) {
        readAt[lease.leaseKey] = now
        liveness.observe(key: lease.leaseKey, counter: lease.leaseCounter, owner: lease.leaseOwner, at: now)
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

    /// The owners that are alive, ourselves included, sorted: the ranks by which the table is shared out for reading.
    func liveOwners() -> [String] {
        var owners: Set<String> = [configuration.workerID]
        for case .lease(let lease) in rows.values {
            if let owner = lease.leaseOwner, let seen = liveness[lease.leaseKey],
                let expiry = liveness.expiry(of: lease.leaseKey, configured: configuration.failoverTime),
                // A row outside our segments is read rarely; it is presumed alive until it is read again.
                (readAt[lease.leaseKey] ?? seen.notBefore) < expiry
            {
                owners.insert(owner)
            }
        }
        return owners.sorted()
    }

    /// Takes and steals what the rules give us now.
    mutating func takeLeases(maySteal: Bool, _ now: Timestamp) -> [Effect] {
        guard !isShuttingDown, refusal == nil else { return [] }
        let fresh = now - configuration.segmentScanInterval * 3
        var active: [Lease] = []
        var expired: Set<String> = []
        for key in rows.keys.sorted() {
            guard let lease = rows[key]?.lease, !lease.isEnded, !lease.isMultiStream else { continue }
            guard isOurs(lease) else {
                upkeep.unknownKeys.insert(key)
                continue
            }
            active.append(lease)
            // Only a row that was read lately shows by its counter that its owner stands still.
            if isExpired(key, now), maySteal || (readAt[key] ?? .zero) >= fresh { expired.insert(key) }
        }
        let held = Set(tenures.keys)
        let view = TakingView(
            me: configuration.workerID, leases: active, expired: expired, held: held,
            maxLeases: configuration.maxLeasesForWorker, maxToSteal: configuration.maxLeasesToStealAtOneTime,
            mayTakeOverTarget: true, maySteal: maySteal)
        let decision = decideTaking(view, using: &generator)
        if isMeasured { taking = counts(of: decision, view, now) }
        return slowStart(decision.take).compactMap { take($0, isSteal: false, now) }
            + decision.steal.compactMap { take($0, isSteal: true, now) }
    }

    /// Of the leases that nobody ever owned at most half are taken at once, so that workers which start together share
    /// them out, instead of one taking all and being robbed by the others.
    private func slowStart(_ keys: [String]) -> [String] {
        let isNew = { (key: String) in
            rows[key]?.lease.map { $0.leaseOwner == nil && $0.leaseCounter == 0 } ?? false
        }
        let new = keys.filter(isNew)
        let now = Set(new.prefix((new.count + 1) / 2))
        return keys.filter { !isNew($0) || now.contains($0) }
    }

    mutating func take(_ key: String, isSteal: Bool, _ now: Timestamp) -> Effect? {
        guard let lease = rows[key]?.lease, tenures[key] == nil, takes[key] == nil else { return nil }
        if let until = avoided[key] {
            if now < until { return nil }
            avoided[key] = nil
        }
        takes[key] = isSteal
        return .take(
            key: key, LeaseTable.take(table: configuration.tableName, lease, by: configuration.workerID))
    }
}
