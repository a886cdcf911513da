import Machine
import Synchronization

/// Clocks that stand still but for sleepers, who move them to where they want to wake.
final class VirtualTime: Sendable {
    private let state: Mutex<State>

    private struct State {
        var now = Timestamp.zero
        var wall: UnixTime
        var sleeps: [Duration] = []
    }

    /// Starts at 2026-01-31T12:00:00Z unless told otherwise.
    init(wall: UnixTime = UnixTime(milliseconds: 1_769_860_800_000)) { state = Mutex(State(wall: wall)) }

    var source: TimeSource {
        TimeSource(
            now: { [self] in state.withLock { $0.now } }, wallClock: { [self] in state.withLock { $0.wall } },
            sleep: { [self] deadline in
                try Task.checkCancellation()
                state.withLock { state in
                    let wait = max(deadline - state.now, .zero)
                    state.sleeps.append(wait)
                    state.now = state.now + wait
                    state.wall = state.wall + wait
                }
            })
    }

    var wall: UnixTime { state.withLock { $0.wall } }
    var sleeps: [Duration] { state.withLock { $0.sleeps } }

    func advance(by duration: Duration) {
        state.withLock { state in
            state.now = state.now + duration
            state.wall = state.wall + duration
        }
    }

    /// Sets the wall clock without the time passing.
    func step(by duration: Duration) { state.withLock { $0.wall = $0.wall + duration } }
}
