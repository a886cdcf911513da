import NIOCore
import NIOHTTP2

/// Ends a connection of HTTP/2: at once on errors, after its last stream at shutdown, and when it idled too long.
///
/// GOAWAY names the last stream that will be answered; a client sends later ones again, elsewhere. Pings do not count
/// as use.
final class HTTP2Lifecycle: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    /// Tells of streams. The multiplexer keeps their events from the handlers of the connection.
    struct Streams: NIOHTTP2StreamDelegate {
        private let lifecycle: NIOLoopBound<HTTP2Lifecycle>

        init(_ lifecycle: HTTP2Lifecycle, on eventLoop: any EventLoop) {
            self.lifecycle = NIOLoopBound(lifecycle, eventLoop: eventLoop)
        }

        func streamCreated(_ id: HTTP2StreamID, channel: any Channel) { lifecycle.value.streamCreated(id) }

        func streamClosed(_ id: HTTP2StreamID, channel: any Channel) { lifecycle.value.streamClosed() }
    }

    private let idleTimeout: TimeAmount
    private var context: ChannelHandlerContext?
    private var streamCount = 0
    private var lastStream = HTTP2StreamID.rootStream
    private var isEnding = false
    private var idleDue = NIODeadline.distantFuture
    private var timer: Scheduled<Void>?

    init(idleTimeout: TimeAmount) { self.idleTimeout = idleTimeout }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        idle(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        timer?.cancel()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        context.fireChannelInactive()
    }

    /// The handler below has sent GOAWAY where there was a reason for one.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Errors of one stream are that stream's own.
        if error is NIOHTTP2Errors.StreamError { return }
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is ChannelShouldQuiesceEvent: end(context)
        case ChannelEvent.inputClosed: context.close(promise: nil)
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func streamCreated(_ id: HTTP2StreamID) {
        streamCount += 1
        lastStream = max(lastStream, id)
    }

    private func streamClosed() {
        streamCount -= 1
        guard streamCount == 0, let context else { return }
        if isEnding {
            // Later, so that what the stream wrote last goes out first.
            context.eventLoop.assumeIsolated().execute { context.close(promise: nil) }
        } else {
            idle(context)
        }
    }

    private func end(_ context: ChannelHandlerContext) {
        guard !isEnding else { return }
        isEnding = true
        let frame = HTTP2Frame(
            streamID: .rootStream,
            payload: .goAway(lastStreamID: lastStream, errorCode: .noError, opaqueData: nil))
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
        if streamCount == 0 { context.close(promise: nil) }
    }

    private func idle(_ context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        idleDue = .now() + idleTimeout
        if timer == nil { arm(context) }
    }

    private func arm(_ context: ChannelHandlerContext) {
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: idleDue) {
            self.timer = nil
            guard self.streamCount == 0 else { return }
            if self.idleDue <= .now() { self.end(context) } else { self.arm(context) }
        }
    }
}
