import Machine
import Synchronization

/// Whom the sources of a chain ask, and what they keep between renewals: the credentials that a role is assumed with
/// are often those of another role, and an SSO session's token serves many roles.
final class CredentialWorld: Sendable, CustomReflectable {
    let host: any Host
    let transport: any Transport
    let time: TimeSource
    private let state: Mutex<State>

    private struct State {
        var generator: SeededGenerator
        var kept: [Key: RefreshingCredentials] = [:]
        /// Renewed tokens of SSO sessions, by the path of their file.
        var tokens: [String: SSOToken] = [:]
        /// Roles that were assumed with an MFA code.
        var rolesWithCode: Set<String> = []
    }

    /// What credentials came from; a profile that is edited is another one.
    enum Key: Hashable, Sendable {
        case profile(ProfileWay)
        case chain(CredentialChain)
    }

    init(host: any Host, transport: any Transport, time: TimeSource, seed: UInt64) {
        self.host = host
        self.transport = transport
        self.time = time
        state = Mutex(State(generator: SeededGenerator(seed: seed)))
    }

    /// Reflection would show what the host knows.
    var customMirror: Mirror { Mirror(self, children: [:]) }

    func find(_ source: CredentialChain.Source) async throws(CredentialError) -> CredentialChain.Finding {
        switch source {
        case .environment: try environment()
        case .webIdentityToken: try await webIdentityToken()
        case .profile(let name): try await profile(name)
        case .container: try await ContainerCredentials(host: host, transport: transport, time: time).find()
        case .instanceMetadata: try await InstanceCredentials(host: host, transport: transport, time: time).find()
        case .assumeRole(let role): .found(try await assume(role))
        case .anonymous: .found(.anonymous)
        }
    }

    /// The credentials under `key`, renewed in time; there is one renewal at a time of each.
    func kept(
        _ key: Key, fetch: @escaping @Sendable (CredentialWorld) async throws(CredentialError) -> Credentials
    ) -> RefreshingCredentials {
        state.withLock { state in
            if let provider = state.kept[key] { return provider }
            // Whoever asks holds the world; the world need not hold itself.
            let provider = RefreshingCredentials(time: time, seed: state.generator.next()) {
                [weak self] () throws(CredentialError) in
                guard let self else { throw CredentialError("cancelled") }
                return try await fetch(self)
            }
            state.kept[key] = provider
            return provider
        }
    }

    func token(at path: String) -> SSOToken? { state.withLock { $0.tokens[path] } }

    func keep(_ token: SSOToken?, at path: String) { state.withLock { $0.tokens[path] = token } }

    func splitGenerator() -> SeededGenerator { state.withLock { $0.generator.split() } }

    func sharedConfiguration(profile: String? = nil) throws(CredentialError) -> SharedConfiguration {
        do throws(AWSConfigurationError) { return try SharedConfiguration(host: host, profile: profile) } catch {
            throw CredentialError(error.message)
        }
    }

    private func environment() throws(CredentialError) -> CredentialChain.Finding {
        guard let id = host.variable("AWS_ACCESS_KEY_ID") else { return .absent("AWS_ACCESS_KEY_ID is not set") }
        guard let secret = host.variable("AWS_SECRET_ACCESS_KEY") else {
            throw CredentialError("AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not: set both or none")
        }
        return .found(
            Credentials(
                accessKeyID: id, secretAccessKey: secret,
                sessionToken: host.variable("AWS_SESSION_TOKEN") ?? host.variable("AWS_SECURITY_TOKEN")))
    }

    private func webIdentityToken() async throws(CredentialError) -> CredentialChain.Finding {
        guard let file = host.variable("AWS_WEB_IDENTITY_TOKEN_FILE") else {
            return .absent("AWS_WEB_IDENTITY_TOKEN_FILE is not set")
        }
        guard let arn = host.variable("AWS_ROLE_ARN") else {
            throw CredentialError("AWS_WEB_IDENTITY_TOKEN_FILE is set but AWS_ROLE_ARN is not: set both or none")
        }
        let identity = WebIdentity(
            roleARN: arn, tokenFile: file, sessionName: host.variable("AWS_ROLE_SESSION_NAME"), durationSeconds: nil)
        return .found(try await assume(identity, sharedConfiguration()))
    }

    private func profile(_ name: String?) async throws(CredentialError) -> CredentialChain.Finding {
        let shared = try sharedConfiguration(profile: name)
        do throws(AWSConfigurationError) { try shared.requireProfile() } catch { throw CredentialError(error.message) }
        guard let way = try shared.credentialWay() else {
            return .absent(
                shared.isNamed
                    ? "the profile \(shared.profile) has no aws_access_key_id, role_arn, credential_process or SSO "
                        + "role in \(shared.credentialsPath) or \(shared.configPath)"
                    : "no keys under [default] in \(shared.credentialsPath) or \(shared.configPath)")
        }
        return .found(try await go(way, shared))
    }

    /// Goes the way of a profile; `shared` has the settings of the profile that was asked for, whoever's way it is.
    private func go(_ way: ProfileWay, _ shared: SharedConfiguration) async throws(CredentialError) -> Credentials {
        switch way {
        case .keys(let credentials): credentials
        case .role(let role): try await assume(role, shared)
        case .webIdentity(let identity): try await assume(identity, shared)
        case .sso(let profile): try await credentials(of: profile, shared)
        case .process(let command, let profile): try await run(command, of: profile)
        }
    }

    private func assume(_ role: ProfileRole, _ shared: SharedConfiguration) async throws(CredentialError) -> Credentials
    {
        let base: any CredentialProvider =
            switch role.source {
            case .way(.keys(let credentials)): StaticCredentials(credentials)
            case .way(let way):
                kept(.profile(way)) { (world) throws(CredentialError) in try await world.go(way, shared) }
            case .named(let source):
                kept(.chain(CredentialChain([source]))) { (world) throws(CredentialError) in
                    switch try await world.find(source) {
                    case .found(let credentials): return credentials
                    case .absent(let why):
                        throw CredentialError("the credential_source of the profile \(role.profile) has none: \(why)")
                    }
                }
            }
        let request = RoleRequest(
            roleARN: role.roleARN, sessionName: role.sessionName ?? defaultSessionName, externalID: role.externalID,
            durationSeconds: role.durationSeconds, mfaSerial: role.mfaSerial, profile: role.profile)
        return try await assume(request, base: base, tokenService(shared))
    }

    private func assume(_ role: CredentialChain.AssumeRole) async throws(CredentialError) -> Credentials {
        let service = try tokenService(sharedConfiguration(), region: role.region, endpoint: role.endpoint)
        let base = kept(.chain(role.base)) { (world) throws(CredentialError) in
            try await role.base.resolve(in: world)
        }
        let request = RoleRequest(
            roleARN: role.roleARN, sessionName: role.sessionName, externalID: role.externalID, durationSeconds: nil,
            mfaSerial: nil, profile: nil)
        return try await assume(request, base: base, service)
    }

    private var defaultSessionName: String { "shardtop-\(time.wallClock().milliseconds / 1000)" }

    /// Exchanges a web identity token, which is read each time, because it is rotated.
    private func assume(
        _ identity: WebIdentity, _ shared: SharedConfiguration
    ) async throws(CredentialError) -> Credentials {
        let path = host.path(identity.tokenFile)
        let bytes: [UInt8]?
        do { bytes = try host.readFile(path, bytesMax: 64 << 10) } catch { throw CredentialError(error.message) }
        guard let bytes else { throw CredentialError("there is no web identity token file \(path)") }
        let token = String(decoding: bytes, as: UTF8.self).trimmed
        guard !token.isEmpty else { throw CredentialError("the web identity token file \(path) is empty") }
        return try await tokenService(shared).assumeRole(
            identity.roleARN, sessionName: identity.sessionName ?? defaultSessionName, webIdentityToken: token,
            durationSeconds: identity.durationSeconds)
    }

    private func tokenService(
        _ shared: SharedConfiguration, region: String? = nil, endpoint: Endpoint? = nil
    ) throws(CredentialError) -> SecurityTokenService {
        do throws(AWSConfigurationError) {
            return try SecurityTokenService(
                shared, transport: transport, time: time, region: region, endpoint: endpoint,
                generator: splitGenerator())
        } catch {
            throw CredentialError(error.message)
        }
    }

    /// Asks for an MFA code where one is needed, then for the role; base credentials that turn out to be stale are
    /// renewed once.
    private func assume(
        _ role: RoleRequest, base: any CredentialProvider, _ service: SecurityTokenService
    ) async throws(CredentialError) -> Credentials {
        let key = try await base.credentials()
        let code = try await mfaCode(role)
        do throws(AWSError) {
            let credentials = try await service.assumeRole(role, mfaCode: code, credentials: key)
            if code != nil { state.withLock { _ = $0.rolesWithCode.insert(role.roleARN) } }
            return credentials
        } catch {
            guard error.credentialsMayBeRenewed, code == nil else { throw Self.failure(role, error) }
            base.rejected(key)
            let renewed = try await base.credentials()
            guard renewed != key else { throw Self.failure(role, error) }
            do throws(AWSError) {
                return try await service.assumeRole(role, mfaCode: nil, credentials: renewed)
            } catch {
                throw Self.failure(role, error)
            }
        }
    }

    private static func failure(_ role: RoleRequest, _ error: AWSError) -> CredentialError {
        let whose = role.profile.map { " of the profile \($0)" } ?? ""
        return CredentialError("the role \(role.roleARN)\(whose) cannot be assumed: \(error)")
    }

    /// Asks once: at a renewal, hours later, nobody may be there, and a screen may be where the question would stand.
    private func mfaCode(_ role: RoleRequest) async throws(CredentialError) -> String? {
        guard let serial = role.mfaSerial else { return nil }
        let whose = role.profile.map { "the profile \($0)" } ?? "the role"
        guard !state.withLock({ $0.rolesWithCode.contains(role.roleARN) }) else {
            throw CredentialError(
                "\(whose) cannot renew its credentials without another MFA code: start again, "
                    + "and set duration_seconds in the profile for a longer session")
        }
        let answer: String?
        do throws(HostError) { answer = try await host.prompt("MFA code for \(serial): ") } catch {
            throw CredentialError("\(whose) needs an MFA code: \(error.message)")
        }
        guard let answer else {
            throw CredentialError(
                "\(whose) needs an MFA code for \(serial), and there is no terminal to ask for it on: "
                    + "run eval \"$(aws configure export-credentials\(role.profile.map { " --profile \($0)" } ?? "") "
                    + "--format env)\" first, or use a profile without mfa_serial")
        }
        let code = answer.trimmed
        guard code.utf8.count == 6, code.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
            throw CredentialError("\(whose) needs an MFA code of six digits for \(serial), and none was given")
        }
        return code
    }
}
