import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

/// A 3.x fleet as a plan sees it.
private func assignedFleet(_ change: (inout Generations.Tables) -> Void = { _ in }) -> FleetSnapshot {
    var tables = Generations.v3()
    tables.leases[1]["checkpointOwner"] = nil
    change(&tables)
    return Watch.over(tables).snapshot
}

struct AssignTests {
    private func refusal(_ make: () throws(Refusal) -> Plan) -> Refusal? {
        do throws(Refusal) {
            _ = try make()
            return nil
        } catch {
            return error
        }
    }

    private func update(_ plan: Plan) throws -> UpdateItem {
        guard case .update(let update) = plan.call else { throw Refusal(.noLease, "no update") }
        return update
    }

    @Test func `a graceful assign starts KCL's handover and leaves the counter`() throws {
        let plan = try Plan.assign(id(0), to: "v3-worker-idle", in: assignedFleet())
        #expect(plan.action == .assign(worker: "v3-worker-idle", isHard: false))
        #expect(plan.title == "hand \(id(0)) over from v3-worker-a to v3-worker-idle")
        #expect(plan.intent == Plan.Intent(leaseKey: id(0), owner: "v3-worker-a", target: "v3-worker-idle"))
        #expect(
            try update(plan)
                == UpdateItem(
                    table: "orders-app", key: ["leaseKey": .s(id(0))],
                    update: "SET leaseOwner = :owner, checkpointOwner = :wasOwner",
                    condition: "attribute_exists(leaseKey) AND leaseCounter = :counter AND leaseOwner = :wasOwner "
                        + "AND attribute_not_exists(checkpointOwner)",
                    values: [":owner": .s("v3-worker-idle"), ":wasOwner": .s("v3-worker-a"), ":counter": .n(300)],
                    returnValues: "ALL_NEW"))
        #expect(
            plan.targetReport
                == ReportPlace(table: "orders-app-WorkerMetricStats", key: ["wid": .s("v3-worker-idle")]))
        #expect(
            plan.forecast == [
                "v3-worker-a is told when it renews (within about 3.3s): it is asked to shut the shard down, may "
                    + "checkpoint, and passes the lease on",
                "it does so after 30 s at the latest (gracefulLeaseHandoffTimeoutMillis); the leader ends a handover that "
                    + "is 40s old",
                "v3-worker-idle finds the lease within about 10 s after that and reads on from the checkpoint",
                "the leader v3-worker-a may move it back when it balances, about every 1m00s, where v3-worker-idle is "
                    + "more than 10 % above the fleet's average or over its range",
            ])
        #expect(plan.expectedDuplicates == "none, if v3-worker-a checkpoints when it is asked to")
        #expect(!plan.isUndoable)
    }

    @Test func `a hard assign takes it from its owner at once and raises the counter`() throws {
        let plan = try Plan.assign(id(0), to: "v3-worker-b", isHard: true, in: assignedFleet())
        #expect(
            try update(plan)
                == UpdateItem(
                    table: "orders-app", key: ["leaseKey": .s(id(0))],
                    update: "SET leaseOwner = :owner, leaseCounter = :next REMOVE checkpointOwner "
                        + "ADD ownerSwitchesSinceCheckpoint :one",
                    condition: "attribute_exists(leaseKey) AND leaseCounter = :counter AND leaseOwner = :wasOwner "
                        + "AND attribute_not_exists(checkpointOwner)",
                    values: [
                        ":owner": .s("v3-worker-b"), ":wasOwner": .s("v3-worker-a"), ":counter": .n(300),
                        ":next": .n(301), ":one": .n(1),
                    ], returnValues: "ALL_NEW"))
        #expect(plan.forecast[1] == "v3-worker-a gets ZOMBIE when it next renews or checkpoints (within about 3.3s)")
        #expect(plan.expectedDuplicates.hasSuffix("are delivered again"))
    }

    @Test func `a lease that nobody could hand over is assigned at once`() throws {
        let free = assignedFleet { $0.leases[0]["leaseOwner"] = nil }
        let plan = try Plan.assign(id(0), to: "v3-worker-b", in: free)
        #expect(plan.action == .assign(worker: "v3-worker-b", isHard: true))
        #expect(try update(plan).update == "SET leaseOwner = :owner, leaseCounter = :next REMOVE checkpointOwner")
        var expired = assignedFleet()
        expired.leases[0].state = .expired
        let other = try Plan.assign(id(0), to: "v3-worker-b", in: expired)
        #expect(other.action == .assign(worker: "v3-worker-b", isHard: true))
        #expect(other.forecast[1].hasPrefix("v3-worker-a is gone and hands nothing over"))
    }

    @Test func `a worker of the single table is looked up there`() throws {
        var tables = Generations.v35
        tables.leases.append(
            Generations.metrics("v35-worker-c", keyName: "leaseKey")
                .merging(["entityType": .s("WORKER_METRIC_STATS")]) { $1 })
        let fleet = Watch.over(tables).snapshot
        let plan = try Plan.assign(id(0), to: "v35-worker-c", in: fleet)
        #expect(plan.targetReport == ReportPlace(table: "orders-app", key: ["leaseKey": .s("v35-worker-c")]))
        #expect(
            refusal { () throws(Refusal) in try .assign(id(0), to: "v35-worker-b", in: fleet) }?.description
                == "no worker v35-worker-b reports to the leader; those that do: v35-worker-a, v35-worker-c")
    }

    @Test func `what this generation cannot do is refused with its reason, and evict is offered`() throws {
        func reason(_ fleet: FleetSnapshot, to worker: String = "v3-worker-b", shard: String = id(0)) -> Refusal? {
            refusal { () throws(Refusal) in try .assign(shard, to: worker, in: fleet) }
        }
        var fleet = assignedFleet()
        #expect(reason(fleet, to: "v3-worker-a")?.reason == .alreadyOwner)
        #expect(reason(fleet, to: "ghost")?.reason == .unknownWorker)
        #expect(reason(fleet, shard: "shardId-9")?.reason == .noSuchShard)
        #expect(reason(assignedFleet { $0.leases[0]["checkpoint"] = .s("SHARD_END") })?.reason == .ended)
        let stale = reason(
            assignedFleet { $0.metrics = [Generations.metrics("v3-worker-a", age: .seconds(61))] }, to: "v3-worker-b")
        #expect(stale?.reason == .unknownWorker)
        // An owner that reports no more is shown, and gets nothing.
        let silent = assignedFleet { tables in
            tables.metrics = [Generations.metrics("v3-worker-b", age: .seconds(60))]
        }
        let why = reason(silent, to: "v3-worker-b")
        #expect(why?.reason == .staleWorker)
        #expect(why?.description == "v3-worker-b reported 1m00s ago: a leader takes it for gone after 1m00s")
        #expect(
            reason(assignedFleet { $0.metrics?[1]["lut"] = nil })?.description
                == "the metrics row of v3-worker-b is ignored by the leader: it has no time")
        for version in ["CLIENT_VERSION_2X", "CLIENT_VERSION_UPGRADE_FROM_2X"] {
            let refused = reason(assignedFleet { $0.migration = Generations.migration(version) })
            #expect(refused?.reason == .notAssigned)
            #expect(refused?.description.contains("evict") == true)
        }
        fleet.mode = nil
        #expect(reason(fleet)?.reason == .unknownMode)
        fleet.isModeDenied = true
        #expect(reason(fleet)?.description.contains("dynamodb:GetItem on orders-app-CoordinatorState") == true)
    }

    @Test func `a lease in a handover is not handed over again, but assigned hard where that is asked`() throws {
        let fleet = Watch.over(Generations.v3()).snapshot
        let refused = refusal { () throws(Refusal) in try .assign(id(1), to: "v3-worker-idle", in: fleet) }
        #expect(refused?.reason == .inHandoff)
        #expect(
            refusal { () throws(Refusal) in try .assign(id(1), to: "v3-worker-b", isHard: true, in: fleet) }?.reason
                == .alreadyOwner)
        let plan = try Plan.assign(id(1), to: "v3-worker-idle", isHard: true, in: fleet)
        #expect(try update(plan).condition?.hasSuffix("AND checkpointOwner = :wasCheckpointOwner") == true)
        #expect(try update(plan).update.contains("ADD ownerSwitchesSinceCheckpoint :one"))
    }

    // MARK: - A stuck handover

    @Test func `completing a handover writes what its owner did not`() throws {
        let fleet = Watch.over(Generations.v3()).snapshot
        let plan = try Plan.completeHandoff(id(1), in: fleet)
        #expect(plan.title == "complete the handover of \(id(1)) from v3-worker-a to v3-worker-b")
        #expect(
            try update(plan)
                == UpdateItem(
                    table: "orders-app", key: ["leaseKey": .s(id(1))],
                    update: "SET leaseOwner = :owner, leaseCounter = :next REMOVE checkpointOwner "
                        + "ADD ownerSwitchesSinceCheckpoint :one",
                    condition: "attribute_exists(leaseKey) AND leaseCounter = :counter AND leaseOwner = :wasOwner "
                        + "AND checkpointOwner = :wasCheckpointOwner",
                    values: [
                        ":owner": .s("v3-worker-b"), ":wasOwner": .s("v3-worker-b"),
                        ":wasCheckpointOwner": .s("v3-worker-a"), ":counter": .n(301), ":next": .n(302), ":one": .n(1),
                    ], returnValues: "ALL_NEW"))
        #expect(plan.forecast.contains { $0.hasPrefix("NOT KNOWN TO BE STUCK: it was watched for 0.0s") })
    }

    @Test func `one that is stuck is said to be, and the key for it is shown`() throws {
        var tables = Generations.v3()
        var watch = Watch.over(tables)
        for second in 1...12 {
            watch.wait(.seconds(5))
            tables.leases[1]["leaseCounter"] = .n(301 + second)
            tables.metrics = ["v3-worker-a", "v3-worker-b"].map {
                Generations.metrics($0, age: .seconds(-5 * second))
            }
            watch.scan(tables.leases)
            watch.answerSides(tables)
        }
        #expect(watch.problem(.handoffStuck)?.action == .completeHandoff)
        #expect(ProblemAction.completeHandoff.key == "a")
        let plan = try Plan.completeHandoff(id(1), in: watch.snapshot)
        #expect(!plan.forecast.contains { $0.hasPrefix("NOT KNOWN") })
        #expect(plan.forecast.count == 2)
    }

    @Test func `where nothing is handed over there is nothing to complete`() {
        let fleet = assignedFleet()
        #expect(refusal { () throws(Refusal) in try .completeHandoff(id(0), in: fleet) }?.reason == .noHandoff)
        let old = Watch.over(Generations.v3("CLIENT_VERSION_2X")).snapshot
        #expect(refusal { () throws(Refusal) in try .completeHandoff(id(1), in: old) }?.reason == .notAssigned)
        let lost = Watch.over(
            {
                var tables = Generations.v3()
                tables.leases[1]["leaseOwner"] = nil
                return tables
            }()
        ).snapshot
        #expect(refusal { () throws(Refusal) in try .completeHandoff(id(1), in: lost) }?.reason == .noHandoff)
    }

    // MARK: - Performing

    private func act(_ plan: Plan, _ script: [ScriptedService.Answer]) async -> (PlanOutcome, ScriptedService) {
        let service = ScriptedService(script)
        let actor = Operator(
            FleetIdentity(application: "orders-app", stream: nil, region: "us-east-1", isWritable: true),
            dynamoDB: DynamoDBClient(.scripted(.dynamodb, service)), kinesis: nil, time: stillTime,
            audit: AuditLog { (_) async throws(AuditLog.Failure) in }, caller: Caller(name: "ops"))
        return (await actor.perform(plan), service)
    }

    private var stored: Item { Generations.v3().leases[0] }

    private func row(counter: Int, owner: String = "v3-worker-a", checkpointOwner: String? = nil) -> Item {
        var item = stored
        item["leaseCounter"] = .n(counter)
        item["leaseOwner"] = .s(owner)
        item["checkpointOwner"] = checkpointOwner.map { .s($0) }
        return item
    }

    @Test func `before the write the target's row is read again, and one that fell silent gets nothing`() async throws {
        let plan = try Plan.assign(id(0), to: "v3-worker-b", in: assignedFleet())
        let after = row(counter: 310, owner: "v3-worker-b", checkpointOwner: "v3-worker-a")
        let (done, service) = await act(
            plan,
            [
                ScriptedService.item(Generations.metrics("v3-worker-b")), ScriptedService.item(row(counter: 309)),
                ScriptedService.conflict(row(counter: 310)), ScriptedService.updated(after),
            ])
        #expect(done == .written(after))
        #expect(service.operations == ["GetItem", "GetItem", "UpdateItem", "UpdateItem"])
        #expect(service.requests[0].body["TableName"]?.string == "orders-app-WorkerMetricStats")
        #expect(service.requests[0].body["ConsistentRead"]?.bool == true)
        #expect(service.requests[3].body["UpdateExpression"]?.string?.contains("leaseCounter") == false)
        let event = plan.event(for: done, at: Watch.noon)
        #expect(event?.kind == .operatorAction && event?.owner == "v3-worker-b")
        for silent in [
            ScriptedService.item(nil), ScriptedService.item(Generations.metrics("v3-worker-b", age: .seconds(61))),
        ] {
            let (outcome, service) = await act(plan, [silent])
            guard case .refused(let refusal) = outcome else {
                Issue.record("\(outcome)")
                continue
            }
            #expect(refusal.reason == .staleWorker)
            #expect(service.operations == ["GetItem"])
        }
        let (denied, _) = await act(plan, [.error("AccessDeniedException", ["message": "no"])])
        guard case .failed(let words) = denied else {
            Issue.record("\(denied)")
            return
        }
        #expect(words.hasPrefix("nothing was written: whether v3-worker-b lives cannot be read"))
    }

    @Test(arguments: [true, false])
    func `after a lost answer the row tells whether it was written`(_ isHard: Bool) async throws {
        let plan = try Plan.assign(id(0), to: "v3-worker-b", isHard: isHard, in: assignedFleet())
        let start = [
            ScriptedService.item(Generations.metrics("v3-worker-b")), ScriptedService.item(row(counter: 309)), .lost,
        ]
        let written =
            isHard
            ? row(counter: 310, owner: "v3-worker-b")
            : row(counter: 309, owner: "v3-worker-b", checkpointOwner: "v3-worker-a")
        #expect(await act(plan, start + [ScriptedService.item(written)]).0 == .written(written))
        let again = await act(
            plan, start + [ScriptedService.item(row(counter: 309)), ScriptedService.updated(written)])
        #expect(again.0 == .written(written))
        #expect(again.1.operations.count == 5)
        let stolen = row(counter: 310, owner: "thief")
        #expect(await act(plan, start + [ScriptedService.item(stolen)]).0 == .intentGone(stolen))
    }

    @Test func `a handover that ended meanwhile is not completed`() async throws {
        let plan = try Plan.completeHandoff(id(1), in: Watch.over(Generations.v3()).snapshot)
        var ended = Generations.v3().leases[1]
        ended["checkpointOwner"] = nil
        let (outcome, service) = await act(plan, [ScriptedService.item(ended)])
        #expect(outcome == .intentGone(ended))
        #expect(service.operations == ["GetItem"])
    }
}
