import AWSWire
import Machine

/// Which shards ListShards returns.
enum ShardListFilter: Hashable, Sendable {
    case all
    case atTrimHorizon
    case fromTrimHorizon
    case atLatest
    case atTimestamp(UnixTime)
    case fromTimestamp(UnixTime)
    case afterShardID(String)
}

extension KinesisStream {
    /// The shards that `filter` lets through, by position in the order of their ids.
    func list(_ filter: ShardListFilter, at moment: Moment) -> [Int] {
        let horizon = max(trimHorizon(at: moment), created)
        return shards.indices.filter { position in
            let shard = shards[position]
            switch filter {
            case .all: return true
            case .atTrimHorizon: return shard.wasOpen(at: horizon)
            case .fromTrimHorizon: return shard.closedAt.map { $0 >= horizon } ?? true
            case .atLatest: return shard.isOpen
            // A moment before the horizon is taken for the horizon.
            case .atTimestamp(let time): return shard.wasOpen(at: max(time, horizon))
            case .fromTimestamp(let time): return shard.closedAt.map { $0 >= max(time, horizon) } ?? true
            case .afterShardID(let id): return shard.id > id
            }
        }
    }

    /// What DescribeStream and DescribeStreamSummary have in common.
    var summary: AWSValue {
        [
            "StreamName": .string(name), "StreamARN": .string(arn), "StreamStatus": .string(status.rawValue),
            "StreamModeDetails": ["StreamMode": isOnDemand ? "ON_DEMAND" : "PROVISIONED"],
            "RetentionPeriodHours": .int(max(1, retention.wholeMilliseconds / 3_600_000)),
            "StreamCreationTimestamp": .timestamp(created),
            "EnhancedMonitoring": [["ShardLevelMetrics": []]], "EncryptionType": "NONE",
        ]
    }
}

extension KinesisShard {
    fileprivate func wasOpen(at time: UnixTime) -> Bool {
        openedAt <= time && (closedAt.map { $0 > time } ?? true)
    }
}
