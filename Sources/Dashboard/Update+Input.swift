import Fleet
import Leases
import Machine

/// Keys while something stands in front of the panes.
extension Model {
    mutating func handle(_ key: Key, in overlay: Overlay) -> [ModelEffect] {
        switch overlay {
        case .help(let offset):
            if let offset = scrolled(offset, key) { self.overlay = .help(offset: offset) } else { self.overlay = nil }
            return []
        case .note(let title, let paragraphs, let offset):
            if let offset = scrolled(offset, key) {
                self.overlay = .note(title: title, paragraphs: paragraphs, offset: offset)
            } else {
                self.overlay = nil
            }
            return []
        case .input(let prompt): return handle(key, in: prompt)
        case .picker(let picker): return handle(key, in: picker)
        case .question(let question): return handle(key, in: question)
        case .waiting: return handleWhileWaiting(key)
        case .performing(let performing): return handleWhilePerforming(key, performing)
        }
    }

    /// The new offset of a text that is scrolled; `nil` where the key closes it.
    private func scrolled(_ offset: Int, _ key: Key) -> Int? {
        switch key {
        case .up, .character("k"): max(0, offset - 1)
        case .down, .character("j"): offset + 1
        case .pageUp, .control("b"), .control("u"): max(0, offset - 10)
        case .pageDown, .character(" "), .control("f"), .control("d"): offset + 10
        case .home, .character("g"): 0
        default: nil
        }
    }

    // MARK: A question

    private mutating func handle(_ key: Key, in question: Question) -> [ModelEffect] {
        if let input = question.input { return handle(key, typing: input, in: question) }
        var question = question
        switch key {
        case .character("y"), .character("Y"): return answer(question, isYes: true)
        case .enter: return answer(question, isYes: question.isYesSelected)
        case .character("n"), .character("N"), .escape, .character("q"), .control("c"):
            return answer(question, isYes: false)
        case .left, .right, .tab, .backTab, .character("h"), .character("l"): question.isYesSelected.toggle()
        case .up, .character("k"): question.offset = max(0, question.offset - 1)
        case .down, .character("j"): question.offset += 1
        case .pageUp: question.offset = max(0, question.offset - 10)
        case .pageDown: question.offset += 10
        default: return []
        }
        overlay = .question(question)
        return []
    }

    mutating func answer(_ question: Question, isYes: Bool) -> [ModelEffect] {
        if isYes, let missing = missing(in: question) {
            say(.warning, missing)
            return []
        }
        overlay = nil
        switch question.kind {
        case .plan(let plan):
            guard isYes else {
                say(nil, "nothing was written")
                return []
            }
            isBusy = true
            say(nil, "\(plan.title) …")
            return [.perform(plan)]
        case .plans(let set):
            guard isYes else {
                say(nil, "nothing was written")
                return []
            }
            return perform(set)
        case .quit: return isYes ? [.quit] : []
        }
    }

    // MARK: A choice

    mutating func startThemes() {
        let names = configuration.themes
        overlay = .picker(
            Picker(
                kind: .theme(earlier: theme), title: "theme", choices: names,
                selection: names.firstIndex(of: theme) ?? 0))
    }

    private mutating func handle(_ key: Key, in picker: Picker) -> [ModelEffect] {
        var picker = picker
        let last = picker.choices.count - 1
        switch key {
        case .up, .character("k"), .backTab: picker.selection = picker.selection == 0 ? last : picker.selection - 1
        case .down, .character("j"), .tab: picker.selection = picker.selection == last ? 0 : picker.selection + 1
        case .pageUp: picker.selection -= 10
        case .pageDown: picker.selection += 10
        case .home, .character("g"): picker.selection = 0
        case .end, .character("G"): picker.selection = last
        case .enter, .character(" "): return choose(from: picker)
        case .escape, .character("q"), .control("c"):
            overlay = nil
            if case .theme(let earlier) = picker.kind, earlier != theme { return setTheme(earlier) }
            return []
        case .character(let character):
            // Typing a letter goes to the next choice that begins with it.
            let order = (1...max(1, picker.choices.count)).map {
                (picker.selection + $0) % max(1, picker.choices.count)
            }
            let next = order.first { $0 < picker.choices.count && picker.choices[$0].first == character }
            picker.selection = next ?? picker.selection
        default: return []
        }
        return preview(picker)
    }

    mutating func preview(_ picker: Picker) -> [ModelEffect] {
        var picker = picker
        picker.selection = max(0, min(picker.selection, picker.choices.count - 1))
        overlay = .picker(picker)
        guard case .theme = picker.kind, picker.selection < picker.choices.count,
            picker.choices[picker.selection] != theme
        else { return [] }
        return setTheme(picker.choices[picker.selection])
    }

    mutating func setTheme(_ name: String) -> [ModelEffect] {
        theme = name
        return [.setTheme(name)]
    }

    mutating func choose(from picker: Picker) -> [ModelEffect] {
        overlay = nil
        guard picker.selection < picker.choices.count else { return [] }
        let choice = picker.choices[picker.selection]
        switch picker.kind {
        case .theme: return choice == theme ? [] : setTheme(choice)
        case .stealMarked:
            return request(.several(markedLeases.map { .steal(lease: $0.id, worker: choice) }))
        case .stealTo(let lease): return request(.steal(lease: lease, worker: choice))
        case .assignTo(let lease): return request(.assign(lease: lease, worker: choice, isHard: false))
        case .mergeWith(let shard): return request(.merge(shard: shard, adjacent: choice))
        }
    }

    // MARK: A line of text

    mutating func startFilter() {
        let pane: Pane = focus == .hashKeys || focus == .lineage ? .shards : focus
        detail = nil
        if pane != focus { focus(on: pane) }
        let earlier = filters[pane]
        overlay = .input(
            Prompt(kind: .filter(pane, earlier: earlier), input: TextInput(earlier?.text ?? "")))
    }

    private mutating func handle(_ key: Key, in prompt: Prompt) -> [ModelEffect] {
        if case .rewind(let leases) = prompt.kind { return handle(key, in: prompt, rewinding: leases) }
        var prompt = prompt
        switch (key, prompt.kind) {
        case (.escape, .filter(let pane, let earlier)):
            overlay = nil
            setFilter(earlier?.text ?? "", on: pane)
        case (.control("c"), _), (.escape, .command): overlay = nil
        case (.enter, .filter(let pane, _)):
            overlay = nil
            if lineCount(pane) == 0 && filters[pane] != nil {
                say(.info, "the filter leaves nothing; Esc takes it away")
            }
        case (.enter, .command):
            overlay = nil
            let line = prompt.input.text.trimmed
            guard !line.isEmpty else { return [] }
            commandHistory.removeAll { $0 == line }
            commandHistory.append(line)
            if commandHistory.count > Self.commandsKeptMax { commandHistory.removeFirst() }
            return run(line)
        case (.tab, .command): complete(&prompt, by: 1)
        case (.backTab, .command): complete(&prompt, by: -1)
        case (.up, .command), (.control("p"), .command): recall(&prompt, by: 1)
        case (.down, .command), (.control("n"), .command): recall(&prompt, by: -1)
        case (.down, .filter), (.up, .filter), (.pageDown, .filter), (.pageUp, .filter):
            move(key == .down ? .down : key == .up ? .up : key == .pageDown ? .pageDown : .pageUp)
        case (.backspace, .command) where prompt.input.isEmpty: overlay = nil
        default: if prompt.input.handle(key) { return edited(prompt) }
        }
        return []
    }

    /// Lines of the command history that are kept.
    static let commandsKeptMax = 100

    /// What follows when the text of a prompt changed.
    mutating func edited(_ prompt: Prompt) -> [ModelEffect] {
        var prompt = prompt
        prompt.selectedCompletion = nil
        prompt.historyIndex = 0
        switch prompt.kind {
        case .filter(let pane, _):
            overlay = .input(prompt)
            setFilter(prompt.input.text, on: pane)
        case .command: overlay = .input(completed(prompt))
        case .rewind: overlay = .input(prompt)
        }
        return []
    }

    func completed(_ prompt: Prompt) -> Prompt {
        var prompt = prompt
        prompt.typed = prompt.input.text
        prompt.completions = CommandPalette.completions(of: prompt.typed, in: self)
        return prompt
    }

    private mutating func complete(_ prompt: inout Prompt, by step: Int) {
        let count = prompt.completions.count
        guard count > 0 else { return }
        let next: Int
        if let selected = prompt.selectedCompletion {
            next = (selected + step + count) % count
        } else {
            next = step > 0 ? 0 : count - 1
        }
        prompt.selectedCompletion = next
        prompt.input = TextInput(CommandPalette.completed(prompt.typed, with: prompt.completions[next]))
        if count == 1 {
            overlay = .input(completed(Prompt(kind: .command, input: TextInput(prompt.input.text + " "))))
        } else {
            overlay = .input(prompt)
        }
    }

    private mutating func recall(_ prompt: inout Prompt, by step: Int) {
        let index = min(commandHistory.count, max(0, prompt.historyIndex + step))
        guard index != prompt.historyIndex else { return }
        let typed = prompt.typed
        prompt.historyIndex = index
        prompt.selectedCompletion = nil
        prompt.input = TextInput(index == 0 ? typed : commandHistory[commandHistory.count - index])
        prompt.completions = index == 0 ? CommandPalette.completions(of: typed, in: self) : []
        overlay = .input(prompt)
    }
}

extension String {
    /// Without blanks at both ends.
    var trimmed: String {
        let head = drop { $0 == " " }
        guard let last = head.lastIndex(where: { $0 != " " }) else { return "" }
        return String(head[...last])
    }
}
