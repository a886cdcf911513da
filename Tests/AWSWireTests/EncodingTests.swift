import Machine
import Synchronization
import Testing

@testable import AWSWire

@Suite("Which encoding a client speaks") struct EncodingTests {
    private static let cbor = "application/x-amz-cbor-1.1"
    private static let json = "application/x-amz-json-1.1"

    private static func client(_ transport: any Transport, encoding: WireEncoding? = nil) -> AWSClient {
        AWSClient(
            .kinesis, region: "us-east-1", transport: transport,
            credentials: StaticCredentials(accessKeyID: "ID", secretAccessKey: "secret"),
            time: VirtualTime().source,
            retry: .once, encoding: encoding, seed: 1)
    }

    private static func types(_ transport: ScriptedTransport) -> [String?] {
        transport.requests.map { $0.headers["Content-Type"] }
    }

    /// Answers in the request's encoding.
    private static func polyglot(_ value: AWSValue, status: Int = 200) -> ScriptedTransport {
        ScriptedTransport { (request, _) throws(TransportError) in
            let encoding = WireEncoding(contentType: request.headers["Content-Type"]) ?? .json
            return Response(status: status, body: Bytes(encoding.encode(value)))
        }
    }

    @Test func anEndpointThatSpeaksCBORIsSpokenToInCBOR() async throws {
        let transport = Self.polyglot(["Shards": [], "At": .timestamp(UnixTime(milliseconds: 5))])
        let client = Self.client(transport)
        let answer = try await client.call("ListShards", ["StreamName": "s"])
        #expect(answer["At"] == .timestamp(UnixTime(milliseconds: 5)))
        _ = try await client.call("PutRecord", ["Data": .bytes(Bytes([0, 255]))])
        #expect(Self.types(transport) == [Self.cbor, Self.cbor])
        #expect(
            try CBOR.decode(Bytes(transport.requests[1].body)) == ["Data": .bytes(Bytes([0, 255]))])
    }

    @Test func aWriteDoesNotTryAnUnknownEndpoint() async throws {
        let transport = Self.polyglot([:])
        let client = Self.client(transport)
        for operation in ["PutRecords", "CreateStream", "ListStreams", "SplitShard"] {
            _ = try await client.call(operation, ["StreamName": "s"])
        }
        #expect(Self.types(transport) == [Self.json, Self.json, Self.cbor, Self.cbor])
    }

    @Test(
        "An endpoint without CBOR is asked again at once, and then only in JSON",
        arguments: [
            (500, "<!doctype html><title>500 Internal Server Error</title>UnicodeDecodeError"), (500, ""),
            (400, "{\"__type\":\"SerializationException\"}"),
            (404, "{\"__type\":\"UnknownOperationException\"}"),
            (415, "Unsupported Media Type"), (200, "{\"Shards\":[]}"), (200, "<html>"),
        ])
    func fallsBack(_ status: Int, _ body: String) async throws {
        let transport = ScriptedTransport { (request, _) throws(TransportError) in
            guard request.headers["Content-Type"] == Self.json else { return .json(body, status: status) }
            return .json("{\"Shards\":[]}")
        }
        let client = Self.client(transport)
        #expect(
            try await client.call("ListShards", ["StreamName": "s"], attemptsMax: 1) == ["Shards": []])
        _ = try await client.call("ListShards", [:])
        _ = try await client.call("PutRecord", [:])
        #expect(Self.types(transport) == [Self.cbor, Self.json, Self.json, Self.json])
        #expect(String(decoding: transport.requests[1].body, as: UTF8.self) == "{\"StreamName\":\"s\"}")
        // Both are signed, each for its own body.
        let signatures = Set(transport.requests.prefix(2).compactMap { $0.headers["Authorization"] })
        #expect(signatures.count == 2)
    }

    @Test func aFailureThatIsTheSameInJSONSaysNothingOfTheEncoding() async throws {
        let isDown = Mutex(true)
        let transport = ScriptedTransport { (request, _) throws(TransportError) in
            if isDown.withLock({ $0 }) { return .json("{\"__type\":\"InternalFailure\"}", status: 500) }
            let encoding = WireEncoding(contentType: request.headers["Content-Type"]) ?? .json
            return Response(status: 200, body: Bytes(encoding.encode(["StreamNames": []])))
        }
        let client = Self.client(transport)
        await #expect(throws: AWSError.self) { try await client.call("ListStreams", [:]) }
        isDown.withLock { $0 = false }
        _ = try await client.call("ListStreams", [:])
        #expect(Self.types(transport) == [Self.cbor, Self.json, Self.cbor])
    }

    @Test(
        "A refusal that came before the body was read is not asked twice",
        arguments: ["AccessDeniedException", "UnrecognizedClientException", "ThrottlingException"])
    func refusedBefore(_ type: String) async throws {
        let transport = ScriptedTransport([.success(.json("{\"__type\":\"\(type)\"}", status: 400))])
        await #expect(throws: AWSError.self) {
            try await Self.client(transport).call("ListStreams", [:])
        }
        #expect(Self.types(transport) == [Self.cbor])
    }

    @Test func aClockIsCorrectedWhileTheEncodingIsUnknown() async throws {
        let transport = ScriptedTransport { (request, _) throws(TransportError) in
            if request.headers["X-Amz-Date"] == "20260131T121000Z" {
                return Response(status: 200, body: Bytes(CBOR.encode(["StreamNames": []])))
            }
            return .json(
                "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired: it is now …\"}",
                status: 400,
                headers: [Header("Date", "Sat, 31 Jan 2026 12:10:00 GMT")])
        }
        _ = try await Self.client(transport).call("ListStreams", [:])
        #expect(Self.types(transport) == [Self.cbor, Self.cbor])
    }

    @Test func errorsAreReadInCBOR() async throws {
        let transport = Self.polyglot(
            ["__type": "com.amazonaws.kinesis#ResourceNotFoundException", "message": "no stream"],
            status: 400)
        let client = Self.client(transport)
        for operation in ["DescribeStreamSummary", "PutRecord"] {
            let error = try await #require(throws: AWSError.self) {
                try await client.call(operation, [:])
            }
            #expect(error.description == "Kinesis.\(operation): ResourceNotFoundException: no stream")
            #expect(error.meaning == .notFound)
        }
        #expect(Self.types(transport) == [Self.cbor, Self.cbor])
    }

    @Test func damagedAnswersOfAKnownEndpointAreMalformed() async throws {
        let transport = ScriptedTransport([
            .success(Response(status: 200, body: Bytes([0xA0]))),
            .success(Response(status: 200, body: Bytes([0xBF, 0x61]))),
        ])
        let client = Self.client(transport)
        _ = try await client.call("ListStreams", [:])
        let error = try await #require(throws: AWSError.self) {
            try await client.call("ListStreams", [:])
        }
        #expect(error.description.hasPrefix("Kinesis.ListStreams: the answer is malformed: "))
        #expect(transport.requests.count == 2)
    }

    @Test func jsonAloneCanBeAskedForAndDynamoDBGetsNothingElse() async throws {
        let transport = Self.polyglot([:])
        _ = try await Self.client(transport, encoding: .json).call("ListStreams", [:])
        _ = try await AWSClientTests.client(transport).call("ListTables", [:])
        _ = try await AWSClientTests.client(transport).call("DescribeTable", [:])
        #expect(
            Self.types(transport) == [Self.json]
                + Array(repeating: "application/x-amz-json-1.0", count: 2))
    }

    @Test(
        "The environment can switch CBOR off",
        arguments: [
            ([:], nil), (["CBOR_ENABLED": "true"], nil), (["CBOR_ENABLED": "FALSE"], .json),
            (["AWS_CBOR_DISABLED": "true"], .json), (["AWS_CBOR_DISABLE": "1"], .json),
            (["AWS_CBOR_DISABLED": "false"], nil),
        ] as [([String: String], WireEncoding?)])
    func environment(_ variables: [String: String], _ expected: WireEncoding?) throws {
        #expect(
            try SharedConfiguration(host: ScriptedHost(environment: variables)).encoding == expected)
    }

    @Test("PutRecords is written as its tree would be", arguments: WireEncoding.allCases)
    func putRecords(_ encoding: WireEncoding) throws {
        let records = [
            PutRecord(data: Bytes([0, 1, 255]), partitionKey: "k\"é\n"),
            PutRecord(data: Bytes(), partitionKey: "", explicitHashKey: .max),
        ]
        let written = PutRecordsInput.encode(stream: "s", records, in: encoding)
        let tree: AWSValue = [
            "StreamName": "s",
            "Records": [
                ["Data": .bytes(Bytes([0, 1, 255])), "PartitionKey": "k\"é\n"],
                [
                    "Data": .bytes(Bytes()), "PartitionKey": "",
                    "ExplicitHashKey": "340282366920938463463374607431768211455",
                ],
            ],
        ]
        #expect(written == encoding.encode(tree))
    }
}
