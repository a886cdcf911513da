import AWSWire
import Leases
import Machine

/// A problem before it is known since when it lasts.
struct Finding {
    var kind: Problem.Kind
    /// Beside the kind, what makes it this problem and no other: a worker, a shard.
    var subject = ""
    var severity: Severity
    var shardIDs: [String] = []
    var workerID: String?
    /// Where the rows themselves tell how long it lasts.
    var age: Duration?
    /// It is not said before it lasted so long: states on the way to another are no problem.
    var patience: Duration = .zero
    var message: String
    var action: ProblemAction?
}

extension FleetMachine {
    /// What is wrong, most severe first.
    mutating func problems(
        _ views: [LeaseView], survey: Survey, otherRows: [OtherRow], at now: Timestamp
    ) -> [Problem] {
        let time = clock.time(at: now)
        var findings = failureFindings(survey, at: now)
        if scans > 0 {
            let suspects = suspects(among: views)
            findings += ownershipFindings(suspects, at: now)
            findings += coverageFindings(suspects, survey)
            findings += progressFindings(suspects, at: now)
            findings += hotFindings(suspects, at: now)
            findings += rowFindings(otherRows)
        }
        findings += stoppedFindings()
        findings += childFindings(at: now)
        var since: [String: UnixTime] = [:]
        var problems: [Problem] = []
        for finding in findings {
            let id = finding.subject.isEmpty ? finding.kind.rawValue : "\(finding.kind.rawValue):\(finding.subject)"
            var start = problemSince[id] ?? time
            if let age = finding.age { start = min(start, time + (.zero - age)) }
            since[id] = start
            guard time - start >= finding.patience else { continue }
            problems.append(
                Problem(
                    id: id, kind: finding.kind, severity: finding.severity, since: start, age: time - start,
                    shardIDs: finding.shardIDs.sorted(), workerID: finding.workerID, message: finding.message,
                    action: finding.action))
        }
        problemSince = since
        return problems.sorted { ($1.severity, $0.since, $0.id) < ($0.severity, $1.since, $1.id) }
    }

    /// The rows that a finding may be about; in a healthy fleet few, so that the findings cost little.
    private func suspects(among views: [LeaseView]) -> [LeaseView] {
        let lagMax = retention.map { $0.wholeMilliseconds / 2 } ?? .max
        var suspects: [LeaseView] = []
        // By index: a loop over the elements would copy each.
        for index in views.indices {
            switch views[index].state {
            case .ended: continue
            case .free, .expired, .handoff, .missing, .hole, .orphan, .blocked, .drain:
                suspects.append(views[index])
            case .live, .late, .learning, .pending:
                let isFlowing = views[index].recordsPerSecond != nil || (views[index].bytesPerSecond ?? 0) >= 800_000
                let isBehind = views[index].checkpointLag.map { $0.milliseconds > lagMax } ?? false
                if isFlowing || isBehind { suspects.append(views[index]) }
            }
        }
        return suspects
    }

    /// Our own engine keeps the lease and processes nothing: nobody else ever will, until somebody looks.
    private func stoppedFindings() -> [Finding] {
        stoppedShards.sorted { $0.key < $1.key }.map { shard, why in
            Finding(
                kind: .stuck, subject: shard, severity: .critical, shardIDs: [shard],
                message: "\(shard.briefShard): processing is stopped: \(why)", action: .evict)
        }
    }

    // MARK: - Nobody reads

    private func ownershipFindings(_ views: [LeaseView], at now: Timestamp) -> [Finding] {
        var free: [LeaseView] = []
        var oldestFree = Duration.zero
        var expired: [String: [LeaseView]] = [:]
        var stuckHandoffs: [String] = []
        let patience = failover.duration * 2.5
        for view in views {
            switch view.state {
            case .free:
                let age = freeAge(view, at: now)
                if age > patience {
                    free.append(view)
                    oldestFree = max(oldestFree, age)
                }
            case .expired: expired[view.owner ?? "", default: []].append(view)
            case .handoff:
                if case .handingOver(_, _, let since) = view.reason, since > .seconds(45),
                    (view.checkpointAge ?? .zero) > .seconds(45)
                {
                    stuckHandoffs.append(view.shardID)
                }
            default: break
            }
        }
        var findings: [Finding] = []
        if !free.isEmpty {
            let who = free.count == 1 ? free[0].shardID.briefShard : "\(free.count) shards"
            findings.append(
                Finding(
                    kind: .unowned, severity: oldestFree > failover.duration * 6 ? .critical : .warning,
                    shardIDs: free.map(\.shardID), age: oldestFree,
                    message:
                        "\(who) unowned for \(oldestFree.brief): no worker takes \(free.count == 1 ? "it" : "them")",
                    action: ownWorkers.isEmpty ? nil : .steal))
        }
        for (owner, leases) in expired.sorted(by: { $0.key < $1.key }) {
            findings.append(expiredFinding(owner, leases))
        }
        if !stuckHandoffs.isEmpty {
            findings.append(
                Finding(
                    kind: .handoffStuck, severity: .warning, shardIDs: stuckHandoffs,
                    message:
                        "\(stuckHandoffs.briefShards): the handover does not end, the old owner renews and reads on",
                    action: .evict))
        }
        return findings
    }

    private func freeAge(_ view: LeaseView, at now: Timestamp) -> Duration {
        if case .unowned(let since?, _) = view.reason { return since }
        return rows[view.id].map { now - $0.firstSeen } ?? .zero
    }

    private func expiredFinding(_ owner: String, _ leases: [LeaseView]) -> Finding {
        let quiet = leases.map { view -> Duration in
            if case .expired(let since, _) = view.reason { since } else { .zero }
        }.max()
        let lag = leases.compactMap(\.checkpointLag).max()
        let count = leases.count == 1 ? "its lease" : "its \(leases.count) leases"
        return Finding(
            kind: .expired, subject: owner,
            severity: (quiet ?? .zero) > failover.duration * 3 ? .critical : .warning,
            shardIDs: leases.map(\.shardID), workerID: owner, age: quiet,
            message: "\(owner) is gone: no renewal for \((quiet ?? .zero).brief), \(count) wait for a taker"
                + (lag.map { ", up to \(Duration.milliseconds($0.milliseconds).brief) unread" } ?? ""),
            action: ownWorkers.isEmpty ? .evict : .steal)
    }

    // MARK: - Shards and leases that do not match

    private func coverageFindings(_ views: [LeaseView], _ survey: Survey) -> [Finding] {
        var findings: [Finding] = []
        let missing = views.filter { $0.state == .missing }
        if !missing.isEmpty {
            if survey.leaseCount == 0 {
                findings.append(
                    Finding(
                        kind: .missing, severity: .warning, shardIDs: missing.map(\.shardID),
                        message:
                            "the table holds no lease yet: no worker has run, all \(missing.count) shards are unread"))
            } else {
                findings.append(
                    Finding(
                        kind: .missing, severity: .critical, shardIDs: missing.map(\.shardID),
                        patience: max(.seconds(5), refreshInterval * 2),
                        message: "\(missing.map(\.shardID).briefShards): open without a lease, so nobody reads; KCL's "
                            + "shard sync makes one within about 6 minutes"))
            }
        }
        let holes = views.filter { $0.state == .hole }
        if !holes.isEmpty {
            findings.append(
                Finding(
                    kind: .hole, severity: .critical,
                    message:
                        "\(holes.count == 1 ? "a hash range" : "\(holes.count) hash ranges") that no lease covers: "
                        + "records there are read by nobody"))
        }
        let orphans = views.filter { $0.state == .orphan }
        if !orphans.isEmpty {
            findings.append(
                Finding(
                    kind: .orphan, severity: .warning, shardIDs: orphans.map(\.shardID),
                    message: "\(orphans.map(\.shardID).briefShards): the stream has no such shard any more; workers "
                        + "delete such leases within about 30 minutes"))
        }
        var unread: [String: [String]] = [:]
        for view in views where view.state == .blocked {
            guard case .waitsForUnread(let parents) = view.reason else { continue }
            for parent in parents { unread[parent, default: []].append(view.shardID) }
        }
        for (parent, children) in unread.sorted(by: { $0.key < $1.key }) {
            findings.append(
                Finding(
                    kind: .blocked, subject: parent, severity: .warning, shardIDs: children,
                    patience: failover.duration,
                    message:
                        "\(children.briefShards) cannot start: \(parent.briefShard), the parent, is read by nobody",
                    action: ownWorkers.isEmpty ? .evict : .steal))
        }
        return findings
    }

    // MARK: - Read, but not well

    private func progressFindings(_ views: [LeaseView], at now: Timestamp) -> [Finding] {
        var stuck: [String] = []
        var stuckDrain: [String] = []
        var atRisk: [LeaseView] = []
        for view in views where view.kind == .lease && view.state != .ended {
            if isStuck(view, at: now) { stuck.append(view.shardID) }
            if view.state == .drain, (view.checkpointAge ?? .zero) > max(configuration.stuckAfter, .seconds(300)) {
                stuckDrain.append(view.shardID)
            }
            if let retention, let lag = view.checkpointLag,
                lag.milliseconds > retention.wholeMilliseconds / 2
            {
                atRisk.append(view)
            }
        }
        var findings: [Finding] = []
        if !stuck.isEmpty {
            findings.append(
                Finding(
                    kind: .stuck, severity: .warning, shardIDs: stuck,
                    message: "\(stuck.briefShards): renewed and read, but the checkpoint stands and the lag grows",
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
        return findings
    }

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
            shardIDs: views.map(\.shardID),
            message: "\(views.map(\.shardID).briefShards): the oldest unread record \(exact ? "" : "may ")"
                + "fall\(exact ? "s" : "") out of the retention in \(Duration.seconds(left).brief)"
                + (exact ? "" : " (an estimate; an idle shard looks the same)"))
    }

    /// A shard takes 1 MiB and 1 000 records a second.
    private mutating func hotFindings(_ views: [LeaseView], at now: Timestamp) -> [Finding] {
        var hot: [String: Timestamp] = [:]
        var findings: [Finding] = []
        for view in views where view.kind == .lease && view.isOpen ?? true {
            let share = max((view.recordsPerSecond ?? 0) / 1000, (view.bytesPerSecond ?? 0) / 1_048_576)
            guard share >= 0.8, !isCatchingUp(view) else { continue }
            let since = hotSince[view.shardID] ?? now
            hot[view.shardID] = since
            let isThrottled = throttledAt[view.shardID] != nil
            guard now - since >= .seconds(8) || isThrottled else { continue }
            findings.append(
                Finding(
                    kind: .hot, subject: view.shardID, severity: .warning, shardIDs: [view.shardID],
                    message:
                        "\(view.shardID.briefShard) takes \(Int((min(share, 9) * 100).rounded())) % of what a shard "
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

    // MARK: - What cannot be read

    private func rowFindings(_ rows: [OtherRow]) -> [Finding] {
        let odd = rows.filter { $0.oddity != nil }
        guard let first = odd.first else { return [] }
        return [
            Finding(
                kind: .oddRow, severity: .warning, shardIDs: odd.map(\.key),
                message: "\(odd.count == 1 ? "row" : "\(odd.count) rows, first") \(first.key): \(first.oddity ?? ""); "
                    + "workers may stumble over it")
        ]
    }

    private func failureFindings(_ survey: Survey, at now: Timestamp) -> [Finding] {
        var findings: [Finding] = []
        let table = configuration.identity.table
        if let notALeaseTable {
            findings.append(
                Finding(
                    kind: .table, severity: .critical,
                    message: "\(table) is not a lease table: \(notALeaseTable); give the application's own with --table"
                ))
        }
        for what in [Failing.scan, .shards, .stream, .table, .migration] {
            guard let failing = failures[what] else { continue }
            findings.append(failureFinding(what, failing.failure, count: failing.count))
        }
        if survey.isStreamForeign, let stream = configuration.identity.stream {
            findings.append(
                Finding(
                    kind: .stream, subject: "foreign", severity: .warning,
                    message: "no lease of \(table) is for a shard of \(stream): is it the right stream?"))
        }
        let offset = clock.offset
        if offset != .zero {
            let isAhead = offset < .zero
            findings.append(
                Finding(
                    kind: .clock, severity: .info,
                    message: "this machine's clock is \((isAhead ? .zero - offset : offset).brief) "
                        + "\(isAhead ? "ahead of" : "behind") the service's; times are shown by the service's"))
        }
        return findings
    }

    private func failureFinding(_ what: Failing, _ failure: FleetFailure, count: Int) -> Finding {
        let isOptional = what == .table || what == .migration
        if failure.meaning == .denied, isOptional {
            return Finding(
                kind: .denied, subject: "\(what)", severity: .info, message: "\(failure.message); shown without it")
        }
        if failure.meaning == .throttled {
            return Finding(
                kind: .throttled, subject: "\(what)", severity: .warning, message: failure.message)
        }
        let isPassing = failure.meaning == .transient && count < 3
        let severity: Severity = isOptional ? .info : isPassing ? .warning : .critical
        let kind: Problem.Kind = what == .shards || what == .stream ? .stream : .table
        return Finding(kind: kind, subject: "\(what)", severity: severity, message: failure.message)
    }
}

extension String {
    /// `…0017` for `shardId-000000000017`: as people and the screen name a shard.
    package var briefShard: String {
        guard hasPrefix("shardId-"), utf8.count > 12 else { return self }
        let digits = dropFirst(8).drop { $0 == "0" }
        return digits.count > 4 ? "…\(digits)" : "…\(suffix(4))"
    }
}

extension [String] {
    /// The first three shards, and how many more.
    var briefShards: String {
        let shown = sorted().prefix(3).map(\.briefShard).joined(separator: ", ")
        return count > 3 ? "\(shown) and \(count - 3) more" : shown
    }
}
