public import AWSWire

/// How the workers of a lease table arrange themselves (kcl.md §1.5, §12.1).
public enum FleetMode: Hashable, Sendable {
    /// 1.x or 2.x rules: every worker takes leases for itself. Also 3.x workers held at 2.x, `clientVersion` then says.
    case takers(clientVersion: String?)
    /// On the way from 2.x to 3.x: takers still, but workers without a metrics row block the migration.
    case upgrading
    /// A 3.x leader assigns leases.
    case leaderAssigned(clientVersion: String)

    public static let migrationKey = "Migration3.0"
    public static let ownerIndex = "LeaseOwnerToLeaseKeyIndex"

    /// Reads the mode from the migration item: of the legacy coordinator table where it exists, else of the lease
    /// table.
    ///
    /// The index alone proves nothing: 2.x-compatible workers create it too (kcl.md §0.13).
    public init(migrationItem: Item?) {
        switch migrationItem?["cv"]?.string {
        case "CLIENT_VERSION_3X"?: self = .leaderAssigned(clientVersion: "CLIENT_VERSION_3X")
        case "CLIENT_VERSION_3X_WITH_ROLLBACK"?:
            self = .leaderAssigned(clientVersion: "CLIENT_VERSION_3X_WITH_ROLLBACK")
        case "CLIENT_VERSION_UPGRADE_FROM_2X"?: self = .upgrading
        case let other: self = .takers(clientVersion: other)
        }
    }

    /// The table of 3.0–3.4 that holds the coordinator's items.
    public static func coordinatorTable(application: String) -> String { "\(application)-CoordinatorState" }
    /// The table of 3.0–3.4 that holds the workers' metrics.
    public static func workerMetricsTable(application: String) -> String { "\(application)-WorkerMetricStats" }
}

/// The worker that Java 2.x elects to audit the leases: the first owner after a shuffle with Java's `Random(1947)`
/// (kcl.md §3.2). `nil` where nobody owns anything: then everybody is leader.
public func shardSyncLeader(owners: some Sequence<String>) -> String? {
    // Java sorts by UTF-16 code units; worker ids are ASCII in practice, and the order of all BMP text agrees.
    var workers = Set(owners).sorted { $0.utf16.lexicographicallyPrecedes($1.utf16) }
    var random = JavaRandom(seed: 1947)
    for size in stride(from: workers.count, to: 1, by: -1) {
        workers.swapAt(size - 1, random.next(below: size))
    }
    return workers.first
}

/// `java.util.Random`, bit for bit, as far as `Collections.shuffle` needs it.
struct JavaRandom {
    private var state: UInt64

    init(seed: Int64) { state = (UInt64(bitPattern: seed) ^ 0x5_DEEC_E66D) & (1 << 48 - 1) }

    private mutating func next(bits: UInt64) -> Int32 {
        state = (state &* 0x5_DEEC_E66D &+ 0xB) & (1 << 48 - 1)
        return Int32(truncatingIfNeeded: Int64(bitPattern: state) >> (48 - Int64(bits)))
    }

    mutating func next(below bound: Int) -> Int {
        let bound = Int32(clamping: bound)
        var bits = next(bits: 31)
        if bound & (bound - 1) == 0 { return Int((Int64(bound) * Int64(bits)) >> 31) }
        var value = bits % bound
        while bits &- value &+ (bound - 1) < 0 {
            bits = next(bits: 31)
            value = bits % bound
        }
        return Int(value)
    }
}
