import AWSWire
import KinesisConsumer
import Leases
import Machine
import Testing

@testable import Metrics

private let shard = "shardId-000000000001"

private func at(_ milliseconds: Int64) -> Timestamp { Timestamp(nanoseconds: milliseconds * 1_000_000) }
private func wall(_ milliseconds: Int64) -> UnixTime { UnixTime(milliseconds: milliseconds) }

private func measure(
    _ operation: WorkerMeasure.Operation, _ milliseconds: Int64 = 0, wall at: Int64 = 0, isSuccess: Bool = true
) -> MetricsMachine.Event {
    var measure = WorkerMeasure(
        operation, shardID: shard, duration: .milliseconds(milliseconds), isSuccess: isSuccess)
    measure.at = wall(at)
    return .measured(measure)
}

private func event(_ kind: WorkerEvent.Kind, _ shardID: String? = nil, wall at: Int64 = 0) -> MetricsMachine.Event {
    .happened(WorkerEvent(kind, at: wall(at), shardID: shardID))
}

private func machine(
    _ level: MetricsSettings.Level = .detailed, dimensions: [String]? = nil, queueMax: Int = 10_000
) -> MetricsMachine {
    MetricsMachine(
        MetricsSettings(
            namespace: "words", workerID: "worker-1", level: level, queueMax: queueMax, dimensions: dimensions))
}

private func statistics(_ values: Double...) -> StatisticSet {
    var set = StatisticSet(values[0])
    for value in values.dropFirst() { set.add(value) }
    return set
}

private func datum(
    _ name: String, _ operation: String, shard: String? = nil, worker: Bool = false, in unit: MetricDatum.Unit = .count,
    wall at: Int64 = 0, _ statistics: StatisticSet
) -> MetricDatum {
    var dimensions = [MetricDatum.Dimension("Operation", operation)]
    if let shard { dimensions.append(.init("ShardId", shard)) }
    if worker { dimensions.append(.init("WorkerIdentifier", "worker-1")) }
    return MetricDatum(name, dimensions: dimensions, unit: unit, at: wall(at), statistics: statistics)
}

/// What is published `bufferTime` after the events, as `Operation[/ShardId][/WorkerIdentifier] Metric`.
private func names(_ events: [MetricsMachine.Event], _ level: MetricsSettings.Level, _ dimensions: [String]? = nil)
    -> [String]
{
    var machine = machine(level, dimensions: dimensions)
    for event in events { _ = machine.handle(event, at: at(0)) }
    let effects = machine.handle(.woke(at(10_000)), at: at(10_000))
    guard case .publish(let data)? = effects.first else { return [] }
    return data.map { datum in
        let place = datum.dimensions.map { $0.name == "Operation" ? $0.value : $0.name }.joined(separator: "/")
        return "\(place) \(datum.name)"
    }
}

@Suite struct MetricsMachineTests {
    @Test("The values of a buffer time become one statistic set for each metric") func sums() {
        var machine = machine(.summary)
        let process = WorkerMeasure.Operation.process(
            records: 3, bytes: 30, millisBehindLatest: 700, isDelivered: true)
        #expect(machine.handle(measure(process, 12, wall: 5), at: at(100)) == [.wake(at(10_100))])
        let idle = WorkerMeasure.Operation.process(millisBehindLatest: 100)
        #expect(machine.handle(measure(idle, wall: 900), at: at(1000)) == [])
        let effects = machine.handle(.woke(at(10_100)), at: at(10_100))
        #expect(
            effects == [
                .publish([
                    datum("MillisBehindLatest", "ApplicationTracker", in: .milliseconds, wall: 5, statistics(700, 100)),
                    datum("RecordsProcessed", "ProcessTask", shard: shard, wall: 5, statistics(0, 3, 0)),
                    datum("DataBytesProcessed", "ProcessTask", shard: shard, in: .bytes, wall: 5, statistics(0, 30, 0)),
                    datum(
                        "MillisBehindLatest", "ProcessTask", shard: shard, in: .milliseconds, wall: 5,
                        statistics(700, 100)),
                    datum(
                        "RecordProcessor.processRecords.Time", "ProcessTask", shard: shard, in: .milliseconds, wall: 5,
                        statistics(12)),
                    datum("Success", "ProcessTask", shard: shard, wall: 5, statistics(1, 1)),
                    datum("Time", "ProcessTask", shard: shard, in: .milliseconds, wall: 5, statistics(12, 0)),
                ])
            ])
        #expect(machine.handle(.published(failure: nil), at: at(10_200)) == [])
    }

    @Test("What KCL calls DETAILED is missing from SUMMARY, and NONE has nothing") func levels() {
        let taking = WorkerMeasure.Operation.takeLeases(WorkerMeasure.Taking())
        let events = [
            measure(.initialize), measure(.getRecords), measure(.getShardIterator), measure(.expireIterator),
            measure(.initializeProcessor), measure(.shutDownProcessor), measure(.renewLease),
            measure(.updateLease(isEnd: false)), measure(.updateLease(isEnd: true)), measure(.listLeases),
            measure(.takeLease(isTaken: true)), measure(taking), measure(.createLease(.trimHorizon, isChild: false)),
            measure(.createLease(.trimHorizon, isChild: true)), measure(.listShards),
            measure(.audit(hasHoles: true, wantsSync: false)), measure(.auditByAnother),
        ]
        let summary = [
            "Scheduler:Initialize Initialize.Success", "ProcessTask ExpiredIterator",
            "InitializeTask RecordProcessor.initialize.Time", "ShutdownTask RecordProcessor.shutdown.Time",
            "TakeLeases/WorkerIdentifier ExpiredLeases", "TakeLeases/WorkerIdentifier LeaseSpillover",
            "TakeLeases/WorkerIdentifier NumWorkers", "TakeLeases/WorkerIdentifier VeryOldLeases",
            "TakeLeases/WorkerIdentifier TakenLeases", "TakeLeases/WorkerIdentifier UntakenLeases",
            "TakeLeases/WorkerIdentifier Success", "TakeLeases/WorkerIdentifier Time", "ShardSyncTask Success",
            "ShardSyncTask Time", "PeriodicShardSyncManager NumStreamsWithPartialLeases",
            "PeriodicShardSyncManager NumStreamsToSync", "PeriodicShardSyncManager NumSkippedShardSyncTask",
            "PeriodicShardSyncManager Success", "PeriodicShardSyncManager Time",
        ]
        #expect(names(events, .summary) == summary)
        let detailed = [
            "ProcessTask/ShardId KinesisDataFetcher.getRecords.Success",
            "ProcessTask/ShardId KinesisDataFetcher.getRecords.Time",
            "ProcessTask/ShardId KinesisDataFetcher.getShardIterator.Success",
            "ProcessTask/ShardId KinesisDataFetcher.getShardIterator.Time",
            "RenewAllLeases/WorkerIdentifier RenewLease.Success", "RenewAllLeases/WorkerIdentifier RenewLease.Time",
            "ProcessTask/ShardId UpdateLease.Success", "ProcessTask/ShardId UpdateLease.Time",
            "ShutdownTask/ShardId UpdateLease.Success", "ShutdownTask/ShardId UpdateLease.Time",
            "TakeLeases/WorkerIdentifier ListLeases.Success", "TakeLeases/WorkerIdentifier ListLeases.Time",
            "TakeLeases/WorkerIdentifier TakeLease.Success", "TakeLeases/WorkerIdentifier TakeLease.Time",
            "TakeLeases/WorkerIdentifier LeasesToTake", "TakeLeases/WorkerIdentifier NeededLeases",
            "TakeLeases/WorkerIdentifier TotalLeases", "ShardSyncTask CreateLease.Success",
            "ShardSyncTask CreateLease.Time", "ShardSyncTask CreateLease_TRIM_HORIZON.Success",
            "ShutdownTask CreateLease.Success", "ShutdownTask CreateLease.Time",
            "ShutdownTask CreateLease_TRIM_HORIZON.Success", "ShardSyncTask SyncShards.Success",
            "LeaderDecider LeaderDecider:IsLeader",
        ]
        #expect(Set(names(events, .detailed)) == Set(summary + detailed))
        #expect(names(events, .none) == [])
    }

    @Test("Metrics that differ only in a dimension that is not enabled are one") func dimensions() {
        let events = [measure(.getRecords), measure(.renewLease)]
        #expect(
            names(events, .detailed, ["ShardId"]) == [
                "ProcessTask/ShardId KinesisDataFetcher.getRecords.Success",
                "ProcessTask/ShardId KinesisDataFetcher.getRecords.Time", "RenewAllLeases RenewLease.Success",
                "RenewAllLeases RenewLease.Time",
            ])
        #expect(
            names(events, .detailed, ["Operation", "ALL"]) == names(events, .detailed, nil))
        var machine = machine(.detailed, dimensions: [])
        for shardID in ["a", "b"] {
            var measure = WorkerMeasure(.getRecords, shardID: shardID, duration: .milliseconds(4))
            measure.at = wall(1)
            _ = machine.handle(.measured(measure), at: at(0))
        }
        #expect(
            machine.handle(.woke(at(10_000)), at: at(10_000)) == [
                .publish([
                    datum("KinesisDataFetcher.getRecords.Success", "ProcessTask", wall: 1, statistics(1, 1)),
                    datum(
                        "KinesisDataFetcher.getRecords.Time", "ProcessTask", in: .milliseconds, wall: 1,
                        statistics(4, 4)),
                ])
            ])
    }

    @Test("The renewals of a third of failoverTimeMillis count as one round") func rounds() {
        var machine = machine(.summary)
        #expect(machine.handle(event(.workerStarted), at: at(0)) == [])
        for shardID in ["a", "b", "c"] { _ = machine.handle(event(.leaseTaken, shardID), at: at(0)) }
        _ = machine.handle(event(.leaseLost, "c"), at: at(0))
        // Not held: somebody else's.
        _ = machine.handle(event(.leaseLost, "z"), at: at(0))
        _ = machine.handle(measure(.renewLease, 40), at: at(100))
        _ = machine.handle(measure(.renewLease, 20, isSuccess: false), at: at(200))
        #expect(machine.handle(measure(.renewLease, 5, wall: 3400), at: at(3400)) == [.wake(at(13_400))])
        let effects = machine.handle(.shutdownRequested, at: at(3500))
        #expect(
            effects == [
                .publish([
                    datum("LostLeases", "RenewAllLeases", worker: true, wall: 3400, statistics(1)),
                    datum("CurrentLeases", "RenewAllLeases", worker: true, wall: 3400, statistics(2)),
                    datum("Success", "RenewAllLeases", worker: true, wall: 3400, statistics(0)),
                    datum("Time", "RenewAllLeases", worker: true, in: .milliseconds, wall: 3400, statistics(40)),
                ]), .wake(at(8500)),
            ])
        #expect(!machine.isFinished)
        #expect(machine.handle(.published(failure: nil), at: at(3600)) == [])
        #expect(machine.isFinished)
    }

    @Test("Leases taken since the look before are told with the next one") func taken() {
        var machine = machine(.summary)
        _ = machine.handle(measure(.takeLease(isTaken: true)), at: at(0))
        _ = machine.handle(measure(.takeLease(isTaken: true)), at: at(0))
        _ = machine.handle(measure(.takeLease(isTaken: false)), at: at(0))
        _ = machine.handle(measure(.takeLeases(nil), isSuccess: false), at: at(0))
        _ = machine.handle(measure(.takeLeases(WorkerMeasure.Taking())), at: at(0))
        _ = machine.handle(measure(.takeLeases(WorkerMeasure.Taking())), at: at(0))
        let effects = machine.handle(.woke(at(10_000)), at: at(10_000))
        guard case .publish(let data)? = effects.first else {
            Issue.record("nothing published")
            return
        }
        #expect(data.first { $0.name == "TakenLeases" }?.statistics == statistics(2, 0))
        #expect(data.first { $0.name == "UntakenLeases" }?.statistics == statistics(1, 0))
        #expect(data.first { $0.name == "Success" }?.statistics == statistics(0, 1, 1))
    }

    @Test("An outage is said once, its data are dropped, and the end of it is said") func outage() {
        var machine = machine(.summary)
        func fill(_ now: Int64) -> [MetricsMachine.Effect] {
            _ = machine.handle(measure(.initialize), at: at(now))
            return machine.handle(.woke(at(now + 10_000)), at: at(now + 10_000))
        }
        let batch = [datum("Initialize.Success", "Scheduler:Initialize", statistics(1))]
        #expect(fill(0) == [.publish(batch)])
        #expect(
            machine.handle(.published(failure: "no answer"), at: at(10_001)) == [
                .say("metrics cannot be published to CloudWatch and are dropped, the worker goes on: no answer")
            ])
        #expect(fill(20_000) == [.publish(batch)])
        #expect(machine.handle(.published(failure: "no answer"), at: at(30_001)) == [])
        #expect(fill(40_000) == [.publish(batch)])
        #expect(
            machine.handle(.published(failure: nil), at: at(50_001)) == [
                .say("metrics are published to CloudWatch again; 2 data were dropped")
            ])
        #expect(machine.dropped == 2)
        #expect(machine.handle(.published(failure: nil), at: at(50_002)) == [])
    }

    @Test("One put is on its way at a time, and no more data wait than metricsMaxQueueSize") func queue() {
        var machine = machine(.detailed, queueMax: 600)
        func read(_ count: Int, from first: Int, at now: Int64) -> [MetricsMachine.Effect] {
            (first..<first + count).flatMap { number in
                machine.handle(
                    .measured(WorkerMeasure(.getRecords, shardID: "shard-\(number)")), at: at(now))
            }
        }
        // Two metrics for each shard.
        #expect(read(300, from: 0, at: 0) == [.wake(at(10_000))])
        let full = MetricsMachine.Effect.say("more than metricsMaxQueueSize = 600 metrics wait; some are dropped")
        #expect(read(2, from: 300, at: 1) == [full])
        #expect(machine.dropped == 4)
        let first = machine.handle(.woke(at(10_000)), at: at(10_000))
        guard case .publish(let data)? = first.first, first.count == 1 else {
            Issue.record("no put")
            return
        }
        #expect(data.count == 250)
        // 350 wait, so that 250 more have room.
        _ = read(200, from: 1000, at: 10_001)
        #expect(machine.dropped == 4 + 150)
        var sizes: [Int] = []
        for _ in 0..<10 {
            for case .publish(let data) in machine.handle(.published(failure: nil), at: at(20_001)) {
                sizes.append(data.count)
            }
        }
        #expect(sizes == [250, 250, 100])
    }

    @Test("A worker that ended does not wait longer than five seconds for CloudWatch") func shutdown() {
        var machine = machine(.summary)
        _ = machine.handle(measure(.initialize), at: at(0))
        _ = machine.handle(.shutdownRequested, at: at(100))
        #expect(!machine.isFinished)
        _ = machine.handle(.woke(at(5100)), at: at(5100))
        #expect(machine.isFinished)
        var idle = MetricsMachineTests.idle
        #expect(idle.handle(.shutdownRequested, at: at(0)) == [])
        #expect(idle.isFinished)
    }

    private static var idle: MetricsMachine { machine() }
}
