import AWSWire
import Machine
import Testing

@testable import Emulator

struct ExpressionParserTests {
    private func message(_ text: String, _ kind: ExpressionKind = .condition) -> String? {
        do throws(ServiceError) {
            _ = try ExpressionParser.parse(text, as: kind)
            return nil
        } catch {
            return error.message
        }
    }

    private func path(_ names: String...) -> DocumentPath { DocumentPath(names.map { .name($0) }) }

    @Test func orBindsLooserThanAndAndNotTightest() throws {
        let parsed = try ExpressionParser.parse("NOT a = :a AND b = :b OR c = :c", as: .condition)
        func equal(_ name: String) -> Condition { .compare(.path(path(name)), .equal, .parameter(":\(name)")) }
        #expect(parsed == .condition(.or([.and([.not(equal("a")), equal("b")]), equal("c")])))
    }

    @Test func readsDocumentPaths() throws {
        let parsed = try ExpressionParser.parse("a.#b[2][0].c", as: .projection)
        let elements: [DocumentPath.Element] = [.name("a"), .name("#b"), .index(2), .index(0), .name("c")]
        #expect(parsed == .projection([DocumentPath(elements)]))
    }

    @Test func readsEverySectionOfAnUpdateInAnyOrderAndCase() throws {
        let parsed = try ExpressionParser.parse(
            "delete d :d remove x, y Set a = if_not_exists(b, :b) + :one ADD c :c", as: .update)
        let sum = SetValue.plus(
            .ifNotExists(path("b"), .operand(.parameter(":b"))), .operand(.parameter(":one")))
        #expect(
            parsed
                == .update([
                    .delete(path("d"), .parameter(":d")), .remove(path("x")), .remove(path("y")),
                    .set(path("a"), sum), .add(path("c"), .parameter(":c")),
                ]))
    }

    @Test(arguments: [
        ("a = = :v", "=", "= = :v"), ("a-b = :v", "-", "a-b"), ("a", "<EOF>", "a"), ("a = :v AND ", "<EOF>", "AND"),
        ("a.2 = :v", "2", ".2 ="), ("a[x] = :v", "x", "[x]"), ("a = $v", "$", "= $v"), (") a = :v", ")", ") a"),
        ("a = :v b", "b", ":v b"), ("a IN :v", ":v", "IN :v"), ("é = :v", "é", "é ="),
        ("a BETWEEN :v OR :w", "OR", ":v OR :w"),
    ])
    func aSyntaxErrorShowsTheTokenAndItsNeighbours(_ text: String, _ token: String, _ near: String) {
        #expect(
            message(text) == "Invalid ConditionExpression: Syntax error; token: \"\(token)\", near: \"\(near)\"")
    }

    @Test func refusesReservedWordsInAnyCase() {
        #expect(ExpressionParser.reservedWords.count == 573)
        #expect(
            message("set Status = :v", .update)
                == "Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: Status")
        #expect(message("set a.#b = :v", .update) == nil)
    }

    @Test func refusesRedundantParenthesesOnly() {
        #expect(message("((a = :a))") == "Invalid ConditionExpression: The expression has redundant parentheses;")
        #expect(message("(a = :a)") == nil)
        #expect(message("((a = :a) AND (b = :b))") == nil)
        #expect(message("(((a = :a) AND b = :b))") != nil)
    }

    @Test func refusesAnEmptyExpression() {
        #expect(message(" \n") == "Invalid ConditionExpression: The expression can not be empty;")
    }

    @Test func refusesASectionThatComesTwice() {
        #expect(
            message("SET a = :a REMOVE b SET c = :c", .update)
                == "Invalid UpdateExpression: The \"SET\" section can only be used once in an update expression;")
    }

    @Test func boundsLengthOperatorsNestingAndLists() {
        let long = String(repeating: "a", count: 4096) + " = :v"
        #expect(message(long)?.contains("expression size: 4101") == true)
        let many = Array(repeating: "a = :v", count: 200).joined(separator: " OR ")
        #expect(message(many)?.contains("too many operators") == true)
        let deep = String(repeating: "NOT ", count: 500) + "a = :v"
        #expect(message(deep) != nil)
        let parentheses = String(repeating: "(", count: 2000)
        #expect(message(parentheses) != nil)
        let nested = String(repeating: "if_not_exists(a, ", count: 200) + ":v" + String(repeating: ")", count: 200)
        #expect(message("SET a = " + nested, .update) != nil)
        let list = Array(repeating: ":v", count: 101).joined(separator: ",")
        #expect(message("a IN (\(list))")?.contains("number of operands: 101") == true)
        #expect(message("a" + String(repeating: "[0]", count: 40), .projection)?.contains("nesting level") == true)
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func neverTrapsOnWhatIsNoExpression(_ seed: UInt64) {
        let words = [
            "a", "#n", ":v", "AND", "OR", "NOT", "IN", "BETWEEN", "(", ")", "[", "]", ".", ",", "=", "<>", "<", "SET",
            "REMOVE", "ADD", "size", "contains", "if_not_exists", "0", "99999999999999999999", "+", "-", "é", "\u{0}",
        ]
        var generator = SeededGenerator(seed: seed)
        for kind: ExpressionKind in [.condition, .update, .projection] {
            let text = (0..<20).map { _ in words[Int(generator.next() % UInt64(words.count))] }.joined(separator: " ")
            _ = message(text, kind)
        }
    }

    @Test func theCacheForgetsRatherThanGrows() throws {
        let cache = ExpressionCache()
        for index in 0..<(ExpressionCache.countMax * 2) {
            let parsed = try cache.parse("a\(index) = :v", as: .condition)
            #expect(parsed == .condition(.compare(.path(path("a\(index)")), .equal, .parameter(":v"))))
        }
    }
}
