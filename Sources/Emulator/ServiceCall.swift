import AWSWire
import Machine

/// What a request asks for.
struct ServiceCall: Sendable {
    var service: AWSService
    /// `GetRecords`
    var operation: String
    var input: AWSValue
    /// How the request is written, and its answer will be.
    var encoding: WireEncoding
    /// The access key id that the request says it was signed with; every in-process worker signs with its own.
    var worker: String

    /// Takes a request apart in the order in which the services check: body, target, authorization.
    init(_ request: Request, requiresSignature: Bool) throws(ServiceError) {
        guard request.method == "POST" else {
            throw ServiceError(
                "AccessDeniedException", "Unable to determine service/operation name to be authorized", status: 403)
        }
        let target = Self.target(of: request)
        guard let service = target.service, let operation = target.operation else {
            throw ServiceError("UnknownOperationException")
        }
        encoding = Self.encoding(of: request, for: service)
        // What a text holds is told back to its readers, so it must be one.
        if encoding == .json, !Self.isText(request.body) { throw .serialization() }
        do {
            input = request.body.isEmpty ? .null : try encoding.decode(Bytes(request.body))
        } catch {
            throw .serialization()
        }
        guard case .map = input else { throw .serialization() }
        let worker = Self.worker(of: request)
        if worker == nil, requiresSignature { throw Self.authenticationError(request, service) }
        self.service = service
        self.operation = operation
        self.worker = worker ?? ""
    }

    private static func isText(_ bytes: [UInt8]) -> Bool {
        do {
            _ = try UTF8Span(validating: bytes.span)
            return true
        } catch {
            return false
        }
    }

    /// What the content type names; JSON where it names nothing, and for DynamoDB, which speaks nothing else.
    static func encoding(of request: Request, for service: AWSService?) -> WireEncoding {
        if service == .dynamodb { return .json }
        return WireEncoding(contentType: request.headers["Content-Type"]) ?? .json
    }

    /// `Kinesis_20131202.GetRecords` taken apart.
    static func target(of request: Request) -> (service: AWSService?, operation: String?) {
        let parts = (request.headers["X-Amz-Target"] ?? "").split(separator: ".", maxSplits: 1)
        guard parts.count == 2 else { return (nil, nil) }
        let service: AWSService? =
            switch parts[0] {
            case "Kinesis_20131202": .kinesis
            case "DynamoDB_20120810": .dynamodb
            default: nil
            }
        return (service, String(parts[1]))
    }

    /// The key id of `Authorization: AWS4-HMAC-SHA256 Credential=KEYID/date/region/service/aws4_request, …`.
    private static func worker(of request: Request) -> String? {
        guard let authorization = request.headers["Authorization"],
            let start = authorization.firstRange(of: "Credential=")?.upperBound
        else { return nil }
        let id = authorization[start...].prefix { $0 != "/" && $0 != "," }
        return id.isEmpty ? nil : String(id)
    }

    private static func authenticationError(_ request: Request, _ service: AWSService) -> ServiceError {
        guard let authorization = request.headers["Authorization"] else {
            return ServiceError(
                "MissingAuthenticationTokenException",
                service == .dynamodb ? "Request is missing Authentication Token" : "Missing Authentication Token")
        }
        let missing = ["Credential", "Signature", "SignedHeaders"].filter { !authorization.contains("\($0)=") }
        return ServiceError(
            "IncompleteSignatureException",
            missing.map { "Authorization header requires '\($0)' parameter. " }.joined()
                + "Authorization=\(authorization)")
    }

    /// Reads `20260131T120000Z`.
    static func date(basic text: String) -> UnixTime? {
        let digits = Array(text.utf8)
        guard digits.count == 16, digits[8] == UInt8(ascii: "T"), digits[15] == UInt8(ascii: "Z") else { return nil }
        func number(_ range: Range<Int>) -> Int? { Int(String(decoding: digits[range], as: UTF8.self)) }
        guard let year = number(0..<4), let month = number(4..<6), let day = number(6..<8),
            let hour = number(9..<11), let minute = number(11..<13), let second = number(13..<15),
            1...12 ~= month, 1...31 ~= day
        else { return nil }
        return CivilTime.unixTime(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
    }
}
