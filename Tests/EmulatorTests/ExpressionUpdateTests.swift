import AWSWire
import Testing

@testable import Emulator

struct ExpressionUpdateTests {
    private func apply(
        _ text: String, _ values: Item = [:], to item: Item, names: AWSValue? = nil
    ) throws(ServiceError) -> Item {
        var scope = try ExpressionScope(
            .members([
                "ExpressionAttributeValues": values.isEmpty ? nil : values.wire, "ExpressionAttributeNames": names,
            ]), for: [.update: text])
        let update = try ExpressionCache().update(text, &scope)
        try scope.finish()
        return try update.applied(to: item)
    }

    private func message(_ text: String, _ values: Item = [:], to item: Item = [:]) -> String? {
        do throws(ServiceError) {
            _ = try apply(text, values, to: item)
            return nil
        } catch {
            return error.message
        }
    }

    @Test func operandsReadTheItemAsItWas() throws {
        let item = try apply("SET a = b, b = a", to: ["a": .n("1"), "b": .n("2")])
        #expect(item == ["a": .n("2"), "b": .n("1")])
    }

    @Test func addsAndSubtractsExactly() throws {
        let item = try apply(
            "SET a = a + :x, b = :x - b", [":x": .n("0.2")], to: ["a": .n("0.1"), "b": .n("0.3")])
        #expect(item == ["a": .n("0.3"), "b": .n("-0.1")])
    }

    @Test func ifNotExistsKeepsWhatIsThere() throws {
        let item = try apply(
            "SET a = if_not_exists(a, :n), b = if_not_exists(b, :n) + :n", [":n": .n("5")], to: ["a": .n("1")])
        #expect(item == ["a": .n("1"), "b": .n("10")])
    }

    @Test func appendsListsOnBothEnds() throws {
        let item = try apply(
            "SET l = list_append(:f, list_append(l, :f))", [":f": .l([.s("x")])], to: ["l": .l([.n("1")])])
        #expect(item == ["l": .l([.s("x"), .n("1"), .s("x")])])
    }

    @Test func addCreatesCountsAndUnites() throws {
        let item = try apply(
            "ADD a :n, b :n, s :s", [":n": .n("2"), ":s": .ss(["y"])], to: ["a": .n("-5"), "s": .ss(["x"])])
        #expect(item == ["a": .n("-3"), "b": .n("2"), "s": .ss(["x", "y"])])
    }

    @Test func deletingTheLastMemberRemovesTheSet() throws {
        let item = try apply(
            "DELETE s :s, t :s, u :s", [":s": .ss(["x"])], to: ["s": .ss(["x"]), "t": .ss(["x", "y"])])
        #expect(item == ["t": .ss(["y"])])
    }

    @Test func listIndexesMeanTheListAsItWas() throws {
        let item = try apply(
            "REMOVE l[0], l[2], l[9] SET l[3] = :v, l[7] = :v", [":v": .s("v")],
            to: ["l": .l((0..<5).map { .n($0) })])
        #expect(item == ["l": .l([.n("1"), .s("v"), .n("4"), .s("v")])])
    }

    @Test func reachesIntoMapsAndLists() throws {
        let item = try apply(
            "SET m.l[0].x = :v REMOVE m.gone", [":v": .bool(true)],
            to: ["m": .m(["l": .l([.m([:])]), "gone": .null])])
        #expect(item == ["m": .m(["l": .l([.m(["x": .bool(true)])])])])
    }

    @Test(arguments: [
        ("SET a = :v, a = :v", "these paths; path one: [a], path two: [a]"),
        ("SET a.b[0] = :v REMOVE a", "these paths; path one: [a, b, [0]], path two: [a]"),
        ("SET a.b = :v, a[1] = :v", "these paths; path one: [a, b], path two: [a, [1]]"),
        ("SET a = absent + :v", "The provided expression refers to an attribute that does not exist in the item"),
        ("SET a = s + :v", "An operand in the update expression has an incorrect data type"),
        ("SET absent.b = :v", "The document path provided in the update expression is invalid for update"),
        ("SET s.b = :v", "The document path provided in the update expression is invalid for update"),
        ("ADD s :v", "An operand in the update expression has an incorrect data type"),
        ("DELETE n :v", "operator: DELETE, operand type: NUMBER"),
        ("SET a = list_append(:v, n)", "operator or function: list_append, operand type: N"),
        (
            "SET a = if_not_exists(:v, n)",
            "Operator or function requires a document path; operator or function: if_not_exists"
        ),
    ])
    func refusesInTheServicesWords(_ text: String, _ expected: String) {
        let message = message(text, [":v": .n("1")], to: ["s": .s("text"), "n": .n("1")])
        #expect(message?.hasSuffix(expected) == true, "\(message ?? "no error")")
    }

    @Test func manyPathsAreComparedWithoutQuadraticWork() throws {
        let text = "SET " + (0..<250).map { "a\($0) = :v" }.joined(separator: ", ")
        #expect(try apply(text, [":v": .null], to: [:]).count == 250)
    }

    @Test func projectionsKeepTheShapeOfTheItem() throws {
        let item: Item = ["a": .m(["b": .l([.n("0"), .n("1"), .n("2")]), "c": .n("3")]), "d": .n("4")]
        let paths = [
            DocumentPath([.name("a"), .name("b"), .index(2)]), DocumentPath([.name("a"), .name("b"), .index(0)]),
            DocumentPath(attribute: "absent"), DocumentPath([.name("d"), .name("x")]),
        ]
        #expect(item.projected(paths) == ["a": .m(["b": .l([.n("0"), .n("2")])])])
    }
}
