import AWSWire
import Machine
import Testing

@testable import Emulator

struct DynamoDBItemTests {
    private let key: Item = ["leaseKey": .s("a")]

    @Test func everyTypeComesBackAsItWent() throws {
        let bench = try DynamoDBBench()
        let item: Item = [
            "leaseKey": .s("a"), "n": .n("12.5"), "b": .b(Bytes([0, 255])), "t": .bool(true), "z": .null,
            "l": .l([.s("x"), .l([]), .m([:])]), "ss": .ss(["b", "a"]), "ns": .ns(["2", "1"]),
            "bs": .bs([Bytes("1"), Bytes("2")]), "e": .s(""),
        ]
        try bench.put(item)
        #expect(try bench.get(key) == item)
    }

    @Test func keysThatSwiftTakesForEqualAreDifferentRows() throws {
        let bench = try DynamoDBBench()
        try bench.put(["leaseKey": .s("\u{e9}"), "x": .n(1)])
        try bench.put(["leaseKey": .s("e\u{301}"), "x": .n(2)])
        #expect(try bench.call("Scan")["Count"]?.int == 2)
        #expect(try bench.get(["leaseKey": .s("\u{e9}")])?["x"] == .n(1))
    }

    @Test(
        arguments: [
            (["S": "a", "N": "1"], "must contain exactly one of the supported datatypes"),
            ([:], "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
            (["SS": []], "One or more parameter values were invalid: An string set  may not be empty"),
            (
                ["NS": ["1", "1.0"]],
                "One or more parameter values were invalid: Input collection [1, 1.0] contains duplicates."
            ),
            (["N": "x"], "The parameter cannot be converted to a numeric value: x"),
            (
                ["NULL": false],
                "One or more parameter values were invalid: Null attribute value types must have the value of true"
            ),
        ] as [(AWSValue, String)])
    func refusesValuesThatAreNone(_ value: AWSValue, _ message: String) throws {
        let bench = try DynamoDBBench()
        #expect(
            bench.error("PutItem", ["Item": ["leaseKey": ["S": "a"], "x": value]])?.message.hasSuffix(message) == true)
    }

    @Test func refusesOtherJSONThanItsOwn() throws {
        let bench = try DynamoDBBench()
        for item: AWSValue in [["leaseKey": "a"], ["leaseKey": ["S": 1]], "text", ["leaseKey": ["L": "x"]]] {
            #expect(bench.error("PutItem", ["Item": item])?.type == "SerializationException")
        }
        #expect(bench.error("PutItem")?.type == "ValidationException")
        #expect(bench.error("GetItem", ["TableName": 5, "Key": key.wire])?.type == "SerializationException")
    }

    @Test func nestingIsBounded() throws {
        let bench = try DynamoDBBench()
        var value = AttributeValue.n(1)
        for _ in 0..<32 { value = .l([value]) }
        try bench.put(["leaseKey": .s("a"), "x": value])
        #expect(
            bench.error("PutItem", ["Item": Item(dictionaryLiteral: ("leaseKey", .s("a")), ("x", .l([value]))).wire])
                != nil)
    }

    @Test func keysAreChecked() throws {
        let bench = try DynamoDBBench()
        func put(_ item: Item) -> String? { bench.error("PutItem", ["Item": item.wire])?.message }
        let invalid = "One or more parameter values were invalid: "
        #expect(put(["x": .n(1)]) == invalid + "Missing the key leaseKey in the item")
        #expect(put(["leaseKey": .n(1)]) == invalid + "Type mismatch for key leaseKey expected: S actual: N")
        #expect(put(["leaseKey": .s("")])?.hasSuffix("cannot contain an empty string value. Key: leaseKey") == true)
        let long = String(repeating: "k", count: 2049)
        #expect(put(["leaseKey": .s(long)])?.contains("Size of hashkey has exceeded") == true)
        #expect(
            bench.error("GetItem", ["Key": ["leaseKey": ["N": "1"]]])
                == .validation("The provided key element does not match the schema"))
        #expect(
            bench.error("UpdateItem", ["Key": key.wire, "UpdateExpression": "REMOVE leaseKey"])?.message
                == invalid + "Cannot update attribute leaseKey. This attribute is part of the key")
    }

    @Test func itemsOf400KilobytesAreTheLargest() throws {
        let bench = try DynamoDBBench()
        let room = 400 * 1024 - "leaseKey".utf8.count - 1 - 1
        try bench.put(["leaseKey": .s("a"), "x": .s(String(repeating: "x", count: room))])
        #expect(
            bench.error(
                "UpdateItem",
                ["Key": key.wire, "UpdateExpression": "SET y = :y", "ExpressionAttributeValues": [":y": ["S": ""]]])
                == .validation("Item size to update has exceeded the maximum allowed size"))
    }

    @Test func returnValuesAreWhatTheyAskFor() throws {
        let bench = try DynamoDBBench()
        let start: Item = ["leaseKey": .s("a"), "x": .n(1), "y": .n(1), "m": .m(["p": .n(1), "q": .n(2)])]
        let expected: [(String, Item?)] = [
            ("NONE", nil), ("ALL_OLD", start), ("UPDATED_OLD", ["x": .n(1), "m": .m(["p": .n(1)])]),
            ("ALL_NEW", ["leaseKey": .s("a"), "x": .n(2), "y": .n(1), "m": .m(["q": .n(2)])]),
            ("UPDATED_NEW", ["x": .n(2)]),
        ]
        for (word, attributes) in expected {
            try bench.put(start)
            let answer = try bench.update("SET x = :x REMOVE m.p", [":x": .n(2)], key: key, returns: word)
            #expect(answer == attributes, "\(word)")
        }
    }

    @Test func anUpdateThatOnlyDeletesMakesNoItemInTheOldParameters() throws {
        let bench = try DynamoDBBench()
        try bench.call("UpdateItem", ["Key": key.wire, "AttributeUpdates": ["x": ["Action": "DELETE"]]])
        #expect(try bench.get(key) == nil)
        try bench.call("UpdateItem", ["Key": key.wire])
        #expect(try bench.get(key) == key)
    }

    @Test func expressionsAndOldParametersDoNotMix() throws {
        let bench = try DynamoDBBench()
        let error = bench.error(
            "UpdateItem", ["Key": key.wire, "UpdateExpression": "REMOVE x", "Expected": ["x": ["Exists": false]]])
        #expect(
            error?.message
                == "Can not use both expression and non-expression parameters in the same request: "
                + "Non-expression parameters: {Expected} Expression parameters: {UpdateExpression}")
    }

    @Test func transactionsAreAllOrNothingOverTables() throws {
        let bench = try DynamoDBBench()
        try bench.call(
            "CreateTable",
            [
                "TableName": "other", "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [["AttributeName": "k", "KeyType": "HASH"]],
                "AttributeDefinitions": [["AttributeName": "k", "AttributeType": "S"]],
            ])
        try bench.put(["leaseKey": .s("a"), "x": .n(1)])
        func transact(_ expected: String) -> ServiceError? {
            bench.error(
                "TransactWriteItems",
                [
                    "TransactItems": [
                        ["Put": ["TableName": "other", "Item": ["k": ["S": "new"]]]],
                        [
                            "Update": [
                                "TableName": "leases", "Key": key.wire, "UpdateExpression": "SET x = :new",
                                "ConditionExpression": "x = :old", "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                                "ExpressionAttributeValues": [":new": ["N": "2"], ":old": ["N": .string(expected)]],
                            ]
                        ],
                    ]
                ])
        }
        let error = try #require(transact("9"))
        #expect(error.type == "TransactionCanceledException")
        #expect(error.message.hasSuffix("[None, ConditionalCheckFailed]"))
        #expect(error.extra["CancellationReasons"]?.list?.last?["Item"]?["x"] == ["N": "1"])
        #expect(try bench.call("Scan", ["TableName": "other"])["Count"]?.int == 0)
        #expect(transact("1") == nil)
        #expect(try bench.call("Scan", ["TableName": "other"])["Count"]?.int == 1)
        #expect(try bench.get(key)?["x"] == .n(2))
    }

    @Test func aTransactionTokenCountsOnceForTenMinutes() throws {
        let bench = try DynamoDBBench()
        func transact(_ amount: Int64) -> ServiceError? {
            bench.error(
                "TransactWriteItems",
                [
                    "ClientRequestToken": "token",
                    "TransactItems": [
                        [
                            "Update": [
                                "TableName": "leases", "Key": key.wire, "UpdateExpression": "ADD x :n",
                                "ExpressionAttributeValues": [":n": AttributeValue.n(amount).wire],
                            ]
                        ]
                    ],
                ])
        }
        #expect(transact(1) == nil && transact(1) == nil)
        #expect(try bench.get(key)?["x"] == .n(1))
        #expect(transact(2)?.type == "IdempotentParameterMismatchException")
        bench.clock.advance(.seconds(601))
        #expect(transact(1) == nil)
        #expect(try bench.get(key)?["x"] == .n(2))
    }

    @Test func batchesWriteAndReadMany() throws {
        let bench = try DynamoDBBench()
        let puts: [AWSValue] = (0..<25).map {
            ["PutRequest": ["Item": ["leaseKey": ["S": .string("k\($0)")]]]]
        }
        try bench.call("BatchWriteItem", ["RequestItems": ["leases": .list(puts)]])
        let keys: [AWSValue] = (20..<30).map { ["leaseKey": ["S": .string("k\($0)")]] }
        let answer = try bench.call("BatchGetItem", ["RequestItems": ["leases": ["Keys": .list(keys)]]])
        #expect(answer["Responses"]?["leases"]?.list?.count == 5)
        #expect(
            bench.error("BatchWriteItem", ["RequestItems": ["leases": .list([puts[0], puts[0]])]])
                == .validation("Provided list of item keys contains duplicates"))
        #expect(
            bench.error("BatchGetItem", ["RequestItems": ["leases": ["Keys": .list([keys[0], keys[0]])]]])
                == .validation("Provided list of item keys contains duplicates"))
    }

    @Test func concurrentCountersLoseNothing() async throws {
        let bench = try DynamoDBBench()
        try await withThrowingTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<200 {
                        try bench.update("ADD x :one", [":one": .n(1)], key: key)
                        _ = try bench.pages("Scan", ["Limit": 1])
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try bench.get(key)?["x"] == .n(1600))
    }
}
