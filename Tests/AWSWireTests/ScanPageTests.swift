import Machine
import Testing

@testable import AWSWire

@Suite struct ScanPageTests {
    private func page(_ text: String) throws -> ScanPage { try ScanPage(json: Bytes(Array(text.utf8))) }

    @Test func `items, the key to go on from and the units come as the tree has them`() throws {
        let page = try page(
            """
            { "Count" : 1, "Items" : [ { "leaseKey" : { "S" : "shardId-000000000000" }, "leaseCounter" : {"N":"7"},
              "childShardIds" : { "SS" : ["b", "a"] }, "\\u0061" : { "S" : "\\"\\u00e9\\n" }, "flag" : {"BOOL":true} } ],
              "LastEvaluatedKey":{"leaseKey":{"S":"shardId-000000000000"}},
              "ConsumedCapacity":{"TableName":"app","CapacityUnits":0.5},"ScannedCount":1}
            """)
        #expect(
            page.items == [
                [
                    "leaseKey": .s("shardId-000000000000"), "leaseCounter": .n(7), "childShardIds": .ss(["a", "b"]),
                    "a": .s("\"é\n"), "flag": .bool(true),
                ]
            ])
        #expect(page.lastEvaluatedKey == ["leaseKey": .s("shardId-000000000000")])
        #expect(page.consumedReadUnits == 0.5)
    }

    @Test(
        arguments: [
            "", "{}", "[]", #"{"Items":null}"#, #"{"Items":{}}"#, #"{"Items":[7]}"#, #"{"Items":[{"a":7}]}"#,
            #"{"Items":[{"a":{}}]}"#, #"{"Items":[{"a":{"S":7}}]}"#, #"{"Items":[{"a":{"N":["7"]}}]}"#,
            #"{"Items":[{"a":{"Q":"7"}}]}"#, #"{"Items":[{"a":{"S":"7","N":"7"}}]}"#, #"{"Items":[{"a":{"SS":[7]}}]}"#,
            #"{"Items":[],"LastEvaluatedKey":null}"#, #"{"Items":[]} x"#, "{\"Items\":[{\"a\":{\"S\":\"\u{1}\"}}]}",
        ]) func `what is no page is never taken for an empty one`(body: String)
    {
        #expect(throws: MalformedBody.self) { try page(body) }
    }

    /// As the tree decodes it, whatever the items hold, and an error wherever it is cut off.
    @Test(arguments: 0..<20) func `any items survive the way to the wire and back`(seed: UInt64) throws {
        var chance = SeededGenerator(seed: seed)
        let items = (0..<Int.random(in: 0...6, using: &chance)).map { _ in item(&chance, depth: 0) }
        let body = JSON.encode(["Items": .list(items.map(\.wire)), "ConsumedCapacity": ["CapacityUnits": 2]])
        let page = try ScanPage(json: Bytes(body))
        #expect(page.items == items && page.lastEvaluatedKey == nil && page.consumedReadUnits == 2)
        for end in stride(from: 0, to: body.count, by: max(1, body.count / 50)) {
            #expect(throws: MalformedBody.self) { try ScanPage(json: Bytes(Array(body[..<end]))) }
        }
    }

    private func item(_ chance: inout SeededGenerator, depth: Int) -> Item {
        var item: Item = [:]
        for _ in 0..<Int.random(in: 0...14, using: &chance) {
            item[text(&chance)] = value(&chance, depth: depth)
        }
        return item
    }

    private func value(_ chance: inout SeededGenerator, depth: Int) -> AttributeValue {
        switch Int.random(in: 0..<(depth > 2 ? 7 : 10), using: &chance) {
        case 0, 1: .s(text(&chance))
        case 2: .n(Int.random(in: -9...9_999_999, using: &chance))
        case 3: .ss([text(&chance), text(&chance)])
        case 4: .b(Bytes(Array(text(&chance).utf8)))
        case 5: .bool(Bool.random(using: &chance))
        case 6: .null
        case 7: .l((0..<3).map { _ in value(&chance, depth: depth + 1) })
        case 8: .m(item(&chance, depth: depth + 1))
        default: .bs([Bytes(Array(text(&chance).utf8))])
        }
    }

    private func text(_ chance: inout SeededGenerator) -> String {
        let letters = ["a", "b", "\"", "\\", "\n", "é", "\u{0}", "🜚", "leaseCounter", "checkpoint"]
        return (0..<Int.random(in: 0...4, using: &chance)).map { _ in letters[Int.random(in: 0..<10, using: &chance)] }
            .joined()
    }
}
