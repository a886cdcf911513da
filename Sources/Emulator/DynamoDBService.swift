package import AWSWire
package import Machine
import Synchronization

/// How the emulated DynamoDB behaves where the real one depends on load, size or luck.
package struct DynamoDBSettings: Sendable {
    /// How often and how far eventually consistent reads are behind.
    package struct StaleReads: Sendable {
        /// The chance (0…1) that one item of an eventually consistent read is an older version.
        package var probability: Double
        /// The greatest age of such a version.
        package var ageMax: Duration

        package init(probability: Double, ageMax: Duration) {
            self.probability = probability
            self.ageMax = ageMax
        }
    }

    /// How long a table stays CREATING, UPDATING and DELETING, and an index CREATING and DELETING.
    package var tableDelay: Duration
    /// Whether PROVISIONED tables and their indexes throttle.
    package var enforcesThroughput: Bool
    /// How much unused throughput is kept for bursts, as time at the provisioned rate; a new table has all of it.
    package var burst: Duration
    /// `nil`: every read sees the last write.
    package var staleReads: StaleReads?

    package init(
        tableDelay: Duration = .zero, enforcesThroughput: Bool = true, burst: Duration = .seconds(300),
        staleReads: StaleReads? = nil
    ) {
        self.tableDelay = tableDelay
        self.enforcesThroughput = enforcesThroughput
        self.burst = burst
        self.staleReads = staleReads
    }
}

/// DynamoDB in memory: the operations of the 2012-08-10 API over one lock per table.
package final class DynamoDBService: Sendable {
    let account: String
    let region: String
    let time: TimeSource
    let settings: DynamoDBSettings

    package init(account: String, region: String, time: TimeSource, seed: UInt64, settings: DynamoDBSettings) {
        self.account = account
        self.region = region
        self.time = time
        self.settings = settings
    }

    /// The answer of `operation`, the name after `DynamoDB_20120810.`; `input` and answer are the JSON bodies.
    package func handle(operation: String, input: AWSValue) throws(ServiceError) -> AWSValue {
        throw ServiceError(
            type: "UnknownOperationException", message: "", status: 400, extra: [:])
    }
}
