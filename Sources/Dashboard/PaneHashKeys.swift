import AWSWire
import Fleet
import Leases

/// The 128 bits of the hash key space from left to right: who reads which part, and how much comes in there.
extension Frame {
    mutating func drawHashKeys(_ place: PanesLayout.Place) {
        var footer: [Span] = []
        if let lease = model.lease(id: model.selectedLease), let range = lease.hashKeyRange {
            let share = Double(range.end - range.start) / 0x1p128
            footer = [
                Span("\(lease.kind == .hole ? "hole" : Format.shard(lease.key)) ", look.style(.title)),
                Span("\(Format.hashKey(range.start))-\(Format.hashKey(range.end)) ", look.style(.text)),
                Span(Format.share(share), look.style(.notice)),
            ]
            if let rate = lease.bytesPerSecond {
                footer.append(Span(" " + Format.bytes(rate, symbols), look.style(.text)))
            }
        }
        let note = model.rows.hashParts.isEmpty ? [] : [Span("height = throughput", look.style(.dim))]
        let area = panel(place, note: place.rect.width >= 100 ? note : [], footer: footer)
        guard let snapshot = model.snapshot, !model.rows.hashParts.isEmpty else {
            if isRead { drawMessage([("no hash key ranges are known", .dim)], in: area) }
            return
        }
        let columns = Self.columns(model.rows.hashParts, snapshot, width: area.width)
        let hasDraining = !model.rows.drainingParts.isEmpty && area.height >= 3
        let labels = area.height >= 2 ? 1 : 0
        let (upper, label) = area.splitBottom(labels)
        var bars = upper
        if hasDraining {
            let (tier, rest) = upper.splitTop(1)
            bars = rest
            drawDraining(snapshot, in: tier)
        }
        drawBars(columns, snapshot, in: bars)
        if labels > 0 { drawLabels(columns, snapshot, in: label) }
        for (x, part) in columns.enumerated() {
            guard let part else { continue }
            hit(Rect(x: area.x + x, y: area.y, width: 1, height: area.height), .line(.hashKeys, part))
        }
    }

    /// The part that each column shows: the one at its middle, but a hole wherever there is any.
    private static func columns(_ parts: [Rows.Part], _ snapshot: FleetSnapshot, width: Int) -> [Int?] {
        var columns: [Int?] = []
        columns.reserveCapacity(width)
        var next = 0
        for column in 0..<width {
            let start = Double(column) / Double(width)
            let end = Double(column + 1) / Double(width)
            let middle = (start + end) / 2
            while next < parts.count && parts[next].end <= start { next += 1 }
            var chosen: Int?
            var index = next
            while index < parts.count && parts[index].start < end {
                if snapshot.leases[parts[index].lease].kind == .hole {
                    chosen = index
                    break
                }
                if parts[index].start <= middle && parts[index].end > middle { chosen = index }
                index += 1
            }
            columns.append(chosen)
        }
        return columns
    }

    private mutating func drawBars(_ columns: [Int?], _ snapshot: FleetSnapshot, in rect: Rect) {
        guard !rect.isEmpty else { return }
        func rate(_ lease: LeaseView) -> Double { lease.bytesPerSecond ?? (lease.recordsPerSecond ?? 0) * 100 }
        var highest = 1.0
        for case let part? in columns {
            highest = max(highest, rate(snapshot.leases[model.rows.hashParts[part].lease]))
        }
        for (x, part) in columns.enumerated() {
            guard let part else { continue }
            let lease = snapshot.leases[model.rows.hashParts[part].lease]
            let isSelected = lease.id == model.selectedLease
            let column = Rect(x: rect.x + x, y: rect.y, width: 1, height: rect.height)
            switch lease.state {
            case .hole, .missing:
                buffer.fill(column, style: look.style(.leaseHole), scalar: symbols.isASCII ? "!" : "╳")
            case .free, .expired:
                buffer.fill(column, style: look.style(.leaseExpired), scalar: symbols.isASCII ? "?" : "░")
            case .blocked:
                // What comes in there was written before: the parent's records are still being read.
                let middle = (Double(x) + 0.5) / Double(columns.count)
                if let parent = drainingLease(at: middle, snapshot) {
                    drawBar(rate(parent) / highest, ownerStyle(parent.owner), in: column)
                } else {
                    buffer.fill(
                        column.splitBottom(1).bottom, style: look.style(.leaseBlocked),
                        scalar: symbols.isASCII ? "#" : "▒")
                }
            case .learning, .live, .late, .handoff, .pending, .drain, .ended, .orphan:
                var style = ownerStyle(lease.owner)
                if isSelected { style = style.bold }
                drawBar(rate(lease) / highest, style, in: column)
            }
        }
    }

    /// The closed shard that is still being read at a place of the hash key space.
    private func drainingLease(at fraction: Double, _ snapshot: FleetSnapshot) -> LeaseView? {
        model.rows.drainingParts.first { $0.start <= fraction && $0.end > fraction }.map { snapshot.leases[$0.lease] }
    }

    private mutating func drawBar(_ fraction: Double, _ style: Style, in column: Rect) {
        let steps = symbols.isASCII ? 3 : 8
        let glyphs: [Unicode.Scalar] =
            symbols.isASCII ? [" ", ".", ":", "|"] : [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
        let height = max(1, Int((min(1, max(0, fraction)) * Double(column.height * steps)).rounded()))
        for row in 0..<column.height {
            let filled = min(steps, max(0, height - row * steps))
            guard filled > 0 else { break }
            buffer.fill(
                Rect(x: column.x, y: column.endY - 1 - row, width: 1, height: 1), style: style, scalar: glyphs[filled])
        }
    }

    /// Shard names below their parts, a tick where each begins; the owner too where there is room.
    private mutating func drawLabels(_ columns: [Int?], _ snapshot: FleetSnapshot, in line: Rect) {
        var start = 0
        while start < columns.count {
            var end = start + 1
            while end < columns.count && columns[end] == columns[start] { end += 1 }
            defer { start = end }
            guard let part = columns[start] else { continue }
            let lease = snapshot.leases[model.rows.hashParts[part].lease]
            let isSelected = lease.id == model.selectedLease
            let room = Rect(x: line.x + start, y: line.y, width: end - start, height: 1)
            let style: Style =
                lease.kind == .hole
                ? look.style(.leaseHole) : lease.owner == nil ? look.style(.leaseFree) : ownerStyle(lease.owner)
            let tick = symbols.isASCII ? "|" : "▏"
            var text = lease.kind == .hole ? "HOLE" : Format.shard(lease.key)
            if room.width >= text.columns + 2 {
                let owner = lease.owner ?? (lease.kind == .hole ? "" : lease.state.rawValue)
                if room.width >= text.columns + min(owner.columns, 6) + 3 { text += " " + owner }
                buffer.write(tick, x: room.x, y: room.y, style: look.style(.dim))
                let inner = Rect(x: room.x + 1, y: room.y, width: room.width - 2, height: 1)
                buffer.write(text, in: inner, style: style, ellipsis: symbols.ellipsis)
                if isSelected {
                    buffer.select(
                        Rect(x: room.x + 1, y: room.y, width: min(text.columns, inner.width), height: 1),
                        hasFocus: model.focus == .hashKeys, look: look)
                }
            } else {
                buffer.write(tick, x: room.x, y: room.y, style: isSelected ? look.style(.hotKey) : look.style(.dim))
                if isSelected { buffer.select(room, hasFocus: model.focus == .hashKeys, look: look) }
            }
        }
    }

    /// Closed shards whose backlog is still being read, above the children that cover the same keys.
    private mutating func drawDraining(_ snapshot: FleetSnapshot, in line: Rect) {
        for part in model.rows.drainingParts {
            let lease = snapshot.leases[part.lease]
            let start = Int((part.start * Double(line.width)).rounded())
            let end = max(start + 1, Int((part.end * Double(line.width)).rounded()))
            let room = Rect(x: line.x + start, y: line.y, width: end - start, height: 1).intersection(line)
            guard !room.isEmpty else { continue }
            let state = StateLook(lease.state, isASCII: symbols.isASCII)
            buffer.fill(room, style: look.style(.leaseDrain), scalar: symbols.isASCII ? "=" : "╌")
            let text = " \(Format.shard(lease.key)) \(state.symbol) \(lease.state.rawValue) "
            if room.width >= text.columns + 2 {
                buffer.write(text, x: room.x + 1, y: room.y, style: look.style(state.role), clip: room)
            }
        }
    }
}
