/// What goes wrong, when, how often and for whom: faults stand in front of the handlers of both services.
///
/// Every choice follows from the seed, so that a run replays. As a file (`emulate --faults FILE`) a plan is JSON:
///
/// ```json
/// {"faults": [
///   {"do": "throttle", "operation": "GetRecords", "shard": "shardId-000000000002", "from": "10s", "until": "40s"},
///   {"do": "dropAnswer", "operation": "DynamoDB.UpdateItem", "worker": "worker-1", "probability": 0.05},
///   {"do": "delay", "by": "250ms", "jitter": 0.5, "operation": "Kinesis", "probability": 0.2},
///   {"do": "unavailable", "operation": "DynamoDB", "from": "1m", "until": "3m"},
///   {"do": "expireIterator", "count": 3},
///   {"do": "error", "type": "AccessDeniedException", "message": "not you", "status": 400, "operation": "SplitShard"}
/// ]}
/// ```
///
/// * `do`: `throttle` (the service's own throttle; in PutRecords only the named shard's records are refused), `fail`
///   (its internal error, 500), `unavailable` (503), `delay` (wait `by`, then carry out), `delayAnswer` (carry out,
///   then wait), `drop` (close the connection, nothing happened), `dropAnswer` (close it after the write happened),
///   `expireIterator` (GetRecords only), `error` (any `type`, `message` and `status`).
/// * `operation`: `GetRecords`, `Kinesis.GetRecords`, or `Kinesis` and `DynamoDB` for all of a service; absent: all.
/// * `shard`: a shard id; in DynamoDB, the row whose `leaseKey` is or ends with it.
/// * `resource`: a stream or table by name. `worker`: the access key id that the request was signed with.
/// * `probability`: 0 to 1, by default 1. `count`: at most so many times.
/// * `from`, `until`: since the emulator's start: `500ms`, `10s`, `2m`, `1h`.
package struct FaultPlan: Hashable, Sendable {
    package var faults: [Fault]

    package init(_ faults: [Fault] = []) { self.faults = faults }
}

/// One line of a fault plan.
package struct Fault: Hashable, Sendable {
    package enum Action: Hashable, Sendable {
        /// The service's own throttling error.
        case throttle
        /// The service's internal error, status 500.
        case fail
        /// Status 503.
        case unavailable
        /// Waits before the request is carried out; changed by up to ±`jitter` (0 to 1) of itself.
        case delay(Duration, jitter: Double = 0)
        /// Waits after it was carried out.
        case delayAnswer(Duration, jitter: Double = 0)
        /// Closes the connection; nothing happened.
        case drop
        /// Closes the connection after the request was carried out.
        case dropAnswer
        /// Answers GetRecords with ExpiredIteratorException.
        case expireIterator
        case error(type: String, message: String, status: Int = 400)
    }

    package var action: Action
    /// `GetRecords`, `Kinesis.GetRecords` or `Kinesis`; `nil` for every call.
    package var operation: String?
    /// A shard id; in DynamoDB, the row whose `leaseKey` is or ends with it.
    package var shard: String?
    /// A stream or table by name.
    package var resource: String?
    /// The access key id of the caller.
    package var worker: String?
    package var probability: Double
    /// How often it may still happen; `nil` for no limit.
    package var count: Int?
    /// Since the emulator's start.
    package var from: Duration
    package var until: Duration?

    package init(
        _ action: Action, operation: String? = nil, shard: String? = nil, resource: String? = nil,
        worker: String? = nil, probability: Double = 1, count: Int? = nil, from: Duration = .zero,
        until: Duration? = nil
    ) {
        self.action = action
        self.operation = operation
        self.shard = shard
        self.resource = resource
        self.worker = worker
        self.probability = probability
        self.count = count
        self.from = from
        self.until = until
    }
}
