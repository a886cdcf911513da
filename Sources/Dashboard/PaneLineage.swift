import Fleet
import Leases
import Machine

/// Which shard came of which, with what is going on in each.
extension Frame {
    mutating func drawLineage(_ place: PanesLayout.Place) {
        let lines = model.rows.lineage
        var footer: [Span] = []
        if model.rows.singles > 0, !lines.isEmpty {
            let word = model.rows.singles == 1 ? "shard" : "shards"
            footer = [Span("\(model.rows.singles) \(word) never resharded", look.style(.dim))]
        }
        let area = panel(place, footer: footer)
        guard !lines.isEmpty else {
            if isRead { drawMessage([("no shard was split or merged", .dim)], in: area) }
            return
        }
        let selected = model.selectedLease
        var list = list(.lineage, count: lines.count)
        if model.lineID(.lineage, list.selection ?? 0) != selected { list.selection = nil }
        var picture = buffer
        list.draw(in: area, on: &picture, look: look) { familyLine(lines[$0]) }
        buffer = picture
        calmSelection(in: area, row: list.selection.map { $0 - list.offset })
        hitLines(.lineage, in: area, offset: list.offset, count: lines.count)
    }

    private func familyLine(_ line: Rows.FamilyLine) -> [Span] {
        let dim = look.style(.divider)
        var stem = " "
        for trunk in line.trunks { stem += trunk ? symbols.trunk + " " : "   " }
        if !line.isRoot { stem += (line.isLast ? symbols.lastBranch : symbols.branch) + " " }
        var spans = [Span(stem, dim)]
        guard let index = line.lease, let snapshot = model.snapshot else {
            spans.append(Span(Format.shard(line.shardID) + " gone from the table", look.style(.dim)))
            return spans
        }
        let lease = snapshot.leases[index]
        let state = StateLook(lease.state, isASCII: symbols.isASCII)
        let name = lease.state == .ended || line.isReference ? look.style(.dim) : look.style(.text)
        spans.append(Span(state.symbol + " ", look.style(state.role)))
        spans.append(Span(Format.shard(line.shardID) + " ", name))
        if line.isReference {
            spans.append(Span("with \(line.mergedWith.map(Format.shard) ?? "another"), see there", look.style(.dim)))
            return spans
        }
        spans.append(Span(lease.state.rawValue + " ", look.style(state.role)))
        if let other = line.mergedWith { spans.append(Span("merged with \(Format.shard(other)) ", look.style(.dim))) }
        switch lease.state {
        case .drain:
            if let lag = lease.deliveredLag ?? lease.checkpointLag {
                spans.append(Span("\(Format.lag(lag, symbols)) to read ", lagStyle(lag)))
            }
            if let owner = lease.owner { spans.append(Span(owner, ownerStyle(owner))) }
        case .blocked, .missing: spans.append(Span(why(lease), look.style(.text)))
        case .ended: break
        case .learning, .live, .late, .expired, .free, .handoff, .pending, .orphan, .hole:
            if let owner = lease.owner { spans.append(Span(owner, ownerStyle(owner))) }
        }
        return spans
    }
}
