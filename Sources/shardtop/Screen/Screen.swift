import CurlTransport
import Dashboard
import DequeModule
import Fleet
import Machine
import Synchronization

/// The loop of the screen: events into the model, its effects out, one frame for each batch of events.
///
/// Nothing that the engine does waits for it: snapshots and frames are mailboxes where the latest wins.
final class Screen: Sendable {
    /// What the screen has done for it by the program around it.
    struct Doors: Sendable {
        /// Answers `planMade` or `plansMade` or throws `Refusal`, by the newest picture; it may have to read the stream
        /// first.
        var plan: @Sendable (PlanRequest, @escaping @Sendable () -> FleetSnapshot?) async throws -> ModelEvent
        var perform: @Sendable (Plan) async -> PlanOutcome
        /// Performs one after the other while `goesOn`, and says how many are done.
        var performSet:
            @Sendable (PlanSet, _ goesOn: @escaping @Sendable () -> Bool, _ done: @escaping @Sendable (Int) -> Void)
                async
                -> SetOutcome =
                { set, _, _ in SetOutcome(done: 0, total: set.plans.count) }
        var setRefresh: @Sendable (Duration) -> Void
        var refreshNow: @Sendable () -> Void
        /// The leases whose rows are on the screen now are these, by their keys.
        var showRows: @Sendable ([String]) -> Void = { _ in }
        var demo: @Sendable (Dashboard.DemoCommand) -> Void
        /// Begins to post the protocol of a shard's child as `traced`; `nil` ends it.
        var trace: @Sendable (String?) -> Void = { _ in }
        /// Looks up the fleet as it was at a moment, and answers with the event that it is handed.
        var showPast: @Sendable (Timestamp, @escaping @Sendable (ModelEvent) -> Void) -> Void = { _, _ in }
    }

    /// Why the screen ended.
    enum End: Sendable {
        case quit
        /// The terminal is gone; the engine goes on without one.
        case headless
    }

    /// `nil` where there are plain lines in place of a picture.
    private let terminal: CursesTerminal?
    /// What ends it then, besides a typed line.
    let interruption: Interruption?
    private let doors: Doors
    let time: TimeSource
    let themes: ThemeShelf
    private let symbols: Symbols
    let events: AsyncStream<ModelEvent>
    private let continuation: AsyncStream<ModelEvent>.Continuation
    /// Not drawn yet.
    let latest = Mutex<FleetSnapshot?>(nil)
    /// By which plans are made, also while the picture is frozen.
    private let newest = Mutex<FleetSnapshot?>(nil)
    /// Lines of the protocol that the model has not seen; beyond a limit the oldest go, so that a flood of them pushes
    /// out no key.
    private let traced = Mutex<Deque<TraceLine>>([])
    private static let tracedMax = 2000
    /// The plan that is being made.
    private let planning = Mutex<Task<Void, Never>?>(nil)
    /// The person wants no more of the set that is under way.
    private let isSetStopped = Mutex(false)
    let purpose: Model.Configuration.Purpose
    private let hasMouse: Bool

    /// At most so many frames a second are drawn.
    private static let frameInterval: Duration = .milliseconds(33)

    init(
        _ options: ScreenOptions, purpose: Model.Configuration.Purpose, host: SystemHost, time: TimeSource, doors: Doors
    ) throws {
        let look = try options.look(host)
        themes = look.themes
        hasMouse = look.hasMouse
        // Before anything is shown, so that a signal that comes early is not lost.
        interruption = look.isAccessible ? Interruption() : nil
        do {
            terminal = look.isAccessible ? nil : try CursesTerminal(wanted: look.depth, hasMouse: hasMouse)
        } catch {
            throw Failure("\(error); use --accessible, --headless, or `shardtop status`")
        }
        symbols = look.isASCII ? .ascii : .unicode
        self.purpose = purpose
        self.doors = doors
        self.time = time
        (events, continuation) = AsyncStream.makeStream(of: ModelEvent.self, bufferingPolicy: .bufferingNewest(4096))
    }

    func post(_ event: ModelEvent) { continuation.yield(event) }

    /// The newest picture; an older one that nobody drew yet is dropped.
    func show(_ snapshot: FleetSnapshot) {
        latest.withLock { $0 = snapshot }
        newest.withLock { $0 = snapshot }
        continuation.yield(.ticked(time.now()))
    }

    func trace(_ line: TraceLine) {
        let isFirst = traced.withLock { lines in
            if lines.count == Self.tracedMax { lines.removeFirst() }
            lines.append(line)
            return lines.count == 1
        }
        if isFirst { continuation.yield(.ticked(time.now())) }
    }

    func run() async -> End {
        guard let terminal else {
            let end = await narrate()
            return interruption?.wasTerminated ?? false ? .quit : end
        }
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { [continuation] in
                for await event in terminal.events { continuation.yield(.terminal(event)) }
                continuation.yield(.terminal(.closed))
            }
            group.addTask { [time, continuation] in
                while (try? await time.sleep(for: .seconds(1))) != nil { continuation.yield(.ticked(time.now())) }
            }
            let end = await loop(terminal)
            group.cancelAll()
            terminal.close()
            // A supervisor may send SIGTERM right behind the SIGHUP that the screen ends with.
            return terminal.wasTerminated ? .quit : end
        }
    }

    private func loop(_ terminal: CursesTerminal) async -> End {
        let size = terminal.size
        var model = Model(
            Model.Configuration(
                purpose: purpose, themes: themes.names, theme: themes.chosen, hasMouse: hasMouse),
            width: size.width, height: size.height, now: time.now())
        var look = makeLook(themes.chosen)
        terminal.present(render(model, look: look))
        var drawnAt = time.now()
        var isFrameDue = false
        var shown: [String] = []
        for await event in events {
            var effects: [ModelEffect] = []
            if let snapshot = latest.withLock({ latest in
                defer { latest = nil }
                return latest
            }) {
                effects += model.handle(.snapshotTaken(snapshot))
            }
            let lines = traced.withLock { lines in
                defer { lines = [] }
                return lines
            }
            for line in lines { effects += model.handle(.traced(line)) }
            effects += model.handle(event)
            for effect in effects {
                if case .setTheme(let name) = effect { look = makeLook(name) }
                if let end = perform(effect) { return end }
            }
            let now = time.now()
            // Keys are drawn at once; everything else may wait for the next frame.
            let isKey = if case .terminal(.key) = event { true } else { false }
            if !isKey, now - drawnAt < Self.frameInterval {
                if !isFrameDue { drawLater() }
                isFrameDue = true
                continue
            }
            isFrameDue = false
            drawnAt = now
            terminal.present(render(model, look: look))
            if case let rows = model.shownLeases, rows != shown {
                shown = rows
                doors.showRows(rows)
            }
        }
        return .quit
    }

    private func drawLater() {
        Task { [time, continuation] in
            try? await time.sleep(for: Self.frameInterval)
            continuation.yield(.ticked(time.now()))
        }
    }

    private func makeLook(_ name: String) -> Look {
        let theme = (try? themes.theme(name)) ?? BundledThemes.theme(BundledThemes.standard)
        return Look(
            theme: (theme ?? Theme.parse("", name: name).theme).reduced(to: terminal?.depth ?? .mono), symbols: symbols)
    }

    /// Returns where the screen ends.
    func perform(_ effect: ModelEffect) -> End? {
        switch effect {
        case .makePlan(let request): makePlan(request)
        case .dropPlan: planning.withLock { $0 }?.cancel()
        case .perform(let plan):
            Task { [doors, continuation] in continuation.yield(.planPerformed(await doors.perform(plan))) }
        case .performSet(let set): perform(set)
        case .stopSet: isSetStopped.withLock { $0 = true }
        case .setRefresh(let interval): doors.setRefresh(interval)
        case .refreshNow: doors.refreshNow()
        case .showPast(let moment): doors.showPast(moment) { [continuation] in continuation.yield($0) }
        case .setTheme: break
        case .setMouse(let isOn): terminal?.setMouse(isOn)
        case .copy(let text): terminal?.copy(text)
        case .export(let path, let text): export(text, to: path)
        case .demo(let command): doors.demo(command)
        case .trace(let shardID): doors.trace(shardID)
        case .suspend: terminal?.suspend()
        case .redraw: terminal?.redraw()
        case .goHeadless: return .headless
        case .quit: return .quit
        }
        return nil
    }

    private func perform(_ set: PlanSet) {
        isSetStopped.withLock { $0 = false }
        Task {
            let outcome = await doors.performSet(
                set, { !self.isSetStopped.withLock { $0 } }, { self.post(.setProgressed($0)) })
            post(.setPerformed(outcome))
        }
    }

    private func makePlan(_ request: PlanRequest) {
        let task = Task {
            let answer: ModelEvent
            do {
                answer = try await doors.plan(request) { self.newest.withLock { $0 } }
            } catch let failure as Failure {
                answer = .planRefused(failure.message)
            } catch {
                answer = .planRefused("\(error)")
            }
            if !Task.isCancelled { post(answer) }
        }
        planning.withLock { $0 = task }
    }

    private func export(_ text: String, to path: String) {
        do {
            try LineFile(path, truncating: true).append(text)
            post(.reported(nil, "written to \(path)"))
        } catch let failure as Failure {
            post(.reported(.warning, failure.message))
        } catch {
            post(.reported(.warning, "\(error)"))
        }
    }
}
