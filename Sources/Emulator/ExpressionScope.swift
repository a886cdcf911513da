import AWSWire
import OrderedCollections

/// The names and values that a request's expressions refer to, and which of them were used.
struct ExpressionScope {
    private let names: OrderedDictionary<String, String>?
    private let values: OrderedDictionary<String, AttributeValue>?
    private var usedNames: Set<String> = []
    private var usedValues: Set<String> = []

    /// Reads `ExpressionAttributeNames` and `ExpressionAttributeValues` of `input`; `expressions` are the parameters
    /// that could use them, by name, `nil` where absent.
    init(_ input: AWSValue, for expressions: KeyValuePairs<ExpressionKind, String?>) throws(ServiceError) {
        let isUsed = expressions.contains { $0.value != nil }
        let absent = expressions.map { "\($0.key.rawValue)" }.joined(separator: ", ")
        let isPlural = expressions.count > 1
        func onlyWithExpressions(_ member: String) -> ServiceError {
            .validation(
                "\(member) can only be specified when using expressions: \(absent) \(isPlural ? "are" : "is") null")
        }
        names = try Self.names(input["ExpressionAttributeNames"])
        if names != nil, !isUsed { throw onlyWithExpressions("ExpressionAttributeNames") }
        values = try Self.values(input["ExpressionAttributeValues"])
        if values != nil, !isUsed { throw onlyWithExpressions("ExpressionAttributeValues") }
    }

    private static func names(_ wire: AWSValue?) throws(ServiceError) -> OrderedDictionary<String, String>? {
        guard let wire else { return nil }
        guard case .map(let map) = wire else { throw .serialization("Unexpected value type in payload") }
        guard !map.isEmpty else { throw .validation("ExpressionAttributeNames must not be empty") }
        var names: OrderedDictionary<String, String> = [:]
        for (key, value) in map {
            guard let name = value.string else { throw .serialization("Unexpected value type in payload") }
            guard isPlaceholder(key, "#") else {
                throw .validation("ExpressionAttributeNames contains invalid key: Syntax error; key: \"\(key)\"")
            }
            guard !name.isEmpty else {
                throw .validation("ExpressionAttributeNames contains invalid value for key \(key)")
            }
            names[key] = name
        }
        return names
    }

    private static func values(_ wire: AWSValue?) throws(ServiceError) -> OrderedDictionary<String, AttributeValue>? {
        guard let wire else { return nil }
        guard case .map(let map) = wire else { throw .serialization("Unexpected value type in payload") }
        guard !map.isEmpty else { throw .validation("ExpressionAttributeValues must not be empty") }
        var values: OrderedDictionary<String, AttributeValue> = [:]
        for (key, value) in map {
            guard isPlaceholder(key, ":") else {
                throw .validation("ExpressionAttributeValues contains invalid key: Syntax error; key: \"\(key)\"")
            }
            do throws(ServiceError) {
                values[key] = try DynamoDBValue.attribute(value)
            } catch {
                guard error.type == "ValidationException" else { throw error }
                throw .validation(
                    "ExpressionAttributeValues contains invalid value: \(error.message) for key \(key)")
            }
        }
        return values
    }

    private static func isPlaceholder(_ key: String, _ sigil: Character) -> Bool {
        key.first == sigil && key.utf8.count > 1 && key.utf8.dropFirst().allSatisfy(ExpressionToken.isWordPart)
    }

    /// Fails where a name or value was given that no expression used.
    func finish() throws(ServiceError) {
        func check(_ member: String, _ keys: [String]?, _ used: Set<String>) throws(ServiceError) {
            let unused = (keys ?? []).filter { !used.contains($0) }
            guard unused.isEmpty else {
                throw .validation(
                    "Value provided in \(member) unused in expressions: keys: {\(unused.joined(separator: ", "))}")
            }
        }
        try check("ExpressionAttributeNames", names.map { Array($0.keys) }, usedNames)
        try check("ExpressionAttributeValues", values.map { Array($0.keys) }, usedValues)
    }
}

// MARK: Putting names and values in

extension ExpressionScope {
    mutating func resolve(_ path: DocumentPath, _ kind: ExpressionKind) throws(ServiceError) -> DocumentPath {
        var elements: [DocumentPath.Element] = []
        elements.reserveCapacity(path.elements.count)
        for element in path.elements {
            guard case .name(let placeholder) = element, placeholder.utf8.first == UInt8(ascii: "#") else {
                elements.append(element)
                continue
            }
            guard let name = names?[placeholder] else {
                throw kind.invalid(
                    "An expression attribute name used in the document path is not defined; "
                        + "attribute name: \(placeholder)")
            }
            usedNames.insert(placeholder)
            elements.append(.name(name))
        }
        return DocumentPath(elements)
    }

    mutating func resolve(_ operand: Operand, _ kind: ExpressionKind) throws(ServiceError) -> Operand {
        switch operand {
        case .path(let path): return .path(try resolve(path, kind))
        case .value: return operand
        case .size(let inner): return .size(try resolve(inner, kind))
        case .parameter(let name):
            guard let value = values?[name] else {
                throw kind.invalid(
                    "An expression attribute value used in expression is not defined; attribute value: \(name)")
            }
            usedValues.insert(name)
            return .value(value)
        }
    }

    mutating func resolve(_ condition: Condition, _ kind: ExpressionKind) throws(ServiceError) -> Condition {
        switch condition {
        case .compare(let left, let comparator, let right):
            return .compare(try resolve(left, kind), comparator, try resolve(right, kind))
        case .between(let operand, let lower, let upper):
            return .between(
                try resolve(operand, kind), lower: try resolve(lower, kind), upper: try resolve(upper, kind))
        case .isIn(let operand, let list):
            let operand = try resolve(operand, kind)
            var resolved: [Operand] = []
            for element in list { resolved.append(try resolve(element, kind)) }
            return .isIn(operand, resolved)
        case .attributeExists(let path): return .attributeExists(try resolve(path, kind))
        case .attributeNotExists(let path): return .attributeNotExists(try resolve(path, kind))
        case .attributeType(let path, let type):
            return .attributeType(try resolve(path, kind), try resolve(type, kind))
        case .beginsWith(let operand, let prefix):
            return .beginsWith(try resolve(operand, kind), try resolve(prefix, kind))
        case .contains(let operand, let part):
            return .contains(try resolve(operand, kind), try resolve(part, kind))
        case .and(let terms): return .and(try resolve(terms, kind))
        case .or(let terms): return .or(try resolve(terms, kind))
        case .not(let term): return .not(try resolve(term, kind))
        }
    }

    private mutating func resolve(_ terms: [Condition], _ kind: ExpressionKind) throws(ServiceError) -> [Condition] {
        var resolved: [Condition] = []
        for term in terms { resolved.append(try resolve(term, kind)) }
        return resolved
    }

    mutating func resolve(_ value: SetValue, _ kind: ExpressionKind) throws(ServiceError) -> SetValue {
        switch value {
        case .operand(let operand): return .operand(try resolve(operand, kind))
        case .plus(let left, let right): return .plus(try resolve(left, kind), try resolve(right, kind))
        case .minus(let left, let right): return .minus(try resolve(left, kind), try resolve(right, kind))
        case .ifNotExists(let path, let value):
            return .ifNotExists(try resolve(path, kind), try resolve(value, kind))
        case .listAppend(let left, let right):
            return .listAppend(try resolve(left, kind), try resolve(right, kind))
        }
    }

    mutating func resolve(_ action: UpdateAction, _ kind: ExpressionKind) throws(ServiceError) -> UpdateAction {
        switch action {
        case .set(let path, let value): return .set(try resolve(path, kind), try resolve(value, kind))
        case .remove(let path): return .remove(try resolve(path, kind))
        case .add(let path, let value): return .add(try resolve(path, kind), try resolve(value, kind))
        case .delete(let path, let value): return .delete(try resolve(path, kind), try resolve(value, kind))
        }
    }
}
