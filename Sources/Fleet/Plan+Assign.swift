package import AWSWire
import Leases
import Machine

/// The row by which a worker of 3.x shows that it lives.
package struct ReportPlace: Hashable, Sendable {
    package var table: String
    package var key: Item

    /// The report as it is now; `nil` where there is no row any more.
    func read(_ dynamoDB: DynamoDBClient, at now: UnixTime) async throws(AWSError) -> WorkerReport? {
        let read = try await dynamoDB.readItem(table, key: key, consistent: true)
        let name = key.keys.first ?? LeaseTable.hashKey
        return read.item.flatMap { WorkerReport($0, keyName: name) }?.aged(at: read.date ?? now)
    }
}

extension Plan {
    /// Gives a lease of a 3.x fleet to `worker`: gracefully, after the owner's last checkpoint, or at once.
    ///
    /// A lease without owner, and one whose owner is gone, is given at once in any case: nobody could hand it over.
    package static func assign(
        _ shard: String, to worker: String, isHard: Bool = false, in fleet: FleetSnapshot
    ) throws(Refusal) -> Plan {
        let (fleet, shard) = try fleet.narrowed(to: shard)
        let (view, lease) = try lease(shard, in: fleet)
        try checkAssignable(in: fleet)
        let report = try report(of: worker, in: fleet)
        if lease.leaseOwner == worker {
            throw Refusal(
                .alreadyOwner,
                lease.isInHandoff
                    ? "\(view.fullName) is being handed over to \(worker) already; complete-handoff ends that"
                    : "\(worker) owns \(view.fullName) already")
        }
        if let old = lease.checkpointOwner, !isHard {
            throw Refusal(
                .inHandoff,
                "\(view.fullName) is being handed over by \(old) to \(lease.leaseOwner ?? "nobody"): wait until that is "
                    + "done, complete it with complete-handoff, or assign with --hard")
        }
        let isHard = isHard || lease.leaseOwner == nil || view.state == .expired
        var plan = plan(.assign(worker: worker, isHard: isHard), lease, view, in: fleet)
        plan.intent.target = worker
        plan.targetReport = ReportPlace(
            table: report.isOfLeaseTable ? fleet.identity.table : fleet.identity.workerMetricsTableName,
            key: [report.isOfLeaseTable ? LeaseTable.hashKey : WorkerReport.sideKey: .s(worker)])
        plan.call = .update(
            isHard
                ? LeaseTable.assign(table: fleet.identity.table, lease, to: worker)
                : LeaseTable.startHandoff(table: fleet.identity.table, lease, to: worker))
        plan.title =
            isHard
            ? "assign \(view.fullName) to \(worker) at once" + (lease.actualOwner.map { ", from \($0)" } ?? "")
            : "hand \(view.fullName) over from \(lease.leaseOwner ?? "") to \(worker)"
        plan.forecast =
            (isHard ? hardForecast(lease, view, worker, in: fleet) : gracefulForecast(lease, worker, in: fleet))
            + leaderForecast(report, in: fleet)
        plan.expectedGap = isHard ? "up to 10 s until \(worker) finds it" : "up to 10 s from the end of the handover on"
        if !isHard {
            plan.expectedDuplicates = "none, if \(lease.leaseOwner ?? "the owner") checkpoints when it is asked to"
        }
        return plan
    }

    /// The workers that a lease can be given to: those that report, but for its owner; sorted.
    package static func targets(for view: LeaseView, in fleet: FleetSnapshot) -> [String] {
        fleet.workers.filter { $0.report?.isFresh == true && $0.workerID != view.owner }.map(\.workerID)
    }

    /// Why nothing of this fleet can be assigned; `nil` where it can.
    package static func whyNotAssignable(_ fleet: FleetSnapshot) -> Refusal? {
        do throws(Refusal) { try checkAssignable(in: fleet) } catch { return error }
        return nil
    }

    private static func checkAssignable(in fleet: FleetSnapshot) throws(Refusal) {
        switch fleet.mode {
        case .leaderAssigned?: return
        case .takers?:
            throw Refusal(
                .notAssigned,
                "the workers of \(fleet.identity.table) take leases themselves (\(fleet.mode?.words ?? "")): nobody "
                    + "would pick an assigned one up; evict it, and another worker takes it")
        case .upgrading?:
            throw Refusal(
                .notAssigned,
                "\(fleet.identity.table) is on its way from 2.x to 3.x, and its workers take leases themselves until "
                    + "then: nobody would pick an assigned one up; evict works, and restarts the fleet's timer")
        case nil:
            throw Refusal(
                .unknownMode,
                "whether a 3.x leader assigns the leases of this table is not known"
                    + (fleet.isModeDenied
                        ? ": allow dynamodb:GetItem on \(fleet.identity.coordinatorTableName); evict is safe" : " yet"))
        }
    }

    private static func report(of worker: String, in fleet: FleetSnapshot) throws(Refusal) -> WorkerReport {
        guard let report = fleet.workers.first(where: { $0.workerID == worker })?.report else {
            let fresh = fleet.workers.filter { $0.report?.isFresh == true }
            throw Refusal(
                .unknownWorker,
                "no worker \(worker) reports to the leader"
                    + (fresh.isEmpty
                        ? ", nor does any other that can be seen: the rows of metrics are missing or may not be read"
                        : "; those that do: \(names(fresh))"))
        }
        if let why = report.whyNotATarget { throw Refusal(.staleWorker, why) }
        return report
    }

    // MARK: - What follows

    private static func gracefulForecast(_ lease: Lease, _ worker: String, in fleet: FleetSnapshot) -> [String] {
        let owner = lease.leaseOwner ?? ""
        return [
            "\(owner) is told when it renews (\(renewal(in: fleet))): it is asked to shut the shard down, may "
                + "checkpoint, and passes the lease on",
            "it does so after 30 s at the latest (gracefulLeaseHandoffTimeoutMillis); the leader ends a handover that "
                + "is \((fleet.failoverTime.duration + .seconds(30)).brief) old",
            "\(worker) finds the lease within about 10 s after that and reads on from the checkpoint",
        ]
    }

    private static func hardForecast(
        _ lease: Lease, _ view: LeaseView, _ worker: String, in fleet: FleetSnapshot
    ) -> [String] {
        var lines = ["\(worker) finds the lease within about 10 s and reads on from the checkpoint"]
        if let owner = lease.actualOwner {
            lines.append(
                view.state == .expired
                    ? "\(owner) is gone and hands nothing over; if it comes back it gets ZOMBIE"
                    : "\(owner) gets ZOMBIE when it next renews or checkpoints (\(renewal(in: fleet)))")
        }
        if case .blocked = view.state { lines.append("it starts only when its parents ended") }
        return lines
    }

    /// When the leader may move it again (kcl.md §3.3).
    private static func leaderForecast(_ report: WorkerReport, in fleet: FleetSnapshot) -> [String] {
        let run = fleet.failoverTime.duration * 2
        var lines = [
            "the leader\(fleet.leader.map { " \($0)" } ?? "") may move it back when it balances, about every "
                + "\((run * 3).brief), where \(report.workerID) is more than 10 % above the fleet's average or over "
                + "its range"
        ]
        if !report.failing.isEmpty {
            lines.append(
                "metric \(report.failing.joined(separator: ", ")) of \(report.workerID) fails: the leader gives it nothing"
            )
        }
        return lines
    }
}

extension WorkerReport {
    /// Why no lease is given to the worker; `nil` where it may be.
    var whyNotATarget: String? {
        if let oddity { return "the metrics row of \(workerID) is ignored by the leader: \(oddity)" }
        guard isFresh else {
            return
                "\(workerID) reported \(age.map { "\($0.brief) ago" } ?? "at an unknown time"): a leader takes it for "
                + "gone after \(Self.validFor.brief)"
        }
        return nil
    }
}
