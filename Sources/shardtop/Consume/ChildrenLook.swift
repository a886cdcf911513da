import Dashboard
import Fleet
import Machine
import Metrics
import MultiLang

/// The children as the screen shows them, looked at again and again.
struct ChildrenLook {
    /// By process id: the processor time when it was last looked at.
    private var times: [Int32: (spent: Duration, at: Timestamp)] = [:]

    mutating func views(_ statuses: [ChildStatus], at now: Timestamp) -> [ChildView] {
        var seen: [Int32: (spent: Duration, at: Timestamp)] = [:]
        let views = statuses.map { status in
            var view = ChildView(
                shardID: status.shardID, pid: status.pid, state: ChildView.State(status.state),
                lastAction: status.lastAction?.rawValue, lastMessageAge: status.lastMessageAt.map { now - $0 },
                waiting: status.waitingSince.map { now - $0 }, stray: status.stray, answered: status.answered,
                checkpoints: status.checkpoints, refusedCheckpoints: status.refusedCheckpoints,
                restarts: status.restarts, bytesWritten: status.bytesWritten,
                residentBytes: status.usage?.residentBytes)
            if let pid = status.pid, let spent = status.usage?.processorTime {
                if let last = times[pid], now > last.at { view.processorShare = (spent - last.spent) / (now - last.at) }
                seen[pid] = (spent, now)
            }
            return view
        }
        times = seen
        return views
    }
}

extension ChildView.State {
    init(_ state: ChildStatus.State) {
        self =
            switch state {
            case .idle: .idle
            case .working: .working
            case .ending: .ending
            case .ended: .ended
            case .failed(let reason): .failed(reason)
            }
    }
}

extension TraceLine {
    init(_ trace: ChildTrace, at time: UnixTime) {
        self.init(
            shardID: trace.shardID, pid: trace.pid, direction: trace.direction == .toChild ? .toChild : .fromChild,
            line: trace.line, at: time)
    }
}

extension ChildFigures {
    init(_ status: ChildStatus, at now: Timestamp) {
        self.init(
            shardID: status.shardID, pid: status.pid, restarts: status.restarts, strayLines: status.stray,
            processorTime: status.usage?.processorTime, residentBytes: status.usage?.residentBytes,
            waiting: status.waitingSince.map { now - $0 })
    }
}
