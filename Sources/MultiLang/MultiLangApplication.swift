package import KinesisConsumer
package import Machine
import Synchronization

/// The children of a worker: what `makeProcessor` makes for each shard, and what the screen shows of them.
package final class MultiLangApplication: Sendable {
    private let command: ChildCommand
    private let limits: ChildLimits
    private let spawner: any ChildSpawner
    private let time: TimeSource
    private let observer: ChildObserver
    private let onFailure: @Sendable (_ shardID: String, _ reason: String) -> Void
    private let shards = Mutex(Shards())

    private struct Shards: Sendable {
        var processors: [String: Entry] = [:]
        /// Failed children, for the shards that had one.
        var restarts: [String: Int] = [:]
    }

    private struct Entry: Sendable {
        weak var processor: MultiLangProcessor?
    }

    /// - Parameter onFailure: called each time that a child of a shard has failed.
    package init(
        command: ChildCommand, limits: ChildLimits = ChildLimits(), spawner: any ChildSpawner, time: TimeSource,
        observer: ChildObserver = ChildObserver(),
        onFailure: @escaping @Sendable (_ shardID: String, _ reason: String) -> Void = { _, _ in }
    ) {
        self.command = command
        self.limits = limits
        self.spawner = spawner
        self.time = time
        self.observer = observer
        self.onFailure = onFailure
    }

    /// Another processor for the shard; each one that fails counts as a restart of the next.
    package func makeProcessor(_ shardID: String) -> any RecordProcessor {
        shards.withLock { shards in
            let processor = MultiLangProcessor(
                shardID: shardID, command: command, limits: limits, spawner: spawner, time: time, observer: observer,
                restarts: shards.restarts[shardID] ?? 0
            ) { [weak self] reason in
                self?.failed(shardID, reason)
            }
            shards.processors = shards.processors.filter { $0.value.processor != nil }
            shards.processors[shardID] = Entry(processor: processor)
            return processor
        }
    }

    private func failed(_ shardID: String, _ reason: String) {
        shards.withLock { $0.restarts[shardID, default: 0] += 1 }
        onFailure(shardID, reason)
    }

    /// The children by shard id; those of processors that the engine let go are not among them.
    package var statuses: [ChildStatus] {
        let processors = shards.withLock { shards in shards.processors.values.compactMap(\.processor) }
        return processors.compactMap(\.status).sorted { $0.shardID < $1.shardID }
    }

    /// The worker is over: every child is gone afterwards.
    package func endAll(grace: Duration = .seconds(2)) async { await spawner.endAll(grace: grace) }
}
