public import AWSWire
public import Machine

/// Where a lease that nobody ever checkpointed starts reading.
public enum InitialPosition: Hashable, Sendable {
    case latest
    case trimHorizon
    case atTimestamp(UnixTime)
}

/// What happens when `processRecords` throws.
public enum ProcessorFailurePolicy: String, Hashable, Sendable, CaseIterable {
    /// The batch is not sent again and processing goes on: what KCL documents. Never silent: `recordsSkipped`.
    case skip
    /// The batch is sent again after a growing pause, until it passes or the lease goes.
    case retry
    /// Nothing more of the shard is processed; the lease is kept, and an operator must look.
    case stopShard
}

/// Every knob of a worker, with KCL's name, meaning and default (kcl.md §3–§8).
public struct WorkerConfiguration: Sendable {
    public var applicationName: String
    public var streamName: String
    /// Unique among the workers of the application.
    public var workerID: String
    /// The lease table; the application's name unless given.
    public var tableName: String
    /// Where a fleet of KCL 3.0 to 3.4 keeps its mode; `applicationName-CoordinatorState` unless given. Only read.
    public var coordinatorStateTable: String?
    /// What a lease table that is missing is created with; `nil`: on demand.
    public var leaseTableCapacity: TableCapacity?
    /// Whether a lease table that is missing is created with deletion protection.
    public var isLeaseTableDeletionProtected = false
    public var initialPosition: InitialPosition = .latest

    /// A lease whose counter stood still for so long is expired; a holder that could not renew for so long stops.
    public var failoverTime: Duration = .milliseconds(10_000)
    public var maxLeasesForWorker = Int.max
    public var maxLeasesToStealAtOneTime = 1
    /// How often the fleet together reads each part of the table; a provisioned table's limit may stretch it.
    public var segmentScanInterval: Duration = .milliseconds(900)

    public var retrieval = RetrievalMode.default
    public var maxRecords = 10_000
    public var idleTimeBetweenReads: Duration = .milliseconds(1500)
    public var callProcessRecordsEvenForEmptyRecordList = false
    /// Batches, bytes and records that may wait for the processor, per shard.
    public var prefetchBatchesMax = 4
    public var prefetchBytesMax = 8 << 20
    public var prefetchRecordsMax = 30_000
    /// Bytes that may wait for all processors together or be with them. Each shard has an equal share of it, and may
    /// have more while others have less; none is left without any, however small its share.
    public var prefetchBytesMaxPerWorker = 64 << 20

    public var parentShardPollInterval: Duration = .milliseconds(10_000)
    public var taskBackoffTime: Duration = .milliseconds(500)
    public var onProcessorFailure: ProcessorFailurePolicy = .skip
    /// So many times in a row a processor may ask to be replaced (`RestartFromCheckpoint`) without a checkpoint in
    /// between; then the shard is stopped, and its lease kept.
    public var restartsMax = 5

    public var cleanupLeasesUponShardCompletion = true
    public var completedLeaseCleanupInterval: Duration = .seconds(300)
    public var leasesRecoveryAuditorInterval: Duration = .seconds(120)
    public var leasesRecoveryAuditorConfidenceThreshold = 3
    public var ignoreUnexpectedChildShards = false

    /// How long `shutdownRequested` may take before the leases are given up without it.
    public var shutdownGrace: Duration = .seconds(10)
    /// Whether a stopping worker clears its name from its leases, so that others take them at once. A worker with a
    /// given id keeps them by default, because it takes them up again when it restarts.
    public var releaseLeasesOnShutdown: Bool

    /// - Parameter workerID: `nil` makes one from `generator`.
    public init(
        applicationName: String, streamName: String, workerID: String? = nil,
        generator: inout some RandomNumberGenerator
    ) {
        self.applicationName = applicationName
        self.streamName = streamName
        tableName = applicationName
        if let workerID {
            self.workerID = workerID
            releaseLeasesOnShutdown = false
        } else {
            var seeded = SeededGenerator(seed: generator.next())
            self.workerID = seeded.uuid()
            releaseLeasesOnShutdown = true
        }
    }

    /// KCL's margin for clock granularity.
    static let epsilon: Duration = .milliseconds(25)
    var renewInterval: Duration { failoverTime / 3 - Self.epsilon }
    var takeInterval: Duration { (failoverTime + Self.epsilon) * 2 }

    /// What is wrong with the values, each in one sentence; empty when they can be used.
    public var mistakes: [String] {
        var mistakes: [String] = []
        func require(_ holds: Bool, _ mistake: String) { if !holds { mistakes.append(mistake) } }
        require(!applicationName.isEmpty, "applicationName is empty")
        require(!streamName.isEmpty, "streamName is empty")
        require(!workerID.isEmpty, "workerId is empty")
        require(failoverTime >= .milliseconds(500), "failoverTimeMillis must be at least 500")
        require(1...10_000 ~= maxRecords, "maxRecords must be 1 to 10000")
        require(idleTimeBetweenReads >= .milliseconds(200), "idleTimeBetweenReadsInMillis must be at least 200")
        require(maxLeasesForWorker > 0, "maxLeasesForWorker must be positive")
        require(maxLeasesToStealAtOneTime > 0, "maxLeasesToStealAtOneTime must be positive")
        require(restartsMax > 0, "restartsMax must be positive")
        require(prefetchBatchesMax > 0, "maxPendingProcessRecordsInput must be positive")
        require(prefetchBytesMaxPerWorker > 0, "prefetchBytesMaxPerWorker must be positive")
        if case .fanOut(let consumer) = retrieval { mistakes += consumer.mistakes(stream: streamName) }
        return mistakes
    }
}
