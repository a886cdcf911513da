import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

/// A fleet as a plan sees it: two workers of ours, one stranger, four shards.
func fleet(_ leases: [Item], mode: FleetMode? = .takers(clientVersion: nil), shards: [Shard]? = nil) -> FleetSnapshot {
    var watch = Watch()
    watch.send(.ownWorkersChanged([OwnWorker("w1"), OwnWorker("w2"), OwnWorker("off", isStopped: true)]))
    watch.noMigration()
    watch.list(shards ?? (0..<4).map { shard($0) })
    watch.scan(leases)
    var snapshot = watch.snapshot
    snapshot.mode = mode
    snapshot.streamMatch = .verified
    return snapshot
}

struct PlanTests {
    private func refusal(_ make: () throws(Refusal) -> Plan) -> Refusal.Reason? {
        do throws(Refusal) {
            _ = try make()
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func `an evict shows the row, the one conditional write and what follows`() throws {
        let row = item(lease(0, owner: "stranger", counter: 41), ["future": .s("kept")])
        let plan = try Plan.evict(id(0), in: fleet([row]))
        #expect(plan.title == "evict stranger from \(id(0))")
        #expect(plan.stored == row)
        #expect(plan.intent == Plan.Intent(leaseKey: id(0), owner: "stranger"))
        #expect(
            plan.call
                == .update(
                    UpdateItem(
                        table: "orders-app", key: ["leaseKey": .s(id(0))],
                        update: "SET leaseCounter = :next REMOVE leaseOwner, checkpointOwner",
                        condition: "attribute_exists(leaseKey) AND leaseCounter = :counter AND leaseOwner = :wasOwner "
                            + "AND attribute_not_exists(checkpointOwner)",
                        values: [":counter": .n(41), ":next": .n(42), ":wasOwner": .s("stranger")],
                        returnValues: "ALL_NEW")))
        #expect(
            plan.forecast == [
                "the first worker that scans the table takes it, perhaps the same one",
                "stranger gets ZOMBIE when it next renews or checkpoints (within about 3.3s)",
            ])
        #expect(plan.expectedGap == "up to 20s with Java workers, about 2 s with ours")
        #expect(plan.expectedDuplicates == "all records after the checkpoint TRIM_HORIZON, are delivered again")
        #expect(!plan.isUndoable)
        #expect(plan.lines.last == "cannot be undone")
    }

    @Test func `during a handover an evict keeps the successor`() throws {
        let row = item(lease(0, owner: "new", checkpointOwner: "old"))
        let plan = try Plan.evict(id(0), in: fleet([row], mode: .leaderAssigned(clientVersion: "CLIENT_VERSION_3X")))
        guard case .update(let update) = plan.call else { throw Refusal(.noLease, "no update") }
        #expect(update.update == "SET leaseCounter = :next REMOVE checkpointOwner")
        #expect(plan.title == "evict old from \(id(0))")
        #expect(plan.forecast.first == "the handover is cut short: new, the successor, keeps the lease and picks it up")
    }

    @Test func `evicting while a fleet moves to 3·x warns of its timer`() throws {
        let plan = try Plan.evict(id(0), in: fleet([item(lease(0, owner: "stranger"))], mode: .upgrading))
        #expect(plan.forecast.contains("an unowned lease restarts the fleet's 10-minute timer for the move to 3.x"))
    }

    @Test func `a steal names its target and is conditional on the owners too`() throws {
        let plan = try Plan.steal(id(0), to: "w2", in: fleet([item(lease(0, owner: "w1", counter: 7))]))
        #expect(plan.intent == Plan.Intent(leaseKey: id(0), owner: "w1", target: "w2"))
        guard case .update(let update) = plan.call else { throw Refusal(.noLease, "no update") }
        #expect(
            update.update
                == "SET leaseOwner = :owner, leaseCounter = :next REMOVE checkpointOwner "
                + "ADD ownerSwitchesSinceCheckpoint :one")
        #expect(
            update.condition
                == "attribute_exists(leaseKey) AND leaseCounter = :counter AND leaseOwner = :wasOwner "
                + "AND attribute_not_exists(checkpointOwner)")
    }

    @Test func `what cannot or must not be done is refused with its reason`() throws {
        let fleet = fleet([
            item(lease(0)), item(lease(1, checkpoint: .shardEnd)), item(lease(2, owner: nil)),
            item(lease(3), ["checkpoint": .s("odd")]),
        ])
        #expect(refusal { () throws(Refusal) in try .evict(id(1), in: fleet) } == .ended)
        #expect(refusal { () throws(Refusal) in try .evict(id(2), in: fleet) } == .unowned)
        #expect(refusal { () throws(Refusal) in try .evict(id(3), in: fleet) } == .unreadable)
        #expect(refusal { () throws(Refusal) in try .evict("shardId-9", in: fleet) } == .noSuchShard)
        #expect(refusal { () throws(Refusal) in try .steal(id(0), to: "w1", in: fleet) } == .alreadyOwner)
        #expect(refusal { () throws(Refusal) in try .steal(id(0), to: "nobody", in: fleet) } == .unknownWorker)
        #expect(refusal { () throws(Refusal) in try .steal(id(0), to: "off", in: fleet) } == .unknownWorker)
        #expect(refusal { () throws(Refusal) in try .release(id(2), in: fleet) } == .unowned)
        var assigned = fleet
        assigned.mode = .leaderAssigned(clientVersion: "CLIENT_VERSION_3X")
        #expect(refusal { () throws(Refusal) in try .steal(id(0), to: "w2", in: assigned) } == .leaderAssigns)
        var denied = assigned
        denied.mode = nil
        denied.isModeDenied = true
        #expect(refusal { () throws(Refusal) in try .steal(id(0), to: "w2", in: denied) } == .unknownMode)
        let evict = try Plan.evict(id(0), in: denied)
        #expect(evict.forecast.first?.hasSuffix("is not known (GetItem is denied)") == true)
        #expect(evict.expectedGap == "up to 30s, whoever gives it its next worker")
        var strange = fleet
        strange.workers = strange.workers.map {
            var worker = $0
            worker.isOurs = false
            return worker
        }
        #expect(refusal { () throws(Refusal) in try .steal(id(0), to: "w2", in: strange) } == .notOurs)
        #expect(refusal { () throws(Refusal) in try .release(id(0), in: strange) } == .notOurs)
        let unread = FleetSnapshot(identity: fleet.identity)
        #expect(refusal { () throws(Refusal) in try .evict(id(0), in: unread) } == .notRead)
        #expect(refusal { () throws(Refusal) in try .split(id(0), in: unread) } == .noStream)
    }

    @Test func `a split divides at the middle or at a key inside the range`() throws {
        let range = HashKeyRange(start: 100, end: 199)
        let fleet = fleet(
            [],
            shards: [
                shard(0, range: range), shard(1, range: HashKeyRange(start: 5, end: 5)),
                shard(2, range: range, isClosed: true),
            ])
        let plan = try Plan.split(id(0), in: fleet)
        #expect(plan.action == .split(at: 150))
        #expect(plan.call == .split(stream: "orders", shard: shard(0, range: range), at: 150))
        #expect(try Plan.split(id(0), at: .key(199), in: fleet).action == .split(at: 199))
        #expect(refusal { () throws(Refusal) in try .split(id(0), at: .key(100), in: fleet) } == .outsideRange)
        #expect(refusal { () throws(Refusal) in try .split(id(0), at: .key(200), in: fleet) } == .outsideRange)
        #expect(refusal { () throws(Refusal) in try .split(id(1), in: fleet) } == .tooNarrow)
        #expect(refusal { () throws(Refusal) in try .split(id(2), in: fleet) } == .closed)
        #expect(refusal { () throws(Refusal) in try .split("nothing", in: fleet) } == .noSuchShard)
    }

    @Test func `a merge takes the neighbour above, the last shard the one below`() throws {
        let fleet = fleet([])
        #expect(try Plan.merge(id(1), in: fleet).action == .merge(with: id(2)))
        #expect(try Plan.merge(id(3), in: fleet).action == .merge(with: id(2)))
        #expect(try Plan.merge(id(1), with: id(0), in: fleet).shardIDs == [id(1), id(0)])
        #expect(refusal { () throws(Refusal) in try .merge(id(0), with: id(2), in: fleet) } == .notAdjacent)
        let alone = lonely()
        #expect(refusal { () throws(Refusal) in try .merge(id(0), in: alone) } == .noNeighbour)
    }

    private func lonely() -> FleetSnapshot { fleet([], shards: [shard(0, of: 1)]) }

    @Test func `a scale stays within what one call may do`() throws {
        let fleet = fleet([])
        #expect(try Plan.scale(to: 8, in: fleet).call == .scale(stream: "orders", from: 4, to: 8))
        #expect(try Plan.scale(to: 2, in: fleet).action == .scale(to: 2))
        for count in [0, 1, 4, 9] {
            #expect(refusal { () throws(Refusal) in try .scale(to: count, in: fleet) } == .outsideLimits)
        }
    }
}
