import AWSWire
import DequeModule
import Machine

extension KinesisStream {
    /// A GetRecords answer returns no more data than this.
    static let readBytesMax = 10 << 20

    /// The token of a new iterator.
    func shardIterator(
        shard id: String, type: String, number: String?, timestamp: UnixTime?, at moment: Moment
    ) throws(ServiceError) -> String {
        let shard = shards[try readable(shard: id)]
        let start = try start(
            in: shard, type, number: number, timestamp: timestamp, at: moment, for: "GetShardIterator")
        return token(shard: shard, position: start, at: moment)
    }

    /// The number in the shard's log of the record at which reading begins.
    func start(
        in shard: KinesisShard, _ type: String, number: String?, timestamp: UnixTime?, at moment: Moment,
        for operation: String
    ) throws(ServiceError) -> UInt64 {
        let hasNumberType = type == "AT_SEQUENCE_NUMBER" || type == "AFTER_SEQUENCE_NUMBER"
        if hasNumberType != (number != nil), type != "AT_TIMESTAMP" {
            throw .invalidArgument(
                "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "
                    + "(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified \(type) and "
                    + (number == nil ? "no StartingSequenceNumber." : "also a StartingSequenceNumber."))
        }
        switch type {
        case "TRIM_HORIZON": return 0
        case "LATEST": return shard.log.end
        case "AT_TIMESTAMP":
            guard let timestamp else {
                throw .invalidArgument(
                    "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has "
                        + "no timestamp parameter.")
            }
            guard timestamp <= moment.wall else {
                throw .invalidArgument(
                    "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
                        + "timestampInMillis: \(timestamp.milliseconds), "
                        + "currentTimestampInMillis: \(moment.wall.milliseconds)")
            }
            return shard.log.ordinal(atOrAfter: timestamp)
        default:
            return try find(number ?? "", in: shard, after: type == "AFTER_SEQUENCE_NUMBER", for: operation)
        }
    }

    private func find(
        _ number: String, in shard: KinesisShard, after: Bool, for operation: String
    ) throws(ServiceError) -> UInt64 {
        let used =
            "StartingSequenceNumber \(number) used in \(operation) on shard \(shard.id) in stream \(name) under "
            + "account \(account) is invalid"
        switch shard.find(number, after: after) {
        case .position(let position): return position
        case .end: return shard.log.end
        case .otherShard(let id):
            throw .invalidArgument(
                "Invalid StartingSequenceNumber. It encodes \(id), while it was used in a call to a shard with "
                    + shard.id)
        case .otherStream: throw .invalidArgument("\(used) because it did not come from this stream.")
        case .invalid: throw .invalidArgument("\(used).")
        }
    }

    private func token(shard: KinesisShard, position: UInt64, at moment: Moment) -> String {
        ShardIterator(
            stream: name, streamCreated: created.milliseconds, shardIndex: shard.index, position: position,
            created: moment.wall
        ).token
    }

    /// The position of the shard that a reader names.
    func readable(shard id: String) throws(ServiceError) -> Int {
        guard let index = KinesisShard.index(ofID: id) else { throw shardNotFound(id) }
        guard let position = position(ofIndex: index) else { throw missing(shard: KinesisShard.id(ofIndex: index)) }
        return position
    }

    func missing(shard id: String) -> ServiceError { .shardMissing(id, stream: name, account: account) }

    /// The answer's body in `encoding`, written from the log without a tree in between.
    mutating func getRecords(
        _ iterator: ShardIterator, limit: Int, at moment: Moment, enforcesLimits: Bool, encoding: WireEncoding
    ) throws(ServiceError) -> [UInt8] {
        guard iterator.streamCreated == created.milliseconds, let position = position(ofIndex: iterator.shardIndex)
        else { throw missing(shard: KinesisShard.id(ofIndex: iterator.shardIndex)) }
        if enforcesLimits, !shards[position].limits.admitsRead(at: moment.now) {
            throw rateExceeded(shards[position].id)
        }
        shards[position].log.trim(before: trimHorizon(at: moment))
        let shard = shards[position]
        let start = min(max(iterator.position, shard.log.first), shard.log.end)
        let (range, bytes) = shard.log.page(from: start, countMax: limit, bytesMax: Self.readBytesMax)
        shards[position].limits.didRead(bytes: bytes, at: moment.now)
        let isAtTip = range.upperBound == shard.log.end
        var writer = RecordsWriter(encoding, count: range.count, bytes: bytes)
        shard.append(range, to: &writer, encryption)
        let behind = shard.millisBehind(range.upperBound, at: moment)
        let last: (String, AWSValue)
        if shard.isOpen || !isAtTip {
            last = ("NextShardIterator", .string(token(shard: shard, position: range.upperBound, at: moment)))
        } else {
            last = ("ChildShards", children(of: shard))
        }
        return writer.finish(last: last, millisBehindLatest: behind)
    }

    func children(of shard: KinesisShard) -> AWSValue {
        .list(shard.children.compactMap { position(ofIndex: $0) }.map { shards[$0].childDescription })
    }

    func rateExceeded(_ shard: String) -> ServiceError {
        ServiceError(
            "ProvisionedThroughputExceededException",
            "Rate exceeded for shard \(shard) in stream \(name) under account \(account).")
    }
}

extension KinesisShard {
    /// How far a reader that goes on at `position` is behind: 0 at the tip.
    func millisBehind(_ position: UInt64, at moment: Moment) -> Int64 {
        guard position < log.end else { return 0 }
        let arrival = log.entry(position > log.first ? position - 1 : position).arrival
        return max(1, moment.wall.milliseconds - arrival)
    }

    func append(_ range: Range<UInt64>, to writer: inout RecordsWriter, _ encryption: StreamEncryption) {
        guard !range.isEmpty else { return }
        var ordinal = range.lowerBound
        var chunkIndex = log.chunkIndex(of: ordinal)
        while ordinal < range.upperBound {
            let chunk = log.chunks[chunkIndex]
            let end = min(range.upperBound, chunk.endOrdinal)
            for entry in chunk.entries[Int(ordinal - chunk.firstOrdinal)..<Int(end - chunk.firstOrdinal)] {
                writer.append(
                    entry, number: number(ofRecord: ordinal, arrival: entry.arrival), in: chunk.bytes,
                    isEncrypted: encryption.isOn(at: entry.arrival))
                ordinal += 1
            }
            chunkIndex += 1
        }
    }
}

extension ServiceError {
    static func shardMissing(_ shard: String, stream: String, account: String) -> ServiceError {
        ServiceError(
            "ResourceNotFoundException", "Shard \(shard) in stream \(stream) under account \(account) does not exist")
    }
}
