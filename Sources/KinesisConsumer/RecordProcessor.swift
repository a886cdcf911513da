@_exported public import AWSWire
@_exported public import Leases
@_exported public import Machine

/// What an application implements: one instance for each tenure of a lease, called strictly one call at a time.
///
/// The calls come in the order `initialize`, `processRecords` any number of times, at most one `shutdownRequested`,
/// then exactly one of `leaseLost` or `shardEnded` (kcl.md §4.2–4.4). After a crash nothing more is called.
public protocol RecordProcessor: Sendable {
    /// Before the first record. A throw is retried after `taskBackoffTime`.
    func initialize(_ input: InitializationInput) async throws
    /// A batch. What a throw means is `WorkerConfiguration.onProcessorFailure`.
    func processRecords(_ input: ProcessRecordsInput) async throws
    /// The lease is somebody else's now (ZOMBIE): no checkpoint is possible any more.
    func leaseLost() async
    /// Every record of the shard was passed (TERMINATE). Must checkpoint; otherwise it is called again.
    func shardEnded(_ checkpointer: Checkpointer) async throws
    /// The worker or an operator gives the lease up: the last chance to checkpoint.
    func shutdownRequested(_ checkpointer: Checkpointer) async throws
}

/// Thrown by a callback of a processor that is of no use any more, a child process that ended for one: it is let go,
/// and after a pause a new one is made, which starts at the last stored checkpoint.
///
/// Where that happens `WorkerConfiguration.restartsMax` times without a checkpoint in between, the shard is stopped.
public struct RestartFromCheckpoint: Error, Hashable, Sendable, CustomStringConvertible {
    public var message: String

    public init(message: String) { self.message = message }

    public var description: String { message }
}

/// Where a tenure starts.
public struct InitializationInput: Sendable {
    public var shardID: String
    /// The stored checkpoint: everything up to and with it was done before.
    public var checkpoint: Checkpoint
    /// What an earlier owner prepared and did not commit, with the application's state (kcl.md §7).
    public var pendingCheckpoint: PendingCheckpoint?

    package init(shardID: String, checkpoint: Checkpoint, pendingCheckpoint: PendingCheckpoint? = nil) {
        self.shardID = shardID
        self.checkpoint = checkpoint
        self.pendingCheckpoint = pendingCheckpoint
    }
}

/// A batch of records of one shard, in order.
public struct ProcessRecordsInput: Sendable {
    public var shardID: String
    public var records: [Record]
    /// How far behind the tip the end of this batch was when it was read.
    public var millisBehindLatest: Int64?
    public var checkpointer: Checkpointer

    package init(shardID: String, records: [Record], millisBehindLatest: Int64?, checkpointer: Checkpointer) {
        self.shardID = shardID
        self.records = records
        self.millisBehindLatest = millisBehindLatest
        self.checkpointer = checkpointer
    }
}

/// A user record: a Kinesis record, or one of the records in a KPL aggregate.
public struct Record: Sendable {
    public var sequenceNumber: SequenceNumber
    /// The index within the aggregate; 0 for a plain record.
    public var subSequenceNumber: Int64
    public var isAggregated: Bool
    public var partitionKey: Bytes
    /// Set where the producer set one for a record of an aggregate.
    public var explicitHashKey: UInt128?
    /// Lies in the arena that the batch shares; `copied()` keeps it beyond the batch.
    public var data: Bytes
    public var approximateArrival: UnixTime?

    public init(
        sequenceNumber: SequenceNumber, subSequenceNumber: Int64 = 0, isAggregated: Bool = false,
        partitionKey: Bytes, explicitHashKey: UInt128? = nil, data: Bytes, approximateArrival: UnixTime? = nil
    ) {
        self.sequenceNumber = sequenceNumber
        self.subSequenceNumber = subSequenceNumber
        self.isAggregated = isAggregated
        self.partitionKey = partitionKey
        self.explicitHashKey = explicitHashKey
        self.data = data
        self.approximateArrival = approximateArrival
    }

    public var checkpoint: Checkpoint {
        Checkpoint(.sequenceNumber(sequenceNumber), subSequenceNumber: subSequenceNumber)
    }
}

/// Why a checkpoint was not stored; the names are KCL's exceptions (kcl.md §7).
public enum CheckpointError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The lease is not held any more, or the worker ended. Final: stop.
    case shutdown
    /// DynamoDB's throughput is exceeded. Retry with back-off.
    case throttling
    /// The lease table or the lease is missing, or this call has no checkpointer.
    case invalidState(String)
    /// Another failure of DynamoDB. Retryable.
    case dependency(String)
    /// The position is outside of what may be checkpointed: the caller's mistake.
    case illegalArgument(String)

    /// The simple name of the Java class, as MultiLang children see it.
    public var javaName: String {
        switch self {
        case .shutdown: "ShutdownException"
        case .throttling: "ThrottlingException"
        case .invalidState: "InvalidStateException"
        case .dependency: "KinesisClientLibDependencyException"
        case .illegalArgument: "IllegalArgumentException"
        }
    }

    public var description: String {
        switch self {
        case .shutdown: "the lease is no longer held"
        case .throttling: "the lease table is throttled"
        case .invalidState(let message), .dependency(let message), .illegalArgument(let message): message
        }
    }
}

/// Stores how far a tenure has come.
public struct Checkpointer: Sendable {
    let shardID: String
    let request: @Sendable (CheckpointRequest) async -> CheckpointAnswer

    package init(shardID: String, request: @escaping @Sendable (CheckpointRequest) async -> CheckpointAnswer) {
        self.shardID = shardID
        self.request = request
    }

    /// Checkpoints at the last record that was delivered; in `shardEnded`, at SHARD_END.
    public func checkpoint() async throws(CheckpointError) {
        _ = try await request(.commit(nil)).get()
    }

    /// Checkpoints at `record`: everything up to and with it is done.
    public func checkpoint(_ record: Record) async throws(CheckpointError) {
        try await checkpoint(record.sequenceNumber, subSequenceNumber: record.subSequenceNumber)
    }

    /// Checkpoints at a position between the last checkpoint and the last delivered record.
    public func checkpoint(
        _ sequenceNumber: SequenceNumber, subSequenceNumber: Int64 = 0
    ) async throws(CheckpointError) {
        let position = Checkpoint(.sequenceNumber(sequenceNumber), subSequenceNumber: subSequenceNumber)
        _ = try await request(.commit(position)).get()
    }

    /// Stores a checkpoint as pending, with the application's own state; `checkpoint()` of the result commits it.
    ///
    /// - Parameter position: `nil` for the last delivered record.
    public func prepareCheckpoint(
        at position: Checkpoint? = nil, state: Bytes? = nil
    ) async throws(CheckpointError) -> PreparedCheckpoint {
        let prepared = try await request(.prepare(position, state)).get()
        return PreparedCheckpoint(position: prepared, checkpointer: self)
    }
}

/// A checkpoint that was prepared.
public struct PreparedCheckpoint: Sendable {
    let position: Checkpoint
    let checkpointer: Checkpointer

    /// Commits what was prepared and clears the pending attributes.
    public func checkpoint() async throws(CheckpointError) {
        _ = try await checkpointer.request(.commitPrepared(position)).get()
    }
}

/// What a processor asks of its checkpointer.
package enum CheckpointRequest: Hashable, Sendable {
    case commit(Checkpoint?)
    case prepare(Checkpoint?, Bytes?)
    case commitPrepared(Checkpoint)
}

/// What came of a request, with the position that it meant.
package typealias CheckpointAnswer = Result<Checkpoint, CheckpointError>
