/// The server's side of one HTTP/2 connection by prior knowledge, as small as a test can do with: it answers the
/// client's first stream, and decodes no header.
final class HTTP2Connection {
    private let connection: Connection
    private var pending: [UInt8] = []
    /// The request's body.
    private(set) var body: [UInt8] = []
    /// Types of the frames that came after the request.
    private(set) var laterFrames: [UInt8] = []

    struct Frame {
        var type: UInt8
        var flags: UInt8
        var stream: UInt32
        var payload: [UInt8]
    }

    enum Kind {
        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let reset: UInt8 = 3
        static let settings: UInt8 = 4
        static let ping: UInt8 = 6
        static let goAway: UInt8 = 7
    }

    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    /// `nil` where the client speaks anything else.
    init?(_ connection: Connection) {
        self.connection = connection
        while pending.count < Self.preface.count { if !fill() { return nil } }
        guard pending.starts(with: Self.preface) else { return nil }
        pending.removeFirst(Self.preface.count)
        write(Frame(type: Kind.settings, flags: 0, stream: 0, payload: []))
    }

    /// Reads to the end of the request; false where the client went away first.
    func readRequest() -> Bool {
        while let frame = readFrame() {
            switch frame.type {
            case Kind.settings where frame.flags & 1 == 0:
                write(Frame(type: Kind.settings, flags: 1, stream: 0, payload: []))
            case Kind.data: body += frame.payload
            default: break
            }
            if frame.stream == 1, frame.flags & 1 == 1 { return true }
        }
        return false
    }

    /// Answers the stream's head: the status and plain headers.
    func head(_ status: Int = 200, _ headers: [(String, String)] = [], isLast: Bool = false) {
        var block: [UInt8] = []
        for (name, value) in [(":status", "\(status)")] + headers {
            // A literal without indexing, name and value as they are.
            block += [0, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)] + Array(value.utf8)
        }
        write(Frame(type: Kind.headers, flags: isLast ? 5 : 4, stream: 1, payload: block))
    }

    /// False where the client went away.
    @discardableResult
    func data(_ bytes: [UInt8], isLast: Bool = false) -> Bool {
        write(Frame(type: Kind.data, flags: isLast ? 1 : 0, stream: 1, payload: bytes))
    }

    func reset(_ code: UInt8) { write(Frame(type: Kind.reset, flags: 0, stream: 1, payload: [0, 0, 0, code])) }

    /// `lastStream` and those before it are still answered.
    func goAway(lastStream: UInt8, code: UInt8 = 0) {
        write(Frame(type: Kind.goAway, flags: 0, stream: 0, payload: [0, 0, 0, lastStream, 0, 0, 0, code]))
    }

    /// Sends a PING and reads on until its answer; false where none came.
    func ping() -> Bool {
        write(Frame(type: Kind.ping, flags: 0, stream: 0, payload: [1, 2, 3, 4, 5, 6, 7, 8]))
        while let frame = readFrame() {
            if frame.type == Kind.ping, frame.flags == 1, frame.payload == [1, 2, 3, 4, 5, 6, 7, 8] { return true }
        }
        return false
    }

    /// Reads until the client closed.
    func waitForClose() { while let frame = readFrame() { laterFrames.append(frame.type) } }

    @discardableResult
    func write(_ frame: Frame) -> Bool {
        let length = frame.payload.count
        return connection.write(
            [
                UInt8(truncatingIfNeeded: length >> 16), UInt8(truncatingIfNeeded: length >> 8),
                UInt8(truncatingIfNeeded: length), frame.type, frame.flags, 0, 0, 0,
                UInt8(truncatingIfNeeded: frame.stream),
            ] + frame.payload)
    }

    private func readFrame() -> Frame? {
        while pending.count < 9 { if !fill() { return nil } }
        let length = Int(pending[0]) << 16 | Int(pending[1]) << 8 | Int(pending[2])
        while pending.count < 9 + length { if !fill() { return nil } }
        let frame = Frame(
            type: pending[3], flags: pending[4], stream: pending[5..<9].reduce(0) { $0 << 8 | UInt32($1) },
            payload: Array(pending[9..<9 + length]))
        pending.removeFirst(9 + length)
        return frame
    }

    private func fill() -> Bool {
        guard let bytes = connection.read() else { return false }
        pending += bytes
        return true
    }
}

extension LoopbackServer {
    /// Speaks HTTP/2 by prior knowledge, and hands over each connection with its request read.
    static func http2(_ serve: @escaping @Sendable (HTTP2Connection) -> Void) -> LoopbackServer {
        LoopbackServer { connection in
            guard let connection = HTTP2Connection(connection), connection.readRequest() else { return }
            serve(connection)
        }
    }
}
