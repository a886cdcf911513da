import AWSWire
import CurlTransport
import Machine
import Testing

/// The chain over real sockets and the real clock: what the scripted tests assume of libcurl holds.
@Suite struct MetadataLoopbackTests {
    @Test func anInstancesRoleIsFoundOverASocket() async throws {
        let server = LoopbackServer { connection in
            while let request = connection.readRequest() {
                let isAllowed = request.header("X-aws-ec2-metadata-token") == "T0K3N"
                switch request.line {
                case "PUT /latest/api/token HTTP/1.1": connection.answer("T0K3N")
                case "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1" where isAllowed:
                    connection.answer("app")
                case "GET /latest/meta-data/iam/security-credentials/app HTTP/1.1" where isAllowed:
                    connection.answer(CredentialChainTests.document)
                case "GET /latest/meta-data/placement/region HTTP/1.1" where isAllowed:
                    connection.answer("ap-northeast-3")
                default: connection.answer("", status: "401 Unauthorized")
                }
            }
        }
        defer { server.stop() }
        let host = ScriptedHost(environment: ["AWS_EC2_METADATA_SERVICE_ENDPOINT": server.endpoint.description])
        let provider = CredentialChain.standard()
            .provider(host: host, transport: CurlTransport(), time: .system, seed: 1)
        #expect(try await provider.credentials() == CredentialChainTests.role)
        let shared = try SharedConfiguration(host: host)
        #expect(try await shared.region(transport: CurlTransport(), time: .system) == "ap-northeast-3")
        #expect(server.connections == 2)
    }

    @Test func aContainersRoleIsFoundOverASocket() async throws {
        let server = LoopbackServer { connection in
            while let request = connection.readRequest() {
                let isAllowed = request.header("Authorization") == "token" && request.line == "GET /creds HTTP/1.1"
                connection.answer(
                    isAllowed ? CredentialChainTests.document : "", status: isAllowed ? "200 OK" : "401 No")
            }
        }
        defer { server.stop() }
        let host = ScriptedHost(environment: [
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "\(server.endpoint)/creds",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token",
        ])
        let provider = CredentialChain.standard()
            .provider(host: host, transport: CurlTransport(), time: .system, seed: 1)
        #expect(try await provider.credentials() == CredentialChainTests.role)
    }

    @Test func aWebIdentityBecomesARoleThatBecomesAnotherOverASocket() async throws {
        let server = LoopbackServer { connection in
            while let request = connection.readRequest() {
                let body = String(decoding: request.body, as: UTF8.self)
                let isSigned = request.header("Authorization")?.contains("Credential=ASIAROLE/") == true
                if body.hasPrefix("Action=AssumeRoleWithWebIdentity&"), request.header("Authorization") == nil {
                    connection.answer(CredentialRoleTests.answer("AssumeRoleWithWebIdentity").body.text)
                } else if body.hasPrefix("Action=AssumeRole&"), isSigned {
                    connection.answer(CredentialRoleTests.answer("AssumeRole", id: "ASIAOUTER").body.text)
                } else {
                    connection.answer("", status: "403 Forbidden")
                }
            }
        }
        defer { server.stop() }
        let host = ScriptedHost(
            environment: [
                "AWS_ENDPOINT_URL_STS": server.endpoint.description, "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
                "AWS_ROLE_ARN": CredentialRoleTests.arn, "AWS_REGION": "us-west-2",
            ], files: ["/token": "WebIdentityJWT"])
        let chain = CredentialChain([.assumeRole(.init(roleARN: "arn:aws:iam::1:role/outer", sessionName: "s"))])
        let provider = chain.provider(host: host, transport: CurlTransport(), time: .system, seed: 1)
        #expect(try await provider.credentials().accessKeyID == "ASIAOUTER")
    }

    @Test func aRefusedEndpointIsNamedInTheErrorOfACall() async throws {
        let port = LoopbackServer.freePort()
        let client = AWSClient(
            .kinesis, region: "us-east-1", endpoint: Endpoint(scheme: "http", host: "127.0.0.1", port: port),
            transport: CurlTransport(), credentials: StaticCredentials(accessKeyID: "a", secretAccessKey: "b"),
            time: .system, retry: .once, seed: 1)
        let error = try await #require(throws: AWSError.self) { try await client.call("ListStreams", [:]) }
        #expect(
            error.description
                == "Kinesis.ListStreams: connection refused by 127.0.0.1:\(port): is the endpoint right?")
        #expect(!error.mayHaveTakenEffect)
    }
}
