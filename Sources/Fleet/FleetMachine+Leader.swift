import AWSWire
import Leases
import Machine

/// The leader's version, and since when it stands on our clock.
struct LeaderBeat: Hashable, Sendable {
    var owner: String
    var version: String
    var leaseDuration: Duration
    var changedAt: Timestamp
    var isChangeSeen: Bool
    var readAt: Timestamp
}

extension FleetMachine {
    /// Notes the leader's version; the lock of 3.0 to 3.4 wins, as the one in the lease table holds only when all of a
    /// fleet moved (kcl.md §1.5).
    mutating func updateLeader(at now: Timestamp) {
        let ofCoordinator = hasCoordinatorTable ? sides.leaderItem : nil
        let item = ofCoordinator ?? rows[Self.leaderKey]?.stored
        let readAt = ofCoordinator == nil ? now : sides.leaderReadAt
        guard let item, let owner = item["ownerName"]?.string, item["isReleased"]?.string != "1" else {
            sides.beat = nil
            return
        }
        let version = item["recordVersionNumber"]?.string ?? ""
        let milliseconds = item["leaseDuration"]?.string.flatMap { Int64($0) } ?? 120_000
        var beat =
            sides.beat
            ?? LeaderBeat(
                owner: owner, version: version, leaseDuration: .zero, changedAt: readAt, isChangeSeen: false,
                readAt: readAt)
        if beat.version != version || beat.owner != owner {
            beat.changedAt = readAt
            beat.isChangeSeen = true
        }
        beat.owner = owner
        beat.version = version
        beat.leaseDuration = .milliseconds(min(max(1000, milliseconds), 86_400_000))
        beat.readAt = readAt
        sides.beat = beat
    }

    /// The leader's heartbeat as reads show it: what was not read does not make it old.
    func leaderHeartbeat(at now: Timestamp) -> LeaderHeartbeat? {
        guard let beat = sides.beat else { return nil }
        if case .takers? = mode { return nil }
        let age = min(now - beat.changedAt, beat.readAt - beat.changedAt + Self.leaderReadInterval)
        return LeaderHeartbeat(
            workerID: beat.owner, age: age, isExact: beat.isChangeSeen, leaseDuration: beat.leaseDuration)
    }

    /// A fleet of 3.x whose workers read, with nobody who would hand out leases: what is read is read on, and what is
    /// lost or new waits (kcl.md §1.5; a leader is followed by another after some two and a half minutes).
    func leaderFindings(_ workers: [WorkerView], at now: Timestamp) -> [Finding] {
        guard hasAssigner, workers.contains(where: { $0.state == .live && $0.activeLeases > 0 }) else { return [] }
        let consequence = "until then nobody hands out leases"
        if let heartbeat = leaderHeartbeat(at: now) {
            guard heartbeat.isLost else { return [] }
            let isOverdue = heartbeat.age >= heartbeat.leaseDuration * 2
            return [
                Finding(
                    kind: .leaderLost, severity: .warning, workerID: heartbeat.workerID, age: heartbeat.age,
                    message: "\(heartbeat.workerID), the leader, sent no heartbeat for \(heartbeat.brief): "
                        + (isOverdue
                            ? "no worker takes its place, \(consequence); \(Self.leaderlessAdvice)"
                            : "another takes its place, \(consequence)"))
            ]
        }
        guard !hasCoordinatorTable || sides.coordinator == .read else { return [] }
        return [
            Finding(
                kind: .leaderLost, severity: .warning, patience: .seconds(90),
                message: "no worker became leader, \(consequence); \(Self.leaderlessAdvice)")
        ]
    }

    private static let leaderlessAdvice =
        "each tries every 30 s, so look in their logs for why the lock cannot be written, or restart one"

    /// Leases are handed out, and not taken.
    var hasAssigner: Bool { if case .leaderAssigned? = mode { true } else { false } }

    /// Who would take a lease that nobody has, and does not.
    func idleTaker(of leases: String) -> String {
        guard hasAssigner else { return "no worker takes \(leases)" }
        guard let owner = sides.beat?.owner else { return "there is no leader that hands \(leases) out" }
        return "\(owner), the leader, does not hand \(leases) out"
    }
}
