import AWSWire
import KinesisConsumer
import Leases
import Machine

/// `ShardConsumer.executeLifecycle` and the tasks of its states.
extension JavaWorker {
    /// Once a dispatch interval: moves the consumer on by one state, unless its task still runs.
    func executeLifecycle(_ consumer: JavaConsumer) {
        guard !consumer.isShutdown, !consumer.isStepRunning else { return }
        let (token, id) = (consumer.lease.token, consumer.id)
        if consumer.reason != nil {
            consumer.isStepRunning = true
            node.spawn { await self.shutdownStep(token, id) }
        } else if consumer.needsInitialization {
            if consumer.isInitialized {
                consumer.needsInitialization = false
                node.spawn { await self.read(token, id) }
            }
            if let outcome = consumer.outcome { consumer.advance(outcome) }
            if consumer.state == .processing {
                consumer.isInitialized = true
                return
            }
            consumer.isStepRunning = true
            node.spawn { await self.initializationStep(token, id) }
        }
    }

    private func initializationStep(_ token: Int, _ id: Int) async {
        guard let consumer = consumer(token, id) else { return }
        defer { consumer.isStepRunning = false }
        guard consumer.reason == nil else { return }
        await consumer.monitor.lock()
        await execute(consumer)
        consumer.monitor.unlock()
    }

    private func shutdownStep(_ token: Int, _ id: Int) async {
        guard let consumer = consumer(token, id) else { return }
        defer { consumer.isStepRunning = false }
        await consumer.monitor.lock()
        defer { consumer.monitor.unlock() }
        consumer.advance(consumer.outcome ?? .successful)
        if consumer.isShutdown { return }
        await execute(consumer)
    }

    private func execute(_ consumer: JavaConsumer) async {
        switch consumer.state {
        case .waitingOnParents: consumer.outcome = await blockOnParents(consumer)
        case .initializing: consumer.outcome = await initialize(consumer)
        // A batch is its own task; the other two have none.
        case .processing, .shutdownRequestedWaiting, .complete: break
        case .shutdownRequested: consumer.outcome = await notifyOfShutdown(consumer)
        case .shuttingDown: consumer.outcome = await shutDown(consumer)
        }
    }

    private func backOff(_ duration: Duration) async -> JavaConsumer.Outcome {
        try? await time.sleep(for: duration)
        return .failure
    }

    /// `BlockOnParentShardTask`.
    private func blockOnParents(_ consumer: JavaConsumer) async -> JavaConsumer.Outcome {
        do {
            for parent in consumer.lease.parentShardIDs {
                guard let lease = try await refresher.lease(parent), !lease.isEnded else { continue }
                return await backOff(constants.parentShardPollInterval)
            }
            return .successful
        } catch {
            logged(error, in: "block on parent")
            return await backOff(constants.parentShardPollInterval)
        }
    }

    /// `InitializeTask`.
    private func initialize(_ consumer: JavaConsumer) async -> JavaConsumer.Outcome {
        var isRobbed = false
        do {
            guard let lease = try await refresher.lease(consumer.key) else {
                throw missing(consumer.key, "NullPointerException: \(consumer.key) is gone")
            }
            isRobbed = lease.leaseOwner != configuration.workerID
            let position = try JavaReader.position(at: lease.checkpoint, configuration.initialPosition)
            consumer.reader = JavaReader()
            consumer.reader.lastKnown = lease.checkpoint
            consumer.reader.iterator = try await kinesis.shardIterator(
                stream: configuration.streamName, shard: consumer.key, at: position)
            consumer.checkpointer.largestPermitted = lease.checkpoint
            consumer.checkpointer.last = lease.checkpoint
            try await consumer.processor.initialize(
                InitializationInput(
                    shardID: consumer.key, checkpoint: lease.checkpoint,
                    pendingCheckpoint: lease.pendingCheckpoint.map {
                        PendingCheckpoint(checkpoint: $0, state: lease.pendingCheckpointState)
                    }))
            return .successful
        } catch {
            // A consumer that lost its lease goes on trying, whatever became of the row, and one that was robbed hears
            // of it at the next renewal only: a thief that read the shard to its end meanwhile, Java or not, makes it
            // log an error.
            if consumer.reason == nil, !isRobbed { logged(error, in: "initialize \(consumer.key)") }
            return await backOff(constants.taskBackoff)
        }
    }

    /// `ShutdownNotificationTask`: the lease is dropped whatever the processor does.
    private func notifyOfShutdown(_ consumer: JavaConsumer) async -> JavaConsumer.Outcome {
        defer {
            consumer.isNotified = true
            drop(consumer.key)
        }
        do {
            try await consumer.processor.shutdownRequested(checkpointer(of: consumer))
            return .successful
        } catch {
            return .failure
        }
    }

    // MARK: Checkpoints

    func checkpointer(of consumer: JavaConsumer) -> Checkpointer {
        let (token, id) = (consumer.lease.token, consumer.id)
        return Checkpointer(shardID: consumer.key) { await self.answer($0, token, id) }
    }

    private func answer(_ request: CheckpointRequest, _ token: Int, _ id: Int) async -> CheckpointAnswer {
        guard let consumer = consumer(token, id) else { return .failure(.shutdown) }
        do throws(CheckpointError) {
            let (write, position) = try consumer.checkpointer.write(for: request)
            switch write {
            case .nothing: break
            case .checkpoint(let checkpoint):
                try await store(consumer) { lease in
                    lease.checkpoint = checkpoint
                    lease.pendingCheckpoint = nil
                    lease.pendingCheckpointState = nil
                    lease.ownerSwitchesSinceCheckpoint = 0
                }
                consumer.checkpointer.last = checkpoint
            case .prepare(let checkpoint, let state):
                try await store(consumer) { lease in
                    lease.pendingCheckpoint = checkpoint
                    lease.pendingCheckpointState = state
                }
            }
            return .success(position)
        } catch {
            return .failure(error)
        }
    }

    /// `DynamoDBCheckpointer.setCheckpoint` and `prepareCheckpoint`.
    private func store(
        _ consumer: JavaConsumer, _ change: (inout JavaLease) -> Void
    ) async throws(CheckpointError) {
        guard var lease = heldLease(consumer.key) else { throw .shutdown }
        change(&lease)
        do throws(JavaFailure) {
            if try await update(lease, token: consumer.lease.token) { return }
        } catch {
            switch error {
            case .throttled: throw .throttling
            case .invalidState(let message): throw .invalidState(message)
            case .dependency(let message), .runtime(let message), .ownRuntime(let message): throw .dependency(message)
            case .killed: throw .shutdown
            }
        }
        throw .shutdown
    }
}
