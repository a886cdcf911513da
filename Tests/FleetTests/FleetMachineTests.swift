import Leases
import Machine
import Testing

@testable import AWSWire
@testable import Fleet

struct FleetMachineTests {
    @Test func `it begins by reading the table, its description, the migration item and the stream`() {
        let watch = Watch()
        #expect(
            watch.effects == [
                .scan(startingAfter: nil), .describeTable("orders-app"),
                .readMigrationItem(table: "orders-app-CoordinatorState"), .describeStream("orders"),
                .listShards(stream: "orders"), .wake(.zero + .seconds(2)),
            ])
    }

    @Test func `without a stream it reads the table only`() {
        let watch = Watch(.test(stream: nil))
        #expect(
            watch.effects == [
                .scan(startingAfter: nil), .describeTable("orders-app"),
                .readMigrationItem(table: "orders-app-CoordinatorState"), .wake(.zero + .seconds(2)),
            ])
    }

    @Test func `a scan follows its pages and publishes after the last one`() throws {
        var watch = Watch(.test(stream: nil))
        let next = LeaseTable.key(id(0))
        watch.send(.scanned(FleetMachine.TablePage([item(lease(0))], next: next), watch.info(units: 2)))
        #expect(watch.effects == [.scan(startingAfter: next)])
        watch.send(.scanned(FleetMachine.TablePage([item(lease(1))]), watch.info(units: 1)))
        #expect(watch.calls == [])
        let snapshot = try #require(watch.snapshots.last)
        #expect(snapshot.leases.map(\.id) == [id(0), id(1)])
        #expect(snapshot.scans == 1)
        #expect(snapshot.cost.readUnits == 3)
        #expect(snapshot.cost.calls == 2)
    }

    @Test func `the next scan begins one refresh after the last one began`() {
        var watch = Watch(.test(stream: nil))
        watch.wait(.seconds(1))
        watch.scan([lease(0)])
        watch.wait(.seconds(4))
        watch.send(.woke)
        #expect(watch.calls.contains(.scan(startingAfter: nil)))
        watch.send(.woke)
        #expect(!watch.calls.contains(.scan(startingAfter: nil)))
    }

    @Test func `an answer that nobody waits for changes nothing`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        let before = watch.machine.scans
        watch.send(.scanned(FleetMachine.TablePage([]), watch.info()))
        #expect(watch.machine.scans == before)
        #expect(watch.machine.rows.count == 1)
    }

    @Test func `a failing table is asked again after 1, 2, 4 and at most 30 seconds, and the picture stays`() throws {
        var watch = Watch(.test(stream: nil, refresh: .milliseconds(500)))
        watch.scan([lease(0)])
        var waits: [Duration] = []
        for _ in 0..<7 {
            watch.machine.schedule.nextScan = watch.now
            watch.send(.woke)
            watch.send(.scanFailed(refused, watch.info()))
            waits.append(watch.machine.schedule.nextScan - watch.now)
            watch.wait(.seconds(60))
        }
        #expect(
            waits == [.seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(16), .seconds(30), .seconds(30)])
        let snapshot = watch.snapshot
        #expect(snapshot.leases.count == 1)
        #expect(snapshot.refreshAge == .seconds(420))
        let problem = try #require(snapshot.problems.first)
        #expect(problem.kind == .table)
        #expect(problem.severity == .critical)
        #expect(
            problem.message
                == "the lease table orders-app cannot be read at us-east-1: cannot connect to 127.0.0.1:4567: refused; "
                + "trying again")
        watch.scan([lease(0, counter: 2)])
        #expect(watch.problem(.table) == nil)
    }

    @Test func `an outage never makes an owner look dead`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0, counter: 1)])
        watch.wait(.seconds(5))
        watch.scan([lease(0, counter: 2)])
        #expect(watch.state(id(0)) == .live)
        watch.wait(.seconds(300))
        #expect(watch.state(id(0)) == .live)
        watch.scan([lease(0, counter: 90)])
        #expect(watch.state(id(0)) == .live)
    }

    @Test func `a throttled table is read more slowly, and at the old pace when it recovers`() {
        var watch = Watch(.test(stream: nil))
        let throttled = awsError("ProvisionedThroughputExceededException")
        watch.send(.scanFailed(throttled, watch.info()))
        #expect(watch.machine.refreshInterval == .seconds(10))
        #expect(watch.problem(.throttled)?.severity == .warning)
        watch.scan([lease(0)])
        #expect(watch.machine.refreshInterval == .seconds(5))
    }

    @Test func `a dear table is read no more often than the cap allows, an explicit rate is obeyed`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([item(lease(0))], units: 500)
        #expect(watch.machine.refreshInterval == .seconds(20))
        watch.send(.refreshChanged(.every(.seconds(2))))
        #expect(watch.machine.refreshInterval == .seconds(2))
    }

    @Test func `a table that is no lease table is not read further and the verdict says why`() throws {
        var watch = Watch(.test(stream: nil))
        watch.send(.scanFailed(refused, watch.info()))
        let table = TableDescription.test(keySchema: ["id": "HASH"], types: ["id": "S"])
        watch.send(.tableDescribed(table, watch.info()))
        watch.wait(.seconds(10))
        watch.send(.woke)
        #expect(!watch.effects.contains(.scan(startingAfter: nil)))
        let snapshot = watch.snapshot
        #expect(
            snapshot.problems.first?.message
                == "orders-app is not a lease table: its key is (id), a lease table's is (leaseKey: S); give the "
                + "application's own with --table")
        #expect(snapshot.verdict.word == "CRITICAL")
    }

    @Test func `the account is the one in the table's ARN`() {
        var watch = Watch(.test(stream: nil))
        watch.send(.tableDescribed(.test(), watch.info()))
        #expect(watch.snapshot.identity.account == "123456789012")
    }

    @Test func `a clock that is ten minutes off is corrected by the service's Date and named`() {
        var watch = Watch(.test(stream: nil))
        watch.send(
            .scanned(
                FleetMachine.TablePage([item(lease(0))]), watch.info(skew: .seconds(-600))))
        let snapshot = watch.snapshot
        #expect(snapshot.takenAt == Watch.noon + .seconds(-600))
        #expect(
            snapshot.problems.first { $0.kind == .clock }?.message
                == "this machine's clock is 10m00s ahead of the service's; times are shown by the service's")
    }

    @Test func `a denied optional read is a remark, a denied scan is critical and names the permission`() {
        var watch = Watch(.test(stream: nil))
        watch.send(.tableDescriptionFailed(awsError("AccessDeniedException"), watch.info()))
        #expect(watch.problem(.denied)?.severity == .info)
        watch.send(.scanFailed(awsError("AccessDeniedException"), watch.info()))
        #expect(watch.problem(.table)?.severity == .critical)
        #expect(
            watch.problem(.table)?.message
                == "reading the lease table orders-app is denied: the policy must allow dynamodb:Scan")
    }

    @Test func `a stream that may not be read turns off what needs it, and names the permission`() throws {
        var watch = Watch(.test())
        watch.scan([lease(0)])
        watch.send(.shardListFailed(awsError("AccessDeniedException"), watch.info()))
        watch.send(.streamDescriptionFailed(awsError("AccessDeniedException"), watch.info()))
        let snapshot = watch.snapshot
        #expect(snapshot.isShardListDenied && snapshot.shards == nil && snapshot.retention == nil)
        let denied = snapshot.problems.filter { $0.kind == .denied }
        #expect(denied.map(\.severity) == [.warning, .info])
        #expect(denied.first?.message.contains("must allow kinesis:ListShards; holes, orphans") == true)
        #expect(denied.last?.message.contains("must allow kinesis:DescribeStreamSummary; how long") == true)
        #expect(watch.problem(.stream) == nil)
        watch.send(.shardListFailed(awsError("ResourceNotFoundException"), watch.info()))
        #expect(!watch.snapshot.isShardListDenied && watch.problem(.stream)?.severity == .critical)
    }

    @Test func `an unknown table says what to check`() {
        var watch = Watch(.test(stream: nil))
        watch.send(.scanFailed(awsError("ResourceNotFoundException"), watch.info()))
        #expect(
            watch.snapshot.verdict.headline
                == "there is no table orders-app at us-east-1: no worker has run under this name, or name, account or "
                + "region are others")
        watch.send(.tableDescriptionFailed(awsError("ResourceNotFoundException"), watch.info()))
        #expect(watch.snapshot.problems.map(\.severity) == [.critical])
    }

    @Test func `a table that a worker of ours is about to create is no alarm`() {
        var watch = Watch(.test(stream: nil))
        watch.send(.ownWorkersChanged([OwnWorker("w1")]))
        watch.send(.scanFailed(awsError("ResourceNotFoundException"), watch.info()))
        #expect(watch.problem(.table)?.severity == .info)
        #expect(watch.problem(.table)?.message == "there is no table orders-app yet: the worker here creates it")
    }

    @Test func `the mode is said only after the coordinator table was looked for`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        #expect(watch.snapshot.mode == nil)
        watch.noMigration()
        #expect(watch.snapshot.mode == .takers(clientVersion: nil))
        #expect(watch.snapshot.generation == .v2)
        watch.scan([
            item(lease(0)),
            [
                "leaseKey": .s("Migration3.0"), "entityType": .s("CLIENT_VERSION_MIGRATION"),
                "cv": .s("CLIENT_VERSION_3X"),
            ],
        ])
        let snapshot = watch.snapshot
        #expect(snapshot.mode == .leaderAssigned(clientVersion: "CLIENT_VERSION_3X"))
        #expect(snapshot.generation == .v3)
        #expect(snapshot.events.last?.event.kind == .modeChanged)
        #expect(snapshot.otherRows.map(\.key) == ["Migration3.0"])
    }

    @Test func `where the coordinator table may not be read the mode stays unknown, and that is said`() throws {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        watch.send(.migrationItemFailed(awsError("AccessDeniedException"), watch.info()))
        let snapshot = watch.snapshot
        #expect(snapshot.mode == nil)
        #expect(snapshot.isModeDenied)
        #expect(snapshot.generation == .unknown)
        #expect(snapshot.leader == nil)
        let problem = try #require(watch.problem(.denied))
        #expect(problem.severity == .info)
        #expect(problem.message.hasSuffix("a 3.x leader assigns them stays unknown, and steal is off"))
        watch.noMigration()
        #expect(watch.snapshot.mode == .takers(clientVersion: nil))
        #expect(!watch.snapshot.isModeDenied)
        #expect(watch.snapshot.generation == .v2)
        #expect(watch.snapshot.leader == "w1")
        // A permission that is taken away: what was read may be so no longer.
        watch.send(.migrationItemFailed(awsError("AccessDeniedException"), watch.info()))
        #expect(watch.snapshot.mode == nil)
        #expect(watch.snapshot.leader == nil)
    }

    @Test func `a migration item in the lease table itself tells the mode without the coordinator table`() {
        var watch = Watch(.test(stream: nil))
        watch.send(.migrationItemFailed(awsError("AccessDeniedException"), watch.info()))
        watch.scan([item(lease(0)), ["leaseKey": .s("Migration3.0"), "cv": .s("CLIENT_VERSION_3X")]])
        #expect(watch.snapshot.mode == .leaderAssigned(clientVersion: "CLIENT_VERSION_3X"))
        #expect(!watch.snapshot.isModeDenied)
        #expect(watch.snapshot.generation == .v3)
    }

    @Test func `odd rows are shown with their reason and break nothing`() throws {
        var watch = Watch(.test(stream: nil))
        watch.scan([
            item(lease(0)),
            item(lease(1), ["checkpoint": .s("not-a-number")]),
            item(lease(2), ["leaseCounter": .s("x")]),
            ["leaseKey": .s("what"), "colour": .s("red")],
            ["colour": .s("no key")],
        ])
        let snapshot = watch.snapshot
        #expect(snapshot.leases.map(\.id) == [id(0)])
        #expect(snapshot.otherRows.map(\.key) == ["?", id(1), id(2), "what"])
        let problem = try #require(snapshot.problems.first { $0.kind == .oddRow })
        #expect(problem.shardIDs == ["?", id(1), id(2)])
        watch.scan([item(lease(0)), item(lease(1)), item(lease(2))])
        #expect(watch.snapshot.leases.count == 3)
    }

    @Test func `it stops when told to and does nothing more`() {
        var watch = Watch()
        watch.send(.stopRequested)
        #expect(watch.machine.isFinished)
        #expect(watch.effects == [])
        watch.send(.woke)
        #expect(watch.effects == [])
    }
}

extension TableDescription {
    static func test(
        keySchema: [String: String] = ["leaseKey": "HASH"], types: [String: String] = ["leaseKey": "S"]
    ) -> TableDescription {
        TableDescription(
            name: "orders-app", arn: "arn:aws:dynamodb:us-east-1:123456789012:table/orders-app", status: "ACTIVE",
            keySchema: keySchema, attributeTypes: types, provisionedReads: nil, indexes: [], itemCount: 0,
            sizeBytes: 0)
    }
}
