import AWSWire
import Leases
import Machine

/// The fleet of a table that names its streams, seen as the fleet of one of them: what is done to a shard concerns its
/// own stream only.
extension FleetSnapshot {
    /// The fleet of the stream that `text` is of, and the plain id of the shard. A table of one stream stays as it is.
    ///
    /// - Parameter text: a lease key, `STREAM:SHARD`, or a shard's id where one stream alone has such a shard.
    func narrowed(to text: String) throws(Refusal) -> (fleet: FleetSnapshot, shard: String) {
        guard namesStreams, only == nil else { return (self, text) }
        let (id, shard) = try stream(meantBy: text)
        guard let stream = streams.first(where: { $0.id == id }) else {
            throw Refusal(.noSuchShard, "\(identity.table) has no lease of the stream \(id.name)")
        }
        var fleet = self
        fleet.only = id
        fleet.identity.stream = stream.address
        fleet.shards = stream.shards
        fleet.streamMatch = stream.match
        fleet.retention = stream.retention
        fleet.leases = leases.filter { $0.stream == id.text }
        return (fleet, shard)
    }

    /// The key of the lease that a person means by `text`.
    package func leaseKey(meantBy text: String) throws(Refusal) -> String {
        let (fleet, shard) = try narrowed(to: text)
        return fleet.leaseKey(of: shard)
    }

    private func stream(meantBy text: String) throws(Refusal) -> (StreamID, String) {
        if let id = StreamID(leaseKey: text) { return (id, String(text.dropFirst(id.leaseKey("").count))) }
        let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
        let name = parts.count == 2 ? parts[0] : nil
        let shard = parts.last ?? text
        let meant = streams.filter { stream in
            (name == nil || stream.id.name == name)
                && (leases.contains { $0.shardID == shard && $0.stream == stream.id.text }
                    || stream.shards?[shard] != nil)
        }
        guard let first = meant.first else {
            throw Refusal(.noSuchShard, "\(identity.table) has no lease for \(text)")
        }
        guard meant.count == 1 else {
            let keys = meant.prefix(3).map { $0.id.leaseKey(shard) }.joined(separator: ", ")
            throw Refusal(
                .ambiguous, "\(text) is a shard of \(meant.count) streams: give the key of its lease, one of \(keys)")
        }
        return (first.id, shard)
    }

    /// The key of the lease of a shard of this fleet.
    func leaseKey(of shardID: String) -> String { only?.leaseKey(shardID) ?? shardID }

    /// A shard of this fleet as people read it: with its stream, where there are several.
    func name(of shardID: String) -> String { only.map { "\($0.name):\(shardID)" } ?? shardID }
}

extension LeaseView {
    /// The shard as people read it: with its stream, where the row names one.
    package var fullName: String { stream == nil ? shardID : "\(streamName ?? ""):\(shardID)" }
}
