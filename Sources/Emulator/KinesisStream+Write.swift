import AWSWire
import Crypto
import Machine

/// A record on its way into a stream.
struct NewRecord: Sendable {
    var data: Bytes
    var partitionKey: String
    var hashKey: UInt128

    /// - Parameter entry: the input of PutRecord, or one entry of PutRecords; its types were checked.
    init(_ entry: AWSValue) throws(ServiceError) {
        guard let data = entry["Data"]?.blob else {
            throw .serialization("The data can not be converted to a Blob: Invalid Base64")
        }
        self.data = data
        partitionKey = entry["PartitionKey"]?.string ?? ""
        hashKey = try Self.hashKey(of: entry)
    }

    /// The explicit hash key, or the MD5 of the partition key.
    static func hashKey(of entry: AWSValue) throws(ServiceError) -> UInt128 {
        if let text = entry["ExplicitHashKey"]?.string {
            guard let key = UInt128(text) else {
                throw .invalidArgument(
                    "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. "
                        + "Specified value was \(text)")
            }
            return key
        }
        var key = entry["PartitionKey"]?.string ?? ""
        return key.withUTF8 { Insecure.MD5.hash(data: $0) }.reduce(0) { $0 << 8 | UInt128($1) }
    }

    var byteCount: Int { data.count + partitionKey.utf8.count }
}

extension KinesisStream {
    /// What became of one record.
    enum Stored: Sendable {
        case stored(shard: String, number: SequenceNumber)
        case refused(shard: String)
    }

    /// Stores `record` in its shard, unless that shard has no throughput left or is in `throttledShards`.
    mutating func store(
        _ record: NewRecord, at moment: Moment, enforcesLimits: Bool, throttledShards: Set<String>
    ) throws(ServiceError) -> Stored {
        guard let position = route(record.hashKey) else { throw notFound }
        let id = shards[position].id
        if !throttledShards.isEmpty, throttledShards.contains(id) { return .refused(shard: id) }
        if enforcesLimits, !shards[position].limits.admitWrite(bytes: record.byteCount, at: moment.now) {
            return .refused(shard: id)
        }
        let ordinal = shards[position].log.append(data: record.data, key: record.partitionKey, at: moment.wall)
        let arrival = shards[position].log.lastArrival
        journal?.touch(shards[position].index)
        for subscriber in shards[position].subscribers { subscriber.bell.ring() }
        return .stored(shard: id, number: shards[position].number(ofRecord: ordinal, arrival: arrival))
    }

    /// Whether records are taken: a stream that is being created has no shards yet, one being deleted takes none.
    func checkWritable() throws(ServiceError) {
        guard status == .active || status == .updating else { throw notFound }
    }

    /// Refuses data that is larger than this stream's records may be.
    func checkSize(of record: NewRecord, at path: String) throws(ServiceError) {
        let count = record.data.count
        guard count > recordBytesMax else { return }
        throw .validation(
            "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=\(count) cap=\(count)]' at "
                + "'\(path)' failed to satisfy constraint: Member must have length less than or equal to "
                + "\(recordBytesMax)")
    }
}
