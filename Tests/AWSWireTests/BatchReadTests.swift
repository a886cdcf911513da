import Machine
import Testing

@testable import AWSWire

@Suite struct BatchReadTests {
    private func client(_ transport: ScriptedTransport) -> DynamoDBClient {
        DynamoDBClient(
            AWSClient(
                .dynamodb, region: "eu-west-1", transport: transport,
                credentials: StaticCredentials(accessKeyID: "AKIA", secretAccessKey: "VerySecretKey"),
                time: VirtualTime().source, seed: 1))
    }

    private let keys: [Item] = [["leaseKey": .s("a")], ["leaseKey": .s("b")]]

    @Test func `some rows are asked for by their keys, with what it takes`() async throws {
        let transport = ScriptedTransport([
            .success(
                .json(
                    """
                    {"Responses":{"app":[{"leaseKey":{"S":"a"},"leaseCounter":{"N":"7"}}]},
                     "UnprocessedKeys":{"app":{"Keys":[{"leaseKey":{"S":"b"}}]}},
                     "ConsumedCapacity":[{"TableName":"app","CapacityUnits":0.5}]}
                    """))
        ])
        let read = try await client(transport).readItems("app", keys: keys)
        #expect(read.items == [["leaseKey": .s("a"), "leaseCounter": .n(7)]])
        #expect(read.unprocessed == [["leaseKey": .s("b")]])
        #expect(read.consumedReadUnits == 0.5)
        let request = try #require(transport.requests.first)
        #expect(request.headers["X-Amz-Target"] == "DynamoDB_20120810.BatchGetItem")
        #expect(
            String(decoding: request.body, as: UTF8.self)
                == #"{"RequestItems":{"app":{"Keys":[{"leaseKey":{"S":"a"}},{"leaseKey":{"S":"b"}}]}},"#
                + #""ReturnConsumedCapacity":"TOTAL"}"#)
    }

    @Test func `rows that are not there are missing, an answer without rows is none`() async throws {
        let nothing = ScriptedTransport([.success(.json(#"{"Responses":{"app":[]},"UnprocessedKeys":{}}"#))])
        let read = try await client(nothing).readItems("app", keys: keys)
        #expect(read.items.isEmpty && read.unprocessed.isEmpty && read.consumedReadUnits == nil)
        for body in [
            "{}", #"{"Responses":{"app":[{"leaseKey":{"Q":"a"}}]}}"#,
            #"{"Responses":{},"UnprocessedKeys":{"app":{"Keys":[7]}}}"#,
        ] {
            await #expect(throws: AWSError.self) {
                try await client(ScriptedTransport([.success(.json(body))])).readItems("app", keys: keys)
            }
        }
    }
}
