import Glibc
package import Machine
import Synchronization

/// Runs tasks deterministically: one thread, virtual time, and a seed that picks which ready job runs next.
///
/// Tasks enter through `SimulatedNode.spawn`; child tasks, task groups, actors and async streams stay inside, a plain
/// `Task {}` does not (`escapes` counts what came back from outside). When no job is ready, time moves to the earliest
/// sleeper. `run` is called on one ordinary thread and returns when there is nothing left or a limit is reached.
package final class Simulator: Sendable {
    /// Why `run` returned.
    package enum Ending: Hashable, Sendable {
        /// No job is ready and nobody sleeps: everything ended, or waits for what will not come.
        case idle
        case reachedTime
        case reachedJobs
    }

    private struct Ready {
        var job: UnownedJob
        var node: SimulatedNode
    }

    private struct State {
        var generator: SeededGenerator
        var now = Timestamp.zero
        var ready: [Ready] = []
        /// Jobs of nodes that only watch: they run at once, in order, and cost no choice of the seed, so that a run
        /// that is watched is the same run.
        var watching: [Ready] = []
        var sleepers = SleepQueue()
        var jobsRun = 0
        var thread: pthread_t?
        var escapes = 0
        /// Ready jobs of paused nodes, by the node's number, in the order in which they became ready.
        var held: [Int: [Ready]] = [:]
        var paused: Set<Int> = []
    }

    private enum Step {
        case run(Ready)
        case wake([UnsafeContinuation<Void, any Error>])
        case end(Ending)
    }

    private let state: Mutex<State>

    package init(seed: UInt64) {
        state = Mutex(State(generator: SeededGenerator(seed: seed)))
    }

    /// The one true time; nodes have clocks of their own, which may differ.
    package var now: Timestamp { state.withLock { $0.now } }
    /// How many jobs ran so far.
    package var jobsRun: Int { state.withLock { $0.jobsRun } }
    /// Jobs that became ready on another thread: something escaped, and the run cannot be repeated.
    package var escapes: Int { state.withLock { $0.escapes } }

    /// True time, without drift or pauses: for what is outside of all nodes.
    package var time: TimeSource {
        TimeSource(
            now: { self.now }, wallClock: { Self.epoch + (self.now - .zero) },
            sleep: { try await self.sleep(until: $0) })
    }

    /// The wall clock at `Timestamp.zero`.
    package static let epoch = CivilTime.unixTime(year: 2026, month: 1, day: 31, hour: 12)

    /// Runs until nothing is left to do, `end` is reached or `jobsMax` more jobs ran.
    @discardableResult
    package func run(until end: Timestamp = .never, jobsMax: Int = .max) -> Ending {
        state.withLock { $0.thread = pthread_self() }
        defer { state.withLock { $0.thread = nil } }
        var jobs = 0
        while true {
            switch state.withLock({ Self.step(&$0, until: end) }) {
            case .run(let ready):
                if jobs == jobsMax, !ready.node.isSpectator {
                    state.withLock { $0.ready.append(ready) }
                    return .reachedJobs
                }
                if !ready.node.isSpectator { jobs += 1 }
                ready.job.runSynchronously(on: ready.node.asUnownedTaskExecutor())
            case .wake(let continuations):
                for continuation in continuations { continuation.resume() }
            case .end(let ending): return ending
            }
        }
    }

    private static func step(_ state: inout State, until end: Timestamp) -> Step {
        if !state.watching.isEmpty { return .run(state.watching.removeFirst()) }
        if !state.ready.isEmpty {
            let index = Int.random(in: 0..<state.ready.count, using: &state.generator)
            state.ready.swapAt(index, state.ready.count - 1)
            state.jobsRun += 1
            return .run(state.ready.removeLast())
        }
        guard let wake = state.sleepers.earliest else {
            if end != .never { state.now = max(state.now, end) }
            return .end(.idle)
        }
        guard wake <= end else {
            state.now = max(state.now, end)
            return .end(.reachedTime)
        }
        state.now = max(state.now, wake)
        return .wake(state.sleepers.removeAll(until: wake))
    }

    func enqueue(_ job: UnownedJob, on node: SimulatedNode) {
        state.withLock { state in
            if state.thread != pthread_self(), state.thread != nil { state.escapes += 1 }
            let ready = Ready(job: job, node: node)
            if node.isSpectator {
                state.watching.append(ready)
            } else if state.paused.contains(node.number) {
                state.held[node.number, default: []].append(ready)
            } else {
                state.ready.append(ready)
            }
        }
    }

    func setPaused(_ isPaused: Bool, node: Int) {
        state.withLock { state in
            if isPaused {
                state.paused.insert(node)
                let held = state.ready.filter { $0.node.number == node }
                state.ready.removeAll { $0.node.number == node }
                state.held[node, default: []] += held
            } else {
                state.paused.remove(node)
                state.ready += state.held.removeValue(forKey: node) ?? []
            }
        }
    }

    /// Returns at `until` of true time; throws `CancellationError` at once when the task is cancelled.
    func sleep(until: Timestamp) async throws {
        let id = state.withLock { $0.sleepers.nextID() }
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
                // Everything runs on one thread, so nothing is cancelled between this question and the insertion.
                if Task.isCancelled {
                    continuation.resume(throwing: CancellationError())
                } else if until <= now {
                    continuation.resume()
                } else {
                    state.withLock { $0.sleepers.insert(continuation, id: id, wake: until) }
                }
            }
        } onCancel: {
            state.withLock { $0.sleepers.remove(id) }?.resume(throwing: CancellationError())
        }
    }
}
