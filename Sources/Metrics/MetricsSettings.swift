/// What is published to CloudWatch, with KCL's names, meanings and defaults (kcl.md §9).
package struct MetricsSettings: Hashable, Sendable {
    /// `metricsLevel`; each contains what the ones before it contain.
    package enum Level: String, Comparable, Hashable, Sendable {
        case none = "NONE"
        case summary = "SUMMARY"
        case detailed = "DETAILED"

        package static func < (a: Level, b: Level) -> Bool { a.rank < b.rank }

        private var rank: Int {
            switch self {
            case .none: 0
            case .summary: 1
            case .detailed: 2
            }
        }
    }

    /// The application's name, as KCL has it.
    package var namespace: String
    package var workerID: String
    package var level: Level
    /// `metricsBufferTimeMillis`: how long values are summed up before they are published.
    package var bufferTime: Duration
    /// `metricsMaxQueueSize`: the most data that are kept; what comes on top is dropped.
    package var queueMax: Int
    /// `metricsEnabledDimensions` besides `Operation`, which is always there; `nil` for all. Without a dimension the
    /// metrics that differ only in it are one.
    package var dimensions: Set<String>?
    /// The pace of `RenewAllLeases`: a third of failoverTimeMillis.
    package var renewInterval: Duration

    /// - Parameter dimensions: names of dimensions; `ALL` among them, in KCL's spelling, means all.
    package init(
        namespace: String, workerID: String, failoverTime: Duration = .seconds(10), level: Level = .detailed,
        bufferTime: Duration = .seconds(10), queueMax: Int = 10_000, dimensions: [String]? = nil
    ) {
        self.namespace = namespace
        self.workerID = workerID
        self.level = level
        // CloudWatch is asked at most once a second, whatever the file says.
        self.bufferTime = max(bufferTime, .seconds(1))
        self.queueMax = max(queueMax, 1)
        self.dimensions = dimensions.flatMap { $0.contains("ALL") ? nil : Set($0) }
        renewInterval = max(failoverTime / 3, .milliseconds(100))
    }
}
