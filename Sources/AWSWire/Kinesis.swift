public import Machine

/// A range of the 128-bit hash key space, both ends included.
public struct HashKeyRange: Hashable, Sendable {
    public var start: UInt128
    public var end: UInt128

    public init(start: UInt128, end: UInt128) {
        self.start = start
        self.end = end
    }

    public static let whole = HashKeyRange(start: 0, end: .max)

    public func contains(_ key: UInt128) -> Bool { start <= key && key <= end }

    /// Where an even split puts the second child's start.
    public var middle: UInt128 { start + (end - start) / 2 + 1 }
}

/// A shard as `ListShards` describes it.
public struct Shard: Hashable, Sendable {
    public var shardID: String
    public var parentShardID: String?
    public var adjacentParentShardID: String?
    public var hashKeyRange: HashKeyRange
    public var startingSequenceNumber: String
    /// Present once the shard is closed.
    public var endingSequenceNumber: String?

    public init(
        shardID: String, parentShardID: String? = nil, adjacentParentShardID: String? = nil,
        hashKeyRange: HashKeyRange, startingSequenceNumber: String = "0", endingSequenceNumber: String? = nil
    ) {
        self.shardID = shardID
        self.parentShardID = parentShardID
        self.adjacentParentShardID = adjacentParentShardID
        self.hashKeyRange = hashKeyRange
        self.startingSequenceNumber = startingSequenceNumber
        self.endingSequenceNumber = endingSequenceNumber
    }

    public var isOpen: Bool { endingSequenceNumber == nil }

    /// One after a split, two after a merge, none for an original shard.
    public var parentShardIDs: [String] { [parentShardID, adjacentParentShardID].compactMap { $0 } }
}

/// A child as the last answer of its parent names it.
public struct ChildShard: Hashable, Sendable {
    public var shardID: String
    public var parentShardIDs: [String]
    public var hashKeyRange: HashKeyRange

    public init(shardID: String, parentShardIDs: [String], hashKeyRange: HashKeyRange) {
        self.shardID = shardID
        self.parentShardIDs = parentShardIDs
        self.hashKeyRange = hashKeyRange
    }
}

/// Where reading begins.
public enum ShardPosition: Hashable, Sendable {
    case trimHorizon
    case latest
    case atTimestamp(UnixTime)
    case atSequenceNumber(String)
    case afterSequenceNumber(String)
}

/// The `ShardFilter` of ListShards.
public enum ShardFilter: Hashable, Sendable {
    case atTrimHorizon
    case atLatest
    case atTimestamp(UnixTime)
}

/// A record as it lies in its answer: nothing of it is copied.
public struct WireRecord: Sendable {
    public let sequenceNumber: SequenceNumber
    public let partitionKey: Bytes
    public let data: Bytes
    public let approximateArrival: UnixTime?
    /// Whether the data begins with the four bytes of a KPL aggregate. Noted while they are at hand: to look at the
    /// data of each record later costs more than all else that is done with a record.
    public let beginsAsAggregate: Bool
    package static let aggregateMagic: [UInt8] = [0xF3, 0x89, 0x9A, 0xC2]

    static func beginsAsAggregate(_ data: UnsafeRawBufferPointer) -> Bool {
        data.count >= 4 && data[0] == 0xF3 && data[..<4].elementsEqual(aggregateMagic)
    }

    public init(
        sequenceNumber: SequenceNumber, partitionKey: Bytes, data: Bytes, approximateArrival: UnixTime?
    ) {
        self.init(
            sequenceNumber: sequenceNumber, partitionKey: partitionKey, data: data,
            approximateArrival: approximateArrival,
            beginsAsAggregate: data.withUnsafeBytes { Self.beginsAsAggregate($0) })
    }

    init(
        sequenceNumber: SequenceNumber, partitionKey: Bytes, data: Bytes, approximateArrival: UnixTime?,
        beginsAsAggregate: Bool
    ) {
        self.sequenceNumber = sequenceNumber
        self.partitionKey = partitionKey
        self.data = data
        self.approximateArrival = approximateArrival
        self.beginsAsAggregate = beginsAsAggregate
    }
}

/// The answer of GetRecords, or an event of SubscribeToShard.
public struct RecordBatch: Sendable {
    public var records: [WireRecord]
    /// Absent once the shard's last record was returned, and in events.
    public var nextShardIterator: String?
    /// Only in events: after which number the next subscription starts. Absent once the shard's last record was
    /// returned.
    public var continuationSequenceNumber: String?
    public var millisBehindLatest: Int64?
    public var childShards: [ChildShard]
    /// The arena that the records share: what the batch keeps in memory.
    public var arenaBytes: Int

    public init(
        records: [WireRecord], nextShardIterator: String?, millisBehindLatest: Int64?,
        childShards: [ChildShard] = [], arenaBytes: Int
    ) {
        self.records = records
        self.nextShardIterator = nextShardIterator
        self.millisBehindLatest = millisBehindLatest
        self.childShards = childShards
        self.arenaBytes = arenaBytes
    }
}

public struct StreamSummary: Hashable, Sendable {
    public var name: String
    public var arn: String
    /// CREATING, ACTIVE, UPDATING or DELETING.
    public var status: String
    public var retentionHours: Int
    public var created: UnixTime?
    public var openShards: Int

    public init(
        name: String, arn: String, status: String, retentionHours: Int, created: UnixTime?, openShards: Int
    ) {
        self.name = name
        self.arn = arn
        self.status = status
        self.retentionHours = retentionHours
        self.created = created
        self.openShards = openShards
    }
}

/// A record to put.
public struct PutRecord: Sendable {
    public var data: Bytes
    public var partitionKey: String
    /// Overrides the MD5 of the partition key.
    public var explicitHashKey: UInt128?

    public init(data: Bytes, partitionKey: String, explicitHashKey: UInt128? = nil) {
        self.data = data
        self.partitionKey = partitionKey
        self.explicitHashKey = explicitHashKey
    }
}

/// What became of one record of a PutRecords.
public enum PutOutcome: Hashable, Sendable {
    case stored(shardID: String, sequenceNumber: String)
    case failed(code: String, message: String)
}

/// Kinesis Data Streams, the operations that shardtop uses.
///
/// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Operations.html
public struct KinesisClient: Sendable {
    public let client: AWSClient

    public init(_ client: AWSClient) {
        precondition(client.service == .kinesis)
        self.client = client
    }

    /// A stream is named by its name or, where it is another account's, by its ARN.
    package static func member(_ stream: String) -> String { stream.hasPrefix("arn:") ? "StreamARN" : "StreamName" }

    /// All shards of the stream, closed ones within the retention included; follows the pages.
    public func listShards(stream: String, filter: ShardFilter? = nil) async throws(AWSError) -> [Shard] {
        var shards: [Shard] = []
        var token: String?
        // 10 000 shards a page is the service's limit; 1 000 pages are more than any stream has.
        for _ in 0..<1000 {
            let input: AWSValue =
                token.map { ["NextToken": .string($0)] }
                ?? .members([Self.member(stream): .string(stream), "ShardFilter": filter?.input])
            let answer = try await client.call("ListShards", input)
            // Shards that are not listed are taken for deleted: no list must never pass for an empty one.
            guard let page = answer["Shards"]?.list else { throw client.malformed("ListShards", "no Shards") }
            for shard in page {
                guard let shard = Shard(shard) else {
                    throw client.malformed("ListShards", "a shard without id or hash range")
                }
                shards.append(shard)
            }
            guard let next = answer["NextToken"] else { return shards }
            guard next.string != nil else { throw client.malformed("ListShards", "a NextToken that is none") }
            token = next.string
        }
        throw client.malformed("ListShards", "the pages do not end")
    }

    /// - Parameter attemptsMax: 1 for a caller that paces itself.
    public func shardIterator(
        stream: String, shard: String, at position: ShardPosition, attemptsMax: Int? = nil
    ) async throws(AWSError) -> String {
        var input: AWSValue = [Self.member(stream): .string(stream), "ShardId": .string(shard)]
        switch position {
        case .trimHorizon: input["ShardIteratorType"] = "TRIM_HORIZON"
        case .latest: input["ShardIteratorType"] = "LATEST"
        case .atTimestamp(let time):
            input["ShardIteratorType"] = "AT_TIMESTAMP"
            input["Timestamp"] = .timestamp(time)
        case .atSequenceNumber(let number):
            input["ShardIteratorType"] = "AT_SEQUENCE_NUMBER"
            input["StartingSequenceNumber"] = .string(number)
        case .afterSequenceNumber(let number):
            input["ShardIteratorType"] = "AFTER_SEQUENCE_NUMBER"
            input["StartingSequenceNumber"] = .string(number)
        }
        let answer = try await client.call("GetShardIterator", input, attemptsMax: attemptsMax)
        guard let iterator = answer["ShardIterator"]?.string else {
            throw client.malformed("GetShardIterator", "no ShardIterator")
        }
        return iterator
    }

    /// One page of records; sent once, because the caller paces and retries itself.
    public func getRecords(iterator: String, limit: Int) async throws(AWSError) -> RecordBatch {
        let input: AWSValue = ["ShardIterator": .string(iterator), "Limit": .int(Int64(limit))]
        var answer = try await client.send("GetRecords", input, attemptsMax: 1)
        // The decoder gets the only reference, so that it need not copy the body to decode in place.
        let body = answer.body
        answer.body = Bytes()
        do { return try RecordBatch(body, in: answer.encoding) } catch {
            throw client.malformed("GetRecords", error.description)
        }
    }

    /// Puts up to 500 records; the outcomes stand in the order of the records.
    public func putRecords(stream: String, _ records: [PutRecord]) async throws(AWSError) -> [PutOutcome] {
        let sent = try await client.send("PutRecords") { encoding in
            PutRecordsInput.encode(stream: stream, records, in: encoding)
        }
        let answer = try client.decode("PutRecords", sent)
        let outcomes = (answer["Records"]?.list ?? []).map { entry -> PutOutcome in
            if let shard = entry["ShardId"]?.string, let number = entry["SequenceNumber"]?.string {
                return .stored(shardID: shard, sequenceNumber: number)
            }
            return .failed(code: entry["ErrorCode"]?.string ?? "", message: entry["ErrorMessage"]?.string ?? "")
        }
        guard outcomes.count == records.count else {
            throw client.malformed("PutRecords", "\(outcomes.count) outcomes for \(records.count) records")
        }
        return outcomes
    }

    public func createStream(_ name: String, shards: Int) async throws(AWSError) {
        _ = try await client.call("CreateStream", ["StreamName": .string(name), "ShardCount": .int(Int64(shards))])
    }

    public func deleteStream(_ name: String) async throws(AWSError) {
        _ = try await client.call("DeleteStream", ["StreamName": .string(name)])
    }

    public func listStreams() async throws(AWSError) -> [String] {
        var names: [String] = []
        for _ in 0..<1000 {
            let answer = try await client.call(
                "ListStreams", .members(["ExclusiveStartStreamName": names.last.map { .string($0) }]))
            guard let page = answer["StreamNames"]?.strings else {
                throw client.malformed("ListStreams", "no StreamNames")
            }
            names += page
            if answer["HasMoreStreams"]?.bool != true || page.isEmpty { return names }
        }
        throw client.malformed("ListStreams", "the pages do not end")
    }

    public func describeStreamSummary(_ name: String) async throws(AWSError) -> StreamSummary {
        let answer = try await client.call("DescribeStreamSummary", [Self.member(name): .string(name)])
        guard let summary = answer["StreamDescriptionSummary"], let status = summary["StreamStatus"]?.string else {
            throw client.malformed("DescribeStreamSummary", "no StreamDescriptionSummary")
        }
        return StreamSummary(
            name: summary["StreamName"]?.string ?? name, arn: summary["StreamARN"]?.string ?? "", status: status,
            retentionHours: summary["RetentionPeriodHours"]?.int ?? 24,
            created: summary["StreamCreationTimestamp"]?.time,
            openShards: summary["OpenShardCount"]?.int ?? 0)
    }

    public func splitShard(stream: String, shard: String, at hashKey: UInt128) async throws(AWSError) {
        _ = try await client.call(
            "SplitShard",
            [
                Self.member(stream): .string(stream), "ShardToSplit": .string(shard),
                "NewStartingHashKey": .string(String(hashKey)),
            ], attemptsMax: 1)
    }

    public func mergeShards(stream: String, shard: String, adjacent: String) async throws(AWSError) {
        _ = try await client.call(
            "MergeShards",
            [
                Self.member(stream): .string(stream), "ShardToMerge": .string(shard),
                "AdjacentShardToMerge": .string(adjacent),
            ], attemptsMax: 1)
    }

    public func updateShardCount(stream: String, target: Int) async throws(AWSError) {
        _ = try await client.call(
            "UpdateShardCount",
            [
                Self.member(stream): .string(stream), "TargetShardCount": .int(Int64(target)),
                "ScalingType": "UNIFORM_SCALING",
            ], attemptsMax: 1)
    }
}

extension ShardFilter {
    var input: AWSValue {
        switch self {
        case .atTrimHorizon: ["Type": "AT_TRIM_HORIZON"]
        case .atLatest: ["Type": "AT_LATEST"]
        case .atTimestamp(let time): ["Type": "AT_TIMESTAMP", "Timestamp": .timestamp(time)]
        }
    }
}

extension HashKeyRange {
    init?(_ value: AWSValue?) {
        guard let start = value?["StartingHashKey"]?.string.flatMap({ UInt128($0) }),
            let end = value?["EndingHashKey"]?.string.flatMap({ UInt128($0) }), start <= end
        else { return nil }
        self.init(start: start, end: end)
    }
}

extension Shard {
    init?(_ value: AWSValue) {
        guard let id = value["ShardId"]?.string, let range = HashKeyRange(value["HashKeyRange"]) else { return nil }
        let numbers = value["SequenceNumberRange"]
        self.init(
            shardID: id, parentShardID: value["ParentShardId"]?.string,
            adjacentParentShardID: value["AdjacentParentShardId"]?.string, hashKeyRange: range,
            startingSequenceNumber: numbers?["StartingSequenceNumber"]?.string ?? "0",
            endingSequenceNumber: numbers?["EndingSequenceNumber"]?.string)
    }
}

extension ChildShard {
    init?(_ value: AWSValue) {
        guard let id = value["ShardId"]?.string, let range = HashKeyRange(value["HashKeyRange"]) else { return nil }
        self.init(shardID: id, parentShardIDs: value["ParentShards"]?.strings ?? [], hashKeyRange: range)
    }

    /// The children that an answer names, none where it names null; `nil` where one of them is no child.
    static func list(_ value: AWSValue) -> [ChildShard]? {
        if value == .null { return [] }
        let children = (value.list ?? [.null]).map { ChildShard($0) }
        return children.contains(nil) ? nil : children.compactMap { $0 }
    }
}
