import AWSWire
import Fleet
import Leases
import Machine

/// A column of the shards pane.
package enum ShardColumn: String, Hashable, Sendable, CaseIterable {
    case mark
    /// The stream of the row, where the table names several.
    case stream
    case shard
    case owner
    case state
    case lag
    case history
    case checkpoint
    case age
    /// The child process that reads the shard, where there are any.
    case child
    case records
    case kilobytes
    case checkpointLag
    case heartbeat
    case switches
    case subSequence
    case counter
    case parents
    case hashRange

    var title: String {
        switch self {
        case .mark: ""
        case .stream: "STREAM"
        case .shard: "SHARD"
        case .owner: "OWNER"
        case .state: "STATE"
        case .lag: "LAG"
        case .history: "LAST 2 MIN"
        case .checkpoint: "CHECKPOINT"
        case .age: "AGE"
        case .child: "CHILD"
        case .records: "REC/S"
        case .kilobytes: "KB/S"
        case .checkpointLag: "CP LAG"
        case .heartbeat: "BEAT"
        case .switches: "SWITCHES"
        case .subSequence: "SUB"
        case .counter: "COUNTER"
        case .parents: "PARENTS"
        case .hashRange: "HASH RANGE"
        }
    }

    /// As `:sort` names it.
    var name: String {
        switch self {
        case .mark: "severity"
        case .records: "rate"
        case .kilobytes: "kbps"
        case .checkpointLag: "cplag"
        case .subSequence: "sub"
        case .hashRange: "hash"
        case .stream, .shard, .owner, .state, .lag, .history, .checkpoint, .age, .child, .heartbeat, .switches,
            .counter, .parents:
            rawValue
        }
    }

    /// Those that an order makes sense by.
    static let sortable = allCases.filter { $0 != .history && $0 != .child }

    /// What a person looks for first: the largest of numbers, the smallest of names.
    var startsAscending: Bool {
        switch self {
        case .stream, .shard, .owner, .state, .checkpoint, .parents, .hashRange: true
        case .mark, .lag, .history, .age, .child, .records, .kilobytes, .checkpointLag, .heartbeat, .switches,
            .subSequence,
            .counter:
            false
        }
    }
}

/// The order of the shards pane.
struct RowOrder: Hashable, Sendable {
    /// `nil` is the default: severity, state, lag in coarse steps, hash range. Coarse, because rows that change places
    /// at every refresh cannot be read.
    var column: ShardColumn?
    var isAscending: Bool

    static let standard = RowOrder(column: nil, isAscending: true)

    /// The rows of `leases` in this order; equal ones by hash range.
    func sorted(_ rows: [Int], of leases: [LeaseView]) -> [Int] {
        guard let column else {
            let sorted = sorted(rows) { Self.standardKey(leases, $0) }
            return isAscending ? sorted : sorted.reversed()
        }
        switch column {
        case .mark: return sorted(rows) { leases[$0].severity.map { Double($0.rawValue) } }
        case .stream: return sorted(rows) { leases[$0].streamName }
        case .shard: return sorted(rows) { leases[$0].shardID }
        case .owner: return sorted(rows) { leases[$0].owner }
        case .state: return sorted(rows) { leases[$0].state.rank }
        case .lag, .history: return sorted(rows) { (leases[$0].deliveredLag ?? leases[$0].checkpointLag)?.milliseconds }
        case .checkpoint: return sorted(rows) { leases[$0].checkpoint }
        case .age, .child: return sorted(rows) { leases[$0].checkpointAge }
        case .records: return sorted(rows) { leases[$0].recordsPerSecond }
        case .kilobytes: return sorted(rows) { leases[$0].bytesPerSecond }
        case .checkpointLag: return sorted(rows) { leases[$0].checkpointLag?.milliseconds }
        case .heartbeat: return sorted(rows) { leases[$0].counterAge }
        case .switches: return sorted(rows) { leases[$0].ownerSwitches }
        case .subSequence: return sorted(rows) { leases[$0].checkpoint?.subSequenceNumber }
        case .counter: return sorted(rows) { leases[$0].leaseCounter }
        case .parents: return sorted(rows) { leases[$0].parents.first }
        case .hashRange: return sorted(rows) { leases[$0].hashKeyRange?.start }
        }
    }

    /// By index, since a lease is large to copy and this is asked of every one.
    private static func standardKey(_ leases: [LeaseView], _ row: Int) -> Int {
        let severity = 3 - (leases[row].severity.map { $0.rawValue + 1 } ?? 0)
        let lag = leases[row].deliveredLag ?? leases[row].checkpointLag
        let seconds = max(0, lag?.milliseconds ?? 0) / 1000
        let step = 63 - (Int64.bitWidth - seconds.leadingZeroBitCount)
        return (severity * 32 + leases[row].state.rank) * 64 + step
    }

    /// Rows without a value always come last.
    private func sorted<Key: Comparable>(_ rows: [Int], by key: (Int) -> Key?) -> [Int] {
        var keyed: [(key: Key, row: Int)] = []
        var without: [Int] = []
        keyed.reserveCapacity(rows.count)
        for row in rows {
            if let key = key(row) { keyed.append((key, row)) } else { without.append(row) }
        }
        let isAscending = isAscending
        keyed.sort { a, b in
            if a.key != b.key { return (a.key < b.key) == isAscending }
            return a.row < b.row
        }
        return keyed.map(\.row) + without
    }
}
