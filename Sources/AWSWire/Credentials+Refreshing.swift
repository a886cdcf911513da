public import Machine
import Synchronization

/// Keeps the credentials that `fetch` finds and renews them before they expire.
///
/// One renewal is in flight at a time: in the task of `keepFresh`, or, where nobody runs that, in the task of the
/// caller that found it due. Meanwhile the others are served the old credentials while those are valid, and wait where
/// there are none. A renewal that fails is not repeated at once:
/// the old ones are served on, or everybody gets the error, until the pause is over.
public final class RefreshingCredentials: CredentialProvider {
    private let time: TimeSource
    private let fetch: @Sendable () async throws(CredentialError) -> Credentials
    private let state: Mutex<State>

    private struct State {
        var schedule: RefreshSchedule
        var generator: SeededGenerator
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var lastWaiter: UInt64 = 0
        /// Tasks that run `keepFresh`.
        var keepers = 0
    }

    public init(
        time: TimeSource, seed: UInt64, fetch: @escaping @Sendable () async throws(CredentialError) -> Credentials
    ) {
        self.time = time
        self.fetch = fetch
        state = Mutex(State(schedule: RefreshSchedule(), generator: SeededGenerator(seed: seed)))
    }

    public func credentials() async throws(CredentialError) -> Credentials {
        while true {
            let step = state.withLock { state in
                state.schedule.next(wall: time.wallClock(), now: time.now(), isKeeper: state.keepers == 0)
            }
            switch step {
            case .use(let credentials): return credentials
            case .fail(let error): throw error
            case .wait:
                await waitForRefresh()
                if Task.isCancelled { throw CredentialError("cancelled") }
            case .refresh(let old): return try await refresh(old)
            }
        }
    }

    /// Renews ahead of time until the task is cancelled, so that no caller waits for a renewal while what it has is
    /// still valid: a role may take seconds, and a process a minute. The first credentials are still fetched for the
    /// first caller.
    public func keepFresh() async {
        state.withLock { $0.keepers += 1 }
        defer { state.withLock { $0.keepers -= 1 } }
        while true {
            do { try await time.sleep(for: Self.keeperPause) } catch { return }
            let step = state.withLock { $0.schedule.renewal(wall: time.wallClock(), now: time.now()) }
            // A failure is kept for whoever asks once the old ones are no longer valid.
            if case .refresh(let old?) = step { _ = try? await refresh(old) }
        }
    }

    private static let keeperPause = Duration.seconds(10)

    public func rejected(_ credentials: Credentials) {
        state.withLock { $0.schedule.rejected(credentials, now: time.now()) }
    }

    /// Fetches; on failure falls back on `old`.
    private func refresh(_ old: Credentials?) async throws(CredentialError) -> Credentials {
        let result: Result<Credentials, CredentialError>
        do throws(CredentialError) { result = .success(try await fetch()) } catch { result = .failure(error) }
        // A caller that was cancelled says nothing about the source; one of those that wait tries again.
        let isCancelled = Task.isCancelled
        let waiting = state.withLock { state in
            switch result {
            case .success(let credentials):
                let jitter = Duration.seconds(Int64.random(in: 0...60, using: &state.generator))
                state.schedule.fetched(credentials, wall: time.wallClock(), now: time.now(), jitter: jitter)
            case .failure(let error): state.schedule.failed(isCancelled ? nil : error, now: time.now())
            }
            defer { state.waiters = [:] }
            return state.waiters
        }
        for (_, waiter) in waiting.sorted(by: { $0.key < $1.key }) { waiter.resume() }
        switch result {
        case .success(let credentials): return credentials
        case .failure(let error):
            if let old, !isCancelled { return old }
            throw error
        }
    }

    private func waitForRefresh() async {
        let id = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if !state.schedule.isRefreshing || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }
}

/// When credentials are renewed: 5 to 6 minutes before they expire.
struct RefreshSchedule: Sendable {
    enum Step: Hashable, Sendable {
        case use(Credentials)
        /// The asker fetches; what it has is still valid.
        case refresh(Credentials?)
        /// Somebody else fetches.
        case wait
        case fail(CredentialError)
    }

    private var current: Credentials?
    /// Until when `current` is served and from when it is renewed, by the wall clock; `nil` for ever and never.
    private var validUntil: UnixTime?
    private var refreshAt: UnixTime?
    private(set) var isRefreshing = false
    private var fetchedAt: Timestamp?
    private var failure: CredentialError?
    /// No attempt before this.
    private var retryAt: Timestamp?

    static let refreshAhead = Duration.seconds(300)
    static let pauseAfterFailure = Duration.seconds(10)

    /// - Parameter isKeeper: the asker renews what is still valid, since nobody else does.
    mutating func next(wall: UnixTime, now: Timestamp, isKeeper: Bool = true) -> Step {
        let mayFetch = !isRefreshing && (retryAt.map { now >= $0 } ?? true)
        if let current, validUntil.map({ wall < $0 }) ?? true {
            guard let refreshAt, wall >= refreshAt, mayFetch, isKeeper else { return .use(current) }
            isRefreshing = true
            return .refresh(current)
        }
        if isRefreshing { return .wait }
        if let failure, !mayFetch { return .fail(failure) }
        isRefreshing = true
        return .refresh(nil)
    }

    /// What is to be done ahead of time: `refresh` of credentials that are still valid, or `wait`.
    mutating func renewal(wall: UnixTime, now: Timestamp) -> Step {
        guard let current, let validUntil, wall < validUntil, !isRefreshing else { return .wait }
        let step = next(wall: wall, now: now)
        return step == .use(current) ? .wait : step
    }

    mutating func fetched(_ credentials: Credentials, wall: UnixTime, now: Timestamp, jitter: Duration) {
        isRefreshing = false
        failure = nil
        retryAt = nil
        fetchedAt = now
        current = credentials
        guard let expiration = credentials.expiration else {
            validUntil = nil
            refreshAt = nil
            return
        }
        let soon = wall + .seconds(60)
        // What the source just gave is good, whatever our clock says about its expiration: the clock may be wrong.
        validUntil = max(expiration, wall + Self.refreshAhead)
        refreshAt = max(expiration + (.zero - Self.refreshAhead - jitter), soon)
    }

    /// - Parameter error: `nil` where the asker went away and another should ask again at once.
    mutating func failed(_ error: CredentialError?, now: Timestamp) {
        isRefreshing = false
        guard let error else { return }
        failure = error
        retryAt = now + Self.pauseAfterFailure
    }

    /// The service does not accept `credentials`: they are fetched anew, unless they just were.
    mutating func rejected(_ credentials: Credentials, now: Timestamp) {
        guard credentials == current, let fetchedAt, now - fetchedAt >= Self.pauseAfterFailure else { return }
        current = nil
    }
}
