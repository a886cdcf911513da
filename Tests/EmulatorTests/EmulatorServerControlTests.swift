import AWSWire
import Emulator
import Machine
import Synchronization
import Testing

@Suite("What the emulator says of itself") struct EmulatorServerControlTests {
    private func exchange(
        _ server: EmulatorServer, _ method: String, _ path: String, body: String = "", headers: [String] = [],
        host: String = "localhost"
    ) async throws -> (status: Int, headers: [String: String], body: AWSValue) {
        let connection = try RawConnection(port: server.port)
        let lines = ["\(method) \(path) HTTP/1.1", "Host: \(host)", "Content-Length: \(body.utf8.count)"] + headers
        await connection.send(lines.joined(separator: "\r\n") + "\r\n\r\n" + body)
        let answer = await connection.answer()
        return (answer.status, answer.headers, (try? JSON.decode(Bytes(answer.body))) ?? .null)
    }

    private func call(_ server: EmulatorServer, _ request: String) async throws -> (status: Int, body: String) {
        let connection = try RawConnection(port: server.port)
        await connection.send(request)
        let answer = await connection.answer()
        return (answer.status, answer.body)
    }

    @Test("Health, counts of operations and metrics, and what is open")
    func counts() async throws {
        let emulator = Emulator(configuration: .immediate, time: TestClock().source)
        try await serving(emulator) { (server) async throws in
            #expect(try await exchange(server, "GET", "/_shardtop/health").body["status"]?.string == "ok")
            _ = try await call(server, rawRequest())
            _ = try await call(
                server, rawRequest("Kinesis_20131202.DescribeStreamSummary", body: #"{"StreamName":"x"}"#))
            let form =
                "Action=PutMetricData&Version=2010-08-01&Namespace=app&MetricData.member.1.MetricName=Records"
                + "&MetricData.member.1.Value=3"
            _ = try await call(
                server,
                "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                    + "Authorization: AWS4 Credential=a/b\r\nContent-Length: \(form.utf8.count)\r\n\r\n\(form)")
            let counts = try await exchange(server, "GET", "/_shardtop/counts?pretty").body
            #expect(counts["operations"]?["Kinesis.ListStreams"]?["calls"]?.int == 1)
            #expect(counts["operations"]?["Kinesis.DescribeStreamSummary"]?["failures"]?.int == 1)
            #expect(counts["metrics"]?["app"]?["Records"]?.int == 1)
            #expect((counts["connections"]?.int ?? 0) >= 1)
            #expect(counts["streams"]?.int == 0)
        }
    }

    @Test("A fault plan that is put works at once, and counts its times from then")
    func faults() async throws {
        let clock = TestClock()
        let emulator = Emulator(configuration: .immediate, time: clock.source)
        clock.advance(.seconds(100))
        try await serving(emulator) { (server) async throws in
            let plan = """
                {"faults":[{"do":"error","type":"Odd","message":"m","status":418,"operation":"ListStreams",\
                "from":"0.5s","until":"10s","count":2,"probability":0.999999999},\
                {"do":"delay","by":"250ms","jitter":0.5,"worker":"w","shard":"s","resource":"r"},{"do":"drop","count":0},\
                {"do":"throttle","count":0},{"do":"fail","count":0},{"do":"unavailable","count":0},\
                {"do":"dropAnswer","count":0},{"do":"delayAnswer","by":"1m","count":0},{"do":"expireIterator"}]}
                """
            let put = try await exchange(server, "PUT", "/_shardtop/faults", body: plan)
            #expect(put.status == 200)
            // What it says can be put back, and is the same.
            #expect(try FaultPlan(json: JSON.encode(put.body)) == FaultPlan(json: Array(plan.utf8)))
            #expect(try await exchange(server, "GET", "/_shardtop/faults").body == put.body)
            #expect(try await call(server, rawRequest()).status == 200)
            clock.advance(.seconds(1))
            #expect(try await call(server, rawRequest()).status == 418)
            let bad = try await exchange(server, "PUT", "/_shardtop/faults", body: #"{"faults":[{"do":"harm"}]}"#)
            #expect(bad.status == 400)
            #expect(bad.body["error"]?.string?.hasPrefix("faults[0].do") == true)
            #expect(try await call(server, rawRequest()).status == 418)
            #expect(try await exchange(server, "DELETE", "/_shardtop/faults").body == ["faults": []])
            #expect(try await call(server, rawRequest()).status == 200)
        }
    }

    @Test("Nothing else is there, and foreign pages may not ask")
    func guarded() async throws {
        let emulator = Emulator(configuration: .immediate, time: TestClock().source)
        try await serving(emulator) { (server) async throws in
            #expect(try await exchange(server, "GET", "/_shardtop/secrets").status == 404)
            let post = try await exchange(server, "POST", "/_shardtop/faults")
            #expect(post.status == 405)
            #expect(post.headers["allow"] == "GET, PUT, DELETE")
            #expect(try await exchange(server, "GET", "/_shardtop/counts", host: "evil.example").status == 403)
            let origin = try await exchange(
                server, "DELETE", "/_shardtop/faults", headers: ["Origin: http://evil.example"])
            #expect(origin.status == 403)
        }
    }

    @Test("A capture says what was asked and answered, without signatures, and without data unless wanted")
    func capture() async throws {
        let captured = Mutex<[CapturedExchange]>([])
        let emulator = Emulator(configuration: .immediate, time: TestClock().source)
        try await serving(emulator, capture: { exchange in captured.withLock { $0.append(exchange) } }) {
            (server) async throws in
            _ = try await call(
                server, rawRequest("Kinesis_20131202.CreateStream", body: #"{"StreamName":"w","ShardCount":1}"#))
            let put = #"{"StreamName":"w","PartitionKey":"k","Data":"c2VjcmV0"}"#
            _ = try await call(server, rawRequest("Kinesis_20131202.PutRecord", body: put))
            let client = try await RawHTTP2(port: server.port)
            await client.request(1, "Kinesis_20131202.DescribeStream", body: #"{"StreamName":"none"}"#)
            _ = await client.answer(1)
            let lines = captured.withLock { $0.map { $0.json(withData: false) } }
            #expect(lines.count == 3)
            #expect(lines.allSatisfy { !$0.contains("Credential") && !$0.contains("c2VjcmV0") })
            #expect(
                lines[1].contains(#""protocol":"h1","tls":false,"operation":"Kinesis.PutRecord","encoding":"json""#))
            #expect(lines[1].contains(#""Data":{"bytes":6}"#))
            #expect(lines[1].contains(#""PartitionKey":"k""#))
            #expect(lines[2].contains(#""protocol":"h2""#))
            #expect(lines[2].contains(#""status":400,"errorType":"ResourceNotFoundException""#))
            #expect(captured.withLock { $0[1].json(withData: true) }.contains("c2VjcmV0"))
        }
    }
}
