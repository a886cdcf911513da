import AWSWire
import Leases
import Machine

/// What was heard of the streams that a multi-stream table names: an unchanged list is not recorded again.
struct RecordedStreams: Sendable {
    private var shards: [StreamID: [Shard]] = [:]

    /// The line of an answer, and its members beside those of every call.
    mutating func line(_ stream: StreamID, _ answer: StreamAnswer, _ info: FleetMachine.CallInfo) -> (String, AWSValue)
    {
        var line: (String, AWSValue)
        switch answer {
        case .shards(let list):
            let isKnown = shards[stream] == list
            shards[stream] = list
            line = ("named", Recorder.members(info, ["shards": isKnown ? nil : .list(list.map(\.recorded))]))
        case .summary(let summary):
            line = (
                "named",
                Recorder.members(
                    info,
                    [
                        "retentionHours": .int(Int64(summary.retentionHours)),
                        "created": summary.created.map { .int($0.milliseconds) },
                    ])
            )
        case .failed(let question, let error):
            line = ("failed", Recorder.failed(question == .shards ? "namedShards" : "namedSummary", error, info))
        }
        line.1["stream"] = .string(stream.text)
        return line
    }

    /// The answer that `line` made a line of; `nil` where it is none.
    mutating func read(_ value: AWSValue) throws(Malformed) -> (StreamID, StreamAnswer)? {
        guard let stream = value["stream"]?.string.flatMap({ StreamID($0) }) else { return nil }
        if let hours = value["retentionHours"]?.int {
            let created = value["created"]?.int.map { UnixTime(milliseconds: Int64($0)) }
            return (
                stream,
                .summary(
                    StreamSummary(
                        name: stream.name, arn: "", status: "", retentionHours: hours, created: created, openShards: 0))
            )
        }
        if let list = value["shards"]?.list {
            let read = list.compactMap(Shard.init(recorded:))
            guard read.count == list.count else { throw Malformed() }
            shards[stream] = read
        }
        return (stream, .shards(shards[stream] ?? []))
    }

    /// A shard that is none.
    struct Malformed: Error {}
}
