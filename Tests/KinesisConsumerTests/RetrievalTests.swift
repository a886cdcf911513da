import AWSWire
import Leases
import Machine
import Testing

@testable import KinesisConsumer

private func retrieval(
    _ checkpoint: Checkpoint = .trimHorizon, start: ShardPosition = .trimHorizon,
    _ change: (inout WorkerConfiguration) -> Void = { _ in }
) -> Retrieval {
    Retrieval(lease: leaseRow(checkpoint: checkpoint), start: start, configuration: .sample.with(change))
}

extension Retrieval {
    fileprivate mutating func due(_ now: Int64) -> [ShardMachine.Effect] { fetchIfDue(at(now)) }

    fileprivate mutating func got(_ iterator: String, _ now: Int64, latestAt: UnixTime? = nil) {
        iteratorGot(iterator, latestAt: latestAt, at(now))
    }

    fileprivate mutating func answer(_ batch: FetchedBatch, _ now: Int64) -> [ShardMachine.Effect] {
        fetched(batch, shardID: "s1", at(now))
    }

    fileprivate mutating func fail(_ meaning: AWSError.Meaning, _ now: Int64) -> [ShardMachine.Effect] {
        failed(meaning, "no", shardID: "s1", at(now))
    }
}

private func fetch(_ iterator: String, after: Checkpoint? = nil) -> ShardMachine.Effect {
    .fetch(iterator: iterator, dropThrough: after, range: nil)
}

/// With the fetch by iterator `i1` on its way since the origin.
private func fetching(
    _ checkpoint: Checkpoint = .trimHorizon, start: ShardPosition = .trimHorizon,
    _ change: (inout WorkerConfiguration) -> Void = { _ in }
) -> Retrieval {
    var reading = retrieval(checkpoint, start: start, change)
    _ = reading.due(0)
    reading.got("i1", 0)
    _ = reading.due(0)
    return reading
}

@Suite struct RetrievalTests {
    @Test func `an iterator, then records, one request at a time`() {
        var reading = retrieval()
        #expect(reading.due(0) == [.getIterator(.trimHorizon)])
        #expect(reading.due(5) == [])
        reading.got("i1", 10)
        #expect(reading.due(10) == [fetch("i1")])
        #expect(reading.due(5000) == [])
    }

    @Test func `a checkpoint inside an aggregate is read AT its record, and what was done is dropped`() {
        var reading = retrieval(seq(7, 3), start: .atSequenceNumber("7"))
        #expect(reading.due(0) == [.getIterator(.atSequenceNumber("7"))])
        reading.got("i1", 0)
        #expect(reading.due(0) == [fetch("i1", after: seq(7, 3))])
    }

    @Test func `records of a shard are filtered by its hash range`() {
        let range = HashKeyRange(start: 5, end: 9)
        var reading = Retrieval(lease: leaseRow(range: range), start: .trimHorizon, configuration: .sample)
        _ = reading.due(0)
        reading.got("i1", 0)
        #expect(reading.due(0) == [.fetch(iterator: "i1", dropThrough: nil, range: range)])
    }

    @Test func `an iterator that expires with nothing read is renewed AT the checkpoint`() {
        var reading = fetching(seq(7), start: .atSequenceNumber("7"))
        #expect(reading.fail(.expiredIterator, 100) == [])
        #expect(reading.due(100) == [.getIterator(.atSequenceNumber("7"))])
    }

    @Test func `an iterator that expires later is renewed AFTER the last record`() {
        var reading = fetching(seq(7), start: .atSequenceNumber("7"))
        _ = reading.answer(fetchedBatch(1, through: 12), 10)
        _ = reading.due(1500)
        #expect(reading.fail(.expiredIterator, 1600) == [])
        #expect(reading.due(1600) == [.getIterator(.afterSequenceNumber("12"))])
        reading.got("i2", 1600)
        #expect(reading.due(1600) == [fetch("i2", after: seq(12))])
    }

    @Test func `records of which nothing was left count as read`() {
        var reading = fetching(seq(7), start: .atSequenceNumber("7"))
        var filtered = emptyBatch(1)
        filtered.lastWireRecord = seq(9).sequenceNumber
        _ = reading.answer(filtered, 10)
        _ = reading.due(1500)
        _ = reading.fail(.expiredIterator, 1600)
        #expect(reading.due(1600) == [.getIterator(.afterSequenceNumber("9"))])
    }

    @Test func `LATEST means the moment it was first asked for, though its iterator expires unread`() {
        var reading = retrieval(.latest, start: .latest)
        #expect(reading.due(0) == [.getIterator(.latest)])
        let moment = UnixTime(milliseconds: 1000)
        reading.got("i1", 0, latestAt: moment)
        _ = reading.due(0)
        _ = reading.answer(emptyBatch(1), 10)
        _ = reading.due(1500)
        _ = reading.fail(.expiredIterator, 400_000)
        #expect(reading.due(400_000) == [.getIterator(.atTimestamp(moment))])
        reading.got("i2", 400_000, latestAt: UnixTime(milliseconds: 401_000))
        _ = reading.due(400_000)
        _ = reading.fail(.expiredIterator, 800_000)
        #expect(reading.due(800_000) == [.getIterator(.atTimestamp(moment))])
    }

    @Test func `at the tip a read starts every idle time after the start of the one before`() {
        var reading = fetching()
        _ = reading.answer(emptyBatch(1), 900)
        #expect(reading.nextDeadline == at(1500))
        #expect(reading.due(1499) == [])
        #expect(reading.due(1500) == [fetch("next")])
    }

    @Test func `behind the tip reads keep to four a second`() {
        var reading = fetching()
        _ = reading.answer(fetchedBatch(1, through: 5, behind: 60_000), 100)
        #expect(reading.due(249) == [])
        #expect(reading.due(250) == [fetch("next", after: seq(5))])
    }

    @Test func `a slow answer is followed at once`() {
        var reading = fetching()
        _ = reading.answer(emptyBatch(1), 4000)
        #expect(reading.due(4000) == [fetch("next")])
    }

    @Test func `prefetching stops at so many batches, bytes or records, and goes on when one is taken`() {
        let limits: [(inout WorkerConfiguration) -> Void] = [
            { $0.prefetchBatchesMax = 2 }, { $0.prefetchBytesMax = 200 }, { $0.prefetchRecordsMax = 6 },
        ]
        for limit in limits {
            var reading = fetching(.trimHorizon, limit)
            _ = reading.answer(fetchedBatch(1, through: 3, records: 3, arenaBytes: 100), 0)
            #expect(reading.due(1500) == [fetch("next", after: seq(3))])
            _ = reading.answer(fetchedBatch(2, through: 6, records: 3, arenaBytes: 100), 1500)
            #expect(reading.nextDeadline == .never)
            #expect(reading.due(9000) == [])
            #expect(reading.next()?.id == 1)
            #expect(reading.due(9000) == [fetch("next", after: seq(6))])
        }
    }

    @Test func `throttling is said, and doubles the pause up to eight times`() {
        var reading = fetching()
        var now: Int64 = 0
        for pause in [1500, 3000, 6000, 12_000, 12_000] as [Int64] {
            #expect(reading.fail(.throttled, now) == [.emit(event(.throttled, message: "no"))])
            #expect(reading.due(now + pause - 1) == [])
            now += pause
            #expect(reading.due(now) == [fetch("i1")])
        }
        _ = reading.answer(emptyBatch(1), now)
        #expect(reading.due(now + 1500) == [fetch("next")])
    }

    @Test func `a failure that lasts is said at the second try, then at every twentieth`() {
        var reading = fetching()
        var now: Int64 = 0
        for attempt in 1...40 {
            let effects = reading.fail(.transient, now)
            #expect(
                effects == ([2, 20, 40].contains(attempt) ? [.emit(event(.throttled, message: "no"))] : []))
            now += 12_000
            #expect(reading.due(now) == [fetch("i1")])
        }
    }

    @Test func `an iterator that the service refuses is replaced after a pause`() {
        var reading = fetching()
        #expect(reading.fail(.invalid, 100) == [])
        #expect(reading.due(1599) == [])
        #expect(reading.due(1600) == [.getIterator(.trimHorizon)])
    }

    @Test func `a deleted stream is the end, after what was read`() {
        var reading = fetching()
        _ = reading.answer(fetchedBatch(1, through: 3), 0)
        _ = reading.due(1500)
        #expect(reading.fail(.notFound, 1600) == [])
        #expect(reading.end == .deleted)
        #expect(!reading.isDrained)
        #expect(reading.next()?.id == 1)
        #expect(reading.isDrained)
        #expect(reading.due(9000) == [])
    }

    @Test func `a null iterator is the end, with the children of its answer`() {
        var reading = fetching()
        let children = [child("c1", of: "s1"), child("c2", of: "s1")]
        #expect(reading.answer(emptyBatch(1, next: nil, children: children), 0).first == .discard([1]))
        #expect(reading.end == .children(children))
        #expect(reading.isDrained)
        #expect(reading.due(9000) == [])
    }

    @Test func `an end that was none goes on after the last record`() {
        var reading = fetching()
        _ = reading.answer(fetchedBatch(1, through: 3, next: nil), 0)
        _ = reading.next()
        reading.endWasWrong(at(2000))
        #expect(!reading.isDrained)
        #expect(reading.due(3499) == [])
        #expect(reading.due(3500) == [.getIterator(.afterSequenceNumber("3"))])
    }

    @Test func `an empty read says the lag, at most every two seconds`() {
        var reading = fetching()
        let said = ShardMachine.Effect.emit(
            WorkerEvent(.recordsProcessed, at: .zero, shardID: "s1", records: 0, bytes: 0, millisBehindLatest: 40))
        #expect(reading.answer(emptyBatch(1, behind: 40), 0) == [.discard([1]), said])
        _ = reading.due(250)
        #expect(reading.answer(emptyBatch(2, behind: 40), 1999) == [.discard([2])])
        _ = reading.due(2250)
        #expect(reading.answer(emptyBatch(3, behind: 40), 2300) == [.discard([3]), said])
    }

    @Test func `empty batches reach the processor where that is wanted`() {
        var reading = fetching { $0.callProcessRecordsEvenForEmptyRecordList = true }
        #expect(reading.answer(emptyBatch(1), 0) == [])
        #expect(reading.next()?.id == 1)
    }

    @Test func `a batch that was put back is first again, and all can be discarded`() {
        var reading = fetching()
        _ = reading.answer(fetchedBatch(1, through: 3), 0)
        _ = reading.due(1500)
        _ = reading.answer(fetchedBatch(2, through: 6), 1500)
        guard let first = reading.next() else {
            Issue.record("no batch")
            return
        }
        reading.putBack(first)
        #expect(reading.discardAll() == [1, 2])
        #expect(reading.next() == nil)
    }

    @Test func `an answer that nobody waits for is no failure`() {
        var reading = fetching()
        _ = reading.answer(emptyBatch(1), 0)
        #expect(reading.fail(.notFound, 10) == [])
        #expect(reading.end == nil)
    }
}
