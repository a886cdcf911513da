import Dashboard
import Fleet
import Machine
import Testing

/// Moving about: focus, selection, filter, order, freeze, mouse.
@Suite struct ExploringTests {
    private func shards(_ screen: Screen) -> [String] {
        screen.lines.drop { !$0.contains("SHARD") }.dropFirst().prefix { $0.hasPrefix("│") }.compactMap { line in
            line.split(separator: " ").first { $0.count == 4 && $0.allSatisfy(\.isNumber) }.map(String.init)
        }
    }

    @Test func theWorstComesFirstThenTheLag() throws {
        let screen = try Screen()
        #expect(shards(screen) == ["0007", "0008", "0004", "0005", "0003", "0006", "0000", "0001", "0002"])
    }

    @Test func theSelectionStaysWithItsShardWhenRowsMove() throws {
        var screen = try Screen(.demo, Fixture.demo())
        try screen.press("jj")
        #expect(try screen.press("y") == [.copy(Fixture.shardID(2))])
        var next = Fixture.demo()
        next.leases[2].deliveredLag = Lag(90_000, .exact)
        screen.send(.snapshotTaken(next))
        #expect(shards(screen).first == "0002")
        #expect(try screen.press("y") == [.copy(Fixture.shardID(2))])
        #expect(try screen.press("jy") == [.copy(Fixture.shardID(0))])
    }

    @Test func aFilterStaysAndIsShownUntilEscDropsIt() throws {
        var screen = try Screen()
        try screen.press("/owner:ip-10-0-1-8<enter>")
        #expect(shards(screen) == ["0008", "0006"])
        screen.send(.snapshotTaken(Fixture.troubled()))
        #expect(shards(screen) == ["0008", "0006"])
        #expect(screen.text.contains("/owner:ip-10-0-1-8") && screen.text.contains("2 of 9"))
        try screen.press("<esc>")
        #expect(shards(screen).count == 9)
    }

    @Test(arguments: [
        ("late", ["0008"]), ("!live !ended !blocked", ["0007", "0008", "0003"]), ("~ip18", ["0008", "0006"]),
        ("lag>5s", ["0007", "0003"]), ("state:^live$", ["0006", "0000"]), ("drain|late", ["0008", "0003"]),
        ("000[", []), ("rate>900 lag<1s", ["0000"]), ("^shardid-0*7$", ["0007"]),
    ])
    func filtersAreWordsInversesFuzzyFieldsAndComparisons(filter: String, left: [String]) throws {
        var screen = try Screen()
        try screen.press("/\(filter.split(separator: "<").joined(separator: "<lt>"))<enter>")
        #expect(shards(screen) == left)
    }

    @Test func escWhileTypingAFilterRestoresTheOneBefore() throws {
        var screen = try Screen()
        try screen.press("/late<enter>/x<esc>")
        #expect(shards(screen) == ["0008"])
    }

    @Test func aFrozenPictureStandsAndCanBeExplored() throws {
        var screen = try Screen()
        try screen.press("p")
        var next = Fixture.troubled()
        next.leases.removeAll { $0.shardID == Fixture.shardID(7) }
        next.takenAtInstant = Fixture.instant + .seconds(12)
        screen.send(.snapshotTaken(next))
        #expect(shards(screen).first == "0007")
        #expect(screen.text.contains("FROZEN 12s"))
        try screen.press("<enter>")
        #expect(screen.text.contains("the row as stored"))
        try screen.press("<esc>p")
        #expect(shards(screen).first == "0008")
        #expect(!screen.text.contains("FROZEN"))
    }

    @Test func anyColumnOrdersTheShardsAndAnArrowShowsIt() throws {
        var screen = try Screen()
        try screen.press(":sort shard<enter>")
        #expect(shards(screen) == ["0000", "0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008"])
        #expect(screen.text.contains("SHARD▴") || screen.text.contains("SHAR▴"))
        try screen.press("R")
        #expect(shards(screen).first == "0008")
        try screen.press(":sort rate<enter>")
        #expect(shards(screen).first == "0003")
        #expect(screen.text.contains("REC/S▾"))
        try screen.press("0")
        #expect(shards(screen).first == "0007")
    }

    @Test func digitsGoToPanesAndHideThem() throws {
        var screen = try Screen()
        try screen.press("5")
        #expect(try screen.press("5") == [])
        #expect(!screen.text.contains("⁵events"))
        try screen.press("5")
        #expect(screen.text.contains("⁵events"))
        try screen.press("z")
        #expect(!screen.text.contains("┐¹shards┌"))
        try screen.press("<esc>")
        #expect(screen.text.contains("┐¹shards┌"))
    }

    @Test func everyPaneCanBeReachedAtEverySize() throws {
        for (width, height) in [(60, 15), (80, 24), (109, 30), (120, 40), (200, 60)] {
            for pane in 1...6 {
                var screen = try Screen(width: width, height: height)
                if pane > 1 { try screen.press("\(pane)") }
                let title =
                    "┐" + ["¹shards", "²hash key space", "³lineage", "⁴workers", "⁵events", "⁶problems"][pane - 1] + "┌"
                #expect(screen.text.contains(title), "\(title) at \(width)×\(height)")
            }
        }
    }

    @Test func aWorkersShardsAreOneKeyAway() throws {
        var screen = try Screen()
        try screen.press("4j<enter>")
        #expect(shards(screen) == ["0008", "0006"])
    }

    @Test func aClickSelectsARowAndAHeaderOrders() throws {
        var screen = try Screen()
        let row = try #require(
            screen.lines.firstIndex { $0.contains("0006   ip-10-0-1-8") || $0.contains("0006  ip-10-0-1-8") })
        screen.send(.terminal(.mouse(x: 8, y: row, .press(.left))))
        #expect(try screen.press("y") == [.copy(Fixture.shardID(6))])
        let header = try #require(screen.lines.firstIndex { $0.contains("OWNER") })
        screen.send(.terminal(.mouse(x: 5, y: header, .press(.left))))
        #expect(shards(screen).first == "0000")
        screen.send(.terminal(.mouse(x: 5, y: header, .press(.left))))
        #expect(shards(screen).first == "0008")
        screen.send(.terminal(.mouse(x: 8, y: row, .doubleClick(.left))))
        #expect(screen.text.contains("the row as stored"))
    }

    @Test func theWheelMovesTheListBelowIt() throws {
        var screen = try Screen()
        screen.send(.terminal(.mouse(x: 10, y: 6, .wheelDown)))
        #expect(try screen.press("y") == [.copy(Fixture.shardID(5))])
        try screen.press("m")
        screen.send(.terminal(.mouse(x: 10, y: 6, .wheelDown)))
        #expect(try screen.press("y") == [.copy(Fixture.shardID(5))])
    }

    @Test func theEndOfTenThousandShardsIsOneKeyAway() throws {
        var screen = try Screen(.watch, Fixture.large(10_000), width: 80, height: 24)
        #expect(try screen.press(":sort shard<enter>Gy") == [.copy(Fixture.shardID(9999))])
        #expect(screen.text.contains("9999"))
    }

    @Test func aSentenceAtTheFootGoesAfterAWhile() throws {
        var screen = try Screen()
        screen.send(.reported(.warning, "the clock is off"))
        #expect(screen.foot.contains("the clock is off"))
        screen.wait(.seconds(9))
        #expect(!screen.foot.contains("the clock is off"))
    }

    @Test func aShardThatGoesAwayUnderTheDetailViewIsSaidSo() throws {
        var screen = try Screen()
        try screen.press("<enter>")
        screen.send(.snapshotTaken(Fixture.empty()))
        #expect(screen.text.contains("this lease is gone from the table"))
        #expect(try screen.press("<esc>jjkGey") == [])
    }
}
