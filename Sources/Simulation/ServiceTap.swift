import AWSWire
import Emulator
import Leases
import Machine
import Synchronization

/// The services as one node reaches them. Each request takes effect in one step, and the referee sees every write to
/// the lease table in that very step.
struct ServiceTap: Transport {
    let emulator: Emulator
    let referee: Referee
    let worker: Referee.Incarnation
    let streamName: String
    let tableName: String

    func send(_ request: Request) async throws(TransportError) -> Response {
        referee.called("\(request.isForDynamoDB ? "dynamodb" : "kinesis"):\(request.operation)")
        guard request.isForDynamoDB else { return try await perform(request) }
        switch request.operation {
        case "PutItem", "UpdateItem", "DeleteItem": return try await write(request)
        case "Scan": return try await scan(request)
        default: return try await perform(request)
        }
    }

    func open(_ request: Request) async throws(TransportError) -> any ResponseStream {
        referee.called("\(request.isForDynamoDB ? "dynamodb" : "kinesis"):\(request.operation)")
        if request.operation == "SubscribeToShard", let input = try? JSON.decode(Bytes(request.body)),
            let shard = input["ShardId"]?.string
        {
            referee.subscribed(shard, by: worker, sentAt: request.sentAt)
        }
        return try await EmulatorDoor(emulator: emulator).open(request)
    }

    /// Reads are counted when the fleet is at rest: decoding them all would cost more than the rest of the simulation.
    private func scan(_ request: Request) async throws(TransportError) -> Response {
        let response = try await perform(request)
        guard referee.isCalm, response.status == 200, let body = try? JSON.decode(response.body),
            let input = try? JSON.decode(Bytes(request.body))
        else { return response }
        let rows = body["ScannedCount"]?.int ?? body["Count"]?.int ?? 0
        let segment = input["Segment"]?.int.map { "\($0) of \(input["TotalSegments"]?.int ?? 0)" } ?? "all"
        referee.scanned(rows: rows, segment: segment, by: worker)
        return response
    }

    private func perform(_ request: Request) async throws(TransportError) -> Response {
        try await EmulatorDoor(emulator: emulator).send(request)
    }

    private func write(_ request: Request) async throws(TransportError) -> Response {
        guard let input = try? JSON.decode(Bytes(request.body)),
            let key = (input["Key"] ?? input["Item"])?["leaseKey"]?["S"]?.string
        else { return try await perform(request) }
        let before = referee.state.withLock { $0.leases[key] }
        let response = try await perform(request)
        guard response.status == 200 else { return response }
        let after = try await row(key)
        var children: [String] = []
        if after?.isEnded == true, before?.isEnded == false { children = try await childShards(of: key) }
        // An operator's write does not travel.
        let sentAt = request.headers[FaultyTransport.sentHeader] == nil ? referee.now : request.sentAt
        referee.wrote(key, before: before, after: after, by: worker, sentAt: sentAt, children: children)
        return response
    }

    private func row(_ key: String) async throws(TransportError) -> Lease? {
        let answer = try await ask(
            "DynamoDB_20120810.GetItem",
            ["TableName": .string(tableName), "Key": LeaseTable.key(key).wire, "ConsistentRead": true])
        guard let item = answer["Item"].flatMap({ Item(wire: $0) }) else { return nil }
        do throws(JavaLease.Unreadable) { _ = try JavaLease(item) } catch {
            referee.report(.readableByJava, "\(worker.workerID) wrote a row that Java cannot read: \(error)")
        }
        return LeaseTable.row(item).lease
    }

    private func childShards(of shard: String) async throws(TransportError) -> [String] {
        let answer = try await ask("Kinesis_20131202.ListShards", ["StreamName": .string(streamName)])
        return (answer["Shards"]?.list ?? []).compactMap { entry in
            let parents = [entry["ParentShardId"]?.string, entry["AdjacentParentShardId"]?.string]
            return parents.contains(shard) ? entry["ShardId"]?.string : nil
        }
    }

    private func ask(_ target: String, _ input: AWSValue) async throws(TransportError) -> AWSValue {
        let response = try await perform(
            Request(
                url: Endpoint(scheme: "http", host: "simulated"), headers: [Header("X-Amz-Target", target)],
                body: JSON.encode(input)))
        return (try? JSON.decode(response.body)) ?? .null
    }
}

extension Request {
    /// True time.
    fileprivate var sentAt: Timestamp {
        Timestamp(nanoseconds: headers[FaultyTransport.sentHeader].flatMap { Int64($0) } ?? 0)
    }
}
