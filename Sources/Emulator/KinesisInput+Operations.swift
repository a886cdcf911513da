/// The members of each request: the service's API model as a table, which is all that `KinesisInput` knows of it.
///
/// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Operations.html and the service's API model. Members
/// stand in the order in which the service complains about them, where that is known.
extension KinesisMember {
    private static let streamName = KinesisMember(
        name: "StreamName", kind: .string, pattern: .name, length: 1...128)
    private static let streamARN = KinesisMember(
        name: "StreamARN", kind: .string, pattern: .streamARN, length: 1...2048)
    private static let streamID = KinesisMember(
        name: "StreamId", kind: .string, pattern: .streamID, length: 1...24)
    /// The ways to name a stream.
    private static let stream = [streamName, streamARN, streamID]

    private static let consumerName = KinesisMember(
        name: "ConsumerName", kind: .string, pattern: .name, length: 1...128)
    private static let consumerARN = KinesisMember(
        name: "ConsumerARN", kind: .string, pattern: .consumerARN, length: 1...2048)
    private static let resourceARN = KinesisMember(
        name: "ResourceARN", kind: .string, isRequired: true, pattern: .resourceARN, length: 1...2048)

    private static func shard(_ name: String) -> KinesisMember {
        KinesisMember(name: name, kind: .string, pattern: .name, length: 1...128)
    }

    private static func limit(_ name: String, max: Int = 10_000) -> KinesisMember {
        KinesisMember(name: name, kind: .integer, values: 1...max)
    }

    private static func count(_ name: String) -> KinesisMember {
        KinesisMember(name: name, kind: .integer, values: 1...100_000)
    }

    private static func time(_ name: String) -> KinesisMember { KinesisMember(name: name, kind: .timestamp) }

    private static func choice(_ name: String, _ choices: [String]) -> KinesisMember {
        KinesisMember(name: name, kind: .string, isRequired: true, choices: choices)
    }

    private static func sequenceNumber(_ name: String) -> KinesisMember {
        KinesisMember(name: name, kind: .string, pattern: .sequenceNumber)
    }

    private static let nextToken = KinesisMember(name: "NextToken", kind: .string, length: 1...1_048_576)

    /// Data up to 10 MiB, the service's largest; a stream's own limit is checked where the stream is known.
    private static let record = [
        KinesisMember(name: "Data", kind: .blob, isRequired: true, length: 0...(10 << 20)),
        KinesisMember(name: "PartitionKey", kind: .string, isRequired: true, length: 1...256),
        KinesisMember(name: "ExplicitHashKey", kind: .string, pattern: .hashKey),
    ]

    private static let records = KinesisMember(
        name: "Records",
        kind: .list(
            of: KinesisMember(name: "member", kind: .structure(record), isRequired: true),
            elementText: "com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry@c965e310"),
        isRequired: true, length: 1...500)

    private static let positionTypes = [
        "AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON",
    ]

    private static let startingPosition = KinesisMember(
        name: "StartingPosition",
        kind: .structure([choice("Type", positionTypes), sequenceNumber("SequenceNumber"), time("Timestamp")]),
        isRequired: true)

    private static let shardFilter = KinesisMember(
        name: "ShardFilter",
        kind: .structure([
            choice(
                "Type",
                [
                    "AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP",
                    "FROM_TIMESTAMP",
                ]), shard("ShardId"), time("Timestamp"),
        ]))

    private static let streamMode = KinesisMember(
        name: "StreamModeDetails", kind: .structure([choice("StreamMode", ["PROVISIONED", "ON_DEMAND"])]))
    private static let recordSize = KinesisMember(name: "MaxRecordSizeInKiB", kind: .integer, values: 1024...10_240)
    private static let warmThroughput = KinesisMember(
        name: "WarmThroughputMiBps", kind: .integer, values: 0...Int(Int32.max))
    private static let retention = KinesisMember(name: "RetentionPeriodHours", kind: .integer, isRequired: true)

    private static let tagKey = KinesisMember(name: "TagKey", kind: .string, length: 1...128)
    private static let tags = KinesisMember(
        name: "Tags",
        kind: .map(keys: tagKey, values: KinesisMember(name: "TagValue", kind: .string, length: 0...256)),
        length: 1...200)
    private static let tagKeys = KinesisMember(
        name: "TagKeys", kind: .list(of: tagKey, elementText: nil), isRequired: true, length: 1...50)

    private static let metrics = KinesisMember(
        name: "ShardLevelMetrics",
        kind: .list(
            of: KinesisMember(name: "MetricsName", kind: .string, choices: StreamMonitoring.metrics + ["ALL"]),
            elementText: nil), isRequired: true, length: 1...7)

    private static let encryption = [
        choice("EncryptionType", ["NONE", "KMS"]),
        KinesisMember(name: "KeyId", kind: .string, isRequired: true, length: 1...2048),
    ]

    /// The members by operation.
    static let byOperation: [String: [KinesisMember]] = [
        "AddTagsToStream": [tags.required] + stream,
        "CreateStream": [
            streamName.required, count("ShardCount"), recordSize, streamMode, tags, warmThroughput,
        ],
        "DecreaseStreamRetentionPeriod": [streamName, retention, streamARN, streamID],
        "DeleteResourcePolicy": [resourceARN, streamID],
        "DeleteStream": stream + [KinesisMember(name: "EnforceConsumerDeletion", kind: .boolean)],
        "DeregisterStreamConsumer": [streamARN, consumerName, consumerARN, streamID],
        "DescribeAccountSettings": [],
        "DescribeLimits": [],
        "DescribeStream": stream + [limit("Limit"), shard("ExclusiveStartShardId")],
        "DescribeStreamConsumer": [streamARN, consumerName, consumerARN, streamID],
        "DescribeStreamSummary": stream,
        "DisableEnhancedMonitoring": [metrics] + stream,
        "EnableEnhancedMonitoring": [metrics] + stream,
        "GetRecords": [
            limit("Limit"), KinesisMember(name: "ShardIterator", kind: .string, isRequired: true, length: 1...512),
            streamARN, streamID,
        ],
        "GetResourcePolicy": [resourceARN, streamID],
        "GetShardIterator": [
            shard("ShardId").required, choice("ShardIteratorType", positionTypes),
            sequenceNumber("StartingSequenceNumber"), streamName, streamARN, time("Timestamp"), streamID,
        ],
        "IncreaseStreamRetentionPeriod": [streamName, retention, streamARN, streamID],
        "ListShards": stream + [
            nextToken, shard("ExclusiveStartShardId"), limit("MaxResults"), shardFilter,
            time("StreamCreationTimestamp"),
        ],
        "ListStreamConsumers": [
            streamARN.required, nextToken, limit("MaxResults"), time("StreamCreationTimestamp"), streamID,
        ],
        "ListStreams": [
            limit("Limit"), nextToken,
            KinesisMember(name: "ExclusiveStartStreamName", kind: .string, pattern: .name, length: 1...128),
        ],
        "ListTagsForResource": [resourceARN, streamID],
        "ListTagsForStream": [
            limit("Limit", max: 50), KinesisMember(name: "ExclusiveStartTagKey", kind: .string, length: 1...128),
        ] + stream,
        "MergeShards": [shard("ShardToMerge").required, shard("AdjacentShardToMerge").required] + stream,
        "PutRecord": record + [sequenceNumber("SequenceNumberForOrdering")] + stream,
        "PutRecords": [records] + stream,
        "PutResourcePolicy": [
            resourceARN, KinesisMember(name: "Policy", kind: .string, isRequired: true), streamID,
        ],
        "RegisterStreamConsumer": [streamARN.required, consumerName.required, streamID, tags],
        "RemoveTagsFromStream": [tagKeys] + stream,
        "SplitShard": [
            KinesisMember(name: "NewStartingHashKey", kind: .string, isRequired: true, pattern: .hashKey),
            shard("ShardToSplit").required,
        ] + stream,
        "StartStreamEncryption": encryption + stream,
        "StopStreamEncryption": encryption + stream,
        "SubscribeToShard": [consumerARN.required, shard("ShardId").required, startingPosition, streamID],
        "TagResource": [tags.required, resourceARN, streamID],
        "UntagResource": [tagKeys, resourceARN, streamID],
        "UpdateAccountSettings": [
            KinesisMember(
                name: "MinimumThroughputBillingCommitment",
                kind: .structure([choice("Status", ["ENABLED", "DISABLED"])]), isRequired: true)
        ],
        "UpdateMaxRecordSize": [streamARN, recordSize.required, streamID],
        "UpdateShardCount": [
            choice("ScalingType", ["UNIFORM_SCALING"]), streamName, count("TargetShardCount").required, streamARN,
            streamID,
        ],
        "UpdateStreamMode": [streamARN.required, streamMode.required, warmThroughput, streamID],
        "UpdateStreamWarmThroughput": [warmThroughput.required] + stream,
    ]
}
