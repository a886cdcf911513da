import NIOCore
import NIOHTTP2

/// Ends a connection of HTTP/2: at once on errors, after its last stream at shutdown, and when it idled too long.
///
/// GOAWAY names the last stream that will be answered; a client sends later ones again, elsewhere. Pings do not count
/// as use.
final class HTTP2Lifecycle: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    private let idleTimeout: TimeAmount
    private var streamCount = 0
    private var lastStream = HTTP2StreamID.rootStream
    private var isEnding = false
    private var idleDue = NIODeadline.distantFuture
    private var timer: Scheduled<Void>?

    init(idleTimeout: TimeAmount) { self.idleTimeout = idleTimeout }

    func handlerAdded(context: ChannelHandlerContext) { idle(context) }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

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
        case let event as NIOHTTP2StreamCreatedEvent:
            streamCount += 1
            lastStream = max(lastStream, event.streamID)
        case is StreamClosedEvent:
            streamCount -= 1
            if streamCount == 0 { isEnding ? context.close(promise: nil) : idle(context) }
        case is ChannelShouldQuiesceEvent: end(context)
        case ChannelEvent.inputClosed: context.close(promise: nil)
        default: break
        }
        context.fireUserInboundEventTriggered(event)
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
