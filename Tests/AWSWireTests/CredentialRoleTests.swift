import Machine
import Synchronization
import Testing

@testable import AWSWire

/// STS: roles of profiles, of chains and of web identities. The answers have the shapes of the API reference.
@Suite struct CredentialRoleTests {
    static let arn = "arn:aws:iam::123456789012:role/app"

    /// What STS answers; the role's name and the number of the call are in the key.
    static func answer(
        _ action: String, id: String = "ASIAROLE", expiration: String = "2026-01-31T13:00:00Z"
    ) -> Response {
        .json(
            """
            <\(action)Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
              <\(action)Result>
                <AssumedRoleUser>
                  <AssumedRoleId>AROA123EXAMPLE123:app</AssumedRoleId>
                  <Arn>arn:aws:sts::123456789012:assumed-role/app/s</Arn>
                </AssumedRoleUser>
                <Credentials>
                  <AccessKeyId>\(id)</AccessKeyId>
                  <SecretAccessKey>RoleSecretKey</SecretAccessKey>
                  <SessionToken>
                   RoleSessionToken/&#43;==
                  </SessionToken>
                  <Expiration>\(expiration)</Expiration>
                </Credentials>
                <PackedPolicySize>6</PackedPolicySize>
              </\(action)Result>
              <ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>
            </\(action)Response>
            """)
    }

    static func error(_ code: String, _ message: String, status: Int = 403, headers: [Header] = []) -> Response {
        .json(
            """
            <ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
              <Error><Type>Sender</Type><Code>\(code)</Code><Message>\(message)</Message></Error>
              <RequestId>42</RequestId>
            </ErrorResponse>
            """, status: status, headers: headers)
    }

    /// Gives `ASIA` and the role's name, for an hour from now.
    static func sts(_ time: VirtualTime) -> ScriptedTransport {
        ScriptedTransport { (request, number) throws(TransportError) in
            let role = request.form["RoleArn"]?.split(separator: "/").last ?? ""
            let expiration = CivilTime(time.wall + .seconds(3600)).iso8601
            return answer(request.form["Action"] ?? "", id: "ASIA\(role)\(number)", expiration: expiration)
        }
    }

    static let files = [
        "/home/me/.aws/credentials": """
        [base]
        aws_access_key_id = AKIABASE
        aws_secret_access_key = BaseSecretKey
        aws_session_token = BaseSessionToken
        """,
        "/home/me/.aws/config": """
        [default]
        region = eu-west-1
        [profile app]
        role_arn = arn:aws:iam::123456789012:role/app
        source_profile = base
        external_id = ex+id
        role_session_name = me@here
        duration_seconds = 1800
        region = ap-south-1
        [profile outer]
        role_arn = arn:aws:iam::123456789012:role/outer
        source_profile = app
        [profile mfa]
        role_arn = arn:aws:iam::123456789012:role/mfa
        source_profile = base
        mfa_serial = arn:aws:iam::123456789012:mfa/me
        [profile web]
        role_arn = arn:aws:iam::123456789012:role/web
        web_identity_token_file = ~/token
        role_session_name = webby
        [profile fromEnvironment]
        role_arn = arn:aws:iam::123456789012:role/env
        credential_source = Environment
        [profile fromInstance]
        role_arn = arn:aws:iam::123456789012:role/ec2
        credential_source = Ec2InstanceMetadata
        """,
        "/home/me/token": "WebIdentityJWT\n",
    ]

    static func bench(_ profile: String, _ environment: [String: String] = [:]) -> Bench {
        Bench(environment: environment, files: files, chain: .standard(profile: profile))
    }

    @Test func aProfilesRoleIsAssumedWithTheKeysOfItsSource() async throws {
        let bench = Self.bench("app")
        let sts = ScriptedTransport([.success(Self.answer("AssumeRole"))])
        let found = try await bench.credentials(sts)
        #expect(
            found
                == Credentials(
                    accessKeyID: "ASIAROLE", secretAccessKey: "RoleSecretKey", sessionToken: "RoleSessionToken/+==",
                    expiration: bench.time.wall + .seconds(3600)))
        let request = try #require(sts.requests.first)
        #expect(request.url.description == "https://sts.ap-south-1.amazonaws.com")
        #expect(request.method == "POST")
        #expect(request.path == "/")
        #expect(request.headers["Content-Type"] == "application/x-www-form-urlencoded; charset=utf-8")
        #expect(request.headers["X-Amz-Security-Token"] == "BaseSessionToken")
        #expect(
            request.headers["Authorization"]?.hasPrefix(
                "AWS4-HMAC-SHA256 Credential=AKIABASE/20260131/ap-south-1/sts/aws4_request, ") == true)
        #expect(
            request.form == [
                "Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": Self.arn, "RoleSessionName": "me@here",
                "ExternalId": "ex+id", "DurationSeconds": "1800",
            ])
        #expect(String(decoding: request.body, as: UTF8.self).contains("ExternalId=ex%2Bid&DurationSeconds=1800"))
    }

    @Test func rolesLeadToRolesAndTheInnerOneIsKept() async throws {
        let bench = Self.bench("outer")
        let sts = Self.sts(bench.time)
        let provider = bench.chain.provider(host: bench.host, transport: sts, time: bench.time.source, seed: 1)
        #expect(try await provider.credentials().accessKeyID == "ASIAouter2")
        #expect(try await provider.credentials().accessKeyID == "ASIAouter2")
        #expect(sts.requests.map { $0.form["RoleArn"]?.suffix(5) } == ["e/app", "outer"])
        #expect(sts.requests[1].headers["Authorization"]?.contains("Credential=ASIAapp1/") == true)
        #expect(sts.requests[1].form["RoleSessionName"] == "shardtop-1769860800")
        // The outer session is rejected somewhere: only it is asked for again.
        bench.time.advance(by: .seconds(60))
        provider.rejected(try await provider.credentials())
        #expect(try await provider.credentials().accessKeyID == "ASIAouter3")
        #expect(sts.requests.count == 3)
        // Near their end both are renewed, the inner one first.
        bench.time.advance(by: .seconds(3600 - 61))
        #expect(try await provider.credentials().accessKeyID == "ASIAouter5")
        #expect(sts.requests[3].form["RoleArn"] == Self.arn)
    }

    @Test func anInnerSessionThatTheServiceNoLongerKnowsIsRenewedOnce() async throws {
        let bench = Self.bench("outer")
        let isRevoked = Mutex(false)
        let sts = ScriptedTransport { (request, number) throws(TransportError) in
            let isOld = request.headers["Authorization"]?.contains("Credential=ASIA1/") == true
            if isOld, isRevoked.withLock({ $0 }) {
                return Self.error("ExpiredToken", "The security token included in the request is expired")
            }
            return Self.answer("AssumeRole", id: "ASIA\(number)", expiration: "2026-01-31T14:00:00Z")
        }
        let provider = bench.chain.provider(host: bench.host, transport: sts, time: bench.time.source, seed: 1)
        #expect(try await provider.credentials().accessKeyID == "ASIA2")
        isRevoked.withLock { $0 = true }
        bench.time.advance(by: .seconds(60))
        provider.rejected(try await provider.credentials())
        #expect(try await provider.credentials().accessKeyID == "ASIA5")
        #expect(sts.requests.count == 5)
    }

    @Test func aChainsRoleHasItsOwnRegionEndpointAndBase() async throws {
        var bench = Bench(environment: [
            "AWS_ACCESS_KEY_ID": "AKIABASE", "AWS_SECRET_ACCESS_KEY": "BaseSecretKey", "AWS_REGION": "us-west-2",
        ])
        let sts = ScriptedTransport([.success(Self.answer("AssumeRole"))])
        func url(_ role: CredentialChain.AssumeRole) async throws -> String? {
            bench.chain = CredentialChain([.assumeRole(role)])
            _ = try await bench.credentials(sts)
            let request = try #require(sts.requests.last)
            let scope = request.headers["Authorization"]?.split(separator: "/")
            return "\(request.url) \(scope?[2] ?? "unsigned") \(request.form["ExternalId"] ?? "-")"
        }
        #expect(
            try await url(.init(roleARN: Self.arn, sessionName: "s"))
                == "https://sts.us-west-2.amazonaws.com us-west-2 -")
        #expect(
            try await url(.init(roleARN: Self.arn, sessionName: "s", externalID: "x", region: "eu-north-1"))
                == "https://sts.eu-north-1.amazonaws.com eu-north-1 x")
        let endpoint = Endpoint(scheme: "http", host: "localhost", port: 1)
        #expect(
            try await url(.init(roleARN: Self.arn, sessionName: "s", region: "eu-north-1", endpoint: endpoint))
                == "http://localhost:1 eu-north-1 -")
        let anonymous = CredentialChain([.anonymous])
        #expect(
            try await url(.init(roleARN: Self.arn, sessionName: "s", base: anonymous))
                == "https://sts.us-west-2.amazonaws.com unsigned -")
        bench.environment["AWS_ENDPOINT_URL_STS"] = "http://127.0.0.1:99"
        #expect(
            try await url(.init(roleARN: Self.arn, sessionName: "s")) == "http://127.0.0.1:99 us-west-2 -")
        bench.chain = CredentialChain([.assumeRole(.init(roleARN: Self.arn, sessionName: "s", region: "evil.com/"))])
        #expect(await bench.failure(sts).contains("is no region name"))
    }

    @Test(
        "The STS endpoint is the region's unless the old way is asked for",
        arguments: [
            ("us-west-2", nil, "https://sts.us-west-2.amazonaws.com us-west-2"),
            ("us-west-2", "regional", "https://sts.us-west-2.amazonaws.com us-west-2"),
            ("us-west-2", "legacy", "https://sts.amazonaws.com us-east-1"),
            ("me-south-1", "legacy", "https://sts.me-south-1.amazonaws.com me-south-1"),
            ("cn-north-1", nil, "https://sts.cn-north-1.amazonaws.com.cn cn-north-1"),
            (nil, nil, "https://sts.amazonaws.com us-east-1"),
        ] as [(String?, String?, String)])
    func endpoint(_ region: String?, _ choice: String?, _ expected: String) throws {
        var environment: [String: String] = [:]
        environment["AWS_REGION"] = region
        environment["AWS_STS_REGIONAL_ENDPOINTS"] = choice
        let service = try SecurityTokenService(
            SharedConfiguration(host: ScriptedHost(environment: environment)), transport: CredentialChainTests.silent,
            time: VirtualTime().source, region: nil, endpoint: nil, generator: SeededGenerator(seed: 1))
        #expect("\(service.endpoint) \(service.region)" == expected)
    }

    @Test func aWebIdentityTokenIsExchangedWithoutASignature() async throws {
        let environment = [
            "AWS_WEB_IDENTITY_TOKEN_FILE": "~/token", "AWS_ROLE_ARN": Self.arn, "AWS_ROLE_SESSION_NAME": "pod",
            "AWS_REGION": "us-west-2", "AWS_PROFILE": "app",
        ]
        var bench = Bench(environment: environment, files: Self.files)
        let sts = ScriptedTransport([.success(Self.answer("AssumeRoleWithWebIdentity"))])
        #expect(try await bench.credentials(sts).accessKeyID == "ASIAROLE")
        let request = try #require(sts.requests.first)
        #expect(request.url.description == "https://sts.us-west-2.amazonaws.com")
        #expect(request.headers["Authorization"] == nil)
        #expect(
            request.form == [
                "Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": Self.arn,
                "RoleSessionName": "pod", "WebIdentityToken": "WebIdentityJWT",
            ])
        bench.chain = .standard(profile: "web")
        _ = try await bench.credentials(sts)
        #expect(sts.requests.last?.form["RoleSessionName"] == "webby")
        bench.chain = .standard()
        bench.environment["AWS_ROLE_ARN"] = nil
        #expect(await bench.failure(sts).contains("AWS_ROLE_ARN is not"))
        bench.environment["AWS_ROLE_ARN"] = Self.arn
        bench.environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = "/none"
        #expect(await bench.failure(sts) == "there is no web identity token file /none")
    }

    @Test func anUnreachableIdentityProviderIsAskedAgainAndARejectedTokenIsNot() async throws {
        let bench = Self.bench("web")
        let stumbling = ScriptedTransport([
            .success(Self.error("IDPCommunicationError", "Error communicating with the provider", status: 400)),
            .success(Self.answer("AssumeRoleWithWebIdentity")),
        ])
        #expect(try await bench.credentials(stumbling).accessKeyID == "ASIAROLE")
        let rejecting = ScriptedTransport([
            .success(Self.error("InvalidIdentityToken", "No provider for WebIdentityJWT", status: 400))
        ])
        #expect(
            await bench.failure(rejecting)
                == "the role arn:aws:iam::123456789012:role/web cannot be assumed with the web identity token: "
                + "STS.AssumeRoleWithWebIdentity: InvalidIdentityToken: No provider for …")
        #expect(rejecting.requests.count == 1)
    }

    @Test func aCredentialSourceSignsForTheRole() async throws {
        let keys = ["AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "BaseSecretKey"]
        let sts = ScriptedTransport([.success(Self.answer("AssumeRole"))])
        _ = try await Self.bench("fromEnvironment", keys).credentials(sts)
        #expect(sts.requests[0].headers["Authorization"]?.contains("Credential=AKIAENV/") == true)
        #expect(
            await Self.bench("fromEnvironment").failure(sts)
                == "the credential_source of the profile fromEnvironment has none: AWS_ACCESS_KEY_ID is not set")
        let instance = CredentialChainTests.instance()
        let both = ScriptedTransport { (request, _) throws(TransportError) in
            request.form["Action"] == nil ? try await instance.send(request) : Self.answer("AssumeRole")
        }
        _ = try await Self.bench("fromInstance").credentials(both)
        #expect(both.requests.last?.headers["Authorization"]?.contains("Credential=ASIAROLE/") == true)
        #expect(both.requests.last?.headers["X-Amz-Security-Token"] == "roletoken")
    }

    @Test func anMFACodeIsAskedForOnceAndSentOnce() async throws {
        var bench = Self.bench("mfa")
        bench.typed = " 271828\n"
        let host = bench.host
        let sts = Self.sts(bench.time)
        let provider = bench.chain.provider(host: host, transport: sts, time: bench.time.source, seed: 1)
        #expect(try await provider.credentials().accessKeyID == "ASIAmfa1")
        #expect(sts.requests[0].form["SerialNumber"] == "arn:aws:iam::123456789012:mfa/me")
        #expect(sts.requests[0].form["TokenCode"] == "271828")
        #expect(host.log.questions.withLock { $0 } == ["MFA code for arn:aws:iam::123456789012:mfa/me: "])
        // When they expire nobody is asked in the middle of whatever is on the screen.
        bench.time.advance(by: .seconds(3601))
        let error = await #expect(throws: CredentialError.self) { try await provider.credentials() }
        #expect(error?.message.contains("cannot renew its credentials without another MFA code") == true)
        #expect(host.log.questions.withLock { $0.count } == 1)
        let failing = ScriptedTransport([.success(.json("", status: 503))])
        #expect(await bench.failure(failing).contains("HTTP 503"))
        #expect(failing.requests.count == 1)
    }

    @Test func withoutATerminalAnMFACodeIsRefusedInOneSentence() async {
        var bench = Self.bench("mfa")
        let message = await bench.failure(CredentialChainTests.silent)
        #expect(
            message
                == "the profile mfa needs an MFA code for arn:aws:iam::123456789012:mfa/me, and there is no terminal "
                + "to ask for it on: run eval \"$(aws configure export-credentials --profile mfa --format env)\" "
                + "first, or use a profile without mfa_serial")
        bench.typed = "27182x"
        #expect(await bench.failure(CredentialChainTests.silent).contains("six digits"))
    }

    @Test func aWrongClockIsSetByTheAnswerOnce() async throws {
        let bench = Self.bench("app")
        let skewed = Self.error(
            "SignatureDoesNotMatch", "Signature expired: 20260131T120000Z is now earlier than 20260131T121500Z",
            headers: [Header("Date", "Sat, 31 Jan 2026 12:30:00 GMT")])
        let sts = ScriptedTransport([.success(skewed), .success(Self.answer("AssumeRole"))])
        _ = try await bench.credentials(sts)
        #expect(sts.requests.map { $0.headers["X-Amz-Date"] } == ["20260131T120000Z", "20260131T123000Z"])
        let always = ScriptedTransport([.success(skewed)])
        #expect(await bench.failure(always).contains("RequestTimeTooSkewed: Signature expired"))
        #expect(always.requests.count == 2)
    }

    @Test func whatSTSSaysStandsInTheErrorWithoutSecrets() async {
        let bench = Self.bench("app")
        let denied = ScriptedTransport([
            .success(
                Self.error("AccessDenied", "User: arn:aws:iam::1:user/me is not authorized to perform: sts:AssumeRole"))
        ])
        #expect(
            await bench.failure(denied)
                == "the role arn:aws:iam::123456789012:role/app of the profile app cannot be assumed: STS.AssumeRole: "
                + "AccessDenied: User: arn:aws:iam::1:user/me is not authorized to perform: sts:AssumeRole")
        #expect(denied.requests.count == 1)
        let canonical = ScriptedTransport([
            .success(
                Self.error(
                    "SignatureDoesNotMatch",
                    """
                    The request signature we calculated does not match BaseSecretKey.

                    The Canonical String for this request should have been
                    'POST\n/\n\nx-amz-security-token:BaseSessionToken'
                    """))
        ])
        #expect(
            await bench.failure(canonical).hasSuffix(
                "STS.AssumeRole: SignatureDoesNotMatch: The request signature we calculated does not match …."))
    }

    @Test(
        "Answers that are none are errors without what they say",
        arguments: [
            "", "RoleSecretKey", "<a><b></a>", "<!DOCTYPE x [<!ENTITY a \"b\">]><a>&a;</a>",
            "<AssumeRoleResponse/>",
            "<R><AccessKeyId>A</AccessKeyId><SecretAccessKey>RoleSecretKey</SecretAccessKey></R>",
            "{\"SecretAccessKey\":\"RoleSecretKey\"}",
        ])
    func garbled(_ body: String) async {
        let bench = Self.bench("app")
        let sts = ScriptedTransport([.success(.json(body))])
        #expect(await bench.failure(sts).contains("malformed"))
        #expect(await bench.failure(ScriptedTransport([.success(.json(body, status: 400))])).contains("HTTP 400"))
    }
}
