import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct ChildTests {
    private func child(
        _ number: Int = 0, _ state: ChildView.State = .working, waiting: Duration? = nil, stray: Int = 0,
        restarts: Int = 0
    ) -> ChildView {
        ChildView(
            shardID: id(number), pid: Int32(4711 + number), state: state, lastAction: "processRecords",
            lastMessageAge: .seconds(2), waiting: waiting, stray: stray, answered: 12, checkpoints: 3,
            refusedCheckpoints: 1, restarts: restarts, bytesWritten: 4096, processorShare: 0.25,
            residentBytes: 20_000_000)
    }

    private func problems(_ watch: Watch) -> [Problem] { watch.snapshot.problems.filter { $0.kind == .child } }

    private func line(_ text: String, _ number: Int = 0) -> FleetMachine.Event {
        .happened(WorkerEvent(.childOutput, at: Watch.noon, workerID: "w1", shardID: id(number), message: text))
    }

    @Test func `children are in the snapshot, and grow older with it`() throws {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        #expect(watch.snapshot.children == [:])
        watch.send(.childrenChanged([child(waiting: .seconds(5)), child(1, .idle)]))
        #expect(watch.snapshot.children[id(0)]?.waiting == .seconds(5))
        watch.wait(.seconds(3))
        let aged = watch.snapshot.children
        #expect(aged[id(0)]?.waiting == .seconds(8))
        #expect(aged[id(0)]?.lastMessageAge == .seconds(5))
        #expect(aged[id(1)]?.waiting == nil)
        watch.send(.childrenChanged([]))
        #expect(watch.snapshot.children == [:])
    }

    @Test func `a child that owes an answer for 30 seconds is a warning, also when nothing new is told`() throws {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        watch.send(.childrenChanged([child(waiting: .milliseconds(29_000)), child(1, .idle)]))
        #expect(problems(watch) == [])
        watch.settle()
        watch.snapshots = []
        for _ in 0..<4 {
            watch.wait(.seconds(1))
            watch.send(.woke)
        }
        // Time alone publishes a new picture.
        let published = try #require(watch.snapshots.last)
        let problem = try #require(published.problems.first { $0.kind == .child })
        #expect(problem.severity == .warning)
        #expect(problem.shardIDs == [id(0)])
        #expect(problem.message == "…0000: its child (pid 4711) owes the answer to processRecords for 33s")
        #expect(problem.age == .milliseconds(33_300))
        #expect(published.leases.first?.severity == .warning)
        #expect(published.verdict.word == "WARNING")
        watch.send(.childrenChanged([child(), child(1, waiting: .seconds(70)), child(2, waiting: .seconds(31))]))
        #expect(
            problems(watch).map(\.message) == [
                "…0001: its child (pid 4712) owes the answer to processRecords for 1m10s, and 1 more child keeps us "
                    + "waiting"
            ])
    }

    @Test func `a failed child is a warning with its reason, children of one reason are one`() throws {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        watch.send(
            .childrenChanged([
                child(0, .failed("it ended with status 1"), restarts: 2), child(1, .failed("it ended with status 1")),
                child(2, .failed("it was ended by signal 9"), waiting: .seconds(90)),
            ]))
        #expect(
            problems(watch).map(\.message) == [
                "…0000, …0001: their children failed: it ended with status 1; restarted 2 times before",
                "…0002: the child failed: it was ended by signal 9",
            ])
        #expect(problems(watch).allSatisfy { $0.severity == .warning })
        // Where the engine gave the shard up that is said, not the failure too.
        var stopped = WorkerEvent(.processorFailed, at: Watch.noon, shardID: id(2), message: "failed 5 times")
        stopped.isStopped = true
        watch.send(.happened(stopped))
        #expect(problems(watch).count == 1)
        #expect(watch.problem(.stuck)?.severity == .critical)
    }

    @Test func `stray lines are worth knowing and alarm nobody`() throws {
        var watch = Watch(.test(stream: nil))
        for counter in Int64(1)...3 {
            watch.scan([lease(0, counter: counter)])
            watch.wait(.seconds(3))
        }
        watch.send(.childrenChanged([child(stray: 2), child(1, stray: 5), child(2)]))
        let problem = try #require(problems(watch).first)
        #expect(problem.severity == .info)
        #expect(problem.shardIDs == [id(0), id(1)])
        #expect(problem.message.hasPrefix("…0000, …0001: 7 lines on the standard output of a child"))
        #expect(watch.snapshot.verdict.word == "OK")
    }

    @Test func `a child's line is an event and no problem`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        watch.send(line("Traceback (most recent call last):"))
        #expect(watch.snapshot.events.map(\.event.message) == ["Traceback (most recent call last):"])
        #expect(watch.snapshot.problems == [])
        watch.send(line(String(repeating: "x", count: 5000)))
        #expect(watch.snapshot.events.last?.event.message?.count == OutputGate.lengthMax + 1)
    }

    @Test func `a flood of lines becomes twenty a second and a count`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        for number in 0..<332 {
            watch.send(line("line \(number)"))
            if number == 100 { watch.send(line("other", 1)) }
        }
        #expect(watch.snapshot.events.count == 21)
        // The count comes by itself when the second is over.
        watch.wait(.seconds(1))
        watch.send(.woke)
        let events = watch.snapshot.events.map(\.event)
        #expect(events.count == 22)
        #expect(events.last?.message == "… 312 lines more")
        #expect(events.last?.shardID == id(0))
        watch.send(line("again"))
        #expect(watch.snapshot.events.last?.event.message == "again")
    }

    @Test func `a child's lines do not make one throttled shard many events`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        for number in 0..<5 {
            watch.send(.happened(WorkerEvent(.throttled, at: Watch.noon, shardID: id(0))))
            watch.send(line("line \(number)"))
        }
        #expect(watch.snapshot.events.map(\.event.kind).filter { $0 == .throttled }.count == 1)
    }

    @Test func `the wake for the count is asked for`() {
        var watch = Watch(.test(stream: nil))
        watch.scan([lease(0)])
        watch.settle()
        for number in 0..<30 { watch.send(line("line \(number)")) }
        #expect(watch.machine.outputGate.flushAt == watch.now + .seconds(1))
        watch.wait(.seconds(1))
        watch.send(.woke)
        #expect(watch.machine.outputGate.flushAt == nil)
    }

    @Test func `children that talk for hours leave half of the log to everything else`() {
        var configuration = FleetConfiguration.test(stream: nil)
        configuration.eventsMax = 40
        var watch = Watch(configuration)
        watch.scan([lease(0)])
        watch.send(.happened(WorkerEvent(.workerStarted, at: Watch.noon, workerID: "w1")))
        for number in 0..<500 {
            watch.send(line("line \(number)", number % 7))
            watch.wait(.milliseconds(200))
        }
        #expect(watch.snapshot.events.count == 21)
        #expect(watch.snapshot.events.first?.event.kind == .workerStarted)
        #expect(watch.snapshot.events.last?.event.message == "line 499")
        for _ in 0..<100 { watch.send(.happened(WorkerEvent(.leaseTaken, at: Watch.noon, shardID: id(0)))) }
        #expect(watch.snapshot.events.count == 40)
        watch.send(line("still heard"))
        #expect(watch.snapshot.events.map(\.event.kind).filter { $0 == .childOutput }.count == 1)
        #expect(watch.snapshot.events.count == 40)
    }

    @Test func `a recording holds children as what changed, and not a word of theirs`() throws {
        var configuration = FleetConfiguration.test(stream: nil)
        configuration.isRecording = true
        var watch = Watch(configuration)
        var lines: [String] = []
        func send(_ event: FleetMachine.Event) {
            watch.send(event)
            for case .record(let text, _) in watch.effects { lines += text }
        }
        var recorder = Recorder(configuration)
        let header = recorder.header(at: .zero, wallClock: Watch.noon)
        send(.childrenChanged([child(waiting: .seconds(5)), child(1, .failed("no \"reason\""))]))
        watch.wait(.seconds(1))
        var older = child(waiting: .seconds(6))
        older.lastMessageAge = .seconds(3)
        var second = child(1, .failed("no \"reason\""))
        second.lastMessageAge = .seconds(3)
        send(.childrenChanged([older, second]))
        #expect(lines.count == 1)
        send(line("a secret of a record"))
        #expect(lines.count == 1)
        watch.wait(.seconds(1))
        older.answered += 1
        older.waiting = nil
        send(.childrenChanged([older]))
        #expect(lines.count == 2)
        #expect(!lines.joined().contains("secret"))

        var replay = try Replay(header: header)
        _ = try replay.next(lines[0])
        let first = replay.finish().children
        #expect(first == [id(0): child(waiting: .seconds(5)), id(1): child(1, .failed("no \"reason\""))])
        _ = try replay.next(lines[1])
        #expect(replay.finish().children == [id(0): older])
    }
}
