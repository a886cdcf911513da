import Machine

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

public struct Header: Hashable, Sendable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
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
        guard scheme == "http" || scheme == "https", !authority.isEmpty,
            !authority.contains(where: { "/?#@ ".contains($0) })
        else { return nil }
        let bracket = authority.lastIndex(of: "]")
        if let colon = authority.lastIndex(of: ":"), bracket.map({ $0 < colon }) ?? true {
            guard let number = Int(authority[authority.index(after: colon)...]), 1...65535 ~= number else { return nil }
            port = number
            host = String(authority[..<colon])
        } else {
            host = String(authority)
        }
        if host.isEmpty { return nil }
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

/// The one seam between us and the services: send a request, get a whole answer.
///
/// Implementations: libcurl, the emulator in process, and a faulty wrapper around either, so that the demo, the tests
/// and the simulation run the code that talks to AWS.
public protocol Transport: Sendable {
    /// Cancelling the task abandons the exchange with `TransportError.cancelled`.
    func send(_ request: Request) async throws(TransportError) -> Response
}
