import AWSWire
import KinesisConsumer
import Leases
import Machine

/// `PrefetchRecordsPublisher`, `KinesisDataFetcher` and `ProcessTask` (kcl.md §6.1).
extension JavaWorker {
    private static let maxRecords = 10_000

    /// Reads and hands over until the subscription is cancelled or the shard ends.
    func read(_ token: Int, _ id: Int) async {
        while let consumer = consumer(token, id), !consumer.isCancelled, consumer.reason == nil, !Task.isCancelled {
            do { try await sleepBeforeNextCall(consumer) } catch { return }
            guard let batch = await fetch(consumer) else { continue }
            await consumer.monitor.lock()
            // Nobody asks whether the lease is still held: only the dispatch loop does, once a second.
            let isOver = await handOver(batch, consumer)
            consumer.monitor.unlock()
            if isOver { return }
        }
    }

    private func sleepBeforeNextCall(_ consumer: JavaConsumer) async throws {
        if consumer.reader.lastSuccess == nil, consumer.reader.isFirstCall {
            consumer.reader.isFirstCall = false
            return
        }
        let idle = configuration.idleTimeBetweenReads
        let since = consumer.reader.lastSuccess.map { now - $0 } ?? .zero
        if since < idle { try await time.sleep(for: idle - since) }
        consumer.reader.lastSuccess = nil
    }

    private func fetch(_ consumer: JavaConsumer) async -> RecordBatch? {
        // A stream that is gone: the end, with no children.
        let end = RecordBatch(records: [], nextShardIterator: nil, millisBehindLatest: nil, arenaBytes: 0)
        guard let iterator = consumer.reader.iterator else { return end }
        do throws(AWSError) {
            let batch = try await kinesis.getRecords(iterator: iterator, limit: Self.maxRecords)
            // `isValidResult`; what is not valid is asked for again.
            guard (batch.nextShardIterator == nil) == !batch.childShards.isEmpty,
                batch.childShards.allSatisfy({ !$0.parentShardIDs.isEmpty })
            else { return nil }
            consumer.reader.lastSuccess = now
            consumer.reader.iterator = batch.nextShardIterator
            if let last = batch.records.last {
                consumer.reader.lastKnown = Checkpoint(.sequenceNumber(last.sequenceNumber))
                consumer.reader.hasRead = true
            }
            return batch
        } catch {
            switch error.meaning {
            case .expiredIterator, .invalid: await restartIterator(consumer)
            case .throttled: consumer.reader.lastSuccess = now
            case .notFound: return end
            default: break
            }
            return nil
        }
    }

    private func restartIterator(_ consumer: JavaConsumer) async {
        do {
            let position = try consumer.reader.restartPosition(configuration.initialPosition)
            consumer.reader.iterator = try await kinesis.shardIterator(
                stream: configuration.streamName, shard: consumer.key, at: position)
            if !consumer.reader.hasRead, case .afterSequenceNumber = position, let last = consumer.checkpointer.last {
                hooks.skippedRest(consumer.key, last)
            }
        } catch {
            // The old iterator is tried again.
            logged(error, in: "restarting the iterator")
        }
    }

    /// `handleInput` and `ProcessTask`.
    ///
    /// - Returns: whether nothing more is to be read.
    private func handOver(_ batch: RecordBatch, _ consumer: JavaConsumer) async -> Bool {
        guard consumer.reason == nil, !consumer.isCancelled else { return true }
        let isAtEnd = batch.nextShardIterator == nil
        let last = consumer.checkpointer.last
        let records = deaggregate(batch.records, in: consumer.lease.hashKeyRange)
            .filter { record in last.map { record.checkpoint > $0 } ?? true }
        if let highest = records.last?.checkpoint {
            consumer.checkpointer.largestPermitted = max(consumer.checkpointer.largestPermitted ?? highest, highest)
        }
        if !records.isEmpty {
            // What the processor throws is logged, and the batch is skipped.
            try? await consumer.processor.processRecords(
                ProcessRecordsInput(
                    shardID: consumer.key, records: records, millisBehindLatest: batch.millisBehindLatest,
                    checkpointer: checkpointer(of: consumer)))
        }
        consumer.outcome = isAtEnd ? .endOfShard : .successful
        if isAtEnd {
            consumer.childShards = batch.childShards
            consumer.mark(.shardEnd)
        }
        return isAtEnd
    }
}
