import AWSWire
import Leases
import Testing

private let free = Lease(leaseKey: "k", leaseCounter: 7, checkpoint: .trimHorizon)

private let owned: Lease = {
    var lease = free
    lease.leaseOwner = "a"
    return lease
}()

private let handed: Lease = {
    var lease = owned
    lease.checkpointOwner = "old"
    return lease
}()

/// Exists, and nobody wrote since it was read.
private let untouched = "attribute_exists(leaseKey) AND leaseCounter = :counter"

private func write(
    _ update: String, condition: String = untouched, _ values: [String: AttributeValue],
    returnValues: String? = nil
) -> UpdateItem {
    UpdateItem(
        table: "t", key: ["leaseKey": .s("k")], update: update, condition: condition,
        values: values, returnValues: returnValues)
}

/// The counter as read and as written.
private func counters(_ others: [String: AttributeValue] = [:]) -> [String: AttributeValue] {
    others.merging([":counter": .n("7"), ":next": .n("8")]) { $1 }
}

@Suite struct LeaseWritesTests {
    @Test func `renew raises the counter and touches nothing else`() {
        #expect(LeaseTable.renew(table: "t", owned) == write("SET leaseCounter = :next", counters()))
    }

    @Test func `taking a free lease is no owner switch`() {
        #expect(
            LeaseTable.take(table: "t", free, by: "me")
                == write(
                    "SET leaseOwner = :owner, leaseCounter = :next REMOVE checkpointOwner",
                    counters([":owner": .s("me")]), returnValues: "ALL_NEW"))
    }

    @Test func `taking it from another counts the switch`() {
        #expect(
            LeaseTable.take(table: "t", owned, by: "me")
                == write(
                    "SET leaseOwner = :owner, leaseCounter = :next REMOVE checkpointOwner "
                        + "ADD ownerSwitchesSinceCheckpoint :one",
                    counters([":owner": .s("me"), ":one": .n("1")]), returnValues: "ALL_NEW"))
    }

    @Test func `taking an own row back is no owner switch`() {
        #expect(
            LeaseTable.take(table: "t", owned, by: "a")
                == write(
                    "SET leaseOwner = :owner, leaseCounter = :next REMOVE checkpointOwner",
                    counters([":owner": .s("a")]), returnValues: "ALL_NEW"))
    }

    @Test func `release requires the owners as read and leaves no owner`() {
        #expect(
            LeaseTable.release(table: "t", owned)
                == write(
                    "SET leaseCounter = :next REMOVE leaseOwner, checkpointOwner",
                    condition: untouched + " AND leaseOwner = :wasOwner AND attribute_not_exists(checkpointOwner)",
                    counters([":wasOwner": .s("a")]), returnValues: "ALL_NEW"))
    }

    @Test func `releasing what nobody owns requires that nobody does`() {
        #expect(
            LeaseTable.release(table: "t", free).condition == untouched
                + " AND attribute_not_exists(leaseOwner) AND attribute_not_exists(checkpointOwner)")
    }

    @Test func `release during a handoff leaves the successor`() {
        #expect(
            LeaseTable.release(table: "t", handed)
                == write(
                    "SET leaseCounter = :next REMOVE checkpointOwner",
                    condition: untouched
                        + " AND leaseOwner = :wasOwner AND checkpointOwner = :wasCheckpointOwner",
                    counters([":wasOwner": .s("a"), ":wasCheckpointOwner": .s("old")]), returnValues: "ALL_NEW"))
    }

    @Test func `a guarded write requires the owners as read as well`() {
        #expect(
            LeaseTable.guarded(LeaseTable.renew(table: "t", owned), as: owned)
                == write(
                    "SET leaseCounter = :next",
                    condition: untouched + " AND leaseOwner = :wasOwner AND attribute_not_exists(checkpointOwner)",
                    counters([":wasOwner": .s("a")])))
    }

    @Test func `a checkpoint clears what was pending and the owner switches`() {
        let checkpoint = Checkpoint(.sequenceNumber(SequenceNumber(high: 0, low: 99)), subSequenceNumber: 4)
        #expect(
            LeaseTable.checkpoint(table: "t", owned, at: checkpoint)
                == write(
                    "SET checkpoint = :checkpoint, checkpointSubSequenceNumber = :sub, "
                        + "ownerSwitchesSinceCheckpoint = :zero, leaseCounter = :next REMOVE pendingCheckpoint, "
                        + "pendingCheckpointSubSequenceNumber, pendingCheckpointState",
                    counters([":checkpoint": .s("99"), ":sub": .n("4"), ":zero": .n("0")])))
    }

    @Test func `SHARD_END is written with sub-sequence number 0`() {
        let values = LeaseTable.checkpoint(table: "t", owned, at: .shardEnd).values
        #expect(values[":checkpoint"] == .s("SHARD_END"))
        #expect(values[":sub"] == .n("0"))
    }

    @Test func `a rewind leaves no owner and nothing prepared, and the owner must be the one that was read`() {
        let checkpoint = Checkpoint(.sequenceNumber(SequenceNumber(high: 0, low: 99)), subSequenceNumber: -1)
        let values: [String: AttributeValue] = [":checkpoint": .s("99"), ":sub": .n("-1")]
        let update =
            "SET checkpoint = :checkpoint, checkpointSubSequenceNumber = :sub, leaseCounter = :next REMOVE leaseOwner, "
            + "pendingCheckpoint, pendingCheckpointSubSequenceNumber, pendingCheckpointState"
        let isOwned = untouched + " AND leaseOwner = :wasOwner AND attribute_not_exists(checkpointOwner)"
        #expect(
            LeaseTable.rewind(table: "t", owned, to: checkpoint)
                == write(
                    update, condition: isOwned, counters(values.merging([":wasOwner": .s("a")]) { $1 }),
                    returnValues: "ALL_NEW"))
        #expect(
            LeaseTable.rewind(table: "t", free, to: checkpoint)
                == write(
                    update,
                    condition: untouched
                        + " AND attribute_not_exists(leaseOwner) AND attribute_not_exists(checkpointOwner)",
                    counters(values), returnValues: "ALL_NEW"))
        // A handoff that began meanwhile must make it fail, whatever was read.
        #expect(LeaseTable.rewind(table: "t", handed, to: checkpoint).condition == isOwned)
        var marked = owned
        marked.ownerMark = OwnerMark(owner: "a", failoverTime: .seconds(10))
        #expect(LeaseTable.rewind(table: "t", marked, to: checkpoint).update == update + ", shardtop")
    }

    @Test func `prepare stores checkpoint and state beside the committed one`() {
        let pending = PendingCheckpoint(
            checkpoint: Checkpoint(.sequenceNumber(SequenceNumber(high: 0, low: 99)), subSequenceNumber: 4),
            state: Bytes([1]))
        #expect(
            LeaseTable.prepare(table: "t", owned, pending: pending)
                == write(
                    "SET pendingCheckpointState = :state, pendingCheckpoint = :pending, "
                        + "pendingCheckpointSubSequenceNumber = :pendingSub, leaseCounter = :next",
                    counters([":pending": .s("99"), ":pendingSub": .n("4"), ":state": .b(Bytes([1]))])))
    }

    @Test func `prepare without state removes an older one`() {
        #expect(
            LeaseTable.prepare(table: "t", owned, pending: PendingCheckpoint(checkpoint: .shardEnd))
                == write(
                    "SET pendingCheckpoint = :pending, pendingCheckpointSubSequenceNumber = :pendingSub, "
                        + "leaseCounter = :next REMOVE pendingCheckpointState",
                    counters([":pending": .s("SHARD_END"), ":pendingSub": .n("0")])))
    }

    @Test func `the children are noted without raising the counter`() {
        #expect(
            LeaseTable.setChildren(table: "t", owned, ["c", "b"])
                == write(
                    "SET childShardIds = :children", [":children": .ss(["b", "c"]), ":counter": .n("7")]))
    }

    @Test func `a hash range is filled in only where none is, whatever the counter`() {
        #expect(
            LeaseTable.setHashKeyRange(table: "t", "k", HashKeyRange(start: 5, end: .max))
                == write(
                    "SET startingHashKey = :start, endingHashKey = :end",
                    condition: "attribute_exists(leaseKey) AND attribute_not_exists(startingHashKey)",
                    [":start": .s("5"), ":end": .s("340282366920938463463374607431768211455")]))
    }

    @Test func `an own lease is deleted where it is still SHARD_END and ours`() {
        #expect(
            LeaseTable.deletion(of: owned, by: "a")
                == LeaseTable.Deletion(
                    condition: "#checkpoint = :end AND leaseOwner = :owner", names: ["#checkpoint": "checkpoint"],
                    values: [":end": .s("SHARD_END"), ":owner": .s("a")]))
    }

    @Test func `another's lease is deleted only if nobody renewed it since it was read`() {
        let ofDead = LeaseTable.deletion(of: owned, by: "me")
        #expect(ofDead.condition == "#checkpoint = :end AND leaseOwner = :owner AND leaseCounter = :counter")
        #expect(ofDead.values == [":end": .s("SHARD_END"), ":owner": .s("a"), ":counter": .n(7)])
        let ofNobody = LeaseTable.deletion(of: free, by: "me")
        #expect(
            ofNobody.condition
                == "#checkpoint = :end AND attribute_not_exists(leaseOwner) AND leaseCounter = :counter")
    }

    @Test func `a worker of ours marks what it takes, and takes the mark back when it releases`() {
        let mark: AttributeValue = .m(["owner": .s("me"), "failoverTimeMillis": .n(2500)])
        #expect(
            LeaseTable.take(table: "t", owned, by: "me", failoverTime: .milliseconds(2500))
                == write(
                    "SET leaseOwner = :owner, shardtop = :mark, leaseCounter = :next REMOVE checkpointOwner "
                        + "ADD ownerSwitchesSinceCheckpoint :one",
                    counters([":owner": .s("me"), ":one": .n("1"), ":mark": mark]), returnValues: "ALL_NEW"))
        var marked = owned
        marked.ownerMark = OwnerMark(owner: "a", failoverTime: .seconds(10))
        #expect(
            LeaseTable.release(table: "t", marked).update
                == "SET leaseCounter = :next REMOVE leaseOwner, checkpointOwner, shardtop")
    }

    @Test func `every write of a holder requires that the row exists with the counter that was read`() {
        let pending = PendingCheckpoint(checkpoint: .latest)
        for lease in [free, owned, handed] {
            let writes = [
                LeaseTable.renew(table: "t", lease), LeaseTable.take(table: "t", lease, by: "me"),
                LeaseTable.release(table: "t", lease), LeaseTable.checkpoint(table: "t", lease, at: .latest),
                LeaseTable.prepare(table: "t", lease, pending: pending),
                LeaseTable.rewind(table: "t", lease, to: .trimHorizon),
                LeaseTable.setChildren(table: "t", lease, ["c"]),
            ]
            for write in writes {
                #expect(write.condition?.hasPrefix(untouched) == true)
                #expect(write.values[":counter"] == .n("7"))
                #expect(write.key == ["leaseKey": .s("k")])
            }
            for write in writes.dropLast() {
                #expect(write.update.contains("leaseCounter = :next"))
                #expect(write.values[":next"] == .n("8"))
            }
        }
    }

    @Test func `every value is used and every placeholder has one`() {
        let writes = [free, owned, handed].flatMap { lease in
            [
                LeaseTable.renew(table: "t", lease), LeaseTable.take(table: "t", lease, by: "me"),
                LeaseTable.release(table: "t", lease), LeaseTable.checkpoint(table: "t", lease, at: .latest),
                LeaseTable.prepare(
                    table: "t", lease, pending: PendingCheckpoint(checkpoint: .latest, state: Bytes([1]))),
                LeaseTable.setChildren(table: "t", lease, ["c"]),
                LeaseTable.setHashKeyRange(table: "t", lease.leaseKey, .whole),
            ]
        }
        for write in writes {
            let text = write.update + " " + (write.condition ?? "")
            let used = Set(
                text.split { !($0.isLetter || $0 == ":") }.filter { $0.hasPrefix(":") }.map(String.init))
            #expect(used == Set(write.values.keys), "\(text)")
        }
    }

    @Test func `a failed condition returns the row as it is`() {
        #expect(LeaseTable.renew(table: "t", owned).input["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD")
    }

    @Test func `the largest counter does not trap`() {
        var lease = owned
        lease.leaseCounter = .max
        #expect(LeaseTable.renew(table: "t", lease).values[":counter"] == .n(Int64.max))
    }
}
