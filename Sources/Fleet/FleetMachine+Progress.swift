import Leases
import Machine

/// Read, but not well.
extension FleetMachine {
    func progressFindings(_ views: [LeaseView], at now: Timestamp) -> [Finding] {
        var stuck: [String] = []
        var stuckDrain: [String] = []
        var atRisk: [LeaseView] = []
        var lost: [LeaseView] = []
        let recreated = Set(namesStreams ? streams.all.flatMap(\.recreated) : recreatedShards)
        for view in views where view.kind == .lease && view.state != .ended {
            if isStuck(view, at: now) || isStalled(view) { stuck.append(view.id) }
            if view.state == .drain, (view.checkpointAge ?? .zero) > max(configuration.stuckAfter, .seconds(300)) {
                stuckDrain.append(view.id)
            }
            // The age of a checkpoint of another stream says nothing of this one's records.
            guard let retention = retention(of: view), let lag = view.checkpointLag, !recreated.contains(view.id) else {
                continue
            }
            if lag.milliseconds > retention.wholeMilliseconds {
                lost.append(view)
            } else if lag.milliseconds > retention.wholeMilliseconds / 2 {
                atRisk.append(view)
            }
        }
        var findings: [Finding] = []
        if !stuck.isEmpty {
            findings.append(
                Finding(
                    kind: .stuck, severity: .warning, shardIDs: stuck,
                    message: "\(stuck.briefShards): renewed, but the checkpoint stands though there are records after "
                        + "it",
                    action: .evict))
        }
        if !stuckDrain.isEmpty {
            findings.append(
                Finding(
                    kind: .stuck, subject: "SHARD_END", severity: .warning, shardIDs: stuckDrain,
                    message: "\(stuckDrain.briefShards): closed, but the worker never reaches SHARD_END; does its "
                        + "processor checkpoint in shardEnded?", action: .evict))
        }
        if !atRisk.isEmpty { findings.append(riskFinding(atRisk)) }
        // An estimate alone alarms nobody, so what is measured is said apart from it.
        let measured = lost.filter { $0.checkpointLag.map { !$0.isUpperBound } ?? false }
        let estimated = lost.filter { $0.checkpointLag?.isUpperBound ?? false }
        if !measured.isEmpty { findings.append(lossFinding(measured, isMeasured: true)) }
        if !estimated.isEmpty { findings.append(lossFinding(estimated, isMeasured: false)) }
        return findings
    }

    /// How the reader of a row gets on.
    func progress(of row: Row, _ state: LeaseState, _ pulse: Pulse, at now: Timestamp) -> ProgressView? {
        let attendance: Progress.Attendance =
            switch state {
            case .ended, .blocked, .orphan, .missing, .hole, .learning: .unknown
            // A free lease on its way to a taker is not given up.
            case .free: now - row.ownerSince >= failover.duration ? .nobody : .unknown
            case .expired: .nobody
            case .live, .late, .pending, .drain, .handoff:
                switch pulse {
                case .live, .late: .renewed
                case .none, .learning, .expired: .unknown
                }
            }
        return row.progress.view(attendance, isClosed: state == .drain, patience: configuration.stuckAfter)
    }

    /// What our own engine says is not needed for it, so it is known of anybody's workers. A shard that is closed has a
    /// finding of its own.
    private func isStalled(_ view: LeaseView) -> Bool { view.progress?.judgement == .stalled && view.state != .drain }

    private func isStuck(_ view: LeaseView, at now: Timestamp) -> Bool {
        guard view.state.isConsumed, let age = view.checkpointAge, age > configuration.stuckAfter,
            let place = rows.position(of: view.id), rows.slots[place].hasMovedSinceCheckpoint,
            let flow = flows[view.shardID],
            let lag = flow.deliveredLag(at: now), lag.source == .exact
        else { return false }
        return flow.recordsSinceCheckpoint > 0 && lag.milliseconds > (flow.lagAtCheckpoint ?? 0) + 1000
    }

    private func riskFinding(_ views: [LeaseView]) -> Finding {
        let exact = views.contains { $0.checkpointLag.map { !$0.isUpperBound } ?? false }
        let left = views.compactMap(\.secondsToTrim).min() ?? 0
        return Finding(
            // An idle shard's estimate grows though nothing waits in it, so alone it alarms nobody.
            kind: .dataLossRisk, severity: exact ? (left < 3600 ? .critical : .warning) : .info,
            shardIDs: views.map(\.id),
            message: "\(views.map(\.id).briefShards): the oldest unread record \(exact ? "" : "may ")"
                + "fall\(exact ? "s" : "") out of the retention in \(Duration.seconds(left).brief)"
                + (exact ? "" : " (an estimate; an idle shard looks the same)"))
    }

    private func lossFinding(_ views: [LeaseView], isMeasured: Bool) -> Finding {
        let shards = views.map(\.id)
        let lag = Duration.milliseconds(views.compactMap(\.checkpointLag).max()?.milliseconds ?? 0).brief
        let limit = (views.first.flatMap { retention(of: $0) } ?? .zero).brief
        return Finding(
            kind: .dataLost, subject: isMeasured ? "" : "estimate", severity: isMeasured ? .critical : .info,
            shardIDs: shards,
            message: isMeasured
                ? "\(shards.briefShards): unread for \(lag), longer than the retention of \(limit): records were lost; "
                    + "make the retention longer and find out why nobody read"
                : "\(shards.briefShards): the checkpoint is up to \(lag) old, the retention \(limit): what was unread is "
                    + "lost (an estimate; an idle shard looks the same)")
    }

    /// A shard takes 1 MiB and 1 000 records a second.
    mutating func hotFindings(_ views: [LeaseView], at now: Timestamp) -> [Finding] {
        var hot: [String: Timestamp] = [:]
        var findings: [Finding] = []
        for view in views where view.kind == .lease && view.isOpen ?? true {
            let share = max((view.recordsPerSecond ?? 0) / 1000, (view.bytesPerSecond ?? 0) / 1_048_576)
            guard share >= 0.8, !isCatchingUp(view) else { continue }
            let since = hotSince[view.id] ?? now
            hot[view.id] = since
            let isThrottled = throttledAt[view.shardID] != nil
            guard now - since >= .seconds(8) || isThrottled else { continue }
            findings.append(
                Finding(
                    kind: .hot, subject: view.id, severity: .warning, shardIDs: [view.id],
                    message:
                        "\(view.id.briefShard) takes \(Int((min(share, 9) * 100).rounded())) % of what a shard "
                        + "may: split it", action: .split))
        }
        hotSince = hot
        let throttled = throttledAt.keys.filter { rows.contains($0) || shards?[$0] != nil }.sorted()
        if !throttled.isEmpty {
            findings.append(
                Finding(
                    kind: .throttled, severity: .warning, shardIDs: throttled,
                    message: throttled.compactMap { throttledAt[$0]?.message }.first
                        ?? "\(throttled.briefShards): throttled, calls exceed the shard's limits",
                    action: .split))
        }
        return findings
    }

    /// More is read than is written while a backlog is worked off.
    private func isCatchingUp(_ view: LeaseView) -> Bool {
        let lags = view.history.samples.suffix(4).map(\.lagMilliseconds)
        guard let first = lags.first, let last = lags.last else { return false }
        return last < first - 500
    }
}
