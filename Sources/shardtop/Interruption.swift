import CTerminal
import Glibc
import Machine

/// SIGINT, SIGTERM and SIGHUP for commands without a screen. They are blocked in every thread; one thread waits for
/// them, so that no handler runs anywhere.
struct Interruption: Sendable {
    private let signals: AsyncStream<Int32>

    /// Those that are not in `heard` are kept from ending the process all the same.
    init(heard: Set<Int32> = [SIGINT, SIGTERM, SIGHUP]) {
        let (stream, continuation) = AsyncStream.makeStream(of: Int32.self)
        signals = stream
        // From now on: who is told that Ctrl-C ends us may press it before the thread runs.
        shardtop_signal_listen()
        _ = startThread {
            while true {
                let signal = shardtop_signal_wait(-1)
                guard heard.contains(signal) else { continue }
                // Whoever waited was cancelled: it is meant for who waits now.
                if case .terminated = continuation.yield(signal) { return shardtop_signal_pass_on(signal) }
            }
        }
    }

    /// The first signal that comes; 0 when the task is cancelled.
    func wait() async -> Int32 {
        for await signal in signals { return signal }
        return 0
    }
}
