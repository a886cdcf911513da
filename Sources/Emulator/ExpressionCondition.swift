import AWSWire

// MARK: Static checks

extension Condition {
    /// Checks what can be known of a resolved condition without an item: operand types, bounds, repeated operands.
    func validate(_ kind: ExpressionKind) throws(ServiceError) {
        switch self {
        case .compare(let left, let comparator, let right):
            try validateDistinct(left, [right], comparator.rawValue, kind)
            try left.validate(kind)
            try right.validate(kind)
            guard comparator != .equal, comparator != .notEqual else { return }
            try left.validate(isOneOf: Operand.orderedTags, for: comparator.rawValue, kind)
            try right.validate(isOneOf: Operand.orderedTags, for: comparator.rawValue, kind)
        case .between(let operand, let lower, let upper): try validateBetween(operand, lower, upper, kind)
        case .isIn(let operand, let list):
            try validateDistinct(operand, list, "IN", kind)
            try operand.validate(kind)
            for element in list { try element.validate(kind) }
        case .attributeExists, .attributeNotExists: break
        case .attributeType(_, let type): try type.validateTypeName(kind)
        case .beginsWith(let operand, let prefix):
            try validateDistinct(operand, [prefix], "begins_with", kind)
            for side in [operand, prefix] {
                try side.validate(kind)
                try side.validate(isOneOf: ["S", "B"], for: "begins_with", kind)
            }
        case .contains(let operand, let part):
            try validateDistinct(operand, [part], "contains", kind)
            try operand.validate(kind)
            try part.validate(kind)
            try operand.validate(isOneOf: ["S", "B", "SS", "NS", "BS", "L"], for: "contains", kind)
        case .and(let terms), .or(let terms):
            for term in terms { try term.validate(kind) }
        case .not(let term): try term.validate(kind)
        }
    }

    private func validateDistinct(
        _ first: Operand, _ others: [Operand], _ name: String, _ kind: ExpressionKind
    ) throws(ServiceError) {
        guard case .path(let path) = first, others.contains(first) else { return }
        throw kind.invalid(
            "The first operand must be distinct from the remaining operands for this operator or function; "
                + "operator: \(name), first operand: \(path)")
    }

    private func validateBetween(
        _ operand: Operand, _ lower: Operand, _ upper: Operand, _ kind: ExpressionKind
    ) throws(ServiceError) {
        try validateDistinct(operand, [lower, upper], "BETWEEN", kind)
        for side in [operand, lower, upper] {
            try side.validate(kind)
            try side.validate(isOneOf: Operand.orderedTags, for: "BETWEEN", kind)
        }
        guard case .value(let low) = lower, case .value(let high) = upper else { return }
        func shown(_ value: AttributeValue) -> String { "AttributeValue: {\(value.tag):\(value.shown)}" }
        guard low.tag == high.tag else {
            throw kind.invalid(
                "The BETWEEN operator requires same data type for lower and upper bounds; "
                    + "lower bound operand: \(shown(low)), upper bound operand: \(shown(high))")
        }
        guard high.precedes(low) != true else {
            throw kind.invalid(
                "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
                    + "lower bound operand: \(shown(low)), upper bound operand: \(shown(high))")
        }
    }

    /// The attributes at which the paths of the condition start.
    var attributes: Set<String> {
        switch self {
        case .compare(let left, _, let right): left.attributes.union(right.attributes)
        case .between(let operand, let lower, let upper):
            operand.attributes.union(lower.attributes).union(upper.attributes)
        case .isIn(let operand, let list): list.reduce(operand.attributes) { $0.union($1.attributes) }
        case .attributeExists(let path), .attributeNotExists(let path): [path.attribute]
        case .attributeType(let path, let type): type.attributes.union([path.attribute])
        case .beginsWith(let a, let b), .contains(let a, let b): a.attributes.union(b.attributes)
        case .and(let terms), .or(let terms): terms.reduce([]) { $0.union($1.attributes) }
        case .not(let term): term.attributes
        }
    }
}

extension Operand {
    fileprivate static let orderedTags: Set = ["S", "N", "B"]

    fileprivate var attributes: Set<String> {
        switch self {
        case .path(let path): [path.attribute]
        case .size(let inner): inner.attributes
        case .value, .parameter: []
        }
    }

    fileprivate func validate(_ kind: ExpressionKind) throws(ServiceError) {
        guard case .size(let inner) = self else { return }
        try inner.validate(isOneOf: ["S", "B", "SS", "NS", "BS", "L", "M"], for: "size", kind)
    }

    fileprivate func validate(
        isOneOf tags: Set<String>, for name: String, _ kind: ExpressionKind
    ) throws(ServiceError) {
        let tag: String
        switch self {
        case .value(let value): tag = value.tag
        case .size: tag = "N"
        case .path, .parameter: return
        }
        guard tags.contains(tag) else {
            throw kind.invalid(
                "Incorrect operand type for operator or function; operator or function: \(name), operand type: \(tag)")
        }
    }

    fileprivate func validateTypeName(_ kind: ExpressionKind) throws(ServiceError) {
        guard case .value(let value) = self, case .s(let name) = value else {
            let tag = if case .value(let value) = self { value.tag } else { "path" }
            throw kind.invalid(
                "Incorrect operand type for operator or function; operator or function: attribute_type, "
                    + "operand type: \(tag)")
        }
        let names = ["B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M"]
        guard names.contains(name) else {
            throw kind.invalid(
                "Invalid attribute type name found; type: \(name), valid types: {\(names.joined(separator: ","))}")
        }
    }

    /// The operand's value in `item`; `nil` where there is none.
    fileprivate func value(in item: Item) -> AttributeValue? {
        switch self {
        case .path(let path): item[path: path]
        case .value(let value): value
        case .parameter: nil
        case .size(let inner): inner.value(in: item)?.elementCount.map { .n($0) }
        }
    }
}

extension AttributeValue {
    /// A scalar as errors show it.
    fileprivate var shown: String {
        switch self {
        case .s(let text), .n(let text): text
        case .b(let bytes): Base64.encode(bytes)
        default: ""
        }
    }
}

// MARK: Evaluation

extension Condition {
    /// Whether the resolved condition holds for `item`; an absent item is an empty one.
    func holds(for item: Item) -> Bool {
        switch self {
        case .compare(let left, let comparator, let right):
            Self.compare(left.value(in: item), comparator, right.value(in: item))
        case .between(let operand, let lower, let upper):
            Self.compare(operand.value(in: item), .greaterOrEqual, lower.value(in: item))
                && Self.compare(operand.value(in: item), .lessOrEqual, upper.value(in: item))
        case .isIn(let operand, let list):
            if let value = operand.value(in: item) {
                list.contains { $0.value(in: item)?.isSame(as: value) ?? false }
            } else {
                false
            }
        case .attributeExists(let path): item[path: path] != nil
        case .attributeNotExists(let path): item[path: path] == nil
        case .attributeType(let path, let type):
            item[path: path]?.tag == type.value(in: item)?.string
                && item[path: path] != nil
        case .beginsWith(let operand, let prefix): Self.begins(operand.value(in: item), prefix.value(in: item))
        case .contains(let operand, let part): Self.contains(operand.value(in: item), part.value(in: item))
        case .and(let terms): terms.allSatisfy { $0.holds(for: item) }
        case .or(let terms): terms.contains { $0.holds(for: item) }
        case .not(let term): !term.holds(for: item)
        }
    }

    private static func compare(_ left: AttributeValue?, _ comparator: Comparator, _ right: AttributeValue?) -> Bool {
        guard let left, let right else { return comparator == .notEqual && (left != nil || right != nil) }
        return switch comparator {
        case .equal: left.isSame(as: right)
        case .notEqual: !left.isSame(as: right)
        case .less: left.precedes(right) ?? false
        case .greater: right.precedes(left) ?? false
        case .lessOrEqual: right.precedes(left).map { !$0 } ?? false
        case .greaterOrEqual: left.precedes(right).map { !$0 } ?? false
        }
    }

    private static func begins(_ value: AttributeValue?, _ prefix: AttributeValue?) -> Bool {
        switch (value, prefix) {
        case (.s(let text)?, .s(let prefix)?): text.utf8.starts(with: prefix.utf8)
        case (.b(let bytes)?, .b(let prefix)?): bytes.array.starts(with: prefix.array)
        default: false
        }
    }

    private static func contains(_ value: AttributeValue?, _ part: AttributeValue?) -> Bool {
        switch (value, part) {
        case (.s(let text)?, .s(let part)?): occurs(Array(part.utf8), in: Array(text.utf8))
        case (.b(let bytes)?, .b(let part)?): occurs(part.array, in: bytes.array)
        case (.ss(let texts)?, .s(let text)?): texts.contains(text)
        case (.ns(let numbers)?, .n(let number)?): numbers.contains(number)
        case (.bs(let blobs)?, .b(let bytes)?): blobs.contains(bytes)
        case (.l(let values)?, let part?): values.contains { $0.isSame(as: part) }
        default: false
        }
    }

    private static func occurs(_ part: [UInt8], in whole: [UInt8]) -> Bool {
        guard !part.isEmpty else { return true }
        guard part.count <= whole.count else { return false }
        return (0...whole.count - part.count).contains { start in
            whole[start] == part[0] && whole[start..<start + part.count].elementsEqual(part)
        }
    }
}
