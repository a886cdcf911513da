import AWSWire
import Machine

/// Where the next page of a list begins; opaque to clients.
struct PageToken: Hashable, Sendable {
    /// Which list is continued.
    enum List: Hashable, Sendable {
        case streams
        case shards(stream: String)
        case consumers(stream: String)
    }

    var list: List
    var filter = ShardListFilter.all
    var after: String
    var created: UnixTime

    init(_ list: List, after: String, created: UnixTime) {
        self.list = list
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
        let (kind, stream): (AWSValue, AWSValue?) =
            switch list {
            case .streams: ("streams", nil)
            case .shards(let stream): ("shards", .string(stream))
            case .consumers(let stream): ("consumers", .string(stream))
            }
        let tree = AWSValue.members([
            "list": kind, "stream": stream, "after": .string(after), "created": .int(created.milliseconds),
            "filter": name, "argument": argument,
        ])
        return Base64.encode(Bytes(JSON.encode(tree)))
    }

    /// `nil` where `text` is no token of ours.
    init?(_ text: String) {
        guard let bytes = Base64.decode(text), let tree = try? JSON.decode(Bytes(bytes)),
            let after = tree["after"]?.string, let created = tree["created"]?.time64
        else { return nil }
        let stream = tree["stream"]?.string ?? ""
        switch tree["list"]?.string {
        case "streams": list = .streams
        case "shards": list = .shards(stream: stream)
        case "consumers": list = .consumers(stream: stream)
        default: return nil
        }
        self.after = after
        self.created = created
        let time = tree["argument"]?.time64 ?? UnixTime(milliseconds: 0)
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
