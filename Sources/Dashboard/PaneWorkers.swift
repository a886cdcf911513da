import Fleet
import Machine

/// Who is there, with how much, and since when they were last heard of.
extension Frame {
    mutating func drawWorkers(_ place: PanesLayout.Place) {
        let workers = model.snapshot?.workers ?? []
        let rows = model.rows.workers
        let note = rows.isEmpty ? [] : [Span("\(rows.count)", look.style(.dim))]
        let area = panel(place, note: note)
        guard !rows.isEmpty else {
            let text = workers.isEmpty ? "no worker owns a lease" : "no worker matches; Esc shows all"
            if isRead { drawMessage([(text, .dim)], in: area) }
            return
        }
        let most = max(1, workers.reduce(0) { max($0, $1.leases) })
        let hasMarks = workers.contains { $0.isLeader || $0.isOurs != workers[0].isOurs }
        var columns = [
            Column("", min: 1), Column("WORKER", min: 10, max: 40, weight: 4, keeping: .ends),
            hasMarks ? Column("", min: 6, max: 11, priority: 1) : Column("", min: 500, priority: 9),
            Column("LEASES", min: 6, alignment: .right, priority: 1),
            Column("", min: 4, max: 20, weight: 3, priority: 3),
            Column("BEAT", min: 7, alignment: .right), Column("REC/S", min: 6, alignment: .right, priority: 2),
            Column("KB/S", min: 6, alignment: .right, priority: 4),
        ]
        if workers.contains(where: { $0.report != nil }) {
            columns += [
                Column("CPU", min: 4, alignment: .right, priority: 3),
                Column("MEM", min: 4, alignment: .right, priority: 6),
                Column("NET", min: 7, alignment: .right, priority: 7),
                Column("REPORT", min: 7, alignment: .right, priority: 5),
            ]
        }
        let state = model.list(.workers)
        let table = Table(
            columns: columns, rowCount: rows.count, offset: state.offset,
            selection: model.focus == .workers ? state.index : nil,
            hasFocus: model.focus == .workers && model.overlay == nil)
        var picture = buffer
        let layout = table.draw(in: area, on: &picture, look: look) { row, column in
            workerField(column, workers[rows[row]], most: most, hasOthers: workers.contains { !$0.isOurs })
        }
        buffer = picture
        calmSelection(in: layout.body, row: table.selection.map { $0 - layout.offset })
        hitLines(.workers, in: layout.body, offset: layout.offset, count: rows.count)
    }

    private func workerField(_ column: Int, _ worker: WorkerView, most: Int, hasOthers: Bool) -> TableField {
        let state = WorkerLook(worker.state, isASCII: symbols.isASCII)
        let text = look.style(.text)
        switch column {
        case 0: return .text(state.symbol, look.style(state.role))
        case 1:
            return .text(worker.workerID, ownerStyle(worker.workerID))
        case 2:
            let marks = [worker.isLeader ? "leader" : nil, worker.isOurs && hasOthers ? "ours" : nil].compactMap { $0 }
            return .text(marks.joined(separator: " "), look.style(worker.isLeader ? .notice : .dim))
        case 3:
            let count =
                worker.activeLeases == worker.leases ? "\(worker.leases)" : "\(worker.activeLeases)/\(worker.leases)"
            return .text(count, worker.leases == 0 ? look.style(.dim) : text)
        case 4:
            return .meter(Double(worker.leases) / Double(most), Gradient(start: ownerStyle(worker.workerID).foreground))
        case 5:
            switch worker.state {
            case .paused, .stopped, .expired, .idle, .learning:
                return .text(beat(worker), look.style(state.role))
            case .live, .late:
                return .text(
                    Format.age(worker.heartbeatAge, symbols), worker.state == .late ? look.style(state.role) : text)
            }
        case 6: return .text(Format.rate(worker.recordsPerSecond, symbols), text)
        case 7: return .text(Format.rate(worker.bytesPerSecond.map { $0 / 1024 }, symbols), text)
        default: return reportField(column, worker.report)
        }
    }

    /// What a 3.x worker says of itself.
    private func reportField(_ column: Int, _ report: WorkerReport?) -> TableField {
        let dim = look.style(.dim)
        guard let report else { return .text(symbols.none, dim) }
        func percent(_ metric: WorkerReport.Metric) -> String {
            report.percent(metric).map { "\($0)%" } ?? symbols.none
        }
        func role(_ metric: WorkerReport.Metric) -> Theme.Role {
            // A leader takes leases away above the range.
            (report.values[metric] ?? 0) > (report.ranges[metric] ?? 100) ? .warning : .text
        }
        switch column {
        case 8: return .text(percent(.cpu), look.style(role(.cpu)))
        case 9: return .text(percent(.memory), look.style(role(.memory)))
        case 10: return .text("\(percent(.networkIn))/\(percent(.networkOut))", look.style(role(.networkIn)))
        default:
            return .text(
                report.age.map(\.brief) ?? symbols.none,
                look.style(report.isFresh && report.failing.isEmpty ? .text : .warning))
        }
    }

    /// The state in a short word, for those where the last renewal is not what matters.
    private func beat(_ worker: WorkerView) -> String {
        switch worker.state {
        case .paused: "PAUSED"
        case .stopped: "STOPPED"
        case .idle: "idle"
        case .learning: "learn"
        case .expired: worker.heartbeatAge.map(\.brief) ?? "gone"
        case .live, .late: Format.age(worker.heartbeatAge, symbols)
        }
    }
}
