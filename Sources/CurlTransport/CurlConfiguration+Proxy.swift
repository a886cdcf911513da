import AWSWire

extension CurlConfiguration {
    /// The proxy for `endpoint`, `noProxy` aside, which libcurl judges; `nil` for this machine's own addresses, among
    /// them the link-local ones of instance and container metadata, which no proxy can reach.
    func proxy(for endpoint: Endpoint) -> String? {
        if endpoint.isOnThisMachine { return nil }
        return endpoint.scheme == "https" ? httpsProxy : httpProxy
    }

    /// Host and port of the proxy for messages: without its user and password.
    func proxyHost(for endpoint: Endpoint) -> String? {
        guard var text = proxy(for: endpoint).map({ Substring($0) }) else { return nil }
        if let scheme = text.firstRange(of: "://") { text = text[scheme.upperBound...] }
        if let user = text.lastIndex(of: "@") { text = text[text.index(after: user)...] }
        return String(text.prefix { $0 != "/" })
    }
}

extension Endpoint {
    /// Loopback and link-local addresses.
    var isOnThisMachine: Bool {
        let name = host.lowercased()
        return name == "localhost" || name.hasPrefix("127.") || name == "[::1]" || name.hasPrefix("169.254.")
            || name == "[fd00:ec2::254]" || name == "[fd00:ec2::23]"
    }
}
