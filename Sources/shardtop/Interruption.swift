import CTerminal
import Glibc

/// SIGINT, SIGTERM and SIGHUP for commands without a screen. They are blocked in every thread; one thread waits for
/// them, so that no handler runs anywhere.
struct Interruption: Sendable {
    private let signals: AsyncStream<Int32>

    init() {
        let (stream, continuation) = AsyncStream.makeStream(of: Int32.self)
        signals = stream
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Box(continuation))
        if pthread_create(&thread, nil, waitForSignals, box.toOpaque()) == 0 {
            pthread_detach(thread)
        } else {
            box.release()
        }
    }

    /// The first signal that comes; 0 when the task is cancelled.
    func wait() async -> Int32 {
        for await signal in signals { return signal }
        return 0
    }

    fileprivate final class Box: Sendable {
        let continuation: AsyncStream<Int32>.Continuation

        init(_ continuation: AsyncStream<Int32>.Continuation) { self.continuation = continuation }
    }
}

private func waitForSignals(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    let box = Unmanaged<Interruption.Box>.fromOpaque(context).takeRetainedValue()
    while true {
        let signal = shardtop_signal_wait(-1)
        if [SIGINT, SIGTERM, SIGHUP].contains(signal) { box.continuation.yield(signal) }
    }
}
