import AWSWire
import Machine
import OrderedCollections

/// A table's definition as the state directory keeps it. Moments are kept by the wall clock, because the other begins
/// anew with every process; throughput that was saved up for bursts is not kept.
extension DynamoDBTable {
    func stored(at moment: Moment) -> AWSValue {
        .members([
            "name": .string(name), "id": .string(id), "createdAt": .int(createdAt.milliseconds),
            "keys": keys.stored, "types": .map(attributeTypes.mapValues { .string($0) }),
            "indexes": .list(indexes.map { $0.stored(at: moment) }), "throughput": throughput?.stored,
            "onDemandSince": onDemandSince.map { .int($0.milliseconds) },
            "tableClass": tableClass.map { .string($0) }, "isDeletionProtected": .bool(isDeletionProtected),
            "recoverableSince": recoverableSince.map { .int($0.milliseconds) },
            "timeToLive": timeToLive.map { .string($0) }, "tags": .map(tags.mapValues { .string($0) }),
            "status": status.stored(at: moment),
        ])
    }

    /// `nil` where `tree` is no definition.
    init?(stored tree: AWSValue, at moment: Moment, in service: DynamoDBService) {
        let settings = service.settings
        guard let name = tree["name"]?.string, let id = tree["id"]?.string, let created = tree["createdAt"]?.time64,
            let keys = tree["keys"].flatMap(KeySchema.init(stored:)), let types = tree["types"]?.map,
            let status = tree["status"].flatMap({ ResourceStatus(stored: $0, at: moment) }),
            let indexes = tree["indexes"]?.list, let tags = tree["tags"]?.map
        else { return nil }
        self.init(
            name: name, arn: service.arn(ofTable: name), id: id,
            createdAt: created, keys: keys, settings: settings,
            attributeTypes: types.compactMapValues(\.string),
            indexes: indexes.compactMap { SecondaryIndex(stored: $0, settings.burst, at: moment) },
            throughput: tree["throughput"].flatMap {
                ProvisionedThroughput(stored: $0, burst: settings.burst, at: moment.now)
            },
            tableClass: tree["tableClass"]?.string, isDeletionProtected: tree["isDeletionProtected"]?.bool ?? false,
            tags: tags.compactMapValues(\.string), status: status,
            generator: service.generator(ofTable: name))
        guard self.indexes.count == indexes.count else { return nil }
        onDemandSince = tree["onDemandSince"]?.time64
        recoverableSince = tree["recoverableSince"]?.time64
        timeToLive = tree["timeToLive"]?.string
    }

    /// Takes over a definition that was kept after the rows that are here.
    mutating func redefine(_ other: DynamoDBTable) {
        var new = other
        let indexes = new.indexes
        new.indexes = []
        new.takeRows(of: self)
        // An index that was there before keeps its entries; one that is new is filled from the rows.
        for index in indexes {
            guard let old = self.indexes.first(where: { $0.name == index.name && $0.keys == index.keys }) else {
                new.add(index)
                continue
            }
            var kept = index
            kept.entries = old.entries
            kept.sizeBytes = old.sizeBytes
            new.indexes.append(kept)
        }
        new.journal = journal
        self = new
    }

    /// Makes a change that was kept.
    ///
    /// - Returns: whether the change fits the table's key.
    mutating func restore(_ change: RowChange, at now: Timestamp) -> Bool {
        switch change {
        case .put(let item):
            guard let key = keys.rowKey(lenient: item) else { return false }
            _ = replace(key, with: item, at: now)
        case .delete(let item):
            guard let key = keys.rowKey(lenient: item) else { return false }
            _ = replace(key, with: nil, at: now)
        }
        return true
    }
}

extension WriteOutcome {
    /// What is kept of it; `nil` where nothing changes.
    func change(_ keys: KeySchema) -> RowChange? {
        guard changesRow else { return nil }
        if let new { return .put(new) }
        return old.map { .delete(keys.key(of: $0)) }
    }
}

extension KeySchema {
    fileprivate var stored: AWSValue {
        .list(attributes.map { [.string($0.name), .string($0.type)] })
    }

    fileprivate init?(stored tree: AWSValue) {
        let attributes = (tree.list ?? []).compactMap { element -> Attribute? in
            guard let pair = element.strings, pair.count == 2 else { return nil }
            return Attribute(name: pair[0], type: pair[1])
        }
        guard 1...2 ~= attributes.count, attributes.count == tree.list?.count else { return nil }
        self.init(hash: attributes[0], range: attributes.count > 1 ? attributes[1] : nil)
    }
}

extension ResourceStatus {
    fileprivate func stored(at moment: Moment) -> AWSValue {
        ["change": .string(change.rawValue), "until": .int(moment.wall(of: until).milliseconds)]
    }

    fileprivate init?(stored tree: AWSValue, at moment: Moment) {
        guard let change = tree["change"]?.string.flatMap(Change.init), let until = tree["until"]?.time64 else {
            return nil
        }
        self.init(change: change, until: moment.timestamp(of: until))
    }
}

extension ProvisionedThroughput {
    fileprivate var stored: AWSValue {
        .members([
            "reads": .int(Int64(reads.rate)), "writes": .int(Int64(writes.rate)),
            "increasedAt": increasedAt.map { .int($0.milliseconds) },
            "decreasedAt": decreasedAt.map { .int($0.milliseconds) },
        ])
    }

    fileprivate init?(stored tree: AWSValue, burst: Duration, at now: Timestamp) {
        guard let reads = tree["reads"]?.int, let writes = tree["writes"]?.int else { return nil }
        self.init(reads: reads, writes: writes, burst: burst, at: now)
        increasedAt = tree["increasedAt"]?.time64
        decreasedAt = tree["decreasedAt"]?.time64
    }
}

extension SecondaryIndex {
    fileprivate func stored(at moment: Moment) -> AWSValue {
        var names: [String]?
        if case .include(let attributes) = projection { names = attributes }
        return .members([
            "name": .string(name), "keys": keys.stored, "projection": .string(projection.name),
            "attributes": names.map { .list($0.map { .string($0) }) }, "isGlobal": .bool(isGlobal),
            "throughput": throughput?.stored, "status": status.stored(at: moment),
        ])
    }

    fileprivate init?(stored tree: AWSValue, _ burst: Duration, at moment: Moment) {
        guard let name = tree["name"]?.string, let keys = tree["keys"].flatMap(KeySchema.init(stored:)),
            let status = tree["status"].flatMap({ ResourceStatus(stored: $0, at: moment) }),
            let isGlobal = tree["isGlobal"]?.bool
        else { return nil }
        let projection: IndexProjection
        switch tree["projection"]?.string {
        case "ALL": projection = .all
        case "KEYS_ONLY": projection = .keysOnly
        case "INCLUDE": projection = .include(tree["attributes"]?.strings ?? [])
        default: return nil
        }
        self.init(
            name: name, keys: keys, projection: projection, isGlobal: isGlobal,
            throughput: tree["throughput"].flatMap {
                ProvisionedThroughput(stored: $0, burst: burst, at: moment.now)
            },
            status: status)
    }
}
