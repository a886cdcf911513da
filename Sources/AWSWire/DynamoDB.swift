public import Machine
import OrderedCollections

/// A DynamoDB attribute value. Numbers stay the decimal text that the wire carries.
public enum AttributeValue: Hashable, Sendable {
    case s(String)
    case n(String)
    case b(Bytes)
    case bool(Bool)
    case null
    case l([AttributeValue])
    case m([String: AttributeValue])
    case ss(Set<String>)
    case ns(Set<String>)
    case bs(Set<Bytes>)
}

public typealias Item = [String: AttributeValue]

extension AttributeValue {
    public static func n(_ value: Int) -> AttributeValue { .n(String(value)) }
    public static func n(_ value: Int64) -> AttributeValue { .n(String(value)) }

    public var string: String? {
        if case .s(let value) = self { value } else { nil }
    }

    /// A number that is whole and fits.
    public var int: Int64? {
        guard case .n(let text) = self else { return nil }
        return Int64(text) ?? Double(text).flatMap { Int64(exactly: $0) }
    }

    public var double: Double? {
        if case .n(let text) = self { Double(text) } else { nil }
    }

    /// The type tag of the wire: `S`, `N`, ….
    public var tag: String {
        switch self {
        case .s: "S"
        case .n: "N"
        case .b: "B"
        case .bool: "BOOL"
        case .null: "NULL"
        case .l: "L"
        case .m: "M"
        case .ss: "SS"
        case .ns: "NS"
        case .bs: "BS"
        }
    }

    /// As the wire writes it: `{"S":"text"}`. Sets and maps are sorted, so that equal values have equal bytes.
    public var wire: AWSValue {
        let value: AWSValue =
            switch self {
            case .s(let value), .n(let value): .string(value)
            case .b(let value): .bytes(value)
            case .bool(let value): .bool(value)
            case .null: .bool(true)
            case .l(let values): .list(values.map(\.wire))
            case .m(let values): values.wire
            case .ss(let values), .ns(let values): .list(values.sorted().map { .string($0) })
            case .bs(let values):
                .list(values.sorted { $0.array.lexicographicallyPrecedes($1.array) }.map { .bytes($0) })
            }
        return .map([tag: value])
    }

    /// `nil` where `wire` is no attribute value.
    public init?(_ wire: AWSValue) {
        guard case .map(let map) = wire, map.count == 1,
            let (tag, value) = map.elements.first.map({ ($0.key, $0.value) })
        else { return nil }
        switch (tag, value) {
        case ("S", .string(let text)): self = .s(text)
        case ("N", .string(let text)): self = .n(text)
        case ("B", _):
            guard let blob = value.blob else { return nil }
            self = .b(blob)
        case ("BOOL", .bool(let flag)): self = .bool(flag)
        case ("NULL", .bool): self = .null
        case ("L", .list(let list)):
            let values = list.compactMap { AttributeValue($0) }
            guard values.count == list.count else { return nil }
            self = .l(values)
        case ("M", .map):
            guard let item = Item(wire: value) else { return nil }
            self = .m(item)
        case ("SS", .list), ("NS", .list):
            guard let strings = value.strings else { return nil }
            self = tag == "SS" ? .ss(Set(strings)) : .ns(Set(strings))
        case ("BS", .list(let list)):
            let blobs = list.compactMap(\.blob)
            guard blobs.count == list.count else { return nil }
            self = .bs(Set(blobs))
        default: return nil
        }
    }
}

extension Item {
    public var wire: AWSValue {
        var map: OrderedDictionary<String, AWSValue> = [:]
        for name in keys.sorted() { map[name] = self[name]?.wire }
        return .map(map)
    }

    public init?(wire: AWSValue) {
        guard case .map(let map) = wire else { return nil }
        self.init(minimumCapacity: map.count)
        for (name, value) in map {
            guard let value = AttributeValue(value) else { return nil }
            self[name] = value
        }
    }
}

/// One conditional UpdateItem as a value: what a person confirms, the audit keeps and `perform` sends.
public struct UpdateItem: Hashable, Sendable {
    public var table: String
    public var key: Item
    public var update: String
    public var condition: String?
    public var names: [String: String]
    public var values: [String: AttributeValue]
    /// `ALL_NEW`, `ALL_OLD`, … ; `nil` for nothing.
    public var returnValues: String?

    public init(
        table: String, key: Item, update: String, condition: String?, names: [String: String] = [:],
        values: [String: AttributeValue] = [:], returnValues: String? = nil
    ) {
        self.table = table
        self.key = key
        self.update = update
        self.condition = condition
        self.names = names
        self.values = values
        self.returnValues = returnValues
    }

    /// The request body.
    public var input: AWSValue {
        .members([
            "TableName": .string(table), "Key": key.wire, "UpdateExpression": .string(update),
            "ConditionExpression": condition.map { .string($0) },
            "ExpressionAttributeNames": names.isEmpty ? nil : names.wireNames,
            "ExpressionAttributeValues": values.isEmpty ? nil : values.wire,
            "ReturnValues": returnValues.map { .string($0) },
            "ReturnValuesOnConditionCheckFailure": condition == nil ? nil : "ALL_OLD",
        ])
    }
}

extension [String: String] {
    fileprivate var wireNames: AWSValue {
        var map: OrderedDictionary<String, AWSValue> = [:]
        for name in keys.sorted() { map[name] = self[name].map { .string($0) } }
        return .map(map)
    }
}

/// The units a second that a provisioned table is paid for.
public struct TableCapacity: Hashable, Sendable {
    public var reads: Int
    public var writes: Int

    public init(reads: Int, writes: Int) {
        self.reads = reads
        self.writes = writes
    }
}

public struct TableDescription: Hashable, Sendable {
    public var name: String
    public var arn: String
    /// CREATING, ACTIVE, UPDATING, DELETING.
    public var status: String
    /// Key attribute names with `HASH` or `RANGE`.
    public var keySchema: [String: String]
    /// Attribute types of the key attributes.
    public var attributeTypes: [String: String]
    /// `nil` on demand.
    public var provisionedReads: Int?
    public var indexes: [String]
    public var itemCount: Int
    public var sizeBytes: Int
}

/// One page of a scan.
public struct ScanPage: Sendable {
    public var items: [Item]
    public var lastEvaluatedKey: Item?
    public var consumedReadUnits: Double?
    /// The service's clock when it answered.
    public var date: UnixTime?
}

extension AWSError {
    /// The item as it was when a condition failed (`ReturnValuesOnConditionCheckFailure: ALL_OLD`); `nil` where the
    /// answer carries none: the row does not exist, or the service does not return it.
    public var conditionImage: Item? {
        guard meaning == .conditionFailed, case .service(_, _, _, let body) = cause else { return nil }
        return body["Item"].flatMap { Item(wire: $0) }
    }
}

/// DynamoDB, the operations that a lease table needs.
///
/// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html
public struct DynamoDBClient: Sendable {
    public let client: AWSClient
    /// Of each attempt; `nil` for the client's own.
    public var timeout: Duration?

    public init(_ client: AWSClient) {
        precondition(client.service == .dynamodb)
        self.client = client
    }

    public func describeTable(_ name: String) async throws(AWSError) -> TableDescription {
        let answer = try await client.call("DescribeTable", ["TableName": .string(name)])
        guard let table = answer["Table"], let description = TableDescription(table) else {
            throw client.malformed("DescribeTable", "no Table")
        }
        return description
    }

    /// Creates a table with one string hash key.
    ///
    /// - Parameter capacity: `nil` for an on-demand table.
    public func createTable(
        _ name: String, hashKey: String, capacity: TableCapacity? = nil, isDeletionProtected: Bool = false
    ) async throws(AWSError) {
        _ = try await client.call(
            "CreateTable",
            .members([
                "TableName": .string(name), "BillingMode": capacity == nil ? "PAY_PER_REQUEST" : "PROVISIONED",
                "ProvisionedThroughput": capacity.map {
                    ["ReadCapacityUnits": .int(Int64($0.reads)), "WriteCapacityUnits": .int(Int64($0.writes))]
                },
                "DeletionProtectionEnabled": isDeletionProtected ? true : nil,
                "KeySchema": [["AttributeName": .string(hashKey), "KeyType": "HASH"]],
                "AttributeDefinitions": [["AttributeName": .string(hashKey), "AttributeType": "S"]],
            ]))
    }

    public func listTables() async throws(AWSError) -> [String] {
        var names: [String] = []
        for _ in 0..<1000 {
            let answer = try await client.call(
                "ListTables", .members(["ExclusiveStartTableName": names.last.map { .string($0) }]))
            guard let page = answer["TableNames"]?.strings else {
                throw client.malformed("ListTables", "no TableNames")
            }
            names += page
            if answer["LastEvaluatedTableName"] == nil { return names }
        }
        throw client.malformed("ListTables", "the pages do not end")
    }

    /// One page; `segment` of `totalSegments` reads a part of the table. Reads are eventually consistent unless asked.
    public func scan(
        _ table: String, startingAfter key: Item? = nil, segment: Int? = nil, totalSegments: Int? = nil,
        limit: Int? = nil, consistent: Bool = false, attemptsMax: Int? = nil
    ) async throws(AWSError) -> ScanPage {
        let input = AWSValue.members([
            "TableName": .string(table), "ExclusiveStartKey": key?.wire, "Segment": segment.map { .int(Int64($0)) },
            "TotalSegments": totalSegments.map { .int(Int64($0)) }, "Limit": limit.map { .int(Int64($0)) },
            "ConsistentRead": consistent ? true : nil, "ReturnConsumedCapacity": "TOTAL",
        ])
        let answer = try await client.send("Scan", input, attemptsMax: attemptsMax, timeout: timeout)
        var page = try client.decode("Scan", answer, as: ScanPage.init(json:))
        page.date = answer.date
        return page
    }

    /// The item under `key`, read consistently; `nil` where there is none.
    public func getItem(_ table: String, key: Item) async throws(AWSError) -> Item? {
        let answer = try await client.call(
            "GetItem", ["TableName": .string(table), "Key": key.wire, "ConsistentRead": true], timeout: timeout)
        guard let item = answer["Item"] else { return nil }
        guard let item = Item(wire: item) else { throw client.malformed("GetItem", "an item that is none") }
        return item
    }

    /// Puts a new item; fails with `conditionFailed` where the key exists. Sent once: a late second attempt could make
    /// an item anew that was used and deleted meanwhile.
    public func putNewItem(_ table: String, _ item: Item, hashKey: String) async throws(AWSError) {
        _ = try await client.call(
            "PutItem",
            [
                "TableName": .string(table), "Item": item.wire,
                "ConditionExpression": "attribute_not_exists(#key)",
                "ExpressionAttributeNames": ["#key": .string(hashKey)],
            ], attemptsMax: 1, timeout: timeout)
    }

    /// Sends `update`; returns the attributes that it asked for. Sent once unless `attemptsMax` says otherwise: after a
    /// lost answer the caller must look before it writes again.
    @discardableResult
    public func updateItem(_ update: UpdateItem, attemptsMax: Int = 1) async throws(AWSError) -> Item? {
        let answer = try await client.call("UpdateItem", update.input, attemptsMax: attemptsMax, timeout: timeout)
        return answer["Attributes"].flatMap { Item(wire: $0) }
    }

    /// Deletes the item if `condition` holds.
    public func deleteItem(
        _ table: String, key: Item, condition: String, names: [String: String], values: [String: AttributeValue]
    ) async throws(AWSError) {
        _ = try await client.call(
            "DeleteItem",
            [
                "TableName": .string(table), "Key": key.wire, "ConditionExpression": .string(condition),
                "ExpressionAttributeNames": names.wireNames, "ExpressionAttributeValues": values.wire,
            ], attemptsMax: 1, timeout: timeout)
    }
}

extension TableDescription {
    init?(_ value: AWSValue) {
        guard let name = value["TableName"]?.string, let status = value["TableStatus"]?.string else { return nil }
        self.name = name
        self.status = status
        arn = value["TableArn"]?.string ?? ""
        keySchema = [:]
        for key in value["KeySchema"]?.list ?? [] {
            if let name = key["AttributeName"]?.string { keySchema[name] = key["KeyType"]?.string ?? "" }
        }
        attributeTypes = [:]
        for attribute in value["AttributeDefinitions"]?.list ?? [] {
            if let name = attribute["AttributeName"]?.string {
                attributeTypes[name] = attribute["AttributeType"]?.string ?? ""
            }
        }
        let reads = value["ProvisionedThroughput"]?["ReadCapacityUnits"]?.int ?? 0
        let isOnDemand = value["BillingModeSummary"]?["BillingMode"]?.string == "PAY_PER_REQUEST"
        provisionedReads = isOnDemand || reads == 0 ? nil : reads
        indexes = (value["GlobalSecondaryIndexes"]?.list ?? []).compactMap { $0["IndexName"]?.string }
        itemCount = value["ItemCount"]?.int ?? 0
        sizeBytes = value["TableSizeBytes"]?.int ?? 0
    }
}
