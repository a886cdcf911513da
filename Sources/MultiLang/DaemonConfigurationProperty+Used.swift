import AWSWire
import KinesisConsumer
import Machine

/// The properties that do something, in the order in which `--check` prints them.
extension DaemonConfigurationProperty {
    static let used: [Self] = application + place + leases + reading + children + metrics

    private static let whole = 0...Int(Int32.max)

    private static let application: [Self] = [
        .value(
            "applicationName", .text, \.worker.applicationName,
            "the application: workers of the same name share the stream's shards"),
        .value("streamName", .streamName, \.worker.streamName, "the stream that is read"),
        .optional("streamArn", .streamARN, \.streamARN, "the stream that is read; its name goes before streamName"),
        .value("tableName", .tableName, \.worker.tableName, "the lease table; applicationName where not given"),
        .value(
            "workerId", aliases: ["workerIdentifier"], .text, \.worker.workerID,
            "names this worker among the application's; a new random one at each start where not given"),
        .value(
            "initialPositionInStream", .initialPosition, \.worker.initialPosition,
            "where a shard that nobody ever checkpointed is read from"),
        .optional(
            "initialPositionInStreamExtended", aliases: ["timestampAtInitialPositionInStream"], .epochSeconds,
            \.startTime,
            "the same as a time, in seconds since 1970; goes before initialPositionInStream"),
    ]

    private static let place: [Self] = [
        .optional("regionName", .region, \.regions.common, "the region; the AWS default chain where not given"),
        .optional("kinesisClient.region", .region, \.regions.kinesisOwn, "the region for Kinesis"),
        .optional(
            "dynamoDbClient.region", aliases: ["dynamoDBRegionName"], .region, \.regions.dynamoDBOwn,
            "the region for DynamoDB"),
        .optional(
            "cloudWatchClient.region", aliases: ["cloudWatchRegionName"], .region, \.regions.cloudWatchOwn,
            "the region for CloudWatch"),
        .optional(
            "kinesisEndpoint", aliases: ["kinesisClient.endpointOverride"], .endpoint, \.endpoints.kinesis,
            "another endpoint for Kinesis"),
        .optional(
            "dynamoDBEndpoint", aliases: ["dynamoDbClient.endpointOverride"], .endpoint, \.endpoints.dynamoDB,
            "another endpoint for DynamoDB"),
        .optional(
            "cloudWatchClient.endpointOverride", .endpoint, \.endpoints.cloudWatch, "another endpoint for CloudWatch"),
        .optional("http.proxyHost", .host, \.proxy.host, "an HTTP proxy; the environment's where not given"),
        .optional("http.proxyPort", .int(1...65_535), \.proxy.port, "the proxy's port; 80 where not given"),
        .credentials(
            "AwsCredentialsProvider", "where credentials are looked for", set: { $0.kinesis = $1 },
            get: { $0.kinesis }),
        .credentials(
            "AwsCredentialsProviderDynamoDB", "the same for DynamoDB; AwsCredentialsProvider where not given",
            set: { $0.dynamoDBOwn = $1 }, get: { $0.dynamoDB }),
        .credentials(
            "AwsCredentialsProviderCloudWatch", "the same for CloudWatch; AwsCredentialsProvider where not given",
            set: { $0.cloudWatchOwn = $1 }, get: { $0.cloudWatch }),
    ]

    private static let leases: [Self] = [
        .value(
            "failoverTimeMillis", .milliseconds(500...3_600_000), \.worker.failoverTime, zeroIsUnsetInJava: true,
            "a lease that is not renewed for so long is taken by another worker"),
        .value(
            "maxLeasesForWorker", .count, \.worker.maxLeasesForWorker, zeroIsUnsetInJava: true,
            "the most leases that this worker holds"),
        .value(
            "maxLeasesToStealAtOneTime", .int(1...10_000), \.worker.maxLeasesToStealAtOneTime, zeroIsUnsetInJava: true,
            "the most leases that are taken at once from a worker with more"),
        .value(
            "cleanupLeasesUponShardCompletion", .boolean, \.worker.cleanupLeasesUponShardCompletion,
            zeroIsUnsetInJava: true, "whether the leases of shards that were read to their end are deleted"),
        .value(
            "completedLeaseCleanupIntervalMillis", aliases: ["completedLeaseCleanupThresholdMillis"],
            .milliseconds(1000...86_400_000), \.worker.completedLeaseCleanupInterval, zeroIsUnsetInJava: true,
            "how often such leases are looked for"),
        .value(
            "leasesRecoveryAuditorExecutionFrequencyMillis", .milliseconds(1000...86_400_000),
            \.worker.leasesRecoveryAuditorInterval, zeroIsUnsetInJava: true,
            "how often the leases are checked for holes in the hash key range"),
        .value(
            "leasesRecoveryAuditorInconsistencyConfidenceThreshold", .int(1...1000),
            \.worker.leasesRecoveryAuditorConfidenceThreshold, zeroIsUnsetInJava: true,
            "how often in a row a hole must be seen before missing leases are created"),
        .value(
            "ignoreUnexpectedChildShards", .boolean, \.worker.ignoreUnexpectedChildShards,
            "whether children of shards that are still open are passed over instead of reported"),
        .value(
            "parentShardPollIntervalMillis", .milliseconds(100...3_600_000), \.worker.parentShardPollInterval,
            zeroIsUnsetInJava: true, "how often a shard that waits for its parents looks at them"),
        .value(
            "taskBackoffTimeMillis", .milliseconds(whole), \.worker.taskBackoffTime, zeroIsUnsetInJava: true,
            "the pause after a failure before the same is tried again"),
        .value(
            "releaseLeasesOnShutdown", .boolean, \.worker.releaseLeasesOnShutdown,
            "whether a worker that stops gives its leases free; not where workerId is given, unless this says so"),
        .value(
            "billingMode", .oneOf, \.billingMode,
            "how a lease table that is missing is created: PAY_PER_REQUEST (the default of KCL 2.x and 3.x) or "
                + "PROVISIONED (that of 1.x)"),
        .value(
            "initialLeaseTableReadCapacity", .int(1...1_000_000), \.leaseTableCapacity.reads, zeroIsUnsetInJava: true,
            "the read units of a table that is created PROVISIONED"),
        .value(
            "initialLeaseTableWriteCapacity", .int(1...1_000_000), \.leaseTableCapacity.writes,
            zeroIsUnsetInJava: true, "the write units of a table that is created PROVISIONED"),
        .value(
            "leaseTableDeletionProtectionEnabled", .boolean, \.worker.isLeaseTableDeletionProtected,
            "whether a lease table that is missing is created with deletion protection"),
        .optional(
            "coordinatorStateTableName", .tableName, \.worker.coordinatorStateTable,
            "where a fleet of KCL 3.x keeps its mode, which is read and never written; "
                + "applicationName-CoordinatorState where not given"),
    ]

    private static let reading: [Self] = [
        .value(
            "retrievalMode", .oneOf, \.retrievalMode,
            "POLLING, FANOUT (enhanced fan-out), or DEFAULT: FANOUT unless a property of polling is given; not given: "
                + "POLLING unless a property of fanoutConfig is"),
        .optional(
            "fanoutConfig.consumerName", .streamName, \.fanOut.name,
            "the registered consumer of enhanced fan-out, one for all workers; applicationName where not given"),
        .optional(
            "fanoutConfig.consumerArn", .text, \.fanOut.arn,
            "a consumer that exists, in the place of fanoutConfig.consumerName; it is not registered"),
        .value(
            "fanoutConfig.maxDescribeStreamConsumerRetries", .int(1...10_000), \.fanOut.describeAttemptsMax,
            zeroIsUnsetInJava: true, "how often a start looks whether the consumer has become ACTIVE"),
        .value(
            "fanoutConfig.registerStreamConsumerRetries", .int(1...10_000), \.fanOut.registerAttemptsMax,
            zeroIsUnsetInJava: true, "how often a start tries to register a consumer that is missing"),
        .value(
            "fanoutConfig.retryBackoffMillis", .milliseconds(1...600_000), \.fanOut.retryBackoff,
            zeroIsUnsetInJava: true, "the pause between these tries"),
        .value(
            "maxRecords", aliases: ["pollingConfig.maxRecords"], .int(1...10_000), \.worker.maxRecords,
            zeroIsUnsetInJava: true,
            "the most records that one GetRecords fetches"),
        .value(
            "idleTimeBetweenReadsInMillis", aliases: ["pollingConfig.idleTimeBetweenReadsInMillis"],
            .milliseconds(1...3_600_000), \.worker.idleTimeBetweenReads, zeroIsUnsetInJava: true,
            "the pause between reads of a shard that has no more records"),
        .value(
            "callProcessRecordsEvenForEmptyRecordList", .boolean, \.worker.callProcessRecordsEvenForEmptyRecordList,
            "whether the processor hears of reads without records"),
        .value(
            "maxPendingProcessRecordsInput", aliases: ["maxCacheSize"], .int(1...1000), \.worker.prefetchBatchesMax,
            zeroIsUnsetInJava: true, "the most batches of a shard that wait for the processor"),
        .value(
            "maxCacheByteSize", .int(1...Int(Int32.max)), \.worker.prefetchBytesMax, zeroIsUnsetInJava: true,
            "the most bytes of a shard that wait for the processor"),
        .value(
            "maxCacheByteSizePerWorker", .int(1...Int(Int32.max)), \.worker.prefetchBytesMaxPerWorker,
            "the most bytes that wait for all processors together, shared out among the shards"),
        .value(
            "maxRecordsCount", .int(1...Int(Int32.max)), \.worker.prefetchRecordsMax, zeroIsUnsetInJava: true,
            "the most records of a shard that wait for the processor"),
    ]

    private static let children: [Self] = [
        .value("executableName", .words, \.child.arguments, "the child program and its arguments, found on PATH"),
        .optional("processor", .oneOf, \.builtIn, "a processor of shardtop's own in the place of executableName"),
        .optional(
            "processingLanguage", .text, \.child.processingLanguage, "what the child is written in; only told to people"
        ),
        .optional(
            "timeoutInSeconds", .seconds(1...1_000_000), \.child.answerTimeout, zeroIsUnsetInJava: true,
            "a child that does not answer a message for so long has failed"),
        .value(
            "onChildFailure", .oneOf, \.child.onFailure,
            "restart: only the failed child is started again; exit: this program ends, as Java's does"),
        .value(
            "childFailuresMax", .int(1...1_000_000), \.worker.restartsMax,
            "after so many failures of its child without a checkpoint a shard is stopped"),
        .value(
            "onProcessorFailure", .oneOf, \.worker.onProcessorFailure,
            "what happens to a batch that a built-in processor failed at: skip, retry or stopShard"),
        .value(
            "shutdownGraceMillis", .milliseconds(whole), \.worker.shutdownGrace,
            "how long shutdownRequested may take when the worker stops; Java's default is 0"),
        .optional(
            "logWarningForTaskAfterMillis", .milliseconds(1...Int(Int32.max)), \.logWarningForTaskAfter,
            zeroIsUnsetInJava: true, "a message that a child does not answer for so long is worth a warning"),
    ]

    private static let metrics: [Self] = [
        .value("metricsLevel", .oneOf, \.metrics.level, "how much is published to CloudWatch"),
        .value(
            "metricsBufferTimeMillis", .milliseconds(whole), \.metrics.bufferTime, zeroIsUnsetInJava: true,
            "how long metrics are gathered before they are published"),
        .value(
            "metricsMaxQueueSize", .int(1...10_000_000), \.metrics.queueMax, zeroIsUnsetInJava: true,
            "the most metrics that wait to be published"),
        .optional(
            "metricsEnabledDimensions", .list, \.metrics.dimensions,
            "the dimensions besides Operation; all where not given, or ALL"),
    ]
}
