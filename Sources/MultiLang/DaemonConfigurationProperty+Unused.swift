import Machine

/// The properties that are checked and then have no effect, each with the reason.
extension DaemonConfigurationProperty {
    static let unused: [Self] = threads + tables + shardSync + retrieval + balancing + others

    private static let whole = 0...Int(Int32.max)

    private static let threads: [Self] = [
        .unused(
            "maxActiveThreads", .int(Int(Int32.min)...Int(Int32.max)), unless: { $0 <= 0 },
            "there is no thread pool that could run out; every shard's child is served"),
        .unused("maxLeaseRenewalThreads", .int(whole), "leases are renewed without threads"),
        .unused("maxGetRecordsThreadPool", aliases: ["pollingConfig.maxGetRecordsThreadPool"], .int(whole), noThreads),
        .unused(
            "retryGetRecordsInSeconds", aliases: ["pollingConfig.retryGetRecordsInSeconds"], .int(whole), noThreads),
    ]

    private static let noThreads =
        "GetRecords has no threads here; a call without an answer is given up and sent again by itself"

    private static let tables: [Self] = [
        .unused(
            "leaseTablePitrEnabled", .boolean, unless: { !$0 },
            "this program does not switch on point-in-time recovery; do it once with "
                + "`aws dynamodb update-continuous-backups`"),
        .unused(
            "leaseTableScanTotalSegments", .int(whole),
            "the workers share out the reading of the table among themselves"),
        .unused("migrateAllEntitiesToLeaseTable", .boolean, unless: { !$0 }, threeX),
        .unused("tableMigrationCompleteBakeTimeSeconds", .int(whole), threeX),
    ]

    private static let threeX =
        "a worker in 2.x mode does not use it; this program takes leases as KCL 2.x does, and does not join a fleet "
        + "in 3.x mode"

    private static let shardSync: [Self] = [
        .unused(
            "shardSyncIntervalMillis", .int(whole),
            "there is no periodic shard sync: the leases of new shards are created when their parents end, and "
                + "leasesRecoveryAuditorExecutionFrequencyMillis says how often holes are looked for"),
        .unused(
            "shardSyncStrategyType", .oneOf, unless: { (type: ShardSyncStrategy) in type == .shardEnd },
            "shards are synced when a shard ends, not periodically"),
        .unused(
            "skipShardSyncAtWorkerInitializationIfLeasesExist", aliases: ["skipShardSyncAtStartupIfLeasesExist"],
            .boolean,
            unless: { !$0 }, "a start always compares the shards with the leases; that takes one ListShards"),
        .unused("listShardsBackoffTimeInMillis", .int(whole), listShards),
        .unused("maxListShardsRetryAttempts", .int(whole), listShards),
        .unused(
            "schedulerInitializationBackoffTimeMillis", .int(whole), "the pauses of a failing start grow from 1 to 10 s"
        ),
        .unused("maxInitializationAttempts", .int(whole), "a failing start is tried 20 times"),
        .unused("shardPrioritization", .text, prioritization),
        .unused("shardPrioritizationStrategy", .text, prioritization),
        .unused("leaseCleanupIntervalMillis", .int(whole), cleanup),
        .unused(
            "garbageLeaseCleanupIntervalMillis", aliases: ["garbageLeaseCleanupThresholdMillis"], .int(whole), cleanup),
    ]

    private static let listShards = "ListShards is sent again as AWS's standard retry mode says, then at the next need"
    private static let prioritization = "every shard whose parents have ended is processed at once, so none goes first"
    private static let cleanup = "leases are cleaned up at completedLeaseCleanupIntervalMillis"

    private static let retrieval: [Self] = [
        .unused(
            "fanoutConfig.maxDescribeStreamSummaryRetries", .int(whole), "a failing start is tried 20 times"),
        .unused(
            "millisBehindLatestThresholdForReducedTps",
            aliases: ["pollingConfig.millisBehindLatestThresholdForReducedTps"],
            .int(whole), unless: { $0 == 0 },
            "a shard that is read to its end is polled at idleTimeBetweenReadsInMillis anyway"),
        .unused(
            "dataFetchingStrategy", .oneOf, unless: { (strategy: FetchingStrategy) in strategy == .prefetch },
            isNote: true, "records are always fetched while others are processed"),
        .unused(
            "idleMillisBetweenCalls", .int(whole), "idleTimeBetweenReadsInMillis is the pause between reads"),
    ]

    private static let balancing: [Self] =
        [
            .unused(
                "clientVersionConfig", .oneOf, unless: { (version: ClientVersion) in version == .twoX },
                "this program takes leases as KCL 2.x does (CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X), and does not "
                    + "join a fleet in 3.x mode"),
            .unused("leaseAssignmentIntervalMillis", .int(whole), threeX),
            .unused("enablePriorityLeaseAssignment", .boolean, unless: { $0 }, threeX),
            .unused("gracefulLeaseHandoffTimeoutMillis", .int(whole), threeX),
            .unused("isGracefulLeaseHandoffEnabled", .boolean, unless: { !$0 }, threeX),
            .unused("inMemoryWorkerMetricsCaptureFrequencyMillis", .int(whole), threeX),
            .unused("workerMetricsReporterFreqInMillis", .int(whole), threeX),
            .unused("noOfPersistedMetricsPerWorkerMetrics", .int(whole), threeX),
            .unused("disableWorkerMetrics", .boolean, unless: { $0 }, threeX),
            .unused("maxThroughputPerHostKBps", .number(0...1e308), threeX),
            .unused("dampeningPercentage", .int(0...100), threeX),
            .unused("reBalanceThresholdPercentage", .int(0...100), threeX),
            .unused("allowThroughputOvershoot", .boolean, threeX),
            .unused("varianceBalancingFrequency", .int(whole), threeX),
            .unused("workerMetricsEMAAlpha", .number(0...1), threeX),
            .unused("staleWorkerMetricsEntryCleanupDuration", .iso8601, threeX),
            .unused("workerMetricsTableName", .tableName, threeX),
        ] + tableSettings("workerMetrics") + tableSettings("coordinatorState")

    /// The settings of the tables of KCL 3.0 to 3.4, which this program never creates.
    private static func tableSettings(_ table: String) -> [Self] {
        let why = "this program never creates that table"
        return [
            .unused("\(table)BillingMode", .oneOf, unless: { (_: DaemonConfiguration.BillingMode) in false }, why),
            .unused("\(table)ReadCapacity", .int(whole), why),
            .unused("\(table)WriteCapacity", .int(whole), why),
            .unused("\(table)PointInTimeRecoveryEnabled", .boolean, unless: { !$0 }, why),
            .unused("\(table)DeletionProtectionEnabled", .boolean, unless: { !$0 }, why),
            .unused("\(table)Tags", .tags, why),
        ]
    }

    private static let others: [Self] = [
        .unused(
            "validateSequenceNumberBeforeCheckpointing", .boolean, isNote: true,
            "a checkpoint is always compared with the records that were delivered, and never with a call to Kinesis"),
        .unused("userAgent", .text, isNote: true, "the user agent is shardtop's"),
    ]
}

extension DaemonConfigurationProperty {
    private enum ShardSyncStrategy: String, CaseIterable {
        case shardEnd = "SHARD_END"
        case periodic = "PERIODIC"
    }

    private enum FetchingStrategy: String, CaseIterable {
        case standard = "DEFAULT"
        case prefetch = "PREFETCH_CACHED"
    }

    private enum ClientVersion: String, CaseIterable {
        case threeX = "CLIENT_VERSION_CONFIG_3X"
        case twoX = "CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X"
    }
}
