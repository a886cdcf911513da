import AWSWire
import Emulator
import Machine
import Synchronization
import Testing

@Suite("Metrics that are published to the emulator") struct CloudWatchTests {
    private func client(_ subject: Subject) -> CloudWatchClient {
        CloudWatchClient(
            region: "us-east-1", endpoint: subject.endpoint, transport: subject.transport,
            credentials: StaticCredentials(accessKeyID: "worker-1", secretAccessKey: "secret"),
            time: subject.clock.source, seed: 1)
    }

    private func datum(_ name: String, _ value: Double, shard: String) -> MetricDatum {
        MetricDatum(
            name, dimensions: [.init("Operation", "ProcessTask"), .init("ShardId", shard)], unit: .count,
            at: TestClock.start, statistics: StatisticSet(value))
    }

    @Test("They are summed up by namespace, name and dimensions, through both doors", arguments: Door.allCases)
    func published(door: Door) async throws {
        try await through(door) { (subject) async throws in
            let client = client(subject)
            try await client.putMetricData(
                namespace: "words app", [datum("RecordsProcessed", 2, shard: "a&b=ä"), datum("Time", 7, shard: "c")])
            try await client.putMetricData(namespace: "words app", [datum("RecordsProcessed", 5, shard: "a&b=ä")])
            try await client.putMetricData(namespace: "other", [datum("RecordsProcessed", 1, shard: "c")])
            let totals = subject.emulator.cloudWatch.totals
            #expect(totals.count == 3)
            let metric = CloudWatchService.Metric(
                namespace: "words app", name: "RecordsProcessed", dimensions: "Operation=ProcessTask,ShardId=a&b=ä")
            let total = try #require(totals[metric])
            #expect((total.data, total.count, total.sum, total.minimum, total.maximum) == (2, 2, 7, 2, 5))
            #expect(subject.emulator.cloudWatch.total("words app", "RecordsProcessed") == total)
            #expect(subject.emulator.counters.calls("CloudWatch.PutMetricData") == 3)
        }
    }

    @Test("The newest minute's maximum is read back, whatever the order of the dimensions", arguments: Door.allCases)
    func readBack(door: Door) async throws {
        try await through(door) { (subject) async throws in
            let client = client(subject)
            for (minute, value) in [(0, 9.0), (1, 4), (1, 6)] {
                var datum = datum("MillisBehindLatest", value, shard: "a&b=ä")
                datum.at = TestClock.start + .seconds(minute * 60)
                try await client.putMetricData(namespace: "words app", [datum])
            }
            func query(_ namespace: String, _ shard: String) -> MetricQuery {
                MetricQuery(
                    namespace: namespace, name: "MillisBehindLatest",
                    dimensions: [.init("ShardId", shard), .init("Operation", "ProcessTask")])
            }
            let queries = [query("words app", "a&b=ä"), query("words app", "c"), query("other", "a&b=ä")]
            let start = UnixTime(milliseconds: TestClock.start.milliseconds / 60_000 * 60_000)
            let all = try await client.newestMaxima(queries, in: start..<start + .seconds(180))
            #expect(all == [MetricValue(at: start + .seconds(60), value: 6), nil, nil])
            let first = try await client.newestMaxima(queries, in: start..<start + .seconds(60))
            #expect(first == [MetricValue(at: start, value: 9), nil, nil])
        }
    }

    @Test("What is no PutMetricData and no GetMetricData is refused in XML")
    func refused() async throws {
        let clock = TestClock()
        let emulator = Emulator(configuration: .immediate, time: clock.source)
        for (body, code) in [
            ("Action=GetMetricStatistics&Version=2010-08-01", "InvalidAction"), ("", "InvalidAction"),
            ("Action=PutMetricData", "MissingParameter"), ("Action=PutMetricData&Namespace=a", "MissingParameter"),
            ("Action=GetMetricData", "MissingParameter"),
            ("Action=GetMetricData&StartTime=x&EndTime=2026-01-31T12:00:00Z", "InvalidParameterValue"),
            ("Action=GetMetricData&StartTime=2026-01-31T12:00:00Z&EndTime=2026-01-31T12:00:00Z", "ValidationError"),
            (
                "Action=GetMetricData&StartTime=2026-01-31T12:00:00Z&EndTime=2026-01-31T12:01:00Z"
                    + "&MetricDataQueries.member.1.Id=x", "ValidationError"
            ),
            ("Action=PutMetricData&Namespace=a&MetricData.member.1.MetricName=x", "InvalidParameterValue"),
            ("Action=PutMetricData&Namespace=%&%ff=%zz&MetricData.member.1.MetricName=x%", "InvalidParameterValue"),
        ] {
            let response = try await emulator.handle(
                Request(
                    url: Endpoint(scheme: "http", host: "emulator"),
                    headers: [Header("Content-Type", "application/x-www-form-urlencoded")], body: Array(body.utf8)),
                requiresSignature: false)
            #expect(response.status == 400, "\(body)")
            #expect(response.body.text.contains("<Code>\(code)</Code>"), "\(body): \(response.body.text)")
        }
    }

    @Test("Each call that was answered is told, once")
    func calls() async throws {
        let clock = TestClock()
        let calls = Mutex<[EmulatedCall]>([])
        let emulator = Emulator(configuration: .immediate, time: clock.source) { call in
            calls.withLock { $0.append(call) }
        }
        let subject = Subject(
            emulator: emulator, clock: clock, transport: EmulatorTransport(emulator: emulator),
            endpoint: Endpoint(scheme: "http", host: "emulator"))
        try await subject.call("CreateStream", ["StreamName": "words", "ShardCount": 1])
        _ = try await subject.failure("DescribeStreamSummary", ["StreamName": "none"])
        try await client(subject).putMetricData(namespace: "n", [datum("x", 1, shard: "c")])
        let lines = calls.withLock { $0 }.map { "\($0.service) \($0.operation) \($0.status)" }
        #expect(
            lines == ["kinesis CreateStream 200", "kinesis DescribeStreamSummary 400", "monitoring PutMetricData 200"])
        #expect(
            calls.withLock { $0[0] }.json.hasSuffix(
                #","service":"kinesis","operation":"CreateStream","status":200}"#))
    }
}
