import AWSWire
import Machine
import Testing

@testable import Emulator

struct DynamoDBReadTests {
    private func names(_ items: [Item], _ attribute: String = "leaseKey") -> [String] {
        items.compactMap { $0[attribute]?.string }
    }

    private func filled(_ count: Int) throws -> DynamoDBBench {
        let bench = try DynamoDBBench()
        for number in 0..<count { try bench.put(["leaseKey": .s("shard-\(number)"), "x": .n(number)]) }
        return bench
    }

    @Test func scanPagesCoverTheTableOnceInAStableOrder() throws {
        let bench = try filled(500)
        let whole = names(try bench.pages("Scan").items)
        #expect(Set(whole).count == 500 && whole.count == 500)
        let paged = try bench.pages("Scan", ["Limit": 7])
        #expect(names(paged.items) == whole)
        #expect(paged.pages == 72)
    }

    @Test func aLimitThatEndsAtTheLastRowStillNamesAKey() throws {
        let bench = try filled(4)
        let answer = try bench.call("Scan", ["Limit": 4])
        #expect(answer["LastEvaluatedKey"] != nil)
        #expect(try bench.call("Scan", ["Limit": 5])["LastEvaluatedKey"] == nil)
    }

    @Test(arguments: [1, 2, 3, 7, 64])
    func segmentsPartitionTheTable(_ total: Int) throws {
        let bench = try filled(300)
        var all: [String] = []
        for segment in 0..<total {
            let input: AWSValue = ["Segment": .int(Int64(segment)), "TotalSegments": .int(Int64(total)), "Limit": 10]
            all += names(try bench.pages("Scan", input).items)
        }
        #expect(all.count == 300)
        #expect(all == names(try bench.pages("Scan").items))
    }

    @Test func aPageGoesOnAfterAKeyThatWasDeleted() throws {
        let bench = try filled(50)
        let order = names(try bench.pages("Scan").items)
        let first = try bench.call("Scan", ["Limit": 10])
        for name in order[8..<12] { try bench.call("DeleteItem", ["Key": ["leaseKey": ["S": .string(name)]]]) }
        let rest = try bench.pages("Scan", .members(["ExclusiveStartKey": first["LastEvaluatedKey"]]))
        #expect(names(rest.items) == Array(order[12...]))
    }

    @Test func rowsWrittenBehindThePageAreNotSeenAndThoseAheadAre() throws {
        let bench = try filled(20)
        let first = try bench.call("Scan", ["Limit": 10])
        for number in 20..<60 { try bench.put(["leaseKey": .s("shard-\(number)")]) }
        let rest = names(
            try bench.pages("Scan", .members(["ExclusiveStartKey": first["LastEvaluatedKey"]])).items)
        let order = names(try bench.pages("Scan").items)
        let last = try #require(first["LastEvaluatedKey"]?["leaseKey"]?["S"]?.string)
        let at = try #require(order.firstIndex(of: last))
        #expect(rest == Array(order[(at + 1)...]))
    }

    @Test func aPageEndsBeforeOneMebibyte() throws {
        let bench = try DynamoDBBench()
        for number in 0..<6 {
            try bench.put(["leaseKey": .s("\(number)"), "x": .s(String(repeating: "x", count: 300_000))])
        }
        let answer = try bench.call("Scan", ["ReturnConsumedCapacity": "TOTAL"])
        #expect(answer["Count"]?.int == 3)
        #expect(answer["ConsumedCapacity"]?["CapacityUnits"]?.double == 110)
        #expect(try bench.pages("Scan").pages == 2)
    }

    @Test func filtersCountWhatTheyPassOver() throws {
        let bench = try filled(10)
        let answer = try bench.call(
            "Scan",
            [
                "FilterExpression": "x >= :x", "ExpressionAttributeValues": [":x": ["N": "7"]], "Limit": 10,
                "Select": "COUNT",
            ])
        #expect(answer["Count"]?.int == 3)
        #expect(answer["ScannedCount"]?.int == 10)
        #expect(answer["Items"] == nil)
    }

    @Test func queriesReadOnePartitionInTheOrderOfNumbers() throws {
        let bench = try DynamoDBBench.ranged("N")
        for number in ["10", "9", "-1", "2.5", "1E2", "-1E2", "0"] {
            try bench.put(["k": .s("a"), "r": .n(number)])
            try bench.put(["k": .s("b"), "r": .n(number)])
        }
        func rows(_ condition: String, _ values: Item = [:], _ more: KeyValuePairs<String, AWSValue> = [:]) throws
            -> [String]
        {
            var input: AWSValue = [
                "KeyConditionExpression": .string("k = :k" + condition),
                "ExpressionAttributeValues": values.merging([":k": .s("a")]) { $1 }.wire,
            ]
            input.add(more)
            return try bench.pages("Query", input).items.compactMap {
                if case .n(let text)? = $0["r"] { text } else { nil }
            }
        }
        let all = ["-100", "-1", "0", "2.5", "9", "10", "100"]
        #expect(try rows("") == all)
        #expect(try rows("", [:], ["Limit": 2]) == all)
        #expect(try rows("", [:], ["ScanIndexForward": false]) == all.reversed())
        #expect(try rows("", [:], ["ScanIndexForward": false, "Limit": 3]) == all.reversed())
        #expect(try rows(" AND r > :r", [":r": .n("2.5")]) == ["9", "10", "100"])
        #expect(try rows(" AND r >= :r", [":r": .n("2.50")]) == ["2.5", "9", "10", "100"])
        #expect(try rows(" AND r < :r", [":r": .n("0")]) == ["-100", "-1"])
        #expect(try rows(" AND :r >= r", [":r": .n("0")]) == ["-100", "-1", "0"])
        #expect(try rows(" AND r BETWEEN :r AND :s", [":r": .n("-1"), ":s": .n("9")]) == ["-1", "0", "2.5", "9"])
        #expect(try rows(" AND r = :r", [":r": .n("100.0")]) == ["100"])
    }

    @Test func queriesFindPrefixesByBytes() throws {
        let bench = try DynamoDBBench.ranged("B")
        for bytes: [UInt8] in [[1], [1, 255], [1, 255, 255], [2], [255], [255, 255]] {
            try bench.put(["k": .s("a"), "r": .b(Bytes(bytes))])
        }
        func count(_ prefix: [UInt8]) throws -> Int? {
            try bench.call(
                "Query",
                [
                    "KeyConditionExpression": "k = :k AND begins_with(r, :r)",
                    "ExpressionAttributeValues": Item(dictionaryLiteral: (":k", .s("a")), (":r", .b(Bytes(prefix))))
                        .wire,
                ])["Count"]?.int
        }
        #expect(try count([1]) == 3)
        #expect(try count([1, 255]) == 2)
        #expect(try count([255]) == 2)
    }

    @Test(arguments: [
        ("r = :n", "Query condition missed key schema element: k"),
        ("k > :s", "Query key condition not supported"),
        ("k = :s OR k = :s", "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: OR"),
        (
            "k = :s AND r > :n AND r < :n",
            "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key"
        ),
        ("k = :n", "One or more parameter values were invalid: Condition parameter type does not match schema type"),
        ("k = :s AND x = :n", "Query condition missed key schema element: r"),
    ])
    func refusesKeyConditionsThatAreNone(_ condition: String, _ message: String) throws {
        let bench = try DynamoDBBench.ranged("N")
        var values: Item = [:]
        if condition.contains(":s") { values[":s"] = .s("a") }
        if condition.contains(":n") { values[":n"] = .n(1) }
        let error = bench.error(
            "Query", ["KeyConditionExpression": .string(condition), "ExpressionAttributeValues": values.wire])
        #expect(error == .validation(message))
    }

    @Test func projectsAndCharges() throws {
        let bench = try DynamoDBBench()
        try bench.put(["leaseKey": .s("a"), "x": .s(String(repeating: "x", count: 5000)), "y": .n(1)])
        let answer = try bench.call(
            "GetItem",
            [
                "Key": ["leaseKey": ["S": "a"]], "ProjectionExpression": "y, absent", "ConsistentRead": true,
                "ReturnConsumedCapacity": "TOTAL",
            ])
        #expect(answer["Item"] == ["y": ["N": "1"]])
        #expect(answer["ConsumedCapacity"]?["CapacityUnits"]?.double == 2)
        let eventual = try bench.call("GetItem", ["Key": ["leaseKey": ["S": "no"]], "ReturnConsumedCapacity": "TOTAL"])
        #expect(eventual == ["ConsumedCapacity": ["CapacityUnits": .double(0.5), "TableName": "leases"]])
    }

    @Test func tenThousandRowsAreWrittenUpdatedAndScanned() throws {
        let bench = try filled(10_000)
        for number in 0..<10_000 {
            try bench.update("ADD x :one", [":one": .n(1)], key: ["leaseKey": .s("shard-\(number)")])
        }
        let items = try bench.pages("Scan").items
        #expect(items.count == 10_000)
        #expect(items.allSatisfy { ($0["x"]?.int).map { "shard-\($0 - 1)" } == $0["leaseKey"]?.string })
    }
}

struct DynamoDBStaleReadTests {
    private let key: Item = ["leaseKey": .s("a")]

    private func bench(_ probability: Double, seed: UInt64 = 1) throws -> DynamoDBBench {
        let stale = DynamoDBSettings.StaleReads(probability: probability, ageMax: .milliseconds(500))
        return try DynamoDBBench(DynamoDBSettings(staleReads: stale), seed: seed)
    }

    @Test func consistentReadsAreNeverStale() throws {
        let bench = try bench(1)
        for counter in 0..<50 {
            try bench.put(key.merging(["x": .n(counter)]) { $1 })
            #expect(try bench.get(key)?["x"] == .n(counter))
        }
    }

    @Test func eventualReadsSeeOlderVersionsButNoneOlderThanAllowed() throws {
        let bench = try bench(1)
        var isBehind = false
        for counter in 0..<200 {
            try bench.put(key.merging(["x": .n(counter)]) { $1 })
            bench.clock.advance(.milliseconds(100))
            let seen = try #require(try bench.get(key, isConsistent: false)?["x"]?.int ?? (counter < 5 ? -1 : nil))
            #expect(seen <= Int64(counter) && seen >= Int64(counter) - 5)
            isBehind = isBehind || seen < Int64(counter)
        }
        #expect(isBehind)
    }

    @Test func aDeletedRowMayStillBeSeenForAWhile() throws {
        let bench = try bench(1)
        try bench.put(key)
        bench.clock.advance(.seconds(1))
        try bench.call("DeleteItem", ["Key": key.wire])
        bench.clock.advance(.milliseconds(100))
        let seen = try (0..<100).count { _ in try bench.get(key, isConsistent: false) != nil }
        let scanned = try (0..<100).count { _ in try bench.call("Scan")["Count"]?.int == 1 }
        #expect(seen > 0 && seen < 100)
        #expect(scanned > 0 && scanned < 100)
        #expect(try bench.get(key) == nil)
        #expect(try bench.call("DescribeTable")["Table"]?["ItemCount"]?.int == 0)
        bench.clock.advance(.seconds(1))
        #expect(try (0..<100).allSatisfy { _ in try bench.get(key, isConsistent: false) == nil })
        try bench.put(["leaseKey": .s("b")])
        #expect(try bench.call("Scan", ["ConsistentRead": true])["ScannedCount"]?.int == 1)
    }

    @Test func staleReadsFollowFromTheSeed() throws {
        func run(_ seed: UInt64) throws -> [Item?] {
            let bench = try bench(0.5, seed: seed)
            return try (0..<50).map { counter in
                try bench.put(key.merging(["x": .n(counter)]) { $1 })
                bench.clock.advance(.milliseconds(50))
                return try bench.get(key, isConsistent: false)
            }
        }
        #expect(try run(1) == run(1))
        #expect(try run(1) != run(2))
    }
}
