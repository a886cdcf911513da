import AWSWire
import Leases
import Machine
import Testing

private func shard(_ id: String, _ parents: [String] = [], closed: Bool = false) -> Shard {
    Shard(
        shardID: id, parentShardID: parents.first, adjacentParentShardID: parents.dropFirst().first,
        hashKeyRange: .whole, endingSequenceNumber: closed ? "5" : nil)
}

@Suite struct ShardTreeTests {
    private let tree = ShardTree([
        shard("d", ["b", "c"]), shard("a", closed: true), shard("c", ["a"], closed: true),
        shard("b", ["a"], closed: true), shard("e", ["gone"]),
    ])

    @Test func `children are found by parent, sorted`() {
        #expect(tree.children == ["a": ["b", "c"], "b": ["d"], "c": ["d"], "gone": ["e"]])
    }

    @Test func `open shards are sorted by id`() {
        #expect(tree.open.map(\.shardID) == ["d", "e"])
    }

    @Test func `parents that are no longer listed are left out`() {
        #expect(tree.listedParents(of: "d") == ["b", "c"])
        #expect(tree.listedParents(of: "e") == [])
        #expect(tree.listedParents(of: "unknown") == [])
        #expect(tree["e"]?.parentShardIDs == ["gone"])
    }

    @Test func `children are named as the last answer of a shard names them`() {
        #expect(
            tree.childShards(of: "b")
                == [ChildShard(shardID: "d", parentShardIDs: ["b", "c"], hashKeyRange: .whole)])
        #expect(tree.childShards(of: "d") == [])
    }
}

@Suite struct HoleTests {
    private func range(_ start: UInt128, _ end: UInt128) -> HashKeyRange { HashKeyRange(start: start, end: end) }

    @Test func `the whole range has no hole`() {
        #expect(holes(in: [.whole]) == [])
        #expect(holes(in: [range(100, .max), range(0, 99)]) == [])
    }

    @Test func `no lease at all is one hole`() {
        #expect(holes(in: []) == [.whole])
    }

    @Test func `holes at the start, between and at the end are found`() {
        #expect(
            holes(in: [range(50, 60), range(10, 20), range(21, 30)])
                == [range(0, 9), range(31, 49), range(61, .max)])
    }

    @Test func `overlaps hide nothing and make no hole`() {
        #expect(holes(in: [range(0, 100), range(10, 20), range(50, .max)]) == [])
        #expect(holes(in: [range(0, 100), range(10, 20), range(102, .max)]) == [range(101, 101)])
    }

    @Test func `a hole of one key is found at either end`() {
        #expect(holes(in: [range(1, .max)]) == [range(0, 0)])
        #expect(holes(in: [range(0, .max - 1)]) == [range(.max, .max)])
    }

    @Test(arguments: 0..<50 as Range<UInt64>) func `with random ranges the holes are what they leave`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let ranges = (0..<Int.random(in: 0...6, using: &generator)).map { _ in
            let start = UInt128.random(in: 0...40, using: &generator)
            return range(start, start + UInt128.random(in: 0...12, using: &generator))
        }
        let found = holes(in: ranges)
        for key in (0...60 as ClosedRange<UInt128>) {
            let isCovered = ranges.contains { $0.contains(key) }
            #expect(found.contains { $0.contains(key) } == !isCovered, "\(key)")
        }
        #expect(found == found.sorted { $0.start < $1.start })
    }
}
