import Dashboard
import Fleet
import Leases
import Machine
import Testing

/// What the model decides: events in, whole lists of effects out.
@Suite struct ModelTests {
    // MARK: Actions

    @Test func aReadOnlyFleetIsNotWrittenAndTheScreenSaysHowToEnableIt() throws {
        var screen = try Screen()
        for key in ["s", "e", "r", "S", "M"] {
            #expect(try screen.press(key) == [])
            #expect(screen.foot.contains("read-only") && screen.foot.contains("--write"))
        }
    }

    @Test func anEvictionIsPlannedShownConfirmedAndDone() throws {
        let fleet = Fixture.troubled(isWritable: true)
        var screen = try Screen(.watch, fleet)
        #expect(try screen.press("e") == [.makePlan(.evict(lease: Fixture.shardID(7)))])
        let plan = try Plan.evict(Fixture.shardID(7), in: fleet)
        screen.send(.planMade(plan))
        #expect(screen.text.contains("evict ip-10-0-1-9 from 0007"))
        #expect(screen.text.contains("UpdateItem orders-app"))
        #expect(try screen.press("y") == [.perform(plan)])
        screen.effects = []
        screen.send(.planPerformed(.written(nil)))
        #expect(screen.effects == [.refreshNow])
        #expect(screen.foot.contains("written"))
    }

    @Test(arguments: ["n", "<esc>", "<right><enter>", "q"])
    func aPlanThatIsNotConfirmedWritesNothing(keys: String) throws {
        let fleet = Fixture.troubled(isWritable: true)
        var screen = try Screen(.watch, fleet)
        try screen.press("e")
        screen.send(.planMade(try Plan.evict(Fixture.shardID(7), in: fleet)))
        #expect(try screen.press(keys) == [])
        #expect(screen.foot.contains("nothing was written"))
        #expect(try screen.press("e") == [.makePlan(.evict(lease: Fixture.shardID(7)))])
    }

    @Test func oneActionWaitsForTheAnswerOfTheOneBefore() throws {
        var screen = try Screen(.watch, Fixture.troubled(isWritable: true))
        try screen.press("e")
        #expect(try screen.press("e") == [])
        #expect(screen.foot.contains("one thing at a time"))
        screen.send(.planRefused("no such lease"))
        #expect(screen.foot.contains("no such lease"))
        #expect(try screen.press("e") == [.makePlan(.evict(lease: Fixture.shardID(7)))])
    }

    @Test func whatNoLongerHoldsIsSaidAndReadAgain() throws {
        var screen = try Screen(.watch, Fixture.troubled(isWritable: true))
        screen.send(.planPerformed(.intentGone(nil)))
        #expect(screen.effects == [.refreshNow])
        #expect(screen.foot.contains("nothing was written"))
        screen.send(.planPerformed(.failed("DynamoDB did not answer")))
        #expect(screen.foot.contains("DynamoDB did not answer"))
    }

    @Test func stealingAsksWhichOfOurWorkersTakesIt() throws {
        var screen = try Screen(.demo, Fixture.demo())
        #expect(try screen.press("s") == [])
        #expect(screen.text.contains("steal 0000 to"))
        #expect(
            try screen.press("j<enter>") == [.makePlan(.steal(lease: Fixture.shardID(0), worker: "worker-3"))])
    }

    @Test func withoutAWorkerOfOursNothingIsStolen() throws {
        var screen = try Screen(.watch, Fixture.troubled(isWritable: true))
        #expect(try screen.press("s") == [])
        #expect(screen.foot.contains("needs a worker in this process"))
    }

    @Test func anotherProcessesLeaseIsNotReleasedButEvicted() throws {
        var screen = try Screen(.watch, Fixture.troubled(isWritable: true))
        #expect(try screen.press("r") == [])
        #expect(screen.foot.contains("e evicts it"))
        var ours = try Screen(.demo, Fixture.demo())
        #expect(try ours.press("r") == [.makePlan(.release(lease: Fixture.shardID(0)))])
    }

    @Test func mergingOffersTheNeighboursOfTheShard() throws {
        var screen = try Screen(.demo, Fixture.demo())
        #expect(try screen.press("M") == [.makePlan(.merge(shard: Fixture.shardID(0), adjacent: Fixture.shardID(1)))])
        var middle = try Screen(.demo, Fixture.demo())
        #expect(try middle.press("jM") == [])
        #expect(
            try middle.press("j<enter>")
                == [.makePlan(.merge(shard: Fixture.shardID(1), adjacent: Fixture.shardID(2)))])
    }

    @Test func aClosedShardIsNeitherSplitNorMerged() throws {
        var screen = try Screen(.watch, Fixture.troubled(isWritable: true))
        try screen.press(":show 3<enter>")
        #expect(try screen.press("S") == [])
        #expect(screen.foot.contains("0003 is closed"))
    }

    @Test func aRecordingIsOnlyWatched() throws {
        var screen = try Screen(.replay, Fixture.troubled(isWritable: true))
        #expect(try screen.press("e") == [])
        #expect(screen.foot.contains("a recording can only be watched"))
    }

    @Test func aRecordingIsNotOldByTheClockOfWhoWatchesIt() throws {
        var watched = try Screen(.watch, Fixture.troubled())
        watched.wait(.seconds(3600))
        #expect(watched.lines[0].contains("old"))
        var replayed = try Screen(.replay, Fixture.troubled())
        let time = replayed.lines[0].suffix(20)
        replayed.wait(.seconds(3600))
        #expect(!replayed.lines[0].contains("old"))
        #expect(replayed.lines[0].suffix(20) == time)
    }

    @Test func aProblemsKeyActsOnItsOwnShard() throws {
        var screen = try Screen(.watch, Fixture.troubled(isWritable: true))
        #expect(try screen.press("6je") == [.makePlan(.evict(lease: Fixture.shardID(8)))])
    }

    // MARK: The demo

    @Test func workersAreStoppedKilledPausedAndStarted() throws {
        var screen = try Screen(.demo, Fixture.demo())
        #expect(try screen.press("4jK") == [.demo(.killWorker("worker-2"))])
        #expect(try screen.press("x") == [.demo(.stopWorker("worker-2"))])
        #expect(try screen.press("P") == [.demo(.pauseWorker("worker-2"))])
        #expect(try screen.press("n") == [.demo(.startWorker)])
        screen.send(.snapshotTaken(Fixture.demo(paused: "worker-2")))
        #expect(try screen.press("P") == [.demo(.resumeWorker("worker-2"))])
        #expect(try screen.press("1K") == [.demo(.killWorker("worker-1"))])
    }

    @Test func theProducerIsSteeredInSteps() throws {
        var screen = try Screen(.demo, Fixture.demo())
        screen.send(.demoChanged(DemoStatus(rate: 200)))
        #expect(try screen.press(">") == [.demo(.setRate(300))])
        #expect(try screen.press("<lt>") == [.demo(.setRate(200))])
        #expect(try screen.press("HH") == [.demo(.setHotFraction(0.25)), .demo(.setHotFraction(0.5))])
        #expect(try screen.press(":rate 0<enter>:hot 0.9<enter>") == [.demo(.setRate(0)), .demo(.setHotFraction(0.9))])
        #expect(try screen.press(":hot 3<enter>") == [])
    }

    @Test func theDemosKeysSayElsewhereThatThisIsNoDemo() throws {
        var screen = try Screen()
        for key in ["K", "x", "P", "n", ">"] {
            #expect(try screen.press(key) == [])
            #expect(screen.foot.contains("this is no demo"))
        }
    }

    @Test func anyKeyTakesTheTourOverOnce() throws {
        var screen = try Screen(.demo, Fixture.demo())
        screen.send(.captionChanged(Caption(title: "steal", text: "worker-2 takes a lease", step: 3, steps: 12)))
        #expect(try screen.press("jj") == [.demo(.takeOver)])
        #expect(screen.foot.contains("the controls are yours"))
    }

    // MARK: Leaving

    @Test func onlyAConsumerAsksBeforeItQuits() throws {
        var watch = try Screen()
        #expect(try watch.press("q") == [.quit])
        var consume = try Screen(.consume, Fixture.demo())
        #expect(try consume.press("q") == [])
        #expect(try consume.press("<enter>") == [])
        #expect(try consume.press("qy") == [.quit])
        consume.effects = []
        consume.send(.terminal(.interrupted(signal: 2)))
        #expect(consume.effects == [])
        #expect(try consume.press("n") == [])
    }

    @Test func aConsumerIsNotSuspended() throws {
        var watch = try Screen()
        #expect(try watch.press("<c-z>") == [.suspend])
        var consume = try Screen(.consume, Fixture.demo())
        #expect(try consume.press("<c-z>") == [])
        #expect(consume.foot.contains("Ctrl-Z is off"))
    }

    @Test func aConsumerGoesOnWithoutItsTerminal() throws {
        for event in [TerminalEvent.closed, .interrupted(signal: 1)] {
            var watch = try Screen()
            watch.send(.terminal(event))
            #expect(watch.effects == [.quit])
            var consume = try Screen(.consume, Fixture.demo())
            consume.send(.terminal(event))
            #expect(consume.effects == [.goHeadless])
        }
        var consume = try Screen(.consume, Fixture.demo())
        consume.send(.terminal(.interrupted(signal: 15)))
        #expect(consume.effects == [.quit])
    }

    @Test func whatWasPastedIsNeverTakenForKeys() throws {
        var screen = try Screen(.watch, Fixture.troubled(isWritable: true))
        screen.send(.terminal(.paste("qe:quit\n")))
        #expect(screen.effects == [])
        try screen.press("/")
        screen.send(.terminal(.paste("0008\n")))
        #expect(screen.effects == [])
        #expect(screen.foot.contains("/0008"))
    }

    // MARK: Settings

    @Test func themesArePreviewedAndEscRestores() throws {
        var screen = try Screen()
        #expect(try screen.press("t") == [])
        #expect(try screen.press("j") == [.setTheme("amber")])
        #expect(try screen.press("<esc>") == [.setTheme("shardtop")])
        #expect(try screen.press("tj<enter>") == [.setTheme("amber")])
        #expect(screen.model.themeName == "amber")
    }

    @Test func refreshMouseAndCopyAreEffects() throws {
        var screen = try Screen()
        #expect(try screen.press("+") == [.setRefresh(.seconds(2))])
        #expect(try screen.press("-") == [.setRefresh(.seconds(5))])
        #expect(try screen.press("m") == [.setMouse(false)])
        #expect(try screen.press("y") == [.copy(Fixture.shardID(7))])
        #expect(try screen.press("<c-l><f5>") == [.redraw, .refreshNow])
    }
}
