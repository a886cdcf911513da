import AWSWire
import Fleet
import Leases
import Machine

/// The columns of the shards pane and what stands in them.
enum ShardsTable {
    /// What the columns depend on beside the room.
    struct Traits: Hashable {
        var hasStandardNames: Bool
        var hasChildren: Bool
        /// The table names the streams of its rows.
        var hasStreams = false
        var isASCII: Bool

        /// The columns that there may be, in their order.
        var columns: [ShardColumn] {
            ShardColumn.allCases.filter { (hasChildren || $0 != .child) && (hasStreams || $0 != .stream) }
        }
    }

    /// `width` is that of the whole table: with more room the history shows more of itself.
    static func column(_ column: ShardColumn, width: Int, _ traits: Traits) -> Column {
        let title = column.title
        return switch column {
        case .mark: Column(title, min: traits.isASCII ? 2 : 1)
        case .stream: Column(title, min: 8, max: 24, weight: 1, keeping: .ends)
        case .shard:
            traits.hasStandardNames
                ? Column(title, min: 6) : Column(title, min: 10, max: 32, weight: 2, keeping: .tail)
        case .owner: Column(title, min: 10, max: 36, weight: 3, keeping: .ends, priority: 1)
        case .state: Column(title, min: 10)
        case .lag: Column(title, min: 7, alignment: .right)
        case .history: Column(title, min: width >= 130 ? 24 : width >= 90 ? 15 : 10, max: 30, weight: 3, priority: 2)
        case .checkpoint: Column(title, min: 9, max: 20, alignment: .right, keeping: .tail, priority: 3)
        case .age: Column(title, min: 6, alignment: .right, priority: 4)
        case .records: Column(title, min: 6, max: 7, alignment: .right, priority: 5)
        // Dropped before the rate, so that a narrow table shows what it does everywhere.
        case .child: Column(title, min: 9, alignment: .right, priority: 6)
        case .kilobytes: Column(title, min: 6, max: 7, alignment: .right, priority: 7)
        case .checkpointLag: Column(title, min: 7, max: 8, alignment: .right, priority: 8)
        case .heartbeat: Column(title, min: 6, alignment: .right, priority: 9)
        case .hashRange: Column(title, min: 17, priority: 10)
        case .switches: Column(title, min: 8, alignment: .right, priority: 11)
        case .counter: Column(title, min: 8, alignment: .right, priority: 12)
        case .subSequence: Column(title, min: 4, alignment: .right, priority: 13)
        case .parents: Column(title, min: 10, max: 20, priority: 14)
        }
    }

    static func columns(width: Int, _ traits: Traits) -> [Column] {
        traits.columns.map { column($0, width: width, traits) }
    }

    /// The columns that a table of this width has room for, and how wide they are.
    static func places(width: Int, _ traits: Traits) -> [(column: ShardColumn, width: Int)] {
        var scratch = CellBuffer(width: width, height: 1)
        let columns = columns(width: width, traits)
        let names = traits.columns
        let layout = Table(columns: columns, rowCount: 0)
            .draw(in: scratch.bounds, on: &scratch, look: Frame.plainLook) { _, _ in .empty }
        return layout.columns.map { (names[$0.column], $0.width) }
    }

    /// Samples squeezed or stretched to so many, so that a graph of any width shows all of the time; of several that
    /// fall together the highest counts.
    static func resampled(_ values: [Double], to count: Int) -> [Double] {
        guard count > 0, !values.isEmpty, count != values.count else { return values }
        return (0..<count).map { index in
            let start = index * values.count / count
            let end = max(start + 1, (index + 1) * values.count / count)
            return values[start..<end].reduce(.nan) { $1.isNaN ? $0 : $0.isNaN ? $1 : max($0, $1) }
        }
    }

    /// A field as plain text, for export: numbers without units.
    static func plain(_ column: ShardColumn, _ lease: LeaseView) -> String {
        func milliseconds(_ lag: Lag?) -> String { lag.map { String($0.milliseconds) } ?? "" }
        func seconds(_ age: Duration?) -> String { age.map { Format.decimals($0.inSeconds, 1) } ?? "" }
        return switch column {
        case .mark: lease.severity?.name ?? ""
        case .stream: lease.streamName ?? ""
        case .shard: lease.shardID
        case .owner: lease.owner ?? ""
        case .state: lease.state.rawValue
        case .lag, .history: milliseconds(lease.deliveredLag ?? lease.checkpointLag)
        case .checkpointLag: milliseconds(lease.checkpointLag)
        case .checkpoint: lease.checkpoint?.text ?? ""
        case .subSequence: lease.checkpoint.map { String($0.subSequenceNumber) } ?? ""
        case .age: seconds(lease.checkpointAge)
        case .child: ""
        case .heartbeat: seconds(lease.counterAge)
        case .records: lease.recordsPerSecond.map { Format.decimals($0, 1) } ?? ""
        case .kilobytes: lease.kilobytesPerSecond.map { Format.decimals($0, 1) } ?? ""
        case .switches: String(lease.ownerSwitches)
        case .counter: lease.leaseCounter.map { String($0) } ?? ""
        case .parents: lease.parents.joined(separator: " ")
        case .hashRange: lease.hashKeyRange.map { "\($0.start)-\($0.end)" } ?? ""
        }
    }
}

extension Model {
    func shardsTraits(isASCII: Bool) -> ShardsTable.Traits {
        ShardsTable.Traits(
            hasStandardNames: rows.hasStandardNames, hasChildren: snapshot?.children.isEmpty == false,
            hasStreams: snapshot?.namesStreams == true, isASCII: isASCII)
    }
}

extension Frame {
    /// For measuring what a picture would be like without a person's theme.
    static let plainLook = Look(theme: Theme.parse("", name: "plain").theme, symbols: .unicode)

    mutating func drawShards(_ place: PanesLayout.Place) {
        let snapshot = model.snapshot
        let rows = model.rows.shards
        let total = snapshot?.leases.count ?? 0
        var note: [Span] = []
        if total > 0 {
            let count = rows.count == total ? "\(total)" : "\(rows.count) of \(total)"
            note.append(Span(count, look.style(.dim)))
            if !model.marked.isEmpty {
                note.append(Span(", \(model.markedLeases.count) marked", look.style(.notice)))
            }
        }
        var footer: [Span] = []
        if let lease = model.lease(id: model.selectedLease) {
            let role = StateLook(lease.state, isASCII: symbols.isASCII).role
            footer = [
                Span("\(Format.shard(lease.key)) ", look.style(.title)),
                Span("\(lease.state.rawValue) ", look.style(role)), Span(why(lease), look.style(.text)),
            ]
        }
        let area = panel(place, note: note, footer: footer)
        guard let snapshot, snapshot.scans > 0, total > 0 else {
            drawEmpty(in: area)
            return
        }
        guard !rows.isEmpty else {
            let filter = model.filters[.shards]?.text ?? ""
            drawMessage(
                [("no shard matches /\(filter)", .title), ("Esc shows all \(total)", .dim)], in: area)
            return
        }
        drawTable(snapshot, rows, in: area)
    }

    private mutating func drawTable(_ snapshot: FleetSnapshot, _ rows: [Int], in area: Rect) {
        let state = model.list(.shards)
        let selection = state.index < rows.count && snapshot.leases[rows[state.index]].id == model.selectedLease
        let traits = model.shardsTraits(isASCII: symbols.isASCII)
        let all = traits.columns
        let table = Table(
            columns: ShardsTable.columns(width: area.width, traits),
            rowCount: rows.count,
            offset: state.offset, selection: selection ? state.index : nil,
            sort: model.sort.column.flatMap { column in
                all.firstIndex(of: column).map { .init(column: $0, isAscending: model.sort.isAscending) }
            }, hasFocus: model.focus == .shards && model.overlay == nil)
        let barWidth = rows.count > Table.bodyHeight(area) ? 1 : 0
        let places = ShardsTable.places(width: area.width - barWidth, traits)
        let historyWidth = places.first { $0.column == .history }?.width ?? 0
        let samples = Graph.sampleCount(width: historyWidth, symbols: symbols.graph)
        var picture = buffer
        let layout = table.draw(in: area, on: &picture, look: look) { row, column in
            field(all[column], snapshot.leases[rows[row]], samples: samples)
        }
        buffer = picture
        for column in layout.columns {
            hit(Rect(x: column.x, y: layout.headerY, width: column.width + 1, height: 1), .column(all[column.column]))
        }
        calmSelection(in: layout.body, row: table.selection.map { $0 - layout.offset })
        hitLines(.shards, in: layout.body, offset: layout.offset, count: rows.count)
    }

    func why(_ lease: LeaseView) -> String {
        let text = Format.sentence(lease.why)
        return symbols.isASCII ? text.asciiBounds : text
    }

    /// What a row shows in a column. Where nobody reads the shard the reason stands in place of the graph.
    private func field(_ column: ShardColumn, _ lease: LeaseView, samples: Int) -> TableField {
        let isEnded = lease.state == .ended
        let text = look.style(isEnded ? .dim : .text)
        let none = TableField.text(symbols.none, look.style(.dim))
        func number(_ value: String, isKnown: Bool) -> TableField {
            .text(value, isKnown && value != "0" ? text : look.style(.dim))
        }
        switch column {
        case .mark:
            if model.marked.contains(lease.id) { return .text(symbols.isASCII ? "+" : "■", look.style(.notice).bold) }
            guard let severity = lease.severity, severity > .info else { return .empty }
            let mark = SeverityLook(severity, symbols)
            return .text(mark.symbol, look.style(mark.role))
        case .stream: return .text(lease.streamName ?? "", look.style(.dim))
        case .shard:
            let isMarked = model.marked.contains(lease.id)
            return .text(
                lease.kind == .hole ? "" : Format.shard(lease.shardID), isMarked ? look.style(.notice).bold : text)
        case .owner: return owner(lease)
        case .state:
            let state = StateLook(lease.state, isASCII: symbols.isASCII)
            return .text("\(state.symbol) \(lease.state.rawValue)", look.style(state.role))
        case .lag:
            guard !spansReason(lease) else { return none }
            let lag = lease.deliveredLag ?? lease.checkpointLag
            return .text(Format.lag(lag, symbols), lagStyle(lag))
        case .history:
            guard spansReason(lease) || lease.state == .free || lease.state == .expired else {
                return history(lease, samples: samples)
            }
            return .spanning([Span(why(lease), text)])
        case .checkpoint:
            guard let checkpoint = lease.checkpoint else { return none }
            return .text(checkpoint.text, checkpoint.isSentinel ? look.style(.miscellaneous) : text)
        case .age:
            let isOld = lease.checkpointAge.map { $0 > .seconds(60) } ?? false
            let prefix = lease.isCheckpointAgeExact || lease.checkpointAge == nil ? "" : ">"
            return .text(
                prefix + Format.age(lease.checkpointAge, symbols), isOld && !isEnded ? look.style(.warning) : text)
        case .child: return child(lease)
        case .records:
            return number(Format.rate(lease.recordsPerSecond, symbols), isKnown: lease.recordsPerSecond != nil)
        case .kilobytes:
            return number(Format.rate(lease.kilobytesPerSecond, symbols), isKnown: lease.kilobytesPerSecond != nil)
        case .checkpointLag: return .text(Format.lag(lease.checkpointLag, symbols), lagStyle(lease.checkpointLag))
        case .heartbeat: return .text(Format.age(lease.counterAge, symbols), text)
        case .switches: return number(String(lease.ownerSwitches), isKnown: true)
        case .counter: return lease.leaseCounter.map { .text(String($0), text) } ?? none
        case .subSequence: return number(String(lease.checkpoint?.subSequenceNumber ?? 0), isKnown: true)
        case .parents: return .text(lease.parents.map(Format.shard).joined(separator: " "), text)
        case .hashRange:
            guard let range = lease.hashKeyRange else { return none }
            return .text("\(Format.hashKey(range.start))-\(Format.hashKey(range.end))", look.style(.dim))
        }
    }

    /// The pid of the shard's child, with a mark where there is trouble.
    private func child(_ lease: LeaseView) -> TableField {
        guard let child = model.snapshot?.children[lease.shardID] else { return .empty }
        let childLook = ChildLook(child, symbols)
        let style = look.style(childLook.role)
        var spans = [Span(child.pid.map { "\($0)" } ?? symbols.none, style)]
        if !childLook.mark.isEmpty { spans.insert(Span(childLook.mark + " ", style), at: 0) }
        return .spans(spans)
    }

    /// Rows that have no numbers worth a column.
    private func spansReason(_ lease: LeaseView) -> Bool {
        switch lease.state {
        case .blocked, .missing, .hole, .orphan, .ended: true
        case .learning, .live, .late, .expired, .free, .handoff, .pending, .drain: false
        }
    }

    private func owner(_ lease: LeaseView) -> TableField {
        guard let owner = lease.owner else { return .text(symbols.none, look.style(.dim)) }
        if let old = lease.checkpointOwner, old != owner {
            return .spans([
                Span(old.truncated(to: 10, keeping: .ends, ellipsis: symbols.ellipsis), ownerStyle(old)),
                Span(" \(symbols.arrow) ", look.style(.dim)), Span(owner, ownerStyle(owner)),
            ])
        }
        return .text(owner, lease.state == .ended ? look.style(.dim) : ownerStyle(owner))
    }

    func lagStyle(_ lag: Lag?) -> Style {
        guard let lag else { return look.style(.dim) }
        guard look.theme.depth != .mono else { return look.style(lag.milliseconds > 60_000 ? .warning : .text) }
        let level = Format.lagLevel(Double(lag.milliseconds))
        let style = look.style(.text).with(foreground: look.theme.gradient(.lag).color(at: level))
        return level > 0.6 ? style.bold : style
    }

    /// The last minutes of the lag, against its own highest, in the colour of what that is.
    private func history(_ lease: LeaseView, samples: Int) -> TableField {
        let missing = max(0, lease.history.capacity - lease.history.samples.count)
        let known = lease.history.samples.map { Double($0.lagMilliseconds) }
        let values = ShardsTable.resampled(Array(repeating: .nan, count: missing) + known, to: samples)
        guard values.contains(where: { !$0.isNaN }) else { return .empty }
        let highest = values.reduce(0) { $1.isNaN ? $0 : max($0, $1) }
        // Below two seconds everything is well; a graph of its ups and downs would only look like trouble.
        let full = max(2000, highest)
        let color =
            look.theme.depth == .mono
            ? look.style(.text).foreground : look.theme.gradient(.lag).color(at: Format.lagLevel(highest))
        return .graph(values, maximum: full, Gradient(start: color))
    }

    // MARK: Nothing to show

    private mutating func drawEmpty(in area: Rect) {
        guard let snapshot = model.snapshot, snapshot.scans > 0 else {
            drawUnread(in: area)
            return
        }
        let identity = snapshot.identity
        if let problem = snapshot.problems.first(where: { $0.kind == .table || $0.kind == .denied }) {
            drawMessage(
                [(Format.sentence(problem.message), .critical), ("", .text), (retryText, .dim)], in: area)
            return
        }
        var paragraphs: [(String, Theme.Role)] = [("no leases yet", .title), ("", .text)]
        paragraphs.append(
            (
                "The table \(identity.table) exists and holds no lease: no worker of \(identity.application) ran so far.",
                .text
            ))
        paragraphs.append(("Start a consumer with that application name; its leases appear here by themselves.", .text))
        if identity.stream == nil {
            paragraphs.append(("Start with --stream NAME to see the stream's shards meanwhile.", .dim))
        }
        drawMessage(paragraphs, in: area)
    }

    private mutating func drawUnread(in area: Rect) {
        if let message = model.outage?.message
            ?? model.snapshot?.problems.first(where: { $0.severity > .info })?.message
        {
            drawMessage(
                [
                    ("cannot read the lease table", .critical), ("", .text), (Format.sentence(message), .text),
                    ("", .text), (retryText, .dim),
                ], in: area)
            return
        }
        let table = model.snapshot.map { "reading the table \($0.identity.table)" } ?? "connecting"
        drawMessage([("\(table) \(symbols.ellipsis)", .dim)], in: area)
    }

    private var retryText: String {
        if let retry = model.outage?.retryAt {
            return "trying again in \(max(.zero, retry - model.now).brief); F5 tries now, q quits"
        }
        let interval = model.snapshot?.refreshInterval ?? .seconds(5)
        return "trying again every \(interval.brief); F5 tries now, q quits"
    }
}
