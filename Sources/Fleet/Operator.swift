package import AWSWire
package import Leases
package import Machine

/// What became of a plan.
package enum PlanOutcome: Hashable, Sendable {
    /// Done; the row as it is now, for a lease.
    case written(Item?)
    /// What was confirmed is no longer so; nothing was written. The row as it is now, if there is one.
    case intentGone(Item?)
    /// Nothing was sent.
    case refused(Refusal)
    /// The service or the audit failed; the sentence says whether the write may have happened.
    case failed(String)

    /// The exit status of the command line.
    package var exitStatus: Int32 {
        switch self {
        case .written: 0
        case .failed: 1
        case .intentGone: 3
        case .refused: 4
        }
    }
}

/// How a plan reaches a worker of this process, which alone may take or give up in its own name.
package struct WorkerDoor: Sendable {
    /// Sends the write in the worker's name and begins the tenure with the row that it returns.
    package var steal: @Sendable (_ worker: String, _ write: UpdateItem) async throws(AWSError) -> Item?
    /// Lets the worker checkpoint and release; returns the row afterwards where it is known.
    package var release: @Sendable (_ worker: String, _ leaseKey: String) async throws(AWSError) -> Item?

    package init(
        steal: @escaping @Sendable (_ worker: String, _ write: UpdateItem) async throws(AWSError) -> Item?,
        release: @escaping @Sendable (_ worker: String, _ leaseKey: String) async throws(AWSError) -> Item?
    ) {
        self.steal = steal
        self.release = release
    }
}

/// Performs confirmed plans: reads the row again, checks the intent, sends one conditional write, keeps the audit.
package struct Operator: Sendable {
    let identity: FleetIdentity
    let dynamoDB: DynamoDBClient
    let kinesis: KinesisClient?
    let time: TimeSource
    private let audit: AuditLog
    private let caller: Caller
    private let workers: WorkerDoor?

    /// A live owner moves the counter between our read and our write; more than this is no chance.
    package static let attemptsMax = 3

    package init(
        _ identity: FleetIdentity, dynamoDB: DynamoDBClient, kinesis: KinesisClient?, time: TimeSource,
        audit: AuditLog, caller: Caller, workers: WorkerDoor? = nil
    ) {
        self.identity = identity
        self.dynamoDB = dynamoDB
        self.kinesis = kinesis
        self.time = time
        self.audit = audit
        self.caller = caller
        self.workers = workers
    }

    /// Acts. A person has confirmed `plan`; `reason` is theirs, for the audit.
    package func perform(_ plan: Plan, reason: String? = nil) async -> PlanOutcome {
        guard identity.isWritable else {
            return .refused(
                Refusal(.readOnly, "this is READ-ONLY: \(plan.action.verb) needs --write (and no SHARDTOP_READ_ONLY)"))
        }
        var trail = Trail(
            id: "\(time.wallClock().milliseconds)-\(plan.shardIDs.first ?? "stream")", plan: plan, reason: reason)
        switch plan.call {
        case .update: return await performOnLease(plan, &trail)
        case .put(let item): return await performCreate(plan, item, &trail)
        case .delete(let key, _): return await performDelete(plan, key, &trail)
        case .split, .merge, .scale: return await performOnStream(plan, &trail)
        }
    }

    // MARK: - Leases

    private func performOnLease(_ plan: Plan, _ trail: inout Trail) async -> PlanOutcome {
        guard let key = plan.intent.leaseKey else { return .failed("the plan names no lease") }
        if let outcome = await targetOutcome(plan) { return outcome }
        var row: Item?
        do { row = try await read(key) } catch {
            return .failed("nothing was written: \(error.words(needing: "dynamodb:GetItem"))")
        }
        while true {
            guard let item = row, let lease = LeaseTable.row(item).lease, plan.holds(for: lease) else {
                // Before the first attempt nothing was announced, so there is nothing to take back.
                if trail.attempt > 0 { await conclude(&trail, "nothing written: the lease is no longer as confirmed") }
                return .intentGone(row)
            }
            if trail.attempt == Self.attemptsMax {
                await conclude(&trail, "nothing written: the row changed under every attempt")
                return .intentGone(row)
            }
            trail.attempt += 1
            trail.oldRow = item
            if let refusal = await announce(&trail) { return .refused(refusal) }
            switch await send(plan, lease) {
            case .done(let written, let requestID):
                trail.requestID = requestID
                await conclude(&trail, "written", newRow: written)
                return .written(written)
            case .failed(let error):
                trail.requestID = error.requestID
                switch await afterFailure(of: plan, from: lease, error, attempt: trail.attempt) {
                case .again(let fresh): row = fresh
                case .ended(let outcome, let words):
                    var newRow: Item?
                    if case .written(let item) = outcome { newRow = item }
                    await conclude(&trail, words, newRow: newRow)
                    return outcome
                }
            }
        }
    }

    /// Why the worker that shall have the lease gets nothing; `nil` where it lives, or none shall have it.
    private func targetOutcome(_ plan: Plan) async -> PlanOutcome? {
        guard let place = plan.targetReport, let target = plan.intent.target else { return nil }
        do {
            guard let report = try await place.read(dynamoDB, at: time.wallClock()) else {
                return .refused(Refusal(.staleWorker, "\(target) reports no more: its row is gone from \(place.table)"))
            }
            return report.whyNotATarget.map { .refused(Refusal(.staleWorker, $0)) }
        } catch {
            return .failed(
                "nothing was written: whether \(target) lives cannot be read from \(place.table) (\(error.description))"
            )
        }
    }

    private enum Sent {
        case done(Item?, requestID: String?)
        case failed(AWSError)
    }

    private enum Next {
        case again(Item?)
        case ended(PlanOutcome, String)
    }

    private func send(_ plan: Plan, _ lease: Lease) async -> Sent {
        let table = plan.table
        do throws(AWSError) {
            switch plan.action {
            case .steal(let worker):
                let write = LeaseTable.guarded(LeaseTable.take(table: table, lease, by: worker), as: lease)
                if let workers { return .done(try await workers.steal(worker, write), requestID: nil) }
                return try await send(write)
            case .release(let worker):
                if let workers { return .done(try await workers.release(worker, lease.leaseKey), requestID: nil) }
                return try await send(LeaseTable.release(table: table, lease))
            case .assign(let worker, isHard: true):
                return try await send(LeaseTable.assign(table: table, lease, to: worker))
            case .assign(let worker, isHard: false):
                return try await send(LeaseTable.startHandoff(table: table, lease, to: worker))
            case .completeHandoff:
                return try await send(LeaseTable.assign(table: table, lease, to: lease.leaseOwner ?? ""))
            case .rewind(let checkpoint, _):
                return try await send(LeaseTable.rewind(table: table, lease, to: checkpoint))
            case .undo(let deed):
                return try await send(LeaseTable.rewind(table: table, lease, to: deed.from))
            case .evict, .create, .delete, .uncreate, .undelete, .split, .merge, .scale:
                return try await send(LeaseTable.release(table: table, lease))
            }
        } catch {
            return .failed(error)
        }
    }

    private func send(_ write: UpdateItem) async throws(AWSError) -> Sent {
        let answer = try await dynamoDB.client.send("UpdateItem", write.input, attemptsMax: 1)
        let body = try? JSON.decode(answer.body)
        return .done(body?["Attributes"].flatMap { Item(wire: $0) }, requestID: answer.requestID)
    }

    /// A failed condition brings the row as it is; a lost answer makes us look.
    private func afterFailure(
        of plan: Plan, from lease: Lease, _ error: AWSError, attempt: Int
    ) async -> Next {
        if error.meaning == .conditionFailed, let image = error.conditionImage { return .again(image) }
        let isUnknown = error.mayHaveTakenEffect
        guard error.meaning == .conditionFailed || error.meaning == .throttled || error.meaning == .transient else {
            return .ended(
                .failed("nothing was written: \(error.words(needing: "dynamodb:UpdateItem"))"),
                "failed: \(error.description)")
        }
        if error.meaning != .conditionFailed {
            do { try await time.sleep(for: .milliseconds(150 * attempt)) } catch {
                return .ended(.failed("cancelled"), "cancelled; whether it was written is not known")
            }
        }
        do throws(AWSError) {
            let row = try await read(lease.leaseKey)
            if isUnknown, plan.isDone(row, since: lease) {
                return .ended(.written(row), "written; the answer was lost")
            }
            if isUnknown, plan.mayBeDone(row, since: lease) {
                let words = "whether it was written is not known, the lease went on since: look at the row"
                return .ended(.failed("\(words) (\(error.description))"), "\(words) (\(error.description))")
            }
            if attempt == Self.attemptsMax, error.meaning != .conditionFailed {
                return .ended(.failed("nothing was written: \(error.description)"), "failed: \(error.description)")
            }
            return .again(row)
        } catch {
            let words =
                isUnknown ? "whether it was written is not known: look at the row again" : "nothing was written"
            return .ended(.failed("\(words) (\(error.description))"), "\(words) (\(error.description))")
        }
    }

    func read(_ key: String) async throws(AWSError) -> Item? {
        try await dynamoDB.getItem(identity.table, key: LeaseTable.key(key))
    }

    // MARK: - Streams

    private func performOnStream(_ plan: Plan, _ trail: inout Trail) async -> PlanOutcome {
        guard let kinesis, let call = plan.call.request else {
            return .refused(Refusal(.noStream, "the stream is not known: give --stream"))
        }
        do throws(AWSError) {
            guard call.isStillMeant(ShardTree(try await kinesis.listShards(stream: call.stream))) else {
                return .intentGone(nil)
            }
        } catch {
            return .failed("nothing was sent: \(error.words(needing: "kinesis:ListShards"))")
        }
        trail.attempt = 1
        if let refusal = await announce(&trail) { return .refused(refusal) }
        do throws(AWSError) {
            let answer = try await kinesis.client.send(call.operation, call.input, attemptsMax: 1)
            trail.requestID = answer.requestID
            await conclude(&trail, "accepted")
            return .written(nil)
        } catch {
            trail.requestID = error.requestID
            if error.mayHaveTakenEffect, let shards = try? await kinesis.listShards(stream: call.stream),
                !call.isStillMeant(ShardTree(shards))
            {
                await conclude(&trail, "accepted; the answer was lost")
                return .written(nil)
            }
            await conclude(&trail, "failed: \(error.description)")
            return .failed(
                error.meaning == .inUse
                    ? "\(call.stream) is being changed already, or too often: wait until it is ACTIVE "
                        + "(\(error.description))" : error.words(needing: "kinesis:\(call.operation)"))
        }
    }

    // MARK: - Audit

    struct Trail {
        var id: String
        var plan: Plan
        var reason: String?
        var attempt = 0
        var oldRow: Item?
        var requestID: String?
    }

    private func entry(_ phase: AuditEntry.Phase, _ trail: Trail) -> AuditEntry {
        AuditEntry(
            phase: phase, id: trail.id, at: time.wallClock(), plan: trail.plan, caller: caller, identity: identity,
            reason: trail.reason, oldRow: trail.oldRow, attempt: trail.attempt, requestID: trail.requestID)
    }

    /// No audit, no action.
    func announce(_ trail: inout Trail) async -> Refusal? {
        trail.requestID = nil
        do throws(AuditLog.Failure) {
            try await audit.append(entry(.before, trail).line)
            return nil
        } catch {
            return Refusal(.noAudit, "the audit cannot be kept, so nothing is done: \(error.description)")
        }
    }

    func conclude(_ trail: inout Trail, _ outcome: String, newRow: Item? = nil) async {
        var entry = entry(.after, trail)
        entry.outcome = outcome
        entry.newRow = newRow
        // The deed is done; the line before it stands, and the caller sees the outcome.
        try? await audit.append(entry.line)
    }
}

/// A stream call and how to see whether it still makes sense.
struct StreamRequest {
    var stream: String
    var operation: String
    var input: AWSValue
    var isStillMeant: @Sendable (ShardTree) -> Bool
}

extension Plan.Call {
    /// `nil` for a lease's write.
    var request: StreamRequest? {
        switch self {
        case .update, .put, .delete: return nil
        case .split(let stream, let shard, let key):
            return StreamRequest(
                stream: stream, operation: "SplitShard",
                input: [
                    KinesisClient.member(stream): .string(stream), "ShardToSplit": .string(shard.shardID),
                    "NewStartingHashKey": .string(String(key)),
                ]
            ) { $0[shard.shardID]?.isOpen ?? false }
        case .merge(let stream, let shard, let adjacent):
            return StreamRequest(
                stream: stream, operation: "MergeShards",
                input: [
                    KinesisClient.member(stream): .string(stream), "ShardToMerge": .string(shard.shardID),
                    "AdjacentShardToMerge": .string(adjacent.shardID),
                ]
            ) { ($0[shard.shardID]?.isOpen ?? false) && ($0[adjacent.shardID]?.isOpen ?? false) }
        case .scale(let stream, let from, let to):
            return StreamRequest(
                stream: stream, operation: "UpdateShardCount",
                input: [
                    KinesisClient.member(stream): .string(stream), "TargetShardCount": .int(Int64(to)),
                    "ScalingType": "UNIFORM_SCALING",
                ]
            ) { $0.open.count == from }
        }
    }
}

extension Plan {
    /// Whether `row` shows what the plan wanted, written after `lease` was read.
    func isDone(_ row: Item?, since lease: Lease) -> Bool {
        guard let row, let now = LeaseTable.row(row).lease else { return false }
        // The start of a handover leaves the counter.
        if case .assign(let worker, isHard: false) = action {
            return now.leaseOwner == worker && now.leaseCounter >= lease.leaseCounter
        }
        guard now.leaseCounter > lease.leaseCounter else { return false }
        switch action {
        case .assign(let worker, _): return now.leaseOwner == worker && now.checkpointOwner == nil
        case .completeHandoff: return now.leaseOwner == lease.leaseOwner && now.checkpointOwner == nil
        case .evict, .release:
            return lease.isInHandoff
                ? now.checkpointOwner == nil && now.leaseOwner == lease.leaseOwner
                : now.leaseOwner == nil
        case .steal(let worker): return now.leaseOwner == worker && now.checkpointOwner == nil
        // Somebody may have taken it since.
        case .rewind(let checkpoint, _): return now.checkpoint == checkpoint
        case .undo(let deed): return now.checkpoint == deed.from
        case .create, .delete, .uncreate, .undelete, .split, .merge, .scale: return false
        }
    }

    /// Where it moves the checkpoint to; `nil` where it does not.
    private var position: Checkpoint? {
        switch action {
        case .rewind(let checkpoint, _): checkpoint
        case .undo(let deed): deed.from
        case .evict, .steal, .release, .assign, .completeHandoff, .create, .delete, .uncreate,
            .undelete, .split, .merge, .scale:
            nil
        }
    }

    /// Whether the plan may have been carried out, and the fleet gone on from there: a rewound lease is soon taken and
    /// checkpointed anew.
    func mayBeDone(_ row: Item?, since lease: Lease) -> Bool {
        guard position != nil, let row, let now = LeaseTable.row(row).lease else { return false }
        // Two writes at the least: ours, and that of the one who took it.
        return now.leaseCounter > lease.leaseCounter &+ 1 && !holds(for: now)
    }

    /// The event that a performed plan is, for the log; `nil` where the worker's own engine says it.
    package func event(for outcome: PlanOutcome, at time: UnixTime) -> WorkerEvent? {
        guard case .written(let row) = outcome else { return nil }
        let counter = row.flatMap { LeaseTable.row($0).lease?.leaseCounter }
        switch action {
        case .evict:
            return WorkerEvent(
                .leaseEvicted, at: time, shardID: shardIDs.first,
                previousOwner: intent.checkpointOwner ?? intent.owner, leaseCounter: counter, message: title)
        case .steal, .release: return nil
        case .assign, .completeHandoff:
            return WorkerEvent(
                .operatorAction, at: time, shardID: shardIDs.first,
                previousOwner: intent.checkpointOwner ?? intent.owner, owner: intent.target, leaseCounter: counter,
                message: title)
        case .rewind, .undo, .create, .delete, .uncreate, .undelete:
            var event = WorkerEvent(
                .operatorAction, at: time, shardID: shardIDs.first, previousOwner: intent.owner, message: title)
            event.checkpoint = position
            event.leaseCounter = counter
            return event
        case .split, .merge, .scale:
            return WorkerEvent(.operatorAction, at: time, shardID: shardIDs.first, message: title)
        }
    }
}
