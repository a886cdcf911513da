import AWSWire
import Machine
import Synchronization

/// Stops a worker in this process the way SIGSTOP or a long garbage collection stops one: nothing it awaits returns
/// while its clock goes on.
final class PauseGate: Sendable {
    private struct State: Sendable {
        var isPaused = false
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
        var lastID = 0
    }

    private let state = Mutex(State())

    var isPaused: Bool { state.withLock { $0.isPaused } }

    func pause() { state.withLock { $0.isPaused = true } }

    func resume() {
        let waiting = state.withLock { state in
            state.isPaused = false
            defer { state.waiting = [:] }
            return state.waiting.values.map { $0 }
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Returns at once, or when the worker is resumed or its task cancelled.
    func pass() async {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waits = state.withLock { state in
                    guard state.isPaused, !Task.isCancelled else { return false }
                    state.waiting[id] = continuation
                    return true
                }
                if !waits { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: id) }?.resume()
        }
    }

    /// `time` as the paused worker has it: it goes on, but nobody wakes.
    func gating(_ time: TimeSource) -> TimeSource {
        TimeSource(now: time.now, wallClock: time.wallClock) { deadline in
            try await time.sleep(deadline)
            await self.pass()
            try Task.checkCancellation()
        }
    }

    func gating(_ transport: any Transport) -> any Transport { GatedTransport(gate: self, base: transport) }
}

/// Requests leave and answers arrive only while the gate is open.
private struct GatedTransport: Transport {
    let gate: PauseGate
    let base: any Transport

    func send(_ request: Request) async throws(TransportError) -> Response {
        await gate.pass()
        let response = try await base.send(request)
        await gate.pass()
        return response
    }

    func open(_ request: Request) async throws(TransportError) -> any ResponseStream {
        await gate.pass()
        let stream = try await base.open(request)
        await gate.pass()
        return GatedStream(gate: gate, base: stream)
    }
}

/// A stream of which nothing reaches a worker that is paused.
private final class GatedStream: ResponseStream {
    let gate: PauseGate
    let base: any ResponseStream

    init(gate: PauseGate, base: any ResponseStream) {
        self.gate = gate
        self.base = base
    }

    var status: Int { base.status }
    var headers: [Header] { base.headers }

    func next() async throws(TransportError) -> Bytes? {
        await gate.pass()
        let piece = try await base.next()
        await gate.pass()
        return piece
    }

    func close() { base.close() }
}
