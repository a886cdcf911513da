public import Machine

/// What a GetItem showed, with its cost and the service's clock.
public struct ItemRead: Sendable {
    /// `nil` where there is no such item.
    public var item: Item?
    public var consumedReadUnits: Double?
    /// The service's clock when it answered.
    public var date: UnixTime?
}

extension DynamoDBClient {
    /// Reads the item under `key` for one who watches: eventually consistent unless asked, and with what it cost.
    public func readItem(_ table: String, key: Item, consistent: Bool = false) async throws(AWSError) -> ItemRead {
        let input = AWSValue.members([
            "TableName": .string(table), "Key": key.wire, "ConsistentRead": consistent ? true : nil,
            "ReturnConsumedCapacity": "TOTAL",
        ])
        let answer = try await client.send("GetItem", input, attemptsMax: nil, timeout: timeout)
        let body = try client.decode("GetItem", answer)
        let item = body["Item"].map { Item(wire: $0) }
        guard item != .some(nil) else { throw client.malformed("GetItem", "an item that is none") }
        return ItemRead(
            item: item ?? nil, consumedReadUnits: body["ConsumedCapacity"]?["CapacityUnits"]?.double, date: answer.date)
    }
}
