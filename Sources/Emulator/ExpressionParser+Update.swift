extension ExpressionParser {
    private static let sections: Set = ["SET", "REMOVE", "ADD", "DELETE"]

    /// SET, REMOVE, ADD and DELETE sections, each at most once, in any order.
    mutating func update() throws(ServiceError) -> [UpdateAction] {
        var actions: [UpdateAction] = []
        var seen: Set<String> = []
        while token.kind != .end {
            let section = token.text.uppercased()
            guard token.kind == .word, Self.sections.contains(section) else { throw syntaxError() }
            guard seen.insert(section).inserted else {
                throw kind.invalid(
                    "The \"\(section)\" section can only be used once in an update expression;")
            }
            advance()
            repeat { actions.append(try action(section)) } while take(",")
        }
        return actions
    }

    private mutating func action(_ section: String) throws(ServiceError) -> UpdateAction {
        try countOperator()
        let path = try path()
        switch section {
        case "SET":
            try expect("=")
            return .set(path, try setValue())
        case "REMOVE": return .remove(path)
        case "ADD": return .add(path, try parameter())
        default: return .delete(path, try parameter())
        }
    }

    private mutating func parameter() throws(ServiceError) -> Operand {
        guard token.kind == .value else { throw syntaxError() }
        defer { advance() }
        return .parameter(token.text)
    }

    private mutating func setValue() throws(ServiceError) -> SetValue {
        let left = try setOperand()
        if take("+") {
            try countOperator()
            return .plus(left, try setOperand())
        }
        if take("-") {
            try countOperator()
            return .minus(left, try setOperand())
        }
        return left
    }

    private mutating func setOperand() throws(ServiceError) -> SetValue {
        if take("(") {
            return try nested { (parser) throws(ServiceError) in
                let value = try parser.setValue()
                try parser.expect(")")
                return value
            }
        }
        if token.kind == .value { return .operand(try parameter()) }
        if token.kind == .word, nextToken.text == "(" { return try setFunction() }
        return .operand(.path(try path()))
    }

    private mutating func setFunction() throws(ServiceError) -> SetValue {
        let function = token.text
        guard Self.updateFunctions.contains(function) else {
            if Self.conditionFunctions.contains(function) {
                throw kind.invalid("The function is not allowed in an update expression; function: \(function)")
            }
            throw kind.invalid("Invalid function name; function: \(function)")
        }
        try countOperator()
        advance()
        try expect("(")
        let arguments = try nested { (parser) throws(ServiceError) in
            var arguments = [try parser.setOperand()]
            while parser.take(",") { arguments.append(try parser.setOperand()) }
            try parser.expect(")")
            return arguments
        }
        guard arguments.count == 2 else { throw wrongCount(of: function, arguments.count) }
        if function == "list_append" { return .listAppend(arguments[0], arguments[1]) }
        guard case .operand(.path(let path)) = arguments[0] else {
            throw kind.invalid("Operator or function requires a document path; operator or function: if_not_exists")
        }
        return .ifNotExists(path, arguments[1])
    }
}
