import AWSWire
import KinesisConsumer
import Leases
import Machine

/// `ShutdownTask` (kcl.md §4.4) and `LeaseCleanupManager` (§5.4).
extension JavaWorker {
    func shutDown(_ consumer: JavaConsumer) async -> JavaConsumer.Outcome {
        do {
            guard consumer.reason == .shardEnd else {
                await consumer.processor.leaseLost()
                return .successful
            }
            if try await !endShard(consumer, heldLease(consumer.key)) {
                drop(consumer.key)
                await consumer.processor.leaseLost()
            }
            consumer.isCancelled = true
            return .successful
        } catch {
            logged(error, in: "shutdown")
            try? await time.sleep(for: constants.taskBackoff)
            return .failure
        }
    }

    /// `false` for an `InvalidStateException`: the end is left to another worker.
    private func endShard(_ consumer: JavaConsumer, _ current: JavaLease?) async throws -> Bool {
        guard let current else { return false }
        do {
            try await end(consumer, current)
            return true
        } catch {
            if case .invalidState? = error as? JavaFailure { return false }
            throw error
        }
    }

    private func end(_ consumer: JavaConsumer, _ current: JavaLease) async throws {
        if !consumer.childShards.isEmpty {
            try await createChildren(consumer)
            try await refresher.setChildren(current.leaseKey, consumer.childShards.map(\.shardID))
        }
        do { try await checkpointShardEnd(consumer) } catch {
            if consumer.childShards.isEmpty { deletionQueue.append(current) }
            throw error
        }
        deletionQueue.append(current)
    }

    private func createChildren(_ consumer: JavaConsumer) async throws {
        if consumer.childShards.count == 1, let child = consumer.childShards.first {
            guard child.parentShardIDs.count == 2 else {
                throw JavaFailure.invalidState("a merge child with \(child.parentShardIDs.count) parents")
            }
            let first = try await refresher.lease(child.parentShardIDs[0])
            let second = try await refresher.lease(child.parentShardIDs[1])
            if (first == nil) != (second == nil) {
                if Int.random(in: 0..<30, using: &generator) == 0 {
                    throw JavaFailure.invalidState("partial parent information")
                }
                throw JavaFailure.dependency("blocked on the parent's lease")
            }
        }
        for child in consumer.childShards where try await refresher.lease(child.shardID) == nil {
            var lease = JavaLease(leaseKey: child.shardID, checkpoint: .trimHorizon)
            lease.parentShardIDs = child.parentShardIDs.sorted()
            lease.hashKeyRange = child.hashKeyRange
            if try await refresher.create(lease) { emit(.childLeaseCreated, child.shardID) }
        }
    }

    private func checkpointShardEnd(_ consumer: JavaConsumer) async throws {
        guard let stored = try await refresher.lease(consumer.key) else {
            // Another Java worker's cleanup deletes it whoever holds it now.
            throw JavaFailure.invalidState("the lease does not exist")
        }
        if stored.isEnded { return }
        consumer.checkpointer.atShardEnd = consumer.checkpointer.largestPermitted
        consumer.checkpointer.largestPermitted = .shardEnd
        try await consumer.processor.shardEnded(checkpointer(of: consumer))
        guard consumer.checkpointer.last == .shardEnd else {
            throw JavaFailure.dependency("the application did not checkpoint at the end of the shard")
        }
        emit(.shardEnded, consumer.key)
    }

    // MARK: Cleanup

    func cleanUpLeases() async {
        guard !deletionQueue.isEmpty, now - completedSince >= constants.completedLeaseCleanupInterval else { return }
        var failed: [JavaLease] = []
        var isAnyClean = false
        while !deletionQueue.isEmpty {
            let lease = deletionQueue.removeFirst()
            var isClean = false
            do { isClean = try await cleanUp(lease) } catch { logged(error, in: "cleanup") }
            if isClean { isAnyClean = true } else { failed.append(lease) }
        }
        if isAnyClean { completedSince = now }
        deletionQueue += failed
    }

    /// Whether the lease needs no more cleaning. It is deleted whatever became of it since (kcl.md §0.9).
    private func cleanUp(_ lease: JavaLease) async throws -> Bool {
        guard let stored = try await refresher.lease(lease.leaseKey) else { return true }
        var children = stored.childShardIDs
        if children.isEmpty {
            guard let found = try await childrenFromService(of: lease.leaseKey) else {
                try await refresher.delete(lease.leaseKey)
                return true
            }
            children = found
            if !children.isEmpty { try await refresher.setChildren(lease.leaseKey, children) }
        }
        var processed = 0
        for child in children {
            guard let row = try await refresher.lease(child) else {
                throw missing(
                    child, "IllegalStateException: child lease \(child) of completed \(lease.leaseKey) is not found",
                    mayBeCleanedUp: hooks.absence(lease.leaseKey) == .cleanedUp)
            }
            if row.checkpoint != .trimHorizon, row.checkpoint != .atTimestamp { processed += 1 }
        }
        for parent in lease.parentShardIDs where try await refresher.lease(parent) != nil { return false }
        guard processed == children.count else { return false }
        try await refresher.delete(lease.leaseKey)
        emit(.leaseDeleted, lease.leaseKey)
        return true
    }

    /// `nil` where the stream has no such shard.
    private func childrenFromService(of shard: String) async throws(AWSError) -> [String]? {
        do throws(AWSError) {
            let iterator = try await kinesis.shardIterator(stream: configuration.streamName, shard: shard, at: .latest)
            return try await kinesis.getRecords(iterator: iterator, limit: 10_000).childShards.map(\.shardID)
        } catch {
            if error.meaning == .notFound { return nil }
            throw error
        }
    }
}
