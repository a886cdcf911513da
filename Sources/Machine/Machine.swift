/// What can race or time out: state in a value that takes an event and a time and returns effects.
///
/// Events are past tense (`renewed`, `scanFailed`), effects imperative (`renew`, `scan`); both are plain values with
/// ids, counts and bytes. A machine does no I/O and reads no clock, so every decision is tested by a list of events and
/// the whole list of effects. A late or repeated answer is normal and yields `[]`.
public protocol Machine: Sendable {
    associatedtype Event: Sendable
    associatedtype Effect: Sendable

    mutating func handle(_ event: Event, at now: Timestamp) -> [Effect]

    /// When true, `drive` returns: nothing is in flight that the machine still waits for.
    var isFinished: Bool { get }
}

/// Where the answers of effects and the requests of others wait for a machine.
///
/// Each effect posts at most one event, so what waits here is bounded by the effects in flight.
public struct Mailbox<Event: Sendable>: Sendable {
    let events: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation

    public init() {
        (events, continuation) = AsyncStream.makeStream(of: Event.self)
    }

    public func post(_ event: Event) {
        continuation.yield(event)
    }
}

/// The one shell: feeds events to the machine one at a time and performs its effects as child tasks.
///
/// Effects of one event start in their order but run concurrently; a machine that needs an order waits for the answer.
/// `immediately` performs what needs no waiting (an event to publish, a caller to answer) on the spot, in order, and
/// says so; everything else goes to `perform`, which reports failures as events and returns `nil` where an effect has
/// no answer. Returns the finished machine.
/// Cancelling the task is a crash: the children are cancelled, nothing more is sent, and `CancellationError` is thrown.
public func drive<M: Machine>(
    _ machine: M, mailbox: Mailbox<M.Event>, time: TimeSource, starting: [M.Effect] = [],
    immediately: @escaping @Sendable (M.Effect) -> Bool = { _ in false },
    perform: @escaping @Sendable (M.Effect) async -> M.Event?
) async throws -> M {
    try await withThrowingDiscardingTaskGroup { group in
        var machine = machine
        func start(_ effect: M.Effect) {
            if immediately(effect) { return }
            group.addTask {
                if let event = await perform(effect) { mailbox.post(event) }
            }
        }
        starting.forEach(start)
        for await event in mailbox.events {
            machine.handle(event, at: time.now()).forEach(start)
            if machine.isFinished { break }
        }
        try Task.checkCancellation()
        // Only sleepers and abandoned answers are left; their events no longer concern anybody.
        group.cancelAll()
        return machine
    }
}
