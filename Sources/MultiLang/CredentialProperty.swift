package import AWSWire

/// A place to look for credentials, as an `AwsCredentialsProvider` property names it.
package enum CredentialElement: Hashable, Sendable, CustomStringConvertible {
    /// The AWS SDK's chain, in its order.
    case defaultChain
    case environment
    /// `nil` for `AWS_PROFILE` or `default`.
    case profile(String?)
    case webIdentityToken
    case container
    case instanceMetadata
    /// The container's endpoint where one is set, else instance metadata.
    case containerOrInstance
    /// Requests are not signed.
    case anonymous
    case assumeRole(AssumeRole)

    package struct AssumeRole: Hashable, Sendable {
        package var roleARN: String
        package var sessionName: String
        package var externalID: String?
        /// Whose STS is asked.
        package var endpointRegion: String?
        package var endpoint: Endpoint?
        /// What the request to `endpoint` is signed for.
        package var signingRegion: String?
    }

    /// For people; nothing secret. The external id is left out, because some treat it as a secret.
    package var description: String {
        switch self {
        case .defaultChain: "default chain"
        case .environment: "environment"
        case .profile(let name): name.map { "profile \($0)" } ?? "profile"
        case .webIdentityToken: "web identity token"
        case .container: "container"
        case .instanceMetadata: "instance metadata"
        case .containerOrInstance: "container or instance metadata"
        case .anonymous: "anonymous"
        case .assumeRole(let role): "assume role \(role.roleARN) as \(role.sessionName)"
        }
    }
}

/// The value of `AwsCredentialsProvider`: `name|argument|key=value,name,…` (kcl.md §10).
package struct CredentialProperty: Hashable, Sendable {
    /// In the order in which they are asked.
    package private(set) var elements: [CredentialElement] = []
    /// What Java would leave out without a word.
    package private(set) var warnings: [String] = []
    /// Sentences about the value; with any the chain must not be used.
    package private(set) var errors: [String] = []

    package init(_ value: String) {
        for text in value.commaSeparated {
            let parts = text.split(separator: "|", omittingEmptySubsequences: false).map { String($0).trimmed }
            resolve(parts[0], parts.dropFirst().filter { !$0.isEmpty })
        }
        if elements.isEmpty, errors.isEmpty {
            errors.append(
                "names no credentials provider that exists here; write DefaultCredentialsProvider for the usual chain, "
                    + "or one of ProfileCredentialsProvider|NAME, EnvironmentVariableCredentialsProvider, "
                    + "ContainerCredentialsProvider, InstanceProfileCredentialsProvider, "
                    + "WebIdentityTokenFileCredentialsProvider, StsAssumeRoleCredentialsProvider|ROLE_ARN|SESSION")
        }
    }

    /// Packages whose names may be left out, in Java or here.
    private static let packages = [
        "software.amazon.awssdk.auth.credentials.", "software.amazon.awssdk.services.sts.auth.",
        "software.amazon.kinesis.multilang.auth.", "com.amazonaws.auth.profile.", "com.amazonaws.auth.",
    ]

    /// The names of the SDK for Java 2 and of its version 1, of those that take no argument.
    private static let plain: [String: CredentialElement] = [
        "DefaultCredentialsProvider": .defaultChain, "DefaultAWSCredentialsProviderChain": .defaultChain,
        "EnvironmentVariableCredentialsProvider": .environment,
        "WebIdentityTokenFileCredentialsProvider": .webIdentityToken,
        "WebIdentityTokenCredentialsProvider": .webIdentityToken, "ContainerCredentialsProvider": .container,
        "InstanceProfileCredentialsProvider": .instanceMetadata,
        "EC2ContainerCredentialsProviderWrapper": .containerOrInstance, "AnonymousCredentialsProvider": .anonymous,
    ]

    private static let roles: Set<String> = [
        "StsAssumeRoleCredentialsProvider", "KclStsAssumeRoleCredentialsProvider",
        "STSAssumeRoleSessionCredentialsProvider", "KclSTSAssumeRoleSessionCredentialsProvider",
    ]

    /// Providers of Java that have no counterpart, and what does their work.
    private static let absent: [String: String] = {
        let system = "Java's system properties do not exist here; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        let file = "keys are read from the shared credentials file: use ProfileCredentialsProvider|NAME"
        let keys = "keys do not belong into this file: use ProfileCredentialsProvider|NAME"
        return [
            "SystemPropertyCredentialsProvider": system, "SystemPropertiesCredentialsProvider": system,
            "PropertiesFileCredentialsProvider": file, "ClasspathPropertiesFileCredentialsProvider": file,
            "StaticCredentialsProvider": keys, "AWSStaticCredentialsProvider": keys,
            "ProcessCredentialsProvider": "write credential_process into a profile and name that profile",
        ]
    }()

    private static let names = plain.keys.sorted() + roles.sorted() + ["ProfileCredentialsProvider"]

    private mutating func resolve(_ name: String, _ arguments: [String]) {
        let package = Self.packages.first { name.hasPrefix($0) } ?? ""
        let simple = String(name.dropFirst(package.count))
        if let element = Self.plain[simple] {
            elements.append(element)
            if !arguments.isEmpty { warnings.append("\(simple) takes no arguments; they are left out") }
        } else if simple == "ProfileCredentialsProvider" {
            elements.append(.profile(arguments.first))
            if arguments.count > 1 { warnings.append("\(simple) takes one argument; the others are left out") }
        } else if Self.roles.contains(simple) {
            assumeRole(simple, arguments)
        } else {
            // Nothing of the arguments is said: a provider of somebody's own may take a secret.
            var why = "there is no such credentials provider here; custom Java classes cannot be loaded"
            if let reason = Self.absent[simple] {
                why = reason
            } else if let near = nearest(simple, in: Self.names) {
                why = "there is no such credentials provider here; did you mean \(near)?"
            }
            warnings.append("\(name.quoted) is left out: \(why)")
        }
    }

    private mutating func assumeRole(_ name: String, _ arguments: [String]) {
        guard arguments.count >= 2, arguments[0].hasPrefix("arn:") else {
            errors.append("has a \(name) without a role's ARN and a session name: write \(name)|ROLE_ARN|SESSION")
            return
        }
        var role = CredentialElement.AssumeRole(roleARN: arguments[0], sessionName: arguments[1])
        for argument in arguments.dropFirst(2) {
            guard let separator = argument.firstIndex(of: "=") else {
                warnings.append("an argument of \(name) is left out: it is not of the form key=value")
                continue
            }
            let key = argument[..<separator].trimmed
            let value = argument[argument.index(after: separator)...].trimmed
            switch key.lowercased() {
            case "externalid": role.externalID = value
            case "endpointregion":
                role.endpointRegion = region(value)
                if role.endpointRegion == nil { errors.append("has an endpointRegion that is no region's name") }
            case "endpoint": endpoint(value, &role)
            default:
                warnings.append(
                    "\(key.quoted) of \(name) is left out: it takes externalId, endpointRegion and endpoint")
            }
        }
        elements.append(.assumeRole(role))
    }

    /// `URL^SIGNING_REGION`.
    private mutating func endpoint(_ value: String, _ role: inout CredentialElement.AssumeRole) {
        let parts = value.split(separator: "^", omittingEmptySubsequences: false).map { String($0).trimmed }
        guard let endpoint = Endpoint(parts[0]), parts.count == 2, let signing = region(parts[1]) else {
            errors.append("has an endpoint that is not of the form URL^SIGNING_REGION")
            return
        }
        role.endpoint = endpoint
        role.signingRegion = signing
    }

    private func region(_ text: String) -> String? { try? SharedConfiguration.checked(region: text, from: "") }
}

extension Substring {
    fileprivate var trimmed: String { String(self).trimmed }
}
