import AWSWire
import Machine
import Synchronization

/// The shell around one child's machine: reads and writes its pipes, and keeps what the machine only counts.
final class ChildSession: Sendable {
    private let shardID: String
    private let time: TimeSource
    private let observer: ChildObserver
    /// Outlives each request: what happens between two waits here.
    private let mailbox = Mailbox<ChildMachine.Event>()
    private let state: Mutex<State>

    private struct State: Sendable {
        var machine: ChildMachine
        var child: (any ChildProcess)?
        var output = ProtocolLines(bytesMax: lineBytesMax, excess: .drop)
        var errorOutput = ProtocolLines(bytesMax: errorLineBytesMax, excess: .cut)
        var status: ChildStatus
        var bytesWritten = 0
        var exit: ChildExit?
        /// A request was cancelled: the machine knows nothing of it.
        var isCancelled = false
    }

    /// Far above every message; what is longer is dropped before it is whole.
    private static let lineBytesMax = 1 << 20
    private static let errorLineBytesMax = 8 << 10
    private static let traceBytesMax = 1 << 20

    init(shardID: String, limits: ChildLimits, time: TimeSource, observer: ChildObserver, restarts: Int) {
        self.shardID = shardID
        self.time = time
        self.observer = observer
        let machine = ChildMachine(shardID: shardID, restarts: restarts, limits: limits)
        state = Mutex(State(machine: machine, status: machine.status))
    }

    func start(_ command: ChildCommand, _ spawner: any ChildSpawner) async throws {
        let child = try await spawner.spawn(command) { [weak self] in self?.take($0) }
        state.withLock { state in
            state.child = child
            state.status.pid = child.pid
        }
    }

    var pid: Int32? { state.withLock { $0.child?.pid } }

    var isEnded: Bool { state.withLock { $0.machine.isEnded || $0.isCancelled } }

    var status: ChildStatus {
        let (child, exit, status) = state.withLock { state in
            var status = state.status
            status.pid = state.child?.pid
            status.bytesWritten = state.bytesWritten
            return (state.child, state.exit, status)
        }
        var result = status
        if let exit {
            // Nobody has asked it anything since; the next who does will fail.
            if case .idle = status.state { result.state = .failed("it \(exit)") }
        } else if let child {
            result.usage = child.usage()
        }
        return result
    }

    func abandon() { state.withLock { $0.child }?.abandon() }

    /// Sends the request and returns when the child has answered it, or is gone: then with the reason of its failure.
    /// Cancelled, it kills the child and throws `CancellationError`.
    func ask(
        _ request: ProtocolRequest, checkpoint: @escaping @Sendable (CheckpointReply) async -> ChildMachine.Event
    ) async throws -> String? {
        guard let child = state.withLock({ $0.child }) else { return "it was never started" }
        let (asked, effects) = state.withLock { state in
            let effects = state.machine.handle(.requested(request.action), at: time.now())
            return (state.machine, effects)
        }
        guard !asked.isFinished else {
            // It was dead before: no effect of this waits for anything.
            for effect in effects { _ = performImmediately(effect, child) }
            return asked.failure
        }
        let machine: ChildMachine
        do {
            machine = try await drive(
                asked, mailbox: mailbox, time: time, starting: effects,
                immediately: { self.performImmediately($0, child) },
                perform: { await self.perform($0, request, child, checkpoint) })
        } catch {
            state.withLock { $0.isCancelled = true }
            child.abandon()
            throw error
        }
        state.withLock { $0.machine = machine }
        return machine.failure
    }

    private func performImmediately(_ effect: ChildMachine.Effect, _ child: any ChildProcess) -> Bool {
        switch effect {
        case .closeInput: child.closeInput()
        case .signal(let signal): child.signal(signal)
        case .abandon: child.abandon()
        case .warn(let message): observer.onWarning(shardID, "the child (pid \(child.pid)): \(message)")
        case .report(let status): state.withLock { $0.status = status }
        case .write, .reply, .read, .checkpoint, .wake: return false
        }
        return true
    }

    private func perform(
        _ effect: ChildMachine.Effect, _ request: ProtocolRequest, _ child: any ChildProcess,
        _ checkpoint: @Sendable (CheckpointReply) async -> ChildMachine.Event
    ) async -> ChildMachine.Event? {
        switch effect {
        case .write: return await write(request, to: child)
        case .reply(let reply):
            trace(.toChild) { reply.line.dropLast() }
            return await write(reply.line, to: child).map { .writeFailed($0) } ?? .replied
        case .read(let number): return await read(number, from: child)
        case .checkpoint(let number, let subNumber):
            return await checkpoint(CheckpointReply(sequenceNumber: number, subSequenceNumber: subNumber))
        case .wake(let deadline):
            do { try await time.sleep(deadline) } catch { return nil }
            return .woke(deadline)
        // Performed on the spot.
        case .closeInput, .signal, .abandon, .warn, .report: return nil
        }
    }

    /// Encodes a piece when the pipe has taken the one before.
    private func write(_ request: ProtocolRequest, to child: any ChildProcess) async -> ChildMachine.Event {
        if let onTrace = observer.onTrace, observer.isTraced(shardID) {
            let line = ProtocolEncoder.trace(
                request, withData: observer.traceHasData, bytesMax: Self.traceBytesMax)
            onTrace(
                ChildTrace(
                    shardID: shardID, pid: child.pid, direction: .toChild, line: harmless(Bytes(line))))
        }
        var encoder = ProtocolEncoder(request)
        var piece: [UInt8] = []
        while !encoder.isFinished {
            piece.removeAll(keepingCapacity: true)
            encoder.next(into: &piece)
            if let reason = await write(piece, to: child) { return .writeFailed(reason) }
        }
        return .written
    }

    /// Returns the reason where it fails.
    private func write(_ piece: [UInt8], to child: any ChildProcess) async -> String? {
        do {
            try await child.write(piece)
            state.withLock { $0.bytesWritten += piece.count }
            return nil
        } catch {
            return "\(error)"
        }
    }

    private func read(_ number: Int, from child: any ChildProcess) async -> ChildMachine.Event? {
        do {
            guard let piece = try await child.read() else {
                let lines = state.withLock { $0.output.finish() }
                // A last line without its end counts, as it does for Java's reader.
                let readings = readings(of: lines, child)
                if readings.messages.isEmpty, readings.stray == 0 { return .outputEnded }
                return .received(number, readings)
            }
            return .received(number, readings(of: state.withLock { $0.output.append(piece) }, child))
        } catch is CancellationError {
            return nil
        } catch {
            return .outputEnded
        }
    }

    private func readings(of lines: [ProtocolLines.Line], _ child: any ChildProcess) -> ProtocolReadings {
        var readings = ProtocolReadings()
        for line in lines {
            switch line {
            case .tooLong:
                readings.stray += 1
                trace(.fromChild) { "(a line of more than \(Self.lineBytesMax) bytes)".utf8 }
            case .text(let bytes):
                switch ProtocolMessage.read(bytes) {
                case .message(let message):
                    readings.messages.append(message)
                    trace(.fromChild) { bytes.array }
                case .blank: break
                case .stray:
                    readings.stray += 1
                    // What a program prints may be what it was given.
                    trace(.fromChild) {
                        observer.traceHasData ? bytes.array : Array("(a stray line of \(bytes.count) bytes)".utf8)
                    }
                }
            }
        }
        return readings
    }

    private func trace(_ direction: ChildTrace.Direction, _ line: () -> some Sequence<UInt8>) {
        guard let onTrace = observer.onTrace, observer.isTraced(shardID) else { return }
        let text = harmless(Bytes(Array(line().prefix(Self.traceBytesMax))))
        onTrace(ChildTrace(shardID: shardID, pid: pid ?? 0, direction: direction, line: text))
    }

    /// On the spawner's thread.
    private func take(_ news: ChildNews) {
        switch news {
        case .errorOutput(let piece): forward(state.withLock { $0.errorOutput.append(piece) })
        case .exited(let exit):
            let rest = state.withLock { state in
                state.exit = exit
                return state.errorOutput.finish()
            }
            forward(rest)
            mailbox.post(.exited(exit))
        }
    }

    private func forward(_ lines: [ProtocolLines.Line]) {
        for case .text(let line) in lines { observer.onLine(shardID, harmless(line)) }
    }
}
