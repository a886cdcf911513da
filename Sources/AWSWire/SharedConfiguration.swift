public import Machine

/// What the environment and the shared files say about where to go and as whom: the profile, its region and endpoints.
///
/// https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
/// A value: the files are read when it is made. Options of the command line come before all of it and are the caller's.
public struct SharedConfiguration: Sendable, CustomReflectable {
    /// The profile in use: the one asked for, `AWS_PROFILE`, or `default`.
    public let profile: String
    /// Somebody named the profile, so that it must exist.
    let isNamed: Bool
    private let host: any Host
    private let config: ProfileFile
    private let credentials: ProfileFile
    let configPath: String
    let credentialsPath: String

    private static let fileBytesMax = 1 << 20

    /// - Parameter profile: what the command line asks for; it wins over `AWS_PROFILE`.
    public init(host: any Host, profile: String? = nil) throws(AWSConfigurationError) {
        let named = profile ?? host.variable("AWS_PROFILE") ?? host.variable("AWS_DEFAULT_PROFILE")
        self.profile = named ?? "default"
        isNamed = named != nil
        self.host = host
        configPath = host.path(host.variable("AWS_CONFIG_FILE") ?? "~/.aws/config")
        credentialsPath = host.path(host.variable("AWS_SHARED_CREDENTIALS_FILE") ?? "~/.aws/credentials")
        do throws(HostError) {
            config = try host.readFile(configPath, bytesMax: Self.fileBytesMax).map { ProfileFile($0) } ?? ProfileFile()
            credentials =
                try host.readFile(credentialsPath, bytesMax: Self.fileBytesMax).map { ProfileFile($0) } ?? ProfileFile()
        } catch {
            throw AWSConfigurationError(error.message)
        }
    }

    /// Reflection shows which profile this is and nothing of the environment and the files, which hold secrets.
    public var customMirror: Mirror { Mirror(self, children: ["profile": profile]) }

    /// The profile stands in one of the files.
    public var profileExists: Bool { exists(profile) }

    func exists(_ profile: String) -> Bool { configSection(profile) != nil || credentials[profile] != nil }

    /// `[profile x]`, but `[default]` for the default one, which may also be written the long way.
    private func configSection(_ profile: String) -> [String: ProfileFile.Property]? {
        config["profile \(profile)"] ?? (profile == "default" ? config["default"] : nil)
    }

    /// A property of the profile in use, or of another one; the credentials file wins over the configuration file.
    func property(_ name: String, of profile: String? = nil) -> String? {
        let profile = profile ?? self.profile
        let value = credentials[profile]?[name]?.value ?? configSection(profile)?[name]?.value
        return value?.isEmpty == false ? value : nil
    }

    func standsInCredentialsFile(_ name: String, of profile: String) -> Bool {
        credentials[profile]?[name]?.value.isEmpty == false
    }

    func hasSSOSession(_ session: String) -> Bool { config["sso-session \(session)"] != nil }

    func ssoProperty(_ name: String, of session: String) -> String? {
        let value = config["sso-session \(session)"]?[name]?.value
        return value?.isEmpty == false ? value : nil
    }

    /// The encoding that the environment asks for: JSON where CBOR is switched off by the names that Java's SDKs have
    /// for it, `CBOR_ENABLED=false`, `AWS_CBOR_DISABLED=true` or, in the first of them, `AWS_CBOR_DISABLE`; `nil` where
    /// it says nothing.
    ///
    /// https://docs.aws.amazon.com/sdk-for-java/latest/developer-guide/migration-env-and-system-props.html
    public var encoding: WireEncoding? {
        let isOff =
            host.variable("CBOR_ENABLED")?.lowercased() == "false"
            || ["AWS_CBOR_DISABLED", "AWS_CBOR_DISABLE"].contains { name in
                host.variable(name).map { !["false", "0"].contains($0.lowercased()) } ?? false
            }
        return isOff ? .json : nil
    }

    /// The global STS endpoint is asked for where there is a choice.
    var isSTSLegacy: Bool {
        let choice = host.variable("AWS_STS_REGIONAL_ENDPOINTS") ?? property("sts_regional_endpoints")
        return choice?.lowercased() == "legacy"
    }

    /// The error of a profile that somebody named and nobody wrote.
    func requireProfile() throws(AWSConfigurationError) {
        if isNamed, !profileExists {
            throw AWSConfigurationError(
                "the profile \(profile) stands neither in \(configPath) nor in \(credentialsPath)")
        }
    }

    /// `AWS_REGION`, `AWS_DEFAULT_REGION` or the profile's; `nil` where none is set.
    public func regionIfSet() throws(AWSConfigurationError) -> String? {
        if let region = host.variable("AWS_REGION") { return try Self.checked(region: region, from: "AWS_REGION") }
        if let region = host.variable("AWS_DEFAULT_REGION") {
            return try Self.checked(region: region, from: "AWS_DEFAULT_REGION")
        }
        try requireProfile()
        return try property("region").map { (region) throws(AWSConfigurationError) in
            try Self.checked(region: region, from: "the profile \(profile)")
        }
    }

    /// The whole default region chain: `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile's, then the one that the EC2
    /// instance runs in; or the error that says how to set one.
    ///
    /// https://docs.aws.amazon.com/sdkref/latest/guide/feature-region.html
    public func region(
        transport: any Transport, time: TimeSource
    ) async throws(AWSConfigurationError) -> String {
        if let region = try regionIfSet() { return region }
        let found: String?
        do throws(CredentialError) {
            found = try await InstanceCredentials(host: host, transport: transport, time: time).region()
        } catch {
            throw AWSConfigurationError("no region is set, and \(error.message)")
        }
        guard let found else { return try region() }
        return try Self.checked(region: found, from: "instance metadata")
    }

    /// The region, or the error that says how to set one.
    public func region() throws(AWSConfigurationError) -> String {
        if let region = try regionIfSet() { return region }
        throw AWSConfigurationError(
            "no region: give --region, set AWS_REGION, or write one into the profile \(profile) in \(configPath)")
    }

    /// `region` if it can be part of a host name; `source` is where it was found.
    public static func checked(
        region: String, from source: String
    ) throws(AWSConfigurationError) -> String {
        let isName = region.utf8.allSatisfy {
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0
                || $0 == UInt8(ascii: "-")
        }
        guard isName, 1...40 ~= region.utf8.count, !region.hasPrefix("-"), !region.hasSuffix("-") else {
            throw AWSConfigurationError("the region in \(source) is no region name (such as us-east-1)")
        }
        return region
    }

    /// `AWS_ENDPOINT_URL_KINESIS` (`_DYNAMODB`), `AWS_ENDPOINT_URL`, the profile's `services` section, its
    /// `endpoint_url`; `nil` for the service's own endpoint.
    ///
    /// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    public func endpoint(for service: AWSService) throws(AWSConfigurationError) -> Endpoint? {
        try endpoint(ofService: service.rawValue)
    }

    /// - Parameter service: as it is called in a `services` section: `sts`, `sso_oidc`, `cloudwatch`.
    package func endpoint(ofService service: String) throws(AWSConfigurationError) -> Endpoint? {
        let ignores =
            host.variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") ?? property("ignore_configured_endpoint_urls")
        if ignores?.lowercased() == "true" { return nil }
        for name in ["AWS_ENDPOINT_URL_\(service.uppercased())", "AWS_ENDPOINT_URL"] {
            if let text = host.variable(name) { return try Self.checked(endpoint: text, from: name) }
        }
        if let services = property("services"),
            let text = config["services \(services)"]?[service]?.nested["endpoint_url"], !text.isEmpty
        {
            return try Self.checked(endpoint: text, from: "[services \(services)] in \(configPath)")
        }
        return try property("endpoint_url").map { (text) throws(AWSConfigurationError) in
            try Self.checked(endpoint: text, from: "the profile \(profile)")
        }
    }

    /// `text` as an endpoint; `source` is where it was found.
    public static func checked(
        endpoint text: String, from source: String
    ) throws(AWSConfigurationError) -> Endpoint {
        guard let endpoint = Endpoint(text) else {
            throw AWSConfigurationError(
                "the endpoint in \(source) is not http:// or https:// with a host and at most a port")
        }
        return endpoint
    }

    /// `AWS_CA_BUNDLE`, or the profile's `ca_bundle`.
    public var caBundle: String? { (host.variable("AWS_CA_BUNDLE") ?? property("ca_bundle")).map(host.path) }
}

/// A setting of the environment or of the shared files that makes no sense; says which, and never its value.
public struct AWSConfigurationError: Error, Hashable, CustomStringConvertible {
    public var message: String

    public init(_ message: String) { self.message = message }

    public var description: String { message }
}

extension Host {
    /// `path` with `~` replaced by the home directory.
    func path(_ path: String) -> String {
        guard let homeDirectory, path == "~" || path.hasPrefix("~/") else { return path }
        return homeDirectory + path.dropFirst()
    }
}
