import AWSWire
import Leases
import Machine

extension Plan {
    /// Where a shard is split.
    package enum SplitPoint: Hashable, Sendable {
        case middle
        /// The first hash key of the second child.
        case key(UInt128)
    }

    /// Splits an open shard in two.
    package static func split(
        _ shard: String, at point: SplitPoint = .middle, in fleet: FleetSnapshot
    ) throws(Refusal) -> Plan {
        let (fleet, id) = try fleet.narrowed(to: shard)
        let (stream, shard) = try openShard(id, in: fleet)
        let range = shard.hashKeyRange
        guard range.start < range.end else {
            throw Refusal(.tooNarrow, "\(shard.shardID) has one hash key only: it cannot be split")
        }
        let key =
            switch point {
            case .middle: range.middle
            case .key(let key): key
            }
        guard range.start < key, key <= range.end else {
            throw Refusal(
                .outsideRange,
                "\(key) does not divide \(shard.shardID): it must be above \(range.start) and at most \(range.end)")
        }
        let parts = range.end - range.start
        let share = Double(key - range.start) / max(1, Double(parts)) * 100
        return Plan(
            action: .split(at: key), table: fleet.identity.table, shardIDs: [fleet.leaseKey(of: shard.shardID)],
            intent: Intent(leaseKey: nil), stored: [:], call: .split(stream: stream, shard: shard, at: key),
            title:
                "split \(fleet.name(of: shard.shardID)) at \(key) (\(Int(share.rounded())) % : \(100 - Int(share.rounded())) %)",
            forecast: reshardForecast([shard.shardID], makes: 2, in: fleet),
            expectedGap: "none: the order of keys is kept",
            expectedDuplicates: "none", isUndoable: false)
    }

    /// Merges an open shard with its neighbour in the hash key space: `other`, else the one above, else the one below.
    package static func merge(
        _ shard: String, with other: String? = nil, in fleet: FleetSnapshot
    ) throws(Refusal) -> Plan {
        let (fleet, id) = try fleet.narrowed(to: shard)
        let other = other.map { fleet.only != nil && StreamID(leaseKey: $0) == fleet.only ? $0.shardPart : $0 }
        let (stream, shard) = try openShard(id, in: fleet)
        let neighbour: Shard
        if let other {
            neighbour = try openShard(other, in: fleet).1
            guard shard.hashKeyRange.touches(neighbour.hashKeyRange) else {
                throw Refusal(
                    .notAdjacent,
                    "\(shard.shardID) and \(neighbour.shardID) do not lie side by side in the hash key space")
            }
        } else {
            let touching = (fleet.shards?.open ?? []).filter { $0.hashKeyRange.touches(shard.hashKeyRange) }
            guard
                let found = touching.first(where: { $0.hashKeyRange.start > shard.hashKeyRange.start })
                    ?? touching.first
            else { throw Refusal(.noNeighbour, "\(shard.shardID) has no open neighbour to merge with") }
            neighbour = found
        }
        let ids = [shard.shardID, neighbour.shardID]
        return Plan(
            action: .merge(with: neighbour.shardID), table: fleet.identity.table,
            shardIDs: ids.map { fleet.leaseKey(of: $0) },
            intent: Intent(leaseKey: nil), stored: [:],
            // The service wants the lower range first.
            call: shard.hashKeyRange.start < neighbour.hashKeyRange.start
                ? .merge(stream: stream, shard: shard, adjacent: neighbour)
                : .merge(stream: stream, shard: neighbour, adjacent: shard),
            title: "merge \(fleet.name(of: shard.shardID)) and \(neighbour.shardID)",
            forecast: reshardForecast(ids, makes: 1, in: fleet), expectedGap: "none: the order of keys is kept",
            expectedDuplicates: "none", isUndoable: false)
    }

    /// Scales the stream to `count` open shards.
    package static func scale(to count: Int, in fleet: FleetSnapshot) throws(Refusal) -> Plan {
        let (stream, shards) = try knownStream(in: fleet)
        let open = shards.open.count
        guard count != open else { throw Refusal(.outsideLimits, "\(stream) has \(open) open shards already") }
        // https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html
        guard count >= 1, count <= open * 2, count * 2 >= open else {
            throw Refusal(
                .outsideLimits,
                "from \(open) open shards one call reaches \(max(1, (open + 1) / 2)) to \(open * 2): take it in steps")
        }
        return Plan(
            action: .scale(to: count), table: fleet.identity.table, shardIDs: shards.open.map(\.shardID),
            intent: Intent(leaseKey: nil), stored: [:], call: .scale(stream: stream, from: open, to: count),
            title: "scale \(stream) from \(open) to \(count) shards",
            forecast: [
                "the service splits and merges shards for some minutes; the stream stays usable",
                "parents DRAIN, their children are BLOCKED until the parents end",
            ], expectedGap: "none: the order of keys is kept", expectedDuplicates: "none", isUndoable: false)
    }

    private static func openShard(_ id: String, in fleet: FleetSnapshot) throws(Refusal) -> (String, Shard) {
        let (stream, shards) = try knownStream(in: fleet)
        guard let shard = shards[id] else { throw Refusal(.noSuchShard, "\(stream) has no shard \(id)") }
        guard shard.isOpen else { throw Refusal(.closed, "\(id) is closed: only an open shard can be split or merged") }
        return (stream, shard)
    }

    /// The stream, where it is surely the one that this table's workers read. A snapshot of a stream alone has no match
    /// to look for.
    private static func knownStream(in fleet: FleetSnapshot) throws(Refusal) -> (String, ShardTree) {
        guard let stream = fleet.identity.stream, let shards = fleet.shards else {
            throw Refusal(.noStream, "the stream is not known: give --stream")
        }
        if let match = fleet.streamMatch, match != .verified {
            throw Refusal(
                .unverifiedStream,
                "\(stream) is not proven to be the stream of \(fleet.identity.table): \(match.why ?? match.word); "
                    + "`shardtop shard` reshards a stream by its name alone")
        }
        return (stream, shards)
    }

    private static func reshardForecast(_ parents: [String], makes count: Int, in fleet: FleetSnapshot) -> [String] {
        let names = parents.joined(separator: " and ")
        let lags = fleet.leases.filter { parents.contains($0.shardID) }.compactMap(\.deliveredLag)
        var lines = [
            "\(names) close\(parents.count == 1 ? "s" : "") within seconds: DRAIN until the backlog is read, then TERMINATE"
        ]
        lines.append(
            count == 1
                ? "the child starts when both parents ended: BLOCKED until then"
                : "the children start when it ended: BLOCKED until then, then any worker takes them")
        if let lag = lags.max() {
            lines.append("the backlog to read first: \(Duration.milliseconds(lag.milliseconds).brief)")
        }
        return lines
    }
}

extension String {
    /// The plain id of a shard in the key of its lease.
    var shardPart: String { Lease.shardID(of: self) }
}

extension HashKeyRange {
    /// Whether the ranges lie side by side.
    fileprivate func touches(_ other: HashKeyRange) -> Bool {
        (end != .max && end + 1 == other.start) || (other.end != .max && other.end + 1 == start)
    }
}
