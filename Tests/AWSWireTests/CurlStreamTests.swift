import AWSWire
import CurlTransport
import Glibc
import Synchronization
import Testing

/// Streams over HTTP/2 without TLS; the server behaves as the test's name says.
@Suite struct CurlStreamTests {
    static func request(_ server: LoopbackServer, timeout: Duration = .seconds(30)) -> Request {
        Request(
            url: server.endpoint, headers: [Header("X-Amz-Target", "Kinesis_20131202.SubscribeToShard")],
            body: Array("{\"ShardId\":\"a\"}".utf8), timeout: timeout)
    }

    /// All that is left of `stream`.
    static func rest(_ stream: any ResponseStream) async throws(TransportError) -> [UInt8] {
        var bytes: [UInt8] = []
        while let piece = try await stream.next() { bytes += piece.array }
        return bytes
    }

    static func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }

    @Test func aStreamOpensWithItsHeadAndIsReadAsItComes() async throws {
        let read = Signal()
        let body = Mutex<[UInt8]>([])
        let server = LoopbackServer.http2 { connection in
            body.withLock { $0 = connection.body }
            connection.head(200, [("content-type", "application/vnd.amazon.eventstream")])
            for piece in ["one", "two"] {
                read.wait()
                connection.data(Array(piece.utf8))
            }
            read.wait()
            connection.data([], isLast: true)
            connection.waitForClose()
        }
        defer { server.stop() }
        let transport = CurlTransport()
        let stream = try await transport.open(Self.request(server))
        #expect(stream.status == 200)
        #expect(stream.headers["Content-Type"] == "application/vnd.amazon.eventstream")
        read.post()
        #expect(try await stream.next()?.text == "one")
        read.post()
        #expect(try await stream.next()?.text == "two")
        read.post()
        #expect(try await stream.next() == nil)
        #expect(try await stream.next() == nil)
        #expect(String(decoding: body.withLock { $0 }, as: UTF8.self) == "{\"ShardId\":\"a\"}")
    }

    @Test func aRefusalIsAStreamWithItsStatusAndBody() async throws {
        let server = LoopbackServer.http2 { connection in
            connection.head(400, [("x-amzn-requestid", "7")])
            connection.data(Array("{\"__type\":\"ResourceInUseException\"}".utf8), isLast: true)
            connection.waitForClose()
        }
        defer { server.stop() }
        let transport = CurlTransport()
        let stream = try await transport.open(Self.request(server))
        #expect(stream.status == 400)
        #expect(stream.headers["x-amzn-RequestId"] == "7")
        #expect(
            String(decoding: try await Self.rest(stream), as: UTF8.self) == "{\"__type\":\"ResourceInUseException\"}")
    }

    @Test("All arrives once and in order, however little may wait", arguments: [1, 20_000, 1 << 20])
    func whole(bytesMax: Int) async throws {
        let body = Self.pattern(6_000_000)
        let server = LoopbackServer.http2 { connection in
            connection.head()
            var start = 0
            while start < body.count {
                let end = min(start + 16_384, body.count)
                connection.data(Array(body[start..<end]), isLast: end == body.count)
                start = end
            }
            connection.waitForClose()
        }
        defer { server.stop() }
        var configuration = CurlConfiguration()
        configuration.streamBytesWaitingMax = bytesMax
        // A machine that is too busy to read is not what is tried here.
        configuration.streamPauseMax = .seconds(600)
        let transport = CurlTransport(configuration: configuration)
        let stream = try await transport.open(Self.request(server))
        var bytes: [UInt8] = []
        while let piece = try await stream.next() {
            #expect(piece.count <= max(bytesMax, 16_384))
            bytes += piece.array
        }
        #expect(bytes == body)
    }

    @Test func aStreamThatNobodyReadsHoldsTheServerBackAndIsGivenUp() async throws {
        let (ends, end) = AsyncStream.makeStream(of: Int.self)
        let server = LoopbackServer.http2 { connection in
            connection.head()
            // As much as flow control allows: libcurl opens a window of 32 MB.
            var sent = 0
            while sent < 30 << 20, connection.data([UInt8](repeating: 7, count: 16_384)) { sent += 16_384 }
            connection.waitForClose()
            end.yield(sent)
        }
        defer { server.stop() }
        var configuration = CurlConfiguration()
        configuration.streamBytesWaitingMax = 100_000
        configuration.streamPauseMax = .milliseconds(200)
        let transport = CurlTransport(configuration: configuration)
        let stream = try await transport.open(Self.request(server))
        var sent = ends.makeAsyncIterator()
        let count = try #require(await sent.next())
        #expect(count < 16 << 20)
        // What waited is still there to be read.
        #expect(1...100_000 ~= (try await stream.next()?.count ?? 0))
        let error = try await #require(throws: TransportError.self) { _ = try await stream.next() }
        #expect(error.kind == .timedOut)
        #expect(error.requestWasSent)
    }

    @Test func silenceAfterTheHeadIsNoError() async throws {
        let server = LoopbackServer.http2 { connection in
            connection.head()
            usleep(300_000)
            connection.data(Array("late".utf8), isLast: true)
            connection.waitForClose()
        }
        defer { server.stop() }
        var configuration = CurlConfiguration()
        configuration.streamPauseMax = .milliseconds(50)
        let transport = CurlTransport(configuration: configuration)
        let stream = try await transport.open(Self.request(server, timeout: .milliseconds(200)))
        #expect(try await stream.next()?.text == "late")
        #expect(try await stream.next() == nil)
    }

    @Test func aHeadThatDoesNotComeTimesOut() async throws {
        let server = LoopbackServer.http2 { $0.waitForClose() }
        defer { server.stop() }
        let transport = CurlTransport()
        let request = Self.request(server, timeout: .milliseconds(200))
        let error = try await #require(throws: TransportError.self) { try await transport.open(request) }
        #expect(error.kind == .timedOut)
        #expect(error.requestWasSent)
        #expect(error.message.hasPrefix("no answer from 127.0.0.1:\(server.port) within 2"))
    }

    @Test func pingsAreAnsweredWhileNothingComes() async throws {
        let server = LoopbackServer.http2 { connection in
            connection.head()
            let isAnswered = connection.ping()
            connection.data(Array("\(isAnswered)".utf8), isLast: true)
            connection.waitForClose()
        }
        defer { server.stop() }
        let transport = CurlTransport()
        let stream = try await transport.open(Self.request(server))
        #expect(try await stream.next()?.text == "true")
    }

    @Test func eachStreamHasAConnectionOfItsOwn() async throws {
        let server = LoopbackServer.http2 { connection in
            connection.head()
            connection.data(Array("x".utf8))
            connection.waitForClose()
        }
        defer { server.stop() }
        var configuration = CurlConfiguration()
        configuration.connectionsPerHostMax = 1
        configuration.connectionsMax = 1
        let transport = CurlTransport(configuration: configuration)
        var streams: [any ResponseStream] = []
        for _ in 0..<5 { streams.append(try await transport.open(Self.request(server))) }
        for stream in streams { #expect(try await stream.next()?.text == "x") }
        #expect(server.connections == 5)
    }

    private enum Abandonment: CaseIterable {
        case closed, cancelled, letGo, transportClosed
    }

    @Test("Whoever abandons a stream ends its connection", arguments: Abandonment.allCases)
    private func abandoned(how: Abandonment) async throws {
        let (events, event) = AsyncStream.makeStream(of: String.self)
        let server = LoopbackServer.http2 { connection in
            connection.head()
            connection.waitForClose()
            event.yield("closed")
        }
        defer { server.stop() }
        let transport = CurlTransport()
        var stream: (any ResponseStream)? = try await transport.open(Self.request(server))
        let reader = Task { [stream] in try await stream?.next() }
        switch how {
        case .closed: stream?.close()
        case .cancelled: reader.cancel()
        case .transportClosed: transport.close()
        case .letGo:
            // Its reader holds it as well.
            reader.cancel()
            _ = await reader.result
            stream = try await transport.open(Self.request(server))
            stream = nil
        }
        var seen = events.makeAsyncIterator()
        #expect(await seen.next() == "closed")
        if how == .letGo { #expect(await seen.next() == "closed") }
        let error = try await #require(throws: TransportError.self) { _ = try await reader.value }
        #expect(error.kind == (how == .cancelled || how == .letGo ? .cancelled : .closed))
        guard let stream else { return }
        let again = try await #require(throws: TransportError.self) { _ = try await stream.next() }
        #expect(again == error)
    }

    @Test func cancellingWhileTheHeadIsAwaitedEndsTheConnection() async throws {
        let (events, event) = AsyncStream.makeStream(of: String.self)
        let server = LoopbackServer.http2 { connection in
            event.yield("request")
            connection.waitForClose()
            event.yield("closed")
        }
        defer { server.stop() }
        let transport = CurlTransport()
        let task = Task { _ = try await transport.open(Self.request(server)) }
        var seen = events.makeAsyncIterator()
        #expect(await seen.next() == "request")
        task.cancel()
        #expect(await seen.next() == "closed")
        let error = try await #require(throws: TransportError.self) { try await task.value }
        #expect(error == TransportError(.cancelled, "cancelled", requestWasSent: true))
    }

    @Test func aClosedTransportOpensNothing() async throws {
        let server = LoopbackServer.http2 { $0.waitForClose() }
        defer { server.stop() }
        let transport = CurlTransport()
        transport.close()
        let error = try await #require(throws: TransportError.self) {
            try await transport.open(Self.request(server))
        }
        #expect(error == TransportError(.closed, "the transport is closed", requestWasSent: false))
        #expect(server.connections == 0)
    }

    private enum Break: CaseIterable {
        case reset, cut, goneAway
    }

    @Test("What came before an answer broke off is read before the error", arguments: Break.allCases)
    private func broken(how: Break) async throws {
        let read = Signal()
        let server = LoopbackServer.http2 { connection in
            connection.head()
            connection.data(Array("some".utf8))
            // A reset may overtake what it ends.
            read.wait()
            switch how {
            case .reset:
                connection.reset(2)
                connection.waitForClose()
            case .goneAway:
                connection.goAway(lastStream: 1, code: 2)
            case .cut: break
            }
        }
        defer { server.stop() }
        let transport = CurlTransport()
        let stream = try await transport.open(Self.request(server))
        #expect(try await stream.next()?.text == "some")
        read.post()
        let error = try await #require(throws: TransportError.self) { _ = try await stream.next() }
        #expect(error.kind == .truncated, "\(error)")
        #expect(error.requestWasSent)
        #expect(error.message.hasPrefix("the answer of 127.0.0.1:\(server.port) was cut off after "))
    }

    @Test func aServiceThatGoesAwayBeforeItAnswersIsAnError() async throws {
        for (isReset, mayBeSent) in [(true, true), (false, true)] {
            let server = LoopbackServer.http2 { connection in
                if isReset { connection.reset(7) } else { connection.goAway(lastStream: 0) }
                if isReset { connection.waitForClose() }
            }
            defer { server.stop() }
            let transport = CurlTransport()
            let error = try await #require(throws: TransportError.self) {
                try await transport.open(Self.request(server))
            }
            #expect(error.kind == .closed, "\(error)")
            #expect(error.requestWasSent == mayBeSent)
        }
    }

    @Test func aServiceWithoutHTTP2IsAnErrorThatSaysSo() async throws {
        let server = LoopbackServer { connection in
            connection.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            connection.waitForClose()
        }
        defer { server.stop() }
        let transport = CurlTransport()
        let error = try await #require(throws: TransportError.self) {
            try await transport.open(Self.request(server))
        }
        #expect(error.kind == .closed, "\(error)")
        #expect(error.message.contains("HTTP/2"), "\(error)")
    }

    @Test func nothingListensNothingOpens() async throws {
        let port = LoopbackServer.freePort()
        let transport = CurlTransport()
        let error = try await #require(throws: TransportError.self) {
            try await transport.open(Request(url: Endpoint(scheme: "http", host: "127.0.0.1", port: port)))
        }
        #expect(error.kind == .cannotConnect)
        #expect(!error.requestWasSent)
        let invalid = try await #require(throws: TransportError.self) {
            try await transport.open(Request(url: Endpoint(scheme: "http", host: "127.0.0.1"), path: "a"))
        }
        #expect(invalid.kind == .invalidRequest)
    }
}
