import AWSWire
import Leases
import Machine
import Synchronization

/// Reading from the stream, by polling or by a subscription.
extension WorkerRuntime {
    func iterator(_ shard: String, _ position: ShardPosition) async -> ShardMachine.Event {
        let asked = worker.time.now()
        do {
            let iterator = try await worker.measured(.getShardIterator, shardID: shard) {
                () async throws(AWSError) in
                try await worker.kinesis.shardIterator(stream: configuration.streamName, shard: shard, at: position)
            }
            return .iteratorGot(iterator, latestAt: position == .latest ? serviceTime(at: asked) : nil)
        } catch {
            return .retrievalFailed(error.meaning, error.description)
        }
    }

    /// The service's time was no earlier than this; its clock is known to the second.
    private func serviceTime(at moment: Timestamp) -> UnixTime {
        worker.kinesis.client.serviceTime + (.zero - (worker.time.now() - moment + .seconds(1)))
    }

    func fetch(
        _ iterator: String, limit: Int, shard: String, tenure: Int, dropThrough: Checkpoint?, range: HashKeyRange?
    ) async -> ShardMachine.Event {
        let batch: RecordBatch
        do {
            batch = try await worker.measured(.getRecords, shardID: shard) { () async throws(AWSError) in
                try await worker.kinesis.getRecords(iterator: iterator, limit: limit)
            }
        } catch {
            if error.meaning == .expiredIterator { worker.report(WorkerMeasure(.expireIterator, shardID: shard)) }
            return .retrievalFailed(error.meaning, error.description)
        }
        return .fetched(
            hold(
                batch, next: batch.nextShardIterator, shard: shard, tenure: tenure, dropThrough: dropThrough,
                range: range))
    }

    /// Keeps what is left of `batch` for the processor, and tells the machine of it.
    private func hold(
        _ batch: RecordBatch, next: String?, shard: String, tenure: Int, dropThrough: Checkpoint?, range: HashKeyRange?
    ) -> FetchedBatch {
        var records = deaggregate(batch.records, in: range)
        if let dropThrough {
            let start = records.firstIndex { $0.checkpoint > dropThrough } ?? records.endIndex
            records.removeFirst(start)
        }
        if records.isEmpty, !configuration.callProcessRecordsEvenForEmptyRecordList {
            worker.report(WorkerMeasure(.process(millisBehindLatest: batch.millisBehindLatest), shardID: shard))
        }
        let dataBytes = records.reduce(0) { $0 + $1.data.count }
        let id = payload.withLock { payload in
            payload.lastID += 1
            payload.batches[payload.lastID] = Batch(
                tenure: tenure, records: records, dataBytes: dataBytes, millisBehindLatest: batch.millisBehindLatest)
            return payload.lastID
        }
        return FetchedBatch(
            id: id, records: records.count, dataBytes: dataBytes,
            arenaBytes: batch.arenaBytes, wireRecords: batch.records.count, first: records.first?.checkpoint,
            last: records.last?.checkpoint, lastWireRecord: batch.records.last?.sequenceNumber,
            firstWireRecord: batch.records.first?.sequenceNumber, next: next,
            millisBehindLatest: batch.millisBehindLatest, children: batch.childShards)
    }

    // MARK: Fan-out

    /// How long the service may take to grant a subscription.
    private static let subscribeTimeout: Duration = .seconds(10)

    func subscribe(
        _ id: Int, shard: String, tenure: Int, at position: ShardPosition, fence: Timestamp
    ) async -> ShardMachine.Event {
        let asked = worker.time.now()
        // The last moment before it leaves our hands; this task may have waited to run.
        guard asked < fence else {
            return .subscriptionFailed(id, .transient, "the lease was not renewed in time for a subscription")
        }
        let arn = worker.consumerARN
        do {
            let subscription = try await worker.measured(.subscribeToShard, shardID: shard) {
                () async throws(AWSError) in
                try await worker.kinesis.subscribeToShard(
                    consumerARN: arn, shard: shard, at: position, timeout: Self.subscribeTimeout)
            }
            let isClosed = payload.withLock { payload in
                guard !payload.isClosed else { return true }
                payload.subscriptions[SubscriptionKey(tenure: tenure, id: id)] = Subscription(
                    events: subscription, consumerARN: arn)
                return false
            }
            if isClosed { subscription.close() }
            return .subscribed(id, latestAt: position == .latest ? serviceTime(at: asked) : nil)
        } catch {
            return await failure(of: id, arn, error)
        }
    }

    func pull(
        _ id: Int, shard: String, tenure: Int, dropThrough: Checkpoint?, range: HashKeyRange?
    ) async -> ShardMachine.Event {
        let key = SubscriptionKey(tenure: tenure, id: id)
        // Closed by us meanwhile, then.
        guard let subscription = payload.withLock({ $0.subscriptions[key] }) else { return .subscriptionEnded(id) }
        do {
            if let batch = try await subscription.events.next() {
                return .pulled(
                    id,
                    hold(
                        batch, next: batch.continuationSequenceNumber, shard: shard, tenure: tenure,
                        dropThrough: dropThrough, range: range))
            }
            drop(key)
            return .subscriptionEnded(id)
        } catch {
            drop(key)
            return await failure(of: id, subscription.consumerARN, error)
        }
    }

    func drop(_ key: SubscriptionKey) {
        payload.withLock { $0.subscriptions.removeValue(forKey: key) }?.events.close()
    }

    /// What a subscription failed at. That something does not exist is said of the consumer and of the shard alike.
    private func failure(
        of id: Int, _ consumerARN: String, _ error: AWSError
    ) async -> ShardMachine.Event {
        guard error.meaning == .notFound else { return .subscriptionFailed(id, error.meaning, error.description) }
        do {
            guard let missing = try await worker.missingConsumer(consumerARN) else {
                return .subscriptionFailed(id, .notFound, error.description)
            }
            return .consumerMissing(id, missing)
        } catch {
            return .consumerMissing(id, "\(error)")
        }
    }
}
