import AWSWire
import OrderedCollections

/// The parameters from before expressions, which the Java KCL sends, turned into conditions and updates.
///
/// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.html
enum DynamoDBLegacy {
    /// `Expected` and `ConditionalOperator`.
    static func expected(_ request: DynamoDBRequest) throws(ServiceError) -> Condition? {
        let map = try request.map("Expected")
        let isOr = try conditionalOperator(request, with: map, "Expected")
        guard let map, !map.isEmpty else { return nil }
        var terms: [Condition] = []
        for (name, wire) in map { terms.append(try expectation(name, try DynamoDBRequest(wire))) }
        return isOr ? .or(terms) : .and(terms)
    }

    /// `QueryFilter` or `ScanFilter`, and `ConditionalOperator`.
    static func filter(_ request: DynamoDBRequest, _ member: String) throws(ServiceError) -> Condition? {
        let map = try request.map(member)
        let isOr = try conditionalOperator(request, with: map, member)
        guard let map, !map.isEmpty else { return nil }
        let terms = try comparisons(map)
        return isOr ? .or(terms) : .and(terms)
    }

    /// `KeyConditions`, by attribute.
    static func keyConditions(_ request: DynamoDBRequest) throws(ServiceError) -> Condition? {
        guard let map = try request.map("KeyConditions"), !map.isEmpty else { return nil }
        return .and(try comparisons(map))
    }

    private static func comparisons(
        _ map: OrderedDictionary<String, AWSValue>
    ) throws(ServiceError) -> [Condition] {
        var terms: [Condition] = []
        for (name, wire) in map {
            let condition = try DynamoDBRequest(wire)
            let word = try condition.required(
                "comparisonOperator", try condition.word("ComparisonOperator", among: operators))
            terms.append(try comparison(name, word, try values(condition) ?? []))
        }
        return terms
    }

    /// Whether one of the conditions is enough.
    private static func conditionalOperator(
        _ request: DynamoDBRequest, with map: OrderedDictionary<String, AWSValue>?, _ member: String
    ) throws(ServiceError) -> Bool {
        guard let word = try request.word("ConditionalOperator", among: ["OR", "AND"]) else { return false }
        guard let map, !map.isEmpty else {
            throw .invalidParameter("ConditionalOperator cannot be used without Filter or Expected")
        }
        guard map.count > 1 else {
            throw .invalidParameter(
                "ConditionalOperator can only be used when Filter or Expected has two or more elements")
        }
        return word == "OR"
    }

    private static let operators = [
        "IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT", "NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE",
        "CONTAINS",
    ]

    private static func values(_ request: DynamoDBRequest) throws(ServiceError) -> [AttributeValue]? {
        guard let list = try request.list("AttributeValueList") else { return nil }
        var values: [AttributeValue] = []
        for wire in list { values.append(try DynamoDBValue.attribute(wire)) }
        return values
    }

    private static func expectation(_ name: String, _ request: DynamoDBRequest) throws(ServiceError) -> Condition {
        var value: AttributeValue?
        if let wire = request.input["Value"] { value = try DynamoDBValue.attribute(wire) }
        let list = try values(request)
        let exists = try request.bool("Exists")
        func invalid(_ reason: String) -> ServiceError { .invalidParameter("\(reason) for Attribute: \(name)") }
        if value != nil, list != nil { throw invalid("Value and AttributeValueList cannot be used together") }
        if let word = try request.word("ComparisonOperator", among: operators) {
            if exists != nil { throw invalid("Exists and ComparisonOperator cannot be used together") }
            let arguments = list ?? value.map { [$0] }
            guard arguments != nil || word == "NULL" || word == "NOT_NULL" else {
                throw invalid("Value or AttributeValueList must be used with ComparisonOperator: \(word)")
            }
            return try comparison(name, word, arguments ?? [])
        }
        if list != nil { throw invalid("AttributeValueList can only be used with a ComparisonOperator") }
        let path = DocumentPath(attribute: name)
        switch (exists, value) {
        case (false?, nil): return .attributeNotExists(path)
        case (false?, _?): throw invalid("Value cannot be used when Exists is false")
        case (_, let value?): return .compare(.path(path), .equal, .value(value))
        case (let exists, nil):
            throw invalid("Value must be provided when Exists is \(exists == nil ? "null" : "true")")
        }
    }

    private static func comparison(
        _ name: String, _ word: String, _ values: [AttributeValue]
    ) throws(ServiceError) -> Condition {
        let counts: ClosedRange<Int> =
            switch word {
            case "NULL", "NOT_NULL": 0...0
            case "BETWEEN": 2...2
            case "IN": 1...100
            default: 1...1
            }
        guard counts.contains(values.count) else {
            throw .invalidParameter("Invalid number of argument(s) for the \(word) ComparisonOperator")
        }
        let allowed: Set<String>? =
            switch word {
            case "LT", "LE", "GT", "GE", "BETWEEN", "IN", "CONTAINS", "NOT_CONTAINS": ["S", "N", "B"]
            case "BEGINS_WITH": ["S", "B"]
            default: nil
            }
        if let allowed, let value = values.first(where: { !allowed.contains($0.tag) }) {
            throw .invalidParameter(
                "ComparisonOperator \(word) is not valid for \(value.tag) AttributeValue type")
        }
        let path = DocumentPath(attribute: name)
        let operands = values.map { Operand.value($0) }
        func compare(_ comparator: Comparator) -> Condition { .compare(.path(path), comparator, operands[0]) }
        switch word {
        case "EQ": return compare(.equal)
        case "NE": return compare(.notEqual)
        case "LT": return compare(.less)
        case "LE": return compare(.lessOrEqual)
        case "GT": return compare(.greater)
        case "GE": return compare(.greaterOrEqual)
        case "NULL": return .attributeNotExists(path)
        case "NOT_NULL": return .attributeExists(path)
        case "IN": return .isIn(.path(path), operands)
        case "BEGINS_WITH": return .beginsWith(.path(path), operands[0])
        case "CONTAINS": return .contains(.path(path), operands[0])
        case "NOT_CONTAINS": return .not(.contains(.path(path), operands[0]))
        default:
            guard values[0].tag == values[1].tag else {
                throw .invalidParameter("AttributeValues inside AttributeValueList must be of same type")
            }
            guard values[1].precedes(values[0]) != true else {
                throw .validation(
                    "The BETWEEN condition was provided a range where the lower bound is greater than the upper "
                        + "bound")
            }
            return .between(.path(path), lower: operands[0], upper: operands[1])
        }
    }
}

// MARK: AttributeUpdates

extension DynamoDBLegacy {
    /// `AttributeUpdates`; `nil` where absent.
    static func attributeUpdates(_ request: DynamoDBRequest) throws(ServiceError) -> Update? {
        guard let map = try request.map("AttributeUpdates") else { return nil }
        var actions: [UpdateAction] = []
        for (name, wire) in map { actions.append(try action(name, try DynamoDBRequest(wire))) }
        var update = try Update(actions)
        update.isLegacy = true
        return update
    }

    private static func action(_ name: String, _ request: DynamoDBRequest) throws(ServiceError) -> UpdateAction {
        let word = try request.word("Action", among: ["ADD", "DELETE", "PUT"]) ?? "PUT"
        let path = DocumentPath(attribute: name)
        guard let wire = request.input["Value"] else {
            guard word == "DELETE" else {
                throw .invalidParameter("Only DELETE action is allowed when no attribute value is specified")
            }
            return .remove(path)
        }
        let value = try DynamoDBValue.attribute(wire)
        switch word {
        case "PUT": return .set(path, .operand(.value(value)))
        case "DELETE":
            guard ["SS", "NS", "BS"].contains(value.tag) else {
                throw .invalidParameter(
                    "DELETE action with value is not supported for the type \(value.tag)")
            }
            return .delete(path, .value(value))
        default:
            switch value {
            case .n, .ss, .ns, .bs: return .add(path, .value(value))
            case .l:
                return .set(path, .listAppend(.ifNotExists(path, .operand(.value(.l([])))), .operand(.value(value))))
            default:
                throw .invalidParameter("ADD action is not supported for the type \(value.tag)")
            }
        }
    }
}
