import AWSWire
import Machine

/// Records: reading and writing them.
extension KinesisService {
    /// Data and partition keys of one PutRecords.
    private static let requestBytesMax = 10 << 20

    func getShardIterator(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let name = try streamName(input)
        let shard = input["ShardId"]?.string ?? ""
        do {
            return try withStream(name, onlyRecords: true) { (stream, moment) throws(ServiceError) in
                let token = try stream.shardIterator(
                    shard: shard, type: input["ShardIteratorType"]?.string ?? "",
                    number: input["StartingSequenceNumber"]?.string,
                    timestamp: input["Timestamp"]?.time, at: moment)
                return .tree(["ShardIterator": .string(token)])
            }
        } catch {
            throw readerError(error, stream: name, shard: KinesisShard.index(ofID: shard))
        }
    }

    /// The service names the shard where the stream of a reader is gone.
    private func readerError(_ error: ServiceError, stream: String, shard: Int?) -> ServiceError {
        guard let shard, error == .streamNotFound(stream, account: configuration.accountID) else { return error }
        return .shardMissing(
            KinesisShard.id(ofIndex: shard), stream: stream, account: configuration.accountID)
    }

    func getRecords(_ input: AWSValue, _ encoding: WireEncoding) throws(ServiceError) -> ServiceAnswer {
        let token = input["ShardIterator"]?.string ?? ""
        guard let iterator = ShardIterator(token) else { throw .invalidArgument("Invalid ShardIterator.") }
        if input["StreamARN"] != nil || input["StreamId"] != nil, try streamName(input) != iterator.stream {
            throw .invalidArgument("The ShardIterator is of another stream than the request.")
        }
        let age = moment.wall - iterator.created
        if age > configuration.iteratorLifetime { throw expired(iterator: token) }
        let enforcesLimits = configuration.enforcesShardLimits
        do {
            return try withStream(iterator.stream, onlyRecords: true) { (stream, moment) throws(ServiceError) in
                .encoded(
                    try stream.getRecords(
                        iterator, limit: input["Limit"]?.int ?? 10_000, at: moment, enforcesLimits: enforcesLimits,
                        encoding: encoding),
                    throttledRecords: 0)
            }
        } catch {
            throw readerError(error, stream: iterator.stream, shard: iterator.shardIndex)
        }
    }

    /// The error for an iterator that is too old, or that the fault plan declares so.
    func expired(iterator token: String?) -> ServiceError {
        let now = moment.wall
        let lifetime = configuration.iteratorLifetime
        let created = token.flatMap(ShardIterator.init)?.created ?? now - lifetime
        return ServiceError(
            "ExpiredIteratorException",
            "Iterator expired. The iterator was created at time \(Self.text(created)) while right now it is "
                + "\(Self.text(now)) which is further in the future than the tolerated delay of "
                + "\(lifetime.wholeMilliseconds) milliseconds.")
    }

    /// `Thu Jan 22 01:22:02 UTC 2015`, as the service writes times into messages.
    private static func text(_ time: UnixTime) -> String {
        let parts = HTTPDate.format(time).split(separator: " ")
        guard parts.count == 6 else { return "" }
        return "\(parts[0].dropLast()) \(parts[2]) \(parts[1]) \(parts[4]) UTC \(parts[3])"
    }

    func putRecord(_ input: AWSValue, _ throttledShards: Set<String>) throws(ServiceError) -> ServiceAnswer {
        let record = try NewRecord(input)
        let enforcesLimits = configuration.enforcesShardLimits
        let name = try streamName(input)
        let answer = try withStream(name, onlyRecords: true) { (stream, moment) throws(ServiceError) -> AWSValue in
            try stream.checkWritable()
            try stream.checkSize(of: record, at: "data")
            if let ordering = input["SequenceNumberForOrdering"]?.string, SequenceNumber(ordering) == nil {
                throw .invalidArgument(
                    "ExclusiveMinimumSequenceNumber \(ordering) used in PutRecord on stream \(stream.name) under "
                        + "account \(stream.account) is invalid.")
            }
            let stored = try stream.store(
                record, at: moment, enforcesLimits: enforcesLimits, throttledShards: throttledShards)
            switch stored {
            case .stored(let shard, let number):
                return .members([
                    "ShardId": .string(shard), "SequenceNumber": .string(number.description),
                    "EncryptionType": stream.encryption.keyID == nil ? nil : "KMS",
                ])
            case .refused(let shard): throw stream.rateExceeded(shard)
            }
        }
        return .tree(answer)
    }

    func putRecords(
        _ input: AWSValue, _ throttledShards: Set<String>, _ encoding: WireEncoding
    ) throws(ServiceError) -> ServiceAnswer {
        var records: [NewRecord] = []
        for entry in input["Records"]?.list ?? [] { records.append(try NewRecord(entry)) }
        let enforcesLimits = configuration.enforcesShardLimits
        let batch = records
        return try withStream(try streamName(input), onlyRecords: true) { (stream, moment) throws(ServiceError) in
            try stream.checkWritable()
            for (index, record) in batch.enumerated() {
                try stream.checkSize(of: record, at: "records.\(index + 1).member.data")
            }
            if batch.reduce(0, { $0 + $1.byteCount }) > Self.requestBytesMax {
                throw .invalidArgument("Records size exceeds \(Self.requestBytesMax >> 20) MB limit")
            }
            var writer = OutcomesWriter(
                encoding, count: batch.count, isEncrypted: stream.encryption.keyID != nil)
            for record in batch {
                let stored = try stream.store(
                    record, at: moment, enforcesLimits: enforcesLimits, throttledShards: throttledShards)
                switch stored {
                case .stored(let shard, let number): writer.append(stored: number, in: shard)
                case .refused(let shard): writer.append(refused: stream.rateExceeded(shard))
                }
            }
            let refused = writer.refused
            return .encoded(writer.finish(), throttledRecords: refused)
        }
    }

    /// The shards that a call is about: for faults that name one.
    func shards(touchedBy operation: String, input: AWSValue) -> Set<String> {
        switch operation {
        case "GetRecords":
            let iterator = input["ShardIterator"]?.string.flatMap(ShardIterator.init)
            return Set([iterator.map { KinesisShard.id(ofIndex: $0.shardIndex) }].compactMap { $0 })
        case "PutRecord", "PutRecords":
            let entries = operation == "PutRecord" ? [input] : input["Records"]?.list ?? []
            let keys = entries.compactMap { try? NewRecord.hashKey(of: $0) }
            let name = (try? streamName(input)) ?? ""
            let touched = try? withStream(name, onlyRecords: true) { (stream, _) throws(ServiceError) in
                Set(keys.compactMap { key in stream.route(key).map { stream.shards[$0].id } })
            }
            return touched ?? []
        default:
            return Set(
                ["ShardId", "ShardToSplit", "ShardToMerge", "AdjacentShardToMerge"].compactMap { input[$0]?.string })
        }
    }
}
