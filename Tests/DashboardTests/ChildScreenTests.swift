import Dashboard
import Fleet
import Leases
import Machine
import Testing

/// What the screen shows of child processes.
@Suite struct ChildScreenTests {
    /// A program that consumes four shards with children: one waits, one was restarted, one failed.
    static func consuming() -> FleetSnapshot {
        var snapshot = Fixture.demo()
        snapshot.identity = FleetIdentity(
            application: "words-app", stream: "words", region: "us-east-1", account: "123456789012", isWritable: false)
        func child(_ number: Int, _ state: ChildView.State, pid: Int32?) -> ChildView {
            ChildView(
                shardID: Fixture.shardID(number), pid: pid, state: state, lastAction: "processRecords",
                lastMessageAge: .milliseconds(400), answered: 12_345, checkpoints: 410, bytesWritten: 5_300_000,
                processorShare: 0.124, residentBytes: 50_540_000)
        }
        var waiting = child(1, .working, pid: 4712)
        waiting.waiting = .seconds(42)
        waiting.lastMessageAge = .seconds(42)
        waiting.stray = 3
        waiting.refusedCheckpoints = 2
        var restarted = child(2, .idle, pid: 1_234_567)
        restarted.restarts = 2
        var failed = child(3, .failed("it ended with status 1"), pid: nil)
        failed.restarts = 1
        for view in [child(0, .idle, pid: 4711), waiting, restarted, failed] {
            snapshot.children[view.shardID] = view
        }
        snapshot.leases[1].severity = .warning
        snapshot.leases[3].severity = .warning
        snapshot.problems = [
            Problem(
                id: "CHILD:waiting", kind: .child, severity: .warning, since: Fixture.start, age: .seconds(42),
                shardIDs: [Fixture.shardID(1)],
                message: "…0001: its child (pid 4712) owes the answer to processRecords for 42s")
        ]
        snapshot.verdict = Verdict(
            severity: .warning, word: "WARNING", headline: snapshot.problems[0].message,
            facts: ["max lag 0.3s", "4 open"])
        snapshot.events += [
            Fixture.event(
                4, .childOutput, second: 20, shard: 1, worker: "worker-2", source: .engine,
                message: "Traceback (most recent call last):"),
            Fixture.event(
                5, .childOutput, second: 20, shard: 1, worker: "worker-2", source: .engine,
                message: "… 312 lines more"),
        ]
        return snapshot
    }

    private func line(
        _ text: String, _ direction: TraceLine.Direction = .toChild, shard: Int = 1, second: Int = 1
    ) -> ModelEvent {
        .traced(
            TraceLine(
                shardID: Fixture.shardID(shard), pid: 4712, direction: direction, line: text,
                at: Fixture.start + .milliseconds(Int64(second) * 1000 + 123)))
    }

    private func traced(_ width: Int, _ height: Int) throws -> Screen {
        var screen = try Screen(.consume, Self.consuming(), width: width, height: height)
        try screen.press(":trace 1<enter>")
        screen.send(line(#"{"action":"initialize","shardId":"shardId-000000000001","sequenceNumber":"TRIM_HORIZON"}"#))
        screen.send(line(#"{"action":"status","responseFor":"initialize"}"#, .fromChild, second: 2))
        screen.send(
            line(
                #"{"action":"processRecords","millisBehindLatest":1200,"records":[{"action":"record","partitionKey":"#
                    + #""k-17","sequenceNumber":"49640000000000000000000000000000000000000000000000889801"},{"action":"#
                    + #""record","partitionKey":"k-18","sequenceNumber":"4964000000000000000000000000000000000000"}]}"#,
                second: 3))
        screen.send(line("hello from print()", .fromChild, second: 3))
        screen.send(line(#"{"action":"checkpoint","sequenceNumber":null}"#, .fromChild, second: 4))
        return screen
    }

    @Test(arguments: [(80, 24), (120, 40)])
    func aFleetWithChildrenShowsThem(width: Int, height: Int) throws {
        var screen = try Screen(.consume, Self.consuming(), width: width, height: height)
        #expect(screen.text.contains("   CHILD  REC") == (width > 100))
        #expect(screen.text.contains("STDERR    0001 Traceback (most re"))
        try expectGolden(screen.buffer, "children-\(width)x\(height)")
        try screen.press(":show 1<enter>")
        #expect(screen.text.contains("42s for its answer"))
        try expectGolden(screen.buffer, "child-\(width)x\(height)")
    }

    @Test(arguments: [(80, 24), (120, 40)])
    func theProtocolOfAChildIsShownLive(width: Int, height: Int) throws {
        var screen = try traced(width, height)
        try expectGolden(screen.buffer, "trace-\(width)x\(height)")
        try screen.press("w")
        try expectGolden(screen.buffer, "trace-wrapped-\(width)x\(height)")
        try screen.press("?")
        #expect(screen.text.contains("help: protocol") && screen.text.contains("Record data is left out"))
    }

    @Test func tracingIsOnWhileTheViewIsOpenOnly() throws {
        var screen = try Screen(.consume, Self.consuming())
        screen.send(line("too early"))
        #expect(try screen.press(":trace 1<enter>") == [.trace(shardID: Fixture.shardID(1))])
        #expect(screen.text.contains("nothing passed since this view was opened"))
        screen.send(line("of another shard", shard: 2))
        screen.send(line("seen"))
        #expect(screen.text.contains("seen") && !screen.text.contains("early") && !screen.text.contains("another"))
        #expect(try screen.press("<esc>") == [.trace(shardID: nil)])
        #expect(screen.text.contains("lineage"))
        screen.send(line("too late"))
        #expect(try screen.press(":trace<enter>") == [.trace(shardID: Fixture.shardID(1))])
        #expect(!screen.text.contains("too late"))
        // Leaving the screen ends it too.
        #expect(try screen.press("q") == [])
        #expect(try screen.press("y") == [.trace(shardID: nil), .quit])
    }

    @Test func aTerminalThatGoesEndsTheTrace() throws {
        var screen = try traced(80, 24)
        screen.effects = []
        screen.send(.terminal(.closed))
        #expect(screen.effects == [.trace(shardID: nil), .goHeadless])
    }

    @Test func onlyConsumeWithChildrenHasATrace() throws {
        var screen = try Screen(.demo, Fixture.demo())
        #expect(try screen.press(":trace 1<enter>") == [])
        #expect(screen.foot.contains("no children here: only consume with executableName runs child processes"))
        try screen.press("<esc>:tr")
        #expect(!screen.text.contains("trace"))
        screen = try Screen(.consume, Self.consuming())
        #expect(try screen.press(":trace 99<enter>") == [])
        #expect(screen.foot.contains("no shard 99"))
        try screen.press(":tr<tab>00<tab>")
        #expect(screen.foot.hasPrefix(":trace 0001"))
        screen = try Screen(.replay, Self.consuming())
        #expect(try screen.press(":trace 1<enter>") == [])
        #expect(screen.foot.contains("a recording holds no lines"))
    }

    @Test func theTraceScrollsFreezesAndFollows() throws {
        var screen = try Screen(.consume, Self.consuming(), width: 80, height: 24)
        try screen.press(":trace 1<enter>")
        for number in 1...100 { screen.send(line("line \(number).")) }
        #expect(screen.text.contains("line 100.") && !screen.text.contains("line 80."))
        // Away from the newest line the picture stands.
        try screen.press("kk")
        #expect(screen.text.contains("line 98.") && !screen.text.contains("line 99."))
        screen.send(line("line 101."))
        #expect(screen.text.contains("line 98.") && !screen.text.contains("line 99."))
        try screen.press("g")
        #expect(
            screen.text.contains("line 1.") && screen.text.contains("line 19.") && !screen.text.contains("line 20."))
        try screen.press("<pagedown>")
        #expect(
            screen.text.contains("line 19.") && screen.text.contains("line 37.") && !screen.text.contains("line 38."))
        try screen.press("G")
        #expect(screen.text.contains("line 101."))
        screen.send(line("line 102."))
        #expect(screen.text.contains("line 102."))
        try screen.press("p")
        for number in 103...5000 { screen.send(line("line \(number).")) }
        #expect(screen.text.contains("line 102.") && screen.text.contains("FROZEN, 4898 more"))
        try screen.press("p")
        #expect(screen.text.contains("line 5000.") && !screen.text.contains("FROZEN"))
        // Older lines than the newest two thousand are gone.
        try screen.press("g")
        #expect(screen.text.contains("line 3001.") && !screen.text.contains("line 3000."))
        // A picture of what is gone meanwhile moves on to the oldest that is left.
        for number in 5001...7500 { screen.send(line("line \(number).")) }
        #expect(screen.text.contains("line 5501.") && !screen.text.contains("line 5500."))
    }

    @Test func longLinesAreCutOrWrappedAndEveryRowCanBeReached() throws {
        var screen = try Screen(.consume, Self.consuming(), width: 80, height: 24)
        try screen.press(":trace 1<enter>")
        let words = (0..<900).map { "w\($0)" }.joined(separator: " ")
        screen.send(line("first"))
        screen.send(line("{" + words + " end}"))
        #expect(screen.text.contains("{w0 ") && screen.text.contains("…") && !screen.text.contains("w100 "))
        try screen.press("<enter>")
        // As much as is kept of a line can be read, its end first.
        #expect(screen.text.contains("w8") && !screen.text.contains("first"))
        try screen.press("g")
        #expect(screen.text.contains("first") && screen.text.contains("{w0 "))
        try screen.press("<pagedown><pagedown>")
        #expect(!screen.text.contains("{w0 "))
        try screen.press("w")
        #expect(screen.text.contains("first") && screen.text.contains("{w0 "))
        // Another width, another number of rows: nothing goes missing.
        try screen.press("wg<pagedown>")
        screen.send(.terminal(.resized(width: 200, height: 15)))
        #expect(screen.text.contains(" w8") && !screen.text.contains("first"))
    }

    @Test func keysOfPanesDoNothingBehindTheTrace() throws {
        var screen = try traced(120, 40)
        for keys in ["s", "/", "1", "z", "<tab>", "v", "0", "y", ":"] {
            #expect(try screen.press(keys) == [])
            #expect(screen.text.contains("protocol ▸ 0001"))
        }
        try screen.press("<esc>")
        #expect(screen.text.contains("hash key space"))
    }

    @Test(arguments: ["", "w"])
    func whatAChildWritesNeverReachesTheTerminalAsItIs(keys: String) throws {
        let evil = "\u{1B}[31mevil\u{07}\u{202E}\u{9B}2J\u{0A}row\r\u{0D}\u{0A}x\u{7F}"
        var fleet = Self.consuming()
        fleet.children[Fixture.shardID(1)]?.lastAction = evil
        fleet.children[Fixture.shardID(1)]?.state = .failed(evil)
        fleet.events.append(Fixture.event(9, .childOutput, second: 21, shard: 1, source: .engine, message: evil))
        for steps in ["", ":show 1<enter>", ":trace 1<enter>\(keys)"] {
            var screen = try Screen(.consume, fleet)
            try screen.press(steps)
            screen.send(line(evil, .fromChild))
            for cell in screen.buffer.cells {
                for value in [cell.base, cell.mark, cell.secondMark] where value != 0 {
                    #expect(value >= 0x20 && !(0x7F..<0xA0).contains(value) && value != 0x202E)
                }
            }
        }
    }

    @Test func plainCharactersSuffice() throws {
        for keys in ["", ":show 1<enter>", ":trace 1<enter>", ":trace 1<enter>w", ":trace 1<enter>?", "?  "] {
            var screen = try Screen(.consume, Self.consuming(), depth: .mono, symbols: .ascii)
            try screen.press(keys)
            screen.send(line(#"{"action":"status"}"#, .fromChild))
            let odd = screen.text.unicodeScalars.filter { $0.value >= 0x7F && $0 != "…" }
            #expect(odd.isEmpty, "\(keys) shows \(odd.map(String.init))")
        }
    }

    @Test(arguments: [(1, 1), (60, 15), (59, 15), (200, 60), (80, 3)])
    func everySizeHasATrace(width: Int, height: Int) throws {
        var screen = try traced(80, 24)
        screen.send(.terminal(.resized(width: width, height: height)))
        for keys in ["", "w", "k", "g", "G", "<pageup>", "<pagedown>", "p", "?"] {
            try screen.press(keys)
            #expect(screen.buffer.bounds == Rect(x: 0, y: 0, width: width, height: height))
        }
    }
}
