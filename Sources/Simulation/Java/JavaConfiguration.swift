import KinesisConsumer
import Leases
import Machine

/// How a simulated Java worker is set up.
struct JavaConfiguration: Sendable {
    var workerID: String
    var streamName: String
    var tableName: String
    var initialPosition: InitialPosition
    var failoverTime: Duration
    var generation: JavaGeneration
    var idleTimeBetweenReads: Duration = .milliseconds(1500)
    var constants = JavaConstants.real

    /// `epsilonMillis`.
    static let epsilon: Duration = .milliseconds(25)
    var renewInterval: Duration { failoverTime / 3 - Self.epsilon }
    var takeInterval: Duration { Self.takeInterval(failoverTime) }
    static func takeInterval(_ failoverTime: Duration) -> Duration { (failoverTime + epsilon) * 2 }
}

/// The times that do not follow from `failoverTimeMillis`.
struct JavaConstants: Hashable, Sendable {
    var dispatchInterval: Duration = .milliseconds(1000)
    var taskBackoff: Duration = .milliseconds(500)
    var parentShardPollInterval: Duration = .seconds(10)
    /// Milliseconds.
    var emptyTableWait = 1000...30_000
    var emptyTableCheck: Duration = .seconds(3)
    /// `shardSyncIntervalMillis`, slept once after a sync; 60 s by default, 1 s in every recipe that was run.
    var shardSyncIdle: Duration = .seconds(1)
    var cleanupInterval: Duration = .seconds(60)
    var completedLeaseCleanupInterval: Duration = .seconds(300)
    var auditorDelay: Duration = .seconds(60)
    var auditorInterval: Duration = .seconds(120)
    var auditorConfidence = 3
    var electionDelay: Duration = .seconds(60)
    var electionInterval: Duration = .seconds(300)
    var initializationAttempts = 20
    var initializationBackoff: Duration = .seconds(1)

    /// KCL's own.
    static let real = JavaConstants()

    /// Cleanup, audits and elections come often enough to matter in a short run.
    static var quick: JavaConstants {
        var constants = JavaConstants()
        constants.parentShardPollInterval = .seconds(2)
        constants.emptyTableWait = 1000...5000
        constants.cleanupInterval = .seconds(7)
        constants.completedLeaseCleanupInterval = .seconds(20)
        constants.auditorDelay = .seconds(10)
        constants.auditorInterval = .seconds(15)
        constants.electionDelay = .seconds(10)
        constants.electionInterval = .seconds(30)
        return constants
    }
}
