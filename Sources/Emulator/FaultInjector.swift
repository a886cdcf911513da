import AWSWire
package import Machine
import Synchronization

/// What the plan decided for one call.
struct FaultDecision: Sendable {
    var delay: Duration = .zero
    var answerDelay: Duration = .zero
    var isDropped = false
    var isAnswerDropped = false
    var expiresIterator = false
    var error: ServiceError?
    /// Shards whose records a put must refuse, while it takes the others.
    var throttledShards: Set<String> = []
}

/// Runs a `FaultPlan`. Faults can be added and taken back while it runs.
package final class FaultInjector: Sendable {
    private struct State {
        /// `from` and `until` of a fault count from its `since`.
        var faults: [(id: Int, fault: Fault, since: Timestamp)] = []
        var nextID = 0
        var generator: SeededGenerator
        var fired: [Int: Int] = [:]

        @discardableResult
        mutating func add(_ fault: Fault, since: Timestamp) -> Int {
            nextID += 1
            faults.append((nextID, fault, since))
            return nextID
        }
    }

    private let state: Mutex<State>
    private let start: Timestamp

    init(_ plan: FaultPlan, seed: UInt64, start: Timestamp) {
        self.start = start
        state = Mutex(State(generator: SeededGenerator(seed: seed)))
        for fault in plan.faults { add(fault) }
    }

    /// Adds `fault` and returns its id. `from` and `until` count from the emulator's start.
    @discardableResult
    package func add(_ fault: Fault) -> Int { state.withLock { $0.add(fault, since: start) } }

    /// Takes `plan` in place of all faults there are. `from` and `until` count from `now`.
    package func replace(with plan: FaultPlan, at now: Timestamp) {
        state.withLock { state in
            state.faults.removeAll()
            for fault in plan.faults { state.add(fault, since: now) }
        }
    }

    package var plan: FaultPlan { state.withLock { FaultPlan($0.faults.map(\.fault)) } }

    package func remove(_ id: Int) {
        state.withLock { state in state.faults.removeAll { $0.id == id } }
    }

    package func removeAll() { state.withLock { $0.faults.removeAll() } }

    /// How often the fault `id` happened.
    package func timesFired(_ id: Int) -> Int { state.withLock { $0.fired[id] ?? 0 } }

    /// - Parameter touchedShards: asked only when a fault that matches otherwise names a shard.
    func decide(_ call: ServiceCall, at now: Timestamp, touchedShards: () -> Set<String>) -> FaultDecision {
        let candidates = state.withLock { state in
            state.faults.filter { $0.fault.matches(call, at: now - $0.since) }
        }
        guard !candidates.isEmpty else { return FaultDecision() }
        // Asked outside of the lock, because it looks into the store.
        let shards = candidates.contains { $0.fault.shard != nil } ? touchedShards() : []
        var decision = FaultDecision()
        state.withLock { state in
            for (id, fault, _) in candidates where fault.shard.map(shards.contains) ?? true {
                if let count = fault.count, state.fired[id] ?? 0 >= count { continue }
                guard state.generator.chance(fault.probability) else { continue }
                state.fired[id, default: 0] += 1
                decision.add(fault, call, &state.generator)
            }
        }
        return decision
    }
}

extension Fault {
    func matches(_ call: ServiceCall, at sinceStart: Duration) -> Bool {
        guard sinceStart >= from, until.map({ sinceStart < $0 }) ?? true else { return false }
        if let worker, worker != call.worker { return false }
        if action == .expireIterator, call.operation != "GetRecords" { return false }
        if let operation {
            let service = call.service.name
            guard operation == call.operation || operation == service || operation == "\(service).\(call.operation)"
            else { return false }
        }
        if let resource {
            let named = ["StreamName", "TableName", "StreamARN", "ResourceARN", "ConsumerARN"]
                .compactMap { call.input[$0]?.string }
            guard
                named.contains(where: {
                    $0 == resource || $0.hasSuffix("/\(resource)") || $0.contains("stream/\(resource)/consumer/")
                })
                    || call.input["ShardIterator"]?.string.flatMap(ShardIterator.init)?.stream == resource
            else { return false }
        }
        return true
    }
}

extension FaultDecision {
    fileprivate mutating func add(_ fault: Fault, _ call: ServiceCall, _ generator: inout SeededGenerator) {
        switch fault.action {
        case .delay(let duration, let jitter): delay += generator.jittered(duration, by: jitter)
        case .delayAnswer(let duration, let jitter): answerDelay += generator.jittered(duration, by: jitter)
        case .drop: isDropped = true
        case .dropAnswer: isAnswerDropped = true
        case .expireIterator: expiresIterator = true
        case .throttle:
            if let shard = fault.shard, call.operation == "PutRecords" {
                throttledShards.insert(shard)
            } else {
                error = error ?? .throttled(call)
            }
        case .fail:
            error =
                error
                ?? ServiceError(
                    call.service == .kinesis ? "InternalFailure" : "InternalServerError",
                    "The request processing has failed because of an unknown error, exception or failure.",
                    status: 500)
        case .unavailable:
            error =
                error
                ?? ServiceError(
                    "ServiceUnavailableException", "Service is unable to handle request.", status: 503)
        case .error(let type, let message, let status):
            error = error ?? ServiceError(type, message, status: status)
        }
    }
}

extension ServiceError {
    /// The service's throttling error for that call: data operations run out of throughput, others of their rate.
    fileprivate static func throttled(_ call: ServiceCall) -> ServiceError {
        switch (call.service, call.operation) {
        case (.kinesis, "GetRecords"), (.kinesis, "GetShardIterator"), (.kinesis, "PutRecord"),
            (.kinesis, "PutRecords"):
            ServiceError("ProvisionedThroughputExceededException", "Rate exceeded for shard.")
        case (.kinesis, _): ServiceError("LimitExceededException", "Rate exceeded.")
        case (.dynamodb, _):
            ServiceError(
                "ProvisionedThroughputExceededException",
                "The level of configured provisioned throughput for the table was exceeded. Consider increasing your "
                    + "provisioning level with the UpdateTable API.")
        }
    }
}
