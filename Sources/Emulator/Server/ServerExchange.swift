import AWSWire
import NIOCore
import NIOHTTP1

/// One request as it was received, and the way back for its answer.
struct ServerExchange: Sendable {
    /// Why a request is answered without being looked at.
    enum Flaw: Sendable {
        case bodyTooLarge, headersTooLarge, tooManyBodies
    }

    var connection: ServerConnection
    /// The connection itself in HTTP/1.1, the stream in HTTP/2.
    var channel: any Channel
    var isHTTP2: Bool
    var head: HTTPRequestHead
    var body: ByteBuffer?
    var flaw: Flaw?

    /// Whether more may follow on the same connection.
    var isKept: Bool { isHTTP2 || head.isKeepAlive && flaw == nil }

    /// Sends a part without waiting for its reader.
    func send(_ part: AnswerPart) { channel.writeAndFlush(part, promise: nil) }

    /// Sends a part; returns when its reader has taken it, so that who writes next writes no faster than is read.
    func write(_ part: AnswerPart) async throws { try await channel.writeAndFlush(part).get() }

    /// The head of an answer, and of a whole one its length.
    func answerHead(status: Int, headers: [Header], contentLength: Int?) -> HTTPResponseHead {
        var fields = HTTPHeaders(headers.map { ($0.name, $0.value) })
        if let contentLength { fields.add(name: "Content-Length", value: String(contentLength)) }
        if !isKept { fields.add(name: "Connection", value: "close") }
        return HTTPResponseHead(version: head.version, status: HTTPResponseStatus(statusCode: status), headers: fields)
    }
}

/// What the answer to a request consists of, either protocol.
enum AnswerPart: Sendable {
    case whole(HTTPResponseHead, ByteBuffer?)
    /// The head of a stream; `onGone` is called when its reader goes away before the end.
    case head(HTTPResponseHead, onGone: @Sendable () -> Void)
    case piece(ByteBuffer)
    case end
    /// No answer, or no more of it: a stream is reset, a connection closed.
    case abort
}

extension ByteBuffer {
    /// A copy of `bytes`; `nil` where there are none.
    init?(copying bytes: Bytes) {
        guard !bytes.isEmpty else { return nil }
        self = ByteBufferAllocator().buffer(capacity: bytes.count)
        bytes.withUnsafeBytes { _ = self.writeBytes($0) }
    }
}
