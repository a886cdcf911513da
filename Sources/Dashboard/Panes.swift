/// The panes by their digit.
package enum Pane: Int, Hashable, Sendable, CaseIterable {
    case shards = 1
    case hashKeys
    case lineage
    case workers
    case events
    case problems

    package var title: String {
        switch self {
        case .shards: "shards"
        case .hashKeys: "hash key space"
        case .lineage: "lineage"
        case .workers: "workers"
        case .events: "events"
        case .problems: "problems"
        }
    }

    var border: Theme.Role {
        switch self {
        case .shards: .shardsBorder
        case .hashKeys, .lineage: .hashKeysBorder
        case .workers: .workersBorder
        case .events, .problems: .logBorder
        }
    }

    /// Lines above the first list line, the border included.
    var linesAbove: Int { self == .shards || self == .workers ? 2 : 1 }
}

/// Where everything stands on a screen of some size: a function of the size and of what is to be shown, nothing else.
///
/// Where there is room the picture is that of the design: shards beside workers, the hash key space below, then
/// lineage, events and problems. On 80 columns the lower panes share two places as tabs, and on very low screens one
/// pane is shown at a time; every pane can be reached at every size.
package struct PanesLayout: Hashable, Sendable {
    /// A place on the screen, the pane that it shows, and those that it could show instead.
    package struct Place: Hashable, Sendable {
        package var pane: Pane
        package var rect: Rect
        package var tabs: [Pane]
    }

    package var header = Rect.zero
    package var verdict = Rect.zero
    package var caption = Rect.zero
    package var strip = Rect.zero
    package var footer = Rect.zero
    package var main = Rect.zero
    package var places: [Place] = []

    /// The smallest screen that shows anything.
    package static let widthMin = 60
    package static let heightMin = 15

    struct Wishes {
        var focus: Pane
        var isZoomed: Bool
        /// All panes, most recently used first.
        var recent: [Pane]
        var hidden: Set<Pane>
        var hasStrip: Bool
        var hasCaption: Bool
        var leases: Int
    }

    init(width: Int, height: Int, wishes: Wishes) {
        var rest = Rect(x: 0, y: 0, width: width, height: height)
        (header, rest) = rest.splitTop(1)
        (verdict, rest) = rest.splitTop(1)
        (rest, footer) = rest.splitBottom(1)
        if wishes.hasStrip { (rest, strip) = rest.splitBottom(1) }
        if wishes.hasCaption { (rest, caption) = rest.splitBottom(height < 20 ? 3 : 4) }
        main = rest
        let shown = Pane.allCases.filter { !wishes.hidden.contains($0) || $0 == wishes.focus }
        if wishes.isZoomed || main.height < 14 {
            places = [Place(pane: wishes.focus, rect: main, tabs: Pane.allCases.filter { $0 != wishes.focus })]
        } else if main.width >= 110 {
            places = Self.wide(main, shown, wishes)
        } else {
            places = Self.narrow(main, shown, wishes)
        }
    }

    package func place(of pane: Pane) -> Rect? {
        places.first { $0.pane == pane }?.rect
    }

    private static func hashHeight(_ height: Int) -> Int {
        height < 24 ? 4 : height < 34 ? 5 : max(6, height / 6)
    }

    /// How high the table of shards is: enough for its rows, in steps so that the picture seldom jumps.
    private static func shardsHeight(_ wishes: Wishes, available: Int, hasBelow: Bool) -> Int {
        guard hasBelow else { return available }
        let wanted = (wishes.leases + 3) / 4 * 4 + 3
        return min(available, max(11, wanted))
    }

    private static func wide(_ main: Rect, _ shown: [Pane], _ wishes: Wishes) -> [Place] {
        let bottom = [Pane.lineage, .events, .problems].filter(shown.contains)
        let top = [Pane.shards, .workers].filter(shown.contains)
        let hash = shown.contains(.hashKeys) ? hashHeight(main.height) : 0
        let leastBottom = bottom.isEmpty ? 0 : max(6, main.height * 28 / 100)
        var heights = [0, hash, main.height - hash]
        if !top.isEmpty {
            heights[0] = shardsHeight(
                wishes, available: main.height - hash - leastBottom, hasBelow: !bottom.isEmpty)
            heights[2] = main.height - hash - heights[0]
            if bottom.isEmpty { heights = [main.height - hash, hash, 0] }
        } else if bottom.isEmpty {
            heights = [0, main.height, 0]
        }
        let rows = main.rows(heights.map { .fixed($0) })
        var places: [Place] = []
        let workersWidth = min(64, max(34, main.width * 28 / 100))
        let columns =
            top.count == 2
            ? rows[0].columns([.share(1), .fixed(workersWidth)]) : top.isEmpty ? [] : [rows[0]]
        places += zip(top, columns).map { Place(pane: $0, rect: $1, tabs: []) }
        if hash > 0 { places.append(Place(pane: .hashKeys, rect: rows[1], tabs: [])) }
        let weights = bottom.map { Length.share($0 == .lineage ? 26 : $0 == .events ? 40 : 34) }
        places += zip(bottom, rows[2].columns(weights)).map { Place(pane: $0, rect: $1, tabs: []) }
        return places
    }

    private static func narrow(_ main: Rect, _ shown: [Pane], _ wishes: Wishes) -> [Place] {
        let isLow = main.height < 17
        let left = (isLow ? [Pane.workers, .lineage, .hashKeys] : [.workers, .lineage]).filter(shown.contains)
        let right = [Pane.events, .problems].filter(shown.contains)
        let hash = shown.contains(.hashKeys) && !isLow ? hashHeight(main.height) : 0
        let hasBottom = !left.isEmpty || !right.isEmpty
        let leastBottom = hasBottom ? max(6, main.height * 28 / 100) : 0
        var shards = 0
        if shown.contains(.shards) {
            shards = shardsHeight(wishes, available: main.height - hash - leastBottom, hasBelow: hasBottom)
        }
        let bottom = hasBottom ? main.height - hash - shards : 0
        let hashRows = main.height - shards - bottom
        let rows = main.rows([.fixed(shards), .fixed(hash > 0 ? hashRows : 0), .fixed(bottom)])
        var places: [Place] = []
        if shards > 0 { places.append(Place(pane: .shards, rect: rows[0], tabs: [])) }
        if hash > 0 { places.append(Place(pane: .hashKeys, rect: rows[1], tabs: [])) }
        let slots = [left, right].filter { !$0.isEmpty }
        let widths: [Length] = slots.count == 2 ? [.share(43), .share(57)] : [.share(1)]
        for (slot, rect) in zip(slots, rows[2].columns(widths)) {
            let pane = wishes.recent.first(where: slot.contains) ?? slot[0]
            places.append(Place(pane: pane, rect: rect, tabs: slot.filter { $0 != pane }))
        }
        return places
    }
}
