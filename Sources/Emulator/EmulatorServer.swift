package import AWSWire
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// The door on a port: HTTP/1.1 in front of `Emulator.handle`.
///
/// `bind` listens, `run` serves until `shutdown` or until its task is cancelled. After `shutdown` no new connection is
/// taken, idle ones are closed and each answer under way is still sent; cancelling drops everything at once. On a
/// loopback address, requests whose `Host` or `Origin` is not this machine are refused, because a browser can be made
/// to resolve a foreign name to 127.0.0.1.
package final class EmulatorServer: Sendable {
    /// What a client may ask of the server.
    package struct Limits: Sendable {
        /// Larger bodies are answered with 413. The service's largest request is 10 MiB of data in base64.
        package var bodyBytesMax = 16 << 20
        package var headerBytesMax = 16 << 10
        package var headersMax = 100
        package var connectionsMax = 4096
        /// How long a connection may take until its next request is there.
        package var idleTimeout: Duration = .seconds(75)

        package init() {}
    }

    private typealias Connection = NIOAsyncChannel<AssembledRequest, HTTPServerResponsePart>

    package let host: String
    package let port: Int
    private let emulator: Emulator
    private let allowsRemote: Bool
    private let limits: Limits
    private let group: MultiThreadedEventLoopGroup
    private let listener: NIOAsyncChannel<Connection, Never>
    private let open = Mutex<(isShutDown: Bool, channels: [ObjectIdentifier: any Channel])>((false, [:]))

    private init(
        emulator: Emulator, host: String, allowsRemote: Bool, limits: Limits, group: MultiThreadedEventLoopGroup,
        listener: NIOAsyncChannel<Connection, Never>
    ) {
        self.emulator = emulator
        self.host = host
        self.allowsRemote = allowsRemote
        self.limits = limits
        self.group = group
        self.listener = listener
        port = listener.channel.localAddress?.port ?? 0
    }

    /// `http://127.0.0.1:4567`
    package var endpoint: Endpoint {
        Endpoint(scheme: "http", host: host.contains(":") ? "[\(host)]" : host, port: port)
    }

    /// Listens on `host`; port 0 picks a free one.
    ///
    /// - Parameter allowsRemote: whether an address beyond loopback, and with it any `Host`, is allowed.
    package static func bind(
        emulator: Emulator, host: String = "127.0.0.1", port: Int = 0, allowsRemote: Bool = false,
        limits: Limits = Limits()
    ) async throws(EmulatorServerError) -> EmulatorServer {
        guard allowsRemote || HTTPGuard.isLoopback(host) else {
            throw EmulatorServerError(
                "\(host) is not a loopback address: everybody who reaches it could use the emulator; "
                    + "say so with --allow-remote")
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 256)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .bind(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture { try connection(over: channel, limits) }
                }
            return EmulatorServer(
                emulator: emulator, host: host, allowsRemote: allowsRemote, limits: limits, group: group,
                listener: listener)
        } catch {
            try? await group.shutdownGracefully()
            throw EmulatorServerError("cannot listen on \(host):\(port): \(error)")
        }
    }

    private static func connection(over channel: any Channel, _ limits: Limits) throws -> Connection {
        var decoderLimits = NIOHTTPDecoderLimitConfiguration()
        decoderLimits.maxHeaderFieldSize = limits.headerBytesMax
        decoderLimits.maxHeaderFieldCount = limits.headersMax
        let pipeline = channel.pipeline.syncOperations
        try pipeline.configureHTTPServerPipeline(
            withEncoderConfiguration: HTTPResponseEncoder.Configuration(),
            withDecoderLimitConfiguration: decoderLimits)
        try pipeline.addHandler(RequestAssembler(limits))
        return try Connection(wrappingChannelSynchronously: channel)
    }

    /// Serves until `shutdown`, or until the task is cancelled.
    package func run() async {
        // Only accepting can fail here, and only because the listener was closed.
        try? await listener.executeThenClose { connections in
            await withDiscardingTaskGroup { group in
                do {
                    for try await connection in connections {
                        guard enlist(connection.channel) else {
                            group.addTask { try? await connection.executeThenClose { _, _ in } }
                            continue
                        }
                        group.addTask {
                            await self.serve(connection)
                            self.dismiss(connection.channel)
                        }
                    }
                } catch {
                    // The listener failed: connections that are open go on until they end.
                }
                if Task.isCancelled { group.cancelAll() }
            }
        }
        try? await group.shutdownGracefully()
    }

    /// Ends `run` once the answers under way are sent.
    package func shutdown() {
        let channels = open.withLock { open in
            open.isShutDown = true
            return Array(open.channels.values)
        }
        listener.channel.close(promise: nil)
        for channel in channels { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
    }

    private func enlist(_ channel: any Channel) -> Bool {
        open.withLock { open in
            guard !open.isShutDown, open.channels.count < limits.connectionsMax else { return false }
            open.channels[ObjectIdentifier(channel)] = channel
            return true
        }
    }

    private func dismiss(_ channel: any Channel) {
        open.withLock { _ = $0.channels.removeValue(forKey: ObjectIdentifier(channel)) }
    }

    private func serve(_ connection: Connection) async {
        // A client that goes away in mid-request is its own business.
        try? await connection.executeThenClose { requests, answers in
            for try await request in requests {
                guard let response = await answer(to: request) else { return }
                let isKept = request.head.isKeepAlive && !request.isTooLarge
                try await answers.write(contentsOf: parts(of: response, for: request.head, isKept: isKept))
                if !isKept { return }
            }
        }
    }

    /// `nil` where the connection is to be closed without an answer.
    private func answer(to request: AssembledRequest) async -> Response? {
        let head = request.head
        if request.isTooLarge {
            return Self.refusal(
                head, 413, "RequestEntityTooLargeException", "The body is larger than \(limits.bodyBytesMax) bytes.")
        }
        if !allowsRemote, let reason = HTTPGuard(host: host).refusal(of: head) {
            return Self.refusal(head, 403, "AccessDeniedException", reason)
        }
        if head.method == .GET || head.method == .HEAD {
            return Response(
                status: 200, headers: [Header("Content-Type", "text/plain")],
                body: Bytes("healthy: \(endpoint.authority)\n"))
        }
        let headers = head.headers.map { Header($0.name, $0.value) }
        return try? await emulator.handle(
            Request(
                method: head.method.rawValue, url: endpoint, path: head.uri, headers: headers, body: request.body))
    }

    private static func refusal(
        _ head: HTTPRequestHead, _ status: Int, _ type: String, _ message: String
    ) -> Response {
        let encoding = WireEncoding(contentType: head.headers.first(name: "Content-Type")) ?? .json
        return Response(
            status: status, headers: [Header("Content-Type", AWSService.kinesis.contentType(encoding))],
            body: Bytes(encoding.encode(ServiceError(type, message).body(for: nil))))
    }

    private func parts(
        of response: Response, for request: HTTPRequestHead, isKept: Bool
    ) -> [HTTPServerResponsePart] {
        var headers = HTTPHeaders(response.headers.map { ($0.name, $0.value) })
        headers.add(name: "Content-Length", value: String(response.body.count))
        if !isKept { headers.add(name: "Connection", value: "close") }
        let status = HTTPResponseStatus(statusCode: response.status)
        var parts: [HTTPServerResponsePart] = [
            .head(HTTPResponseHead(version: request.version, status: status, headers: headers))
        ]
        if !response.body.isEmpty, request.method != .HEAD {
            var buffer = ByteBufferAllocator().buffer(capacity: response.body.count)
            response.body.withUnsafeBytes { _ = buffer.writeBytes($0) }
            parts.append(.body(.byteBuffer(buffer)))
        }
        return parts + [.end(nil)]
    }
}

/// Why the emulator cannot be served: one line for people.
package struct EmulatorServerError: Error, Hashable, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }
}

/// Who may talk to a server that is bound to loopback.
struct HTTPGuard {
    /// The address the server is bound to.
    var host: String

    static func isLoopback(_ host: String) -> Bool {
        let host = host.lowercased()
        if ["localhost", "::1", "[::1]"].contains(host) || host.hasSuffix(".localhost") { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// Why the request is refused; `nil` where it is not.
    func refusal(of head: HTTPRequestHead) -> String? {
        guard let authority = head.headers.first(name: "Host") else { return "The request has no Host header." }
        if !isOurs(authority) {
            return "The Host header names \(authority), not this machine; --allow-remote accepts it."
        }
        guard let origin = head.headers.first(name: "Origin") else { return nil }
        guard let separator = origin.firstRange(of: "://"), isOurs(String(origin[separator.upperBound...])) else {
            return "Requests from the page \(origin) are refused."
        }
        return nil
    }

    private func isOurs(_ authority: String) -> Bool {
        var name = authority
        if let colon = name.lastIndex(of: ":"), name.lastIndex(of: "]").map({ $0 < colon }) ?? true {
            name = String(name[..<colon])
        }
        return Self.isLoopback(name) || name.lowercased() == host.lowercased()
    }
}
