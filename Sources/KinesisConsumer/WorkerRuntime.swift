import Synchronization

/// The thin shell of a worker: performs the effects of its machine and holds what the machine only counts, the
/// processors, the batches and the callers that wait for a checkpoint.
final class WorkerRuntime: Sendable {
    private let worker: Worker
    private let payload = Mutex(Payload())

    private struct Payload: Sendable {
        var processors: [Int: any RecordProcessor] = [:]
        var batches: [Int: Batch] = [:]
        var waiting: [Int: CheckedContinuation<CheckpointAnswer, Never>] = [:]
        var lastID = 0
        var isClosed = false
    }

    private struct Batch: Sendable {
        var tenure: Int
        var records: [Record]
        var millisBehindLatest: Int64?
    }

    init(_ worker: Worker) { self.worker = worker }

    private var configuration: WorkerConfiguration { worker.configuration }
    private var table: String { worker.configuration.tableName }

    /// After this nobody is left waiting.
    func close() {
        let waiting = payload.withLock { payload in
            payload.isClosed = true
            defer { payload.waiting = [:] }
            return payload.waiting.sorted { $0.key < $1.key }.map(\.value)
        }
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
        case .delete(let key): return .deleted(key: key, await delete(key))
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

    private func delete(_ key: String) async -> WriteResult {
        let (condition, names, values) = LeaseTable.deleteCondition()
        do {
            try await worker.dynamoDB.deleteItem(
                table, key: LeaseTable.key(key), condition: condition, names: names, values: values)
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

    // MARK: One shard

    private func perform(
        _ effect: ShardMachine.Effect, tenure: Int, leaseKey: String
    ) async -> WorkerMachine.Event? {
        switch effect {
        case .checkParents(let parents): return .shard(tenure: tenure, await checkParents(parents))
        case .call(let call, let fence):
            return .shard(tenure: tenure, await perform(call, tenure: tenure, leaseKey: leaseKey, fence: fence))
        case .getIterator(let position):
            return .shard(tenure: tenure, await iterator(leaseKey, position))
        case .fetch(let iterator, let dropThrough, let range):
            return .shard(
                tenure: tenure,
                await fetch(iterator, shard: leaseKey, tenure: tenure, dropThrough: dropThrough, range: range))
        case .findChildren: return .shard(tenure: tenure, await findChildren(leaseKey))
        case .createChildren(let children):
            return .shard(tenure: tenure, await createChildren(children, parent: leaseKey))
        // Performed on the spot, or kept by the worker's machine to itself.
        case .answer, .emit, .discard, .dropProcessor, .write, .giveUp: return nil
        }
    }

    /// Parents whose leases exist and are not SHARD_END, by a consistent read (kcl.md §4.3).
    private func checkParents(_ parents: [String]) async -> ShardMachine.Event {
        var unfinished: [String] = []
        for parent in parents {
            do {
                let row = try await worker.dynamoDB.getItem(table, key: LeaseTable.key(parent)).map(LeaseTable.row)
                if let row, row.lease?.isEnded != true { unfinished.append(parent) }
            } catch {
                return .parentCheckFailed
            }
        }
        return .parentsChecked(unfinished: unfinished)
    }

    private func iterator(_ shard: String, _ position: ShardPosition) async -> ShardMachine.Event {
        let asked = worker.time.now()
        do {
            let iterator = try await worker.measured(.getShardIterator, shardID: shard) {
                () async throws(AWSError) in
                try await worker.kinesis.shardIterator(stream: configuration.streamName, shard: shard, at: position)
            }
            // The service's clock is known to the second.
            let earlier = worker.time.now() - asked + .seconds(1)
            let latestAt = worker.kinesis.client.serviceTime + (.zero - earlier)
            return .iteratorGot(iterator, latestAt: position == .latest ? latestAt : nil)
        } catch {
            return .retrievalFailed(error.meaning, error.description)
        }
    }

    private func fetch(
        _ iterator: String, shard: String, tenure: Int, dropThrough: Checkpoint?, range: HashKeyRange?
    ) async -> ShardMachine.Event {
        let batch: RecordBatch
        do {
            batch = try await worker.measured(.getRecords, shardID: shard) { () async throws(AWSError) in
                try await worker.kinesis.getRecords(iterator: iterator, limit: configuration.maxRecords)
            }
        } catch {
            if error.meaning == .expiredIterator { worker.report(WorkerMeasure(.expireIterator, shardID: shard)) }
            return .retrievalFailed(error.meaning, error.description)
        }
        var records = deaggregate(batch.records, in: range)
        if let dropThrough {
            let start = records.firstIndex { $0.checkpoint > dropThrough } ?? records.endIndex
            records.removeFirst(start)
        }
        if records.isEmpty, !configuration.callProcessRecordsEvenForEmptyRecordList {
            worker.report(WorkerMeasure(.process(millisBehindLatest: batch.millisBehindLatest), shardID: shard))
        }
        let id = payload.withLock { payload in
            payload.lastID += 1
            payload.batches[payload.lastID] = Batch(
                tenure: tenure, records: records, millisBehindLatest: batch.millisBehindLatest)
            return payload.lastID
        }
        return .fetched(
            FetchedBatch(
                id: id, records: records.count, dataBytes: records.reduce(0) { $0 + $1.data.count },
                arenaBytes: batch.arenaBytes, first: records.first?.checkpoint, last: records.last?.checkpoint,
                lastWireRecord: batch.records.last?.sequenceNumber,
                firstWireRecord: batch.records.first?.sequenceNumber, nextIterator: batch.nextShardIterator,
                millisBehindLatest: batch.millisBehindLatest, children: batch.childShards))
    }

    private func findChildren(_ shard: String) async -> ShardMachine.Event {
        do {
            let tree = ShardTree(try await worker.kinesis.listShards(stream: configuration.streamName))
            return .childrenFound(closed: tree[shard]?.isOpen != true, tree.childShards(of: shard))
        } catch {
            // Reading on finds out whether the stream is gone.
            return error.meaning == .notFound
                ? .childrenFound(closed: true, []) : .childrenNotCreated(error.description)
        }
    }

    /// Creates the children's leases. A merge child wants both parents' leases present, or both absent: with one
    /// missing the table is inconsistent, and somebody has to repair it first (kcl.md §4.4).
    private func createChildren(_ children: [ChildShard], parent: String) async -> ShardMachine.Event {
        let lookedAt = worker.time.now()
        do {
            for child in children {
                for other in child.parentShardIDs where other != parent {
                    guard try await worker.dynamoDB.getItem(table, key: LeaseTable.key(other)) == nil else { continue }
                    let existing = try await worker.dynamoDB.getItem(table, key: LeaseTable.key(child.shardID))
                    if existing == nil {
                        return .childrenNotCreated(
                            "the lease of \(other), the other parent of \(child.shardID), is missing")
                    }
                }
                // Of a merge, both parents come by here; the one whose write it was says so.
                guard try await worker.create(childLease(child), lookedAt: lookedAt, isChild: true) else {
                    continue
                }
                worker.emit(
                    WorkerEvent(
                        .childLeaseCreated, at: .zero, shardID: child.shardID, checkpoint: .trimHorizon,
                        message: "child of \(parent)"))
            }
            return .childrenCreated
        } catch {
            return .childrenNotCreated("\(error)")
        }
    }

    // MARK: The processor

    private func perform(
        _ call: ShardMachine.Call, tenure: Int, leaseKey: String, fence: Timestamp
    ) async -> ShardMachine.Event {
        let checkpointer = Checkpointer(shardID: leaseKey) { request in
            await self.checkpoint(request, tenure: tenure)
        }
        let processor = self.processor(of: tenure, leaseKey)
        do {
            switch call {
            case .initialize(let checkpoint, let pending):
                try await worker.measured(.initializeProcessor, shardID: leaseKey) {
                    try await processor.initialize(
                        InitializationInput(shardID: leaseKey, checkpoint: checkpoint, pendingCheckpoint: pending))
                }
            case .processRecords(let id):
                guard let batch = payload.withLock({ $0.batches[id] }) else { return .notHandedOver(batch: id) }
                // The last moment before the records leave our hands; this task may have waited to run.
                guard worker.time.now() < fence else { return .notHandedOver(batch: id) }
                let input = ProcessRecordsInput(
                    shardID: leaseKey, records: batch.records, millisBehindLatest: batch.millisBehindLatest,
                    checkpointer: checkpointer)
                try await worker.measured(measure(of: batch), shardID: leaseKey) {
                    try await processor.processRecords(input)
                }
            case .leaseLost:
                await worker.measured(.shutDownProcessor, shardID: leaseKey) { await processor.leaseLost() }
            case .shardEnded:
                try await worker.measured(.shutDownProcessor, shardID: leaseKey) {
                    try await processor.shardEnded(checkpointer)
                }
            case .shutdownRequested: try await processor.shutdownRequested(checkpointer)
            }
            return .returned(call, failure: nil)
        } catch let restart as RestartFromCheckpoint {
            return .abandoned(call, restart.message)
        } catch {
            return .returned(call, failure: "\(error)")
        }
    }

    private func measure(of batch: Batch) -> WorkerMeasure.Operation {
        .process(
            records: batch.records.count, bytes: worker.isMeasured ? batch.records.reduce(0) { $0 + $1.data.count } : 0,
            millisBehindLatest: batch.millisBehindLatest, isDelivered: true)
    }

    private func processor(of tenure: Int, _ shardID: String) -> any RecordProcessor {
        if let known = payload.withLock({ $0.processors[tenure] }) { return known }
        let made = worker.makeProcessor(shardID)
        payload.withLock { $0.processors[tenure] = made }
        return made
    }

    /// Waits for the machine's answer. A cancelled call is one whose worker ended or crashed: it gets `.shutdown`.
    private func checkpoint(_ request: CheckpointRequest, tenure: Int) async -> CheckpointAnswer {
        let id = payload.withLock { payload in
            payload.lastID += 1
            return payload.lastID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOpen = payload.withLock { payload in
                    guard !payload.isClosed, !Task.isCancelled else { return false }
                    payload.waiting[id] = continuation
                    return true
                }
                guard isOpen else { return continuation.resume(returning: .failure(.shutdown)) }
                worker.mailbox.post(.shard(tenure: tenure, .checkpointRequested(id, request)))
            }
        } onCancel: {
            payload.withLock { $0.waiting.removeValue(forKey: id) }?.resume(returning: .failure(.shutdown))
        }
    }

    private func forget(_ tenure: Int) {
        payload.withLock { payload in
            payload.processors[tenure] = nil
            payload.batches = payload.batches.filter { $0.value.tenure != tenure }
        }
    }
}
