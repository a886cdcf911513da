import AWSWire
import Glibc
import Machine
import Synchronization

@testable import CurlTransport

/// A TCP server on a free loopback port, with a thread for each connection: what a test needs to misbehave like a
/// network does.
final class LoopbackServer: Sendable {
    let port: Int
    private let listener: Int32
    private let count = Mutex(0)

    /// `serve` runs for each connection, on a thread of its own; the connection is closed when it returns.
    init(_ serve: @escaping @Sendable (Connection) -> Void) {
        let (listener, port) = Self.listen()
        self.listener = listener
        self.port = port
        precondition(startThread { [self] in accept(serve) })
    }

    var endpoint: Endpoint { Endpoint(scheme: "http", host: "127.0.0.1", port: port) }

    /// Connections accepted so far.
    var connections: Int { count.withLock { $0 } }

    /// Accepts no more; the thread ends.
    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    private func accept(_ serve: @escaping @Sendable (Connection) -> Void) {
        while true {
            let socket = Glibc.accept(listener, nil, nil)
            guard socket >= 0 else { break }
            let number = count.withLock { count in
                count += 1
                return count
            }
            _ = startThread {
                serve(Connection(socket: socket, number: number))
                close(socket)
            }
        }
        close(listener)
    }

    /// A port on which nobody listens: it was just given back.
    static func freePort() -> Int {
        let (listener, port) = listen()
        close(listener)
        return port
    }

    private static func listen() -> (socket: Int32, port: Int) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                precondition(bind(listener, pointer, length) == 0)
                precondition(Glibc.listen(listener, 64) == 0)
                precondition(getsockname(listener, pointer, &length) == 0)
            }
        }
        return (listener, Int(UInt16(bigEndian: address.sin_port)))
    }
}

/// One connection of a `LoopbackServer`, used by its thread alone.
final class Connection {
    private let socket: Int32
    /// From 1, in the order of their acceptance.
    let number: Int
    private var pending: [UInt8] = []

    init(socket: Int32, number: Int) {
        self.socket = socket
        self.number = number
    }

    struct Received: Sendable {
        /// Request line and headers.
        var head: String
        var body: [UInt8]

        func header(_ name: String) -> String? {
            head.split(separator: "\r\n").first { $0.lowercased().hasPrefix(name.lowercased() + ":") }
                .map { String($0.dropFirst(name.count + 1).drop { $0 == " " }) }
        }

        var line: String { String(head.prefix { $0 != "\r\n" }) }
    }

    /// The next request; `nil` once the client closed.
    func readRequest() -> Received? {
        while true {
            if let end = pending.indices.first(where: { pending[$0...].starts(with: [13, 10, 13, 10]) }) {
                let head = String(decoding: pending[..<end], as: UTF8.self)
                let request = Received(head: head, body: [])
                let length = request.header("Content-Length").flatMap { Int($0) } ?? 0
                while pending.count < end + 4 + length { if !receive() { return nil } }
                let body = Array(pending[(end + 4)..<(end + 4 + length)])
                pending.removeFirst(end + 4 + length)
                return Received(head: head, body: body)
            }
            if !receive() { return nil }
        }
    }

    /// Returns when the client closed.
    func waitForClose() { while receive() {} }

    func write(_ text: String) { write(Array(text.utf8)) }

    /// False where the client went away.
    @discardableResult
    func write(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(socket, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    func answer(_ body: String, status: String = "200 OK", headers: String = "") {
        write("HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)")
    }

    /// Half a megabyte of headers, without an end.
    func writeTooManyHeaders() {
        write("HTTP/1.1 200 OK\r\n")
        for number in 0..<5000 { write("X-\(number): \(String(repeating: "x", count: 100))\r\n") }
    }

    /// What came next, as it came; `nil` once the client closed.
    func read() -> [UInt8]? {
        guard receive() else { return nil }
        defer { pending = [] }
        return pending
    }

    private func receive() -> Bool {
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(socket, &chunk, chunk.count, 0)
        guard count > 0 else { return false }
        pending += chunk[..<count]
        return true
    }
}
