import AWSWire

/// Resolved actions of one update that do not disturb each other.
struct Update: Sendable {
    let actions: [UpdateAction]
    /// Whether they came as `AttributeUpdates`, which word some errors differently and create no item only to delete
    /// attributes from it.
    var isLegacy = false

    /// Whether the update makes an item where there is none.
    var createsItem: Bool {
        guard isLegacy, !actions.isEmpty else { return true }
        return actions.contains { action in
            switch action {
            case .set, .add: true
            case .remove, .delete: false
            }
        }
    }

    /// Checks the operand types and that no two paths overlap.
    init(_ actions: [UpdateAction], _ kind: ExpressionKind = .update) throws(ServiceError) {
        self.actions = actions
        for action in actions { try action.validate(kind) }
        try DocumentPath.validateDisjoint(actions.map(\.path), kind)
    }

    /// The item after the update; all operands read the item as it was.
    func applied(to item: Item) throws(ServiceError) -> Item {
        do throws(ServiceError) {
            return try result(of: item)
        } catch {
            throw isLegacy && error == Self.wrongType ? .validation("Type mismatch for attribute to update") : error
        }
    }

    private func result(of item: Item) throws(ServiceError) -> Item {
        var root = AttributeValue.m(item)
        var removals: [DocumentPath] = []
        var sets: [(path: DocumentPath, value: AttributeValue)] = []
        for action in actions {
            switch action {
            case .set(let path, let value): sets.append((path, try value.evaluated(in: item)))
            case .remove(let path): removals.append(path)
            case .add(let path, let operand):
                guard case .value(let value) = operand else { continue }
                sets.append((path, try Self.sum(item[path: path], value)))
            case .delete(let path, let operand):
                guard case .value(let value) = operand, let old = item[path: path] else { continue }
                guard let rest = try Self.difference(old, value) else {
                    removals.append(path)
                    continue
                }
                sets.append((path, rest))
            }
        }
        // Elements beyond the end of a list are appended in their order, and removals keep the indexes of the rest.
        sets.sort { $0.path.precedes($1.path) }
        removals.sort { $1.precedes($0) }
        for (path, value) in sets {
            guard root.set(value, at: path.elements[...]) else { throw Self.invalidPath }
        }
        for path in removals {
            guard root.remove(at: path.elements[...]) else { throw Self.invalidPath }
        }
        guard case .m(let result) = root else { return item }
        return result
    }

    private static var invalidPath: ServiceError {
        .validation("The document path provided in the update expression is invalid for update")
    }

    fileprivate static var wrongType: ServiceError {
        .validation("An operand in the update expression has an incorrect data type")
    }

    /// ADD: a number is added, a set united; an absent attribute counts as 0 or as empty.
    static func sum(_ old: AttributeValue?, _ value: AttributeValue) throws(ServiceError) -> AttributeValue {
        guard let old else { return value }
        switch (old, value) {
        case (.n, .n):
            guard let a = old.number, let b = value.number else { throw wrongType }
            return .n(try a.adding(b).text)
        case (.ss(let a), .ss(let b)): return .ss(a.union(b))
        case (.ns(let a), .ns(let b)): return .ns(a.union(b))
        case (.bs(let a), .bs(let b)): return .bs(a.union(b))
        default: throw wrongType
        }
    }

    /// DELETE: the set without the elements of `value`; `nil` where nothing is left.
    static func difference(_ old: AttributeValue, _ value: AttributeValue) throws(ServiceError) -> AttributeValue? {
        switch (old, value) {
        case (.ss(let a), .ss(let b)): return a.subtracting(b).isEmpty ? nil : .ss(a.subtracting(b))
        case (.ns(let a), .ns(let b)): return a.subtracting(b).isEmpty ? nil : .ns(a.subtracting(b))
        case (.bs(let a), .bs(let b)): return a.subtracting(b).isEmpty ? nil : .bs(a.subtracting(b))
        default: throw wrongType
        }
    }
}

extension UpdateAction {
    fileprivate func validate(_ kind: ExpressionKind) throws(ServiceError) {
        func check(_ operand: Operand, _ tags: Set<String>, _ name: String) throws(ServiceError) {
            guard case .value(let value) = operand, !tags.contains(value.tag) else { return }
            throw kind.invalid(
                "Incorrect operand type for operator or function; operator: \(name), operand type: "
                    + value.longTag)
        }
        switch self {
        case .set(_, let value): try value.validate(kind)
        case .remove: break
        case .add(_, let operand): try check(operand, ["N", "SS", "NS", "BS"], "ADD")
        case .delete(_, let operand): try check(operand, ["SS", "NS", "BS"], "DELETE")
        }
    }
}

extension AttributeValue {
    /// The type as the errors of ADD and DELETE name it.
    fileprivate var longTag: String {
        switch self {
        case .s: "STRING"
        case .n: "NUMBER"
        case .b: "BINARY"
        case .bool: "BOOLEAN"
        case .null: "NULL"
        case .l: "LIST"
        case .m: "MAP"
        case .ss, .ns, .bs: "SET"
        }
    }
}

extension SetValue {
    fileprivate func validate(_ kind: ExpressionKind) throws(ServiceError) {
        func check(_ value: SetValue, _ tag: String, _ name: String) throws(ServiceError) {
            try value.validate(kind)
            guard case .operand(.value(let value)) = value, value.tag != tag else { return }
            throw kind.invalid(
                "Incorrect operand type for operator or function; operator or function: \(name), "
                    + "operand type: \(value.tag)")
        }
        switch self {
        case .operand: break
        case .plus(let left, let right):
            try check(left, "N", "+")
            try check(right, "N", "+")
        case .minus(let left, let right):
            try check(left, "N", "-")
            try check(right, "N", "-")
        case .ifNotExists(_, let value): try value.validate(kind)
        case .listAppend(let left, let right):
            try check(left, "L", "list_append")
            try check(right, "L", "list_append")
        }
    }

    fileprivate func evaluated(in item: Item) throws(ServiceError) -> AttributeValue {
        switch self {
        case .operand(.path(let path)):
            guard let value = item[path: path] else {
                throw .validation(
                    "The provided expression refers to an attribute that does not exist in the item")
            }
            return value
        case .operand(.value(let value)): return value
        case .operand: throw Update.wrongType
        case .plus(let left, let right): return try Self.sum(left, right, in: item, isNegated: false)
        case .minus(let left, let right): return try Self.sum(left, right, in: item, isNegated: true)
        case .ifNotExists(let path, let value):
            if let existing = item[path: path] { return existing }
            return try value.evaluated(in: item)
        case .listAppend(let left, let right):
            guard case .l(let a) = try left.evaluated(in: item), case .l(let b) = try right.evaluated(in: item)
            else { throw Update.wrongType }
            return .l(a + b)
        }
    }

    private static func sum(
        _ left: SetValue, _ right: SetValue, in item: Item, isNegated: Bool
    ) throws(ServiceError) -> AttributeValue {
        guard let a = try left.evaluated(in: item).number, let b = try right.evaluated(in: item).number else {
            throw Update.wrongType
        }
        return .n(try a.adding(isNegated ? b.negated : b).text)
    }
}

extension DocumentPath {
    /// An order in which list indexes rise and a path comes before those inside it.
    fileprivate func precedes(_ other: DocumentPath) -> Bool {
        for (mine, theirs) in zip(elements, other.elements) {
            switch (mine, theirs) {
            case (.index(let a), .index(let b)) where a != b: return a < b
            case (.name(let a), .name(let b)) where a != b: return a < b
            case (.index, .name): return true
            case (.name, .index): return false
            default: continue
            }
        }
        return elements.count < other.elements.count
    }

    /// Fails where one path is, or lies inside, another, or where two read one value as a map and as a list.
    static func validateDisjoint(_ paths: [DocumentPath], _ kind: ExpressionKind) throws(ServiceError) {
        var tree = PathTree()
        for path in paths {
            guard let (verb, other) = tree.insert(path) else { continue }
            throw kind.invalid(
                "Two document paths \(verb) with each other; must remove or rewrite one of these paths; "
                    + "path one: \(other), path two: \(path)")
        }
    }
}

/// The paths of one expression, to find two that meet without comparing each with each.
private struct PathTree {
    private var path: DocumentPath?
    private var children: [DocumentPath.Element: PathTree] = [:]

    /// `nil` where `path` meets none of those before; otherwise how it does and which one.
    mutating func insert(_ path: DocumentPath) -> (verb: String, other: DocumentPath)? {
        insert(path, path.elements[...])
    }

    private mutating func insert(
        _ path: DocumentPath, _ rest: ArraySlice<DocumentPath.Element>
    ) -> (verb: String, other: DocumentPath)? {
        if let mine = self.path { return ("overlap", mine) }
        guard let first = rest.first else {
            if let other = anyPath { return ("overlap", other) }
            self.path = path
            return nil
        }
        if children.contains(where: { $0.key.isIndex != first.isIndex }), let other = anyPath {
            return ("conflict", other)
        }
        return children[first, default: PathTree()].insert(path, rest.dropFirst())
    }

    private var anyPath: DocumentPath? {
        path ?? children.values.compactMap(\.anyPath).min { $0.precedes($1) }
    }
}

extension DocumentPath.Element {
    fileprivate var isIndex: Bool {
        if case .index = self { true } else { false }
    }
}

extension AttributeValue {
    /// Sets the value at `path` inside this one; false where the way there does not exist.
    fileprivate mutating func set(_ value: AttributeValue, at path: ArraySlice<DocumentPath.Element>) -> Bool {
        guard let first = path.first else {
            self = value
            return true
        }
        let rest = path.dropFirst()
        switch (first, self) {
        case (.name(let name), .m(var members)):
            self = .null
            defer { self = .m(members) }
            if rest.isEmpty {
                members[name] = value
                return true
            }
            return members[name]?.set(value, at: rest) ?? false
        case (.index(let index), .l(var values)):
            self = .null
            defer { self = .l(values) }
            if rest.isEmpty {
                if values.indices.contains(index) { values[index] = value } else { values.append(value) }
                return true
            }
            return values.indices.contains(index) && values[index].set(value, at: rest)
        default: return false
        }
    }

    /// Removes the value at `path`, if there is one; false where the way there does not exist.
    fileprivate mutating func remove(at path: ArraySlice<DocumentPath.Element>) -> Bool {
        guard let first = path.first else { return false }
        let rest = path.dropFirst()
        switch (first, self) {
        case (.name(let name), .m(var members)):
            self = .null
            defer { self = .m(members) }
            if rest.isEmpty {
                members[name] = nil
                return true
            }
            return members[name]?.remove(at: rest) ?? false
        case (.index(let index), .l(var values)):
            self = .null
            defer { self = .l(values) }
            if rest.isEmpty {
                if values.indices.contains(index) { values.remove(at: index) }
                return true
            }
            return values.indices.contains(index) && values[index].remove(at: rest)
        default: return false
        }
    }
}
