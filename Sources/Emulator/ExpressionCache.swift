import Synchronization

/// Parsed expressions by their text: programs send few different ones, again and again.
final class ExpressionCache: Sendable {
    private struct Key: Hashable {
        var kind: ExpressionKind
        var text: String
    }

    /// When this many are kept, all are forgotten; a program that writes values into its texts gains nothing here.
    static let countMax = 512

    private let parsed = Mutex<[Key: Expression]>([:])

    func parse(_ text: String, as kind: ExpressionKind) throws(ServiceError) -> Expression {
        let key = Key(kind: kind, text: text)
        if let expression = parsed.withLock({ $0[key] }) { return expression }
        let expression = try ExpressionParser.parse(text, as: kind)
        parsed.withLock { parsed in
            if parsed.count >= Self.countMax { parsed = [:] }
            parsed[key] = expression
        }
        return expression
    }

    /// A checked condition with its names and values in place.
    func condition(
        _ text: String, as kind: ExpressionKind, _ scope: inout ExpressionScope
    ) throws(ServiceError) -> Condition {
        guard case .condition(let parsed) = try parse(text, as: kind) else { return .and([]) }
        let condition = try scope.resolve(parsed, kind)
        try condition.validate(kind)
        return condition
    }

    func update(_ text: String, _ scope: inout ExpressionScope) throws(ServiceError) -> Update {
        guard case .update(let parsed) = try parse(text, as: .update) else { return try Update([]) }
        var actions: [UpdateAction] = []
        for action in parsed { actions.append(try scope.resolve(action, .update)) }
        return try Update(actions)
    }

    func projection(_ text: String, _ scope: inout ExpressionScope) throws(ServiceError) -> [DocumentPath] {
        guard case .projection(let parsed) = try parse(text, as: .projection) else { return [] }
        var paths: [DocumentPath] = []
        for path in parsed { paths.append(try scope.resolve(path, .projection)) }
        try DocumentPath.validateDisjoint(paths, .projection)
        return paths
    }
}
