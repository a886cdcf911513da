import Dashboard
import Fleet
import Testing

/// Which rows are on the screen: those are worth being read oftener than the table.
@Suite struct ShownLeasesTests {
    /// The numbers of the rows in the picture, ended ones apart.
    private func drawn(_ screen: Screen) -> [String] {
        screen.lines.drop { !$0.contains("SHARD") }.dropFirst().prefix { $0.hasPrefix("│") }.compactMap { line in
            let words = line.split(separator: " ")
            let number = words.first { $0.count == 4 && $0.allSatisfy(\.isNumber) }.map(String.init)
            return words.contains("ENDED") ? nil : number
        }.sorted()
    }

    private func shown(_ screen: Screen) -> [String] { screen.model.shownLeases.map { String($0.suffix(4)) } }

    @Test func theyAreTheRowsOfThePicture() throws {
        let screen = try Screen()
        #expect(shown(screen) == ["0000", "0003", "0004", "0005", "0006", "0007", "0008"])
        #expect(shown(screen) == drawn(screen))
        #expect(try Screen(.watch, nil).model.shownLeases.isEmpty)
    }

    @Test func ofALargeTableThoseInView() throws {
        var screen = try Screen(.watch, Fixture.large(2000))
        let first = shown(screen)
        #expect(first == drawn(screen))
        #expect((5...40).contains(first.count))
        try screen.press("<pagedown><pagedown><pagedown>")
        #expect(shown(screen) == drawn(screen))
        #expect(Set(shown(screen)).isDisjoint(with: first))
        try screen.press("/^shardid-0*123$<enter>")
        #expect(shown(screen) == ["0123"])
    }

    @Test func beyondThemTheSelectedOneAndInItsViewThatAlone() throws {
        var screen = try Screen(.watch, Fixture.large(2000))
        try screen.press("<pagedown><pagedown>")
        let selected = try #require(screen.model.shownLeases.first)
        try screen.press("6z")
        #expect(screen.model.shownLeases.count == 1)
        try screen.press("z1<enter>")
        #expect(screen.model.shownLeases.count == 1)
        #expect(selected.hasPrefix("shardId-"))
        try screen.press("<esc>")
        #expect(screen.model.shownLeases.count > 5)
    }

    @Test func whatIsNotOfNowIsNotRead() throws {
        var screen = try Screen()
        try screen.press("p")
        #expect(screen.model.shownLeases.isEmpty)
        try screen.press("p")
        #expect(!screen.model.shownLeases.isEmpty)
    }

    @Test func neverMoreThanAHundred() throws {
        let screen = try Screen(.watch, Fixture.large(2000), width: 120, height: 400)
        #expect(screen.model.shownLeases.count == 100)
        #expect(Set(screen.model.shownLeases).count == 100)
    }
}
