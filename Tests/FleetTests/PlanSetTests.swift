import AWSWire
import Leases
import Machine
import Synchronization
import Testing

@testable import Fleet

/// The same to several shards: one after the other, until one is not written.
struct PlanSetTests {
    private let lines = Kept()

    private final class Kept: Sendable {
        let audit = Mutex<[AWSValue]>([])
        let steps = Mutex<[String]>([])
        let sleeps = Mutex(0)
    }

    private func row(_ number: Int, counter: Int64, owner: String?) -> Item {
        item(lease(number, owner: owner, counter: counter))
    }

    private func set(_ numbers: Range<Int>) throws -> PlanSet {
        let fleet = fleet(numbers.map { row($0, counter: 41, owner: "w9") })
        return PlanSet(plans: try numbers.map { try Plan.evict(id($0), in: fleet) })
    }

    private func perform(
        _ set: PlanSet, _ script: [ScriptedService.Answer], goesOn: @escaping @Sendable () -> Bool = { true }
    ) async -> (SetOutcome, ScriptedService) {
        let service = ScriptedService(script)
        let time = TimeSource(
            now: { .zero }, wallClock: { Watch.noon }, sleep: { [lines] _ in lines.sleeps.withLock { $0 += 1 } })
        let actor = Operator(
            FleetIdentity(application: "orders-app", stream: "orders", region: "us-east-1", isWritable: true),
            dynamoDB: DynamoDBClient(.scripted(.dynamodb, service, time: time)), kinesis: nil, time: time,
            audit: AuditLog { [lines] (line: String) async throws(AuditLog.Failure) in
                lines.audit.withLock { $0.append((try? JSON.decode(Bytes(line))) ?? .null) }
            }, caller: Caller(name: "ops"))
        let outcome = await actor.perform(set, goesOn: goesOn) { [lines] plan, _, done in
            lines.steps.withLock { $0.append("\(plan.shardIDs[0]) \(done)") }
        }
        return (outcome, service)
    }

    private func written(_ number: Int) -> [ScriptedService.Answer] {
        [
            ScriptedService.item(row(number, counter: 50, owner: "w9")),
            ScriptedService.updated(row(number, counter: 51, owner: nil)),
        ]
    }

    @Test func `each is written on its own row, with a pause between, and the audit has its lines`() async throws {
        let (outcome, service) = await perform(try set(0..<3), (0..<3).flatMap(written))
        #expect(outcome == SetOutcome(done: 3, total: 3))
        #expect(service.operations == ["GetItem", "UpdateItem", "GetItem", "UpdateItem", "GetItem", "UpdateItem"])
        #expect(lines.sleeps.withLock { $0 } == 2)
        #expect(lines.steps.withLock { $0 } == ["\(id(0)) 1", "\(id(1)) 2", "\(id(2)) 3"])
        let told = lines.audit.withLock {
            $0.map { "\($0["phase"]?.string ?? "") \($0["shardIds"]?.strings?.first ?? "")" }
        }
        #expect(told == (0..<3).flatMap { ["before \(id($0))", "after \(id($0))"] })
    }

    @Test func `it ends at the first that is not written`() async throws {
        let gone = ScriptedService.item(row(1, counter: 60, owner: "another"))
        let (outcome, service) = await perform(try set(0..<3), written(0) + [gone] + written(2))
        #expect(outcome.done == 1 && outcome.failed?.shardID == id(1))
        #expect(outcome.failed?.outcome == .intentGone(row(1, counter: 60, owner: "another")))
        #expect(service.operations == ["GetItem", "UpdateItem", "GetItem"])
    }

    @Test func `a person stops it between two`() async throws {
        let asked = Mutex(0)
        let (outcome, service) = await perform(
            try set(0..<3), (0..<3).flatMap(written),
            goesOn: {
                asked.withLock {
                    $0 += 1
                    return $0 < 3
                }
            })
        #expect(outcome == SetOutcome(done: 2, total: 3))
        #expect(service.operations.count == 4)
    }

    @Test func `many want their number typed, and what skips records the application's name`() throws {
        #expect(try set(0..<10).typed == nil)
        #expect(try set(0..<11).typed == "11")
        let fleet = fleet((0..<11).map { row($0, counter: 41, owner: "w9") })
        let plans = try (0..<11).map { number -> Plan in
            guard case .plan(let plan) = try Plan.rewind(id(number), to: .sentinel(.latest), in: fleet) else {
                throw Refusal(.noRecord, "a search")
            }
            return plan
        }
        #expect(PlanSet(plans: plans).typed == "orders-app 11")
        #expect(PlanSet(plans: Array(plans.prefix(2))).typed == "orders-app")
        #expect(PlanSet(plans: plans).title == "advance 11 shards")
    }
}
