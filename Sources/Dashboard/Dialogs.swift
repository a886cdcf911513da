import AWSWire
import Fleet
import Leases
import Machine

/// What stands in front of the panes.
extension Frame {
    mutating func draw(_ overlay: Overlay) {
        // Nothing behind takes clicks meanwhile.
        hit(buffer.bounds, .nothing)
        switch overlay {
        case .help(let offset): drawHelp(offset: offset)
        case .note(let title, let paragraphs, let offset):
            let width = min(72, buffer.width - 8)
            let lines = paragraphs.flatMap { Dialog.lines($0, width: width, style: look.style(.text)) + [[]] }
            Dialog(title: title, lines: lines, offset: offset, width: width)
                .draw(in: buffer.bounds, on: &buffer, look: look)
        case .input(let prompt): draw(prompt)
        case .picker(let picker): draw(picker)
        case .question(let question): draw(question)
        case .waiting(let text): drawWaiting(text)
        case .performing(let performing): drawPerforming(performing)
        }
    }

    private mutating func draw(_ prompt: Prompt) {
        switch prompt.kind {
        case .command:
            TextField(
                prompt: ":", input: prompt.input, placeholder: "a command; Tab completes, ↑ recalls".asASCII(symbols),
                completions: prompt.completions, selectedCompletion: prompt.selectedCompletion
            ).draw(in: layout.footer, on: &buffer, look: look)
            drawUsage(prompt)
        case .rewind(let leases): drawRewind(prompt, leases)
        case .filter(let pane, _):
            TextField(
                prompt: " /", input: prompt.input,
                placeholder: "words  !without  ~fuzzy  owner:NAME  state:LATE  lag>30s   Enter keeps, Esc drops"
            ).draw(in: layout.footer, on: &buffer, look: look)
            let count = " \(model.lineCount(pane)) left "
            let rect = Rect(x: layout.footer.endX - count.columns, y: layout.footer.y, width: count.columns, height: 1)
            if !prompt.input.isEmpty, prompt.input.text.columns + 4 < rect.x {
                buffer.write(count, in: rect, style: look.style(.dim))
            }
        }
    }

    /// What the command that is being typed takes.
    private mutating func drawUsage(_ prompt: Prompt) {
        let word = prompt.input.text.split(separator: " ").first.map(String.init) ?? ""
        guard let command = Command.named(word) else { return }
        let text = " :\(command.usage)   \(command.help) "
        let start = layout.footer.endX - text.columns
        guard start > prompt.input.text.columns + 4 else { return }
        buffer.write(text, x: start, y: layout.footer.y, style: look.style(.dim), clip: layout.footer)
    }

    private mutating func draw(_ picker: Picker) {
        let isTheme = if case .theme = picker.kind { true } else { false }
        let swatch = isTheme ? 12 : 0
        let widest = picker.choices.reduce(picker.title.columns) { max($0, $1.columns) }
        let width = min(buffer.width - 4, widest + 6 + swatch)
        let height = min(layout.main.height, picker.choices.count + 2)
        // A theme is chosen by how the screen looks in it, so the list stands aside.
        let rect =
            isTheme
            ? Rect(
                x: buffer.width - width - 2, y: layout.main.y + 1, width: width,
                height: min(height, layout.main.height - 1))
            : layout.main.centered(width: width, height: height)
        let footer = [Span("Enter chooses, Esc leaves", look.style(.dim))]
        let area = Panel(
            title: picker.title, footer: width > 34 ? footer : [], border: .dialogBorder, hasFocus: true
        ).draw(in: rect, on: &buffer, look: look)
        let offset = Scroll.offset(
            selection: picker.selection, count: picker.choices.count, height: area.height,
            earlier: picker.selection - area.height / 2)
        var list = List(
            count: picker.choices.count, offset: offset, selection: picker.selection, hasFocus: true)
        list.hasFocus = true
        var picture = buffer
        list.draw(in: area, on: &picture, look: look) { index in
            let name = picker.choices[index]
            guard isTheme else { return [Span(" " + name, ownerStyle(name))] }
            return [Span(" " + name.padded(to: widest + 1), look.style(.text))]
        }
        buffer = picture
        for row in 0..<area.height where offset + row < picker.choices.count {
            hit(area.row(row), .choice(offset + row))
        }
        if isTheme { drawSwatches(picker, offset: offset, x: area.x + widest + 3, in: area) }
    }

    /// The colours of each theme in view beside its name; nothing where there are none.
    private mutating func drawSwatches(_ picker: Picker, offset: Int, x: Int, in area: Rect) {
        let depth = look.theme.depth
        guard depth != .mono else { return }
        for row in 0..<area.height {
            guard let name = picker.choices[safe: offset + row],
                let theme = BundledThemes.theme(name)?.reduced(to: depth)
            else { continue }
            let ground = theme.style(.text).background
            let roles: [Theme.Role] = [.text, .ok, .notice, .warning, .critical, .miscellaneous, .title, .hotKey]
            for (index, role) in roles.enumerated() {
                let style = Style(foreground: theme.style(role).foreground, background: ground)
                buffer.write(symbols.isASCII ? "#" : "■", x: x + index, y: area.y + row, style: style, clip: area)
            }
        }
    }

    // MARK: Questions

    private mutating func draw(_ question: Question) {
        let width = min(buffer.width - 8, 84)
        let dialog: Dialog
        switch question.kind {
        case .plan(let plan):
            dialog = Dialog(
                title: plan.action.verb + "?", lines: planLines(plan, width: width),
                buttons: buttons(for: question, plan.action.verb), selectedButton: question.isYesSelected ? 0 : 1,
                offset: question.offset, input: typedField(question), width: width)
        case .plans(let set):
            dialog = Dialog(
                title: set.title + "?", lines: planLines(set, width: width),
                buttons: buttons(for: question, set.title), selectedButton: question.isYesSelected ? 0 : 1,
                offset: question.offset, input: typedField(question), width: width)
        case .quit:
            let own = (model.snapshot?.workers ?? []).filter(\.isOurs)
            let leases = own.reduce(0) { $0 + $1.leases }
            let text =
                "This process consumes \(leases) shard\(leases == 1 ? "" : "s"). Quitting checkpoints, gives the leases "
                + "up as configured and ends; other workers take over."
            dialog = Dialog(
                title: "quit?", lines: Dialog.lines(text, width: min(60, width), style: look.style(.text)),
                buttons: [.init("y  quit", isDangerous: true), .init("n  stay")],
                selectedButton: question.isYesSelected ? 0 : 1, offset: question.offset, width: min(60, width))
        }
        let places = dialog.draw(in: buffer.bounds, on: &buffer, look: look)
        for (index, rect) in places.buttons.enumerated() { hit(rect, .answer(index == 0)) }
        if places.hiddenLines > 0 {
            let text = " \(places.hiddenLines) more lines "
            buffer.write(
                text, x: places.frame.x + 2, y: places.frame.endY - 1, style: look.style(.warning), clip: places.frame)
        }
    }

    /// Title, what it does to the fleet, the row, the write: the important first, since it may be cut.
    private func planLines(_ plan: Plan, width: Int) -> [[Span]] {
        let text = look.style(.text)
        var lines: [[Span]] = Dialog.lines(Format.sentence(plan.title), width: width, style: look.style(.title))
        if model.isFrozen {
            lines += Dialog.lines(
                "The picture is frozen; the row below is the newest that was read.", width: width,
                style: look.style(.warning))
        }
        lines.append([])
        func paragraph(_ name: String, _ content: String, _ style: Style) {
            for (index, line) in Format.sentence(content).wrapped(to: width - 12).enumerated() {
                lines.append([Span((index == 0 ? name : "").padded(to: 12), look.style(.dim)), Span(line, style)])
            }
        }
        for (index, forecast) in plan.forecast.enumerated() { paragraph(index == 0 ? "then" : "", forecast, text) }
        if !plan.expectedGap.isEmpty { paragraph("gap", plan.expectedGap, look.style(.warning)) }
        if !plan.expectedDuplicates.isEmpty { paragraph("duplicates", plan.expectedDuplicates, look.style(.warning)) }
        paragraph(
            "undo", plan.isUndoable ? "possible" : "not possible",
            plan.isUndoable ? look.style(.ok) : look.style(.warning))
        lines.append([])
        paragraph("writes", "", text)
        if !lines.isEmpty { lines.removeLast() }
        for (index, call) in plan.callLines.enumerated() {
            for (part, line) in call.wrapped(to: width - 12).enumerated() {
                let name = index == 0 && part == 0 ? "writes" : ""
                lines.append([Span(name.padded(to: 12), look.style(.dim)), Span(line, look.style(.notice))])
            }
        }
        guard !plan.stored.isEmpty else { return lines }
        lines.append([])
        for (index, name) in plan.stored.keys.sorted().enumerated() {
            let value = plan.stored[name]?.plainText ?? ""
            let room = max(8, width - 14 - name.columns)
            lines.append([
                Span((index == 0 ? "stored row" : "").padded(to: 12), look.style(.dim)),
                Span(name + "  ", look.style(.text)),
                Span(value.truncated(to: room, keeping: .ends, ellipsis: symbols.ellipsis), text),
            ])
        }
        return lines
    }
}

extension String {
    /// Arrows as words, for terminals without them.
    func asASCII(_ symbols: Symbols) -> String {
        guard symbols.isASCII else { return self }
        let words: [Character: String] = [
            "↑": "Up", "↓": "Down", "←": "Left", "→": "Right", "≤": "<=", "…": "...", "·": "-",
        ]
        return reduce(into: "") { $0 += words[$1] ?? String($1) }
    }
}
