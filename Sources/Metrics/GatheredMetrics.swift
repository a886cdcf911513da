import AWSWire
import KinesisConsumer
import Machine

/// KCL's scope: the operation and what else tells its metrics from those of others.
struct Scope: Hashable, Sendable {
    var operation: String
    var shardID: String?
    var hasWorker: Bool

    init(_ operation: String, shardID: String? = nil, hasWorker: Bool = false) {
        self.operation = operation
        self.shardID = shardID
        self.hasWorker = hasWorker
    }
}

/// One value of one metric, and the level from which on it is published.
struct Sample: Hashable, Sendable {
    var name: String
    var value: Double
    var level: MetricsSettings.Level
    var unit: MetricDatum.Unit

    init(
        _ name: String, _ value: Double, _ level: MetricsSettings.Level = .summary, unit: MetricDatum.Unit = .count
    ) {
        self.name = name
        self.value = value
        self.level = level
        self.unit = unit
    }

    /// `Success`, or `of.Success`: 1 or 0.
    static func success(
        _ isSuccess: Bool, of name: String? = nil, _ level: MetricsSettings.Level = .summary
    ) -> Sample {
        Sample(name.map { "\($0).Success" } ?? "Success", isSuccess ? 1 : 0, level)
    }

    /// `Time`, or `of.Time`, in whole milliseconds like KCL's.
    static func time(
        _ duration: Duration, of name: String? = nil, _ level: MetricsSettings.Level = .summary
    ) -> Sample {
        Sample(
            name.map { "\($0).Time" } ?? "Time", Double(duration.wholeMilliseconds), level, unit: .milliseconds)
    }
}

extension WorkerMeasure {
    /// `name.Success` and `name.Time`, which are DETAILED wherever KCL writes them with a name.
    func outcome(_ name: String) -> [Sample] {
        [.success(isSuccess, of: name, .detailed), .time(duration, of: name, .detailed)]
    }
}

extension MetricsSettings {
    /// The scope without the dimensions that are not enabled.
    func key(of scope: Scope) -> Scope {
        var scope = scope
        guard let dimensions else { return scope }
        if !dimensions.contains("ShardId") { scope.shardID = nil }
        if !dimensions.contains("WorkerIdentifier") { scope.hasWorker = false }
        return scope
    }

    func dimensions(of scope: Scope) -> [MetricDatum.Dimension] {
        var dimensions = [MetricDatum.Dimension("Operation", scope.operation)]
        if let shardID = scope.shardID { dimensions.append(.init("ShardId", shardID)) }
        if scope.hasWorker { dimensions.append(.init("WorkerIdentifier", workerID)) }
        return dimensions
    }
}

/// The data of the present buffer time, in the order of their first values.
struct GatheredMetrics: Sendable {
    private struct Key: Hashable {
        var scope: Scope
        var name: String
    }

    private struct Entry {
        var scope: Scope
        var name: String
        var unit: MetricDatum.Unit
        var at: UnixTime
        var statistics: StatisticSet
    }

    private var indices: [Key: Int] = [:]
    private var entries: [Entry] = []
    /// Values of metrics for which there was no room.
    var refused = 0

    var isEmpty: Bool { entries.isEmpty }

    /// - Parameter room: for so many metrics.
    mutating func add(_ sample: Sample, _ scope: Scope, _ at: UnixTime, room: Int) {
        let key = Key(scope: scope, name: sample.name)
        if let index = indices[key] {
            entries[index].statistics.add(sample.value)
        } else if entries.count < room {
            indices[key] = entries.count
            entries.append(
                Entry(
                    scope: scope, name: sample.name, unit: sample.unit, at: at,
                    statistics: StatisticSet(sample.value)))
        } else {
            refused += 1
        }
    }

    mutating func drain(_ settings: MetricsSettings) -> [MetricDatum] {
        defer {
            indices = [:]
            entries = []
        }
        return entries.map {
            MetricDatum(
                $0.name, dimensions: settings.dimensions(of: $0.scope), unit: $0.unit, at: $0.at,
                statistics: $0.statistics)
        }
    }
}
