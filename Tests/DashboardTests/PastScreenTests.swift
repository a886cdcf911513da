import Dashboard
import Fleet
import Leases
import Machine
import Testing

/// `[`, `]`, `{` and `}`: the past is looked at, plainly said, and left alone.
@Suite struct PastScreenTests {
    private let fleet = Fixture.troubled(isWritable: true)

    /// The fleet some time before, when shard 7 was still well.
    private func earlier(_ time: Duration) -> FleetSnapshot {
        var past = fleet
        past.takenAt = fleet.takenAt + (.zero - time)
        past.takenAtInstant = Fixture.instant - time
        past.leases.removeAll { $0.shardID == Fixture.shardID(7) }
        past.verdict = Verdict(severity: nil, word: "OK", headline: "all was well")
        return past
    }

    private func inPast() throws -> Screen {
        var screen = try Screen(.watch, fleet)
        #expect(try screen.press("[") == [.showPast(Fixture.instant - .seconds(10))])
        screen.send(.pastShown(earlier(.seconds(10)), asked: Fixture.instant - .seconds(10)))
        return screen
    }

    @Test func aStepBackShowsThePastAndSaysSo() throws {
        let screen = try inPast()
        #expect(screen.text.contains("PAST 12:03:57Z 10s ago"))
        #expect(screen.text.contains("all was well") && !screen.text.contains("1 shard unowned"))
        #expect(screen.foot.contains("now"))
    }

    @Test func aStepIsAnsweredBeforeItsPictureIsThere() throws {
        var screen = try inPast()
        #expect(try screen.press("[") == [.showPast(Fixture.instant - .seconds(20))])
        #expect(screen.text.contains("PAST 12:03:57Z, going to 12:03:47Z") && screen.text.contains("all was well"))
        screen.send(.pastShown(earlier(.seconds(20)), asked: Fixture.instant - .seconds(20)))
        #expect(screen.text.contains("PAST 12:03:47Z 20s ago") && !screen.text.contains("going to"))
        try screen.press("[")
        screen.send(.pastRefused("the recording is still being read"))
        #expect(screen.text.contains("PAST 12:03:47Z 20s ago") && !screen.text.contains("going to"))
    }

    @Test(arguments: ["<esc>", "<end>", "]"])
    func nowIsOneKeyAway(key: String) throws {
        var screen = try inPast()
        #expect(try screen.press(key) == [])
        #expect(!screen.text.contains("PAST") && screen.text.contains("1 shard unowned"))
        #expect(try screen.press("]") == [])
        #expect(screen.foot.contains("this is now"))
    }

    @Test func theFleetGoesOnBehindThePast() throws {
        var screen = try inPast()
        var next = fleet
        next.takenAtInstant = Fixture.instant + .seconds(60)
        next.verdict.headline = "worse still"
        screen.send(.snapshotTaken(next))
        #expect(screen.text.contains("PAST 12:03:57Z 1m10s ago") && !screen.text.contains("worse still"))
        try screen.press("<esc>")
        #expect(screen.text.contains("worse still"))
    }

    @Test func nothingCanBeDoneInThePast() throws {
        var screen = try inPast()
        for key in ["e", "r", "S", "M", "w", ":evict 6<enter>", ":undo 6<enter>"] {
            #expect(try screen.press(key) == [])
            #expect(screen.foot.contains("nothing can be done in the past"))
        }
        screen = try Screen(.demo, Fixture.demo())
        try screen.press("[")
        #expect(try screen.press("K") == [])
        #expect(screen.foot.contains("nothing can be done in the past"))
    }

    @Test func heldTheStepsGrowAndAnswersThatComeLateDoNotHoldThemBack() throws {
        var screen = try Screen(.watch, fleet)
        var asked: [Duration] = []
        for _ in 0..<22 {
            for case .showPast(let moment) in try screen.press("[") { asked.append(Fixture.instant - moment) }
        }
        #expect(asked.prefix(10).last == .seconds(100))
        #expect(asked[10] - asked[9] == .seconds(30))
        #expect(asked[21] - asked[20] == .seconds(60))
        screen.send(.pastShown(earlier(.seconds(20)), asked: Fixture.instant - .seconds(20)))
        #expect(screen.text.contains("PAST 12:03:47Z"))
        #expect(try screen.press("[") == [.showPast(Fixture.instant - asked[21] - .seconds(60))])
        // After a rest they are small again.
        screen.wait(.seconds(5))
        #expect(try screen.press("[") == [.showPast(Fixture.instant - asked[21] - .seconds(70))])
    }

    @Test func theEndOfMemoryIsSaid() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press("[[")
        screen.send(.pastShown(earlier(.seconds(12)), asked: Fixture.instant - .seconds(20)))
        #expect(screen.foot.contains("as far back as it goes"))
        #expect(try screen.press("[") == [.showPast(Fixture.instant - .seconds(22))])
    }

    @Test func bookmarksAreJumpedTo() throws {
        var screen = try Screen(.watch, fleet)
        // The owner's change at 230 s, then steal and ZOMBIE, then TERMINATE; it is 247 s now.
        for (second, words) in [(230, "OWNER 0000"), (222, "STOLEN 0008, ZOMBIE 0008"), (200, "TERMINATE 0001")] {
            let moment = Fixture.instant - .seconds(247 - second - 1)
            #expect(try screen.press("{") == [.showPast(moment)])
            #expect(screen.foot.contains(words), "\(screen.foot)")
            screen.send(.pastShown(earlier(.seconds(247 - second - 1)), asked: moment))
        }
        #expect(try screen.press("{") == [])
        #expect(screen.foot.contains("no steal"))
        #expect(try screen.press("}") == [.showPast(Fixture.instant - .seconds(24))])
        #expect(screen.foot.contains("STOLEN 0008, ZOMBIE 0008"))
    }

    @Test(arguments: [("2m", 120), ("12:03:07", 60), ("12:03", 67), ("2026-01-31T12:01:07Z", 180)])
    func aTimeIsGoneToByCommand(text: String, ago: Int) throws {
        var screen = try Screen(.watch, fleet)
        #expect(try screen.press(":past \(text)<enter>") == [.showPast(Fixture.instant - .seconds(ago))])
        try screen.press(":past now<enter>")
        #expect(!screen.text.contains("going to"))
        #expect(try screen.press(":past yesterday<enter>") == [])
        #expect(screen.foot.contains("usage"))
    }

    @Test func thePastKnowsNoLaterEvents() throws {
        var screen = try Screen(.watch, fleet)
        try screen.press("5z[")
        screen.send(.pastShown(earlier(.seconds(45)), asked: Fixture.instant - .seconds(10)))
        #expect(screen.text.contains("TERMINATE") && !screen.text.contains("ZOMBIE"))
    }

    @Test func aRecordingGoesForthToo() throws {
        var screen = try Screen(.replay, fleet)
        #expect(try screen.press("]") == [.showPast(Fixture.instant + .seconds(10))])
        #expect(screen.text.contains("going to 12:04:17Z"))
        screen.send(.pastRefused("the recording is still being read"))
        #expect(screen.foot.contains("still being read") && !screen.text.contains("going to"))
        try screen.press("]")
        screen.send(.pastShown(earlier(.seconds(5)), asked: Fixture.instant + .seconds(10)))
        #expect(screen.foot.contains("the end of the recording") && screen.text.contains("in the recording"))
        try screen.press("<esc>")
        #expect(screen.foot.contains("back to where the recording plays"))
    }

    @Test func anAnswerThatNobodyWaitsForChangesNothing() throws {
        var screen = try Screen(.watch, fleet)
        screen.send(.pastShown(earlier(.seconds(10)), asked: Fixture.instant))
        #expect(!screen.text.contains("PAST"))
        screen = try Screen(.watch, nil)
        #expect(try screen.press("[") == [])
        #expect(screen.foot.contains("no past yet"))
    }
}
