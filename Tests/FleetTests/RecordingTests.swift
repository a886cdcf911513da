import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct RecordingTests {
    /// A short life of a fleet, recorded: a take, a split, engine events, an outage.
    private func recorded() -> (lines: [String], snapshots: [FleetSnapshot]) {
        var configuration = FleetConfiguration.test()
        configuration.isRecording = true
        var watch = Watch(configuration)
        var lines: [String] = []
        func collect() {
            for case .record(let text, _) in watch.effects { lines += text }
            watch.effects = []
        }
        func step(_ body: (inout Watch) -> Void) {
            body(&watch)
            collect()
        }
        collect()
        step { $0.noMigration() }
        step { $0.send(.ownWorkersChanged([OwnWorker("w1", isPaused: true)])) }
        step { $0.list([shard(0, of: 1)]) }
        step { $0.send(.streamDescribed(.test(), $0.info())) }
        for counter in Int64(0)..<5 {
            step { $0.send(.scanned(FleetMachine.TablePage([item(lease(0, of: 1, counter: counter))]), $0.info())) }
            step { $0.wait(.seconds(5)) }
            step { $0.send(.woke) }
        }
        step {
            $0.send(
                .happened(
                    WorkerEvent(
                        .recordsProcessed, at: Watch.noon, workerID: "w1", shardID: id(0), records: 9,
                        millisBehindLatest: 5)))
        }
        step { $0.send(.scanFailed(refused, $0.info())) }
        step { $0.wait(.seconds(2)) }
        step { $0.list([shard(0, of: 1, isClosed: true), shard(1, parent: id(0), range: .whole)]) }
        step { $0.wait(.seconds(5)) }
        step { $0.send(.woke) }
        step {
            $0.send(
                .scanned(
                    FleetMachine.TablePage(
                        [
                            item(lease(0, of: 1, counter: 9, checkpoint: .shardEnd, children: [id(1)])),
                            item(lease(1, of: 1, owner: "w2", counter: 1, parents: [id(0)])),
                        ]), $0.info()))
        }
        return (lines, watch.snapshots)
    }

    private func replayed(_ lines: [String]) throws -> [FleetSnapshot] {
        var replay = try Replay(header: try #require(lines.first))
        return try lines.dropFirst().flatMap { try replay.next($0) }
    }

    /// What both see; numbering, cost and what is asked differ.
    private func picture(_ snapshot: FleetSnapshot) -> [String] {
        snapshot.leases.map { "\($0.id) \($0.state) \($0.owner ?? "-") \($0.why)" }
            + snapshot.events.map { "\($0.seq) \($0.event.kind) \($0.event.shardID ?? "")" }
            + snapshot.problems.map(\.message) + snapshot.workers.map { "\($0.workerID) \($0.state)" }
            + ["\(snapshot.takenAt)", "\(snapshot.scans)"]
    }

    @Test func `a recording shows again what was seen`() throws {
        let (lines, seen) = recorded()
        let shown = try replayed(lines)
        let last = try #require(shown.last)
        #expect(last.leases.count == 2)
        #expect(picture(last) == picture(try #require(seen.last)))
        #expect(shown.contains { $0.leases.first?.state == .blocked || $0.leases.first?.state == .drain })
        #expect(last.identity.isWritable == false)
    }

    @Test func `only what changed in a row is written`() throws {
        let (lines, _) = recorded()
        let scans = lines.filter { $0.contains("\"is\":\"scan\"") }.compactMap { try? JSON.decode(Bytes($0)) }
        #expect(scans.first?["rows"]?.list?.first?["new"] != nil)
        let second = try #require(scans.dropFirst().first?["rows"]?.list?.first)
        #expect(second["set"] == ["leaseCounter": ["N": "1"]])
        #expect(second["remove"] == nil)
    }

    @Test func `a deleted row is gone in the replay too`() throws {
        var configuration = FleetConfiguration.test(stream: nil)
        configuration.isRecording = true
        var recorder = Recorder(configuration)
        var lines = [recorder.header(at: .zero, wallClock: Watch.noon)]
        let watch = Watch(configuration)
        for (second, items) in [[item(lease(0)), item(lease(1))], [item(lease(1))]].enumerated() {
            lines += recorder.lines(
                for: .scanned(FleetMachine.TablePage(items), watch.info()), at: .zero + .seconds(second * 5))
        }
        let last = try #require(try replayed(lines).last)
        #expect(last.leases.map(\.id) == [id(1)])
        #expect(last.events.map(\.event.kind) == [.leaseDeleted])
    }

    @Test(arguments: [
        ("{}", "line 1 of the recording: this is no recording of shardtop"),
        ("nonsense", "line 1 of the recording: this is no recording of shardtop"),
        (
            "{\"shardtop\":\"recording\",\"version\":2}",
            "line 1 of the recording: its version is not 1: a newer shardtop wrote it"
        ),
    ])
    func `what is no recording is named as such`(_ header: String, _ reason: String) {
        do {
            _ = try Replay(header: header)
            Issue.record("it was read")
        } catch {
            #expect(error.description == reason)
        }
    }

    @Test func `a damaged line is named by its number, an unknown kind is passed over`() throws {
        let (lines, _) = recorded()
        var replay = try Replay(header: try #require(lines.first))
        #expect(try replay.next("{\"t\":1,\"is\":\"novelty\"}") == [])
        for bad in ["x", "{}", "{\"t\":1,\"is\":\"row\"}", "{\"t\":1,\"is\":\"event\",\"event\":{}}"] {
            #expect(throws: Replay.Malformed.self) { try replay.next(bad) }
        }
        do {
            _ = try replay.next("{\"t\":1,\"is\":\"row\",\"row\":{\"key\":\"a\",\"new\":{\"x\":{\"Q\":\"1\"}}}}")
        } catch {
            #expect(error.description == "line 7 of the recording: row a is no item")
        }
    }

    @Test func `an event survives being recorded`() throws {
        let event = WorkerEvent(
            .leaseStolen, at: Watch.noon, workerID: "w2", shardID: id(0), previousOwner: "w1", owner: "w2",
            checkpoint: Checkpoint(.sequenceNumber(SequenceNumber(high: 0, low: 77)), subSequenceNumber: 3), records: 4,
            bytes: 5, from: SequenceNumber(high: 0, low: 1), to: SequenceNumber(high: 0, low: 2),
            millisBehindLatest: 6, leaseCounter: 7, childShardIDs: ["a"], observedBetween: Watch.noon...Watch.noon,
            message: "m")
        let value = try JSON.decode(Bytes(event.json(seq: 1)))
        #expect(WorkerEvent(recorded: value) == event)
    }
}
