import Machine
import Testing

@testable import AWSWire

/// Whatever a service answers and however it is printed, no secret comes out. Beside these, `Bench` searches every
/// message of the other tests.
@Suite struct CredentialSecrecyTests {
    /// Says back whatever it was sent, as an error of the protocol, a page, or nothing anybody knows.
    static func echo(_ status: Int, _ shape: Int) -> ScriptedTransport {
        ScriptedTransport { (request, _) throws(TransportError) in
            let said =
                request.headers.map(\.value).joined(separator: " ") + " "
                + request.form.values.sorted().joined(separator: " ") + String(decoding: request.body, as: UTF8.self)
            let quoted = String(said.filter { !"\"<>&\\".contains($0) })
            return switch shape {
            case 0:
                .json(
                    "<ErrorResponse><Error><Code>\(quoted)</Code><Message>\(quoted)</Message></Error></ErrorResponse>",
                    status: status)
            case 1:
                .json(
                    "{\"message\":\"\(quoted)\",\"error\":\"\(quoted)\",\"__type\":\"\(quoted)\","
                        + "\"Code\":\"\(quoted)\"}",
                    status: status, headers: [Header("x-amzn-ErrorType", quoted)])
            default: .json(quoted, status: status)
            }
        }
    }

    @Test(
        "A service that says back what it was sent says nothing to anybody else",
        arguments: [200, 400, 401, 403, 404, 429, 500], [0, 1, 2])
    func echoes(_ status: Int, _ shape: Int) async {
        let token = CredentialSSOTests.cache(expiresAt: "2026-01-31T12:00:00Z")
        let good = CredentialSSOTests.cache(expiresAt: "2026-01-31T13:00:00Z")
        var benches = ["app", "outer", "web", "mfa"].map { CredentialRoleTests.bench($0) }
        benches[3].typed = "271828"
        benches += [CredentialSSOTests.bench(token), CredentialSSOTests.bench(good)]
        benches.append(
            Bench(environment: [
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/x",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "WebIdentityJWT",
            ]))
        for bench in benches { #expect(await bench.failure(Self.echo(status, shape)) != "") }
    }

    @Test func aSignatureThatAServiceQuotesIsCutOutOfACallsError() async throws {
        let transport = ScriptedTransport([
            .success(
                .json(
                    """
                    {"__type":"com.amazon.coral.service#InvalidSignatureException","message":"The request signature we \
                    calculated does not match.\\n\\nThe Canonical String for this request should have been\\n\
                    'POST\\n/\\n\\nx-amz-security-token:BaseSessionToken'"}
                    """, status: 400))
        ])
        let client = AWSClient(
            .kinesis, region: "us-east-1", transport: transport,
            credentials: StaticCredentials(
                accessKeyID: "A", secretAccessKey: "BaseSecretKey", sessionToken: "BaseSessionToken"),
            time: VirtualTime().source, retry: .once, seed: 1)
        let error = try await #require(throws: AWSError.self) { try await client.call("ListStreams", [:]) }
        #expect(
            error.description
                == "Kinesis.ListStreams: InvalidSignatureException: The request signature we calculated does not match."
        )
        #expect(error.meaning == .unauthenticated)
        Bench.check(Bench.dumped(error), String(reflecting: error))
    }

    @Test func anonymousCallsAreNotSigned() async throws {
        let transport = ScriptedTransport([.success(.json("{}"))])
        let provider = CredentialChain([.anonymous])
            .provider(host: ScriptedHost(), transport: transport, time: VirtualTime().source, seed: 1)
        let client = AWSClient(
            .kinesis, region: "us-east-1", transport: transport, credentials: provider, time: VirtualTime().source,
            seed: 1)
        _ = try await client.call("ListStreams", [:])
        let request = try #require(transport.requests.first)
        #expect(request.headers["Authorization"] == nil)
        #expect(request.headers["X-Amz-Date"] == nil)
        #expect(request.headers["Host"] == "kinesis.us-east-1.amazonaws.com")
        #expect("\(Credentials.anonymous)" == "Credentials(anonymous)")
    }

    @Test func nothingThatHoldsSecretsShowsThem() async throws {
        let bench = CredentialRoleTests.bench(
            "app", ["AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "BaseSecretKey"])
        let shared = try SharedConfiguration(host: bench.host, profile: "app")
        let way = try #require(try shared.credentialWay())
        let sts = ScriptedTransport([.success(CredentialRoleTests.answer("AssumeRole"))])
        let provider = bench.chain.provider(host: SystemLikeHost(), transport: sts, time: bench.time.source, seed: 1)
        let token = try #require(
            SSOToken(try JSON.decode(Bytes(CredentialSSOTests.cache(expiresAt: "2026-01-31T12:00:00Z")))))
        let xml = try XMLElement(CredentialRoleTests.answer("AssumeRole").body)
        let output = CommandOutput(status: 0, output: Array("ProcessSecretKey".utf8))
        for text in [
            Bench.dumped(shared), "\(shared)", Bench.dumped(way), "\(way)", Bench.dumped(provider), "\(provider)",
            Bench.dumped(token), "\(token)", Bench.dumped(xml), "\(xml)", Bench.dumped(output), "\(output)",
            Bench.dumped(Header("x-amz-sso_bearer_token", "SSOAccessToken")),
        ] {
            Bench.check(text)
        }
    }

    private struct SystemLikeHost: Host {
        let environment: [String: String] = [:]
        let homeDirectory: String? = nil

        func readFile(_ path: String, bytesMax: Int) throws(HostError) -> [UInt8]? { nil }
    }

    @Test func aHostThatOnlyReadsRefusesTheRest() async throws {
        let host = SystemLikeHost()
        #expect(throws: HostError.self) { try host.writeFile("/x", []) }
        #expect(try await host.prompt("?") == nil)
        await #expect(throws: HostError.self) {
            try await host.run(["/bin/true"], outputBytesMax: 1, timeout: .seconds(1))
        }
    }
}
