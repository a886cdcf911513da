import AWSWire
import Machine

/// A metric whatever the order of its dimensions.
struct SeriesKey: Hashable, Sendable {
    var namespace: String
    var name: String
    var dimensions: [String]

    init(_ metric: CloudWatchService.Metric) {
        namespace = metric.namespace
        name = metric.name
        dimensions = metric.dimensions.split(separator: ",").map(String.init).sorted()
    }

    init(namespace: String, name: String, dimensions: [String]) {
        self.namespace = namespace
        self.name = name
        self.dimensions = dimensions.sorted()
    }
}

/// The newest minutes of one metric.
struct MetricSeries: Sendable {
    private static let minutesMax: Int64 = 60

    /// By minutes since 1970.
    private(set) var minutes: [Int64: CloudWatchService.Total] = [:]

    mutating func add(_ total: CloudWatchService.Total, at time: UnixTime) {
        let minute = time.milliseconds / 60_000
        minutes[minute, default: CloudWatchService.Total()].add(total)
        guard minutes.count > Int(Self.minutesMax), let newest = minutes.keys.max() else { return }
        minutes = minutes.filter { newest - $0.key < Self.minutesMax }
    }
}

/// GetMetricData with metrics only, no expressions, in periods of whole minutes.
///
/// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
struct MetricDataQuery {
    private struct Part {
        var id: String
        var key: SeriesKey
        var period: Int64
        var statistic: String
    }

    private static let partsMax = 500

    private var parts: [Part] = []
    private var start: UnixTime
    private var end: UnixTime
    private var isDescending: Bool

    init(_ form: [String: String]) throws(ServiceError) {
        func time(_ name: String) throws(ServiceError) -> UnixTime {
            guard let text = form[name] else {
                throw ServiceError("MissingParameter", "The parameter \(name) is required.")
            }
            guard let time = CivilTime.parseISO8601(text) else {
                throw ServiceError("InvalidParameterValue", "The parameter \(name) is no time.")
            }
            return time
        }
        start = try time("StartTime")
        end = try time("EndTime")
        guard start < end else {
            throw ServiceError("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")
        }
        isDescending = form["ScanBy"] != "TimestampAscending"
        while let id = form["MetricDataQueries.member.\(parts.count + 1).Id"] {
            guard parts.count < Self.partsMax else {
                throw ServiceError(
                    "ValidationError", "The collection MetricDataQueries must not have a size greater than 500.")
            }
            parts.append(try Self.part(id, "MetricDataQueries.member.\(parts.count + 1).MetricStat", form))
        }
        guard !parts.isEmpty else {
            throw ServiceError("MissingParameter", "The parameter MetricDataQueries is required.")
        }
    }

    private static func part(
        _ id: String, _ prefix: String, _ form: [String: String]
    ) throws(ServiceError) -> Part {
        guard let namespace = form["\(prefix).Metric.Namespace"], let name = form["\(prefix).Metric.MetricName"] else {
            throw ServiceError("ValidationError", "The emulator knows queries of a MetricStat only; \(id) has none.")
        }
        guard let period = form["\(prefix).Period"].flatMap({ Int64($0) }), period > 0, period % 60 == 0,
            period <= 86_400
        else { throw ServiceError("ValidationError", "The period of \(id) must be a multiple of 60.") }
        let statistic = form["\(prefix).Stat"] ?? ""
        guard ["Maximum", "Minimum", "Average", "Sum", "SampleCount"].contains(statistic) else {
            throw ServiceError("ValidationError", "The value \(statistic) for parameter Stat is not supported.")
        }
        var dimensions: [String] = []
        while let name = form["\(prefix).Metric.Dimensions.member.\(dimensions.count + 1).Name"] {
            let value = form["\(prefix).Metric.Dimensions.member.\(dimensions.count + 1).Value"] ?? ""
            dimensions.append("\(name)=\(value)")
        }
        return Part(
            id: id, key: SeriesKey(namespace: namespace, name: name, dimensions: dimensions), period: period / 60,
            statistic: statistic)
    }

    /// The inside of the answer.
    func answer(from series: [SeriesKey: MetricSeries]) -> String {
        var members = ""
        for part in parts {
            let values = values(of: series[part.key] ?? MetricSeries(), part)
            let times = values.map { "<member>\(CivilTime($0.at).iso8601)</member>" }.joined()
            let numbers = values.map { "<member>\($0.value)</member>" }.joined()
            members += "<member><Id>\(part.id.xmlEscaped)</Id><Label>\(part.key.name.xmlEscaped)</Label>"
            members += "<Timestamps>\(times)</Timestamps><Values>\(numbers)</Values>"
            members += "<StatusCode>Complete</StatusCode></member>"
        }
        return "<GetMetricDataResult><MetricDataResults>\(members)</MetricDataResults><Messages/></GetMetricDataResult>"
    }

    private func values(of series: MetricSeries, _ part: Part) -> [(at: UnixTime, value: Double)] {
        var periods: [Int64: CloudWatchService.Total] = [:]
        for (minute, total) in series.minutes {
            let at = UnixTime(milliseconds: minute * 60_000)
            // A minute counts where it begins in the time asked for, whose start is rounded down.
            guard at.milliseconds / 60_000 >= start.milliseconds / 60_000, at < end else { continue }
            periods[minute / part.period, default: CloudWatchService.Total()].add(total)
        }
        return periods.sorted { isDescending ? $0.key > $1.key : $0.key < $1.key }.map { period, total in
            let value =
                switch part.statistic {
                case "Maximum": total.maximum
                case "Minimum": total.minimum
                case "Sum": total.sum
                case "SampleCount": total.count
                default: total.count == 0 ? 0 : total.sum / total.count
                }
            return (UnixTime(milliseconds: period * part.period * 60_000), value)
        }
    }
}
