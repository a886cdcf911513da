import AWSWire
import Machine
import OrderedCollections

/// A secondary index as a request defines it.
struct IndexDefinition: Sendable {
    var name: String
    var keys: KeySchema
    var projection: IndexProjection
    var isGlobal: Bool
    var throughput: (reads: Int, writes: Int)?

    func index(_ status: ResourceStatus, burst: Duration, at now: Timestamp) -> SecondaryIndex {
        SecondaryIndex(
            name: name, keys: keys, projection: projection, isGlobal: isGlobal,
            throughput: throughput.map {
                ProvisionedThroughput(reads: $0.reads, writes: $0.writes, burst: burst, at: now)
            },
            status: status)
    }

    init(
        _ request: DynamoDBRequest, isGlobal: Bool, isOnDemand: Bool, types: OrderedDictionary<String, String>
    ) throws(ServiceError) {
        name = try DynamoDBRequest.checkedName(
            try request.required("IndexName", try request.string("IndexName")), "IndexName", request)
        self.isGlobal = isGlobal
        keys = try TableDefinition.keySchema(request, types)
        projection = try Self.projection(
            try request.required("Projection", try request.request("Projection")))
        throughput = isGlobal ? try TableDefinition.throughput(request, isOnDemand: isOnDemand, index: name) : nil
    }

    private static func projection(_ request: DynamoDBRequest) throws(ServiceError) -> IndexProjection {
        let names = try request.strings("NonKeyAttributes")
        let type = try request.word("ProjectionType", among: ["ALL", "INCLUDE", "KEYS_ONLY"])
        switch (type, names) {
        case (nil, _): throw .invalidParameter("Unknown ProjectionType: null")
        case ("INCLUDE", let names?) where !names.isEmpty: return .include(names)
        case ("INCLUDE", _): throw .invalidParameter("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
        case (let type?, _?):
            throw .invalidParameter("ProjectionType is \(type), but NonKeyAttributes is specified")
        case (let type?, nil): return type == "ALL" ? .all : .keysOnly
        }
    }
}

/// A CreateTable request.
struct TableDefinition: Sendable {
    static let globalIndexesMax = 20
    static let localIndexesMax = 5

    var keys: KeySchema
    var attributeTypes: OrderedDictionary<String, String>
    var indexes: [IndexDefinition] = []
    var throughput: (reads: Int, writes: Int)?
    var tableClass: String?
    var isDeletionProtected: Bool
    var tags: OrderedDictionary<String, String>

    init(_ request: DynamoDBRequest) throws(ServiceError) {
        if try request.request("StreamSpecification")?.bool("StreamEnabled") ?? false {
            throw .validation("DynamoDB Streams are not emulated: StreamSpecification.StreamEnabled must be false")
        }
        let billing = try Self.billing(request) ?? "PROVISIONED"
        let isOnDemand = billing == "PAY_PER_REQUEST"
        attributeTypes = try Self.types(
            try request.required("AttributeDefinitions", try request.requests("AttributeDefinitions")))
        _ = try request.required("KeySchema", try request.list("KeySchema"))
        throughput = try Self.throughput(request, isOnDemand: isOnDemand, index: nil)
        keys = try Self.keySchema(request, attributeTypes)
        for (member, isGlobal) in [("LocalSecondaryIndexes", false), ("GlobalSecondaryIndexes", true)] {
            guard let definitions = try request.requests(member) else { continue }
            guard !definitions.isEmpty else {
                throw .invalidParameter("List of \(member) is empty")
            }
            let max = isGlobal ? Self.globalIndexesMax : Self.localIndexesMax
            guard definitions.count <= max else {
                throw .invalidParameter("\(member) count exceeds the per-table limit of \(max)")
            }
            for definition in definitions {
                indexes.append(
                    try IndexDefinition(definition, isGlobal: isGlobal, isOnDemand: isOnDemand, types: attributeTypes))
            }
        }
        tableClass = try request.word("TableClass", among: ["STANDARD", "STANDARD_INFREQUENT_ACCESS"])
        isDeletionProtected = try request.bool("DeletionProtectionEnabled") ?? false
        tags = request.input["Tags"] == nil ? [:] : try Self.tags(request)
        try checkIndexes()
    }

    private func checkIndexes() throws(ServiceError) {
        let names = indexes.map(\.name)
        if let name = names.first(where: { name in names.count { $0 == name } > 1 }) {
            throw .invalidParameter("Duplicate index name: \(name)")
        }
        for index in indexes where !index.isGlobal {
            guard keys.range != nil else {
                throw .invalidParameter(
                    "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"
                )
            }
            guard index.keys.range != nil else {
                throw .invalidParameter("Index KeySchema does not have a range key for index: \(index.name)")
            }
            guard index.keys.hash == keys.hash else {
                throw .invalidParameter(
                    "Index KeySchema does not have the same leading hash key as table KeySchema for index: "
                        + "\(index.name). index hash key: \(index.keys.hash.name), "
                        + "table hash key: \(keys.hash.name)")
            }
        }
        let used = Set(keys.names + indexes.flatMap(\.keys.names))
        guard used.count == attributeTypes.count else {
            throw .invalidParameter(
                "Number of attributes in KeySchema does not exactly match number of attributes defined in "
                    + "AttributeDefinitions")
        }
    }
}

// MARK: Parts of requests

extension TableDefinition {
    static func billing(_ request: DynamoDBRequest) throws(ServiceError) -> String? {
        try request.word("BillingMode", among: ["PROVISIONED", "PAY_PER_REQUEST"])
    }

    static func types(_ requests: [DynamoDBRequest]) throws(ServiceError) -> OrderedDictionary<String, String> {
        var types: OrderedDictionary<String, String> = [:]
        for request in requests {
            let name = try request.required(
                "attributeDefinitions.1.member.attributeName", try request.string("AttributeName"))
            let type = try request.required(
                "attributeDefinitions.1.member.attributeType",
                try request.word("AttributeType", among: ["B", "N", "S"]))
            guard types.updateValue(type, forKey: name) == nil else {
                throw .invalidParameter(
                    "Duplicate AttributeName in AttributeDefinitions: \(name)")
            }
        }
        return types
    }

    static func keySchema(
        _ request: DynamoDBRequest, _ types: OrderedDictionary<String, String>
    ) throws(ServiceError) -> KeySchema {
        let elements = try request.required("KeySchema", try request.requests("KeySchema"))
        guard !elements.isEmpty else {
            throw request.constraint("keySchema", "[]", "Member must have length greater than or equal to 1")
        }
        guard elements.count <= 2 else {
            throw .invalidParameter("Too many KeySchemaElements; maximum is 2")
        }
        var attributes: [KeySchema.Attribute] = []
        for (index, element) in elements.enumerated() {
            let name = try element.required(
                "keySchema.\(index + 1).member.attributeName", try element.string("AttributeName"))
            let role = try element.required(
                "keySchema.\(index + 1).member.keyType", try element.word("KeyType", among: ["HASH", "RANGE"]))
            guard role == (index == 0 ? "HASH" : "RANGE") else {
                throw .validation(
                    index == 0
                        ? "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"
                        : "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
            }
            guard let type = types[name] else {
                let names = elements.compactMap { $0.input["AttributeName"]?.string }
                throw .invalidParameter(
                    "Some index key attributes are not defined in AttributeDefinitions. "
                        + "Keys: [\(names.joined(separator: ", "))], "
                        + "AttributeDefinitions: [\(types.keys.joined(separator: ", "))]")
            }
            attributes.append(KeySchema.Attribute(name: name, type: type))
        }
        guard attributes.count == 1 || attributes[0].name != attributes[1].name else {
            throw .validation("Both the Hash Key and the Range Key element in the KeySchema have the same name")
        }
        return KeySchema(hash: attributes[0], range: attributes.count > 1 ? attributes[1] : nil)
    }

    /// `ProvisionedThroughput` of a table, or of the index named; `nil` on demand.
    static func throughput(
        _ request: DynamoDBRequest, isOnDemand: Bool, index: String?
    ) throws(ServiceError) -> (reads: Int, writes: Int)? {
        let of = index.map { " for index: \($0)" } ?? ""
        guard let throughput = try request.request("ProvisionedThroughput") else {
            guard !isOnDemand else { return nil }
            throw index == nil
                ? .invalidParameter(
                    "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
                : .invalidParameter("ProvisionedThroughput is not specified\(of)")
        }
        guard !isOnDemand else {
            throw .invalidParameter(
                index == nil
                    ? "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is "
                        + "PAY_PER_REQUEST"
                    : "ProvisionedThroughput should not be specified\(of) when BillingMode is PAY_PER_REQUEST")
        }
        let units = 1...1_000_000_000_000
        return (
            try throughput.required(
                "provisionedThroughput.readCapacityUnits", try throughput.int("ReadCapacityUnits", in: units)),
            try throughput.required(
                "provisionedThroughput.writeCapacityUnits", try throughput.int("WriteCapacityUnits", in: units))
        )
    }

    static func tags(_ request: DynamoDBRequest) throws(ServiceError) -> OrderedDictionary<String, String> {
        var tags: OrderedDictionary<String, String> = [:]
        for (index, tag) in try request.required("Tags", try request.requests("Tags")).enumerated() {
            let path = "tags.\(index + 1).member"
            let key = try tag.required("\(path).key", try tag.text("Key", "\(path).key", lengths: 1...128))
            tags[key] = try tag.required("\(path).value", try tag.text("Value", "\(path).value", lengths: 0...256))
        }
        return tags
    }
}
