import AWSWire
import Leases
import Machine
import Synchronization
import Testing

@testable import Fleet

/// An audit in memory, which may be full.
private final class Trail: Sendable {
    let lines = Mutex<[AWSValue]>([])
    let isFull = Mutex(false)

    var log: AuditLog {
        AuditLog { (line: String) async throws(AuditLog.Failure) in
            if self.isFull.withLock({ $0 }) { throw AuditLog.Failure("no space left on audit.ndjson") }
            self.lines.withLock { $0.append((try? JSON.decode(Bytes(line))) ?? .null) }
        }
    }

    var phases: [String] { lines.withLock { $0.compactMap { $0["phase"]?.string } } }
}

struct OperatorTests {
    private let trail = Trail()

    private func act(
        _ plan: Plan, _ script: [ScriptedService.Answer], isWritable: Bool = true, workers: WorkerDoor? = nil
    ) async -> (PlanOutcome, ScriptedService) {
        let service = ScriptedService(script)
        let identity = FleetIdentity(
            application: "orders-app", stream: "orders", region: "us-east-1", account: "123456789012",
            isWritable: isWritable)
        let actor = Operator(
            identity, dynamoDB: DynamoDBClient(.scripted(.dynamodb, service)),
            kinesis: KinesisClient(.scripted(.kinesis, service)), time: stillTime, audit: trail.log,
            caller: Caller(name: "role/ops"), workers: workers)
        return (await actor.perform(plan, reason: "bounced"), service)
    }

    private func row(counter: Int64, owner: String? = "stranger", checkpointOwner: String? = nil) -> Item {
        item(lease(0, owner: owner, counter: counter, checkpointOwner: checkpointOwner))
    }

    private func evict() throws -> Plan { try Plan.evict(id(0), in: fleet([row(counter: 41)])) }

    /// The counters that the writes were conditional on.
    private func counters(_ service: ScriptedService) -> [String?] {
        service.requests.filter { $0.operation == "UpdateItem" }
            .map { $0.body["ExpressionAttributeValues"]?[":counter"]?["N"]?.string }
    }

    @Test func `it reads the row consistently, writes once on the fresh counter and keeps both audit lines`()
        async throws
    {
        let after = row(counter: 51, owner: nil)
        let (outcome, service) = await act(
            try evict(), [ScriptedService.item(row(counter: 50)), ScriptedService.updated(after)])
        #expect(outcome == .written(after))
        #expect(outcome.exitStatus == 0)
        #expect(service.operations == ["GetItem", "UpdateItem"])
        #expect(service.requests.first?.body["ConsistentRead"]?.bool == true)
        #expect(counters(service) == ["50"])
        let update = service.requests.last?.body
        #expect(update?["ExpressionAttributeValues"]?[":next"]?["N"]?.string == "51")
        #expect(update?["ReturnValuesOnConditionCheckFailure"]?.string == "ALL_OLD")
        let lines = trail.lines.withLock { $0 }
        #expect(lines.map { $0["phase"]?.string } == ["before", "after"])
        let before = try #require(lines.first)
        #expect(before["caller"]?.string == "role/ops")
        #expect(before["account"]?.string == "123456789012")
        #expect(before["reason"]?.string == "bounced")
        #expect(before["oldRow"].flatMap { Item(wire: $0) } == row(counter: 50))
        #expect(lines.last?["requestId"]?.string == "request-2")
        #expect(lines.last?["newRow"].flatMap { Item(wire: $0) } == after)
        #expect(lines.first?["id"] == lines.last?["id"])
    }

    @Test func `a live owner that moves the counter is followed with the row that the failure brings`() async throws {
        let after = row(counter: 53, owner: nil)
        let (outcome, service) = await act(
            try evict(),
            [
                ScriptedService.item(row(counter: 50)), ScriptedService.conflict(row(counter: 51)),
                ScriptedService.conflict(row(counter: 52)), ScriptedService.updated(after),
            ])
        #expect(outcome == .written(after))
        #expect(counters(service) == ["50", "51", "52"])
        #expect(trail.phases == ["before", "before", "before", "after"])
    }

    @Test func `after three tries it gives up and nothing was written`() async throws {
        let (outcome, service) = await act(
            try evict(),
            [ScriptedService.item(row(counter: 50))]
                + (51...60).map { ScriptedService.conflict(row(counter: $0)) })
        #expect(outcome == .intentGone(row(counter: 53)))
        #expect(outcome.exitStatus == 3)
        #expect(counters(service) == ["50", "51", "52"])
        #expect(trail.phases.last == "after")
    }

    @Test(arguments: [
        item(lease(0, owner: "thief", counter: 50)), item(lease(0, owner: nil, counter: 50)),
        item(lease(0, owner: "stranger", counter: 50, checkpointOwner: "old")),
        item(lease(0, owner: "stranger", counter: 50, checkpoint: .shardEnd)),
        item(lease(0, owner: "stranger", counter: 50), ["checkpoint": .s("odd")]),
    ])
    func `where the row is no longer what was confirmed nothing is written`(_ now: Item) async throws {
        let (outcome, service) = await act(try evict(), [ScriptedService.item(now)])
        #expect(outcome == .intentGone(now))
        #expect(service.operations == ["GetItem"])
        #expect(trail.phases == [])
    }

    @Test func `the same when it changes between our read and our write`() async throws {
        let stolen = item(lease(0, owner: "thief", counter: 51))
        let (outcome, service) = await act(
            try evict(), [ScriptedService.item(row(counter: 50)), ScriptedService.conflict(stolen)])
        #expect(outcome == .intentGone(stolen))
        #expect(service.operations == ["GetItem", "UpdateItem"])
        #expect(trail.phases == ["before", "after"])
    }

    @Test func `a row that is gone is never written`() async throws {
        let (outcome, service) = await act(try evict(), [ScriptedService.item(nil)])
        #expect(outcome == .intentGone(nil))
        #expect(service.operations == ["GetItem"])
    }

    @Test func `after a lost answer the row tells: written, or not yet`() async throws {
        let after = row(counter: 51, owner: nil)
        let (written, _) = await act(
            try evict(), [ScriptedService.item(row(counter: 50)), .lost, ScriptedService.item(after)])
        #expect(written == .written(after))
        let (again, service) = await act(
            try evict(),
            [
                ScriptedService.item(row(counter: 50)), .lost, ScriptedService.item(row(counter: 50)),
                ScriptedService.updated(after),
            ])
        #expect(again == .written(after))
        #expect(service.operations == ["GetItem", "UpdateItem", "GetItem", "UpdateItem"])
    }

    @Test func `when nothing can be read after a lost answer it says that it is not known`() async throws {
        let (outcome, _) = await act(try evict(), [ScriptedService.item(row(counter: 50)), .lost, .refused])
        guard case .failed(let words) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(words.hasPrefix("whether it was written is not known"))
        #expect(outcome.exitStatus == 1)
        #expect(trail.phases == ["before", "after"])
    }

    @Test func `a denied write is told and not tried again`() async throws {
        let (outcome, service) = await act(
            try evict(), [ScriptedService.item(row(counter: 50)), .error("AccessDeniedException", ["message": "no"])])
        #expect(
            outcome
                == .failed(
                    "nothing was written: it is denied, the policy must allow dynamodb:UpdateItem "
                        + "(DynamoDB.UpdateItem: AccessDeniedException: no)"))
        #expect(service.operations == ["GetItem", "UpdateItem"])
    }

    @Test func `read-only refuses before anything is sent`() async throws {
        let (outcome, service) = await act(try evict(), [], isWritable: false)
        guard case .refused(let refusal) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(refusal.reason == .readOnly)
        #expect(outcome.exitStatus == 4)
        #expect(service.operations == [])
    }

    @Test func `no audit, no action`() async throws {
        trail.isFull.withLock { $0 = true }
        let (outcome, service) = await act(try evict(), [ScriptedService.item(row(counter: 50))])
        guard case .refused(let refusal) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(
            refusal.description
                == "the audit cannot be kept, so nothing is done: no space left on audit.ndjson")
        #expect(service.operations == ["GetItem"])
    }

    @Test func `a steal goes through the worker's own door, with the fresh counter`() async throws {
        let plan = try Plan.steal(id(0), to: "w2", in: fleet([row(counter: 41)]))
        let after = row(counter: 51, owner: "w2")
        let sent = Mutex<[UpdateItem]>([])
        let door = WorkerDoor(
            steal: { (_, write) async throws(AWSError) in
                sent.withLock { $0.append(write) }
                return after
            },
            release: { (_, _) async throws(AWSError) in nil })
        let (outcome, service) = await act(plan, [ScriptedService.item(row(counter: 50))], workers: door)
        #expect(outcome == .written(after))
        #expect(service.operations == ["GetItem"])
        #expect(sent.withLock { $0.map { $0.values[":counter"] } } == [.n(50)])
        #expect(plan.event(for: outcome, at: Watch.noon) == nil)
    }

    private func rewind(_ row: Item, to text: String = "TRIM_HORIZON") throws -> Plan {
        guard case .plan(let plan) = try Plan.rewind(id(0), to: try #require(RewindRequest(text)), in: fleet([row]))
        else { throw Refusal(.noRecord, "a search") }
        return plan
    }

    private func row(_ checkpoint: Checkpoint, counter: Int64, owner: String? = "stranger") -> Item {
        item(lease(0, owner: owner, counter: counter, checkpoint: checkpoint))
    }

    @Test func `a rewind follows an owner that checkpoints, and clears it`() async throws {
        let plan = try rewind(row(checkpoint(age: .seconds(9)), counter: 41))
        let after = row(.trimHorizon, counter: 52, owner: nil)
        let (outcome, service) = await act(
            plan,
            [
                ScriptedService.item(row(checkpoint(age: .seconds(5)), counter: 50)),
                ScriptedService.conflict(row(checkpoint(age: .seconds(3)), counter: 51)),
                ScriptedService.updated(after),
            ])
        #expect(outcome == .written(after))
        #expect(counters(service) == ["50", "51"])
        #expect(service.requests.last?.body["UpdateExpression"]?.string?.contains("REMOVE leaseOwner") == true)
        let event = plan.event(for: outcome, at: Watch.noon)
        #expect(event?.kind == .operatorAction)
        #expect(event?.checkpoint == .trimHorizon)
        #expect(event?.leaseCounter == 52)
    }

    @Test func `a position that the owner has passed meanwhile is not what was confirmed`() async throws {
        let target = checkpoint(age: .seconds(5))
        let ahead = try Plan.rewind(
            after: PositionSearch(stream: "orders", shardID: id(0), start: .time(Watch.noon)),
            .record(try #require(target.sequenceNumber), arrival: nil),
            in: fleet([row(checkpoint(age: .seconds(9)), counter: 41)]))
        #expect(ahead.action.verb == "advance")
        let now = row(checkpoint(age: .seconds(2)), counter: 50)
        let (outcome, service) = await act(ahead, [ScriptedService.item(now)])
        #expect(outcome == .intentGone(now))
        #expect(service.operations == ["GetItem"])
    }

    @Test(arguments: [
        item(lease(0, owner: nil, counter: 50, checkpoint: checkpoint(age: .seconds(99)))),
        item(lease(0, owner: "thief", counter: 50, checkpoint: checkpoint(age: .seconds(9)))),
        item(lease(0, owner: nil, counter: 50, checkpoint: .shardEnd)),
        item(lease(0, owner: nil, counter: 50, checkpoint: checkpoint(age: .seconds(9)), checkpointOwner: "old")),
    ])
    func `another operator's rewind of a lease without owner is not overwritten`(_ now: Item) async throws {
        let plan = try rewind(row(checkpoint(age: .seconds(9)), counter: 41, owner: nil))
        let (outcome, service) = await act(plan, [ScriptedService.item(now)])
        #expect(outcome == .intentGone(now))
        #expect(service.operations == ["GetItem"])
    }

    @Test func `after a lost answer a rewind that was taken up is done, one that went on is not known`() async throws {
        let before = row(checkpoint(age: .seconds(9)), counter: 50)
        let plan = try rewind(before)
        let taken = row(.trimHorizon, counter: 52, owner: "thief")
        let (done, _) = await act(plan, [ScriptedService.item(before), .lost, ScriptedService.item(taken)])
        #expect(done == .written(taken))
        let wentOn = row(checkpoint(age: .seconds(900)), counter: 54, owner: "thief")
        let (unknown, service) = await act(plan, [ScriptedService.item(before), .lost, ScriptedService.item(wentOn)])
        guard case .failed(let words) = unknown else {
            Issue.record("\(unknown)")
            return
        }
        #expect(words.hasPrefix("whether it was written is not known"))
        #expect(service.operations == ["GetItem", "UpdateItem", "GetItem"])
        // Only taken by another: it was not ours.
        let stolen = row(checkpoint(age: .seconds(9)), counter: 51, owner: "thief")
        let (gone, _) = await act(plan, [ScriptedService.item(before), .lost, ScriptedService.item(stolen)])
        #expect(gone == .intentGone(stolen))
    }

    @Test func `an evict is an event of its own`() throws {
        let event = try evict().event(for: .written(row(counter: 51, owner: nil)), at: Watch.noon)
        #expect(event?.kind == .leaseEvicted)
        #expect(event?.previousOwner == "stranger")
        #expect(event?.leaseCounter == 51)
        #expect(try evict().event(for: .intentGone(nil), at: Watch.noon) == nil)
    }

    // MARK: - Streams

    private func shards(_ shards: [Shard]) -> ScriptedService.Answer {
        .ok([
            "Shards": .list(
                shards.map { shard in
                    .members([
                        "ShardId": .string(shard.shardID),
                        "HashKeyRange": [
                            "StartingHashKey": .string(String(shard.hashKeyRange.start)),
                            "EndingHashKey": .string(String(shard.hashKeyRange.end)),
                        ],
                        "SequenceNumberRange": .members([
                            "StartingSequenceNumber": "0",
                            "EndingSequenceNumber": shard.endingSequenceNumber.map { .string($0) },
                        ]),
                    ])
                })
        ])
    }

    @Test func `a split looks at the shard again and is sent once`() async throws {
        let plan = try Plan.split(id(0), at: .key(77), in: fleet([]))
        let (outcome, service) = await act(plan, [shards((0..<4).map { shard($0) }), .ok([:])])
        #expect(outcome == .written(nil))
        #expect(service.operations == ["ListShards", "SplitShard"])
        #expect(service.requests.last?.body["NewStartingHashKey"]?.string == "77")
        #expect(trail.phases == ["before", "after"])
    }

    @Test func `a shard that closed meanwhile is not split`() async throws {
        let plan = try Plan.split(id(0), in: fleet([]))
        let (outcome, service) = await act(plan, [shards([shard(0, isClosed: true)])])
        #expect(outcome == .intentGone(nil))
        #expect(service.operations == ["ListShards"])
    }

    @Test func `a merge whose answer was lost is looked up`() async throws {
        let plan = try Plan.merge(id(0), in: fleet([]))
        let (outcome, _) = await act(
            plan,
            [shards([shard(0), shard(1)]), .lost, shards([shard(0, isClosed: true), shard(1, isClosed: true)])])
        #expect(outcome == .written(nil))
    }

    @Test func `a stream that is being changed says so`() async throws {
        let plan = try Plan.scale(to: 8, in: fleet([]))
        let (outcome, _) = await act(
            plan,
            [shards((0..<4).map { shard($0) }), .error("ResourceInUseException", ["message": "UPDATING"])])
        #expect(
            outcome
                == .failed(
                    "orders is being changed already, or too often: wait until it is ACTIVE "
                        + "(Kinesis.UpdateShardCount: ResourceInUseException: UPDATING)"))
    }
}
