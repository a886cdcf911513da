import Synchronization

/// The history of a run: a hash of every line, in order, and the lines themselves for whoever listens.
///
/// Two runs of one seed have the same hash; where they do not, something undeterministic got in.
package final class Trace: Sendable {
    private struct State {
        /// FNV-1a.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        var lines = 0
    }

    private let state = Mutex(State())
    private let listener: (@Sendable (String) -> Void)?

    package init(listener: (@Sendable (String) -> Void)? = nil) {
        self.listener = listener
    }

    package var hash: UInt64 { state.withLock { $0.hash } }
    package var lines: Int { state.withLock { $0.lines } }

    package func add(_ line: String) {
        state.withLock { state in
            for byte in line.utf8 { state.hash = (state.hash ^ UInt64(byte)) &* 0x0100_0000_01B3 }
            state.hash = (state.hash ^ 10) &* 0x0100_0000_01B3
            state.lines += 1
        }
        listener?(line)
    }
}
