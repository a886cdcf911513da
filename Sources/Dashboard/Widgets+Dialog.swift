/// A box in the middle of the screen that asks or explains.
package struct Dialog: Hashable, Sendable {
    package struct Button: Hashable, Sendable {
        package var label: String
        package var isDangerous: Bool

        package init(_ label: String, isDangerous: Bool = false) {
            self.label = label
            self.isDangerous = isDangerous
        }
    }

    /// Where the parts of a drawn dialog are.
    package struct Layout: Hashable, Sendable {
        package var frame: Rect
        package var body: Rect
        /// One per button that is visible, in order.
        package var buttons: [Rect]
        /// The lines that did not fit below the offset.
        package var hiddenLines: Int
    }

    package var title: String
    package var lines: [[Span]]
    package var buttons: [Button]
    package var selectedButton: Int
    /// The first line in view, for texts longer than the screen.
    package var offset: Int
    package var border: Theme.Role
    package var input: TextField?
    /// Inner width; nil takes what the lines need.
    package var width: Int?

    package init(
        title: String, lines: [[Span]], buttons: [Button] = [], selectedButton: Int = 0, offset: Int = 0,
        border: Theme.Role = .dialogBorder, input: TextField? = nil, width: Int? = nil
    ) {
        self.title = title
        self.lines = lines
        self.buttons = buttons
        self.selectedButton = selectedButton
        self.offset = offset
        self.border = border
        self.input = input
        self.width = width
    }

    @discardableResult
    package func draw(in screen: Rect, on buffer: inout CellBuffer, look: Look) -> Layout {
        let buttonsWidth = buttons.reduce(0) { $0 + $1.label.columns + 6 }
        let linesWidth = lines.map { $0.reduce(0) { $0 + $1.text.columns } }.max() ?? 0
        let inner = width ?? max(linesWidth, buttonsWidth, title.columns + 6, input == nil ? 0 : 40)
        let rows = lines.count + (input == nil ? 0 : 2) + (buttons.isEmpty ? 0 : 2)
        let frame = screen.centered(width: inner + 4, height: rows + 2)
        let panel = Panel(title: title, border: border, hasFocus: true)
        var area = panel.draw(in: frame, on: &buffer, look: look).inset(columns: 1)
        var places: [Rect] = []
        if !buttons.isEmpty {
            let (rest, bottom) = area.splitBottom(1)
            places = drawButtons(in: bottom, on: &buffer, look: look)
            area = rest.splitBottom(1).rest
        }
        var inputRow = Rect.zero
        if input != nil {
            let (rest, bottom) = area.splitBottom(1)
            inputRow = bottom
            area = rest.splitBottom(1).rest
        }
        let start = Scroll.offset(selection: nil, count: lines.count, height: area.height, earlier: offset)
        for row in 0..<area.height where start + row < lines.count {
            let place = area.row(row)
            buffer.write(lines[start + row], x: place.x, y: place.y, clip: place)
        }
        let bar = Rect(x: frame.endX - 1, y: area.y, width: 1, height: area.height)
        ScrollBar(offset: start, count: lines.count).draw(in: bar, on: &buffer, look: look)
        input?.draw(in: inputRow, on: &buffer, look: look)
        return Layout(
            frame: frame, body: area, buttons: places, hiddenLines: max(0, lines.count - start - area.height))
    }

    private func drawButtons(in rect: Rect, on buffer: inout CellBuffer, look: Look) -> [Rect] {
        let total = buttons.reduce(-2) { $0 + $1.label.columns + 6 }
        var x = rect.x + max(0, (rect.width - total) / 2)
        return buttons.enumerated().map { index, button in
            let place = Rect(x: x, y: rect.y, width: button.label.columns + 4, height: 1).intersection(rect)
            let role: Theme.Role = button.isDangerous ? .critical : .text
            let brackets = look.symbols.isASCII || index != selectedButton ? ("[ ", " ]") : ("▐ ", " ▌")
            let text = index == selectedButton ? brackets.0 + button.label + brackets.1 : "  \(button.label)  "
            buffer.write(text, x: x, y: rect.y, style: look.style(role), clip: rect)
            if index == selectedButton { buffer.select(place, hasFocus: true, look: look) }
            x += button.label.columns + 6
            return place
        }
    }

    /// A text as lines of spans, broken to a width.
    package static func lines(_ text: String, width: Int, style: Style) -> [[Span]] {
        text.wrapped(to: width).map { [Span($0, style)] }
    }
}

/// A line of text that is being typed. The value edits itself; drawing is separate.
package struct TextInput: Hashable, Sendable {
    package private(set) var characters: [Character]
    /// How many characters are before the cursor.
    package private(set) var cursor: Int

    /// Longer input is cut; no name or expression here is longer.
    package static let lengthMax = 1000

    package init(_ text: String = "") {
        characters = Array(text.prefix(Self.lengthMax))
        cursor = characters.count
    }

    package var text: String { String(characters) }
    package var isEmpty: Bool { characters.isEmpty }

    /// Applies an editing key; false if the key edits nothing here.
    package mutating func handle(_ key: Key) -> Bool {
        switch key {
        case .character(let character): insert(String(character))
        case .left, .control("b"): cursor = max(0, cursor - 1)
        case .right, .control("f"): cursor = min(characters.count, cursor + 1)
        case .home, .control("a"): cursor = 0
        case .end, .control("e"): cursor = characters.count
        case .backspace, .control("h"): remove(from: max(0, cursor - 1))
        case .delete, .control("d"):
            if cursor < characters.count { characters.remove(at: cursor) }
        case .control("u"): remove(from: 0)
        case .control("k"): characters.removeSubrange(cursor...)
        case .control("w"), .alt("\u{7F}"): remove(from: wordStart)
        default: return false
        }
        return true
    }

    /// Inserts text at the cursor, typed or pasted. Line breaks and other controls become blanks.
    package mutating func insert(_ text: String) {
        let room = max(0, Self.lengthMax - characters.count)
        let added = text.prefix(room).map { character in
            let isControl = character.unicodeScalars.contains { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) }
            return isControl ? " " : character
        }
        characters.insert(contentsOf: added, at: cursor)
        cursor += added.count
    }

    private mutating func remove(from start: Int) {
        characters.removeSubrange(start..<cursor)
        cursor = start
    }

    private var wordStart: Int {
        var start = cursor
        while start > 0 && characters[start - 1] == " " { start -= 1 }
        while start > 0 && characters[start - 1] != " " { start -= 1 }
        return start
    }
}

/// Draws a text input in one row, with a prompt, and the completions in a box above or below it.
package struct TextField: Hashable, Sendable {
    package var prompt: String
    package var input: TextInput
    /// Shown dim while nothing is typed.
    package var placeholder: String
    package var completions: [String]
    package var selectedCompletion: Int?
    package var hasFocus: Bool

    package static let completionsShownMax = 8

    package init(
        prompt: String = "", input: TextInput, placeholder: String = "", completions: [String] = [],
        selectedCompletion: Int? = nil, hasFocus: Bool = true
    ) {
        self.prompt = prompt
        self.input = input
        self.placeholder = placeholder
        self.completions = completions
        self.selectedCompletion = selectedCompletion
        self.hasFocus = hasFocus
    }

    package func draw(in rect: Rect, on buffer: inout CellBuffer, look: Look) {
        let line = rect.row(0)
        guard !line.isEmpty else { return }
        buffer.fill(line, style: look.style(.text))
        let start = buffer.write(prompt, x: line.x, y: line.y, style: look.style(.hotKey), clip: line)
        let area = Rect(x: start, y: line.y, width: line.endX - start, height: 1)
        guard !area.isEmpty else { return }
        let before = String(input.characters.prefix(input.cursor)).columns
        let shift = max(0, before - (area.width - 1))
        if input.isEmpty {
            buffer.write(placeholder, x: area.x, y: area.y, style: look.style(.dim), clip: area)
        } else {
            buffer.write(input.text, x: area.x - shift, y: area.y, style: look.style(.text), clip: area)
        }
        if hasFocus { buffer.cursor = CellBuffer.Position(x: area.x + before - shift, y: area.y) }
        drawCompletions(x: start, line: line, on: &buffer, look: look)
    }

    private func drawCompletions(x: Int, line: Rect, on buffer: inout CellBuffer, look: Look) {
        guard hasFocus, !completions.isEmpty else { return }
        let above = line.y
        let below = buffer.height - line.endY
        let wanted = min(completions.count, Self.completionsShownMax) + 2
        let isAbove = above >= wanted || above > below
        let height = min(wanted, isAbove ? above : below)
        let width = min((completions.map(\.columns).max() ?? 0) + 4, buffer.width)
        guard height > 2, width > 4 else { return }
        let left = max(0, min(x - 1, buffer.width - width))
        let frame = Rect(x: left, y: isAbove ? line.y - height : line.endY, width: width, height: height)
        let area = Panel(title: "", border: .divider).draw(in: frame, on: &buffer, look: look)
        let list = List(
            count: completions.count,
            offset: Scroll.offset(
                selection: selectedCompletion, count: completions.count, height: area.height, earlier: 0),
            selection: selectedCompletion, hasFocus: true)
        list.draw(in: area, on: &buffer, look: look) { [Span(" " + completions[$0], look.style(.text))] }
    }
}
