import Glibc
import Synchronization

/// SIGINT, SIGTERM and SIGHUP, for whoever has no screen that hears them.
final class Interruption: Sendable {
    private let signals: AsyncStream<Int32>
    private let terminated = Mutex(false)

    /// Those that are not in `heard` are kept from ending the process all the same.
    init(heard: Set<Int32> = [SIGINT, SIGTERM, SIGHUP]) {
        let (stream, continuation) = AsyncStream.makeStream(of: Int32.self)
        signals = stream
        _ = SignalListener { [weak self] signal in
            guard let self else { return .over }
            guard heard.contains(signal) else { return .left }
            // Whoever waited was cancelled: it is meant for who waits now.
            if case .terminated = continuation.yield(signal) { return .over }
            if signal == SIGTERM { self.terminated.withLock { $0 = true } }
            return .taken
        }
    }

    /// SIGTERM came, whether or not anybody waited for it.
    var wasTerminated: Bool { terminated.withLock { $0 } }

    /// The first signal that comes; 0 when the task is cancelled.
    func wait() async -> Int32 {
        for await signal in signals { return signal }
        return 0
    }
}
