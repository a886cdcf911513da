public import AWSWire
public import Machine

/// Something that happened to a worker, a shard or a lease: said by the engine that did it, or inferred from the table.
///
/// Encoded as one JSON object a line by `--events`; names and members are stable (version 1).
public struct WorkerEvent: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case workerStarted, leaseCreated, leaseTaken, leaseStolen, leaseReleased, leaseEvicted, leaseLost, ownerChanged
        case handoffStarted, handoffCompleted, initialized, recordsProcessed, recordsSkipped, checkpointed, shardEnded
        case childLeaseCreated, shutdownRequested, shutdownCompleted, leaseDeleted, processorFailed, throttled
        case subscriptionStarted, subscriptionEnded, shardSynced, modeChanged, operatorAction, workerStopped
        /// A line that a child process wrote to its standard error: `message` is the line.
        case childOutput
    }

    public enum Source: String, Hashable, Sendable {
        case engine, table
    }

    public var kind: Kind
    public var at: UnixTime
    public var source: Source
    public var workerID: String?
    public var shardID: String?
    public var previousOwner: String?
    public var owner: String?
    public var checkpoint: Checkpoint?
    /// `recordsProcessed` and `recordsSkipped`.
    public var records: Int?
    public var bytes: Int?
    /// The first and last sequence number concerned: of a batch or of what was skipped.
    public var from: SequenceNumber?
    public var to: SequenceNumber?
    /// The delivered lag after a batch, as the service says it.
    public var millisBehindLatest: Int64?
    public var leaseCounter: Int64?
    public var childShardIDs: [String]
    /// Events seen in the table happened between two reads.
    public var observedBetween: ClosedRange<UnixTime>?
    /// `processorFailed`: nothing more of the shard is processed until somebody looks; its lease is kept.
    public var isStopped = false
    /// One line for people: why, or what to do.
    public var message: String?

    public init(
        _ kind: Kind, at: UnixTime, source: Source = .engine, workerID: String? = nil, shardID: String? = nil,
        previousOwner: String? = nil, owner: String? = nil, checkpoint: Checkpoint? = nil, records: Int? = nil,
        bytes: Int? = nil, from: SequenceNumber? = nil, to: SequenceNumber? = nil, millisBehindLatest: Int64? = nil,
        leaseCounter: Int64? = nil, childShardIDs: [String] = [], observedBetween: ClosedRange<UnixTime>? = nil,
        message: String? = nil
    ) {
        self.kind = kind
        self.at = at
        self.source = source
        self.workerID = workerID
        self.shardID = shardID
        self.previousOwner = previousOwner
        self.owner = owner
        self.checkpoint = checkpoint
        self.records = records
        self.bytes = bytes
        self.from = from
        self.to = to
        self.millisBehindLatest = millisBehindLatest
        self.leaseCounter = leaseCounter
        self.childShardIDs = childShardIDs
        self.observedBetween = observedBetween
        self.message = message
    }

    /// `TERMINATE` or `ZOMBIE`, the names operators know, where the event is one.
    public var reason: String? {
        switch kind {
        case .shardEnded: "TERMINATE"
        case .leaseLost: "ZOMBIE"
        default: nil
        }
    }

    /// The event as one line of NDJSON, without the line feed.
    public func json(seq: Int) -> String {
        func string(_ text: String?) -> AWSValue? { text.map { .string($0) } }
        return JSON.text(
            .members([
                "version": 1, "seq": .int(Int64(seq)), "at": .string(CivilTime(at).iso8601),
                "event": .string(kind.rawValue), "source": .string(source.rawValue), "shardId": string(shardID),
                "workerId": string(workerID), "previousOwner": string(previousOwner), "owner": string(owner),
                "checkpoint": string(checkpoint?.text),
                "checkpointSubSequenceNumber": checkpoint.flatMap {
                    $0.subSequenceNumber == 0 ? nil : .int($0.subSequenceNumber)
                },
                "reason": string(reason), "records": records.map { .int(Int64($0)) },
                "bytes": bytes.map { .int(Int64($0)) }, "from": string(from?.description),
                "to": string(to?.description),
                "millisBehindLatest": millisBehindLatest.map { .int($0) },
                "leaseCounter": leaseCounter.map { .int($0) },
                "childShardIds": childShardIDs.isEmpty ? nil : .list(childShardIDs.map { .string($0) }),
                "observedBetween": observedBetween.map {
                    [.string(CivilTime($0.lowerBound).iso8601), .string(CivilTime($0.upperBound).iso8601)]
                },
                "stopped": isStopped ? true : nil, "message": string(message),
            ]))
    }
}
