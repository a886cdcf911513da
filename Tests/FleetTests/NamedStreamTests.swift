import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

/// A table of several streams: `orders` and `clicks`, two shards each.
struct NamedStreamTests {
    static let account = "123456789012"
    static let created = Watch.created

    static func stream(_ name: String, account: String = account, created: UnixTime = created) -> StreamID {
        StreamID(account: account, name: name, created: created.milliseconds / 1000)
    }

    /// A lease of shard `number` of two of the stream.
    static func row(
        _ stream: StreamID, _ number: Int, of count: Int = 2, owner: String? = "w1", counter: Int64 = 1,
        checkpoint: Checkpoint = .trimHorizon, parents: [String] = []
    ) -> Lease {
        var lease = lease(
            number, of: count, owner: owner, counter: counter, checkpoint: checkpoint, parents: parents)
        lease.leaseKey = stream.leaseKey(id(number))
        lease.streamName = stream.text
        return lease
    }

    static func summary(_ stream: StreamID, hours: Int = 24, created: UnixTime? = nil) -> StreamSummary {
        StreamSummary(
            name: stream.name, arn: "", status: "ACTIVE", retentionHours: hours,
            created: created ?? UnixTime(milliseconds: stream.created * 1000), openShards: 2)
    }

    static let orders = stream("orders")
    static let clicks = stream("clicks")

    private static func leases(counter: Int64 = 1, hole: Bool = false) -> [Lease] {
        [row(orders, 0, counter: counter), row(orders, 1, counter: counter), row(clicks, 0, counter: counter)]
            + (hole ? [] : [row(clicks, 1, counter: counter)])
    }

    /// Looks at the table until every stream that is asked for was answered.
    static func watch(
        _ rows: [Lease], _ configuration: FleetConfiguration = .test(stream: nil),
        shards: [StreamID: [Shard]] = [:], created: [StreamID: UnixTime] = [:]
    ) -> Watch {
        var watch = Watch(configuration)
        watch.noMigration()
        watch.send(.tableDescribed(.test(), watch.info()))
        watch.scan(rows)
        watch.answerStreams(shards: shards, created: created)
        return watch
    }

    private func questions(_ effects: [FleetMachine.Effect]) -> [String] {
        effects.compactMap {
            if case .readStream(_, let question, let address) = $0 { "\(question) \(address)" } else { nil }
        }
    }

    // MARK: - Asking

    @Test func `the shards and the summary of every stream that the keys name are asked for, spread out`() {
        var watch = Watch(.test(stream: nil))
        watch.scan(Self.leases())
        #expect(questions(watch.effects) == [], "whose account it is, is not known yet")
        watch.send(.tableDescribed(.test(), watch.info()))
        var asked = questions(watch.effects)
        #expect(asked.count == 1)
        for _ in 0..<10 {
            watch.wait(.milliseconds(100))
            watch.send(.woke)
            let now = questions(watch.effects)
            #expect(now.count <= 1)
            asked += now
        }
        #expect(asked.sorted() == ["shards clicks", "shards orders", "summary clicks", "summary orders"])
    }

    @Test func `each is listed once a minute, and sooner for a child that is not known`() {
        var watch = Self.watch(Self.leases())
        watch.wait(.seconds(50))
        watch.scan(Self.leases(counter: 2))
        #expect(questions(watch.effects) == [])
        var parent = Self.row(Self.orders, 0, counter: 3, checkpoint: .shardEnd)
        parent.childShardIDs = [id(7)]
        watch.scan([parent] + Self.leases(counter: 2).dropFirst())
        #expect(questions(watch.effects) == ["shards orders"])
        watch.answerStreams()
        watch.wait(.seconds(60))
        watch.send(.woke)
        #expect(questions(watch.effects) == ["shards clicks"])
    }

    @Test func `a stream of another account is named by its ARN`() {
        let foreign = Self.stream("theirs", account: "999999999999")
        let watch = Self.watch([Self.row(foreign, 0, of: 1)])
        #expect(watch.snapshot.streams.map(\.address) == ["arn:aws:kinesis:us-east-1:999999999999:stream/theirs"])
    }

    @Test func `of more streams than a minute has lists each is listed more seldom, and it is said`() {
        let rows = (0..<130).map { Self.row(Self.stream("s\($0)"), 0, of: 1) }
        var watch = Watch(.test(stream: nil))
        watch.send(.tableDescribed(.test(), watch.info()))
        watch.scan(rows)
        var lists: [Timestamp] = []
        for _ in 0..<900 {
            for case .readStream(let stream, let question, _) in watch.effects {
                if question == .shards { lists.append(watch.now) }
                watch.send(.streamRead(stream, question.answer(stream), watch.info()))
            }
            watch.wait(.milliseconds(100))
            watch.send(.woke)
        }
        for at in lists { #expect(lists.count { $0 >= at && $0 - at < .seconds(60) } <= 100) }
        #expect(lists.count >= 130)
        let problem = watch.snapshot.problems.first { $0.id == "STREAM:many" }
        #expect(problem?.message == "the table names 130 streams: each is listed every 1m18s, not every minute")
    }

    @Test func `a table of one stream asks for none of this`() {
        var watch = Watch(.test(stream: nil))
        watch.send(.tableDescribed(.test(), watch.info()))
        watch.scan([lease(0), lease(1)])
        watch.wait(.seconds(120))
        watch.send(.woke)
        #expect(questions(watch.effects) == [])
        #expect(watch.snapshot.streams == [])
        #expect(watch.snapshot.streamMatch == nil)
    }

    @Test func `the stream that is given is the only one that is read and shown, its workers keep all their leases`() {
        let watch = Self.watch(Self.leases(), .test(stream: "clicks"))
        #expect(watch.snapshot.streams.map(\.id.name) == ["clicks"])
        #expect(watch.snapshot.leases.map(\.id) == [Self.clicks.leaseKey(id(0)), Self.clicks.leaseKey(id(1))])
        #expect(watch.snapshot.workers.map(\.leases) == [4])
        #expect(watch.snapshot.streamMatch == .verified)
        #expect(!watch.calls.contains { if case .listShards = $0 { true } else { false } })
    }

    @Test func `of the other streams nothing is told`() {
        var watch = Self.watch(Self.leases(), .test(stream: "clicks"))
        watch.wait(.seconds(5))
        watch.scan([
            Self.row(Self.orders, 0, owner: "w2", counter: 2), Self.row(Self.orders, 1),
            Self.row(Self.clicks, 0, owner: "w3", counter: 2), Self.row(Self.clicks, 1),
        ])
        #expect(watch.snapshot.events.map(\.event.shardID) == [Self.clicks.leaseKey(id(0))])
    }

    @Test func `who asks for what is new gets the lists of a few streams at once`() {
        var watch = Self.watch(Self.leases())
        watch.wait(.seconds(10))
        watch.send(.refreshRequested)
        #expect(questions(watch.effects).count == 1)
        watch.answerStreams()
        #expect(watch.snapshot.streams.count == 2)
    }

    // MARK: - Whose it is

    @Test func `the time of creation in the key verifies a stream before any checkpoint`() {
        let watch = Self.watch(Self.leases())
        #expect(watch.snapshot.streams.map(\.match) == [.verified, .verified])
        #expect(watch.snapshot.leases.allSatisfy { $0.isOpen == true })
        #expect(watch.snapshot.problems == [])
    }

    @Test func `keys that name streams are not of KCL 1, though their rows hold no hash range`() {
        let rows = Self.leases().map { row in
            var row = row
            row.hashKeyRange = nil
            return row
        }
        #expect(Self.watch(rows).snapshot.generation == .v2)
    }

    @Test func `another time of creation is a stream created anew, of its rows alone`() throws {
        var watch = Self.watch(Self.leases(hole: true), created: [Self.clicks: Watch.noon])
        watch.wait(.seconds(30))
        watch.scan(Self.leases(counter: 2, hole: true))
        #expect(
            watch.snapshot.streams.map(\.match) == [.unverified("the keys are of an earlier stream"), .verified])
        let problem = try #require(watch.problem(.streamRecreated))
        #expect(problem.shardIDs == [Self.clicks.leaseKey(id(0))])
        #expect(problem.stream == Self.clicks.text)
        #expect(problem.severity == .warning)
        // Nothing is said of shards and holes of a stream that may be another.
        #expect(watch.problem(.missing) == nil && watch.problem(.hole) == nil)
    }

    @Test func `a time that workers were told at random is no stream created anew where checkpoints fit`() {
        let made = StreamID(account: Self.account, name: "orders", created: 1_500_000_000)
        let rows = [Self.row(made, 0, of: 1, checkpoint: checkpoint(age: .seconds(5)))]
        let watch = Self.watch(rows, shards: [made: [shard(0, of: 1)]], created: [made: Self.created])
        #expect(watch.snapshot.streams.map(\.match) == [.verified])
        #expect(watch.problem(.streamRecreated) == nil)
    }

    @Test func `a number that is no time verifies nothing and accuses nobody`() {
        let made = StreamID(account: Self.account, name: "orders", created: 12345)
        let watch = Self.watch(
            [Self.row(made, 0, of: 1)], shards: [made: [shard(0, of: 1)]], created: [made: Self.created])
        #expect(
            watch.snapshot.streams.map(\.match)
                == [.unverified("its keys hold no time of creation, and no checkpoint is in it")])
        #expect(watch.problem(.streamRecreated) == nil)
    }

    @Test func `checkpoints of another stream make a named stream foreign after a second list`() {
        let rows = [Self.row(Self.orders, 0, of: 1, checkpoint: checkpoint(age: .zero, of: 7))]
        var watch = Self.watch(rows, shards: [Self.orders: [shard(0, of: 1)]])
        watch.wait(.seconds(61))
        watch.answerStreams(shards: [Self.orders: [shard(0, of: 1)]])
        #expect(watch.snapshot.streams.map(\.match) == [.foreign("checkpoints are of another stream")])
    }

    // MARK: - Findings

    @Test func `a hole is found in the stream that has it, and named`() throws {
        var watch = Self.watch(Self.leases(), shards: [Self.clicks: [shard(0, of: 2)]])
        watch.wait(.seconds(5))
        watch.scan(Self.leases(counter: 2, hole: true))
        watch.wait(.seconds(5))
        watch.scan(Self.leases(counter: 3, hole: true))
        let hole = try #require(watch.snapshot.leases.first { $0.kind == .hole })
        #expect(hole.stream == Self.clicks.text)
        #expect(hole.hashKeyRange == range(1, of: 2))
        let problems = watch.snapshot.problems.filter { $0.kind == .hole }
        #expect(problems.map(\.id) == ["HOLE:\(Self.clicks.text)"])
        #expect(problems.first?.message.hasPrefix("clicks: a hash range that no lease covers") == true)
    }

    @Test func `a shard without lease is missing in its stream, under the key that its lease would have`() throws {
        var watch = Self.watch(Self.leases(hole: true))
        watch.wait(.seconds(30))
        watch.scan(Self.leases(counter: 2, hole: true))
        watch.wait(.seconds(15))
        watch.scan(Self.leases(counter: 3, hole: true))
        let view = try #require(watch.view(Self.clicks.leaseKey(id(1))))
        #expect(view.state == .missing)
        #expect(view.shardID == id(1) && view.stream == Self.clicks.text)
        let problem = try #require(watch.problem(.missing))
        #expect(problem.shardIDs == [Self.clicks.leaseKey(id(1))])
        #expect(problem.message.hasPrefix("clicks:…0001: open without a lease"))
        // The shard of the same id in the other stream is none of it.
        #expect(watch.view(Self.orders.leaseKey(id(1)))?.severity == nil)
        #expect(view.severity == .critical)
        #expect(
            watch.snapshot.leases.map(\.stream) == [Self.clicks, Self.clicks, Self.orders, Self.orders].map(\.text))
    }

    @Test func `an orphan is one after two lists of its own stream a minute apart`() {
        let lists = [Self.orders: [shard(0, of: 1)]]
        let rows = [
            Self.row(Self.orders, 0, of: 1), Self.row(Self.orders, 1), Self.row(Self.clicks, 0),
            Self.row(Self.clicks, 1),
        ]
        var watch = Self.watch(rows, shards: lists)
        #expect(watch.state(Self.orders.leaseKey(id(1))) == .learning)
        watch.wait(.seconds(61))
        watch.answerStreams(shards: lists)
        #expect(watch.state(Self.orders.leaseKey(id(1))) == .orphan)
        #expect(watch.state(Self.clicks.leaseKey(id(1))) == .learning)
        #expect(watch.problem(.orphan)?.shardIDs == [Self.orders.leaseKey(id(1))])
    }

    @Test func `a child waits for the lease of its parent in its own stream only`() {
        let lists = [
            Self.orders: [shard(0, of: 1, isClosed: true), shard(1, of: 1, parent: id(0), created: Watch.noon)],
            Self.clicks: [shard(0, of: 1, isClosed: true), shard(1, of: 1, parent: id(0), created: Watch.noon)],
        ]
        let watch = Self.watch(
            [
                Self.row(Self.orders, 0, of: 1, checkpoint: .shardEnd),
                Self.row(Self.orders, 1, of: 1, parents: [id(0)]),
                Self.row(Self.clicks, 0, of: 1, owner: nil), Self.row(Self.clicks, 1, of: 1, parents: [id(0)]),
            ], shards: lists)
        #expect(watch.state(Self.orders.leaseKey(id(1))) == .learning)
        #expect(watch.state(Self.clicks.leaseKey(id(1))) == .blocked)
    }

    @Test func `each row has the lag and the retention of its own stream`() throws {
        let rows = [
            Self.row(Self.orders, 0, of: 1, checkpoint: checkpoint(age: .seconds(60))),
            Self.row(Self.clicks, 0, of: 1, checkpoint: checkpoint(age: .seconds(40 * 3600))),
        ]
        let lists = [Self.orders: [shard(0, of: 1)], Self.clicks: [shard(0, of: 1)]]
        var watch = Watch(.test(stream: nil))
        watch.noMigration()
        watch.send(.tableDescribed(.test(), watch.info()))
        watch.scan(rows)
        watch.answerStreams(shards: lists, hours: [Self.orders: 24, Self.clicks: 168])
        let orders = try #require(watch.view(Self.orders.leaseKey(id(0))))
        let clicks = try #require(watch.view(Self.clicks.leaseKey(id(0))))
        #expect(orders.checkpointLag.map { $0.source == .estimate && 60_000..<75_000 ~= $0.milliseconds } == true)
        #expect(orders.secondsToTrim.map { 86_000..<86_400 ~= $0 } == true)
        #expect(clicks.secondsToTrim.map { (127 * 3600)..<(128 * 3600 + 1) ~= $0 } == true)
        // 40 hours are more than a day, the retention of the other stream.
        #expect(watch.problem(.dataLost) == nil)
        watch.answerStreams(hours: [Self.clicks: 24], again: true)
        #expect(watch.problem(.dataLost)?.shardIDs == [Self.clicks.leaseKey(id(0))])
    }

    @Test func `a stream that is not there is said, and the others are looked at all the same`() throws {
        var watch = Watch(.test(stream: nil))
        watch.noMigration()
        watch.send(.tableDescribed(.test(), watch.info()))
        watch.scan(Self.leases())
        watch.answerStreams(failing: [Self.clicks: awsError("ResourceNotFoundException")])
        let problem = try #require(watch.problem(.stream))
        #expect(problem.severity == .warning)
        #expect(problem.message.contains("there is no stream clicks"))
        #expect(watch.snapshot.streams.map(\.match.word) == ["unverified", "verified"])
        #expect(watch.snapshot.streams.allSatisfy { $0.isSettled })
        #expect(watch.state(Self.clicks.leaseKey(id(0))) == .learning)
    }

    @Test func `a recording shows the same streams again, and the timeline too`() throws {
        var configuration = FleetConfiguration.test(stream: nil)
        configuration.isRecording = true
        var recorder = Recorder(configuration)
        var watch = Watch(.test(stream: nil))
        var timeline = Timeline(.test(stream: nil), at: .zero, wallClock: Watch.noon)
        var replay = try Replay(header: recorder.header(at: .zero, wallClock: Watch.noon))
        func events() -> [FleetMachine.Event] {
            [
                .tableDescribed(.test(), watch.info()),
                .scanned(FleetMachine.TablePage(Self.leases().map { item($0) }), watch.info()),
                .streamRead(Self.orders, .shards([shard(0, of: 2), shard(1, of: 2)]), watch.info()),
                .streamRead(Self.orders, .summary(Self.summary(Self.orders)), watch.info()),
                .streamRead(Self.clicks, .failed(.shards, awsError("AccessDeniedException")), watch.info()),
            ]
        }
        var anonymizer = Anonymizer()
        _ = try anonymizer.line(recorder.header(at: .zero, wallClock: Watch.noon))
        for event in events() {
            watch.send(event)
            timeline.note(event, at: watch.now)
            for line in recorder.lines(for: event, at: watch.now) {
                _ = try replay.next(line)
                let made = try anonymizer.line(line)
                let anonymous = try #require(made)
                #expect(!anonymous.contains("orders") && !anonymous.contains("123456789012"))
            }
        }
        let seen = replay.finish()
        #expect(seen.streams.map(\.match.word) == ["unverified", "verified"])
        #expect(seen.streams.last?.shards == ShardTree([shard(0, of: 2), shard(1, of: 2)]))
        #expect(seen.streams.last?.retention == .seconds(86_400))
        #expect(seen.streams.first?.failure?.contains("kinesis:ListShards") == true)
        #expect(timeline.snapshot(at: timeline.end).streams.map(\.match) == seen.streams.map(\.match))
    }
}

extension StreamQuestion {
    /// An answer that verifies the stream.
    func answer(_ stream: StreamID, _ shards: [Shard]? = nil, hours: Int = 24, created: UnixTime? = nil)
        -> StreamAnswer
    {
        switch self {
        case .shards: .shards(shards ?? [shard(0, of: 2), shard(1, of: 2)])
        case .summary: .summary(NamedStreamTests.summary(stream, hours: hours, created: created))
        }
    }
}

extension Watch {
    /// Answers what is asked of the streams that the table names, until nothing more is asked.
    ///
    /// - Parameter again: asks for summaries at once.
    mutating func answerStreams(
        shards: [StreamID: [Shard]] = [:], created: [StreamID: UnixTime] = [:], hours: [StreamID: Int] = [:],
        failing: [StreamID: AWSError] = [:], again: Bool = false
    ) {
        if again { wait(.seconds(300)) }
        for _ in 0..<50 {
            for case .readStream(let stream, let question, _) in effects {
                let answer =
                    failing[stream].map { .failed(question, $0) }
                    ?? question.answer(
                        stream, shards[stream], hours: hours[stream] ?? 24, created: created[stream])
                send(.streamRead(stream, answer, info()))
            }
            wait(.milliseconds(100))
            send(.woke)
        }
    }
}
