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

    /// A row for every hash range of a verified stream that two scans in a row showed without lease, and that no shard
    /// without one explains.
    mutating func holesOfStreams(_ views: [LeaseView], _ survey: Survey) -> [LeaseView] {
        var rowsOf: [String: [Int]] = [:]
        for index in views.indices where views[index].state != .ended {
            if let stream = views[index].stream { rowsOf[stream, default: []].append(index) }
        }
        var found: [LeaseView] = []
        for place in streams.all.indices {
            let indices = rowsOf[streams[place].text] ?? []
            let leases = indices.filter { views[$0].kind == .lease }
            let ranges = leases.compactMap { views[$0].hashKeyRange }
            // Where a lease has no range, or none is left that is read, nothing can be said.
            guard survey.streams[place].isVerified, !leases.isEmpty, ranges.count == leases.count else {
                streams[place].holesSeen = [:]
                continue
            }
            var seen: [HashKeyRange: Int] = [:]
            for hole in Leases.holes(in: ranges) { seen[hole] = streams[place].holesSeen[hole] ?? scans }
            streams[place].holesSeen = seen
            let confirmed = seen.filter { scans > $0.value }.keys
            guard !confirmed.isEmpty else { continue }
            let left = Leases.holes(in: indices.compactMap { views[$0].hashKeyRange })
            let id = streams[place].text
            found += left.filter { hole in confirmed.contains { $0.start <= hole.start && hole.end <= $0.end } }.map {
                LeaseView(
                    id: "hole:\(id):\($0.start)", kind: .hole, shardID: "", stream: id, state: .hole,
                    reason: .uncovered, hashKeyRange: $0)
            }
        }
        return found
    }

    /// One finding a stream, since a hole has no shard that would name it.
    func holeFindings(_ holes: [LeaseView]) -> [Finding] {
        var counts: [String: Int] = [:]
        for hole in holes { counts[hole.stream ?? "", default: 0] += 1 }
        return counts.sorted { $0.key < $1.key }.map { stream, count in
            let name = StreamID(stream)?.name
            return Finding(
                kind: .hole, subject: stream, severity: .critical, stream: name == nil ? nil : stream,
                message: (name.map { "\($0): " } ?? "")
                    + "\(count == 1 ? "a hash range" : "\(count) hash ranges") that no lease covers: "
                    + "records there are read by nobody")
        }
    }
}
