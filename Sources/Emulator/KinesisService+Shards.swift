import AWSWire
import Machine

/// Shards: listing them and changing them.
extension KinesisService {
    /// How long a NextToken is good for.
    static let pageTokenLifetime: Duration = .seconds(300)

    /// The page of `list` that `NextToken` asks for; `nil` where there is none.
    func pageToken(_ input: AWSValue, of list: PageToken.List) throws(ServiceError) -> PageToken? {
        guard let token = input["NextToken"]?.string else { return nil }
        guard let page = PageToken(token), page.list == list else { throw .invalidArgument("NextToken is invalid.") }
        if moment.wall - page.created > Self.pageTokenLifetime { throw .nextTokenExpired }
        return page
    }

    func listShards(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let limit = min(input["MaxResults"]?.int ?? 1000, 1000)
        var page: PageToken
        let name: String
        if let token = input["NextToken"]?.string {
            if ["StreamName", "StreamARN", "StreamId"].contains(where: { input[$0] != nil }) {
                throw .invalidArgument("NextToken and StreamName cannot be provided together.")
            }
            let others = ["ShardFilter", "ExclusiveStartShardId", "StreamCreationTimestamp"]
            if others.contains(where: { input[$0] != nil }) {
                throw .invalidArgument("NextToken cannot be provided together with other parameters.")
            }
            guard let given = PageToken(token), case .shards(let stream) = given.list else {
                throw .invalidArgument("NextToken is invalid.")
            }
            page = given
            name = stream
        } else {
            if ["StreamName", "StreamARN", "StreamId"].allSatisfy({ input[$0] == nil }) {
                throw .invalidArgument("Either NextToken or StreamName should be provided.")
            }
            name = try streamName(input)
            page = PageToken(
                .shards(stream: name), after: input["ExclusiveStartShardId"]?.string ?? "", created: moment.wall)
            page.filter = try filter(input["ShardFilter"])
        }
        let created = input["StreamCreationTimestamp"]?.time
        return try withStream(name, onlyRecords: true) { (stream, moment) throws(ServiceError) in
            try stream.check(created: created)
            if moment.wall - page.created > Self.pageTokenLifetime { throw .nextTokenExpired }
            if stream.status == .creating { try stream.checkActive() }
            if case .afterShardID(let id) = page.filter, stream.position(ofID: id) == nil {
                throw stream.missing(shard: id)
            }
            let following = stream.list(page.filter, at: moment).drop { stream.shards[$0].id <= page.after }
            let shards = following.prefix(limit).map { stream.shards[$0] }
            var next: String?
            if following.count > limit, let last = shards.last {
                page.after = last.id
                page.created = moment.wall
                next = page.text
            }
            return .tree(
                .members(["Shards": .list(shards.map(\.description)), "NextToken": next.map { .string($0) }]))
        }
    }

    private func filter(_ input: AWSValue?) throws(ServiceError) -> ShardListFilter {
        guard let input, let type = input["Type"]?.string else { return .all }
        let timestamp = input["Timestamp"]?.time
        if input["ShardId"] != nil, type != "AFTER_SHARD_ID" {
            throw .invalidArgument("ShardFilter.ShardId cannot be provided when Type is \(type).")
        }
        if timestamp != nil, type != "AT_TIMESTAMP", type != "FROM_TIMESTAMP" {
            throw .invalidArgument("ShardFilter.Timestamp cannot be provided when Type is \(type).")
        }
        switch type {
        case "AT_TRIM_HORIZON": return .atTrimHorizon
        case "FROM_TRIM_HORIZON": return .fromTrimHorizon
        case "AT_LATEST": return .atLatest
        case "AT_TIMESTAMP", "FROM_TIMESTAMP":
            guard let timestamp else {
                throw .invalidArgument("ShardFilter.Timestamp must be provided when Type is \(type).")
            }
            return type == "AT_TIMESTAMP" ? .atTimestamp(timestamp) : .fromTimestamp(timestamp)
        default:
            guard let id = input["ShardId"]?.string else {
                throw .invalidArgument("ShardFilter.ShardId must be provided when Type is \(type).")
            }
            return .afterShardID(id)
        }
    }

    func splitShard(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let room = shardRoom()
        let configuration = configuration
        try withStream(try streamName(input)) { (stream, moment) throws(ServiceError) in
            try stream.splitShard(
                input["ShardToSplit"]?.string ?? "", at: input["NewStartingHashKey"]?.string ?? "", room: room,
                until: moment.now + configuration.streamStatusDelay, configuration: configuration)
        }
        return .empty
    }

    func mergeShards(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let delay = configuration.streamStatusDelay
        try withStream(try streamName(input)) { (stream, moment) throws(ServiceError) in
            try stream.mergeShards(
                input["ShardToMerge"]?.string ?? "", input["AdjacentShardToMerge"]?.string ?? "",
                until: moment.now + delay)
        }
        return .empty
    }

    func updateShardCount(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let room = shardRoom()
        let configuration = configuration
        let target = input["TargetShardCount"]?.int ?? 0
        return try withStream(try streamName(input)) { (stream, moment) throws(ServiceError) in
            let current = stream.openShards
            try stream.updateShardCount(
                to: target, room: room, until: moment.now + configuration.streamStatusDelay, at: moment,
                configuration: configuration)
            return .tree([
                "StreamName": .string(stream.name), "StreamARN": .string(stream.arn),
                "CurrentShardCount": .int(Int64(current)), "TargetShardCount": .int(Int64(target)),
            ])
        }
    }
}
