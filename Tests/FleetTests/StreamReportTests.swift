import AWSWire
import Leases
import Testing

@testable import Fleet

struct StreamReportTests {
    private let report = StreamReport(
        StreamSummary(
            name: "orders", arn: "arn:aws:kinesis:us-east-1:123456789012:stream/orders", status: "ACTIVE",
            retentionHours: 24, created: Watch.noon, openShards: 2),
        [
            shard(2, of: 2, parent: id(0)), shard(1, of: 2),
            shard(0, of: 2, isClosed: true),
        ])

    @Test func `the table names the stream, then a line a shard in their order`() throws {
        let lines = report.text(as: .table).split(separator: "\n").map(String.init)
        try #require(lines.count == 5)
        #expect(lines.first == "orders ACTIVE, 2 open shards, 1 closed, retention 24h")
        #expect(lines.dropFirst(2).map { String($0.prefix(20)) } == [id(0), id(1), id(2)])
        #expect(lines[2].contains("closed") && lines[2].contains("50.0%"))
        #expect(lines[4].contains("open") && lines[4].hasSuffix(id(0)))
    }

    @Test func `JSON has every shard with its range and what it came of`() throws {
        let value = try JSON.decode(Bytes(report.text(as: .json)))
        #expect(value["version"] == 1 && value["openShards"] == 2 && value["closedShards"] == 1)
        let shards = try #require(value["shards"]?.list)
        #expect(shards.compactMap { $0["state"]?.string } == ["closed", "open", "open"])
        #expect(shards[2]["parentShardIds"]?.strings == [id(0)])
        #expect(shards[1]["endingHashKey"]?.string == String(UInt128.max))
        #expect(shards[0]["endingSequenceNumber"] == "999" && shards[1]["endingSequenceNumber"] == nil)
    }

    @Test func `CSV has one line a shard`() {
        let lines = report.text(as: .csv).split(separator: "\r\n")
        #expect(lines.count == 4)
        #expect(lines[1].hasPrefix("\(id(0)),closed,0,"))
    }
}
