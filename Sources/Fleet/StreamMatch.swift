/// Whether the stream that was given is the one that the table's workers read. A single-stream lease table names no
/// stream; the sequence numbers of its checkpoints hold the creation time and the index of their shard.
package enum StreamMatch: Hashable, Sendable {
    /// Nothing proves it yet; in few words why. Nothing is said then of shards that have no lease and of leases that
    /// have no shard.
    case unverified(String)
    /// Checkpoints hold creation time and index of the shards that the stream lists.
    case verified
    /// It is another's stream; in few words why.
    case foreign(String)

    /// `verified`, `unverified`, `foreign`.
    package var word: String {
        switch self {
        case .unverified: "unverified"
        case .verified: "verified"
        case .foreign: "foreign"
        }
    }

    package var why: String? {
        switch self {
        case .unverified(let why), .foreign(let why): why
        case .verified: nil
        }
    }
}
