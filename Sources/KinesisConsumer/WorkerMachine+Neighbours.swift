import Leases
import Machine

/// The other workers at the table: who lives, who is not of our kind, and how they judge us.
extension WorkerMachine {
    /// The owners that are alive, ourselves included.
    func liveOwners() -> Set<String> {
        var owners: Set<String> = [configuration.workerID]
        for case .lease(let lease) in rows.values {
            if let owner = lease.leaseOwner, isAlive(lease) { owners.insert(owner) }
        }
        return owners
    }

    private func isAlive(_ lease: Lease) -> Bool {
        guard let seen = liveness[lease.leaseKey],
            let expiry = liveness.expiry(of: lease.leaseKey, configured: configuration.failoverTime)
        else { return false }
        // A row outside our segments is read rarely; it is presumed alive until it is read again.
        return (readAt[lease.leaseKey] ?? seen.notBefore) < expiry
    }

    /// The living owners that do not say of themselves that they are ours: Java workers, as far as we know.
    func foreignNeighbours() -> Set<String> { Set(rows.values.compactMap { $0.lease.flatMap(foreignOwner) }) }

    var hasForeignNeighbours: Bool { rows.values.contains { $0.lease.flatMap(foreignOwner) != nil } }

    private func foreignOwner(of lease: Lease) -> String? {
        guard !lease.isOwnerMarked, !lease.isMultiStream, let owner = lease.leaseOwner,
            owner != configuration.workerID, isAlive(lease)
        else { return nil }
        return owner
    }

    /// How the table is shared out for reading: as many segments as it has owners of our kind, the dead included as
    /// long as a row names them, so that everybody who knows the same rows shares them out the same. Each reads the
    /// segment of its rank, those of the dead before it, and that of the first living one before it, so that a worker
    /// that is gone leaves none unread. Java workers read for themselves.
    func readingShare() -> (segments: Int, mine: [Int]) {
        var named: Set<String> = [configuration.workerID]
        var foreign: Set<String> = []
        for case .lease(let lease) in rows.values where !lease.isEnded {
            guard let owner = lease.leaseOwner else { continue }
            if lease.isOwnerMarked { named.insert(owner) } else { foreign.insert(owner) }
        }
        foreign.remove(configuration.workerID)
        let owners = named.subtracting(foreign).sorted()
        guard owners.count > 1, let rank = owners.firstIndex(of: configuration.workerID) else { return (1, [0]) }
        let living = liveOwners()
        var mine = [rank]
        for distance in 1..<owners.count {
            let other = (rank + owners.count - distance) % owners.count
            mine.append(other)
            if living.contains(owners[other]) { break }
        }
        return (owners.count, mine)
    }

    /// Whether this worker audits the table: Java's rule elects it, or there is nobody to elect, or
    /// Java's rule elects one that is dead and this worker is the one among the living. Two of them do no harm.
    ///
    /// Java lets every owner stand, of ended leases too, and does not ask who lives (kcl.md §3.2). Where it elects a
    /// worker of ours no Java worker audits.
    var isElected: Bool {
        let owners = rows.values.compactMap(\.lease?.leaseOwner)
        guard let elected = shardSyncLeader(owners: owners), elected != configuration.workerID else { return true }
        let living = liveOwners()
        return !living.contains(elected)
            && shardSyncLeader(owners: Set(owners).intersection(living)) == configuration.workerID
    }

    // MARK: Failover times that differ

    /// How often to renew, and when to stop, so that a neighbour that judges faster than we do does not take us for
    /// dead, and nobody processes what it took.
    struct Pace: Hashable, Sendable {
        var failoverTime: Duration
        var renewInterval: Duration
    }

    /// Adapts to the Java worker with the fastest pulse: it judges others by its own failover time.
    mutating func adaptPace(_ now: Timestamp) {
        let fastest = foreignNeighbours().compactMap { liveness.pulse(of: $0) }
            .filter { $0.isSharp && $0.longestFailoverTime < configuration.failoverTime }
            .map(\.shortestFailoverTime).min()
        var wanted = configuration.pace
        if let fastest {
            wanted.failoverTime = max(fastest, .milliseconds(500))
            wanted.renewInterval = wanted.failoverTime / 3 - WorkerConfiguration.epsilon
        }
        // What is measured wavers; what it differs by must be worth it.
        let isSlower = wanted.failoverTime * 10 > pace.failoverTime * 13 || wanted == configuration.pace
        guard wanted != pace, isSlower || wanted.failoverTime * 10 < pace.failoverTime * 9 else { return }
        pace = wanted
        for key in tenures.keys.sorted() { tenures[key]?.held.adapt(to: pace) }
    }

    /// Warns once of each owner whose failover time is not ours.
    mutating func failoverWarnings() -> [Effect] {
        let ours = configuration.failoverTime
        return foreignNeighbours().sorted().compactMap { owner in
            guard !warnedOwners.contains(owner), let pulse = liveness.settledPulse(of: owner) else { return nil }
            let what: String
            if pulse.shortestFailoverTime * 10 > ours * 11 {
                what = "larger than ours (\(ours.wholeMilliseconds)); its leases are judged by its pulse"
            } else if pulse.isSharp, pulse.longestFailoverTime * 11 < ours * 10 {
                what =
                    "smaller than ours (\(ours.wholeMilliseconds)); it would take our leases between two renewals, so "
                    + "they are renewed as often as its own"
            } else {
                return nil
            }
            warnedOwners.insert(owner)
            let interval = ((pulse.shortest + pulse.longest) / 2).wholeMilliseconds
            return .emit(
                WorkerEvent(
                    .modeChanged, at: .zero, owner: owner,
                    message: "\(owner) renews every \(interval) ms: its failoverTimeMillis seems \(what)"))
        }
    }
}

extension WorkerConfiguration {
    var pace: WorkerMachine.Pace {
        WorkerMachine.Pace(failoverTime: failoverTime, renewInterval: renewInterval)
    }
}
