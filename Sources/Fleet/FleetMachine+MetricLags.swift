import AWSWire
import Leases
import Machine

/// Delivered lag of anybody's workers that publish metrics, where somebody asked for it.
extension FleetMachine {
    mutating func dueMetricLags(at now: Timestamp) -> [Effect] {
        guard configuration.measures.contains(.cloudwatch), scans > 0, schedule.nextCloudWatchRead <= now,
            schedule.underWay.insert(.cloudWatch).inserted
        else { return [] }
        var shards: [String] = []
        for place in rows.slots.indices {
            guard let lease = rows.slots[place].lease, !lease.isEnded, !isHidden(rows.slots[place]) else { continue }
            shards.append(lease.leaseKey)
        }
        let chosen = metricLags.choose(shards, at: now)
        guard !chosen.isEmpty else {
            schedule.underWay.remove(.cloudWatch)
            schedule.nextCloudWatchRead = now + MetricLags.interval
            return []
        }
        let end = clock.time(at: now)
        return [.readMetricLags(namespace: configuration.identity.application, shards: chosen, until: end)]
    }

    mutating func metricLagsRead(_ lags: [MetricLag], _ info: CallInfo, at now: Timestamp) {
        clock.note(info, at: now)
        meter.note(info, at: now)
        metricLags.read(lags)
        schedule.underWay.remove(.cloudWatch)
        schedule.nextCloudWatchRead = now + MetricLags.interval
        schedule.isDirty = true
        succeeded(.cloudWatch)
        for lag in lags {
            // What is older than the checkpoint says nothing of what follows it.
            guard let place = rows.position(of: lag.shardID), let lease = rows.slots[place].lease,
                lag.at >= clock.time(at: rows.slots[place].checkpointChangedAt)
            else { continue }
            rows.slots[place].progress.note(
                Progress.Reading(position: lease.checkpoint, lag: Lag(lag.milliseconds, .cloudwatch)), at: now)
        }
    }

    /// How far behind delivery is: as our own engine says it, or its worker to CloudWatch.
    func deliveredLag(of lease: Lease, flow: Flow?, at now: Timestamp, serviceTime: UnixTime) -> Lag? {
        flow?.deliveredLag(at: now) ?? metricLags.lag(of: lease.leaseKey, serviceTime: serviceTime)
    }
}
