import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct RewindTests {
    private let stranger = lease(0, owner: "stranger", counter: 41, checkpoint: checkpoint(age: .seconds(60)))

    private func refusal(_ make: () throws(Refusal) -> Plan.RewindStep) -> Refusal? {
        do throws(Refusal) {
            _ = try make()
            return nil
        } catch {
            return error
        }
    }

    private func refusal(_ text: String, _ fleet: FleetSnapshot, shard: String = id(0)) throws -> Refusal? {
        let request = try #require(RewindRequest(text))
        return refusal { () throws(Refusal) in try Plan.rewind(shard, to: request, in: fleet) }
    }

    private func plan(_ text: String, _ fleet: FleetSnapshot) throws -> Plan {
        guard case .plan(let plan) = try Plan.rewind(id(0), to: try #require(RewindRequest(text)), in: fleet) else {
            throw Refusal(.noRecord, "a search")
        }
        return plan
    }

    private func search(_ text: String, _ fleet: FleetSnapshot, shard: String = id(0)) throws -> PositionSearch {
        guard case .search(let search) = try Plan.rewind(shard, to: try #require(RewindRequest(text)), in: fleet)
        else { throw Refusal(.noRecord, "a plan") }
        return search
    }

    private func number(_ checkpoint: Checkpoint) throws -> SequenceNumber { try #require(checkpoint.sequenceNumber) }

    /// Nobody of a fleet runs any more.
    private func atRest(_ fleet: FleetSnapshot) -> FleetSnapshot {
        var fleet = fleet
        fleet.observedFor = .seconds(60)
        fleet.workers = fleet.workers.map {
            var worker = $0
            worker.state = $0.isOurs ? .stopped : .expired
            return worker
        }
        return fleet
    }

    @Test func `a rewind shows the row, the one write that clears the owner, and what follows`() throws {
        let pending = PendingCheckpoint(checkpoint: .latest)
        var lease = stranger
        lease.pendingCheckpoint = pending
        let row = item(lease, ["future": .s("kept"), "pendingCheckpoint": .s("LATEST")])
        let plan = try plan("TRIM_HORIZON", fleet([row]))
        #expect(plan.action == .rewind(to: .trimHorizon, skips: false))
        #expect(plan.action.verb == "rewind")
        #expect(plan.stored == row)
        #expect(plan.intent == Plan.Intent(leaseKey: id(0), owner: "stranger"))
        #expect(
            plan.call
                == .update(
                    UpdateItem(
                        table: "orders-app", key: ["leaseKey": .s(id(0))],
                        update:
                            "SET checkpoint = :checkpoint, checkpointSubSequenceNumber = :sub, leaseCounter = :next "
                            + "REMOVE leaseOwner, pendingCheckpoint, pendingCheckpointSubSequenceNumber, "
                            + "pendingCheckpointState",
                        condition: "attribute_exists(leaseKey) AND leaseCounter = :counter AND leaseOwner = :wasOwner "
                            + "AND attribute_not_exists(checkpointOwner)",
                        values: [
                            ":checkpoint": .s("TRIM_HORIZON"), ":sub": .n(0), ":counter": .n(41), ":next": .n(42),
                            ":wasOwner": .s("stranger"),
                        ], returnValues: "ALL_NEW")))
        #expect(
            plan.forecast == [
                "the first worker that scans the table takes it, perhaps the same one",
                "stranger gets ZOMBIE when it next renews or checkpoints (within about 3.3s), and delivers from where "
                    + "it is until then",
                "the prepared checkpoint is dropped",
            ])
        #expect(plan.expectedDuplicates == "all that the stream still holds of the shard, is delivered again")
        #expect(plan.typed == nil)
    }

    @Test func `a time is looked up in the stream, and its first record is delivered again`() throws {
        let fleet = fleet([item(stranger)])
        let search = try search("10m", fleet)
        let moment = fleet.takenAt + .seconds(-600)
        #expect(search == PositionSearch(stream: "orders", shardID: id(0), start: .time(moment)))
        #expect(try self.search(CivilTime(moment).iso8601, fleet) == search)
        let first = try number(checkpoint(age: .seconds(590)))
        let plan = try Plan.rewind(after: search, .record(first, arrival: moment + .seconds(10)), in: fleet)
        // All of the record is above (number, -1): every part of an aggregate is.
        #expect(
            plan.action == .rewind(to: Checkpoint(.sequenceNumber(first), subSequenceNumber: -1), skips: false))
        #expect(
            plan.forecast.first
                == "the first record at \(CivilTime(moment).iso8601) or later came at "
                + "\(CivilTime(moment + .seconds(10)).iso8601): it is delivered again, and all after it")
        #expect(plan.expectedDuplicates == "all records from there on, about 8m50s of them, are delivered again")
        #expect(plan.typed == nil)
    }

    @Test func `a number of the shard is looked up as well`() throws {
        let first = try number(checkpoint(age: .seconds(3600)))
        let search = try search(first.description, fleet([item(stranger)]))
        #expect(search == PositionSearch(stream: "orders", shardID: id(0), start: .number(first)))
    }

    @Test func `going forth says how much is skipped and wants the application's name typed`() throws {
        let fleet = fleet([item(stranger)])
        let later = try number(checkpoint(age: .seconds(5)))
        let plan = try Plan.rewind(after: try search("5s", fleet), .record(later, arrival: nil), in: fleet)
        #expect(plan.action.verb == "advance")
        #expect(plan.typed == "orders-app")
        #expect(plan.forecast.first?.hasPrefix("SKIPPED: what lies between \(stranger.checkpoint) of ") == true)
        #expect(plan.forecast.first?.hasSuffix("; about 55s of records. No worker gets it") == true)
        #expect(plan.expectedDuplicates == "none")
        #expect(plan.lines.last == "to confirm, orders-app must be typed")
        let latest = try self.plan("LATEST", fleet)
        #expect(latest.typed == "orders-app")
        #expect(
            latest.forecast.first?.contains(" and the moment a worker takes the lease; at most 1m00s of records.")
                == true)
    }

    @Test(arguments: [
        (Checkpoint.trimHorizon, Checkpoint.latest, true), (.latest, .trimHorizon, false),
        (.shardEnd, .trimHorizon, false), (.atTimestamp, checkpoint(age: .seconds(1)), true),
        (.latest, checkpoint(age: .seconds(1)), true), (.trimHorizon, checkpoint(age: .seconds(1)), true),
        (.shardEnd, checkpoint(age: .seconds(1)), false), (checkpoint(age: .seconds(1)), .latest, true),
        (checkpoint(age: .seconds(2)), checkpoint(age: .seconds(1)), true),
        (checkpoint(age: .seconds(1)), checkpoint(age: .seconds(2)), false),
    ])
    func `what may skip records is told from what may not`(_ old: Checkpoint, _ new: Checkpoint, _ skips: Bool) {
        #expect(Plan.skips(from: old, to: new) == skips)
    }

    // MARK: - Refusals

    @Test func `what must not be done is refused with its reason`() throws {
        let rows = fleet([
            item(lease(0, owner: "new", checkpoint: checkpoint(age: .zero), checkpointOwner: "old")),
            item(lease(1, owner: "stranger", checkpoint: .shardEnd)),
            item(lease(2, owner: "stranger", checkpoint: .trimHorizon)),
            item(lease(3), ["streamName": .s("1:orders:1")]),
        ])
        let handed = try #require(try refusal("TRIM_HORIZON", rows))
        #expect(handed.reason == .inHandoff)
        #expect(handed.description.contains("old may checkpoint yet"))
        #expect(try refusal("10m", rows)?.reason == .inHandoff)
        let ended = try #require(try refusal("TRIM_HORIZON", rows, shard: id(1)))
        #expect(ended.reason == .ended)
        #expect(ended.description.contains("KCL's cleanup deletes its lease"))
        #expect(ended.description.hasSuffix("Stop all workers first: w2 lives"))
        #expect(try refusal("TRIM_HORIZON", rows, shard: id(2))?.reason == .samePosition)
        #expect(try refusal("TRIM_HORIZON", rows, shard: id(3))?.reason == .multiStream)
        #expect(try refusal("TRIM_HORIZON", rows, shard: "shardId-9")?.reason == .noSuchShard)
        #expect(try refusal("AT_TIMESTAMP", rows, shard: id(2))?.reason == .sentinel)
        #expect(try refusal("SHARD_END", rows, shard: id(2))?.reason == .sentinel)
        #expect(try refusal("2100-01-01", rows, shard: id(2))?.reason == .inFuture)
        let other = try number(checkpoint(age: .zero, of: 2, created: Watch.created + .seconds(-60)))
        #expect(try refusal(other.description, rows, shard: id(2))?.reason == .beforeBirth)
    }

    @Test func `without a stream that is proven only the sentinels are possible`() throws {
        var unproven = fleet([item(stranger)])
        unproven.streamMatch = .unverified("no checkpoint in it yet")
        #expect(try refusal("10m", unproven)?.reason == .unverifiedStream)
        #expect(try plan("TRIM_HORIZON", unproven).typed == nil)
        var tableOnly = unproven
        tableOnly.identity.stream = nil
        tableOnly.shards = nil
        #expect(try refusal("10m", tableOnly)?.reason == .noStream)
        #expect(try plan("LATEST", tableOnly).typed == "orders-app")
    }

    @Test func `a lease at SHARD_END goes back when nobody runs, and its children are named`() throws {
        let shards = [shard(0, isClosed: true), shard(4, parent: id(0)), shard(1), shard(2), shard(3)]
        let row = item(lease(0, owner: "stranger", checkpoint: .shardEnd))
        let rest = atRest(fleet([row], shards: shards))
        let plan = try plan("TRIM_HORIZON", rest)
        #expect(plan.intent.isEnded)
        #expect(plan.typed == nil)
        #expect(
            plan.forecast.last
                == "\(id(4)) go on where they are: rewind them to TRIM_HORIZON too, or the order of keys is lost")
        #expect(try refusal("LATEST", rest)?.reason == .ended)
        var brief = rest
        brief.observedFor = .seconds(5)
        #expect(try refusal("TRIM_HORIZON", brief)?.reason == .ended)
        var doubted = rest
        doubted.workers[0].state = .learning
        #expect(try refusal("TRIM_HORIZON", doubted)?.description.contains("is not known") == true)
    }

    @Test func `a time before the shard's birth is refused with the lineage while workers live`() throws {
        let born = Watch.noon + .seconds(-1800)
        let shards = [
            shard(0, isClosed: true), shard(4, parent: id(0), created: born), shard(1), shard(2), shard(3),
        ]
        let rows = [
            item(lease(0, owner: "stranger", checkpoint: .shardEnd)),
            item(lease(4, owner: "stranger", checkpoint: checkpoint(age: .seconds(9), of: 4, created: born))),
        ]
        let fleet = fleet(rows, shards: shards)
        let refused = try #require(try refusal("1h", fleet, shard: id(4)))
        #expect(refused.reason == .beforeBirth)
        #expect(
            refused.description.hasPrefix(
                "\(id(4)) was born at \(CivilTime(born).iso8601) of \(id(0)) (its lease at SHARD_END)."))
        #expect(try search("20m", fleet, shard: id(4)).shardID == id(4))
        let rest = atRest(fleet)
        let search = try search("1h", rest, shard: id(4))
        let first = birth(4, born)
        let plan = try Plan.rewind(after: search, .record(first, arrival: born), in: rest)
        #expect(plan.forecast[1].hasSuffix(": what came before is there"))
        // Of a shard whose parents the stream has forgotten there is nothing before.
        let orphaned = self.fleet(Array(rows.dropFirst()), Array(shards.dropFirst()))
        #expect(try self.search("1h", orphaned, shard: id(4)).shardID == id(4))
    }

    private func fleet(_ rows: [Item], _ shards: [Shard]) -> FleetSnapshot { FleetTests.fleet(rows, shards: shards) }

    private func fleet(_ rows: [Item], shards: [Shard]? = nil) -> FleetSnapshot {
        FleetTests.fleet(rows, shards: shards)
    }

    // MARK: - Positions in words

    @Test func `positions are read as people write them`() {
        #expect(RewindRequest("LATEST") == .sentinel(.latest))
        #expect(RewindRequest("4960") == .number(SequenceNumber(high: 0, low: 4960)))
        #expect(RewindRequest("10m") == .ago(.seconds(600)))
        #expect(RewindRequest("1h30m back") == .ago(.seconds(5400)))
        #expect(RewindRequest("2d ago") == .ago(.seconds(172_800)))
        #expect(
            RewindRequest("2026-01-31T12:00:00Z")
                == .time(CivilTime.unixTime(year: 2026, month: 1, day: 31, hour: 12)))
        for text in ["", "10", "m", "10x", "-5m", "10m20", "yesterday", "9999999999s", " back"]
        where text != "10" {
            #expect(RewindRequest(text) == nil, "\(text)")
        }
    }

    // MARK: - The search

    private func page(_ number: SequenceNumber?, behind: Int64, next: String? = "i2") -> ScriptedService.Answer {
        let record: [AWSValue] =
            number.map {
                [
                    [
                        "SequenceNumber": .string($0.description), "PartitionKey": "k", "Data": "YQ==",
                        "ApproximateArrivalTimestamp": .double(1_770_000_000.25),
                    ]
                ]
            } ?? []
        return .ok(
            .members([
                "Records": .list(record), "MillisBehindLatest": .int(behind),
                "NextShardIterator": next.map { .string($0) },
            ]))
    }

    private func found(_ pages: [ScriptedService.Answer]) async throws -> (PositionSearch.Found, ScriptedService) {
        let service = ScriptedService([.ok(["ShardIterator": "i1"])] + pages)
        let search = PositionSearch(stream: "orders", shardID: id(0), start: .time(Watch.noon))
        return (try await search.perform(KinesisClient(.scripted(.kinesis, service))), service)
    }

    @Test func `a search asks for one record from the time on, across empty answers and throttling`() async throws {
        let number = SequenceNumber(high: 0, low: 4960)
        let (found, service) = try await found([
            page(nil, behind: 5000), .error("ProvisionedThroughputExceededException", [:]), .lost,
            page(number, behind: 10),
        ])
        #expect(found == .record(number, arrival: UnixTime(milliseconds: 1_770_000_000_250)))
        #expect(service.operations == ["GetShardIterator"] + Array(repeating: "GetRecords", count: 4))
        #expect(service.requests[0].body["ShardIteratorType"]?.string == "AT_TIMESTAMP")
        #expect(service.requests[1].body["Limit"]?.int == 1)
        #expect(service.requests.map { $0.body["ShardIterator"]?.string } == [nil, "i1", "i2", "i2", "i2"])
    }

    @Test func `a search ends at the tip, at the end of the shard, and on a denial`() async throws {
        #expect(try await found([page(nil, behind: 0)]).0 == .nothing)
        #expect(try await found([page(nil, behind: 9, next: nil)]).0 == .nothing)
        #expect(
            try await found(Array(repeating: page(nil, behind: 9), count: 240)).0 == .unfinished(pages: 240))
        await #expect(throws: AWSError.self) {
            try await found([.error("AccessDeniedException", ["message": "no"])])
        }
        let fleet = fleet([item(stranger)])
        let search = try search("1m", fleet)
        for found in [PositionSearch.Found.nothing, .unfinished(pages: 3)] {
            #expect(throws: Refusal.self) { try Plan.rewind(after: search, found, in: fleet) }
        }
    }
}
