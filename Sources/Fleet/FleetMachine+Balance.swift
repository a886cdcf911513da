import Leases
import Machine

/// Leases that wander, workers that do not agree, leases that are shared out badly.
extension FleetMachine {
    mutating func balanceFindings(_ workers: [WorkerView], _ views: [LeaseView], at now: Timestamp) -> [Finding] {
        noteWorkers(workers, at: now)
        return [flapping(at: now), differingFailoverTimes(), uneven(workers, views, at: now)].compactMap(\.self)
    }

    // MARK: - Flapping

    private func flapping(at now: Timestamp) -> Finding? {
        var shards: [String] = []
        var most = 0
        var owners: Set<String> = []
        for place in rows.slots.indices where rows.slots[place].takeovers.count >= configuration.flappingChanges {
            if isHidden(rows.slots[place]) { continue }
            let recent = rows.slots[place].takeovers.filter { now - $0.at <= configuration.flappingWindow }
            guard recent.count >= configuration.flappingChanges, let lease = rows.slots[place].lease, !lease.isEnded
            else { continue }
            shards.append(lease.leaseKey)
            most = max(most, recent.count)
            owners.formUnion(recent.map(\.from))
            if let owner = lease.leaseOwner { owners.insert(owner) }
        }
        guard !shards.isEmpty else { return nil }
        let names = owners.sorted().prefix(3).joined(separator: ", ")
        return Finding(
            kind: .flapping, severity: .warning, shardIDs: shards,
            message: "\(shards.briefShards): the owner changed \(shards.count == 1 ? "" : "up to ")\(most) times in "
                + "\(configuration.flappingWindow.brief) (\(names)), each time records are delivered again: do workers "
                + "pause for longer than failoverTimeMillis, or start and end again and again?")
    }

    // MARK: - Failover times

    /// The rhythm of each worker, of its best known lease.
    mutating func notePaces() {
        paces = [:]
        for place in rows.slots.indices {
            guard let gap = rows.slots[place].cadence.gap, rows.slots[place].cadence.tolerance <= 0.2,
                let lease = rows.slots[place].lease, !lease.isEnded, let owner = lease.actualOwner
            else { continue }
            let tolerance = rows.slots[place].cadence.tolerance
            if let known = paces[owner], known.tolerance <= tolerance { continue }
            paces[owner] = Pace(gap: gap, tolerance: tolerance)
        }
    }

    private func differingFailoverTimes() -> Finding? {
        let sorted = paces.sorted { ($0.value.gap, $0.key) < ($1.value.gap, $1.key) }
        guard let fast = sorted.first, let slow = sorted.last,
            slow.value.gap.inSeconds * (1 - slow.value.tolerance)
                > fast.value.gap.inSeconds * (1 + fast.value.tolerance) * 1.5,
            let short = fast.value.failoverTime, let long = slow.value.failoverTime
        else { return nil }
        return Finding(
            kind: .failoverDiffers, severity: .warning, workerID: slow.key, patience: .seconds(30),
            message: "\(slow.key) renews as with a failover time of \(long.brief), \(fast.key) as with \(short.brief): "
                + "the quick ones take the slow one's leases while it lives; give all workers one failoverTimeMillis")
    }

    // MARK: - Uneven

    private mutating func noteWorkers(_ workers: [WorkerView], at now: Timestamp) {
        var since: [String: Timestamp] = [:]
        // Who was there when we came is no newcomer.
        for worker in workers { since[worker.workerID] = workersSince[worker.workerID] ?? (scans <= 1 ? .zero : now) }
        workersSince = since
    }

    private func uneven(_ workers: [WorkerView], _ views: [LeaseView], at now: Timestamp) -> Finding? {
        // A 3.x leader shares out by load, not by number.
        guard case .takers? = mode else { return nil }
        let living = workers.filter { $0.state != .expired && $0.state != .stopped && $0.state != .paused }
        guard living.count > 1, !living.contains(where: { $0.state == .learning }),
            let most = living.max(by: { ($0.leases, $1.workerID) < ($1.leases, $0.workerID) }),
            let least = living.min(by: { ($0.leases, $0.workerID) < ($1.leases, $1.workerID) }),
            most.leases - least.leases > 1
        else { return nil }
        // Java workers count the leases of ended shards too.
        let counts = living.map { $0.leases + $0.endedLeases }
        guard (counts.max() ?? 0) - (counts.min() ?? 0) > 1 else { return nil }
        // What waits for a taker evens it out, or is another problem.
        guard !views.indices.contains(where: { views[$0].state == .free || views[$0].state == .expired }) else {
            return nil
        }
        let run = failover.duration * 2
        var why = "its maxLeasesForWorker may be \(least.leases), or it cannot take leases (see its log)"
        var severity = most.leases >= least.leases * 2 ? Severity.warning : .info
        if let since = workersSince[least.workerID], since > .zero {
            let age = now - since
            if age < run * (most.leases - least.leases) * 2 {
                why = "it came \(age.brief) ago and takes about one lease every \(run.brief)"
                severity = .info
            }
        }
        return Finding(
            kind: .uneven, severity: severity, workerID: least.workerID, patience: run * 2,
            message: "\(most.workerID) has \(most.leases) leases, \(least.workerID) \(least.leases): \(why)")
    }
}

/// A worker's rhythm of renewals.
struct Pace: Hashable, Sendable {
    var gap: Duration
    var tolerance: Double

    var failoverTime: Duration? { inferredFailoverTime([(gap, tolerance)]) }
}

/// One owner after another.
struct Takeover: Hashable, Sendable {
    var at: Timestamp
    var from: String
}
