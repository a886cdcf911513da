/// A recursive-descent parser for the five kinds of expressions.
///
/// Placeholders stay in the tree; `ExpressionScope` puts names and values in. Length, nesting and the number of
/// operators are bounded as DynamoDB bounds them, so that no request can exhaust the stack.
///
/// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
struct ExpressionParser {
    static let lengthMax = 4096
    static let operatorsMax = 300
    static let operandsOfInMax = 100
    static let pathDepthMax = 32
    /// Deeper nesting of parentheses, NOT and functions is refused; the service's own bound is the operators'.
    static let nestingMax = 64

    let kind: ExpressionKind
    private let source: [UInt8]
    private let tokens: [ExpressionToken]
    private var index = 0
    private var operators = 0
    private var nesting = 0
    /// The tokens of the condition in parentheses that was read last, to find redundant ones.
    var innermost: Range<Int>?

    private init(_ text: String, _ kind: ExpressionKind) {
        self.kind = kind
        source = Array(text.utf8)
        tokens = ExpressionToken.tokens(of: source)
    }

    /// The tree of `text`; the error says where it is wrong in DynamoDB's words.
    static func parse(_ text: String, as kind: ExpressionKind) throws(ServiceError) -> Expression {
        guard text.utf8.count <= lengthMax else {
            throw kind.invalid(
                "Expression size has exceeded the maximum allowed size; expression size: \(text.utf8.count)")
        }
        var parser = ExpressionParser(text, kind)
        guard parser.tokens.count > 1 else { throw kind.invalid("The expression can not be empty;") }
        let expression: Expression =
            switch kind {
            case .condition, .filter, .keyCondition: .condition(try parser.condition())
            case .update: .update(try parser.update())
            case .projection: .projection(try parser.paths())
            }
        guard parser.token.kind == .end else { throw parser.syntaxError() }
        return expression
    }
}

// MARK: Tokens

extension ExpressionParser {
    var token: ExpressionToken { tokens[index] }
    /// How many tokens are consumed.
    var position: Int { index }
    var nextToken: ExpressionToken { tokens[min(index + 1, tokens.count - 1)] }

    mutating func advance() {
        if index < tokens.count - 1 { index += 1 }
    }

    /// Consumes the symbol `text`, if it is the next token.
    mutating func take(_ text: String) -> Bool {
        guard token.kind == .symbol, token.text == text else { return false }
        advance()
        return true
    }

    mutating func expect(_ text: String) throws(ServiceError) {
        guard take(text) else { throw syntaxError() }
    }

    func isWord(_ upper: String) -> Bool { token.kind == .word && token.text.uppercased() == upper }

    mutating func takeWord(_ upper: String) -> Bool {
        guard isWord(upper) else { return false }
        advance()
        return true
    }

    /// The token that cannot stand here, between its neighbours.
    func syntaxError() -> ServiceError {
        let start = tokens[max(0, index - 1)].start
        let end = nextToken.end
        let near = String(decoding: source[start..<max(start, end)], as: UTF8.self)
        return kind.invalid("Syntax error; token: \"\(token.text)\", near: \"\(near)\"")
    }

    mutating func countOperator() throws(ServiceError) {
        operators += 1
        guard operators <= Self.operatorsMax else {
            throw kind.invalid(
                "The expression contains too many operators; maximum number of operators: \(Self.operatorsMax)")
        }
    }

    /// Runs `body` one level deeper.
    mutating func nested<T>(
        _ body: (inout ExpressionParser) throws(ServiceError) -> T
    ) throws(ServiceError) -> T {
        guard nesting < Self.nestingMax else {
            throw kind.invalid("The expression is nested too deeply; maximum nesting: \(Self.nestingMax)")
        }
        nesting += 1
        defer { nesting -= 1 }
        return try body(&self)
    }
}

// MARK: Paths

extension ExpressionParser {
    mutating func paths() throws(ServiceError) -> [DocumentPath] {
        var paths = [try path()]
        while take(",") { paths.append(try path()) }
        return paths
    }

    mutating func path() throws(ServiceError) -> DocumentPath {
        var elements: [DocumentPath.Element] = [.name(try name())]
        while true {
            if take(".") {
                elements.append(.name(try name()))
            } else if take("[") {
                guard token.kind == .number, let number = Int(token.text), number <= Int(Int32.max) else {
                    throw syntaxError()
                }
                advance()
                try expect("]")
                elements.append(.index(number))
            } else {
                break
            }
            guard elements.count <= Self.pathDepthMax else {
                throw kind.invalid(
                    "The document path has too many nesting elements; nesting level: \(elements.count)")
            }
        }
        return DocumentPath(elements)
    }

    private mutating func name() throws(ServiceError) -> String {
        let text = token.text
        switch token.kind {
        case .name: break
        case .word:
            guard !Self.reservedWords.contains(text.uppercased()) else {
                throw kind.invalid("Attribute name is a reserved keyword; reserved keyword: \(text)")
            }
        default: throw syntaxError()
        }
        advance()
        return text
    }
}
