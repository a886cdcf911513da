import AWSWire
import Fleet
import Leases
import Machine

extension Model {
    /// The workers of this process that can take a lease.
    var ownWorkers: [WorkerView] {
        (snapshot?.workers ?? []).filter { $0.isOurs && !$0.isStopped && !$0.isPaused }
    }

    /// Why an action cannot be done to the shard at the cursor, in a sentence; `nil` where it can.
    func obstacle(to action: Action, on lease: LeaseView?) -> String? {
        guard let snapshot else { return "nothing was read yet" }
        if configuration.purpose == .replay { return "a recording can only be watched" }
        guard snapshot.identity.isWritable else {
            return "read-only: nothing is written; start again with --write to change things"
        }
        if let past = pastWords { return "nothing can be done in the past (\(past)); Esc returns to now" }
        if isBusy { return "one thing at a time: the last action is still under way" }
        guard let lease else { return "no shard is selected" }
        switch action {
        case .steal, .evict, .release, .rewind, .undo: return leaseObstacle(to: action, on: lease)
        case .create:
            return lease.kind == .shard
                ? nil : "\(Format.shard(lease.key)) has a lease; C is for a shard that lacks one"
        case .delete:
            return lease.state == .orphan
                ? nil : "\(Format.shard(lease.key)) is no ORPHAN; only a lease whose shard is gone is deleted"
        case .assign: return assignObstacle(lease, snapshot)
        case .split, .merge: return shardObstacle(to: action, on: lease, snapshot)
        default: return nil
        }
    }

    private func leaseObstacle(to action: Action, on lease: LeaseView) -> String? {
        let name = Format.shard(lease.key)
        guard lease.kind == .lease else { return "\(name) has no lease" }
        // A rewind says itself when an ended shard may be read again.
        if lease.state == .ended, action != .rewind, action != .undo {
            return "\(name) was read to its end (SHARD_END); nobody needs its lease"
        }
        switch action {
        case .steal:
            if ownWorkers.isEmpty {
                return "stealing needs a worker in this process that runs; e evicts, and another worker takes it"
            }
            if lease.isOurs, ownWorkers.allSatisfy({ $0.workerID == lease.owner }) {
                return "\(name) is with \(lease.owner ?? "us") already, the only worker of ours that runs"
            }
        case .evict:
            if lease.owner == nil { return "\(name) has no owner to evict" }
        case .release:
            guard let owner = lease.owner else { return "\(name) has no owner that could release it" }
            if !lease.isOurs { return "\(name) is \(owner)'s, a worker elsewhere: it is asked by no one; e evicts it" }
        default: break
        }
        return nil
    }

    private func shardObstacle(to action: Action, on lease: LeaseView, _ snapshot: FleetSnapshot) -> String? {
        let name = Format.shard(lease.key)
        guard snapshot.shards != nil || snapshot.stream(of: lease)?.shards != nil else {
            return "the stream is not known; start again with --stream"
        }
        if lease.kind == .hole { return "a hole is no shard" }
        if lease.isOpen == false { return "\(name) is closed: it was split or merged already" }
        if action == .merge, neighbours(of: lease).isEmpty { return "\(name) has no open neighbour to merge with" }
        return nil
    }

    /// The open shards whose keys adjoin, the lower first.
    func neighbours(of lease: LeaseView) -> [String] {
        guard let range = lease.hashKeyRange, let snapshot, let index = rows.leaseOfID[lease.id],
            let part = rows.hashParts.firstIndex(where: { $0.lease == index })
        else { return [] }
        func neighbour(_ part: Int) -> LeaseView? {
            guard rows.hashParts.indices.contains(part) else { return nil }
            let other = snapshot.leases[rows.hashParts[part].lease]
            return other.isOpen == true && other.kind != .hole && other.stream == lease.stream ? other : nil
        }
        let below = neighbour(part - 1).flatMap { other in
            range.start > 0 && other.hashKeyRange?.end == range.start - 1 ? other.key : nil
        }
        let above = neighbour(part + 1).flatMap { other in
            range.end < .max && other.hashKeyRange?.start == range.end + 1 ? other.key : nil
        }
        return [below, above].compactMap { $0 }
    }

    mutating func act(_ action: Action) -> [ModelEffect] {
        actOnMarked(action) ?? act(action, on: subject)
    }

    mutating func act(_ action: Action, on lease: LeaseView?) -> [ModelEffect] {
        if let obstacle = obstacle(to: action, on: lease) {
            say(.warning, obstacle)
            return []
        }
        guard let lease else { return [] }
        switch action {
        case .steal:
            let targets = ownWorkers.map(\.workerID).filter { $0 != lease.owner }
            if targets.count == 1 { return request(.steal(lease: lease.id, worker: targets[0])) }
            overlay = .picker(
                Picker(
                    kind: .stealTo(lease: lease.id), title: "steal \(Format.shard(lease.key)) to", choices: targets)
            )
            return []
        case .evict: return request(.evict(lease: lease.id))
        case .release: return request(.release(lease: lease.id))
        case .assign: return assign(lease)
        case .rewind:
            askPosition(of: [lease])
            return []
        case .undo: return request(.undo(lease: lease.id))
        case .create: return request(.create(shard: lease.key))
        case .delete: return request(.delete(lease: lease.id))
        case .split: return request(.split(shard: lease.key, at: nil))
        case .merge:
            let neighbours = neighbours(of: lease)
            if neighbours.count == 1 { return request(.merge(shard: lease.key, adjacent: neighbours[0])) }
            overlay = .picker(
                Picker(
                    kind: .mergeWith(shard: lease.key), title: "merge \(Format.shard(lease.key)) with",
                    choices: neighbours))
            return []
        default: return []
        }
    }

    mutating func request(_ request: PlanRequest) -> [ModelEffect] {
        isBusy = true
        isPlanUnwanted = false
        return [.makePlan(request)]
    }

    // MARK: The demo

    /// The worker that the demo's keys are about: the one at the cursor, or the one that has the shard at the cursor.
    var subjectWorker: WorkerView? {
        guard let snapshot else { return nil }
        let id = focus == .workers && detail == nil ? list(.workers).id : subject?.checkpointOwner ?? subject?.owner
        return snapshot.workers.first { $0.workerID == id }
    }

    mutating func steer(_ action: Action) -> [ModelEffect] {
        guard configuration.purpose == .demo else { return [] }
        if let past = pastWords {
            say(.warning, "nothing can be done in the past (\(past)); Esc returns to now")
            return []
        }
        switch action {
        case .startWorker:
            say(nil, "starting a worker")
            return [.demo(.startWorker)]
        case .rateUp: return setRate((demo?.rate ?? 0) < 1 ? 10 : (demo?.rate ?? 0) * 1.5)
        case .rateDown: return setRate((demo?.rate ?? 0) / 1.5)
        case .hot:
            let steps = [0, 0.25, 0.5, 0.75, 0.9]
            return setHot(steps.first { $0 > (demo?.hotFraction ?? 0) + 0.01 } ?? 0)
        default: break
        }
        guard let worker = subjectWorker else {
            say(.warning, "no worker is selected: choose one in the workers pane (4) or a shard that has an owner")
            return []
        }
        return steer(action, worker)
    }

    mutating func steer(_ action: Action, _ worker: WorkerView) -> [ModelEffect] {
        let id = worker.workerID
        if !worker.isOurs {
            say(.warning, "\(id) does not run in this process")
            return []
        }
        if worker.isStopped {
            say(.warning, "\(id) is stopped; n starts a new one")
            return []
        }
        switch action {
        case .killWorker:
            say(.warning, "\(id) killed: its leases expire, then others take them")
            return [.demo(.killWorker(id))]
        case .stopWorker:
            say(nil, "\(id) stops: it checkpoints and releases its leases")
            return [.demo(.stopWorker(id))]
        case .pauseWorker where worker.isPaused:
            say(nil, "\(id) goes on; if its leases were taken meanwhile it is a ZOMBIE")
            return [.demo(.resumeWorker(id))]
        case .pauseWorker:
            say(nil, "\(id) paused: P lets it go on; past the failover time others take its leases")
            return [.demo(.pauseWorker(id))]
        default: return []
        }
    }

    /// The most that the demo's producer is asked for, in records a second.
    static let rateMax = 100_000.0

    mutating func setRate(_ rate: Double) -> [ModelEffect] {
        let rate = rate < 1 ? 0 : min(Self.rateMax, rate.rounded())
        demo?.rate = rate
        say(nil, rate == 0 ? "the producer rests" : "producing \(Format.rate(rate, .ascii)) records a second")
        return [.demo(.setRate(rate))]
    }

    mutating func setHot(_ fraction: Double) -> [ModelEffect] {
        let fraction = min(1, max(0, fraction))
        demo?.hotFraction = fraction
        say(nil, fraction == 0 ? "all keys alike" : "\(Format.share(fraction)) of the records go to one key")
        return [.demo(.setHotFraction(fraction))]
    }
}
