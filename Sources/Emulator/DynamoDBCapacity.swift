import AWSWire
import Machine

/// Capacity units with the throughput that was not used for a while kept for bursts.
///
/// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/burst-adaptive-capacity.html
struct TokenBucket: Sendable {
    private(set) var rate: Int
    private var tokens: Double
    private let depth: Double
    private var filledAt: Timestamp

    init(rate: Int, burst: Duration, at now: Timestamp) {
        self.rate = rate
        // A second's worth is there even without bursts.
        depth = Double(rate) * max(1, burst.inSeconds)
        tokens = depth
        filledAt = now
    }

    /// Whether a request may go on: as long as anything is left. What it costs is known only afterwards.
    mutating func admits(at now: Timestamp) -> Bool {
        if now > filledAt {
            tokens = min(depth, tokens + Double(rate) * (now - filledAt).inSeconds)
            filledAt = now
        }
        return tokens > 0
    }

    mutating func take(_ units: Double) { tokens -= units }
}

/// The provisioned throughput of a table or index.
struct ProvisionedThroughput: Sendable {
    var reads: TokenBucket
    var writes: TokenBucket
    var increasedAt: UnixTime?
    var decreasedAt: UnixTime?

    init(reads: Int, writes: Int, burst: Duration, at now: Timestamp) {
        self.reads = TokenBucket(rate: reads, burst: burst, at: now)
        self.writes = TokenBucket(rate: writes, burst: burst, at: now)
    }
}

/// What a request used of a table and of its indexes.
struct ConsumedCapacity: Sendable {
    var table = 0.0
    var indexes: [String: Double] = [:]
    /// Indexes among `indexes` that are local.
    var localIndexes: Set<String> = []
    var isWrite: Bool

    var total: Double { indexes.values.reduce(table, +) }

    static func readUnits(_ bytes: Int, isConsistent: Bool) -> Double {
        Double(max(1, (bytes + 4095) / 4096)) * (isConsistent ? 1 : 0.5)
    }

    static func writeUnits(_ bytes: Int) -> Double { Double(max(1, (bytes + 1023) / 1024)) }

    static func + (a: ConsumedCapacity, b: ConsumedCapacity) -> ConsumedCapacity {
        var sum = a
        sum.table += b.table
        sum.indexes.merge(b.indexes) { $0 + $1 }
        sum.localIndexes.formUnion(b.localIndexes)
        return sum
    }

    /// A transaction prepares and commits, and pays for both.
    var doubled: ConsumedCapacity {
        var doubled = self
        doubled.table *= 2
        doubled.indexes = indexes.mapValues { $0 * 2 }
        return doubled
    }

    /// The `ConsumedCapacity` of an answer; `nil` where the request did not ask.
    func wire(_ asked: String, table name: String, isTransaction: Bool = false) -> AWSValue? {
        guard asked == "TOTAL" || asked == "INDEXES" else { return nil }
        func units(_ value: Double) -> AWSValue {
            var units: AWSValue = ["CapacityUnits": .double(value)]
            if isTransaction { units[isWrite ? "WriteCapacityUnits" : "ReadCapacityUnits"] = .double(value) }
            return units
        }
        var answer = units(total)
        answer["TableName"] = .string(name)
        guard asked == "INDEXES" else { return answer }
        answer["Table"] = units(table)
        for index in indexes.keys.sorted() {
            let member = localIndexes.contains(index) ? "LocalSecondaryIndexes" : "GlobalSecondaryIndexes"
            var members = answer[member] ?? [:]
            members[index] = units(indexes[index] ?? 0)
            answer[member] = members
        }
        return answer
    }
}
