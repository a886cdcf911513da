import AWSWire
import Fleet
import Leases
import Machine

/// What the panes list, as indexes into the snapshot. Worked out once for a snapshot, a filter or an order, so that
/// drawing touches only the lines in view.
struct Rows: Sendable {
    /// A part of the hash key space, as fractions of the whole.
    struct Part: Sendable {
        var start: Double
        var end: Double
        var lease: Int
    }

    /// A line of the family tree.
    struct FamilyLine: Sendable {
        /// One element a generation: whether a trunk goes on below it.
        var trunks: [Bool] = []
        var isLast = false
        /// Index into the leases; `nil` for a shard that the table no longer holds.
        var lease: Int?
        var shardID: String
        /// The other parent, where the shard came of a merge.
        var mergedWith: String?
        /// The line stands below the adjacent parent, and the family goes on elsewhere.
        var isReference = false
        var isRoot = false
    }

    struct Name: Hashable, Sendable {
        var id: String
        var key: String
        var isHole: Bool
    }

    /// Of each lease, to tell whether the next snapshot has the same ones.
    var names: [Name] = []
    var shards: [Int] = []
    var hashParts: [Part] = []
    /// Closed shards that are still being read, above the open ones that cover the same keys.
    var drainingParts: [Part] = []
    var lineage: [FamilyLine] = []
    /// Shards without parents and children.
    var singles = 0
    var workers: [Int] = []
    /// Newest first.
    var events: [Int] = []
    var problems: [Int] = []
    /// The first row of each shard, by `LeaseView.key`.
    var leaseOfShard: [String: Int] = [:]
    var leaseOfID: [String: Int] = [:]
    /// Every shard has one of Kinesis's own names.
    var hasStandardNames = true

    mutating func index(_ leases: [LeaseView]) {
        names.reserveCapacity(leases.count)
        leaseOfID.reserveCapacity(leases.count)
        leaseOfShard.reserveCapacity(leases.count)
        for index in leases.indices {
            let name = Name(
                id: leases[index].id, key: leases[index].key, isHole: leases[index].kind == .hole)
            names.append(name)
            leaseOfID[name.id] = index
            guard !name.isHole else { continue }
            leaseOfShard[name.key] = index
            if hasStandardNames && Format.shard(leases[index].shardID).utf8.count > 6 { hasStandardNames = false }
        }
    }
}

extension Model {
    /// Takes the lists anew after a snapshot.
    mutating func rebuildRows() {
        guard let snapshot else { return }
        var rows = Rows()
        if hasSameNames(snapshot.leases) {
            // From one scan to the next the leases are nearly always the same ones.
            rows.names = self.rows.names
            rows.leaseOfID = self.rows.leaseOfID
            rows.leaseOfShard = self.rows.leaseOfShard
            rows.hasStandardNames = self.rows.hasStandardNames
        } else {
            rows.index(snapshot.leases)
        }
        (rows.hashParts, rows.drainingParts) = Self.hashParts(snapshot)
        (rows.lineage, rows.singles) = FamilyTree(snapshot, leaseOfShard: rows.leaseOfShard).lines()
        self.rows = rows
        rebuildFiltered()
        updateOwners(snapshot)
    }

    private func hasSameNames(_ leases: [LeaseView]) -> Bool {
        guard leases.count == rows.names.count else { return false }
        // By index: a lease is large, and copying each to look at two of its names would be most of the work.
        for index in leases.indices {
            let name = rows.names[index]
            guard leases[index].id == name.id, leases[index].key == name.key,
                (leases[index].kind == .hole) == name.isHole
            else { return false }
        }
        return true
    }

    /// Takes anew what a filter or an order changes.
    mutating func rebuildFiltered() {
        guard let snapshot else { return }
        let leases = snapshot.leases
        var shown = Array(leases.indices)
        if let filter = filters[.shards], !filter.isEmpty { shown = shown.filter { filter.matches(leases[$0]) } }
        rows.shards = sort.sorted(shown, of: leases)
        rows.workers = filtered(snapshot.workers.indices, .workers) { snapshot.workers[$0].workerID }
        rows.problems = filtered(snapshot.problems.indices, .problems) {
            let problem = snapshot.problems[$0]
            return "\(problem.kind.rawValue) \(problem.shardIDs.joined(separator: " ")) \(problem.message)"
        }
        let events = snapshot.events
        rows.events = filtered(events.indices, .events) {
            let event = events[$0].event
            let words = event.kind == .childOutput ? event.message ?? "" : ""
            let names = [event.shardID, event.workerID, event.owner, event.previousOwner].compactMap { $0 }
            return "\(EventWord(event.kind).word) \(event.kind.rawValue) \(names.joined(separator: " ")) \(words)"
        }
        if !showsChatter { rows.events = rows.events.filter { !EventWord(events[$0].event.kind).isChatter } }
        rows.events.reverse()
    }

    private func filtered(_ indexes: Range<Int>, _ pane: Pane, text: (Int) -> String) -> [Int] {
        guard let filter = filters[pane], !filter.isEmpty else { return Array(indexes) }
        return indexes.filter { filter.matches(line: text($0)) }
    }

    /// Gives new workers the lowest free colours; those that are still around keep theirs.
    private mutating func updateOwners(_ snapshot: FleetSnapshot) {
        let present = snapshot.workers.map(\.workerID)
        if ownerIndexes.count > present.count + 64 {
            let kept = Set(present)
            ownerIndexes = ownerIndexes.filter { kept.contains($0.key) }
        }
        let new = present.filter { ownerIndexes[$0] == nil }
        guard !new.isEmpty else { return }
        var taken = Set(present.compactMap { ownerIndexes[$0] })
        var next = 0
        for worker in new {
            while taken.contains(next) { next += 1 }
            ownerIndexes[worker] = next
            taken.insert(next)
        }
    }

    private static func hashParts(_ snapshot: FleetSnapshot) -> (open: [Rows.Part], draining: [Rows.Part]) {
        let leases = snapshot.leases
        var open: [Rows.Part] = []
        var draining: [Rows.Part] = []
        open.reserveCapacity(leases.count)
        // Streams stand side by side, each with its whole space.
        let places = Dictionary(
            uniqueKeysWithValues: snapshot.streams.enumerated().map { ($1.id.text, Double($0)) })
        let count = Double(max(1, places.count))
        for index in leases.indices {
            let state = leases[index].state
            guard state != .ended, state != .orphan, let range = leases[index].hashKeyRange else { continue }
            let first = places.isEmpty ? 0 : leases[index].stream.flatMap { places[$0] } ?? 0
            let part = Rows.Part(
                start: (first + fraction(range.start)) / count, end: (first + fraction(range.end)) / count, lease: index
            )
            let isOpen = leases[index].kind == .hole || leases[index].isOpen ?? true
            if isOpen { open.append(part) } else { draining.append(part) }
        }
        open.sort { ($0.start, $0.lease) < ($1.start, $1.lease) }
        draining.sort { ($0.start, $0.lease) < ($1.start, $1.lease) }
        return (open, draining)
    }

    /// Where in the space a key lies, 0...1. Its upper half says it more exactly than any screen can show.
    private static func fraction(_ key: UInt128) -> Double {
        Double(UInt64(truncatingIfNeeded: key >> 64)) * 0x1p-64
    }

    // MARK: The lists, by line

    func lineCount(_ pane: Pane) -> Int {
        switch pane {
        case .shards: rows.shards.count
        case .hashKeys: rows.hashParts.count
        case .lineage: rows.lineage.count
        case .workers: rows.workers.count
        case .events: rows.events.count
        case .problems: rows.problems.count
        }
    }

    /// What a line is about; the same from snapshot to snapshot.
    func lineID(_ pane: Pane, _ line: Int) -> String? {
        guard let snapshot, line >= 0, line < lineCount(pane) else { return nil }
        switch pane {
        case .shards: return snapshot.leases[rows.shards[line]].id
        case .hashKeys: return snapshot.leases[rows.hashParts[line].lease].id
        case .lineage: return rows.lineage[line].lease.map { snapshot.leases[$0].id } ?? rows.lineage[line].shardID
        case .workers: return snapshot.workers[rows.workers[line]].workerID
        case .events: return String(snapshot.events[rows.events[line]].seq)
        case .problems: return snapshot.problems[rows.problems[line]].id
        }
    }

    func lease(id: String?) -> LeaseView? {
        guard let snapshot, let id, let index = rows.leaseOfID[id] else { return nil }
        return snapshot.leases[index]
    }

    func lease(shard: String) -> LeaseView? {
        guard let snapshot, let index = rows.leaseOfShard[shard] else { return nil }
        return snapshot.leases[index]
    }

    func list(_ pane: Pane) -> ListState { lists[pane] ?? ListState() }

    var layout: PanesLayout {
        PanesLayout(
            width: width, height: height,
            wishes: .init(
                focus: focus, isZoomed: isZoomed, recent: recent, hidden: hidden, hasStrip: demo != nil,
                hasCaption: caption != nil, leases: snapshot?.leases.count ?? 0))
    }

    /// Brings selections and offsets in line with the lists and the size; after every event.
    mutating func settle() {
        let layout = layout
        for pane in Pane.allCases {
            let count = lineCount(pane)
            var list = list(pane)
            let isShared = pane == .shards || pane == .hashKeys || pane == .lineage
            let wanted = isShared ? selectedLease : list.id
            if let wanted, lineID(pane, list.index) != wanted {
                if let line = (0..<count).first(where: { lineID(pane, $0) == wanted }) { list.index = line }
            } else if pane == .events && wanted == nil {
                list.index = 0
            }
            list.index = max(0, min(list.index, count - 1))
            if pane == .shards && (focus == .shards || selectedLease == nil) && detail == nil {
                selectedLease = lineID(.shards, list.index) ?? selectedLease
            }
            if !isShared && !(pane == .events && list.id == nil) { list.id = lineID(pane, list.index) }
            let height = (layout.place(of: pane)?.height ?? 0) - pane.linesAbove - 1
            list.offset = Scroll.offset(selection: list.index, count: count, height: height, earlier: list.offset)
            lists[pane] = list
        }
    }
}
