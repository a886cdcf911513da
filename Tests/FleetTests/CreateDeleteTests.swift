import AWSWire
import Leases
import Machine
import Synchronization
import Testing

@testable import Fleet

private let identity = FleetIdentity(
    application: "orders-app", stream: "orders", region: "us-east-1", isWritable: true)

/// Leases made and deleted by hand, and both taken back.
struct CreateDeleteTests {
    private let audit = Kept()

    private final class Kept: Sendable {
        let lines = Mutex<[String]>([])
    }

    private func act(_ plan: Plan, _ script: [ScriptedService.Answer]) async -> (PlanOutcome, ScriptedService) {
        let service = ScriptedService(script)
        let actor = Operator(
            identity, dynamoDB: DynamoDBClient(.scripted(.dynamodb, service)),
            kinesis: KinesisClient(.scripted(.kinesis, service)), time: stillTime,
            audit: AuditLog { [audit] (line: String) async throws(AuditLog.Failure) in
                audit.lines.withLock { $0.append(line) }
            }, caller: Caller(name: "ops"))
        return (await actor.perform(plan), service)
    }

    private func reason(_ make: () throws(Refusal) -> Plan) -> Refusal.Reason? {
        do throws(Refusal) {
            _ = try make()
            return nil
        } catch { return error.reason }
    }

    private func rows(_ numbers: [Int]) -> [Item] {
        numbers.map { item(lease($0, checkpoint: checkpoint(age: .seconds(9), of: $0))) }
    }

    private static func shards(_ list: [Shard]) -> ScriptedService.Answer {
        .ok([
            "Shards": .list(
                list.map {
                    [
                        "ShardId": .string($0.shardID),
                        "HashKeyRange": [
                            "StartingHashKey": .string(String($0.hashKeyRange.start)),
                            "EndingHashKey": .string(String($0.hashKeyRange.end)),
                        ],
                        "SequenceNumberRange": ["StartingSequenceNumber": .string($0.startingSequenceNumber)],
                    ]
                })
        ])
    }

    // MARK: Create

    @Test func `a shard without lease gets the row that KCL would make`() async throws {
        let plan = try Plan.create(id(3), in: fleet(rows([0, 1, 2])))
        let made = LeaseTable.newItem(lease(3, owner: nil, counter: 0))
        #expect(plan.call == .put(made))
        #expect(plan.isUndoable && plan.typed == nil)
        let (outcome, service) = await act(plan, [ScriptedService.item(nil), .ok([:])])
        #expect(outcome == .written(made))
        #expect(service.operations == ["GetItem", "PutItem"])
        let put = try #require(service.requests.last?.body)
        #expect(put["ConditionExpression"]?.string == "attribute_not_exists(#key)")
        #expect(put["Item"].flatMap { Item(wire: $0) } == made)
        #expect(audit.lines.withLock { $0.count } == 2)
    }

    @Test func `rows of a fleet that names the kind of its rows name theirs`() throws {
        let plan = try Plan.create(
            id(3), in: fleet(rows([0, 1]).map { $0.merging(["entityType": .s("LEASE")]) { $1 } }))
        guard case .put(let made) = plan.call else { throw Refusal(.noLease, "no put") }
        #expect(made["entityType"] == .s("LEASE"))
    }

    @Test func `a lease that came meanwhile is left alone`() async throws {
        let plan = try Plan.create(id(3), in: fleet(rows([0, 1, 2])))
        let there = item(lease(3, owner: "w7", counter: 5))
        var (outcome, service) = await act(plan, [ScriptedService.item(there)])
        #expect(outcome == .intentGone(there))
        #expect(service.operations == ["GetItem"])
        (outcome, service) = await act(
            plan, [ScriptedService.item(nil), ScriptedService.conflict(nil), ScriptedService.item(there)])
        #expect(outcome == .intentGone(there))
    }

    @Test func `a lost answer is looked after`() async throws {
        let plan = try Plan.create(id(3), in: fleet(rows([0, 1, 2])))
        guard case .put(let made) = plan.call else { throw Refusal(.noLease, "no put") }
        var (outcome, _) = await act(plan, [ScriptedService.item(nil), .lost, ScriptedService.item(made)])
        #expect(outcome == .written(made))
        (outcome, _) = await act(plan, [ScriptedService.item(nil), .lost, ScriptedService.item(nil)])
        #expect(outcome.exitStatus == 1)
    }

    @Test func `a child is made at TRIM_HORIZON only, and not while its parent is read`() throws {
        let family = [shard(0, of: 1, isClosed: true), shard(1, parent: id(0), range: .whole)]
        let unread = fleet([item(lease(0, of: 1, checkpoint: checkpoint(age: .zero)))], shards: family)
        #expect(reason { () throws(Refusal) in try Plan.create(id(1), in: unread) } == .parentUnread)
        let ended = fleet([item(lease(0, of: 1, checkpoint: .shardEnd))], shards: family)
        #expect(reason { () throws(Refusal) in try Plan.create(id(1), at: .latest, in: ended) } == .sentinel)
        guard case .put(let made) = try Plan.create(id(1), in: ended).call else { throw Refusal(.noLease, "no put") }
        #expect(made["checkpoint"] == .s("TRIM_HORIZON") && made["parentShardId"] == .ss([id(0)]))
        let alone = fleet([item(lease(2, checkpoint: checkpoint(age: .zero)))], shards: family + [shard(2)])
        #expect(try Plan.create(id(1), in: alone).forecast.contains { $0.contains("lease either") })
    }

    @Test func `LATEST skips and wants the application's name`() throws {
        let fleet = fleet(rows([0, 1, 2]))
        let plan = try Plan.create(id(3), at: .latest, in: fleet)
        #expect(plan.typed == "orders-app" && plan.forecast.first?.hasPrefix("SKIPPED") == true)
        #expect(
            reason { () throws(Refusal) in try Plan.create(id(3), at: checkpoint(age: .zero, of: 3), in: fleet) }
                == .sentinel)
    }

    @Test func `without a proven stream, or where there is a lease, nothing is made`() {
        var fleet = fleet(rows([0, 1, 2]))
        #expect(reason { () throws(Refusal) in try Plan.create(id(0), in: fleet) } == .exists)
        #expect(reason { () throws(Refusal) in try Plan.create(id(9), in: fleet) } == .noSuchShard)
        fleet.streamMatch = .unverified("no checkpoint in it yet")
        #expect(reason { () throws(Refusal) in try Plan.create(id(3), in: fleet) } == .unverifiedStream)
        #expect(reason { () throws(Refusal) in try Plan.delete(id(0), in: fleet) } == .unverifiedStream)
        fleet.shards = nil
        #expect(reason { () throws(Refusal) in try Plan.create(id(3), in: fleet) } == .noStream)
    }

    // MARK: Delete

    /// Two lists `apart` do not have shard 3, whose lease is there.
    private func orphaned(apart: Duration, owner: String? = "w1") -> FleetSnapshot {
        var watch = Watch()
        watch.noMigration()
        let orphan = item(lease(3, owner: owner, counter: 41, checkpoint: checkpoint(age: .seconds(9), of: 3)))
        watch.list((0..<3).map { shard($0) })
        watch.scan(rows([0, 1, 2]) + [orphan])
        // What was listed before the row was read says nothing of it.
        watch.list((0..<3).map { shard($0) })
        watch.wait(apart)
        watch.list((0..<3).map { shard($0) })
        watch.scan(rows([0, 1, 2]) + [orphan])
        return watch.snapshot
    }

    private func row(counter: Int64, owner: String? = "w1") -> Item {
        item(lease(3, owner: owner, counter: counter, checkpoint: checkpoint(age: .seconds(9), of: 3)))
    }

    @Test func `only what two lists a minute apart do not have is deleted`() throws {
        let early = orphaned(apart: .seconds(50))
        #expect(reason { () throws(Refusal) in try Plan.delete(id(3), in: early) } == .notOrphan)
        let sure = orphaned(apart: .seconds(61))
        #expect(reason { () throws(Refusal) in try Plan.delete(id(0), in: sure) } == .notOrphan)
        let plan = try Plan.delete(id(3), in: sure)
        #expect(plan.isUndoable && plan.forecast.contains { $0.contains("w1 gets ZOMBIE") })
        #expect(plan.lines.contains { $0.contains("DeleteItem orders-app \(id(3))") })
    }

    @Test func `the list is asked again, and the delete is on the fresh counter and owner`() async throws {
        let plan = try Plan.delete(id(3), in: orphaned(apart: .seconds(61)))
        let (outcome, service) = await act(
            plan,
            [
                Self.shards([shard(0)]), ScriptedService.item(row(counter: 50)), ScriptedService.conflict(nil),
                ScriptedService.item(row(counter: 51)), .ok([:]),
            ])
        #expect(outcome == .written(nil))
        #expect(service.operations == ["ListShards", "GetItem", "DeleteItem", "GetItem", "DeleteItem"])
        let body = try #require(service.requests.last?.body)
        #expect(
            body["ConditionExpression"]?.string
                == "#counter = :counter AND leaseOwner = :owner AND attribute_not_exists(checkpointOwner)")
        #expect(body["ExpressionAttributeValues"]?[":counter"]?["N"]?.string == "51")
    }

    @Test func `a shard that is back, or a lease that changed hands, is not deleted`() async throws {
        let plan = try Plan.delete(id(3), in: orphaned(apart: .seconds(61)))
        var (outcome, service) = await act(plan, [Self.shards([shard(0), shard(3)])])
        #expect(outcome == .intentGone(nil))
        #expect(service.operations == ["ListShards"])
        (outcome, service) = await act(
            plan, [Self.shards([shard(0)]), ScriptedService.item(row(counter: 50, owner: "w2"))])
        #expect(outcome.exitStatus == 3)
        #expect(service.operations == ["ListShards", "GetItem"])
        #expect(audit.lines.withLock { $0.isEmpty })
    }

    // MARK: Undo

    @Test func `a lease that was made is deleted again, until somebody takes it`() async throws {
        let plan = try Plan.create(id(3), in: fleet(rows([0, 1, 2])))
        guard case .put(let made) = plan.call else { throw Refusal(.noLease, "no put") }
        _ = await act(plan, [ScriptedService.item(nil), .ok([:])])
        let deed = try Deed.last(of: id(3), in: audit.lines.withLock { $0 }, identity)
        #expect(deed == .row(RowDeed(.created, at: Watch.noon, row: made)))
        let undo = try Plan.undo(id(3), deed, in: fleet(rows([0, 1, 2]) + [made]))
        #expect(undo.action.verb == "undo")
        let (outcome, service) = await act(undo, [ScriptedService.item(made), .ok([:])])
        #expect(outcome == .written(nil))
        #expect(service.operations == ["GetItem", "DeleteItem"])
        let taken = item(lease(3, owner: "w1", counter: 1))
        #expect(
            reason { () throws(Refusal) in try Plan.undo(id(3), deed, in: fleet(rows([0, 1, 2]) + [taken])) }
                == .nothingToUndo)
        // It was undone; there is nothing more.
        #expect(throws: Refusal.self) { try Deed.last(of: id(3), in: audit.lines.withLock { $0 }, identity) }
    }

    @Test func `a lease that was deleted is put back without owner, and its counter goes on`() async throws {
        let plan = try Plan.delete(id(3), in: orphaned(apart: .seconds(61)))
        _ = await act(plan, [Self.shards([shard(0)]), ScriptedService.item(row(counter: 50)), .ok([:])])
        let deed = try Deed.last(of: id(3), in: audit.lines.withLock { $0 }, identity)
        let undo = try Plan.undo(id(3), deed, in: fleet(rows([0, 1, 2])))
        guard case .put(let back) = undo.call else { throw Refusal(.noLease, "no put") }
        #expect(back["leaseCounter"] == .n("51") && back["leaseOwner"] == nil)
        #expect(back["checkpoint"] == row(counter: 50)["checkpoint"])
        let (outcome, _) = await act(undo, [ScriptedService.item(nil), .ok([:])])
        #expect(outcome == .written(back))
        #expect(
            reason { () throws(Refusal) in try Plan.undo(id(3), deed, in: fleet(rows([0, 1, 2, 3]))) }
                == .nothingToUndo)
    }
}
