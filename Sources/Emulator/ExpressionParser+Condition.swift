extension ExpressionParser {
    /// OR binds loosest, then AND, NOT, and the comparisons.
    mutating func condition() throws(ServiceError) -> Condition {
        var terms = [try conjunction()]
        while takeWord("OR") {
            try countOperator()
            terms.append(try conjunction())
        }
        return terms.count == 1 ? terms[0] : .or(terms)
    }

    private mutating func conjunction() throws(ServiceError) -> Condition {
        var terms = [try negation()]
        while takeWord("AND") {
            try countOperator()
            terms.append(try negation())
        }
        return terms.count == 1 ? terms[0] : .and(terms)
    }

    private mutating func negation() throws(ServiceError) -> Condition {
        guard takeWord("NOT") else { return try primary() }
        try countOperator()
        return .not(try nested { (parser) throws(ServiceError) in try parser.negation() })
    }

    private mutating func primary() throws(ServiceError) -> Condition {
        if take("(") { return try parenthesised() }
        if token.kind == .word, nextToken.text == "(", token.text != "size" { return try function() }
        let left = try operand()
        if token.kind == .symbol, let comparator = Comparator(rawValue: token.text) {
            advance()
            try countOperator()
            return .compare(left, comparator, try operand())
        }
        if takeWord("BETWEEN") {
            try countOperator()
            let lower = try operand()
            guard takeWord("AND") else { throw syntaxError() }
            return .between(left, lower: lower, upper: try operand())
        }
        if takeWord("IN") {
            try countOperator()
            return .isIn(left, try list())
        }
        if case .size = left {
            throw kind.invalid("The function is not allowed to be used this way in an expression; function: size")
        }
        throw syntaxError()
    }

    private mutating func parenthesised() throws(ServiceError) -> Condition {
        let start = position
        let inner = try nested { (parser) throws(ServiceError) in try parser.condition() }
        let end = position
        try expect(")")
        guard innermost != start..<end else { throw kind.invalid("The expression has redundant parentheses;") }
        innermost = start - 1..<position
        return inner
    }

    private mutating func list() throws(ServiceError) -> [Operand] {
        try expect("(")
        var operands = [try operand()]
        while take(",") { operands.append(try operand()) }
        try expect(")")
        guard operands.count <= Self.operandsOfInMax else {
            throw kind.invalid(
                "The IN operator is provided with too many operands; number of operands: \(operands.count)")
        }
        return operands
    }

    private mutating func operand() throws(ServiceError) -> Operand {
        if token.kind == .value {
            let text = token.text
            advance()
            return .parameter(text)
        }
        guard token.kind == .word, nextToken.text == "(" else { return .path(try path()) }
        let function = token.text
        guard function == "size" else { throw misplaced(function) }
        let arguments = try arguments()
        try check(arguments, count: 1, of: function)
        return .size(arguments[0])
    }

    private func misplaced(_ function: String) -> ServiceError {
        Self.conditionFunctions.contains(function)
            ? kind.invalid("The function is not allowed to be used this way in an expression; function: \(function)")
            : unknown(function)
    }

    private func unknown(_ function: String) -> ServiceError {
        if Self.updateFunctions.contains(function) {
            return kind.invalid(
                "The function is not allowed in a \(kind == .filter ? "filter" : "condition") expression; "
                    + "function: \(function)")
        }
        return kind.invalid("Invalid function name; function: \(function)")
    }

    static let conditionFunctions: Set = [
        "attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size",
    ]
    static let updateFunctions: Set = ["if_not_exists", "list_append"]

    private mutating func function() throws(ServiceError) -> Condition {
        let function = token.text
        guard Self.conditionFunctions.contains(function) else {
            if Self.reservedWords.contains(function.uppercased()) { throw syntaxError() }
            throw unknown(function)
        }
        try countOperator()
        let arguments = try arguments()
        let isUnary = function == "attribute_exists" || function == "attribute_not_exists"
        try check(arguments, count: isUnary ? 1 : 2, of: function)
        func firstPath() throws(ServiceError) -> DocumentPath {
            guard case .path(let path) = arguments[0] else {
                throw kind.invalid(
                    "Operator or function requires a document path; operator or function: \(function)")
            }
            return path
        }
        switch function {
        case "attribute_exists": return .attributeExists(try firstPath())
        case "attribute_not_exists": return .attributeNotExists(try firstPath())
        case "attribute_type": return .attributeType(try firstPath(), arguments[1])
        case "begins_with": return .beginsWith(arguments[0], arguments[1])
        default: return .contains(arguments[0], arguments[1])
        }
    }

    private mutating func arguments() throws(ServiceError) -> [Operand] {
        advance()
        try expect("(")
        return try nested { (parser) throws(ServiceError) in
            var arguments = [try parser.operand()]
            while parser.take(",") { arguments.append(try parser.operand()) }
            try parser.expect(")")
            return arguments
        }
    }

    private func check(_ arguments: [Operand], count: Int, of function: String) throws(ServiceError) {
        guard arguments.count == count else { throw wrongCount(of: function, arguments.count) }
    }

    func wrongCount(of function: String, _ count: Int) -> ServiceError {
        kind.invalid(
            "Incorrect number of operands for operator or function; operator or function: \(function), "
                + "number of operands: \(count)")
    }
}
