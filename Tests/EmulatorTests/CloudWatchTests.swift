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

    @Test("What is no PutMetricData is refused in XML")
    func refused() async throws {
        let clock = TestClock()
        let emulator = Emulator(configuration: .immediate, time: clock.source)
        for (body, code) in [
            ("Action=GetMetricStatistics&Version=2010-08-01", "InvalidAction"), ("", "InvalidAction"),
            ("Action=PutMetricData", "MissingParameter"), ("Action=PutMetricData&Namespace=a", "MissingParameter"),
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
