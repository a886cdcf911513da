import Leases
import Testing

@testable import AWSWire

/// A row with every attribute that a Java worker of any version writes.
private let fullRow: Item = [
    "leaseKey": .s("shardId-000000000002"), "leaseCounter": .n(17), "leaseOwner": .s("next"),
    "checkpoint": .s("49590338271490256608559692538361571095921575989136588898"),
    "checkpointSubSequenceNumber": .n(3), "ownerSwitchesSinceCheckpoint": .n(2),
    "parentShardId": .ss(["shardId-000000000001", "shardId-000000000000"]), "childShardIds": .ss(["c", "b"]),
    "startingHashKey": .s("0"), "endingHashKey": .s("340282366920938463463374607431768211455"),
    "pendingCheckpoint": .s("SHARD_END"), "pendingCheckpointSubSequenceNumber": .n(0),
    "pendingCheckpointState": .b(Bytes([1, 2])), "throughputKBps": .n("12.345679"),
    "checkpointOwner": .s("old"), "entityType": .s("LEASE"), "streamName": .s("1:s:2"),
    "notOurs": .m(["anything": .l([.null])]),
]

private let plainRow: Item = [
    "leaseKey": .s("shardId-000000000000"), "leaseCounter": .n(1), "checkpoint": .s("TRIM_HORIZON"),
    "checkpointSubSequenceNumber": .n(0), "ownerSwitchesSinceCheckpoint": .n(0),
]

private func row(_ change: (inout Item) -> Void) -> LeaseRow {
    var item = plainRow
    change(&item)
    return LeaseTable.row(item)
}

@Suite struct LeaseRowTests {
    @Test func `every attribute is read`() throws {
        let number = try #require(SequenceNumber("49590338271490256608559692538361571095921575989136588898"))
        #expect(
            LeaseTable.row(fullRow)
                == .lease(
                    Lease(
                        leaseKey: "shardId-000000000002", leaseOwner: "next", leaseCounter: 17,
                        checkpoint: Checkpoint(.sequenceNumber(number), subSequenceNumber: 3),
                        ownerSwitchesSinceCheckpoint: 2,
                        parentShardIDs: ["shardId-000000000000", "shardId-000000000001"], childShardIDs: ["b", "c"],
                        hashKeyRange: .whole,
                        pendingCheckpoint: PendingCheckpoint(checkpoint: .shardEnd, state: Bytes([1, 2])),
                        checkpointOwner: "old", throughputKBps: 12.345679, streamName: "1:s:2")))
    }

    @Test func `a row of 1_x with the least attributes is a lease`() {
        let item: Item = ["leaseKey": .s("k"), "leaseCounter": .n(0), "checkpoint": .s("LATEST")]
        #expect(LeaseTable.row(item) == .lease(Lease(leaseKey: "k", checkpoint: .latest)))
    }

    @Test func `rows of another kind are foreign`() {
        #expect(
            LeaseTable.row(["leaseKey": .s("w"), "entityType": .s("WORKER_METRIC_STATS"), "leaseCounter": .n(1)])
                == .foreign(key: "w", entityType: "WORKER_METRIC_STATS"))
        #expect(
            LeaseTable.row(["leaseKey": .s("Migration3.0"), "cv": .s("CLIENT_VERSION_3X")])
                == .foreign(key: "Migration3.0", entityType: nil))
        #expect(LeaseTable.row(["leaseKey": .s("x"), "entityType": .s("LEASE")]).lease == nil)
    }

    @Test func `a row without a usable key is odd`() {
        #expect(LeaseTable.row([:]) == .odd(key: "?", reason: "no leaseKey"))
        #expect(LeaseTable.row(["leaseKey": .n(1)]) == .odd(key: "?", reason: "no leaseKey"))
    }

    @Test(arguments: [AttributeValue?.none, .s("7"), .n("7.5"), .n("x"), .n("99999999999999999999"), .null])
    func `an odd counter makes an odd row that names it`(counter: AttributeValue?) {
        #expect(
            row { $0["leaseCounter"] = counter }
                == .odd(key: "shardId-000000000000", reason: "leaseCounter is no number"))
    }

    @Test(arguments: [AttributeValue.n(5), .s(""), .s("trim_horizon"), .s("-1"), .s("12a"), .b(Bytes("1")), .null])
    func `an odd checkpoint makes an odd row that names it`(checkpoint: AttributeValue) {
        #expect(
            row { $0["checkpoint"] = checkpoint }
                == .odd(
                    key: "shardId-000000000000",
                    reason: "checkpoint is neither a sequence number nor a sentinel"))
        #expect(
            row { $0["pendingCheckpoint"] = checkpoint }
                == .odd(
                    key: "shardId-000000000000",
                    reason: "pendingCheckpoint is neither a sequence number nor a sentinel"))
    }

    @Test func `a missing checkpoint or an odd sub-sequence number makes an odd row`() {
        #expect(row { $0["checkpoint"] = nil } == .odd(key: "shardId-000000000000", reason: "no checkpoint"))
        #expect(row { $0["checkpointSubSequenceNumber"] = .s("x") }.lease == nil)
    }

    @Test(arguments: [("x", "5"), ("6", "5"), ("0", "340282366920938463463374607431768211456"), ("-1", "5"), ("", "5")])
    func `an odd hash range makes an odd row`(start: String, end: String) {
        let odd = row {
            $0["startingHashKey"] = .s(start)
            $0["endingHashKey"] = .s(end)
        }
        #expect(odd == .odd(key: "shardId-000000000000", reason: "the hash key range is none"))
    }

    @Test func `half a hash range is none, as on old leases`() {
        #expect(row { $0["startingHashKey"] = .s("5") }.lease?.hashKeyRange == nil)
        #expect(row { $0["startingHashKey"] = .s("5") }.lease != nil)
    }

    @Test func `attributes of the wrong type where none is needed are no attributes`() {
        let lease = row {
            $0["leaseOwner"] = .s("")
            $0["checkpointOwner"] = .null
            $0["parentShardId"] = .s("p")
            $0["childShardIds"] = .l([.s("c")])
            $0["throughputKBps"] = .s("1")
            $0["ownerSwitchesSinceCheckpoint"] = .null
            $0["pendingCheckpoint"] = .s("5")
            // Java's create path could write the number here.
            $0["pendingCheckpointState"] = .n(0)
        }.lease
        var expected = Lease(leaseKey: "shardId-000000000000", leaseCounter: 1, checkpoint: .trimHorizon)
        expected.pendingCheckpoint = PendingCheckpoint(
            checkpoint: Checkpoint(.sequenceNumber(SequenceNumber(high: 0, low: 5))))
        #expect(lease == expected)
    }

    @Test func `the sub-sequence number of a sentinel does not count`() {
        let lease = row {
            $0["checkpoint"] = .s("SHARD_END")
            $0["checkpointSubSequenceNumber"] = .n(9)
        }.lease
        #expect(lease?.checkpoint == .shardEnd)
        #expect(lease?.isEnded == true)
    }

    @Test func `the shard of a multi-stream key is its last part`() {
        let lease = row { $0["leaseKey"] = .s("123456789012:orders:1700000000:shardId-000000000007") }.lease
        #expect(lease?.shardID == "shardId-000000000007")
        #expect(lease?.isMultiStream == true)
        #expect(LeaseTable.row(plainRow).lease?.isMultiStream == false)
    }

    @Test func `during a handoff the checkpoint owner is the actual one`() {
        let lease = LeaseTable.row(fullRow).lease
        #expect(lease?.isInHandoff == true)
        #expect(lease?.actualOwner == "old")
    }
}

@Suite struct NewItemTests {
    @Test func `a new lease has the attributes that Java 2_x writes and no more`() {
        let lease = Lease(
            leaseKey: "c", checkpoint: .trimHorizon, parentShardIDs: ["b", "a"],
            hashKeyRange: HashKeyRange(start: 5, end: .max))
        #expect(
            LeaseTable.newItem(lease) == [
                "leaseKey": .s("c"), "leaseCounter": .n("0"), "ownerSwitchesSinceCheckpoint": .n("0"),
                "checkpoint": .s("TRIM_HORIZON"), "checkpointSubSequenceNumber": .n("0"),
                "parentShardId": .ss(["a", "b"]), "startingHashKey": .s("5"),
                "endingHashKey": .s("340282366920938463463374607431768211455"),
            ])
    }

    @Test func `empty sets and absent values are left out`() {
        #expect(
            Set(LeaseTable.newItem(Lease(leaseKey: "c", checkpoint: .latest)).keys) == [
                "leaseKey", "leaseCounter", "ownerSwitchesSinceCheckpoint", "checkpoint",
                "checkpointSubSequenceNumber",
            ])
    }

    @Test func `what is written is read back`() {
        let lease = Lease(
            leaseKey: "k", leaseOwner: "w", leaseCounter: 9,
            checkpoint: Checkpoint(.sequenceNumber(SequenceNumber(high: 1, low: 2)), subSequenceNumber: 7),
            ownerSwitchesSinceCheckpoint: 4, parentShardIDs: ["p"], childShardIDs: ["c"],
            hashKeyRange: HashKeyRange(start: 1, end: 2))
        #expect(LeaseTable.row(LeaseTable.newItem(lease)) == .lease(lease))
    }
}

@Suite struct LeaseTableSchemaTests {
    private func table(_ schema: [String: String], _ types: [String: String]) -> TableDescription {
        TableDescription(
            name: "t", arn: "", status: "ACTIVE", keySchema: schema, attributeTypes: types, provisionedReads: nil,
            indexes: [], itemCount: 0, sizeBytes: 0)
    }

    @Test func `a table keyed by the text leaseKey is a lease table`() {
        #expect(LeaseTable.whyNotALeaseTable(table(["leaseKey": "HASH"], ["leaseKey": "S", "leaseOwner": "S"])) == nil)
    }

    @Test func `another key is told`() {
        #expect(
            LeaseTable.whyNotALeaseTable(table(["pk": "HASH", "sk": "RANGE"], ["pk": "S", "sk": "S"]))
                == "its key is (pk, sk), a lease table's is (leaseKey: S)")
        #expect(LeaseTable.whyNotALeaseTable(table(["leaseKey": "HASH"], ["leaseKey": "N"])) != nil)
        #expect(
            LeaseTable.whyNotALeaseTable(
                table(["leaseKey": "HASH", "x": "RANGE"], ["leaseKey": "S", "x": "S"])) != nil)
    }
}
