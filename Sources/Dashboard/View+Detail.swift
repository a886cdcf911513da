import AWSWire
import Fleet
import Leases
import Machine

/// Where the parts of the view of one shard stand.
struct DetailLayout {
    var text: Rect
    var lag = Rect.zero
    var rate = Rect.zero
    var events = Rect.zero

    init(_ main: Rect) {
        let (left, right) = main.splitLeft(main.width >= 140 ? main.width * 46 / 100 : main.width * 54 / 100)
        text = left
        let graphs = max(5, min(12, right.height * 30 / 100))
        (lag, rate) = (right.splitTop(graphs).top, right.splitTop(graphs).rest.splitTop(graphs).top)
        events = right.splitTop(2 * graphs).rest
    }
}

/// What the left side of the view says, line by line; wrapped for the size that the model has.
struct DetailLines {
    enum Line: Hashable {
        case heading(String)
        case state(LeaseState)
        case pair(String, String, Theme.Role)
        case owner(String, String)
        case text(String, Theme.Role)
        case family(String, shard: String, LeaseState?)
        case attribute(String, type: String, value: String)
        case blank
    }

    var lines: [Line] = []
    private let width: Int
    /// Where values begin.
    static let indent = 14

    init(_ model: Model) {
        width = max(20, DetailLayout(model.layout.main).text.width - 4)
        guard let detail = model.detail, let lease = model.lease(id: detail.lease) else { return }
        lines.append(.state(lease.state))
        add("why", Format.sentence(lease.why))
        lines.append(.blank)
        if let child = model.snapshot?.children[lease.shardID] { addChild(child) }
        addOwners(lease)
        addReport(lease, model)
        addProgress(lease)
        addFamily(lease, model)
        for problem in model.snapshot?.problems ?? [] where problem.shardIDs.contains(lease.key) {
            lines.append(.blank)
            lines.append(.heading("\(problem.kind.rawValue), \(problem.severity.name), for \(problem.age.brief)"))
            for line in Format.sentence(problem.message).wrapped(to: width) { lines.append(.text(line, .text)) }
        }
        guard lease.kind == .lease else { return }
        lines.append(.blank)
        lines.append(.heading("the row as stored"))
        for attribute in lease.storedAttributes {
            let values = attribute.value.wrapped(to: max(8, width - 2))
            let room = width - attribute.name.columns - attribute.type.columns - 4
            if values.count == 1 && values[0].columns <= room {
                lines.append(.attribute(attribute.name, type: attribute.type, value: values[0]))
            } else {
                lines.append(.attribute(attribute.name, type: attribute.type, value: ""))
                lines += values.map { .text("  " + $0, .text) }
            }
        }
    }

    mutating func add(_ name: String, _ value: String, _ role: Theme.Role = .text) {
        let wrapped = value.wrapped(to: max(8, width - Self.indent))
        for (index, line) in wrapped.enumerated() { lines.append(.pair(index == 0 ? name : "", line, role)) }
    }

    private mutating func addOwners(_ lease: LeaseView) {
        if let owner = lease.owner {
            lines.append(.owner("owner", owner))
        } else {
            add("owner", "nobody", .leaseFree)
        }
        if let old = lease.checkpointOwner { lines.append(.owner("handed by", old)) }
        if let counter = lease.leaseCounter {
            add("counter", "\(counter)" + (lease.counterAge.map { ", moved \($0.brief) ago" } ?? ""))
        }
        if lease.ownerSwitches > 0 { add("switches", "\(lease.ownerSwitches) since the last checkpoint") }
    }

    /// What its worker, of 3.x, says of itself.
    private mutating func addReport(_ lease: LeaseView, _ model: Model) {
        guard let owner = lease.checkpointOwner ?? lease.owner,
            let report = model.snapshot?.workers.first(where: { $0.workerID == owner })?.report
        else { return }
        add("its worker", report.words, report.isFresh ? .text : .warning)
    }

    private mutating func addProgress(_ lease: LeaseView) {
        if let checkpoint = lease.checkpoint {
            add("checkpoint", checkpoint.text, checkpoint.isSentinel ? .miscellaneous : .text)
            if checkpoint.subSequenceNumber != 0 { add("sub-sequence", "\(checkpoint.subSequenceNumber)") }
        }
        if let age = lease.checkpointAge {
            add("moved", lease.isCheckpointAgeExact ? "\(age.brief) ago" : "not for \(age.brief), as long as we watch")
        }
        add("delivered", Self.lag(lease.deliveredLag))
        add("checkpointed", Self.lag(lease.checkpointLag))
        if let progress = lease.progress {
            add(
                "progress", "\(progress.judgement.rawValue): \(progress.words)",
                progress.judgement == .ok ? .text : .warning)
        }
        if lease.recordsPerSecond != nil || lease.bytesPerSecond != nil {
            let records = Format.rate(lease.recordsPerSecond, .ascii)
            add("throughput", "\(records) records/s, \(Format.bytes(lease.bytesPerSecond, .ascii))")
        }
        if let seconds = lease.secondsToTrim {
            add(
                "data loss", "the oldest unread record expires in \(Duration.seconds(seconds).brief)",
                seconds < 3600 ? .critical : seconds < 21_600 ? .warning : .text)
        }
    }

    private static func lag(_ lag: Lag?) -> String {
        guard let lag else { return "how far behind is not known" }
        let text = "\(Duration.milliseconds(max(0, lag.milliseconds)).brief) behind"
        switch lag.source {
        case .exact: return text + " (the engine)"
        case .cloudwatch: return text + " (CloudWatch)"
        case .probe: return text + " (a probe)"
        case .estimate: return "at most " + text + " (estimate)"
        }
    }

    private mutating func addFamily(_ lease: LeaseView, _ model: Model) {
        if let range = lease.hashKeyRange {
            let share = Double(range.end - range.start) / 0x1p128
            add("hash keys", "\(Format.hashKey(range.start))-\(Format.hashKey(range.end)), \(Format.share(share))")
        }
        if let isOpen = lease.isOpen { add("shard", isOpen ? "open" : "closed") }
        let prefix = lease.key.dropLast(lease.shardID.count)
        for parent in lease.parents {
            lines.append(.family("parent", shard: prefix + parent, model.lease(shard: prefix + parent)?.state))
        }
        for child in lease.children {
            lines.append(.family("child", shard: prefix + child, model.lease(shard: prefix + child)?.state))
        }
    }
}

extension Model {
    var detailTextHeight: Int { max(0, DetailLayout(layout.main).text.height - 2) }
}

extension Frame {
    mutating func drawDetail(_ detail: Detail) {
        let parts = DetailLayout(layout.main)
        guard let lease = model.lease(id: detail.lease) else {
            let area = Panel(title: "shards", border: .shardsBorder, hasFocus: true)
                .draw(in: layout.main, on: &buffer, look: look)
            drawMessage([("this lease is gone from the table", .title), ("Esc goes back", .dim)], in: area)
            return
        }
        let lines = DetailLines(model).lines
        let title = lease.kind == .hole ? "hole" : Format.shard(lease.key)
        let full = lease.key == title ? [] : [Span(lease.key, look.style(.dim))]
        let area = Panel(title: "shards \(symbols.pointer) \(title)", note: full, border: .shardsBorder, hasFocus: true)
            .draw(in: parts.text, on: &buffer, look: look).inset(columns: 1)
        for row in 0..<area.height where detail.offset + row < lines.count {
            buffer.write(detailSpans(lines[detail.offset + row]), x: area.x, y: area.y + row, clip: area)
        }
        let bar = Rect(x: parts.text.endX - 1, y: area.y, width: 1, height: area.height)
        ScrollBar(offset: detail.offset, count: lines.count).draw(in: bar, on: &buffer, look: look)
        let samples = lease.history.samples
        let latest = lease.deliveredLag ?? lease.checkpointLag
        drawGraph(
            "lag", samples.map { Double($0.lagMilliseconds) }, now: Format.lag(latest, symbols),
            floor: 2000, gradient: look.theme.gradient(.lag), in: parts.lag
        ) { Duration.milliseconds(Int64($0.rounded())).brief }
        let symbols = symbols
        drawGraph(
            "records a second", samples.map { Double($0.recordsPerSecond) },
            now: Format.rate(lease.recordsPerSecond, symbols), floor: 1, gradient: look.theme.gradient(.download),
            in: parts.rate
        ) { Format.rate($0, symbols) }
        drawOwnEvents(lease, in: parts.events)
    }

    private func detailSpans(_ line: DetailLines.Line) -> [Span] {
        let text = look.style(.text)
        func name(_ name: String) -> Span { Span(name.padded(to: DetailLines.indent), look.style(.dim)) }
        switch line {
        case .heading(let heading): return [Span(heading, look.style(.title))]
        case .state(let state):
            let stateLook = StateLook(state, isASCII: symbols.isASCII)
            return [Span("\(stateLook.symbol) \(state.rawValue)", look.style(stateLook.role).bold)]
        case .pair(let label, let value, let role):
            return [name(label), Span(symbols.isASCII ? value.asciiBounds : value, look.style(role))]
        case .owner(let label, let worker): return [name(label), Span(worker, ownerStyle(worker))]
        case .text(let line, let role): return [Span(line, look.style(role))]
        case .family(let label, let shard, let state):
            guard let state else { return [name(label), Span(Format.shard(shard) + " gone", look.style(.dim))] }
            let stateLook = StateLook(state, isASCII: symbols.isASCII)
            return [
                name(label), Span(Format.shard(shard) + " ", text),
                Span("\(stateLook.symbol) \(state.rawValue)", look.style(stateLook.role)),
            ]
        case .attribute(let label, let type, let value):
            return [
                Span(label, look.style(.notice)), Span(" \(type) ", look.style(.dim)), Span(" " + value, text),
            ]
        case .blank: return []
        }
    }

    private mutating func drawGraph(
        _ title: String, _ values: [Double], now: String, floor: Double, gradient: Gradient, in rect: Rect,
        scale: (Double) -> String
    ) {
        guard rect.height >= 4 else { return }
        let area = Panel(title: title, note: [Span(now, look.style(.title))], border: .hashKeysBorder)
            .draw(in: rect, on: &buffer, look: look)
        let known = values.filter { !$0.isNaN }
        guard !known.isEmpty else {
            drawMessage([("not known", .dim)], in: area)
            return
        }
        let highest = known.reduce(floor) { max($0, $1) }
        let labels = max(scale(highest).columns, 1) + 1
        let (axis, plot) = area.splitLeft(labels)
        // All of the history fills the graph.
        let room = Graph.sampleCount(width: plot.width, symbols: symbols.graph)
        let widened = ShardsTable.resampled(values, to: room)
        let solid =
            look.theme.depth == .mono ? Gradient(start: look.style(.text).foreground) : gradient
        Graph(
            values: widened, maximum: highest, gradient: solid, symbols: symbols.graph,
            background: look.style(.text).background
        ).draw(in: plot, on: &buffer)
        buffer.write(scale(highest), in: axis.row(0), style: look.style(.graphText))
        buffer.write("0", in: axis.row(axis.height - 1), style: look.style(.graphText))
    }

    private mutating func drawOwnEvents(_ lease: LeaseView, in rect: Rect) {
        guard rect.height >= 3 else { return }
        let area = Panel(title: "its events", border: .logBorder).draw(in: rect, on: &buffer, look: look)
        let events = (model.snapshot?.events ?? []).reversed().lazy
            .filter { $0.event.shardID == lease.key && !EventWord($0.event.kind).isChatter }.prefix(area.height)
        var row = 0
        for logged in events {
            buffer.write(
                eventLine(logged.event, width: area.width, withShard: false), x: area.x, y: area.y + row, clip: area)
            row += 1
        }
        if row == 0 { drawMessage([("nothing happened to it since we watch", .dim)], in: area) }
    }
}
