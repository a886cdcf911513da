import Dashboard
import Testing

@Suite struct TextWidthTests {
    @Test(arguments: [
        ("shard", 5), ("", 0), ("日本", 4), ("e\u{301}", 1), ("🎉", 2), ("👨‍👩‍👧", 2), ("🇩🇪", 2), ("👍🏽", 2), ("⣿▇│●", 4),
        ("한국", 4), ("a\u{200B}b", 3), ("ﬀ", 1), ("｡", 1), ("Ａ", 2),
    ])
    func countsColumnsByAFixedTable(text: String, columns: Int) {
        #expect(text.columns == columns)
    }

    @Test func controlsTakeOneColumnAndBecomeVisible() {
        let text = "a\u{1B}[31mb\r\n\u{7F}\u{9B}\u{202E}x"
        var buffer = CellBuffer(width: 20, height: 1)
        buffer.write(text, x: 0, y: 0, style: .plain)
        #expect(buffer.textDump == "a␛[31mb␍␊␡\u{FFFD}\u{FFFD}x       \n")
        #expect(text.columns == 13)
    }

    @Test func truncatingKeepsTheAskedPart() {
        #expect("shardId-000000000017".truncated(to: 8) == "shardId…")
        #expect("shardId-000000000017".truncated(to: 6, keeping: .tail) == "…00017")
        #expect("shardId-000000000017".truncated(to: 9, keeping: .ends) == "shar…0017")
        #expect("short".truncated(to: 5) == "short")
        #expect("shorts".truncated(to: 0) == "")
        #expect("shorts".truncated(to: 3, ellipsis: "~") == "sh~")
    }

    @Test func truncatingNeverSplitsAWideCharacter() {
        #expect("日本語".truncated(to: 4) == "日…")
        #expect("日本語".truncated(to: 5, keeping: .tail) == "…本語")
        #expect("日本語".truncated(to: 6) == "日本語")
    }

    @Test(arguments: 0..<40)
    func truncatedTextFitsAndPaddedTextIsExact(limit: Int) {
        let samples = ["shardId-0017", "日本語テキスト", "e\u{301}e\u{301}e\u{301}", "a👨‍👩‍👧b🎉c", "\u{1B}]52;c;\u{7}"]
        for sample in samples {
            for kept in [Kept.head, .tail, .ends] {
                #expect(sample.truncated(to: limit, keeping: kept).columns <= limit)
                #expect(sample.padded(to: limit, keeping: kept).columns == limit)
            }
        }
    }

    @Test func paddingAligns() {
        #expect("ab".padded(to: 5) == "ab   ")
        #expect("ab".padded(to: 5, alignment: .right) == "   ab")
        #expect("ab".padded(to: 5, alignment: .center) == " ab  ")
        #expect("日".padded(to: 4, alignment: .right) == "  日")
    }

    @Test func wrappingBreaksAtSpacesAndInsideLongWords() {
        #expect("the owner is cleared".wrapped(to: 9) == ["the owner", "is", "cleared"])
        #expect("abcdefgh ij".wrapped(to: 3) == ["abc", "def", "gh", "ij"])
        #expect("a\n\nb".wrapped(to: 5) == ["a", "", "b"])
        #expect("日本語".wrapped(to: 4) == ["日本", "語"])
        #expect("x".wrapped(to: 0) == [])
    }

    @Test func aJoinerHidesNothingBetweenLetters() {
        #expect("worker\u{200D}a".columns == 8)
        var buffer = CellBuffer(width: 8, height: 1)
        buffer.write("worker\u{200D}a", x: 0, y: 0, style: .plain)
        #expect(buffer.textDump == "worker\u{FFFD}a\n")
    }

    @Test func aJoinerDoesNotSwallowAnEscape() {
        var buffer = CellBuffer(width: 6, height: 1)
        buffer.write("🎉\u{200D}\u{1B}x", x: 0, y: 0, style: .plain)
        #expect(buffer.textDump == "🎉␛x  \n")
    }
}
