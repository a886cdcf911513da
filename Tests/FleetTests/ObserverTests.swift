import AWSWire
import Leases
import Machine
import Synchronization
import Testing

@testable import Fleet

/// A table, a stream and a coordinator table that may be down, behind the wire.
private final class Services: Transport {
    let items = Mutex<[Item]>([])
    let isDown = Mutex(false)
    let calls = Mutex<[String: Int]>([:])

    func send(_ request: Request) async throws(TransportError) -> Response {
        let operation = request.headers["X-Amz-Target"]?.split(separator: ".").last.map(String.init) ?? ""
        calls.withLock { $0[operation, default: 0] += 1 }
        if isDown.withLock({ $0 }) {
            throw TransportError(.cannotConnect, "cannot connect", requestWasSent: false)
        }
        switch operation {
        case "Scan": return ok(["Items": .list(items.withLock { $0 }.map(\.wire))])
        case "ListShards":
            return ok([
                "Shards": [
                    [
                        "ShardId": .string(id(0)),
                        "HashKeyRange": [
                            "StartingHashKey": "0", "EndingHashKey": .string(String(UInt128.max)),
                        ], "SequenceNumberRange": ["StartingSequenceNumber": "0"],
                    ]
                ]
            ])
        case "DescribeStreamSummary":
            return ok(["StreamDescriptionSummary": ["StreamStatus": "ACTIVE", "RetentionPeriodHours": 48]])
        default: return Response(status: 400, body: Bytes("{\"__type\":\"x#ResourceNotFoundException\"}"))
        }
    }

    private func ok(_ value: AWSValue) -> Response {
        // The service's renewals, so that the owner lives.
        items.withLock { items in
            for index in items.indices {
                if let counter = items[index]["leaseCounter"]?.int { items[index]["leaseCounter"] = .n(counter + 1) }
            }
        }
        return Response(status: 200, body: Bytes(JSON.encode(value)))
    }
}

/// A clock that jumps to where somebody sleeps.
private final class JumpingClock: Sendable {
    private let now = Mutex(Timestamp.zero)

    var time: TimeSource {
        TimeSource(
            now: { self.now.withLock { $0 } },
            wallClock: { Watch.noon + (self.now.withLock { $0 } - .zero) },
            sleep: { until in
                // Whoever has something to do does it first: the deadline of a request that is being answered is no
                // moment to jump to.
                let turn = ContinuousClock.now + .milliseconds(20)
                repeat {
                    await Task.yield()
                    try Task.checkCancellation()
                } while ContinuousClock.now < turn
                self.now.withLock { $0 = max($0, until) }
            })
    }
}

private enum Outage {
    case toCome, here, over

    /// Whether it begins now.
    mutating func begin() -> Bool {
        guard self == .toCome else { return false }
        self = .here
        return true
    }
}

struct ObserverTests {
    private let services = Services()
    private let clock = JumpingClock()

    private func client(_ service: AWSService) -> AWSClient {
        AWSClient(
            service, region: "us-east-1", transport: services,
            credentials: StaticCredentials(accessKeyID: "k", secretAccessKey: "s"), time: clock.time,
            retry: .once, encoding: .json, seed: 1)
    }

    @Test func `one observation returns a complete picture`() async throws {
        services.items.withLock { $0 = [item(lease(0, of: 1))] }
        let snapshot = try await Observer.observe(
            .test(), for: .seconds(12), dynamoDB: DynamoDBClient(client(.dynamodb)),
            kinesis: KinesisClient(client(.kinesis)), time: clock.time)
        #expect(snapshot.leases.map(\.state) == [.live])
        #expect(snapshot.mode == .takers(clientVersion: nil))
        #expect(snapshot.retention == .seconds(48 * 3600))
        #expect(snapshot.observedFor >= .seconds(12))
    }

    @Test func `an observation of what does not exist ends at once and says why`() async throws {
        let snapshot = try await Observer.observe(
            FleetConfiguration(
                identity: FleetIdentity(application: "ghost", stream: nil, region: "us-east-1"),
                failoverTime: nil), for: .seconds(12),
            dynamoDB: DynamoDBClient(
                AWSClient(
                    .dynamodb, region: "us-east-1", transport: Nothing(),
                    credentials: StaticCredentials(accessKeyID: "k", secretAccessKey: "s"), time: clock.time,
                    retry: .once, seed: 1)), kinesis: nil, time: clock.time)
        #expect(snapshot.scans == 0)
        #expect(snapshot.problems.first?.message.hasPrefix("there is no table ghost at us-east-1") == true)
        #expect(snapshot.observedFor < .seconds(12))
    }

    @Test func `snapshots come in order, lines of a recording too, and an outage is survived`() async throws {
        services.items.withLock { $0 = [item(lease(0, of: 1))] }
        let seen = Mutex<[FleetSnapshot]>([])
        let lines = Mutex<[String]>([])
        let stop = Mutex<(@Sendable () -> Void)?>(nil)
        let outage = Mutex(Outage.toCome)
        let services = services
        let observer = Observer(
            .test(), dynamoDB: DynamoDBClient(client(.dynamodb)), kinesis: KinesisClient(client(.kinesis)),
            time: clock.time, record: { text in lines.withLock { $0 += text } },
            publish: { snapshot in
                seen.withLock { $0.append(snapshot) }
                // Not every scan has a snapshot of its own.
                if snapshot.scans >= 3, outage.withLock({ $0.begin() }) { services.isDown.withLock { $0 = true } }
                if snapshot.problems.contains(where: { $0.kind == .table && $0.severity == .critical }) {
                    outage.withLock { $0 = .over }
                    services.isDown.withLock { $0 = false }
                } else if snapshot.scans >= 6, outage.withLock({ $0 == .over }) {
                    stop.withLock { $0?() }
                }
            })
        stop.withLock { $0 = { observer.post(.stopRequested) } }
        try await observer.run()
        let snapshots = seen.withLock { $0 }
        #expect(snapshots.map(\.sequence) == snapshots.map(\.sequence).sorted())
        #expect(snapshots.contains { $0.problems.contains { $0.severity == .critical } })
        #expect(snapshots.last?.problems.contains { $0.severity == .critical } == false)
        let recording = lines.withLock { $0 }
        var replay = try Replay(header: try #require(recording.first))
        for line in recording.dropFirst() { _ = try replay.next(line) }
        #expect(replay.finish().leases.map(\.id) == [id(0)])
    }

    @Test func `a cancelled observer ends`() async {
        services.items.withLock { $0 = [item(lease(0, of: 1))] }
        let observer = Observer(
            .test(), dynamoDB: DynamoDBClient(client(.dynamodb)), kinesis: nil, time: clock.time, publish: { _ in })
        let task = Task { try await observer.run() }
        task.cancel()
        let result = await task.result
        #expect(throws: CancellationError.self) { try result.get() }
    }
}

/// A service that has nothing.
private struct Nothing: Transport {
    func send(_ request: Request) async throws(TransportError) -> Response {
        Response(status: 400, body: Bytes("{\"__type\":\"x#ResourceNotFoundException\",\"message\":\"none\"}"))
    }
}
