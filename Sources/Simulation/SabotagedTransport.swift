import AWSWire
import Leases
import Machine
import Synchronization

/// Rewrites what passes, as the sabotage says.
struct SabotagedTransport: Transport {
    let inner: any Transport
    let sabotage: Sabotage
    let workerID: String
    private let time: TimeSource
    private let past = PastSubscriptions()
    private let strangers = Strangers()

    init(_ inner: any Transport, _ sabotage: Sabotage, workerID: String, time: TimeSource) {
        self.inner = inner
        self.sabotage = sabotage
        self.workerID = workerID
        self.time = time
    }

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
        case (.endedLeasesUncounted, "Scan"), (.foreignCadenceIgnored, "Scan"), (.newLeasesAsReleased, "Scan"):
            return try await answerRows(request)
        case (.newLeasesAsReleased, "UpdateItem") where update.contains("leaseOwner = :owner"):
            // Nobody's at 1: it was shown so, for what was released was taken before.
            if input["ExpressionAttributeValues"]?[":counter"]?["N"] == "1", !update.contains("ADD") {
                input["ExpressionAttributeValues"]?[":counter"] = ["N": "0"]
            }
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
        if sabotage == .oldOwnerSubscribes { await past.subscribe(request, through: inner, at: time.now()) }
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

    /// Without the ended leases, with foreign owners whose rows say that any failover time will do, or with nobody's
    /// first counter raised.
    private func answerRows(_ request: Request) async throws(TransportError) -> Response {
        var response = try await inner.send(request)
        guard response.status == 200, var body = try? JSON.decode(response.body), let rows = body["Items"]?.list else {
            return response
        }
        body["Items"] = .list(
            rows.compactMap { row in
                if sabotage == .endedLeasesUncounted { return row["checkpoint"]?["S"] == "SHARD_END" ? nil : row }
                if sabotage == .newLeasesAsReleased { return released(row) }
                return strangers.judgedAsOurs(row)
            })
        response.body = Bytes(JSON.encode(body))
        return response
    }

    private func released(_ row: AWSValue) -> AWSValue {
        guard row["leaseOwner"] == nil, row["leaseCounter"]?["N"] == "0" else { return row }
        var row = row
        row["leaseCounter"] = ["N": "1"]
        return row
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

/// The foreign owners. One row of each stays as it is, or the worker would not know any more that it is beside Java.
private final class Strangers: Sendable {
    /// By owner.
    private let untouched = Mutex<[String: String]>([:])

    /// `row` with a mark that names its foreign owner: so it is judged by the reader's own failover time.
    func judgedAsOurs(_ row: AWSValue) -> AWSValue {
        guard var item = Item(wire: row), var lease = LeaseTable.row(item).lease else { return row }
        let key = lease.leaseKey
        let isUntouched = untouched.withLock { untouched in
            for (owner, other) in untouched where other == key && owner != lease.leaseOwner { untouched[owner] = nil }
            guard let owner = lease.leaseOwner, !lease.isOwnerMarked else { return true }
            if untouched[owner] == nil { untouched[owner] = key }
            return untouched[owner] == key
        }
        guard !isUntouched, let owner = lease.leaseOwner else { return row }
        lease.ownerMark = OwnerMark(owner: owner, failoverTime: .milliseconds(1))
        item.merge(LeaseTable.newItem(lease)) { $1 }
        return item.wire
    }
}

/// What a worker subscribed to. A holder subscribes again as soon as a subscription ends; what was subscribed to long
/// ago was lost meanwhile.
private final class PastSubscriptions: Sendable {
    /// By shard.
    private let last = Mutex<[String: (request: Request, at: Timestamp)]>([:])

    private static let isLost: Duration = .seconds(60)

    /// Before `request` goes out, the oldest one that must be lost goes out once more.
    func subscribe(_ request: Request, through transport: any Transport, at now: Timestamp) async {
        guard let shard = (try? JSON.decode(Bytes(request.body)))?["ShardId"]?.string else { return }
        let old: Request? = last.withLock { last in
            last[shard] = (request, now)
            let oldest = last.min { ($0.value.at, $0.key) < ($1.value.at, $1.key) }
            guard let oldest, now - oldest.value.at > Self.isLost else { return nil }
            last[oldest.key] = nil
            return oldest.value.request
        }
        guard let old else { return }
        (try? await transport.open(old))?.close()
    }
}
