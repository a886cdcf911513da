import Machine
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// Where `--listen` listens.
struct ListenAddress: Hashable, CustomStringConvertible {
    var host: String
    var port: Int

    /// Reads `9464`, `:9464` (both loopback), `0.0.0.0:9464` and `[::]:9464`; `nil` for anything else. Only an address
    /// that is written out reaches beyond this machine.
    init?(_ text: String) {
        let parts: (host: Substring, port: Substring)
        if let colon = text.lastIndex(of: ":") {
            parts = (text[..<colon], text[text.index(after: colon)...])
        } else {
            parts = ("", text[...])
        }
        guard !parts.port.isEmpty, parts.port.utf8.allSatisfy({ 48...57 ~= $0 }), let port = Int(parts.port),
            0...65_535 ~= port
        else { return nil }
        var host = parts.host
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            if host.isEmpty { return nil }
        } else if host.contains(where: { ":[]/ ".contains($0) }) {
            return nil
        }
        self.host = host.isEmpty ? "127.0.0.1" : String(host)
        self.port = port
    }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// A page that the listener serves.
struct HTTPPage: Sendable {
    var isOK = true
    var contentType = "text/plain; charset=utf-8"
    var text: String
}

/// A small HTTP/1.1 server for probes and scrapers: GET and HEAD, one request a connection, everything bounded.
final class HTTPListener: Sendable {
    /// Returns the page under `path`, `nil` where there is none. Called on the listener's thread; must not block.
    typealias Pages = @Sendable (_ path: String) -> HTTPPage?

    static let connectionsMax = 32
    static let requestBytesMax = 8 << 10
    /// A connection has so long for its request and its answer.
    static let connectionTime: Duration = .seconds(10)

    let address: ListenAddress
    private let group: MultiThreadedEventLoopGroup
    private let channel: any Channel
    private let connections: Connections

    /// Who is connected.
    fileprivate final class Connections: Sendable {
        private let open = Mutex<(isShutDown: Bool, channels: [ObjectIdentifier: any Channel])>((false, [:]))

        /// False where the connection is one too many.
        func add(_ channel: any Channel) -> Bool {
            open.withLock { open in
                guard !open.isShutDown, open.channels.count < HTTPListener.connectionsMax else { return false }
                open.channels[ObjectIdentifier(channel)] = channel
                return true
            }
        }

        func remove(_ channel: any Channel) {
            open.withLock { _ = $0.channels.removeValue(forKey: ObjectIdentifier(channel)) }
        }

        func shutDown() -> [any Channel] {
            open.withLock { open in
                open.isShutDown = true
                return Array(open.channels.values)
            }
        }
    }

    private init(
        _ address: ListenAddress, _ group: MultiThreadedEventLoopGroup, _ channel: any Channel,
        _ connections: Connections
    ) {
        self.address = address
        self.group = group
        self.channel = channel
        self.connections = connections
    }

    /// Listens and serves from then on, until `shutdown`. Port 0 picks a free one, which `address` names.
    static func bind(_ address: ListenAddress, pages: @escaping Pages) async throws -> HTTPListener {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let connections = Connections()
        do {
            let channel = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 32)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.maxMessagesPerRead, value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        try pipeline.addHandler(RequestBudget())
                        try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: false)
                        try pipeline.addHandler(PageHandler(pages, connections))
                    }
                }
                .bind(host: address.host, port: address.port).get()
            var bound = address
            bound.port = channel.localAddress?.port ?? address.port
            return HTTPListener(bound, group, channel, connections)
        } catch {
            try? await group.shutdownGracefully()
            throw Failure("cannot listen on \(address): \(error)")
        }
    }

    /// Takes no more connections, lets answers under way out, and ends. At most `connectionTime` later everything is
    /// gone.
    func shutdown() async {
        try? await channel.close().get()
        for connection in connections.shutDown() {
            connection.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
        try? await group.shutdownGracefully()
    }
}

/// Closes a connection that sends more than a request's head may have.
private final class RequestBudget: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private var received = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received += unwrapInboundIn(data).readableBytes
        guard received <= HTTPListener.requestBytesMax else { return context.close(promise: nil) }
        context.fireChannelRead(data)
    }
}

/// Answers the one request of a connection.
private final class PageHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let pages: HTTPListener.Pages
    private let connections: HTTPListener.Connections
    private var deadline: Scheduled<Void>?
    private var isRegistered = false
    private var isAnswered = false

    init(_ pages: @escaping HTTPListener.Pages, _ connections: HTTPListener.Connections) {
        self.pages = pages
        self.connections = connections
    }

    func channelActive(context: ChannelHandlerContext) {
        guard connections.add(context.channel) else { return context.close(promise: nil) }
        isRegistered = true
        deadline = context.eventLoop.assumeIsolated().scheduleTask(
            in: .nanoseconds(HTTPListener.connectionTime.wholeNanoseconds)
        ) {
            context.close(promise: nil)
        }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        if isRegistered { connections.remove(context.channel) }
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent, !isAnswered { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // A body is not waited for, and what comes after the first request is not read.
        guard case .head(let head) = unwrapInboundIn(data), !isAnswered else { return }
        isAnswered = true
        var headers = HTTPHeaders()
        let (status, page) = answer(to: head, &headers)
        headers.add(name: "Content-Type", value: page.contentType)
        headers.add(name: "Content-Length", value: "\(page.text.utf8.count)")
        headers.add(name: "Cache-Control", value: "no-store")
        headers.add(name: "Connection", value: "close")
        let response = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(response)), promise: nil)
        if head.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: page.text)))), promise: nil)
        }
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
    }

    private func answer(
        to head: HTTPRequestHead, _ headers: inout HTTPHeaders
    ) -> (HTTPResponseStatus, HTTPPage) {
        let path = String(head.uri.prefix { $0 != "?" })
        guard let page = pages(path) else {
            return (.notFound, HTTPPage(text: "there are /healthz, /readyz and /metrics\n"))
        }
        guard head.method == .GET || head.method == .HEAD else {
            headers.add(name: "Allow", value: "GET, HEAD")
            return (.methodNotAllowed, HTTPPage(text: "GET or HEAD\n"))
        }
        return (page.isOK ? .ok : .serviceUnavailable, page)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
