import AWSWire
import Leases
import Machine

extension FleetMachine {
    /// Our own engine, an operator or the program says something.
    mutating func happened(_ event: WorkerEvent, at now: Timestamp) {
        schedule.isDirty = true
        if let shard = event.shardID { flowed(event, shard, at: now) }
        if event.kind == .childOutput {
            for event in outputGate.take(event, at: now) { log.append(event, at: now) }
        } else if !isForCountingOnly(event) {
            log.append(event, at: now)
        }
    }

    private mutating func flowed(_ event: WorkerEvent, _ shard: String, at now: Timestamp) {
        switch event.kind {
        case .processorFailed where event.isStopped: stoppedShards[shard] = event.message ?? ""
        case .leaseTaken, .leaseStolen, .initialized, .leaseLost, .leaseReleased, .shardEnded:
            stoppedShards[shard] = nil
        default: break
        }
        switch event.kind {
        case .recordsProcessed:
            flows[shard, default: Flow(at: now)].delivered(event, at: now)
        case .checkpointed:
            if var flow = flows[shard] {
                flow.recordsSinceCheckpoint = 0
                flow.lagAtCheckpoint = flow.deliveredLag(at: now)?.milliseconds
                flows[shard] = flow
            }
        case .leaseLost, .leaseReleased, .shardEnded:
            if let flow = flows[shard], flow.workerID == nil || flow.workerID == event.workerID { flows[shard] = nil }
            if event.kind == .shardEnded {
                schedule.nextShardList = min(schedule.nextShardList, earliestShardList(at: now))
            }
        case .childLeaseCreated:
            schedule.nextShardList = min(schedule.nextShardList, earliestShardList(at: now))
        case .throttled:
            throttledAt[shard] = (now, event.message)
        default: break
        }
    }

    /// What happens several times a second changes figures; in the log it would bury the rest.
    private func isForCountingOnly(_ event: WorkerEvent) -> Bool {
        switch event.kind {
        case .recordsProcessed, .checkpointed: true
        // One line for a shard that goes on being throttled.
        case .throttled:
            log.last.map { $0.kind == .throttled && $0.shardID == event.shardID } ?? false
        default: false
        }
    }

    /// Once a second: closes the running rates; every history interval: appends to the histories.
    mutating func sample(at now: Timestamp) {
        guard schedule.nextSample <= now else { return }
        for shard in Array(flows.keys) { flows[shard]?.sample(at: now) }
        if !flows.isEmpty || children.isWaiting { schedule.isDirty = true }
        throttledAt = throttledAt.filter { now - $0.value.at < .seconds(30) }
        let tick = configuration.historyInterval
        let isHistoryDue = (now - startedAt).wholeNanoseconds / max(1, tick.wholeNanoseconds) != historyTicks
        if isHistoryDue, scans > 0 {
            historyTicks = (now - startedAt).wholeNanoseconds / max(1, tick.wholeNanoseconds)
            appendHistories(at: now)
        }
        let step: Duration = flows.isEmpty && !children.isWaiting ? max(.seconds(1), tick) : .seconds(1)
        schedule.nextSample = now + step
    }

    private mutating func appendHistories(at now: Timestamp) {
        let serviceTime = clock.time(at: now)
        var largest: Float = .nan
        for place in rows.slots.indices {
            guard let lease = rows.slots[place].lease, !lease.isEnded else { continue }
            let flow = flows.isEmpty ? nil : flows[lease.shardID]
            let lag =
                deliveredLag(of: lease, flow: flow, at: now, serviceTime: serviceTime)
                ?? checkpointLag(of: lease, flow: flow, at: now, serviceTime: serviceTime)
            let value = lag.map { Float($0.milliseconds) } ?? .nan
            if let lag, lag.source != .estimate, !isHidden(rows.slots[place]), !(largest >= value) { largest = value }
            let sample = History.Sample(
                lagMilliseconds: value, recordsPerSecond: flow.map { Float($0.recordsPerSecond) } ?? .nan)
            rows.slots[place].history.append(sample)
        }
        lagHistory.append(History.Sample(lagMilliseconds: largest, recordsPerSecond: .nan))
    }

    var emptyHistory: History {
        History(interval: configuration.historyInterval, capacity: configuration.historyCapacity)
    }
}
