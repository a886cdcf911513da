import AWSWire
import Machine

/// Shards: listing them and changing them.
extension KinesisService {
    /// How long a NextToken is good for.
    private static let pageTokenLifetime: Duration = .seconds(300)

    func listShards(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let limit = input["MaxResults"]?.int ?? 1000
        var page: PageToken
        let name: String
        if let token = input["NextToken"]?.string {
            if input["StreamName"] != nil || input["StreamARN"] != nil {
                throw .invalidArgument("NextToken and StreamName cannot be provided together.")
            }
            if input["ShardFilter"] != nil || input["ExclusiveStartShardId"] != nil {
                throw .invalidArgument("NextToken cannot be provided together with other parameters.")
            }
            guard let given = PageToken(token), let stream = given.stream else {
                throw .invalidArgument("NextToken is invalid.")
            }
            page = given
            name = stream
        } else {
            if input["StreamName"] == nil, input["StreamARN"] == nil {
                throw .invalidArgument("Either NextToken or StreamName should be provided.")
            }
            name = try streamName(input)
            page = PageToken(stream: name, after: input["ExclusiveStartShardId"]?.string ?? "", created: moment.wall)
            page.filter = try filter(input["ShardFilter"])
        }
        return try withStream(name) { (stream, moment) throws(ServiceError) in
            if moment.wall - page.created > Self.pageTokenLifetime {
                throw ServiceError(
                    "ExpiredNextTokenException", "NextToken is expired; it is valid for 300 seconds.")
            }
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

/// Where the next page of a list begins; opaque to clients.
struct PageToken: Hashable, Sendable {
    /// `nil` in the list of streams.
    var stream: String?
    var filter = ShardListFilter.all
    var after: String
    var created: UnixTime

    init(stream: String?, after: String, created: UnixTime) {
        self.stream = stream
        self.after = after
        self.created = created
    }

    var text: String {
        let (name, argument): (AWSValue, AWSValue?) =
            switch filter {
            case .all: ("all", nil)
            case .atTrimHorizon: ("atTrimHorizon", nil)
            case .fromTrimHorizon: ("fromTrimHorizon", nil)
            case .atLatest: ("atLatest", nil)
            case .atTimestamp(let time): ("atTimestamp", .int(time.milliseconds))
            case .fromTimestamp(let time): ("fromTimestamp", .int(time.milliseconds))
            case .afterShardID(let id): ("afterShardID", .string(id))
            }
        let tree = AWSValue.members([
            "stream": stream.map { .string($0) }, "after": .string(after), "created": .int(created.milliseconds),
            "filter": name, "argument": argument,
        ])
        return Base64.encode(Bytes(JSON.encode(tree)))
    }

    /// `nil` where `text` is no token of ours.
    init?(_ text: String) {
        guard let bytes = Base64.decode(text), let tree = try? JSON.decode(Bytes(bytes)),
            let after = tree["after"]?.string, let created = tree["created"]?.int
        else { return nil }
        stream = tree["stream"]?.string
        self.after = after
        self.created = UnixTime(milliseconds: Int64(created))
        let time = UnixTime(milliseconds: Int64(tree["argument"]?.int ?? 0))
        switch tree["filter"]?.string {
        case "all": filter = .all
        case "atTrimHorizon": filter = .atTrimHorizon
        case "fromTrimHorizon": filter = .fromTrimHorizon
        case "atLatest": filter = .atLatest
        case "atTimestamp": filter = .atTimestamp(time)
        case "fromTimestamp": filter = .fromTimestamp(time)
        case "afterShardID": filter = .afterShardID(tree["argument"]?.string ?? "")
        default: return nil
        }
    }
}
