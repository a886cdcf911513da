import AWSWire
import Leases
import Machine

extension Plan {
    /// How long a handover takes at the most before something is wrong: the owner's 30 s and a renewal or two.
    package static let handoffPatience: Duration = .seconds(45)

    /// Ends a handover that does not end: the successor owns the lease, as if the old owner had passed it on.
    package static func completeHandoff(_ shard: String, in fleet: FleetSnapshot) throws(Refusal) -> Plan {
        let (fleet, shard) = try fleet.narrowed(to: shard)
        let (view, lease) = try lease(shard, in: fleet)
        guard let old = lease.checkpointOwner else {
            throw Refusal(.noHandoff, "\(view.fullName) is not being handed over: there is nothing to complete")
        }
        guard let successor = lease.leaseOwner else {
            throw Refusal(
                .noHandoff, "\(view.fullName) is handed over by \(old) to nobody: there is no successor to give it to")
        }
        if case .takers? = fleet.mode {
            throw Refusal(
                .notAssigned,
                "the workers of \(fleet.identity.table) take leases themselves (\(fleet.mode?.words ?? "")): none waits "
                    + "for a handover; evict it, and another worker takes it")
        }
        var plan = plan(.completeHandoff, lease, view, in: fleet)
        plan.intent.target = successor
        plan.call = .update(LeaseTable.assign(table: fleet.identity.table, lease, to: successor))
        plan.title = "complete the handover of \(view.fullName) from \(old) to \(successor)"
        plan.forecast = ["\(successor) finds the lease within about 10 s and reads on from the checkpoint"]
        if old != successor {
            plan.forecast.append(
                "\(old) gets ZOMBIE when it next renews or checkpoints (\(renewal(in: fleet))), and checkpoints no more"
            )
        }
        if case .handingOver(_, _, let since) = view.reason, since < handoffPatience {
            plan.forecast.append(
                "NOT KNOWN TO BE STUCK: it was watched for \(since.brief), and by itself ends within about "
                    + "\(handoffPatience.brief)")
        }
        if !(fleet.workers.first { $0.workerID == successor }?.report?.isFresh ?? false) {
            plan.forecast.append(
                "\(successor) is not known to live: it does not report; assign --hard gives it to another")
        }
        plan.expectedGap = "up to 10 s until \(successor) finds it"
        return plan
    }
}
