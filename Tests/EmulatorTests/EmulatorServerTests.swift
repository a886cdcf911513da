import AWSWire
import CurlTransport
import Emulator
import Machine
import Synchronization
import Testing

@Suite("The door on a port") struct EmulatorServerTests {
    private func served(
        _ limits: EmulatorServer.Limits = EmulatorServer.Limits(), allowsRemote: Bool = false,
        body: (EmulatorServer) async throws -> Void
    ) async throws {
        let emulator = Emulator(configuration: .immediate, time: TestClock().source)
        try await serving(emulator, limits: limits, allowsRemote: allowsRemote, body: body)
    }

    private func exchange(
        _ server: EmulatorServer, _ request: String
    ) async throws -> (status: Int, headers: [String: String], body: String) {
        let connection = try RawConnection(port: server.port)
        await connection.send(request)
        return await connection.answer()
    }

    @Test("A foreign Host or Origin is refused, this machine's are not")
    func rebinding() async throws {
        try await served { (server) async throws in
            for host in ["evil.example", "evil.example:4567", "127.0.0.1.evil.example", "[::2]", ""] {
                let answer = try await exchange(server, rawRequest(host: host))
                #expect(answer.status == 403, "\(host)")
                #expect(answer.body.contains("AccessDeniedException"))
            }
            for host in ["localhost", "127.0.0.1:\(server.port)", "[::1]:80", "kinesis.localhost", "LOCALHOST"] {
                #expect(try await exchange(server, rawRequest(host: host)).status == 200, "\(host)")
            }
            for origin in ["http://evil.example", "https://localhost.evil.example", "null"] {
                let answer = try await exchange(server, rawRequest(headers: ["Origin: \(origin)"]))
                #expect(answer.status == 403, "\(origin)")
            }
            let answer = try await exchange(server, rawRequest(headers: ["Origin: http://localhost:3000"]))
            #expect(answer.status == 200)
        }
        try await served(allowsRemote: true) { (server) async throws in
            let request = rawRequest(host: "emulator.example", headers: ["Origin: http://evil.example"])
            #expect(try await exchange(server, request).status == 200)
        }
    }

    @Test("An address beyond loopback has to be asked for, and a taken port is one clear line")
    func binding() async throws {
        let emulator = Emulator(configuration: .immediate, time: TestClock().source)
        await #expect(throws: EmulatorServerError.self) {
            try await EmulatorServer.bind(emulator: emulator, host: "0.0.0.0")
        }
        try await served { (server) async throws in
            let error = await #expect(throws: EmulatorServerError.self) {
                try await EmulatorServer.bind(emulator: emulator, port: server.port)
            }
            #expect(error?.description.hasPrefix("cannot listen on 127.0.0.1:\(server.port): ") == true)
            #expect(error?.description.contains("\n") == false)
        }
    }

    @Test("A connection carries many requests, and those sent ahead are answered in their order")
    func pipelining() async throws {
        try await served { (server) async throws in
            let connection = try RawConnection(port: server.port)
            let create = #"{"StreamName":"words","ShardCount":1}"#
            let describe = #"{"StreamName":"words"}"#
            await connection.send(
                rawRequest("Kinesis_20131202.CreateStream", body: create)
                    + rawRequest("Kinesis_20131202.DescribeStreamSummary", body: describe)
                    + rawRequest("Kinesis_20131202.ListStreams"))
            #expect(await connection.answer().body == "")
            #expect(await connection.answer().body.contains(#""OpenShardCount":1"#))
            #expect(await connection.answer().body.contains(#""StreamNames":["words"]"#))
            await connection.send(rawRequest("Kinesis_20131202.DeleteStream", body: describe))
            #expect(await connection.answer().status == 200)
            await connection.send(rawRequest(headers: ["Connection: close"]))
            #expect(await connection.answer().headers["connection"] == "close")
            _ = await connection.receive()
            #expect(connection.isClosed)
        }
    }

    @Test("A body over the limit is answered with 413, whole or in chunks")
    func bodyLimit() async throws {
        var limits = EmulatorServer.Limits()
        limits.bodyBytesMax = 1000
        try await served(limits) { (server) async throws in
            let connection = try RawConnection(port: server.port)
            await connection.send(rawRequest(body: String(repeating: " ", count: 998) + "{}"))
            #expect(await connection.answer().status == 200)
            await connection.send(rawRequest(body: String(repeating: " ", count: 200_000) + "{}"))
            #expect(await connection.answer().status == 413)
            let chunk = String(repeating: " ", count: 600)
            let chunked =
                "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "258\r\n\(chunk)\r\n258\r\n\(chunk)\r\n0\r\n\r\n"
            #expect(try await exchange(server, chunked).status == 413)
        }
    }

    @Test("Headers have limits")
    func headerLimits() async throws {
        try await served { (server) async throws in
            let long = try await exchange(
                server, rawRequest(headers: ["X-Long: \(String(repeating: "x", count: 20_000))"]))
            #expect(long.status == 431)
            let many = (0..<200).map { "X-\($0): y" }
            #expect(try await exchange(server, rawRequest(headers: many)).status == 431)
            #expect(try await exchange(server, "nonsense\r\n\r\n").status == 400)
        }
    }

    @Test("A client that asks first is told to go on")
    func expectContinue() async throws {
        try await served { (server) async throws in
            let connection = try RawConnection(port: server.port)
            let request = rawRequest(headers: ["Expect: 100-continue"])
            await connection.send(String(request.dropLast(2)))
            #expect(await connection.receive { $0.contains("\r\n\r\n") }.hasPrefix("HTTP/1.1 100"))
            await connection.send("{}")
            #expect(await connection.receive { $0.contains("StreamNames") }.contains("HTTP/1.1 200"))
        }
    }

    @Test("A connection that sends nothing, or half a request, is closed")
    func idle() async throws {
        var limits = EmulatorServer.Limits()
        limits.idleTimeout = .milliseconds(20)
        try await served(limits) { (server) async throws in
            for beginning in ["", "POST / HTTP/1.1\r\nHost: loc", String(rawRequest().dropLast())] {
                let connection = try RawConnection(port: server.port)
                await connection.send(beginning)
                #expect(await connection.receive() == "")
                #expect(connection.isClosed)
            }
        }
    }

    @Test("Shutdown closes idle connections and sends the answers under way")
    func shutdown() async throws {
        let emulator = Emulator(configuration: .immediate, time: TestClock().source)
        let server = try await EmulatorServer.bind(emulator: emulator)
        async let served: Void = server.run()
        let idle = try RawConnection(port: server.port)
        await idle.send(rawRequest())
        #expect(await idle.answer().status == 200)
        server.shutdown()
        await served
        _ = await idle.receive()
        #expect(idle.isClosed)
        #expect(throws: RawConnection.CannotConnect.self) { try RawConnection(port: server.port) }
    }

    /// An emulator whose ListStreams waits until `gate` opens, and a connection that waits for its answer.
    private func waiting(
        at gate: AsyncStream<Void>, body: (EmulatorServer, RawConnection) async throws -> Void
    ) async throws {
        var time = TestClock().source
        time.sleep = { _ in
            for await _ in gate { return }
            try Task.checkCancellation()
        }
        let emulator = Emulator(configuration: .immediate, time: time)
        let fault = emulator.faults.add(Fault(.delay(.seconds(1)), operation: "ListStreams"))
        let server = try await EmulatorServer.bind(emulator: emulator)
        try await withThrowingTaskGroup { group in
            group.addTask { await server.run() }
            let connection = try RawConnection(port: server.port)
            await connection.send(rawRequest())
            while emulator.faults.timesFired(fault) == 0 { await Task.yield() }
            try await body(server, connection)
            group.cancelAll()
        }
    }

    @Test("An answer under way at shutdown is still sent, and its connection closed")
    func shutdownUnderWay() async throws {
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        try await waiting(at: gate) { (server, connection) async throws in
            server.shutdown()
            open.yield()
            #expect(await connection.answer().status == 200)
            _ = await connection.receive()
            #expect(connection.isClosed)
        }
    }

    @Test("Cancelling the server drops what is under way")
    func cancel() async throws {
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let held = Mutex<RawConnection?>(nil)
        try await waiting(at: gate) { (_, connection) async throws in held.withLock { $0 = connection } }
        let connection = try #require(held.withLock { $0 })
        #expect(await connection.receive() == "")
        #expect(connection.isClosed)
        open.finish()
    }

    @Test("Requests that are no call get the service's errors")
    func notACall() async throws {
        try await served { (server) async throws in
            func type(_ request: String) async throws -> String {
                let answer = try await exchange(server, request)
                #expect(answer.headers["x-amzn-requestid"] != nil)
                #expect(answer.headers["date"]?.hasSuffix(" GMT") == true)
                return "\(answer.status) \(answer.body)"
            }
            #expect(
                try await type(rawRequest(isSigned: false))
                    == #"400 {"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}"#
            )
            #expect(try await type(rawRequest(body: "{")) == #"400 {"__type":"SerializationException"}"#)
            #expect(try await type(rawRequest(body: "[]")) == #"400 {"__type":"SerializationException"}"#)
            #expect(try await type(rawRequest("Nonsense")) == #"400 {"__type":"UnknownOperationException"}"#)
            #expect(
                try await type(rawRequest("DynamoDB_20120810.Nonsense"))
                    .hasPrefix(#"400 {"__type":"com.amazon.coral.service#UnknownOperationException""#))
            #expect(
                try await type(rawRequest(headers: ["X-Amz-Date: 20200101T000000Z"]))
                    == #"400 {"__type":"InvalidSignatureException","message":"Signature expired: 20200101T000000Z "#
                    + #"is now earlier than 20300317T174140Z (20300317T174640Z - 5 min.)"}"#)
        }
    }

    @Test("DynamoDB's answers carry their checksum")
    func checksum() async throws {
        try await served { (server) async throws in
            let answer = try await exchange(server, rawRequest("DynamoDB_20120810.ListTables"))
            var crc: UInt32 = ~0
            for byte in answer.body.utf8 {
                crc ^= UInt32(byte)
                for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
            }
            #expect(answer.headers["x-amz-crc32"] == String(~crc))
            #expect(answer.headers["content-type"] == "application/x-amz-json-1.0")
        }
    }

    @Test("What a table costs is counted, reads and writes apart", arguments: Door.allCases)
    func consumedUnits(door: Door) async throws {
        try await through(door) { (subject) async throws in
            let table = subject.client(.dynamodb)
            _ = try await table.call(
                "CreateTable",
                [
                    "TableName": "leases", "BillingMode": "PAY_PER_REQUEST",
                    "KeySchema": [["AttributeName": "leaseKey", "KeyType": "HASH"]],
                    "AttributeDefinitions": [["AttributeName": "leaseKey", "AttributeType": "S"]],
                ])
            let key: AWSValue = ["leaseKey": ["S": "a"]]
            _ = try await table.call("PutItem", ["TableName": "leases", "Item": key])
            _ = try await table.call("GetItem", ["TableName": "leases", "Key": key, "ConsistentRead": true])
            _ = try await table.call("Scan", ["TableName": "leases"])
            let units = try #require(subject.emulator.dynamoDB.consumedUnits(table: "leases"))
            #expect(units.reads == 1.5)
            #expect(units.writes == 1)
            #expect(subject.emulator.counters.calls("DynamoDB.Scan") == 1)
            #expect(subject.emulator.dynamoDB.consumedUnits(table: "none") == nil)
        }
    }

    @Test("A fault finds a lease row by its shard", arguments: Door.allCases)
    func leaseFault(door: Door) async throws {
        try await through(door) { (subject) async throws in
            subject.emulator.faults.add(Fault(.throttle, operation: "DynamoDB", shard: shardID(1), worker: "w"))
            func type(_ leaseKey: String, worker: String) async throws -> String? {
                do {
                    _ = try await subject.client(.dynamodb, worker: worker).call(
                        "GetItem", ["TableName": "none", "Key": ["leaseKey": ["S": .string(leaseKey)]]])
                    return nil
                } catch {
                    return error.type
                }
            }
            #expect(try await type(shardID(1), worker: "w") == "ProvisionedThroughputExceededException")
            let multiStream = "123456789012:words:1700000000:\(shardID(1))"
            #expect(try await type(multiStream, worker: "w") == "ProvisionedThroughputExceededException")
            #expect(try await type(shardID(0), worker: "w") == "ResourceNotFoundException")
            #expect(try await type(shardID(1), worker: "x") == "ResourceNotFoundException")
        }
    }

    @Test("A client whose clock is ten minutes off learns the time from the refusal", arguments: Door.allCases)
    func clockSkew(door: Door) async throws {
        try await through(door) { (subject) async throws in
            var wrong = subject.clock.source
            wrong.wallClock = { subject.clock.wall + .seconds(600) }
            let client = AWSClient(
                .kinesis, region: "us-east-1", endpoint: subject.endpoint, transport: subject.transport,
                credentials: StaticCredentials(accessKeyID: "a", secretAccessKey: "b"), time: wrong, seed: 1)
            _ = try await client.call("ListStreams", [:])
            #expect(subject.emulator.counters.calls("Kinesis.ListStreams") == 1)
            #expect(client.calls == 2)
        }
    }

    @Test("Nothing that a client sends makes the emulator trap", arguments: Door.allCases)
    func fuzz(door: Door) async throws {
        let operations = [
            "CreateStream", "DeleteStream", "DescribeStream", "DescribeStreamSummary", "ListStreams", "ListShards",
            "GetShardIterator", "GetRecords", "PutRecord", "PutRecords", "SplitShard", "MergeShards",
            "UpdateShardCount", "IncreaseStreamRetentionPeriod", "DecreaseStreamRetentionPeriod", "DescribeLimits",
        ]
        let names = [
            "StreamName", "StreamARN", "ShardCount", "ShardId", "ShardIteratorType", "StartingSequenceNumber",
            "Timestamp", "ShardIterator", "Limit", "Data", "PartitionKey", "ExplicitHashKey", "Records",
            "ShardToSplit", "NewStartingHashKey", "ShardToMerge", "AdjacentShardToMerge", "TargetShardCount",
            "ScalingType", "RetentionPeriodHours", "NextToken", "MaxResults", "ShardFilter", "ExclusiveStartShardId",
        ]
        try await through(door) { (subject) async throws in
            try await subject.stream(shards: 2)
            let iterator = AWSValue.string(try await subject.iterator())
            let ending = AWSValue.string(String(repeating: "9", count: 77))
            let values: [AWSValue] = [
                .null, 0, -1, 2, 10_000, .int(.max), .int(.min), .double(1e300), .double(-1e300), .double(0.5), true,
                "", "words", "YQ==", "YQ=", .string(shardID(0)), .string(shardID(1)), "TRIM_HORIZON", "LATEST",
                "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "UNIFORM_SCALING", "1000", ending,
                iterator, [], [:], [["Data": "YQ==", "PartitionKey": "k"]], [.null], ["Type": "AT_TIMESTAMP"],
                ["Type": "AFTER_SHARD_ID", "ShardId": "x"], "340282366920938463463374607431768211455",
                "arn:aws:kinesis:us-east-1:123456789012:stream/words", "shardId-99999999999999999999",
            ]
            var generator = SeededGenerator(seed: 42)
            for _ in 0..<(door == .inProcess ? 2000 : 200) {
                var input: AWSValue = ["StreamName": "words"]
                for _ in 0..<Int.random(in: 0...6, using: &generator) {
                    guard let name = names.randomElement(using: &generator),
                        let value = values.randomElement(using: &generator)
                    else { continue }
                    input[name] = value
                }
                guard let operation = operations.randomElement(using: &generator) else { continue }
                subject.clock.advance(.milliseconds(100))
                if operation == "DeleteStream" || operation == "CreateStream" {
                    if try await subject.failure("ListShards", ["StreamName": "words"]) != nil {
                        try await subject.stream(shards: 2)
                    }
                }
                _ = try await subject.failure(operation, input)
            }
        }
    }
}
