import AWSWire
import Leases
import Machine
import Testing

@testable import KinesisConsumer

@Suite struct PrefetchBudgetTests {
    /// A page of so many records of one kilobyte.
    private func page(_ id: Int, records: Int, from first: UInt64) -> FetchedBatch {
        var batch = fetchedBatch(
            id, through: first + UInt64(records) - 1, records: records, behind: 60_000, arenaBytes: records << 10)
        batch.wireRecords = records
        return batch
    }

    /// Reads a backlog on `shards` shards that hand nothing over, with a budget for all.
    ///
    /// - Returns: what each shard holds in the end.
    private func held(_ shards: Int, budget: Int, stuck: Set<Int> = []) -> [Int] {
        var reading = (0..<shards).map { _ in
            Retrieval(lease: leaseRow(), start: .trimHorizon, configuration: .sample)
        }
        var claims = Array(repeating: 0, count: shards)
        var last = 0
        var budget = PrefetchBudget(bytesMax: budget)
        for round in 0..<40 {
            let now = Int64(round) * 1500
            for index in reading.indices {
                reading[index].allowance = budget.allowance(before: claims[index], shards: shards)
                for effect in reading[index].fetchIfDue(at(now)) {
                    if case .getIterator = effect { reading[index].iteratorGot("i", latestAt: nil, at(now)) }
                    guard case .fetch(_, let limit, _, _) = effect else { continue }
                    last += 1
                    let page = page(last, records: min(limit, 8000), from: UInt64(last) * 10_000)
                    _ = reading[index].fetched(page, shardID: "s1", at(now))
                }
                // One batch is with the processor, which is done at the next round.
                if !stuck.contains(index) || reading[index].processingBytes == nil {
                    reading[index].processingBytes = reading[index].next()?.arenaBytes
                }
                claims[index] = reading[index].claimedBytes
                budget.settle(claims[index])
            }
        }
        return reading.map(\.heldBytes)
    }

    @Test(arguments: [1, 4, 64, 500])
    func `all shards together stay near the budget, and each reads`(shards: Int) {
        let budget = 16 << 20
        let held = held(shards, budget: budget)
        #expect(held.reduce(0, +) <= budget * 2)
        #expect(held.allSatisfy { $0 > 0 })
    }

    @Test func `shards whose processors are stuck leave the others their share`() {
        let held = held(16, budget: 16 << 20, stuck: Set(0..<15))
        #expect(held[15] >= 256 << 10)
        #expect(held.reduce(0, +) <= 32 << 20)
    }

    @Test func `a shard alone has pages of full size`() {
        var reading = Retrieval(lease: leaseRow(), start: .trimHorizon, configuration: .sample)
        var budget = PrefetchBudget(bytesMax: 64 << 20)
        reading.allowance = budget.allowance(before: 0, shards: 1)
        #expect(reading.pageLimit == 10_000)
    }

    @Test func `what others leave over may be used`() {
        var budget = PrefetchBudget(bytesMax: 8 << 20)
        #expect(budget.allowance(before: 0, shards: 4) == 8 << 20)
        budget.settle(3 << 20)
        #expect(budget.allowance(before: 0, shards: 4) == 5 << 20)
        budget.settle(5 << 20)
        #expect(budget.allowance(before: 0, shards: 4) == 2 << 20)
        budget.settle(0)
        #expect(budget.allowance(before: 5 << 20, shards: 4) == 5 << 20)
    }

    @Test func `a worker's shards read within one budget, and what ends gives back`() {
        var rig = WorkerRig.holding("s1", "s2", configuration: .sample.with { $0.prefetchBytesMaxPerWorker = 1 << 20 })
        #expect(rig.machine.prefetch.claimed > 0)
        var page = fetchedBatch(1, through: 5, behind: 60_000, arenaBytes: 900 << 10)
        page.wireRecords = 1
        _ = rig.send(.shard(tenure: 1, .fetched(page)), at: 10)
        let fetches = rig.wake(at: 400).calm
        // The batch with the processor is more than a share.
        #expect(!fetches.contains { if case .shard(tenure: 1, _, .fetch) = $0 { true } else { false } })
        _ = rig.send(.shard(tenure: 1, .returned(.processRecords(batch: 1), failure: nil)), at: 500)
        #expect(rig.machine.prefetch.claimed < 1 << 20)
    }

    @Test func `the next page follows while the first one is processed, and no third`() {
        var reading = Retrieval(lease: leaseRow(), start: .trimHorizon, configuration: .sample)
        reading.allowance = 1000
        #expect(reading.hasRoom)
        reading.processingBytes = 999
        #expect(reading.hasRoom)
        reading.processingBytes = 1000
        #expect(!reading.hasRoom)
        reading.processingBytes = 0
        reading.allowance = 0
        #expect(reading.hasRoom)
    }
}
