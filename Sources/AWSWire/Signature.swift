import Crypto
public import Machine

/// AWS Signature Version 4 for requests whose body is signed.
///
/// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
public enum Signature {
    /// Adds `Host`, `X-Amz-Date`, `X-Amz-Security-Token` and `Authorization` to `request`; for anonymous credentials
    /// only `Host`.
    ///
    /// - Parameter date: by the service's clock; more than five minutes off is rejected.
    public static func sign(
        _ request: inout Request, credentials: Credentials, region: String, service: String, date: UnixTime
    ) {
        let stamp = CivilTime(date).basic
        request.headers.removeAll {
            ["host", "x-amz-date", "x-amz-security-token", "authorization"].contains($0.name.lowercased())
        }
        request.headers.append(Header("Host", request.url.authority))
        if credentials.isAnonymous { return }
        request.headers.append(Header("X-Amz-Date", stamp))
        if let token = credentials.sessionToken { request.headers.append(Header("X-Amz-Security-Token", token)) }
        let signed = signedHeaders(of: request)
        let scope = "\(stamp.prefix(8))/\(region)/\(service)/aws4_request"
        let canonical = canonicalRequest(request, signed)
        let toSign = "AWS4-HMAC-SHA256\n\(stamp)\n\(scope)\n\(hex(SHA256.hash(data: Array(canonical.utf8))))"
        var key = SymmetricKey(data: Array("AWS4\(credentials.secretAccessKey)".utf8))
        for part in [String(stamp.prefix(8)), region, service, "aws4_request"] {
            key = SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: Array(part.utf8), using: key))
        }
        let signature = hex(HMAC<SHA256>.authenticationCode(for: Array(toSign.utf8), using: key))
        request.headers.append(
            Header(
                "Authorization",
                "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope), "
                    + "SignedHeaders=\(signed.map(\.name).joined(separator: ";")), Signature=\(signature)"))
    }

    /// Lower-case names with trimmed values, sorted. Headers that proxies and transports touch are left out.
    /// Several headers of one name are one, in their order.
    private static func signedHeaders(of request: Request) -> [Header] {
        var values: [String: [String]] = [:]
        for header in request.headers { values[header.name.lowercased(), default: []].append(collapsed(header.value)) }
        return
            values
            .filter { !unsigned.contains($0.key) }
            .sorted { $0.key < $1.key }
            .map { Header($0.key, $0.value.joined(separator: ",")) }
    }

    private static let unsigned: Set = ["user-agent", "expect", "connection", "transfer-encoding", "x-amzn-trace-id"]

    private static func collapsed(_ value: String) -> String {
        value.split(whereSeparator: { $0 == " " || $0 == "\t" }).joined(separator: " ")
    }

    /// The pairs of a query in the order of their names, then of their values; a name alone has the empty value.
    private static func canonicalQuery(_ query: Substring) -> String {
        query.split(separator: "&")
            .map { pair in
                let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                return (name: String(parts[0]), value: parts.count > 1 ? String(parts[1]) : "")
            }
            .sorted { ($0.name, $0.value) < ($1.name, $1.value) }
            .map { "\($0.name)=\($0.value)" }
            .joined(separator: "&")
    }

    /// The path, percent-encoded once more: every service but S3 signs it so.
    private static func canonicalPath(_ path: Substring) -> String {
        var text: [UInt8] = []
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: "."), UInt8(ascii: "~"):
                text.append(byte)
            default:
                let digits = Array("0123456789ABCDEF".utf8)
                text += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return text.isEmpty ? "/" : String(decoding: text, as: UTF8.self)
    }

    private static func canonicalRequest(_ request: Request, _ signed: [Header]) -> String {
        let parts = request.path.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        return [
            request.method, canonicalPath(parts.first ?? "/"), canonicalQuery(parts.count > 1 ? parts[1] : ""),
            signed.map { "\($0.name):\($0.value)\n" }.joined(),
            signed.map(\.name).joined(separator: ";"),
            hex(SHA256.hash(data: request.body)),
        ].joined(separator: "\n")
    }

    private static func hex(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
