import AWSWire
import Leases
import Machine

extension FleetMachine {
    /// The fleet as it is known now.
    mutating func snapshot(at now: Timestamp) -> FleetSnapshot {
        sequence += 1
        let serviceTime = clock.time(at: now)
        if order.isEmpty {
            order = sortedPlaces()
            surveyed = nil
        }
        let survey = surveyed ?? survey()
        surveyed = survey

        var census = WorkerCensus(own: ownWorkers)
        var views: [LeaseView] = []
        views.reserveCapacity(order.count)
        for place in order {
            let row = rows.slots[place]
            guard let lease = row.lease else { continue }
            let pulse = pulse(of: lease, row, at: now)
            let view = view(of: lease, row, pulse: pulse, survey: survey, serviceTime: serviceTime, at: now)
            census.count(view, pulse: pulse, age: view.counterAge)
            if isHidden(row) { continue }
            views.append(view)
        }
        let leasesAsRead = views.count
        if scans > 0, let tree = survey.tree {
            views += leaselessShards(
                tree, survey.leaseless, isCertain: survey.isVerified, isTableEmpty: survey.leaseCount == 0, at: now)
        }
        if namesStreams { views += leaselessShardsOfStreams(survey, at: now) }
        views += holeViews(views, survey)
        if views.count > leasesAsRead {
            let isNaming = namesStreams
            views.sort { a, b in
                if isNaming, a.stream != b.stream { return (a.stream ?? "") < (b.stream ?? "") }
                return (a.hashKeyRange?.start ?? .max, a.id) < (b.hashKeyRange?.start ?? .max, b.id)
            }
        }

        let others = otherRows()
        let reports = workerReports(others, at: serviceTime)
        census.note(reports)
        let leader = leader(among: census)
        var snapshot = FleetSnapshot(identity: configuration.identity, sequence: sequence)
        snapshot.takenAt = serviceTime
        snapshot.takenAtInstant = now
        snapshot.observedFor = now - startedAt
        snapshot.refreshAge = lastScanAt.map { now - $0 }
        snapshot.refreshInterval = refreshInterval
        snapshot.scans = scans
        snapshot.generation = survey.generation
        snapshot.mode = mode
        snapshot.isModeDenied = mode == nil && migrationAccess == .denied
        snapshot.leader = leader
        snapshot.leaderHeartbeat = leaderHeartbeat(at: now)
        snapshot.migration = migrationView
        snapshot.layout = layout(others)
        snapshot.assignment = assignment(reports)
        snapshot.awaitsSides = awaitsSides
        snapshot.failoverTime = failover
        snapshot.retention = retention
        snapshot.shards = currentShards
        snapshot.streamMatch = streamMatch
        if namesStreams { snapshot.streams = streamViews() }
        snapshot.otherRows = others
        snapshot.workers = census.workers(leader: leader)
        snapshot.events = log.events
        snapshot.children = children.views(at: now)
        snapshot.cost = meter.cost(at: now, watchedFor: now - startedAt)
        snapshot.totals = totals(of: views, workers: snapshot.workers.count)
        snapshot.problems = problems(
            views, survey: survey, workers: snapshot.workers, otherRows: snapshot.otherRows, at: now)
        markSeverity(&views, snapshot.problems)
        snapshot.leases = views
        snapshot.verdict = verdict(snapshot)
        return snapshot
    }

    private func view(
        of lease: Lease, _ row: Row, pulse: Pulse, survey: Survey, serviceTime: UnixTime, at now: Timestamp
    ) -> LeaseView {
        let shard = survey.shard(of: row)
        let shardID = lease.shardID
        let flow = flows.isEmpty ? nil : flows[shardID]
        let (state, reason) = state(of: lease, row, pulse: pulse, survey: survey, at: now)
        var view = LeaseView(id: lease.leaseKey, shardID: shardID, state: state, reason: reason)
        view.stream = row.stream.map { streams.all[$0].text } ?? lease.streamName
        view.lease = lease
        view.stored = row.stored
        view.owner = lease.leaseOwner
        view.checkpointOwner = lease.checkpointOwner
        view.isOurs = lease.actualOwner.map { ownWorkers[$0] != nil } ?? false
        view.history = row.history
        view.parents = lease.parentShardIDs.isEmpty ? shard?.parents ?? [] : lease.parentShardIDs
        view.children = lease.childShardIDs.isEmpty ? shard?.children ?? [] : lease.childShardIDs
        view.hashKeyRange = lease.hashKeyRange ?? shard?.range
        view.isOpen = shard?.isOpen
        view.checkpointAge = now - row.checkpointChangedAt
        view.isCheckpointAgeExact = row.isCheckpointChangeSeen
        view.counterAge = liveness[lease.leaseKey].map { now - $0.changedAt }
        if lease.isEnded { return view }
        view.progress = progress(of: row, state, pulse, at: now)
        view.deliveredLag = deliveredLag(of: lease, flow: flow, at: now, serviceTime: serviceTime)
        view.checkpointLag = checkpointLag(of: lease, flow: flow, at: now, serviceTime: serviceTime)
        view.recordsPerSecond = flow?.recordsPerSecond
        view.bytesPerSecond = flow?.bytesPerSecond ?? lease.throughputKBps.map { $0 * 1024 }
        if let retention = row.stream.map({ streams.all[$0].retention }) ?? retention, let lag = view.checkpointLag,
            lag != Lag(0, .exact)
        {
            view.secondsToTrim = max(0, (retention.wholeMilliseconds - lag.milliseconds) / 1000)
        }
        return view
    }

    private func sortedPlaces() -> [Int] {
        var keys: [(start: UInt128, key: String, place: Int)] = []
        keys.reserveCapacity(rows.count)
        for place in rows.slots.indices {
            guard let lease = rows.slots[place].lease else { continue }
            let start = lease.hashKeyRange?.start ?? rows.slots[place].shard?.range.start ?? .max
            keys.append((start, lease.leaseKey, place))
        }
        keys.sort { ($0.start, $0.key) < ($1.start, $1.key) }
        guard namesStreams else { return keys.map(\.place) }
        // Stream by stream, each in the order of its hash ranges.
        var byStream: [Int: [Int]] = [:]
        for key in keys { byStream[rows.slots[key.place].stream ?? -1, default: []].append(key.place) }
        return byStream.sorted { a, b in
            (a.key < 0 ? "" : streams[a.key].text) < (b.key < 0 ? "" : streams[b.key].text)
        }.flatMap(\.value)
    }

    private func otherRows() -> [OtherRow] {
        var others: [OtherRow] = []
        for place in rows.slots.indices {
            switch rows.slots[place].other {
            case nil, .lease?: break
            case .foreign(let key, let type)?:
                others.append(OtherRow(key: key, entityType: type, stored: rows.slots[place].stored))
            case .odd(let key, let reason)?:
                others.append(OtherRow(key: key, oddity: reason, stored: rows.slots[place].stored))
            }
        }
        return others.sorted { $0.key < $1.key }
    }

    /// Of keys that name streams, which 1.x does not know, the range may be missing.
    func generation() -> Generation {
        switch mode {
        case .leaderAssigned?, .upgrading?: return .v3
        case .takers(let version?)? where version.hasPrefix("CLIENT_VERSION"): return .v3
        default: break
        }
        var hasLease = false
        var hasRange = false
        for place in rows.slots.indices {
            if let lease = rows.slots[place].lease {
                hasLease = true
                if lease.hashKeyRange != nil || lease.isMultiStream { hasRange = true }
                if lease.throughputKBps != nil || lease.checkpointOwner != nil
                    || rows.slots[place].stored["entityType"] != nil
                {
                    return .v3
                }
            } else if case .foreign(_, let type?)? = rows.slots[place].other,
                type == "LEADER" || type == "WORKER_METRIC_STATS"
            {
                return .v3
            }
        }
        // A 3.x fleet's rows may look like those of 2.x; 1.x alone stores no hash range.
        if hasRange, mode == nil, migrationAccess == .denied { return .unknown }
        return hasLease ? (hasRange ? .v2 : .v1) : .unknown
    }

    private func leader(among census: WorkerCensus) -> String? {
        // Workers held at 2.x elect as 2.x does; a lock of 3.x that they left says nothing.
        if case .takers? = mode { return shardSyncLeader(owners: census.owners) }
        return sides.beat?.owner
    }

    private func totals(of views: [LeaseView], workers: Int) -> FleetTotals {
        var totals = FleetTotals()
        totals.workers = workers
        for index in views.indices {
            if views[index].state == .blocked { totals.blocked += 1 }
            guard views[index].kind == .lease else { continue }
            let state = views[index].state
            switch state {
            case .ended: totals.ended += 1
            case .drain: totals.draining += 1
            default: if views[index].isOpen ?? true { totals.open += 1 } else { totals.draining += 1 }
            }
            if state == .free || state == .expired { totals.unowned += 1 }
            if let lag = views[index].deliveredLag {
                totals.maxDeliveredLag = max(totals.maxDeliveredLag ?? lag, lag)
                totals.sumDeliveredLagMilliseconds += lag.milliseconds
            }
            if let lag = views[index].checkpointLag {
                totals.maxCheckpointLag = max(totals.maxCheckpointLag ?? lag, lag)
            }
            if let rate = views[index].recordsPerSecond {
                totals.recordsPerSecond = (totals.recordsPerSecond ?? 0) + rate
            }
            if let rate = views[index].bytesPerSecond { totals.bytesPerSecond = (totals.bytesPerSecond ?? 0) + rate }
            if let seconds = views[index].secondsToTrim {
                totals.secondsToTrim = min(totals.secondsToTrim ?? seconds, seconds)
            }
        }
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
                views[index].kind == .hole ? .critical : worst[views[index].id]
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

    /// Adds what workers report, and those that report and own nothing.
    mutating func note(_ reports: [String: WorkerReport]) {
        for (id, report) in reports {
            if views[id] != nil {
                views[id]?.report = report
            } else if report.isFresh {
                views[id] = Self.view(id, nil)
                views[id]?.report = report
            }
        }
    }

    mutating func count(_ view: LeaseView, pulse: Pulse, age: Duration?) {
        // During a handoff the old owner holds and renews; the new one only waits.
        guard let owner = view.checkpointOwner ?? view.owner else { return }
        let state: WorkerView.State =
            switch pulse {
            case .none: .idle
            case .learning: .learning
            case .live: .live
            case .late: .late
            case .expired: .expired
            }
        views[owner, default: Self.view(owner, own[owner])].count(view, state: state, age: age)
    }

    func workers(leader: String?) -> [WorkerView] {
        views.values.compactMap { worker in
            // An owner of nothing but ended leases, without a pulse, is history.
            let isHeard = worker.isOurs || worker.report?.isFresh == true
            if !isHeard, worker.leases == 0, worker.state == .expired || worker.state == .idle { return nil }
            var worker = worker
            if worker.isStopped { worker.state = .stopped } else if worker.isPaused { worker.state = .paused }
            worker.isLeader = worker.workerID == leader
            return worker
        }.sorted { $0.workerID < $1.workerID }
    }
}

extension WorkerView {
    fileprivate mutating func count(_ view: LeaseView, state: State, age: Duration?) {
        if view.state == .ended { endedLeases += 1 } else { leases += 1 }
        if view.state.isConsumed { activeLeases += 1 }
        if let age { heartbeatAge = min(heartbeatAge ?? age, age) }
        if let rate = view.recordsPerSecond { recordsPerSecond = (recordsPerSecond ?? 0) + rate }
        if let rate = view.bytesPerSecond { bytesPerSecond = (bytesPerSecond ?? 0) + rate }
        // A worker lives by its liveliest lease.
        if state.liveliness > self.state.liveliness { self.state = state }
    }
}

extension WorkerView.State {
    fileprivate var liveliness: Int {
        switch self {
        case .idle, .paused, .stopped: 0
        case .expired: 1
        case .learning: 2
        case .late: 3
        case .live: 4
        }
    }
}
