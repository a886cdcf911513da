import Fleet
import Leases
import Machine

/// Where a lease shall be read from is typed, looked up where it is a time, shown as a plan, and where records would be
/// skipped confirmed by the application's name.
extension Model {
    mutating func askPosition(of leases: [LeaseView]) {
        overlay = .input(Prompt(kind: .rewind(leases: leases.map(\.id)), input: TextInput()))
    }

    mutating func handle(_ key: Key, in prompt: Prompt, rewinding leases: [String]) -> [ModelEffect] {
        var prompt = prompt
        switch key {
        case .escape, .control("c"): overlay = nil
        case .enter:
            let text = prompt.input.text.trimmed
            guard !text.isEmpty else { return [] }
            guard let request = Self.rewindRequest(text) else {
                say(.warning, Self.notAPosition(text))
                return []
            }
            return self.request(request, of: leases)
        default:
            if prompt.input.handle(key) { overlay = .input(prompt) }
        }
        return []
    }

    /// What was typed after `:rewind SHARD`.
    mutating func rewind(_ lease: LeaseView, to text: String) throws -> [ModelEffect] {
        guard let request = Self.rewindRequest(text) else { throw Unknown(Self.notAPosition(text)) }
        return self.request(request, of: [lease.id])
    }

    /// Undoes what was done to a lease that is no more.
    mutating func undo(gone shard: String) -> [ModelEffect] {
        let others = snapshot?.leases.first { $0.kind == .lease }
        if let others, let why = obstacle(to: .undo, on: others) {
            say(.warning, why)
            return []
        }
        return request(.undo(lease: shard))
    }

    private mutating func request(_ position: RewindRequest, of leases: [String]) -> [ModelEffect] {
        switch position {
        case .sentinel: overlay = nil
        case .number, .time, .ago:
            overlay = .waiting("looking for the first record there; the stream is read slowly, for its readers' sake")
        }
        let requests = leases.map { PlanRequest.rewind(lease: $0, to: position) }
        return request(requests.count == 1 ? requests[0] : .several(requests))
    }

    /// Sentinels may be typed in small letters.
    private static func rewindRequest(_ text: String) -> RewindRequest? {
        RewindRequest(text) ?? RewindRequest(text.uppercased())
    }

    private static func notAPosition(_ text: String) -> String {
        "\(text) is no position: 10m, 1h30m, 2026-01-31T12:00:00Z, a sequence number, TRIM_HORIZON or LATEST"
    }

    /// Esc gives the plan up.
    mutating func handleWhileWaiting(_ key: Key) -> [ModelEffect] {
        guard [.escape, .control("c"), .character("q")].contains(key) else { return [] }
        overlay = nil
        isBusy = false
        isPlanUnwanted = true
        say(nil, "given up; nothing was written")
        return [.dropPlan]
    }

    /// Shows a plan that was asked for. It never comes up under the fingers of somebody who types something else.
    mutating func offer(_ plan: Plan) {
        guard !isPlanUnwanted else { return }
        isBusy = false
        switch overlay {
        case .waiting?, nil:
            overlay = .question(Question(kind: .plan(plan), input: plan.typed == nil ? nil : TextInput()))
        case .help?, .note?, .input?, .picker?, .question?, .performing?:
            say(.info, "\(plan.title): dropped, because something else was opened meanwhile")
        }
    }

    mutating func refuse(_ why: String) {
        guard !isPlanUnwanted else { return }
        isBusy = false
        if case .waiting? = overlay { overlay = nil }
        say(.warning, why)
    }

    // MARK: A name that is typed to confirm

    mutating func handle(_ key: Key, typing input: TextInput, in question: Question) -> [ModelEffect] {
        var question = question
        var input = input
        switch key {
        case .escape, .control("c"): return answer(question, isYes: false)
        case .enter: return answer(question, isYes: true)
        case .up: question.offset = max(0, question.offset - 1)
        case .down: question.offset += 1
        case .pageUp: question.offset = max(0, question.offset - 10)
        case .pageDown: question.offset += 10
        default: if !input.handle(key) { return [] }
        }
        question.input = input
        overlay = .question(question)
        return []
    }

    /// What is still to be typed before a yes counts, in a sentence.
    func missing(in question: Question) -> String? {
        guard let (typed, verb) = question.typed, question.input?.text.trimmed != typed else { return nil }
        return "type \(typed) to \(verb), or Esc to leave it"
    }
}

extension Question {
    /// What must be typed before a yes counts, and what is done then.
    var typed: (String, verb: String)? {
        switch kind {
        case .plan(let plan): plan.typed.map { ($0, plan.action.verb) }
        case .plans(let set): set.typed.map { ($0, set.verb) }
        case .quit: nil
        }
    }
}
