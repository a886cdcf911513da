public import Machine

/// What a request is signed with. Never printed: its description hides everything but the key id's last characters,
/// and reflection shows nothing.
public struct Credentials: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    public var accessKeyID: String
    public var secretAccessKey: String
    public var sessionToken: String?
    /// When they stop being valid; `nil` for those that do not expire.
    public var expiration: UnixTime?

    public init(
        accessKeyID: String, secretAccessKey: String, sessionToken: String? = nil, expiration: UnixTime? = nil
    ) {
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = sessionToken
        self.expiration = expiration
    }

    /// No credentials: requests are not signed.
    public static let anonymous = Credentials(accessKeyID: "", secretAccessKey: "")

    public var isAnonymous: Bool { accessKeyID.isEmpty }

    public var description: String {
        isAnonymous ? "Credentials(anonymous)" : "Credentials(…\(accessKeyID.suffix(4)))"
    }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// Where credentials come from.
public protocol CredentialProvider: Sendable {
    /// Credentials that are valid now. Throws `CredentialError`, whose message says what was tried and what to do.
    func credentials() async throws(CredentialError) -> Credentials

    /// A service said that `credentials`, which came from here, are expired or unknown to it: ask the source again.
    func rejected(_ credentials: Credentials)
}

extension CredentialProvider {
    /// Nothing to ask again.
    public func rejected(_ credentials: Credentials) {}
}

public struct CredentialError: Error, Hashable, CustomStringConvertible {
    public var message: String

    public init(_ message: String) { self.message = message }

    public var description: String { message }
}

/// The same credentials for ever: given ones, and those of the emulator.
public struct StaticCredentials: CredentialProvider {
    private let value: Credentials

    public init(_ value: Credentials) { self.value = value }

    public init(accessKeyID: String, secretAccessKey: String, sessionToken: String? = nil) {
        value = Credentials(
            accessKeyID: accessKeyID, secretAccessKey: secretAccessKey, sessionToken: sessionToken)
    }

    public func credentials() async throws(CredentialError) -> Credentials { value }
}
