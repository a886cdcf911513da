import AWSWire
import Leases
import Machine

/// One worker: which leases it takes, renews and gives up, and the machines of the shards it holds.
///
/// It does no I/O and reads no clock. Whatever is due is found after every event by `advance`; the shell is asked to
/// wake the machine at the earliest deadline.
struct WorkerMachine: Machine, Sendable {
    enum Event: Sendable {
        case started(Start)
        case woke(Timestamp)
        case scanned(Scan, [LeaseRow], readUnits: Double)
        case scanFailed(Scan, AWSError.Meaning, String)
        case shardsListed(ShardTree?)
        case listFailed(String)
        case modeChecked(FleetMode)
        case modeCheckFailed
        case taken(key: String, WriteResult, sentAt: Timestamp)
        case written(key: String, tenure: Int, WriteResult)
        case read(key: String, LeaseRow?, failed: Bool)
        case created([Lease], failure: String?)
        case deleted(key: String, WriteResult)
        case shard(tenure: Int, ShardMachine.Event)
        case shutdownRequested
        case releaseRequested(shardID: String)
        /// An operator wrote our name into a row: look at it now instead of at the next scan.
        case pokeRequested(shardID: String)
    }

    enum Effect: Sendable, Hashable {
        case wake(Timestamp)
        case scan(Scan)
        case listShards
        case checkMode
        case take(key: String, UpdateItem)
        case write(key: String, tenure: Int, UpdateItem)
        case read(key: String)
        case create([Lease], lookedAt: Timestamp)
        case delete(key: String, LeaseTable.Deletion)
        case setHashKeyRange(key: String, HashKeyRange)
        case shard(tenure: Int, leaseKey: String, ShardMachine.Effect)
        /// The tenure is over: its processor and its batches can go.
        case forget(tenure: Int)
        case emit(WorkerEvent)
        case report(WorkerMeasure)
    }

    /// What the straight line before the first take found out.
    struct Start: Sendable {
        var tree: ShardTree
        var rows: [LeaseRow]
        /// Of a provisioned table.
        var provisionedReads: Int?
        var mode: FleetMode
        /// What a whole scan costs.
        var readUnits = 0.0
    }

    /// A read of the whole table, or of one segment of it.
    struct Scan: Hashable, Sendable {
        var segment: Int
        var segments: Int
        var isWhole: Bool { segments == 1 }
    }

    struct Tenure: Sendable {
        var token: Int
        var held: HeldLease
        var shard: ShardMachine
        var isReleasing = false
        /// Of the memory for records.
        var claim = 0
    }

    let configuration: WorkerConfiguration
    var generator: SeededGenerator
    var tenures = Tenures()
    private(set) var prefetch: PrefetchBudget
    /// For tests: every event advances every tenure.
    var isThorough = false
    var rows: [String: LeaseRow] = [:]
    var liveness = Liveness()
    /// When each row was last read.
    var readAt: [String: Timestamp] = [:]
    var tree = ShardTree([])
    var isStreamGone = false
    /// Takes in flight, and whether each is a steal.
    var takes: [String: Bool] = [:]
    /// Steals that are tried once more.
    private var secondTries: Set<String> = []
    /// Has not seen the whole table since it became visible in it.
    var isNewcomer = true
    /// How often the held leases are renewed, and when they are fenced.
    var pace: Pace
    /// Leases given up on purpose: not taken back before this.
    var avoided: [String: Timestamp] = [:]
    var upkeep: Upkeep
    /// Where a LATEST shard was first read: it resumes there while this worker lives (kcl.md §0.10).
    var latestStarts: [String: ShardPosition] = [:]
    var mode: FleetMode?
    /// Whether somebody wants measures.
    var isMeasured = false
    /// Counts of the last decision on what to take, while somebody wants them.
    var taking = WorkerMeasure.Taking()
    private var lastToken = 0
    private var isStarted = false
    private(set) var isShuttingDown = false
    private var shutdownDeadline = Timestamp.never
    /// Why the worker may not go on beside this fleet.
    private(set) var refusal: String?
    private var wakeAt = Timestamp.never
    var warnedOwners: Set<String> = []

    init(_ configuration: WorkerConfiguration, generator: SeededGenerator) {
        self.configuration = configuration
        self.generator = generator
        pace = configuration.pace
        upkeep = Upkeep(configuration)
        prefetch = PrefetchBudget(bytesMax: configuration.prefetchBytesMaxPerWorker)
    }

    var isFinished: Bool { isShuttingDown && tenures.isEmpty && takes.isEmpty }

    mutating func handle(_ event: Event, at now: Timestamp) -> [Effect] {
        var effects = receive(event, now)
        effects += advance(now)
        if isFinished { return effects }
        let deadline = nextDeadline(after: now)
        if deadline < wakeAt {
            wakeAt = deadline
            effects.append(.wake(deadline))
        }
        return effects
    }

    private mutating func receive(_ event: Event, _ now: Timestamp) -> [Effect] {
        switch event {
        case .started(let start): return started(start, now)
        case .woke(let deadline):
            if wakeAt <= deadline { wakeAt = .never }
            return []
        case .scanned(let scan, let rows, let units): return scanned(scan, rows, units, now)
        case .scanFailed(let scan, let meaning, let message): return scanFailed(scan, meaning, message, now)
        case .shardsListed(let tree): return shardsListed(tree, now)
        case .listFailed: return listFailed(now)
        case .modeChecked(let mode): return modeChecked(mode, now)
        case .modeCheckFailed: return []
        case .taken(let key, let result, let sentAt): return taken(key, result, sentAt, now)
        case .written(let key, let tenure, let result): return written(key, tenure, result, now)
        case .read(let key, let row, let failed): return read(key, row, failed, now)
        case .created(let leases, let failure): return created(leases, failure, now)
        case .deleted(let key, let result): return deleted(key, result, now)
        case .shard(let tenure, let event): return shard(tenure, event, now)
        case .shutdownRequested: return shutDown(now)
        case .releaseRequested(let shardID): return releaseRequested(shardID, now)
        case .pokeRequested(let shardID): return isShuttingDown ? [] : [.read(key: shardID)]
        }
    }

    private mutating func started(_ start: Start, _ now: Timestamp) -> [Effect] {
        isStarted = true
        tree = start.tree
        mode = start.mode
        upkeep.provisionedReads = start.provisionedReads
        upkeep.wholeScanUnits = start.readUnits
        note(start.rows, isWhole: true, now)
        upkeep.started(now)
        if isShuttingDown { return [] }
        return [.emit(WorkerEvent(.workerStarted, at: .zero))] + takeLeases(maySteal: true, now)
    }

    private mutating func advance(_ now: Timestamp) -> [Effect] {
        guard isStarted else { return [] }
        var effects: [Effect] = []
        if !isShuttingDown { effects += upkeepIfDue(now) }
        if isThorough { tenures.touchAll() } else { tenures.touchDue(now) }
        var last: String?
        while let key = tenures.firstTouched(after: last) {
            effects += advance(key, now)
            last = key
        }
        return effects
    }

    private mutating func advance(_ key: String, _ now: Timestamp) -> [Effect] {
        guard var tenure = tenures[key] else { return [] }
        var effects: [Effect] = []
        tenure.shard.retrieval.allowance = prefetch.allowance(before: tenure.claim, shards: tenures.values.count)
        // The two machines answer each other; each round settles at least one step, so the rounds are few.
        var isSettled = false
        for _ in 0..<16 where !isSettled {
            let fromLease = tenure.held.advance(now)
            // The shard hears of a loss before it says what it wants.
            effects += route(fromLease, &tenure, now)
            let fromShard = tenure.shard.advance(
                now, deliverUntil: tenure.held.deliveryFence, fence: tenure.held.fence)
            effects += route(fromShard, &tenure, now)
            isSettled = fromLease.isEmpty && fromShard.isEmpty
        }
        tenure.claim = tenure.shard.retrieval.claimedBytes
        prefetch.settle(tenure.claim)
        if isSettled { tenures.settle(key, tenure, at: now) } else { tenures[key] = tenure }
        return effects + endIfOver(key, now)
    }

    /// Passes what the lease says to the shard.
    mutating func route(
        _ actions: [HeldLease.Action], _ tenure: inout Tenure, _ now: Timestamp
    ) -> [Effect] {
        let key = tenure.held.lease.leaseKey
        var effects: [Effect] = []
        for action in actions {
            switch action {
            case .send(let update): effects.append(.write(key: key, tenure: tenure.token, update))
            case .read: effects.append(.read(key: key))
            case .finished(let write, let error):
                effects += route(tenure.shard.handle(.written(write, error), at: now), &tenure, now)
                if case .checkpoint(.shardEnd) = write, error == nil {
                    tenures.parentsMayHaveEnded([tenure.shard.shardID])
                }
            case .lost(let reason):
                if tenure.isReleasing { continue }
                effects += route(tenure.shard.handle(.leaseLost(reason), at: now), &tenure, now)
            case .released:
                rows[key] = .lease(tenure.held.lease)
                observe(tenure.held.lease, now)
                avoided[key] = now + configuration.failoverTime
                effects.append(
                    .emit(
                        WorkerEvent(
                            .leaseReleased, at: .zero, shardID: tenure.shard.shardID,
                            previousOwner: configuration.workerID, checkpoint: tenure.held.lease.checkpoint)))
            }
        }
        return effects
    }

    /// Passes what the shard wants to the lease, and the rest to the shell.
    private mutating func route(
        _ shardEffects: [ShardMachine.Effect], _ tenure: inout Tenure, _ now: Timestamp
    ) -> [Effect] {
        let key = tenure.held.lease.leaseKey
        var effects: [Effect] = []
        for effect in shardEffects {
            switch effect {
            case .write(let write) where tenure.held.isOver:
                effects += route(tenure.shard.handle(.written(write, .shutdown), at: now), &tenure, now)
            case .write(let write): tenure.held.enqueue(write)
            case .giveUp: effects += giveUp(&tenure, now)
            case .emit(let event): effects.append(.emit(event))
            case .discard(let batches) where batches.isEmpty: break
            case .checkParents, .call, .getIterator, .fetch, .subscribe, .pull, .unsubscribe, .discard, .dropProcessor,
                .findChildren, .createChildren, .answer:
                effects.append(.shard(tenure: tenure.token, leaseKey: key, effect))
            }
        }
        return effects
    }

    private mutating func giveUp(_ tenure: inout Tenure, _ now: Timestamp) -> [Effect] {
        guard !tenure.isReleasing else { return [] }
        // The taker of Java 2.3 to 2.5 counts a lease that was released as one of a worker without a name, and fails
        // where that one has most. Java releases none; beside it we do the same.
        let mayRelease =
            !isShuttingDown || (configuration.releaseLeasesOnShutdown && !hasForeignNeighbours)
        if tenure.held.isOver { return [] }
        tenure.isReleasing = true
        if mayRelease, tenure.shard.isComplete {
            tenure.held.enqueue(.release)
            return []
        }
        return route(tenure.held.abandon(), &tenure, now)
    }

    /// Drops a tenure of which nothing is left to wait for.
    private mutating func endIfOver(_ key: String, _ now: Timestamp) -> [Effect] {
        guard let tenure = tenures[key], tenure.held.isOver, !tenure.held.isWriting else { return [] }
        guard tenure.shard.isComplete || (isShuttingDown && now >= tenure.shard.lastWordDeadline) else { return [] }
        return forget(key, tenure)
    }

    mutating func forget(_ key: String, _ tenure: Tenure) -> [Effect] {
        tenures[key] = nil
        prefetch.settle(-tenure.claim)
        return [.forget(tenure: tenure.token)]
    }

    private mutating func shard(_ token: Int, _ event: ShardMachine.Event, _ now: Timestamp) -> [Effect] {
        guard let key = tenures.key(ofToken: token), var tenure = tenures[key] else {
            // The tenure is over; only a processor that still asks for a checkpoint needs an answer,
            // and what came for it must not stay in memory.
            switch event {
            case .checkpointRequested(let id, _):
                return [.shard(tenure: token, leaseKey: "", .answer(id, .failure(.shutdown)))]
            case .fetched(let batch), .pulled(_, let batch):
                return [.shard(tenure: token, leaseKey: "", .discard([batch.id]))]
            case .subscribed(let id, _): return [.shard(tenure: token, leaseKey: "", .unsubscribe(id))]
            default: return []
            }
        }
        noteLatestStart(tenure, event)
        let shardEffects = tenure.shard.handle(event, at: now)
        let effects = route(shardEffects, &tenure, now)
        tenures[key] = tenure
        guard case .childrenCreated = event else { return effects }
        // Their rows are known without a scan: who ended the parent may take a child at once.
        note(
            tenure.shard.endingChildren.filter { rows[$0.shardID] == nil }.map { .lease(childLease($0)) },
            isWhole: false, now)
        return effects + takeLeases(maySteal: false, now)
    }

    private mutating func written(
        _ key: String, _ token: Int, _ result: WriteResult, _ now: Timestamp
    ) -> [Effect] {
        guard var tenure = tenures[key], tenure.token == token else { return [] }
        let measure = isMeasured ? measure(of: tenure.held, result, now) : nil
        let actions = tenure.held.written(result, at: now)
        let effects = route(actions, &tenure, now)
        tenures[key] = tenure
        return (measure.map { [.report($0)] } ?? []) + effects
    }

    private mutating func read(_ key: String, _ row: LeaseRow?, _ failed: Bool, _ now: Timestamp) -> [Effect] {
        guard var tenure = tenures[key] else {
            if !failed, let row { note([row], isWhole: false, now) }
            return takeLeases(maySteal: false, now)
        }
        let actions = tenure.held.read(row?.lease, failed: failed, at: now)
        let effects = route(actions, &tenure, now)
        tenures[key] = tenure
        return effects
    }

    // MARK: Tenures

    private mutating func taken(
        _ key: String, _ result: WriteResult, _ sentAt: Timestamp, _ now: Timestamp
    ) -> [Effect] {
        let isSteal = takes.removeValue(forKey: key) ?? false
        let isSecondTry = secondTries.remove(key) != nil
        let before = rows[key]?.lease
        switch result {
        case .stored(let image):
            guard var lease = image ?? before else { return [] }
            if image == nil {
                lease.leaseCounter &+= 1
                lease.leaseOwner = configuration.workerID
                lease.ownerMark = OwnerMark(
                    owner: configuration.workerID, failoverTime: configuration.failoverTime)
            }
            return begin(lease, previousOwner: before?.leaseOwner, isSteal: isSteal, sentAt, now)
        case .conditionFailed(let image):
            if let image { note([.lease(image)], isWhole: false, now) } else { rows[key] = nil }
            // The victim renewed between our read and our write; the image is fresh, so one more try is in order.
            guard isSteal, !isSecondTry, image?.leaseOwner == before?.leaseOwner else {
                // Somebody who starts now, too, was faster; without a lease nobody sees us.
                return isNewcomer && !isSteal ? takeLeases(maySteal: false, now) : []
            }
            secondTries.insert(key)
            return take(key, isSteal: true, now).map { [$0] } ?? []
        case .lost, .failed:
            // The next look at the row shows our name in it, or not.
            return []
        }
    }

    private mutating func begin(
        _ lease: Lease, previousOwner: String?, isSteal: Bool, _ sentAt: Timestamp, _ now: Timestamp
    ) -> [Effect] {
        let key = lease.leaseKey
        rows[key] = .lease(lease)
        observe(lease, now)
        guard tenures[key] == nil else { return [] }
        lastToken += 1
        let held = HeldLease(
            lease, table: configuration.tableName, owner: configuration.workerID,
            failoverTime: pace.failoverTime, renewInterval: pace.renewInterval, sentAt: sentAt)
        let shard = ShardMachine(
            lease, tenure: lastToken, start: startPosition(lease), configuration: configuration)
        tenures[key] = Tenure(token: lastToken, held: held, shard: shard)
        return [
            .emit(
                WorkerEvent(
                    isSteal ? .leaseStolen : .leaseTaken, at: .zero, shardID: lease.shardID,
                    previousOwner: previousOwner,
                    owner: configuration.workerID, checkpoint: lease.checkpoint, leaseCounter: lease.leaseCounter))
        ] + (isShuttingDown ? releaseRequested(lease.shardID, now) : [])
    }

    private func startPosition(_ lease: Lease) -> ShardPosition {
        switch lease.checkpoint.position {
        case .sequenceNumber(let number): .atSequenceNumber(number.description)
        case .trimHorizon, .shardEnd: .trimHorizon
        case .latest: latestStarts[lease.leaseKey] ?? .latest
        case .atTimestamp:
            if case .atTimestamp(let time) = configuration.initialPosition {
                .atTimestamp(time)
            } else {
                // Another worker's setting, which the row does not tell (kcl.md §0.11): nothing is skipped.
                .trimHorizon
            }
        }
    }

    /// A shard that starts at LATEST has a start of its own from the first iterator on: a moment, then a record.
    private mutating func noteLatestStart(_ tenure: Tenure, _ event: ShardMachine.Event) {
        guard tenure.shard.lease.checkpoint.position == .latest else { return }
        let key = tenure.held.lease.leaseKey
        switch (event, latestStarts[key]) {
        case (.iteratorGot(_, let moment?), nil), (.subscribed(_, let moment?), nil):
            latestStarts[key] = .atTimestamp(moment)
        case (.fetched(let batch), nil), (.fetched(let batch), .atTimestamp), (.pulled(_, let batch), nil),
            (.pulled(_, let batch), .atTimestamp):
            if let first = batch.firstWireRecord { latestStarts[key] = .atSequenceNumber(first.description) }
        default: break
        }
    }

    private mutating func releaseRequested(_ shardID: String, _ now: Timestamp) -> [Effect] {
        guard let key = tenures.key(ofShard: shardID), var tenure = tenures[key] else { return [] }
        let effects: [Effect]
        if tenure.shard.hasEnded {
            effects = giveUp(&tenure, now)
        } else {
            effects = route(
                tenure.shard.handle(.shutdownAsked(deadline: now + configuration.shutdownGrace), at: now), &tenure, now)
        }
        tenures[key] = tenure
        return effects
    }

    // MARK: The worker as a whole

    private mutating func shutDown(_ now: Timestamp) -> [Effect] {
        guard !isShuttingDown else { return [] }
        isShuttingDown = true
        var effects: [Effect] = []
        for key in tenures.keys.sorted() {
            if let shardID = tenures[key]?.shard.shardID { effects += releaseRequested(shardID, now) }
        }
        return effects
    }

    private mutating func modeChecked(_ mode: FleetMode, _ now: Timestamp) -> [Effect] {
        guard mode != self.mode else { return [] }
        self.mode = mode
        let changed = Effect.emit(WorkerEvent(.modeChanged, at: .zero, message: "\(mode)"))
        guard let reason = mode.refusal else { return [changed] }
        refusal = reason
        return [changed] + shutDown(now)
    }

    private mutating func nextDeadline(after now: Timestamp) -> Timestamp {
        guard isStarted else { return .never }
        return min(isShuttingDown ? .never : upkeep.nextDeadline(after: now), tenures.nextDeadline(after: now))
    }
}

extension FleetMode {
    /// Why a worker of 2.x rules may not join; `nil` where it may (kcl.md §12.1).
    package var refusal: String? {
        switch self {
        case .takers: nil
        case .upgrading:
            "the fleet is upgrading from KCL 2.x to 3.x; a worker of 2.x rules would block the upgrade"
        case .leaderAssigned(let version):
            "the fleet is in KCL 3.x mode (\(version)): its leader assigns the leases, and a 2.x worker would fight it"
        }
    }
}
