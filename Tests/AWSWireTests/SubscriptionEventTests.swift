import Machine
import Testing

@testable import AWSWire

/// The payloads of a fan-out subscription's events.
@Suite struct SubscriptionEventTests {
    static func payload(_ continuation: String = "\"7\"", records: String = "[]", more: String = "") -> String {
        """
        {"Records":\(records),"ContinuationSequenceNumber":\(continuation),"MillisBehindLatest":1500\(more)}
        """
    }

    @Test func anEventIsReadWithinItsMessage() throws {
        let records = """
            [{"SequenceNumber":"5","ApproximateArrivalTimestamp":1.5,"Data":"aGVsbG8=","PartitionKey":"key"},
             {"SequenceNumber":"6","PartitionKey":"\\u0061b","Data":""}]
            """
        let event = EventMessage.event("SubscribeToShardEvent", Bytes(Self.payload(records: records)))
        var decoder = EventStreamDecoder()
        var message = try #require(try decoder.append(Bytes(event.encoded())).first)
        #expect(message == event)
        let payload = message.payload
        message.payload = Bytes()
        let batch = try RecordBatch(json: payload)
        #expect(batch.records.map(\.sequenceNumber.description) == ["5", "6"])
        #expect(batch.records.map(\.data.text) == ["hello", ""])
        #expect(batch.records.map(\.partitionKey.text) == ["key", "ab"])
        #expect(batch.records[0].approximateArrival == UnixTime(milliseconds: 1500))
        #expect(batch.continuationSequenceNumber == "7")
        #expect(batch.millisBehindLatest == 1500)
        #expect(batch.nextShardIterator == nil)
        #expect(batch.childShards.isEmpty)
    }

    @Test func aMessageThatIsStillHeldIsLeftAsItIs() throws {
        let text = Self.payload(records: "[{\"SequenceNumber\":\"5\",\"Data\":\"aGVsbG8=\"}]")
        let payload = Bytes(text)
        #expect(try RecordBatch(json: payload).records.first?.data.text == "hello")
        #expect(payload.text == text)
    }

    @Test func theLastEventOfAShardHasNoContinuationAndNamesTheChildren() throws {
        let children = """
            ,"ChildShards":[{"ShardId":"shardId-1","ParentShards":["shardId-0"],
            "HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"9"}}]
            """
        let batch = try RecordBatch(json: Bytes(Self.payload("null", more: children)))
        #expect(batch.continuationSequenceNumber == nil)
        #expect(batch.childShards.map(\.shardID) == ["shardId-1"])
        let silent = try RecordBatch(json: Bytes("{\"Records\":[],\"ChildShards\":null}"))
        #expect(silent.continuationSequenceNumber == nil)
        #expect(silent.childShards.isEmpty)
    }

    @Test(
        "What could pass for the end of a shard, or for lost records, is malformed",
        arguments: [
            "{}", "{\"ContinuationSequenceNumber\":\"7\"}", payload("\"\""), payload("7"), payload("\"x\""),
            payload("[]"),
            payload(records: "null"), payload(more: ",\"ChildShards\":[{}]"), payload() + " x",
        ])
    func refuses(_ text: String) {
        #expect(throws: MalformedBody.self) { try RecordBatch(json: Bytes(text)) }
    }

    @Test func anEventCutOffAnywhereIsMalformed() {
        let whole = Array(Self.payload(records: "[{\"SequenceNumber\":\"5\",\"Data\":\"aGVsbG8=\"}]").utf8)
        for count in whole.indices {
            #expect(throws: MalformedBody.self) { try RecordBatch(json: Bytes(Array(whole[..<count]))) }
        }
    }
}
