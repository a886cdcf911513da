import AWSWire
import Leases
import Machine

@testable import Fleet

/// Tables as each generation of the Java KCL leaves them, attribute by attribute (kcl.md §1).
enum Generations {
    /// What a fleet has beside the lease table; `nil` tables do not exist.
    struct Tables {
        var leases: [Item]
        var migration: Item?
        var leader: Item?
        var metrics: [Item]?
    }

    private static func row(
        _ number: Int, owner: String?, counter: Int, checkpoint: String, sub: Int = 0, switches: Int = 0
    ) -> Item {
        var item: Item = [
            "leaseKey": .s(id(number)), "leaseCounter": .n(counter), "checkpoint": .s(checkpoint),
            "checkpointSubSequenceNumber": .n(sub), "ownerSwitchesSinceCheckpoint": .n(switches),
        ]
        if let owner { item["leaseOwner"] = .s(owner) }
        return item
    }

    private static func ranged(_ item: Item, _ number: Int, of count: Int) -> Item {
        let range = range(number, of: count)
        return item.merging(
            ["startingHashKey": .s(String(range.start)), "endingHashKey": .s(String(range.end))]) { $1 }
    }

    /// 1.x before 1.14: no hash range, no children.
    static let v1 = Tables(leases: [
        row(0, owner: "v1-worker-a", counter: 4711, checkpoint: checkpoint(age: .seconds(3)).text, sub: 2),
        row(1, owner: "v1-worker-b", counter: 912, checkpoint: "TRIM_HORIZON"),
        row(2, owner: nil, counter: 3, checkpoint: "LATEST").merging(["parentShardId": .ss([id(0)])]) { $1 },
    ])

    /// 2.x: a prepared checkpoint, an ended parent with its children, a child that waits.
    static let v2 = Tables(leases: [
        ranged(row(0, owner: "v2-worker-a", counter: 20, checkpoint: "SHARD_END"), 0, of: 2)
            .merging(["childShardIds": .ss([id(2), id(3)])]) { $1 },
        ranged(
            row(1, owner: "v2-worker-b", counter: 77, checkpoint: checkpoint(age: .seconds(1), of: 1).text), 1, of: 2
        )
        .merging([
            "pendingCheckpoint": .s(checkpoint(age: .zero, of: 1).text),
            "pendingCheckpointSubSequenceNumber": .n(1), "pendingCheckpointState": .b(Bytes("state")),
        ]) { $1 },
        ranged(row(2, owner: "v2-worker-a", counter: 5, checkpoint: "TRIM_HORIZON"), 0, of: 4)
            .merging(["parentShardId": .ss([id(0)])]) { $1 },
        // Java's create path may write a number where the state stands.
        ranged(row(3, owner: "v2-worker-b", counter: 6, checkpoint: "TRIM_HORIZON"), 1, of: 4)
            .merging(["parentShardId": .ss([id(0)]), "pendingCheckpointState": .n(0)]) { $1 },
    ])

    static func migration(_ version: String, keyName: String = "key") -> Item {
        let since = Watch.noon + .seconds(-7200)
        let change: [String: AttributeValue] = [
            "cv": .s("CLIENT_VERSION_UPGRADE_FROM_2X"), "mb": .s("v3-worker-b"),
            "mts": .n((since + .seconds(-3600)).milliseconds),
        ]
        return [
            keyName: .s("Migration3.0"), "cv": .s(version), "mb": .s("v3-worker-a"), "mts": .n(since.milliseconds),
            "h": .l([.m(change)]),
        ]
    }

    static func leader(_ owner: String, version: String = "0b6f-1", keyName: String = "key") -> Item {
        [
            keyName: .s("Leader"), "ownerName": .s(owner), "leaseDuration": .s("120000"),
            "recordVersionNumber": .s(version),
        ]
    }

    /// A metrics row, `age` old at noon; `cpu` is its last sample.
    static func metrics(
        _ worker: String, age: Duration = .seconds(5), cpu: Double = 37.5, keyName: String = "wid"
    ) -> Item {
        func list(_ values: [Double]) -> AttributeValue { .l(values.map { .n("\($0)") }) }
        return [
            keyName: .s(worker), "lut": .n((Watch.noon + (.zero - age)).milliseconds / 1000),
            "sts": .m(["C": list([12, 30.25, cpu]), "M": list([50]), "NI": list([3]), "NO": list([2])]),
            "opr": .m(["C": list([80]), "M": list([100]), "NI": list([100]), "NO": list([100])]),
            "properties": .m([:]),
        ]
    }

    /// 3.0 to 3.4: a lease that is handed over, throughput in the rows, two tables beside.
    static func v3(_ version: String = "CLIENT_VERSION_3X", leader owner: String? = "v3-worker-a") -> Tables {
        Tables(
            leases: [
                ranged(
                    row(0, owner: "v3-worker-a", counter: 300, checkpoint: checkpoint(age: .seconds(2)).text), 0, of: 2
                )
                .merging(["throughputKBps": .n("12.25")]) { $1 },
                ranged(
                    row(1, owner: "v3-worker-b", counter: 301, checkpoint: checkpoint(age: .seconds(2), of: 1).text), 1,
                    of: 2
                ).merging(["throughputKBps": .n("0.000001"), "checkpointOwner": .s("v3-worker-a")]) { $1 },
            ], migration: migration(version), leader: owner.map { leader($0) },
            metrics: [metrics("v3-worker-a"), metrics("v3-worker-b"), metrics("v3-worker-idle", cpu: 4)])
    }

    /// 3.5: everything in the lease table, with kinds of rows that no reader knows yet.
    static let v35 = Tables(leases: [
        ranged(row(0, owner: "v35-worker-a", counter: 8, checkpoint: checkpoint(age: .seconds(2)).text), 0, of: 2)
            .merging(["entityType": .s("LEASE"), "throughputKBps": .n("3.5")]) { $1 },
        ranged(row(1, owner: nil, counter: 0, checkpoint: "LATEST"), 1, of: 2)
            .merging(["entityType": .s("LEASE")]) { $1 },
        migration("CLIENT_VERSION_3X_WITH_ROLLBACK", keyName: "leaseKey")
            .merging(["entityType": .s("CLIENT_VERSION_MIGRATION")]) { $1 },
        leader("v35-worker-a", keyName: "leaseKey").merging(["entityType": .s("LEADER")]) { $1 },
        [
            "leaseKey": .s("TableMigration3.5"), "entityType": .s("TABLE_MIGRATION"),
            "tm": .s("TABLE_MIGRATION_STATUS_COMPLETE"), "mb": .s("v35-worker-a"), "mts": .n(1),
        ],
        metrics("v35-worker-a", keyName: "leaseKey")
            .merging(["entityType": .s("WORKER_METRIC_STATS"), "sup": .n(1), "slu": .n(1_770_000_000)]) { $1 },
        metrics("v35-worker-b", age: .seconds(600), keyName: "leaseKey")
            .merging(["entityType": .s("WORKER_METRIC_STATS")]) { $1 },
        [
            "leaseKey": .s("123456789012:orders:1700000000"), "entityType": .s("STREAM"),
            "streamId": .s("123456789012:orders:1700000000"),
        ],
        ["leaseKey": .s("warp"), "entityType": .s("WARP_CORE"), "flux": .n(9)],
        ["leaseKey": .s("no-kind"), "note": .s("somebody's")],
    ])

    /// Of several streams, as 2.x writes it.
    static let multiStream: Tables = {
        let stream = "123456789012:orders:1700000000"
        return Tables(
            leases: (0..<2).map { number in
                ranged(row(number, owner: "multi-worker", counter: 9, checkpoint: "LATEST"), number, of: 2)
                    .merging([
                        "leaseKey": .s("\(stream):\(id(number))"), "streamName": .s(stream), "shardId": .s(id(number)),
                    ]) { $1 }
            })
    }()
}

extension Watch {
    /// A first look at all tables of a fleet.
    static func over(_ tables: Generations.Tables) -> Watch {
        var watch = Watch(.test(stream: nil))
        watch.see(tables)
        return watch
    }

    /// A look at all tables; those that are not asked for are not shown.
    mutating func see(_ tables: Generations.Tables) {
        scan(tables.leases)
        send(.migrationItemRead(tables.migration, info()))
        answerSides(tables)
    }

    mutating func answerSides(_ tables: Generations.Tables) {
        if machine.schedule.underWay.contains(.leader) { send(.leaderRead(tables.leader, info(units: 0.5))) }
        if machine.schedule.underWay.contains(.metrics) { send(.workerMetricsRead(tables.metrics, info(units: 0.5))) }
    }
}
