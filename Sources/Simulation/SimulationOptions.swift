package import Machine

/// How big a simulated fleet is, and for how long things go wrong.
package struct SimulationOptions: Hashable, Sendable {
    package var shards = 16
    package var workers = 5
    /// So many of the workers are Java ones.
    package var javaWorkers = 0
    /// Whether cleanup, audits and elections of Java workers come as often as in KCL, and not oftener for a short run;
    /// the seed decides where this is `nil`.
    package var hasRealJavaConstants: Bool?
    /// How long incidents and faults go on, in virtual time; afterwards everything has to come to rest.
    package var turmoil: Duration = .seconds(90)
    /// How long the fleet may take to come to rest, as a multiple of its failover time. A worker that joined last
    /// steals one lease in two failover times.
    package var restWithin = 40
    /// The part of the workers that read by enhanced fan-out, all as one consumer; the others poll.
    package var fanOut = 0.0
    /// Breaks the engine on purpose; some invariant must notice.
    package var sabotage: Sabotage?
    /// Ends the run at the first violation: enough to prove that a sabotage is noticed.
    package var stopsAtViolation = false
    /// Virtual minutes after which a run that does not end is given up.
    package var minutesMax = 60

    package init() {}
}

/// A rule of the fleet that must hold for every seed.
package enum Invariant: String, Hashable, Sendable, CaseIterable {
    /// Every record is handed to a processor at least once.
    case deliveredAtLeastOnce
    /// When a checkpoint is stored, everything up to and with it was handed over, in a call that did not fail.
    case nothingBelowCheckpointSkipped
    /// No checkpoint goes further than the application asked, which may be inside of an aggregate.
    case storedAsAsked
    /// Within a tenure records come in order, each once, unless a call failed.
    case orderWithinTenure
    /// A record comes back as it was put.
    case dataIntact
    /// No record of a child before every parent's lease is SHARD_END or gone, and all its records were handed over.
    case parentsBeforeChildren
    case counterNeverFalls
    /// The committed (sequence number, sub-sequence number) never falls, across tenures.
    case checkpointNeverFalls
    /// A lease that is taken as expired has no holder left that may still deliver.
    case oneUnfencedProcessor
    /// No batch is handed over later than the failover time after the last successful renewal was sent.
    case nothingAfterTheFence
    /// Who holds no lease of a shard does not subscribe to it.
    case holderSubscribes
    /// Who does not hold the lease changes no checkpoint.
    case zombieNeverCheckpoints
    /// SHARD_END is stored only after every child has a lease.
    case childrenBeforeShardEnd
    case deletedOnlyAtShardEnd
    /// initialize, processRecords*, shutdownRequested?, then one of leaseLost or shardEnded; one call at a time.
    case callbackOrder
    /// At rest the numbers of active leases of two workers differ by one at most.
    case balancedAtRest
    /// At rest no lease changes hands.
    case quietAtRest
    /// At rest nobody of ours takes a lease that nobody ever owned and has more than its share then; what nobody came
    /// for in three failover times is anybody's.
    case newLeasesUpToTarget
    /// At rest the fleet reads the lease table no more often than `Referee.tableReadsPerSecondMax`.
    case readBudget
    /// A killed worker's leases run elsewhere within 1.2 × failover time + 2 s (+ the age of stale reads).
    case failoverTime
    /// Released leases run elsewhere within 2 s (+ the age of stale reads).
    case releaseTime
    /// A Java worker reads every row that is ever written.
    case readableByJava
    /// No Java worker meets what it logs as an error, unless a service failed: a row that it cannot read, a lease that
    /// vanishes before its consumer starts, a counter that goes back, a lease of nobody that it wants to steal. Where
    /// it was robbed and has not heard of it, its errors are KCL's own: a Java thief causes them as well. So are those
    /// of a taker after a slow scan whose prey was cleaned up since, and of a cleanup that read the parent before
    /// another's deleted it and then its ended child, as KCL's own cleanup does, and what follows from a read that does
    /// not show yet what is there.
    case javaLogsNoError
    /// A worker ends only when it is told to, and then it does.
    case workerRuns
    /// Everything stays on the simulator's thread and comes to an end.
    case simulationHolds
}

/// One breach of an invariant.
package struct Violation: Hashable, Sendable, CustomStringConvertible {
    package var invariant: Invariant
    /// True time since the start.
    package var at: Timestamp
    package var message: String

    package var description: String {
        let milliseconds = (at - .zero).wholeMilliseconds
        return "\(invariant.rawValue) at \(Double(milliseconds) / 1000) s: \(message)"
    }
}

/// What came of one seed.
package struct SimulationReport: Hashable, Sendable {
    package var seed: UInt64
    package var virtualDuration: Duration = .zero
    package var jobs = 0
    package var records = 0
    package var deliveries = 0
    package var duplicates = 0
    /// Why records were delivered again: `kill`, `theft`, `restart`, ….
    package var duplicatesByCause: [String: Int] = [:]
    /// Records that a Java worker skipped by itself: the rest of an aggregate after an expired iterator (kcl.md §0.10).
    package var skippedByJava = 0
    /// In a mixed fleet, from the last disturbance until the shares were equal, and how long that may take.
    package var balancedAfter: Duration?
    package var balanceAllowed: Duration?
    package var checkpoints = 0
    package var tenures = 0
    /// Leases lost by workers that found out (ZOMBIE), and shards ended (TERMINATE).
    package var zombies = 0
    package var terminated = 0
    package var leasesDeleted = 0
    /// What the workers called, as IAM names it: `dynamodb:Scan`.
    package var actions: Set<String> = []
    package var incidents: [String] = []
    /// At rest, reads of the whole lease table a second, by the whole fleet.
    package var tableReadsPerSecond = 0.0
    /// Until the slowest lease of the worker that was killed at rest ran elsewhere.
    package var slowestFailover: Duration?
    /// Until the slowest lease of the worker that was shut down at rest ran elsewhere.
    package var slowestRelease: Duration?
    /// The first breaches; empty when all is well.
    package var violations: [Violation] = []
    package var violationCount = 0
    package var traceHash: UInt64 = 0

    package init(seed: UInt64) { self.seed = seed }

    package var isGood: Bool { violationCount == 0 }

    /// One line, and one more for each violation.
    package var summary: String {
        let head =
            "seed \(seed): \(virtualDuration.inSeconds.rounded()) s, \(jobs) jobs, \(records) records, "
            + "\(deliveries) deliveries (\(duplicates) again\(causes)), \(checkpoints) checkpoints, \(tenures) tenures, "
            + "\(zombies) ZOMBIE, \(terminated) TERMINATE, \(leasesDeleted) deleted, "
            + "failover \(slowestFailover?.inSeconds ?? -1) s, release \(slowestRelease?.inSeconds ?? -1) s, "
            + "\(tableReadsPerSecond) reads/s, trace \(String(traceHash, radix: 16)), "
            + (isGood ? "ok" : "\(violationCount) VIOLATIONS")
        return ([head + balance] + violations.map { "  \($0)" }).joined(separator: "\n")
    }

    private var causes: String {
        let texts = duplicatesByCause.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        return texts.isEmpty ? "" : ": " + texts.joined(separator: ", ")
    }

    private var balance: String {
        guard let balancedAfter, let balanceAllowed else { return "" }
        return ", balanced after \(balancedAfter.inSeconds.rounded()) s of \(balanceAllowed.inSeconds.rounded()) s"
    }
}
