import Crypto
public import Machine

/// AWS Signature Version 4 for requests whose body is signed.
///
/// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
public enum Signature {
    /// Adds `Host`, `X-Amz-Date`, `X-Amz-Security-Token` and `Authorization` to `request`.
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
    private static func signedHeaders(of request: Request) -> [Header] {
        request.headers
            .map { Header($0.name.lowercased(), collapsed($0.value)) }
            .filter { !["user-agent", "expect", "connection", "x-amzn-trace-id"].contains($0.name) }
            .sorted { $0.name < $1.name }
    }

    private static func collapsed(_ value: String) -> String {
        value.split(whereSeparator: { $0 == " " || $0 == "\t" }).joined(separator: " ")
    }

    private static func canonicalRequest(_ request: Request, _ signed: [Header]) -> String {
        let parts = request.path.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let query = parts.count > 1 ? parts[1].split(separator: "&").sorted().joined(separator: "&") : ""
        return [
            request.method, String(parts[0]), query,
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
