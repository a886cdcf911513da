package import Machine

/// KCL's MillisBehindLatest as CloudWatch has it: of at most 100 shards a minute, each metric read being billed; those
/// that were not asked for the longest come first.
struct MetricLags: Sendable {
    static let shardsMax = 100
    static let interval: Duration = .seconds(60)
    /// A minute's value comes a minute or two after it; one of so long ago says nothing of now.
    static let validity: Duration = .seconds(300)

    private var values: [String: (milliseconds: Int64, at: UnixTime)] = [:]
    private var askedAt: [String: Timestamp] = [:]

    /// Which of `shards` to ask for now.
    mutating func choose(_ shards: [String], at now: Timestamp) -> [String] {
        let wanted = Set(shards)
        values = values.filter { wanted.contains($0.key) }
        askedAt = askedAt.filter { wanted.contains($0.key) }
        // Those that were never asked for come first.
        let order = wanted.sorted { one, other in
            switch (askedAt[one], askedAt[other]) {
            case (nil, _?): true
            case (_?, nil): false
            case (let a, let b): a == b ? one < other : (a ?? now) < (b ?? now)
            }
        }
        let chosen = order.prefix(Self.shardsMax)
        for shard in chosen { askedAt[shard] = now }
        return Array(chosen)
    }

    mutating func read(_ lags: [MetricLag]) {
        for lag in lags { values[lag.shardID] = (lag.milliseconds, lag.at) }
    }

    func lag(of shard: String, serviceTime: UnixTime) -> Lag? {
        guard let value = values[shard], serviceTime - value.at <= Self.validity else { return nil }
        return Lag(value.milliseconds, .cloudwatch)
    }
}

/// What CloudWatch says of one shard.
package struct MetricLag: Hashable, Sendable {
    /// The key of its lease, which in a table of several streams names the stream too.
    package var shardID: String
    /// The largest MillisBehindLatest of the minute.
    package var milliseconds: Int64
    /// When that minute began.
    package var at: UnixTime

    package init(shardID: String, milliseconds: Int64, at: UnixTime) {
        self.shardID = shardID
        self.milliseconds = milliseconds
        self.at = at
    }
}
