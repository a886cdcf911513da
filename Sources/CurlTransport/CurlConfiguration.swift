/// How `CurlTransport` connects. Defaults stand here and nowhere else.
public struct CurlConfiguration: Sendable, CustomStringConvertible, CustomReflectable {
    /// How long looking up the name, connecting and the TLS handshake may take together.
    public var connectTimeout: Duration = .seconds(5)
    /// An exchange that moves fewer than `lowSpeedBytesPerSecond` for so many whole seconds is given up; 0 for never.
    public var lowSpeedTime: Duration = .seconds(20)
    public var lowSpeedBytesPerSecond = 1
    /// Streams are asked for over HTTP/2: with TLS by ALPN, so that a service without it answers over HTTP/1.1; without
    /// TLS by prior knowledge, where this must be false for a service without it.
    public var streamsOverHTTP2 = true
    /// So many bytes of a stream wait for their reader; a stream with more is paused.
    public var streamBytesWaitingMax = 1 << 20
    /// A stream that nobody read for so long while it was paused is ended.
    public var streamPauseMax: Duration = .seconds(30)
    /// Requests beyond these limits wait for a connection; streams, each of which has its own, are not counted.
    public var connectionsPerHostMax = 64
    public var connectionsMax = 256
    /// A connection idle for longer is not used again: the services close theirs after a minute or so.
    public var idleConnectionAgeMax: Duration = .seconds(50)
    public var responseHeaderBytesMax = 64 << 10
    /// A PEM file of certificate authorities in place of the system's (`AWS_CA_BUNDLE`).
    public var caBundle: String?
    /// Proxy URLs; they may carry a password and are never printed.
    public var httpsProxy: String?
    public var httpProxy: String?
    /// Hosts that are reached directly, in libcurl's syntax. This machine's own addresses always are.
    public var noProxy: String?

    public init() {}

    /// Reads `AWS_CA_BUNDLE`, `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`; the proxy variables in lower
    /// case win over those in upper case, as they do with curl and the AWS CLI.
    public init(environment: [String: String]) {
        func variable(_ name: String) -> String? {
            let value = environment[name.lowercased()] ?? environment[name]
            return value?.isEmpty == false ? value : nil
        }
        caBundle = environment["AWS_CA_BUNDLE"].flatMap { $0.isEmpty ? nil : $0 }
        httpsProxy = variable("HTTPS_PROXY") ?? variable("ALL_PROXY")
        httpProxy = variable("HTTP_PROXY") ?? variable("ALL_PROXY")
        noProxy = variable("NO_PROXY")
    }

    public var description: String {
        "CurlConfiguration(proxy: \(httpsProxy == nil && httpProxy == nil ? "none" : "set"), "
            + "caBundle: \(caBundle ?? "the system's"))"
    }

    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
