import AWSWire
import Testing

@testable import Emulator

/// Each conditional write of the Java KCL, in the legacy parameters that it sends.
struct DynamoDBLeaseWriteTests {
    private let bench: DynamoDBBench
    private let key: Item = ["leaseKey": .s("shardId-000000000000")]
    private let absent: AWSValue = ["Exists": false]

    init() throws { bench = try DynamoDBBench() }

    private func equals(_ value: AttributeValue) -> AWSValue { ["Value": value.wire] }
    private func put(_ value: AttributeValue) -> AWSValue { ["Value": value.wire, "Action": "PUT"] }
    private func add(_ value: AttributeValue) -> AWSValue { ["Value": value.wire, "Action": "ADD"] }
    private let delete: AWSValue = ["Action": "DELETE"]

    private func lease(counter: Int = 7, owner: String? = "w1", _ more: Item = [:]) -> Item {
        var lease = key
        lease["leaseCounter"] = .n(counter)
        lease["leaseOwner"] = owner.map { .s($0) }
        lease["checkpoint"] = .s("TRIM_HORIZON")
        lease["checkpointSubSequenceNumber"] = .n(0)
        lease["ownerSwitchesSinceCheckpoint"] = .n(0)
        return lease.merging(more) { $1 }
    }

    private func update(_ expected: AWSValue, _ updates: AWSValue, _ more: KeyValuePairs<String, AWSValue> = [:])
        -> Result<
            AWSValue, ServiceError
        >
    {
        var input: AWSValue = ["Key": key.wire, "Expected": expected, "AttributeUpdates": updates]
        input.add(more)
        do throws(ServiceError) {
            return .success(try bench.call("UpdateItem", input))
        } catch {
            return .failure(error)
        }
    }

    private func isRefused(_ result: Result<AWSValue, ServiceError>) -> Bool {
        if case .failure(let error) = result { error.type == "ConditionalCheckFailedException" } else { false }
    }

    private var row: Item? { get throws { try bench.get(key) } }

    private func create(_ item: Item) -> ServiceError? {
        bench.error("PutItem", ["Item": item.wire, "Expected": ["leaseKey": absent]])
    }

    // MARK: create

    @Test func createWritesALeaseWhereNoneIs() throws {
        let lease = lease(counter: 0, owner: nil, ["parentShardId": .ss(["p1", "p2"]), "startingHashKey": .s("0")])
        #expect(create(lease) == nil)
        #expect(try row == lease)
    }

    @Test func createIsRefusedWhereTheLeaseExists() throws {
        #expect(create(lease(counter: 3)) == nil)
        #expect(create(lease(counter: 0))?.type == "ConditionalCheckFailedException")
        #expect(create(lease(counter: 0))?.message == "The conditional request failed")
    }

    @Test func aRefusedCreateChangesNothing() throws {
        #expect(create(lease(counter: 3)) == nil)
        _ = create(lease(counter: 0, owner: nil))
        #expect(try row == lease(counter: 3))
    }

    @Test func aLeaseCanBeCreatedAgainAfterItsDeletion() throws {
        #expect(create(lease()) == nil)
        try bench.call("DeleteItem", ["Key": key.wire])
        #expect(create(lease(counter: 0)) == nil)
    }

    // MARK: renew

    private func renew(
        _ counter: Int, _ more: KeyValuePairs<String, AWSValue> = [:], expected: KeyValuePairs<String, AWSValue> = [:]
    ) -> Result<
        AWSValue, ServiceError
    > {
        var condition: AWSValue = ["leaseCounter": equals(.n(counter))]
        condition.add(expected)
        return update(condition, ["leaseCounter": put(.n(counter + 1))], more)
    }

    @Test func renewCountsUpFromTheCounterItRead() throws {
        try bench.put(lease())
        _ = try renew(7).get()
        #expect(try row == lease(counter: 8))
    }

    @Test func renewIsRefusedWithAStaleCounter() throws {
        try bench.put(lease())
        #expect(isRefused(renew(6)))
        #expect(try row == lease())
    }

    @Test func renewOfADeletedLeaseMakesNoRow() throws {
        #expect(isRefused(renew(7)))
        #expect(try row == nil)
    }

    @Test func countersAreComparedAsNumbersNotAsText() throws {
        try bench.put(lease())
        _ = try update(["leaseCounter": ["Value": ["N": "7.0"]]], ["leaseCounter": put(.n(8))]).get()
        #expect(try row?["leaseCounter"] == .n(8))
    }

    @Test func renewOf3xRequiresThatNoHandoffRuns() throws {
        try bench.put(lease())
        _ = try renew(7, expected: ["checkpointOwner": absent]).get()
        try bench.put(lease(["checkpointOwner": .s("w1")]))
        #expect(isRefused(renew(7, expected: ["checkpointOwner": absent])))
    }

    @Test func aRefusedRenewShowsTheHandoffThatItRanInto() throws {
        let handedOver = lease(owner: "w2", ["checkpointOwner": .s("w1")])
        try bench.put(handedOver)
        let result = renew(
            7, ["ReturnValuesOnConditionCheckFailure": "ALL_OLD"], expected: ["checkpointOwner": absent])
        guard case .failure(let error) = result else {
            Issue.record("the renew was not refused")
            return
        }
        #expect(error.extra["Item"].flatMap { Item(wire: $0) } == handedOver)
    }

    @Test func aRefusedRenewShowsNoItemUnlessAsked() throws {
        try bench.put(lease())
        guard case .failure(let error) = renew(1) else {
            Issue.record("the renew was not refused")
            return
        }
        #expect(error.extra.isEmpty)
    }

    @Test func renewDuringAKnownHandoffGoesOn() throws {
        try bench.put(lease(owner: "w2", ["checkpointOwner": .s("w1")]))
        _ = try renew(7).get()
        #expect(try row?["checkpointOwner"] == .s("w1"))
        #expect(try row?["leaseCounter"] == .n(8))
    }

    @Test func renewWritesTheThroughput() throws {
        try bench.put(lease())
        _ = try update(
            ["leaseCounter": equals(.n(7))], ["leaseCounter": put(.n(8)), "throughputKBps": put(.n("12.500000"))]
        ).get()
        #expect(try row?["throughputKBps"]?.double == 12.5)
    }

    // MARK: take

    private func take(_ counter: Int, by owner: String, switches: Bool) -> Result<AWSValue, ServiceError> {
        var updates: AWSValue = ["leaseCounter": put(.n(counter + 1)), "leaseOwner": put(.s(owner))]
        if switches { updates["ownerSwitchesSinceCheckpoint"] = add(.n(1)) }
        return update(["leaseCounter": equals(.n(counter))], updates)
    }

    @Test func takeOfAFreeLeaseSetsTheOwner() throws {
        try bench.put(lease(counter: 0, owner: nil))
        _ = try take(0, by: "w2", switches: false).get()
        #expect(try row == lease(counter: 1, owner: "w2"))
    }

    @Test func stealCountsTheOwnerSwitch() throws {
        try bench.put(lease(["ownerSwitchesSinceCheckpoint": .n(2)]))
        _ = try take(7, by: "w2", switches: true).get()
        #expect(try row == lease(counter: 8, owner: "w2", ["ownerSwitchesSinceCheckpoint": .n(3)]))
    }

    @Test func ownerSwitchesCountFromNothing() throws {
        var row = lease()
        row["ownerSwitchesSinceCheckpoint"] = nil
        try bench.put(row)
        _ = try take(7, by: "w2", switches: true).get()
        #expect(try self.row?["ownerSwitchesSinceCheckpoint"] == .n(1))
    }

    @Test func ofTwoTakersWithOneCounterOneWins() throws {
        try bench.put(lease())
        _ = try take(7, by: "w2", switches: true).get()
        #expect(isRefused(take(7, by: "w3", switches: true)))
        #expect(try row?["leaseOwner"] == .s("w2"))
    }

    @Test func theRobbedOwnersRenewIsRefused() throws {
        try bench.put(lease())
        _ = try take(7, by: "w2", switches: true).get()
        #expect(isRefused(renew(7)))
    }

    @Test func takeOf3xRemovesTheCheckpointOwner() throws {
        try bench.put(lease(owner: "w2", ["checkpointOwner": .s("w1")]))
        _ = try update(
            ["leaseCounter": equals(.n(7))],
            ["leaseCounter": put(.n(8)), "leaseOwner": put(.s("w3")), "checkpointOwner": delete]
        ).get()
        #expect(try row == lease(counter: 8, owner: "w3"))
    }

    @Test func takeOf2xLeavesACheckpointOwnerBehind() throws {
        try bench.put(lease(owner: "w2", ["checkpointOwner": .s("w1")]))
        _ = try take(7, by: "w3", switches: true).get()
        #expect(try row?["checkpointOwner"] == .s("w1"))
    }

    // MARK: evict

    @Test func evictRemovesTheOwnerThatItSaw() throws {
        try bench.put(lease())
        _ = try update(
            ["leaseOwner": equals(.s("w1"))], ["leaseOwner": delete, "leaseCounter": put(.n(8))]
        ).get()
        #expect(try row == lease(counter: 8, owner: nil))
    }

    @Test func evictIsRefusedWhenTheOwnerChanged() throws {
        try bench.put(lease(owner: "w2"))
        #expect(
            isRefused(update(["leaseOwner": equals(.s("w1"))], ["leaseOwner": delete, "leaseCounter": put(.n(8))])))
        #expect(try row == lease(owner: "w2"))
    }

    @Test func evictOf2xCanLowerTheCounter() throws {
        try bench.put(lease(counter: 20))
        _ = try update(["leaseOwner": equals(.s("w1"))], ["leaseOwner": delete, "leaseCounter": put(.n(8))]).get()
        #expect(try row?["leaseCounter"] == .n(8))
    }

    @Test func evictOf2xMakesAGhostRowOfADeletedUnownedLease() throws {
        _ = try update(["leaseOwner": absent], ["leaseOwner": delete, "leaseCounter": put(.n(8))]).get()
        #expect(try row == key.merging(["leaseCounter": .n(8)]) { $1 })
    }

    private func evict3(owner: AWSValue, checkpointOwner: AWSValue, _ updates: AWSValue) -> Result<
        AWSValue, ServiceError
    > {
        let exists: AWSValue = ["Value": key["leaseKey"]?.wire ?? .null, "Exists": true]
        return update(["leaseOwner": owner, "checkpointOwner": checkpointOwner, "leaseKey": exists], updates)
    }

    @Test func evictOf3xAddsToTheCounter() throws {
        try bench.put(lease(counter: 20))
        _ = try evict3(
            owner: equals(.s("w1")), checkpointOwner: absent,
            ["leaseOwner": delete, "checkpointOwner": delete, "leaseCounter": add(.n(1))]
        ).get()
        #expect(try row == lease(counter: 21, owner: nil))
    }

    @Test func evictOf3xKeepsTheSuccessorOfAHandoff() throws {
        try bench.put(lease(owner: "w2", ["checkpointOwner": .s("w1")]))
        _ = try evict3(
            owner: equals(.s("w2")), checkpointOwner: equals(.s("w1")),
            ["checkpointOwner": delete, "leaseCounter": add(.n(1))]
        ).get()
        #expect(try row == lease(counter: 8, owner: "w2"))
    }

    @Test func evictOf3xMakesNoGhostRow() throws {
        let result = evict3(owner: absent, checkpointOwner: absent, ["leaseOwner": delete, "leaseCounter": add(.n(1))])
        #expect(isRefused(result))
        #expect(try row == nil)
    }

    // MARK: checkpoint

    private func checkpoint(_ counter: Int, _ updates: KeyValuePairs<String, AWSValue>) -> Result<
        AWSValue, ServiceError
    > {
        var all: AWSValue = ["leaseCounter": put(.n(counter + 1))]
        all.add(updates)
        return update(["leaseCounter": equals(.n(counter))], all)
    }

    @Test func checkpointMovesAndCountsUp() throws {
        try bench.put(lease())
        _ = try checkpoint(7, ["checkpoint": put(.s("496")), "checkpointSubSequenceNumber": put(.n(3))]).get()
        #expect(try row == lease(counter: 8, ["checkpoint": .s("496"), "checkpointSubSequenceNumber": .n(3)]))
    }

    @Test func checkpointResetsTheOwnerSwitches() throws {
        try bench.put(lease(["ownerSwitchesSinceCheckpoint": .n(4)]))
        _ = try checkpoint(7, ["ownerSwitchesSinceCheckpoint": put(.n(0))]).get()
        #expect(try row == lease(counter: 8))
    }

    @Test func prepareKeepsItsStateAsBytes() throws {
        try bench.put(lease())
        let state = AttributeValue.b(Bytes([0, 255, 10]))
        _ = try checkpoint(
            7,
            [
                "pendingCheckpoint": put(.s("497")), "pendingCheckpointSubSequenceNumber": put(.n(0)),
                "pendingCheckpointState": put(state),
            ]
        ).get()
        #expect(try row?["pendingCheckpointState"] == state)
        #expect(try row?["pendingCheckpoint"] == .s("497"))
    }

    @Test func checkpointRemovesWhatWasPending() throws {
        try bench.put(lease(["pendingCheckpoint": .s("497"), "pendingCheckpointState": .b(Bytes("x"))]))
        _ = try checkpoint(
            7,
            [
                "pendingCheckpoint": delete, "pendingCheckpointSubSequenceNumber": delete,
                "pendingCheckpointState": delete,
            ]
        ).get()
        #expect(try row == lease(counter: 8))
    }

    @Test func checkpointIsRefusedAfterTheLeaseWasLost() throws {
        try bench.put(lease())
        _ = try take(7, by: "w2", switches: true).get()
        #expect(isRefused(checkpoint(7, ["checkpoint": put(.s("496"))])))
        #expect(try row?["checkpoint"] == .s("TRIM_HORIZON"))
    }

    @Test func checkpointAtTheEndNamesTheChildren() throws {
        try bench.put(lease())
        _ = try checkpoint(
            7,
            [
                "checkpoint": put(.s("SHARD_END")), "childShardIds": put(.ss(["c2", "c1"])),
                "endingHashKey": put(.s("9")),
            ]
        ).get()
        #expect(
            try row
                == lease(
                    counter: 8,
                    ["checkpoint": .s("SHARD_END"), "childShardIds": .ss(["c1", "c2"]), "endingHashKey": .s("9")]))
    }

    // MARK: meta information, delete

    @Test func metaInformationLeavesTheCounter() throws {
        try bench.put(lease())
        let exists: AWSValue = ["leaseKey": ["Value": key["leaseKey"]?.wire ?? .null, "Exists": true]]
        _ = try update(exists, ["startingHashKey": put(.s("0")), "endingHashKey": put(.s("9"))]).get()
        #expect(try row == lease(["startingHashKey": .s("0"), "endingHashKey": .s("9")]))
    }

    @Test func metaInformationMakesNoRowOfADeletedLease() throws {
        let exists: AWSValue = ["leaseKey": ["Value": key["leaseKey"]?.wire ?? .null, "Exists": true]]
        #expect(isRefused(update(exists, ["childShardIds": put(.ss(["c1"]))])))
        #expect(try row == nil)
    }

    @Test func unknownAttributesSurviveEveryWrite() throws {
        let foreign: Item = ["future": .m(["deep": .l([.bool(true), .null])])]
        try bench.put(lease(foreign))
        _ = try take(7, by: "w2", switches: true).get()
        _ = try renew(8).get()
        _ = try checkpoint(9, ["checkpoint": put(.s("1"))]).get()
        #expect(try row?["future"] == foreign["future"])
    }

    @Test func deleteNeedsNoConditionAndNoRow() throws {
        try bench.put(lease())
        try bench.call("DeleteItem", ["Key": key.wire])
        #expect(try row == nil)
        try bench.call("DeleteItem", ["Key": key.wire])
    }

    @Test func ourDeleteRequiresTheEndOfTheShard() throws {
        try bench.put(lease())
        let delete: AWSValue = [
            "Key": key.wire, "ConditionExpression": "#c = :end", "ExpressionAttributeNames": ["#c": "checkpoint"],
            "ExpressionAttributeValues": [":end": ["S": "SHARD_END"]],
        ]
        #expect(bench.error("DeleteItem", delete)?.type == "ConditionalCheckFailedException")
        try bench.put(lease(["checkpoint": .s("SHARD_END")]))
        #expect(bench.error("DeleteItem", delete) == nil)
        #expect(try row == nil)
    }

    // MARK: assign and graceful hand-over (3.x)

    @Test func assignReturnsTheNewRow() throws {
        try bench.put(lease(owner: "w2", ["checkpointOwner": .s("w1")]))
        var updates: AWSValue = ["leaseOwner": put(.s("w2")), "checkpointOwner": delete]
        updates["leaseCounter"] = add(.n(1))
        updates["ownerSwitchesSinceCheckpoint"] = add(.n(1))
        let exists: AWSValue = ["Value": key["leaseKey"]?.wire ?? .null, "Exists": true]
        let answer = try update(
            ["leaseOwner": equals(.s("w2")), "checkpointOwner": equals(.s("w1")), "leaseKey": exists], updates,
            ["ReturnValues": "ALL_NEW"]
        ).get()
        let expected = lease(counter: 8, owner: "w2", ["ownerSwitchesSinceCheckpoint": .n(1)])
        #expect(answer["Attributes"].flatMap { Item(wire: $0) } == expected)
    }

    @Test func assignIsRefusedWhenTheOwnerChanged() throws {
        try bench.put(lease(owner: "w9"))
        let result = evict3(
            owner: equals(.s("w1")), checkpointOwner: absent,
            ["leaseOwner": put(.s("w2")), "leaseCounter": add(.n(1))])
        #expect(isRefused(result))
    }

    @Test func aHandoffNamesBothOwnersAndLeavesTheCounter() throws {
        try bench.put(lease())
        _ = try evict3(
            owner: equals(.s("w1")), checkpointOwner: absent,
            ["leaseOwner": put(.s("w2")), "checkpointOwner": put(.s("w1"))]
        ).get()
        #expect(try row == lease(owner: "w2", ["checkpointOwner": .s("w1")]))
    }

    @Test func aSecondHandoffIsRefused() throws {
        try bench.put(lease(owner: "w2", ["checkpointOwner": .s("w1")]))
        let result = evict3(
            owner: equals(.s("w2")), checkpointOwner: absent,
            ["leaseOwner": put(.s("w3")), "checkpointOwner": put(.s("w2"))])
        #expect(isRefused(result))
    }

    @Test func theOwnerIndexFollowsEveryWrite() throws {
        let bench = try DynamoDBBench.withOwnerIndex()
        for number in 0..<6 {
            try bench.put(["leaseKey": .s("shard-\(number)"), "leaseOwner": .s("w\(number % 2)"), "x": .n(number)])
        }
        try bench.update("SET leaseOwner = :o", [":o": .s("w1")], key: ["leaseKey": .s("shard-0")])
        try bench.update("REMOVE leaseOwner", key: ["leaseKey": .s("shard-3")])
        try bench.call("DeleteItem", ["Key": ["leaseKey": ["S": "shard-5"]]])
        func owned(_ owner: String) throws -> [Item] {
            try bench.pages(
                "Query",
                [
                    "IndexName": "LeaseOwnerToLeaseKeyIndex", "KeyConditionExpression": "leaseOwner = :leaseOwner",
                    "ExpressionAttributeValues": [":leaseOwner": ["S": .string(owner)]], "Limit": 1,
                ]
            ).items
        }
        #expect(try owned("w0") == ["shard-2", "shard-4"].map { ["leaseKey": .s($0), "leaseOwner": .s("w0")] })
        #expect(try owned("w1") == ["shard-0", "shard-1"].map { ["leaseKey": .s($0), "leaseOwner": .s("w1")] })
    }
}
