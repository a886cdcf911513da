import AWSWire
import Leases
import Machine

@testable import KinesisConsumer

/// Random events for machines: answers that may be late, doubled, foreign or odd.
struct Noise {
    var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &generator) }
    mutating func chance(_ probability: Double) -> Bool { generator.chance(probability) }
    mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }

    mutating func position() -> Checkpoint {
        switch below(8) {
        case 0: .trimHorizon
        case 1: .latest
        case 2: .atTimestamp
        case 3: .shardEnd
        case 4: Checkpoint(.sequenceNumber(.zero), subSequenceNumber: pick([.max, .min, -1]))
        default: seq(UInt64(below(100)), Int64(below(3)))
        }
    }

    mutating func lease(_ key: String) -> Lease {
        leaseRow(
            key, owner: pick([nil, "me", "me", "you", "they"]), counter: pick([0, 1, Int64(below(50)), .max, .min]),
            checkpoint: position(), parents: pick([[], [], ["s1"], ["s1", "s2"], [key]]),
            children: pick([[], ["s3"], ["s9"]]), range: pick([nil, .whole, HashKeyRange(start: 0, end: 5)]))
    }

    mutating func meaning() -> AWSError.Meaning {
        pick([
            .throttled, .transient, .conditionFailed, .notFound, .inUse, .expiredIterator, .denied, .unauthenticated,
            .clockSkewed, .invalid, .cancelled,
        ])
    }

    mutating func children() -> [ChildShard] {
        pick([[], [child("s3", of: "s1")], [child("s3", of: "s1", "s2"), child("s4", of: "s1")]])
    }

    mutating func batch(_ id: Int) -> FetchedBatch {
        var batch =
            chance(0.3)
            ? emptyBatch(id, next: chance(0.8) ? "i" : nil, children: children())
            : fetchedBatch(
                id, through: UInt64(10 + below(100)), next: chance(0.9) ? "i" : nil, behind: Int64(below(3)),
                children: children())
        batch.millisBehindLatest = pick([nil, 0, 1, .max, .min])
        return batch
    }

    mutating func result(_ lease: Lease) -> WriteResult {
        switch below(6) {
        case 0: .conditionFailed(nil)
        case 1: .conditionFailed(self.lease(lease.leaseKey))
        case 2: .lost("timed out")
        case 3: .failed(meaning(), "no")
        default: .stored(chance(0.5) ? lease : nil)
        }
    }

    mutating func request() -> CheckpointRequest {
        switch below(4) {
        case 0: .commit(nil)
        case 1: .commit(position())
        case 2: .prepare(chance(0.5) ? nil : position(), nil)
        default: .commitPrepared(position())
        }
    }

    mutating func write() -> HeldLease.Write {
        switch below(5) {
        case 0: .renew
        case 1: .checkpoint(position())
        case 2: .prepare(PendingCheckpoint(checkpoint: position()))
        case 3: .setChildren(["s3"])
        default: .release
        }
    }

    mutating func call() -> ShardMachine.Call {
        switch below(5) {
        case 0: .initialize(.trimHorizon, nil)
        case 1: .processRecords(batch: below(50))
        case 2: .leaseLost
        case 3: .shardEnded
        default: .shutdownRequested
        }
    }

    /// Anything but the return of a call, the loss and the shutdown, which their tests send themselves.
    mutating func shardEvent(_ now: Timestamp) -> ShardMachine.Event {
        switch below(14) {
        case 12: .consumerMissing(0, "no")
        case 13: .subscriptionFailed(0, meaning(), "no")
        case 0: .begun
        case 1: .parentsChecked(unfinished: pick([[], ["s1"]]))
        case 2: .parentCheckFailed
        case 3: .iteratorGot("i", latestAt: pick([nil, UnixTime(milliseconds: .min)]))
        case 4: .retrievalFailed(meaning(), "no")
        case 5: .fetched(batch(below(50)))
        case 6: .childrenFound(closed: chance(0.5), children())
        case 7: .childrenCreated
        case 8: .childrenNotCreated("no")
        case 9: .checkpointRequested(below(1000), request())
        default: .written(write(), chance(0.7) ? nil : .throttling)
        }
    }
}
