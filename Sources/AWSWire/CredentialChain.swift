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
        /// The role `AWS_ROLE_ARN` for the token in the file `AWS_WEB_IDENTITY_TOKEN_FILE`: a pod with a service
        /// account.
        case webIdentityToken
        /// A profile in the shared files, whichever way it gets its credentials; `nil` for `AWS_PROFILE` or `default`.
        case profile(String?)
        /// The endpoint that ECS and EKS give a container.
        case container
        /// EC2 instance metadata, version 2 only.
        case instanceMetadata
        /// A role, with the credentials of another chain.
        case assumeRole(AssumeRole)
        /// Requests are not signed.
        case anonymous
    }

    /// A role that STS is asked for.
    public struct AssumeRole: Hashable, Sendable {
        public var roleARN: String
        /// 2 to 64 of the letters that IAM allows; it is seen in CloudTrail.
        public var sessionName: String
        public var externalID: String?
        /// Of the STS endpoint and of the signature; `nil` for the default region.
        public var region: String?
        /// `nil` for the configured endpoint of STS, or the region's own.
        public var endpoint: Endpoint?
        /// Whose credentials sign.
        public var base: CredentialChain

        public init(
            roleARN: String, sessionName: String, externalID: String? = nil, region: String? = nil,
            endpoint: Endpoint? = nil, base: CredentialChain = .standard()
        ) {
            self.roleARN = roleARN
            self.sessionName = sessionName
            self.externalID = externalID
            self.region = region
            self.endpoint = endpoint
            self.base = base
        }
    }

    public var sources: [Source]

    public init(_ sources: [Source]) { self.sources = sources }

    /// The order of the AWS CLI and the SDKs. A profile asked for on the command line comes before everything that the
    /// environment says, as it does there; `AWS_PROFILE` does not.
    public static func standard(profile: String? = nil) -> CredentialChain {
        profile == nil
            ? CredentialChain([.environment, .webIdentityToken, .profile(nil), .container, .instanceMetadata])
            : CredentialChain([.profile(profile), .container, .instanceMetadata])
    }

    /// The chain at work: what it finds is kept, and renewed before it expires.
    ///
    /// - Parameter seed: of the jitter of the renewals.
    public func provider(
        host: any Host, transport: any Transport, time: TimeSource, seed: UInt64
    ) -> RefreshingCredentials {
        let world = CredentialWorld(host: host, transport: transport, time: time, seed: seed &+ 1)
        return RefreshingCredentials(time: time, seed: seed) { () throws(CredentialError) in
            try await resolve(in: world)
        }
    }

    enum Finding: Sendable {
        case found(Credentials)
        /// Not set up; the words go into "no AWS credentials: …".
        case absent(String)
    }

    func resolve(in world: CredentialWorld) async throws(CredentialError) -> Credentials {
        var tried: [String] = []
        for source in sources {
            switch try await world.find(source) {
            case .found(let credentials): return credentials
            case .absent(let why): tried.append(why)
            }
        }
        throw CredentialError(
            "no AWS credentials: \(tried.joined(separator: "; ")). Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                + "or name a profile with --profile or AWS_PROFILE")
    }
}
