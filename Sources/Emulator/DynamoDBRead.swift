import AWSWire
import Machine

/// A Query or Scan, read from a request but not yet looked at beside the table.
struct PageRequest: Sendable {
    var table: String
    var index: String?
    /// `nil` for a Scan.
    var keyCondition: Condition?
    var keyConditionKind = ExpressionKind.keyCondition
    var filter: Condition?
    /// `FilterExpression`, `QueryFilter` or `ScanFilter`.
    var filterName = ExpressionKind.filter.rawValue
    var projection: [DocumentPath]?
    /// ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES, SPECIFIC_ATTRIBUTES, COUNT; `nil` for the default.
    var select: String?
    var isConsistent = false
    var limit: Int?
    var startKey: Item?
    var isForward = true
    var segment: (number: Int, total: Int)?
}

/// What a Query or Scan answers.
struct Page: Sendable {
    static let bytesMax = 1 << 20

    var items: [Item] = []
    var count = 0
    var scannedCount = 0
    var lastKey: Item?
    var consumed: ConsumedCapacity
}

/// A key of the table or of an index, in the order that a read goes through.
protocol ReadOrdered: Comparable, Sendable {
    /// Where it stands by the schema that is read.
    var position: RowKey { get }
    /// The row in the table.
    var base: RowKey { get }
}

extension RowKey: ReadOrdered {
    var position: RowKey { self }
    var base: RowKey { self }
}

extension IndexKey: ReadOrdered {
    var position: RowKey { key }
}

extension DynamoDBTable {
    /// Reads one page: at most `limit` rows and 1 MiB are looked at, the filter notwithstanding.
    mutating func page(_ request: PageRequest, at now: Timestamp) throws(ServiceError) -> Page {
        let index = try readableIndex(request, at: now)
        let schema = index.map { indexes[$0].keys } ?? keys
        try checkSelection(request, index)
        let range: KeyRange
        if let condition = request.keyCondition {
            range = try KeyRange(condition, schema, request.keyConditionKind)
            if let used = request.filter?.attributes.filter(schema.contains).min() {
                let isExpression = request.filterName == ExpressionKind.filter.rawValue
                let name = isExpression ? "Filter Expression" : request.filterName
                throw .validation(
                    "\(name) can only contain non-primary key attributes: Primary key attribute: \(used)")
            }
        } else {
            range = KeyRange(segment: request.segment)
        }
        let start = try startKey(request, index, range)
        try admitRead(index: index, at: now)
        var page: Page
        if let index {
            let entries = indexes[index].entries
            page = read(entries, request, range, start, index, at: now)
            page.consumed.indexes[indexes[index].name] = page.consumed.table
            if !indexes[index].isGlobal { page.consumed.localIndexes.insert(indexes[index].name) }
            page.consumed.table = 0
        } else {
            let rows = rows
            page = read(rows, request, range, start?.base, nil, at: now)
        }
        charge(page.consumed)
        return page
    }

    private func readableIndex(_ request: PageRequest, at now: Timestamp) throws(ServiceError) -> Int? {
        guard let name = request.index else { return nil }
        guard let index = indexes.firstIndex(where: { $0.name == name }) else {
            throw .validation("The table does not have the specified index: \(name)")
        }
        guard !indexes[index].isGlobal || !request.isConsistent else {
            throw .validation("Consistent reads are not supported on global secondary indexes")
        }
        guard indexes[index].status.isUsable(at: now) else {
            throw .validation("Cannot read from backfilling global secondary index: \(name)")
        }
        return index
    }

    private func checkSelection(_ request: PageRequest, _ index: Int?) throws(ServiceError) {
        if request.select == "ALL_PROJECTED_ATTRIBUTES", index == nil {
            throw .invalidParameter("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
        }
        if let index, indexes[index].isGlobal, request.select == "ALL_ATTRIBUTES", indexes[index].projection != .all {
            throw .invalidParameter(
                "Select type ALL_ATTRIBUTES is not supported for global secondary index \(indexes[index].name) "
                    + "because its projection type is not ALL")
        }
    }

    /// `ExclusiveStartKey` as a place in the order that is read.
    private func startKey(
        _ request: PageRequest, _ index: Int?, _ range: KeyRange
    ) throws(ServiceError) -> IndexKey? {
        guard let key = request.startKey else { return nil }
        let invalid = ServiceError.validation("The provided starting key is invalid")
        let schema = index.map { indexes[$0].keys } ?? keys
        let names = Set(schema.names + keys.names)
        guard Set(key.keys) == names, let base = keys.rowKey(lenient: key),
            let position = schema.rowKey(lenient: key)
        else {
            throw index == nil && request.keyCondition == nil
                ? .validation(
                    "The provided starting key is invalid: The provided key element does not match the schema")
                : invalid
        }
        guard range.contains(position) else {
            if let segment = request.segment {
                throw .validation(
                    "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey "
                        + "with correct Segment. TotalSegments: \(segment.total) Segment: \(segment.number)")
            }
            throw .validation(
                "The provided starting key is outside query boundaries based on provided conditions")
        }
        return IndexKey(key: position, base: base)
    }

    private mutating func read<Key: ReadOrdered, Value>(
        _ store: OrderedChunks<Key, Value>, _ request: PageRequest, _ range: KeyRange, _ start: Key?, _ index: Int?,
        at now: Timestamp
    ) -> Page {
        var low = store.firstPosition { !range.isBefore($0.position) }
        var high = store.firstPosition { range.isAfter($0.position) }
        if let start {
            if request.isForward {
                low = max(low, store.firstPosition { $0 > start })
            } else {
                high = min(high, store.firstPosition { $0 >= start })
            }
        }
        var page = Page(consumed: ConsumedCapacity(isWrite: false))
        var bytes = 0
        var last: Item?
        while low < high {
            let position = request.isForward ? low : store.before(high)
            if request.isForward { low = store.after(low) } else { high = position }
            let key = store[position].key
            guard let (whole, seen, size) = candidate(key, request, index, at: now) else { continue }
            guard bytes == 0 || bytes + size <= Page.bytesMax else {
                page.lastKey = last
                break
            }
            bytes += size
            page.scannedCount += 1
            last = keys.key(of: whole).merging(index.map { indexes[$0].keys.key(of: whole) } ?? [:]) { $1 }
            if request.filter?.holds(for: seen) ?? true {
                page.count += 1
                if request.select != "COUNT" { page.items.append(request.projection.map(seen.projected) ?? seen) }
            }
            if page.scannedCount == request.limit {
                page.lastKey = last
                break
            }
        }
        page.consumed.table = ConsumedCapacity.readUnits(bytes, isConsistent: request.isConsistent)
        return page
    }

    /// A row as this read sees it: whole, as the table or index shows it, and the bytes that count.
    private mutating func candidate(
        _ key: some ReadOrdered, _ request: PageRequest, _ index: Int?, at now: Timestamp
    ) -> (whole: Item, seen: Item, size: Int)? {
        guard let row = rows[key.base] else { return nil }
        guard let index else {
            return visible(row, isConsistent: request.isConsistent, at: now).map { ($0.item, $0.item, $0.sizeBytes) }
        }
        var whole = visible(row, isConsistent: request.isConsistent, at: now)?.item
        // An older version that stood elsewhere in the index cannot be shown here.
        if whole.flatMap({ indexes[index].keys.rowKey(lenient: $0) }) != key.position { whole = row.item }
        guard let whole, let part = indexes[index].projected(whole, tableKeys: keys) else { return nil }
        // A local index fetches from the table what it does not hold; a global one has only what it holds.
        let fetches = !indexes[index].isGlobal && (request.select == "ALL_ATTRIBUTES" || request.projection != nil)
        return (whole, fetches ? whole : part, part.sizeBytes)
    }
}
