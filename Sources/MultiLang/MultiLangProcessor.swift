package import KinesisConsumer
import Leases
package import Machine
import Synchronization

/// A record processor that is a program of its own: each call becomes a request to one child, over the protocol of
/// the Java MultiLangDaemon (kcl.md §8).
///
/// Where Java ends the whole daemon when a child fails, a call throws `RestartFromCheckpoint`, after the child is
/// gone; then this instance is finished. A cancelled call kills the child. An exception in the *user's* code is the
/// child's business: kclpy prints it and answers as if all were well.
package final class MultiLangProcessor: RecordProcessor, Sendable {
    private let shardID: String
    private let command: ChildCommand
    private let limits: ChildLimits
    private let spawner: any ChildSpawner
    private let time: TimeSource
    private let observer: ChildObserver
    private let restarts: Int
    private let onFailure: @Sendable (_ reason: String) -> Void
    private let state = Mutex(State())

    private struct State: Sendable {
        var session: ChildSession?
        /// The last record that the child got, or where it began: a checkpoint there at the end means SHARD_END.
        var delivered: Checkpoint?
        var failure: String?
        /// Times that `shardEnded` was answered without SHARD_END being stored.
        var emptyEnds = 0
    }

    /// So often a child is told of the end of its shard before it is given up.
    private static let emptyEndsMax = 4

    /// - Parameters:
    ///   - restarts: how many children of this shard failed before; only shown.
    ///   - onFailure: called when a call is about to throw `RestartFromCheckpoint`.
    package init(
        shardID: String, command: ChildCommand, limits: ChildLimits = ChildLimits(), spawner: any ChildSpawner,
        time: TimeSource, observer: ChildObserver = ChildObserver(), restarts: Int = 0,
        onFailure: @escaping @Sendable (_ reason: String) -> Void = { _ in }
    ) {
        self.shardID = shardID
        self.command = command
        self.limits = limits
        self.spawner = spawner
        self.time = time
        self.observer = observer
        self.restarts = restarts
        self.onFailure = onFailure
    }

    deinit { state.withLock { $0.session?.abandon() } }

    /// Nil before a child was started; what the last one was like afterwards.
    package var status: ChildStatus? {
        let (session, failure) = state.withLock { ($0.session, $0.failure) }
        if let session { return session.status }
        return failure.map { ChildStatus(shardID: shardID, state: .failed($0), restarts: restarts) }
    }

    package func initialize(_ input: InitializationInput) async throws {
        state.withLock { state in
            state.session?.abandon()
            state.session = nil
            state.delivered = input.checkpoint
        }
        let session = ChildSession(
            shardID: shardID, limits: limits, time: time, observer: observer, restarts: restarts)
        do {
            try await session.start(command, spawner)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw failed("the child cannot be started: \(error)")
        }
        state.withLock { $0.session = session }
        try await ask(.initialize(input), nil)
    }

    package func processRecords(_ input: ProcessRecordsInput) async throws {
        if let last = input.records.last?.checkpoint { state.withLock { $0.delivered = last } }
        try await ask(
            .processRecords(input.records, millisBehindLatest: input.millisBehindLatest), input.checkpointer)
    }

    /// Quiet about a child that is dead or dies of it: nothing can be done for the shard any more.
    package func leaseLost() async {
        try? await ask(.leaseLost, nil)
    }

    /// Returns when the child has answered. Where it did so without storing SHARD_END it lives on, and the next call
    /// asks the same child again (kcl.md §0.4).
    package func shardEnded(_ checkpointer: Checkpointer) async throws {
        let emptyEnds = state.withLock { state in
            defer { state.emptyEnds += 1 }
            return state.emptyEnds
        }
        guard emptyEnds < Self.emptyEndsMax else {
            state.withLock { $0.session }?.abandon()
            throw failed(
                "the child answered shardEnded \(emptyEnds) times and SHARD_END was not stored: it must checkpoint")
        }
        try await ask(.shardEnded, checkpointer)
    }

    package func shutdownRequested(_ checkpointer: Checkpointer) async throws {
        try await ask(.shutdownRequested, checkpointer)
    }

    private func ask(_ request: ProtocolRequest, _ checkpointer: Checkpointer?) async throws {
        let (session, delivered) = state.withLock { ($0.session, $0.delivered) }
        guard let session, !session.isEnded else {
            // Without a child nobody can be told; Java does not try either.
            if request.action == .leaseLost { return }
            throw failed("there is no child to \(request.action.rawValue)")
        }
        let failure = try await session.ask(request) { call in
            await store(call, checkpointer, action: request.action, delivered: delivered)
        }
        if let failure { throw failed("the child (pid \(session.pid ?? 0)) failed: \(failure)") }
    }

    private func failed(_ reason: String) -> RestartFromCheckpoint {
        state.withLock { $0.failure = reason }
        onFailure(reason)
        return RestartFromCheckpoint(message: reason)
    }
}

/// Asks the checkpointer as Java's daemon does: nothing for the latest, a number, or a number with its index.
private func store(
    _ call: CheckpointReply, _ checkpointer: Checkpointer?, action: ProtocolAction, delivered: Checkpoint?
) async -> ChildMachine.Event {
    guard let checkpointer else { return .checkpointed(error: "InvalidStateException", endsShard: false) }
    let isAtEnd = action == .shardEnded
    do throws(CheckpointError) {
        guard let text = call.sequenceNumber else {
            try await checkpointer.checkpoint()
            return .checkpointed(error: nil, endsShard: isAtEnd)
        }
        guard
            let position = Checkpoint(text, subSequenceNumber: call.subSequenceNumber ?? 0),
            let number = position.sequenceNumber
        else {
            // Java takes a sentinel where it lies within what may be checkpointed, and only SHARD_END ever does.
            guard isAtEnd, text == Checkpoint.shardEnd.text else {
                throw .illegalArgument("\(text) is no sequence number")
            }
            try await checkpointer.checkpoint()
            return .checkpointed(error: nil, endsShard: true)
        }
        try await checkpointer.checkpoint(number, subSequenceNumber: position.subSequenceNumber)
        return .checkpointed(error: nil, endsShard: isAtEnd && position == delivered)
    } catch {
        return .checkpointed(error: error.javaName, endsShard: false)
    }
}
