import AWSWire
import Machine
import Testing

@testable import Emulator

struct DynamoDBTableTests {
    private func create(_ name: String, _ more: KeyValuePairs<String, AWSValue> = [:]) -> AWSValue {
        var input: AWSValue = [
            "TableName": .string(name), "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [["AttributeName": "leaseKey", "KeyType": "HASH"]],
            "AttributeDefinitions": [["AttributeName": "leaseKey", "AttributeType": "S"]],
        ]
        input.add(more)
        return input
    }

    private func status(_ bench: DynamoDBBench) throws -> String? {
        try bench.call("DescribeTable")["Table"]?["TableStatus"]?.string
    }

    @Test func aTableIsCreatingBeforeItIsActiveAndDeletingBeforeItIsGone() throws {
        let bench = try DynamoDBBench(DynamoDBSettings(tableDelay: .seconds(5)))
        let notFound = ServiceError("ResourceNotFoundException", "Requested resource not found")
        #expect(try status(bench) == "CREATING")
        #expect(bench.error("Scan") == notFound)
        #expect(
            bench.error("DeleteTable")
                == ServiceError(
                    "ResourceInUseException",
                    "Attempt to change a resource which is still in use: Table is being created: leases"))
        bench.clock.advance(.seconds(5))
        #expect(try status(bench) == "ACTIVE")
        try bench.put(["leaseKey": .s("a")])
        try bench.call("DeleteTable")
        #expect(try status(bench) == "DELETING")
        #expect(bench.error("Scan") == notFound)
        #expect(bench.error("CreateTable", create("leases"))?.type == "ResourceInUseException")
        bench.clock.advance(.seconds(5))
        #expect(
            bench.error("DescribeTable")
                == ServiceError(
                    "ResourceNotFoundException", "Requested resource not found: Table: leases not found"))
        #expect(try bench.call("ListTables")["TableNames"] == [])
        #expect(bench.error("CreateTable", create("leases")) == nil)
        bench.clock.advance(.seconds(5))
        #expect(try bench.call("Scan")["Count"]?.int == 0)
    }

    @Test func describesWhatWasCreated() throws {
        let bench = try DynamoDBBench()
        try bench.put(["leaseKey": .s("abc"), "n": .n(12)])
        let table = try #require(try bench.call("DescribeTable")["Table"])
        #expect(table["TableArn"] == "arn:aws:dynamodb:us-east-1:123456789012:table/leases")
        #expect(table["BillingModeSummary"]?["BillingMode"] == "PAY_PER_REQUEST")
        #expect(table["ItemCount"]?.int == 1)
        #expect(table["TableSizeBytes"]?.int == 8 + 3 + 1 + 2)
        #expect(table["KeySchema"] == [["AttributeName": "leaseKey", "KeyType": "HASH"]])
        #expect(table["ProvisionedThroughput"]?["ReadCapacityUnits"]?.int == 0)
        #expect(table["DeletionProtectionEnabled"] == false)
        #expect(table["CreationDateTime"]?.double == 1_769_860_800)
    }

    @Test func aTableIsAlsoFoundByItsARN() throws {
        let bench = try DynamoDBBench()
        let arn: AWSValue = "arn:aws:dynamodb:us-east-1:123456789012:table/leases"
        #expect(try bench.call("Scan", ["TableName": arn])["Count"]?.int == 0)
    }

    @Test func listsTablesInPages() throws {
        let bench = try DynamoDBBench(creates: false)
        for number in 0..<5 { try bench.call("CreateTable", create("table-\(number)")) }
        let first = try bench.service.handle(operation: "ListTables", input: ["Limit": 2])
        #expect(first == ["TableNames": ["table-0", "table-1"], "LastEvaluatedTableName": "table-1"])
        let rest = try bench.service.handle(
            operation: "ListTables", input: ["ExclusiveStartTableName": "table-1", "Limit": 3])
        #expect(rest == ["TableNames": ["table-2", "table-3", "table-4"]])
    }

    @Test func refusesTablesThatCannotBe() throws {
        let bench = try DynamoDBBench(creates: false)
        let unused: AWSValue = [
            ["AttributeName": "leaseKey", "AttributeType": "S"], ["AttributeName": "x", "AttributeType": "S"],
        ]
        let cases: [(AWSValue, String)] = [
            (create("ab"), "Member must have length greater than or equal to 3"),
            (create("a b c"), "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
            (
                create("leases", ["AttributeDefinitions": unused]),
                "Number of attributes in KeySchema does not exactly match"
            ),
            (create("leases", ["AttributeDefinitions": []]), "Some index key attributes are not defined"),
            (create("leases", ["BillingMode": "PROVISIONED"]), "ReadCapacityUnits and WriteCapacityUnits must both be"),
            (create("leases", ["BillingMode": "FREE"]), "Value 'FREE' at 'billingMode' failed to satisfy constraint"),
            (
                create("leases", ["KeySchema": [["AttributeName": "leaseKey", "KeyType": "RANGE"]]]),
                "The first KeySchemaElement is not a HASH key type"
            ),
            (create("leases", ["StreamSpecification": ["StreamEnabled": true]]), "DynamoDB Streams are not emulated"),
        ]
        for (input, message) in cases {
            let error = bench.error("CreateTable", input)
            #expect(error?.type == "ValidationException" && error?.message.contains(message) == true, "\(message)")
        }
    }

    @Test func deletionProtectionHolds() throws {
        let bench = try DynamoDBBench(definition: ["DeletionProtectionEnabled": true])
        #expect(bench.error("DeleteTable")?.message.contains("currently protected against deletion") == true)
        try bench.call("UpdateTable", ["DeletionProtectionEnabled": false])
        try bench.call("DeleteTable")
    }

    @Test func anIndexIsBackfilledBeforeItCanBeRead() throws {
        let bench = try DynamoDBBench(DynamoDBSettings(tableDelay: .seconds(5)))
        bench.clock.advance(.seconds(5))
        try bench.put(["leaseKey": .s("a"), "leaseOwner": .s("w")])
        try bench.call(
            "UpdateTable",
            [
                "AttributeDefinitions": [["AttributeName": "leaseOwner", "AttributeType": "S"]],
                "GlobalSecondaryIndexUpdates": [
                    [
                        "Create": [
                            "IndexName": "owners", "Projection": ["ProjectionType": "ALL"],
                            "KeySchema": [["AttributeName": "leaseOwner", "KeyType": "HASH"]],
                        ]
                    ]
                ],
            ])
        func index() throws -> String? {
            try bench.call("DescribeTable")["Table"]?["GlobalSecondaryIndexes"]?.list?.first?["IndexStatus"]?.string
        }
        #expect(try status(bench) == "UPDATING")
        #expect(try index() == "CREATING")
        #expect(
            bench.error("Scan", ["IndexName": "owners"])
                == .validation("Cannot read from backfilling global secondary index: owners"))
        try bench.put(["leaseKey": .s("b"), "leaseOwner": .s("w")])
        bench.clock.advance(.seconds(5))
        #expect(try index() == "ACTIVE")
        #expect(try bench.call("Scan", ["IndexName": "owners"])["Count"]?.int == 2)
        try bench.call("UpdateTable", ["GlobalSecondaryIndexUpdates": [["Delete": ["IndexName": "owners"]]]])
        #expect(try index() == "DELETING")
        bench.clock.advance(.seconds(5))
        #expect(try index() == nil)
        #expect(
            bench.error("Scan", ["IndexName": "owners"])
                == .validation("The table does not have the specified index: owners"))
    }

    @Test func aLocalIndexReadsWhatItDoesNotHoldFromTheTable() throws {
        let bench = try DynamoDBBench(definition: [
            "KeySchema": [["AttributeName": "k", "KeyType": "HASH"], ["AttributeName": "r", "KeyType": "RANGE"]],
            "AttributeDefinitions": .list(
                ["k", "r", "q"].map { ["AttributeName": .string($0), "AttributeType": "S"] }),
            "LocalSecondaryIndexes": [
                [
                    "IndexName": "by-q", "Projection": ["ProjectionType": "KEYS_ONLY"],
                    "KeySchema": [
                        ["AttributeName": "k", "KeyType": "HASH"], ["AttributeName": "q", "KeyType": "RANGE"],
                    ],
                ]
            ],
        ])
        try bench.put(["k": .s("a"), "r": .s("1"), "q": .s("z"), "x": .n(1)])
        try bench.put(["k": .s("a"), "r": .s("2"), "q": .s("y"), "x": .n(2)])
        func query(_ select: String) throws -> [Item] {
            try bench.pages(
                "Query",
                [
                    "IndexName": "by-q", "KeyConditionExpression": "k = :k", "Select": .string(select),
                    "ExpressionAttributeValues": [":k": ["S": "a"]], "ConsistentRead": true,
                ]
            ).items
        }
        #expect(try query("ALL_ATTRIBUTES").map { $0["x"] } == [.n(2), .n(1)])
        #expect(try query("ALL_PROJECTED_ATTRIBUTES").map { $0["x"] } == [nil, nil])
    }

    @Test func tagsAndBackupsAreRemembered() throws {
        let bench = try DynamoDBBench(definition: ["Tags": [["Key": "team", "Value": "blue"]]])
        let arn: AWSValue = "arn:aws:dynamodb:us-east-1:123456789012:table/leases"
        try bench.call("TagResource", ["ResourceArn": arn, "Tags": [["Key": "team", "Value": "red"]]])
        #expect(
            try bench.call("ListTagsOfResource", ["ResourceArn": arn]) == ["Tags": [["Key": "team", "Value": "red"]]])
        func recovery() throws -> AWSValue? {
            try bench.call("DescribeContinuousBackups")["ContinuousBackupsDescription"]?[
                "PointInTimeRecoveryDescription"]?["PointInTimeRecoveryStatus"]
        }
        #expect(try recovery() == "DISABLED")
        try bench.call(
            "UpdateContinuousBackups", ["PointInTimeRecoverySpecification": ["PointInTimeRecoveryEnabled": true]])
        #expect(try recovery() == "ENABLED")
        #expect(
            try bench.call("DescribeTimeToLive") == ["TimeToLiveDescription": ["TimeToLiveStatus": "DISABLED"]])
    }

    @Test func anUnknownOperationIsNamedAsSuch() throws {
        #expect(try DynamoDBBench().error("ExecuteStatement")?.type == "UnknownOperationException")
    }
}

struct DynamoDBThroughputTests {
    private func bench(_ settings: DynamoDBSettings = DynamoDBSettings()) throws -> DynamoDBBench {
        try DynamoDBBench(
            settings, definition: ["ProvisionedThroughput": ["ReadCapacityUnits": 2, "WriteCapacityUnits": 3]])
    }

    private func writesUntilThrottled(_ bench: DynamoDBBench) throws -> Int {
        for count in 0..<10_000 {
            let error = bench.error("PutItem", ["Item": ["leaseKey": ["S": .string("\(count % 7)")]]])
            guard let error else { continue }
            #expect(error.type == "ProvisionedThroughputExceededException")
            return count
        }
        return 10_000
    }

    @Test func fiveMinutesOfUnusedThroughputCanBurst() throws {
        let bench = try bench()
        #expect(try writesUntilThrottled(bench) == 900)
        bench.clock.advance(.seconds(10))
        #expect(try writesUntilThrottled(bench) == 30)
        bench.clock.advance(.seconds(100_000))
        #expect(try writesUntilThrottled(bench) == 900)
    }

    @Test func readsAreChargedByWhatTheyRead() throws {
        let bench = try bench(DynamoDBSettings(burst: .seconds(1)))
        try bench.put(["leaseKey": .s("a"), "x": .s(String(repeating: "x", count: 20_000))])
        #expect(bench.error("Scan") == nil)
        let error = bench.error("GetItem", ["Key": ["leaseKey": ["S": "b"]]])
        #expect(error?.message.hasPrefix("The level of configured provisioned throughput for the table") == true)
        bench.clock.advance(.seconds(1))
        #expect(bench.error("GetItem", ["Key": ["leaseKey": ["S": "b"]]]) == nil)
    }

    @Test func aRefusedConditionIsChargedToo() throws {
        let bench = try bench(DynamoDBSettings(burst: .zero))
        let input: AWSValue = ["Item": ["leaseKey": ["S": "a"]], "ConditionExpression": "attribute_exists(leaseKey)"]
        for _ in 0..<3 { #expect(bench.error("PutItem", input)?.type == "ConditionalCheckFailedException") }
        #expect(bench.error("PutItem", input)?.type == "ProvisionedThroughputExceededException")
    }

    @Test func batchesHandBackWhatWasThrottled() throws {
        let bench = try bench(DynamoDBSettings(burst: .zero))
        let puts: [AWSValue] = (0..<5).map { ["PutRequest": ["Item": ["leaseKey": ["S": .string("k\($0)")]]]] }
        let answer = try bench.call("BatchWriteItem", ["RequestItems": ["leases": .list(puts)]])
        #expect(answer["UnprocessedItems"]?["leases"]?.list?.count == 2)
        #expect(
            bench.error("BatchWriteItem", ["RequestItems": ["leases": .list(puts)]])?.type
                == "ProvisionedThroughputExceededException")
    }

    @Test func onDemandAndUnenforcedTablesNeverThrottle() throws {
        #expect(try writesUntilThrottled(DynamoDBBench()) == 10_000)
        #expect(try writesUntilThrottled(bench(DynamoDBSettings(enforcesThroughput: false))) == 10_000)
    }

    @Test func theBillingModeCanChange() throws {
        let bench = try bench(DynamoDBSettings(burst: .zero))
        try bench.call("UpdateTable", ["BillingMode": "PAY_PER_REQUEST"])
        #expect(try writesUntilThrottled(bench) == 10_000)
        try bench.call(
            "UpdateTable",
            [
                "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": ["ReadCapacityUnits": 5, "WriteCapacityUnits": 6],
            ])
        #expect(try writesUntilThrottled(bench) == 6)
        let table = try bench.call("DescribeTable")["Table"]
        #expect(table?["ProvisionedThroughput"]?["WriteCapacityUnits"]?.int == 6)
        #expect(table?["BillingModeSummary"]?["BillingMode"] == "PROVISIONED")
    }
}
