/// The members of each request that the emulator understands.
///
/// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Operations.html and the service's API model.
extension KinesisMember {
    private static let streamName = KinesisMember(
        name: "StreamName", kind: .string, pattern: .name, length: 1...128)
    private static let streamARN = KinesisMember(
        name: "StreamARN", kind: .string, pattern: .streamARN, length: 1...2048)

    private static let streamID = KinesisMember(
        name: "StreamId", kind: .string, pattern: .streamID, length: 1...24)
    private static let consumerName = KinesisMember(
        name: "ConsumerName", kind: .string, pattern: .name, length: 1...128)
    private static let consumerARN = KinesisMember(
        name: "ConsumerARN", kind: .string, pattern: .consumerARN, length: 1...2048)

    private static func shard(_ name: String, isRequired: Bool = false) -> KinesisMember {
        KinesisMember(name: name, kind: .string, isRequired: isRequired, pattern: .name, length: 1...128)
    }

    private static func limit(_ name: String) -> KinesisMember {
        KinesisMember(name: name, kind: .integer, values: 1...10_000)
    }

    private static func count(_ name: String, isRequired: Bool = true) -> KinesisMember {
        KinesisMember(name: name, kind: .integer, isRequired: isRequired, values: 1...100_000)
    }

    /// Data up to 10 MiB, the service's largest; a stream's own limit is checked where the stream is known.
    private static let record = [
        KinesisMember(name: "Data", kind: .blob, isRequired: true, length: 0...(10 << 20)),
        KinesisMember(name: "PartitionKey", kind: .string, isRequired: true, length: 1...256),
        KinesisMember(name: "ExplicitHashKey", kind: .string, pattern: .hashKey),
    ]

    private static let shardFilter = KinesisMember(
        name: "ShardFilter",
        kind: .structure([
            KinesisMember(
                name: "Type", kind: .string, isRequired: true,
                choices: [
                    "AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP",
                    "FROM_TIMESTAMP",
                ]),
            shard("ShardId"),
            KinesisMember(name: "Timestamp", kind: .timestamp),
        ]))

    private static let records = KinesisMember(
        name: "Records",
        kind: .list(
            of: KinesisMember(name: "member", kind: .structure(record), isRequired: true),
            elementText: "com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry@c965e310"),
        isRequired: true, length: 1...500)

    private static let nextToken = KinesisMember(name: "NextToken", kind: .string, length: 1...1_048_576)

    /// The members by operation; an operation that is not listed is not emulated.
    static let byOperation: [String: [KinesisMember]] = [
        "CreateStream": [
            KinesisMember(name: "StreamName", kind: .string, isRequired: true, pattern: .name, length: 1...128),
            count("ShardCount", isRequired: false),
            KinesisMember(name: "MaxRecordSizeInKiB", kind: .integer, values: 1024...10_240),
            KinesisMember(
                name: "StreamModeDetails",
                kind: .structure([
                    KinesisMember(
                        name: "StreamMode", kind: .string, isRequired: true, choices: ["PROVISIONED", "ON_DEMAND"])
                ])),
            KinesisMember(name: "Tags", kind: .stringMap, length: 1...200),
        ],
        "DeleteStream": [
            streamName, streamARN, KinesisMember(name: "EnforceConsumerDeletion", kind: .boolean),
        ],
        "DescribeLimits": [],
        "DescribeStream": [streamName, streamARN, limit("Limit"), shard("ExclusiveStartShardId")],
        "DescribeStreamSummary": [streamName, streamARN],
        "ListStreams": [
            limit("Limit"), nextToken,
            KinesisMember(name: "ExclusiveStartStreamName", kind: .string, pattern: .name, length: 1...128),
        ],
        "ListShards": [
            streamName, streamARN, nextToken, shard("ExclusiveStartShardId"), limit("MaxResults"), shardFilter,
            KinesisMember(name: "StreamCreationTimestamp", kind: .timestamp),
        ],
        "GetShardIterator": [
            shard("ShardId", isRequired: true),
            KinesisMember(
                name: "ShardIteratorType", kind: .string, isRequired: true,
                choices: [
                    "AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON",
                ]),
            KinesisMember(name: "StartingSequenceNumber", kind: .string, pattern: .sequenceNumber),
            streamName, streamARN, KinesisMember(name: "Timestamp", kind: .timestamp),
        ],
        "GetRecords": [
            limit("Limit"),
            KinesisMember(name: "ShardIterator", kind: .string, isRequired: true, length: 1...512), streamARN,
        ],
        "PutRecord": record + [
            KinesisMember(name: "SequenceNumberForOrdering", kind: .string, pattern: .sequenceNumber), streamName,
            streamARN,
        ],
        "PutRecords": [records, streamName, streamARN],
        "SplitShard": [
            KinesisMember(name: "NewStartingHashKey", kind: .string, isRequired: true, pattern: .hashKey),
            shard("ShardToSplit", isRequired: true), streamName, streamARN,
        ],
        "MergeShards": [
            shard("ShardToMerge", isRequired: true), shard("AdjacentShardToMerge", isRequired: true), streamName,
            streamARN,
        ],
        "UpdateShardCount": [
            KinesisMember(
                name: "ScalingType", kind: .string, isRequired: true, choices: ["UNIFORM_SCALING"]), streamName,
            count("TargetShardCount"), streamARN,
        ],
        "RegisterStreamConsumer": [
            streamARN.required, consumerName.required, streamID,
            KinesisMember(name: "Tags", kind: .stringMap, length: 1...200),
        ],
        "DeregisterStreamConsumer": [streamARN, consumerName, consumerARN, streamID],
        "DescribeStreamConsumer": [streamARN, consumerName, consumerARN, streamID],
        "ListStreamConsumers": [
            streamARN.required, nextToken, limit("MaxResults"),
            KinesisMember(name: "StreamCreationTimestamp", kind: .timestamp), streamID,
        ],
        "SubscribeToShard": [
            consumerARN.required, shard("ShardId", isRequired: true),
            KinesisMember(
                name: "StartingPosition",
                kind: .structure([
                    KinesisMember(
                        name: "Type", kind: .string, isRequired: true,
                        choices: [
                            "AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON",
                        ]),
                    KinesisMember(name: "SequenceNumber", kind: .string, pattern: .sequenceNumber),
                    KinesisMember(name: "Timestamp", kind: .timestamp),
                ]), isRequired: true), streamID,
        ],
        "IncreaseStreamRetentionPeriod": [
            streamName, KinesisMember(name: "RetentionPeriodHours", kind: .integer, isRequired: true), streamARN,
        ],
        "DecreaseStreamRetentionPeriod": [
            streamName, KinesisMember(name: "RetentionPeriodHours", kind: .integer, isRequired: true), streamARN,
        ],
    ]
}
