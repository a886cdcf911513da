package import AWSWire
package import Machine

/// What a 3.x worker says of itself: its metrics row, of the lease table (3.5+) or of the table of 3.0 to 3.4
/// (kcl.md §1.4).
package struct WorkerReport: Hashable, Sendable {
    /// Percentages of what the worker may use.
    package enum Metric: String, Hashable, Sendable, CaseIterable {
        case cpu = "C"
        case memory = "M"
        case networkIn = "NI"
        case networkOut = "NO"
        case throughput = "T"

        /// As a person calls it.
        package var words: String {
            switch self {
            case .cpu: "CPU"
            case .memory: "memory"
            case .networkIn: "network in"
            case .networkOut: "network out"
            case .throughput: "throughput"
            }
        }

        /// As reports write it.
        package var name: String {
            switch self {
            case .cpu: "cpu"
            case .memory: "memory"
            case .networkIn: "networkIn"
            case .networkOut: "networkOut"
            case .throughput: "throughput"
            }
        }
    }

    package var workerID: String
    /// By the worker's own clock, in whole seconds; `nil` where the row does not tell.
    package var reportedAt: UnixTime?
    /// How old the report is at the snapshot's time; `nil` where the row does not tell.
    package var age: Duration?
    /// The newest averages; a metric whose capture failed is in `failing` instead.
    package var values: [Metric: Double] = [:]
    /// The most that each metric shall reach.
    package var ranges: [Metric: Double] = [:]
    /// Short names of metrics whose last capture failed, sorted: a leader gives such a worker nothing.
    package var failing: [String] = []
    /// Why a leader ignores the row; `nil` where it does not.
    package var oddity: String?
    /// The row is in the lease table, not in one of its own.
    package var isOfLeaseTable = false
    /// The worker understands the single table of 3.5.
    package var knowsSingleTable = false

    /// A leader takes a worker for gone when its row is older: twice the reporters' 30 s.
    package static let validFor: Duration = .seconds(60)

    /// What the side table's key is called.
    static let sideKey = "wid"

    /// Whether a leader takes the worker for alive.
    package var isFresh: Bool { oddity == nil && (age ?? .seconds(86_400)) < Self.validFor }

    /// Reads a row whose key, the worker's id, is named `keyName`; `nil` where it has none.
    package init?(_ item: Item, keyName: String) {
        guard let id = item[keyName]?.string, !id.isEmpty else { return nil }
        workerID = id
        isOfLeaseTable = keyName != Self.sideKey
        if let seconds = item["lut"]?.int, seconds >= 0, seconds < 1 << 40 {
            reportedAt = UnixTime(milliseconds: seconds * 1000)
        } else {
            oddity = "it has no time"
        }
        if case .n? = item["sup"] { knowsSingleTable = (item["sup"]?.int ?? 0) >= 1 }
        let samples = Self.lists(item["sts"])
        let limits = Self.lists(item["opr"])
        for (name, list) in samples.sorted(by: { $0.key < $1.key }) {
            if limits[name] == nil { oddity = oddity ?? "metric \(name) has no operating range" }
            guard let last = list.last else { continue }
            if last < 0 { failing.append(name) } else if let metric = Metric(rawValue: name) { values[metric] = last }
        }
        for (name, list) in limits.sorted(by: { $0.key < $1.key }) {
            guard let first = list.first, first != 0 else {
                oddity = oddity ?? "the operating range of metric \(name) is none"
                continue
            }
            if let metric = Metric(rawValue: name) { ranges[metric] = first }
        }
    }

    private static func lists(_ value: AttributeValue?) -> [String: [Double]] {
        guard case .m(let map)? = value else { return [:] }
        return map.compactMapValues { if case .l(let list) = $0 { list.compactMap(\.double) } else { nil } }
    }

    /// The report as seen at `time`.
    func aged(at time: UnixTime) -> WorkerReport {
        var report = self
        // A worker's clock may be ahead of the service's.
        report.age = reportedAt.map { max(.zero, time - $0) }
        return report
    }

    /// `CPU 37 of 80 %, memory 50 %; reported 12s ago`
    package var words: String {
        let metrics = Metric.allCases.compactMap { metric -> String? in
            guard let value = values[metric] else { return nil }
            let most = ranges[metric].flatMap { $0 == 100 ? nil : " of \(Self.rounded($0))" } ?? ""
            return "\(metric.words) \(Self.rounded(value))\(most) %"
        }
        var parts = [metrics.isEmpty ? "no metrics" : metrics.joined(separator: ", ")]
        if !failing.isEmpty { parts.append("metric \(failing.joined(separator: ", ")) fails") }
        if let oddity { parts.append("a leader ignores the row: \(oddity)") }
        parts.append(age.map { "reported \($0.brief) ago" } ?? "when it reported is not known")
        return parts.joined(separator: "; ")
    }

    private static func rounded(_ value: Double) -> String {
        value.isFinite && abs(value) < 1e9 ? String(Int64(value.rounded())) : "?"
    }
}

/// The leader of a 3.x fleet as its lock tells: dynamodb-lock-client's row, with a version that each heartbeat changes
/// (kcl.md §1.5).
package struct LeaderHeartbeat: Hashable, Sendable {
    package var workerID: String
    /// Since the version was seen to change.
    package var age: Duration
    /// Otherwise no change was seen yet, and the age is the least that it may be.
    package var isExact: Bool
    /// Past that age another worker becomes leader.
    package var leaseDuration: Duration

    package var isLost: Bool { age >= leaseDuration }

    /// `12s`, `≥12s`
    package var brief: String { (isExact ? "" : "≥") + age.brief }

    package init(workerID: String, age: Duration, isExact: Bool, leaseDuration: Duration) {
        self.workerID = workerID
        self.age = age
        self.isExact = isExact
        self.leaseDuration = leaseDuration
    }
}

/// The item that tells how far a fleet is on its way from 2.x to 3.x.
package struct MigrationView: Hashable, Sendable {
    /// `CLIENT_VERSION_3X` and the like.
    package var clientVersion: String
    package var since: UnixTime?
    package var changedBy: String?

    init?(_ item: Item?) {
        guard let version = item?["cv"]?.string else { return nil }
        clientVersion = version
        since = item?["mts"]?.int.flatMap { $0 > 0 && $0 < 1 << 50 ? UnixTime(milliseconds: $0) : nil }
        changedBy = item?["mb"]?.string
    }
}

/// Where a 3.x fleet keeps what is no lease.
package enum TableLayout: String, Hashable, Sendable {
    /// 3.0 to 3.4, and 3.5 where those tables were found.
    case sideTables = "side-tables"
    /// 3.5: in the lease table.
    case single = "single-table"
}

/// Who decides which worker gets a lease, as far as the tables tell: whether a leader shares out by number
/// (`LEASE_COUNT_BASED`) is in no table.
package enum LeaseAssignment: Hashable, Sendable {
    case takers
    /// `metrics`: what workers report; empty means by throughput only.
    case leader(metrics: [WorkerReport.Metric])

    package var words: String {
        switch self {
        case .takers: "workers take leases"
        case .leader(let metrics):
            "the leader assigns by "
                + (metrics.isEmpty ? "throughput" : metrics.map(\.words).joined(separator: ", "))
        }
    }
}
