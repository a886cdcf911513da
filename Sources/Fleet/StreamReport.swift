package import AWSWire
import Leases
import Machine

/// A stream and its shards as text, for scripts and for people without a screen.
package struct StreamReport: Hashable, Sendable {
    package enum Format: String, Sendable, CaseIterable {
        case table
        case json
        case csv
    }

    private let summary: StreamSummary
    private let shards: [Shard]

    package init(_ summary: StreamSummary, _ shards: [Shard]) {
        self.summary = summary
        self.shards = shards.sorted { $0.shardID < $1.shardID }
    }

    package func text(as format: Format) -> String {
        switch format {
        case .table: table
        case .json: JSON.text(json) + "\n"
        case .csv: csv
        }
    }

    private var closed: Int { shards.count { !$0.isOpen } }

    private var table: String {
        let head =
            "\(summary.name) \(summary.status), \(summary.openShards) open shards, \(closed) closed, retention "
            + "\(summary.retentionHours)h"
        let rows = shards.map { shard in
            [
                shard.shardID, shard.isOpen ? "open" : "closed", Self.share(shard.hashKeyRange),
                String(shard.hashKeyRange.start), shard.parentShardIDs.joined(separator: " "),
            ]
        }
        return StatusReport.printable(head) + "\n"
            + StatusReport.aligned([["SHARD", "STATE", "SHARE", "FROM HASH KEY", "PARENTS"]] + rows)
            .map { StatusReport.printable($0) + "\n" }.joined()
    }

    /// The object of `stream show --format json`, version 1: members are never renamed, new ones may come.
    private var json: AWSValue {
        StatusReport.object([
            ("version", 1), ("stream", .string(summary.name)), ("streamArn", .string(summary.arn)),
            ("status", .string(summary.status)), ("retentionHours", StatusReport.int(summary.retentionHours)),
            ("createdAt", summary.created.map { .string(CivilTime($0).iso8601) } ?? .null),
            ("openShards", StatusReport.int(summary.openShards)), ("closedShards", StatusReport.int(closed)),
            ("shards", .list(shards.map(Self.json))),
        ])
    }

    private static func json(_ shard: Shard) -> AWSValue {
        StatusReport.object([
            ("shardId", .string(shard.shardID)), ("state", shard.isOpen ? "open" : "closed"),
            ("parentShardIds", .list(shard.parentShardIDs.map { .string($0) })),
            ("startingHashKey", .string(String(shard.hashKeyRange.start))),
            ("endingHashKey", .string(String(shard.hashKeyRange.end))),
            ("startingSequenceNumber", .string(shard.startingSequenceNumber)),
            ("endingSequenceNumber", shard.endingSequenceNumber.map { .string($0) } ?? .null),
        ])
    }

    private var csv: String {
        let columns = [
            "shardId", "state", "startingHashKey", "endingHashKey", "startingSequenceNumber", "endingSequenceNumber",
        ]
        let lines = shards.map { shard in
            let value = Self.json(shard)
            return columns.map { StatusReport.field(value[$0]) }.joined(separator: ",")
        }
        return ([columns.joined(separator: ",")] + lines).map { $0 + "\r\n" }.joined()
    }

    /// The part of the hash key space, in tenths of a percent.
    private static func share(_ range: HashKeyRange) -> String {
        let part = Double(range.end - range.start) / Double(UInt128.max)
        let tenths = Int((part * 1000).rounded())
        return "\(tenths / 10).\(tenths % 10)%"
    }
}
