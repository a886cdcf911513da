import Glibc

/// A TCP connection on which a test says exactly what it wants, right or wrong.
///
/// It belongs to one test at a time; nothing of it is used from two tasks at once.
final class RawConnection: @unchecked Sendable {
    private let socket: Int32
    private var received: [UInt8] = []
    private(set) var isClosed = false

    struct CannotConnect: Error { var errno: Int32 }

    init(port: Int) throws {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.socket = socket
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = in_addr_t(UInt32(0x7F00_0001).bigEndian)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw CannotConnect(errno: errno) }
        _ = fcntl(socket, F_SETFL, O_NONBLOCK)
    }

    deinit { close(socket) }

    func send(_ text: String) async { await send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) async {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count > 0 { rest = rest.dropFirst(count) } else if errno == EAGAIN { await Task.yield() } else { return }
        }
    }

    /// What came so far, once `isEnough` holds or the other side closed.
    func receive(until isEnough: (String) -> Bool = { _ in false }) async -> String {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while !isClosed {
            if isEnough(String(decoding: received, as: UTF8.self)) { break }
            let count = recv(socket, &buffer, buffer.count, 0)
            if count > 0 {
                received += buffer[..<count]
            } else if count < 0, errno == EAGAIN {
                await Task.yield()
            } else {
                isClosed = true
            }
        }
        return String(decoding: received, as: UTF8.self)
    }

    /// The next `count` bytes, taken off what was received; fewer where the other side closed.
    func take(_ count: Int) async -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while !isClosed, received.count < count {
            let read = recv(socket, &buffer, buffer.count, 0)
            if read > 0 {
                received += buffer[..<read]
            } else if read < 0, errno == EAGAIN {
                await Task.yield()
            } else {
                isClosed = true
            }
        }
        defer { received.removeFirst(min(count, received.count)) }
        return Array(received.prefix(count))
    }

    /// Says that nothing more will be sent; answers can still come.
    func endSending() { shutdown(socket, Int32(SHUT_WR)) }

    /// Ends the connection.
    func hangUp() { shutdown(socket, Int32(SHUT_RDWR)) }

    /// One whole answer with a Content-Length, taken off what was received.
    func answer() async -> (status: Int, headers: [String: String], body: String) {
        let answer = await rawAnswer()
        return (answer.status, answer.headers, String(decoding: answer.body, as: UTF8.self))
    }

    func rawAnswer() async -> (status: Int, headers: [String: String], body: [UInt8]) {
        let text = await receive { $0.contains("\r\n\r\n") }
        guard let end = text.firstRange(of: "\r\n\r\n") else { return (0, [:], Array(text.utf8)) }
        let head = text[..<end.lowerBound]
        _ = await take(head.utf8.count + 4)
        let headers = Self.headers(head)
        let body = await take(headers["content-length"].flatMap { Int($0) } ?? 0)
        let status = head.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return (status, headers, body)
    }

    private static func headers(_ head: Substring) -> [String: String] {
        var headers: [String: String] = [:]
        for line in head.split(separator: "\r\n").dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
        }
        return headers
    }
}

/// A request as text; every header but Content-Length is the test's.
func rawRequest(
    _ target: String = "Kinesis_20131202.ListStreams", body: String = "{}", host: String = "localhost",
    headers: [String] = [], isSigned: Bool = true
) -> String {
    var lines = ["POST / HTTP/1.1", "Host: \(host)", "X-Amz-Target: \(target)", "Content-Length: \(body.utf8.count)"]
    if isSigned {
        lines.append(
            "Authorization: AWS4-HMAC-SHA256 Credential=worker-1/20300317/us-east-1/kinesis/aws4_request, "
                + "SignedHeaders=host, Signature=00")
    }
    return (lines + headers).joined(separator: "\r\n") + "\r\n\r\n" + body
}
