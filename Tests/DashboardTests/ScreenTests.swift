import Dashboard
import Fleet
import Machine
import Testing

/// Whole pictures. A changed golden is a changed screen, and is reviewed as one.
@Suite struct ScreenTests {
    private static let sizes = [(80, 24), (120, 40), (200, 60)]

    @Test(arguments: sizes)
    func aTroubledFleetFitsEverySize(width: Int, height: Int) throws {
        let screen = try Screen(width: width, height: height)
        try expectGolden(screen.buffer, "troubled-\(width)x\(height)")
    }

    @Test(arguments: sizes)
    func theDemoFitsEverySize(width: Int, height: Int) throws {
        var screen = try Screen(.demo, Fixture.demo(), width: width, height: height)
        screen.send(
            .demoChanged(
                DemoStatus(
                    produced: 6210, delivered: 6195, duplicates: 12, outOfOrder: 0, lost: 0, rate: 200,
                    hotFraction: 0.5)))
        screen.send(
            .captionChanged(
                Caption(
                    title: "ownership",
                    text: "Three workers share four shards: each row of the lease table names one owner.", step: 1,
                    steps: 12)))
        try expectGolden(screen.buffer, "demo-\(width)x\(height)")
    }

    @Test(arguments: [("16-colours", ColorDepth.ansi16), ("256-colours", .x256), ("mono", .mono)])
    func fewerColoursLeaveEverythingReadable(name: String, depth: ColorDepth) throws {
        let screen = try Screen(width: 80, height: 24, depth: depth)
        try expectGolden(screen.buffer, "troubled-\(name)")
    }

    @Test func plainCharactersSuffice() throws {
        var screen = try Screen(.watch, Fixture.troubled(isWritable: true), depth: .mono, symbols: .ascii)
        try expectGolden(screen.buffer, "troubled-ascii")
        for keys in ["", "?", "<esc><enter>", "<esc>:st", "<esc>/x", "<esc>t", "<esc>2", "3", "4", "5", "6"] {
            try screen.press(keys)
            let odd = screen.text.unicodeScalars.filter { $0.value >= 0x7F }
            #expect(odd.isEmpty, "\(keys) shows \(odd.map(String.init))")
        }
    }

    @Test func aLightThemeIsLight() throws {
        let screen = try Screen(width: 80, height: 24, theme: "solarized-light")
        try expectGolden(screen.buffer, "troubled-light")
    }

    @Test(arguments: [(1, 5), (20, 3), (59, 15), (80, 14), (0, 0)])
    func aTerminalThatIsTooSmallSaysWhatItNeeds(width: Int, height: Int) throws {
        let screen = try Screen(width: width, height: height)
        if width >= 40 { #expect(screen.text.contains("need 60×15, have \(width)×\(height)")) }
        try expectGolden(screen.buffer, "tiny-\(width)x\(height)")
    }

    @Test func theSmallestScreenShowsOnePaneAtATime() throws {
        var screen = try Screen(width: 60, height: 15)
        try expectGolden(screen.buffer, "smallest-shards")
        try screen.press("5")
        try expectGolden(screen.buffer, "smallest-events")
    }

    @Test(arguments: [(80, 24), (120, 40)])
    func oneShardShowsItsWhyItsRowAndItsPast(width: Int, height: Int) throws {
        var screen = try Screen(width: width, height: height)
        try screen.press("/drain<enter><enter>")
        try expectGolden(screen.buffer, "detail-\(width)x\(height)")
    }

    @Test func oneShardShowsHowItsReaderGetsOn() throws {
        var fleet = Fixture.troubled()
        for index in fleet.leases.indices where fleet.leases[index].state == .drain {
            fleet.leases[index].progress = ProgressView(.ok, .after(.seconds(125)))
        }
        var screen = try Screen(.watch, fleet)
        try screen.press("/drain<enter><enter>")
        #expect(screen.text.contains("OK: behind, caught up in 2m05s"))
        for index in fleet.leases.indices { fleet.leases[index].progress = ProgressView(.warn, .never) }
        screen.send(.snapshotTaken(fleet))
        #expect(screen.text.contains("WARN: the checkpoint moves"))
    }

    @Test(arguments: [(80, 24), (120, 40)])
    func aPlanIsShownBeforeItIsDone(width: Int, height: Int) throws {
        let fleet = Fixture.troubled(isWritable: true)
        var screen = try Screen(.watch, fleet, width: width, height: height)
        try screen.press("e")
        screen.send(.planMade(try Plan.evict(Fixture.shardID(7), in: fleet)))
        try expectGolden(screen.buffer, "plan-\(width)x\(height)")
    }

    @Test func helpIsAboutWhereOneIs() throws {
        var screen = try Screen(.demo, Fixture.demo(), width: 80, height: 24)
        try screen.press("?")
        try expectGolden(screen.buffer, "help-shards")
        try screen.press("  ")
        try expectGolden(screen.buffer, "help-shards-2")
        try screen.press("<esc>5?")
        #expect(screen.text.contains("help: events") && screen.text.contains("ZOMBIE"))
    }

    @Test func aFilterAndAFrozenPictureAreUnmistakable() throws {
        var screen = try Screen(width: 80, height: 24)
        try screen.press("/ip-10-0-1-8")
        try expectGolden(screen.buffer, "filter-typing")
        try screen.press("<enter>p")
        screen.wait(.seconds(42))
        try expectGolden(screen.buffer, "filtered-frozen")
    }

    @Test func commandsAreCompletedWhileTheyAreTyped() throws {
        var screen = try Screen(.demo, Fixture.demo(), width: 80, height: 24)
        try screen.press(":s<tab>")
        try expectGolden(screen.buffer, "command")
    }

    @Test func themesAreChosenBesideThePicture() throws {
        var screen = try Screen()
        try screen.press("t")
        try expectGolden(screen.buffer, "themes")
    }

    @Test func anEmptyTableSaysWhyAndWhatToDo() throws {
        try expectGolden(try Screen(.watch, Fixture.empty(), width: 80, height: 24).buffer, "empty")
    }

    @Test func theFirstFrameComesBeforeAnyData() throws {
        try expectGolden(try Screen(.watch, nil, width: 80, height: 24).buffer, "connecting")
        try expectGolden(try Screen(.watch, Fixture.unread(), width: 80, height: 24).buffer, "reading")
    }

    @Test func anUnreachableEndpointSaysSoAndCountsDown() throws {
        var screen = try Screen(.watch, Fixture.unread(), width: 80, height: 24)
        screen.send(
            .unreachable(
                "nothing listens at http://127.0.0.1:4567: start it, or give another --endpoint-url",
                retryAt: screen.model.now + .seconds(4)))
        try expectGolden(screen.buffer, "unreachable")
        var later = try Screen(width: 80, height: 24)
        later.send(.unreachable("DynamoDB does not answer", retryAt: later.model.now + .seconds(8)))
        #expect(later.text.contains("UNREACHABLE") && later.text.contains("again in 8.0s"))
        later.send(.snapshotTaken(Fixture.troubled()))
        #expect(!later.text.contains("UNREACHABLE"))
    }

    @Test func holesAndUnownedShardsAreCrossedOut() throws {
        var fleet = Fixture.troubled()
        fleet.leases.removeAll { $0.shardID == Fixture.shardID(6) }
        var hole = LeaseView(id: "hole:0", kind: .hole, shardID: "", state: .hole, reason: .uncovered)
        hole.hashKeyRange = Fixture.range(4, 8)
        hole.severity = .critical
        fleet.leases.insert(hole, at: 1)
        let screen = try Screen(.watch, fleet, width: 80, height: 24)
        try expectGolden(screen.buffer, "hole")
    }

    @Test func tenThousandShardsAreDrawn() throws {
        try expectGolden(try Screen(.watch, Fixture.large(10_000)).buffer, "large")
    }

    @Test(arguments: ["", "<enter>", "4", "5", "6", "?", ":steal ", "/evil"])
    func controlCharactersFromTablesNeverReachACell(keys: String) throws {
        var screen = try Screen(.demo, Fixture.hostile())
        try screen.press(keys)
        for cell in screen.buffer.cells {
            for value in [cell.base, cell.mark, cell.secondMark] where value != 0 {
                #expect(value >= 0x20 && !(0x7F..<0xA0).contains(value) && value != 0x202E)
            }
        }
    }
}
