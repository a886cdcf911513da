package import AWSWire
import Machine
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// The door on a port: HTTP/1.1 and HTTP/2 in front of `Emulator.answer`.
///
/// `bind` listens, `run` serves until `shutdown` or until its task is cancelled. After `shutdown` no new connection is
/// taken, idle ones are closed, streams end, and each answer under way is still sent, for as long as
/// `Limits.shutdownGrace`; cancelling drops everything at once. Unless any `Host` is allowed, requests whose `Host` or
/// `Origin` is not this machine are refused, because a browser can be made to resolve a foreign name to 127.0.0.1.
package final class EmulatorServer: Sendable {
    package typealias Answering = @Sendable (Request) async throws(ConnectionLost) -> Emulator.Answer

    package let host: String
    package let port: Int
    let emulator: Emulator
    let registry: ConnectionRegistry
    private let allowsRemote: Bool
    private let isTLS: Bool
    private let answering: Answering
    private let capture: (@Sendable (CapturedExchange) -> Void)?
    private let group: MultiThreadedEventLoopGroup
    private let listener: any Channel
    /// The answers that are streams, so that a shutdown can end them.
    private let streams = Mutex<[ObjectIdentifier: any ResponseStream]>([:])

    private init(
        emulator: Emulator, host: String, allowsRemote: Bool, isTLS: Bool, answering: @escaping Answering,
        capture: (@Sendable (CapturedExchange) -> Void)?, registry: ConnectionRegistry,
        group: MultiThreadedEventLoopGroup, listener: any Channel
    ) {
        self.emulator = emulator
        self.host = host
        self.allowsRemote = allowsRemote
        self.isTLS = isTLS
        self.answering = answering
        self.capture = capture
        self.registry = registry
        self.group = group
        self.listener = listener
        port = listener.localAddress?.port ?? 0
    }

    /// `http://127.0.0.1:4567`; with a certificate, `https`.
    package var endpoint: Endpoint {
        Endpoint(scheme: isTLS ? "https" : "http", host: host.contains(":") ? "[\(host)]" : host, port: port)
    }

    /// Answers under way that are streams.
    var openStreams: Int { streams.withLock { $0.count } }

    private var limits: Limits { registry.limits }

    /// Listens on `host`; port 0 picks a free one.
    ///
    /// - Parameters:
    ///   - allowsRemote: whether an address beyond loopback, and with it any `Host`, is allowed.
    ///   - certificate: speaks TLS, and only TLS, as whoever that certificate names.
    ///   - capture: called with each request that reaches the services, and its answer; not with one that is refused
    ///     before, for its size, its `Host` or its content type. Must not block for long.
    ///   - answering: what answers in place of the emulator, for tests of the door itself.
    package static func bind(
        emulator: Emulator, host: String = "127.0.0.1", port: Int = 0, allowsRemote: Bool = false,
        certificate: ServerCertificate? = nil, limits: Limits = Limits(),
        capture: (@Sendable (CapturedExchange) -> Void)? = nil, answering: Answering? = nil
    ) async throws(EmulatorServerError) -> EmulatorServer {
        guard allowsRemote || HTTPGuard.isLoopback(host) else {
            throw EmulatorServerError(
                "\(host) is not a loopback address: everybody who reaches it could use the emulator; "
                    + "say so with --allow-remote")
        }
        // Two, so that a connection that keeps its loop busy leaves one to the others.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let registry = ConnectionRegistry(limits)
        do {
            let tls = try certificate?.context()
            let listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 1024)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .serverChannelInitializer { channel in
                    // When there are no file descriptors left, accepting waits a second.
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(AcceptBackoffHandler())
                    }
                }
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelOption(.allowRemoteHalfClosure, value: true)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        guard let connection = registry.admit(channel, isTLS: tls != nil) else {
                            throw ChannelError.operationUnsupported
                        }
                        let pipeline = channel.pipeline.syncOperations
                        if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
                        try pipeline.addHandler(ProtocolSniffer(registry, connection))
                    }
                }
                .bind(host: host, port: port).get()
            let emulatorAnswers: Answering = { (request) async throws(ConnectionLost) in
                try await emulator.answer(request)
            }
            return EmulatorServer(
                emulator: emulator, host: host, allowsRemote: allowsRemote, isTLS: tls != nil,
                answering: answering ?? emulatorAnswers, capture: capture, registry: registry, group: group,
                listener: listener)
        } catch {
            try? await group.shutdownGracefully()
            throw EmulatorServerError("cannot listen on \(host):\(port): \(error)")
        }
    }

    /// Serves until `shutdown`, or until the task is cancelled.
    package func run() async {
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                for await exchange in registry.exchanges {
                    group.addTask { await self.answer(exchange) }
                }
            }
        } onCancel: {
            listener.close(promise: nil)
            registry.closeAll()
        }
        registry.closeAll()
        try? await group.shutdownGracefully()
    }

    /// Ends `run` once the answers under way are sent.
    package func shutdown() {
        listener.close(promise: nil)
        registry.shutDown()
        for stream in streams.withLock({ Array($0.values) }) { stream.close() }
    }

    private func answer(_ exchange: ServerExchange) async {
        switch await outcome(of: exchange) {
        case nil: exchange.send(.abort)
        case .whole(let response):
            let head = exchange.answerHead(
                status: response.status, headers: response.headers, contentLength: response.body.count)
            let body = exchange.head.method == .HEAD ? nil : ByteBuffer(copying: response.body)
            exchange.send(.whole(head, body))
        case .stream(let stream): await pull(stream, exchange)
        }
    }

    /// `nil` where there is no answer and the connection is to be closed.
    private func outcome(of exchange: ServerExchange) async -> Emulator.Answer? {
        let head = exchange.head
        if let flaw = exchange.flaw { return .whole(Self.refusal(head, flaw, limits)) }
        if !allowsRemote, let reason = HTTPGuard(host: host).refusal(of: head) {
            return .whole(Self.refusal(head, 403, "AccessDeniedException", reason))
        }
        var body = exchange.body.map { Array($0.readableBytesView) } ?? []
        if head.headers.first(name: "Content-Encoding")?.lowercased() == "gzip" {
            do { body = try Gzip.unpack(body, bytesMax: limits.bodyBytesMax) } catch .tooLarge {
                return .whole(Self.refusal(head, .bodyTooLarge, limits))
            } catch {
                return .whole(Self.refusal(head, 400, "SerializationException", "The body is not gzip."))
            }
        }
        if let answer = control(head, body) { return .whole(answer) }
        if head.method == .GET || head.method == .HEAD {
            return .whole(
                Response(
                    status: 200, headers: [Header("Content-Type", "text/plain")],
                    body: Bytes("healthy: \(endpoint.authority)\n")))
        }
        let request = Request(
            method: head.method.rawValue, url: endpoint, path: head.uri,
            headers: head.headers.map { Header($0.name, $0.value) }, body: body)
        if let refusal = Self.refusalOfContentType(request) { return .whole(refusal) }
        let start = emulator.time.now()
        let answer = try? await answering(request)
        if let capture {
            let took = emulator.time.now() - start
            capture(
                CapturedExchange(request, exchange, at: emulator.time.wallClock(), took: took, answer: answer))
        }
        return answer
    }

    /// What the layer in front of the services answers, in XML, to a POST whose content type is none of theirs. One
    /// without any is taken for JSON, because people write those by hand.
    private static func refusalOfContentType(_ request: Request) -> Response? {
        guard let type = request.headers["Content-Type"], WireEncoding(contentType: type) == nil,
            !CloudWatchService.isForm(request), request.method == "POST"
        else { return nil }
        let isCall = ServiceCall.target(of: request).operation != nil
        return Response(
            status: isCall ? 404 : 403,
            headers: [
                Header("Content-Type", "text/xml"),
                Header("x-amzn-ErrorType", isCall ? "UnknownOperationException" : "AccessDeniedException"),
            ],
            body: Bytes(
                isCall
                    ? "<UnknownOperationException/>\n"
                    : "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized"
                        + "</Message>\n</AccessDeniedException>\n"))
    }

    /// Pulls a stream as fast as its reader takes it, no faster.
    private func pull(_ stream: any ResponseStream, _ exchange: ServerExchange) async {
        let id = ObjectIdentifier(stream)
        streams.withLock { $0[id] = stream }
        defer {
            streams.withLock { _ = $0.removeValue(forKey: id) }
            stream.close()
        }
        // A shutdown that came before the line above did not see it.
        if registry.isShutDown { stream.close() }
        let head = exchange.answerHead(status: stream.status, headers: stream.headers, contentLength: nil)
        do {
            try await exchange.write(.head(head, onGone: { stream.close() }))
            while let bytes = try await stream.next() {
                if let piece = ByteBuffer(copying: bytes) { try await exchange.write(.piece(piece)) }
            }
            exchange.send(.end)
        } catch {
            exchange.send(registry.isShutDown && !Task.isCancelled ? .end : .abort)
        }
    }

    private static func refusal(_ head: HTTPRequestHead, _ flaw: ServerExchange.Flaw, _ limits: Limits) -> Response {
        switch flaw {
        case .bodyTooLarge:
            refusal(
                head, 413, "RequestEntityTooLargeException", "The body is larger than \(limits.bodyBytesMax) bytes.")
        case .headersTooLarge:
            refusal(
                head, 431, "RequestHeaderFieldsTooLargeException",
                "The headers are more than \(limits.headersMax), or larger than \(limits.headerBytesMax) bytes.")
        case .tooManyBodies:
            refusal(head, 503, "ServiceUnavailableException", "Too many requests are under way.")
        }
    }

    private static func refusal(
        _ head: HTTPRequestHead, _ status: Int, _ type: String, _ message: String
    ) -> Response {
        let encoding = WireEncoding(contentType: head.headers.first(name: "Content-Type")) ?? .json
        return Response(
            status: status,
            headers: [
                Header("Content-Type", AWSService.kinesis.contentType(encoding)), Header("x-amzn-ErrorType", type),
            ],
            body: Bytes(encoding.encode(ServiceError(type, message).body(for: nil))))
    }
}

/// Why the emulator cannot be served: one line for people.
package struct EmulatorServerError: Error, Hashable, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }
}
