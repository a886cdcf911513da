import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct LagProbeTests {
    private static func configuration() -> FleetConfiguration {
        var configuration = FleetConfiguration.test()
        configuration.measures = [.probe]
        return configuration
    }

    private func leases(_ count: Int, counter: Int64 = 1) -> [Lease] {
        (0..<count).map { lease($0, of: count, counter: counter, checkpoint: checkpoint(age: .seconds(20), of: $0)) }
    }

    private func probes(_ effects: [FleetMachine.Effect]) -> [LagProbe] {
        effects.compactMap { if case .probe(let probe) = $0 { probe } else { nil } }
    }

    private func unread(for age: Duration, _ watch: Watch) -> LagProbe.Answer {
        LagProbe.Answer(
            firstUnread: Watch.noon + (watch.now - .zero) + (.zero - age), millisBehindLatest: age.wholeMilliseconds)
    }

    /// A watched fleet of two, and the probe of its first lease.
    private func watched() throws -> (Watch, LagProbe) {
        var watch = Watch(Self.configuration())
        watch.list((0..<2).map { shard($0, of: 2) })
        watch.scan(leases(2))
        var found = probes(watch.effects)
        watch.wait(.milliseconds(100))
        watch.send(.woke)
        found += probes(watch.effects)
        return (watch, try #require(found.first { $0.leaseKey == id(0) }))
    }

    @Test func `without being asked for no shard is read`() {
        var watch = Watch()
        watch.list((0..<2).map { shard($0, of: 2) })
        watch.scan(leases(2))
        #expect(probes(watch.effects).isEmpty)
    }

    @Test func `the first unread record's age is the lag, and grows while the checkpoint stands`() throws {
        var (watch, probe) = try watched()
        #expect(watch.view(id(0))?.checkpointLag?.source == .estimate)
        watch.send(.probed(probe, unread(for: .seconds(8), watch), watch.info()))
        #expect(watch.view(id(0))?.checkpointLag == Lag(8000, .probe))
        watch.wait(.seconds(5))
        watch.scan(leases(2, counter: 2))
        #expect(watch.view(id(0))?.checkpointLag == Lag(13_000, .probe))
        // The reader went on: what was measured then stands, until it is old.
        var moved = leases(2, counter: 3)
        moved[0].checkpoint = checkpoint(age: .seconds(1))
        watch.scan(moved)
        #expect(watch.view(id(0))?.checkpointLag == Lag(8000, .probe))
        watch.wait(.seconds(61))
        #expect(watch.view(id(0))?.checkpointLag?.source == .estimate)
    }

    @Test func `nothing unread is no lag, however old the checkpoint`() throws {
        var (watch, probe) = try watched()
        watch.send(.probed(probe, LagProbe.Answer(firstUnread: nil, millisBehindLatest: 0), watch.info()))
        #expect(watch.view(id(0))?.checkpointLag == Lag(0, .probe))
    }

    @Test func `a foreign worker that renews and reads nothing is STUCK`() throws {
        var (watch, probe) = try watched()
        for turn in 0..<40 {
            watch.send(.probed(probe, unread(for: .seconds(8 + turn * 5), watch), watch.info()))
            watch.wait(.seconds(5))
            watch.scan(leases(2, counter: Int64(turn + 2)))
        }
        #expect(watch.view(id(0))?.progress?.judgement == .stalled)
        #expect(watch.problem(.stuck)?.shardIDs == [id(0)])
    }

    @Test func `ten probes a second in all, and a shard once in ten seconds`() {
        var watch = Watch(Self.configuration())
        var asked: [(String, Timestamp)] = []
        func answer(_ watch: inout Watch) {
            for probe in probes(watch.effects) {
                asked.append((probe.leaseKey, watch.now))
                watch.send(.probed(probe, unread(for: .seconds(1), watch), watch.info()))
            }
        }
        watch.list((0..<40).map { shard($0, of: 40) })
        watch.scan(leases(40))
        answer(&watch)
        for step in 1...200 {
            watch.wait(.milliseconds(100))
            watch.send(.woke)
            answer(&watch)
            guard step % 10 == 0 else { continue }
            watch.scan(leases(40, counter: Int64(step)))
            answer(&watch)
        }
        for (index, entry) in asked.enumerated() {
            #expect(asked[index...].prefix { $0.1 - entry.1 < .seconds(1) }.count <= 10)
            #expect(asked[(index + 1)...].first { $0.0 == entry.0 }.map { $0.1 - entry.1 >= .seconds(10) } ?? true)
        }
        #expect(Set(asked.map(\.0)).count == 40)
    }

    @Test func `a shard that nobody owns comes before those that are read`() {
        var watch = Watch(Self.configuration())
        watch.list((0..<3).map { shard($0, of: 3) })
        watch.scan(leases(3))
        for _ in 0..<12 {
            for probe in probes(watch.effects) {
                watch.send(.probed(probe, unread(for: .seconds(1), watch), watch.info()))
            }
            watch.wait(.seconds(1))
            watch.send(.woke)
        }
        var later = leases(3, counter: 2)
        later[2].leaseOwner = nil
        watch.scan(later)
        #expect(probes(watch.effects).map(\.leaseKey) == [id(2)])
    }

    @Test func `a throttled probe makes them rarer, twice as rare each time`() throws {
        var (watch, probe) = try watched()
        let throttled = awsError("ProvisionedThroughputExceededException")
        for pause in [1, 2, 4] {
            watch.send(.probeFailed(probe, throttled, watch.info()))
            // Every shard may be asked again, so that the pause alone holds it back.
            watch.machine.probes.plan(
                (0..<2).map {
                    (
                        LagProbe(
                            stream: "orders", leaseKey: "k\(pause)-\($0)", shardID: id(0), checkpoint: .trimHorizon),
                        false
                    )
                },
                at: watch.now)
            watch.wait(.milliseconds(pause * 1000 - 1))
            watch.send(.woke)
            #expect(probes(watch.effects).isEmpty)
            watch.wait(.milliseconds(1))
            watch.send(.woke)
            probe = try #require(probes(watch.effects).first)
        }
        #expect(watch.snapshot.problems.isEmpty)
    }

    @Test func `where reading is denied, lags are estimated and the permission is named`() throws {
        var (watch, probe) = try watched()
        watch.send(.probeFailed(probe, awsError("AccessDeniedException"), watch.info()))
        let problem = try #require(watch.problem(.denied))
        #expect(problem.severity == .info)
        #expect(problem.message.contains("must allow kinesis:GetShardIterator and kinesis:GetRecords"))
        #expect(problem.message.hasSuffix("lags are estimated"))
        watch.wait(.seconds(20))
        watch.scan(leases(2, counter: 2))
        watch.wait(.seconds(1))
        watch.send(.woke)
        #expect(probes(watch.effects).isEmpty)
    }

    @Test func `a recording shows the measured lag again, also to strangers`() throws {
        let configuration = Self.configuration()
        var recorder = Recorder(configuration)
        let watch = Watch(configuration)
        let lease = leases(1)[0]
        let probe = LagProbe(stream: "orders", leaseKey: id(0), shardID: id(0), checkpoint: lease.checkpoint)
        var lines = [recorder.header(at: .zero, wallClock: Watch.noon)]
        lines += recorder.lines(for: .scanned(FleetMachine.TablePage([item(lease)]), watch.info()), at: .zero)
        lines += recorder.lines(for: .probed(probe, unread(for: .seconds(8), watch), watch.info()), at: .zero)
        var anonymizer = Anonymizer()
        for lines in [lines, try lines.compactMap { try anonymizer.line($0) }] {
            var replay = try Replay(header: try #require(lines.first))
            for line in lines.dropFirst() { _ = try replay.next(line) }
            #expect(replay.finish().leases.first?.checkpointLag == Lag(8000, .probe))
        }
    }

    @Test func `a probe reads one record after the checkpoint, a rewound lease's from it on`() async throws {
        for (checkpoint, type) in [
            (checkpoint(age: .seconds(9)), "AFTER_SEQUENCE_NUMBER"),
            (Checkpoint(checkpoint(age: .seconds(9)).position, subSequenceNumber: -1), "AT_SEQUENCE_NUMBER"),
            (.trimHorizon, "TRIM_HORIZON"),
        ] {
            let service = ScriptedService([
                .ok(["ShardIterator": "here"]),
                .ok([
                    "Records": [
                        [
                            "SequenceNumber": "7", "PartitionKey": "k", "Data": "",
                            "ApproximateArrivalTimestamp": .double(1_770_000_000),
                        ]
                    ], "MillisBehindLatest": 42,
                ]),
            ])
            let probe = LagProbe(stream: "orders", leaseKey: id(0), shardID: id(0), checkpoint: checkpoint)
            let answer = try await probe.perform(KinesisClient(.scripted(.kinesis, service)))
            #expect(answer == LagProbe.Answer(firstUnread: Watch.noon, millisBehindLatest: 42))
            #expect(service.requests.first?.body["ShardIteratorType"]?.string == type)
            #expect(service.requests.last?.body["Limit"]?.int == 1)
        }
    }
}
