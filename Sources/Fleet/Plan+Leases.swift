import AWSWire
import Leases
import Machine

extension Plan {
    /// Clears the owner of a lease, whoever it is: it gets ZOMBIE when it renews, and the fleet takes the lease anew.
    package static func evict(_ shard: String, in fleet: FleetSnapshot) throws(Refusal) -> Plan {
        let (fleet, shard) = try fleet.narrowed(to: shard)
        let (view, lease) = try lease(shard, in: fleet)
        guard let owner = lease.leaseOwner else {
            throw Refusal(.unowned, "\(view.fullName) has no owner: there is nobody to evict")
        }
        var plan = plan(.evict, lease, view, in: fleet)
        plan.call = .update(LeaseTable.release(table: fleet.identity.table, lease))
        plan.title = "evict \(lease.actualOwner ?? owner) from \(view.fullName)"
        plan.forecast = evictForecast(lease, view, in: fleet)
        plan.expectedGap = takeGap(in: fleet)
        return plan
    }

    /// `worker` of this process takes the lease, from its owner or from nobody.
    package static func steal(
        _ shard: String, to worker: String, in fleet: FleetSnapshot
    ) throws(Refusal) -> Plan {
        let (fleet, shard) = try fleet.narrowed(to: shard)
        let (view, lease) = try lease(shard, in: fleet)
        guard let target = fleet.workers.first(where: { $0.workerID == worker }) else {
            throw Refusal(.unknownWorker, "there is no worker \(worker); there are \(names(fleet.workers))")
        }
        guard target.isOurs else {
            throw Refusal(
                .notOurs, "\(worker) does not run in this process, and a worker takes leases only itself: evict instead"
            )
        }
        guard !target.isStopped else { throw Refusal(.unknownWorker, "\(worker) is stopped: start it first") }
        if lease.leaseOwner == worker, !lease.isInHandoff {
            throw Refusal(.alreadyOwner, "\(worker) owns \(view.fullName) already")
        }
        switch fleet.mode {
        case .leaderAssigned?:
            throw Refusal(
                .leaderAssigns,
                "a 3.x leader assigns the leases of this table and would move it back: a steal is refused")
        case nil where fleet.isModeDenied:
            throw Refusal(
                .unknownMode,
                "whether a 3.x leader assigns the leases of this table is not known, and it would move a stolen one "
                    + "back: a steal is refused until dynamodb:GetItem on "
                    + "\(fleet.identity.coordinatorTableName) is allowed; evict is safe"
            )
        case nil, .takers?, .upgrading?: break
        }
        var plan = plan(.steal(worker: worker), lease, view, in: fleet)
        plan.intent.target = worker
        plan.call = .update(
            LeaseTable.guarded(LeaseTable.take(table: fleet.identity.table, lease, by: worker), as: lease))
        plan.title = "steal \(view.fullName) for \(worker)" + (lease.leaseOwner.map { " from \($0)" } ?? "")
        plan.forecast = ["\(worker) reads on from the checkpoint at once"]
        if let owner = lease.actualOwner {
            plan.forecast.append("\(owner) gets ZOMBIE when it next renews or checkpoints (\(renewal(in: fleet)))")
        }
        if case .blocked = view.state { plan.forecast.append("it starts only when its parents ended") }
        plan.expectedGap = "none to speak of"
        return plan
    }

    /// The owner, a worker of this process, gives the lease up after its last checkpoint.
    package static func release(_ shard: String, in fleet: FleetSnapshot) throws(Refusal) -> Plan {
        let (fleet, shard) = try fleet.narrowed(to: shard)
        let (view, lease) = try lease(shard, in: fleet)
        guard let owner = lease.leaseOwner else {
            throw Refusal(.unowned, "\(view.fullName) has no owner: there is nothing to release")
        }
        guard fleet.workers.contains(where: { $0.workerID == owner && $0.isOurs }) else {
            throw Refusal(
                .notOurs, "\(view.fullName) belongs to \(owner), which does not run in this process: evict instead")
        }
        var plan = plan(.release(worker: owner), lease, view, in: fleet)
        plan.call = .update(LeaseTable.release(table: fleet.identity.table, lease))
        plan.title = "release \(view.fullName) of \(owner)"
        plan.forecast = ["\(owner) checkpoints, then gives the lease up"] + takersForecast(in: fleet)
        plan.expectedGap = takeGap(in: fleet)
        plan.expectedDuplicates = "none, if the last checkpoint succeeds"
        return plan
    }

    /// The lease of a shard, if it may be written at all.
    static func lease(
        _ shard: String, in fleet: FleetSnapshot, endedToo: Bool = false
    ) throws(Refusal) -> (LeaseView, Lease) {
        guard fleet.scans > 0 else { throw Refusal(.notRead, "the lease table was not read yet: wait a moment") }
        guard
            let view = fleet.leases.first(where: { $0.id == shard || $0.shardID == shard && $0.kind == .lease })
                ?? fleet.leases.first(where: { $0.shardID == shard })
        else {
            if let row = fleet.otherRows.first(where: { $0.key == shard }) {
                throw Refusal(
                    .unreadable,
                    "row \(shard) is no lease that can be read (\(row.oddity ?? row.entityType ?? "another kind of row")): "
                        + "nothing is written to it")
            }
            throw Refusal(.noSuchShard, "\(fleet.identity.table) has no lease for \(shard)")
        }
        guard let lease = view.lease else {
            throw Refusal(.noLease, "\(shard.isEmpty ? "this hash range" : shard) has no lease: \(view.why)")
        }
        if lease.isEnded, !endedToo {
            throw Refusal(.ended, "\(view.fullName) is at SHARD_END: it was read to its end, nobody needs it any more")
        }
        return (view, lease)
    }

    static func plan(_ action: Action, _ lease: Lease, _ view: LeaseView, in fleet: FleetSnapshot) -> Plan {
        Plan(
            action: action, table: fleet.identity.table, shardIDs: [view.id],
            intent: Intent(
                leaseKey: lease.leaseKey, owner: lease.leaseOwner, checkpointOwner: lease.checkpointOwner),
            stored: view.stored, call: .update(LeaseTable.release(table: fleet.identity.table, lease)), title: "",
            forecast: [], expectedGap: "", expectedDuplicates: duplicates(view), isUndoable: false)
    }

    private static func evictForecast(_ lease: Lease, _ view: LeaseView, in fleet: FleetSnapshot) -> [String] {
        var lines: [String] = []
        if lease.isInHandoff, let owner = lease.leaseOwner {
            lines.append("the handover is cut short: \(owner), the successor, keeps the lease and picks it up")
        } else {
            lines += takersForecast(in: fleet)
        }
        if let owner = lease.actualOwner {
            switch view.state {
            case .expired: lines.append("\(owner) is gone; if it comes back it gets ZOMBIE")
            default: lines.append("\(owner) gets ZOMBIE when it next renews or checkpoints (\(renewal(in: fleet)))")
            }
        }
        let others = fleet.workers.count { $0.workerID != lease.leaseOwner && ($0.state == .live || $0.state == .idle) }
        if others == 0 { lines.append("no other worker is seen alive: the same one may take it again, or nobody") }
        return lines
    }

    static func takersForecast(in fleet: FleetSnapshot) -> [String] {
        switch fleet.mode {
        case .leaderAssigned?:
            ["the 3.x leader\(fleet.leader.map { " \($0)" } ?? "") assigns it at its next run, within about 20 s"]
        case .upgrading?:
            [
                "a worker takes it at its next scan",
                "an unowned lease restarts the fleet's 10-minute timer for the move to 3.x",
            ]
        case .takers?: ["the first worker that scans the table takes it, perhaps the same one"]
        case nil:
            [
                "whether workers take leases or a 3.x leader assigns them is not known"
                    + (fleet.isModeDenied ? " (GetItem is denied)" : " yet"),
                "a fleet on its way from 2.x to 3.x restarts its 10-minute timer",
            ]
        }
    }

    static func takeGap(in fleet: FleetSnapshot) -> String {
        switch fleet.mode {
        case .leaderAssigned?: "up to 20 s until it is assigned, up to 10 s until its worker finds it"
        case .takers?, .upgrading?:
            // KCL's taker runs every two failover times.
            "up to \((fleet.failoverTime.duration * 2).brief) with Java workers, about 2 s with ours"
        case nil:
            "up to \(max(fleet.failoverTime.duration * 2, .seconds(30)).brief), whoever gives it its next worker"
        }
    }

    static func renewal(in fleet: FleetSnapshot) -> String {
        "within about \((fleet.failoverTime.duration / 3).brief)"
    }

    private static func duplicates(_ view: LeaseView) -> String {
        var text = "all records after the checkpoint \(view.checkpoint?.description ?? "")"
        if let delivered = view.deliveredLag, let lag = view.checkpointLag, lag.milliseconds >= delivered.milliseconds {
            text += ", about \(Duration.milliseconds(lag.milliseconds - delivered.milliseconds).brief) of them"
        } else if let age = view.checkpointAge, view.isCheckpointAgeExact {
            text += ", which is \(age.brief) old"
        }
        return text + ", are delivered again"
    }

    static func names(_ workers: [WorkerView]) -> String {
        workers.isEmpty ? "none" : workers.prefix(8).map(\.workerID).joined(separator: ", ")
    }
}
