import AWSWire
import Dashboard
import Fleet
import Leases
import Machine
import Testing

/// `w` and `:undo`: the position is asked for, looked up, shown, and confirmed by what the plan wants typed.
@Suite struct RewindScreenTests {
    private let fleet = Fixture.troubled(isWritable: true)
    private let shard = Fixture.shardID(7)

    private func plan(_ text: String) throws -> Plan {
        guard case .plan(let plan) = try Plan.rewind(shard, to: try #require(RewindRequest(text)), in: fleet) else {
            throw Refusal(.noRecord, "a search")
        }
        return plan
    }

    @Test(arguments: [
        ("trim_horizon", "TRIM_HORIZON"), ("LATEST", "LATEST"), ("10m", "10m"), ("1h30m back", "1h30m"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"), ("49640000001", "49640000001"),
    ])
    func aPositionIsAskedForAndHandedOn(typed: String, meant: String) throws {
        var screen = try Screen(.watch, fleet)
        #expect(try screen.press("w") == [])
        #expect(screen.text.contains("rewind or advance 0007") && screen.text.contains("TRIM_HORIZON"))
        let request = try #require(RewindRequest(meant))
        #expect(try screen.press(typed + "<enter>") == [.makePlan(.rewind(lease: shard, to: request))])
        #expect(try screen.press("w") == [])
    }

    @Test func whatIsNoPositionIsSaidAndCanBeMended() throws {
        var screen = try Screen(.watch, fleet)
        #expect(try screen.press("wyesterday<enter>") == [])
        #expect(screen.foot.contains("yesterday is no position"))
        let request = try #require(RewindRequest("1d"))
        #expect(try screen.press("<c-u>1d<enter>") == [.makePlan(.rewind(lease: shard, to: request))])
    }

    @Test func escLeavesTheDialogAndNothingIsAsked() throws {
        var screen = try Screen(.watch, fleet)
        #expect(try screen.press("w10m<esc>") == [])
        #expect(!screen.text.contains("rewind or advance 0007"))
    }

    @Test func whatSkipsNothingIsConfirmedWithAYes() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press("wTRIM_HORIZON<enter>")
        let plan = try plan("TRIM_HORIZON")
        #expect(plan.typed == nil)
        screen.send(.planMade(plan))
        #expect(screen.text.contains("TRIM_HORIZON") && screen.text.contains("y  rewind"))
        #expect(try screen.press("y") == [.perform(plan)])
    }

    @Test func whatSkipsRecordsWantsTheApplicationsNameAndNothingElseWillDo() throws {
        var screen = try Screen(.watch, fleet, width: 80, height: 24)
        try screen.press("wLATEST<enter>")
        let plan = try plan("LATEST")
        screen.send(.planMade(plan))
        #expect(screen.text.contains("type orders-app to confirm"))
        for keys in ["<enter>", "y<enter>", "es<enter>"] {
            #expect(try screen.press(keys) == [])
            #expect(screen.text.contains("type orders-app to confirm"))
        }
        // A click on the button is no shorter way.
        for y in 0..<24 {
            for x in stride(from: 0, to: 80, by: 3) { screen.send(.terminal(.mouse(x: x, y: y, .press(.left)))) }
        }
        #expect(!screen.effects.contains(.perform(plan)))
        screen = try Screen(.watch, fleet)
        screen.send(.planMade(plan))
        #expect(try screen.press("orders-app<enter>") == [.perform(plan)])
        screen = try Screen(.watch, fleet)
        screen.send(.planMade(plan))
        #expect(try screen.press("orders-app<esc>") == [])
        #expect(screen.foot.contains("nothing was written"))
    }

    @Test func aLookUpCanBeGivenUpAndItsPlanIsNotShownLater() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press("w10m<enter>")
        #expect(screen.text.contains("looking for the first record"))
        #expect(try screen.press("y") == [])
        #expect(try screen.press("<esc>") == [.dropPlan])
        screen.send(.planMade(try plan("TRIM_HORIZON")))
        #expect(!screen.text.contains("y  rewind"))
        #expect(try screen.press("e") == [.makePlan(.evict(lease: shard))])
        screen.send(.planMade(try Plan.evict(shard, in: fleet)))
        #expect(screen.text.contains("y  evict"))
    }

    @Test func aRefusalEndsTheLookUp() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press("w10m<enter>")
        screen.send(.planRefused("no record came then"))
        #expect(!screen.text.contains("looking for") && screen.foot.contains("no record came then"))
    }

    @Test func aPlanNeverComesUpUnderTheFingersOfWhoTypesSomethingElse() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press("e/")
        screen.send(.planMade(try Plan.evict(shard, in: fleet)))
        #expect(try screen.press("y<enter>") == [])
    }

    @Test func commandsDoTheSame() throws {
        var screen = try Screen(.watch, fleet)
        let request = try #require(RewindRequest("10m back"))
        #expect(
            try screen.press(":rewind 3 10m back<enter>")
                == [.makePlan(.rewind(lease: Fixture.shardID(3), to: request))])
        screen = try Screen(.watch, fleet)
        #expect(try screen.press(":undo 7<enter>") == [.makePlan(.undo(lease: shard))])
        screen = try Screen(.watch, fleet)
        #expect(try screen.press(":rewind 7 soon<enter>") == [])
        #expect(screen.foot.contains("soon is no position"))
        #expect(try screen.press(":rewind 7<enter>") == [])
        #expect(screen.text.contains("rewind or advance 0007"))
    }

    @Test func aReadOnlyFleetIsNotRewound() throws {
        var screen = try Screen()
        #expect(try screen.press("w") == [])
        #expect(screen.foot.contains("read-only"))
        #expect(try screen.press(":undo 7<enter>") == [])
        #expect(screen.foot.contains("read-only"))
    }
}
