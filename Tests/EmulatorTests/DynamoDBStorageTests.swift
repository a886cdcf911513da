import AWSWire
import Machine
import Testing

@testable import Emulator

/// Tables in a state directory.
struct DynamoDBStorageTests {
    private let clock = DynamoDBBench.Clock()
    private let said = Said()

    private func service(_ files: MemoryFiles, settings: DynamoDBSettings = DynamoDBSettings()) throws
        -> DynamoDBService
    {
        let state = try StateDirectory(files: files) { [said] in said($0) }
        let service = DynamoDBService(
            account: "123456789012", region: "us-east-1", time: clock.source, seed: 1, settings: settings, state: state)
        try service.restore()
        return service
    }

    /// The same files in the hands of a new process.
    private func restarted(_ files: [String: [UInt8]]) throws -> DynamoDBService { try service(MemoryFiles(files)) }

    private func create(
        _ service: DynamoDBService, _ name: String = "leases", _ more: KeyValuePairs<String, AWSValue> = [:]
    ) throws {
        var input: AWSValue = [
            "TableName": .string(name), "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [["AttributeName": "k", "KeyType": "HASH"]],
            "AttributeDefinitions": [["AttributeName": "k", "AttributeType": "S"]],
        ]
        for (member, value) in more { input[member] = value }
        _ = try service.handle(operation: "CreateTable", input: input)
    }

    private func put(_ service: DynamoDBService, _ key: String, _ value: String, table: String = "leases") throws {
        _ = try service.handle(
            operation: "PutItem",
            input: ["TableName": .string(table), "Item": ["k": ["S": .string(key)], "v": ["S": .string(value)]]])
    }

    private func values(_ service: DynamoDBService, table: String = "leases") throws -> [String: String] {
        let answer = try service.handle(
            operation: "Scan", input: ["TableName": .string(table), "ConsistentRead": true])
        var values: [String: String] = [:]
        for item in answer["Items"]?.list ?? [] {
            values[item["k"]?["S"]?.string ?? ""] = item["v"]?["S"]?.string
        }
        return values
    }

    @Test func aTableComesBackAsItWas() throws {
        let files = MemoryFiles()
        let first = try service(files)
        try create(
            first, "leases",
            [
                "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": ["ReadCapacityUnits": 5, "WriteCapacityUnits": 7],
                "AttributeDefinitions": [
                    ["AttributeName": "k", "AttributeType": "S"], ["AttributeName": "v", "AttributeType": "S"],
                ],
                "GlobalSecondaryIndexes": [
                    [
                        "IndexName": "byValue", "KeySchema": [["AttributeName": "v", "KeyType": "HASH"]],
                        "Projection": ["ProjectionType": "INCLUDE", "NonKeyAttributes": ["x"]],
                        "ProvisionedThroughput": ["ReadCapacityUnits": 1, "WriteCapacityUnits": 2],
                    ]
                ],
                "Tags": [["Key": "team", "Value": "orders"]], "DeletionProtectionEnabled": true,
            ])
        for index in 0..<20 { try put(first, "key-\(index)", "value-\(index % 2)") }
        _ = try first.handle(operation: "DeleteItem", input: ["TableName": "leases", "Key": ["k": ["S": "key-3"]]])
        _ = try first.handle(
            operation: "UpdateContinuousBackups",
            input: [
                "TableName": "leases", "PointInTimeRecoverySpecification": ["PointInTimeRecoveryEnabled": true],
            ])
        _ = try first.handle(
            operation: "UpdateTimeToLive",
            input: ["TableName": "leases", "TimeToLiveSpecification": ["Enabled": true, "AttributeName": "until"]])
        let second = try restarted(files.files)
        for operation in ["DescribeTable", "DescribeContinuousBackups", "DescribeTimeToLive"] {
            let input: AWSValue = ["TableName": "leases"]
            #expect(
                try first.handle(operation: operation, input: input)
                    == second.handle(operation: operation, input: input))
        }
        #expect(try values(first) == values(second))
        let arn: AWSValue = ["ResourceArn": "arn:aws:dynamodb:us-east-1:123456789012:table/leases"]
        #expect(
            try second.handle(operation: "ListTagsOfResource", input: arn)
                == ["Tags": [["Key": "team", "Value": "orders"]]])
        let query: AWSValue = [
            "TableName": "leases", "IndexName": "byValue", "KeyConditionExpression": "v = :v",
            "ExpressionAttributeValues": [":v": ["S": "value-1"]],
        ]
        let found = try second.handle(operation: "Query", input: query)
        #expect(found["Count"] == 9)
        #expect(try first.handle(operation: "Query", input: query) == found)
    }

    @Test func aTableThatIsBeingDeletedGoesOnBeingDeleted() throws {
        let files = MemoryFiles()
        let settings = DynamoDBSettings(tableDelay: .seconds(10))
        let first = try service(files, settings: settings)
        try create(first)
        clock.advance(.seconds(11))
        _ = try first.handle(operation: "DeleteTable", input: ["TableName": "leases"])
        clock.advance(.seconds(4))
        let second = try service(MemoryFiles(files.files), settings: settings)
        let table = try second.handle(operation: "DescribeTable", input: ["TableName": "leases"])["Table"]
        #expect(table?["TableStatus"] == "DELETING")
        clock.advance(.seconds(6))
        let left = MemoryFiles(files.files)
        let third = try service(left, settings: settings)
        #expect(try third.handle(operation: "ListTables", input: [:])["TableNames"] == [])
        #expect(left.names(of: "table") == [])
    }

    @Test func aDeletedTablesFileGoesAndItsNameIsFree() throws {
        let files = MemoryFiles()
        let first = try service(files)
        try create(first)
        try put(first, "a", "old")
        _ = try first.handle(operation: "DeleteTable", input: ["TableName": "leases"])
        try create(first)
        #expect(files.names(of: "table") == ["table-2-1"])
        #expect(try values(try restarted(files.files)) == [:])
    }

    @Test func aWriteThatWasCutOffIsNoMoreThanThat() throws {
        let files = MemoryFiles()
        let first = try service(files)
        try create(first)
        try put(first, "a", "kept")
        let whole = try #require(files.files["table-1-1"])
        try put(first, "b", "cut off")
        let longer = try #require(files.files["table-1-1"])
        for count in whole.count..<longer.count {
            var cut = files.files
            cut["table-1-1"] = Array(longer[..<count])
            let left = MemoryFiles(cut)
            let second = try service(left)
            #expect(try values(second) == ["a": "kept"])
            // What is written next stands where the torn write began.
            try put(second, "c", "after")
            #expect(try values(try restarted(left.files)) == ["a": "kept", "c": "after"])
        }
        #expect(said.lines.contains { $0.hasPrefix("memory/table-1-1 ends in an unfinished write, which is cut off") })
        var zeros = files.files
        zeros["table-1-1"] = whole + [UInt8](repeating: 0, count: 5000)
        #expect(try values(try restarted(zeros)) == ["a": "kept"])
    }

    @Test func aFileDamagedInItsMiddleIsRefused() throws {
        let files = MemoryFiles()
        let first = try service(files)
        try create(first)
        try put(first, "a", "one")
        let offset = try #require(files.files["table-1-1"]).count - 2
        try put(first, "b", "two")
        var damaged = files.files
        damaged["table-1-1"]?[offset] ^= 1
        #expect {
            try restarted(damaged)
        } throws: { error in
            "\(error)".hasPrefix("memory/table-1-1 is damaged at byte ")
        }
    }

    @Test func aFullDiskIsAnErrorAndChangesNothing() throws {
        let files = MemoryFiles()
        let service = try service(files)
        try create(service)
        try put(service, "a", "before")
        let tags: AWSValue = [
            "ResourceArn": "arn:aws:dynamodb:us-east-1:123456789012:table/leases",
            "Tags": [["Key": "team", "Value": "orders"]],
        ]
        for room in [0, 1, 20] {
            files.room = room
            for attempt in [
                { try put(service, "a", "during") }, { _ = try service.handle(operation: "TagResource", input: tags) },
                { try create(service, "other") },
            ] {
                #expect {
                    try attempt()
                } throws: { error in
                    (error as? ServiceError)?.status == 500 && "\(error)".contains("No space left on device")
                }
            }
            #expect(try values(service) == ["a": "before"])
        }
        files.room = .max
        try put(service, "b", "after")
        #expect(try values(service) == ["a": "before", "b": "after"])
        #expect(try values(try restarted(files.files)) == ["a": "before", "b": "after"])
        #expect(try service.handle(operation: "ListTables", input: [:])["TableNames"] == ["leases"])
        // Said once for all of them.
        #expect(said.lines.count == 2)
        #expect(said.lines.last == "memory can be written again")
    }

    @Test func aFileIsWrittenAnewWhenMostOfItIsOutdated() throws {
        let files = MemoryFiles()
        let first = try service(files)
        try create(first)
        let text = String(repeating: "x", count: 50_000)
        for index in 0..<400 { try put(first, "key-\(index % 20)", "\(index)\(text)") }
        try put(first, "key-0", "last")
        let name = try #require(files.names(of: "table").first)
        #expect(files.names(of: "table").count == 1 && name != "table-1-1")
        #expect(try #require(files.files[name]).count < 2 * TableJournal.compactionBytesMin)
        let values = try values(try restarted(files.files))
        #expect(values.count == 20 && values["key-0"] == "last" && values["key-19"]?.hasPrefix("399x") == true)
    }

    /// Puts the same item into all these tables, or into none.
    private func transact(_ service: DynamoDBService, _ value: String, tables: [String] = ["aaa", "bbb"]) throws {
        let puts: [AWSValue] = tables.map { name in
            ["Put": ["TableName": .string(name), "Item": ["k": ["S": "key"], "v": ["S": .string(value)]]]]
        }
        _ = try service.handle(operation: "TransactWriteItems", input: ["TransactItems": .list(puts)])
    }

    @Test func aNewTableHasNothingOfADeletedOnesTransactions() throws {
        let files = MemoryFiles()
        let first = try service(files)
        for name in ["aaa", "bbb"] { try create(first, name) }
        try transact(first, "old")
        _ = try first.handle(operation: "DeleteTable", input: ["TableName": "bbb"])
        #expect(try first.handle(operation: "ListTables", input: [:])["TableNames"] == ["aaa"])
        #expect(files.names(of: "table") == ["table-1-1"])
        let left = MemoryFiles(files.files)
        try create(try service(left), "ccc")
        #expect(try values(try restarted(left.files), table: "ccc") == [:])
    }

    /// Tables `aaa` and `bbb` whose files lack a transaction that is kept, because the disk filled up in between.
    private func serviceBehind(_ files: MemoryFiles) throws -> DynamoDBService {
        let service = try service(files)
        for name in ["aaa", "bbb"] { try create(service, name) }
        try transact(service, "1")
        let before = files.files["transactions"]?.count ?? 0
        try transact(service, "2")
        // Room for one more of the same size there, and none for the tables.
        files.room = (files.files["transactions"]?.count ?? 0) - before
        try transact(service, "3")
        for name in ["aaa", "bbb"] { #expect(try values(service, table: name) == ["key": "3"]) }
        return service
    }

    @Test func aTransactionThatTablesFilesLackComesBack() throws {
        let files = MemoryFiles()
        _ = try serviceBehind(files)
        // Also where the disk is still full at the start.
        for room in [0, .max] {
            let left = MemoryFiles(files.files)
            left.room = room
            let second = try service(left)
            for name in ["aaa", "bbb"] { #expect(try values(second, table: name) == ["key": "3"]) }
        }
    }

    @Test func transactionsAreForgottenOnceTablesFilesHaveCaughtUp() throws {
        // By a write, by a change of the definition, and at the next start.
        for isRestarted in [false, true] {
            let left = MemoryFiles()
            let first = try serviceBehind(left)
            left.room = .max
            if !isRestarted {
                try put(first, "own", "x", table: "aaa")
                _ = try first.handle(
                    operation: "UpdateTable", input: ["TableName": "bbb", "DeletionProtectionEnabled": true])
            }
            let later = isRestarted ? MemoryFiles(left.files) : left
            let service = isRestarted ? try service(later) : first
            for number in 0..<12 { try transact(service, "\(number)" + String(repeating: "x", count: 200_000)) }
            // Without forgetting, it would have 4.8 MB.
            #expect(try #require(later.files["transactions"]).count < 2 << 20)
        }
    }

    @Test func whereverTheProcessEndsATransactionIsWholeOrNotThere() throws {
        let files = MemoryFiles(keepsHistory: true)
        let first = try service(files)
        for name in ["aaa", "bbb", "ccc"] { try create(first, name) }
        for number in 1...3 {
            try transact(first, "\(number)", tables: ["aaa", "bbb", "ccc"])
            // In between each table has writes of its own, as `number`.
            for name in ["aaa", "bbb"] { try put(first, "own", "\(number)", table: name) }
        }
        var seen: Set<String> = []
        for moment in files.history where moment["table-3-1"]?.count ?? 0 > 100 {
            // Also where the write under way was cut off in its middle.
            let left = MemoryFiles(moment)
            let second = try service(left)
            let found = try ["aaa", "bbb", "ccc"].map { try values(second, table: $0)["key"] ?? "-" }
            #expect(Set(found).count == 1)
            seen.insert(found[0])
            // And what it took over is there for good.
            let third = try restarted(left.files)
            #expect(try ["aaa", "bbb", "ccc"].map { try values(third, table: $0)["key"] ?? "-" } == found)
        }
        #expect(seen == ["-", "1", "2", "3"])
    }
}
