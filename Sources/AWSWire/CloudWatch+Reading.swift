package import Machine

/// One metric whose values are wanted.
package struct MetricQuery: Hashable, Sendable {
    package var namespace: String
    package var name: String
    package var dimensions: [MetricDatum.Dimension]

    package init(namespace: String, name: String, dimensions: [MetricDatum.Dimension]) {
        self.namespace = namespace
        self.name = name
        self.dimensions = dimensions
    }
}

/// A value of a metric and the beginning of the minute that it is of.
package struct MetricValue: Hashable, Sendable {
    package var at: UnixTime
    package var value: Double

    package init(at: UnixTime, value: Double) {
        self.at = at
        self.value = value
    }
}

/// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
extension CloudWatchClient {
    /// GetMetricData takes so many queries.
    package static let queriesMax = 500

    /// The newest minute's largest value of each metric, in the order of the queries; `nil` where there is none in the
    /// time. At most `queriesMax`; AWS bills each metric.
    package func newestMaxima(
        _ queries: [MetricQuery], in time: Range<UnixTime>
    ) async throws(AWSError) -> [MetricValue?] {
        precondition(queries.count <= Self.queriesMax)
        var parameters: [(String, String?)] = [
            ("StartTime", CivilTime(time.lowerBound).iso8601), ("EndTime", CivilTime(time.upperBound).iso8601),
            ("ScanBy", "TimestampDescending"),
        ]
        for (index, query) in queries.enumerated() {
            let prefix = "MetricDataQueries.member.\(index + 1)"
            parameters += [
                ("\(prefix).Id", "m\(index)"), ("\(prefix).MetricStat.Metric.Namespace", query.namespace),
                ("\(prefix).MetricStat.Metric.MetricName", query.name),
            ]
            for (place, dimension) in query.dimensions.enumerated() {
                let member = "\(prefix).MetricStat.Metric.Dimensions.member.\(place + 1)"
                parameters += [("\(member).Name", dimension.name), ("\(member).Value", dimension.value)]
            }
            parameters += [("\(prefix).MetricStat.Period", "60"), ("\(prefix).MetricStat.Stat", "Maximum")]
        }
        var newest = [MetricValue?](repeating: nil, count: queries.count)
        var token: String?
        // Each page has at least one value; a service whose pages do not end is not believed.
        for _ in 0..<100 {
            let page = try await call("GetMetricData", parameters + [("NextToken", token)]) { $0 }
            for member in page.first("MetricDataResults")?.children ?? [] {
                guard let index = member.text("Id").flatMap({ Int($0.dropFirst()) }), newest.indices.contains(index)
                else { continue }
                let times = member.first("Timestamps")?.children.map { CivilTime.parseISO8601($0.text.trimmed) } ?? []
                let values = member.first("Values")?.children.map { Double($0.text.trimmed) } ?? []
                for (at, value) in zip(times, values) {
                    guard let at, let value, value.isFinite, at > newest[index]?.at ?? .distantPast else { continue }
                    newest[index] = MetricValue(at: at, value: value)
                }
            }
            token = page.text("NextToken")
            if token == nil || token == "" { break }
        }
        return newest
    }
}

extension UnixTime {
    fileprivate static var distantPast: UnixTime { UnixTime(milliseconds: .min) }
}
