import AWSWire
import CurlTransport
import Synchronization
import Testing

/// Each test starts a server of its own and a transport of its own, and the server behaves as the test's name says.
@Suite struct CurlTransportTests {
    static func failure(
        _ request: Request, _ configuration: CurlConfiguration = CurlConfiguration()
    ) async throws -> TransportError {
        let transport = CurlTransport(configuration: configuration)
        return try await #require(throws: TransportError.self) { try await transport.send(request) }
    }

    @Test func aRequestArrivesAsItIsAndTheAnswerReturns() async throws {
        let seen = Mutex<[Connection.Received]>([])
        let server = LoopbackServer { connection in
            while let request = connection.readRequest() {
                seen.withLock { $0.append(request) }
                connection.answer("hello", status: "418 Teapot", headers: "X-A:  one two \r\nX-B:\r\n")
            }
        }
        defer { server.stop() }
        let response = try await CurlTransport().send(
            Request(
                url: server.endpoint, path: "/a%20b/../c?q=1",
                headers: [Header("X-Amz-Target", "T.Op"), Header("X-Empty", ""), Header("Host", "example.com")],
                body: Array("{\"a\":1}".utf8)))
        #expect(response.status == 418)
        #expect(response.body.text == "hello")
        #expect(response.headers["x-a"] == "one two")
        #expect(response.headers["X-B"] == "")
        let request = try #require(seen.withLock { $0.first })
        #expect(request.line == "POST /a%20b/../c?q=1 HTTP/1.1")
        #expect(request.header("X-Amz-Target") == "T.Op")
        #expect(request.header("X-Empty") == "")
        #expect(request.header("Host") == "example.com")
        #expect(request.header("Content-Length") == "7")
        #expect(String(decoding: request.body, as: UTF8.self) == "{\"a\":1}")
        for name in ["Expect", "Accept-Encoding", "Content-Type", "Transfer-Encoding", "User-Agent"] {
            #expect(request.header(name) == nil, "\(name)")
        }
    }

    @Test func otherMethodsHaveTheirShape() async throws {
        let lines = Mutex<[String]>([])
        let server = LoopbackServer { connection in
            while let request = connection.readRequest() {
                lines.withLock { $0.append("\(request.line) \(request.header("Content-Length") ?? "-")") }
                connection.answer("")
            }
        }
        defer { server.stop() }
        let transport = CurlTransport()
        for method in ["GET", "PUT", "POST", "DELETE"] {
            _ = try await transport.send(Request(method: method, url: server.endpoint, path: "/x"))
        }
        #expect(
            lines.withLock { $0 } == [
                "GET /x HTTP/1.1 -", "PUT /x HTTP/1.1 0", "POST /x HTTP/1.1 0", "DELETE /x HTTP/1.1 0",
            ])
    }

    @Test func aLargeBodyArrivesWholeWithoutAskingFirst() async throws {
        let body = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let server = LoopbackServer { connection in
            while let request = connection.readRequest() {
                connection.answer(request.header("Expect") == nil && request.body == body ? "same" : "different")
            }
        }
        defer { server.stop() }
        let response = try await CurlTransport().send(Request(url: server.endpoint, body: body))
        #expect(response.body.text == "same")
    }

    @Test func oneConnectionServesRequestAfterRequest() async throws {
        let server = LoopbackServer { connection in
            while connection.readRequest() != nil { connection.answer("\(connection.number)") }
        }
        defer { server.stop() }
        let transport = CurlTransport()
        for _ in 0..<10 {
            #expect(try await transport.send(Request(url: server.endpoint)).body.text == "1")
        }
        #expect(server.connections == 1)
    }

    @Test func requestsRunAtTheSameTimeUpToTheLimit() async throws {
        let server = LoopbackServer { connection in
            while connection.readRequest() != nil { connection.answer("\(connection.number)") }
        }
        defer { server.stop() }
        var configuration = CurlConfiguration()
        configuration.connectionsPerHostMax = 3
        let transport = CurlTransport(configuration: configuration)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<50 {
                group.addTask { try await transport.send(Request(url: server.endpoint)).status }
            }
            for try await status in group { #expect(status == 200) }
        }
        #expect(1...3 ~= server.connections)
    }

    @Test func aRefusedConnectionSaysByWhom() async throws {
        let port = LoopbackServer.freePort()
        let error = try await Self.failure(Request(url: Endpoint(scheme: "http", host: "127.0.0.1", port: port)))
        #expect(
            error
                == TransportError(
                    .cannotConnect, "connection refused by 127.0.0.1:\(port): is the endpoint right?",
                    requestWasSent: false))
    }

    @Test func aSilentServerTimesOut() async throws {
        let server = LoopbackServer { $0.waitForClose() }
        defer { server.stop() }
        let error = try await Self.failure(
            Request(url: server.endpoint, body: [1], timeout: .milliseconds(200)))
        #expect(error.kind == .timedOut)
        #expect(error.message.hasPrefix("no answer from 127.0.0.1:\(server.port) within "))
        #expect(error.requestWasSent)
    }

    @Test func aBodyThatStopsTimesOut() async throws {
        let server = LoopbackServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            connection.waitForClose()
        }
        defer { server.stop() }
        let error = try await Self.failure(Request(url: server.endpoint, body: [1], timeout: .milliseconds(200)))
        #expect(error.kind == .timedOut)
        #expect(error.message == "the answer of 127.0.0.1:\(server.port) was not complete within 200 ms")
    }

    @Test func aBodyInPiecesArrivesWhole() async throws {
        let server = LoopbackServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-")
            connection.write("Encoding: chunked\r\n\r\n")
            for piece in ["a", "bc", "def"] { connection.write("\(piece.utf8.count)\r\n\(piece)\r\n") }
            connection.write("0\r\n\r\n")
            connection.waitForClose()
        }
        defer { server.stop() }
        let response = try await CurlTransport().send(Request(url: server.endpoint))
        #expect(response.body.text == "abcdef")
        #expect(response.headers["X-Interim"] == nil)
    }

    @Test(
        "A body that is cut off is no body",
        arguments: [
            "Content-Length: 10\r\n\r\nfour", "Content-Length: 10\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n",
            "Transfer-Encoding: chunked\r\n\r\nff\r\nfour", "Content-",
        ])
    func truncated(_ rest: String) async throws {
        let server = LoopbackServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\n" + rest)
        }
        defer { server.stop() }
        let error = try await Self.failure(Request(url: server.endpoint, body: [1]))
        #expect(error.kind == .truncated, "\(error)")
        #expect(error.requestWasSent)
    }

    @Test func aConnectionClosedWithoutAnAnswerIsThat() async throws {
        let server = LoopbackServer { _ = $0.readRequest() }
        defer { server.stop() }
        let error = try await Self.failure(Request(url: server.endpoint, body: [1]))
        #expect(error.kind == .closed)
        #expect(error.message == "127.0.0.1:\(server.port) closed the connection without an answer")
        #expect(error.requestWasSent)
    }

    @Test func aBodyIsNeverSentTwiceOverAConnectionThatDied() async throws {
        let received = Mutex(0)
        let server = LoopbackServer { connection in
            while connection.readRequest() != nil {
                let count = received.withLock { received in
                    received += 1
                    return received
                }
                // The second request takes effect, and its answer is lost.
                if count == 2 { return }
                connection.answer("ok")
            }
        }
        defer { server.stop() }
        let transport = CurlTransport()
        let request = Request(url: server.endpoint, body: Array("{}".utf8))
        #expect(try await transport.send(request).status == 200)
        let error = try await #require(throws: TransportError.self) { try await transport.send(request) }
        #expect(error.kind == .closed)
        #expect(error.requestWasSent)
        #expect(received.withLock { $0 } == 2)
        #expect(try await transport.send(request).status == 200)
    }

    @Test(
        "An answer larger than the request allows is refused",
        arguments: [
            "Content-Length: 11\r\n\r\nhello world", "Content-Length: 99999999999\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n", "\r\nhello world",
        ])
    func tooLarge(_ rest: String) async throws {
        let server = LoopbackServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\n" + rest)
        }
        defer { server.stop() }
        let error = try await Self.failure(Request(url: server.endpoint, body: [1], responseBytesMax: 10))
        #expect(error.kind == .tooLarge)
        #expect(error.message == "the answer of \(server.endpoint) is larger than 10 bytes")
        #expect(error.requestWasSent)
    }

    @Test func anAnswerAsLargeAsAllowedArrives() async throws {
        let server = LoopbackServer { connection in
            while connection.readRequest() != nil { connection.answer("hello worl") }
        }
        defer { server.stop() }
        let response = try await CurlTransport().send(Request(url: server.endpoint, responseBytesMax: 10))
        #expect(response.body.count == 10)
    }

    @Test func endlessHeadersAreRefused() async throws {
        let server = LoopbackServer { connection in
            _ = connection.readRequest()
            connection.writeTooManyHeaders()
            connection.waitForClose()
        }
        defer { server.stop() }
        let error = try await Self.failure(Request(url: server.endpoint))
        #expect(error.kind == .tooLarge)
    }

    @Test(
        "An answer that is no HTTP is an error", arguments: ["SSH-2.0-OpenSSH\r\n", "\r\n\r\n", "HTTP/9 what\r\n\r\n"])
    func noHTTP(_ text: String) async throws {
        let server = LoopbackServer { connection in
            _ = connection.readRequest()
            connection.write(text)
        }
        defer { server.stop() }
        let error = try await Self.failure(Request(url: server.endpoint, body: [1]))
        #expect(error.requestWasSent)
    }

    @Test func aRedirectIsAnAnswer() async throws {
        let server = LoopbackServer { connection in
            while connection.readRequest() != nil {
                connection.answer("", status: "302 Found", headers: "Location: /elsewhere\r\n")
            }
        }
        defer { server.stop() }
        #expect(try await CurlTransport().send(Request(url: server.endpoint)).status == 302)
    }

    @Test func cancellingAbandonsTheExchange() async throws {
        let (events, event) = AsyncStream.makeStream(of: String.self)
        let server = LoopbackServer { connection in
            _ = connection.readRequest()
            event.yield("request")
            connection.waitForClose()
            event.yield("closed")
        }
        defer { server.stop() }
        let transport = CurlTransport()
        let request = Request(url: server.endpoint, body: [1])
        let task = Task { try await transport.send(request) }
        var seen = events.makeAsyncIterator()
        #expect(await seen.next() == "request")
        task.cancel()
        #expect(await seen.next() == "closed")
        let error = try await #require(throws: TransportError.self) { try await task.value }
        #expect(error == TransportError(.cancelled, "cancelled", requestWasSent: true))
    }

    @Test func aTaskCancelledBeforehandSendsNothing() async throws {
        let server = LoopbackServer { $0.waitForClose() }
        defer { server.stop() }
        let transport = CurlTransport()
        let request = Request(url: server.endpoint, body: [1])
        let task = Task { () async throws -> Response in
            withUnsafeCurrentTask { $0?.cancel() }
            return try await transport.send(request)
        }
        let error = try await #require(throws: TransportError.self) { try await task.value }
        #expect(error.kind == .cancelled)
        #expect(!error.requestWasSent)
    }

    @Test func closingEndsWhatIsUnderWayAndWhatComesAfter() async throws {
        let (events, event) = AsyncStream.makeStream(of: Void.self)
        let server = LoopbackServer { connection in
            _ = connection.readRequest()
            event.yield()
            connection.waitForClose()
        }
        defer { server.stop() }
        let transport = CurlTransport()
        let request = Request(url: server.endpoint, body: [1])
        let task = Task { try await transport.send(request) }
        for await _ in events { break }
        transport.close()
        let error = try await #require(throws: TransportError.self) { try await task.value }
        #expect(error == TransportError(.closed, "the transport was closed", requestWasSent: true))
        let late = try await #require(throws: TransportError.self) { try await transport.send(request) }
        #expect(late == TransportError(.closed, "the transport is closed", requestWasSent: false))
        transport.close()
    }

    @Test(
        "What would change the shape of the request is not sent",
        arguments: [
            Request(
                url: Endpoint(scheme: "http", host: "127.0.0.1", port: 1),
                headers: [Header("X-Amz-Security-Token", "a\r\nb")]),
            Request(url: Endpoint(scheme: "http", host: "127.0.0.1", port: 1), headers: [Header("X: Y", "a")]),
            Request(url: Endpoint(scheme: "http", host: "127.0.0.1", port: 1), headers: [Header("", "a")]),
            Request(url: Endpoint(scheme: "http", host: "127.0.0.1", port: 1), path: "/a b"),
            Request(url: Endpoint(scheme: "http", host: "127.0.0.1", port: 1), path: "a"),
            Request(method: "GET /", url: Endpoint(scheme: "http", host: "127.0.0.1", port: 1)),
            Request(url: Endpoint(scheme: "file", host: "/etc/passwd")),
            Request(url: Endpoint(scheme: "http", host: "a/b")),
        ])
    func invalid(_ request: Request) async throws {
        let error = try await Self.failure(request)
        #expect(error.kind == .invalidRequest)
        #expect(!error.requestWasSent)
        #expect(!error.message.contains("a\r\nb"))
    }

    @Test func aProxyIsAskedForOtherHostsAndNotForThisMachine() async throws {
        let lines = Mutex<[String]>([])
        let proxy = LoopbackServer { connection in
            while let request = connection.readRequest() {
                lines.withLock { $0.append(request.line) }
                connection.answer("no", status: request.line.hasPrefix("CONNECT") ? "403 Forbidden" : "200 OK")
            }
        }
        defer { proxy.stop() }
        let configuration = CurlConfiguration(environment: [
            "HTTPS_PROXY": "http://user:password@127.0.0.1:\(proxy.port)", "HTTP_PROXY": "http://127.0.0.1:1",
            "http_proxy": "http://127.0.0.1:\(proxy.port)",
        ])
        #expect(!"\(configuration) \(String(reflecting: configuration))".contains("password"))
        let transport = CurlTransport(configuration: configuration)
        // The name is the proxy's to resolve.
        let plain = Request(url: Endpoint(scheme: "http", host: "shardtop.invalid"), body: [1])
        #expect(try await transport.send(plain).status == 200)
        let tunnel = Request(url: Endpoint(scheme: "https", host: "shardtop.invalid"), body: [1])
        let error = try await #require(throws: TransportError.self) { try await transport.send(tunnel) }
        #expect(error.kind == .cannotConnect)
        #expect(!error.requestWasSent)
        #expect(error.message.hasPrefix("the proxy 127.0.0.1:\(proxy.port) does not let us through"))
        #expect(
            lines.withLock { $0 } == [
                "POST http://shardtop.invalid/ HTTP/1.1", "CONNECT shardtop.invalid:443 HTTP/1.1",
            ])
        let server = LoopbackServer { connection in
            while connection.readRequest() != nil { connection.answer("direct") }
        }
        defer { server.stop() }
        #expect(try await transport.send(Request(url: server.endpoint)).body.text == "direct")
    }

    @Test func aServerWithoutTLSIsNotTalkedToOverHTTPS() async throws {
        let server = LoopbackServer { connection in
            connection.write("HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.waitForClose()
        }
        defer { server.stop() }
        let error = try await Self.failure(
            Request(url: Endpoint(scheme: "https", host: "127.0.0.1", port: server.port), body: [1]))
        #expect(error.kind == .tls)
        #expect(!error.requestWasSent)
        #expect(error.message.hasPrefix("no TLS connection with 127.0.0.1:\(server.port): "))
    }

    @Test func aMissingBundleOfAuthoritiesIsNamed() async throws {
        let server = LoopbackServer { $0.waitForClose() }
        defer { server.stop() }
        let error = try await Self.failure(
            Request(url: Endpoint(scheme: "https", host: "127.0.0.1", port: server.port)),
            CurlConfiguration(environment: ["AWS_CA_BUNDLE": "/nowhere/ca.pem"]))
        #expect(error.kind == .tls)
        #expect(error.message.contains("/nowhere/ca.pem"))
    }
}
