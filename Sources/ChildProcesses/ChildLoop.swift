import AWSWire
import CShardtopSpawn
import Machine
import MultiLang
import Synchronization

/// The thread, and the queue by which others talk to it. Everything about a child happens on the thread.
final class ChildLoop: Sendable {
    private let queue: Mutex<Queue>

    enum Command: Sendable {
        case spawn(ChildCommand, @Sendable (ChildNews) -> Void, Reply<Int32>, id: Int)
        case write(Int, [UInt8], Reply<Void>)
        case read(Int, Reply<Bytes?>)
        case cancelRead(Int, Reply<Bytes?>)
        case cancelWrite(Int, Reply<Void>)
        case closeInput(Int)
        case signal(Int, ChildSignal)
        case signalAll(ChildSignal)
        case abandon(Int)
        case whenNoneIsLeft(Reply<Void>)
    }

    private struct Queue: Sendable {
        var commands: [Command] = []
        var lastID = 0
        /// The thread's alarm clock; nil without a thread.
        var wakeUp: Int32?
        var isClosing = false
        var alive: Set<Int> = []
    }

    init() {
        let epoll = shardtop_epoll_create()
        let wakeUp = shardtop_eventfd()
        queue = Mutex(Queue(wakeUp: wakeUp))
        guard epoll >= 0, wakeUp >= 0, startThread({ [self] in run(epoll: epoll, wakeUp: wakeUp) }) else {
            closeDescriptor(epoll)
            closeDescriptor(wakeUp)
            queue.withLock { $0.wakeUp = nil }
            return
        }
    }

    /// Kills all children, and ends the thread.
    func close() {
        queue.withLock { queue in
            queue.isClosing = true
            if let wakeUp = queue.wakeUp { shardtop_eventfd_signal(wakeUp) }
        }
    }

    /// False where there is no thread to do it.
    @discardableResult
    func post(_ command: Command) -> Bool {
        queue.withLock { queue in
            guard let wakeUp = queue.wakeUp, !queue.isClosing else { return false }
            queue.commands.append(command)
            // The thread takes all commands at once: only the first has to wake it.
            if queue.commands.count == 1 { shardtop_eventfd_signal(wakeUp) }
            return true
        }
    }

    func isAlive(_ id: Int) -> Bool { queue.withLock { $0.alive.contains(id) } }

    func spawn(
        _ command: ChildCommand, _ news: @escaping @Sendable (ChildNews) -> Void
    ) async throws -> (id: Int, pid: Int32) {
        let id = queue.withLock { queue in
            queue.lastID += 1
            return queue.lastID
        }
        let reply = Reply<Int32>()
        guard post(.spawn(command, news, reply, id: id)) else { throw ChildError("children are not started any more") }
        return (id, try await reply.value())
    }

    func write(_ piece: [UInt8], to id: Int) async throws {
        let reply = Reply<Void>()
        guard post(.write(id, piece, reply)) else { throw ChildError("the child was ended") }
        try await withTaskCancellationHandler {
            try await reply.value()
        } onCancel: {
            post(.cancelWrite(id, reply))
        }
    }

    func read(from id: Int) async throws -> Bytes? {
        let reply = Reply<Bytes?>()
        guard post(.read(id, reply)) else { throw ChildError("the child was ended") }
        return try await withTaskCancellationHandler {
            try await reply.value()
        } onCancel: {
            post(.cancelRead(id, reply))
        }
    }

    func signalAll(_ signal: ChildSignal) { post(.signalAll(signal)) }

    /// Returns at once where it is cancelled.
    func waitUntilNoneIsLeft() async {
        let reply = Reply<Void>()
        guard post(.whenNoneIsLeft(reply)) else { return }
        await withTaskCancellationHandler {
            try? await reply.value()
        } onCancel: {
            reply.finish(.success(()))
        }
    }

    // MARK: The thread

    private func run(epoll: Int32, wakeUp: Int32) {
        var children = Children(epoll: epoll)
        _ = shardtop_epoll_watch_always(epoll, wakeUp, Children.wakeUpToken)
        var ready = [shardtop_readiness](repeating: shardtop_readiness(), count: 64)
        while true {
            let (commands, isClosing) = queue.withLock { queue in
                defer { queue.commands = [] }
                return (queue.commands, queue.isClosing)
            }
            for command in commands { children.perform(command) }
            if isClosing { break }
            publish(children)
            let count = shardtop_epoll_wait(epoll, &ready, Int32(ready.count), children.pollMilliseconds)
            for event in ready.prefix(Int(max(count, 0))) {
                if event.token == Children.wakeUpToken {
                    shardtop_eventfd_clear(wakeUp)
                } else {
                    children.becameReady(event.token)
                }
            }
            children.poll()
            publish(children)
        }
        let late = queue.withLock { queue in
            defer { queue.commands = [] }
            queue.wakeUp = nil
            queue.alive = []
            return queue.commands
        }
        for command in late { children.refuse(command) }
        children.close()
        closeDescriptor(epoll)
        closeDescriptor(wakeUp)
    }

    private func publish(_ children: Children) {
        let alive = children.alive
        queue.withLock { if $0.alive != alive { $0.alive = alive } }
    }
}

/// One answer from the thread to a task that waits for it.
final class Reply<Value: Sendable>: Sendable {
    private enum State: Sendable {
        case open
        case waiting(CheckedContinuation<Value, any Error>)
        case finished(Result<Value, any Error>)
        case taken
    }

    private let state = Mutex(State.open)

    /// Once.
    func value() async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let result: Result<Value, any Error>? = state.withLock { state in
                if case .finished(let result) = state {
                    state = .taken
                    return result
                }
                state = .waiting(continuation)
                return nil
            }
            if let result { continuation.resume(with: result) }
        }
    }

    /// The first result counts; false for the others.
    @discardableResult
    func finish(_ result: Result<Value, any Error>) -> Bool {
        let (continuation, isFirst): (CheckedContinuation<Value, any Error>?, Bool) = state.withLock { state in
            switch state {
            case .open:
                state = .finished(result)
                return (nil, true)
            case .waiting(let continuation):
                state = .taken
                return (continuation, true)
            case .finished, .taken: return (nil, false)
            }
        }
        continuation?.resume(with: result)
        return isFirst
    }
}
