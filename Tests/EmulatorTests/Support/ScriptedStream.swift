import AWSWire
import Emulator
import Synchronization

/// A stream that gives its pieces as they are pulled, then ends, fails, or waits until it is closed.
final class ScriptedStream: ResponseStream {
    enum End: Sendable {
        case ends, fails, waits
    }

    private struct State {
        var left: Int
        var pulled = 0
        var isClosed = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    let status = 200
    let headers = [Header("Content-Type", "application/vnd.amazon.eventstream")]
    private let piece: Bytes
    private let end: End
    private let state: Mutex<State>

    init(_ count: Int, of piece: Bytes, then end: End) {
        self.piece = piece
        self.end = end
        state = Mutex(State(left: count))
    }

    var pulled: Int { state.withLock { $0.pulled } }
    var isClosed: Bool { state.withLock { $0.isClosed } }

    func next() async throws(TransportError) -> Bytes? {
        let hasMore = state.withLock { state in
            guard !state.isClosed, state.left > 0 else { return false }
            state.left -= 1
            state.pulled += 1
            return true
        }
        if hasMore { return piece }
        switch end {
        case .ends: return nil
        case .fails: throw TransportError(.truncated, "the script says so", requestWasSent: true)
        case .waits:
            await withCheckedContinuation { continuation in
                let isClosed = state.withLock { state in
                    if !state.isClosed { state.waiter = continuation }
                    return state.isClosed
                }
                if isClosed { continuation.resume() }
            }
            throw TransportError(.closed, "closed", requestWasSent: true)
        }
    }

    func close() {
        let waiter = state.withLock { state in
            state.isClosed = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    func waitUntilClosed() async { while !isClosed { await Task.yield() } }
}
