import Leases
import Machine

extension FleetMachine {
    /// What an operator reads first.
    func verdict(_ snapshot: FleetSnapshot) -> Verdict {
        var verdict = Verdict()
        verdict.severity = snapshot.problems.first?.severity
        verdict.facts = facts(snapshot)
        verdict.lagTrend = lagTrend()
        if let worst = snapshot.problems.first, worst.severity > .info || snapshot.scans == 0 {
            verdict.word = worst.severity.name.uppercased()
            let more = snapshot.problems.count { $0.severity > .info } - 1
            verdict.headline = worst.message + (more > 0 ? " (+\(more) more)" : "")
            return verdict
        }
        if snapshot.scans == 0 {
            verdict.headline = "reading the table \(snapshot.identity.table)"
            return verdict
        }
        let learning = snapshot.leases.indices.count { snapshot.leases[$0].state == .learning }
        if learning > 0 {
            verdict.word = "LEARNING"
            verdict.headline = "watching the counters of \(learning) lease\(learning == 1 ? "" : "s") for a renewal"
        } else {
            verdict.word = "OK"
            let live = snapshot.workers.count { $0.leases > 0 }
            verdict.headline = "\(live) worker\(live == 1 ? "" : "s") read every shard"
        }
        return verdict
    }

    private func facts(_ snapshot: FleetSnapshot) -> [String] {
        var facts: [String] = []
        let totals = snapshot.totals
        if let lag = totals.maxDeliveredLag ?? totals.maxCheckpointLag {
            facts.append("max lag \(lag.isUpperBound ? "≤" : "")\(Duration.milliseconds(lag.milliseconds).brief)")
        }
        // Of readers that keep up nothing waits long enough to be said.
        if let seconds = totals.secondsToTrim, let retention = shortestRetention,
            retention - .seconds(seconds) > .seconds(60)
        {
            facts.append("oldest unread expires in \(Duration.seconds(seconds).brief)")
        }
        var counts = ["\(totals.open) open"]
        if totals.draining > 0 { counts.append("\(totals.draining) draining") }
        if totals.ended > 0 { counts.append("\(totals.ended) ended") }
        if snapshot.scans > 0 { facts.append(counts.joined(separator: " ")) }
        return facts
    }

    /// The largest lag against that of a few samples before.
    private func lagTrend() -> Verdict.Trend {
        let recent = lagHistory.samples.suffix(5).map(\.lagMilliseconds).filter { !$0.isNaN }
        guard recent.count >= 3, let first = recent.first, let last = recent.last else { return .steady }
        let step = max(500, first * 0.1)
        return last > first + step ? .rising : last < first - step ? .falling : .steady
    }
}
