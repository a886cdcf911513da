import AWSWire
import Testing

@testable import Emulator

struct ExpressionConditionTests {
    private let item: Item = [
        "x": .n("10"), "s": .s("hello"), "b": .b(Bytes("abc")), "t": .ss(["u", "v"]), "ns": .ns(["1", "2.5"]),
        "l": .l([.n("1"), .s("z"), .m(["in": .s("deep")])]), "m": .m(["p": .l([.n("7")])]), "f": .bool(false),
        "z": .null, "accent": .s("e\u{301}"),
    ]

    private let values: Item = [
        ":9": .n("9"), ":10": .n("10.00"), ":11": .n("11"), ":he": .s("he"), ":lo": .s("lo"), ":u": .s("u"),
        ":S": .s("S"), ":NULL": .s("NULL"), ":7": .n("7"), ":5": .n("5"), ":f": .bool(false), ":ab": .b(Bytes("ab")),
        ":2": .n("2.50"), ":uv": .ss(["v", "u"]), ":composed": .s("\u{e9}"), ":empty": .s(""), ":d": .s("deep"),
        ":1": .n("1"),
    ]

    private func holds(_ text: String) throws(ServiceError) -> Bool {
        // Only the values that the text names, because unused ones are an error.
        let used = values.filter { name, _ in
            ExpressionToken.tokens(of: Array(text.utf8)).contains { $0.text == name }
        }
        var scope = try ExpressionScope(
            .members(["ExpressionAttributeValues": used.isEmpty ? nil : used.wire]), for: [.condition: text])
        let condition = try ExpressionCache().condition(text, as: .condition, &scope)
        try scope.finish()
        return condition.holds(for: item)
    }

    @Test(arguments: [
        "x = :10", "x < :11", "x <= :10", "x > :9", "x >= :10", ":9 < x", "x <> :9", "x <> :he", "absent <> :9",
        "x BETWEEN :9 AND :11", "x BETWEEN :10 AND :10", "x IN (:9, :10)", "t = :uv", "f = :f",
        "attribute_exists(x)", "attribute_exists(l[2].#in)", "attribute_exists(m.p[0])", "attribute_not_exists(absent)",
        "attribute_not_exists(l[3])", "attribute_not_exists(x.y)", "attribute_type(s, :S)", "attribute_type(z, :NULL)",
        "begins_with(s, :he)", "begins_with(b, :ab)", "begins_with(s, :empty)", "contains(s, :lo)", "contains(b, :ab)",
        "contains(t, :u)", "contains(ns, :2)", "contains(l, :1)", "size(s) = :5", "size(l) < :5", "m.p[0] = :7",
        "NOT x = :9", "x = :9 OR x = :10", "NOT (x = :9 AND s = :he)", "accent <> :composed", "size(accent) < :5",
    ])
    func holdsFor(_ text: String) throws {
        // `in` is reserved, so it comes under another name.
        guard text.contains("#in") else {
            #expect(try holds(text))
            return
        }
        var scope = try ExpressionScope(["ExpressionAttributeNames": ["#in": "in"]], for: [.condition: text])
        #expect(try ExpressionCache().condition(text, as: .condition, &scope).holds(for: item))
    }

    @Test(arguments: [
        "x = :9", "x = :he", "x < :9", "x > :he", "x < :he", "absent = :9", "absent < :9", "absent IN (:9)",
        "x BETWEEN :11 AND :11", "attribute_exists(absent)", "attribute_exists(m.p[1])", "attribute_exists(s.p)",
        "attribute_type(x, :S)", "attribute_type(absent, :S)", "begins_with(s, :lo)", "begins_with(x, :he)",
        "contains(t, :lo)", "contains(x, :9)", "size(x) = :5", "size(absent) < :5", "accent = :composed",
        "x = :10 AND s = :he", "NOT x = :10", "f = :5",
    ])
    func doesNotHoldFor(_ text: String) throws {
        #expect(try !holds(text))
    }

    @Test func numbersAreComparedExactlyBeyondDoubles() throws {
        let a = AttributeValue.n("9007199254740993")
        let b = AttributeValue.n("9007199254740992")
        #expect(b.precedes(a) == true)
        #expect(!a.isSame(as: b))
    }

    @Test(arguments: [
        ("begins_with(s, :9)", "operator or function: begins_with, operand type: N"),
        ("x < :f", "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"),
        ("size(:9) = :5", "operator or function: size, operand type: N"),
        (
            "x BETWEEN :11 AND :9",
            "lower bound operand: AttributeValue: {N:11}, upper bound operand: AttributeValue: {N:9}"
        ),
        (
            "x = x",
            "distinct from the remaining operands for this operator or function; operator: =, first operand: [x]"
        ),
        ("x = :nope", "An expression attribute value used in expression is not defined; attribute value: :nope"),
        ("#x = :9", "An expression attribute name used in the document path is not defined; attribute name: #x"),
        ("attribute_type(x, :he)", "type: he, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"),
        ("nope(x)", "Invalid function name; function: nope"),
        ("if_not_exists(x, :9)", "The function is not allowed in a condition expression; function: if_not_exists"),
        ("contains(x)", "operator or function: contains, number of operands: 1"),
    ])
    func refusesInTheServicesWords(_ text: String, _ reason: String) {
        #expect {
            _ = try holds(text)
        } throws: { error in
            guard let message = (error as? ServiceError)?.message else { return false }
            return message.hasPrefix("Invalid ConditionExpression: ") && message.hasSuffix(reason)
        }
    }

    @Test func unusedNamesAndValuesAreErrors() throws {
        var scope = try ExpressionScope(
            [
                "ExpressionAttributeNames": ["#x": "x", "#y": "y"],
                "ExpressionAttributeValues": [":a": ["N": "1"], ":b": ["N": "2"]],
            ], for: [.condition: "#x = :a"])
        _ = try ExpressionCache().condition("#x = :a", as: .condition, &scope)
        #expect {
            try scope.finish()
        } throws: {
            ($0 as? ServiceError)?.message
                == "Value provided in ExpressionAttributeNames unused in expressions: keys: {#y}"
        }
    }
}
