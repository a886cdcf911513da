import Fleet
import Leases
import Machine

extension Model {
    /// The shard that an action key is about.
    var subject: LeaseView? {
        guard let snapshot else { return nil }
        if let detail { return lease(id: detail.lease) }
        switch focus {
        case .shards, .hashKeys, .lineage, .workers: return lease(id: selectedLease)
        case .problems:
            let line = list(.problems).index
            guard line < rows.problems.count else { return nil }
            return snapshot.problems[rows.problems[line]].shardIDs.first.flatMap { lease(shard: $0) ?? lease(id: $0) }
        case .events:
            let line = list(.events).index
            guard line < rows.events.count else { return nil }
            return snapshot.events[rows.events[line]].event.shardID.flatMap { lease(shard: $0) }
        }
    }

    mutating func focus(on pane: Pane) {
        focus = pane
        hidden.remove(pane)
        recent.removeAll { $0 == pane }
        recent.insert(pane, at: 0)
    }

    mutating func cycle(by step: Int) {
        detail = nil
        let shown = Pane.allCases.filter { !hidden.contains($0) }
        guard let index = shown.firstIndex(of: focus), shown.count > 1 else { return }
        focus(on: shown[(index + step + shown.count) % shown.count])
    }

    /// A digit: go to the pane, or hide it where one is already there.
    mutating func choose(_ pane: Pane) {
        if detail != nil {
            detail = nil
            focus(on: pane)
        } else if focus != pane || isZoomed {
            focus(on: pane)
        } else if hidden.count < Pane.allCases.count - 1 {
            hidden.insert(pane)
            if let next = recent.first(where: { !hidden.contains($0) }) { focus(on: next) }
            say(nil, "\(pane.title) hidden; \(pane.rawValue) brings it back")
        } else {
            say(.info, "this is the last pane")
        }
    }

    mutating func move(_ action: Action) {
        if trace != nil {
            moveInTrace(action)
            return
        }
        if detail != nil {
            moveInDetail(action)
            return
        }
        let count = lineCount(focus)
        guard count > 0 else { return }
        var list = list(focus)
        let page = max(1, (layout.place(of: focus)?.height ?? 3) - focus.linesAbove - 2)
        switch action {
        case .up, .left: list.index -= 1
        case .down, .right: list.index += 1
        case .pageUp: list.index -= page
        case .pageDown: list.index += page
        case .first: list.index = 0
        case .last: list.index = count - 1
        default: break
        }
        select(line: list.index, in: focus)
    }

    mutating func select(line: Int, in pane: Pane) {
        let count = lineCount(pane)
        guard count > 0 else { return }
        var list = list(pane)
        list.index = min(max(0, line), count - 1)
        let id = lineID(pane, list.index)
        switch pane {
        case .shards, .hashKeys, .lineage: selectedLease = id
        case .workers, .problems: list.id = id
        // At the top the newest event stays in view.
        case .events: list.id = list.index == 0 ? nil : id
        }
        lists[pane] = list
    }

    private mutating func moveInDetail(_ action: Action) {
        guard var detail else { return }
        switch action {
        case .up: detail.offset -= 1
        case .down: detail.offset += 1
        case .pageUp: detail.offset -= 10
        case .pageDown: detail.offset += 10
        case .first: detail.offset = 0
        case .last: detail.offset = DetailLines(self).lines.count
        case .left, .right:
            guard !rows.shards.isEmpty else { return }
            let line = list(.shards).index + (action == .left ? -1 : 1)
            select(line: line, in: .shards)
            if let id = selectedLease { detail = Detail(lease: id) }
        default: break
        }
        let most = max(0, DetailLines(self).lines.count - detailTextHeight)
        detail.offset = max(0, min(detail.offset, most))
        self.detail = detail
    }

    mutating func open() {
        guard let snapshot else { return }
        switch focus {
        case .workers:
            guard let worker = list(.workers).id else { return }
            setFilter("owner:^\(worker.lowercased())$", on: .shards)
            focus(on: .shards)
            say(nil, "the shards of \(worker); Esc shows all")
        case .problems where subject == nil:
            let line = list(.problems).index
            guard line < rows.problems.count else { return }
            let problem = snapshot.problems[rows.problems[line]]
            overlay = .note(title: problem.kind.rawValue, paragraphs: [Format.sentence(problem.message)], offset: 0)
        case .shards, .hashKeys, .lineage, .events, .problems:
            guard let subject else {
                say(.info, snapshot.leases.isEmpty ? "there is no lease yet" : "the lease table has no row for that")
                return
            }
            selectedLease = subject.id
            detail = Detail(lease: subject.id)
        }
    }

    mutating func back() {
        if detail != nil {
            detail = nil
        } else if filters[focus].map({ !$0.isEmpty }) == true {
            setFilter("", on: focus)
        } else if isZoomed {
            isZoomed = false
        } else if status != nil {
            status = nil
        } else if focus != .shards {
            focus(on: .shards)
        }
    }

    mutating func setFilter(_ text: String, on pane: Pane) {
        let filter = RowFilter(text)
        filters[pane] = filter.isEmpty ? nil : filter
        rebuildFiltered()
    }

    mutating func order(_ order: RowOrder) {
        sort = order
        rebuildFiltered()
    }

    mutating func stepSort(by step: Int) {
        // Only among the columns on the screen, or the arrow would vanish.
        let shown = ShardsTable.places(
            width: (layout.place(of: .shards)?.width ?? 2) - 2, shardsTraits(isASCII: false)
        ).map(\.column).filter(ShardColumn.sortable.contains)
        guard !shown.isEmpty else { return }
        let next: Int
        if let column = sort.column, let index = shown.firstIndex(of: column) {
            next = (index + step + shown.count) % shown.count
        } else {
            next = step > 0 ? 0 : shown.count - 1
        }
        order(RowOrder(column: shown[next], isAscending: shown[next].startsAscending))
    }
}
