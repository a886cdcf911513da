public import Machine

/// Where credentials are looked for, in order: the first source that is set up decides.
///
/// https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
/// A source that is not set up is passed over; one that is set up and fails is an error, because going on would sign
/// with somebody else's credentials.
public struct CredentialChain: Hashable, Sendable {
    public enum Source: Hashable, Sendable {
        /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
        case environment
        /// Static keys of a profile in the shared files; `nil` for `AWS_PROFILE` or `default`.
        case profile(String?)
        /// The endpoint that ECS and EKS give a container.
        case container
        /// EC2 instance metadata, version 2 only.
        case instanceMetadata
    }

    public var sources: [Source]

    public init(_ sources: [Source]) { self.sources = sources }

    /// The AWS CLI's order. A profile asked for on the command line comes before the environment's keys, as it does
    /// there.
    public static func standard(profile: String? = nil) -> CredentialChain {
        profile == nil
            ? CredentialChain([.environment, .profile(nil), .container, .instanceMetadata])
            : CredentialChain([.profile(profile)])
    }

    /// The chain at work: what it finds is kept, and renewed before it expires.
    ///
    /// - Parameter seed: of the jitter of the renewals.
    public func provider(
        host: any Host, transport: any Transport, time: TimeSource, seed: UInt64
    ) -> RefreshingCredentials {
        RefreshingCredentials(time: time, seed: seed) { () throws(CredentialError) in
            try await resolve(host: host, transport: transport, time: time)
        }
    }

    enum Finding: Sendable {
        case found(Credentials)
        /// Not set up; the words go into "no AWS credentials: …".
        case absent(String)
    }

    func resolve(host: any Host, transport: any Transport, time: TimeSource) async throws(CredentialError)
        -> Credentials
    {
        var tried: [String] = []
        for source in sources {
            let finding: Finding =
                switch source {
                case .environment: try Self.environment(host)
                case .profile(let name): try Self.profile(name, host)
                case .container:
                    try await ContainerCredentials(host: host, transport: transport, time: time).find()
                case .instanceMetadata:
                    try await InstanceCredentials(host: host, transport: transport, time: time).find()
                }
            switch finding {
            case .found(let credentials): return credentials
            case .absent(let why): tried.append(why)
            }
        }
        throw CredentialError(
            "no AWS credentials: \(tried.joined(separator: "; ")). Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                + "or name a profile with --profile or AWS_PROFILE")
    }

    private static func environment(_ host: any Host) throws(CredentialError) -> Finding {
        guard let id = host.variable("AWS_ACCESS_KEY_ID") else { return .absent("AWS_ACCESS_KEY_ID is not set") }
        guard let secret = host.variable("AWS_SECRET_ACCESS_KEY") else {
            throw CredentialError("AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not: set both or none")
        }
        return .found(
            Credentials(
                accessKeyID: id, secretAccessKey: secret,
                sessionToken: host.variable("AWS_SESSION_TOKEN") ?? host.variable("AWS_SECURITY_TOKEN")))
    }

    /// Ways of a profile that need more than its files.
    private static let unsupported = [
        "role_arn", "credential_process", "sso_session", "sso_start_url", "login_session", "web_identity_token_file",
    ]

    private static func profile(_ name: String?, _ host: any Host) throws(CredentialError) -> Finding {
        let shared: SharedConfiguration
        do throws(AWSConfigurationError) {
            shared = try SharedConfiguration(host: host, profile: name)
            try shared.requireProfile()
        } catch {
            throw CredentialError(error.message)
        }
        let way = unsupported.first { shared.property($0) != nil }
        // A role is assumed even where the profile has keys too; everything else gives way to keys.
        if way != "role_arn", let id = shared.property("aws_access_key_id") {
            guard let secret = shared.property("aws_secret_access_key") else {
                throw CredentialError(
                    "the profile \(shared.profile) has aws_access_key_id but no aws_secret_access_key: "
                        + "it must have both (\(shared.credentialsPath))")
            }
            return .found(
                Credentials(
                    accessKeyID: id, secretAccessKey: secret, sessionToken: shared.property("aws_session_token")))
        }
        if let way {
            throw CredentialError(
                "the profile \(shared.profile) gets its credentials by \(way), which shardtop does not do itself yet: "
                    + "run eval \"$(aws configure export-credentials --profile \(shared.profile) --format env)\" first")
        }
        if shared.isNamed {
            throw CredentialError(
                "the profile \(shared.profile) has no aws_access_key_id in \(shared.credentialsPath) "
                    + "or \(shared.configPath)")
        }
        return .absent("no keys under [default] in \(shared.credentialsPath) or \(shared.configPath)")
    }
}
