import AWSWire
import Leases
import Machine

@testable import KinesisConsumer

/// `milliseconds` after the origin of the clock.
func at(_ milliseconds: Int64) -> Timestamp { .zero + .milliseconds(milliseconds) }

/// Sequence number `number`, sub-sequence number `sub`.
func seq(_ number: UInt64, _ sub: Int64 = 0) -> Checkpoint {
    Checkpoint(.sequenceNumber(SequenceNumber.zero.advanced(by: number)), subSequenceNumber: sub)
}

func leaseRow(
    _ key: String = "s1", owner: String? = nil, counter: Int64 = 0, checkpoint: Checkpoint = .trimHorizon,
    parents: [String] = [], children: [String] = [], range: HashKeyRange? = nil, isOurs: Bool = false
) -> Lease {
    Lease(
        leaseKey: key, leaseOwner: owner, leaseCounter: counter, checkpoint: checkpoint, parentShardIDs: parents,
        childShardIDs: children, hashKeyRange: range,
        ownerMark: isOurs ? owner.map { OwnerMark(owner: $0, failoverTime: .seconds(9)) } : nil)
}

func child(_ id: String, of parents: String...) -> ChildShard {
    ChildShard(shardID: id, parentShardIDs: parents, hashKeyRange: .whole)
}

/// A fetched batch with `records` records up to sequence number `last`.
func fetchedBatch(
    _ id: Int, through last: UInt64, records: Int = 1, next: String? = "next", behind: Int64 = 0,
    arenaBytes: Int = 100, children: [ChildShard] = []
) -> FetchedBatch {
    let first = last - UInt64(records) + 1
    return FetchedBatch(
        id: id, records: records, dataBytes: records * 10, arenaBytes: arenaBytes, first: seq(first),
        last: seq(last), lastWireRecord: seq(last).sequenceNumber, firstWireRecord: seq(first).sequenceNumber,
        next: next, millisBehindLatest: behind, children: children)
}

/// A fetched batch with nothing in it.
func emptyBatch(_ id: Int, next: String? = "next", behind: Int64 = 0, children: [ChildShard] = []) -> FetchedBatch {
    FetchedBatch(
        id: id, records: 0, dataBytes: 0, arenaBytes: 50, next: next, millisBehindLatest: behind,
        children: children)
}

extension WorkerConfiguration {
    /// A worker `me` that fails over after 9 s: it renews every 2 975 ms, delivers until 6 s after its last renewal and
    /// looks at the whole table every 18 050 ms.
    static var sample: WorkerConfiguration {
        var generator = SeededGenerator(seed: 1)
        var configuration = WorkerConfiguration(
            applicationName: "app", streamName: "orders", workerID: "me", generator: &generator)
        configuration.failoverTime = .seconds(9)
        configuration.initialPosition = .trimHorizon
        configuration.releaseLeasesOnShutdown = true
        return configuration
    }

    func with(_ change: (inout WorkerConfiguration) -> Void) -> WorkerConfiguration {
        var changed = self
        change(&changed)
        return changed
    }
}

/// The whole hash key space in as many equal parts as there are `ids`.
func listedShards(_ ids: String..., parents: [String: [String]] = [:], closed: Set<String> = []) -> [Shard] {
    let size = UInt128.max / UInt128(max(1, ids.count))
    return ids.enumerated().map { index, id in
        let start = UInt128(index) * size + (index == 0 ? 0 : 1)
        let end = index == ids.count - 1 ? UInt128.max : UInt128(index + 1) * size
        return Shard(
            shardID: id, parentShardID: parents[id]?.first, adjacentParentShardID: parents[id]?.dropFirst().first,
            hashKeyRange: HashKeyRange(start: start, end: end), startingSequenceNumber: "\(index)",
            endingSequenceNumber: closed.contains(id) ? "99" : nil)
    }
}

func event(
    _ kind: WorkerEvent.Kind, _ shardID: String? = "s1", message: String? = nil, checkpoint: Checkpoint? = nil,
    children: [String] = []
) -> WorkerEvent {
    WorkerEvent(
        kind, at: .zero, shardID: shardID, checkpoint: checkpoint, childShardIDs: children, message: message)
}

/// What is said of a batch that was processed, or skipped with `message`.
func batchEvent(_ batch: FetchedBatch, skippedFor message: String? = nil) -> WorkerEvent {
    WorkerEvent(
        message == nil ? .recordsProcessed : .recordsSkipped, at: .zero, shardID: "s1", records: batch.records,
        bytes: batch.dataBytes, from: batch.first?.sequenceNumber, to: batch.last?.sequenceNumber,
        millisBehindLatest: batch.millisBehindLatest, message: message)
}
