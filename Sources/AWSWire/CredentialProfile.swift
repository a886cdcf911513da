/// How a profile gets its credentials, as far as the shared files say: whom to ask for what.
indirect enum ProfileWay: Hashable, Sendable {
    case keys(Credentials)
    case role(ProfileRole)
    case webIdentity(WebIdentity)
    case sso(SSOProfile)
    case process(String, profile: String)
}

struct ProfileRole: Hashable, Sendable {
    enum Source: Hashable, Sendable {
        /// `source_profile`
        case way(ProfileWay)
        /// `credential_source`
        case named(CredentialChain.Source)
    }

    var profile: String
    var roleARN: String
    var sessionName: String?
    var externalID: String?
    var mfaSerial: String?
    var durationSeconds: Int?
    var source: Source
}

/// A role for whoever holds the token in a file.
struct WebIdentity: Hashable, Sendable {
    var roleARN: String
    var tokenFile: String
    var sessionName: String?
    var durationSeconds: Int?
}

/// A role in an account for whoever is signed in at an IAM Identity Center.
struct SSOProfile: Hashable, Sendable {
    var profile: String
    /// `nil` in the older form, where the profile itself has the start URL.
    var session: String?
    var startURL: String
    var region: String
    var accountID: String
    var roleName: String

    /// What the user runs to sign in.
    var loginCommand: String {
        let (option, name) = session.map { ("--sso-session", $0) } ?? ("--profile", profile)
        return "aws sso login \(option) \(name.contains { $0.isWhitespace } ? "\"\(name)\"" : name)"
    }
}

extension SharedConfiguration {
    /// The way of the profile in use; `nil` where it has none. The order among several is that of the AWS CLI: a role,
    /// a web identity, SSO, keys in the credentials file, a process, keys in the configuration file.
    ///
    /// https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html
    func credentialWay() throws(CredentialError) -> ProfileWay? {
        if let role = try role(of: profile, visited: [profile]) { return .role(role) }
        return try wayWithoutRole(of: profile)
    }

    /// - Parameter visited: the profiles that lead here, this one last.
    private func role(of profile: String, visited: [String]) throws(CredentialError) -> ProfileRole? {
        guard let arn = property("role_arn", of: profile), property("web_identity_token_file", of: profile) == nil
        else { return nil }
        let source: ProfileRole.Source
        switch (property("source_profile", of: profile), property("credential_source", of: profile)) {
        case (nil, nil):
            throw CredentialError(
                "the profile \(profile) has role_arn but neither source_profile nor credential_source")
        case (.some, .some):
            throw CredentialError(
                "the profile \(profile) has both source_profile and credential_source: it must have one of them")
        case (let name?, nil): source = .way(try self.source(name, of: profile, visited: visited))
        case (nil, let name?): source = .named(try Self.source(name, of: profile))
        }
        return ProfileRole(
            profile: profile, roleARN: arn, sessionName: property("role_session_name", of: profile),
            externalID: property("external_id", of: profile), mfaSerial: property("mfa_serial", of: profile),
            durationSeconds: try durationSeconds(of: profile), source: source)
    }

    private static func source(
        _ name: String, of profile: String
    ) throws(CredentialError) -> CredentialChain.Source {
        switch name.lowercased() {
        case "environment": return .environment
        case "ec2instancemetadata": return .instanceMetadata
        case "ecscontainer": return .container
        default:
            throw CredentialError(
                "the credential_source of the profile \(profile) is none of Environment, Ec2InstanceMetadata "
                    + "and EcsContainer")
        }
    }

    /// A source with keys is its keys, also where it has a role, and only so may a profile be its own source.
    private func source(
        _ name: String, of profile: String, visited: [String]
    ) throws(CredentialError) -> ProfileWay {
        guard exists(name) else {
            throw CredentialError(
                "the source_profile \(name) of the profile \(profile) stands neither in \(configPath) nor in "
                    + credentialsPath)
        }
        if name == profile, let keys = try keys(of: name) { return .keys(keys) }
        guard !visited.contains(name) else {
            throw CredentialError(
                "the profiles \((visited + [name]).joined(separator: " → ")) are each other's source_profile: "
                    + "one of them must have keys of its own")
        }
        if !hasKeys(name), let role = try role(of: name, visited: visited + [name]) { return .role(role) }
        guard let way = try wayWithoutRole(of: name) else {
            throw CredentialError("the source_profile \(name) of the profile \(profile) has no credentials")
        }
        return way
    }

    private func wayWithoutRole(of profile: String) throws(CredentialError) -> ProfileWay? {
        if let file = property("web_identity_token_file", of: profile) {
            guard let arn = property("role_arn", of: profile) else {
                throw CredentialError("the profile \(profile) has web_identity_token_file but no role_arn")
            }
            return .webIdentity(
                WebIdentity(
                    roleARN: arn, tokenFile: file, sessionName: property("role_session_name", of: profile),
                    durationSeconds: try durationSeconds(of: profile)))
        }
        if property("sso_account_id", of: profile) != nil || property("sso_role_name", of: profile) != nil {
            return .sso(try ssoProfile(profile))
        }
        if let keys = try keys(of: profile, inCredentialsFile: true) { return .keys(keys) }
        if property("login_session", of: profile) != nil {
            throw CredentialError(
                "the profile \(profile) gets its credentials by aws login, which shardtop does not do itself: "
                    + "run eval \"$(aws configure export-credentials --profile \(profile) --format env)\" first")
        }
        if let command = property("credential_process", of: profile) { return .process(command, profile: profile) }
        if let keys = try keys(of: profile) { return .keys(keys) }
        if property("sso_session", of: profile) != nil || property("sso_start_url", of: profile) != nil {
            return .sso(try ssoProfile(profile))
        }
        return nil
    }

    private func hasKeys(_ profile: String) -> Bool {
        property("aws_access_key_id", of: profile) != nil || property("aws_secret_access_key", of: profile) != nil
    }

    /// - Parameter inCredentialsFile: `nil` where they are not there, wherever else they are.
    private func keys(of profile: String, inCredentialsFile: Bool = false) throws(CredentialError) -> Credentials? {
        if inCredentialsFile, !standsInCredentialsFile("aws_access_key_id", of: profile) { return nil }
        guard let id = property("aws_access_key_id", of: profile) else { return nil }
        guard let secret = property("aws_secret_access_key", of: profile) else {
            throw CredentialError(
                "the profile \(profile) has aws_access_key_id but no aws_secret_access_key: "
                    + "it must have both (\(inCredentialsFile ? credentialsPath : configPath))")
        }
        return Credentials(
            accessKeyID: id, secretAccessKey: secret, sessionToken: property("aws_session_token", of: profile))
    }

    /// What IAM allows a role's session: 15 minutes to 12 hours.
    private func durationSeconds(of profile: String) throws(CredentialError) -> Int? {
        guard let text = property("duration_seconds", of: profile) else { return nil }
        guard let seconds = Int(text), 900...43_200 ~= seconds else {
            throw CredentialError("duration_seconds of the profile \(profile) is no number from 900 to 43200")
        }
        return seconds
    }

    private func ssoProfile(_ profile: String) throws(CredentialError) -> SSOProfile {
        let session = property("sso_session", of: profile)
        var settings: [String: String] = [:]
        for name in ["sso_start_url", "sso_region", "sso_account_id", "sso_role_name"] {
            settings[name] = property(name, of: profile)
        }
        if let session {
            guard hasSSOSession(session) else {
                throw CredentialError(
                    "there is no [sso-session \(session)] in \(configPath), which the profile \(profile) names")
            }
            for name in ["sso_start_url", "sso_region"] {
                let value = ssoProperty(name, of: session)
                if let value, let own = settings[name], own != value {
                    throw CredentialError(
                        "the profile \(profile) and [sso-session \(session)] have different values of \(name)")
                }
                settings[name] = value
            }
        }
        let missing = ["sso_start_url", "sso_region", "sso_account_id", "sso_role_name"].filter { settings[$0] == nil }
        guard let startURL = settings["sso_start_url"], let region = settings["sso_region"],
            let accountID = settings["sso_account_id"], let roleName = settings["sso_role_name"]
        else {
            throw CredentialError(
                "the profile \(profile) is set up for SSO without \(missing.joined(separator: ", "))")
        }
        do throws(AWSConfigurationError) {
            return SSOProfile(
                profile: profile, session: session, startURL: startURL,
                region: try Self.checked(region: region, from: "sso_region of the profile \(profile)"),
                accountID: accountID, roleName: roleName)
        } catch {
            throw CredentialError(error.message)
        }
    }
}
