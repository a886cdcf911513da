import Machine

/// What container and instance metadata have in common, and SSO too: small documents, asked for until they come.
struct MetadataService: Sendable {
    var endpoint: Endpoint
    var transport: any Transport
    var time: TimeSource

    /// Enough for an address nearby.
    var attemptTimeout = Duration.seconds(1)
    /// Nothing that these services answer is longer.
    private static let answerBytesMax = 64 << 10

    /// Sends the request until there is an answer other than a failure of the service itself, up to `attempts` times.
    func send(
        _ method: String, _ path: String, headers: [Header] = [], body: [UInt8] = [], attempts: Int
    ) async throws(TransportError) -> Response {
        let request = Request(
            method: method, url: endpoint, path: path,
            headers: [Header("Host", endpoint.authority), Header("User-Agent", "shardtop")] + headers, body: body,
            timeout: attemptTimeout, responseBytesMax: Self.answerBytesMax)
        var attempt = 1
        while true {
            do throws(TransportError) {
                let response = try await transport.send(request)
                let isOver = response.status < 500 && response.status != 429
                if isOver || attempt == attempts { return response }
            } catch {
                if error.kind == .cancelled || error.kind == .invalidRequest || attempt == attempts { throw error }
            }
            do { try await time.sleep(for: .milliseconds(100 << attempt)) } catch {
                throw TransportError(.cancelled, "cancelled", requestWasSent: true)
            }
            attempt += 1
        }
    }

    /// Reads the document that both services answer; `source` stands in the errors, the document never does.
    ///
    /// - Parameter headers: of the request, whose values the services might say back.
    static func credentials(
        _ body: Bytes, from source: String, headers: [Header]
    ) throws(CredentialError) -> Credentials {
        guard let document = try? JSON.decode(body) else {
            throw CredentialError("\(source) answered something that is not JSON")
        }
        if let code = document["Code"]?.string, code != "Success" {
            let secrets = [document["SecretAccessKey"]?.string, document["Token"]?.string] + headers.map(\.value)
            throw CredentialError("\(source) has no credentials: \(code.quoted(without: secrets, max: 60))")
        }
        guard let id = document["AccessKeyId"]?.string, let secret = document["SecretAccessKey"]?.string,
            !id.isEmpty, !secret.isEmpty
        else { throw CredentialError("\(source) answered without AccessKeyId or SecretAccessKey") }
        return Credentials(
            accessKeyID: id, secretAccessKey: secret, sessionToken: document["Token"]?.string,
            expiration: document["Expiration"]?.string.flatMap { CivilTime.parseISO8601($0) })
    }
}

/// Credentials of an ECS task or an EKS pod.
///
/// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
struct ContainerCredentials: Sendable {
    var host: any Host
    var transport: any Transport
    var time: TimeSource

    func find() async throws(CredentialError) -> CredentialChain.Finding {
        let endpoint: Endpoint
        let path: String
        if let relative = host.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            guard relative.hasPrefix("/") else {
                throw CredentialError("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with /")
            }
            endpoint = Endpoint(scheme: "http", host: "169.254.170.2")
            path = relative
        } else if let full = host.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
            (endpoint, path) = try Self.parse(full)
        } else {
            return .absent("this is no container with a role")
        }
        let headers = try token.map { [Header("Authorization", $0)] } ?? []
        let source = "the container's credential endpoint at \(endpoint.authority)"
        let response: Response
        do {
            response = try await MetadataService(endpoint: endpoint, transport: transport, time: time)
                .send("GET", path, headers: headers, attempts: 3)
        } catch {
            throw CredentialError("\(source) does not answer: \(error.message)")
        }
        guard response.status == 200 else {
            throw CredentialError("\(source) answered HTTP \(response.status): has the task or pod a role?")
        }
        return .found(try MetadataService.credentials(response.body, from: source, headers: headers))
    }

    /// The full URI, if credentials may be asked of its host: over TLS any, in the clear only this machine's.
    private static func parse(_ text: String) throws(CredentialError) -> (Endpoint, String) {
        let name = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
        guard let scheme = text.firstRange(of: "://") else {
            throw CredentialError("\(name) is no http:// or https:// URL")
        }
        let slash = text[scheme.upperBound...].firstIndex(of: "/") ?? text.endIndex
        guard let endpoint = Endpoint(String(text[..<slash])) else {
            throw CredentialError("\(name) is no http:// or https:// URL")
        }
        let allowed = ["localhost", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"]
        guard endpoint.scheme == "https" || allowed.contains(endpoint.host) || endpoint.isIPv4Loopback else {
            throw CredentialError(
                "\(name) names the host \(endpoint.host), which is neither this machine nor reached over https")
        }
        return (endpoint, slash == text.endIndex ? "/" : String(text[slash...]))
    }

    /// The value of the `Authorization` header; a token file wins and is read each time, because it is rotated.
    private var token: String? {
        get throws(CredentialError) {
            guard let path = host.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") else {
                return try checked(
                    host.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"), from: "AWS_CONTAINER_AUTHORIZATION_TOKEN")
            }
            let bytes: [UInt8]?
            do { bytes = try host.readFile(path, bytesMax: 64 << 10) } catch { throw CredentialError(error.message) }
            guard let bytes else { throw CredentialError("there is no token file \(path)") }
            var text = Substring(decoding: bytes, as: UTF8.self)
            while text.last?.isNewline == true { text.removeLast() }
            return try checked(String(text), from: path)
        }
    }

    private func checked(_ token: String?, from source: String) throws(CredentialError) -> String? {
        if let token, token.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            throw CredentialError("the token in \(source) contains a line break or another control character")
        }
        return token
    }
}

/// Credentials of an EC2 instance's role, by instance metadata version 2 (token first).
///
/// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
struct InstanceCredentials: Sendable {
    var host: any Host
    var transport: any Transport
    var time: TimeSource

    private static let path = "/latest/meta-data/iam/security-credentials/"

    private enum Session {
        case open(MetadataService, headers: [Header], source: String)
        case absent(String)
    }

    /// Fetches the token without which instances answer nothing.
    private func open() async throws(CredentialError) -> Session {
        if host.variable("AWS_EC2_METADATA_DISABLED")?.lowercased() == "true" {
            return .absent("instance metadata is switched off by AWS_EC2_METADATA_DISABLED")
        }
        let service = MetadataService(endpoint: try endpoint, transport: transport, time: time)
        let source = "instance metadata at \(service.endpoint.authority)"
        let token: Response
        do {
            // On any machine that is no instance nothing answers; two attempts are enough to find that out.
            token = try await service.send(
                "PUT", "/latest/api/token", headers: [Header("X-aws-ec2-metadata-token-ttl-seconds", "21600")],
                attempts: 2)
        } catch {
            return .absent("\(source) does not answer")
        }
        guard token.status == 200, !token.body.isEmpty, token.body.text.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
            return .absent("\(source) gives no token (HTTP \(token.status))")
        }
        return .open(service, headers: [Header("X-aws-ec2-metadata-token", token.body.text)], source: source)
    }

    /// The region that the instance runs in; `nil` where this is no instance.
    func region() async throws(CredentialError) -> String? {
        guard case .open(let service, let headers, let source) = try await open() else { return nil }
        do throws(TransportError) {
            let answer = try await service.send(
                "GET", "/latest/meta-data/placement/region", headers: headers, attempts: 3)
            return answer.status == 200 ? answer.body.text.trimmed : nil
        } catch {
            throw CredentialError("\(source) failed: \(error.message)")
        }
    }

    func find() async throws(CredentialError) -> CredentialChain.Finding {
        let service: MetadataService
        let headers: [Header]
        let source: String
        switch try await open() {
        case .absent(let why): return .absent(why)
        case .open(let opened, let with, let name): (service, headers, source) = (opened, with, name)
        }
        do throws(TransportError) {
            let roles = try await service.send("GET", Self.path, headers: headers, attempts: 3)
            guard roles.status == 200, let role = roles.body.text.split(whereSeparator: \.isNewline).first else {
                return .absent("the instance has no role")
            }
            guard role.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
                throw TransportError(.invalidRequest, "the name of the role is not one", requestWasSent: false)
            }
            let answer = try await service.send("GET", Self.path + role, headers: headers, attempts: 3)
            guard answer.status == 200 else {
                throw TransportError(.closed, "HTTP \(answer.status) for the role \(role)", requestWasSent: true)
            }
            return .found(try Self.read(answer.body, source, headers))
        } catch {
            throw CredentialError("\(source) failed: \(error.message)")
        }
    }

    private static func read(
        _ body: Bytes, _ source: String, _ headers: [Header]
    ) throws(TransportError) -> Credentials {
        do throws(CredentialError) {
            return try MetadataService.credentials(body, from: source, headers: headers)
        } catch {
            throw TransportError(.closed, error.message, requestWasSent: true)
        }
    }

    private var endpoint: Endpoint {
        get throws(CredentialError) {
            if let text = host.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
                guard let endpoint = Endpoint(text) else {
                    throw CredentialError(
                        "AWS_EC2_METADATA_SERVICE_ENDPOINT is no http:// or https:// URL without path")
                }
                return endpoint
            }
            let isIPv6 = host.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE")?.lowercased() == "ipv6"
            return Endpoint(scheme: "http", host: isIPv6 ? "[fd00:ec2::254]" : "169.254.169.254")
        }
    }
}

extension Endpoint {
    /// An address in 127.0.0.0/8, written as one: a name that begins like one could lead anywhere.
    fileprivate var isIPv4Loopback: Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}
