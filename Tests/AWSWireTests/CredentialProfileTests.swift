import Testing

@testable import AWSWire

/// What the files say about a profile, by the rules of the AWS CLI.
@Suite struct CredentialProfileTests {
    static func way(
        _ profile: String, config: String, credentials: String = ""
    ) throws -> ProfileWay? {
        let host = ScriptedHost(files: ["/home/me/.aws/config": config, "/home/me/.aws/credentials": credentials])
        return try SharedConfiguration(host: host, profile: profile).credentialWay()
    }

    static func failure(_ profile: String, config: String, credentials: String = "") throws -> String {
        let error = try #require(throws: CredentialError.self) {
            try way(profile, config: config, credentials: credentials)
        }
        Bench.check(error.message)
        return error.message
    }

    static let keys = "aws_access_key_id = A\naws_secret_access_key = BaseSecretKey\n"
    static let credentials = Credentials(accessKeyID: "A", secretAccessKey: "BaseSecretKey")

    @Test func theOrderOfTheWaysIsThatOfTheCLI() throws {
        let role = "role_arn = arn:r\nsource_profile = base\n"
        let base = "[profile base]\n\(Self.keys)"
        let sso = "sso_start_url = https://x\nsso_region = eu-west-1\nsso_account_id = 1\nsso_role_name = R\n"
        let process = "credential_process = cmd\n"
        let web = "web_identity_token_file = /t\n"
        func kind(_ config: String, _ credentials: String = "") throws -> String {
            switch try Self.way("p", config: "\(base)[profile p]\n\(config)", credentials: credentials) {
            case .keys: "keys"
            case .role: "role"
            case .webIdentity: "web"
            case .sso: "sso"
            case .process: "process"
            case nil: "none"
            }
        }
        let stored = "[p]\n\(Self.keys)"
        #expect(try kind(role + sso + process + Self.keys, stored) == "role")
        #expect(try kind(role + web + sso + process, stored) == "web")
        #expect(try kind(sso + process + Self.keys, stored) == "sso")
        #expect(try kind(process + Self.keys, stored) == "keys")
        #expect(try kind(process + Self.keys) == "process")
        #expect(try kind(Self.keys) == "keys")
        #expect(try kind("region = us-east-1") == "none")
    }

    @Test func aProfileThatIsItsOwnSourceUsesItsOwnKeys() throws {
        let config = "[profile p]\nrole_arn = arn:r\nsource_profile = p\n\(Self.keys)"
        let role = try #require(try Self.way("p", config: config))
        #expect(
            role
                == .role(
                    ProfileRole(profile: "p", roleARN: "arn:r", source: .way(.keys(Self.credentials)))))
        let message = try Self.failure("p", config: "[profile p]\nrole_arn = arn:r\nsource_profile = p")
        #expect(message.contains("p → p"))
    }

    @Test func aCircleOfSourcesIsAnErrorThatNamesIt() throws {
        let config = """
            [profile a]
            role_arn = arn:a
            source_profile = b
            [profile b]
            role_arn = arn:b
            source_profile = c
            [profile c]
            role_arn = arn:c
            source_profile = a
            """
        #expect(
            try Self.failure("a", config: config)
                == "the profiles a → b → c → a are each other's source_profile: one of them must have keys of its own")
        // Keys end the chain, also where the profile has a role.
        let ended = try #require(try Self.way("a", config: config, credentials: "[c]\n\(Self.keys)"))
        guard case .role(let outer) = ended, case .way(.role(let inner)) = outer.source else {
            Issue.record("\(ended)")
            return
        }
        #expect(inner.source == .way(.keys(Self.credentials)))
    }

    @Test(
        "What does not make sense is named",
        arguments: [
            ("role_arn = r", "neither source_profile nor credential_source"),
            ("role_arn = r\nsource_profile = x\ncredential_source = Environment", "both source_profile"),
            ("role_arn = r\nsource_profile = none", "the source_profile none of the profile p stands neither in"),
            ("role_arn = r\nsource_profile = hollow", "the source_profile hollow of the profile p has no credentials"),
            ("role_arn = r\ncredential_source = Magic", "none of Environment, Ec2InstanceMetadata and EcsContainer"),
            ("role_arn = r\nsource_profile = p\nduration_seconds = 60\n\(keys)", "no number from 900 to 43200"),
            ("role_arn = r\nsource_profile = p\nduration_seconds = 1h\n\(keys)", "no number from 900 to 43200"),
            ("web_identity_token_file = /t", "web_identity_token_file but no role_arn"),
            ("aws_access_key_id = A", "no aws_secret_access_key"),
            ("login_session = arn:x", "aws login"),
            ("sso_session = none\nsso_account_id = 1\nsso_role_name = R", "there is no [sso-session none]"),
            ("sso_session = s", "set up for SSO without sso_account_id, sso_role_name"),
            ("sso_account_id = 1", "without sso_start_url, sso_region, sso_role_name"),
            ("sso_session = s\nsso_region = eu-west-2\nsso_account_id = 1", "different values of sso_region"),
            ("sso_start_url = x\nsso_region = a.b/\nsso_account_id = 1\nsso_role_name = R", "is no region name"),
        ])
    func nonsense(_ lines: String, _ words: String) throws {
        let config = """
            [profile p]
            \(lines)
            [profile hollow]
            region = us-east-1
            [sso-session s]
            sso_start_url = https://x
            sso_region = eu-west-1
            [hollow2]
            \(Self.keys)
            """
        let message = try Self.failure("p", config: config)
        #expect(message.contains(words), "\(message)")
        #expect(message.contains("profile p"), "\(message)")
        // Without the word profile a section of the configuration file is no profile.
        #expect(try Self.way("hollow2", config: config) == nil)
    }
}
