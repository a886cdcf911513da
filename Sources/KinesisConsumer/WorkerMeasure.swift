public import Leases
public import Machine

/// One thing that a worker did and how long it took: what metrics are made of (kcl.md §9). Events say what changed;
/// this says how it went.
public struct WorkerMeasure: Hashable, Sendable {
    public enum Operation: Hashable, Sendable {
        /// The straight line before the first take.
        case initialize
        case getShardIterator, getRecords
        /// Until the subscription was granted.
        case subscribeToShard
        /// GetRecords found its iterator expired.
        case expireIterator
        /// A batch came to its end: the processor returned, or there was nothing to hand over.
        case process(records: Int = 0, bytes: Int = 0, millisBehindLatest: Int64?, isDelivered: Bool = false)
        case initializeProcessor
        /// `leaseLost` and `shardEnded`.
        case shutDownProcessor
        /// An answer that says the lease is gone is a success of the call.
        case renewLease
        /// A checkpoint, or another change of a lease that is held.
        case updateLease(isEnd: Bool)
        /// One page of the lease table.
        case listLeases
        case takeLease(isTaken: Bool)
        /// A look at the whole table with what it led to; `nil` where it could not be read.
        case takeLeases(Taking?)
        /// - Parameter isChild: of a shard that ended here.
        case createLease(Checkpoint, isChild: Bool)
        case listShards
        /// The elected worker looked for hash key ranges that no lease covers.
        case audit(hasHoles: Bool, wantsSync: Bool)
        /// An audit was due, and another worker is elected for it.
        case auditByAnother
    }

    /// What a worker saw when it decided which leases to take.
    public struct Taking: Hashable, Sendable {
        public var leases = 0
        public var workers = 0
        /// Leases that nobody holds, or whose holder stands still.
        public var available = 0
        /// Of these, those that nobody took for three times failoverTimeMillis.
        public var veryOld = 0
        /// Missing here to an equal share.
        public var needed = 0
        public var toTake = 0
        /// Of an equal share, what maxLeasesForWorker forbids.
        public var spillover = 0

        public init() {}
    }

    public var operation: Operation
    public var shardID: String?
    /// When it ended.
    public var at = UnixTime(milliseconds: 0)
    public var duration: Duration
    public var isSuccess: Bool

    public init(
        _ operation: Operation, shardID: String? = nil, duration: Duration = .zero, isSuccess: Bool = true
    ) {
        self.operation = operation
        self.shardID = shardID
        self.duration = duration
        self.isSuccess = isSuccess
    }
}

extension WriteResult {
    var isStored: Bool { if case .stored = self { true } else { false } }

    /// The table answered, be it that the condition does not hold.
    var isAnswer: Bool {
        switch self {
        case .stored, .conditionFailed: true
        case .lost, .failed: false
        }
    }
}

extension WorkerMachine {
    /// The write that `result` answers.
    func measure(of held: HeldLease, _ result: WriteResult, _ now: Timestamp) -> WorkerMeasure? {
        guard let sent = held.inFlight else { return nil }
        let operation: WorkerMeasure.Operation
        switch sent.write {
        case .renew: operation = .renewLease
        case .checkpoint(let position): operation = .updateLease(isEnd: position.position == .shardEnd)
        case .setChildren: operation = .updateLease(isEnd: true)
        case .prepare: operation = .updateLease(isEnd: false)
        case .release: return nil
        }
        return WorkerMeasure(
            operation, shardID: held.lease.shardID, duration: now - sent.at, isSuccess: result.isAnswer)
    }

    func counts(of decision: TakingDecision, _ view: TakingView) -> WorkerMeasure.Taking {
        var counts = WorkerMeasure.Taking()
        let open = view.leases.filter {
            !view.held.contains($0.leaseKey) && ($0.leaseOwner == nil || view.expired.contains($0.leaseKey))
        }
        let fair = (view.leases.count + decision.workers - 1) / max(decision.workers, 1)
        counts.leases = view.leases.count
        counts.workers = decision.workers
        counts.available = open.count
        counts.veryOld = open.count { view.veryOld.contains($0.leaseKey) }
        counts.needed = max(0, decision.target - decision.mine)
        counts.toTake = decision.take.count + decision.steal.count
        counts.spillover = max(0, max(fair, 1) - view.maxLeases)
        return counts
    }
}
