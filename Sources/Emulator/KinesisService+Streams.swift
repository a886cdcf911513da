import AWSWire
import Machine

/// Streams as a whole: creating, deleting, describing, listing, retention.
extension KinesisService {
    func createStream(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let isOnDemand = input["StreamModeDetails"]?["StreamMode"]?.string == "ON_DEMAND"
        let given = input["ShardCount"]?.int
        if isOnDemand, given != nil {
            throw .validation("ShardCount is not supported for streams in On-Demand mode.")
        }
        // An on-demand stream begins with four shards.
        guard let count = isOnDemand ? 4 : given else {
            throw .validation(
                "1 validation error detected: Value null at 'shardCount' failed to satisfy constraint: "
                    + "Member must not be null")
        }
        let moment = moment
        let warmThroughput = input["WarmThroughputMiBps"]?.int
        if let warmThroughput { try checkWarmThroughput(warmThroughput, isOnDemand: isOnDemand, at: moment) }
        if isOnDemand { try Self.checkOnDemandRoom(onDemandStreams, configuration) }
        let shards = max(count, warmThroughput ?? 0)
        let room = shardRoom()
        if shards > room { throw .shardLimitExceeded(adding: shards, room: room, configuration) }
        let recordBytesMax = input["MaxRecordSizeInKiB"]?.int.map { $0 * 1024 }
        let name = try streamName(input)
        var stream = KinesisStream(
            name: name, shards: shards, isOnDemand: isOnDemand,
            recordBytesMax: recordBytesMax ?? configuration.recordBytesMax, configuration: configuration, at: moment)
        stream.warmThroughput = warmThroughput
        if let tags = input["Tags"]?.map {
            try stream.resource.add(tags, to: stream.described)
        }
        try insert(stream)
        return .empty
    }

    func deleteStream(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let delay = configuration.streamStatusDelay
        let enforces = input["EnforceConsumerDeletion"]?.bool ?? false
        try withStream(try streamName(input)) { (stream, moment) throws(ServiceError) in
            if !stream.consumers.isEmpty, !enforces {
                throw ServiceError(
                    "ResourceInUseException",
                    "Stream \(stream.name) under account \(stream.account) has registered consumers; it is deleted "
                        + "with them when EnforceConsumerDeletion is true.")
            }
            if stream.status != .deleting { stream.startDeleting(until: moment.now + delay) }
        }
        return .empty
    }

    func describeLimits() -> ServiceAnswer {
        .tree([
            "ShardLimit": .int(Int64(configuration.shardsMax)),
            "OpenShardCount": .int(Int64(configuration.shardsMax - shardRoom())),
            "OnDemandStreamCount": .int(Int64(onDemandStreams)),
            "OnDemandStreamCountLimit": .int(Int64(Self.onDemandStreamsMax)),
        ])
    }

    func describeStream(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let limit = min(input["Limit"]?.int ?? 100, 100)
        let start = input["ExclusiveStartShardId"]?.string
        return try withStream(try streamName(input), onlyRecords: true) { (stream, _) throws(ServiceError) in
            let following = stream.shards.drop { shard in start.map { shard.id <= $0 } ?? false }
            var description = stream.summary
            description["Shards"] = .list(following.prefix(limit).map(\.description))
            description["HasMoreShards"] = .bool(following.count > limit)
            return .tree(["StreamDescription": description])
        }
    }

    func describeStreamSummary(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let isCommitted = account(at: moment.wall).isCommitted
        return try withStream(try streamName(input), onlyRecords: true) { (stream, _) throws(ServiceError) in
            var summary = stream.summary
            summary["StreamId"] = .string(stream.id)
            summary["OpenShardCount"] = .int(Int64(stream.openShards))
            summary["ConsumerCount"] = .int(Int64(stream.consumers.count))
            summary["MaxRecordSizeInKiB"] = .int(Int64(stream.recordBytesMax / 1024))
            if stream.isOnDemand, isCommitted {
                summary["WarmThroughput"] = stream.warmThroughput(towards: stream.warmThroughput)
            }
            return .tree(["StreamDescriptionSummary": summary])
        }
    }

    func listStreams(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let start = try pageToken(input, of: .streams)?.after ?? input["ExclusiveStartStreamName"]?.string
        let limit = min(input["Limit"]?.int ?? 100, 100)
        let following = all { stream -> (name: String, summary: AWSValue) in
            let summary = stream.summary
            let kept = ["StreamName", "StreamARN", "StreamStatus", "StreamModeDetails", "StreamCreationTimestamp"]
            var picked: AWSValue = [:]
            for name in kept { picked[name] = summary[name] }
            return (stream.name, picked)
        }.drop { stream in start.map { stream.name <= $0 } ?? false }
        let page = following.prefix(limit)
        let hasMore = following.count > limit
        let token = hasMore ? PageToken(.streams, after: page.last?.name ?? "", created: moment.wall).text : nil
        return .tree(
            .members([
                "StreamNames": .list(page.map { .string($0.name) }), "HasMoreStreams": .bool(hasMore),
                "NextToken": token.map { .string($0) }, "StreamSummaries": .list(page.map(\.summary)),
            ]))
    }

    func changeRetention(_ input: AWSValue, isIncrease: Bool) throws(ServiceError) -> ServiceAnswer {
        let hours = input["RetentionPeriodHours"]?.int ?? 0
        try withStream(try streamName(input)) { (stream, _) throws(ServiceError) in
            let requested = "etention period (\(hours) hours)"
            if hours < 24 {
                throw .invalidArgument(
                    "Minimum allowed retention period is 24 hours. Requested r\(requested) is too short.")
            }
            if hours > 8760 {
                throw .invalidArgument(
                    "Maximum allowed retention period is 8760 hours. Requested r\(requested) is too long.")
            }
            let existing = stream.retention.wholeMilliseconds / 3_600_000
            if isIncrease ? hours < existing : hours > existing {
                throw .invalidArgument(
                    "Requested r\(requested) for stream \(stream.name) can not be "
                        + "\(isIncrease ? "shorter" : "longer") than existing retention period (\(existing) hours). "
                        + "Use \(isIncrease ? "Decrease" : "Increase")RetentionPeriod API.")
            }
            stream.retention = .seconds(hours * 3600)
        }
        return .empty
    }
}
