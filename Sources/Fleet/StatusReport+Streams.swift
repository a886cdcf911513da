import AWSWire
import Leases
import Machine

/// What concerns one of several streams.
extension StatusReport {
    /// A member of `streams`: one of the streams that a table names.
    static func json(_ stream: StreamView, in snapshot: FleetSnapshot) -> AWSValue {
        let rows = snapshot.leases.filter { $0.stream == stream.id.text }
        return object([
            ("stream", .string(stream.id.text)), ("name", .string(stream.id.name)),
            ("account", .string(stream.id.account)), ("state", .string(stream.match.word)),
            ("stateWhy", string(stream.match.why)), ("failure", string(stream.failure)),
            ("retentionHours", stream.retention.map { .int($0.wholeMilliseconds / 3_600_000) } ?? .null),
            ("openShards", stream.shards.map { int($0.open.count) } ?? .null),
            ("leases", int(stream.leases)), ("unowned", int(rows.count { $0.state == .free || $0.state == .expired })),
            ("maxCheckpointLagMilliseconds", lag(rows.compactMap(\.checkpointLag).max())),
            ("maxDeliveredLagMilliseconds", lag(rows.compactMap(\.deliveredLag).max())),
        ])
    }

    /// The streams of a table that names them: a line each, the first ones.
    static func streamLines(_ snapshot: FleetSnapshot) -> [String] {
        guard snapshot.namesStreams else { return [] }
        let shown = snapshot.streams.prefix(streamLinesMax)
        let lines = shown.map { stream in
            "stream \(stream.id.name)"
                + (stream.id.account == snapshot.identity.account ? "" : " of \(stream.id.account)")
                + "  \(stream.match.word)" + (stream.match.why.map { ", \($0)" } ?? "")
                + (stream.shards.map { "  \($0.open.count) open shards" } ?? "") + "  \(stream.leases) leases"
        }
        let more = snapshot.streams.count - shown.count
        return lines + (more > 0 ? ["… \(more) streams more"] : [])
    }

    private static let streamLinesMax = 20

    static func streamName(_ view: LeaseView) -> String { view.streamName ?? "-" }
}

extension FleetSnapshot {
    /// The keys of the table name the streams.
    package var namesStreams: Bool { !streams.isEmpty }

    /// The stream of a row; `nil` where the table does not name it.
    package func stream(of view: LeaseView) -> StreamView? {
        guard let text = view.stream else { return nil }
        return streams.first { $0.id.text == text }
    }
}

extension LeaseView {
    /// The plain name of the stream that the row names.
    package var streamName: String? { stream.map { StreamID($0)?.name ?? $0 } }
}
