import Testing

@testable import AWSWire

/// A desk for the tests of the chain: sources are asked, and whatever is said about it is searched for secrets.
struct Bench {
    var environment: [String: String] = [:]
    var files: [String: String] = [:]
    var chain = CredentialChain.standard()
    var typed: String?
    var refusesWrites = false
    var command: (@Sendable ([String]) throws(HostError) -> CommandOutput)?
    var time = VirtualTime()

    /// Every secret that a test of the chain gives away; none of them may stand in a message.
    static let secrets = [
        "BaseSecretKey", "BaseSessionToken", "RoleSecretKey", "RoleSessionToken", "WebIdentityJWT", "SSOAccessToken",
        "SSORefreshToken", "SSOClientSecret", "SSONewToken", "ProcessSecretKey", "ProcessSessionToken", "271828",
        "rolesecret", "roletoken",
    ]

    var host: ScriptedHost {
        var host = ScriptedHost(environment: environment, files: files, typed: typed, refusesWrites: refusesWrites)
        if let command { host.command = command }
        return host
    }

    func world(_ transport: any Transport, _ host: ScriptedHost? = nil) -> CredentialWorld {
        CredentialWorld(host: host ?? self.host, transport: transport, time: time.source, seed: 1)
    }

    func credentials(_ transport: any Transport, _ host: ScriptedHost? = nil) async throws -> Credentials {
        let found = try await chain.resolve(in: world(transport, host))
        Self.check("\(found)", String(reflecting: found), Self.dumped(found))
        return found
    }

    /// The message of the error; that there is one is expected.
    func failure(
        _ transport: any Transport, location: SourceLocation = #_sourceLocation
    ) async -> String {
        do throws(CredentialError) {
            let found = try await chain.resolve(in: world(transport))
            Issue.record("found \(found)", sourceLocation: location)
            return ""
        } catch {
            Self.check(error.message, "\(error)", Self.dumped(error), location: location)
            #expect(!error.message.contains { $0.isNewline }, sourceLocation: location)
            return error.message
        }
    }

    static func check(_ texts: String..., location: SourceLocation = #_sourceLocation) {
        for text in texts {
            for secret in secrets { #expect(!text.contains(secret), sourceLocation: location) }
        }
    }

    static func dumped<T>(_ value: T) -> String {
        var text = ""
        dump(value, to: &text)
        return text
    }
}

extension Request {
    /// The fields of a form, decoded.
    var form: [String: String] {
        var fields: [String: String] = [:]
        for pair in String(decoding: body, as: UTF8.self).split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            fields[String(parts[0])] = parts.count == 2 ? Self.decoded(parts[1]) : ""
        }
        return fields
    }

    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
