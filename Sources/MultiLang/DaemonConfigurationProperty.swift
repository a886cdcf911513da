/// A property: its names, what its value must be, and what becomes of it.
struct DaemonConfigurationProperty: Sendable {
    let name: String
    /// Other names of the same thing.
    let aliases: [String]
    let meaning: String
    /// Java 2.x and 3.x take 0 and false for “not set” and use another default; this program takes them at their
    /// word (kcl.md §8.5).
    let zeroIsUnsetInJava: Bool
    let read: @Sendable (_ value: String, inout DaemonConfiguration) -> Reading
    /// The effective value; `nil` where nothing is set.
    let show: @Sendable (DaemonConfiguration) -> String?
    /// False for a property that is checked and then has no effect.
    let isUsed: Bool

    /// What was found in a value: sentences that complete the property's name.
    struct Reading: Sendable {
        var errors: [String] = []
        var warnings: [String] = []
        var notes: [String] = []

        static let good = Reading()

        static func mustBe<Value>(_ kind: PropertyKind<Value>, not value: String) -> Reading {
            Reading(errors: ["must be \(kind.wanted)" + (kind.mayHoldSecret ? "" : ", not \(value.quoted)")])
        }
    }

    typealias Path<Value> = any WritableKeyPath<DaemonConfiguration, Value> & Sendable

    /// A value with a default.
    static func value<Value>(
        _ name: String, aliases: [String] = [], _ kind: PropertyKind<Value>, _ path: Path<Value>,
        zeroIsUnsetInJava: Bool = false, _ meaning: String
    ) -> Self {
        Self(
            name: name, aliases: aliases, meaning: meaning, zeroIsUnsetInJava: zeroIsUnsetInJava,
            read: { text, configuration in
                guard let value = kind.read(text) else { return .mustBe(kind, not: text) }
                configuration[keyPath: path] = value
                return .good
            }, show: { kind.show($0[keyPath: path]) }, isUsed: true)
    }

    /// A value that need not be there.
    static func optional<Value>(
        _ name: String, aliases: [String] = [], _ kind: PropertyKind<Value>, _ path: Path<Value?>,
        zeroIsUnsetInJava: Bool = false, _ meaning: String
    ) -> Self {
        Self(
            name: name, aliases: aliases, meaning: meaning, zeroIsUnsetInJava: zeroIsUnsetInJava,
            read: { text, configuration in
                guard let value = kind.read(text) else { return .mustBe(kind, not: text) }
                configuration[keyPath: path] = value
                return .good
            }, show: { $0[keyPath: path].map(kind.show) }, isUsed: true)
    }

    /// A credentials chain. Its value is never said, because a provider's argument may be secret.
    static func credentials(
        _ name: String, _ meaning: String,
        set: @escaping @Sendable (inout DaemonConfiguration.Credentials, [CredentialElement]) -> Void,
        get: @escaping @Sendable (DaemonConfiguration.Credentials) -> [CredentialElement]
    ) -> Self {
        Self(
            name: name, aliases: [], meaning: meaning, zeroIsUnsetInJava: false,
            read: { text, configuration in
                let property = CredentialProperty(text)
                set(&configuration.credentials, property.elements)
                return Reading(
                    errors: property.errors, warnings: property.warnings.map { ": \($0)" })
            }, show: { get($0.credentials).map(\.description).joined(separator: ", ") }, isUsed: true)
    }

    /// A property without effect here: its value is checked, and `why` is said unless the value asks for what is done
    /// anyway.
    static func unused<Value>(
        _ name: String, aliases: [String] = [], _ kind: PropertyKind<Value>,
        unless isWhatIsDone: @escaping @Sendable (Value) -> Bool = { _ in false }, isNote: Bool = false, _ why: String
    ) -> Self {
        Self(
            name: name, aliases: aliases, meaning: why, zeroIsUnsetInJava: false,
            read: { text, _ in
                guard let value = kind.read(text) else { return .mustBe(kind, not: text) }
                if isWhatIsDone(value) { return .good }
                let sentence = "has no effect here: \(why)"
                return isNote ? Reading(notes: [sentence]) : Reading(warnings: [sentence])
            }, show: { _ in nil }, isUsed: false)
    }
}

extension DaemonConfigurationProperty {
    static let table = used + unused

    /// The table's rows by name and alias.
    static let byName: [String: Int] = {
        var rows: [String: Int] = [:]
        for (row, property) in table.enumerated() {
            for name in [property.name] + property.aliases { rows[name] = row }
        }
        return rows
    }()

    /// Who gives one of these speaks of enhanced fan-out.
    static let fanOutNames = table.map(\.name).filter { $0.hasPrefix("fanoutConfig.") }

    static let names: [String] = table.flatMap { [$0.name] + $0.aliases }

    /// Names that lead into objects of Java.
    static let foreignPaths: [(prefix: String, why: String)] = [
        ("kinesisClient.", "of the Java client's settings only kinesisClient.region and .endpointOverride exist here"),
        (
            "dynamoDbClient.",
            "of the Java client's settings only dynamoDbClient.region and .endpointOverride exist here"
        ),
        (
            "cloudWatchClient.",
            "of the Java client's settings only cloudWatchClient.region and .endpointOverride exist here"
        ),
    ]

    /// The spelling of the table: `awscredentialsprovider` at the beginning may be written in any case.
    static func canonical(_ name: String) -> String {
        let credentials = "AwsCredentialsProvider"
        guard name.lowercased().hasPrefix(credentials.lowercased()) else { return name }
        return credentials + name.dropFirst(credentials.count)
    }
}
