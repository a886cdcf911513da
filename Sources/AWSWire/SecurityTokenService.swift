import Machine

/// A role to assume, with everything that STS wants to know.
struct RoleRequest: Hashable, Sendable {
    var roleARN: String
    var sessionName: String
    var externalID: String?
    var durationSeconds: Int?
    var mfaSerial: String?
    /// Whose role it is, for errors.
    var profile: String?
}

/// The two operations of STS that give credentials, in AWS's query protocol.
///
/// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
/// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
struct SecurityTokenService: Sendable {
    let endpoint: Endpoint
    let region: String
    private let transport: any Transport
    private let time: TimeSource
    private let generator: SeededGenerator

    private static let attemptsMax = 3

    /// The configured endpoint, or the region's own. Without any region, or where the settings ask for the old way
    /// (`AWS_STS_REGIONAL_ENDPOINTS=legacy`), the global one, whose signatures are those of us-east-1.
    init(
        _ shared: SharedConfiguration, transport: any Transport, time: TimeSource, region: String?,
        endpoint: Endpoint?, generator: SeededGenerator
    ) throws(AWSConfigurationError) {
        self.transport = transport
        self.time = time
        self.generator = generator
        var configured = endpoint
        if configured == nil { configured = try shared.endpoint(ofService: "sts") }
        let named: String?
        if let region {
            named = try SharedConfiguration.checked(region: region, from: "the role's settings")
        } else {
            named = try shared.regionIfSet()
        }
        if let configured {
            self.endpoint = configured
            self.region = named ?? "us-east-1"
        } else if let named, region != nil || !(shared.isSTSLegacy && Self.legacyRegions.contains(named)) {
            self.endpoint = .aws(service: "sts", region: named)
            self.region = named
        } else {
            self.endpoint = Endpoint(scheme: "https", host: "sts.amazonaws.com")
            self.region = "us-east-1"
        }
    }

    /// https://docs.aws.amazon.com/sdkref/latest/guide/feature-sts-regionalized-endpoints.html
    private static let legacyRegions = [
        "ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "aws-global", "ca-central-1",
        "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1", "us-east-2",
        "us-west-1", "us-west-2",
    ]

    /// - Parameter credentials: what the request is signed with.
    func assumeRole(
        _ role: RoleRequest, mfaCode: String?, credentials: Credentials
    ) async throws(AWSError) -> Credentials {
        try await call(
            "AssumeRole",
            [
                ("RoleArn", role.roleARN), ("RoleSessionName", role.sessionName), ("ExternalId", role.externalID),
                ("DurationSeconds", role.durationSeconds.map { "\($0)" }), ("SerialNumber", role.mfaSerial),
                ("TokenCode", mfaCode),
            ],
            signedWith: credentials, secrets: [mfaCode],
            // A code is good for one attempt.
            attemptsMax: mfaCode == nil ? Self.attemptsMax : 1)
    }

    func assumeRole(
        _ roleARN: String, sessionName: String, webIdentityToken: String, durationSeconds: Int?
    ) async throws(CredentialError) -> Credentials {
        do throws(AWSError) {
            return try await call(
                "AssumeRoleWithWebIdentity",
                [
                    ("RoleArn", roleARN), ("RoleSessionName", sessionName), ("WebIdentityToken", webIdentityToken),
                    ("DurationSeconds", durationSeconds.map { "\($0)" }),
                ], signedWith: nil, secrets: [webIdentityToken], attemptsMax: Self.attemptsMax)
        } catch {
            throw CredentialError("the role \(roleARN) cannot be assumed with the web identity token: \(error)")
        }
    }

    private func call(
        _ action: String, _ parameters: [(String, String?)], signedWith key: Credentials?, secrets: [String?],
        attemptsMax: Int
    ) async throws(AWSError) -> Credentials {
        let client = QueryClient(
            name: "STS", service: "sts", version: "2011-06-15", endpoint: endpoint, region: region,
            transport: transport, time: time)
        return try await client.call(
            action, parameters, signedWith: key, secrets: secrets, attemptsMax: attemptsMax, generator: generator
        ) { (answer) throws(AWSError) in
            guard let id = answer.text("AccessKeyId"), let secret = answer.text("SecretAccessKey"),
                let token = answer.text("SessionToken"), !id.isEmpty, !secret.isEmpty, !token.isEmpty,
                let expiration = answer.text("Expiration").flatMap({ CivilTime.parseISO8601($0) })
            else {
                throw client.malformed(action, "no AccessKeyId, SecretAccessKey, SessionToken and Expiration")
            }
            return Credentials(accessKeyID: id, secretAccessKey: secret, sessionToken: token, expiration: expiration)
        }
    }
}
