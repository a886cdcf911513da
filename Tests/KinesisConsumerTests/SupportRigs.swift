import AWSWire
import Leases
import Machine

@testable import KinesisConsumer

/// A shard's machine with what its worker tells it: after every event everything that is due is started.
struct ShardRig {
    var machine: ShardMachine
    var deliverUntil = Timestamp.never
    /// Of the effects too.
    var fence = at(9000)

    init(
        _ lease: Lease = leaseRow(), start: ShardPosition = .trimHorizon, _ configuration: WorkerConfiguration = .sample
    ) {
        machine = ShardMachine(lease, tenure: 1, start: start, configuration: configuration)
    }

    /// Initialized, with the first fetch on its way, at the origin.
    static func processing(
        _ lease: Lease = leaseRow(), start: ShardPosition = .trimHorizon, _ configuration: WorkerConfiguration = .sample
    ) -> ShardRig {
        var rig = ShardRig(lease, start: start, configuration)
        _ = rig.advance(at: 0)
        _ = rig.send(.returned(.initialize(lease.checkpoint, nil), failure: nil), at: 0)
        _ = rig.send(.iteratorGot("i1", latestAt: nil), at: 0)
        return rig
    }

    static func processing(_ configuration: WorkerConfiguration) -> ShardRig {
        processing(leaseRow(), configuration)
    }

    mutating func advance(at now: Int64) -> [ShardMachine.Effect] {
        var effects: [ShardMachine.Effect] = []
        for _ in 0..<16 {
            let more = machine.advance(KinesisConsumerTests.at(now), deliverUntil: deliverUntil, fence: fence)
            if more.isEmpty { break }
            effects += more
        }
        return effects
    }

    mutating func send(_ event: ShardMachine.Event, at now: Int64) -> [ShardMachine.Effect] {
        let effects = machine.handle(event, at: KinesisConsumerTests.at(now))
        return effects + advance(at: now)
    }

    /// Delivers and returns batch `id` of one record, with the fetch after it unanswered.
    mutating func deliver(_ batch: FetchedBatch, at now: Int64) {
        _ = send(.fetched(batch), at: now)
        _ = send(.returned(.processRecords(batch: batch.id), failure: nil), at: now)
    }
}

/// A worker's machine and what it knows at the start.
struct WorkerRig {
    var machine: WorkerMachine

    init(_ configuration: WorkerConfiguration = .sample) {
        machine = WorkerMachine(configuration, generator: SeededGenerator(seed: 1))
    }

    mutating func send(_ event: WorkerMachine.Event, at now: Int64) -> [WorkerMachine.Effect] {
        machine.handle(event, at: KinesisConsumerTests.at(now))
    }

    mutating func wake(at now: Int64) -> [WorkerMachine.Effect] {
        send(.woke(KinesisConsumerTests.at(now)), at: now)
    }

    mutating func start(
        _ shards: [Shard], _ rows: [Lease], provisionedReads: Int? = nil, readUnits: Double = 0, at now: Int64 = 0
    ) -> [WorkerMachine.Effect] {
        send(
            .started(
                WorkerMachine.Start(
                    tree: ShardTree(shards), rows: rows.map { .lease($0) }, provisionedReads: provisionedReads,
                    mode: .takers(clientVersion: nil), readUnits: readUnits)), at: now)
    }

    /// A worker that holds `keys`, taken and initialized at the origin with their first fetch on its way; tenures are
    /// numbered from 1 in the order of the keys.
    static func holding(
        _ keys: String..., others: [Lease] = [], shards: [Shard]? = nil, configuration: WorkerConfiguration = .sample
    ) -> WorkerRig {
        var rig = WorkerRig(configuration)
        let rows = keys.map { leaseRow($0, owner: "me", counter: 4) }
        let listed = shards ?? (keys + others.map(\.leaseKey)).flatMap { listedShards($0) }
        _ = rig.start(listed, rows + others)
        rig.machine.isNewcomer = false
        for (index, key) in keys.enumerated() {
            _ = rig.send(
                .taken(key: key, .stored(leaseRow(key, owner: "me", counter: 5)), sentAt: .zero), at: 0)
            let token = index + 1
            _ = rig.send(.shard(tenure: token, .returned(.initialize(.trimHorizon, nil), failure: nil)), at: 0)
            _ = rig.send(.shard(tenure: token, .iteratorGot("i1", latestAt: nil)), at: 0)
        }
        return rig
    }
}

extension [WorkerMachine.Effect] {
    /// All but the alarms.
    var calm: [WorkerMachine.Effect] {
        filter { if case .wake = $0 { false } else { true } }
    }

    var wakes: [Timestamp] {
        compactMap { if case .wake(let time) = $0 { time } else { nil } }
    }

    var scans: [WorkerMachine.Scan] {
        compactMap { if case .scan(let scan) = $0 { scan } else { nil } }
    }

    /// The rows that are deleted, with their conditions.
    var deletions: [WorkerMachine.Effect] {
        filter { if case .delete = $0 { true } else { false } }
    }

    var messages: [String] {
        compactMap { if case .emit(let event) = $0 { event.message } else { nil } }
    }

    /// The keys whose leases are written, in order.
    var writes: [String] {
        compactMap { if case .write(let key, _, _) = $0 { key } else { nil } }
    }

    /// The keys that are taken, in order.
    var takes: [String] {
        compactMap { if case .take(let key, _) = $0 { key } else { nil } }
    }
}

/// What a worker sends to take the row that it saw.
func takeEffect(_ seen: Lease) -> WorkerMachine.Effect {
    .take(key: seen.leaseKey, LeaseTable.take(table: "app", seen, by: "me", failoverTime: .seconds(9)))
}
