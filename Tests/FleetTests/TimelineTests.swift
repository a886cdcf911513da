import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

/// What was heard is kept small, and any moment of it is the same picture again.
struct TimelineTests {
    /// A fleet that is watched and kept at once.
    private struct Kept {
        var watch: Watch
        var timeline: Timeline

        init(bytesMax: Int = 24 << 20) {
            watch = Watch()
            timeline = Timeline(.test(), at: .zero, wallClock: Watch.noon, bytesMax: bytesMax)
        }

        mutating func hear(_ event: FleetMachine.Event) {
            if case .scanned = event { watch.machine.expectScan(at: watch.now) }
            timeline.note(event, at: watch.now)
            watch.send(event)
        }

        mutating func scan(_ items: [Item]) {
            hear(.scanned(FleetMachine.TablePage(items), watch.info(units: 0.5)))
        }

        /// Time goes on as the observer's does, woken once a second.
        mutating func wait(_ seconds: Int) {
            for _ in 0..<seconds {
                watch.wait(.seconds(1))
                hear(.woke)
            }
        }
    }

    /// Fifty minutes: shard 0 is stolen at 12 and ends at 20, its lease goes at 40; shard 1 stands still from 30 on.
    private func items(at minute: Int, second: Int, counter: Int64) -> [Item] {
        var leases: [Lease] = []
        let time = Watch.noon + .seconds(second - 60)
        if minute < 40 {
            let isEnded = minute >= 20
            var first = lease(0, of: 2, owner: minute < 12 ? "w1" : "w2", counter: isEnded ? 9000 : counter)
            first.checkpoint = isEnded ? .shardEnd : checkpoint(age: .zero, of: 0, from: time)
            leases.append(first)
        }
        var other = lease(1, of: 2, owner: "w1", counter: minute < 30 ? counter : 7000)
        other.checkpoint = checkpoint(age: .zero, of: 1, from: minute < 30 ? time : Watch.noon + .seconds(1740))
        leases.append(other)
        return leases.map { item($0, ["note": .s("kept as it is")]) }
    }

    private func life(bytesMax: Int = 24 << 20) -> (kept: Kept, seen: [(at: Timestamp, picture: FleetSnapshot)]) {
        var kept = Kept(bytesMax: bytesMax)
        var seen: [(Timestamp, FleetSnapshot)] = []
        kept.hear(.migrationItemRead(nil, kept.watch.info()))
        kept.hear(.shardsListed([shard(0, of: 2), shard(1, of: 2)], kept.watch.info()))
        kept.hear(.streamDescribed(.test(), kept.watch.info()))
        for step in 0..<600 {
            let second = step * 5
            kept.scan(items(at: second / 60, second: second, counter: Int64(step)))
            if step % 12 == 0 { kept.hear(.shardsListed([shard(0, of: 2), shard(1, of: 2)], kept.watch.info())) }
            kept.wait(3)
            if step % 36 == 35 { seen.append((kept.watch.now, kept.watch.snapshot)) }
            kept.wait(2)
        }
        return (kept, seen)
    }

    /// What a person sees; numbers that count since the watching began differ.
    private func picture(_ snapshot: FleetSnapshot) -> [String] {
        // A hole must be seen twice, by pictures that only one of both draws.
        let leases = snapshot.leases.filter { $0.kind == .lease }
        return leases.map {
            "\($0.id) \($0.state) \($0.owner ?? "-") \($0.checkpoint?.description ?? "-") \($0.lease?.leaseCounter ?? -1)"
        } + leases.map { "\($0.stored.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })" }
            + snapshot.workers.map { "\($0.workerID) \($0.state) \($0.leases)" }
            + ["\(snapshot.streamMatch?.word ?? "")", "\(snapshot.takenAt)", "\(snapshot.failoverTime.duration)"]
            + ["\(snapshot.totals.open) \(snapshot.totals.ended) \(snapshot.totals.unowned)"]
    }

    @Test func `any moment is shown as it was seen then`() {
        let (kept, seen) = life()
        #expect(seen.count == 16)
        for (at, live) in seen {
            let past = kept.timeline.snapshot(at: at)
            #expect(past.takenAtInstant == at)
            #expect(picture(past) == picture(live), "\((at - .zero).brief)")
        }
        let states = seen.map { kept.timeline.snapshot(at: $0.at).leases.first { $0.shardID == id(0) }?.owner }
        #expect(states[3] == "w1" && states[4] == "w2")
    }

    @Test func `what is before the beginning or after the end is shown as the nearest`() {
        let (kept, _) = life()
        let begin = kept.timeline.snapshot(at: Timestamp(nanoseconds: -1))
        #expect(begin.takenAtInstant == kept.timeline.start)
        #expect(kept.timeline.snapshot(at: .never).takenAtInstant == kept.timeline.end)
    }

    @Test func `what is older than an hour goes, an hour stays`() {
        var timeline = Timeline(.test(), at: .zero, wallClock: Watch.noon)
        for second in stride(from: 0, through: 3 * 3600, by: 30) {
            let now = Timestamp.zero + .seconds(second)
            let row = item(lease(0, of: 1, counter: Int64(second)))
            let info = FleetMachine.CallInfo(wallClock: Watch.noon + .seconds(second))
            timeline.note(.scanned(FleetMachine.TablePage([row]), info), at: now)
            #expect(second < 3600 || now - timeline.start >= .seconds(3600))
            #expect(now - timeline.start <= .seconds(4300))
        }
        let past = timeline.snapshot(at: .zero + .seconds(7500))
        #expect(past.leases.first?.lease?.leaseCounter == 7500)
        #expect(past.takenAt == Watch.noon + .seconds(7500))
    }

    @Test func `a fleet that is too large for the room is kept in fewer scans, and the room is kept`() {
        let room = 120_000
        var timeline = Timeline(.test(), at: .zero, wallClock: Watch.noon, bytesMax: room)
        var largest = 0
        for step in 0..<900 {
            let second = step * 5
            let items = (0..<40).map { number in
                let time = Watch.noon + .seconds(second)
                return item(
                    lease(
                        number, of: 40, counter: Int64(step),
                        checkpoint: checkpoint(age: .zero, of: number, from: time)))
            }
            let info = FleetMachine.CallInfo(wallClock: Watch.noon + .seconds(second))
            timeline.note(.scanned(FleetMachine.TablePage(items), info), at: .zero + .seconds(second))
            largest = max(largest, timeline.bytes)
        }
        #expect(largest <= room * 5 / 4, "\(largest)")
        #expect(timeline.end - timeline.start >= .seconds(3000), "\((timeline.end - timeline.start).brief)")
        // Fewer, but not so few that the moment is another.
        let counter = timeline.snapshot(at: .zero + .seconds(4000)).leases.first?.lease?.leaseCounter ?? 0
        #expect(abs(counter - 800) < 40, "\(counter)")
    }

    @Test func `engines' events that will not fit push out the oldest`() {
        var timeline = Timeline(.test(), at: .zero, wallClock: Watch.noon, bytesMax: 200_000)
        for number in 0..<5000 {
            let event = WorkerEvent(
                .recordsProcessed, at: Watch.noon + .milliseconds(number), workerID: "w1", shardID: id(0),
                records: number)
            timeline.note(.happened(event), at: .zero + .milliseconds(number))
        }
        #expect(timeline.bytes <= 250_000)
        #expect(timeline.start > .zero)
    }

    @Test func `rows of every kind of value come back as they were`() {
        let first: Item = [
            "leaseKey": .s("a"), "plain": .s("text"), "digits": .s("00123456789"), "number": .n("007"),
            "counter": .n("41"), "negative": .n("-5"), "fraction": .n("1.50"), "set": .ss(["x", "y"]),
            "bytes": .b(Bytes("zz")), "map": .m(["k": .l([.bool(true), .null])]), "goes": .s("x"),
        ]
        var second = first
        second["digits"] = .s("00123499999999999999999999999999999999")
        second["number"] = .n("8")
        second["counter"] = .n("9223372036854775807")
        second["negative"] = .n("-9223372036854775808")
        second["fraction"] = .n("-0")
        second["plain"] = .s("123")
        second["set"] = .ss(["y"])
        second["goes"] = nil
        second["comes"] = .n("12345678901234567890123")
        let other: Item = ["leaseKey": .s("b"), "plain": .s("text")]
        var encoder = RowEncoder()
        var chunk = Chunk(start: .zero, wallClock: Watch.noon)
        var decoder = RowDecoder()
        for items in [[first, other], [second, other], [second], [first, other], []] {
            decoder.decode(chunk.encode(items, with: &encoder, isWhole: true), of: chunk)
            #expect(decoder.items == items)
        }
        var third = first
        third["counter"] = .n("42")
        let place = chunk.encode([first], with: &encoder)
        decoder.decode(place, of: chunk)
        let change = chunk.encode([third], with: &encoder)
        #expect(change.count == 5)
        #expect(decoder.decode(change, of: chunk) == [third])
    }

    @Test func `damaged bytes are no trap`() {
        var encoder = RowEncoder()
        var chunk = Chunk(start: .zero, wallClock: Watch.noon)
        _ = chunk.encode([item(lease(0))], with: &encoder, isWhole: true)
        for seed in UInt64(0)..<200 {
            var generator = SeededGenerator(seed: seed)
            let noise = (0..<40).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let place = chunk.store(noise)
            var decoder = RowDecoder()
            decoder.decode(place, of: chunk)
        }
    }

    @Test func `a recording can be jumped about in`() throws {
        var configuration = FleetConfiguration.test(stream: nil)
        configuration.isRecording = true
        var recorder = Recorder(configuration)
        var lines = [recorder.header(at: .zero, wallClock: Watch.noon)]
        for second in stride(from: 0, to: 7200, by: 60) {
            let row = item(lease(0, of: 1, owner: second < 3600 ? "w1" : "w2", counter: Int64(second)))
            let info = FleetMachine.CallInfo(wallClock: Watch.noon + .seconds(second))
            lines += recorder.lines(
                for: .scanned(FleetMachine.TablePage([row]), info), at: .zero + .seconds(second))
        }
        var replay = try Replay(header: lines[0])
        replay.keepTimeline(until: try #require(lines.last))
        var bookmarks = Bookmarks()
        for line in lines.dropFirst() {
            for snapshot in try replay.next(line) { bookmarks.note(snapshot) }
        }
        bookmarks.note(replay.finish())
        let timeline = try #require(replay.timeline)
        #expect(timeline.snapshot(at: .zero + .seconds(60)).leases.first?.owner == "w1")
        #expect(timeline.snapshot(at: .zero + .seconds(7000)).leases.first?.owner == "w2")
        #expect(bookmarks.events.map(\.event.kind) == [.ownerChanged])
        let jump = try #require(bookmarks.nearest(after: Watch.noon).last)
        #expect(jump.event.at <= Watch.noon + .seconds(3600))
    }
}

struct BookmarkTests {
    private func logged(_ seq: Int, _ kind: WorkerEvent.Kind, second: Int, from: String? = nil) -> LoggedEvent {
        LoggedEvent(
            seq: seq,
            WorkerEvent(
                kind, at: Watch.noon + .seconds(second), shardID: id(seq), previousOwner: from, owner: "w2"))
    }

    private func marked(_ events: [[LoggedEvent]]) -> Bookmarks {
        var bookmarks = Bookmarks()
        for events in events {
            var snapshot = FleetSnapshot(identity: FleetConfiguration.test().identity)
            snapshot.events = events
            bookmarks.note(snapshot)
        }
        return bookmarks
    }

    @Test func `steals, zombies, ends, reshards and actions are marked once, the rest is not`() {
        let log = [
            logged(1, .leaseTaken, second: 1), logged(2, .leaseStolen, second: 2), logged(3, .leaseLost, second: 3),
            logged(4, .checkpointed, second: 4), logged(5, .shardEnded, second: 5),
            logged(6, .childLeaseCreated, second: 6), logged(7, .operatorAction, second: 7),
            logged(8, .ownerChanged, second: 8, from: "w1"), logged(9, .ownerChanged, second: 9),
        ]
        let bookmarks = marked([Array(log[..<4]), log, Array(log[3...])])
        #expect(bookmarks.events.map(\.seq) == [2, 3, 5, 6, 7, 8])
    }

    @Test func `what happens together is one place`() {
        let bookmarks = marked([
            [
                logged(1, .shardEnded, second: 10), logged(2, .leaseLost, second: 60),
                logged(3, .leaseLost, second: 61), logged(4, .shardEnded, second: 200),
            ]
        ])
        #expect(bookmarks.nearest(before: Watch.noon + .seconds(200)).map(\.seq) == [2, 3])
        #expect(bookmarks.nearest(after: Watch.noon + .seconds(10)).map(\.seq) == [2, 3])
        #expect(bookmarks.nearest(before: Watch.noon + .seconds(10)).isEmpty)
        #expect(bookmarks.nearest(after: Watch.noon + .seconds(200)).isEmpty)
    }

    @Test func `they are bounded, and what the log forgot is still told`() {
        let all = (1...3000).map { logged($0, .leaseStolen, second: $0) }
        var bookmarks = Bookmarks()
        for end in stride(from: 100, through: 3000, by: 100) {
            var snapshot = FleetSnapshot(identity: FleetConfiguration.test().identity)
            snapshot.events = Array(all[max(0, end - 500)..<end])
            bookmarks.note(snapshot)
        }
        #expect(bookmarks.events.count == 2000)
        let present = Array(all[2500...])
        let past = bookmarks.events(until: Watch.noon + .seconds(2600), in: present)
        #expect(past.map(\.seq) == Array(1001...2600))
    }
}
