import Dashboard
import Fleet
import Machine
import Synchronization

/// Keeps what the observer heard, and looks up the fleet as it was. Of moments asked for quickly the last is answered.
final class PastDesk: Sendable {
    private struct State {
        /// `nil` until a recording is read.
        var timeline: Timeline?
        var wanted: Timestamp?
        var isLooking = false
    }

    private let state: Mutex<State>

    init(_ timeline: Timeline?) { state = Mutex(State(timeline: timeline)) }

    func note(_ event: FleetMachine.Event, at now: Timestamp) {
        state.withLock { $0.timeline?.note(event, at: now) }
    }

    func replace(_ timeline: Timeline?) {
        state.withLock { $0.timeline = timeline }
    }

    func show(_ moment: Timestamp, _ answer: @escaping @Sendable (ModelEvent) -> Void) {
        let isFirst = state.withLock { state in
            state.wanted = moment
            defer { state.isLooking = true }
            return !state.isLooking
        }
        guard isFirst else { return }
        Task {
            while let (moment, timeline) = next() {
                guard let timeline else {
                    answer(.pastRefused("the recording is still being read; a moment"))
                    continue
                }
                answer(.pastShown(timeline.snapshot(at: moment), asked: moment))
            }
        }
    }

    private func next() -> (Timestamp, Timeline?)? {
        state.withLock { state in
            guard let wanted = state.wanted else {
                state.isLooking = false
                return nil
            }
            state.wanted = nil
            return (wanted, state.timeline)
        }
    }
}
