package import Machine
import Synchronization

/// Values of one metric, summed up.
package struct StatisticSet: Hashable, Sendable {
    package var count: Double
    package var sum: Double
    package var minimum: Double
    package var maximum: Double

    package init(_ value: Double) {
        count = 1
        sum = value
        minimum = value
        maximum = value
    }

    package mutating func add(_ value: Double) {
        count += 1
        sum += value
        minimum = min(minimum, value)
        maximum = max(maximum, value)
    }
}

/// One metric with its dimensions, as PutMetricData takes it.
package struct MetricDatum: Hashable, Sendable {
    package enum Unit: String, Hashable, Sendable {
        case count = "Count"
        case bytes = "Bytes"
        case milliseconds = "Milliseconds"
    }

    package struct Dimension: Hashable, Sendable {
        package var name: String
        package var value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    package var name: String
    package var dimensions: [Dimension]
    package var unit: Unit
    /// Of the first value.
    package var at: UnixTime
    package var statistics: StatisticSet

    package init(_ name: String, dimensions: [Dimension], unit: Unit, at: UnixTime, statistics: StatisticSet) {
        self.name = name
        self.dimensions = dimensions
        self.unit = unit
        self.at = at
        self.statistics = statistics
    }
}

/// CloudWatch as far as a worker and who watches it need it: PutMetricData and GetMetricData in the query protocol,
/// which every region and every stand-in takes.
///
/// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
package final class CloudWatchClient: Sendable {
    /// PutMetricData takes 1000 data and 1 MB; a datum of ours has less than 4 kB.
    package static let dataMax = 250
    private static let attemptsMax = 3

    private let client: QueryClient
    private let credentials: any CredentialProvider
    private let generator: Mutex<SeededGenerator>

    package init(
        region: String, endpoint: Endpoint? = nil, transport: any Transport, credentials: any CredentialProvider,
        time: TimeSource, seed: UInt64
    ) {
        // KCL gives up on a put after five seconds.
        client = QueryClient(
            name: "CloudWatch", service: "monitoring", version: "2010-08-01",
            endpoint: endpoint ?? .aws(service: "monitoring", region: region), region: region, transport: transport,
            time: time, attemptTimeout: .seconds(5), answerBytesMax: 1 << 20)
        self.credentials = credentials
        generator = Mutex(SeededGenerator(seed: seed))
    }

    /// Puts at most `dataMax` data.
    package func putMetricData(namespace: String, _ data: [MetricDatum]) async throws(AWSError) {
        precondition(data.count <= Self.dataMax)
        var parameters: [(String, String?)] = [("Namespace", namespace)]
        for (index, datum) in data.enumerated() {
            parameters += Self.parameters(of: datum, prefix: "MetricData.member.\(index + 1)")
        }
        try await call("PutMetricData", parameters) { _ in }
    }

    /// Signs with credentials that the service may have to refuse once before they are renewed.
    func call<Answer>(
        _ action: String, _ parameters: [(String, String?)], decode: (XMLElement) -> Answer
    ) async throws(AWSError) -> Answer {
        let key = try await signingCredentials(action)
        do throws(AWSError) { return try await send(action, parameters, key, decode) } catch {
            guard error.credentialsMayBeRenewed else { throw error }
            credentials.rejected(key)
            let renewed = try await signingCredentials(action)
            guard renewed != key else { throw error }
            return try await send(action, parameters, renewed, decode)
        }
    }

    private func send<Answer>(
        _ action: String, _ parameters: [(String, String?)], _ key: Credentials, _ decode: (XMLElement) -> Answer
    ) async throws(AWSError) -> Answer {
        try await client.call(
            action, parameters, signedWith: key, attemptsMax: Self.attemptsMax,
            generator: generator.withLock { $0.split() }
        ) { (answer) throws(AWSError) in decode(answer) }
    }

    private func signingCredentials(_ action: String) async throws(AWSError) -> Credentials {
        do throws(CredentialError) { return try await credentials.credentials() } catch {
            throw AWSError(operation: "CloudWatch.\(action)", cause: .credentials(error))
        }
    }

    private static func parameters(of datum: MetricDatum, prefix: String) -> [(String, String?)] {
        var parameters: [(String, String?)] = [("\(prefix).MetricName", datum.name)]
        for (index, dimension) in datum.dimensions.enumerated() {
            parameters.append(("\(prefix).Dimensions.member.\(index + 1).Name", dimension.name))
            parameters.append(("\(prefix).Dimensions.member.\(index + 1).Value", dimension.value))
        }
        let values = datum.statistics
        return parameters + [
            ("\(prefix).Timestamp", CivilTime(datum.at).iso8601), ("\(prefix).Unit", datum.unit.rawValue),
            ("\(prefix).StatisticValues.SampleCount", decimal(values.count)),
            ("\(prefix).StatisticValues.Sum", decimal(values.sum)),
            ("\(prefix).StatisticValues.Minimum", decimal(values.minimum)),
            ("\(prefix).StatisticValues.Maximum", decimal(values.maximum)),
        ]
    }

    private static func decimal(_ value: Double) -> String {
        Int64(exactly: value).map { "\($0)" } ?? "\(value)"
    }
}
