/// A stream as the keys of a multi-stream table name it, `account:stream:created` (kcl.md §1.1).
public struct StreamID: Hashable, Comparable, Sendable {
    public var account: String
    public var name: String
    /// When the stream was created, in seconds since 1970, as the application told its workers; they do not check it.
    public var created: Int64

    public init(account: String, name: String, created: Int64) {
        self.account = account
        self.name = name
        self.created = created
    }

    /// `nil` where the text is not `[0-9]+:[^:]+:[0-9]+`.
    public init?(_ text: String) { self.init(parts: text.split(separator: ":", omittingEmptySubsequences: false)) }

    /// The stream of the key of a lease, `account:stream:created:shardId`; `nil` where it names none.
    public init?(leaseKey: String) {
        let parts = leaseKey.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 4, !parts[3].isEmpty else { return nil }
        self.init(parts: Array(parts.dropLast()))
    }

    private init?(parts: [Substring]) {
        func isNumber(_ text: Substring) -> Bool { !text.isEmpty && text.utf8.allSatisfy { 48...57 ~= $0 } }
        guard parts.count == 3, isNumber(parts[0]), !parts[1].isEmpty, isNumber(parts[2]),
            let created = Int64(parts[2]), String(created) == parts[2]
        else { return nil }
        self.init(account: String(parts[0]), name: String(parts[1]), created: created)
    }

    /// As rows hold it in `streamName`.
    public var text: String { "\(account):\(name):\(created)" }

    /// The key of the lease of one of its shards.
    public func leaseKey(_ shardID: String) -> String { "\(text):\(shardID)" }

    public static func < (a: StreamID, b: StreamID) -> Bool {
        (a.name, a.account, a.created) < (b.name, b.account, b.created)
    }
}
