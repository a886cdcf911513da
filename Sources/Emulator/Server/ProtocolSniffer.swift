import NIOCore
import NIOHTTP1
import NIOHTTP2

/// Tells HTTP/2 from HTTP/1.1 by the first bytes that come, with TLS or without: a client that knows that the server
/// speaks HTTP/2 begins with the preface and asks nobody (RFC 9113 §3.3), over TLS without ALPN, too.
final class ProtocolSniffer: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    private let registry: ConnectionRegistry
    private let connection: ServerConnection
    private var received = ByteBuffer()
    private var timer: Scheduled<Void>?

    init(_ registry: ConnectionRegistry, _ connection: ServerConnection) {
        self.registry = registry
        self.connection = connection
    }

    func handlerAdded(context: ChannelHandlerContext) {
        // A handshake counts as idling, too.
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: registry.limits.idleTimeout.timeAmount) {
            context.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent || (event as? ChannelEvent) == .inputClosed {
            context.close(promise: nil)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var part = unwrapInboundIn(data)
        received.writeBuffer(&part)
        let known = received.readableBytesView.prefix(Self.preface.count)
        let isPreface = known.elementsEqual(Self.preface.prefix(known.count))
        if isPreface, known.count < Self.preface.count { return }
        do {
            try isPreface ? configureHTTP2(context) : configureHTTP1(context)
        } catch {
            context.close(promise: nil)
            return
        }
        context.fireChannelRead(wrapInboundOut(received))
        context.fireChannelReadComplete()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    private func configureHTTP1(_ context: ChannelHandlerContext) throws {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = registry.limits.headerBytesMax
        limits.maxHeaderListSize = registry.limits.headerBytesMax
        limits.maxHeaderFieldCount = registry.limits.headersMax
        let pipeline = context.pipeline.syncOperations
        try pipeline.addHandler(ExchangeHandler(registry, connection, isHTTP2: false), position: .after(self))
        try pipeline.configureHTTPServerPipeline(
            position: .after(self), withErrorHandling: false,
            withEncoderConfiguration: HTTPResponseEncoder.Configuration(), withDecoderLimitConfiguration: limits)
    }

    private func configureHTTP2(_ context: ChannelHandlerContext) throws {
        let (registry, connection) = (registry, connection)
        let limits = registry.limits
        var settings = NIOHTTP2Handler.ConnectionConfiguration()
        settings.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: limits.streamsMax),
            // Four times what a request may have, so that most of those that have more still get their answer.
            HTTP2Setting(parameter: .maxHeaderListSize, value: limits.headerBytesMax * 4),
            HTTP2Setting(parameter: .initialWindowSize, value: Self.streamWindowBytes),
        ]
        settings.targetWindowSize = Self.connectionWindowBytes
        settings.controlFrameRateLimit.maximumCount = limits.nuisanceFramesMax
        var streamSettings = NIOHTTP2Handler.StreamConfiguration()
        streamSettings.targetWindowSize = Self.streamWindowBytes
        streamSettings.streamResetFrameRateLimit.maximumCount = limits.nuisanceFramesMax
        let lifecycle = HTTP2Lifecycle(idleTimeout: limits.idleTimeout.timeAmount)
        let handler = NIOHTTP2Handler(
            mode: .server, eventLoop: context.eventLoop, connectionConfiguration: settings,
            streamConfiguration: streamSettings,
            streamDelegate: HTTP2Lifecycle.Streams(lifecycle, on: context.eventLoop)
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandlers(
                    HTTP2FramePayloadToHTTP1ServerCodec(), ExchangeHandler(registry, connection, isHTTP2: true))
            }
        }
        try context.pipeline.syncOperations.addHandlers(
            [handler, lifecycle], position: .after(self))
    }

    /// What a client may send of one request before we have looked at it.
    private static let streamWindowBytes = 1 << 20
    /// What it may send of all of them.
    private static let connectionWindowBytes = 4 << 20
}
