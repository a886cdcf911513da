import Machine
import NIOCore
import NIOHTTP1

/// A request as the server's door receives it.
struct AssembledRequest: Sendable {
    var head: HTTPRequestHead
    var body: [UInt8]
    /// The body was longer than the limit and is not here.
    var isTooLarge = false
}

/// Puts the parts of a request together, within the limits, and closes connections that take too long to send one.
///
/// A body over the limit is read to its end and thrown away, so that the client has sent everything when it gets its
/// 413 (a reset would destroy the answer under way); but no more than `discardedBytesMax`.
final class RequestAssembler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = AssembledRequest
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private static let discardedBytesMax = 256 << 20

    private let limits: EmulatorServer.Limits
    private var head: HTTPRequestHead?
    private var body: ByteBuffer?
    private var discardedBytes = 0
    private var deadline: Scheduled<Void>?

    init(_ limits: EmulatorServer.Limits) { self.limits = limits }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { expectRequest(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        expectRequest(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        context.fireChannelInactive()
    }

    /// The whole next request must be there by then: a connection that trickles is closed as one that idles.
    private func expectRequest(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        deadline = context.eventLoop.assumeIsolated().scheduleTask(
            in: .nanoseconds(limits.idleTimeout.wholeNanoseconds)
        ) {
            context.close(promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = nil
            discardedBytes = 0
            let isTooLarge = (head.headers.first(name: "Content-Length").flatMap { Int($0) } ?? 0) > limits.bodyBytesMax
            if head.headers.first(name: "Expect")?.lowercased() == "100-continue", !isTooLarge {
                context.writeAndFlush(
                    wrapOutboundOut(.head(HTTPResponseHead(version: head.version, status: .continue))), promise: nil)
            }
        case .body(var part):
            let received = body?.readableBytes ?? 0
            if discardedBytes == 0, received + part.readableBytes <= limits.bodyBytesMax {
                if body == nil { body = part } else { body?.writeBuffer(&part) }
                return
            }
            discardedBytes += received + part.readableBytes
            body = nil
            if discardedBytes > Self.discardedBytesMax { context.close(promise: nil) }
        case .end:
            deadline?.cancel()
            guard let head else { return }
            let bytes = body.map { Array($0.readableBytesView) } ?? []
            body = nil
            context.fireChannelRead(
                wrapInboundOut(AssembledRequest(head: head, body: bytes, isTooLarge: discardedBytes > 0)))
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { expectRequest(context) }
        context.write(data, promise: promise)
    }
}
