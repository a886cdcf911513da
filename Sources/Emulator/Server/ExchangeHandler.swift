import AWSWire
import NIOCore
import NIOHTTP1
import Synchronization

/// Puts the parts of a request together, within the limits, and writes its answer: the same for a connection of
/// HTTP/1.1, request after request, and for one stream of HTTP/2.
///
/// A body over the limit is read to its end and thrown away, so that the client has sent everything when it gets its
/// 413 (a reset would destroy the answer under way); but no more than `discardedBytesMax`.
final class ExchangeHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = AnswerPart
    typealias OutboundOut = HTTPServerResponsePart

    private static let discardedBytesMax = 256 << 20
    /// Bodies are written in parts of this size, so that one who reads slowly is told from one who does not read.
    private static let partBytesMax = 64 << 10

    private let registry: ConnectionRegistry
    private let connection: ServerConnection
    private let isHTTP2: Bool

    private var head: HTTPRequestHead?
    private var body: ByteBuffer?
    private var flaw: ServerExchange.Flaw?
    private var discardedBytes = 0
    /// Bytes of this request that count against the limit of all connections.
    private var countedBytes = 0
    /// Requests that are here, at least in part, and answers that are not sent; two where requests are sent ahead.
    private var exchangesUnderWay = 0
    private var closesAfterAnswer = false
    /// Set while the answer is a stream.
    private var onGone: (@Sendable () -> Void)?

    /// When the whole next request must be there; `nil` while one is answered.
    private var requestDue: NIODeadline?
    private var requestTimer: Scheduled<Void>?
    private var unwrittenParts = 0
    /// When the reader must have taken the next part.
    private var stallDue = NIODeadline.distantFuture
    private var stallTimer: Scheduled<Void>?

    init(_ registry: ConnectionRegistry, _ connection: ServerConnection, isHTTP2: Bool) {
        self.registry = registry
        self.connection = connection
        self.isHTTP2 = isHTTP2
    }

    func handlerAdded(context: ChannelHandlerContext) {
        expectRequest()
        // Nearly every stream of HTTP/2 brings its request with it, and needs no timer.
        if !isHTTP2 { armRequestTimer(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { finish() }

    func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if !isHTTP2, let error = error as? HTTPParserError, onGone == nil {
            // The decoder closes the connection when this returns.
            let status: HTTPResponseStatus = error == .headerOverflow ? .requestHeaderFieldsTooLarge : .badRequest
            let headers = HTTPHeaders([("Connection", "close"), ("Content-Length", "0")])
            context.write(
                wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))),
                promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed, !isHTTP2 {
            // Who has said all may still listen to a whole answer; a stream's reader that closes has gone.
            if requestDue == nil, onGone == nil { closesAfterAnswer = true } else { context.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): begin(head, context)
        case .body(let part): receive(part, context)
        case .end:
            guard let head else { return }
            requestDue = nil
            let exchange = ServerExchange(
                connection: connection, channel: context.channel, isHTTP2: isHTTP2, head: head, body: body, flaw: flaw)
            closesAfterAnswer = closesAfterAnswer || !exchange.isKept
            self.head = nil
            body = nil
            registry.received(exchange)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if requestDue != nil { armRequestTimer(context) }
        context.fireChannelReadComplete()
    }

    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        self.head = head
        flaw = nil
        discardedBytes = 0
        exchangesUnderWay += 1
        connection.exchangeBegan()
        let headerBytes = head.headers.reduce(head.uri.utf8.count) { $0 + $1.name.utf8.count + $1.value.utf8.count }
        if headerBytes > registry.limits.headerBytesMax || head.headers.count > registry.limits.headersMax {
            flaw = .headersTooLarge
        }
        let announced = head.headers.first(name: "Content-Length").flatMap { Int($0) } ?? 0
        if announced > registry.limits.bodyBytesMax { flaw = flaw ?? .bodyTooLarge }
        if flaw == nil, head.headers.first(name: "Expect")?.lowercased() == "100-continue" {
            let goOn = HTTPResponseHead(version: head.version, status: .continue)
            context.writeAndFlush(wrapOutboundOut(.head(goOn)), promise: nil)
        }
    }

    private func receive(_ part: ByteBuffer, _ context: ChannelHandlerContext) {
        if flaw == nil, (body?.readableBytes ?? 0) + part.readableBytes > registry.limits.bodyBytesMax {
            flaw = .bodyTooLarge
        }
        if flaw == nil {
            let total = registry.bodyBytes.wrappingAdd(part.readableBytes, ordering: .relaxed).newValue
            countedBytes += part.readableBytes
            if total > registry.limits.bodiesBytesMax { flaw = .tooManyBodies }
        }
        guard flaw == nil else {
            discardedBytes += part.readableBytes
            body = nil
            uncountBody()
            if discardedBytes > Self.discardedBytesMax { context.close(promise: nil) }
            return
        }
        if body == nil {
            body = part
        } else {
            var part = part
            body?.writeBuffer(&part)
        }
    }

    private func uncountBody() {
        registry.bodyBytes.wrappingSubtract(countedBytes, ordering: .relaxed)
        countedBytes = 0
    }

    /// The whole next request must be there by then: a connection that trickles is closed as one that idles.
    private func expectRequest() { requestDue = .now() + registry.limits.idleTimeout.timeAmount }

    /// One timer at a time, put off when it fires too early, because setting one for each request costs more.
    private func armRequestTimer(_ context: ChannelHandlerContext) {
        guard requestTimer == nil, let requestDue else { return }
        requestTimer = context.eventLoop.assumeIsolated().scheduleTask(deadline: requestDue) {
            self.requestTimer = nil
            guard let due = self.requestDue else { return }
            if due <= .now() { context.close(promise: nil) } else { self.armRequestTimer(context) }
        }
    }

    // MARK: Answers

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .whole(let head, let body):
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            if let body { writeBody(body, context, promise: nil) }
            let bytes = body?.readableBytes ?? 0
            connection.answerWritten(bytes: bytes)
            writeEnd(context, promise) { [registry, connection] in registry.answerRead(connection, bytes: bytes) }
        case .head(let head, let onGone):
            guard context.channel.isActive else {
                onGone()
                promise?.fail(ChannelError.ioOnClosedChannel)
                return
            }
            self.onGone = onGone
            uncountBody()
            context.write(wrapOutboundOut(.head(head)), promise: watched(context, promise))
        case .piece(let bytes):
            writeBody(bytes, context, promise: watched(context, promise))
        case .end:
            onGone = nil
            writeEnd(context, promise) {}
        case .abort:
            onGone = nil
            context.close(promise: promise)
        }
    }

    func flush(context: ChannelHandlerContext) {
        context.flush()
        armStallTimer(context)
    }

    private func writeBody(_ body: ByteBuffer, _ context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
        var rest = body
        while rest.readableBytes > Self.partBytesMax, let part = rest.readSlice(length: Self.partBytesMax) {
            context.write(wrapOutboundOut(.body(.byteBuffer(part))), promise: watched(context, nil))
        }
        context.write(wrapOutboundOut(.body(.byteBuffer(rest))), promise: promise)
    }

    private func writeEnd(
        _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?, _ onWritten: @escaping () -> Void
    ) {
        let closes = closesAfterAnswer
        let written = watched(context, promise)
        written.futureResult.assumeIsolated().whenComplete { _ in
            onWritten()
            self.endExchange()
            if closes { context.close(promise: nil) }
        }
        uncountBody()
        // Before the write, because the next request may come while it goes on.
        expectRequest()
        context.write(wrapOutboundOut(.end(nil)), promise: written)
        if !isHTTP2 { armRequestTimer(context) }
    }

    /// A promise that is counted until its part is on the wire.
    private func watched(
        _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?
    ) -> EventLoopPromise<Void> {
        let promise = promise ?? context.eventLoop.makePromise()
        unwrittenParts += 1
        promise.futureResult.assumeIsolated().whenComplete { _ in
            self.unwrittenParts -= 1
            if self.unwrittenParts == 0 {
                self.stallTimer?.cancel()
                self.stallTimer = nil
            } else {
                self.stallDue = self.nextStallDue
            }
        }
        return promise
    }

    private var nextStallDue: NIODeadline {
        let limits = registry.limits
        return .now() + (onGone == nil ? limits.stallTimeout : limits.streamStallTimeout).timeAmount
    }

    private func armStallTimer(_ context: ChannelHandlerContext) {
        guard unwrittenParts > 0, stallTimer == nil else { return }
        stallDue = nextStallDue
        scheduleStallTimer(context)
    }

    /// One timer at a time here, too.
    private func scheduleStallTimer(_ context: ChannelHandlerContext) {
        stallTimer = context.eventLoop.assumeIsolated().scheduleTask(deadline: stallDue) {
            if self.stallDue <= .now() { context.close(promise: nil) } else { self.scheduleStallTimer(context) }
        }
    }

    private func endExchange() {
        guard exchangesUnderWay > 0 else { return }
        exchangesUnderWay -= 1
        connection.exchangeEnded()
    }

    private func finish() {
        requestTimer?.cancel()
        stallTimer?.cancel()
        requestDue = nil
        let onGone = onGone
        self.onGone = nil
        uncountBody()
        while exchangesUnderWay > 0 { endExchange() }
        onGone?()
    }
}
