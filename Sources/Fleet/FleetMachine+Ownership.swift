import Leases
import Machine

/// Nobody reads, or the wrong one.
extension FleetMachine {
    func ownershipFindings(_ views: [LeaseView], at now: Timestamp) -> [Finding] {
        var free: [LeaseView] = []
        var oldestFree = Duration.zero
        var expired: [String: [LeaseView]] = [:]
        var stuckHandoffs: [String] = []
        let patience = failover.duration * 2.5
        for view in views {
            switch view.state {
            case .free:
                let age = freeAge(view, at: now)
                if age > patience {
                    free.append(view)
                    oldestFree = max(oldestFree, age)
                }
            case .expired: expired[view.owner ?? "", default: []].append(view)
            case .handoff:
                if case .handingOver(_, _, let since) = view.reason, since > Plan.handoffPatience,
                    (view.checkpointAge ?? .zero) > Plan.handoffPatience
                {
                    stuckHandoffs.append(view.id)
                }
            default: break
            }
        }
        var findings: [Finding] = []
        if !free.isEmpty {
            let who = free.count == 1 ? free[0].id.briefShard : "\(free.count) shards"
            findings.append(
                Finding(
                    kind: .unowned, severity: oldestFree > failover.duration * 6 ? .critical : .warning,
                    shardIDs: free.map(\.id), age: oldestFree,
                    message:
                        "\(who) unowned for \(oldestFree.brief): \(idleTaker(of: free.count == 1 ? "it" : "them"))",
                    action: ownWorkers.isEmpty ? nil : .steal))
        }
        for (owner, leases) in expired.sorted(by: { $0.key < $1.key }) {
            findings.append(expiredFinding(owner, leases))
        }
        if !stuckHandoffs.isEmpty {
            findings.append(
                Finding(
                    kind: .handoffStuck, severity: .warning, shardIDs: stuckHandoffs,
                    message:
                        "\(stuckHandoffs.briefShards): the handover does not end, the old owner renews and reads on",
                    action: .completeHandoff))
        }
        return findings
    }

    private func freeAge(_ view: LeaseView, at now: Timestamp) -> Duration {
        if case .unowned(let since?, _) = view.reason { return since }
        return rows[view.id].map { now - $0.firstSeen } ?? .zero
    }

    private func expiredFinding(_ owner: String, _ leases: [LeaseView]) -> Finding {
        let quiet = leases.map { view -> Duration in
            if case .expired(let since, _) = view.reason { since } else { .zero }
        }.max()
        let lag = leases.compactMap(\.checkpointLag).max()
        let count = leases.count == 1 ? "its lease" : "its \(leases.count) leases"
        return Finding(
            kind: .expired, subject: owner,
            severity: (quiet ?? .zero) > failover.duration * 3 ? .critical : .warning,
            shardIDs: leases.map(\.id), workerID: owner, age: quiet,
            message: "\(owner) is gone: no renewal for \((quiet ?? .zero).brief), \(count) wait for "
                + (hasAssigner ? "the leader to hand them out" : "a taker")
                + (lag.map { ", up to \(Duration.milliseconds($0.milliseconds).brief) unread" } ?? ""),
            action: ownWorkers.isEmpty ? .evict : .steal)
    }
}
