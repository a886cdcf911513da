package import Machine

/// A child as the screen shows it.
package struct ChildStatus: Hashable, Sendable {
    package enum State: Hashable, Sendable {
        /// Alive, with nothing asked.
        case idle
        /// It was asked something and has not answered.
        case working
        /// Its input is closed; it has yet to end.
        case ending
        case ended
        case failed(String)
    }

    package var shardID: String
    package var pid: Int32?
    package var state: State
    /// What it was asked last.
    package var lastAction: ProtocolAction?
    /// When it last sent a message or was sent one.
    package var lastMessageAt: Timestamp?
    /// Since when it owes an answer; nil while it owes none, a checkpoint of its being stored among that.
    package var waitingSince: Timestamp?
    /// Lines on its standard output that are no messages.
    package var stray = 0
    /// Requests that it answered.
    package var answered = 0
    /// Checkpoints that were stored for it, and that were refused.
    package var checkpoints = 0
    package var refusedCheckpoints = 0
    /// Failed children of this shard before this one.
    package var restarts = 0
    package var bytesWritten = 0
    package var usage: ChildUsage?

    package init(shardID: String, pid: Int32? = nil, state: State = .idle, restarts: Int = 0) {
        self.shardID = shardID
        self.pid = pid
        self.state = state
        self.restarts = restarts
    }
}

/// One line of the protocol as it passed.
package struct ChildTrace: Hashable, Sendable {
    package enum Direction: String, Hashable, Sendable {
        case toChild
        case fromChild
    }

    package var shardID: String
    package var pid: Int32
    package var direction: Direction
    /// Without its line end, and cut where it is very long. Without record data unless that was asked for.
    package var line: String
}

/// Who hears of children. The closures are called from the calls of the processor and from the spawner's thread, and
/// must not wait.
package struct ChildObserver: Sendable {
    /// A line of a child's standard error, made harmless, with the shard's id.
    package var onLine: @Sendable (_ shardID: String, _ line: String) -> Void
    /// A sentence about a child that keeps us waiting or had to be ended by force.
    package var onWarning: @Sendable (_ shardID: String, _ message: String) -> Void
    /// The protocol, where somebody looks.
    package var onTrace: (@Sendable (ChildTrace) -> Void)?
    package var traceHasData: Bool
    /// Whether somebody looks at the shard now; what is not traced costs nothing.
    package var isTraced: @Sendable (_ shardID: String) -> Bool

    package init(
        onLine: @escaping @Sendable (_ shardID: String, _ line: String) -> Void = { _, _ in },
        onWarning: @escaping @Sendable (_ shardID: String, _ message: String) -> Void = { _, _ in },
        onTrace: (@Sendable (ChildTrace) -> Void)? = nil, traceHasData: Bool = false,
        isTraced: @escaping @Sendable (_ shardID: String) -> Bool = { _ in true }
    ) {
        self.onLine = onLine
        self.onWarning = onWarning
        self.onTrace = onTrace
        self.traceHasData = traceHasData
        self.isTraced = isTraced
    }
}
