import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct LeaseTableListTests {
    private func table(_ name: String, key: String = "leaseKey", reads: Int64? = nil) -> ScriptedService.Answer {
        var table: AWSValue = [
            "TableName": .string(name), "TableStatus": "ACTIVE", "ItemCount": 3, "TableSizeBytes": 20_480,
            "KeySchema": [["AttributeName": .string(key), "KeyType": "HASH"]],
            "AttributeDefinitions": [["AttributeName": .string(key), "AttributeType": "S"]],
        ]
        if let reads {
            table["ProvisionedThroughput"] = ["ReadCapacityUnits": .int(reads)]
        } else {
            table["BillingModeSummary"] = ["BillingMode": "PAY_PER_REQUEST"]
        }
        return .ok(["Table": table])
    }

    private func page(_ items: [Item]) -> ScriptedService.Answer { .ok(["Items": .list(items.map(\.wire))]) }

    private func read(_ script: [ScriptedService.Answer], most: Int = 10) async throws -> LeaseTableList {
        let service = ScriptedService(script)
        return try await LeaseTableList.read(
            DynamoDBClient(.scripted(.dynamodb, service)), time: stillTime, describesMax: most)
    }

    @Test func `lease tables are listed with their generation, other tables and side tables are not`() async throws {
        let list = try await read([
            .ok(["TableNames": ["b-app", "a-app", "b-app-CoordinatorState", "b-app-WorkerMetricStats", "users"]]),
            table("a-app", reads: 10), page([LeaseTable.newItem(lease(0))]),
            table("b-app"),
            table("users", key: "id"),
        ])
        #expect(list.tables.map(\.name) == ["a-app", "b-app"])
        #expect(list.tables.map(\.generation) == [.v2, .v3])
        #expect(list.leftOut == 0 && list.unreadable.isEmpty)
        #expect(
            list.text(as: .table) == """
                TABLE  ITEMS  STATUS  BILLING              KCL            SIZE
                a-app  3      ACTIVE  provisioned, 10 RCU  2.x            20 KiB
                b-app  3      ACTIVE  on demand            3.x (3.0-3.4)  20 KiB

                """)
        #expect(
            list.text(as: .csv) == "name,items,status,billing,provisionedReads,generation,sizeBytes\r\n"
                + "a-app,3,ACTIVE,PROVISIONED,10,2.x,20480\r\nb-app,3,ACTIVE,PAY_PER_REQUEST,,3.x,20480\r\n")
        let value = try JSON.decode(Bytes(list.text(as: .json)))
        #expect(value["tables"]?.list?.count == 2)
        #expect(value["tables"]?.list?.first?["provisionedReads"]?.int == 10)
    }

    @Test func `no more tables are described than allowed`() async throws {
        let list = try await read(
            [.ok(["TableNames": ["a", "b", "c"]]), table("a"), page([])], most: 1)
        #expect(list.tables.map(\.name) == ["a"])
        #expect(list.leftOut == 2)
        #expect(list.tables.first?.generation == .unknown)
    }

    @Test func `a denied scan leaves the generation unknown, a denied description is told`() async throws {
        let list = try await read([
            .ok(["TableNames": ["a", "b"]]), table("a"), .error("AccessDeniedException", [:]),
            .error("AccessDeniedException", [:]),
        ])
        #expect(list.tables.map(\.generation) == [.unknown])
        #expect(list.unreadable == ["b"] && list.firstFailure != nil)
    }

    @Test func `the rows tell the generation`() {
        var old = LeaseTable.newItem(lease(0))
        old["startingHashKey"] = nil
        old["endingHashKey"] = nil
        #expect(LeaseTableList.generation(of: []) == .unknown)
        #expect(LeaseTableList.generation(of: [old]) == .v1)
        #expect(LeaseTableList.generation(of: [old, LeaseTable.newItem(lease(1))]) == .v2)
        #expect(LeaseTableList.generation(of: [item(lease(0), ["throughputKBps": .n(3)])]) == .v3)
        #expect(
            LeaseTableList.generation(of: [["leaseKey": .s("Migration3.0"), "cv": .s("CLIENT_VERSION_3X")]]) == .v3)
    }
}
