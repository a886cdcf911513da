import Machine

/// The rows that a person looks at. A whole table is read every few seconds or less often; these few are read again
/// between two scans.
struct ShownRows: Sendable {
    /// The keys of their leases, sorted, each once.
    private(set) var keys: [String] = []
    /// Those that the service did not come to last time: they are read before the others.
    private var left: [String] = []
    /// Not before this.
    var nextRead: Timestamp = .zero
    /// What is under way.
    private var asked: (at: Timestamp, count: Int)?
    /// A scan brought the same rows since that was asked for.
    private var isOverrun = false
    /// Whether a change was seen since the last scan ended.
    private var hasChanged = false
    /// What reading a row takes: half a unit for up to 4 KB.
    private(set) var unitsPerRow = 0.5

    static let interval: Duration = .seconds(1)
    /// What BatchGetItem reads at most.
    static let rowsMax = 100

    mutating func show(_ keys: [String]) {
        self.keys = Array(Set(keys).sorted().prefix(Self.rowsMax))
        left.removeAll { !self.keys.contains($0) }
    }

    /// What a read of all of them takes.
    var units: Double { Double(keys.count) * unitsPerRow }

    var isUnderWay: Bool { asked != nil }

    /// Begins a read and returns the keys for it.
    ///
    /// - Parameter isWanted: whether a row is worth it.
    mutating func read(at now: Timestamp, _ isWanted: (String) -> Bool) -> [String] {
        var chosen = left.filter(isWanted)
        if chosen.isEmpty { chosen = keys.filter(isWanted) }
        left = []
        guard !chosen.isEmpty else { return [] }
        asked = (now, chosen.count)
        isOverrun = false
        return chosen
    }

    /// An answer comes to what was not asked here.
    mutating func expect(at now: Timestamp) {
        asked = (now, 0)
        isOverrun = false
    }

    /// Rows of a scan came: what is under way may be older.
    mutating func overrun() { isOverrun = true }

    /// The event as it is to be taken: an answer that a scan overtook counts for its cost alone.
    func admitted(_ event: FleetMachine.Event) -> FleetMachine.Event {
        guard isOverrun, case .rowsRead(let answer, let info) = event else { return event }
        return .rowsRead(FleetMachine.RowsRead([], unprocessed: answer.unprocessed), info)
    }

    /// Ends what is under way; returns when it was asked for, `nil` where nothing was.
    mutating func answered(_ answer: FleetMachine.RowsRead?, units: Double? = nil) -> Timestamp? {
        guard let asked else { return nil }
        self.asked = nil
        guard let answer else { return asked.at }
        left = answer.unprocessed.filter { keys.contains($0) }.sorted()
        let read = asked.count - answer.unprocessed.count
        if let units, units > 0, read > 0 { unitsPerRow = units / Double(read) }
        return asked.at
    }

    mutating func changed() { hasChanged = true }

    mutating func takeHasChanged() -> Bool {
        defer { hasChanged = false }
        return hasChanged
    }
}
