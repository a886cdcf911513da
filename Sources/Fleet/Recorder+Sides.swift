import AWSWire

/// The rows of the workers' metrics as what changed since they were last told: they are read whole each time.
struct RecordedMetrics: Sendable {
    private var items: [String: Item] = [:]

    /// The members of a line: rows that are new or not as they were, and those that are gone. `nil` items: no table.
    mutating func changes(to read: [Item]?) -> KeyValuePairs<String, AWSValue?> {
        guard let read else {
            items = [:]
            return ["absent": true]
        }
        var now: [String: Item] = [:]
        for item in read { now[item[WorkerReport.sideKey]?.string ?? "?"] = item }
        let changed = now.keys.sorted().filter { items[$0] != now[$0] }.compactMap { now[$0]?.wire }
        let gone = items.keys.filter { now[$0] == nil }.sorted()
        items = now
        return [
            "rows": changed.isEmpty ? nil : .list(changed),
            "gone": gone.isEmpty ? nil : .list(gone.map { .string($0) }),
        ]
    }

    /// What was read, from the line that `changes` made; `nil`: no table.
    mutating func read(_ line: AWSValue) -> [Item]? {
        if line["absent"]?.bool == true {
            items = [:]
            return nil
        }
        for row in line["rows"]?.list ?? [] {
            guard let item = Item(wire: row), let key = item[WorkerReport.sideKey]?.string else { continue }
            items[key] = item
        }
        for key in line["gone"]?.strings ?? [] { items[key] = nil }
        return items.keys.sorted().compactMap { items[$0] }
    }
}
