import Dashboard
import Testing

@Suite struct WidgetTests {
    private static func look(_ depth: ColorDepth = .truecolor, ascii: Bool = false) -> Look {
        let theme = BundledThemes.theme("shardtop")?.reduced(to: depth) ?? Theme.parse("", name: "none").theme
        return Look(theme: theme, symbols: ascii ? .ascii : .unicode)
    }

    private static let columns = [
        Column("SHARD", min: 6, max: 20, keeping: .tail), Column("OWNER", min: 6, max: 14, priority: 1),
        Column("LAG", min: 5, alignment: .right), Column("LAST 2 MIN", min: 10, max: 40, weight: 3, priority: 2),
        Column("LOAD", min: 6, max: 8, priority: 3),
    ]

    private static func screen(width: Int, height: Int, _ look: Look) -> (buffer: CellBuffer, layout: TableLayout) {
        var buffer = CellBuffer(width: width, height: height, style: look.style(.text))
        let (top, hints) = buffer.bounds.splitBottom(1)
        let panel = Panel(
            number: 1, title: "shards", note: [Span("/filter", look.style(.hotKey))],
            footer: [Span("40 of 40", look.style(.dim))], border: .shardsBorder, hasFocus: true)
        let inner = panel.draw(in: top, on: &buffer, look: look)
        let table = Table(
            columns: columns, rowCount: 40, offset: 3, selection: 5, sort: .init(column: 2, isAscending: false))
        let layout = table.draw(in: inner, on: &buffer, look: look) { row, column in
            if row == 6 && column == 3 { return .spanning([Span("waits for …0003 (split)", look.style(.dim))]) }
            switch column {
            case 0: return .text("shardId-00000000000\(row)", look.style(.text))
            case 1: return .text("wörker-日本-\(row)", look.theme.ownerStyle(row))
            case 2: return .spans([Span("≤", look.style(.dim)), Span("\(row)s", look.style(.warning))])
            case 3: return .graph((0..<30).map { Double($0 % (row + 2)) }, maximum: nil, look.theme.gradient(.lag))
            default: return .meter(Double(row) / 10, look.theme.gradient(.cpu))
            }
        }
        let keys = ["s steal", "e evict", "a assign", "w rewind", "t theme", "? help", "q quit"]
        let pairs = keys.map { $0.split(separator: " ").map(String.init) }
        KeyHints(pairs.map { KeyHint($0[0], $0[1], isEnabled: $0[0] != "e") })
            .draw(in: hints, on: &buffer, look: look)
        return (buffer, layout)
    }

    @Test func tableAt80Columns() throws {
        try expectGolden(Self.screen(width: 80, height: 12, Self.look()).buffer, "widget-table-80")
    }

    @Test func tableIn16Colours() throws {
        try expectGolden(Self.screen(width: 80, height: 12, Self.look(.ansi16)).buffer, "widget-table-16-colours")
    }

    @Test func tableWithoutColoursInASCII() throws {
        try expectGolden(
            Self.screen(width: 80, height: 12, Self.look(.mono, ascii: true)).buffer, "widget-table-ascii-mono")
    }

    @Test func aNarrowTableDropsColumnsByPriority() throws {
        let (buffer, layout) = Self.screen(width: 34, height: 10, Self.look())
        #expect(layout.columns.map(\.column) == [0, 1, 2, 3])
        #expect(Self.screen(width: 24, height: 10, Self.look()).layout.columns.map(\.column) == [0, 1, 2])
        #expect(Self.screen(width: 18, height: 10, Self.look()).layout.columns.map(\.column) == [0, 2])
        try expectGolden(buffer, "widget-table-34")
    }

    @Test func clicksFindRowsAndHeaders() {
        let layout = Self.screen(width: 80, height: 12, Self.look()).layout
        #expect(layout.hit(x: 2, y: 1) == .header(column: 0))
        #expect(layout.hit(x: 2, y: 2) == .row(3))
        #expect(layout.hit(x: 2, y: 4) == .row(5))
        #expect(layout.hit(x: 2, y: 11) == nil)
        #expect(layout.hit(x: 79, y: 3) == nil)
    }

    @Test(arguments: [(0, 0), (1, 1), (2, 2), (3, 5), (7, 3), (200, 2)])
    func nothingTrapsInARectangleThatIsTooSmall(width: Int, height: Int) {
        let look = Self.look()
        _ = Self.screen(width: width, height: height, look)
        var buffer = CellBuffer(width: width, height: height)
        Dialog(
            title: "a long title", lines: [[Span("text", .plain)]], buttons: [.init("Yes"), .init("No")],
            input: TextField(prompt: "a prompt: ", input: TextInput("x"), completions: ["one", "two"])
        ).draw(in: buffer.bounds, on: &buffer, look: look)
        ScrollBar(offset: 5, count: 10).draw(in: buffer.bounds, on: &buffer, look: look)
    }

    @Test func aDialogWithInputAndCompletions() throws {
        let look = Self.look()
        var buffer = CellBuffer(width: 60, height: 16, style: look.style(.text))
        let field = TextField(
            prompt: "reason: ", input: TextInput("owner hangs"), completions: ["owner hangs", "deploy", "test"],
            selectedCompletion: 1)
        let lines = Dialog.lines(
            "The owner of …0017 is cleared. It gets ZOMBIE; records since its checkpoint are delivered again.",
            width: 44, style: look.style(.text))
        let dialog = Dialog(
            title: "evict …0017?", lines: lines, buttons: [.init("Cancel"), .init("Evict", isDangerous: true)],
            selectedButton: 1, border: .critical, input: field)
        let layout = dialog.draw(in: buffer.bounds, on: &buffer, look: look)
        #expect(layout.hiddenLines == 0)
        #expect(layout.buttons.count == 2)
        #expect(buffer.cursor != nil)
        try expectGolden(buffer, "widget-dialog")
    }

    @Test func aLongDialogScrollsAndSaysHowMuchIsHidden() {
        let look = Self.look()
        var buffer = CellBuffer(width: 40, height: 10)
        let lines = (0..<30).map { [Span("line \($0)", Style.plain)] }
        let dialog = Dialog(title: "help", lines: lines, offset: 4)
        let layout = dialog.draw(in: buffer.bounds, on: &buffer, look: look)
        #expect(layout.body.height == 8)
        #expect(layout.hiddenLines == 30 - 4 - 8)
        #expect(buffer.textDump.contains("line 4 "))
        #expect(!buffer.textDump.contains("line 3 "))
    }

    @Test func listAndScrollBar() throws {
        let look = Self.look()
        var buffer = CellBuffer(width: 30, height: 6, style: look.style(.text))
        let list = List(count: 20, offset: 4, selection: 6, hasFocus: true)
        list.draw(in: buffer.bounds, on: &buffer, look: look) { index in
            [Span("12:04:0\(index % 10) ", look.style(.dim)), Span("TERMINATE shard \(index) split", look.style(.ok))]
        }
        try expectGolden(buffer, "widget-list")
    }

    @Test func hintsThatDoNotFitLeaveButHelpAndQuitStay() {
        let look = Self.look()
        var buffer = CellBuffer(width: 30, height: 1)
        let hints = KeyHints(["steal", "evict", "assign", "help", "quit"].map { KeyHint(String($0.prefix(1)), $0) })
        let places = hints.draw(in: buffer.bounds, on: &buffer, look: look)
        #expect(buffer.textDump == " s steal  h help  q quit      \n")
        #expect(places.map(\.index) == [0, 3, 4])
    }

    @Test func scrollingKeepsTheSelectionInView() {
        #expect(Scroll.offset(selection: 12, count: 100, height: 10, earlier: 0) == 3)
        #expect(Scroll.offset(selection: 2, count: 100, height: 10, earlier: 8) == 2)
        #expect(Scroll.offset(selection: nil, count: 100, height: 10, earlier: 500) == 90)
        #expect(Scroll.offset(selection: 3, count: 5, height: 10, earlier: 2) == 0)
        #expect(Scroll.offset(selection: 900, count: 20, height: 5, earlier: 0) == 15)
    }
}
