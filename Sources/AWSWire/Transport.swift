import Machine
import Synchronization

/// A request on its way to a service, before or after it was signed.
public struct Request: Sendable {
    public var method: String
    public var url: Endpoint
    /// `/` and, where there is one, `?query`, percent-encoded.
    public var path: String
    /// Names in the case they are sent in.
    public var headers: [Header]
    public var body: [UInt8]
    /// How long the whole exchange may take.
    public var timeout: Duration
    /// A longer body is `TransportError.tooLarge`; nothing that a service answers is unbounded.
    public var responseBytesMax: Int

    public init(
        method: String = "POST", url: Endpoint, path: String = "/", headers: [Header] = [], body: [UInt8] = [],
        timeout: Duration = .seconds(30), responseBytesMax: Int = 32 << 20
    ) {
        self.method = method
        self.url = url
        self.path = path
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.responseBytesMax = responseBytesMax
    }
}

public struct Header: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    /// Values that let others act as us are never printed, nor shown by reflection.
    public var description: String { "\(name): \(isSecret ? "…" : value)" }

    public var customMirror: Mirror { Mirror(self, children: ["name": name, "value": isSecret ? "…" : value]) }

    private var isSecret: Bool {
        ["authorization", "x-amz-security-token", "x-aws-ec2-metadata-token", "x-amz-sso_bearer_token"]
            .contains(name.lowercased())
    }
}

extension [Header] {
    /// The first value under `name`, whatever its case.
    public subscript(name: String) -> String? {
        first { $0.name.lowercased() == name.lowercased() }?.value
    }
}

/// Scheme, host and port of a service.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    public var scheme: String
    public var host: String
    public var port: Int?

    public init(scheme: String, host: String, port: Int? = nil) {
        self.scheme = scheme
        self.host = host
        self.port = port
    }

    /// Reads `http://127.0.0.1:4567`; `nil` for what is not an http(s) URL without path.
    public init?(_ text: String) {
        guard let separator = text.firstRange(of: "://") else { return nil }
        scheme = text[..<separator.lowerBound].lowercased()
        var authority = text[separator.upperBound...]
        if authority.last == "/" { authority.removeLast() }
        guard scheme == "http" || scheme == "https" else { return nil }
        let bracket = authority.lastIndex(of: "]")
        if let colon = authority.lastIndex(of: ":"), bracket.map({ $0 < colon }) ?? true {
            let digits = authority[authority.index(after: colon)...]
            guard digits.utf8.allSatisfy({ 48...57 ~= $0 }), let number = Int(digits), 1...65535 ~= number
            else { return nil }
            port = number
            authority = authority[..<colon]
        }
        host = authority.lowercased()
        guard Self.isHost(host) else { return nil }
    }

    /// A name, an IPv4 address, or an IPv6 address in brackets.
    private static func isHost(_ text: String) -> Bool {
        let isAddress = text.hasPrefix("[") && text.hasSuffix("]")
        let name = isAddress ? text.dropFirst().dropLast() : text[...]
        return !name.isEmpty
            && name.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."):
                    true
                case UInt8(ascii: "-"), UInt8(ascii: "_"): !isAddress
                case UInt8(ascii: ":"): isAddress
                default: false
                }
            }
    }

    /// The value of the `Host` header: the port only where it is not the scheme's own.
    public var authority: String {
        guard let port, port != (scheme == "https" ? 443 : 80) else { return host }
        return "\(host):\(port)"
    }

    public var description: String { "\(scheme)://\(authority)" }
}

public struct Response: Sendable {
    public var status: Int
    public var headers: [Header]
    public var body: Bytes

    public init(status: Int, headers: [Header] = [], body: Bytes = Bytes()) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// Why no whole answer came. Whether the request took effect is unknown unless `requestWasSent` is false.
public struct TransportError: Error, Hashable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        case cannotConnect, cannotResolve, timedOut, tls, truncated, tooLarge, closed, cancelled, invalidRequest
    }

    public var kind: Kind
    /// One line for people, without secrets.
    public var message: String
    public var requestWasSent: Bool

    public init(_ kind: Kind, _ message: String, requestWasSent: Bool) {
        self.kind = kind
        self.message = message
        self.requestWasSent = requestWasSent
    }

    public var description: String { message }
}

/// An answer that comes in pieces for as long as its reader wants it, pulled: only `next` lets more arrive.
public protocol ResponseStream: AnyObject, Sendable {
    var status: Int { get }
    var headers: [Header] { get }

    /// The next bytes, as they came; `nil` at the end. One reader, one call at a time. A cancelled task gets
    /// `TransportError.cancelled`, and the stream is closed.
    func next() async throws(TransportError) -> Bytes?

    /// Abandons what is left; a `next` that waits ends with `TransportError.closed`. Letting go of the stream does the
    /// same.
    func close()
}

/// The one seam between us and the services: send a request, get a whole answer or a stream.
///
/// Implementations: libcurl, the emulator in process, and a faulty wrapper around either, so that the demo, the tests
/// and the simulation run the code that talks to AWS.
public protocol Transport: Sendable {
    /// Cancelling the task abandons the exchange with `TransportError.cancelled`.
    func send(_ request: Request) async throws(TransportError) -> Response

    /// Sends a request whose answer is a stream; returns when the answer's head has come. `timeout` bounds the time to
    /// the head, and `responseBytesMax` nothing.
    func open(_ request: Request) async throws(TransportError) -> any ResponseStream
}

extension Transport {
    /// For transports that carry no streams.
    public func open(_ request: Request) async throws(TransportError) -> any ResponseStream {
        throw TransportError(.invalidRequest, "this transport carries no streams", requestWasSent: false)
    }
}

/// A whole answer where a stream was asked for: how services refuse.
package final class WholeResponseStream: ResponseStream {
    package let status: Int
    package let headers: [Header]
    private let body: Mutex<Bytes?>

    package init(_ response: Response) {
        status = response.status
        headers = response.headers
        body = Mutex(response.body)
    }

    package func next() async throws(TransportError) -> Bytes? {
        body.withLock { body in
            defer { body = nil }
            return body
        }
    }

    package func close() { body.withLock { $0 = nil } }
}
