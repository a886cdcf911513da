import AWSWire
import Emulator
import Testing

private typealias Frame = RawHTTP2.Frame

@Suite("Bad input over the wire", .serialized) struct EmulatorServerBadInputTests {
    private static let json = "application/x-amz-json-1.1"
    private static let cbor = "application/x-amz-cbor-1.1"
    private static let createStream = "Kinesis_20131202.CreateStream"

    /// The status, 0 for one that is not 200 in HTTP/2, and the body as it came.
    private func ask(
        _ server: EmulatorServer, isHTTP2: Bool, _ target: String?, _ type: String?, _ body: [UInt8]
    ) async throws -> (status: Int, body: [UInt8]) {
        let authorization =
            "AWS4-HMAC-SHA256 Credential=w/2/us-east-1/kinesis/aws4_request, SignedHeaders=h, Signature=0"
        var fields = [("authorization", authorization)]
        if let target { fields.append(("x-amz-target", target)) }
        if let type { fields.append(("content-type", type)) }
        if isHTTP2 {
            let client = try await RawHTTP2(port: server.port)
            let pseudo = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")]
            await client.send(RawHTTP2.head(1, pseudo + fields))
            for start in stride(from: 0, to: body.count, by: 16_000) {
                let part = Array(body[start..<min(start + 16_000, body.count)])
                await client.send(Frame(type: Frame.data, stream: 1, payload: part))
            }
            await client.send(Frame(type: Frame.data, flags: Frame.endStream, stream: 1))
            let answer = await client.rawAnswer(1)
            return (answer.isOK ? 200 : 0, answer.body)
        }
        let connection = try RawConnection(port: server.port)
        let lines = ["POST / HTTP/1.1", "Host: localhost", "Content-Length: \(body.count)"]
        await connection.send(
            (lines + fields.map { "\($0.0): \($0.1)" }).joined(separator: "\r\n") + "\r\n\r\n")
        await connection.send(body)
        let answer = await connection.rawAnswer()
        return (answer.status, answer.body)
    }

    private func failure(
        _ server: EmulatorServer, isHTTP2: Bool, _ type: String, _ body: [UInt8], _ target: String = createStream
    ) async throws -> String? {
        let answer = try await ask(server, isHTTP2: isHTTP2, target, type, body)
        #expect(answer.status == (isHTTP2 ? 0 : 400))
        let encoding: WireEncoding = type == Self.cbor ? .cbor : .json
        return try encoding.decode(Bytes(answer.body))["__type"]?.string
    }

    @Test(
        "What is no request of the service gets the service's words, in the encoding it was asked in",
        arguments: [false, true])
    func badInput(isHTTP2: Bool) async throws {
        let emulator = Emulator(configuration: .immediate, time: TestClock().source)
        try await serving(emulator) { (server) async throws in
            let serialization = "SerializationException"
            let nested = Array(repeating: #"{"a":"#, count: 50_000).joined()
            let texts = ["", "{", "[]", #""x""#, "{}{}", "null", #"{"StreamName":"#, nested]
            var malformedJSON: [[UInt8]] = texts.map { Array($0.utf8) }
            malformedJSON.append([UInt8](repeating: UInt8(ascii: "["), count: 300_000))
            malformedJSON.append([0x7B, 0x22, 0x61, 0x22, 0x3A, 0x22, 0xFF, 0xFE, 0x22, 0x7D])
            for body in malformedJSON {
                #expect(
                    try await failure(server, isHTTP2: isHTTP2, Self.json, body) == serialization,
                    "\(String(decoding: body.prefix(40), as: UTF8.self))")
            }
            let malformedCBOR: [[UInt8]] = [
                [], [0x80], [0xBF], [0xFF], [0xA1, 0x61], [0xA1, 0x01, 0x01],
                [0xBB, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
                [0x5B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], [0xA0, 0xA0],
                [UInt8](repeating: 0x81, count: 300_000), [UInt8](repeating: 0x9F, count: 300_000),
                [UInt8](repeating: 0xC1, count: 300_000), [UInt8](repeating: 0xBF, count: 300_000),
            ]
            for body in malformedCBOR {
                #expect(
                    try await failure(server, isHTTP2: isHTTP2, Self.cbor, body) == serialization, "\(body.prefix(20))")
            }
            let unknown = "UnknownOperationException"
            for target in ["Kinesis_20131202.Nonsense", "Kinesis_20131202.", "Nonsense", "S3.GetObject", "."] {
                #expect(
                    try await failure(server, isHTTP2: isHTTP2, Self.json, Array("{}".utf8), target) == unknown,
                    "\(target)")
            }
            #expect(
                try await failure(server, isHTTP2: isHTTP2, Self.cbor, [0xA0], "Kinesis_20131202.Nonsense") == unknown)
            let name = String(repeating: "x", count: 129)
            let long = Array(#"{"StreamName":"\#(name)","ShardCount":1}"#.utf8)
            #expect(try await failure(server, isHTTP2: isHTTP2, Self.json, long) == "ValidationException")
        }
    }

    @Test("A content type that is none of the services' is refused in XML", arguments: [false, true])
    func contentType(isHTTP2: Bool) async throws {
        let emulator = Emulator(configuration: .immediate, time: TestClock().source)
        try await serving(emulator) { (server) async throws in
            let call = try await ask(
                server, isHTTP2: isHTTP2, "Kinesis_20131202.ListStreams", "text/plain", Array("{}".utf8))
            #expect(call.status == (isHTTP2 ? 0 : 404))
            #expect(String(decoding: call.body, as: UTF8.self) == "<UnknownOperationException/>\n")
            let none = try await ask(server, isHTTP2: isHTTP2, nil, "text/plain", Array("{}".utf8))
            #expect(none.status == (isHTTP2 ? 0 : 403))
            #expect(String(decoding: none.body, as: UTF8.self).hasPrefix("<AccessDeniedException>\n  <Message>Unable"))
        }
    }

    @Test("Of two members of the same name the later counts", arguments: [false, true])
    func duplicates(isHTTP2: Bool) async throws {
        let emulator = Emulator(configuration: .immediate, time: TestClock().source)
        try await serving(emulator) { (server) async throws in
            let json = Array(#"{"StreamName":"a","ShardCount":1,"StreamName":"b"}"#.utf8)
            #expect(try await ask(server, isHTTP2: isHTTP2, Self.createStream, Self.json, json).status == 200)
            var cbor: [UInt8] = [0xBF]
            for (name, value): (String, AWSValue) in [("StreamName", "c"), ("ShardCount", 1), ("StreamName", "d")] {
                CBOR.append(.string(name), to: &cbor)
                CBOR.append(value, to: &cbor)
            }
            #expect(try await ask(server, isHTTP2: isHTTP2, Self.createStream, Self.cbor, cbor + [0xFF]).status == 200)
            let list = try await ask(server, isHTTP2: isHTTP2, "Kinesis_20131202.ListStreams", Self.cbor, [0xA0])
            #expect(try CBOR.decode(Bytes(list.body))["StreamNames"]?.strings == ["b", "d"])
        }
    }
}
