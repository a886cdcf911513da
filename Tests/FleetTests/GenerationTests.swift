import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

/// Tables of every generation, and what a picture says of them.
struct GenerationTests {
    private func owners(_ snapshot: FleetSnapshot) -> [String?] { snapshot.leases.map(\.owner) }

    @Test func `a table of 1·x has no hash ranges, and its workers take leases`() {
        let snapshot = Watch.over(Generations.v1).snapshot
        #expect(snapshot.generation == .v1)
        #expect(snapshot.mode == .takers(clientVersion: nil))
        #expect(snapshot.assignment == .takers)
        #expect(snapshot.leader == shardSyncLeader(owners: ["v1-worker-a", "v1-worker-b"]))
        #expect(snapshot.leaderHeartbeat == nil)
        #expect(snapshot.migration == nil && snapshot.layout == nil)
        #expect(owners(snapshot) == ["v1-worker-a", "v1-worker-b", nil])
        #expect(snapshot.leases[0].checkpoint?.subSequenceNumber == 2)
        #expect(snapshot.leases[2].parents == [id(0)])
        #expect(snapshot.workers.map(\.workerID) == ["v1-worker-a", "v1-worker-b"])
    }

    @Test func `a table of 2·x shows prepared checkpoints and families`() throws {
        let snapshot = Watch.over(Generations.v2).snapshot
        #expect(snapshot.generation == .v2)
        #expect(snapshot.mode == .takers(clientVersion: nil))
        let views = Dictionary(snapshot.leases.map { ($0.id, $0) }) { $1 }
        #expect(views[id(0)]?.state == .ended)
        #expect(views[id(0)]?.children == [id(2), id(3)])
        #expect(views[id(1)]?.lease?.pendingCheckpoint?.state == Bytes("state"))
        #expect(views[id(3)]?.lease?.pendingCheckpoint == nil)
        #expect(views[id(3)]?.owner == "v2-worker-b")
        #expect(snapshot.otherRows == [])
        #expect(snapshot.problems.allSatisfy { $0.kind != .oddRow })
    }

    @Test func `3·0 to 3·4 keep mode, leader and metrics in two tables beside`() throws {
        let snapshot = Watch.over(Generations.v3()).snapshot
        #expect(snapshot.generation == .v3)
        #expect(snapshot.mode == .leaderAssigned(clientVersion: "CLIENT_VERSION_3X"))
        #expect(snapshot.layout == .sideTables)
        #expect(snapshot.leader == "v3-worker-a")
        #expect(snapshot.leaderHeartbeat?.isExact == false)
        #expect(snapshot.leaderHeartbeat?.leaseDuration == .seconds(120))
        #expect(snapshot.migration?.clientVersion == "CLIENT_VERSION_3X")
        #expect(snapshot.migration?.since == Watch.noon + .seconds(-7200))
        #expect(snapshot.migration?.changedBy == "v3-worker-a")
        #expect(snapshot.assignment == .leader(metrics: [.cpu, .memory, .networkIn, .networkOut]))
        #expect(snapshot.assignment?.words == "the leader assigns by CPU, memory, network in, network out")
        #expect(owners(snapshot) == ["v3-worker-a", "v3-worker-b"])
        #expect(snapshot.leases[1].checkpointOwner == "v3-worker-a")
        #expect(snapshot.leases[0].kilobytesPerSecond == 12.25)
        #expect(snapshot.workers.map(\.workerID) == ["v3-worker-a", "v3-worker-b", "v3-worker-idle"])
        #expect(snapshot.workers.map(\.isLeader) == [true, false, false])
        // The old owner reads on while it hands over.
        #expect(snapshot.workers.map(\.leases) == [2, 0, 0])
        let report = try #require(snapshot.workers.first?.report)
        #expect(report.values == [.cpu: 37.5, .memory: 50, .networkIn: 3, .networkOut: 2])
        #expect(report.ranges[.cpu] == 80)
        #expect(report.age.map { $0 >= .seconds(5) && $0 < .seconds(8) } == true)
        #expect(report.isFresh)
    }

    @Test func `3·5 keeps all in the lease table, and rows of kinds to come are shown`() throws {
        let snapshot = Watch.over(Generations.v35).snapshot
        #expect(snapshot.generation == .v3)
        #expect(snapshot.mode == .leaderAssigned(clientVersion: "CLIENT_VERSION_3X_WITH_ROLLBACK"))
        #expect(snapshot.layout == .single)
        #expect(snapshot.leader == "v35-worker-a")
        #expect(snapshot.leaderHeartbeat?.workerID == "v35-worker-a")
        #expect(owners(snapshot) == ["v35-worker-a", nil])
        // The one that has not reported for ten minutes and owns nothing is history.
        #expect(snapshot.workers.map(\.workerID) == ["v35-worker-a"])
        #expect(snapshot.workers.first?.report?.knowsSingleTable == true)
        #expect(snapshot.workers.first?.report?.isOfLeaseTable == true)
        let keys = snapshot.otherRows.map(\.key)
        #expect(keys.contains("warp") && keys.contains("no-kind") && keys.contains("123456789012:orders:1700000000"))
        #expect(snapshot.otherRows.allSatisfy { $0.oddity == nil })
        #expect(!snapshot.awaitsSides)
    }

    @Test func `a table of several streams shows each lease with its stream`() {
        let snapshot = Watch.over(Generations.multiStream).snapshot
        #expect(snapshot.generation == .v2)
        #expect(snapshot.leases.map(\.shardID) == [id(0), id(1)])
        #expect(snapshot.leases.allSatisfy { $0.stream == "123456789012:orders:1700000000" })
    }

    @Test(arguments: [
        ("CLIENT_VERSION_INIT", FleetMode.takers(clientVersion: "CLIENT_VERSION_INIT"), "v3-worker-"),
        ("CLIENT_VERSION_2X", .takers(clientVersion: "CLIENT_VERSION_2X"), "v3-worker-"),
        ("CLIENT_VERSION_UPGRADE_FROM_2X", .upgrading, "v3-worker-a"),
        (
            "CLIENT_VERSION_3X_WITH_ROLLBACK",
            .leaderAssigned(clientVersion: "CLIENT_VERSION_3X_WITH_ROLLBACK"), "v3-worker-a"
        ),
        ("CLIENT_VERSION_9X", .takers(clientVersion: "CLIENT_VERSION_9X"), "v3-worker-"),
    ])
    func `each migration state is read as it is`(_ version: String, _ mode: FleetMode, _ leader: String) {
        let snapshot = Watch.over(Generations.v3(version)).snapshot
        #expect(snapshot.mode == mode)
        #expect(snapshot.generation == .v3)
        #expect(snapshot.migration?.clientVersion == version)
        #expect(snapshot.leader?.hasPrefix(leader) == true)
    }

    @Test func `a lock that 3·x left names no leader of workers that are held at 2·x`() {
        let snapshot = Watch.over(Generations.v3("CLIENT_VERSION_2X", leader: "long-gone")).snapshot
        #expect(snapshot.leader == shardSyncLeader(owners: ["v3-worker-a"]))
        #expect(snapshot.leaderHeartbeat == nil)
    }
}
