import AWSWire
import Leases
import Machine
import Synchronization
import Testing

@testable import KinesisConsumer

/// Both services as lists of answers by operation: each request takes the next one, and the last one stays.
private final class ScriptedFleet: Transport {
    enum Answer: Sendable {
        case ok(AWSValue)
        case error(String)
        case refused
    }

    private let script: Mutex<[String: [Answer]]>
    private let kept = Mutex<[(operation: String, body: AWSValue)]>([])

    init(_ script: [String: [Answer]]) { self.script = Mutex(script) }

    var operations: [String] { kept.withLock { $0.map(\.operation) } }
    func bodies(of operation: String) -> [AWSValue] {
        kept.withLock { $0.filter { $0.operation == operation }.map(\.body) }
    }

    func send(_ request: Request) async throws(TransportError) -> Response {
        let operation = request.headers["X-Amz-Target"]?.split(separator: ".").last.map(String.init) ?? ""
        let body = (try? JSON.decode(Bytes(request.body))) ?? .null
        kept.withLock { $0.append((operation, body)) }
        let answer = script.withLock { script -> Answer? in
            guard let answers = script[operation], let first = answers.first else { return nil }
            if answers.count > 1 { script[operation] = Array(answers.dropFirst()) }
            return first
        }
        switch answer {
        case .ok(let value)?: return Response(status: 200, body: Bytes(JSON.encode(value)))
        case .error(let type)?:
            return Response(status: 400, body: Bytes(JSON.encode(["__type": .string(type), "message": "no"])))
        case .refused?, nil: throw TransportError(.cannotConnect, "refused", requestWasSent: false)
        }
    }
}

/// A clock that only sleepers move.
private final class SleepersClock: Sendable {
    private let slept = Mutex<[Duration]>([])

    var sleeps: [Duration] { slept.withLock { $0 } }

    var source: TimeSource {
        TimeSource(
            now: { [self] in slept.withLock { $0.reduce(.zero) { $0 + $1 } } },
            wallClock: { UnixTime(milliseconds: 1_769_860_800_000) },
            sleep: { [self] deadline in
                try Task.checkCancellation()
                slept.withLock { slept in
                    let now = slept.reduce(Timestamp.zero) { $0 + $1 }
                    slept.append(max(deadline - now, .zero))
                }
            })
    }
}

private struct SilentProcessor: RecordProcessor {
    func initialize(_ input: InitializationInput) async throws {}
    func processRecords(_ input: ProcessRecordsInput) async throws {}
    func leaseLost() async {}
    func shardEnded(_ checkpointer: Checkpointer) async throws {}
    func shutdownRequested(_ checkpointer: Checkpointer) async throws {}
}

private func table(_ status: String = "ACTIVE", key: String = "leaseKey", reads: Int64 = 0) -> ScriptedFleet.Answer {
    .ok([
        "Table": [
            "TableName": "app", "TableStatus": .string(status),
            "KeySchema": [["AttributeName": .string(key), "KeyType": "HASH"]],
            "AttributeDefinitions": [["AttributeName": .string(key), "AttributeType": "S"]],
            "ProvisionedThroughput": ["ReadCapacityUnits": .int(reads)],
        ]
    ])
}

private func scan(_ items: [Item], units: Double = 1) -> ScriptedFleet.Answer {
    .ok(["Items": .list(items.map(\.wire)), "ConsumedCapacity": ["CapacityUnits": .double(units)]])
}

private func listing(_ shards: [Shard]) -> ScriptedFleet.Answer {
    .ok([
        "Shards": .list(
            shards.map { shard in
                .members([
                    "ShardId": .string(shard.shardID),
                    "HashKeyRange": [
                        "StartingHashKey": .string(String(shard.hashKeyRange.start)),
                        "EndingHashKey": .string(String(shard.hashKeyRange.end)),
                    ],
                    "SequenceNumberRange": [
                        "StartingSequenceNumber": .string(shard.startingSequenceNumber)
                    ],
                ])
            })
    ])
}

private func migration(_ version: String) -> ScriptedFleet.Answer {
    let item: Item = ["leaseKey": .s("Migration3.0"), "cv": .s(version)]
    return .ok(["Item": item.wire])
}

private let shards = listedShards("s1", "s2")
private let existing = LeaseTable.newItem(leaseRow("s1", counter: 3, range: shards[0].hashKeyRange))
private let both = shards.map { leaseRow($0.shardID, range: $0.hashKeyRange) }

/// A fleet that a worker may join, but for `changes`.
private func scripted(_ changes: [String: [ScriptedFleet.Answer]] = [:]) -> ScriptedFleet {
    ScriptedFleet(
        [
            "DescribeTable": [table()], "GetItem": [.error("ResourceNotFoundException"), .ok([:])],
            "ListShards": [listing(shards)], "Scan": [scan(both.map(LeaseTable.newItem))], "PutItem": [.ok([:])],
        ].merging(changes) { $1 })
}

private func makeWorker(
    _ fleet: ScriptedFleet, _ clock: SleepersClock = SleepersClock(), _ configuration: WorkerConfiguration = .sample
) -> Worker {
    func client(_ service: AWSService) -> AWSClient {
        AWSClient(
            service, region: "us-east-1", transport: fleet,
            credentials: StaticCredentials(Credentials(accessKeyID: "k", secretAccessKey: "s")),
            time: clock.source, retry: .once, encoding: .json, seed: 1)
    }
    return Worker(
        configuration, kinesis: KinesisClient(client(.kinesis)), dynamoDB: DynamoDBClient(client(.dynamodb)),
        time: clock.source, seed: 1
    ) { _ in SilentProcessor() }
}

private func refusal(_ fleet: ScriptedFleet) async -> String? {
    do { _ = try await makeWorker(fleet).prepare() } catch let refusal as WorkerRefusal { return refusal.reason } catch
    {
        return "\(error)"
    }
    return nil
}

@Suite struct WorkerStartTests {
    @Test func `a worker joins a table as it is`() async throws {
        let fleet = scripted([
            "Scan": [scan(both.map(LeaseTable.newItem), units: 8)], "DescribeTable": [table(reads: 50)],
        ])
        let start = try #require(try await makeWorker(fleet).prepare())
        #expect(fleet.operations == ["DescribeTable", "GetItem", "GetItem", "ListShards", "Scan"])
        #expect(start.rows == both.map { .lease($0) })
        #expect(start.tree == ShardTree(shards.map { $0 }))
        #expect(start.mode == .takers(clientVersion: nil))
        #expect(start.provisionedReads == 50)
        #expect(start.readUnits == 4)
        #expect(fleet.bodies(of: "GetItem").map { $0["TableName"]?.string } == ["app-CoordinatorState", "app"])
        #expect(fleet.bodies(of: "Scan").map { $0["ConsistentRead"]?.bool } == [true])
    }

    @Test func `a table that is missing is created as the configuration says`() async throws {
        var configuration = WorkerConfiguration.sample
        configuration.leaseTableCapacity = TableCapacity(reads: 20, writes: 5)
        configuration.isLeaseTableDeletionProtected = true
        let fleet = scripted([
            "DescribeTable": [.error("ResourceNotFoundException"), table()], "CreateTable": [.ok([:])],
        ])
        _ = try #require(try await makeWorker(fleet, SleepersClock(), configuration).prepare())
        let request = try #require(fleet.bodies(of: "CreateTable").first)
        #expect(request["BillingMode"]?.string == "PROVISIONED")
        #expect(request["ProvisionedThroughput"] == ["ReadCapacityUnits": 20, "WriteCapacityUnits": 5])
        #expect(request["DeletionProtectionEnabled"]?.bool == true)
    }

    @Test func `the fleet's mode is read from the coordinator table that the configuration names`() async throws {
        var configuration = WorkerConfiguration.sample
        configuration.coordinatorStateTable = "coordination"
        let fleet = scripted()
        _ = try #require(try await makeWorker(fleet, SleepersClock(), configuration).prepare())
        #expect(fleet.bodies(of: "GetItem").map { $0["TableName"]?.string } == ["coordination", "app"])
    }

    @Test func `a table that is missing is created on demand, and waited for`() async throws {
        let clock = SleepersClock()
        let fleet = scripted([
            "DescribeTable": [.error("ResourceNotFoundException"), table("CREATING"), table("CREATING"), table()],
            "CreateTable": [.ok([:])], "Scan": [scan([]), scan(both.map(LeaseTable.newItem))],
        ])
        let start = try #require(try await makeWorker(fleet, clock).prepare())
        #expect(
            fleet.operations == [
                "DescribeTable", "CreateTable", "DescribeTable", "DescribeTable", "DescribeTable", "GetItem", "GetItem",
                "ListShards", "Scan", "ListShards", "PutItem", "PutItem", "Scan",
            ])
        #expect(fleet.bodies(of: "CreateTable").first?["BillingMode"]?.string == "PAY_PER_REQUEST")
        #expect(clock.sleeps == [.milliseconds(50), .milliseconds(100)])
        #expect(start.rows == both.map { .lease($0) })
    }

    @Test func `a table that another worker creates at the same time is taken as it is`() async throws {
        let fleet = scripted([
            "DescribeTable": [.error("ResourceNotFoundException"), table()],
            "CreateTable": [.error("ResourceInUseException")],
        ])
        #expect(try await makeWorker(fleet).prepare() != nil)
    }

    @Test(arguments: [
        (InitialPosition.latest, "AT_LATEST"), (.trimHorizon, "AT_TRIM_HORIZON"),
        (.atTimestamp(UnixTime(milliseconds: 5000)), "AT_TIMESTAMP"),
    ])
    func `an empty table starts with the shards at the initial position`(
        position: InitialPosition, filter: String
    ) async throws {
        let fleet = scripted(["Scan": [scan([]), scan(both.map(LeaseTable.newItem))]])
        _ = try await makeWorker(fleet, SleepersClock(), .sample.with { $0.initialPosition = position }).prepare()
        let listings = fleet.bodies(of: "ListShards")
        #expect(listings.map { $0["ShardFilter"]?["Type"]?.string } == [nil, filter])
        #expect(
            fleet.bodies(of: "PutItem").compactMap { $0["Item"].flatMap { Item(wire: $0) } }
                == shards.map {
                    LeaseTable.newItem(
                        leaseRow($0.shardID, checkpoint: position.checkpoint, range: $0.hashKeyRange))
                })
        #expect(
            fleet.bodies(of: "PutItem").allSatisfy {
                $0["ConditionExpression"]?.string == "attribute_not_exists(#key)"
            })
    }

    @Test func `a shard without a lease gets one beside the existing ones`() async throws {
        let fleet = scripted(["Scan": [scan([existing]), scan(both.map(LeaseTable.newItem))]])
        let start = try #require(try await makeWorker(fleet).prepare())
        #expect(
            fleet.bodies(of: "PutItem").compactMap { $0["Item"].flatMap { Item(wire: $0) } }
                == [LeaseTable.newItem(both[1])])
        #expect(start.rows.count == 2)
    }

    @Test func `a lease that another worker creates at the same time is read, not overwritten`() async throws {
        let fleet = scripted([
            "Scan": [scan([existing]), scan(both.map(LeaseTable.newItem))],
            "PutItem": [.error("ConditionalCheckFailedException")],
        ])
        let start = try #require(try await makeWorker(fleet).prepare())
        #expect(fleet.operations.suffix(2) == ["PutItem", "Scan"])
        #expect(start.rows.count == 2)
    }

    // MARK: Refusals

    @Test func `a table with another key is refused`() async {
        let reason = await refusal(scripted(["DescribeTable": [table(key: "id")]]))
        #expect(
            reason == "table app is not a lease table: its key is (id), a lease table's is (leaseKey: S); "
                + "choose another applicationName or tableName")
    }

    @Test(arguments: ["CLIENT_VERSION_3X", "CLIENT_VERSION_3X_WITH_ROLLBACK", "CLIENT_VERSION_UPGRADE_FROM_2X"])
    func `a fleet in 3.x mode or on its way there is refused before anything is written`(version: String) async {
        for answers in [[migration(version)], [.error("ResourceNotFoundException"), migration(version)]] {
            let fleet = scripted(["GetItem": answers])
            #expect(await refusal(fleet)?.contains("fleet is") == true)
            #expect(!fleet.operations.contains("PutItem"))
        }
    }

    @Test(arguments: ["CLIENT_VERSION_2X", "CLIENT_VERSION_INIT"])
    func `a fleet of 3.x workers that is held at 2.x may be joined`(version: String) async throws {
        let start = try await makeWorker(scripted(["GetItem": [migration(version)]])).prepare()
        #expect(start?.mode == .takers(clientVersion: version))
    }

    @Test func `no permission on the coordinator's table is no obstacle`() async throws {
        let fleet = scripted(["GetItem": [.error("AccessDeniedException"), .ok([:])]])
        #expect(try await makeWorker(fleet).prepare() != nil)
    }

    @Test func `a multi-stream table is refused`() async {
        let row = LeaseTable.newItem(leaseRow("123456789012:orders:1700000000:s1", counter: 3))
        #expect(
            await refusal(scripted(["Scan": [scan([row])]]))
                == "table app belongs to a multi-stream application; this worker reads one stream")
    }

    @Test func `the leases of another stream are refused`() async {
        let fleet = scripted(["Scan": [scan([LeaseTable.newItem(leaseRow("other", counter: 3))])]])
        #expect(
            await refusal(fleet)
                == "the leases in table app belong to another stream: none is a shard of orders; "
                + "choose another applicationName")
        #expect(!fleet.operations.contains("PutItem"))
    }

    @Test func `rows that should be leases and are none are refused`() async {
        let odd: Item = ["leaseKey": .s("s1"), "leaseCounter": .n(3), "checkpoint": .s("what")]
        #expect(
            await refusal(scripted(["Scan": [scan([odd])]]))
                == "table app holds rows that are no leases; choose another applicationName")
    }

    @Test func `a foreign row beside no lease at all is no obstacle`() async throws {
        let foreign: Item = ["leaseKey": .s("worker-1"), "entityType": .s("WORKER_METRIC_STATS")]
        let fleet = scripted(["Scan": [scan([foreign])]])
        #expect(try await makeWorker(fleet).prepare() != nil)
        #expect(fleet.bodies(of: "PutItem").count == 2)
    }

    @Test func `an unknown stream is told with its name and region, at once`() async {
        let clock = SleepersClock()
        do {
            _ = try await makeWorker(scripted(["ListShards": [.error("ResourceNotFoundException")]]), clock).prepare()
            Issue.record("it started")
        } catch {
            #expect("\(error)".hasPrefix("stream orders does not exist in us-east-1 at https://kinesis.us-east-1"))
        }
        #expect(clock.sleeps == [])
    }

    // MARK: Trouble

    @Test func `throttling at the start is waited out with growing pauses`() async throws {
        let clock = SleepersClock()
        let throttled = ScriptedFleet.Answer.error("ProvisionedThroughputExceededException")
        let rows = scan(both.map(LeaseTable.newItem))
        let fleet = scripted(["Scan": [throttled, throttled, throttled, throttled, throttled, .refused, rows]])
        #expect(try await makeWorker(fleet, clock).prepare() != nil)
        #expect(clock.sleeps == [1, 2, 4, 8, 10, 10].map { .seconds($0) })
    }

    @Test func `after twenty tries the worker gives up with the service's own error`() async {
        let clock = SleepersClock()
        do {
            _ = try await makeWorker(scripted(["Scan": [.error("ThrottlingException")]]), clock).prepare()
            Issue.record("it started")
        } catch {
            #expect("\(error)" == "DynamoDB.Scan: ThrottlingException: no")
        }
        #expect(clock.sleeps.count == 19)
    }

    @Test func `missing permission is told at once`() async {
        let clock = SleepersClock()
        await #expect(throws: AWSError.self) {
            _ = try await makeWorker(scripted(["Scan": [.error("AccessDeniedException")]]), clock).prepare()
        }
        #expect(clock.sleeps == [])
    }

    @Test func `a shutdown before the start sends nothing`() async throws {
        let fleet = scripted()
        let worker = makeWorker(fleet)
        worker.requestShutdown()
        try await worker.run()
        #expect(fleet.operations == [])
    }

    @Test func `a worker runs once, and not with a mistake in its configuration`() async throws {
        let fleet = scripted()
        let worker = makeWorker(fleet, SleepersClock(), .sample.with { $0.maxRecords = 20_000 })
        await #expect(throws: WorkerRefusal("maxRecords must be 1 to 10000")) { try await worker.run() }
        await #expect(throws: WorkerRefusal("this worker ran already; make a new one")) { try await worker.run() }
        #expect(fleet.operations == [])
    }
}

private func summary(_ status: String = "ACTIVE") -> ScriptedFleet.Answer {
    .ok([
        "StreamDescriptionSummary": [
            "StreamName": "orders", "StreamARN": "arn:orders", "StreamStatus": .string(status),
        ]
    ])
}

private func members(_ status: String, _ arn: String) -> AWSValue {
    ["ConsumerName": "app", "ConsumerARN": .string(arn), "ConsumerStatus": .string(status)]
}

private func described(_ status: String, _ arn: String = "arn:1") -> ScriptedFleet.Answer {
    .ok(["ConsumerDescription": members(status, arn)])
}

private let missing = ScriptedFleet.Answer.error("ResourceNotFoundException")

@Suite struct ConsumerRegistrationTests {
    private let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/orders/consumer/app:1"

    private func worker(
        _ fleet: ScriptedFleet, _ clock: SleepersClock = SleepersClock(), _ consumer: FanOutConsumer = FanOutConsumer()
    ) -> Worker {
        makeWorker(fleet, clock, .sample.with { $0.retrieval = .fanOut(consumer) })
    }

    private func refusal(_ worker: Worker) async -> String? {
        do {
            _ = try await worker.prepare()
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func `a polling worker looks for no consumer`() async throws {
        let fleet = scripted()
        _ = try await makeWorker(fleet).prepare()
        #expect(!fleet.operations.contains { $0.contains("Consumer") || $0 == "DescribeStreamSummary" })
    }

    @Test func `a consumer that is there is used as it is`() async throws {
        let fleet = scripted(["DescribeStreamSummary": [summary()], "DescribeStreamConsumer": [described("ACTIVE")]])
        let worker = worker(fleet)
        _ = try #require(try await worker.prepare())
        #expect(worker.consumerARN == "arn:1")
        #expect(fleet.bodies(of: "DescribeStreamConsumer") == [["StreamARN": "arn:orders", "ConsumerName": "app"]])
        #expect(fleet.bodies(of: "DescribeStreamSummary").count == 1)
        #expect(fleet.bodies(of: "RegisterStreamConsumer").isEmpty)
    }

    @Test func `a consumer that is missing is registered, and waited for`() async throws {
        let clock = SleepersClock()
        let fleet = scripted([
            "DescribeStreamSummary": [summary()],
            "DescribeStreamConsumer": [missing, described("CREATING"), described("CREATING"), described("ACTIVE")],
            "RegisterStreamConsumer": [.ok(["Consumer": members("CREATING", "arn:1")])],
        ])
        let worker = worker(fleet, clock, FanOutConsumer(name: "words"))
        _ = try #require(try await worker.prepare())
        #expect(worker.consumerARN == "arn:1")
        #expect(
            fleet.bodies(of: "RegisterStreamConsumer") == [["StreamARN": "arn:orders", "ConsumerName": "words"]])
        #expect(clock.sleeps == [.seconds(1), .seconds(1), .seconds(1)])
    }

    @Test func `who is slower than another worker uses that one's consumer`() async throws {
        let fleet = scripted([
            "DescribeStreamSummary": [summary()], "DescribeStreamConsumer": [missing, described("ACTIVE")],
            "RegisterStreamConsumer": [.error("ResourceInUseException")],
        ])
        let worker = worker(fleet)
        _ = try #require(try await worker.prepare())
        #expect(worker.consumerARN == "arn:1")
    }

    @Test func `a stream that has its twenty consumers is a refusal in words`() async {
        let fleet = scripted([
            "DescribeStreamSummary": [summary()], "DescribeStreamConsumer": [missing],
            "RegisterStreamConsumer": [.error("LimitExceededException")],
        ])
        let reason = await refusal(worker(fleet))
        #expect(reason?.contains("as many as it may") == true)
        #expect(fleet.bodies(of: "RegisterStreamConsumer").count == 10)
    }

    @Test func `a consumer that never becomes ACTIVE is a refusal`() async {
        let fleet = scripted(["DescribeStreamSummary": [summary()], "DescribeStreamConsumer": [described("CREATING")]])
        let reason = await refusal(worker(fleet))
        #expect(reason?.contains("is CREATING and does not become ACTIVE") == true)
        #expect(fleet.bodies(of: "DescribeStreamConsumer").count == 10)
    }

    @Test func `a given ARN is looked at once, and never registered`() async throws {
        let fleet = scripted(["DescribeStreamConsumer": [described("ACTIVE", arn)]])
        let worker = worker(fleet, SleepersClock(), FanOutConsumer(arn: arn))
        _ = try #require(try await worker.prepare())
        #expect(worker.consumerARN == arn)
        #expect(fleet.bodies(of: "DescribeStreamConsumer") == [["ConsumerARN": .string(arn)]])
        let without = scripted(["DescribeStreamConsumer": [missing]])
        let reason = await refusal(self.worker(without, SleepersClock(), FanOutConsumer(arn: arn)))
        #expect(reason?.contains("does not exist; give its name instead") == true)
        #expect(without.bodies(of: "RegisterStreamConsumer").isEmpty)
    }

    @Test func `an ARN of another stream is a mistake`() {
        func mistakes(_ arn: String) -> [String] {
            WorkerConfiguration.sample.with { $0.retrieval = .fanOut(FanOutConsumer(arn: arn)) }.mistakes
        }
        #expect(mistakes(arn) == [])
        #expect(mistakes(arn.replacing("orders", with: "words")).count == 1)
        #expect(mistakes("arn:aws:kinesis:us-east-1:123456789012:stream/orders").count == 1)
        #expect(mistakes("x").count == 1)
    }

    /// A worker whose consumer is `arn:1`.
    private func running(_ changes: [String: [ScriptedFleet.Answer]]) async throws -> (Worker, ScriptedFleet) {
        let fleet = scripted(
            ["DescribeStreamSummary": [summary()]].merging(changes) { $1 }.merging([
                "DescribeStreamConsumer": [described("ACTIVE")] + (changes["DescribeStreamConsumer"] ?? [])
            ]) { $1 })
        let worker = worker(fleet)
        _ = try await worker.prepare()
        return (worker, fleet)
    }

    @Test func `what is not found while the consumer is there, is the shard`() async throws {
        let (worker, _) = try await running([:])
        #expect(try await worker.missingConsumer("arn:1") == nil)
    }

    @Test func `a stream that is gone took its consumer with it`() async throws {
        let (worker, fleet) = try await running([
            "DescribeStreamConsumer": [missing], "DescribeStreamSummary": [summary(), missing],
        ])
        #expect(try await worker.missingConsumer("arn:1") == nil)
        #expect(fleet.bodies(of: "RegisterStreamConsumer").isEmpty)
    }

    @Test func `a consumer that was deregistered is registered again, and then used`() async throws {
        let (worker, fleet) = try await running([
            "DescribeStreamConsumer": [missing, missing, missing, described("ACTIVE", "arn:2")],
            "RegisterStreamConsumer": [.ok(["Consumer": members("CREATING", "arn:2")])],
        ])
        #expect(try await worker.missingConsumer("arn:1")?.contains("registered again") == true)
        #expect(fleet.bodies(of: "RegisterStreamConsumer").count == 1)
        #expect(try await worker.missingConsumer("arn:1")?.contains("anew") == true)
        #expect(worker.consumerARN == "arn:2")
        // A subscription of the old one fails later: that says nothing of its shard.
        #expect(try await worker.missingConsumer("arn:1") != nil)
        #expect(try await worker.missingConsumer("arn:2") == nil)
    }

    @Test func `a consumer that is going is no end of a shard`() async throws {
        let (worker, _) = try await running(["DescribeStreamConsumer": [described("DELETING")]])
        #expect(try await worker.missingConsumer("arn:1") == "the consumer app is DELETING")
    }
}
