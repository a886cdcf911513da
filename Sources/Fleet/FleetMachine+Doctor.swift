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
    /// Of a table that names its streams: the one concerned, where it is one.
    var stream: String?
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
        _ views: [LeaseView], survey: Survey, workers: [WorkerView], otherRows: [OtherRow], at now: Timestamp
    ) -> [Problem] {
        let time = clock.time(at: now)
        var findings = failureFindings(at: now)
        if scans > 0 {
            let suspects = suspects(among: views)
            findings += ownershipFindings(suspects, at: now)
            findings += coverageFindings(suspects, survey)
            findings += recreatedFindings()
            findings += progressFindings(suspects, at: now)
            findings += hotFindings(suspects, at: now)
            findings += balanceFindings(workers, views, at: now)
            findings += leaderFindings(workers, at: now)
            findings += reportFindings(at: now)
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
                    shardIDs: finding.shardIDs.sorted(), workerID: finding.workerID, stream: finding.stream,
                    message: finding.message, action: finding.action))
        }
        problemSince = since
        return problems.sorted { ($1.severity, $0.since, $0.id) < ($0.severity, $1.since, $1.id) }
    }

    /// The rows that a finding may be about; in a healthy fleet few, so that the findings cost little.
    private func suspects(among views: [LeaseView]) -> [LeaseView] {
        let lagMax = shortestRetention.map { $0.wholeMilliseconds / 2 } ?? .max
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
                let isStalled = views[index].progress?.judgement == .stalled
                if isFlowing || isBehind || isStalled { suspects.append(views[index]) }
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
}

extension String {
    /// `…0017` for `shardId-000000000017`: as people and the screen name a shard.
    /// In a table of several streams the name of the stream goes in front.
    package var briefShard: String {
        if let stream = StreamID(leaseKey: self), let colon = lastIndex(of: ":") {
            return "\(stream.name):\(String(self[index(after: colon)...]).briefShard)"
        }
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
