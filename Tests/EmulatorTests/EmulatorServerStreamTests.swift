import AWSWire
import Emulator
import Synchronization
import Testing

private typealias Frame = RawHTTP2.Frame

@Suite("Answers that are streams") struct EmulatorServerStreamTests {
    private func served(
        _ stream: ScriptedStream, _ limits: EmulatorServer.Limits = EmulatorServer.Limits(),
        body: (EmulatorServer) async throws -> Void
    ) async throws {
        let emulator = Emulator(configuration: .immediate, time: TestClock().source)
        try await serving(
            emulator, limits: limits, answering: { (_) async throws(ConnectionLost) in .stream(stream) }, body: body)
    }

    @Test("A stream that ends is DATA up to END_STREAM, or chunks up to the last")
    func ends() async throws {
        let first = ScriptedStream(3, of: Bytes("piece,"), then: .ends)
        try await served(first) { (server) async throws in
            let client = try await RawHTTP2(port: server.port)
            await client.request(1)
            let answer = await client.answer(1)
            #expect(answer.isOK)
            #expect(answer.body == "piece,piece,piece,")
            #expect(answer.resetCode == nil)
            await first.waitUntilClosed()
        }
        try await served(ScriptedStream(2, of: Bytes("piece,"), then: .ends)) { (server) async throws in
            let connection = try RawConnection(port: server.port)
            await connection.send(rawRequest())
            let text = await connection.receive { $0.hasSuffix("0\r\n\r\n") }
            #expect(text.contains("transfer-encoding: chunked"))
            #expect(text.hasSuffix("\r\n\r\n6\r\npiece,\r\n6\r\npiece,\r\n0\r\n\r\n"))
        }
    }

    @Test("A stream that fails is reset, or its connection closed without the last chunk")
    func fails() async throws {
        try await served(ScriptedStream(1, of: Bytes("piece,"), then: .fails)) { (server) async throws in
            let client = try await RawHTTP2(port: server.port)
            await client.request(1)
            let answer = await client.answer(1)
            #expect(answer.resetCode != nil)
        }
        try await served(ScriptedStream(1, of: Bytes("piece,"), then: .fails)) { (server) async throws in
            let connection = try RawConnection(port: server.port)
            await connection.send(rawRequest())
            #expect(await !connection.receive().contains("\r\n0\r\n"))
            #expect(connection.isClosed)
        }
    }

    @Test("A reader that stops reading stops the pulling, in HTTP/2 and in HTTP/1.1")
    func backPressure() async throws {
        let piece = Bytes([UInt8](repeating: 7, count: 1 << 20))
        let stream = ScriptedStream(.max, of: piece, then: .waits)
        try await served(stream) { (server) async throws in
            let client = try await RawHTTP2(port: server.port)
            await client.request(1)
            while stream.pulled == 0 { await Task.yield() }
            for _ in 0..<50 { await client.settle() }
            // The window of 64 KiB is full after the first.
            #expect(stream.pulled <= 2)
            await client.send(
                Frame(type: Frame.windowUpdate, payload: RawHTTP2.word(1 << 24)),
                Frame(type: Frame.windowUpdate, stream: 1, payload: RawHTTP2.word(4 << 20)))
            while stream.pulled < 4 { _ = await client.next() }
        }
        let other = ScriptedStream(.max, of: piece, then: .waits)
        try await served(other) { (server) async throws in
            let reader = try RawConnection(port: server.port)
            await reader.send(rawRequest())
            while other.pulled == 0 { await Task.yield() }
            let witness = try await RawHTTP2(port: server.port)
            for _ in 0..<50 { await witness.settle() }
            // What the kernel's buffers on both sides take.
            #expect(other.pulled < 64)
            _ = await reader.take(80 << 20)
            #expect(other.pulled >= 79)
        }
    }

    @Test("A reader that resets or goes away ends the stream")
    func gone() async throws {
        let reset = ScriptedStream(1, of: Bytes("piece,"), then: .waits)
        try await served(reset) { (server) async throws in
            let client = try await RawHTTP2(port: server.port)
            await client.request(1)
            _ = await client.first { $0.type == Frame.data }
            #expect(!reset.isClosed)
            await client.send(Frame(type: Frame.reset, stream: 1, payload: RawHTTP2.word(8)))
            await reset.waitUntilClosed()
        }
        for isHTTP2 in [true, false] {
            let stream = ScriptedStream(1, of: Bytes("piece,"), then: .waits)
            try await served(stream) { (server) async throws in
                let connection: RawConnection
                if isHTTP2 {
                    let client = try await RawHTTP2(port: server.port)
                    await client.request(1)
                    _ = await client.first { $0.type == Frame.data }
                    connection = client.connection
                } else {
                    connection = try RawConnection(port: server.port)
                    await connection.send(rawRequest())
                    _ = await connection.receive { $0.contains("piece,") }
                }
                connection.hangUp()
                await stream.waitUntilClosed()
            }
        }
    }

    @Test("Shutdown ends streams as if they had ended, and HTTP/2 says GOAWAY")
    func shutdown() async throws {
        let stream = ScriptedStream(1, of: Bytes("piece,"), then: .waits)
        try await served(stream) { (server) async throws in
            let client = try await RawHTTP2(port: server.port)
            await client.request(1)
            _ = await client.first { $0.type == Frame.data }
            server.shutdown()
            var types: Set<UInt8> = []
            var endsStream = false
            while let frame = await client.next() {
                types.insert(frame.type)
                if frame.type == Frame.data, frame.flags & Frame.endStream != 0 { endsStream = true }
            }
            #expect(endsStream)
            #expect(types.contains(Frame.goAway))
            #expect(!types.contains(Frame.reset))
            await stream.waitUntilClosed()
        }
    }

    @Test("A connection whose streams are open is not taken for idle")
    func notIdle() async throws {
        var limits = EmulatorServer.Limits()
        limits.idleTimeout = .milliseconds(50)
        let stream = ScriptedStream(1, of: Bytes("piece,"), then: .waits)
        try await served(stream, limits) { (server) async throws in
            let client = try await RawHTTP2(port: server.port)
            await client.request(1)
            _ = await client.first { $0.type == Frame.data }
            // Connections that idle come and go meanwhile.
            for _ in 0..<3 {
                let idle = try RawConnection(port: server.port)
                #expect(await idle.receive() == "")
            }
            #expect(!stream.isClosed)
            await client.settle()
        }
    }

    @Test("A reader that takes nothing for too long is gone")
    func stalled() async throws {
        var limits = EmulatorServer.Limits()
        limits.streamStallTimeout = .milliseconds(20)
        let stream = ScriptedStream(.max, of: Bytes([UInt8](repeating: 7, count: 1 << 20)), then: .waits)
        try await served(stream, limits) { (server) async throws in
            let client = try await RawHTTP2(port: server.port)
            await client.request(1)
            await stream.waitUntilClosed()
        }
    }
}
