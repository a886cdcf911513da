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
        .members([
            "StreamName": .string(name), "StreamARN": .string(arn), "StreamStatus": .string(status.rawValue),
            "StreamModeDetails": ["StreamMode": isOnDemand ? "ON_DEMAND" : "PROVISIONED"],
            "RetentionPeriodHours": .int(max(1, retention.wholeMilliseconds / 3_600_000)),
            "StreamCreationTimestamp": .timestamp(created),
            "EnhancedMonitoring": [["ShardLevelMetrics": monitoring.description]],
            "EncryptionType": encryption.keyID == nil ? "NONE" : "KMS",
            "KeyId": encryption.keyID.map { .string($0) },
        ])
    }

    /// What an on-demand stream is ready for, and is on its way to.
    func warmThroughput(towards target: Int?) -> AWSValue {
        let current = Int64(openShards)
        return ["TargetMiBps": .int(target.map { Int64($0) } ?? current), "CurrentMiBps": .int(current)]
    }
}

extension KinesisShard {
    fileprivate func wasOpen(at time: UnixTime) -> Bool {
        openedAt <= time && (closedAt.map { $0 > time } ?? true)
    }
}
