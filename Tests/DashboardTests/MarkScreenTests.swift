import Dashboard
import Fleet
import Leases
import Machine
import Testing

/// Marked shards are acted on together.
@Suite struct MarkScreenTests {
    private let fleet = Fixture.troubled(isWritable: true)
    // In the order of the table: by hash range.
    private let owned = [0, 6, 3, 7, 8].map { Fixture.shardID($0) }

    private func set(_ shards: [String], refused: [String] = []) throws -> PlanSet {
        PlanSet(
            plans: try shards.map { try Plan.evict($0, in: fleet) }, refused: refused.map { PlanSet.Refused(why: $0) })
    }

    @Test func spaceMarksAndGoesDownAndTheActionIsAboutAllMarked() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press("  ")
        #expect(screen.foot.contains("2 shards marked"))
        #expect(screen.text.contains("2 marked"))
        #expect(screen.lines.filter { $0.hasPrefix("│■") }.count == 2)
        // The worst come first: 7, then 8.
        let ids = [7, 8].map { Fixture.shardID($0) }
        #expect(try screen.press("e") == [.makePlan(.several(ids.map { .evict(lease: $0) }))])
        screen.send(.plansMade(try set(ids)))
        #expect(screen.text.contains("evict 2 shards?") && screen.text.contains("evict ip-10-0-1-9 from"))
        #expect(try screen.press("y") == [.performSet(try set(ids))])
        screen.send(.setProgressed(1))
        #expect(screen.text.contains("1 of 2 written"))
        screen.send(.setPerformed(SetOutcome(done: 2, total: 2)))
        #expect(screen.foot.contains("all 2 done") && !screen.text.contains("2 marked"))
        #expect(
            try screen.press("e") == [.makePlan(.evict(lease: Fixture.shardID(4)))] || screen.foot.contains("owner"))
    }

    @Test func aMarkIsTakenAwayAgain() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press(" k ")
        #expect(screen.foot.contains("no shard is marked"))
        try screen.press("*")
        #expect(screen.foot.contains("9 shards marked"))
        try screen.press("U")
        #expect(screen.foot.contains("no shard is marked"))
    }

    @Test func allThatTheFilterLeavesAreMarked() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press("/owner:ip-10-0-1-8<enter>*<esc>")
        let ids = [6, 8].map { Fixture.shardID($0) }
        #expect(try screen.press("e") == [.makePlan(.several(ids.map { .evict(lease: $0) }))])
    }

    @Test func whatIsLeftOutIsSaidWithItsReason() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press("*e")
        screen.send(.plansMade(try set(owned, refused: ["0004 has no owner: there is nobody to evict"])))
        #expect(screen.text.contains("left out") && screen.text.contains("nobody to evict"))
        try screen.press("<esc>e")
        screen.send(.plansMade(PlanSet(plans: [], refused: [PlanSet.Refused(why: "nobody to evict")])))
        #expect(screen.foot.contains("nothing can be done: nobody to evict"))
    }

    @Test func aboveTenTheNumberIsTyped() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press("*e")
        let one = try Plan.evict(Fixture.shardID(7), in: fleet)
        let set = PlanSet(plans: Array(repeating: one, count: 11))
        screen.send(.plansMade(set))
        #expect(screen.text.contains("type 11 to confirm"))
        #expect(try screen.press("y<enter><enter>") == [])
        #expect(screen.foot.contains("type 11 to evict"))
        #expect(try screen.press("<c-u>11<enter>") == [.performSet(set)])
    }

    @Test func aSetIsStoppedAndWhereItFailedIsSaid() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press("  e")
        screen.send(.plansMade(try set([7, 8].map { Fixture.shardID($0) })))
        try screen.press("y")
        #expect(try screen.press("<esc>") == [.stopSet])
        #expect(try screen.press("<esc>") == [])
        screen.send(.setPerformed(SetOutcome(done: 1, total: 2)))
        #expect(screen.foot.contains("stopped: 1 of 2 done"))
        #expect(screen.text.contains("2 marked"))
        try screen.press("e")
        screen.send(.plansMade(try set([7, 8].map { Fixture.shardID($0) })))
        try screen.press("y")
        var outcome = SetOutcome(done: 0, total: 2)
        outcome.failed = SetOutcome.Failed(shardID: Fixture.shardID(7), outcome: .intentGone(nil))
        screen.send(.setPerformed(outcome))
        #expect(screen.foot.contains("stopped at 0007, 0 of 2 done"))
    }

    @Test func aRewindOfSeveralAsksOnce() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press("  w")
        #expect(screen.text.contains("rewind or advance 2 shards"))
        let ids = [7, 8].map { Fixture.shardID($0) }
        let request = try #require(RewindRequest("10m"))
        #expect(
            try screen.press("10m<enter>")
                == [.makePlan(.several(ids.map { .rewind(lease: $0, to: request) }))])
    }

    @Test func splitAndMergeAreAboutOneShard() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press("  ")
        for key in ["S", "M"] {
            #expect(try screen.press(key) == [])
            #expect(screen.foot.contains("one shard"))
        }
        // A shard that is named is not the marked ones.
        #expect(try screen.press(":evict 6<enter>") == [.makePlan(.evict(lease: Fixture.shardID(6)))])
    }

    @Test func whatIsNotWrittenAnywayIsRefusedAtOnce() throws {
        var screen = try Screen(.watch, Fixture.troubled())
        #expect(try screen.press("  e") == [])
        #expect(screen.foot.contains("read-only"))
    }

    @Test func marksGoWithTheirShards() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press("  ")
        var next = fleet
        next.leases.removeAll { $0.shardID == Fixture.shardID(7) }
        screen.send(.snapshotTaken(next))
        #expect(screen.text.contains("1 marked"))
    }

    @Test func commandsMarkToo() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press(":mark 6<enter>:mark 8<enter>")
        #expect(screen.foot.contains("2 shards marked"))
        try screen.press(":mark none<enter>")
        #expect(screen.foot.contains("no shard is marked"))
        try screen.press(":mark all<enter>")
        #expect(screen.foot.contains("9 shards marked"))
    }
}
