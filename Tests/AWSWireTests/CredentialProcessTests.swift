import Machine
import Synchronization
import Testing

@testable import AWSWire

@Suite struct CredentialProcessTests {
    static func bench(_ output: String, status: Int = 0, errors: String = "") -> Bench {
        Bench(
            files: ["/home/me/.aws/config": "[profile p]\ncredential_process = get --token ProcessSecretKey 'a b' # c"],
            chain: .standard(profile: "p"),
            command: { (_) throws(HostError) in
                CommandOutput(status: status, output: Array(output.utf8), errors: Array(errors.utf8))
            })
    }

    static let document = """
        {"Version": 1, "AccessKeyId": "ASIAPROC", "SecretAccessKey": "ProcessSecretKey",
         "SessionToken": "ProcessSessionToken", "Expiration": "2026-01-31T14:00:00+01:00"}
        """

    @Test func aProcessPrintsCredentialsThatMayExpire() async throws {
        let bench = Self.bench(Self.document)
        let host = bench.host
        #expect(
            try await bench.credentials(CredentialChainTests.silent, host)
                == Credentials(
                    accessKeyID: "ASIAPROC", secretAccessKey: "ProcessSecretKey", sessionToken: "ProcessSessionToken",
                    expiration: bench.time.wall + .seconds(3600)))
        #expect(
            host.log.commands.withLock { $0 } == [["/bin/sh", "-c", "get --token ProcessSecretKey 'a b'"]])
        let lasting = Self.bench("{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"ProcessSecretKey\"}")
        let found = try await lasting.credentials(CredentialChainTests.silent)
        #expect(found.sessionToken == nil)
        #expect(found.expiration == nil)
    }

    @Test func aProcessIsRunAgainBeforeItsCredentialsExpire() async throws {
        let bench = Self.bench(Self.document)
        let host = bench.host
        let provider = bench.chain.provider(
            host: host, transport: CredentialChainTests.silent, time: bench.time.source, seed: 1)
        for _ in 0..<3 { _ = try await provider.credentials() }
        #expect(host.log.commands.withLock { $0.count } == 1)
        bench.time.advance(by: .seconds(3600 - 300))
        _ = try await provider.credentials()
        #expect(host.log.commands.withLock { $0.count } == 2)
    }

    @Test(
        "A process that prints no credentials is named, and what it prints is not",
        arguments: [
            ("", "something that is not JSON"), ("ProcessSecretKey", "something that is not JSON"),
            ("{\"SecretAccessKey\":\"ProcessSecretKey\"}", "no document with \"Version\": 1"),
            ("{\"Version\":2,\"SecretAccessKey\":\"ProcessSecretKey\"}", "no document with \"Version\": 1"),
            ("{\"Version\":\"1\"}", "no document with \"Version\": 1"),
            ("{\"Version\":1,\"SecretAccessKey\":\"ProcessSecretKey\"}", "no AccessKeyId or no SecretAccessKey"),
            (
                "{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Expiration\":\"soon\"}",
                "an Expiration that is no time"
            ),
            (
                "{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Expiration\":\"2026-01-31T12:00Z\"}",
                "credentials that have expired already"
            ),
        ])
    func garbled(_ output: String, _ words: String) async {
        #expect(
            await Self.bench(output).failure(CredentialChainTests.silent)
                == "the credential_process of the profile p printed \(words)")
    }

    @Test func aProcessThatFailsIsQuotedByItsErrorOutput() async {
        let failing = Self.bench(
            Self.document, status: 3, errors: "no session:\n\u{1B}[31mrun login\tProcessSessionToken \n")
        #expect(
            await failing.failure(CredentialChainTests.silent)
                == "the credential_process of the profile p ended with exit code 3: no session: [31mrun login …")
        let killed = Self.bench("", status: 137)
        #expect(
            await killed.failure(CredentialChainTests.silent)
                == "the credential_process of the profile p was ended by signal 9")
        var refused = Self.bench("")
        refused.command = nil
        #expect(
            await refused.failure(CredentialChainTests.silent)
                == "the credential_process of the profile p failed: no commands are run here")
        let long = Self.bench("", status: 1, errors: String(repeating: "x", count: 10_000))
        #expect(await long.failure(CredentialChainTests.silent).count < 400)
    }
}
