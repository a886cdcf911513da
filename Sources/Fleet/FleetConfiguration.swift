/// How often the table is read.
package enum RefreshRate: Hashable, Sendable {
    /// `FleetConfiguration.autoRefresh`, slower where the table is throttled, dear, away or unchanged for long.
    case auto
    case every(Duration)
}

/// A way to measure lag that somebody must ask for, because it costs something.
package enum LagMeasure: String, Hashable, Sendable, CaseIterable {
    /// Reads the first record after a checkpoint, of the shard's five reads a second.
    case probe
    /// Reads KCL's MillisBehindLatest, a metric a shard and minute.
    case cloudwatch
}

/// What an observer is told about the fleet and how to watch it.
package struct FleetConfiguration: Hashable, Sendable {
    package var identity: FleetIdentity
    /// The fleet's failover time where the user or the program knows it.
    package var failoverTime: Duration?
    package var refresh: RefreshRate
    /// 5 s on real tables; a few times a second on the in-process emulator.
    package var autoRefresh: Duration
    /// Two snapshots are at least this far apart, however many events there are.
    package var publishInterval: Duration
    package var shardListInterval: Duration
    /// Between two ListShards, also when an unknown child was seen.
    package var shardListIntervalMin: Duration
    /// The cap on reads where a person or a program gives one, also for a fixed refresh; `nil` for
    /// `usualReadUnitsPerSecond` of an on-demand table and 5 % of a provisioned one's reads.
    package var readUnitsPerSecondMax: Double?
    package var historyInterval: Duration
    package var historyCapacity: Int
    package var eventsMax: Int
    /// A lease that is read and does not checkpoint for so long while its lag grows is STUCK.
    package var stuckAfter: Duration
    /// A shard that two full lists so far apart do not have is gone.
    package var orphanAfter: Duration
    /// A lease whose owner changes so often within the window flaps.
    package var flappingChanges = 4
    package var flappingWindow: Duration = .seconds(300)
    /// How lags are measured, besides what our own engine and the time inside a checkpoint say.
    package var measures: Set<LagMeasure> = []
    /// Whether the streams that a multi-stream table names are read.
    package var readsNamedStreams = true
    /// Whether effects carry the lines of a recording.
    package var isRecording: Bool

    package init(
        identity: FleetIdentity, failoverTime: Duration? = nil, refresh: RefreshRate = .auto,
        autoRefresh: Duration = .seconds(5), publishInterval: Duration = .milliseconds(250),
        shardListInterval: Duration = .seconds(60), shardListIntervalMin: Duration = .seconds(5),
        readUnitsPerSecondMax: Double? = nil, historyInterval: Duration = .seconds(2), historyCapacity: Int = 60,
        eventsMax: Int = 500, stuckAfter: Duration = .seconds(60), orphanAfter: Duration = .seconds(60),
        isRecording: Bool = false
    ) {
        self.identity = identity
        self.failoverTime = failoverTime
        self.refresh = refresh
        self.autoRefresh = autoRefresh
        self.publishInterval = publishInterval
        self.shardListInterval = shardListInterval
        self.shardListIntervalMin = shardListIntervalMin
        self.readUnitsPerSecondMax = readUnitsPerSecondMax
        self.historyInterval = historyInterval
        self.historyCapacity = historyCapacity
        self.eventsMax = eventsMax
        self.stuckAfter = stuckAfter
        self.orphanAfter = orphanAfter
        self.isRecording = isRecording
    }

    package static let usualReadUnitsPerSecond = 25.0

    /// For the emulator in this process: reads cost nothing there.
    package static func inProcess(_ identity: FleetIdentity, failoverTime: Duration?) -> FleetConfiguration {
        FleetConfiguration(
            identity: identity, failoverTime: failoverTime, autoRefresh: .milliseconds(500),
            shardListInterval: .seconds(2), shardListIntervalMin: .milliseconds(500),
            readUnitsPerSecondMax: .infinity, historyInterval: .seconds(2), stuckAfter: .seconds(30))
    }
}
