import AWSWire
import Leases
import Machine
import Testing

/// Rows as the Java KCL 2.5.8 left them in a table, recorded.
private enum Recorded {
    static let running = """
        {"checkpoint":{"S":"49607855031837520014360012811104260211853405961350172672"},"checkpointSubSequenceNumber":{"N":"0"},
        "endingHashKey":{"S":"85070591730234615865843651857942052863"},"leaseCounter":{"N":"29"},
        "leaseKey":{"S":"shardId-000000000000"},"leaseOwner":{"S":"s1"},"ownerSwitchesSinceCheckpoint":{"N":"0"},
        "startingHashKey":{"S":"0"}}
        """
    static let ended = """
        {"checkpoint":{"S":"SHARD_END"},"checkpointSubSequenceNumber":{"N":"0"},
        "childShardIds":{"SS":["shardId-000000000005","shardId-000000000004"]},
        "endingHashKey":{"S":"170141183460469231731687303715884105727"},"leaseCounter":{"N":"29"},
        "leaseKey":{"S":"shardId-000000000001"},"leaseOwner":{"S":"s1"},"ownerSwitchesSinceCheckpoint":{"N":"0"},
        "startingHashKey":{"S":"85070591730234615865843651857942052864"}}
        """
    static let child = """
        {"checkpoint":{"S":"TRIM_HORIZON"},"checkpointSubSequenceNumber":{"N":"0"},
        "endingHashKey":{"S":"127605887595351923798765477786913079295"},"leaseCounter":{"N":"0"},
        "leaseKey":{"S":"shardId-000000000004"},"ownerSwitchesSinceCheckpoint":{"N":"0"},
        "parentShardId":{"SS":["shardId-000000000001"]},"startingHashKey":{"S":"85070591730234615865843651857942052864"}}
        """
}

private func item(_ json: String) throws -> Item {
    try #require(Item(wire: try JSON.decode(Bytes(json))))
}

private func lease(_ json: String) throws -> Lease { try #require(LeaseTable.row(try item(json)).lease) }

/// Attribute by attribute: what Java wrote we read, and what we write is what it would have written.
@Suite struct JavaRowTests {
    @Test func `a running lease of Java's is read`() throws {
        let number = try #require(SequenceNumber("49607855031837520014360012811104260211853405961350172672"))
        #expect(
            try lease(Recorded.running)
                == Lease(
                    leaseKey: "shardId-000000000000", leaseOwner: "s1", leaseCounter: 29,
                    checkpoint: Checkpoint(.sequenceNumber(number)),
                    hashKeyRange: HashKeyRange(start: 0, end: 85_070_591_730_234_615_865_843_651_857_942_052_863)))
    }

    @Test func `an ended lease of Java's is read, with its children`() throws {
        let ended = try lease(Recorded.ended)
        #expect(ended.isEnded)
        #expect(ended.childShardIDs == ["shardId-000000000004", "shardId-000000000005"])
        #expect(!ended.isOwnerMarked)
    }

    @Test func `a child's lease is the very item that Java creates`() throws {
        let child = try lease(Recorded.child)
        #expect(child.leaseOwner == nil)
        #expect(child.leaseCounter == 0)
        #expect(LeaseTable.newItem(child) == (try item(Recorded.child)))
    }

    @Test(arguments: [Recorded.running, Recorded.ended, Recorded.child])
    func `every row of Java's is written back as it was`(row: String) throws {
        #expect(LeaseTable.newItem(try lease(row)) == (try item(row)))
    }

    @Test func `what Java's list demands of a row is in every row that we create`() {
        // 2.x unboxes both numbers of every row, and fails the whole list where one is missing (kcl.md §0.6).
        for checkpoint in [Checkpoint.trimHorizon, .latest, .atTimestamp, .shardEnd] {
            let item = LeaseTable.newItem(Lease(leaseKey: "k", checkpoint: checkpoint))
            for name in ["leaseCounter", "ownerSwitchesSinceCheckpoint", "checkpointSubSequenceNumber"] {
                #expect(item[name] == .n(0))
            }
            #expect(item["checkpoint"] == .s(checkpoint.text))
            #expect(!item.values.contains { if case .ss(let set) = $0 { set.isEmpty } else { false } })
        }
    }

    @Test func `no write of ours makes a row where none is, as Java's evict does`() {
        let lease = Lease(leaseKey: "k", leaseOwner: "me", leaseCounter: 3, checkpoint: .latest)
        let pending = PendingCheckpoint(checkpoint: .latest)
        for write in [
            LeaseTable.renew(table: "t", lease),
            LeaseTable.take(table: "t", lease, by: "me", failoverTime: .seconds(1)),
            LeaseTable.release(table: "t", lease), LeaseTable.checkpoint(table: "t", lease, at: .latest),
            LeaseTable.prepare(table: "t", lease, pending: pending),
            LeaseTable.setChildren(table: "t", lease, ["c"]), LeaseTable.setHashKeyRange(table: "t", "k", .whole),
        ] {
            #expect(write.condition?.contains("attribute_exists(leaseKey)") == true)
        }
    }

    @Test func `no write of ours removes an attribute that others may have written`() {
        let lease = Lease(leaseKey: "k", leaseOwner: "me", leaseCounter: 3, checkpoint: .latest)
        let kept = [
            "throughputKBps", "entityType", "streamName", "shardId", "parentShardId", "childShardIds",
            "startingHashKey",
            "endingHashKey", "ownerSwitchesSinceCheckpoint", "leaseCounter", "leaseKey",
        ]
        for write in [
            LeaseTable.renew(table: "t", lease),
            LeaseTable.take(table: "t", lease, by: "me", failoverTime: .seconds(1)),
            LeaseTable.release(table: "t", lease), LeaseTable.checkpoint(table: "t", lease, at: .latest),
            LeaseTable.prepare(table: "t", lease, pending: PendingCheckpoint(checkpoint: .latest)),
        ] {
            let parts = write.update.split(separator: "REMOVE")
            guard parts.count > 1 else { continue }
            for name in kept {
                #expect(!parts[1].split(whereSeparator: { " ,".contains($0) }).contains(Substring(name)))
            }
        }
    }

    @Test func `a ghost row that Java's evict left is told apart, whatever it lacks`() {
        #expect(
            LeaseTable.row(["leaseKey": .s("k"), "leaseCounter": .n(4)]) == .odd(key: "k", reason: "no checkpoint"))
        #expect(LeaseTable.row(["leaseKey": .s("k")]) == .foreign(key: "k", entityType: nil))
    }

    @Test func `a row without the number of owner switches is read as one without any`() throws {
        var item = try item(Recorded.running)
        item["ownerSwitchesSinceCheckpoint"] = nil
        item["checkpointSubSequenceNumber"] = nil
        #expect(LeaseTable.row(item).lease == (try lease(Recorded.running)))
    }

    // MARK: The mark of our workers

    @Test func `the mark is read back`() throws {
        var lease = try lease(Recorded.running)
        lease.ownerMark = OwnerMark(owner: "s1", failoverTime: .milliseconds(2500))
        let item = LeaseTable.newItem(lease)
        #expect(item["shardtop"] == .m(["owner": .s("s1"), "failoverTimeMillis": .n(2500)]))
        #expect(LeaseTable.row(item) == .lease(lease))
        #expect(lease.isOwnerMarked)
        lease.leaseOwner = "java"
        #expect(!lease.isOwnerMarked)
        lease.leaseOwner = nil
        #expect(!lease.isOwnerMarked)
    }

    @Test(arguments: [
        AttributeValue.s("me"), .null, .m([:]), .m(["owner": .s("s1")]),
        .m(["owner": .s("s1"), "failoverTimeMillis": .n(0)]),
        .m(["owner": .n(1), "failoverTimeMillis": .n(9)]), .m(["owner": .s("s1"), "failoverTimeMillis": .s("9")]),
    ])
    func `an odd mark is none`(mark: AttributeValue) throws {
        var item = try item(Recorded.running)
        item["shardtop"] = mark
        #expect(LeaseTable.row(item) == .lease(try lease(Recorded.running)))
    }
}
