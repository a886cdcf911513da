/// A connection of HTTP/2 on which a test sends exactly the frames it wants, right or wrong.
final class RawHTTP2 {
    struct Frame: Equatable {
        var type: UInt8
        var flags: UInt8 = 0
        var stream: UInt32 = 0
        var payload: [UInt8] = []

        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let reset: UInt8 = 3
        static let settings: UInt8 = 4
        static let ping: UInt8 = 6
        static let goAway: UInt8 = 7
        static let windowUpdate: UInt8 = 8
        static let continuation: UInt8 = 9

        static let endStream: UInt8 = 1
        static let endHeaders: UInt8 = 4
        static let ack: UInt8 = 1

        var bytes: [UInt8] {
            Array(RawHTTP2.word(UInt32(payload.count)).dropFirst()) + [type, flags] + RawHTTP2.word(stream) + payload
        }

        /// The error code of a reset or of a GOAWAY.
        var errorCode: UInt32 {
            payload.dropFirst(type == Self.goAway ? 4 : 0).prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
        }
    }

    let connection: RawConnection

    /// Sends the preface and settings, as clients with prior knowledge do.
    init(port: Int, settings: [(UInt16, UInt32)] = []) async throws {
        connection = try RawConnection(port: port)
        var payload: [UInt8] = []
        for setting in settings { payload += [UInt8(setting.0 >> 8), UInt8(setting.0 & 0xFF)] + Self.word(setting.1) }
        await connection.send(
            Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + Frame(type: Frame.settings, payload: payload).bytes)
    }

    static func word(_ value: UInt32) -> [UInt8] {
        (0..<4).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    func send(_ frames: Frame...) async { await connection.send(frames.flatMap(\.bytes)) }

    /// HEADERS with every field written out, none of them indexed.
    static func head(
        _ stream: UInt32, _ fields: [(String, String)], flags: UInt8 = Frame.endHeaders
    ) -> Frame {
        func text(_ text: String) -> [UInt8] {
            var length = [UInt8(truncatingIfNeeded: text.utf8.count)]
            if text.utf8.count >= 127 {
                length = [127]
                var rest = text.utf8.count - 127
                while rest >= 128 {
                    length.append(UInt8(rest & 0x7F) | 0x80)
                    rest >>= 7
                }
                length.append(UInt8(rest))
            }
            return length + Array(text.utf8)
        }
        var payload: [UInt8] = []
        for field in fields { payload += [0] + text(field.0) + text(field.1) }
        return Frame(type: Frame.headers, flags: flags, stream: stream, payload: payload)
    }

    static func fields(
        _ target: String = "Kinesis_20131202.ListStreams", authority: String = "localhost",
        more: [(String, String)] = []
    ) -> [(String, String)] {
        [
            (":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", authority),
            ("x-amz-target", target), ("content-type", "application/x-amz-json-1.1"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=w/2/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0"
            ),
        ] + more
    }

    /// Sends a request as the Java SDK does: its body, then an empty frame that ends the stream.
    func request(
        _ stream: UInt32, _ target: String = "Kinesis_20131202.ListStreams", body: String = "{}",
        more: [(String, String)] = []
    ) async {
        await send(
            Self.head(stream, Self.fields(target, more: more)),
            Frame(type: Frame.data, stream: stream, payload: Array(body.utf8)),
            Frame(type: Frame.data, flags: Frame.endStream, stream: stream))
    }

    /// The next frame; `nil` when the other side has closed.
    func next() async -> Frame? {
        let head = await connection.take(9)
        guard head.count == 9 else { return nil }
        let count = head[..<3].reduce(0) { $0 << 8 | Int($1) }
        let stream = head[5...].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        return Frame(type: head[3], flags: head[4], stream: stream, payload: await connection.take(count))
    }

    /// The first frame that `isWanted`; `nil` when the other side has closed before.
    func first(_ isWanted: (Frame) -> Bool) async -> Frame? {
        while let frame = await next() { if isWanted(frame) { return frame } }
        return nil
    }

    /// The whole answer on `stream`: whether its status is 200, and its body; a reset ends it with an error code.
    func rawAnswer(_ stream: UInt32) async -> (isOK: Bool, body: [UInt8], resetCode: UInt32?) {
        var isOK = false
        var body: [UInt8] = []
        while let frame = await next() {
            guard frame.stream == stream else { continue }
            switch frame.type {
            case Frame.headers: isOK = frame.payload.first == 0x88
            case Frame.data: body += frame.payload
            case Frame.reset: return (isOK, body, frame.errorCode)
            default: break
            }
            if frame.type <= 1, frame.flags & Frame.endStream != 0 { break }
        }
        return (isOK, body, nil)
    }

    func answer(_ stream: UInt32) async -> (isOK: Bool, body: String, resetCode: UInt32?) {
        let answer = await rawAnswer(stream)
        return (answer.isOK, String(decoding: answer.body, as: UTF8.self), answer.resetCode)
    }

    /// Returns when everything sent so far was taken in.
    func settle() async {
        await send(Frame(type: Frame.ping, payload: [1, 2, 3, 4, 5, 6, 7, 8]))
        _ = await first { $0.type == Frame.ping && $0.flags & Frame.ack != 0 }
    }
}
