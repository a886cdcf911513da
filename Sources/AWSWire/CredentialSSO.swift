import Crypto
import Machine

/// What `aws sso login` left in `~/.aws/sso/cache`: the user's token and what renews it. Never printed.
struct SSOToken: Hashable, Sendable, CustomReflectable {
    /// The whole file, so that a renewal keeps what it does not know.
    private(set) var document: AWSValue
    private(set) var accessToken: String
    private(set) var expiration: UnixTime

    /// `nil` for a file that is none.
    init?(_ document: AWSValue) {
        guard let token = document["accessToken"]?.string, !token.isEmpty,
            let expiration = document["expiresAt"]?.string.flatMap(Self.time)
        else { return nil }
        self.document = document
        accessToken = token
        self.expiration = expiration
    }

    /// Old versions of the CLI wrote `2020-01-01T00:00:00UTC`.
    private static func time(_ text: String) -> UnixTime? {
        CivilTime.parseISO8601(text.hasSuffix("UTC") ? text.dropLast(3) + "Z" : text)
    }

    struct Renewal {
        var clientID: String
        var clientSecret: String
        var refreshToken: String
    }

    /// What a renewal takes; `nil` where the file has not all of it, or the registration of the client has expired.
    func renewal(at now: UnixTime) -> Renewal? {
        guard let id = document["clientId"]?.string, let secret = document["clientSecret"]?.string,
            let token = document["refreshToken"]?.string,
            let registered = document["registrationExpiresAt"]?.string.flatMap(Self.time), registered > now
        else { return nil }
        return Renewal(clientID: id, clientSecret: secret, refreshToken: token)
    }

    /// The token after CreateToken answered `answer`; `nil` where that is no answer.
    func renewed(by answer: AWSValue, at now: UnixTime) -> SSOToken? {
        guard let token = answer["accessToken"]?.string, let seconds = answer["expiresIn"]?.int,
            1...31_536_000 ~= seconds
        else { return nil }
        var document = document
        document["accessToken"] = .string(token)
        document["expiresAt"] = .string(Self.text(now + .seconds(seconds)))
        if let refreshToken = answer["refreshToken"]?.string { document["refreshToken"] = .string(refreshToken) }
        return SSOToken(document)
    }

    /// `2026-01-31T12:00:00Z`, as every SDK reads it.
    private static func text(_ time: UnixTime) -> String {
        CivilTime(time).iso8601.prefix { $0 != "." } + "Z"
    }

    var secrets: [String?] {
        [accessToken] + ["clientSecret", "refreshToken"].map { document[$0]?.string }
    }

    var customMirror: Mirror { Mirror(self, children: ["expiration": expiration]) }
}

/// IAM Identity Center: a token for the user, credentials for a role of theirs.
///
/// https://docs.aws.amazon.com/sdkref/latest/guide/feature-sso-credentials.html
/// https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html
extension CredentialWorld {
    /// A token is renewed this long before it expires, as the AWS CLI does.
    private static let renewAhead = Duration.seconds(15 * 60)
    private static let attemptTimeout = Duration.seconds(10)

    func credentials(
        of profile: SSOProfile, _ shared: SharedConfiguration
    ) async throws(CredentialError) -> Credentials {
        let path = Self.tokenPath(of: profile, host)
        let token = try await validToken(of: profile, at: path, shared)
        let source = "IAM Identity Center in \(profile.region)"
        let query = "account_id=\(profile.accountID.formEncoded)&role_name=\(profile.roleName.formEncoded)"
        let response: Response
        do {
            response = try await service("portal.sso", "sso", profile, shared).send(
                "GET", "/federation/credentials?\(query)",
                headers: [Header("x-amz-sso_bearer_token", token.accessToken)], attempts: 3)
        } catch {
            throw CredentialError("\(source) does not answer: \(error)")
        }
        let body = (try? JSON.decode(response.body)) ?? .null
        if response.status == 401 {
            keep(nil, at: path)
            throw Self.signedOut(profile)
        }
        guard response.status == 200 else {
            let reason = Self.error(response, body, token.secrets)
            throw CredentialError(
                "\(source) gives no credentials for the role \(profile.roleName) in the account "
                    + "\(profile.accountID) (profile \(profile.profile)): \(reason)")
        }
        guard let role = body["roleCredentials"], let id = role["accessKeyId"]?.string,
            let secret = role["secretAccessKey"]?.string, let session = role["sessionToken"]?.string,
            let expiration = role["expiration"]?.int, !id.isEmpty, !secret.isEmpty
        else { throw CredentialError("\(source) answered without credentials") }
        return Credentials(
            accessKeyID: id, secretAccessKey: secret, sessionToken: session,
            expiration: UnixTime(milliseconds: Int64(expiration)))
    }

    /// `~/.aws/sso/cache/` and the SHA-1 of the session's name, or of the start URL in the older form.
    static func tokenPath(of profile: SSOProfile, _ host: any Host) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let hash = Insecure.SHA1.hash(data: Array((profile.session ?? profile.startURL).utf8))
        let name = hash.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return host.path("~/.aws/sso/cache/\(String(decoding: name, as: UTF8.self)).json")
    }

    private static func signedOut(_ profile: SSOProfile) -> CredentialError {
        CredentialError(
            "the SSO session of the profile \(profile.profile) has expired or was never begun: "
                + "run \(profile.loginCommand)")
    }

    private func validToken(
        of profile: SSOProfile, at path: String, _ shared: SharedConfiguration
    ) async throws(CredentialError) -> SSOToken {
        let bytes: [UInt8]?
        do { bytes = try host.readFile(path, bytesMax: 64 << 10) } catch { throw CredentialError(error.message) }
        let stored = bytes.flatMap { try? JSON.decode(Bytes($0)) }.flatMap { SSOToken($0) }
        // A renewed one that could not be written lives here only; somebody who signed in again left a newer one.
        let own = token(at: path)
        guard let token = [stored, own].compactMap(\.self).max(by: { $0.expiration < $1.expiration }) else {
            throw Self.signedOut(profile)
        }
        let now = time.wallClock()
        guard profile.session != nil, token.expiration < now + Self.renewAhead else {
            guard token.expiration > now else { throw Self.signedOut(profile) }
            return token
        }
        let renewed: SSOToken?
        do throws(CredentialError) { renewed = try await renew(token, of: profile, shared) } catch {
            // It is still good; the next time may be luckier.
            if token.expiration > now { return token }
            throw error
        }
        guard let renewed else {
            guard token.expiration > now else { throw Self.signedOut(profile) }
            return token
        }
        keep(renewed, at: path)
        // The refresh token may have changed with it: whoever else reads the file needs the new one. Where it cannot be
        // written this program goes on with what it has.
        try? host.writeFile(path, JSON.encode(renewed.document))
        return renewed
    }

    /// SSO-OIDC's CreateToken; `nil` where the token cannot be renewed and the user must sign in.
    ///
    /// https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/API_CreateToken.html
    private func renew(
        _ token: SSOToken, of profile: SSOProfile, _ shared: SharedConfiguration
    ) async throws(CredentialError) -> SSOToken? {
        guard let renewal = token.renewal(at: time.wallClock()) else { return nil }
        let body: AWSValue = [
            "clientId": .string(renewal.clientID), "clientSecret": .string(renewal.clientSecret),
            "grantType": "refresh_token", "refreshToken": .string(renewal.refreshToken),
        ]
        let response: Response
        do {
            response = try await service("oidc", "sso_oidc", profile, shared).send(
                "POST", "/token", headers: [Header("Content-Type", "application/json")], body: JSON.encode(body),
                attempts: 3)
        } catch {
            throw CredentialError(
                "the SSO session of the profile \(profile.profile) cannot be renewed: \(error); "
                    + "if that stays so, run \(profile.loginCommand)")
        }
        let answer = (try? JSON.decode(response.body)) ?? .null
        if response.status == 200, let renewed = token.renewed(by: answer, at: time.wallClock()) { return renewed }
        // 400 and 401 are the ways of saying that the session is over.
        if 400..<500 ~= response.status, response.status != 429 { return nil }
        let reason = Self.error(response, answer, token.secrets)
        throw CredentialError(
            "the SSO session of the profile \(profile.profile) cannot be renewed: \(reason); "
                + "if that stays so, run \(profile.loginCommand)")
    }

    /// What the service says of its failure, without secrets.
    private static func error(
        _ response: Response, _ body: AWSValue, _ secrets: [String?]
    ) -> String {
        let raw = response.headers["x-amzn-ErrorType"] ?? body["__type"]?.string ?? body["error"]?.string ?? ""
        let type = raw.split(separator: ":").first.map { String($0).quoted(without: secrets, max: 60) }
        let message = body["message"]?.string ?? body["error_description"]?.string ?? ""
        let words = [type ?? "HTTP \(response.status)", message.quoted(without: secrets)]
        return words.filter { !$0.isEmpty }.joined(separator: ": ")
    }

    private func service(
        _ prefix: String, _ id: String, _ profile: SSOProfile, _ shared: SharedConfiguration
    ) throws(AWSConfigurationError) -> MetadataService {
        let configured = try shared.endpoint(ofService: id)
        return MetadataService(
            endpoint: configured ?? .aws(service: prefix, region: profile.region), transport: transport, time: time,
            attemptTimeout: Self.attemptTimeout)
    }
}
