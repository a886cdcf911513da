import AWSWire
import CShardtopSpawn
import Glibc
import MultiLang

/// The children as the thread sees them.
struct Children {
    /// Each descriptor's token is the child's id and one of these.
    enum Kind: UInt64 {
        case input
        case output
        case error
        case process
    }

    static let wakeUpToken = UInt64.max
    /// What is read at once.
    private static let pieceBytes = 64 << 10
    /// What the system may hold between us and a child, so that it needs us less often.
    private static let pipeBytes: Int32 = 256 << 10

    struct Child {
        var id: Int
        var pid: pid_t
        var input: Descriptor
        var output: Descriptor
        var error: Descriptor
        /// Readable when the process ends; without one it is asked now and then.
        var process: Descriptor
        var news: @Sendable (ChildNews) -> Void
        var write: (bytes: [UInt8], offset: Int, reply: Reply<Void>)?
        var read: Reply<Bytes?>?
        /// The process was collected: its id may be somebody else's.
        var isCollected = false
        var isAbandoned = false
    }

    /// One that may be closed, and whether epoll has heard of it.
    struct Descriptor {
        var number: Int32?
        var isKnown = false
    }

    private let epoll: Int32
    private var children: [Int: Child] = [:]
    private var waitingForNone: [Reply<Void>] = []
    private var buffer = [UInt8](repeating: 0, count: Self.pieceBytes)

    init(epoll: Int32) { self.epoll = epoll }

    /// The ids of those that run.
    private(set) var alive: Set<Int> = []
    /// Those among them whose end nobody announces.
    private var unannounced: Set<Int> = []

    /// How long the thread may sleep.
    var pollMilliseconds: Int32 { unannounced.isEmpty ? -1 : 50 }

    mutating func perform(_ command: ChildLoop.Command) {
        switch command {
        case .spawn(let command, let news, let reply, let id): spawn(command, news, reply, id: id)
        case .write(let id, let bytes, let reply):
            guard children[id]?.input.number != nil, children[id]?.write == nil else {
                reply.finish(.failure(ChildError("it is closed")))
                return
            }
            children[id]?.write = (bytes, 0, reply)
            writeOn(id)
        case .read(let id, let reply):
            guard let child = children[id], child.read == nil, !child.isAbandoned else {
                reply.finish(.failure(ChildError("it was ended")))
                return
            }
            guard child.output.number != nil else {
                reply.finish(.success(nil))
                return
            }
            children[id]?.read = reply
            readOn(id)
        case .cancelRead(let id, let reply):
            if children[id]?.read === reply { children[id]?.read = nil }
            reply.finish(.failure(CancellationError()))
        case .cancelWrite(let id, let reply):
            if children[id]?.write?.reply === reply { children[id]?.write = nil }
            reply.finish(.failure(CancellationError()))
        case .closeInput(let id): closeInput(id)
        case .signal(let id, let signal): send(signal, to: id)
        case .signalAll(let signal): for id in children.keys.sorted() { send(signal, to: id) }
        case .abandon(let id): abandon(id)
        case .whenNoneIsLeft(let reply):
            waitingForNone.append(reply)
            answerIfNoneIsLeft()
        }
    }

    /// The thread ends before it does this.
    func refuse(_ command: ChildLoop.Command) {
        let error = ChildError("children are not started any more")
        switch command {
        case .spawn(_, _, let reply, _): reply.finish(.failure(error))
        case .write(_, _, let reply), .cancelWrite(_, let reply): reply.finish(.failure(error))
        case .read(_, let reply), .cancelRead(_, let reply): reply.finish(.failure(error))
        case .whenNoneIsLeft(let reply): reply.finish(.success(()))
        case .closeInput, .signal, .signalAll, .abandon: break
        }
    }

    /// Kills and collects all.
    mutating func close() {
        for id in children.keys.sorted() { abandon(id) }
        for id in children.keys.sorted() { collect(id, options: 0) }
        for reply in waitingForNone { reply.finish(.success(())) }
    }

    mutating func becameReady(_ token: UInt64) {
        let id = Int(token >> 2)
        guard children[id] != nil, let kind = Kind(rawValue: token & 3) else { return }
        switch kind {
        case .input: writeOn(id)
        case .output: readOn(id)
        case .error:
            if readError(id) { watch(id, \.error, .error) }
        case .process: collect(id, options: WNOHANG)
        }
    }

    /// Asks after those whose end nobody announces.
    mutating func poll() {
        for id in unannounced.sorted() { collect(id, options: WNOHANG) }
    }

    // MARK: Start

    private mutating func spawn(
        _ command: ChildCommand, _ news: @escaping @Sendable (ChildNews) -> Void, _ reply: Reply<Int32>, id: Int
    ) {
        do throws(ChildError) {
            let (pid, pipes) = try startProcess(command)
            for descriptor in [pipes.input, pipes.output, pipes.error] { _ = shardtop_set_nonblocking(descriptor) }
            shardtop_set_pipe_size(pipes.input, Self.pipeBytes)
            let process = shardtop_pidfd(pid)
            children[id] = Child(
                id: id, pid: pid, input: Descriptor(number: pipes.input), output: Descriptor(number: pipes.output),
                error: Descriptor(number: pipes.error), process: Descriptor(number: process < 0 ? nil : process),
                news: news)
            alive.insert(id)
            if process < 0 { unannounced.insert(id) }
            watch(id, \.process, .process)
            watch(id, \.error, .error)
            reply.finish(.success(pid))
        } catch {
            reply.finish(.failure(error))
        }
    }

    // MARK: Bytes

    private mutating func watch(_ id: Int, _ which: WritableKeyPath<Child, Descriptor>, _ kind: Kind) {
        guard let descriptor = children[id]?[keyPath: which], let number = descriptor.number else { return }
        _ = shardtop_epoll_watch(
            epoll, number, kind == .input ? 1 : 0, descriptor.isKnown ? 1 : 0, UInt64(id) << 2 | kind.rawValue)
        children[id]?[keyPath: which].isKnown = true
    }

    private mutating func close(_ id: Int, _ which: WritableKeyPath<Child, Descriptor>) {
        guard let number = children[id]?[keyPath: which].number else { return }
        closeDescriptor(number)
        children[id]?[keyPath: which] = Descriptor()
    }

    /// Writes until the pipe is full or all is written.
    private mutating func writeOn(_ id: Int) {
        guard let number = children[id]?.input.number, let (bytes, start, reply) = children[id]?.write else { return }
        var offset = start
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                buffer.baseAddress.map { Glibc.write(number, $0 + offset, buffer.count - offset) } ?? 0
            }
            if count >= 0 {
                offset += count
            } else if errno == EAGAIN {
                children[id]?.write?.offset = offset
                watch(id, \.input, .input)
                return
            } else if errno != EINTR {
                children[id]?.write = nil
                reply.finish(.failure(ChildError(errorText(errno))))
                return
            }
        }
        children[id]?.write = nil
        reply.finish(.success(()))
    }

    private mutating func closeInput(_ id: Int) {
        let write = children[id]?.write
        children[id]?.write = nil
        close(id, \.input)
        write?.reply.finish(.failure(ChildError("it is closed")))
    }

    /// Reads one piece for the one who waits for it; without one the output stays in its pipe.
    private mutating func readOn(_ id: Int) {
        guard let number = children[id]?.output.number, let reply = children[id]?.read else { return }
        let count = readPiece(number)
        guard count != .some(nil) else { return watch(id, \.output, .output) }
        children[id]?.read = nil
        if case .some(let count?) = count, count > 0 {
            reply.finish(.success(Bytes(Array(buffer[..<count]))))
        } else {
            close(id, \.output)
            reply.finish(.success(nil))
        }
    }

    /// Passes on a piece; false at the end.
    private mutating func readError(_ id: Int) -> Bool {
        guard let number = children[id]?.error.number else { return false }
        switch readPiece(number) {
        case .some(nil): return true
        case .some(let count?) where count > 0:
            children[id]?.news(.errorOutput(Bytes(Array(buffer[..<count]))))
            return true
        default:
            close(id, \.error)
            return false
        }
    }

    /// The bytes read into `buffer`, 0 at the end; the inner nil where there are none yet, the outer for an error.
    private mutating func readPiece(_ number: Int32) -> Int?? {
        while true {
            let count = buffer.withUnsafeMutableBytes { Glibc.read(number, $0.baseAddress, $0.count) }
            if count >= 0 { return .some(count) }
            if errno == EAGAIN { return .some(nil) }
            if errno != EINTR { return nil }
        }
    }

    // MARK: End

    private func send(_ signal: ChildSignal, to id: Int) {
        guard let child = children[id], !child.isCollected else { return }
        // Its group is its own, and bears its id as long as it is not collected.
        kill(-child.pid, signal == .kill ? SIGKILL : SIGTERM)
    }

    private mutating func abandon(_ id: Int) {
        guard let child = children[id], !child.isAbandoned else { return }
        children[id]?.isAbandoned = true
        send(.kill, to: id)
        closeInput(id)
        close(id, \.output)
        close(id, \.error)
        let read = children[id]?.read
        children[id]?.read = nil
        read?.finish(.failure(ChildError("it was ended")))
        forgetIfOver(id)
    }

    /// Collects the process where it has ended, and kills what it leaves behind.
    private mutating func collect(_ id: Int, options: Int32) {
        guard let child = children[id], !child.isCollected else { return }
        var state = siginfo_t()
        // First only looked at: the id must stay its own until its group is gone.
        var isLost = false
        while waitid(P_PID, id_t(child.pid), &state, WEXITED | WNOWAIT | options) < 0 {
            // Not EINTR: somebody else of this process collected it, and its id with it.
            if errno != EINTR {
                isLost = true
                break
            }
        }
        guard isLost || state.si_signo == SIGCHLD else { return watch(id, \.process, .process) }
        var status: Int32 = 0
        if !isLost {
            send(.kill, to: id)
            while waitpid(child.pid, &status, 0) < 0, errno == EINTR {}
        }
        children[id]?.isCollected = true
        alive.remove(id)
        unannounced.remove(id)
        close(id, \.process)
        // What it wrote to standard error before it ended fits the pipe.
        var left = 1 << 20
        while left > 0, readPending(id) { left -= Self.pieceBytes }
        let signal = status & 0x7F
        child.news(.exited(signal == 0 ? .exited(status >> 8 & 0xFF) : .killed(signal)))
        forgetIfOver(id)
        answerIfNoneIsLeft()
    }

    /// Passes on a piece of standard error that is there; false where there is none.
    private mutating func readPending(_ id: Int) -> Bool {
        guard let number = children[id]?.error.number else { return false }
        var waiting = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        return Glibc.poll(&waiting, 1, 0) > 0 && readError(id)
    }

    private mutating func forgetIfOver(_ id: Int) {
        if let child = children[id], child.isCollected, child.isAbandoned { children[id] = nil }
    }

    private mutating func answerIfNoneIsLeft() {
        guard alive.isEmpty else { return }
        for reply in waitingForNone { reply.finish(.success(())) }
        waitingForNone = []
    }
}

func closeDescriptor(_ number: Int32) {
    if number >= 0 { _ = Glibc.close(number) }
}
