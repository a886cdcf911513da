/// A consumer of a stream with a throughput of its own (enhanced fan-out).
public struct StreamConsumer: Hashable, Sendable {
    public var name: String
    public var arn: String
    /// CREATING, ACTIVE or DELETING.
    public var status: String

    public init(name: String, arn: String, status: String) {
        self.name = name
        self.arn = arn
        self.status = status
    }

    init?(_ value: AWSValue?) {
        guard let name = value?["ConsumerName"]?.string, let arn = value?["ConsumerARN"]?.string,
            let status = value?["ConsumerStatus"]?.string
        else { return nil }
        self.init(name: name, arn: arn, status: status)
    }
}

/// Enhanced fan-out.
///
/// https://docs.aws.amazon.com/streams/latest/dev/enhanced-consumers.html
extension KinesisClient {
    public func describeStreamConsumer(arn: String) async throws(AWSError) -> StreamConsumer {
        try await describeStreamConsumer(["ConsumerARN": .string(arn)])
    }

    public func describeStreamConsumer(streamARN: String, name: String) async throws(AWSError) -> StreamConsumer {
        try await describeStreamConsumer(["StreamARN": .string(streamARN), "ConsumerName": .string(name)])
    }

    private func describeStreamConsumer(_ input: AWSValue) async throws(AWSError) -> StreamConsumer {
        let answer = try await client.call("DescribeStreamConsumer", input)
        guard let consumer = StreamConsumer(answer["ConsumerDescription"]) else {
            throw client.malformed("DescribeStreamConsumer", "no ConsumerDescription")
        }
        return consumer
    }

    /// Registers a consumer, which takes some seconds to become ACTIVE.
    public func registerStreamConsumer(streamARN: String, name: String) async throws(AWSError) -> StreamConsumer {
        let answer = try await client.call(
            "RegisterStreamConsumer", ["StreamARN": .string(streamARN), "ConsumerName": .string(name)])
        guard let consumer = StreamConsumer(answer["Consumer"]) else {
            throw client.malformed("RegisterStreamConsumer", "no Consumer")
        }
        return consumer
    }

    /// Subscribes to a shard for up to five minutes. There is one subscription per consumer and shard: a second one is
    /// refused for five seconds, and takes over after that.
    public func subscribeToShard(
        consumerARN: String, shard: String, at position: ShardPosition, timeout: Duration? = nil
    ) async throws(AWSError) -> ShardSubscription {
        let input: AWSValue = [
            "ConsumerARN": .string(consumerARN), "ShardId": .string(shard), "StartingPosition": position.starting,
        ]
        return ShardSubscription(try await client.open("SubscribeToShard", input, timeout: timeout))
    }
}

extension ShardPosition {
    /// The `StartingPosition` of SubscribeToShard.
    fileprivate var starting: AWSValue {
        switch self {
        case .trimHorizon: ["Type": "TRIM_HORIZON"]
        case .latest: ["Type": "LATEST"]
        case .atTimestamp(let time): ["Type": "AT_TIMESTAMP", "Timestamp": .timestamp(time)]
        case .atSequenceNumber(let number): ["Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": .string(number)]
        case .afterSequenceNumber(let number): ["Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": .string(number)]
        }
    }
}
