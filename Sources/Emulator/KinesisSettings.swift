import AWSWire
import Machine
import OrderedCollections

/// Tags and policy of a stream or a consumer: kept and told, nothing else.
struct ResourceState: Hashable, Sendable {
    static let tagsMax = 50
    static let policyBytesMax = 20 << 10

    var tags: [String: String] = [:]
    var policy: String?

    /// - Parameter described: `stream words under account 123456789012`
    mutating func add(
        _ added: OrderedDictionary<String, AWSValue>, to described: String
    ) throws(ServiceError) {
        let values = added.mapValues { $0.string ?? "" }
        try Self.check(Array(values.keys) + Array(values.values), "Failed to add tags to \(described)")
        if let reserved = values.keys.first(where: { $0.lowercased().hasPrefix("aws:") }) {
            throw .invalidArgument(
                "Failed to add tags to \(described) because the key \(reserved) begins with aws:, which is reserved.")
        }
        let all = tags.merging(values.map { ($0.key, $0.value) }) { $1 }
        if all.count > Self.tagsMax {
            throw .invalidArgument(
                "Failed to add tags to \(described) because a given stream cannot have more than \(Self.tagsMax) "
                    + "tags associated with it.")
        }
        tags = all
    }

    mutating func remove(_ keys: [String], from described: String) throws(ServiceError) {
        try Self.check(keys, "Failed to remove tags from \(described)")
        for key in keys { tags[key] = nil }
    }

    /// In the order of the keys, those after `start`.
    func listed(after start: String? = nil) -> [AWSValue] {
        tags.sorted { $0.key < $1.key }
            .filter { tag in start.map { tag.key > $0 } ?? true }
            .map { ["Key": .string($0.key), "Value": .string($0.value)] }
    }

    private static func check(_ texts: [String], _ failure: String) throws(ServiceError) {
        let isAllowed = texts.allSatisfy { text in
            text.unicodeScalars.allSatisfy {
                switch $0 {
                case "_", ".", "/", "=", "+", "-", "@", ":", "%", " ": true
                default:
                    $0.properties.isAlphabetic || $0.properties.numericType != nil
                        || $0.properties.generalCategory == .spaceSeparator
                }
            }
        }
        if !isAllowed {
            throw .invalidArgument(
                "Some tags contain invalid characters. Valid characters: "
                    + "Unicode letters, digits, white space, _ . / = + - % @.")
        }
        if texts.contains(where: { $0.contains("%") }) {
            throw .invalidArgument(
                "\(failure) because some tags contained illegal characters. The allowed characters are "
                    + "Unicode letters, white-spaces, '_',',','/','=','+','-','@'.")
        }
    }

    mutating func set(policy text: String?) throws(ServiceError) {
        if let text {
            let tree = try? JSON.decode(Bytes(text))
            guard text.utf8.count <= Self.policyBytesMax, let statement = tree?["Statement"],
                statement.list != nil || statement.map != nil
            else { throw .invalidArgument("The policy is not a valid policy document.") }
        }
        policy = text
    }
}

/// Under which key a stream is encrypted, and when that began and ended: records tell whether they were.
struct StreamEncryption: Hashable, Sendable {
    /// `nil` while it is not encrypted.
    var keyID: String?
    /// Milliseconds at which it was switched on, off, on, ….
    var switches: [Int64] = []

    mutating func set(_ keyID: String?, at time: UnixTime) {
        if (keyID == nil) != (self.keyID == nil) { switches.append(time.milliseconds) }
        self.keyID = keyID
    }

    /// Whether a record that arrived then was encrypted.
    func isOn(at milliseconds: Int64) -> Bool {
        if switches.isEmpty { return false }
        return switches.count { $0 <= milliseconds } % 2 == 1
    }
}

/// The shard-level metrics that are switched on.
struct StreamMonitoring: Hashable, Sendable {
    static let metrics = [
        "IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords", "WriteProvisionedThroughputExceeded",
        "ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds",
    ]

    var enabled: Set<String> = []

    mutating func change(_ metrics: [String], isEnabling: Bool) {
        let named = metrics.contains("ALL") ? Set(Self.metrics) : Set(metrics)
        if isEnabling { enabled.formUnion(named) } else { enabled.subtract(named) }
    }

    var description: AWSValue { .list(Self.metrics.filter(enabled.contains).map { .string($0) }) }
}

/// What is set for the whole account: the commitment to a minimum of on-demand throughput, which warm throughput needs.
struct AccountSettings: Hashable, Sendable {
    /// A commitment lasts at least a day.
    static let commitment: Duration = .seconds(24 * 3600)

    enum Status: String {
        case disabled = "DISABLED"
        case enabled = "ENABLED"
        case ending = "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
    }

    var status = Status.disabled
    var startedAt: UnixTime?
    var endedAt: UnixTime?
    var earliestEnd: UnixTime?

    var isCommitted: Bool { status != .disabled }

    mutating func settle(at now: UnixTime) {
        guard status == .ending, let earliestEnd, now >= earliestEnd else { return }
        status = .disabled
        endedAt = earliestEnd
    }

    mutating func commit(_ isWanted: Bool, at now: UnixTime) {
        settle(at: now)
        switch (status, isWanted) {
        case (.disabled, true):
            (status, startedAt, endedAt) = (.enabled, now, nil)
            earliestEnd = now + Self.commitment
        case (.ending, true): status = .enabled
        case (.enabled, false):
            status = .ending
            settle(at: now)
        case (.disabled, false), (.enabled, true), (.ending, false): break
        }
    }

    var description: AWSValue {
        [
            "MinimumThroughputBillingCommitment": .members([
                "Status": .string(status.rawValue), "StartedAt": startedAt.map { .timestamp($0) },
                "EndedAt": endedAt.map { .timestamp($0) },
                "EarliestAllowedEndAt": isCommitted ? earliestEnd.map { .timestamp($0) } : nil,
            ])
        ]
    }
}
