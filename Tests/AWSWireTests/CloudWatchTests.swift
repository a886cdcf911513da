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

    @Test("GetMetricData asks for each metric and takes its newest value, over several pages") func read() async throws
    {
        func page(_ members: String, token: String = "") -> Response {
            .json(
                """
                <GetMetricDataResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><GetMetricDataResult>
                  <MetricDataResults>\(members)</MetricDataResults>\(token)
                </GetMetricDataResult></GetMetricDataResponse>
                """)
        }
        func member(_ id: String, _ values: [(String, String)]) -> String {
            "<member><Id>\(id)</Id><Label>x</Label><Timestamps>"
                + values.map { "<member>\($0.0)</member>" }.joined() + "</Timestamps><Values>"
                + values.map { "<member>\($0.1)</member>" }.joined() + "</Values></member>"
        }
        let old = ("2026-01-31T11:57:00Z", "5.0")
        let new = ("2026-01-31T11:58:00Z", "7.5")
        let transport = ScriptedTransport([
            .success(page(member("m1", [old]) + member("m9", [new]), token: "<NextToken>more</NextToken>")),
            .success(page(member("m1", [new, old]) + member("m0", []))),
        ])
        let queries = ["a b", "c"].map {
            MetricQuery(namespace: "words app", name: "MillisBehindLatest", dimensions: [.init("ShardId", $0)])
        }
        let values = try await client(transport).newestMaxima(queries, in: time.wall + .seconds(-300)..<time.wall)
        #expect(values == [nil, MetricValue(at: time.wall + .seconds(-120), value: 7.5)])
        let bodies = transport.requests.map { String(decoding: $0.body, as: UTF8.self) }
        let form = [
            "Action=GetMetricData&Version=2010-08-01&StartTime=2026-01-31T11%3A55%3A00.000Z",
            "&EndTime=2026-01-31T12%3A00%3A00.000Z&ScanBy=TimestampDescending",
            "&MetricDataQueries.member.1.Id=m0",
            "&MetricDataQueries.member.1.MetricStat.Metric.Namespace=words%20app",
            "&MetricDataQueries.member.1.MetricStat.Metric.MetricName=MillisBehindLatest",
            "&MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.1.Name=ShardId",
            "&MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.1.Value=a%20b",
            "&MetricDataQueries.member.1.MetricStat.Period=60&MetricDataQueries.member.1.MetricStat.Stat=Maximum",
            "&MetricDataQueries.member.2.Id=m1",
            "&MetricDataQueries.member.2.MetricStat.Metric.Namespace=words%20app",
            "&MetricDataQueries.member.2.MetricStat.Metric.MetricName=MillisBehindLatest",
            "&MetricDataQueries.member.2.MetricStat.Metric.Dimensions.member.1.Name=ShardId",
            "&MetricDataQueries.member.2.MetricStat.Metric.Dimensions.member.1.Value=c",
            "&MetricDataQueries.member.2.MetricStat.Period=60&MetricDataQueries.member.2.MetricStat.Stat=Maximum",
        ]
        #expect(bodies.first == form.joined())
        #expect(bodies.last?.hasSuffix("&NextToken=more") == true)
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
