import AWSWire
import Leases
import Machine

extension FleetMachine {
    /// The fleet as it is known now.
    mutating func snapshot(at now: Timestamp) -> FleetSnapshot {
        sequence += 1
        let serviceTime = clock.time(at: now)
        let survey = survey()
        if order.isEmpty { order = sortedKeys() }

        var census = WorkerCensus(own: ownWorkers)
        var views: [LeaseView] = []
        views.reserveCapacity(order.count)
        for key in order {
            guard let row = rows[key], let lease = row.decoded.lease else { continue }
            let pulse = pulse(of: lease, row, at: now)
            let view = view(of: lease, row, pulse: pulse, survey: survey, serviceTime: serviceTime, at: now)
            census.count(view, pulse: pulse, age: view.counterAge)
            views.append(view)
        }
        let leasesAsRead = views.count
        if scans > 0, let tree = survey.tree { views += leaselessShards(tree, survey, at: now) }
        let holes = confirmedHoles(views, survey)
        let unexplained = holes.isEmpty ? [] : unexplainedHoles(views)
        views += unexplained.map { hole in
            LeaseView(
                id: "hole:\(hole.start)", kind: .hole, shardID: "", state: .hole, reason: .uncovered,
                hashKeyRange: hole)
        }
        if views.count > leasesAsRead {
            views.sort { ($0.hashKeyRange?.start ?? .max, $0.id) < ($1.hashKeyRange?.start ?? .max, $1.id) }
        }

        let leader = leader(among: census)
        var snapshot = FleetSnapshot(identity: configuration.identity, sequence: sequence)
        snapshot.takenAt = serviceTime
        snapshot.takenAtInstant = now
        snapshot.observedFor = now - startedAt
        snapshot.refreshAge = lastScanAt.map { now - $0 }
        snapshot.refreshInterval = refreshInterval
        snapshot.scans = scans
        snapshot.generation = generation()
        snapshot.mode = mode
        snapshot.leader = leader
        snapshot.failoverTime = failover
        snapshot.retention = retention
        snapshot.holes = holes
        snapshot.shards = shards
        snapshot.otherRows = otherRows()
        snapshot.workers = census.workers(leader: leader)
        snapshot.events = log.events
        snapshot.cost = meter.cost(at: now, watchedFor: now - startedAt)
        snapshot.totals = totals(of: views, workers: snapshot.workers.count)
        snapshot.problems = problems(views, survey: survey, otherRows: snapshot.otherRows, at: now)
        markSeverity(&views, snapshot.problems)
        snapshot.leases = views
        snapshot.verdict = verdict(snapshot)
        return snapshot
    }

    private func view(
        of lease: Lease, _ row: Row, pulse: Pulse, survey: Survey, serviceTime: UnixTime, at now: Timestamp
    ) -> LeaseView {
        let shard = survey.tree?[lease.shardID]
        let flow = flows[lease.shardID]
        let (state, reason) = state(of: lease, row, pulse: pulse, survey: survey, at: now)
        var view = LeaseView(id: lease.leaseKey, shardID: lease.shardID, state: state, reason: reason)
        view.stream = lease.streamName
        view.lease = lease
        view.stored = row.stored
        view.owner = lease.leaseOwner
        view.checkpointOwner = lease.checkpointOwner
        view.isOurs = lease.actualOwner.map { ownWorkers[$0] != nil } ?? false
        view.history = histories[lease.leaseKey] ?? emptyHistory
        view.parents = lease.parentShardIDs.isEmpty ? shard?.parentShardIDs ?? [] : lease.parentShardIDs
        view.children =
            lease.childShardIDs.isEmpty ? survey.tree?.children[lease.shardID] ?? [] : lease.childShardIDs
        view.hashKeyRange = lease.hashKeyRange ?? shard?.hashKeyRange
        view.isOpen = shard?.isOpen
        view.checkpointAge = now - row.checkpointChangedAt
        view.isCheckpointAgeExact = row.isCheckpointChangeSeen
        view.counterAge = liveness[lease.leaseKey].map { now - $0.changedAt }
        if lease.isEnded { return view }
        view.deliveredLag = flow?.deliveredLag(at: now)
        view.checkpointLag = checkpointLag(lease.checkpoint, flow: flow, at: now, serviceTime: serviceTime)
        view.recordsPerSecond = flow?.recordsPerSecond
        view.bytesPerSecond = flow?.bytesPerSecond ?? lease.throughputKBps.map { $0 * 1024 }
        if let retention, let lag = view.checkpointLag, lag != Lag(0, .exact) {
            view.secondsToTrim = max(0, (retention.wholeMilliseconds - lag.milliseconds) / 1000)
        }
        return view
    }

    private func sortedKeys() -> [String] {
        rows.compactMap { key, row -> (UInt128, String)? in
            guard let lease = row.decoded.lease else { return nil }
            return (lease.hashKeyRange?.start ?? shards?[lease.shardID]?.hashKeyRange.start ?? .max, key)
        }.sorted { $0 < $1 }.map(\.1)
    }

    private func otherRows() -> [OtherRow] {
        rows.values.compactMap { row in
            switch row.decoded {
            case .lease: nil
            case .foreign(let key, let type): OtherRow(key: key, entityType: type, stored: row.stored)
            case .odd(let key, let reason): OtherRow(key: key, oddity: reason, stored: row.stored)
            }
        }.sorted { $0.key < $1.key }
    }

    /// The holes that remain when shards without lease are shown as such.
    private func unexplainedHoles(_ views: [LeaseView]) -> [HashKeyRange] {
        let confirmed = Set(holesSeen.filter { scans > $0.value }.keys)
        let left = Leases.holes(in: views.filter { $0.state != .ended }.compactMap(\.hashKeyRange))
        return left.filter { hole in confirmed.contains { $0.start <= hole.start && hole.end <= $0.end } }
    }

    private func generation() -> Generation {
        switch mode {
        case .leaderAssigned?, .upgrading?: return .v3
        case .takers(let version?)? where version.hasPrefix("CLIENT_VERSION"): return .v3
        default: break
        }
        var hasLease = false
        var hasRange = false
        for row in rows.values {
            switch row.decoded {
            case .lease(let lease):
                hasLease = true
                if lease.hashKeyRange != nil { hasRange = true }
                if lease.throughputKBps != nil || lease.checkpointOwner != nil || row.stored["entityType"] != nil {
                    return .v3
                }
            case .foreign(_, let type?) where type == "LEADER" || type == "WORKER_METRIC_STATS": return .v3
            default: break
            }
        }
        return hasLease ? (hasRange ? .v2 : .v1) : .unknown
    }

    private func leader(among census: WorkerCensus) -> String? {
        if let owner = rows["Leader"]?.stored["ownerName"]?.string { return owner }
        switch mode {
        case .takers?: return shardSyncLeader(owners: census.owners)
        default: return nil
        }
    }

    private func totals(of views: [LeaseView], workers: Int) -> FleetTotals {
        var totals = FleetTotals()
        totals.workers = workers
        for view in views where view.kind == .lease {
            switch view.state {
            case .ended: totals.ended += 1
            case .drain: totals.draining += 1
            default: if view.isOpen ?? true { totals.open += 1 } else { totals.draining += 1 }
            }
            if view.state == .free || view.state == .expired { totals.unowned += 1 }
            if let lag = view.deliveredLag {
                totals.maxDeliveredLag = max(totals.maxDeliveredLag ?? lag, lag)
                totals.sumDeliveredLagMilliseconds += lag.milliseconds
            }
            if let lag = view.checkpointLag { totals.maxCheckpointLag = max(totals.maxCheckpointLag ?? lag, lag) }
            if let rate = view.recordsPerSecond { totals.recordsPerSecond = (totals.recordsPerSecond ?? 0) + rate }
            if let rate = view.bytesPerSecond { totals.bytesPerSecond = (totals.bytesPerSecond ?? 0) + rate }
            if let seconds = view.secondsToTrim { totals.secondsToTrim = min(totals.secondsToTrim ?? seconds, seconds) }
        }
        totals.blocked = views.count { $0.state == .blocked }
        return totals
    }

    private func markSeverity(_ views: inout [LeaseView], _ problems: [Problem]) {
        var worst: [String: Severity] = [:]
        for problem in problems {
            for shard in problem.shardIDs { worst[shard] = max(worst[shard] ?? .info, problem.severity) }
        }
        guard !worst.isEmpty else { return }
        for index in views.indices {
            views[index].severity =
                views[index].kind == .hole ? .critical : worst[views[index].shardID]
        }
    }
}

/// The workers as their leases show them.
struct WorkerCensus {
    private var views: [String: WorkerView] = [:]
    private let own: [String: OwnWorker]

    init(own: [String: OwnWorker]) {
        self.own = own
        for worker in own.values { views[worker.workerID] = Self.view(worker.workerID, worker) }
    }

    /// Those that own a lease.
    var owners: [String] { views.values.filter { $0.heartbeatAge != nil || $0.leases > 0 }.map(\.workerID) }

    private static func view(_ id: String, _ own: OwnWorker?) -> WorkerView {
        WorkerView(
            workerID: id, state: .idle, isOurs: own != nil, isPaused: own?.isPaused ?? false,
            isStopped: own?.isStopped ?? false)
    }

    mutating func count(_ view: LeaseView, pulse: Pulse, age: Duration?) {
        // During a handoff the old owner holds and renews; the new one only waits.
        guard let owner = view.checkpointOwner ?? view.owner else { return }
        var worker = views[owner] ?? Self.view(owner, own[owner])
        if view.state != .ended { worker.leases += 1 }
        if view.state.isConsumed { worker.activeLeases += 1 }
        if let age { worker.heartbeatAge = min(worker.heartbeatAge ?? age, age) }
        if let rate = view.recordsPerSecond { worker.recordsPerSecond = (worker.recordsPerSecond ?? 0) + rate }
        if let rate = view.bytesPerSecond { worker.bytesPerSecond = (worker.bytesPerSecond ?? 0) + rate }
        let state: WorkerView.State =
            switch pulse {
            case .none: .idle
            case .learning: .learning
            case .live: .live
            case .late: .late
            case .expired: .expired
            }
        // A worker lives by its liveliest lease.
        let order: [WorkerView.State] = [.idle, .expired, .learning, .late, .live]
        if (order.firstIndex(of: state) ?? 0) > (order.firstIndex(of: worker.state) ?? 0) { worker.state = state }
        views[owner] = worker
    }

    func workers(leader: String?) -> [WorkerView] {
        views.values.compactMap { worker in
            // An owner of nothing but ended leases, without a pulse, is history.
            if !worker.isOurs, worker.leases == 0, worker.state == .expired || worker.state == .idle { return nil }
            var worker = worker
            if worker.isStopped { worker.state = .stopped } else if worker.isPaused { worker.state = .paused }
            worker.isLeader = worker.workerID == leader
            return worker
        }.sorted { $0.workerID < $1.workerID }
    }
}
