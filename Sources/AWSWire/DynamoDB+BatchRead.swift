public import Machine
import OrderedCollections

/// What a BatchGetItem showed, with its cost and the service's clock.
public struct BatchRead: Sendable {
    /// In no particular order; keys without an item are missing.
    public var items: [Item]
    /// The keys that the service did not come to, for want of capacity or of room in its answer.
    public var unprocessed: [Item]
    public var consumedReadUnits: Double?
    /// The service's clock when it answered.
    public var date: UnixTime?
}

extension DynamoDBClient {
    /// Reads the items under `keys`, at most 100 and no two the same, eventually consistent. Keys that the service does
    /// not come to are left to the caller, who knows whether they are worth another call.
    public func readItems(
        _ table: String, keys: [Item], attemptsMax: Int? = nil
    ) async throws(AWSError) -> BatchRead {
        let input: AWSValue = [
            "RequestItems": .map([table: ["Keys": .list(keys.map(\.wire))]]), "ReturnConsumedCapacity": "TOTAL",
        ]
        let answer = try await client.send("BatchGetItem", input, attemptsMax: attemptsMax, timeout: timeout)
        let body = try client.decode("BatchGetItem", answer)
        // One table was asked for, by whichever of its names it answers.
        let items = (body["Responses"]?.map ?? [:]).values.flatMap { $0.list ?? [] }.map { Item(wire: $0) }
        let unprocessed = (body["UnprocessedKeys"]?.map ?? [:]).values.flatMap { $0["Keys"]?.list ?? [] }
            .map { Item(wire: $0) }
        guard body["Responses"] != nil, !items.contains(nil), !unprocessed.contains(nil) else {
            throw client.malformed("BatchGetItem", "an item that is none")
        }
        let units = body["ConsumedCapacity"]?.list?.compactMap { $0["CapacityUnits"]?.double }
        return BatchRead(
            items: items.compactMap { $0 }, unprocessed: unprocessed.compactMap { $0 },
            consumedReadUnits: units.map { $0.reduce(0, +) }, date: answer.date)
    }
}
