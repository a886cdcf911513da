import Fleet
import Leases
import Machine

extension Model {
    /// Takes what happened and says what is to be done. Nothing here waits, reads a clock or writes.
    package mutating func handle(_ event: ModelEvent) -> [ModelEffect] {
        let effects = respond(to: event)
        // Lines of a trace may come by the thousand a second, and change nothing else.
        if case .traced = event { return effects }
        defer { settle() }
        let isEnding = effects.contains { $0 == .goHeadless || $0 == .quit }
        return (isEnding ? closeTrace() : []) + effects
    }

    private mutating func respond(to event: ModelEvent) -> [ModelEffect] {
        switch event {
        case .terminal(let event): return handle(event)
        case .snapshotTaken(let snapshot):
            take(snapshot)
            return []
        case .ticked(let time):
            now = max(now, time)
            if let status, status.until <= now { self.status = nil }
            return []
        case .planMade(let plan):
            offer(plan)
            return []
        case .plansMade(let set):
            offer(set)
            return []
        case .setProgressed(let done):
            progressed(done)
            return []
        case .setPerformed(let outcome):
            concluded(outcome)
            return [.refreshNow]
        case .planRefused(let why):
            refuse(why)
            return []
        case .planPerformed(let outcome):
            isBusy = false
            let (severity, text) = Self.words(for: outcome)
            say(severity, text)
            return [.refreshNow]
        case .reported(let severity, let text):
            say(severity, text)
            return []
        case .captionChanged(let caption):
            self.caption = caption
            return []
        case .demoChanged(let demo):
            self.demo = demo
            return []
        case .unreachable(let message, let retryAt):
            outage = Outage(message: message, retryAt: retryAt)
            return []
        case .pastShown(let snapshot, let asked):
            take(past: snapshot, asked: asked)
            return []
        case .pastRefused(let why):
            refusePast(why)
            return []
        case .bookmarksFound(let bookmarks):
            self.bookmarks = bookmarks
            return []
        case .traced(let line):
            take(line)
            return []
        }
    }

    static func words(for outcome: PlanOutcome) -> (Severity?, String) {
        switch outcome {
        case .written: (nil, "written")
        case .intentGone: (.warning, "nothing was written: what was confirmed is no longer so; look again")
        case .refused(let refusal): (.warning, refusal.description)
        case .failed(let why): (.critical, why)
        }
    }

    private mutating func take(_ snapshot: FleetSnapshot) {
        now = max(now, snapshot.takenAtInstant)
        live = snapshot
        outage = nil
        bookmarks.note(snapshot)
        forgetMarks()
        if frozen == nil, past?.shown == nil { rebuildRows() }
    }

    /// Shows a sentence at the foot: longer where it matters more.
    mutating func say(_ severity: Severity?, _ text: String) {
        let seconds =
            switch severity {
            case nil, .info: 5
            case .warning: 8
            case .critical: 15
            }
        status = StatusLine(severity: severity, text: Format.sentence(text), until: now + .seconds(seconds))
    }

    private mutating func handle(_ event: TerminalEvent) -> [ModelEffect] {
        switch event {
        case .key(let key): return handle(key)
        case .paste(let text):
            guard case .input(var prompt)? = overlay else { return [] }
            prompt.input.insert(text)
            return edited(prompt)
        case .mouse(let x, let y, let mouse): return handle(mouse, x: x, y: y)
        case .resized(let width, let height):
            self.width = max(0, width)
            self.height = max(0, height)
            return []
        case .suspended: return []
        case .resumed: return [.redraw]
        case .interrupted(signal: 2): return quit()
        case .interrupted(signal: 1): return configuration.purpose == .consume ? [.goHeadless] : [.quit]
        case .interrupted: return [.quit]
        case .closed: return configuration.purpose == .consume ? [.goHeadless] : [.quit]
        }
    }

    mutating func handle(_ key: Key) -> [ModelEffect] {
        var effects: [ModelEffect] = []
        if caption?.isTour == true {
            caption = nil
            effects.append(.demo(.takeOver))
            say(nil, "the tour ends, the controls are yours; ? shows the keys")
        }
        if let overlay { return effects + handle(key, in: overlay) }
        guard let action = Binding.action(of: key, in: situation) else {
            if case .character(let character) = key {
                let isDemoKey = trace == nil && Binding.all.contains { $0.scope == .demo && $0.keys.contains(key) }
                say(
                    .info,
                    isDemoKey
                        ? "\(character) steers the demo's workers and producer; this is no demo"
                        : "\(character) does nothing here; ? shows the keys")
            }
            return effects
        }
        return effects + perform(action)
    }

    /// What keys depend on.
    var situation: Binding.Situation {
        Binding.Situation(
            focus: focus, isDetail: detail != nil, isTrace: trace != nil, isDemo: configuration.purpose == .demo,
            isPast: past != nil)
    }

    mutating func perform(_ action: Action) -> [ModelEffect] {
        switch action {
        case .up, .down, .left, .right, .pageUp, .pageDown, .first, .last: move(action)
        case .nextPane: cycle(by: 1)
        case .previousPane: cycle(by: -1)
        case .pane(let pane): choose(pane)
        case .zoom:
            detail = nil
            isZoomed.toggle()
        case .open: open()
        case .back where trace != nil: return closeTrace()
        case .back: back()
        case .earlier, .later, .earlierBookmark, .laterBookmark, .present: return scrub(action)
        case .wrap: wrapTrace()
        case .filter: startFilter()
        case .command: overlay = .input(completed(Prompt(kind: .command, input: TextInput())))
        case .help: overlay = .help(offset: 0)
        case .freeze where trace != nil: freezeTrace()
        case .freeze: toggleFreeze()
        case .themes: startThemes()
        case .chatter:
            showsChatter.toggle()
            rebuildFiltered()
            say(
                nil,
                showsChatter ? "checkpoints, batches and syncs are shown" : "checkpoints, batches and syncs are hidden")
        case .sortNext: stepSort(by: 1)
        case .sortPrevious: stepSort(by: -1)
        case .reverse: order(RowOrder(column: sort.column, isAscending: !sort.isAscending))
        case .defaultOrder: order(.standard)
        case .mouse:
            isMouseOn.toggle()
            say(nil, isMouseOn ? "mouse on" : "mouse off: the terminal selects text")
            return [.setMouse(isMouseOn)]
        case .copy: return copy()
        case .redraw: return [.redraw]
        case .refreshFaster: return changeRefresh(isFaster: true)
        case .refreshSlower: return changeRefresh(isFaster: false)
        case .refreshNow: return [.refreshNow]
        case .steal, .evict, .release, .rewind, .undo, .create, .delete, .assign, .split, .merge: return act(action)
        case .killWorker, .stopWorker, .pauseWorker, .startWorker, .rateUp, .rateDown, .hot: return steer(action)
        case .mark, .markAll, .unmarkAll: mark(action)
        case .suspend: return suspend()
        case .quit: return quit()
        }
        return []
    }

    private mutating func suspend() -> [ModelEffect] {
        switch configuration.purpose {
        case .consume:
            say(.warning, "Ctrl-Z is off: a stopped worker loses its leases; q ends it in order")
            return []
        case .demo, .watch, .replay: return [.suspend]
        }
    }

    mutating func quit() -> [ModelEffect] {
        guard configuration.purpose == .consume else { return [.quit] }
        overlay = .question(Question(kind: .quit, isYesSelected: false))
        return []
    }

    private mutating func toggleFreeze() {
        if past != nil {
            say(.info, "the past stands still already; Esc returns to now")
        } else if frozen != nil {
            frozen = nil
            rebuildRows()
            say(nil, "live again")
        } else if let live {
            frozen = live
            say(nil, "frozen: look around, the fleet goes on; p is live again")
        } else {
            say(.info, "there is no picture to freeze yet")
        }
    }

    private mutating func copy() -> [ModelEffect] {
        let text: String?
        if focus == .workers && detail == nil {
            text = list(.workers).id
        } else {
            text = subject?.shardID
        }
        guard let text else {
            say(.info, "nothing is selected")
            return []
        }
        say(nil, "copied \(text)")
        return [.copy(text)]
    }

    /// The steps of `+` and `-`; also what `:refresh` is clamped to.
    static let refreshSteps: [Int64] = [500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000]

    private mutating func changeRefresh(isFaster: Bool) -> [ModelEffect] {
        let present = live?.refreshInterval.wholeMilliseconds ?? 5000
        let steps = Self.refreshSteps
        let next = isFaster ? steps.last { $0 < present } : steps.first { $0 > present }
        guard let next else {
            say(.info, isFaster ? "the table is not read more often than twice a second" : "once a minute is the least")
            return []
        }
        return setRefresh(.milliseconds(next))
    }

    mutating func setRefresh(_ interval: Duration) -> [ModelEffect] {
        live?.refreshInterval = interval
        say(nil, "the table is read every \(interval.brief)")
        return [.setRefresh(interval)]
    }
}
