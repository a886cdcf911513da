import AWSWire
import Testing

@testable import Leases

@Suite struct FleetModeTests {
    @Test func `no migration item means takers`() {
        #expect(FleetMode(migrationItem: nil) == .takers(clientVersion: nil))
        #expect(FleetMode(migrationItem: ["key": .s("Migration3.0")]) == .takers(clientVersion: nil))
    }

    @Test func `the client version decides`() {
        func mode(_ version: String) -> FleetMode { FleetMode(migrationItem: ["cv": .s(version)]) }
        #expect(mode("CLIENT_VERSION_INIT") == .takers(clientVersion: "CLIENT_VERSION_INIT"))
        #expect(mode("CLIENT_VERSION_2X") == .takers(clientVersion: "CLIENT_VERSION_2X"))
        #expect(mode("CLIENT_VERSION_UPGRADE_FROM_2X") == .upgrading)
        #expect(mode("CLIENT_VERSION_3X") == .leaderAssigned(clientVersion: "CLIENT_VERSION_3X"))
        #expect(
            mode("CLIENT_VERSION_3X_WITH_ROLLBACK")
                == .leaderAssigned(clientVersion: "CLIENT_VERSION_3X_WITH_ROLLBACK"))
    }

    @Test func `the legacy tables are named after the application`() {
        #expect(FleetMode.coordinatorTable(application: "app") == "app-CoordinatorState")
        #expect(FleetMode.workerMetricsTable(application: "app") == "app-WorkerMetricStats")
    }
}

/// Expectations computed with `Collections.sort` and `Collections.shuffle(workers, new Random(1947))` of OpenJDK.
@Suite struct ShardSyncLeaderTests {
    @Test(arguments: [
        (1, "0000"), (2, "0000"), (3, "0002"), (4, "0003"), (5, "0004"), (6, "0002"), (7, "0002"), (8, "0002"),
        (9, "0003"), (10, "0008"), (11, "0006"), (12, "0009"), (16, "0011"), (17, "0013"), (25, "0000"),
        (31, "0022"), (32, "0019"), (33, "0021"), (50, "0047"), (64, "0046"), (65, "0008"), (100, "0095"),
        (127, "0030"), (128, "0089"), (200, "0070"), (1000, "0748"),
    ])
    func `of worker-0000 and so on Java elects the same one`(count: Int, expected: String) {
        let workers = (0..<count).map { index in
            "worker-" + String(repeating: "0", count: 4 - String(index).count) + String(index)
        }
        #expect(shardSyncLeader(owners: workers) == "worker-" + expected)
    }

    @Test func `order and repetition of the owners do not matter`() {
        #expect(shardSyncLeader(owners: ["z", "a", "ip-10-0-1-8:99", "a", "B", "Z", "ip-10-0-1-7:1234", "z"]) == "a")
    }

    @Test func `names are sorted by UTF-16, as Java does`() {
        #expect(shardSyncLeader(owners: ["Ωmega", "alpha", "Éa", "z"]) == "Ωmega")
        // By scalars the emoji would come last, by UTF-16 it comes before U+FFFD.
        #expect(shardSyncLeader(owners: ["😀a", "\u{FFFD}b", "c"]) == "\u{FFFD}b")
    }

    @Test func `where nobody owns anything there is no leader`() {
        #expect(shardSyncLeader(owners: [String]()) == nil)
    }

    @Test func `the generator is Java's, for bounds that are powers of two, rejected and small`() {
        func six(below bound: Int) -> [Int] {
            var random = JavaRandom(seed: 1947)
            return (0..<6).map { _ in random.next(below: bound) }
        }
        #expect(six(below: 7) == [1, 1, 6, 2, 5, 6])
        #expect(
            six(below: 1 << 30) == [674_928_681, 359_988_762, 31_977_497, 276_436_584, 523_309_751, 516_785_559])
        #expect(
            six(below: 1 << 30 + 1)
                == [719_977_525, 63_954_995, 552_873_169, 1_046_619_502, 1_033_571_118, 995_805_700])
    }
}
