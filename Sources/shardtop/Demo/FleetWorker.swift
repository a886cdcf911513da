import AWSWire
import KinesisConsumer
import Machine
import Synchronization

/// One worker of the fleet in this process, which can be stopped, killed, paused and revived.
final class FleetWorker: Sendable {
    enum Condition: Hashable, Sendable {
        case running, paused, stopping, stopped, killed
        case failed(String)
    }

    let id: String
    private let make: @Sendable (PauseGate) -> Worker
    private let state = Mutex(State())

    private struct State: Sendable {
        var condition = Condition.stopped
        var gate = PauseGate()
        var worker: Worker?
        var task: Task<Void, Never>?
        var life = 0
    }

    /// - Parameter make: makes the worker anew for each life.
    init(id: String, make: @escaping @Sendable (PauseGate) -> Worker) {
        self.id = id
        self.make = make
    }

    var condition: Condition { state.withLock { $0.condition } }
    private var worker: Worker? { state.withLock { $0.worker } }

    /// Starts it, or revives it after a stop or a kill; false where it runs already.
    @discardableResult
    func start() -> Bool {
        let gate = PauseGate()
        let worker = make(gate)
        return state.withLock { state in
            switch state.condition {
            case .running, .paused, .stopping: return false
            case .stopped, .killed, .failed: break
            }
            state.life += 1
            let life = state.life
            state.gate = gate
            state.worker = worker
            state.condition = .running
            state.task = Task {
                let condition: Condition
                do {
                    try await worker.run()
                    condition = .stopped
                } catch is CancellationError {
                    condition = .killed
                } catch {
                    condition = .failed("\(error)")
                }
                self.ended(life, condition)
            }
            return true
        }
    }

    private func ended(_ life: Int, _ condition: Condition) {
        state.withLock { state in
            guard state.life == life else { return }
            if state.condition != .killed { state.condition = condition }
            state.worker = nil
            state.task = nil
        }
    }

    /// Gracefully: last checkpoints, then the leases are released.
    func stop() {
        resume()
        state.withLock { if $0.condition == .running { $0.condition = .stopping } }
        worker?.requestShutdown()
    }

    /// As `kill -9` does: nothing more is sent, the leases expire.
    func kill() {
        let task = state.withLock { state in
            switch state.condition {
            case .running, .paused, .stopping: state.condition = .killed
            case .stopped, .killed, .failed: break
            }
            return state.task
        }
        task?.cancel()
    }

    func pause() {
        state.withLock { state in
            guard state.condition == .running else { return }
            state.condition = .paused
            state.gate.pause()
        }
    }

    func resume() {
        let gate = state.withLock { state -> PauseGate? in
            guard state.condition == .paused else { return nil }
            state.condition = .running
            return state.gate
        }
        gate?.resume()
    }

    func release(_ shardID: String) { worker?.release(shardID) }

    func poke(_ shardID: String) { worker?.poke(shardID) }

    /// Waits until it has ended.
    func ended() async { await state.withLock { $0.task }?.value }
}
