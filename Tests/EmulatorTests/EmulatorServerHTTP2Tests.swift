import AWSWire
import CurlTransport
import Emulator
import Glibc
import Machine
import Synchronization
import Testing

private typealias Frame = RawHTTP2.Frame

@Suite("The door on a port, over HTTP/2") struct EmulatorServerHTTP2Tests {
    private func served(
        _ limits: EmulatorServer.Limits = EmulatorServer.Limits(), answering: EmulatorServer.Answering? = nil,
        body: (EmulatorServer) async throws -> Void
    ) async throws {
        let emulator = Emulator(configuration: .immediate, time: TestClock().source)
        try await serving(emulator, limits: limits, answering: answering, body: body)
    }

    @Test("A client that knows begins with HTTP/2, many requests on one connection, and pings are answered")
    func priorKnowledge() async throws {
        try await served { (server) async throws in
            let client = try await RawHTTP2(port: server.port, settings: [(4, 524_288), (6, 8192)])
            await client.send(Frame(type: Frame.windowUpdate, payload: RawHTTP2.word(1 << 20)))
            #expect(await client.next()?.type == Frame.settings)
            await client.request(1, "Kinesis_20131202.CreateStream", body: #"{"StreamName":"words","ShardCount":1}"#)
            #expect(await client.answer(1).isOK)
            for stream: UInt32 in [3, 5, 7] { await client.request(stream) }
            var bodies: [UInt32: String] = [:]
            while bodies.count < 3, let frame = await client.next() {
                if frame.type == Frame.data, !frame.payload.isEmpty {
                    bodies[frame.stream] = String(decoding: frame.payload, as: UTF8.self)
                }
            }
            #expect(Set(bodies.keys) == [3, 5, 7])
            #expect(bodies.values.allSatisfy { $0.contains(#""StreamNames":["words"]"#) })
            await client.settle()
        }
    }

    @Test("What guards HTTP/1.1 guards HTTP/2: foreign hosts, large bodies, many and large headers")
    func guards() async throws {
        var limits = EmulatorServer.Limits()
        limits.bodyBytesMax = 1000
        try await served(limits) { (server) async throws in
            let client = try await RawHTTP2(port: server.port)
            _ = await client.first { $0.type == Frame.settings && $0.flags & Frame.ack == 0 }
            await client.send(Frame(type: Frame.settings, flags: Frame.ack))
            await client.send(
                RawHTTP2.head(1, RawHTTP2.fields(authority: "evil.example"), flags: Frame.endHeaders | Frame.endStream))
            #expect(await client.answer(1).body.contains("AccessDeniedException"))
            await client.request(3, body: String(repeating: " ", count: 1500))
            let large = await client.answer(3)
            #expect(!large.isOK)
            #expect(large.body.contains("RequestEntityTooLargeException"))
            await client.request(5, more: (0..<101).map { ("x-\($0)", "y") })
            #expect(await client.answer(5).body.contains("RequestHeaderFieldsTooLargeException"))
            // Longer than one frame, so that it needs CONTINUATION.
            let head = RawHTTP2.head(7, RawHTTP2.fields(more: [("x-long", String(repeating: "x", count: 20_000))]))
            await client.send(
                Frame(
                    type: Frame.headers, flags: Frame.endStream, stream: 7, payload: Array(head.payload[..<16_000])),
                Frame(
                    type: Frame.continuation, flags: Frame.endHeaders, stream: 7,
                    payload: Array(head.payload[16_000...])))
            #expect(await client.answer(7).body.contains("RequestHeaderFieldsTooLargeException"))
            await client.request(9)
            #expect(await client.answer(9).isOK)
        }
    }

    @Test("A lost answer resets its stream only")
    func lost() async throws {
        let calls = Mutex(0)
        try await served { (_) async throws(ConnectionLost) in
            let isFirst = calls.withLock { calls in
                calls += 1
                return calls == 1
            }
            if isFirst { throw ConnectionLost(tookEffect: true) }
            return .whole(Response(status: 200, body: Bytes("there")))
        } body: { (server) async throws in
            let client = try await RawHTTP2(port: server.port)
            await client.request(1)
            #expect(await client.answer(1).resetCode != nil)
            await client.request(3)
            #expect(await client.answer(3).body == "there")
        }
    }

    /// An annoyance, and how many of it are fine.
    private static let nuisances: [(name: String, frames: @Sendable (UInt32) -> [RawHTTP2.Frame])] = [
        (
            "rapid reset",
            { stream in
                [
                    RawHTTP2.head(stream, RawHTTP2.fields()),
                    RawHTTP2.Frame(type: 3, stream: stream, payload: RawHTTP2.word(8)),
                ]
            }
        ),
        ("pings", { _ in [RawHTTP2.Frame(type: 6, payload: [0, 0, 0, 0, 0, 0, 0, 0])] }),
        ("settings", { _ in [RawHTTP2.Frame(type: 4)] }),
        (
            "empty frames",
            { stream in
                stream == 1
                    ? [RawHTTP2.head(1, RawHTTP2.fields())] : [RawHTTP2.Frame(type: 0, stream: 1)]
            }
        ),
        (
            "continuations",
            { stream in
                stream == 1
                    ? [RawHTTP2.head(1, RawHTTP2.fields(), flags: 0)] : [RawHTTP2.Frame(type: 9, stream: 1)]
            }
        ),
    ]

    @Test("A connection that floods is told to calm down, and others are served meanwhile", arguments: 0..<5)
    func floods(index: Int) async throws {
        var limits = EmulatorServer.Limits()
        limits.nuisanceFramesMax = 50
        try await served(limits) { (server) async throws in
            let other = try await RawHTTP2(port: server.port)
            let client = try await RawHTTP2(port: server.port)
            for round in 0..<200 {
                for frame in Self.nuisances[index].frames(UInt32(round * 2 + 1)) { await client.send(frame) }
            }
            let goAway = await client.first { $0.type == Frame.goAway }
            // ENHANCE_YOUR_CALM
            #expect(goAway?.errorCode == 11, "\(Self.nuisances[index].name)")
            while await client.next() != nil {}
            #expect(client.connection.isClosed)
            await other.request(1)
            #expect(await other.answer(1).isOK)
        }
    }

    @Test("More streams at once than allowed end their connection, and others are served")
    func streamsMax() async throws {
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        var limits = EmulatorServer.Limits()
        limits.streamsMax = 2
        try await served(limits) { (_) async throws(ConnectionLost) in
            for await _ in gate { break }
            return .whole(Response(status: 200, body: Bytes("there")))
        } body: { (server) async throws in
            let client = try await RawHTTP2(port: server.port)
            _ = await client.first { $0.type == Frame.settings && $0.flags & Frame.ack == 0 }
            await client.send(Frame(type: Frame.settings, flags: Frame.ack))
            for stream: UInt32 in [1, 3, 5] { await client.request(stream) }
            let refusal = await client.first { $0.type == Frame.reset || $0.type == Frame.goAway }
            #expect(refusal != nil)
            open.finish()
            let other = try await RawHTTP2(port: server.port)
            await other.request(1)
            #expect(await other.answer(1).body == "there")
        }
    }

    @Test("Half a request, a cut body and no stream at all end by themselves")
    func halves() async throws {
        var limits = EmulatorServer.Limits()
        limits.idleTimeout = .milliseconds(300)
        try await served(limits) { (server) async throws in
            let half = try await RawHTTP2(port: server.port)
            await half.send(RawHTTP2.head(1, RawHTTP2.fields()))
            // First the stream, then the connection that idles without it.
            #expect(await half.first { $0.type == Frame.reset }?.stream == 1)
            var rest: [Frame] = []
            while let frame = await half.next() { rest.append(frame) }
            #expect(rest.last?.type == Frame.goAway)
            #expect(rest.last?.errorCode == 0)

            let cut = try await RawHTTP2(port: server.port)
            await cut.send(
                RawHTTP2.head(1, RawHTTP2.fields(more: [("content-length", "10")])),
                Frame(type: Frame.data, flags: Frame.endStream, stream: 1, payload: [1, 2]))
            #expect(await cut.first { $0.type == Frame.reset || $0.type == Frame.goAway } != nil)
        }
    }

    @Test("A reader that stops reading holds back the requests behind it, within bounded memory")
    func unread() async throws {
        let answered = Mutex(0)
        let body = Bytes([UInt8](repeating: 7, count: 1 << 20))
        var limits = EmulatorServer.Limits()
        limits.unreadAnswerBytesMax = 3 << 20
        try await served(limits) { (_) async throws(ConnectionLost) in
            answered.withLock { $0 += 1 }
            return .whole(Response(status: 200, body: body))
        } body: { (server) async throws in
            let client = try await RawHTTP2(port: server.port)
            for stream in stride(from: UInt32(1), to: 8, by: 2) { await client.request(stream) }
            while answered.withLock({ $0 }) < 4 { await client.settle() }
            for stream in stride(from: UInt32(9), to: 40, by: 2) { await client.request(stream) }
            for _ in 0..<20 { await client.settle() }
            #expect(answered.withLock { $0 } <= 8)
            await client.send(Frame(type: Frame.windowUpdate, payload: RawHTTP2.word(1 << 30)))
            for stream in stride(from: UInt32(1), to: 40, by: 2) {
                await client.send(Frame(type: Frame.windowUpdate, stream: stream, payload: RawHTTP2.word(1 << 24)))
            }
            var ended = 0
            while ended < 20, let frame = await client.next() {
                if frame.type == Frame.data, frame.flags & Frame.endStream != 0 { ended += 1 }
            }
            #expect(answered.withLock { $0 } == 20)
        }
    }

    @Test("TLS, with HTTP/2 by ALPN or not, for whoever trusts the authority that was made")
    func tls() async throws {
        let certificate = try ServerCertificate(host: "127.0.0.1", now: TimeSource.system.wallClock())
        #expect(certificate.authorityPEM.hasPrefix("-----BEGIN CERTIFICATE-----\n"))
        let emulator = Emulator(configuration: .immediate, time: TestClock().source)
        try await serving(emulator, certificate: certificate) { (server) async throws in
            #expect(server.endpoint.scheme == "https")
            let curl = CurlTransport()
            defer { curl.close() }
            // Nobody has told libcurl to trust it.
            let error = await #expect(throws: TransportError.self) {
                try await curl.send(Request(method: "GET", url: server.endpoint))
            }
            #expect(error?.kind == .tls)
            var path = Array("/tmp/shardtop-authority-XXXXXX".utf8CString)
            let file = mkstemp(&path)
            defer {
                close(file)
                unlink(path)
            }
            let pem = Array((certificate.authorityPEM + "\n").utf8)
            #expect(write(file, pem, pem.count) == pem.count)
            var configuration = CurlConfiguration()
            configuration.caBundle = String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let trusting = CurlTransport(configuration: configuration)
            defer { trusting.close() }
            #expect(try await trusting.send(Request(method: "GET", url: server.endpoint)).status == 200)
            // Plain text on this port is no handshake.
            let plain = try RawConnection(port: server.port)
            await plain.send(rawRequest())
            #expect(await !plain.receive().contains("200"))
            #expect(plain.isClosed)
        }
    }
}
