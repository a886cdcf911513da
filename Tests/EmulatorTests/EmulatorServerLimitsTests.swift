import AWSWire
import Emulator
import Synchronization
import Testing

@Suite("The limits of the door") struct EmulatorServerLimitsTests {
    private func served(
        _ limits: EmulatorServer.Limits, answering: EmulatorServer.Answering? = nil,
        body: (EmulatorServer) async throws -> Void
    ) async throws {
        let emulator = Emulator(configuration: .immediate, time: TestClock().source)
        try await serving(emulator, limits: limits, answering: answering, body: body)
    }

    @Test("One connection too many takes the place of the one that idles longest")
    func eviction() async throws {
        var limits = EmulatorServer.Limits()
        limits.connectionsMax = 3
        try await served(limits) { (server) async throws in
            var idle: [RawConnection] = []
            for _ in 0..<3 {
                let connection = try RawConnection(port: server.port)
                await connection.send(rawRequest())
                #expect(await connection.answer().status == 200)
                idle.append(connection)
            }
            for _ in 0..<20 {
                let connection = try RawConnection(port: server.port)
                await connection.send(rawRequest())
                #expect(await connection.answer().status == 200)
            }
            _ = await idle[0].receive()
            #expect(idle[0].isClosed)
        }
    }

    @Test("A connection whose request is answered is not taken for idle, and one too many is closed then")
    func noneIdle() async throws {
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let begun = Mutex(false)
        var limits = EmulatorServer.Limits()
        limits.connectionsMax = 1
        try await served(limits) { (_) async throws(ConnectionLost) in
            begun.withLock { $0 = true }
            for await _ in gate { break }
            return .whole(Response(status: 200, body: Bytes("there")))
        } body: { (server) async throws in
            let busy = try RawConnection(port: server.port)
            await busy.send(rawRequest())
            while !begun.withLock({ $0 }) { await Task.yield() }
            let other = try RawConnection(port: server.port)
            await other.send(rawRequest())
            #expect(await other.receive() == "")
            open.finish()
            #expect(await busy.answer().body == "there")
        }
    }

    @Test("Bodies of all connections together have a limit; what is over it is told to come again")
    func bodies() async throws {
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let begun = Mutex(false)
        var limits = EmulatorServer.Limits()
        limits.bodiesBytesMax = 1000
        try await served(limits) { (_) async throws(ConnectionLost) in
            begun.withLock { $0 = true }
            for await _ in gate { break }
            return .whole(Response(status: 200, body: Bytes("there")))
        } body: { (server) async throws in
            let body = String(repeating: " ", count: 800)
            let first = try RawConnection(port: server.port)
            await first.send(rawRequest(body: body))
            while !begun.withLock({ $0 }) { await Task.yield() }
            let second = try RawConnection(port: server.port)
            await second.send(rawRequest(body: body))
            #expect(await second.answer().status == 503)
            open.finish()
            #expect(await first.answer().status == 200)
            await first.send(rawRequest(body: body))
            #expect(await first.answer().status == 200)
        }
    }

    @Test("A client that has said all still gets its answer, one that cuts its body off gets none")
    func halfClosed() async throws {
        try await served(EmulatorServer.Limits()) { (server) async throws in
            let half = try RawConnection(port: server.port)
            await half.send(rawRequest())
            half.endSending()
            #expect(await half.answer().status == 200)
            _ = await half.receive()
            #expect(half.isClosed)
            let cut = try RawConnection(port: server.port)
            await cut.send(String(rawRequest().dropLast()))
            cut.endSending()
            #expect(await !cut.receive().contains(" 200 "))
        }
    }

    private static let largeBytes = 64 << 20

    /// `body` has a connection whose request is answered with more than the system's buffers hold.
    private func servedLargeAnswer(
        stallTimeout: Duration, body: (EmulatorServer, RawConnection) async throws -> Void
    ) async throws {
        var limits = EmulatorServer.Limits()
        limits.stallTimeout = stallTimeout
        let answer = Bytes([UInt8](repeating: 7, count: Self.largeBytes))
        try await served(limits) { (_) async throws(ConnectionLost) in
            .whole(Response(status: 200, body: answer))
        } body: { (server) async throws in
            let connection = try RawConnection(port: server.port)
            await connection.send(rawRequest())
            try await body(server, connection)
        }
    }

    @Test("A reader that takes nothing of an answer for too long is gone")
    func stalled() async throws {
        try await servedLargeAnswer(stallTimeout: .milliseconds(50)) { (server, connection) async throws in
            // Nothing is read until nobody is connected any more but who asks.
            let witness = try RawConnection(port: server.port)
            var connections = "2"
            while connections != "1" {
                await witness.send("GET /_shardtop/counts HTTP/1.1\r\nHost: localhost\r\n\r\n")
                let counts = try JSON.decode(Bytes(await witness.answer().body))
                connections = counts["connections"]?.int.map { String($0) } ?? ""
            }
            #expect(await connection.take(Self.largeBytes).count < Self.largeBytes)
        }
    }

    @Test("A reader that is slow, but goes on reading, gets its answer whole")
    func slow() async throws {
        let stallTimeout = Duration.seconds(1)
        try await servedLargeAnswer(stallTimeout: stallTimeout) { (_, connection) async throws in
            var taken = 0
            let clock = ContinuousClock()
            let start = clock.now
            var last = start
            var longestPause = Duration.zero
            // Some 8 MB a second for longer than a reader may stall.
            while last - start < stallTimeout * 2 {
                let count = await connection.take(64 << 10).count
                if count == 0 { break }
                taken += count
                while clock.now < start + .milliseconds(8) * (taken >> 16) { await Task.yield() }
                longestPause = max(longestPause, clock.now - last)
                last = clock.now
            }
            // The machine may have been too busy for a slow reader to be told from one that stalls.
            if longestPause < stallTimeout / 2 {
                taken += await connection.take(Self.largeBytes).count
                #expect(taken > Self.largeBytes)
            }
        }
    }

    @Test("Packed requests are unpacked, as far as a body may be long")
    func gzip() async throws {
        // Dynamic codes, fixed codes, stored.
        let forms = [
            """
            H4sIAAAAAAACA42WvW7DMAyE3yZbApH6HzwU6Nqi6JDddTUEaJrAcd6/DVSqyw23msRRh+8s8WnZTpfv6e2+vbRtPS\
            3P8zbvjm29Pb6qE7d3Ze9k9zqf2+06L22ar9fdf+/h3M4fbT3IoX979E3vbbmsnzeBfcf5694mn0FRgYjCvi6SAyh6\
            IOJhXxcRB4oBiATY10UCshOBSIR9XaSgCQmIJNjXRRTZyUAE93WRiOwUEnH5E6nITiURV8sJOqY4kvFvY5dJyJAISV\
            lGalFRScxisQ3QkydBiwU3Q0+BRC0WXYGmIvs/W3gjHJJI3GLxLdBUZnlbgBVWC8vbIpygqcoCtxBXeNk5ErhaiD0y\
            pUICVwtxhlUlgaulGB7Vsze4hThAT4HkrRbiAj1FkrdaiAWaSiRvtRBHeNbM8rYQV2iqsLwtxAqHVJa3hTjBR9SRwL\
            0bzy06rBf21R5XMXLllSTuxwoBh3iSuLcYV1QMJHA/tghYjSRwP/YI6CmRwL2lWKCpzAIfuwQ0VVjeY5uA1crythQr\
            MhUcyTuMfSL9AFxy3sA5CwAA
            """,
            """
            H4sIAAAAAAACA3NMLsnMz7MNKC3xTS0pykx2SSxJVAtLLSoGiRoZGBroGljoGhiq+SXmphYXJCan2iYWFKgh1Orlpu\
            YmpRbpGepBxEDqbINSk/OLUooNsaoLS8wpTbU1BgBjKf04eQAAAA==
            """,
            """
            H4sIAAAAAAAEAwF5AIb/QWN0aW9uPVB1dE1ldHJpY0RhdGEmVmVyc2lvbj0yMDEwLTA4LTAxJk5hbWVzcGFjZT1hcH\
            AmTWV0cmljRGF0YS5tZW1iZXIuMS5NZXRyaWNOYW1lPVJlY29yZHMxJk1ldHJpY0RhdGEubWVtYmVyLjEuVmFsdWU9\
            M2Mp/Th5AAAA
            """,
        ]
        func status(_ server: EmulatorServer, _ body: [UInt8]) async throws -> Int {
            let connection = try RawConnection(port: server.port)
            await connection.send(
                "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                    + "Authorization: AWS4 Credential=a/b\r\nContent-Encoding: gzip\r\n"
                    + "Content-Length: \(body.count)\r\n\r\n")
            await connection.send(body)
            return await connection.answer().status
        }
        let emulator = Emulator(configuration: .immediate, time: TestClock().source)
        var limits = EmulatorServer.Limits()
        limits.bodyBytesMax = 3000
        try await serving(emulator, limits: limits) { (server) async throws in
            for form in forms {
                let body = try #require(Base64.decode(form))
                #expect(try await status(server, body) == 200)
                for index in body.indices where index % 7 == 0 {
                    var wrong = body
                    wrong[index] ^= 0x55
                    _ = try await status(server, wrong)
                    _ = try await status(server, Array(body[..<index]))
                }
                #expect(try await status(server, Array(body.dropLast())) == 400)
            }
            #expect(emulator.cloudWatch.total("app", "Records1").data >= 7)
        }
        limits.bodyBytesMax = 2000
        try await serving(emulator, limits: limits) { (server) async throws in
            #expect(try await status(server, try #require(Base64.decode(forms[0]))) == 413)
        }
    }
}
