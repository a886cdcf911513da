import Fleet
package import Machine

/// The fleet in plain lines, for screen readers, braille displays and logs: no picture, no cursor, no colour. What
/// changed is said as it happens; commands are typed as lines, and do what the screen's do.
///
/// A plain value like `Model`, which it asks for everything that the screen does too; what that would show at its foot
/// or in front of the panes becomes lines.
package struct Narrator: Sendable {
    /// What is to be said, and to be done for it.
    package struct Answer: Sendable {
        package var lines: [String]
        package var effects: [ModelEffect]

        init(_ lines: [String] = [], _ effects: [ModelEffect] = []) {
            self.lines = lines
            self.effects = effects
        }
    }

    /// What the next typed line answers.
    private enum Question {
        case plan(Plan)
        case quit
    }

    var model: Model
    private var question: Question?
    /// What was said of the fleet last.
    var told = Told()
    /// Changes are not said until asked for again.
    private var isQuiet = false
    /// Changes that came while a question waited for its answer: they would tear it apart.
    private var held: [String] = []

    static let heldMax = 100

    package init(_ configuration: Model.Configuration, now: Timestamp) {
        // So wide that nothing is wrapped: lines are the reader's business.
        model = Model(configuration, width: 10_000, height: 100, now: now)
    }

    /// Takes what happened. A typed line comes as `.terminal(.paste)`.
    package mutating func handle(_ event: ModelEvent) -> Answer {
        switch event {
        case .terminal(.paste(let line)): return typed(line.trimmed)
        case .snapshotTaken(let snapshot):
            let effects = model.handle(event)
            return Answer(telling(changes(to: snapshot)), effects)
        case .captionChanged(let caption):
            let effects = model.handle(event)
            guard let caption else { return Answer([], effects) }
            let steps = caption.steps > 1 ? ", step \(caption.step) of \(caption.steps)" : ""
            let line = "\(caption.isTour ? "tour" : "scenario")\(steps): \(caption.title). \(caption.text)"
            return Answer(telling([Self.plain(line)]), effects)
        case .ticked, .traced, .demoChanged: return Answer([], model.handle(event))
        default: return ask { $0.handle(event) }
        }
    }

    /// Changes, unless they shall not or cannot be said now.
    private mutating func telling(_ lines: [String]) -> [String] {
        if isQuiet { return [] }
        guard question != nil else { return lines }
        held += lines
        held.removeFirst(max(0, held.count - Self.heldMax))
        return []
    }

    /// Lets the model do something, and says what a person at the screen would see of it.
    private mutating func ask(_ body: (inout Model) -> [ModelEffect]) -> Answer {
        let before = model.status
        let effects = body(&model)
        var lines: [String] = []
        if let status = model.status, status != before {
            let severity = status.severity.map { $0 == .info ? "" : "\($0.name): " } ?? ""
            lines.append(Self.plain(severity + status.text))
        }
        switch model.overlay {
        case .question(let asked)?:
            model.overlay = nil
            switch asked.kind {
            case .plan(let plan):
                question = .plan(plan)
                lines += plan.lines.map { Self.spoken($0) }
                lines.append("Type \(plan.typed ?? "yes") to do it; anything else leaves all as it is.")
            case .quit:
                question = .quit
                lines.append("Quitting stops the worker of this process. Type yes to quit.")
            // Shards are marked on the screen only.
            case .plans: break
            }
        case .input(let prompt)?:
            model.overlay = nil
            if case .rewind = prompt.kind {
                lines.append("to where? Name it at the end: 10m, a time, a sequence number, TRIM_HORIZON or LATEST")
            }
        case .picker(let picker)?:
            model.overlay = nil
            lines.append(
                Self.plain("\(picker.title) which? Name it at the end: \(picker.choices.joined(separator: ", "))"))
        case .note(let title, let paragraphs, _)?:
            model.overlay = nil
            lines += ([title] + paragraphs).map { Self.plain($0) }
        default: break
        }
        return Answer(lines, effects)
    }

    // MARK: Typed lines

    private mutating func typed(_ line: String) -> Answer {
        if let asked = question {
            question = nil
            var answer = settle(asked, with: line)
            answer.lines += held
            held = []
            return answer
        }
        let words = line.split(separator: " ").map(String.init)
        guard let first = words.first else { return Answer() }
        let rest = words.dropFirst().joined(separator: " ")
        switch first.lowercased() {
        case "help", "h", "?": return Answer(help)
        case "status": return Answer(statusLines)
        case "shards", "leases": return Answer(shardLines(filter: rest, max: Self.listedMax))
        case "shard", "show", "detail", "describe":
            return Answer(rest.isEmpty ? ["usage: shard SHARD"] : detail(of: rest))
        case "workers": return Answer(workerLines)
        case "problems": return Answer(problemLines)
        case "events": return Answer(eventLines(all: rest == "all"))
        case "quiet":
            isQuiet = true
            return Answer(["quiet: changes are not said; speak says them again"])
        case "speak":
            isQuiet = false
            return Answer(["changes are said again"])
        case "quit", "q", "exit": return ask { $0.quit() }
        default: return command(first, line, hasArguments: words.count > 1)
        }
    }

    private mutating func settle(_ asked: Question, with line: String) -> Answer {
        switch asked {
        case .quit: return line.lowercased() == "yes" ? Answer([], [.quit]) : Answer(["the worker goes on"])
        case .plan(let plan):
            guard plan.typed.map({ line == $0 }) ?? ["yes", "y"].contains(line.lowercased()) else {
                return Answer(["nothing was written"])
            }
            model.isBusy = true
            return Answer([], [.perform(plan)])
        }
    }

    /// Commands that are about the picture, which is not there.
    private static let ofTheScreen: Set<Command.Name> = [
        .mark, .trace, .filter, .sort, .theme, .past, .pane, .zoom, .freeze, .mouse, .copy,
    ]

    static func isOffered(_ command: Command) -> Bool { !ofTheScreen.contains(command.name) }

    private mutating func command(_ word: String, _ line: String, hasArguments: Bool) -> Answer {
        guard let command = Command.named(word) else {
            let offered = CommandPalette.available(in: model).filter(Self.isOffered).map(\.name.rawValue)
            let nearest = CommandPalette.nearest(word, in: offered + Self.own.map(\.name))
            let advice = nearest.map { "did you mean \($0)?" } ?? "help lists them"
            return Answer([Self.plain("no command \(word); \(advice)")])
        }
        guard Self.isOffered(command) else {
            return Answer(["\(command.name.rawValue) is for the screen, which this is not; help lists what there is"])
        }
        // There is no cursor that could say which one is meant.
        if !hasArguments, command.arguments.first == .shard || command.arguments.first == .worker {
            return Answer(["usage: \(command.usage.filter { $0 != "[" && $0 != "]" })"])
        }
        var answer = ask { $0.run(line) }
        if model.caption?.isTour == true, !answer.effects.isEmpty {
            model.caption = nil
            answer.lines.insert("the tour ends, the controls are yours", at: 0)
            answer.effects.insert(.demo(.takeOver), at: 0)
        }
        return answer
    }

    /// A sentence that a screen reader reads well, shards by their short names.
    static func plain(_ text: String) -> String { Format.sentence(spoken(text)) }

    /// Text that a screen reader reads well: no signs that stand for words, no control characters of others. Names stay
    /// whole, as a plan's must, whose reader agrees to what is written where.
    static func spoken(_ text: String) -> String {
        let words: [Unicode.Scalar: String] = [
            "\u{2264}": "at most ", "\u{2265}": "at least ", "\u{B7}": ",", "\u{2026}": "...", "\u{2192}": "to",
            "\u{2190}": "from", "\u{2013}": "-", "\u{2713}": "yes",
        ]
        guard text.unicodeScalars.contains(where: { !$0.isASCII || $0.value < 0x20 || $0.value == 0x7F }) else {
            return text
        }
        var plain = ""
        for scalar in StatusReport.printable(text).unicodeScalars {
            if let word = words[scalar] {
                // " · " becomes ", ".
                if word == ",", plain.last == " " { plain.removeLast() }
                plain += word
            } else {
                plain.unicodeScalars.append(scalar)
            }
        }
        return plain
    }
}
