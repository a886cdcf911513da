/// The only door to any clock. Everything that waits or dates something is handed one.
public struct TimeSource: Sendable {
    /// Monotonic, and counts the time a machine was suspended, so that a sleeper finds itself fenced when it wakes.
    public var now: @Sendable () -> Timestamp
    /// The wall clock, for signatures and for people.
    public var wallClock: @Sendable () -> UnixTime
    /// Returns at `until` or a little later; throws `CancellationError` when the task is cancelled.
    public var sleep: @Sendable (_ until: Timestamp) async throws -> Void

    public init(
        now: @escaping @Sendable () -> Timestamp, wallClock: @escaping @Sendable () -> UnixTime,
        sleep: @escaping @Sendable (_ until: Timestamp) async throws -> Void
    ) {
        self.now = now
        self.wallClock = wallClock
        self.sleep = sleep
    }

    public func sleep(for duration: Duration) async throws {
        try await sleep(now() + duration)
    }
}
