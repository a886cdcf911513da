import AWSWire
import Machine
import Synchronization

/// CloudWatch as far as a worker's metrics need one: PutMetricData in the query protocol, kept as sums, so that tests
/// can count what was published, and the newest minutes by GetMetricData.
package final class CloudWatchService: Sendable {
    package struct Metric: Hashable, Sendable {
        package var namespace: String
        package var name: String
        /// `Operation=ProcessTask,ShardId=shardId-000000000000`, in the order of the request.
        package var dimensions: String

        package init(namespace: String, name: String, dimensions: String) {
            self.namespace = namespace
            self.name = name
            self.dimensions = dimensions
        }
    }

    package struct Total: Hashable, Sendable {
        /// How often the metric was put.
        package var data = 0
        package var count = 0.0
        package var sum = 0.0
        package var minimum = Double.infinity
        package var maximum = -Double.infinity

        package init() {}
    }

    /// So many metrics are told apart; those beyond are only counted.
    static let metricsMax = 10_000
    private static let dataMax = 1000

    private struct State {
        var totals: [Metric: Total] = [:]
        var series: [SeriesKey: MetricSeries] = [:]
        var overflow = 0
    }

    private let state = Mutex(State())

    package var totals: [Metric: Total] { state.withLock { $0.totals } }

    /// Data put to metrics beyond `metricsMax`.
    package var overflow: Int { state.withLock { $0.overflow } }

    /// The metrics called `name` of `namespace`, together.
    package func total(_ namespace: String, _ name: String) -> Total {
        totals.filter { $0.key.namespace == namespace && $0.key.name == name }.values
            .reduce(into: Total()) { $0.add($1) }
    }

    /// Whether a request is a form of the query protocol, which neither Kinesis nor DynamoDB speaks.
    static func isForm(_ request: Request) -> Bool {
        request.headers["X-Amz-Target"] == nil
            && request.headers["Content-Type"]?.lowercased().hasPrefix("application/x-www-form-urlencoded") == true
    }

    /// The action of a form, `nil` where it names none that is known here, and the inside of its answer.
    struct Outcome {
        var operation: String?
        var result: Result<String, ServiceError>
    }

    func handle(_ request: Request, requiresSignature: Bool, wallClock: UnixTime) -> Outcome {
        let form = Self.form(request.body)
        let action = form["Action"] ?? ""
        guard action == "PutMetricData" || action == "GetMetricData" else {
            return Outcome(
                operation: nil,
                result: .failure(
                    ServiceError(
                        "InvalidAction", "Could not find operation \(action) for version \(form["Version"] ?? "")")))
        }
        if requiresSignature, request.headers["Authorization"] == nil {
            return Outcome(
                operation: action,
                result: .failure(
                    ServiceError(
                        "MissingAuthenticationToken", "Request is missing Authentication Token", status: 403)))
        }
        do throws(ServiceError) {
            if action == "GetMetricData" {
                let query = try MetricDataQuery(form)
                return Outcome(operation: action, result: .success(state.withLock { query.answer(from: $0.series) }))
            }
            let data = try Self.data(of: form, wallClock: wallClock)
            state.withLock { state in
                for (metric, total, at) in data {
                    guard state.totals[metric] != nil || state.totals.count < Self.metricsMax else {
                        state.overflow += 1
                        continue
                    }
                    state.totals[metric, default: Total()].add(total)
                    state.series[SeriesKey(metric), default: MetricSeries()].add(total, at: at)
                }
            }
            return Outcome(operation: action, result: .success(""))
        } catch {
            return Outcome(operation: action, result: .failure(error))
        }
    }

    private static func data(
        of form: [String: String], wallClock: UnixTime
    ) throws(ServiceError) -> [(Metric, Total, at: UnixTime)] {
        guard let namespace = form["Namespace"], !namespace.isEmpty else {
            throw ServiceError("MissingParameter", "The parameter Namespace is required.")
        }
        var data: [(Metric, Total, at: UnixTime)] = []
        while let name = form["MetricData.member.\(data.count + 1).MetricName"] {
            let prefix = "MetricData.member.\(data.count + 1)"
            guard data.count < dataMax else {
                throw ServiceError("LimitExceeded", "The collection MetricData must not have a size greater than 1000.")
            }
            var dimensions: [String] = []
            while let name = form["\(prefix).Dimensions.member.\(dimensions.count + 1).Name"] {
                let value = form["\(prefix).Dimensions.member.\(dimensions.count + 1).Value"] ?? ""
                guard !name.isEmpty, !value.isEmpty else {
                    throw ServiceError("InvalidParameterValue", "The value of a dimension must not be empty.")
                }
                dimensions.append("\(name)=\(value)")
            }
            func number(_ name: String) throws(ServiceError) -> Double {
                guard let value = form["\(prefix).\(name)"].flatMap(Double.init), value.isFinite else {
                    throw ServiceError("InvalidParameterValue", "The parameter \(prefix).\(name) is no number.")
                }
                return value
            }
            var total = Total()
            total.data = 1
            if form["\(prefix).Value"] != nil {
                let value = try number("Value")
                (total.count, total.sum, total.minimum, total.maximum) = (1, value, value, value)
            } else {
                total.count = try number("StatisticValues.SampleCount")
                total.sum = try number("StatisticValues.Sum")
                total.minimum = try number("StatisticValues.Minimum")
                total.maximum = try number("StatisticValues.Maximum")
            }
            let metric = Metric(namespace: namespace, name: name, dimensions: dimensions.joined(separator: ","))
            let at = form["\(prefix).Timestamp"].flatMap(CivilTime.parseISO8601) ?? wallClock
            data.append((metric, total, at))
        }
        guard !data.isEmpty else { throw ServiceError("MissingParameter", "The parameter MetricData is required.") }
        return data
    }

    /// The pairs of a form; the last of a name counts.
    private static func form(_ body: [UInt8]) -> [String: String] {
        var form: [String: String] = [:]
        for pair in body.split(separator: UInt8(ascii: "&")) {
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            form[decoded(parts[0])] = parts.count > 1 ? decoded(parts[1]) : ""
        }
        return form
    }

    private static func decoded(_ bytes: ArraySlice<UInt8>) -> String {
        var text: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            if byte == UInt8(ascii: "%"), bytes.endIndex - index > 2,
                let value = UInt8(String(decoding: bytes[index + 1...index + 2], as: UTF8.self), radix: 16)
            {
                text.append(value)
                index += 3
                continue
            }
            text.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            index += 1
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension CloudWatchService.Total {
    mutating func add(_ other: Self) {
        data += other.data
        count += other.count
        sum += other.sum
        minimum = min(minimum, other.minimum)
        maximum = max(maximum, other.maximum)
    }
}
