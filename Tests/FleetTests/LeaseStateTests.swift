import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct LeaseStateTests {
    /// What a row and its neighbours look like, and the state that follows.
    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var rows: [[Lease]]
        var shards: [Shard]?
        var shown = id(0)
        var state: LeaseState
        var why: String
    }

    static let whole = HashKeyRange.whole

    static let cases: [Case] = [
        Case(
            testDescription: "one look is not enough", rows: [[lease(0)]], state: .learning,
            why: "its counter was watched for 0.0s only, one renewal is still to be seen"),
        Case(
            testDescription: "a counter that moves is alive", rows: [[lease(0)], [lease(0, counter: 3)]], state: .live,
            why: "renewed 0.0s ago, counter 3"),
        Case(
            testDescription: "a missed renewal",
            rows: [[lease(0)], [lease(0, counter: 2)], [lease(0, counter: 2)]], state: .late,
            why: "no renewal for 5.0s, it expires at 10s"),
        Case(
            testDescription: "no renewal for the failover time",
            rows: [[lease(0)], [lease(0, counter: 2)], [lease(0, counter: 2)], [lease(0, counter: 2)]],
            state: .expired, why: "no renewal for 10s, failover time 10s (given): any worker may take it"),
        Case(
            testDescription: "dead since before we came",
            rows: [[lease(0)], [lease(0)], [lease(0)]], state: .expired,
            why: "no renewal for 10s, failover time 10s (given): any worker may take it"),
        Case(
            testDescription: "free since before we came", rows: [[lease(0, owner: nil)]], state: .free,
            why: "nobody owns it"),
        Case(
            testDescription: "set free before our eyes", rows: [[lease(0)], [lease(0, owner: nil, counter: 2)]],
            state: .free, why: "nobody owns it, for 0.0s; before that w1"),
        Case(
            testDescription: "taken before our eyes",
            rows: [[lease(0, owner: nil)], [lease(0, owner: "w2", counter: 2)]], state: .live,
            why: "renewed 0.0s ago, counter 2"),
        Case(
            testDescription: "handed over", rows: [[lease(0, owner: "w2", checkpointOwner: "w1")]], state: .handoff,
            why: "handed over from w1 to w2, for 0.0s"),
        Case(
            testDescription: "at its end",
            rows: [[lease(0, checkpoint: .shardEnd, children: [id(4), id(5)])]], state: .ended,
            why: "read to its end, continues in \(id(4)) and \(id(5))"),
        Case(
            testDescription: "closed and being read",
            rows: [
                [lease(0, checkpoint: checkpoint(age: .seconds(60)))],
                [lease(0, counter: 2, checkpoint: checkpoint(age: .seconds(60)))],
            ],
            shards: [
                shard(0, isClosed: true), shard(4, parent: id(0), range: whole), shard(1), shard(2), shard(3),
            ], state: .drain, why: "closed, continues in \(id(4)); the rest is being read"),
        Case(
            testDescription: "a child whose parents are not read to their end",
            rows: [
                [lease(4, of: 5, owner: nil, parents: [id(0), id(1)]), lease(0), lease(1, checkpoint: .shardEnd)],
                [
                    lease(4, of: 5, owner: nil, parents: [id(0), id(1)]), lease(0, counter: 2),
                    lease(1, checkpoint: .shardEnd),
                ],
            ], shown: id(4), state: .blocked, why: "waits for \(id(0)) (merge)"),
        Case(
            testDescription: "a child whose parent nobody reads",
            rows: [[lease(4, of: 5, owner: nil, parents: [id(0)]), lease(0, owner: nil)]], shown: id(4),
            state: .blocked, why: "waits for \(id(0)), which nobody reads"),
        Case(
            testDescription: "a child that was begun is not blocked",
            rows: [
                [
                    lease(4, of: 5, owner: nil, checkpoint: checkpoint(age: .zero), parents: [id(0)]), lease(0),
                ]
            ], shown: id(4), state: .free, why: "nobody owns it"),
        Case(
            testDescription: "a child without lease whose parent is being read",
            rows: [[lease(0)], [lease(0, counter: 2)]],
            shards: [shard(0, of: 1, isClosed: true), shard(1, parent: id(0), range: whole)], shown: id(1),
            state: .blocked, why: "waits for \(id(0)) (split)"),
        Case(
            testDescription: "a grandchild without lease, its parent never leased",
            rows: [[lease(0)], [lease(0, counter: 2)]],
            shards: [
                shard(0, of: 1, isClosed: true), shard(1, parent: id(0), range: whole, isClosed: true),
                shard(2, parent: id(1), range: whole),
            ], shown: id(2), state: .blocked, why: "waits for \(id(0)) (split)"),
        Case(
            testDescription: "an open shard without lease", rows: [[lease(0, checkpoint: checkpoint(age: .zero))]],
            shards: [shard(0), shard(1), shard(2), shard(3)], shown: id(1), state: .missing,
            why: "an open shard that no lease stands for"),
        Case(
            testDescription: "an empty table", rows: [[]], shards: [shard(0, of: 1)], state: .missing,
            why: "the table holds no lease yet: no worker has run"),
    ]

    @Test(arguments: cases)
    func `a row has the state that its reads show`(_ test: Case) throws {
        var watch = Watch()
        for (index, rows) in test.rows.enumerated() {
            if index > 0 { watch.wait(.seconds(5)) }
            watch.scan(rows.map { item($0) })
        }
        if let shards = test.shards { watch.list(shards) }
        let view = try #require(watch.view(test.shown))
        #expect(view.state == test.state)
        #expect(view.why == test.why)
    }

    @Test func `a lease is an orphan when two lists a minute apart do not have its shard`() {
        var watch = Watch()
        watch.scan([lease(0, checkpoint: checkpoint(age: .zero)), lease(9, of: 10)])
        watch.list([shard(0, of: 1)])
        #expect(watch.state(id(9)) == .learning)
        watch.wait(.seconds(59))
        watch.list([shard(0, of: 1)])
        #expect(watch.state(id(9)) != .orphan)
        watch.wait(.seconds(1))
        #expect(watch.state(id(9)) != .orphan)
        watch.list([shard(0, of: 1)])
        #expect(watch.state(id(9)) == .orphan)
        #expect(watch.problem(.orphan)?.shardIDs == [id(9)])
        // A list that has it again makes the minute begin anew.
        watch.list([shard(0, of: 1), shard(9, of: 10)])
        watch.wait(.seconds(30))
        watch.list([shard(0, of: 1)])
        #expect(watch.state(id(9)) != .orphan)
    }

    @Test func `a hole is said when two scans showed it and no shard without lease explains it`() {
        var watch = Watch()
        // The lease of shard 0 covers less than its shard.
        var narrow = lease(0, of: 1, checkpoint: checkpoint(age: .zero))
        narrow.hashKeyRange = HashKeyRange(start: 0, end: 99)
        watch.scan([narrow])
        watch.list([shard(0, of: 1)])
        watch.settle()
        #expect(!watch.snapshot.leases.contains { $0.state == .hole })
        watch.wait(.seconds(5))
        watch.scan([narrow])
        let snapshot = watch.snapshot
        #expect(snapshot.leases.last?.state == .hole)
        #expect(snapshot.leases.last?.hashKeyRange == HashKeyRange(start: 100, end: .max))
        #expect(snapshot.leases.last?.id == "hole:100")
        #expect(snapshot.problems.first { $0.kind == .hole }?.severity == .critical)
    }

    @Test func `a missing lease is a hole of the hash key space but one finding only`() {
        var watch = Watch()
        let shards = (0..<4).map { shard($0) }
        let leases = (0..<3).map { lease($0, checkpoint: checkpoint(age: .zero, of: $0)) }
        watch.scan(leases)
        watch.list(shards)
        watch.settle()
        watch.wait(.seconds(11))
        watch.scan(leases)
        let snapshot = watch.snapshot
        #expect(snapshot.leases.map(\.state).contains(.hole) == false)
        #expect(snapshot.problems.filter { $0.kind == .hole }.isEmpty)
        #expect(snapshot.problems.first { $0.kind == .missing }?.shardIDs == [id(3)])
    }

    @Test func `a list that may not be read any more judges nothing until it may again`() {
        var watch = Watch()
        let leases = (0..<3).map { lease($0, checkpoint: checkpoint(age: .zero, of: $0)) }
        watch.scan(leases)
        watch.list((0..<4).map { shard($0) })
        watch.settle()
        watch.wait(.seconds(11))
        watch.scan(leases)
        #expect(watch.problem(.missing)?.shardIDs == [id(3)])
        watch.send(.shardListFailed(awsError("AccessDeniedException"), watch.info()))
        #expect(watch.problem(.missing) == nil)
        #expect(watch.problem(.denied)?.message.contains("kinesis:ListShards") == true)
        #expect(watch.snapshot.shards == nil)
        // Another failure in between does not bring back what was listed long ago.
        watch.send(.shardListFailed(awsError("LimitExceededException"), watch.info()))
        watch.wait(.seconds(11))
        watch.scan(leases)
        #expect(watch.problem(.missing) == nil)
        // The stream goes on without us: leases that are none of the old list's shards are not of another stream.
        watch.scan((4..<6).map { lease($0, checkpoint: checkpoint(age: .zero, of: $0)) })
        #expect(watch.machine.streamMatch == .verified)
        watch.scan(leases)
        watch.list((0..<4).map { shard($0) })
        watch.settle()
        watch.wait(.seconds(11))
        watch.scan(leases)
        #expect(watch.problem(.missing)?.shardIDs == [id(3)])
        // What passes by itself takes nothing away.
        watch.send(.shardListFailed(awsError("LimitExceededException"), watch.info()))
        #expect(watch.problem(.missing)?.shardIDs == [id(3)])
    }

    @Test func `in table-only mode nothing is said of shards`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0, of: 9)])
        watch.wait(.seconds(60))
        watch.scan([lease(0, of: 9, counter: 2)])
        let snapshot = watch.snapshot
        #expect(snapshot.leases.map(\.state) == [.live])
        #expect(snapshot.problems == [])
    }

    @Test func `a stream whose shards no lease knows is named as such, not as a fleet of orphans`() {
        var watch = Watch()
        watch.scan([lease(7, of: 9)])
        watch.wait(.seconds(60))
        watch.list([shard(0, of: 1)])
        let snapshot = watch.snapshot
        #expect(snapshot.leases.map(\.state) == [.learning])
        #expect(
            snapshot.problems.map(\.message) == [
                "orders is not the stream of orders-app, no lease is of its shards: is it the right one?"
            ])
    }

    @Test func `an unknown child or an ended shard asks for the list of shards soon`() {
        var watch = Watch()
        watch.list([shard(0, of: 1)])
        watch.send(.streamDescribed(.test(), watch.info()))
        watch.wait(.seconds(20))
        watch.scan([lease(0, of: 1)])
        watch.wait(.seconds(5))
        watch.scan([lease(0, of: 1, counter: 2), lease(1, of: 1, owner: nil, parents: [id(0)])])
        #expect(watch.effects.contains(.listShards(stream: "orders")))
    }
}

extension StreamSummary {
    static func test(hours: Int = 24) -> StreamSummary {
        StreamSummary(
            name: "orders", arn: "", status: "ACTIVE", retentionHours: hours, created: nil, openShards: 4)
    }
}
