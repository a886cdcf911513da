import Machine
import Synchronization

/// The processor's calls, and its checkpoints.
extension WorkerRuntime {
    func perform(
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
            records: batch.records.count, bytes: batch.dataBytes, millisBehindLatest: batch.millisBehindLatest,
            isDelivered: true)
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
}
