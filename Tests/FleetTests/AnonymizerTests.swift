import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct AnonymizerTests {
    private let secrets = [
        "payments", "orders-eu", "ip-10-1-2-3", "987654321098", "s3cr3t", "alice", "tenant-7", "internal.example",
    ]

    /// A recording in which every place that takes a name or a text holds a secret.
    private func lines() -> [String] {
        let identity = FleetIdentity(
            application: "payments", table: "payments", stream: "orders-eu", region: "eu-west-1",
            account: "987654321098", role: "role alice", endpoint: "http://internal.example:1")
        var configuration = FleetConfiguration.test()
        configuration.identity = identity
        var recorder = Recorder(configuration)
        let info = Watch().info(units: 3)
        var lines = [recorder.header(at: .zero, wallClock: Watch.noon)]
        func hear(_ event: FleetMachine.Event, at second: Int) {
            lines += recorder.lines(for: event, at: .zero + .seconds(second))
        }
        let own = lease(0, of: 2, owner: "ip-10-1-2-3:1", checkpoint: checkpoint(age: .seconds(9)))
        let more: Item = [
            "note": .s("s3cr3t"), "tags": .ss(["tenant-7"]), "count": .n(987_654_321_098),
            "pendingCheckpointState": .b(Bytes("s3cr3t")),
            "shardtop": .m(["owner": .s("ip-10-1-2-3:1"), "failoverTimeMillis": .n(9000), "x": .s("alice")]),
        ]
        let foreign: Item = ["leaseKey": .s("tenant-7"), "who": .s("alice")]
        let multi: Item = [
            "leaseKey": .s("987654321098:orders-eu:1700000000:shardId-000000000004"),
            "streamName": .s("987654321098:orders-eu:1700000000"), "leaseCounter": .n(1), "checkpoint": .s("LATEST"),
            "checkpointSubSequenceNumber": .n(0),
        ]
        hear(.shardsListed([shard(0, of: 2), shard(1, of: 2)], info), at: 0)
        hear(
            .streamDescribed(
                StreamSummary(
                    name: "orders-eu", arn: "arn:aws:kinesis:eu-west-1:987654321098:stream/orders-eu",
                    status: "ACTIVE", retentionHours: 24, created: nil, openShards: 2), info), at: 1)
        hear(.scanned(FleetMachine.TablePage([item(own, more), foreign, multi]), info), at: 2)
        hear(.ownWorkersChanged([OwnWorker("ip-10-1-2-3:1", isPaused: true)]), at: 3)
        hear(
            .happened(
                WorkerEvent(
                    .leaseStolen, at: Watch.noon, workerID: "alice:2", shardID: id(0), previousOwner: "ip-10-1-2-3:1",
                    owner: "alice:2", checkpoint: .trimHorizon, message: "alice said s3cr3t")), at: 4)
        hear(.scanFailed(awsError("AccessDeniedException", "user alice of 987654321098"), info), at: 5)
        let taken = lease(0, of: 2, owner: "alice:2", counter: 2, checkpoint: checkpoint(age: .seconds(9)))
        hear(.scanned(FleetMachine.TablePage([item(taken), foreign]), info), at: 7)
        return lines
    }

    private func anonymized(_ lines: [String]) throws -> [String] {
        var anonymizer = Anonymizer()
        return try lines.compactMap { try anonymizer.line($0) }
    }

    private func replayed(_ lines: [String]) throws -> [FleetSnapshot] {
        var replay = try Replay(header: try #require(lines.first))
        var snapshots = try lines.dropFirst().flatMap { try replay.next($0) }
        snapshots.append(replay.finish())
        return snapshots
    }

    @Test func `nothing of what was secret is left`() throws {
        let lines = lines()
        let text = try anonymized(lines).joined(separator: "\n")
        for secret in secrets {
            #expect(lines.joined().contains(secret), "\(secret) was never in it")
            #expect(!text.contains(secret), "\(secret)")
        }
        // A blob is base64 in the recording.
        #expect(lines.joined().contains("czNjcjN0") && !text.contains("czNjcjN0"))
    }

    @Test func `the same picture is shown, with one name for one name`() throws {
        let lines = lines()
        let shared = try anonymized(lines)
        #expect(shared.count == lines.count)
        let (before, after) = (try replayed(lines), try replayed(shared))
        #expect(before.count == after.count)
        let names = ["ip-10-1-2-3:1": "worker-1", "alice:2": "worker-2"]
        for (old, new) in zip(before, after) {
            #expect(old.leases.map(\.state) == new.leases.map(\.state))
            #expect(old.leases.map { $0.owner.map { names[$0] ?? "?" } } == new.leases.map(\.owner))
            #expect(old.leases.map(\.checkpoint) == new.leases.map(\.checkpoint))
            #expect(old.events.map(\.event.kind) == new.events.map(\.event.kind))
            #expect(old.problems.map(\.kind) == new.problems.map(\.kind))
            #expect(old.takenAt == new.takenAt)
        }
        let identity = try #require(after.last?.identity)
        #expect(identity.application == "application-1" && identity.table == "application-1")
        #expect(identity.stream == "stream-1" && identity.region == "eu-west-1")
        #expect(identity.account == "000000000000")
    }

    @Test func `the key of a lease of several streams keeps its shape`() throws {
        let text = try anonymized(lines()).joined()
        #expect(text.contains("000000000000:stream-1:1700000000:shardId-000000000004"))
    }

    @Test func `a line of an unknown kind is left out, a damaged one or a foreign file is an error`() throws {
        var anonymizer = Anonymizer()
        _ = try anonymizer.line(try #require(lines().first))
        #expect(try anonymizer.line("{\"t\":1,\"is\":\"novelty\",\"x\":\"s3cr3t\"}") == nil)
        #expect(throws: Replay.Malformed.self) { try anonymizer.line("{") }
        var other = Anonymizer()
        #expect(throws: Replay.Malformed.self) { try other.line("{\"a\":1}") }
    }
}
