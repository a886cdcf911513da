import KinesisConsumer
import Machine
import Synchronization

/// Passes what happens to the screen while there is one, and to the log while there is none.
final class EventRelay: Sendable {
    private let listener = Mutex<(@Sendable (WorkerEvent) -> Void)?>(nil)

    func connect(_ listener: (@Sendable (WorkerEvent) -> Void)?) { self.listener.withLock { $0 = listener } }

    func pass(_ event: WorkerEvent) {
        if let listener = listener.withLock({ $0 }) { return listener(event) }
        if let line = event.warning { Output.error("shardtop consume: \(line)") }
    }

    /// A sentence about the program itself.
    func say(_ line: String, by workerID: String, at time: UnixTime) {
        guard let listener = listener.withLock({ $0 }) else { return Output.error("shardtop consume: \(line)") }
        listener(WorkerEvent(.throttled, at: time, workerID: workerID, message: line))
    }

    /// A line that a child wrote to its standard error, or a sentence about the child.
    func say(_ line: String, of shardID: String, by workerID: String, at time: UnixTime) {
        guard let listener = listener.withLock({ $0 }) else { return Output.error("\(shardID): \(line)") }
        listener(WorkerEvent(.childOutput, at: time, workerID: workerID, shardID: shardID, message: line))
    }
}

extension WorkerEvent {
    /// The line for a log where the event is one that somebody should see.
    var warning: String? {
        let place = shardID.map { "\($0): " } ?? ""
        switch kind {
        case .leaseLost: return "\(place)ZOMBIE, the lease is lost: \(message ?? "")"
        case .processorFailed, .throttled, .modeChanged: return "\(place)\(message ?? kind.rawValue)"
        case .recordsSkipped:
            return "\(place)skipped \(records ?? 0) records, \(from?.description ?? "?") to \(to?.description ?? "?"): "
                + (message ?? "")
        default: return nil
        }
    }
}
