import AWSWire
import Leases
import Machine

/// Measured lag for anybody's workers, where somebody asked for it.
extension FleetMachine {
    /// After a scan: which shards there are to be probed.
    mutating func planProbes(at now: Timestamp) {
        guard configuration.measures.contains(.probe), !isProbeDenied else { return }
        let given = namesStreams ? nil : configuration.identity.stream
        guard given != nil || namesStreams else { return }
        let addresses = streams.all.map { isProbed($0) ? address(of: $0.id) : nil }
        if !namesStreams, case .foreign? = streamMatch { return probes.clear() }
        var candidates: [(LagProbe, Bool)] = []
        for place in rows.slots.indices {
            let row = rows.slots[place]
            guard let lease = row.lease, let stream = row.stream.map({ addresses[$0] }) ?? given,
                row.shard != nil || row.stream == nil && currentShards == nil
            else { continue }
            switch lease.checkpoint.position {
            case .sequenceNumber, .trimHorizon: break
            // Where reading begins is not known before it does.
            case .latest, .atTimestamp, .shardEnd: continue
            }
            let stands = now - row.checkpointChangedAt >= configuration.stuckAfter / 2
            candidates.append(
                (
                    LagProbe(
                        stream: stream, leaseKey: lease.leaseKey, shardID: lease.shardID, checkpoint: lease.checkpoint),
                    lease.leaseOwner == nil || stands
                ))
        }
        probes.plan(candidates, at: now)
    }

    /// Only where the stream is listed: reading a shard that is not there is a call for nothing.
    private func isProbed(_ stream: NamedStream) -> Bool {
        stream.isWanted && stream.shards != nil && !stream.isForeign
    }

    mutating func dueProbes(at now: Timestamp) -> [Effect] {
        var effects: [Effect] = []
        while let probe = probes.due(at: now) { effects.append(.probe(probe)) }
        return effects
    }

    mutating func probed(_ probe: LagProbe, _ answer: LagProbe.Answer, _ info: CallInfo, at now: Timestamp) {
        clock.note(info, at: now)
        meter.note(info, at: now)
        let time = clock.time(at: now)
        probes.answered(probe, answer, time: time, at: now)
        succeeded(.probe)
        schedule.isDirty = true
        guard let place = rows.position(of: probe.leaseKey), let lease = rows.slots[place].lease,
            lease.checkpoint == probe.checkpoint,
            let lag = probes.lag(of: probe.leaseKey, lease.checkpoint, serviceTime: time, at: now)
        else { return }
        rows.slots[place].progress.note(Progress.Reading(position: lease.checkpoint, lag: lag), at: now)
    }

    mutating func probeFailed(_ probe: LagProbe, _ error: AWSError, _ info: CallInfo, at now: Timestamp) {
        probes.failed(probe, isThrottled: error.meaning == .throttled, at: now)
        switch error.meaning {
        case .denied, .unauthenticated:
            isProbeDenied = error.meaning == .denied
            probes.clear()
            failed(.probe, error, info, at: now)
        // A shard may be gone since the scan, and the real readers come first: no reason for a word.
        case .throttled, .transient, .notFound, .inUse, .clockSkewed, .invalid, .conditionFailed, .expiredIterator,
            .cancelled:
            meter.note(info, at: now)
        }
    }

    /// How far behind the latest record a lease's checkpoint is: as our own engine says it, as it was measured, or by
    /// the time inside it.
    func checkpointLag(of lease: Lease, flow: Flow?, at now: Timestamp, serviceTime: UnixTime) -> Lag? {
        let lag = Fleet.checkpointLag(lease.checkpoint, flow: flow, at: now, serviceTime: serviceTime)
        if let lag, !lag.isUpperBound { return lag }
        return probes.lag(of: lease.leaseKey, lease.checkpoint, serviceTime: serviceTime, at: now) ?? lag
    }
}
