import Fleet
import Leases

/// Leases of a 3.x fleet go from worker to worker.
extension Model {
    /// Why the lease cannot be given to another worker, or its handover be completed.
    func assignObstacle(_ lease: LeaseView, _ snapshot: FleetSnapshot) -> String? {
        let name = Format.shard(lease.key)
        guard lease.kind == .lease else { return "\(name) has no lease" }
        if lease.state == .ended { return "\(name) was read to its end (SHARD_END); nobody needs its lease" }
        if let refusal = Plan.whyNotAssignable(snapshot) { return refusal.description }
        if lease.checkpointOwner == nil, Plan.targets(for: lease, in: snapshot).isEmpty {
            return "no other worker reports to the leader, so there is none to give \(name) to"
        }
        return nil
    }

    mutating func assign(_ lease: LeaseView) -> [ModelEffect] {
        guard lease.checkpointOwner == nil else { return request(.completeHandoff(lease: lease.id)) }
        let targets = snapshot.map { Plan.targets(for: lease, in: $0) } ?? []
        if targets.count == 1 { return request(.assign(lease: lease.id, worker: targets[0], isHard: false)) }
        overlay = .picker(
            Picker(
                kind: .assignTo(lease: lease.id), title: "assign \(Format.shard(lease.key)) to", choices: targets))
        return []
    }
}
