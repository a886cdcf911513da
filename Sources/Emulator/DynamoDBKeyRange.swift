import AWSWire

/// The keys that a read goes through: a range of hashes, or one partition with a condition on the sort key.
struct KeyRange: Sendable {
    private var hashes: ClosedRange<UInt64>
    private var partition: RowKey?
    private var lower: (bytes: [UInt8], isInclusive: Bool)?
    private var upper: (bytes: [UInt8], isInclusive: Bool)?

    /// All keys, or the `number`th of `total` equal parts of the hashes.
    init(segment: (number: Int, total: Int)?) {
        guard let segment else {
            hashes = 0...UInt64.max
            return
        }
        func bound(_ number: Int) -> UInt64 {
            UInt64(truncatingIfNeeded: (UInt128(1) << 64) * UInt128(number) / UInt128(segment.total))
        }
        let isLast = segment.number == segment.total - 1
        hashes = bound(segment.number)...(isLast ? UInt64.max : bound(segment.number + 1) - 1)
    }

    /// Whether `key` comes before the range.
    func isBefore(_ key: RowKey) -> Bool {
        guard let partition else { return key.hash < hashes.lowerBound }
        guard key.isInPartition(of: partition) else { return key < partition }
        guard let lower else { return false }
        return key.sort.lexicographicallyPrecedes(lower.bytes) || !lower.isInclusive && key.sort == lower.bytes
    }

    /// Whether `key` comes after the range.
    func isAfter(_ key: RowKey) -> Bool {
        guard let partition else { return key.hash > hashes.upperBound }
        guard key.isInPartition(of: partition) else { return key > partition }
        guard let upper else { return false }
        return upper.bytes.lexicographicallyPrecedes(key.sort) || !upper.isInclusive && key.sort == upper.bytes
    }

    func contains(_ key: RowKey) -> Bool { !isBefore(key) && !isAfter(key) }
}

// MARK: Key conditions

extension KeyRange {
    /// `condition` as a range of `schema`; fails where it is anything but equality of the hash key and at most one
    /// condition on the range key.
    init(_ condition: Condition, _ schema: KeySchema, _ kind: ExpressionKind) throws(ServiceError) {
        hashes = 0...UInt64.max
        var terms: [Condition] = []
        try Self.flatten(condition, into: &terms, kind)
        var seen: Set<String> = []
        for term in terms {
            let (name, values) = try Self.parts(of: term, kind)
            guard seen.insert(name).inserted else {
                throw kind.invalid("KeyConditionExpressions must only contain one condition per key")
            }
            guard let attribute = schema.attributes.first(where: { $0.name == name }) else { continue }
            guard values.allSatisfy({ $0.tag == attribute.type }) else {
                throw .invalidParameter("Condition parameter type does not match schema type")
            }
            guard values.allSatisfy({ !$0.isEmptyKey }) else {
                throw .validation(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
                        + "an empty \(attribute.type == "B" ? "binary" : "string") value. Key: \(name)")
            }
            let bytes = values.map { $0.keyBytes ?? [] }
            if name == schema.hash.name {
                guard case .compare(_, .equal, _) = term else { throw .validation("Query key condition not supported") }
                partition = RowKey(partition: bytes[0])
            } else {
                try bound(term, bytes)
            }
        }
        guard partition != nil else { throw Self.missing(schema.hash.name) }
        let foreign = seen.subtracting(schema.names)
        guard foreign.isEmpty else {
            throw seen.count <= 2 && schema.range != nil && !seen.contains(schema.range?.name ?? "")
                ? Self.missing(schema.range?.name ?? "") : .validation("Query key condition not supported")
        }
    }

    private static func missing(_ name: String) -> ServiceError {
        .validation("Query condition missed key schema element: \(name)")
    }

    private static func flatten(
        _ condition: Condition, into terms: inout [Condition], _ kind: ExpressionKind
    ) throws(ServiceError) {
        switch condition {
        case .and(let parts):
            for part in parts { try flatten(part, into: &terms, kind) }
        case .or: throw kind.invalid("Invalid operator used in KeyConditionExpression: OR")
        case .not: throw kind.invalid("Invalid operator used in KeyConditionExpression: NOT")
        case .isIn: throw kind.invalid("Invalid operator used in KeyConditionExpression: IN")
        case .attributeExists: throw kind.invalid("Invalid operator used in KeyConditionExpression: attribute_exists")
        case .attributeNotExists:
            throw kind.invalid("Invalid operator used in KeyConditionExpression: attribute_not_exists")
        case .attributeType: throw kind.invalid("Invalid operator used in KeyConditionExpression: attribute_type")
        case .contains: throw kind.invalid("Invalid operator used in KeyConditionExpression: contains")
        case .compare(_, .notEqual, _):
            throw kind.invalid("Invalid operator used in KeyConditionExpression: <>")
        case .compare, .between, .beginsWith: terms.append(condition)
        }
    }

    /// The attribute of one term and the values it is compared with.
    private static func parts(
        of term: Condition, _ kind: ExpressionKind
    ) throws(ServiceError) -> (name: String, values: [AttributeValue]) {
        let operands: [Operand] =
            switch term {
            case .compare(let left, _, let right): [left, right]
            case .between(let operand, let lower, let upper): [operand, lower, upper]
            case .beginsWith(let operand, let prefix): [operand, prefix]
            default: []
            }
        var paths: [DocumentPath] = []
        var values: [AttributeValue] = []
        for operand in operands {
            switch operand {
            case .path(let path): paths.append(path)
            case .value(let value): values.append(value)
            case .size: throw kind.invalid("KeyConditionExpressions cannot contain nested operations")
            case .parameter: break
            }
        }
        guard paths.count == 1, values.count == operands.count - 1 else {
            throw kind.invalid(
                "Invalid condition in KeyConditionExpression: one operand must be a key attribute, "
                    + "the others must be values")
        }
        guard paths[0].isTopLevel else {
            throw kind.invalid("KeyConditionExpressions cannot have conditions on nested attributes")
        }
        return (paths[0].attribute, values)
    }

    private mutating func bound(_ term: Condition, _ bytes: [[UInt8]]) throws(ServiceError) {
        switch term {
        case .compare(let left, let comparator, _):
            // `:v < a` is `a > :v`.
            let isReversed = if case .value = left { true } else { false }
            switch isReversed ? comparator.reversed : comparator {
            case .equal:
                lower = (bytes[0], true)
                upper = (bytes[0], true)
            case .less: upper = (bytes[0], false)
            case .lessOrEqual: upper = (bytes[0], true)
            case .greater: lower = (bytes[0], false)
            case .greaterOrEqual: lower = (bytes[0], true)
            case .notEqual: throw .validation("Query key condition not supported")
            }
        case .between:
            lower = (bytes[0], true)
            upper = (bytes[1], true)
        case .beginsWith:
            lower = (bytes[0], true)
            upper = Self.successor(ofPrefix: bytes[0]).map { ($0, false) }
        default: throw .validation("Query key condition not supported")
        }
    }

    /// The first bytes after all that begin with `prefix`; `nil` where nothing comes after them.
    private static func successor(ofPrefix prefix: [UInt8]) -> [UInt8]? {
        var bytes = prefix
        while let last = bytes.last {
            if last < 0xFF {
                bytes[bytes.count - 1] = last + 1
                return bytes
            }
            bytes.removeLast()
        }
        return nil
    }
}

extension Comparator {
    fileprivate var reversed: Comparator {
        switch self {
        case .equal, .notEqual: self
        case .less: .greater
        case .lessOrEqual: .greaterOrEqual
        case .greater: .less
        case .greaterOrEqual: .lessOrEqual
        }
    }
}
