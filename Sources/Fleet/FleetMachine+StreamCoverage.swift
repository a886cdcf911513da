import AWSWire
import Leases
import Machine

/// Shards and holes, stream by stream, where a table names its streams.
extension FleetMachine {
    /// The shards of every stream that ought to have a lease and have none.
    func leaselessShardsOfStreams(_ survey: Survey, at now: Timestamp) -> [LeaseView] {
        var views: [LeaseView] = []
        for place in streams.all.indices where survey.streams[place].hasShards {
            guard let tree = streams[place].shards, !survey.streams[place].leaseless.isEmpty else { continue }
            views += leaselessShards(
                tree, survey.streams[place].leaseless, of: streams[place].id,
                isCertain: survey.streams[place].isVerified, at: now)
        }
        return views
    }

    /// A row for every hole in the ranges of a verified stream.
    mutating func holeViews(_ views: [LeaseView], _ survey: Survey) -> [LeaseView] {
        guard namesStreams else {
            guard survey.isVerified else {
                holes.forget()
                return []
            }
            return holes.confirmed(views, at: views.indices, scan: scans).map { LeaseView(hole: $0, of: nil) }
        }
        var rowsOf: [String: [Int]] = [:]
        for index in views.indices {
            if let stream = views[index].stream { rowsOf[stream, default: []].append(index) }
        }
        var found: [LeaseView] = []
        for place in streams.all.indices {
            guard survey.streams[place].isVerified else {
                streams[place].holes.forget()
                continue
            }
            let text = streams[place].text
            found += streams[place].holes.confirmed(views, at: rowsOf[text] ?? [], scan: scans)
                .map { LeaseView(hole: $0, of: text) }
        }
        return found
    }

    private static let holePatience: Duration = .seconds(5)

    /// One finding a stream, since a hole has no shard that would name it.
    func holeFindings(_ holes: [LeaseView]) -> [Finding] {
        var counts: [String: Int] = [:]
        for hole in holes { counts[hole.stream ?? "", default: 0] += 1 }
        return counts.sorted { $0.key < $1.key }.map { stream, count in
            let name = StreamID(stream)?.name
            return Finding(
                kind: .hole, subject: stream, severity: .critical, stream: name == nil ? nil : stream,
                // Two scans a second apart are not enough of a proof.
                patience: refreshInterval < Self.holePatience ? Self.holePatience : .zero,
                message: (name.map { "\($0): " } ?? "")
                    + "\(count == 1 ? "a hash range" : "\(count) hash ranges") that no lease covers: "
                    + "records there are read by nobody")
        }
    }
}

extension LeaseView {
    fileprivate init(hole range: HashKeyRange, of stream: String?) {
        let name = stream.map { "\($0):\(range.start)" } ?? "\(range.start)"
        self.init(
            id: "hole:\(name)", kind: .hole, shardID: "", stream: stream, state: .hole, reason: .uncovered,
            hashKeyRange: range)
    }
}
