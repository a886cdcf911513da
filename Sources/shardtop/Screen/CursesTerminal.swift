import CTerminal
import Dashboard
import Glibc
import Machine
import Synchronization

/// The terminal of this process. ncurses is touched by one thread only, so that a terminal that takes no output
/// (Ctrl-S, a dead connection) holds up nothing but that thread; signals come from another, so that SIGTERM is heard
/// even then. Frames are left in a mailbox where the latest one wins.
final class CursesTerminal: Terminal {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let events: AsyncStream<TerminalEvent>
    let depth: ColorDepth
    private let shared: TerminalThread

    /// Takes the terminal, or throws the reason why it cannot be drawn on. `SIGINT` and the others must be blocked
    /// already (`shardtop_block_signals`), before the first thread was started.
    init(wanted: ColorDepth?, hasMouse: Bool) throws {
        let (events, continuation) = AsyncStream.makeStream(
            of: TerminalEvent.self, bufferingPolicy: .bufferingNewest(TerminalThread.eventsWaitingMax))
        let shared = TerminalThread(events: continuation, wanted: wanted, hasMouse: hasMouse)
        self.events = events
        self.shared = shared
        depth = try shared.start()
    }

    /// The size in columns and rows when it was last asked for; changes come as events.
    var size: (width: Int, height: Int) { shared.size }

    /// SIGTERM came, whether or not anybody read the event of it.
    var wasTerminated: Bool { shared.wasTerminated }

    func present(_ frame: CellBuffer) {
        shared.post { $0.frame = frame }
    }

    func setMouse(_ isOn: Bool) {
        shared.post { $0.mouse = isOn }
    }

    func copy(_ text: String) {
        shared.post { $0.copied = text }
    }

    func suspend() {
        shared.post { $0.isToSuspend = true }
    }

    func redraw() {
        shared.post { $0.isToRedraw = true }
    }

    /// Gives the terminal back and waits for that, but not for long: a terminal that takes no output is abandoned.
    func close() {
        shared.close()
    }

    deinit {
        shared.close()
    }
}

/// What the terminal's thread and everyone else share.
///
/// Unchecked, because the C terminal behind it is process-wide state that no type can own: only the thread started
/// here calls it. All else is in the mutex or never changes.
final class TerminalThread: @unchecked Sendable {
    struct Mailbox {
        var frame: CellBuffer?
        var mouse: Bool?
        var copied: String?
        var isToSuspend = false
        var isToRedraw = false
        var isToResize = false
        var isToClose = false
    }

    private struct State {
        var mailbox = Mailbox()
        var width = 0
        var height = 0
        var isRunning = false
        var wasTerminated = false
    }

    /// Enough for any typing; a flood beyond it loses the oldest.
    static let eventsWaitingMax = 4096
    /// How long a terminal may take to take its last output.
    static let closeSecondsMax = 1
    /// A paste is cut here; what is typed into a filter or a prompt is far shorter.
    static let pasteLengthMax = 65_536

    let events: AsyncStream<TerminalEvent>.Continuation
    private let wanted: ColorDepth?
    private let hasMouse: Bool
    private let state = Mutex(State())
    private let hasOpened = Gate()
    private let hasClosed = Gate()
    private let opened = Mutex<Result<ColorDepth, CursesTerminal.Failure>?>(nil)

    init(events: AsyncStream<TerminalEvent>.Continuation, wanted: ColorDepth?, hasMouse: Bool) {
        self.events = events
        self.wanted = wanted
        self.hasMouse = hasMouse
    }

    var size: (width: Int, height: Int) { state.withLock { ($0.width, $0.height) } }
    var wasTerminated: Bool { state.withLock { $0.wasTerminated } }

    /// Starts the thread and waits until the terminal is open.
    func start() throws(CursesTerminal.Failure) -> ColorDepth {
        guard startThread({ self.run() }) else {
            throw CursesTerminal.Failure(description: "no thread can be started")
        }
        hasOpened.wait()
        guard let result = opened.withLock({ $0 }) else {
            throw CursesTerminal.Failure(description: "the terminal cannot be opened")
        }
        return try result.get()
    }

    func post(_ change: (inout Mailbox) -> Void) {
        state.withLock { state in
            guard state.isRunning else { return }
            change(&state.mailbox)
            shardtop_terminal_wake()
        }
    }

    func close() {
        guard state.withLock({ $0.isRunning }) else { return }
        post { $0.isToClose = true }
        guard !hasClosed.wait(seconds: Self.closeSecondsMax) else { return }
        state.withLock { $0.isRunning = false }
        shardtop_terminal_abandon()
    }

    private func run() {
        var reason = [CChar](repeating: 0, count: 200)
        let depth = shardtop_terminal_open(wanted?.code ?? 0, &reason, Int32(reason.count))
        guard let depth = ColorDepth(code: depth) else {
            let text = String(decoding: reason.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            opened.withLock { $0 = .failure(CursesTerminal.Failure(description: text)) }
            hasOpened.signal()
            return
        }
        state.withLock { $0.isRunning = true }
        let signals = SignalListener { self.heard($0) }
        noteSize()
        if hasMouse { shardtop_terminal_set_mouse(1) }
        opened.withLock { $0 = .success(depth) }
        hasOpened.signal()
        var loop = TerminalLoop(thread: self, depth: depth)
        loop.run()
        shardtop_terminal_close()
        signals.stop()
        state.withLock { $0.isRunning = false }
        hasClosed.signal()
        events.finish()
    }

    fileprivate func takeMailbox() -> Mailbox {
        state.withLock { state in
            defer { state.mailbox = Mailbox() }
            return state.mailbox
        }
    }

    /// Leaves a frame for later that could not be shown yet, unless a newer one has come.
    fileprivate func putBack(_ frame: CellBuffer) {
        state.withLock { if $0.mailbox.frame == nil { $0.mailbox.frame = frame } }
    }

    @discardableResult
    fileprivate func noteSize() -> (width: Int, height: Int) {
        var width: Int32 = 0
        var height: Int32 = 0
        shardtop_terminal_size(&width, &height)
        let size = (width: Int(width), height: Int(height))
        state.withLock { ($0.width, $0.height) = size }
        return size
    }

    private func heard(_ signal: Int32) -> SignalListener.Answer {
        // A terminal that takes nothing was given up.
        guard state.withLock({ $0.isRunning }) else { return .over }
        switch signal {
        case SIGWINCH: post { $0.isToResize = true }
        case SIGCONT: post { $0.isToRedraw = true }
        default:
            if case .terminated = events.yield(.interrupted(signal: signal)) { return .left }
            if signal == SIGTERM { state.withLock { $0.wasTerminated = true } }
        }
        return .taken
    }
}

/// Lets one thread wait for another. Unchecked: a semaphore in C is meant to be shared, and lives as long as this.
private final class Gate: @unchecked Sendable {
    private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func signal() {
        sem_post(semaphore)
    }

    func wait() {
        while sem_wait(semaphore) != 0 && errno == EINTR {}
    }

    /// False if nobody signalled in time.
    func wait(seconds: Int) -> Bool {
        // sem_timedwait wants a timespec, whose members this toolchain hides behind a module without a name to import.
        for _ in 0..<seconds * 100 {
            if sem_trywait(semaphore) == 0 { return true }
            usleep(10_000)
        }
        return false
    }
}

/// What the terminal's thread does until it is told to close: frames out, input in.
private struct TerminalLoop {
    let thread: TerminalThread
    let depth: ColorDepth
    var shown: CellBuffer?
    var paste: String?

    init(thread: TerminalThread, depth: ColorDepth) {
        self.thread = thread
        self.depth = depth
    }

    mutating func run() {
        while true {
            let mail = thread.takeMailbox()
            if mail.isToClose { return }
            if let isOn = mail.mouse { shardtop_terminal_set_mouse(isOn ? 1 : 0) }
            if let text = mail.copied { copy(text) }
            if mail.isToResize { shardtop_terminal_resize() }
            if mail.isToRedraw { shardtop_terminal_redraw() }
            if mail.isToSuspend { suspend() }
            let isToRepaint = mail.isToResize || mail.isToRedraw || mail.isToSuspend
            if isToRepaint { noteSize() }
            var isWaitingToWrite = false
            if let frame = mail.frame ?? (isToRepaint ? shown : nil) {
                if shardtop_terminal_is_writable() != 0 {
                    show(frame)
                } else {
                    thread.putBack(frame)
                    isWaitingToWrite = true
                }
            }
            var input = shardtop_input()
            shardtop_terminal_wait(&input, -1, isWaitingToWrite ? 1 : 0)
            guard handle(input) else { return }
        }
    }

    private mutating func show(_ frame: CellBuffer) {
        for run in frame.changes(since: shown) {
            let start = run.y * frame.width + run.x
            let cells = frame.cells[start..<start + run.count]
            let packed = cells.indices.map { index in
                let isWide = index + 1 < (run.y + 1) * frame.width && frame.cells[index + 1].isContinuation
                return shardtop_cell(frame.cells[index], isWide: isWide, depth: depth)
            }
            shardtop_terminal_put(Int32(run.x), Int32(run.y), packed, Int32(packed.count))
        }
        shardtop_terminal_flush(Int32(frame.cursor?.x ?? -1), Int32(frame.cursor?.y ?? -1))
        shown = frame
    }

    /// After a change of size ncurses' picture of the screen is cut, so the next frame is put as a whole.
    private mutating func noteSize() {
        let earlier = thread.size
        let size = thread.noteSize()
        guard size != earlier else { return }
        shown = nil
        thread.events.yield(.resized(width: size.width, height: size.height))
    }

    private func copy(_ text: String) {
        let bytes = Array(text.utf8)
        _ = shardtop_terminal_copy(bytes, Int32(min(bytes.count, Int(Int32.max))))
    }

    private mutating func suspend() {
        thread.events.yield(.suspended)
        shardtop_terminal_suspend()
        thread.events.yield(.resumed)
    }

    /// False when the terminal is gone.
    private mutating func handle(_ input: shardtop_input) -> Bool {
        switch input.kind {
        case SHARDTOP_INPUT_CHARACTER:
            guard let scalar = Unicode.Scalar(input.scalar) else { break }
            if paste != nil { addToPaste(scalar) } else { thread.events.yield(.key(Key(scalar))) }
        case SHARDTOP_INPUT_ALT:
            guard let scalar = Unicode.Scalar(input.scalar) else { break }
            thread.events.yield(.key(.alt(Character(scalar))))
        case SHARDTOP_INPUT_KEY:
            if paste == nil, let key = Key(code: input.code) { thread.events.yield(.key(key)) }
        case SHARDTOP_INPUT_MOUSE:
            if let mouse = Mouse(input) { thread.events.yield(.mouse(x: Int(input.x), y: Int(input.y), mouse)) }
        case SHARDTOP_INPUT_PASTE_BEGINS: paste = ""
        case SHARDTOP_INPUT_PASTE_ENDS:
            if let paste { thread.events.yield(.paste(paste)) }
            paste = nil
        case SHARDTOP_INPUT_STOP_WANTED: thread.post { $0.isToSuspend = true }
        case SHARDTOP_INPUT_CLOSED:
            thread.events.yield(.closed)
            return false
        default: break
        }
        return true
    }

    private mutating func addToPaste(_ scalar: Unicode.Scalar) {
        guard let length = paste?.utf8.count, length < TerminalThread.pasteLengthMax else { return }
        paste?.unicodeScalars.append(scalar == "\r" ? "\n" : scalar)
    }
}
