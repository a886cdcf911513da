import Machine
import Synchronization
import Testing

@testable import AWSWire

@Suite struct AWSClientTests {
    static let throttled = Response.json("{\"__type\":\"ProvisionedThroughputExceededException\"}", status: 400)
    static let broken = Response.json("{\"__type\":\"com.amazon.coral.service#InternalFailure\"}", status: 500)
    static let lost = TransportError(.timedOut, "no answer", requestWasSent: true)
    static let unsent = TransportError(.cannotConnect, "refused", requestWasSent: false)

    static func client(
        _ transport: any Transport, _ time: VirtualTime = VirtualTime(), retry: RetryPolicy = RetryPolicy(),
        credentials: any CredentialProvider = StaticCredentials(accessKeyID: "ID", secretAccessKey: "secret"),
        service: AWSService = .dynamodb
    ) -> AWSClient {
        AWSClient(
            service, region: "us-east-1", transport: transport, credentials: credentials, time: time.source,
            retry: retry, encoding: .json, seed: 1)
    }

    @Test func aCallIsSignedAndAddressed() async throws {
        let transport = ScriptedTransport([.success(.json("{\"a\":1}"))])
        let answer = try await Self.client(transport, service: .kinesis).call("ListShards", ["StreamName": "s"])
        #expect(answer == ["a": 1])
        let request = try #require(transport.requests.first)
        #expect(request.url.description == "https://kinesis.us-east-1.amazonaws.com")
        #expect(request.headers["X-Amz-Target"] == "Kinesis_20131202.ListShards")
        #expect(request.headers["Content-Type"] == "application/x-amz-json-1.1")
        #expect(request.headers["X-Amz-Date"] == "20260131T120000Z")
        #expect(request.headers["Authorization"]?.hasPrefix("AWS4-HMAC-SHA256 Credential=ID/20260131/") == true)
        #expect(String(decoding: request.body, as: UTF8.self) == "{\"StreamName\":\"s\"}")
    }

    @Test func aTransientFailureIsRetriedAfterAJitteredWait() async throws {
        let time = VirtualTime()
        let transport = ScriptedTransport([.failure(Self.lost), .success(Self.broken), .success(.json("{}"))])
        _ = try await Self.client(transport, time).call("Scan", [:])
        #expect(transport.requests.count == 3)
        #expect(time.sleeps.count == 2)
        #expect(time.sleeps[0] <= .milliseconds(50) && time.sleeps[1] <= .milliseconds(100))
        // A retry is signed anew, at its own time.
        #expect(transport.requests.allSatisfy { $0.headers.count(where: { $0.name == "Authorization" }) == 1 })
    }

    @Test func throttlingWaitsLongerThanOtherFailuresAndEverLonger() {
        let policy = RetryPolicy()
        var generator = SeededGenerator(seed: 3)
        func longest(_ meaning: AWSError.Meaning, _ attempt: Int) -> Duration {
            (0..<500).map { _ in policy.delay(attempt: attempt, meaning: meaning, generator: &generator) }.max()
                ?? .zero
        }
        #expect((.milliseconds(200) ... .milliseconds(250)).contains(longest(.throttled, 1)))
        #expect((.milliseconds(400) ... .milliseconds(500)).contains(longest(.throttled, 2)))
        #expect((.milliseconds(40) ... .milliseconds(50)).contains(longest(.transient, 1)))
        #expect((.seconds(4) ... .seconds(5)).contains(longest(.throttled, 60)))
    }

    @Test func attemptsEndAndTheErrorCountsThem() async throws {
        let transport = ScriptedTransport([.success(Self.throttled)])
        let error = try await #require(throws: AWSError.self) {
            try await Self.client(transport, retry: RetryPolicy(attemptsMax: 4)).call("Scan", [:])
        }
        #expect(error.attempts == 4)
        #expect(error.meaning == .throttled)
        #expect(transport.requests.count == 4)
    }

    @Test(
        "What cannot get better is not sent again",
        arguments: [
            "ValidationException", "ConditionalCheckFailedException", "AccessDeniedException",
            "ResourceNotFoundException",
        ])
    func notRetried(_ type: String) async {
        let transport = ScriptedTransport([.success(.json("{\"__type\":\"\(type)\"}", status: 400))])
        await #expect(throws: AWSError.self) { try await Self.client(transport).call("PutItem", [:]) }
        #expect(transport.requests.count == 1)
    }

    @Test func theBudgetEndsTheRetriesOfAnOutageAndSuccessRefillsIt() async throws {
        let healthy = Mutex(false)
        let transport = ScriptedTransport { (_, _) throws(TransportError) in
            if healthy.withLock({ $0 }) { return .json("{}") }
            throw Self.unsent
        }
        let client = Self.client(transport, retry: RetryPolicy(attemptsMax: 3, budgetTokensMax: 50))
        for _ in 0..<10 { _ = try? await client.call("Scan", [:]) }
        // Ten first attempts, and the five retries that 50 tokens pay for.
        #expect(transport.requests.count == 15)
        healthy.withLock { $0 = true }
        for _ in 0..<10 { _ = try await client.call("Scan", [:]) }
        healthy.withLock { $0 = false }
        _ = try? await client.call("Scan", [:])
        #expect(transport.requests.count == 15 + 10 + 2)
    }

    @Test func aRetryThatSucceedsCostsNothing() {
        var budget = RetryBudget(tokensMax: 20)
        let cost = budget.spend(on: .transient)
        #expect(budget.tokens == 10)
        budget.refund(cost)
        #expect(budget.tokens == 20)
        budget.refund(nil)
        #expect(budget.tokens == 20)
        #expect(budget.spend(on: .throttled) == 5)
        #expect(budget.spend(on: .transient) == 10)
        #expect(budget.spend(on: .transient) == nil)
    }

    @Test func aLostAnswerOfAnEarlierAttemptLeavesTheOutcomeOpen() async throws {
        let conditionFailed = Response.json("{\"__type\":\"x#ConditionalCheckFailedException\"}", status: 400)
        for (first, isOpen) in [(Self.lost, true), (Self.unsent, false)] {
            let transport = ScriptedTransport([.failure(first), .success(conditionFailed)])
            let error = try await #require(throws: AWSError.self) {
                try await Self.client(transport).call("UpdateItem", [:])
            }
            #expect(error.meaning == .conditionFailed)
            #expect(error.attempts == 2)
            #expect(error.mayHaveTakenEffect == isOpen)
        }
    }

    @Test func aRejectedClockIsCorrectedFromTheDateOfTheAnswerAtOnceAndForGood() async throws {
        // Our clock is ten minutes slow.
        let time = VirtualTime(wall: UnixTime(milliseconds: 1_769_860_800_000 - 600_000))
        let rejected = Response.json(
            "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired: 20260131T115000Z is now …\"}",
            status: 400, headers: [Header("Date", "Sat, 31 Jan 2026 12:00:00 GMT")])
        let transport = ScriptedTransport { (request, _) throws(TransportError) in
            request.headers["X-Amz-Date"] == "20260131T115000Z" ? rejected : .json("{}")
        }
        let client = Self.client(transport, time, retry: .once)
        _ = try await client.call("UpdateItem", [:], attemptsMax: 1)
        #expect(transport.requests.map { $0.headers["X-Amz-Date"] } == ["20260131T115000Z", "20260131T120000Z"])
        _ = try await client.call("UpdateItem", [:], attemptsMax: 1)
        #expect(transport.requests.count == 3)
        #expect(abs((client.serviceTime - UnixTime(milliseconds: 1_769_860_800_000)).inSeconds) <= 0.5)
        #expect(time.sleeps.isEmpty)
    }

    @Test func aClockThatStaysRejectedIsAnError() async throws {
        let rejected = Response.json("{\"__type\":\"RequestTimeTooSkewed\"}", status: 403)
        let transport = ScriptedTransport([.success(rejected)])
        let error = try await #require(throws: AWSError.self) { try await Self.client(transport).call("Scan", [:]) }
        #expect(error.meaning == .clockSkewed)
        #expect(transport.requests.count == 2)
    }

    @Test func ordinaryAnswersTellTheServicesTimeAndLeaveSignaturesAlone() async throws {
        let time = VirtualTime()
        // The service is 90 s ahead of us; its dates are cut to the second.
        let transport = ScriptedTransport { (_, _) throws(TransportError) in
            time.advance(by: .milliseconds(130))
            return .json("{}", headers: [Header("date", HTTPDate.format(time.wall + .seconds(90)))])
        }
        let client = Self.client(transport, time)
        #expect(client.serviceTime == time.wall)
        for _ in 0..<20 {
            _ = try await client.call("Scan", [:])
            time.advance(by: .milliseconds(1137))
        }
        #expect(abs((client.serviceTime - (time.wall + .seconds(90))).inSeconds) < 0.15)
        #expect(transport.requests.last?.headers["X-Amz-Date"]?.hasPrefix("20260131T1200") == true)
        // Our clock is set: the next answer is enough to know the new difference.
        time.step(by: .seconds(3600))
        _ = try await client.call("Scan", [:])
        #expect(abs((client.serviceTime - (time.wall + .seconds(90))).inSeconds) < 1.2)
    }

    @Test func expiredCredentialsAreFetchedAnewOnceAndTheCallIsRepeated() async throws {
        final class Rotating: CredentialProvider {
            let generation = Mutex(1)
            func credentials() async throws(CredentialError) -> Credentials {
                Credentials(accessKeyID: "ID\(generation.withLock { $0 })", secretAccessKey: "s")
            }
            func rejected(_ credentials: Credentials) { generation.withLock { $0 = min($0 + 1, 2) } }
        }
        let expired = Response.json("{\"__type\":\"ExpiredTokenException\"}", status: 400)
        let answers = ScriptedTransport { (request, _) throws(TransportError) in
            request.headers["Authorization"]?.contains("=ID2/") == true ? .json("{}") : expired
        }
        _ = try await Self.client(answers, retry: .once, credentials: Rotating()).call("Scan", [:])
        #expect(answers.requests.count == 2)
        // Where there are no others, the error is the caller's.
        let always = ScriptedTransport([.success(expired)])
        await #expect(throws: AWSError.self) { try await Self.client(always).call("Scan", [:]) }
        #expect(always.requests.count == 1)
        let second = ScriptedTransport([.success(expired)])
        await #expect(throws: AWSError.self) {
            try await Self.client(second, credentials: Rotating()).call("Scan", [:])
        }
        #expect(second.requests.count == 2)
    }

    @Test func cancellingDuringTheWaitIsACancelledCall() async throws {
        let time = VirtualTime()
        let transport = ScriptedTransport { (_, _) throws(TransportError) in
            withUnsafeCurrentTask { $0?.cancel() }
            throw Self.lost
        }
        let client = Self.client(transport, time)
        let task = Task { () -> AWSError? in
            do throws(AWSError) {
                _ = try await client.call("Scan", [:])
                return nil
            } catch {
                return error
            }
        }
        let error = await task.value
        #expect(error?.meaning == .cancelled)
        #expect(error?.mayHaveTakenEffect == true)
        #expect(transport.requests.count == 1)
    }

    @Test func aCancelledTaskSendsNothingMore() async {
        let transport = ScriptedTransport([.success(.json("{}"))])
        let client = Self.client(transport)
        let task = Task { () -> AWSError.Meaning? in
            withUnsafeCurrentTask { $0?.cancel() }
            do throws(AWSError) {
                _ = try await client.call("UpdateItem", [:])
                return nil
            } catch {
                return error.meaning
            }
        }
        #expect(await task.value == .cancelled)
        #expect(transport.requests.isEmpty)
    }

    @Test(
        "The type of an error is found wherever the service puts it",
        arguments: [
            ("{\"__type\":\"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException\",\"message\":\"m\"}", ""),
            ("{\"__type\":\"ResourceNotFoundException\",\"Message\":\"m\"}", ""),
            ("{\"message\":\"m\"}", "ResourceNotFoundException:http://internal.amazon.com/coral/"),
            ("{\"message\":\"m\"}", "ResourceNotFoundException"),
        ])
    func errorTypes(_ body: String, _ header: String) async throws {
        let headers = header.isEmpty ? [] : [Header("x-amzn-errortype", header)]
        let transport = ScriptedTransport([
            .success(.json(body, status: 400, headers: headers + [Header("x-amzn-requestid", "R1")]))
        ])
        let error = try await #require(throws: AWSError.self) { try await Self.client(transport).call("Scan", [:]) }
        #expect(error.type == "ResourceNotFoundException")
        #expect(error.requestID == "R1")
        #expect(error.description == "DynamoDB.Scan: ResourceNotFoundException: m")
    }

    @Test(
        "An answer that is none is malformed and names the operation",
        arguments: ["{\"a\":", "<html>", "[1", "{}x"])
    func malformed(_ body: String) async throws {
        let transport = ScriptedTransport([.success(.json(body))])
        let error = try await #require(throws: AWSError.self) { try await Self.client(transport).call("Scan", [:]) }
        #expect(error.description.hasPrefix("DynamoDB.Scan: the answer is malformed: "))
    }

    @Test(
        "No list never passes for an empty one",
        arguments: ["", "{}", "{\"Shards\":null,\"Items\":null}", "{\"Shards\":{},\"Items\":[1]}"])
    func noList(_ body: String) async throws {
        let transport = ScriptedTransport([.success(.json(body))])
        await #expect(throws: AWSError.self) {
            try await KinesisClient(Self.client(transport, service: .kinesis)).listShards(stream: "s")
        }
        await #expect(throws: AWSError.self) { try await DynamoDBClient(Self.client(transport)).scan("t") }
        await #expect(throws: AWSError.self) { try await DynamoDBClient(Self.client(transport)).listTables() }
        await #expect(throws: AWSError.self) {
            try await KinesisClient(Self.client(transport, service: .kinesis)).listStreams()
        }
    }
}
