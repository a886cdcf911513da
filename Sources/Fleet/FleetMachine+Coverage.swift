import Leases
import Machine

/// Shards and leases that do not match.
extension FleetMachine {
    func coverageFindings(_ views: [LeaseView], _ survey: Survey) -> [Finding] {
        var findings: [Finding] = []
        let missing = views.filter { $0.state == .missing }
        if !missing.isEmpty {
            if survey.leaseCount == 0 {
                findings.append(
                    Finding(
                        kind: .missing, severity: .warning, shardIDs: missing.map(\.id),
                        message:
                            "the table holds no lease yet: no worker has run, all \(missing.count) shards are unread"))
            } else {
                findings.append(
                    Finding(
                        kind: .missing, severity: .critical, shardIDs: missing.map(\.id),
                        patience: max(.seconds(5), refreshInterval * 2),
                        message: "\(missing.map(\.id).briefShards): open without a lease, so nobody reads; KCL's "
                            + "shard sync makes one within about 6 minutes", action: .create))
            }
        }
        findings += holeFindings(views.filter { $0.state == .hole })
        let orphans = views.filter { $0.state == .orphan }
        if !orphans.isEmpty {
            findings.append(
                Finding(
                    kind: .orphan, severity: .warning, shardIDs: orphans.map(\.id),
                    message: "\(orphans.map(\.id).briefShards): the stream has no such shard any more; workers "
                        + "delete such leases within about 30 minutes", action: .delete))
        }
        var unread: [String: [String]] = [:]
        for view in views where view.state == .blocked {
            guard case .waitsForUnread(let parents) = view.reason else { continue }
            let prefix = view.id.dropLast(view.shardID.count)
            for parent in parents { unread[prefix + parent, default: []].append(view.id) }
        }
        for (parent, children) in unread.sorted(by: { $0.key < $1.key }) {
            findings.append(
                Finding(
                    kind: .blocked, subject: parent, severity: .warning, shardIDs: children,
                    patience: failover.duration,
                    message:
                        "\(children.briefShards) cannot start: \(parent.briefShard), the parent, is read by nobody",
                    action: ownWorkers.isEmpty ? .evict : .steal))
        }
        return findings
    }
}
