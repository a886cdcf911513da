import AWSWire

/// The key of a table or index.
struct KeySchema: Hashable, Sendable {
    struct Attribute: Hashable, Sendable {
        var name: String
        /// `S`, `N` or `B`.
        var type: String
    }

    var hash: Attribute
    var range: Attribute?

    static let hashBytesMax = 2048
    static let rangeBytesMax = 1024

    var attributes: [Attribute] { [hash] + (range.map { [$0] } ?? []) }
    var names: [String] { attributes.map(\.name) }

    func contains(_ name: String) -> Bool { hash.name == name || range?.name == name }

    /// The key attributes of `item`.
    func key(of item: Item) -> Item {
        var key: Item = [:]
        for name in names { key[name] = item[name] }
        return key
    }

    /// Where a whole item stands; fails where the item lacks the key or has it in another type.
    func rowKey(ofItem item: Item) throws(ServiceError) -> RowKey {
        for attribute in attributes {
            guard let value = item[attribute.name] else {
                throw .invalidParameter("Missing the key \(attribute.name) in the item")
            }
            guard value.tag == attribute.type else {
                throw .invalidParameter(
                    "Type mismatch for key \(attribute.name) expected: \(attribute.type) actual: \(value.tag)")
            }
        }
        return try checked(item)
    }

    /// Where the row named by `key` stands; fails unless it has the key attributes and nothing else.
    func rowKey(ofKey key: Item) throws(ServiceError) -> RowKey {
        guard key.count == attributes.count, attributes.allSatisfy({ key[$0.name]?.tag == $0.type }) else {
            throw .validation("The provided key element does not match the schema")
        }
        return try checked(key)
    }

    private func checked(_ item: Item) throws(ServiceError) -> RowKey {
        for attribute in attributes where item[attribute.name]?.isEmptyKey ?? true {
            let kind = attribute.type == "B" ? "binary" : "string"
            throw .validation(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
                    + "empty \(kind) value. Key: \(attribute.name)")
        }
        if let value = item[hash.name], value.sizeBytes > Self.hashBytesMax {
            throw .invalidParameter(
                "Size of hashkey has exceeded the maximum size limit of\(Self.hashBytesMax) bytes")
        }
        if let range, let value = item[range.name], value.sizeBytes > Self.rangeBytesMax {
            throw .invalidParameter(
                "Aggregated size of all range keys has exceeded the size limit of \(Self.rangeBytesMax) bytes")
        }
        return rowKey(lenient: item) ?? RowKey(partition: [])
    }

    /// Where an item stands in an index; `nil` where it is not in it.
    func rowKey(lenient item: Item) -> RowKey? {
        guard let partition = item[hash.name], partition.tag == hash.type, let bytes = partition.keyBytes else {
            return nil
        }
        guard let range else { return RowKey(partition: bytes) }
        guard let sort = item[range.name], sort.tag == range.type, let sortBytes = sort.keyBytes else { return nil }
        return RowKey(partition: bytes, sort: sortBytes)
    }
}

extension AttributeValue {
    /// Bytes that sort as DynamoDB sorts values of this type; `nil` for what cannot be a key.
    var keyBytes: [UInt8]? {
        switch self {
        case .s(let text): Array(text.utf8)
        case .b(let bytes): bytes.array
        case .n: number?.sortKey
        default: nil
        }
    }

    var isEmptyKey: Bool {
        switch self {
        case .s(let text): text.isEmpty
        case .b(let bytes): bytes.isEmpty
        default: false
        }
    }
}

/// What a secondary index holds of each item.
enum IndexProjection: Hashable, Sendable {
    case all
    case keysOnly
    case include([String])

    var name: String {
        switch self {
        case .all: "ALL"
        case .keysOnly: "KEYS_ONLY"
        case .include: "INCLUDE"
        }
    }
}

/// A GSI or LSI with its entries.
struct SecondaryIndex: Sendable {
    var name: String
    var keys: KeySchema
    var projection: IndexProjection
    var isGlobal: Bool
    /// `nil` for an LSI and on demand.
    var throughput: ProvisionedThroughput?
    var status: ResourceStatus
    var entries = OrderedChunks<IndexKey, Bool>()
    /// Bytes of the projected items.
    var sizeBytes = 0

    /// What the index holds of `item`; `nil` where the item lacks the index's key.
    func projected(_ item: Item, tableKeys: KeySchema) -> Item? {
        guard keys.rowKey(lenient: item) != nil else { return nil }
        switch projection {
        case .all: return item
        case .keysOnly, .include:
            var part = tableKeys.key(of: item).merging(keys.key(of: item)) { $1 }
            if case .include(let names) = projection {
                for name in names { part[name] = item[name] }
            }
            return part
        }
    }

    /// Fails where `item` has an attribute of this index's key in a form that no key has.
    func checkKeys(of item: Item, isUpdate: Bool) throws(ServiceError) {
        for attribute in keys.attributes {
            guard let value = item[attribute.name] else { continue }
            guard value.tag == attribute.type else {
                throw isUpdate
                    ? .validation(
                        "The update expression attempted to update the secondary index key to unsupported type")
                    : .invalidParameter(
                        "Type mismatch for Index Key \(attribute.name) Expected: \(attribute.type) "
                            + "Actual: \(value.tag) IndexName: \(name)")
            }
            guard !value.isEmptyKey else {
                let kind = attribute.type == "B" ? "binary" : "string"
                throw .validation(
                    "One or more parameter values are not valid. A value specified for a secondary index key is not "
                        + "supported. The AttributeValue for a key attribute cannot contain an empty \(kind) value. "
                        + "IndexName: \(name), IndexKey: \(attribute.name)")
            }
        }
    }
}
