public import AWSWire
import Synchronization

/// `Transport` over libcurl: HTTP/1.1 with keep-alive, driven by one thread of its own; each stream over a connection
/// of its own, all of them driven by a second thread, which the first stream starts.
///
/// It decides how bytes travel (connections, time limits, size limits, TLS, proxies) and says truthfully whether a
/// request that failed was sent. It knows nothing of what a request means: it never retries, follows no redirect and
/// signs nothing. A dead connection found on reuse is an error too, never a silent second sending of the same body.
public final class CurlTransport: Transport, Sendable {
    private let configuration: CurlConfiguration
    private let loop: CurlLoop
    private let streams = Mutex(Streams())

    /// Streams have a multi handle of their own: its connections do not count against the limits, and no paused stream
    /// is ever looked at for a request's sake.
    private struct Streams {
        var loop: CurlLoop?
        var isClosed = false
    }

    /// Starts the thread. Where libcurl cannot be started (no memory, no threads) every `send` fails and says so.
    public init(configuration: CurlConfiguration = CurlConfiguration()) {
        self.configuration = configuration
        loop = CurlLoop(configuration, limitsConnections: true)
    }

    deinit { close() }

    /// Abandons what is under way, open streams too, with `TransportError.closed` and ends the threads; later calls
    /// fail at once. Letting go of the transport does the same.
    public func close() {
        loop.close()
        let streams = streams.withLock { streams in
            streams.isClosed = true
            return streams.loop
        }
        streams?.close()
    }

    public func send(_ request: Request) async throws(TransportError) -> Response {
        try Self.check(request)
        return try await Self.exchange(request, on: loop) { .whole($1) }
    }

    /// Errors of the head are those of `send`. Later `next` throws `.truncated` or `.closed` where the answer broke
    /// off, and `.timedOut` where nobody read for `streamPauseMax` while more waited than `streamBytesWaitingMax`.
    /// Silence is no error: whoever reads knows how much of it is too much.
    public func open(_ request: Request) async throws(TransportError) -> any ResponseStream {
        try Self.check(request)
        guard let loop = streamLoop() else {
            throw TransportError(.closed, "the transport is closed", requestWasSent: false)
        }
        return try await Self.exchange(request, on: loop) { id, opener in
            .stream(StreamPipe(bytesMax: configuration.streamBytesWaitingMax, id: id, loop, opener))
        }
    }

    /// - Parameter answer: who is answered, by the exchange's id and the continuation that waits.
    private static func exchange<Success: Sendable>(
        _ request: Request, on loop: CurlLoop,
        _ answer: (UInt64, CheckedContinuation<Result<Success, TransportError>, Never>) -> Exchange.Answer
    ) async throws(TransportError) -> Success {
        let id = loop.nextID()
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                loop.submit(Exchange(id: id, request: request, answer(id, continuation)))
                // The handler may have run before there was anything to cancel.
                if Task.isCancelled { loop.cancel(id) }
            }
        } onCancel: {
            loop.cancel(id)
        }
        return try result.get()
    }

    private static func check(_ request: Request) throws(TransportError) {
        if let reason = request.invalidity {
            throw TransportError(.invalidRequest, reason, requestWasSent: false)
        }
        // A cancelled task sends nothing more.
        if Task.isCancelled { throw TransportError(.cancelled, "cancelled", requestWasSent: false) }
    }

    /// `nil` once the transport was closed.
    private func streamLoop() -> CurlLoop? {
        streams.withLock { streams in
            if streams.isClosed { return nil }
            let loop = streams.loop ?? CurlLoop(configuration, limitsConnections: false)
            streams.loop = loop
            return loop
        }
    }
}

extension Request {
    /// Why the request cannot be sent as it is: what would end a header line early or change the request's shape.
    var invalidity: String? {
        func isPlain(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 } }
        guard url.scheme == "http" || url.scheme == "https" else { return "\(url): only http and https are spoken" }
        guard isPlain(url.host), !url.host.contains(where: { " /?#@".contains($0) }), !url.host.isEmpty else {
            return "the endpoint's host is not a host name"
        }
        guard path.hasPrefix("/"), path.utf8.allSatisfy({ 0x21...0x7E ~= $0 }), !path.contains("#") else {
            return "\(url): the path is not percent-encoded"
        }
        guard !method.isEmpty, method.utf8.allSatisfy({ UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 }) else {
            return "\(url): the method is not one"
        }
        for header in headers {
            let isName = header.name.utf8.allSatisfy { 0x21...0x7E ~= $0 && $0 != UInt8(ascii: ":") }
            guard isName, !header.name.isEmpty else { return "\(url): a header's name is not one" }
            guard isPlain(header.value) else {
                return "\(url): the header \(header.name) contains a line break or another control character"
            }
        }
        return nil
    }
}
