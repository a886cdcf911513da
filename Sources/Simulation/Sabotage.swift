import AWSWire
import Leases
import Machine
import Synchronization

/// Ways to break the engine from outside, to prove that the invariants notice. The product has no hooks for this:
/// requests and answers are rewritten, or clocks lie.
package enum Sabotage: String, Hashable, Sendable, CaseIterable {
    /// Checkpoints are written without their condition.
    case unconditionalCheckpoint
    /// Child leases are created at LATEST instead of TRIM_HORIZON.
    case childAtLatest
    /// The second parent of a merge always reads as SHARD_END.
    case oneParentChecked
    /// The clock stands still while the machine is suspended, as CLOCK_MONOTONIC does.
    case noSelfFencing
    /// Expiry is judged by a wall clock, which is stepped.
    case expiryByWallClock
    /// Child leases are not created although the answer says so.
    case childrenNotCreated
    /// A checkpoint inside an aggregate is stored as one at its end.
    case subSequenceRoundedUp
    /// A take does not require the counter that was read.
    case unconditionalTake
    /// A subscription that follows another one starts at the tip of the shard.
    case resumesAtLatest
    /// A subscription that follows another one starts after a record that was not read yet.
    case resumesAheadOfContinuation
    /// Ended leases are not seen, and so not counted (beside Java).
    case endedLeasesUncounted
    /// Foreign owners are judged by our own failover time, whatever their cadence (beside Java).
    case foreignCadenceIgnored
    /// A lease is given up by deleting its row (beside Java).
    case releaseDeletes
    /// A take sets the counter back (beside Java).
    case counterReset
    /// A child lease has no `ownerSwitchesSinceCheckpoint` (beside Java).
    case ownerSwitchesMissing

    package var needsFanOut: Bool { self == .resumesAtLatest || self == .resumesAheadOfContinuation }

    /// Breaks a rule that only Java neighbours hold us to.
    package var needsJava: Bool {
        switch self {
        case .endedLeasesUncounted, .foreignCadenceIgnored, .releaseDeletes, .counterReset,
            .ownerSwitchesMissing:
            true
        default: false
        }
    }
}

/// Rewrites what passes, as the sabotage says.
struct SabotagedTransport: Transport {
    let inner: any Transport
    let sabotage: Sabotage
    let workerID: String

    func send(_ request: Request) async throws(TransportError) -> Response {
        guard request.isForDynamoDB, var input = try? JSON.decode(Bytes(request.body)) else {
            return try await inner.send(request)
        }
        var request = request
        let update = input["UpdateExpression"]?.string ?? ""
        let isCheckpoint = update.contains("checkpoint = :checkpoint")
        switch (sabotage, request.operation) {
        case (.unconditionalCheckpoint, "UpdateItem") where isCheckpoint,
            (.unconditionalTake, "UpdateItem") where update.contains("leaseOwner = :owner"):
            input["ConditionExpression"] = nil
            input["ReturnValuesOnConditionCheckFailure"] = nil
            input["ExpressionAttributeValues"]?[":counter"] = nil
        case (.subSequenceRoundedUp, "UpdateItem") where isCheckpoint:
            if input["ExpressionAttributeValues"]?[":checkpoint"]?["S"]?.string?.first?.isNumber == true {
                input["ExpressionAttributeValues"]?[":sub"] = ["N": "1000"]
            }
        case (.childAtLatest, "PutItem") where input["Item"]?["parentShardId"] != nil:
            input["Item"]?["checkpoint"] = ["S": "LATEST"]
        case (.childrenNotCreated, "PutItem") where input["Item"]?["parentShardId"] != nil:
            return Response(status: 200, body: Bytes("{}"))
        case (.oneParentChecked, "GetItem"):
            return try await answerAsEnded(request, input)
        case (.endedLeasesUncounted, "Scan"), (.foreignCadenceIgnored, "Scan"):
            return try await answerRows(request)
        case (.foreignCadenceIgnored, "UpdateItem") where update.contains("ADD ownerSwitchesSinceCheckpoint"):
            // The row that was read has twice the counter.
            guard let shown = input["ExpressionAttributeValues"]?[":counter"]?["N"]?.string.flatMap({ Int64($0) })
            else { return try await inner.send(request) }
            input["ExpressionAttributeValues"]?[":counter"] = AttributeValue.n(shown / 2).wire
            input["ExpressionAttributeValues"]?[":next"] = AttributeValue.n(shown / 2 + 1).wire
        case (.releaseDeletes, "UpdateItem") where update.contains("REMOVE leaseOwner"):
            return try await inner.send(deletion(request, input))
        case (.counterReset, "UpdateItem") where update.contains("leaseOwner = :owner"):
            input["ExpressionAttributeValues"]?[":next"] = AttributeValue.n(1).wire
        case (.ownerSwitchesMissing, "PutItem") where input["Item"]?["parentShardId"] != nil:
            input["Item"]?["ownerSwitchesSinceCheckpoint"] = nil
        default: return try await inner.send(request)
        }
        request.body = JSON.encode(input)
        return try await inner.send(request)
    }

    func open(_ request: Request) async throws(TransportError) -> any ResponseStream {
        guard var input = try? JSON.decode(Bytes(request.body)),
            input["StartingPosition"]?["Type"]?.string == "AFTER_SEQUENCE_NUMBER",
            let number = input["StartingPosition"]?["SequenceNumber"]?.string.flatMap({ SequenceNumber($0) })
        else { return try await inner.open(request) }
        var request = request
        switch sabotage {
        case .resumesAtLatest: input["StartingPosition"] = ["Type": "LATEST"]
        case .resumesAheadOfContinuation:
            guard var parts = SequenceNumberParts(number, now: UnixTime(milliseconds: .max)) else { break }
            parts.counter += 1
            input["StartingPosition"]?["SequenceNumber"] = .string(parts.sequenceNumber.description)
        default: break
        }
        request.body = JSON.encode(input)
        return try await inner.open(request)
    }

    /// Without the ended leases, or with foreign counters that always move in steps of two.
    private func answerRows(_ request: Request) async throws(TransportError) -> Response {
        var response = try await inner.send(request)
        guard response.status == 200, var body = try? JSON.decode(response.body), let rows = body["Items"]?.list else {
            return response
        }
        body["Items"] = .list(
            rows.compactMap { row in
                if sabotage == .endedLeasesUncounted { return row["checkpoint"]?["S"] == "SHARD_END" ? nil : row }
                guard let owner = row["leaseOwner"]?["S"]?.string, owner != workerID,
                    let counter = row["leaseCounter"]?["N"]?.string.flatMap({ Int64($0) })
                else { return row }
                var row = row
                row["leaseCounter"] = AttributeValue.n(counter * 2).wire
                return row
            })
        response.body = Bytes(JSON.encode(body))
        return response
    }

    private func deletion(_ request: Request, _ input: AWSValue) -> Request {
        var request = request
        request.headers.removeAll { $0.name == "X-Amz-Target" }
        request.headers.append(Header("X-Amz-Target", "DynamoDB_20120810.DeleteItem"))
        request.body = JSON.encode(["TableName": input["TableName"] ?? .null, "Key": input["Key"] ?? .null])
        return request
    }

    /// Somebody else's lease reads as SHARD_END if its shard is an adjacent parent; those have odd numbers here as
    /// often as even ones, so half of the parents do.
    private func answerAsEnded(
        _ request: Request, _ input: AWSValue
    ) async throws(TransportError) -> Response {
        var response = try await inner.send(request)
        let key = input["Key"]?["leaseKey"]?["S"]?.string ?? ""
        guard response.status == 200, key.last.flatMap({ Int(String($0)) }).map({ $0 % 2 == 1 }) == true,
            var body = try? JSON.decode(response.body), body["Item"] != nil,
            body["Item"]?["leaseOwner"]?["S"]?.string != workerID
        else { return response }
        body["Item"]?["checkpoint"] = ["S": "SHARD_END"]
        response.body = Bytes(JSON.encode(body))
        return response
    }
}

extension SimulatedNode {
    /// The clock that the node's worker is given: its own, or one that lies.
    func time(under sabotage: Sabotage?) -> TimeSource {
        switch sabotage {
        case .noSelfFencing: lyingTime { self.pausedTotal * -1 }
        case .expiryByWallClock:
            // Stepped ahead by 20 s every 40 s: at a different second on each node.
            lyingTime { .seconds(((self.simulator.now - .zero).inSeconds + Double(self.number * 7)) / 40).steps * 20 }
        default: time
        }
    }

    private func lyingTime(_ lie: @escaping @Sendable () -> Duration) -> TimeSource {
        let truth = time
        let simulator = simulator
        let now: @Sendable () -> Timestamp = { truth.now() + lie() }
        return TimeSource(
            now: now, wallClock: truth.wallClock,
            sleep: { until in
                repeat { try await simulator.sleep(until: simulator.now + (until - now())) } while now() < until
            })
    }
}

extension Duration {
    /// Whole seconds.
    fileprivate var steps: Duration { .seconds(components.seconds) }
}
