public import AWSWire
import CShardtopCurl

/// `Transport` over libcurl: HTTP/1.1 with keep-alive, driven by one thread of its own.
///
/// It decides how bytes travel (connections, time limits, size limits, TLS, proxies) and says truthfully whether a
/// request that failed was sent. It knows nothing of what a request means: it never retries, follows no redirect and
/// signs nothing. A dead connection found on reuse is an error too, never a silent second sending of the same body.
public final class CurlTransport: Transport, Sendable {
    private let loop: CurlLoop

    /// Starts the thread. Where libcurl cannot be started (no memory, no threads) every `send` fails and says so.
    public init(configuration: CurlConfiguration = CurlConfiguration()) {
        loop = CurlLoop(configuration)
        loop.start()
    }

    deinit { loop.close() }

    /// Abandons what is under way with `TransportError.closed` and ends the thread; later calls fail at once.
    public func close() { loop.close() }

    public func send(_ request: Request) async throws(TransportError) -> Response {
        if let reason = request.invalidity {
            throw TransportError(.invalidRequest, reason, requestWasSent: false)
        }
        // A cancelled task sends nothing more.
        if Task.isCancelled { throw TransportError(.cancelled, "cancelled", requestWasSent: false) }
        let id = loop.nextID()
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                loop.submit(Exchange(id: id, request: request, continuation: continuation))
                // The handler may have run before there was anything to cancel.
                if Task.isCancelled { loop.cancel(id) }
            }
        } onCancel: {
            loop.cancel(id)
        }
        return try result.get()
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
