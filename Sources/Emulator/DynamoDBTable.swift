import AWSWire
import DequeModule
import Machine
import OrderedCollections

/// Whether a table or index is being created, changed or deleted, and until when.
struct ResourceStatus: Sendable {
    enum Change: String, Sendable {
        case creating = "CREATING"
        case updating = "UPDATING"
        case deleting = "DELETING"
    }

    var change: Change
    var until: Timestamp

    /// CREATING, UPDATING, DELETING or ACTIVE.
    func name(at now: Timestamp) -> String { change == .deleting || now < until ? change.rawValue : "ACTIVE" }

    func isGone(at now: Timestamp) -> Bool { change == .deleting && now >= until }

    /// Whether rows can be read and written.
    func isUsable(at now: Timestamp) -> Bool {
        switch change {
        case .creating: now >= until
        case .updating: true
        case .deleting: false
        }
    }
}

/// A row, and for a while what it was before.
struct Row: Sendable {
    struct Version: Sendable {
        var item: Item?
        /// When it was replaced.
        var until: Timestamp
    }

    /// More versions than these are forgotten, oldest first.
    static let versionsMax = 8

    /// `nil` once deleted, as long as stale reads may still see it.
    var item: Item?
    var sizeBytes: Int
    var versions: [Version] = []
}

/// A table: its settings, rows and indexes. Changed in place, under one lock.
struct DynamoDBTable: Sendable {
    static let itemBytesMax = 400 * 1024

    let name: String
    let arn: String
    let id: String
    let createdAt: UnixTime
    let keys: KeySchema
    let settings: DynamoDBSettings
    /// What was consumed since the table was created, its indexes' share included.
    private(set) var units = ConsumedUnits()
    /// Key attributes of the table and its indexes with their types.
    var attributeTypes: OrderedDictionary<String, String>
    var indexes: [SecondaryIndex]
    /// `nil` on demand.
    var throughput: ProvisionedThroughput?
    /// When the table went from provisioned to on demand, or its creation.
    var onDemandSince: UnixTime?
    var tableClass: String?
    var isDeletionProtected: Bool
    /// Since when the table can be restored to any moment; `nil` while that is off.
    var recoverableSince: UnixTime?
    var tags: OrderedDictionary<String, String>
    /// The attribute that says when a row may go; `nil` while that is off. Rows never go by themselves here.
    var timeToLive: String?
    var status: ResourceStatus
    /// Where changes are kept; `nil` where nothing outlives the process.
    var journal: TableJournal?

    private(set) var rows = OrderedChunks<RowKey, Row>()
    private(set) var itemCount = 0
    private(set) var sizeBytes = 0
    var generator: SeededGenerator
    /// Deleted rows that stale reads may still see, oldest first.
    private var tombstones: Deque<(key: RowKey, until: Timestamp)> = []

    init(
        name: String, arn: String, id: String, createdAt: UnixTime, keys: KeySchema, settings: DynamoDBSettings,
        attributeTypes: OrderedDictionary<String, String>, indexes: [SecondaryIndex],
        throughput: ProvisionedThroughput?,
        tableClass: String?, isDeletionProtected: Bool, tags: OrderedDictionary<String, String>,
        status: ResourceStatus, generator: SeededGenerator
    ) {
        self.name = name
        self.arn = arn
        self.id = id
        self.createdAt = createdAt
        self.keys = keys
        self.settings = settings
        self.attributeTypes = attributeTypes
        self.indexes = indexes
        self.throughput = throughput
        self.tableClass = tableClass
        self.isDeletionProtected = isDeletionProtected
        self.tags = tags
        self.status = status
        self.generator = generator
        onDemandSince = throughput == nil ? createdAt : nil
    }
}

// MARK: Rows

extension DynamoDBTable {
    /// The row's last written item.
    func item(at key: RowKey) -> Item? { rows[key]?.item }

    /// The row as a read sees it: an eventually consistent one may see an older version.
    mutating func visible(_ row: Row, isConsistent: Bool, at now: Timestamp) -> (item: Item, sizeBytes: Int)? {
        let current = row.item.map { ($0, row.sizeBytes) }
        guard !isConsistent, !row.versions.isEmpty, let stale = settings.staleReads,
            generator.chance(stale.probability)
        else { return current }
        let age = Int64(generator.next() % UInt64(max(1, stale.ageMax.wholeNanoseconds)))
        let then = now - .nanoseconds(age)
        guard let version = row.versions.first(where: { $0.until > then }) else { return current }
        return version.item.map { ($0, $0.sizeBytes) }
    }

    /// Replaces the row, keeps the indexes right, and answers what that cost.
    mutating func replace(_ key: RowKey, with new: Item?, at now: Timestamp) -> ConsumedCapacity {
        forgetTombstones(at: now)
        let keepsVersions = settings.staleReads != nil
        let ageMax = settings.staleReads?.ageMax ?? .zero
        let size = new?.sizeBytes ?? 0
        let (old, oldSize) = rows.update(key) { row in
            let old = row?.item
            let oldSize = old == nil ? 0 : row?.sizeBytes ?? 0
            guard keepsVersions else {
                row = new.map { Row(item: $0, sizeBytes: size) }
                return (old, oldSize)
            }
            var versions = row?.versions ?? []
            versions.removeAll { $0.until < now - ageMax }
            versions.append(Row.Version(item: old, until: now))
            if versions.count > Row.versionsMax { versions.removeFirst() }
            row = new == nil && old == nil ? row : Row(item: new, sizeBytes: size, versions: versions)
            return (old, oldSize)
        }
        if keepsVersions, new == nil, old != nil { tombstones.append((key, now + ageMax)) }
        itemCount += (new == nil ? 0 : 1) - (old == nil ? 0 : 1)
        sizeBytes += size - oldSize
        var consumed = ConsumedCapacity(isWrite: true)
        consumed.table = ConsumedCapacity.writeUnits(max(size, oldSize))
        for index in indexes.indices {
            let units = reindex(index, key, from: old, to: new)
            if units > 0 {
                consumed.indexes[indexes[index].name] = units
                if !indexes[index].isGlobal { consumed.localIndexes.insert(indexes[index].name) }
            }
        }
        return consumed
    }

    /// Takes the rows of a table with the same key over.
    mutating func takeRows(of other: DynamoDBTable) {
        rows = other.rows
        itemCount = other.itemCount
        sizeBytes = other.sizeBytes
    }

    private mutating func forgetTombstones(at now: Timestamp) {
        while let first = tombstones.first, first.until < now {
            tombstones.removeFirst()
            rows.update(first.key) { row in
                if row?.item == nil, row?.versions.last.map({ $0.until <= first.until }) ?? true { row = nil }
            }
        }
    }

    /// Moves the row's entry in one index; the answer is the write units that took.
    private mutating func reindex(_ position: Int, _ key: RowKey, from old: Item?, to new: Item?) -> Double {
        // No copy of the index is held here: its entries are changed in their place.
        let oldPart = old.flatMap { indexes[position].projected($0, tableKeys: keys) }
        let newPart = new.flatMap { indexes[position].projected($0, tableKeys: keys) }
        guard oldPart != newPart else { return 0 }
        let oldKey = oldPart.flatMap { indexes[position].keys.rowKey(lenient: $0) }
        let newKey = newPart.flatMap { indexes[position].keys.rowKey(lenient: $0) }
        let oldSize = oldPart?.sizeBytes ?? 0
        let newSize = newPart?.sizeBytes ?? 0
        indexes[position].sizeBytes += newSize - oldSize
        if oldKey == newKey { return ConsumedCapacity.writeUnits(max(oldSize, newSize)) }
        var units = 0.0
        if let oldKey {
            indexes[position].entries.update(IndexKey(key: oldKey, base: key)) { $0 = nil }
            units += ConsumedCapacity.writeUnits(oldSize)
        }
        if let newKey {
            indexes[position].entries.update(IndexKey(key: newKey, base: key)) { $0 = true }
            units += ConsumedCapacity.writeUnits(newSize)
        }
        return units
    }

    /// Adds an index and fills it from the rows.
    mutating func add(_ index: SecondaryIndex) {
        var index = index
        var position = rows.start
        while position < rows.end {
            let (key, row) = rows[position]
            position = rows.after(position)
            guard let item = row.item, let part = index.projected(item, tableKeys: keys),
                let indexKey = index.keys.rowKey(lenient: part)
            else { continue }
            index.entries.update(IndexKey(key: indexKey, base: key)) { $0 = true }
            index.sizeBytes += part.sizeBytes
        }
        indexes.append(index)
    }

    /// Takes deleted indexes off the list.
    mutating func settle(at now: Timestamp) { indexes.removeAll { $0.status.isGone(at: now) } }
}

// MARK: Throughput

extension DynamoDBTable {
    /// Fails while the table, or the index that is read, has used up its provisioned reads.
    mutating func admitRead(index: Int?, at now: Timestamp) throws(ServiceError) {
        guard settings.enforcesThroughput else { return }
        if let index, indexes[index].isGlobal {
            guard indexes[index].throughput?.reads.admits(at: now) ?? true else { throw Self.indexThrottled }
        } else {
            guard throughput?.reads.admits(at: now) ?? true else { throw Self.tableThrottled }
        }
    }

    /// Fails while the table or one of its indexes has used up its provisioned writes.
    mutating func admitWrite(at now: Timestamp) throws(ServiceError) {
        guard settings.enforcesThroughput else { return }
        guard throughput?.writes.admits(at: now) ?? true else { throw Self.tableThrottled }
        for index in indexes.indices {
            guard indexes[index].throughput?.writes.admits(at: now) ?? true else { throw Self.indexThrottled }
        }
    }

    mutating func charge(_ consumed: ConsumedCapacity) {
        units.add(consumed)
        if consumed.isWrite {
            // Local indexes draw on the table's throughput.
            let local = consumed.localIndexes.reduce(0) { $0 + (consumed.indexes[$1] ?? 0) }
            throughput?.writes.take(consumed.table + local)
        } else {
            throughput?.reads.take(consumed.table)
        }
        for index in indexes.indices {
            guard let units = consumed.indexes[indexes[index].name] else { continue }
            if consumed.isWrite {
                indexes[index].throughput?.writes.take(units)
            } else if indexes[index].isGlobal {
                indexes[index].throughput?.reads.take(units)
            } else {
                throughput?.reads.take(units)
            }
        }
    }

    private static var tableThrottled: ServiceError {
        ServiceError(
            "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded. "
                + "Consider increasing your provisioning level with the UpdateTable API.")
    }

    private static var indexThrottled: ServiceError {
        ServiceError(
            "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for one or more global secondary indexes of the table was "
                + "exceeded. Consider increasing your provisioning level for the under-provisioned global secondary "
                + "indexes with the UpdateTable API")
    }
}
