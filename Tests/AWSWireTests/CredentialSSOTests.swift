import Machine
import Synchronization
import Testing

@testable import AWSWire

/// IAM Identity Center; the answers have the shapes of the portal's and of the OIDC API reference.
@Suite struct CredentialSSOTests {
    /// SHA-1 of `my-sso` and of `https://old.awsapps.com/start`, the names that the AWS CLI gives its files.
    static let path = "/home/me/.aws/sso/cache/0ad374308c5a4e22f723adf10145eafad7c4031c.json"
    static let legacyPath = "/home/me/.aws/sso/cache/33d5ca4bf3b1a62edb96b47f7c203034a43ac435.json"

    static let config = """
        [profile dev]
        sso_session = my-sso
        sso_account_id = 111122223333
        sso_role_name = Read+Write
        [profile old]
        sso_start_url = https://old.awsapps.com/start
        sso_region = us-west-2
        sso_account_id = 111122223333
        sso_role_name = Reader
        [sso-session my-sso]
        sso_region = eu-central-1
        sso_start_url = https://my.awsapps.com/start
        sso_registration_scopes = sso:account:access
        """

    static func cache(expiresAt: String, registration: String = "2026-03-01T00:00:00Z") -> String {
        """
        {"startUrl": "https://my.awsapps.com/start", "region": "eu-central-1", "accessToken": "SSOAccessToken",
         "expiresAt": "\(expiresAt)", "clientId": "client", "clientSecret": "SSOClientSecret",
         "registrationExpiresAt": "\(registration)", "refreshToken": "SSORefreshToken", "x": [1]}
        """
    }

    static let answer = """
        {"roleCredentials":{"accessKeyId":"ASIASSO","secretAccessKey":"RoleSecretKey",
         "sessionToken":"RoleSessionToken","expiration":1769864400000}}
        """

    static func bench(_ file: String?, _ profile: String = "dev") -> Bench {
        var files = ["/home/me/.aws/config": config]
        files[profile == "dev" ? path : legacyPath] = file
        return Bench(files: files, chain: .standard(profile: profile))
    }

    @Test func aTokenThatIsGoodBuysTheRolesCredentials() async throws {
        let bench = Self.bench(Self.cache(expiresAt: "2026-01-31T13:00:00Z"))
        let portal = ScriptedTransport([.success(.json(Self.answer))])
        #expect(
            try await bench.credentials(portal)
                == Credentials(
                    accessKeyID: "ASIASSO", secretAccessKey: "RoleSecretKey", sessionToken: "RoleSessionToken",
                    expiration: UnixTime(milliseconds: 1_769_864_400_000)))
        let request = try #require(portal.requests.first)
        #expect(portal.requests.count == 1)
        #expect(request.method == "GET")
        #expect(request.url.description == "https://portal.sso.eu-central-1.amazonaws.com")
        #expect(request.path == "/federation/credentials?account_id=111122223333&role_name=Read%2BWrite")
        #expect(request.headers["x-amz-sso_bearer_token"] == "SSOAccessToken")
        #expect(request.headers["Authorization"] == nil)
        Bench.check(Bench.dumped(request), "\(request)")
    }

    @Test func theOlderFormHasItsStartURLInTheProfile() async throws {
        let file = """
            {"startUrl": "https://old.awsapps.com/start", "region": "us-west-2", "accessToken": "SSOAccessToken",
             "expiresAt": "2026-01-31T12:05:00UTC"}
            """
        let portal = ScriptedTransport([.success(.json(Self.answer))])
        let bench = Self.bench(file, "old")
        #expect(try await bench.credentials(portal).accessKeyID == "ASIASSO")
        #expect(portal.requests.map(\.url.host) == ["portal.sso.us-west-2.amazonaws.com"])
        bench.time.advance(by: .seconds(301))
        #expect(
            await bench.failure(portal)
                == "the SSO session of the profile old has expired or was never begun: run aws sso login --profile old")
    }

    /// CreateToken and GetRoleCredentials.
    static func center(_ token: Response) -> ScriptedTransport {
        ScriptedTransport { (request, _) throws(TransportError) in
            request.path == "/token" ? token : .json(answer)
        }
    }

    static let renewed = Response.json(
        """
        {"accessToken":"SSONewToken","expiresIn":3600,"refreshToken":"SSORefreshToken2","tokenType":"Bearer"}
        """)

    @Test func aTokenNearItsEndIsRenewedAndWrittenBack() async throws {
        let bench = Self.bench(Self.cache(expiresAt: "2026-01-31T12:10:00Z"))
        let host = bench.host
        let center = Self.center(Self.renewed)
        _ = try await bench.credentials(center, host)
        #expect(center.requests.map(\.path.first) == ["/", "/"])
        let request = center.requests[0]
        #expect(
            "\(request.method) \(request.url)\(request.path)" == "POST https://oidc.eu-central-1.amazonaws.com/token")
        #expect(request.headers["Content-Type"] == "application/json")
        #expect(
            try JSON.decode(Bytes(request.body)) == [
                "clientId": "client", "clientSecret": "SSOClientSecret", "grantType": "refresh_token",
                "refreshToken": "SSORefreshToken",
            ])
        #expect(center.requests[1].headers["x-amz-sso_bearer_token"] == "SSONewToken")
        let written = try #require(host.log.written.withLock { $0[Self.path] })
        let document = try JSON.decode(Bytes(written))
        #expect(document["accessToken"] == "SSONewToken")
        #expect(document["expiresAt"] == "2026-01-31T13:00:00Z")
        #expect(document["refreshToken"] == "SSORefreshToken2")
        #expect(document["clientId"] == "client")
        #expect(document["x"] == [1])
    }

    @Test func aRenewedTokenThatCannotBeWrittenIsKeptInMemory() async throws {
        var bench = Self.bench(Self.cache(expiresAt: "2026-01-31T11:00:00Z"))
        bench.refusesWrites = true
        let center = Self.center(Self.renewed)
        let world = bench.world(center)
        _ = try await bench.chain.resolve(in: world)
        _ = try await bench.chain.resolve(in: world)
        #expect(center.requests.map { $0.path.prefix(6) } == ["/token", "/feder", "/feder"])
        Bench.check(Bench.dumped(world))
    }

    @Test(
        "Whoever must sign in is told how",
        arguments: [
            (nil, 200), ("{}", 200), ("not json", 200),
            // Expired, and the service or the registration refuses a renewal.
            (cache(expiresAt: "2026-01-31T11:59:59Z"), 400), (cache(expiresAt: "2026-01-31T11:59:59Z"), 401),
            (cache(expiresAt: "2026-01-31T11:59:59Z", registration: "2026-01-31T11:00:00Z"), 200),
            ("{\"accessToken\": \"SSOAccessToken\", \"expiresAt\": \"2026-01-31T11:00:00Z\"}", 200),
        ] as [(String?, Int)])
    func signedOut(_ file: String?, _ status: Int) async {
        let center = Self.center(
            status == 200
                ? Self.renewed
                : .json(
                    "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid SSORefreshToken\"}", status: status))
        #expect(
            await Self.bench(file).failure(center)
                == "the SSO session of the profile dev has expired or was never begun: "
                + "run aws sso login --sso-session my-sso")
    }

    @Test func aRenewalThatFailsIsNoMatterWhileTheTokenIsGood() async throws {
        let good = Self.bench(Self.cache(expiresAt: "2026-01-31T12:01:00Z"))
        let failing = Self.center(.json("{\"message\":\"oops SSORefreshToken\"}", status: 500))
        #expect(try await good.credentials(failing).accessKeyID == "ASIASSO")
        let expired = Self.bench(Self.cache(expiresAt: "2026-01-31T12:00:00Z"))
        let message = await expired.failure(failing)
        #expect(message.contains("cannot be renewed: HTTP 500: oops …"))
        #expect(message.hasSuffix("run aws sso login --sso-session my-sso"))
        let refused = Self.center(.json("{\"error\":\"invalid_grant\"}", status: 400))
        #expect(try await good.credentials(refused).accessKeyID == "ASIASSO")
    }

    @Test func whatThePortalSaysStandsInTheError() async throws {
        let bench = Self.bench(Self.cache(expiresAt: "2026-01-31T13:00:00Z"))
        let forbidden = ScriptedTransport([
            .success(
                .json(
                    "{\"message\":\"No access\",\"__type\":\"com.amazonaws.switchboard.portal#ForbiddenException\"}",
                    status: 403, headers: [Header("x-amzn-ErrorType", "ForbiddenException:http://x")]))
        ])
        #expect(
            await bench.failure(forbidden)
                == "IAM Identity Center in eu-central-1 gives no credentials for the role Read+Write in the account "
                + "111122223333 (profile dev): ForbiddenException: No access")
        let over = ScriptedTransport([
            .success(.json("{\"message\":\"Session token not found or invalid\"}", status: 401))
        ])
        #expect(await bench.failure(over).hasSuffix("run aws sso login --sso-session my-sso"))
        #expect(
            await bench.failure(CredentialChainTests.silent)
                == "IAM Identity Center in eu-central-1 does not answer: no answer")
        for body in ["", "[]", "{\"roleCredentials\":{\"secretAccessKey\":\"RoleSecretKey\"}}"] {
            #expect(await bench.failure(ScriptedTransport([.success(.json(body))])).hasSuffix("without credentials"))
        }
        let busy = ScriptedTransport([.success(.json("", status: 429)), .success(.json(Self.answer))])
        #expect(try await bench.credentials(busy).accessKeyID == "ASIASSO")
    }

    @Test func configuredEndpointsAreHonoured() async throws {
        var bench = Self.bench(Self.cache(expiresAt: "2026-01-31T12:10:00Z"))
        bench.environment = ["AWS_ENDPOINT_URL_SSO": "http://a:1", "AWS_ENDPOINT_URL_SSO_OIDC": "http://b:2"]
        let center = Self.center(Self.renewed)
        _ = try await bench.credentials(center)
        #expect(center.requests.map(\.url.description) == ["http://b:2", "http://a:1"])
    }
}
