import AWSWire
import Machine
import Synchronization

/// Kinesis Data Streams: the operations of the 2013-12-02 API over one lock per stream.
///
/// Encryption, tags, policies and monitoring are kept and told, and do nothing else. Not emulated: the rate limits of
/// control operations and of GetShardIterator. On-demand streams begin with four shards and do not scale by themselves,
/// only to a warm throughput. UpdateShardCount reshards at one moment, at the end of UPDATING, where the service takes
/// its steps one by one.
package final class KinesisService: Sendable {
    /// A stream and its lock; outlives the stream's name.
    final class Slot: Sendable {
        let stream: Mutex<KinesisStream>

        init(_ stream: KinesisStream) { self.stream = Mutex(stream) }
    }

    let configuration: EmulatorConfiguration
    let time: TimeSource
    /// Where streams are kept; `nil` where nothing outlives the process.
    let state: StateDirectory?
    /// A slot's lock may be taken while this one is held, never the other way round.
    private let slots = Mutex<[String: Slot]>([:])
    let accountSettings = Mutex(AccountSettings())

    init(configuration: EmulatorConfiguration, time: TimeSource, state: StateDirectory? = nil) {
        self.configuration = configuration
        self.state = state
        self.time = time
    }

    var moment: Moment { Moment(now: time.now(), wall: time.wallClock()) }

    /// Performs `operation`.
    ///
    /// - Parameters:
    ///   - encoding: of answers that are encoded here.
    ///   - throttledShards: shards that refuse puts although they have throughput left.
    func handle(
        operation: String, input: AWSValue, encoding: WireEncoding, throttledShards: Set<String>
    ) throws(ServiceError) -> ServiceAnswer {
        guard let members = KinesisMember.byOperation[operation] else { throw Self.notEmulated(operation) }
        try KinesisInput.check(input, members)
        switch operation {
        case "GetRecords": return try getRecords(input, encoding)
        case "PutRecords": return try putRecords(input, throttledShards, encoding)
        case "PutRecord": return try putRecord(input, throttledShards)
        case "GetShardIterator": return try getShardIterator(input)
        case "ListShards": return try listShards(input)
        case "SplitShard": return try splitShard(input)
        case "MergeShards": return try mergeShards(input)
        case "UpdateShardCount": return try updateShardCount(input)
        case "CreateStream": return try createStream(input)
        case "DeleteStream": return try deleteStream(input)
        case "DescribeLimits": return describeLimits()
        case "DescribeStream": return try describeStream(input)
        case "DescribeStreamSummary": return try describeStreamSummary(input)
        case "ListStreams": return try listStreams(input)
        case "IncreaseStreamRetentionPeriod": return try changeRetention(input, isIncrease: true)
        case "DecreaseStreamRetentionPeriod": return try changeRetention(input, isIncrease: false)
        case "RegisterStreamConsumer": return try registerStreamConsumer(input)
        case "DeregisterStreamConsumer": return try deregisterStreamConsumer(input)
        case "DescribeStreamConsumer": return try describeStreamConsumer(input)
        case "ListStreamConsumers": return try listStreamConsumers(input)
        case "SubscribeToShard": return try subscribeToShard(input)
        case "AddTagsToStream": return try addTagsToStream(input)
        case "RemoveTagsFromStream": return try removeTagsFromStream(input)
        case "ListTagsForStream": return try listTagsForStream(input)
        case "TagResource": return try tagResource(input)
        case "UntagResource": return try untagResource(input)
        case "ListTagsForResource": return try listTagsForResource(input)
        case "PutResourcePolicy": return try putResourcePolicy(input)
        case "GetResourcePolicy": return try getResourcePolicy(input)
        case "DeleteResourcePolicy": return try deleteResourcePolicy(input)
        case "EnableEnhancedMonitoring": return try changeMonitoring(input, isEnabling: true)
        case "DisableEnhancedMonitoring": return try changeMonitoring(input, isEnabling: false)
        case "StartStreamEncryption": return try changeEncryption(input, isStarting: true)
        case "StopStreamEncryption": return try changeEncryption(input, isStarting: false)
        case "UpdateStreamMode": return try updateStreamMode(input)
        case "UpdateMaxRecordSize": return try updateMaxRecordSize(input)
        case "UpdateStreamWarmThroughput": return try updateStreamWarmThroughput(input)
        case "DescribeAccountSettings": return .tree(account(at: moment.wall).description)
        case "UpdateAccountSettings": return try updateAccountSettings(input)
        default: throw Self.notEmulated(operation)
        }
    }

    private static func notEmulated(_ operation: String) -> ServiceError {
        ServiceError("UnknownOperationException", "\(operation) is not emulated.")
    }

    // MARK: Streams

    /// The name of the stream that a request is about, from `StreamName`, `StreamARN` or `StreamId`, which must agree.
    func streamName(_ input: AWSValue) throws(ServiceError) -> String {
        var names: [String] = []
        if let name = input["StreamName"]?.string { names.append(name) }
        if let arn = input["StreamARN"]?.string { names.append(try streamName(arn: arn)) }
        if let id = input["StreamId"]?.string { names.append(try streamName(id: id)) }
        guard let name = names.first else {
            throw .invalidArgument("Either StreamName or StreamARN should be provided.")
        }
        if names.contains(where: { $0 != name }) {
            throw .invalidArgument("StreamName, StreamARN and StreamId are of different streams.")
        }
        return name
    }

    private func streamName(arn: String) throws(ServiceError) -> String {
        let named = String(arn.split(separator: "/", maxSplits: 1).last ?? "")
        guard arn == configuration.arn(ofStream: named) else {
            let account = arn.split(separator: ":", omittingEmptySubsequences: false).dropFirst(4).first ?? ""
            throw .streamNotFound(named, account: String(account))
        }
        return named
    }

    private func streamName(id: String) throws(ServiceError) -> String {
        let found = all { $0.id == id ? $0.name : nil }.compactMap { $0 }.first
        guard let found else { throw .streamNotFound("with the id \(id)", account: configuration.accountID) }
        return found
    }

    /// Runs `body` with the stream under its lock, settled to now; what it changed is kept before anybody is told.
    ///
    /// - Parameter onlyRecords: whether `body` changes nothing but records, if that.
    func withStream<T: Sendable>(
        _ name: String, onlyRecords: Bool = false, _ body: (inout KinesisStream, Moment) throws(ServiceError) -> T
    ) throws(ServiceError) -> T {
        try withStream(name, in: try slot(name), onlyRecords: onlyRecords, body)
    }

    /// The same with the stream that was found in `slot`, whatever has its name by now.
    func withStream<T: Sendable>(
        _ name: String, in slot: Slot, onlyRecords: Bool = false,
        _ body: (inout KinesisStream, Moment) throws(ServiceError) -> T
    ) throws(ServiceError) -> T {
        let moment = moment
        let result: T? = try slot.stream.withLock { (stream) throws(ServiceError) in
            stream.settle(at: moment)
            if stream.status == .deleted { return nil }
            guard stream.journal != nil else { return try body(&stream, moment) }
            return try stream.keeping(at: moment, onlyRecords: onlyRecords) { (stream) throws(ServiceError) in
                try body(&stream, moment)
            }
        }
        if let result { return result }
        remove(slot, name)
        throw .streamNotFound(name, account: configuration.accountID)
    }

    func slot(_ name: String) throws(ServiceError) -> Slot {
        guard let slot = slots.withLock({ $0[name] }) else {
            throw .streamNotFound(name, account: configuration.accountID)
        }
        return slot
    }

    private func remove(_ slot: Slot, _ name: String) {
        slots.withLock { slots in
            guard slots[name] === slot else { return }
            slots[name] = nil
            slot.stream.withLock { $0.journal?.remove() }
        }
    }

    /// Puts a stream there that was kept.
    func restore(_ stream: KinesisStream) { slots.withLock { $0[stream.name] = Slot(stream) } }

    /// - Throws: ResourceInUseException where a stream of that name exists.
    func insert(_ stream: KinesisStream) throws(ServiceError) {
        let moment = moment
        try slots.withLock { (slots) throws(ServiceError) in
            let isTaken = slots[stream.name]?.stream.withLock { existing in
                existing.settle(at: moment)
                return existing.status != .deleted
            }
            if isTaken == true {
                throw ServiceError(
                    "ResourceInUseException",
                    "Stream \(stream.name) under account \(stream.account) already exists.")
            }
            slots[stream.name]?.stream.withLock { $0.journal?.remove() }
            slots[stream.name] = nil
            var stream = stream
            if let state { try stream.keepFirst(in: state, at: moment) }
            slots[stream.name] = Slot(stream)
        }
    }

    /// The streams in the order of their names.
    func all<T: Sendable>(_ body: (KinesisStream) -> T) -> [T] {
        let moment = moment
        let slots = slots.withLock { $0.sorted { $0.key < $1.key }.map(\.value) }
        return slots.compactMap { slot in
            slot.stream.withLock { stream in
                stream.settle(at: moment)
                return stream.status == .deleted ? nil : body(stream)
            }
        }
    }

    /// How many more open shards the account may have.
    func shardRoom() -> Int { configuration.shardsMax - all(\.openShards).reduce(0, +) }
}
