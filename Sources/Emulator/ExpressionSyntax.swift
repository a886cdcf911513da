import AWSWire

/// Which parameter of a request an expression is; its raw value is how errors call it.
enum ExpressionKind: String, Hashable, Sendable {
    case condition = "ConditionExpression"
    case update = "UpdateExpression"
    case projection = "ProjectionExpression"
    case filter = "FilterExpression"
    case keyCondition = "KeyConditionExpression"

    func invalid(_ reason: String) -> ServiceError { .validation("Invalid \(rawValue): \(reason)") }
}

/// `a.b[0]`: where in an item a value stands.
struct DocumentPath: Hashable, Sendable, CustomStringConvertible {
    enum Element: Hashable, Sendable {
        /// An attribute or map member; `#name` until the expression is resolved.
        case name(String)
        case index(Int)
    }

    var elements: [Element]

    init(_ elements: [Element]) { self.elements = elements }

    /// A top-level attribute, its name taken as it is.
    init(attribute: String) { elements = [.name(attribute)] }

    /// The attribute that the path starts at.
    var attribute: String {
        if case .name(let name)? = elements.first { name } else { "" }
    }

    var isTopLevel: Bool { elements.count == 1 }

    /// `[a, b, [0]]`, as DynamoDB's errors write it.
    var description: String {
        let parts = elements.map { element in
            switch element {
            case .name(let name): name
            case .index(let index): "[\(index)]"
            }
        }
        return "[\(parts.joined(separator: ", "))]"
    }
}

/// What a condition or an update compares and computes with.
indirect enum Operand: Hashable, Sendable {
    case path(DocumentPath)
    case value(AttributeValue)
    /// `:name`, until the expression is resolved.
    case parameter(String)
    case size(Operand)
}

enum Comparator: String, Hashable, Sendable {
    case equal = "="
    case notEqual = "<>"
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
}

indirect enum Condition: Hashable, Sendable {
    case compare(Operand, Comparator, Operand)
    case between(Operand, lower: Operand, upper: Operand)
    case isIn(Operand, [Operand])
    case attributeExists(DocumentPath)
    case attributeNotExists(DocumentPath)
    case attributeType(DocumentPath, Operand)
    case beginsWith(Operand, Operand)
    case contains(Operand, Operand)
    case and([Condition])
    case or([Condition])
    case not(Condition)
}

/// The right-hand side of a SET.
indirect enum SetValue: Hashable, Sendable {
    case operand(Operand)
    case plus(SetValue, SetValue)
    case minus(SetValue, SetValue)
    case ifNotExists(DocumentPath, SetValue)
    case listAppend(SetValue, SetValue)
}

/// One clause of an update.
enum UpdateAction: Hashable, Sendable {
    case set(DocumentPath, SetValue)
    case remove(DocumentPath)
    case add(DocumentPath, Operand)
    case delete(DocumentPath, Operand)

    var path: DocumentPath {
        switch self {
        case .set(let path, _), .remove(let path), .add(let path, _), .delete(let path, _): path
        }
    }
}

/// A parsed expression, whatever its kind.
enum Expression: Hashable, Sendable {
    case condition(Condition)
    case update([UpdateAction])
    case projection([DocumentPath])
}
