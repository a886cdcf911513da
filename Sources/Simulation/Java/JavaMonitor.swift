import Synchronization

/// Java's `synchronized`: one at a time, in the order in which they came; not reentrant.
final class JavaMonitor: Sendable {
    private struct State {
        var isLocked = false
        var waiting: [UnsafeContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    func lock() async {
        await withUnsafeContinuation { continuation in
            let isFree = state.withLock { state in
                if state.isLocked {
                    state.waiting.append(continuation)
                    return false
                }
                state.isLocked = true
                return true
            }
            if isFree { continuation.resume() }
        }
    }

    func unlock() {
        let next: UnsafeContinuation<Void, Never>? = state.withLock { state in
            if state.waiting.isEmpty {
                state.isLocked = false
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
