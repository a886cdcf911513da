import AWSWire
import Machine
import Synchronization

@testable import Emulator

/// A DynamoDB with a clock that the test moves, and one table.
struct DynamoDBBench {
    final class Clock: Sendable {
        private let elapsed = Mutex<Duration>(.zero)

        func advance(_ duration: Duration) { elapsed.withLock { $0 += duration } }

        var source: TimeSource {
            TimeSource(
                now: { Timestamp.zero + self.elapsed.withLock { $0 } },
                wallClock: { UnixTime(milliseconds: 1_769_860_800_000) + self.elapsed.withLock { $0 } },
                sleep: { _ in throw CancellationError() })
        }
    }

    let clock = Clock()
    let service: DynamoDBService
    let table = "leases"

    /// A table with the hash key `leaseKey` (S), unless `definition` says otherwise.
    init(
        _ settings: DynamoDBSettings = DynamoDBSettings(), seed: UInt64 = 1,
        definition: KeyValuePairs<String, AWSValue> = [:],
        creates: Bool = true
    ) throws(ServiceError) {
        service = DynamoDBService(
            account: "123456789012", region: "us-east-1", time: clock.source, seed: seed, settings: settings)
        guard creates else { return }
        var input: AWSValue = [
            "TableName": .string(table), "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [["AttributeName": "leaseKey", "KeyType": "HASH"]],
            "AttributeDefinitions": [["AttributeName": "leaseKey", "AttributeType": "S"]],
        ]
        input.add(definition)
        if input["ProvisionedThroughput"] != nil { input["BillingMode"] = "PROVISIONED" }
        _ = try service.handle(operation: "CreateTable", input: input)
    }

    /// `range`: the type of a sort key `r` beside a hash key `k` (S).
    static func ranged(_ type: String, settings: DynamoDBSettings = DynamoDBSettings()) throws -> DynamoDBBench {
        try DynamoDBBench(
            settings,
            definition: [
                "KeySchema": [
                    ["AttributeName": "k", "KeyType": "HASH"], ["AttributeName": "r", "KeyType": "RANGE"],
                ],
                "AttributeDefinitions": [
                    ["AttributeName": "k", "AttributeType": "S"],
                    ["AttributeName": "r", "AttributeType": .string(type)],
                ],
            ])
    }

    /// The lease table of a 3.x fleet: with the index from owner to lease.
    static func withOwnerIndex(settings: DynamoDBSettings = DynamoDBSettings()) throws -> DynamoDBBench {
        try DynamoDBBench(
            settings,
            definition: [
                "AttributeDefinitions": [
                    ["AttributeName": "leaseKey", "AttributeType": "S"],
                    ["AttributeName": "leaseOwner", "AttributeType": "S"],
                ],
                "GlobalSecondaryIndexes": [
                    [
                        "IndexName": "LeaseOwnerToLeaseKeyIndex", "Projection": ["ProjectionType": "KEYS_ONLY"],
                        "KeySchema": [
                            ["AttributeName": "leaseOwner", "KeyType": "HASH"],
                            ["AttributeName": "leaseKey", "KeyType": "RANGE"],
                        ],
                    ]
                ],
            ])
    }

    /// Calls `operation` on the table with the members of `input`.
    @discardableResult
    func call(_ operation: String, _ input: AWSValue = [:]) throws(ServiceError) -> AWSValue {
        var input = input
        if input["TableName"] == nil { input["TableName"] = .string(table) }
        return try service.handle(operation: operation, input: input)
    }

    /// The error of a call that must fail; `nil` where it did not.
    func error(_ operation: String, _ input: AWSValue = [:]) -> ServiceError? {
        do throws(ServiceError) {
            try call(operation, input)
            return nil
        } catch {
            return error
        }
    }

    func put(_ item: Item) throws(ServiceError) { try call("PutItem", ["Item": item.wire]) }

    func get(_ key: Item, isConsistent: Bool = true) throws(ServiceError) -> Item? {
        try call("GetItem", ["Key": key.wire, "ConsistentRead": .bool(isConsistent)])["Item"].flatMap {
            Item(wire: $0)
        }
    }

    /// UpdateItem with an expression on the row `key`.
    @discardableResult
    func update(
        _ expression: String, _ values: Item = [:], key: Item, names: AWSValue? = nil, condition: String? = nil,
        returns: String? = nil
    ) throws(ServiceError) -> Item? {
        let answer = try call(
            "UpdateItem",
            .members([
                "Key": key.wire, "UpdateExpression": .string(expression),
                "ExpressionAttributeValues": values.isEmpty ? nil : values.wire, "ExpressionAttributeNames": names,
                "ConditionExpression": condition.map { .string($0) }, "ReturnValues": returns.map { .string($0) },
            ]))
        return answer["Attributes"].flatMap { Item(wire: $0) }
    }

    /// All pages of a Scan or Query, with how many there were.
    func pages(_ operation: String, _ input: AWSValue = [:]) throws(ServiceError) -> (items: [Item], pages: Int) {
        var items: [Item] = []
        var input = input
        var pages = 0
        repeat {
            let answer = try call(operation, input)
            items += (answer["Items"]?.list ?? []).compactMap { Item(wire: $0) }
            input["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
            pages += 1
        } while input["ExclusiveStartKey"] != nil && pages < 100_000
        return (items, pages)
    }
}

extension AWSValue {
    /// Sets the members given.
    mutating func add(_ members: KeyValuePairs<String, AWSValue>) {
        for (name, value) in members { self[name] = value }
    }
}
