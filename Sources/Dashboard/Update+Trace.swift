import Fleet
import Machine

/// Keys and lines of the view of a child's protocol.
extension Model {
    /// Opens the trace of a shard's child, or says why there is none.
    mutating func openTrace(_ shardID: String) -> [ModelEffect] {
        guard let snapshot, !snapshot.children.isEmpty else {
            say(.info, "no children here: only consume with executableName runs child processes")
            return []
        }
        if configuration.purpose == .replay {
            say(.info, "a recording holds no lines of the protocol; they are seen only while the child runs")
            return []
        }
        trace = Trace(shardID: shardID)
        status = nil
        return [.trace(shardID: shardID)]
    }

    mutating func closeTrace() -> [ModelEffect] {
        guard trace != nil else { return [] }
        trace = nil
        return [.trace(shardID: nil)]
    }

    /// Takes a line in; of another shard's child, or late, it is dropped.
    mutating func take(_ line: TraceLine) {
        guard trace?.shardID == line.shardID else { return }
        trace?.live.append(line)
    }

    mutating func freezeTrace() {
        guard var trace else { return }
        if trace.frozen == nil {
            trace.frozen = trace.live
        } else {
            trace.frozen = nil
            trace.bottom = nil
        }
        self.trace = trace
    }

    mutating func wrapTrace() {
        guard var trace else { return }
        trace.isWrapped.toggle()
        // The line stays the lowest, with its end in view.
        trace.bottom?.row = .max
        self.trace = trace
    }

    mutating func moveInTrace(_ action: Action) {
        guard var trace else { return }
        let area = TraceLayout(layout.main)
        let page = max(1, area.height - 1)
        let rows =
            switch action {
            case .up: 1
            case .down: -1
            case .pageUp: page
            case .pageDown: -page
            default: 0
            }
        switch action {
        case .first:
            trace.bottom = Trace.Place(line: trace.shown.first, row: 0)
            trace.scroll(up: 0, width: area.textWidth, height: area.height)
        case .last: trace.bottom = nil
        default: trace.scroll(up: rows, width: area.textWidth, height: area.height)
        }
        self.trace = trace
    }
}
