import AWSWire
import Emulator
import Machine
import Testing

@Suite("Faults") struct FaultPlanTests {
    @Test("A dropped answer leaves the write done; a dropped request leaves it undone", arguments: Door.allCases)
    func drops(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            subject.emulator.faults.add(Fault(.dropAnswer, operation: "PutRecords", count: 1))
            await #expect { try await subject.put(["written"]) } throws: { error in
                guard let error = error as? AWSError, case .transport(let lost) = error.cause else { return false }
                return lost.requestWasSent && error.mayHaveTakenEffect
            }
            subject.emulator.faults.add(Fault(.drop, operation: "PutRecords", count: 1))
            await #expect(throws: AWSError.self) { try await subject.put(["unwritten"]) }
            try await subject.put(["after"])
            #expect(try await subject.read(try await subject.iterator()).texts == ["written", "after"])
        }
    }

    @Test("Faults pick their calls by operation, shard, worker and stream", arguments: Door.allCases)
    func matching(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream(shards: 2)
            try await subject.stream("other")
            let faults = subject.emulator.faults
            faults.add(Fault(.throttle, operation: "GetRecords", shard: shardID(1)))
            faults.add(Fault(.fail, operation: "Kinesis.DescribeStreamSummary", worker: "worker-2"))
            faults.add(Fault(.unavailable, operation: "ListShards", resource: "other"))
            func get(_ shard: Int) async throws -> String? {
                try await subject.failure(
                    "GetRecords", ["ShardIterator": .string(try await subject.iterator(shard: shard))])?.type
            }
            #expect(try await get(0) == nil)
            #expect(try await get(1) == "ProvisionedThroughputExceededException")
            let name: AWSValue = ["StreamName": "words"]
            #expect(try await subject.failure("DescribeStreamSummary", name) == nil)
            #expect(
                try await subject.failure("DescribeStreamSummary", name, worker: "worker-2")?.type
                    == "InternalFailure")
            #expect(try await subject.failure("ListShards", name) == nil)
            #expect(
                try await subject.failure("ListShards", ["StreamName": "other"])?.type
                    == "ServiceUnavailableException")
        }
    }

    @Test("A throttled shard refuses its part of a PutRecords", arguments: Door.allCases)
    func partialPut(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream(shards: 2)
            subject.emulator.faults.add(Fault(.throttle, operation: "PutRecords", shard: shardID(1)))
            let records: [PutRecord] = [0, UInt128.max].map {
                PutRecord(data: Bytes("x"), partitionKey: "k", explicitHashKey: $0)
            }
            let outcomes = try await subject.kinesis.putRecords(stream: "words", records)
            #expect(outcomes.map { if case .stored = $0 { true } else { false } } == [true, false])
        }
    }

    @Test("A fault lasts from its start to its end", arguments: Door.allCases)
    func window(door: Door) async throws {
        let outage = Fault(.unavailable, operation: "Kinesis", from: .seconds(10), until: .seconds(130))
        try await through(door, faults: FaultPlan([outage])) { (subject) async throws in
            #expect(try await subject.failure("ListStreams", [:]) == nil)
            subject.clock.advance(.seconds(10))
            #expect(try await subject.failure("ListStreams", [:])?.type == "ServiceUnavailableException")
            subject.clock.advance(.seconds(120))
            #expect(try await subject.failure("ListStreams", [:]) == nil)
        }
    }

    @Test("A delay passes on the emulator's clock, before or after the effect", arguments: Door.allCases)
    func delays(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            let id = subject.emulator.faults.add(Fault(.delay(.seconds(3)), operation: "PutRecords"))
            try await subject.put(["late"])
            #expect(subject.clock.wall == TestClock.start + .seconds(3))
            subject.emulator.faults.remove(id)
            subject.emulator.faults.add(Fault(.delayAnswer(.seconds(4)), operation: "PutRecords", count: 1))
            try await subject.put(["early"])
            let batch = try await subject.kinesis.getRecords(iterator: try await subject.iterator(), limit: 10)
            #expect(
                batch.records.map(\.approximateArrival)
                    == [TestClock.start + .seconds(3), TestClock.start + .seconds(3)])
            #expect(subject.clock.wall == TestClock.start + .seconds(7))
        }
    }

    @Test("A caller gives up after its timeout, and the delayed write happens all the same")
    func timeout() async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.stream()
            subject.emulator.faults.add(Fault(.delay(.seconds(300)), operation: "PutRecords", count: 1))
            await #expect { try await subject.put(["late"]) } throws: { error in
                guard let error = error as? AWSError, case .transport(let lost) = error.cause else { return false }
                return lost.kind == .timedOut && lost.requestWasSent
            }
            #expect(subject.emulator.elapsed == .seconds(30))
            #expect(try await subject.read(try await subject.iterator()).texts == ["late"])
        }
    }

    @Test("Iterators expire on command", arguments: Door.allCases)
    func expiredIterator(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            let id = subject.emulator.faults.add(Fault(.expireIterator, count: 2))
            let input: AWSValue = ["ShardIterator": .string(try await subject.iterator())]
            for _ in 0..<2 {
                #expect(try await subject.failure("GetRecords", input)?.type == "ExpiredIteratorException")
            }
            #expect(try await subject.failure("GetRecords", input) == nil)
            #expect(subject.emulator.faults.timesFired(id) == 2)
        }
    }

    @Test("The same seed makes the same choices", arguments: Door.allCases)
    func seeded(door: Door) async throws {
        func history(_ door: Door) async throws -> [Bool] {
            var failures: [Bool] = []
            try await through(door, faults: FaultPlan([Fault(.fail, operation: "ListStreams", probability: 0.5)])) {
                (subject) async throws in
                for _ in 0..<40 { failures.append(try await subject.failure("ListStreams", [:]) != nil) }
            }
            return failures
        }
        let reference = try await history(.inProcess)
        #expect(try await history(door) == reference)
        #expect(reference.contains(true) && reference.contains(false))
    }

    @Test("A plan is read from a file")
    func file() throws {
        let text = """
            {"faults": [
              {"do": "throttle", "operation": "GetRecords", "shard": "shardId-000000000002",
               "from": "10s", "until": "40s"},
              {"do": "dropAnswer", "operation": "DynamoDB.UpdateItem", "worker": "worker-1", "probability": 0.05},
              {"do": "delay", "by": "250ms", "jitter": 0.5, "operation": "Kinesis", "probability": 0.2},
              {"do": "unavailable", "resource": "leases", "from": "1m", "until": "0.5h"},
              {"do": "expireIterator", "count": 3},
              {"do": "error", "type": "AccessDeniedException", "message": "not you", "status": 403}
            ]}
            """
        #expect(
            try FaultPlan(json: Array(text.utf8))
                == FaultPlan([
                    Fault(
                        .throttle, operation: "GetRecords", shard: "shardId-000000000002", from: .seconds(10),
                        until: .seconds(40)),
                    Fault(.dropAnswer, operation: "DynamoDB.UpdateItem", worker: "worker-1", probability: 0.05),
                    Fault(.delay(.milliseconds(250), jitter: 0.5), operation: "Kinesis", probability: 0.2),
                    Fault(.unavailable, resource: "leases", from: .seconds(60), until: .seconds(1800)),
                    Fault(.expireIterator, count: 3),
                    Fault(.error(type: "AccessDeniedException", message: "not you", status: 403)),
                ]))
    }

    @Test("Times are read as they were written")
    func times() throws {
        let plan = FaultPlan((1...5000).map { Fault(.delay(.milliseconds($0)), from: .nanoseconds($0)) })
        #expect(try FaultPlan(json: JSON.encode(plan.json)) == plan)
    }

    @Test(
        "A wrong plan is refused with the place and what was expected",
        arguments: [
            ("[", "not JSON: expected a value at byte 1"),
            ("[]", #"expected an object {"faults": […]}"#),
            (#"{"faults": [], "seed": 1}"#, "seed: unknown; the only member is faults"),
            (#"{"faults": [7]}"#, "faults[0]: expected an object"),
            (
                #"{"faults": [{"do": "explode"}]}"#,
                "faults[0].do: expected one of throttle, fail, unavailable, delay, delayAnswer, drop, dropAnswer, "
                    + "expireIterator, error"
            ),
            (
                #"{"faults": [{"do": "drop"}, {"do": "fail", "probability": 2}]}"#,
                "faults[1].probability: expected a number from 0 to 1"
            ),
            (#"{"faults": [{"do": "delay"}]}"#, #"faults[0].by: missing: how long, as in "250ms""#),
            (
                #"{"faults": [{"do": "drop", "from": "soon"}]}"#,
                #"faults[0].from: expected a time such as "500ms", "10s", "2m", "1h""#
            ),
            (
                #"{"faults": [{"do": "drop", "from": "2s", "until": "1s"}]}"#,
                "faults[0].until: expected a time after from"
            ),
            (
                #"{"faults": [{"do": "drop", "shards": "x"}]}"#,
                "faults[0].shards: unknown; drop takes count, do, from, operation, probability, resource, shard, "
                    + "until, worker"
            ),
        ])
    func wrongFile(text: String, reason: String) throws {
        let error = #expect(throws: FaultPlanError.self) { try FaultPlan(json: Array(text.utf8)) }
        #expect(error?.description == reason)
    }
}
