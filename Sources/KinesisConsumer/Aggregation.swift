public import AWSWire
import Crypto

/// Packs user records into KPL aggregates, so that many small records cost one (kcl.md §6.3).
///
/// Consumers leave an aggregate out whole when one of its records lies outside of the shard's hash range. So each
/// aggregator is given only records that one shard takes.
///
/// The tables of the message are written as they grow; adding a record copies its data once.
public struct KPLAggregator: Sendable {
    /// What the service takes for data and partition key together.
    public static let bytesMax = 1 << 20

    /// An aggregate, its own partition key included, grows no larger than this.
    public let maxBytes: Int
    public let maxRecords: Int
    /// User records that wait in the aggregate.
    public private(set) var count = 0

    private var partitionKeys: [String: Int] = [:]
    private var explicitHashKeys: [UInt128: Int] = [:]
    private var partitionKeyTable: [UInt8] = []
    private var explicitHashKeyTable: [UInt8] = []
    private var records: [UInt8] = []
    private var first: PutRecord?

    /// - Parameter maxBytes: 51 200 is the KPL's own `AggregationMaxSize`.
    public init(maxBytes: Int = 51_200, maxRecords: Int = .max) {
        self.maxBytes = min(max(1, maxBytes), Self.bytesMax)
        self.maxRecords = max(1, maxRecords)
    }

    /// Adds a user record. Returns the aggregate before it once there is no room for another.
    public mutating func add(
        _ data: Bytes, partitionKey: String, explicitHashKey: UInt128? = nil
    ) -> PutRecord? {
        var full: PutRecord?
        if count > 0 {
            let added = size(ofAdding: data, partitionKey, explicitHashKey)
            if count >= maxRecords || size + added > maxBytes { full = flush() }
        }
        if first == nil {
            first = PutRecord(data: data, partitionKey: partitionKey, explicitHashKey: explicitHashKey)
        }
        append(data, partitionKey, explicitHashKey)
        return full
    }

    /// What was added since the last aggregate, if anything; a record that is alone stays plain, as in the KPL.
    public mutating func flush() -> PutRecord? {
        guard var aggregate = first else { return nil }
        if count > 1 {
            let message = partitionKeyTable + explicitHashKeyTable + records
            aggregate.data = Bytes(Aggregate.magic + message + Array(Insecure.MD5.hash(data: message)))
        }
        self = KPLAggregator(maxBytes: maxBytes, maxRecords: maxRecords)
        return aggregate
    }

    private var size: Int {
        Aggregate.magic.count + partitionKeyTable.count + explicitHashKeyTable.count + records.count
            + Aggregate.digestLength + (first?.partitionKey.utf8.count ?? 0)
    }

    private func size(ofAdding data: Bytes, _ partitionKey: String, _ explicitHashKey: UInt128?) -> Int {
        var size = 0
        if partitionKeys[partitionKey] == nil { size += sizeOfField(partitionKey.utf8.count) }
        if let explicitHashKey, explicitHashKeys[explicitHashKey] == nil {
            size += sizeOfField(String(explicitHashKey).utf8.count)
        }
        var entry = 1 + sizeOfVarint(partitionKeys[partitionKey] ?? partitionKeys.count) + sizeOfField(data.count)
        if let explicitHashKey {
            entry += 1 + sizeOfVarint(explicitHashKeys[explicitHashKey] ?? explicitHashKeys.count)
        }
        return size + sizeOfField(entry)
    }

    private mutating func append(_ data: Bytes, _ partitionKey: String, _ explicitHashKey: UInt128?) {
        let key = partitionKeys[partitionKey] ?? partitionKeys.count
        if key == partitionKeys.count {
            partitionKeys[partitionKey] = key
            partitionKeyTable.appendField(1, bytes: Array(partitionKey.utf8))
        }
        var entry: [UInt8] = []
        entry.appendField(1, number: key)
        if let explicitHashKey {
            let index = explicitHashKeys[explicitHashKey] ?? explicitHashKeys.count
            if index == explicitHashKeys.count {
                explicitHashKeys[explicitHashKey] = index
                explicitHashKeyTable.appendField(2, bytes: Array(String(explicitHashKey).utf8))
            }
            entry.appendField(2, number: index)
        }
        entry.append(3 << 3 | 2)
        entry.appendVarint(data.count)
        records.append(3 << 3 | 2)
        records.appendVarint(entry.count + data.count)
        records += entry
        data.withUnsafeBytes { records.append(contentsOf: $0) }
        count += 1
    }
}

/// Of a tag of one byte, a length, and so many bytes.
private func sizeOfField(_ count: Int) -> Int { 1 + sizeOfVarint(count) + count }

private func sizeOfVarint(_ value: Int) -> Int { max(1, (Int.bitWidth - value.leadingZeroBitCount + 6) / 7) }

extension [UInt8] {
    fileprivate mutating func appendField(_ field: UInt8, number: Int) {
        append(field << 3)
        appendVarint(number)
    }

    fileprivate mutating func appendField(_ field: UInt8, bytes: [UInt8]) {
        append(field << 3 | 2)
        appendVarint(bytes.count)
        self += bytes
    }

    fileprivate mutating func appendVarint(_ value: Int) {
        var rest = UInt(value)
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }
}
