import NIOHTTP1

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
