import Dashboard
import Fleet
import Machine
import Testing

/// What is typed after `:`.
@Suite struct CommandTests {
    @Test func everyActionHasACommand() throws {
        var screen = try Screen(.demo, Fixture.demo())
        #expect(
            try screen.press(":steal 2 worker-1<enter>")
                == [.makePlan(.steal(lease: Fixture.shardID(2), worker: "worker-1"))])
        screen.send(.planRefused("no"))
        #expect(try screen.press(":evict 0001<enter>") == [.makePlan(.evict(lease: Fixture.shardID(1)))])
        screen.send(.planRefused("no"))
        #expect(try screen.press(":release 3<enter>") == [.makePlan(.release(lease: Fixture.shardID(3)))])
        screen.send(.planRefused("no"))
        #expect(try screen.press(":split 3<enter>") == [.makePlan(.split(shard: Fixture.shardID(3), at: nil))])
        screen.send(.planRefused("no"))
        #expect(
            try screen.press(":merge 1 2<enter>")
                == [.makePlan(.merge(shard: Fixture.shardID(1), adjacent: Fixture.shardID(2)))])
        #expect(try screen.press(":kill worker-2<enter>") == [.demo(.killWorker("worker-2"))])
        #expect(try screen.press(":stop r-2<enter>") == [.demo(.stopWorker("worker-2"))])
        #expect(try screen.press(":pause worker-3<enter>") == [.demo(.pauseWorker("worker-3"))])
        #expect(try screen.press(":start<enter>") == [.demo(.startWorker)])
        #expect(try screen.press(":theme nord<enter>") == [.setTheme("nord")])
        #expect(try screen.press(":refresh 10<enter>") == [.setRefresh(.seconds(10))])
        #expect(try screen.press(":refresh now<enter>") == [.refreshNow])
        #expect(try screen.press(":mouse off<enter>") == [.setMouse(false)])
        #expect(try screen.press(":quit<enter>") == [.quit])
    }

    @Test func aSplitTakesAKeyInThreeSpellings() throws {
        var screen = try Screen(.demo, Fixture.demo())
        let quarter = UInt128(1) << 126
        for (text, key) in [
            ("0x10000000000000000000000000000000", UInt128(1) << 124), ("\(UInt128(1) << 125)", UInt128(1) << 125),
            ("50%", (quarter - 1) / 100 * 50),
        ] {
            #expect(
                try screen.press(":split 0 at \(text)<enter>")
                    == [.makePlan(.split(shard: Fixture.shardID(0), at: key))])
            screen.send(.planRefused("no"))
        }
        #expect(try screen.press(":split 0 at 0<enter>") == [])
        #expect(screen.foot.contains("the key must be above"))
        #expect(try screen.press(":split 0 at zebra<enter>") == [])
        #expect(screen.foot.contains("zebra is no hash key"))
    }

    @Test(arguments: [
        (":stael<enter>", "did you mean :steal?"), (":frobnicate<enter>", "no command frobnicate"),
        (":theme nrod<enter>", "did you mean nord?"), (":evict 99<enter>", "no shard 99 in this table"),
        (":steal 0 worker-9<enter>", "no worker worker-9 here; did you mean worker-"),
        (":sort lagg<enter>", "did you mean lag?"), (":rate many<enter>", "many is no number"),
        (":merge 0 2<enter>", "do not adjoin"), (":kill worker<enter>", "means 3 workers"),
        (":pane nowhere<enter>", "the panes are shards"),
    ])
    func whatIsUnknownIsOneClearLine(keys: String, said: String) throws {
        var screen = try Screen(.demo, Fixture.demo())
        #expect(try screen.press(keys) == [])
        #expect(screen.foot.contains(said))
    }

    @Test func tabCompletesNamesAndArguments() throws {
        var screen = try Screen(.demo, Fixture.demo())
        try screen.press(":st")
        #expect(screen.text.contains("steal") && screen.text.contains("start") && screen.text.contains("stop"))
        try screen.press("<tab>")
        #expect(screen.foot.hasPrefix(":steal"))
        try screen.press("<s-tab>")
        #expect(screen.foot.hasPrefix(":stop"))
        try screen.press(" wor<tab>")
        #expect(screen.foot.hasPrefix(":stop worker-1"))
        #expect(try screen.press("<enter>") == [.demo(.stopWorker("worker-1"))])
    }

    @Test func earlierCommandsComeBack() throws {
        var screen = try Screen()
        try screen.press(":sort owner<enter>:zoom<enter>:<up><up>")
        #expect(screen.foot.hasPrefix(":sort owner"))
        try screen.press("<down>")
        #expect(screen.foot.hasPrefix(":zoom"))
        try screen.press("<down>")
        #expect(screen.foot.hasPrefix(":") && !screen.foot.contains("zoom "))
    }

    @Test func theListedShardsAreExported() throws {
        var screen = try Screen()
        let effects = try screen.press("/late<enter>:export out.csv<enter>")
        guard case .export(let path, let text)? = effects.first, effects.count == 1 else {
            Issue.record("no export in \(effects)")
            return
        }
        #expect(path == "out.csv")
        let lines = text.split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines[0].hasPrefix("shard,owner,state,lag,"))
        #expect(lines[1].hasPrefix("shardId-000000000008,ip-10-0-1-8,LATE,4100,5600,"))
    }
}
