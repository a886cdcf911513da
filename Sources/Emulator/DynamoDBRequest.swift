import AWSWire
import OrderedCollections

/// A request body read with DynamoDB's constraints and errors.
struct DynamoDBRequest: Sendable {
    let input: AWSValue

    init(_ input: AWSValue) throws(ServiceError) {
        guard case .map = input else { throw .serialization("Start of structure or map expected") }
        self.input = input
    }

    /// A member of a request that is a structure itself.
    func request(_ member: String) throws(ServiceError) -> DynamoDBRequest? {
        guard let value = input[member] else { return nil }
        return try DynamoDBRequest(value)
    }

    /// The structures of a list.
    func requests(_ member: String) throws(ServiceError) -> [DynamoDBRequest]? {
        guard let list = try list(member) else { return nil }
        var requests: [DynamoDBRequest] = []
        for element in list { requests.append(try DynamoDBRequest(element)) }
        return requests
    }

    func list(_ member: String) throws(ServiceError) -> [AWSValue]? {
        guard let value = input[member] else { return nil }
        guard let list = value.list else { throw .serialization("Unexpected value type in payload: \(member)") }
        return list
    }

    func strings(_ member: String) throws(ServiceError) -> [String]? {
        guard let value = input[member] else { return nil }
        guard let strings = value.strings else { throw .serialization("Unexpected value type in payload: \(member)") }
        return strings
    }

    func map(_ member: String) throws(ServiceError) -> OrderedDictionary<String, AWSValue>? {
        guard let value = input[member] else { return nil }
        guard let map = value.map else { throw .serialization("Start of structure or map expected: \(member)") }
        return map
    }

    func string(_ member: String) throws(ServiceError) -> String? {
        guard let value = input[member] else { return nil }
        guard let text = value.string else {
            throw .serialization("\(value.kindName) can not be converted to a String")
        }
        return text
    }

    func bool(_ member: String) throws(ServiceError) -> Bool? {
        guard let value = input[member] else { return nil }
        guard let flag = value.bool else {
            throw .serialization("\(value.kindName) can not be converted to a Boolean")
        }
        return flag
    }

    /// A whole number in `range`.
    func int(_ member: String, in range: ClosedRange<Int>? = nil) throws(ServiceError) -> Int? {
        guard let value = input[member] else { return nil }
        guard let number = value.int else {
            throw .serialization("\(value.kindName) can not be converted to an Integer")
        }
        if let range, !range.contains(number) {
            let bound =
                number < range.lowerBound
                ? "greater than or equal to \(range.lowerBound)" : "less than or equal to \(range.upperBound)"
            throw constraint(member, "\(number)", "Member must have value \(bound)")
        }
        return number
    }

    /// One of a few words.
    func word(_ member: String, among words: [String]) throws(ServiceError) -> String? {
        guard let text = try string(member) else { return nil }
        guard words.contains(text) else {
            throw constraint(
                member, text, "Member must satisfy enum value set: [\(words.joined(separator: ", "))]")
        }
        return text
    }

    func required<T>(_ member: String, _ value: T?) throws(ServiceError) -> T {
        guard let value else {
            throw .validation(
                "1 validation error detected: Value null at '\(member.lowercasedFirst)' failed to satisfy constraint: "
                    + "Member must not be null")
        }
        return value
    }

    func constraint(_ member: String, _ value: String, _ rule: String) -> ServiceError {
        .validation(
            "1 validation error detected: Value '\(value)' at '\(member.lowercasedFirst)' failed to satisfy "
                + "constraint: \(rule)")
    }

    /// The name of a table, which may be given as its ARN.
    func tableName(_ member: String = "TableName") throws(ServiceError) -> String {
        try Self.checkedName(try required(member, try string(member)), member, self)
    }

    /// A text whose length the service limits.
    func text(_ member: String, _ path: String, lengths: ClosedRange<Int>) throws(ServiceError) -> String? {
        guard let text = try string(member) else { return nil }
        try checkLength(text.utf16.count, of: text, at: path, lengths)
        return text
    }

    /// - Parameter count: the length of `text` in what the service counts.
    func checkLength(
        _ count: Int, of text: String, at path: String, _ lengths: ClosedRange<Int>
    ) throws(ServiceError) {
        guard !lengths.contains(count) else { return }
        let bound =
            count < lengths.lowerBound
            ? "greater than or equal to \(lengths.lowerBound)" : "less than or equal to \(lengths.upperBound)"
        throw constraint(path, text, "Member must have length \(bound)")
    }

    static func checkedName(
        _ text: String, _ member: String, _ request: DynamoDBRequest
    ) throws(ServiceError) -> String {
        var name = text
        if text.hasPrefix("arn:"), let slash = text.firstIndex(of: "/") {
            name = String(text[text.index(after: slash)...])
        }
        guard name.utf8.allSatisfy(isNameByte) else {
            throw request.constraint(
                member, text, "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
        }
        try request.checkLength(name.utf8.count, of: text, at: member, 3...255)
        return name
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        ExpressionToken.isWordPart(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
    }

    /// `NONE`, `TOTAL` or `INDEXES`.
    func returnConsumedCapacity() throws(ServiceError) -> String {
        _ = try word("ReturnItemCollectionMetrics", among: ["SIZE", "NONE"])
        return try word("ReturnConsumedCapacity", among: ["INDEXES", "TOTAL", "NONE"]) ?? "NONE"
    }

    /// A map of attributes, `Item` or `Key`.
    func item(_ member: String) throws(ServiceError) -> Item {
        try DynamoDBValue.item(try required(member, input[member]))
    }

    /// Fails where parameters from before expressions stand beside expressions.
    func checkNotMixed(legacy: [String], expressions: [String]) throws(ServiceError) {
        let old = legacy.filter { input[$0] != nil }
        let new = expressions.filter { input[$0] != nil }
        guard old.isEmpty || new.isEmpty else {
            throw .validation(
                "Can not use both expression and non-expression parameters in the same request: "
                    + "Non-expression parameters: {\(old.joined(separator: ", "))} "
                    + "Expression parameters: {\(new.joined(separator: ", "))}")
        }
    }
}

extension AWSValue {
    /// What the service's parser calls this kind of value.
    var kindName: String {
        switch self {
        case .null: "NULL_VALUE"
        case .bool(let flag): flag ? "TRUE_VALUE" : "FALSE_VALUE"
        case .int: "NUMBER_VALUE"
        case .double, .timestamp: "DECIMAL_VALUE"
        case .string, .bytes: "STRING_VALUE"
        case .list: "START_ARRAY"
        case .map: "START_OBJECT"
        }
    }
}

extension String {
    /// `TableName` as errors write it: `tableName`.
    fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}
