import AWSWire
import KinesisConsumer
import Leases
import Machine
import Synchronization

/// One processor: from its making to its last call.
struct Tenure: Sendable {
    enum Phase: Sendable {
        case made, initialized, requested, over, crashed
    }

    var owner: Referee.Incarnation
    var shardID: String
    var phase = Phase.made
    /// The call that is running.
    var call: String?
    var last: Checkpoint?
    var initializedAt: Timestamp?
    var retriesFailedBatches: Bool
    /// Why its records may have been delivered before.
    var cause = "release"
}

/// What processors see.
extension Referee {
    func stored(_ shardID: String, _ sequenceNumber: SequenceNumber, count: Int, payload: Int) {
        state.withLock { state in
            state.shards[shardID, default: ShardHistory()].store(sequenceNumber, count: count, payload: payload)
            state.report.records += count
        }
    }

    func made(shardID: String, owner: Incarnation, retriesFailedBatches: Bool) -> Int {
        state.withLock { state in
            state.report.tenures += 1
            var tenure = Tenure(owner: owner, shardID: shardID, retriesFailedBatches: retriesFailedBatches)
            tenure.cause = state.causes.removeValue(forKey: shardID) ?? "lost answer"
            state.tenures[state.report.tenures] = tenure
            return state.report.tenures
        }
    }

    /// A call of the processor begins.
    func begins(_ call: String, _ id: Int) {
        state.withLock { state in
            guard var tenure = state.tenures[id] else { return }
            note("\(tenure.owner.workerID)#\(tenure.owner.number) \(call) \(tenure.shardID)")
            let isLegal: Bool
            switch (call, tenure.phase) {
            case ("initialize", .made), ("processRecords", .initialized), ("shutdownRequested", .initialized),
                ("leaseLost", .initialized), ("leaseLost", .requested), ("shardEnded", .initialized),
                ("shardEnded", .requested):
                isLegal = tenure.call == nil
            // A crashed worker's last job may still be on its way.
            case (_, .crashed): isLegal = true
            // Java ends processors that it never initialized, and asks one twice whose last checkpoint failed.
            case (_, .made), (_, .requested): isLegal = tenure.call == nil && isJava(tenure.owner, state)
            default: isLegal = false
            }
            if !isLegal {
                let running = tenure.call.map { " while \($0) runs" } ?? ""
                report(
                    .callbackOrder,
                    "\(tenure.owner.workerID) calls \(call) of \(tenure.shardID) in phase \(tenure.phase)\(running)",
                    &state)
            }
            tenure.call = call
            state.tenures[id] = tenure
        }
    }

    /// The call returned; `failed` when it threw.
    func ends(_ call: String, _ id: Int, failed: Bool = false) {
        state.withLock { state in
            guard var tenure = state.tenures[id], tenure.phase != .crashed else { return }
            tenure.call = nil
            if !failed {
                switch call {
                case "initialize":
                    tenure.phase = .initialized
                    tenure.initializedAt = now
                    checkRelease(tenure, &state)
                case "shutdownRequested": tenure.phase = .requested
                case "leaseLost": tenure.phase = .over
                // It is called again until its checkpoint succeeds.
                case "shardEnded": tenure.phase = .over
                default: break
                }
            } else if call == "shutdownRequested" {
                tenure.phase = .requested
            }
            state.tenures[id] = tenure
        }
    }

    func delivered(_ id: Int, _ records: [Record]) {
        state.withLock { state in
            guard var tenure = state.tenures[id], tenure.phase != .crashed else { return }
            checkFence(tenure, &state)
            checkParents(tenure, &state)
            guard var history = state.shards.removeValue(forKey: tenure.shardID) else {
                report(.dataIntact, "\(tenure.shardID) delivers records that nobody put", &state)
                return
            }
            for record in records {
                if let last = tenure.last, record.checkpoint <= last {
                    report(
                        .orderWithinTenure, "\(tenure.shardID) delivers \(record.checkpoint) after \(last)", &state)
                }
                tenure.last = record.checkpoint
                guard let place = history.place(of: record) else {
                    report(.dataIntact, "\(tenure.shardID) \(record.checkpoint) is not what was put", &state)
                    continue
                }
                state.report.deliveries += 1
                if history.deliveries[place] > 0 {
                    state.report.duplicates += 1
                    state.report.duplicatesByCause[tenure.cause, default: 0] += 1
                }
                history.deliveries[place] += 1
            }
            state.shards[tenure.shardID] = history
            state.tenures[id] = tenure
        }
    }

    /// The call with `records` threw: where failed batches are retried they count as not delivered.
    func threw(_ id: Int, _ records: [Record], before: Checkpoint?) {
        state.withLock { state in
            guard let tenure = state.tenures[id], tenure.retriesFailedBatches,
                var history = state.shards.removeValue(forKey: tenure.shardID)
            else { return }
            for record in records {
                if let place = history.place(of: record) { history.deliveries[place] -= 1 }
            }
            state.shards[tenure.shardID] = history
            state.tenures[id]?.last = before
        }
    }

    /// The processor asks for a checkpoint: at `position`, or at what was delivered last.
    func asks(_ id: Int, for position: Checkpoint? = nil) {
        state.withLock { state in
            guard let tenure = state.tenures[id], let position = position ?? tenure.last else { return }
            let before = state.asked[tenure.shardID]?[tenure.owner] ?? position
            state.asked[tenure.shardID, default: [:]][tenure.owner] = max(before, position)
        }
    }

    func isJava(_ id: Int) -> Bool {
        state.withLock { state in state.tenures[id].map { isJava($0.owner, state) } ?? false }
    }

    func last(_ id: Int) -> Checkpoint? { state.withLock { $0.tenures[id]?.last } }

    private func checkFence(_ tenure: Tenure, _ state: inout State) {
        // Java finds out once a second, and never before a batch.
        if isJava(tenure.owner, state) { return }
        let failoverTime = failoverTime(of: tenure.owner, state)
        guard let confirmed = state.confirmed[tenure.shardID]?[tenure.owner] else {
            report(
                .nothingAfterTheFence,
                "\(tenure.owner.workerID) delivers \(tenure.shardID), which it never took or has released", &state)
            return
        }
        if now > confirmed + failoverTime + tolerance(failoverTime) {
            report(
                .nothingAfterTheFence,
                "\(tenure.owner.workerID) delivers \(tenure.shardID) "
                    + "\((now - confirmed).wholeMilliseconds) ms after its last renewal was sent", &state)
        }
    }

    private func checkParents(_ tenure: Tenure, _ state: inout State) {
        for parent in state.leases[tenure.shardID]?.parentShardIDs ?? [] {
            if let lease = state.leases[parent], !lease.isEnded {
                report(
                    .parentsBeforeChildren,
                    "\(tenure.shardID) delivers while its parent \(parent) is at \(lease.checkpoint)", &state)
            } else if let history = state.shards[parent],
                let missing = history.firstUndelivered(below: history.deliveries.count)
            {
                report(
                    .parentsBeforeChildren,
                    "\(tenure.shardID) delivers before \(history.name(missing)) of its parent \(parent)", &state)
            }
        }
    }
}

extension ShardHistory {
    /// The index of a record in `deliveries`; `nil` where it is not what was put.
    func place(of record: Record) -> Int? {
        guard let index = indexes[record.sequenceNumber] else { return nil }
        let stored = stored[index]
        let sub = Int(clamping: record.subSequenceNumber)
        guard sub < stored.count, record.isAggregated == stored.isAggregated,
            record.data.text == "record \(stored.payload + sub)"
        else { return nil }
        return stored.offset + sub
    }
}
