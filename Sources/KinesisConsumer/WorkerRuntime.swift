import Synchronization

/// The thin shell of a worker: performs the effects of its machine and holds what the machine only counts, the
/// processors, the batches and the callers that wait for a checkpoint.
final class WorkerRuntime: Sendable {
    let worker: Worker
    let payload = Mutex(Payload())

    struct Payload: Sendable {
        var processors: [Int: any RecordProcessor] = [:]
        var batches: [Int: Batch] = [:]
        var subscriptions: [SubscriptionKey: Subscription] = [:]
        var waiting: [Int: CheckedContinuation<CheckpointAnswer, Never>] = [:]
        var lastID = 0
        var isClosed = false
    }

    struct Batch: Sendable {
        var tenure: Int
        var records: [Record]
        var dataBytes: Int
        var millisBehindLatest: Int64?
    }

    struct Subscription: Sendable {
        var events: ShardSubscription
        /// The consumer that it was opened with.
        var consumerARN: String
    }

    /// Shards number their subscriptions themselves.
    struct SubscriptionKey: Hashable, Sendable {
        var tenure: Int
        var id: Int
    }

    init(_ worker: Worker) { self.worker = worker }

    var configuration: WorkerConfiguration { worker.configuration }
    var table: String { worker.configuration.tableName }

    /// After this nobody is left waiting, and no subscription is open.
    func close() {
        let (waiting, subscriptions) = payload.withLock { payload in
            payload.isClosed = true
            defer { (payload.waiting, payload.subscriptions) = ([:], [:]) }
            return (payload.waiting.sorted { $0.key < $1.key }.map(\.value), payload.subscriptions.inOrder)
        }
        for subscription in subscriptions { subscription.events.close() }
        for continuation in waiting { continuation.resume(returning: .failure(.shutdown)) }
    }

    func perform(_ effect: WorkerMachine.Effect) async -> WorkerMachine.Event? {
        switch effect {
        case .wake(let deadline):
            do { try await worker.time.sleep(deadline) } catch { return nil }
            return .woke(deadline)
        case .scan(let scan): return await self.scan(scan)
        case .listShards: return await listShards()
        case .checkMode:
            do { return .modeChecked(try await worker.checkMode()) } catch { return .modeCheckFailed }
        case .take(let key, let update):
            let sentAt = worker.time.now()
            let result = await write(update)
            worker.report(
                WorkerMeasure(
                    .takeLease(isTaken: result.isStored), shardID: key, duration: worker.time.now() - sentAt,
                    isSuccess: result.isAnswer))
            return .taken(key: key, result, sentAt: sentAt)
        case .write(let key, let tenure, let update):
            return .written(key: key, tenure: tenure, await write(update))
        case .read(let key): return await read(key)
        case .create(let leases, let lookedAt): return await create(leases, lookedAt)
        case .delete(let key, let deletion): return .deleted(key: key, await delete(key, deletion))
        case .setHashKeyRange(let key, let range):
            // Meta-information: who fails here has lost nothing, and the next audit tries again.
            _ = await write(LeaseTable.setHashKeyRange(table: table, key, range))
            return nil
        case .shard(let tenure, let leaseKey, let effect):
            return await perform(effect, tenure: tenure, leaseKey: leaseKey)
        // Performed on the spot.
        case .forget, .emit, .report: return nil
        }
    }

    /// What needs no waiting happens in the order in which the machine said it.
    func performImmediately(_ effect: WorkerMachine.Effect) -> Bool {
        switch effect {
        case .emit(let event), .shard(_, _, .emit(let event)): worker.emit(event)
        case .report(let measure): worker.report(measure)
        case .forget(let tenure): forget(tenure)
        case .shard(_, _, .discard(let ids)):
            payload.withLock { payload in for id in ids { payload.batches[id] = nil } }
        case .shard(let tenure, _, .unsubscribe(let id)):
            drop(SubscriptionKey(tenure: tenure, id: id))
        case .shard(let tenure, _, .dropProcessor):
            payload.withLock { $0.processors[tenure] = nil }
        case .shard(_, _, .answer(let id, let answer)):
            payload.withLock { $0.waiting.removeValue(forKey: id) }?.resume(returning: answer)
        case .wake, .scan, .listShards, .checkMode, .take, .write, .read, .create, .delete, .setHashKeyRange, .shard:
            return false
        }
        return true
    }

    // MARK: The lease table

    private func write(_ update: UpdateItem) async -> WriteResult {
        do {
            let attributes = try await worker.dynamoDB.updateItem(update)
            return .stored(attributes.flatMap { LeaseTable.row($0).lease })
        } catch {
            return result(of: error)
        }
    }

    private func result(of error: AWSError) -> WriteResult {
        if error.meaning == .conditionFailed {
            return .conditionFailed(error.conditionImage.flatMap { LeaseTable.row($0).lease })
        }
        return error.mayHaveTakenEffect ? .lost(error.description) : .failed(error.meaning, error.description)
    }

    private func delete(_ key: String, _ deletion: LeaseTable.Deletion) async -> WriteResult {
        do {
            try await worker.dynamoDB.deleteItem(
                table, key: LeaseTable.key(key), condition: deletion.condition, names: deletion.names,
                values: deletion.values)
            return .stored(nil)
        } catch {
            return result(of: error)
        }
    }

    private func scan(_ scan: WorkerMachine.Scan) async -> WorkerMachine.Event {
        var rows: [LeaseRow] = []
        var units = 0.0
        var next: Item?
        do {
            repeat {
                let start = next
                let page = try await worker.measured(.listLeases) { () async throws(AWSError) in
                    try await worker.dynamoDB.scan(
                        table, startingAfter: start, segment: scan.isWhole ? nil : scan.segment,
                        totalSegments: scan.isWhole ? nil : scan.segments, attemptsMax: 1)
                }
                rows += page.items.map(LeaseTable.row)
                units += page.consumedReadUnits ?? 0
                next = page.lastEvaluatedKey
            } while next != nil
            return .scanned(scan, rows, readUnits: units)
        } catch {
            return .scanFailed(scan, error.meaning, error.description)
        }
    }

    private func read(_ key: String) async -> WorkerMachine.Event {
        do {
            let item = try await worker.dynamoDB.getItem(table, key: LeaseTable.key(key))
            return .read(key: key, item.map(LeaseTable.row), failed: false)
        } catch {
            return .read(key: key, nil, failed: true)
        }
    }

    private func create(_ leases: [Lease], _ lookedAt: Timestamp) async -> WorkerMachine.Event {
        var created: [Lease] = []
        for lease in leases {
            do {
                if try await worker.create(lease, lookedAt: lookedAt) { created.append(lease) }
            } catch {
                return .created(created, failure: error.description)
            }
        }
        return .created(created, failure: nil)
    }

    private func listShards() async -> WorkerMachine.Event {
        do {
            let shards = try await worker.measured(.listShards) { () async throws(AWSError) in
                try await worker.kinesis.listShards(stream: configuration.streamName)
            }
            return .shardsListed(ShardTree(shards))
        } catch {
            return error.meaning == .notFound ? .shardsListed(nil) : .listFailed(error.description)
        }
    }

    private func forget(_ tenure: Int) {
        let subscriptions = payload.withLock { payload in
            payload.processors[tenure] = nil
            payload.batches = payload.batches.filter { $0.value.tenure != tenure }
            let open = payload.subscriptions.filter { $0.key.tenure == tenure }
            for key in open.keys { payload.subscriptions[key] = nil }
            return open.inOrder
        }
        for subscription in subscriptions { subscription.events.close() }
    }
}

extension [WorkerRuntime.SubscriptionKey: WorkerRuntime.Subscription] {
    fileprivate var inOrder: [WorkerRuntime.Subscription] {
        sorted { ($0.key.tenure, $0.key.id) < ($1.key.tenure, $1.key.id) }.map(\.value)
    }
}
