import Machine
import Synchronization
import Testing

@testable import AWSWire

@Suite struct CloudWatchTests {
    static let answer = Response.json(
        """
        <PutMetricDataResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/">
          <ResponseMetadata><RequestId>e16fc4d3</RequestId></ResponseMetadata>
        </PutMetricDataResponse>
        """)

    private let time = VirtualTime()

    private func client(
        _ transport: ScriptedTransport,
        credentials: any CredentialProvider = StaticCredentials(
            accessKeyID: "AKIA", secretAccessKey: "VerySecretKey")
    ) -> CloudWatchClient {
        CloudWatchClient(
            region: "eu-west-1", transport: transport, credentials: credentials, time: time.source, seed: 1)
    }

    private var datum: MetricDatum {
        var statistics = StatisticSet(3)
        statistics.add(0.5)
        return MetricDatum(
            "RecordProcessor.processRecords.Time",
            dimensions: [.init("Operation", "ProcessTask"), .init("WorkerIdentifier", "a b&c=ä")],
            unit: .milliseconds, at: time.wall, statistics: statistics)
    }

    @Test("PutMetricData is a signed form with statistic sets") func form() async throws {
        let transport = ScriptedTransport([.success(Self.answer)])
        try await client(transport).putMetricData(namespace: "words app", [datum])
        let request = try #require(transport.requests.first)
        #expect(request.url.description == "https://monitoring.eu-west-1.amazonaws.com")
        #expect(request.method == "POST")
        #expect(request.path == "/")
        #expect(request.headers["Content-Type"] == "application/x-www-form-urlencoded; charset=utf-8")
        #expect(request.headers["Authorization"]?.contains("/20260131/eu-west-1/monitoring/aws4_request") == true)
        #expect(
            String(decoding: request.body, as: UTF8.self)
                == "Action=PutMetricData&Version=2010-08-01&Namespace=words%20app"
                + "&MetricData.member.1.MetricName=RecordProcessor.processRecords.Time"
                + "&MetricData.member.1.Dimensions.member.1.Name=Operation"
                + "&MetricData.member.1.Dimensions.member.1.Value=ProcessTask"
                + "&MetricData.member.1.Dimensions.member.2.Name=WorkerIdentifier"
                + "&MetricData.member.1.Dimensions.member.2.Value=a%20b%26c%3D%C3%A4"
                + "&MetricData.member.1.Timestamp=2026-01-31T12%3A00%3A00.000Z"
                + "&MetricData.member.1.Unit=Milliseconds"
                + "&MetricData.member.1.StatisticValues.SampleCount=2"
                + "&MetricData.member.1.StatisticValues.Sum=3.5"
                + "&MetricData.member.1.StatisticValues.Minimum=0.5"
                + "&MetricData.member.1.StatisticValues.Maximum=3")
    }

    @Test("A throttled put is sent again, and an outage ends after three attempts") func retries() async throws {
        let throttle = CredentialRoleTests.error("Throttling", "Rate exceeded", status: 400)
        let transport = ScriptedTransport([.success(throttle), .success(Self.answer)])
        try await client(transport).putMetricData(namespace: "words", [datum])
        #expect(transport.requests.count == 2)
        let down = ScriptedTransport([.failure(TransportError(.timedOut, "no answer", requestWasSent: true))])
        let error = await #expect(throws: AWSError.self) {
            try await client(down).putMetricData(namespace: "words", [datum])
        }
        #expect(error?.description == "CloudWatch.PutMetricData: no answer")
        #expect(down.requests.count == 3)
    }

    @Test("A denied put is told in the service's words and not repeated") func denied() async throws {
        let denial = CredentialRoleTests.error("AccessDenied", "User x is not authorized; key VerySecretKey")
        let transport = ScriptedTransport([.success(denial)])
        let error = await #expect(throws: AWSError.self) {
            try await client(transport).putMetricData(namespace: "words", [datum])
        }
        #expect(error?.meaning == .denied)
        #expect(error?.description == "CloudWatch.PutMetricData: AccessDenied: User x is not authorized; key …")
        #expect(transport.requests.count == 1)
    }

    @Test("Expired credentials are renewed once") func renewed() async throws {
        final class Renewing: CredentialProvider {
            let rejections = Mutex(0)
            let renewals: Int

            init(renewals: Int) { self.renewals = renewals }

            func credentials() async throws(CredentialError) -> Credentials {
                let number = min(rejections.withLock { $0 }, renewals)
                return Credentials(accessKeyID: "AKIA\(number)", secretAccessKey: "VerySecretKey")
            }

            func rejected(_ credentials: Credentials) { rejections.withLock { $0 += 1 } }
        }
        let expired = CredentialRoleTests.error("ExpiredToken", "The security token is expired")
        let same = ScriptedTransport([.success(expired)])
        // The provider has nothing newer: the rejection stands.
        await #expect(throws: AWSError.self) {
            try await client(same, credentials: Renewing(renewals: 0)).putMetricData(namespace: "words", [datum])
        }
        #expect(same.requests.count == 1)
        let renewed = ScriptedTransport([.success(expired), .success(Self.answer)])
        try await client(renewed, credentials: Renewing(renewals: 1)).putMetricData(namespace: "words", [datum])
        #expect(renewed.requests.last?.headers["Authorization"]?.contains("Credential=AKIA1/") == true)
    }
}
