import Machine
import Testing

@testable import AWSWire

@Suite struct CredentialChainTests {
    static let document = """
        {"Code":"Success","AccessKeyId":"ASIAROLE","SecretAccessKey":"rolesecret","Token":"roletoken",
         "Expiration":"2026-01-31T18:00:00Z"}
        """
    static let role = Credentials(
        accessKeyID: "ASIAROLE", secretAccessKey: "rolesecret", sessionToken: "roletoken",
        expiration: UnixTime(milliseconds: 1_769_882_400_000))

    static let silent = ScriptedTransport([.failure(TransportError(.timedOut, "no answer", requestWasSent: false))])

    /// Instance metadata as an instance with the role `app` has it.
    static func instance() -> ScriptedTransport {
        ScriptedTransport { (request, _) throws(TransportError) in
            switch (request.method, request.path, request.headers["X-aws-ec2-metadata-token"]) {
            case ("PUT", "/latest/api/token", _): .json("TOKEN==")
            case ("GET", "/latest/meta-data/iam/security-credentials/", "TOKEN=="): .json("app\n")
            case ("GET", "/latest/meta-data/iam/security-credentials/app", "TOKEN=="): .json(document)
            default: .json("", status: 401)
            }
        }
    }

    static func resolve(
        _ environment: [String: String], files: [String: String] = [:], _ transport: ScriptedTransport = silent,
        chain: CredentialChain = .standard(), time: VirtualTime = VirtualTime()
    ) async throws(CredentialError) -> Credentials {
        try await chain.resolve(
            in: CredentialWorld(
                host: ScriptedHost(environment: environment, files: files), transport: transport, time: time.source,
                seed: 1))
    }

    static func message(
        _ environment: [String: String], files: [String: String] = [:], _ transport: ScriptedTransport = silent,
        chain: CredentialChain = .standard()
    ) async -> String {
        do throws(CredentialError) {
            return "found \(try await resolve(environment, files: files, transport, chain: chain))"
        } catch {
            return error.message
        }
    }

    @Test func theEnvironmentComesFirst() async throws {
        let environment = [
            "AWS_ACCESS_KEY_ID": "ID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
            "AWS_PROFILE": "none",
        ]
        #expect(
            try await Self.resolve(environment)
                == Credentials(accessKeyID: "ID", secretAccessKey: "secret", sessionToken: "token"))
        let half = await Self.message(["AWS_ACCESS_KEY_ID": "ID"])
        #expect(half == "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not: set both or none")
    }

    @Test func aProfilesKeysComeFromEitherFile() async throws {
        let files = [
            "/home/me/.aws/credentials": """
            [default]
            aws_access_key_id = D
            aws_secret_access_key = ds
            [ops]
            aws_access_key_id = O
            aws_secret_access_key = os
            aws_session_token = ot
            """,
            "/home/me/.aws/config": """
            [profile only]
            aws_access_key_id = C
            aws_secret_access_key = cs
            [profile half]
            aws_access_key_id = H
            [profile empty]
            region = us-east-1
            """,
        ]
        func id(_ environment: [String: String], _ chain: CredentialChain = .standard()) async throws -> String {
            try await Self.resolve(environment, files: files, chain: chain).accessKeyID
        }
        #expect(try await id([:]) == "D")
        #expect(try await id(["AWS_PROFILE": "ops"]) == "O")
        #expect(try await id(["AWS_PROFILE": "only"]) == "C")
        #expect(try await Self.resolve([:], files: files, chain: .standard(profile: "ops")).sessionToken == "ot")
        // A profile that the command line names comes before the environment's keys.
        let keys = ["AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "es"]
        #expect(try await id(keys, .standard(profile: "ops")) == "O")
        for (profile, words) in [
            ("half", "aws_secret_access_key"), ("empty", "no aws_access_key_id"), ("none", "stands neither in"),
        ] {
            let message = await Self.message(["AWS_PROFILE": profile], files: files)
            #expect(message.contains(words), "\(message)")
            #expect(message.contains("profile \(profile)"), "\(message)")
        }
    }

    @Test func instanceMetadataIsAskedWithATokenAndNeverWithout() async throws {
        let transport = Self.instance()
        #expect(try await Self.resolve([:], transport) == Self.role)
        #expect(
            transport.requests.map { "\($0.method) \($0.url)\($0.path)" } == [
                "PUT http://169.254.169.254/latest/api/token",
                "GET http://169.254.169.254/latest/meta-data/iam/security-credentials/",
                "GET http://169.254.169.254/latest/meta-data/iam/security-credentials/app",
            ])
        #expect(transport.requests[0].headers["X-aws-ec2-metadata-token-ttl-seconds"] == "21600")
        #expect(transport.requests.allSatisfy { $0.timeout == .seconds(1) })
        let refusing = ScriptedTransport([.success(.json("", status: 403))])
        #expect(await Self.message([:], refusing).contains("gives no token (HTTP 403)"))
        #expect(refusing.requests.count == 1)
    }

    @Test func metadataElsewhereOrSwitchedOff() async throws {
        let ipv6 = Self.instance()
        _ = try await Self.resolve(["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"], ipv6)
        #expect(ipv6.requests.first?.url.host == "[fd00:ec2::254]")
        let given = Self.instance()
        _ = try await Self.resolve(["AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1338/"], given)
        #expect(given.requests.first?.url.description == "http://127.0.0.1:1338")
        let off = Self.instance()
        #expect(await Self.message(["AWS_EC2_METADATA_DISABLED": "True"], off).contains("switched off"))
        #expect(off.requests.isEmpty)
    }

    @Test func metadataThatStumblesIsAskedAgainAndThatFailsIsAnError() async throws {
        let instance = Self.instance()
        let stumbling = ScriptedTransport { (request, number) throws(TransportError) in
            if number == 1 { throw TransportError(.timedOut, "no answer", requestWasSent: true) }
            if number == 3 { return .json("", status: 503) }
            return try await instance.send(request)
        }
        let time = VirtualTime()
        #expect(try await Self.resolve([:], stumbling, time: time) == Self.role)
        #expect(time.sleeps == [.milliseconds(200), .milliseconds(200)])
        let noRole = ScriptedTransport { (request, _) throws(TransportError) in
            request.method == "PUT" ? .json("T") : .json("", status: 404)
        }
        #expect(await Self.message([:], noRole).contains("the instance has no role"))
        let failing = ScriptedTransport { (request, number) throws(TransportError) in
            if number < 3 { return .json("app") }
            return .json("{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"SecretAccessKey\":\"rolesecret\"}")
        }
        let message = await Self.message([:], failing)
        #expect(
            message
                == "instance metadata at 169.254.169.254 failed: instance metadata at 169.254.169.254 has no "
                + "credentials: AssumeRoleUnauthorizedAccess")
    }

    @Test(
        "Metadata that is garbled is an error without what it said",
        arguments: ["", "rolesecret", "{}", "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"\"}", "[\"rolesecret\"]"])
    func garbled(_ body: String) async {
        let transport = ScriptedTransport { (_, number) throws(TransportError) in .json(number < 3 ? "app" : body) }
        let message = await Self.message([:], transport)
        #expect(message.hasPrefix("instance metadata"))
        #expect(!message.contains("rolesecret"))
    }

    @Test func aContainersEndpointIsAskedWithItsToken() async throws {
        let transport = ScriptedTransport([.success(.json(Self.document))])
        let relative = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1?a=b"]
        #expect(try await Self.resolve(relative, transport) == Self.role)
        let full = [
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "old", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/token",
        ]
        #expect(try await Self.resolve(full, files: ["/token": "Bearer t\n"], transport) == Self.role)
        #expect(
            transport.requests.map { "\($0.url)\($0.path)" } == [
                "http://169.254.170.2/v2/credentials/1?a=b", "http://169.254.170.23/v1/credentials",
            ])
        #expect(transport.requests.map { $0.headers["Authorization"] } == [nil, "Bearer t"])
        #expect(await Self.message(full, transport) == "there is no token file /token")
        #expect(await Self.message(full, files: ["/token": "a\nb"], transport).contains("line break"))
    }

    @Test(
        "Credentials are asked in the clear of this machine only",
        arguments: [
            ("http://localhost:1/x", true), ("http://127.0.0.1/x", true), ("http://127.8.9.10:80", true),
            ("http://[::1]:1/", true), ("http://169.254.170.2/x", true), ("http://[fd00:ec2::23]/x", true),
            ("https://example.com/x", true), ("http://example.com/x", false), ("http://127.0.0.1.evil.com/x", false),
            ("http://127.1/x", false), ("http://169.254.170.3/x", false), ("http://10.0.0.1/x", false),
            ("ftp://localhost/", false),
            ("localhost", false), ("http://user@localhost/x", false),
        ])
    func allowedHosts(_ uri: String, _ isAllowed: Bool) async {
        let transport = ScriptedTransport([.success(.json(Self.document))])
        let message = await Self.message(["AWS_CONTAINER_CREDENTIALS_FULL_URI": uri], transport)
        #expect(message.hasPrefix("found") == isAllowed, "\(message)")
        #expect(transport.requests.isEmpty != isAllowed)
    }

    @Test func aContainersEndpointThatFailsIsNotPassedOver() async {
        let transport = ScriptedTransport([.success(.json("rolesecret", status: 404))])
        let message = await Self.message(["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"], transport)
        #expect(
            message == "the container's credential endpoint at 169.254.170.2 answered HTTP 404: "
                + "has the task or pod a role?")
    }

    @Test func nothingFoundSaysWhatWasTriedAndWhatToDo() async {
        let message = await Self.message([:])
        #expect(
            message
                == "no AWS credentials: AWS_ACCESS_KEY_ID is not set; AWS_WEB_IDENTITY_TOKEN_FILE is not set; "
                + "no keys under [default] in "
                + "/home/me/.aws/credentials or /home/me/.aws/config; this is no container with a role; "
                + "instance metadata at 169.254.169.254 does not answer. Set AWS_ACCESS_KEY_ID and "
                + "AWS_SECRET_ACCESS_KEY, or name a profile with --profile or AWS_PROFILE")
        #expect(!message.contains("\n"))
    }
}
