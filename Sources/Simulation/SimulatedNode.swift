package import Machine
import Synchronization

/// A machine of the simulated world: its tasks, its clock, its pauses.
///
/// A paused node stands still between two jobs, wherever that is: its sleeps do not return and answers do not arrive
/// until it is resumed, while its clock goes on (CLOCK_BOOTTIME). What it sent before still takes effect, because
/// `FaultyTransport` carries requests outside of the node.
package final class SimulatedNode: TaskExecutor {
    package let simulator: Simulator
    package let name: String
    package let clock: NodeClock
    let number: Int

    private struct State {
        var pausedAt: Timestamp?
        var pausedTotal: Duration = .zero
        var tasks: [Task<Void, Never>] = []
    }

    private let state = Mutex(State())

    /// Watches without taking part: its jobs change nothing in what the others do, and when.
    let isSpectator: Bool

    /// - Parameter number: unique within the simulator.
    package init(
        _ name: String, number: Int, clock: NodeClock = NodeClock(), isSpectator: Bool = false, simulator: Simulator
    ) {
        self.isSpectator = isSpectator
        self.name = name
        self.number = number
        self.clock = clock
        self.simulator = simulator
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        simulator.enqueue(UnownedJob(job), on: self)
    }

    package var isPaused: Bool { state.withLock { $0.pausedAt != nil } }
    /// How long the node has stood still in all.
    var pausedTotal: Duration {
        state.withLock { state in state.pausedTotal + (state.pausedAt.map { simulator.now - $0 } ?? .zero) }
    }

    package func pause() {
        state.withLock { $0.pausedAt = $0.pausedAt ?? simulator.now }
        simulator.setPaused(true, node: number)
    }

    package func resume() {
        state.withLock { state in
            if let pausedAt = state.pausedAt { state.pausedTotal += simulator.now - pausedAt }
            state.pausedAt = nil
        }
        simulator.setPaused(false, node: number)
    }

    /// Starts a task of this node.
    @discardableResult
    package func spawn(_ body: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
        let task = Task(executorPreference: self) { await body() }
        state.withLock { $0.tasks.append(task) }
        return task
    }

    /// Starts a task that `kill` does not reach.
    func spawnDetached(_ body: @escaping @Sendable () async -> Void) {
        _ = Task(executorPreference: self) { await body() }
    }

    /// `kill -9`: every task is cancelled; a paused node dies too.
    package func kill() {
        for task in state.withLock({ $0.tasks }) { task.cancel() }
        resume()
    }

    /// The node's clocks: monotonic with an origin and a drift of its own, and a wall clock that may be off.
    package var time: TimeSource {
        let (simulator, clock) = (simulator, clock)
        return TimeSource(
            now: { clock.local(simulator.now) },
            wallClock: { Simulator.epoch + clock.wallOffset + (clock.local(simulator.now) - clock.origin) },
            sleep: { try await simulator.sleep(until: clock.global($0)) })
    }
}

/// How a node's clock relates to true time.
package struct NodeClock: Hashable, Sendable {
    /// What the clock shows at the beginning; different for each node, so that mixing two clocks cannot go unnoticed.
    package var origin: Timestamp
    /// Parts per million by which it runs fast (or slow, negative).
    package var driftPPM: Int64
    /// How far the wall clock is ahead.
    package var wallOffset: Duration

    package init(origin: Timestamp = .zero, driftPPM: Int64 = 0, wallOffset: Duration = .zero) {
        self.origin = origin
        self.driftPPM = driftPPM
        self.wallOffset = wallOffset
    }

    package func local(_ global: Timestamp) -> Timestamp {
        let elapsed = Int128(global.nanoseconds)
        return origin + .nanoseconds(Int64(clamping: elapsed + elapsed * Int128(driftPPM) / 1_000_000))
    }

    /// The first moment of true time at which the clock shows `local` or later.
    package func global(_ local: Timestamp) -> Timestamp {
        if local == .never { return .never }
        let elapsed = Int128(local.nanoseconds) - Int128(origin.nanoseconds)
        var global = Timestamp(nanoseconds: Int64(clamping: elapsed * 1_000_000 / Int128(1_000_000 + driftPPM)))
        while self.local(global) < local { global = Timestamp(nanoseconds: global.nanoseconds + 1) }
        return global
    }
}
