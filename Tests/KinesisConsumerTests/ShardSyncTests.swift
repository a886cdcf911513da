import AWSWire
import Leases
import Machine
import Testing

@testable import KinesisConsumer

/// A listing written as `["0", "1", "2<0+1", "3!"]`: parents after `<`, `!` for a closed shard; a later shard starts
/// later.
private func tree(_ shards: [String]) -> ShardTree { ShardTree(listing(shards)) }

private func listing(_ shards: [String]) -> [Shard] {
    shards.enumerated().map { index, text in
        let parts = text.split(separator: "<")
        let parents = parts.count > 1 ? parts[1].split(separator: "+").map(String.init) : []
        return Shard(
            shardID: parts[0].filter { $0 != "!" }, parentShardID: parents.first,
            adjacentParentShardID: parents.count > 1 ? parents[1] : nil,
            hashKeyRange: HashKeyRange(start: UInt128(index), end: UInt128(index) + 10),
            startingSequenceNumber: String(100 + index), endingSequenceNumber: parts[0].hasSuffix("!") ? "999" : nil)
    }
}

private func lease(_ id: String, _ checkpoint: Checkpoint = .trimHorizon, parents: [String] = []) -> Lease {
    Lease(leaseKey: id, checkpoint: checkpoint, parentShardIDs: parents)
}

private func leases(_ ids: String...) -> [Lease] { ids.map { lease($0, $0.hasSuffix("!") ? .shardEnd : .latest) } }

private func sync(
    _ tree: ShardTree, _ leases: [Lease], at position: InitialPosition, ignoring: Bool = false
) -> [String] {
    shardSync(tree, leases: leases, at: position, ignoreUnexpectedChildShards: ignoring).leasesToCreate
        .map { "\($0.leaseKey) \($0.checkpoint)" }
}

private let epoch = InitialPosition.atTimestamp(UnixTime(milliseconds: 0))

/// Java's own example (HierarchicalShardSyncer): 8 merges 6 and 7, which merge 0 to 3; 4 is open; 5 was split.
private let javaExample = tree([
    "0!", "1!", "2!", "3!", "4", "5!", "6!<0+1", "7!<2+3", "8<6+7", "9<5", "10<5",
])

@Suite struct EmptyTableTests {
    @Test func `each listed shard gets a lease with parents and range, the oldest first`() {
        let shards = listing(["b!", "a", "c<b"])
        let created = leasesForEmptyTable(shards.reversed(), at: .trimHorizon)
        #expect(
            created == [
                Lease(leaseKey: "b", checkpoint: .trimHorizon, hashKeyRange: HashKeyRange(start: 0, end: 10)),
                Lease(leaseKey: "a", checkpoint: .trimHorizon, hashKeyRange: HashKeyRange(start: 1, end: 11)),
                Lease(
                    leaseKey: "c", checkpoint: .trimHorizon, parentShardIDs: ["b"],
                    hashKeyRange: HashKeyRange(start: 2, end: 12)),
            ])
    }

    @Test func `shards that start alike are ordered by id`() {
        let shards = listing(["b", "a"]).map { shard in
            var shard = shard
            shard.startingSequenceNumber = "7"
            return shard
        }
        #expect(leasesForEmptyTable(shards, at: .latest).map(\.leaseKey) == ["a", "b"])
    }

    @Test func `sequence numbers are compared as numbers`() {
        var shards = listing(["a", "b"])
        shards[0].startingSequenceNumber = "10"
        shards[1].startingSequenceNumber = "9"
        #expect(leasesForEmptyTable(shards, at: .latest).map(\.leaseKey) == ["b", "a"])
    }

    @Test func `the checkpoint is the sentinel of the initial position`() {
        let shards = listing(["a"])
        let positions: [InitialPosition] = [.latest, .trimHorizon, epoch]
        #expect(
            positions.map { leasesForEmptyTable(shards, at: $0)[0].checkpoint } == [
                .latest, .trimHorizon, .atTimestamp,
            ]
        )
    }
}

@Suite struct ShardSyncTests {
    @Test func `Java's example starts the merge partner at LATEST`() {
        #expect(sync(javaExample, leases("4", "5", "7"), at: .latest) == ["6 LATEST"])
    }

    @Test func `Java's example starts the oldest ancestors from TRIM_HORIZON and AT_TIMESTAMP`() {
        #expect(
            sync(javaExample, leases("4", "5", "7"), at: .trimHorizon) == ["0 TRIM_HORIZON", "1 TRIM_HORIZON"])
        let sameFleet = ["4", "5", "7"].map { lease($0, .atTimestamp) }
        #expect(sync(javaExample, sameFleet, at: epoch) == ["0 AT_TIMESTAMP", "1 AT_TIMESTAMP"])
        let oldFleet = ["4", "5", "7"].map { lease($0, seq(9)) }
        #expect(sync(javaExample, oldFleet, at: epoch) == ["0 AT_TIMESTAMP", "1 AT_TIMESTAMP"])
    }

    @Test func `AT_TIMESTAMP is not written beside workers that are configured otherwise, who would fail on it`() {
        #expect(
            sync(javaExample, leases("4", "5", "7"), at: epoch) == ["0 TRIM_HORIZON", "1 TRIM_HORIZON"])
        let roots = ["4", "5", "7"].map { lease($0, .trimHorizon) }
        #expect(sync(javaExample, roots, at: epoch) == ["0 TRIM_HORIZON", "1 TRIM_HORIZON"])
        // A child starts there whatever the fleet's position.
        let children = ["4", "5", "7"].map { lease($0, .trimHorizon, parents: ["x"]) }
        #expect(sync(javaExample, children, at: epoch) == ["0 AT_TIMESTAMP", "1 AT_TIMESTAMP"])
    }

    @Test func `open shards without a leased ancestor start at LATEST`() {
        #expect(sync(javaExample, leases("4"), at: .latest) == ["8 LATEST", "9 LATEST", "10 LATEST"])
        #expect(sync(javaExample, leases("4", "0"), at: .latest) == ["1 LATEST", "7 LATEST", "9 LATEST", "10 LATEST"])
    }

    @Test func `with leases only elsewhere, every root starts from TRIM_HORIZON once`() {
        #expect(
            sync(javaExample, leases("x"), at: .trimHorizon)
                == [0, 1, 2, 3, 4, 5].map { "\($0) TRIM_HORIZON" })
    }

    @Test func `nothing is created where every open shard or an ancestor of it has a lease`() {
        for position in [InitialPosition.latest, .trimHorizon, epoch] {
            #expect(sync(javaExample, leases("0", "1", "2", "3", "4", "5"), at: position) == [])
            #expect(sync(javaExample, leases("4", "6", "7", "9", "10"), at: position) == [])
        }
    }

    @Test func `ancestors that are no longer listed do not count`() {
        #expect(sync(tree(["3<1+2"]), leases("x"), at: .trimHorizon) == ["3 TRIM_HORIZON"])
        #expect(sync(tree(["3<1+2"]), leases("x"), at: .latest) == ["3 LATEST"])
    }

    @Test func `a parent that is no longer listed but still leased creates its child itself`() {
        #expect(sync(tree(["3<1"]), leases("1"), at: .latest) == [])
    }

    @Test func `a lost child of ended parents starts from TRIM_HORIZON whatever the position`() {
        let ended = [lease("0", .shardEnd), lease("1", .shardEnd)]
        for position in [InitialPosition.latest, .trimHorizon, epoch] {
            #expect(sync(tree(["0!", "1!", "2<0+1"]), ended, at: position) == ["2 TRIM_HORIZON"])
            #expect(sync(tree(["2<0+1"]), ended, at: position) == ["2 TRIM_HORIZON"])
            #expect(sync(tree(["0!", "1!", "2!<0+1", "3<2"]), ended, at: position) == ["2 TRIM_HORIZON"])
        }
    }

    @Test func `a merge child waits for the parent that has not ended`() {
        #expect(
            sync(tree(["0!", "1!", "2<0+1"]), [lease("0", .shardEnd), lease("1")], at: .latest) == [])
    }

    @Test func `a child that was done and deleted does not come back`() {
        let family = tree(["0!", "1!<0", "2<1", "3<1"])
        #expect(sync(family, [lease("0", .shardEnd), lease("2"), lease("3")], at: .latest) == [])
        // Of its own children, one is lost.
        #expect(sync(family, [lease("0", .shardEnd), lease("2")], at: .latest) == ["3 TRIM_HORIZON"])
    }

    @Test func `a merge child that starts over needs both parents again, the deleted one too`() {
        let family = tree(["g!", "p!", "q!<g", "c!<p+q", "d<c", "e<c"])
        #expect(
            sync(family, [lease("g", .shardEnd), lease("e")], at: .trimHorizon)
                == ["p TRIM_HORIZON", "q TRIM_HORIZON"])
    }

    @Test func `leases are ordered by starting sequence number, then id`() {
        #expect(sync(tree(["z", "b", "a"]), leases("x"), at: .latest) == ["z LATEST", "b LATEST", "a LATEST"])
    }

    @Test func `leases carry parents and hash range`() {
        let result = shardSync(
            tree(["0!", "1<0"]), leases: [lease("0", .shardEnd)], at: .latest, ignoreUnexpectedChildShards: false)
        #expect(
            result.leasesToCreate == [
                Lease(
                    leaseKey: "1", checkpoint: .trimHorizon, parentShardIDs: ["0"],
                    hashKeyRange: HashKeyRange(start: 1, end: 11))
            ])
    }

    @Test func `children of open parents are reported and nothing is created`() {
        let torn = tree(["0", "1!", "2<0+1", "3"])
        let result = shardSync(torn, leases: leases("x"), at: .latest, ignoreUnexpectedChildShards: false)
        #expect(result == ShardSyncResult(leasesToCreate: [], unexpectedChildren: ["2"]))
        #expect(sync(torn, leases("x"), at: .latest, ignoring: true) == ["0 LATEST", "3 LATEST"])
    }

    @Test func `a listing that runs in a circle ends`() {
        #expect(sync(tree(["0!<1", "1!<0", "2<1", "3"]), leases("x"), at: .trimHorizon) == ["3 TRIM_HORIZON"])
    }

    @Test func `a very long ancestry needs no stack`() {
        let shards = ["0!"] + (1..<20_000).map { "\($0)!<\($0 - 1)" } + ["20000<19999"]
        #expect(sync(tree(shards), leases("x"), at: .trimHorizon) == ["0 TRIM_HORIZON"])
        #expect(sync(tree(shards), leases("7"), at: .latest) == [])
        #expect(sync(tree(shards), leases("x"), at: .latest) == ["20000 LATEST"])
    }

    @Test func `the lease of a reshard child starts from TRIM_HORIZON`() {
        let child = ChildShard(shardID: "c", parentShardIDs: ["b", "a"], hashKeyRange: .whole)
        #expect(
            childLease(child)
                == Lease(
                    leaseKey: "c", checkpoint: .trimHorizon, parentShardIDs: ["a", "b"], hashKeyRange: .whole))
    }
}

/// Random reshard histories with random leases: after a sync, processing alone brings every open shard a lease.
@Suite struct ShardSyncPropertyTests {
    private static func history(_ generator: inout SeededGenerator) -> [String] {
        var shards = ["0", "1", "2"]
        var open = [0, 1, 2]
        for _ in 0..<Int.random(in: 0...12, using: &generator) {
            let next = shards.count
            let first = Int.random(in: open.indices, using: &generator)
            if generator.chance(0.5), open.count > 1 {
                let a = open.remove(at: first)
                let b = open.remove(at: Int.random(in: open.indices, using: &generator))
                shards[a] += "!"
                shards[b] += "!"
                shards.append("\(next)<\(a)+\(b)")
                open.append(next)
            } else {
                let parent = open.remove(at: first)
                shards[parent] += "!"
                shards += ["\(next)<\(parent)", "\(next + 1)<\(parent)"]
                open += [next, next + 1]
            }
        }
        // `2<0!` was written in the order of events; the closing mark belongs to the id.
        return shards.map { text in
            guard text.hasSuffix("!"), let bar = text.firstIndex(of: "<") else { return text }
            return text[..<bar] + "!" + text[bar...].dropLast()
        }
    }

    /// Ends the leases of closed shards as their consumers do, until nothing moves.
    private static func process(_ tree: ShardTree, _ leases: inout [String: Lease]) {
        var moved = true
        while moved {
            moved = false
            for id in leases.keys.sorted() {
                guard let lease = leases[id], !lease.isEnded, let shard = tree[id], !shard.isOpen,
                    shard.parentShardIDs.allSatisfy({ leases[$0]?.isEnded ?? true })
                else { continue }
                let children = tree.childShards(of: id)
                let isBlocked = children.contains { child in
                    leases[child.shardID] == nil && child.parentShardIDs.contains { leases[$0] == nil }
                }
                if isBlocked { continue }
                for child in children where leases[child.shardID] == nil {
                    leases[child.shardID] = childLease(child)
                }
                leases[id]?.checkpoint = .shardEnd
                moved = true
            }
        }
    }

    @Test(arguments: 0..<100 as Range<UInt64>) func `every open shard is reached, and a second sync finds nothing`(
        seed: UInt64
    ) {
        var generator = SeededGenerator(seed: seed)
        for position in [InitialPosition.latest, .trimHorizon, epoch] {
            let history = Self.history(&generator)
            let tree = tree(history)
            var table: [String: Lease] = ["x": lease("x")]
            for id in tree.shards.keys.sorted() where generator.chance(0.3) {
                let mayEnd = tree[id]?.isOpen == false
                table[id] = lease(id, mayEnd && generator.chance(0.4) ? .shardEnd : .latest)
            }
            for _ in 0..<20 {
                let created = shardSync(
                    tree, leases: table.keys.sorted().compactMap { table[$0] }, at: position,
                    ignoreUnexpectedChildShards: false
                ).leasesToCreate
                for lease in created {
                    #expect(table[lease.leaseKey] == nil)
                    table[lease.leaseKey] = lease
                }
                #expect(sync(tree, table.keys.sorted().compactMap { table[$0] }, at: position) == [])
                Self.process(tree, &table)
            }
            for shard in tree.open {
                #expect(table[shard.shardID] != nil, "\(position) \(shard.shardID) of \(history)")
            }
        }
    }

    @Test(arguments: 0..<100 as Range<UInt64>) func `no lease is created below another one that runs`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for position in [InitialPosition.latest, .trimHorizon, epoch] {
            let tree = tree(Self.history(&generator))
            let existing = tree.shards.keys.sorted().filter { _ in generator.chance(0.3) }.map { lease($0) }
            let created = shardSync(
                tree, leases: existing, at: position, ignoreUnexpectedChildShards: false
            ).leasesToCreate.map(\.leaseKey)
            let leased = Set(existing.map(\.leaseKey) + created)
            for id in created {
                var ancestors = tree.listedParents(of: id)
                while let ancestor = ancestors.popLast() {
                    #expect(!leased.contains(ancestor), "\(id) below \(ancestor)")
                    ancestors += tree.listedParents(of: ancestor)
                }
            }
        }
    }
}

@Suite struct LeaseCleanupTests {
    private let family = tree(["0!", "1<0", "2<0"])

    private func mayDelete(_ id: String, _ leases: [Lease], _ tree: ShardTree?) -> Bool {
        let table = Dictionary(leases.map { ($0.leaseKey, $0) }, uniquingKeysWith: { $1 })
        return table[id].map { KinesisConsumer.mayDelete($0, leases: table, tree: tree) } ?? false
    }

    private let number = Checkpoint(.sequenceNumber(SequenceNumber(high: 0, low: 5)))

    @Test func `a lease that has not ended stays`() {
        #expect(!mayDelete("0", [lease("0", number), lease("1", number), lease("2", number)], family))
        #expect(!mayDelete("0", [lease("0", number)], nil))
    }

    @Test func `it goes once every child runs or ended`() {
        let ended = lease("0", .shardEnd)
        #expect(mayDelete("0", [ended, lease("1", number), lease("2", .shardEnd)], family))
        #expect(!mayDelete("0", [ended, lease("1", number), lease("2", .trimHorizon)], family))
        #expect(!mayDelete("0", [ended, lease("1", .atTimestamp), lease("2", number)], family))
        #expect(!mayDelete("0", [ended, lease("1", number)], family))
    }

    @Test func `children that only its own row or only the listing names count`() {
        var ended = lease("0", .shardEnd)
        ended.childShardIDs = ["1", "9"]
        #expect(!mayDelete("0", [ended, lease("1", number), lease("2", number)], family))
        #expect(!mayDelete("0", [ended, lease("1", number), lease("9", number)], family))
        #expect(mayDelete("0", [ended, lease("1", number), lease("2", number), lease("9", number)], family))
    }

    @Test func `it stays while a parent has a lease`() {
        let parent = lease("p", .shardEnd)
        let ended = lease("0", .shardEnd, parents: ["p"])
        #expect(!mayDelete("0", [parent, ended, lease("1", number), lease("2", number)], family))
        #expect(mayDelete("0", [ended, lease("1", number), lease("2", number)], family))
    }

    @Test func `without known children only a trimmed shard goes`() {
        #expect(!mayDelete("0", [lease("0", .shardEnd)], tree(["0!", "x"])))
        #expect(mayDelete("0", [lease("0", .shardEnd)], tree(["x"])))
    }

    @Test func `a trimmed shard does not wait for a child that was trimmed too`() {
        var ended = lease("0", .shardEnd)
        ended.childShardIDs = ["1"]
        #expect(mayDelete("0", [ended], tree(["x"])))
        #expect(!mayDelete("0", [ended], tree(["1"])))
        #expect(!mayDelete("0", [ended], tree(["0!"])))
        #expect(!mayDelete("0", [ended, lease("1", .trimHorizon)], tree(["x"])))
    }

    @Test func `when the stream is gone every ended lease goes`() {
        #expect(mayDelete("0", [lease("0", .shardEnd), lease("1", .trimHorizon)], nil))
    }
}
