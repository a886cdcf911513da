package import AWSWire
import Crypto

/// The user records in `records`, in order: KPL aggregates are taken apart, everything else passes as it is
/// (kcl.md §6.3).
///
/// Data and partition keys stay where the answer lies. The records of an aggregate are numbered from 0. An aggregate
/// with a record outside of `range` is left out whole: after a reshard such an aggregate belongs to another shard, and
/// was already delivered there. What looks like an aggregate and is none, by its length, digest or contents, is a plain
/// record.
///
/// - Parameter range: the shard's hash keys; `nil` checks nothing.
package func deaggregate(_ records: [WireRecord], in range: HashKeyRange?) -> [Record] {
    var output: [Record] = []
    output.reserveCapacity(
        records.reduce(0) { $0 + ($1.beginsAsAggregate ? Aggregate.countUserRecords(in: $1.data) : 1) })
    var decoder = AggregateDecoder(range: range == .whole ? nil : range)
    for record in records where !record.beginsAsAggregate || !decoder.append(record, to: &output) {
        output.append(
            Record(
                sequenceNumber: record.sequenceNumber, partitionKey: record.partitionKey, data: record.data,
                approximateArrival: record.approximateArrival))
    }
    return output
}

/// Where the service puts a record: the MD5 of its partition key as a number, most significant byte first.
package func hashKey(of partitionKey: Bytes) -> UInt128 {
    partitionKey.withUnsafeBytes { hashKey(of: $0) }
}

private func hashKey(of bytes: UnsafeRawBufferPointer) -> UInt128 {
    var hash = Insecure.MD5()
    hash.update(bufferPointer: bytes)
    return hash.finalize().withUnsafeBytes { UInt128(bigEndian: $0.loadUnaligned(as: UInt128.self)) }
}

/// The frame around a KPL aggregate: magic, protobuf message, MD5 of the message.
///
/// https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md
enum Aggregate {
    static let magic = WireRecord.aggregateMagic
    static let digestLength = 16

    /// Where the message lies in `bytes`, if they have the frame's shape; the digest is not looked at.
    static func message(in bytes: UnsafeRawBufferPointer) -> Range<Int>? {
        guard bytes.count > magic.count + digestLength, bytes[0] == magic[0], bytes[1] == magic[1],
            bytes[2] == magic[2], bytes[3] == magic[3]
        else { return nil }
        return magic.count..<bytes.count - digestLength
    }

    static func digestMatches(_ bytes: UnsafeRawBufferPointer, _ message: Range<Int>) -> Bool {
        var hash = Insecure.MD5()
        hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: bytes[message]))
        return hash.finalize().elementsEqual(bytes[message.upperBound...])
    }

    /// How many user records `data` yields at most; reads no more than the lengths of the fields.
    static func countUserRecords(in data: Bytes) -> Int {
        data.withUnsafeBytes { bytes in
            guard let message = message(in: bytes) else { return 1 }
            var fields = ProtobufFields(bytes, message)
            var count = 0
            while let field = try? fields.next() {
                if case .bytes(3, _) = field { count += 1 }
            }
            return max(1, count)
        }
    }
}

/// Takes aggregates apart; its tables are kept from one to the next, so that a batch allocates them once.
private struct AggregateDecoder {
    let range: HashKeyRange?
    private var partitionKeys: [Range<Int>] = []
    private var explicitHashKeys: [Range<Int>] = []
    /// By partition key, once asked for.
    private var hashKeys: [UInt128?] = []

    init(range: HashKeyRange?) { self.range = range }

    /// Appends the user records of an aggregate; `false` for a plain record, of which nothing is appended.
    mutating func append(_ record: WireRecord, to output: inout [Record]) -> Bool {
        record.data.withUnsafeBytes { bytes in
            guard let message = Aggregate.message(in: bytes), Aggregate.digestMatches(bytes, message) else {
                return false
            }
            let before = output.count
            do throws(MalformedProtobuf) {
                try readTables(bytes, message)
                if try !appendRecords(of: record, bytes, message, to: &output) {
                    output.removeSubrange(before...)
                }
                return true
            } catch {
                output.removeSubrange(before...)
                return false
            }
        }
    }

    private mutating func readTables(
        _ bytes: UnsafeRawBufferPointer, _ message: Range<Int>
    ) throws(MalformedProtobuf) {
        partitionKeys.removeAll(keepingCapacity: true)
        explicitHashKeys.removeAll(keepingCapacity: true)
        hashKeys.removeAll(keepingCapacity: true)
        var fields = ProtobufFields(bytes, message)
        while let field = try fields.next() {
            switch field {
            case .bytes(1, let range):
                partitionKeys.append(range)
                hashKeys.append(nil)
            case .bytes(2, let range): explicitHashKeys.append(range)
            default: break
            }
        }
    }

    /// Returns `false` as soon as a record lies outside of the range.
    private mutating func appendRecords(
        of record: WireRecord, _ bytes: UnsafeRawBufferPointer, _ message: Range<Int>, to output: inout [Record]
    ) throws(MalformedProtobuf) -> Bool {
        var subSequenceNumber: Int64 = 0
        var fields = ProtobufFields(bytes, message)
        while let field = try fields.next() {
            guard case .bytes(3, let place) = field else { continue }
            let entry = try Entry(bytes, place)
            guard let key = Int(exactly: entry.partitionKey), partitionKeys.indices.contains(key) else {
                throw MalformedProtobuf()
            }
            var explicitHashKey: UInt128?
            if let index = entry.explicitHashKey {
                guard let index = Int(exactly: index), explicitHashKeys.indices.contains(index),
                    let value = decimal(bytes, explicitHashKeys[index])
                else { throw MalformedProtobuf() }
                explicitHashKey = value
            }
            if let range {
                let hash = explicitHashKey ?? hashKeys[key] ?? hashKey(of: bytes, partitionKeys[key])
                if explicitHashKey == nil { hashKeys[key] = hash }
                if !range.contains(hash) { return false }
            }
            output.append(
                Record(
                    sequenceNumber: record.sequenceNumber, subSequenceNumber: subSequenceNumber, isAggregated: true,
                    partitionKey: record.data.slice(partitionKeys[key]), explicitHashKey: explicitHashKey,
                    data: record.data.slice(entry.data), approximateArrival: record.approximateArrival))
            subSequenceNumber += 1
        }
        return true
    }

    private func hashKey(of bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> UInt128 {
        KinesisConsumer.hashKey(of: UnsafeRawBufferPointer(rebasing: bytes[range]))
    }

    private func decimal(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> UInt128? {
        guard !range.isEmpty else { return nil }
        var value: UInt128 = 0
        for index in range {
            let digit = bytes[index] &- 48
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = scaled.addingReportingOverflow(UInt128(digit))
            guard digit < 10, !overflow, !carry else { return nil }
            value = sum
        }
        return value
    }
}

/// One user record as the message writes it.
private struct Entry {
    var partitionKey: UInt64
    var explicitHashKey: UInt64?
    var data: Range<Int>

    init(_ bytes: UnsafeRawBufferPointer, _ place: Range<Int>) throws(MalformedProtobuf) {
        var key: UInt64?
        var data: Range<Int>?
        var fields = ProtobufFields(bytes, place)
        while let field = try fields.next() {
            switch field {
            case .number(1, let value): key = value
            case .number(2, let value): explicitHashKey = value
            case .bytes(3, let range): data = range
            default: break
            }
        }
        guard let key, let data else { throw MalformedProtobuf() }
        partitionKey = key
        self.data = data
    }
}

private struct MalformedProtobuf: Error {}

/// The fields of a protobuf message one after the other, as far as the KPL's three-field message needs it; unknown
/// fields come out as they are, for the reader to pass over. Groups, which nobody writes any more, are malformed.
///
/// https://protobuf.dev/programming-guides/encoding/
private struct ProtobufFields {
    enum Field {
        case number(_ field: UInt64, UInt64)
        case bytes(_ field: UInt64, Range<Int>)
        case fixed
    }

    private let bytes: UnsafeRawBufferPointer
    private var offset: Int
    private let end: Int

    init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
        self.bytes = bytes
        offset = range.lowerBound
        end = range.upperBound
    }

    /// The next field; `nil` at the end of the message.
    mutating func next() throws(MalformedProtobuf) -> Field? {
        guard offset < end else { return nil }
        let tag = try varint()
        guard 1...0x1FFF_FFFF ~= tag >> 3 else { throw MalformedProtobuf() }
        switch tag & 7 {
        case 0: return .number(tag >> 3, try varint())
        case 1: _ = try take(8)
        case 2: return .bytes(tag >> 3, try take(try varint()))
        case 5: _ = try take(4)
        default: throw MalformedProtobuf()
        }
        return .fixed
    }

    private mutating func take(_ count: UInt64) throws(MalformedProtobuf) -> Range<Int> {
        guard count <= UInt64(end - offset) else { throw MalformedProtobuf() }
        defer { offset += Int(count) }
        return offset..<offset + Int(count)
    }

    private mutating func varint() throws(MalformedProtobuf) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while offset < end, shift < 70 {
            let byte = bytes[offset]
            offset += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw MalformedProtobuf()
    }
}
