import Fleet
import Leases
import Machine
import Testing

@testable import Dashboard

struct NarratorTests {
    private func narrator(
        _ purpose: Model.Configuration.Purpose = .watch, _ snapshot: FleetSnapshot? = nil
    ) -> Narrator {
        var narrator = Narrator(Model.Configuration(purpose: purpose), now: Fixture.instant)
        if let snapshot { _ = narrator.handle(.snapshotTaken(snapshot)) }
        return narrator
    }

    private func type(_ line: String, to narrator: inout Narrator) -> Narrator.Answer {
        narrator.handle(.terminal(.paste(line)))
    }

    /// All that can be said of the troubled fleet.
    private func everything() -> [String] {
        var narrator = narrator()
        var lines = narrator.handle(.snapshotTaken(Fixture.troubled(isWritable: true))).lines
        for line in ["status", "shards", "workers", "problems", "events all", "shard 7", "shard 3", "help", "evict 7"] {
            lines += type(line, to: &narrator).lines
        }
        return lines + Narrator.report(Fixture.troubled())
    }

    @Test func nothingOfAPictureIsInTheLines() {
        let lines = everything()
        #expect(lines.count > 60)
        for line in lines {
            #expect(line.allSatisfy { $0.isASCII }, "\(line)")
            #expect(!line.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F }, "\(line)")
            #expect(line == line.trimmed && !line.contains("  "), "\(line)")
        }
    }

    @Test func theFirstPictureIsIntroduced() {
        var narrator = narrator()
        let before = FleetSnapshot(identity: Fixture.troubled().identity)
        #expect(narrator.handle(.snapshotTaken(before)).lines == ["reading the lease table orders-app"])
        let lines = narrator.handle(.snapshotTaken(Fixture.troubled())).lines
        #expect(
            lines.first
                == "application orders-app, stream orders, account 123456789012, us-east-1, role/ops, READ-ONLY, "
                + "KCL 2.x, leader ip-10-0-1-7")
        #expect(
            lines.contains(
                "problem, critical: EXPIRED, ip-10-0-1-9 is gone since 12:00:00Z and nobody took 0007, 12:04:07Z"))
        #expect(
            lines.contains(
                "verdict CRITICAL: 1 shard unowned 4m12s (ip-10-0-1-9 gone 12:00:00Z) (+1 more), max lag at most 4m12s, "
                    + "oldest unread expires in 23h41m, 6 open 1 draining 2 ended, lag rising, 12:04:07Z"))
        #expect(lines.contains("TERMINATE 0001 by ip-10-0-1-7 continues in 0006, 12:03:20Z"))
        #expect(lines.contains("ZOMBIE 0008 of ip-10-0-1-7, 12:03:42Z"))
        #expect(lines.contains("OWNER 0000 from ip-10-0-1-9 to ip-10-0-1-7 (ZOMBIE inferred), 12:03:50Z"))
        #expect(!lines.contains { $0.hasPrefix("CHECKPT") })
    }

    @Test func onlyChangesAreSaidAfterwards() {
        var narrator = narrator(.watch, Fixture.troubled())
        var next = Fixture.troubled()
        next.takenAt = next.takenAt + .seconds(5)
        // Numbers move all the time.
        next.verdict.headline = "1 shard unowned 4m17s (+1 more)"
        next.problems[0].age = .seconds(257)
        #expect(narrator.handle(.snapshotTaken(next)).lines.isEmpty)
        next.problems.removeFirst()
        next.verdict = Verdict(severity: .warning, word: "WARNING", headline: "ip-10-0-1-8 missed a renewal")
        next.events.append(Fixture.event(8, .leaseTaken, second: 250, shard: 7, to: Fixture.seven))
        #expect(
            narrator.handle(.snapshotTaken(next)).lines == [
                "problem gone: EXPIRED 0007, after 4m17s, 12:04:12Z",
                "verdict WARNING: ip-10-0-1-8 missed a renewal, 12:04:12Z",
                "TAKEN 0007 by ip-10-0-1-7, 12:04:10Z",
            ])
        next.problems[0].severity = .critical
        let lines = narrator.handle(.snapshotTaken(next)).lines
        #expect(lines == ["problem, now critical: STUCK, ip-10-0-1-8 missed a renewal, 12:04:12Z"])
    }

    @Test func aFloodIsCounted() throws {
        var narrator = narrator(.watch, Fixture.troubled())
        var next = Fixture.troubled()
        next.events += (0..<40).map { Fixture.event(100 + $0, .leaseTaken, second: 250, shard: 7, to: Fixture.seven) }
        let lines = narrator.handle(.snapshotTaken(next)).lines
        #expect(lines.count == 13)
        #expect(lines.last == "and 28 more events; `events all` lists them")
        #expect(type("events all", to: &narrator).lines.count == 47)
    }

    @Test func quietIsQuietUntilSpeak() {
        var narrator = narrator(.watch, Fixture.troubled())
        _ = type("quiet", to: &narrator)
        var next = Fixture.troubled()
        next.problems = []
        #expect(narrator.handle(.snapshotTaken(next)).lines.isEmpty)
        #expect(type("problems", to: &narrator).lines == ["no problems"])
        _ = type("speak", to: &narrator)
        #expect(!narrator.handle(.snapshotTaken(Fixture.troubled())).lines.isEmpty)
    }

    @Test func shardsAreListedWorstFirstAndFiltered() throws {
        var narrator = narrator(.watch, Fixture.troubled())
        let lines = type("shards", to: &narrator).lines
        #expect(lines.count == 9)
        let first = try #require(lines.first)
        #expect(first.hasPrefix("0007 EXPIRED, owner ip-10-0-1-9, lag 4m12s, checkpoint moved 2.1s ago, 0 records"))
        #expect(first.hasSuffix("any worker may take it"))
        #expect(type("shards state:BLOCKED", to: &narrator).lines.count == 2)
        #expect(type("shards nobody", to: &narrator).lines == ["no shard matches nobody"])
        #expect(type("shard 99", to: &narrator).lines.first?.hasPrefix("no shard 99 in this table") == true)
        let detail = type("shard 0007", to: &narrator).lines
        #expect(detail.first == "shard shardId-000000000007" && detail.contains("owner: ip-10-0-1-9"))
        #expect(detail.contains("leaseOwner = ip-10-0-1-9"))
    }

    @Test func anActionIsConfirmedByATypedLine() throws {
        let snapshot = Fixture.troubled(isWritable: true)
        let lease = Fixture.shardID(7)
        let plan = try Plan.evict(lease, in: snapshot)
        func asked() -> Narrator {
            var narrator = narrator(.watch, snapshot)
            let answer = type("evict 7", to: &narrator)
            #expect(answer.effects == [.makePlan(.evict(lease: lease))])
            let shown = narrator.handle(.planMade(plan))
            #expect(shown.lines.count > 5 && shown.effects.isEmpty)
            // What is agreed to is named as the table names it.
            #expect(shown.lines.contains { $0.contains("UpdateItem") && $0.contains(lease) })
            #expect(shown.lines.last == "Type yes to do it; anything else leaves all as it is.")
            return narrator
        }
        var no = asked()
        let refused = type("status", to: &no)
        #expect(refused.effects.isEmpty && refused.lines == ["nothing was written"])
        var yes = asked()
        // What changes meanwhile waits for the answer.
        var next = snapshot
        next.problems.removeLast()
        #expect(yes.handle(.snapshotTaken(next)).lines.isEmpty)
        let answer = type("yes", to: &yes)
        #expect(answer.effects == [.perform(plan)])
        #expect(answer.lines.contains { $0.hasPrefix("problem gone: STUCK") })
        #expect(yes.handle(.planPerformed(.written(nil))).lines == ["written"])
        #expect(type("evict 7", to: &yes).effects.count == 1)
    }

    @Test func whatMustBeTypedIsNotConfirmedByAYes() throws {
        let snapshot = Fixture.troubled(isWritable: true)
        var plan = try Plan.evict(Fixture.shardID(7), in: snapshot)
        plan.typed = "orders-app"
        var narrator = narrator(.watch, snapshot)
        let lines = narrator.handle(.planMade(plan)).lines
        #expect(lines.last == "Type orders-app to do it; anything else leaves all as it is.")
        #expect(type("yes", to: &narrator).effects.isEmpty)
        _ = narrator.handle(.planMade(plan))
        #expect(type("orders-app", to: &narrator).effects == [.perform(plan)])
    }

    @Test func whatCannotBeDoneIsSaid() {
        var watcher = narrator(.watch, Fixture.troubled())
        let answer = type("evict 7", to: &watcher)
        #expect(answer.effects.isEmpty)
        #expect(answer.lines == ["warning: read-only: nothing is written; start again with --write to change things"])
        #expect(type("evict", to: &watcher).lines == ["usage: evict SHARD"])
        #expect(type("evcit 7", to: &watcher).lines == ["no command evcit; did you mean evict?"])
        #expect(type("theme nord", to: &watcher).lines.first?.contains("is for the screen") == true)
        #expect(type("kill worker-1", to: &watcher).lines.first?.contains("this is no demo") == true)
        #expect(type("", to: &watcher).lines.isEmpty)
        #expect(!type("help", to: &watcher).lines.contains { $0.hasPrefix("evict") })
        var operate = narrator(.watch, Fixture.troubled(isWritable: true))
        #expect(type("help", to: &operate).lines.contains { $0.hasPrefix("evict") })
    }

    @Test func theDemoIsSteeredAndItsTourEnds() {
        var narrator = narrator(.demo, Fixture.demo())
        let caption = Caption(title: "Four shards", text: "Three workers \u{2192} all read.", step: 1, steps: 9)
        #expect(
            narrator.handle(.captionChanged(caption)).lines
                == ["tour, step 1 of 9: Four shards. Three workers to all read."])
        #expect(type("shards", to: &narrator).effects.isEmpty)
        let answer = type("pause worker-2", to: &narrator)
        #expect(answer.effects == [.demo(.takeOver), .demo(.pauseWorker("worker-2"))])
        #expect(answer.lines.first == "the tour ends, the controls are yours")
        #expect(type("rate 500", to: &narrator).effects == [.demo(.setRate(500))])
        // More than one could take it.
        #expect(type("steal 0", to: &narrator).lines.first?.hasSuffix("Name it at the end: worker-2, worker-3") == true)
        #expect(
            type("steal 0 worker-2", to: &narrator).effects
                == [.makePlan(.steal(lease: Fixture.shardID(0), worker: "worker-2"))])
    }

    @Test func aWorkerIsNotStoppedByASlip() {
        var narrator = narrator(.consume, Fixture.demo())
        #expect(type("quit", to: &narrator).effects.isEmpty)
        #expect(type("no", to: &narrator).lines == ["the worker goes on"])
        _ = type("quit", to: &narrator)
        #expect(type("yes", to: &narrator).effects == [.quit])
        var watcher = self.narrator(.watch, Fixture.troubled())
        #expect(type("q", to: &watcher).effects == [.quit])
        #expect(watcher.handle(.terminal(.closed)).effects == [.quit])
    }

    @Test func wordsOfOthersCannotMoveTheCursor() {
        var snapshot = Fixture.troubled()
        snapshot.problems[0].message = "\u{1B}[2Jgone\u{7}\u{202E}"
        snapshot.workers[0].workerID = "w\u{1B}]0;x\u{7}"
        var narrator = narrator()
        let lines = narrator.handle(.snapshotTaken(snapshot)).lines + type("workers", to: &narrator).lines
        #expect(!lines.joined().unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F || $0.value == 0x202E })
    }
}
