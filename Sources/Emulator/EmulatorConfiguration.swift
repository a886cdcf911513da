/// What the emulated account is like. The defaults are the service's, with status delays short enough to work with.
package struct EmulatorConfiguration: Sendable {
    package var accountID = "123456789012"
    package var region = "us-east-1"
    /// How long a stream stays CREATING, UPDATING or DELETING, and a consumer CREATING or DELETING.
    package var streamStatusDelay: Duration = .milliseconds(500)
    /// Whether a shard's read and write limits are enforced: 5 reads and 2 MiB, 1000 records and 1 MiB, each a second;
    /// and 2 MiB for each fan-out consumer.
    package var enforcesShardLimits = true
    /// Whether UpdateShardCount refuses more than double, less than half, and more than ten a day.
    package var enforcesScalingLimits = true
    /// Open shards that the account may have in all.
    package var shardsMax = 20_000
    /// How long a shard iterator is good for.
    package var iteratorLifetime: Duration = .seconds(300)
    /// When a fan-out subscription ends by itself.
    package var subscriptionLifetime: Duration = .seconds(300)
    /// The retention of a new stream.
    package var retention: Duration = .seconds(24 * 3600)
    /// Data and partition key of one record; the service allows 1 MiB unless a stream is set to up to 10 MiB.
    package var recordBytesMax = 1 << 20
    /// Status delays, throughput and stale reads of tables.
    package var dynamoDB = DynamoDBSettings(tableDelay: .milliseconds(500))
    /// A request dated further off than this is refused, as the service refuses it; `nil` accepts every date.
    package var clockSkewMax: Duration? = .seconds(300)

    package init() {}

    /// Nothing waits and nothing is refused for its rate: for tests that are about something else.
    package static var immediate: EmulatorConfiguration {
        var configuration = EmulatorConfiguration()
        configuration.streamStatusDelay = .zero
        configuration.dynamoDB.tableDelay = .zero
        configuration.enforcesShardLimits = false
        configuration.enforcesScalingLimits = false
        return configuration
    }
}

extension EmulatorConfiguration {
    func arn(ofStream name: String) -> String { "arn:aws:kinesis:\(region):\(accountID):stream/\(name)" }
}
