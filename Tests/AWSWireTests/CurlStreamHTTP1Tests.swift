import AWSWire
import CurlTransport
import Testing

/// Streams over HTTP/1.1, for services and proxies that speak nothing newer.
@Suite struct CurlStreamHTTP1Tests {
    static func transport() -> CurlTransport {
        var configuration = CurlConfiguration()
        configuration.streamsOverHTTP2 = false
        return CurlTransport(configuration: configuration)
    }

    @Test func chunksAreReadAsTheyCome() async throws {
        let read = Signal()
        let server = LoopbackServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-")
            connection.write("Encoding: chunked\r\n\r\n")
            for piece in ["one", "three"] {
                read.wait()
                connection.write("\(piece.utf8.count)\r\n\(piece)\r\n")
            }
            read.wait()
            connection.write("0\r\nX-Trailer: 1\r\n\r\n")
            connection.waitForClose()
        }
        defer { server.stop() }
        let transport = Self.transport()
        let stream = try await transport.open(Request(url: server.endpoint, body: [1]))
        #expect(stream.status == 200)
        #expect(stream.headers == [Header("X-A", "1"), Header("Transfer-Encoding", "chunked")])
        for piece in ["one", "three"] {
            read.post()
            #expect(try await stream.next()?.text == piece)
        }
        read.post()
        #expect(try await stream.next() == nil)
    }

    @Test func anAnswerWithALengthEndsThere() async throws {
        let server = LoopbackServer { connection in
            while connection.readRequest() != nil { connection.answer("no", status: "503 Busy") }
        }
        defer { server.stop() }
        let transport = Self.transport()
        for _ in 0..<2 {
            let stream = try await transport.open(Request(url: server.endpoint))
            #expect(stream.status == 503)
            #expect(try await CurlStreamTests.rest(stream) == Array("no".utf8))
        }
        #expect(server.connections == 2)
    }

    @Test("An answer that is cut off is an error", arguments: ["4\r\nfour\r\n", "ff\r\nfour"])
    func truncated(_ chunks: String) async throws {
        let server = LoopbackServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        }
        defer { server.stop() }
        let transport = Self.transport()
        let stream = try await transport.open(Request(url: server.endpoint))
        #expect(try await stream.next()?.text == "four")
        let error = try await #require(throws: TransportError.self) { _ = try await stream.next() }
        #expect(error.kind == .truncated, "\(error)")
    }

    @Test("A head that is cut off opens nothing", arguments: ["", "HTTP/1.1 200 OK\r\nContent-"])
    func noHead(_ text: String) async throws {
        let server = LoopbackServer { connection in
            _ = connection.readRequest()
            connection.write(text)
        }
        defer { server.stop() }
        let transport = Self.transport()
        let error = try await #require(throws: TransportError.self) {
            _ = try await transport.open(Request(url: server.endpoint, body: [1]))
        }
        #expect(error.kind == (text.isEmpty ? .closed : .truncated), "\(error)")
        #expect(error.requestWasSent)
    }

    @Test func endlessHeadersOpenNothing() async throws {
        let server = LoopbackServer { connection in
            _ = connection.readRequest()
            connection.writeTooManyHeaders()
            connection.waitForClose()
        }
        defer { server.stop() }
        let transport = Self.transport()
        let error = try await #require(throws: TransportError.self) {
            _ = try await transport.open(Request(url: server.endpoint))
        }
        #expect(error.kind == .tooLarge)
    }
}
