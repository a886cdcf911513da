import AWSWire
import Leases
import Machine
import Synchronization
import Testing

@testable import Fleet

private let old = checkpoint(age: .seconds(60))
private let target = checkpoint(age: .seconds(600))
private let back = RewindDeed(at: Watch.noon, from: old, to: target)
private let forth = RewindDeed(at: Watch.noon, from: target, to: old)

struct UndoTests {
    private func row(_ checkpoint: Checkpoint, counter: Int64, owner: String? = "w9") -> Item {
        item(lease(0, owner: owner, counter: counter, checkpoint: checkpoint))
    }

    private let identity = FleetIdentity(
        application: "orders-app", stream: "orders", region: "us-east-1", isWritable: true)

    /// Performs `plan` on a service that answers `rows`: as read, then as written.
    private func audit(of plan: Plan, read: Item, written: Item, in identity: FleetIdentity? = nil) async -> [String] {
        let lines = Mutex<[String]>([])
        let service = ScriptedService([ScriptedService.item(read), ScriptedService.updated(written)])
        let actor = Operator(
            identity ?? self.identity, dynamoDB: DynamoDBClient(.scripted(.dynamodb, service)), kinesis: nil,
            time: stillTime,
            audit: AuditLog { (line: String) async throws(AuditLog.Failure) in lines.withLock { $0.append(line) } },
            caller: Caller(name: "ops"))
        _ = await actor.perform(plan)
        return lines.withLock { $0 }
    }

    private func reason(_ lines: [String], _ identity: FleetIdentity? = nil) -> Refusal.Reason? {
        do throws(Refusal) {
            _ = try RewindDeed.last(of: id(0), in: lines, identity ?? self.identity)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func `the audit tells what there is to undo, and that it was undone`() async throws {
        let before = row(old, counter: 50)
        let after = row(.trimHorizon, counter: 51, owner: nil)
        guard case .plan(let rewind) = try Plan.rewind(id(0), to: .sentinel(.trimHorizon), in: fleet([before])) else {
            throw Refusal(.noRecord, "a search")
        }
        #expect(rewind.isUndoable)
        var lines = await audit(of: rewind, read: before, written: after)
        let deed = try RewindDeed.last(of: id(0), in: ["no JSON"] + lines, identity)
        #expect(deed == RewindDeed(at: Watch.noon, from: old, to: .trimHorizon))
        var elsewhere = identity
        elsewhere.region = "eu-west-1"
        #expect(reason(lines, elsewhere) == .nothingToUndo)
        #expect(reason([lines[0]]) == .nothingToUndo)
        // Another action between changes nothing of it.
        lines += await audit(
            of: try Plan.evict(id(0), in: fleet([row(.trimHorizon, counter: 52)])),
            read: row(.trimHorizon, counter: 52),
            written: row(.trimHorizon, counter: 53, owner: nil))
        #expect(try RewindDeed.last(of: id(0), in: lines, identity) == deed)
        let taken = row(.trimHorizon, counter: 54)
        let undo = try Plan.undo(id(0), deed, in: fleet([taken]))
        lines += await audit(of: undo, read: taken, written: row(old, counter: 55, owner: nil))
        #expect(reason(lines) == .nothingToUndo)
    }

    @Test func `an undo restores the checkpoint and raises the counter`() throws {
        let plan = try Plan.undo(id(0), back, in: fleet([row(target, counter: 90)]))
        guard case .update(let update) = plan.call else { throw Refusal(.noLease, "no update") }
        #expect(update.values[":checkpoint"] == .s(old.text))
        #expect(update.values[":counter"] == .n(90))
        #expect(update.values[":next"] == .n(91))
        #expect(update.update.contains("REMOVE leaseOwner"))
        #expect(plan.typed == nil)
        #expect(plan.action.verb == "undo")
        #expect(plan.expectedDuplicates == "none: what was read before is not read again")
    }

    @Test(arguments: [
        // Read again in part; all of it; moved further back; to where nothing tells.
        (back, checkpoint(age: .seconds(300)), true), (back, old, false), (back, checkpoint(age: .seconds(700)), false),
        (back, .trimHorizon, false), (back, .shardEnd, false),
        // What was skipped stays so, however far the lease came.
        (forth, checkpoint(age: .seconds(1)), true), (forth, checkpoint(age: .seconds(300)), false),
        (RewindDeed(at: Watch.noon, from: old, to: .latest), checkpoint(age: .seconds(1)), true),
        (RewindDeed(at: Watch.noon, from: .shardEnd, to: .trimHorizon), checkpoint(age: .seconds(1)), true),
    ])
    func `only what is left of a rewind is undone`(_ deed: RewindDeed, _ now: Checkpoint, _ isUndoable: Bool) throws {
        #expect(deed.isUndoable(at: now) == isUndoable)
    }

    @Test func `AT_TIMESTAMP is not written by an undo either`() throws {
        let deed = RewindDeed(at: Watch.noon, from: .atTimestamp, to: .trimHorizon)
        #expect(throws: Refusal.self) {
            try Plan.undo(id(0), deed, in: fleet([row(.trimHorizon, counter: 1)]))
        }
    }
}
