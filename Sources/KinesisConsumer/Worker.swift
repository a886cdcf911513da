import Synchronization

/// A worker may not join this table; one sentence says why.
public struct WorkerRefusal: Error, Hashable, CustomStringConvertible {
    public var reason: String

    public init(_ reason: String) { self.reason = reason }

    public var description: String { reason }
}

/// A KCL worker: takes leases of a table that it shares with others, and runs a `RecordProcessor` for each.
///
/// Table-compatible with Java KCL 1.x and 2.x workers. Deliveries are at least once: every record from the start
/// position on is passed to `processRecords` at least once.
public final class Worker: Sendable {
    public let configuration: WorkerConfiguration
    let kinesis: KinesisClient
    let dynamoDB: DynamoDBClient
    let time: TimeSource
    let makeProcessor: @Sendable (_ shardID: String) -> any RecordProcessor
    private let onEvent: @Sendable (WorkerEvent) -> Void
    private let onMeasure: (@Sendable (WorkerMeasure) -> Void)?
    private let eventContinuation: AsyncStream<WorkerEvent>.Continuation
    /// What happens, in order. What nobody reads is dropped, oldest first, beyond 8 192 events.
    public let events: AsyncStream<WorkerEvent>
    let mailbox = Mailbox<WorkerMachine.Event>()
    let state: Mutex<State>

    struct State: Sendable {
        var generator: SeededGenerator
        var isShutdownRequested = false
        var hasRun = false
        /// The ARN of the registered consumer, of a fan-out worker that has one.
        var consumerARN = ""
        /// Somebody finds out what became of the consumer.
        var isCheckingConsumer = false
    }

    /// - Parameters:
    ///   - time: the clocks; `TimeSource.system` outside of tests.
    ///   - seed: of every random choice that the worker makes.
    ///   - onEvent: called for each event, before it enters `events`; must not block.
    ///   - onMeasure: called for each thing done, with the time it took; must not block. Without it nothing is
    ///     measured.
    ///   - processor: makes the processor of a tenure.
    public init(
        _ configuration: WorkerConfiguration, kinesis: KinesisClient, dynamoDB: DynamoDBClient, time: TimeSource,
        seed: UInt64, onEvent: @escaping @Sendable (WorkerEvent) -> Void = { _ in },
        onMeasure: (@Sendable (WorkerMeasure) -> Void)? = nil,
        processor: @escaping @Sendable (_ shardID: String) -> any RecordProcessor
    ) {
        self.configuration = configuration
        self.kinesis = kinesis
        var leaseTable = dynamoDB
        // A lease write whose answer is lost must not hold up the next one past the fence.
        leaseTable.timeout = max(configuration.failoverTime / 4, .milliseconds(250))
        self.dynamoDB = leaseTable
        self.time = time
        self.onEvent = onEvent
        self.onMeasure = onMeasure
        makeProcessor = processor
        state = Mutex(State(generator: SeededGenerator(seed: seed)))
        (events, eventContinuation) = AsyncStream.makeStream(
            of: WorkerEvent.self, bufferingPolicy: .bufferingNewest(8192))
    }

    /// Runs until `requestShutdown()`, then until every lease is given up. Runs once.
    ///
    /// Throws `WorkerRefusal` where the fleet is none that this worker may join, `AWSError` where it cannot start, and
    /// `CancellationError` when its task is cancelled, which is a crash: nothing more is sent.
    public func run() async throws {
        let isFirst = state.withLock { state in
            defer { state.hasRun = true }
            return !state.hasRun
        }
        guard isFirst else { throw WorkerRefusal("this worker ran already; make a new one") }
        defer { eventContinuation.finish() }
        if let mistake = configuration.mistakes.first { throw WorkerRefusal(mistake) }
        guard let start = try await measured(.initialize, { try await prepare() }) else { return }
        let generator = state.withLock { $0.generator.split() }
        var machine = WorkerMachine(configuration, generator: generator)
        machine.isMeasured = isMeasured
        let runtime = WorkerRuntime(self)
        defer { runtime.close() }
        mailbox.post(.started(start))
        if isShutdownRequested { mailbox.post(.shutdownRequested) }
        let finished = try await drive(
            machine, mailbox: mailbox, time: time, immediately: { runtime.performImmediately($0) },
            perform: { await runtime.perform($0) })
        emit(WorkerEvent(.workerStopped, at: .zero, message: finished.refusal))
        if let refusal = finished.refusal { throw WorkerRefusal(refusal) }
    }

    /// Asks every processor for a last checkpoint, gives up the leases and ends `run()`.
    public func requestShutdown() {
        state.withLock { $0.isShutdownRequested = true }
        mailbox.post(.shutdownRequested)
    }

    var isShutdownRequested: Bool { state.withLock { $0.isShutdownRequested } }

    /// Gives one lease up gracefully: shutdownRequested, last checkpoint, leaseLost, release.
    public func release(_ shardID: String) { mailbox.post(.releaseRequested(shardID: shardID)) }

    /// Looks at one row now: an operator wrote this worker's name into it.
    public func poke(_ shardID: String) { mailbox.post(.pokeRequested(shardID: shardID)) }

    /// Dates and signs `event` and passes it on.
    func emit(_ event: WorkerEvent) {
        var event = event
        event.at = time.wallClock()
        event.workerID = configuration.workerID
        onEvent(event)
        eventContinuation.yield(event)
    }

    var isMeasured: Bool { onMeasure != nil }

    /// Dates `measure` and passes it on.
    func report(_ measure: WorkerMeasure) {
        guard let onMeasure else { return }
        var measure = measure
        measure.at = time.wallClock()
        onMeasure(measure)
    }

    /// Does `body` and reports how long it took and whether it threw.
    func measured<Answer, Failure: Error>(
        _ operation: WorkerMeasure.Operation, shardID: String? = nil, _ body: () async throws(Failure) -> Answer
    ) async throws(Failure) -> Answer {
        guard isMeasured else { return try await body() }
        let start = time.now()
        do throws(Failure) {
            let answer = try await body()
            report(WorkerMeasure(operation, shardID: shardID, duration: time.now() - start))
            return answer
        } catch {
            report(WorkerMeasure(operation, shardID: shardID, duration: time.now() - start, isSuccess: false))
            throw error
        }
    }
}
