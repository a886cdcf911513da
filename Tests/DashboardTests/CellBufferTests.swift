import Dashboard
import Testing

@Suite struct CellBufferTests {
    private let red = Style(foreground: .rgb(200, 0, 0))

    @Test func drawingOutsideIsLeftAway() {
        var buffer = CellBuffer(width: 4, height: 2)
        #expect(buffer.write("abcdef", x: -2, y: 0, style: .plain) == 4)
        buffer.write("xx", x: 0, y: 7, style: .plain)
        buffer.write("yy", x: 0, y: -1, style: .plain)
        buffer.fill(Rect(x: 2, y: 1, width: 50, height: 50), style: red, scalar: "#")
        buffer[99, 99] = Cell(base: 0x41)
        #expect(buffer.textDump == "cdef\n  ##\n")
        #expect(buffer[99, 99] == Cell())
    }

    @Test func aClipHoldsBackWhatIsOutsideIt() {
        var buffer = CellBuffer(width: 10, height: 1)
        let end = buffer.write("0123456789", x: 0, y: 0, style: .plain, clip: Rect(x: 2, y: 0, width: 3, height: 1))
        #expect(end == 10)
        #expect(buffer.textDump == "  234     \n")
    }

    @Test func aWideGlyphTakesTwoCellsAndHalfOfOneIsABlank() {
        var buffer = CellBuffer(width: 6, height: 1)
        buffer.write("日本語", x: 0, y: 0, style: .plain)
        #expect(buffer[1, 0].isContinuation)
        buffer.write("x", x: 1, y: 0, style: .plain)
        #expect(buffer.textDump == " x本語\n")
        buffer.write("y", x: 2, y: 0, style: .plain)
        #expect(buffer.textDump == " xy 語\n")
        buffer.fill(Rect(x: 5, y: 0, width: 1, height: 1), style: .plain, scalar: "z")
        #expect(buffer.textDump == " xy  z\n")
    }

    @Test func aWideGlyphAtAnEdgeIsNotDrawnHalf() {
        var buffer = CellBuffer(width: 3, height: 1)
        buffer.write("ab日", x: 0, y: 0, style: .plain)
        #expect(buffer.textDump == "ab \n")
        buffer.write("日b", x: -1, y: 0, style: .plain)
        #expect(buffer.textDump == " b \n")
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func randomDrawingKeepsEveryWideGlyphWhole(seed: UInt64) {
        var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        var buffer = CellBuffer(width: 9, height: 2)
        var earlier = buffer
        let texts = ["日", "a", "本x", "e\u{301}", "🎉🎉", "\u{1B}"]
        for _ in 0..<60 {
            switch next(4) {
            case 0:
                let rect = Rect(x: next(12) - 2, y: next(3) - 1, width: next(6), height: next(3))
                buffer.fill(rect, style: .plain, scalar: "#")
            case 1: buffer[next(9), next(2)] = Cell(base: 0x42)
            default: buffer.write(texts[next(texts.count)], x: next(13) - 2, y: next(2), style: .plain)
            }
            for y in 0..<2 {
                #expect(!buffer[0, y].isContinuation)
                let row = (0..<9).map { buffer[$0, y].text }.joined()
                #expect(row.columns == 9, "\(row)")
            }
        }
        for run in buffer.changes(since: earlier) {
            #expect(!buffer[run.x, run.y].isContinuation)
            for x in run.x..<run.x + run.count { earlier[x, run.y] = buffer[x, run.y] }
        }
        #expect(earlier == buffer)
    }

    @Test func onlyChangedCellsAreInTheChanges() {
        var first = CellBuffer(width: 10, height: 2)
        first.write("0123456789", x: 0, y: 0, style: .plain)
        var second = first
        #expect(second.changes(since: first) == [])
        second.write("xx", x: 3, y: 0, style: .plain)
        second.write("9", x: 9, y: 0, style: red)
        #expect(second.changes(since: first) == [CellRun(x: 3, y: 0, count: 2), CellRun(x: 9, y: 0, count: 1)])
        #expect(second.changes(since: nil).count == 2)
        #expect(second.changes(since: CellBuffer(width: 9, height: 2)).map(\.count) == [10, 10])
    }

    @Test func aBrokenSizeNeitherTrapsNorTakesAllMemory() {
        #expect(CellBuffer(width: -5, height: 3).cells.isEmpty)
        #expect(CellBuffer(width: .max, height: 1).width == CellBuffer.sizeMax)
    }

    @Test func styleDumpNamesEachStyle() {
        var buffer = CellBuffer(width: 4, height: 1)
        buffer.write("ab", x: 0, y: 0, style: red.bold)
        buffer.write("c", x: 2, y: 0, style: Style(foreground: .palette(8)))
        #expect(buffer.styleDump == ".." + "ab\n. #c80000 on default bold\na 8 on default\nb default on default\n")
    }

    @Test func splitsFillTheRectangle() {
        let rect = Rect(x: 1, y: 2, width: 80, height: 24)
        let rows = rect.rows([.fixed(1), .share(2, min: 5), .share(1, min: 4, max: 6), .fixed(1)])
        #expect(rows.map(\.height) == [1, 16, 6, 1])
        #expect(rows.map(\.y) == [2, 3, 19, 25])
        #expect(rect.columns([.share(3), .share(1)]).map(\.width) == [60, 20])
        #expect(Length.sizes([.fixed(5), .fixed(5), .share(1, min: 5)], total: 8) == [5, 3, 0])
        #expect(Length.sizes([.share(0), .share(1, max: 3)], total: 10) == [0, 3])
        #expect(rect.inset(columns: 50, rows: 1).isEmpty)
    }
}
