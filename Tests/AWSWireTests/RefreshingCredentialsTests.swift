import Machine
import Synchronization
import Testing

@testable import AWSWire

@Suite struct RefreshingCredentialsTests {
    /// A source of numbered credentials that live for an hour, and that can be told to fail or to wait.
    final class Source: Sendable {
        let time: VirtualTime
        let lifetime: Duration?
        let calls = Mutex(0)
        let failing = Mutex(false)
        let gate: AsyncStream<Void>
        private let opener: AsyncStream<Void>.Continuation
        let isGated: Bool

        init(_ time: VirtualTime, lifetime: Duration? = .seconds(3600), gated: Bool = false) {
            self.time = time
            self.lifetime = lifetime
            isGated = gated
            (gate, opener) = AsyncStream.makeStream(of: Void.self)
        }

        func open() { opener.yield() }

        func fetch() async throws(CredentialError) -> Credentials {
            let number = calls.withLock { calls in
                calls += 1
                return calls
            }
            if isGated { for await _ in gate { break } }
            if Task.isCancelled { throw CredentialError("cancelled") }
            if failing.withLock({ $0 }) { throw CredentialError("failed \(number)") }
            return Credentials(
                accessKeyID: "ID\(number)", secretAccessKey: "s", expiration: lifetime.map { time.wall + $0 })
        }

        var provider: RefreshingCredentials {
            RefreshingCredentials(time: time.source, seed: 1) { [self] () throws(CredentialError) in try await fetch() }
        }
    }

    @Test func credentialsAreKeptUntilFiveMinutesBeforeTheyExpire() async throws {
        let time = VirtualTime()
        let provider = Source(time).provider
        #expect(try await provider.credentials().accessKeyID == "ID1")
        // 5 minutes and up to one of jitter before the hour is over.
        time.advance(by: .seconds(3600 - 361))
        #expect(try await provider.credentials().accessKeyID == "ID1")
        time.advance(by: .seconds(61))
        #expect(try await provider.credentials().accessKeyID == "ID2")
        #expect(try await provider.credentials().accessKeyID == "ID2")
    }

    @Test func credentialsThatDoNotExpireAreFetchedOnce() async throws {
        let time = VirtualTime()
        let provider = Source(time, lifetime: nil).provider
        for _ in 0..<3 {
            #expect(try await provider.credentials().accessKeyID == "ID1")
            time.advance(by: .seconds(1_000_000))
        }
    }

    @Test func theOldOnesServeWhileARenewalFailsAndItIsNotRepeatedAtOnce() async throws {
        let time = VirtualTime()
        let source = Source(time)
        let provider = source.provider
        _ = try await provider.credentials()
        source.failing.withLock { $0 = true }
        time.advance(by: .seconds(3400))
        for _ in 0..<5 { #expect(try await provider.credentials().accessKeyID == "ID1") }
        #expect(source.calls.withLock { $0 } == 2)
        time.advance(by: .seconds(10))
        #expect(try await provider.credentials().accessKeyID == "ID1")
        #expect(source.calls.withLock { $0 } == 3)
        // Once they expired there is only the error left.
        time.advance(by: .seconds(200))
        await #expect(throws: CredentialError("failed 4")) { try await provider.credentials() }
        await #expect(throws: CredentialError("failed 4")) { try await provider.credentials() }
        source.failing.withLock { $0 = false }
        time.advance(by: .seconds(10))
        #expect(try await provider.credentials().accessKeyID == "ID5")
    }

    @Test func rejectedOnesAreFetchedAnewUnlessTheyJustWere() async throws {
        let time = VirtualTime()
        let provider = Source(time).provider
        let first = try await provider.credentials()
        provider.rejected(first)
        #expect(try await provider.credentials() == first)
        time.advance(by: .seconds(10))
        provider.rejected(first)
        let second = try await provider.credentials()
        #expect(second.accessKeyID == "ID2")
        time.advance(by: .seconds(10))
        provider.rejected(first)
        #expect(try await provider.credentials() == second)
    }

    @Test func freshOnesAreUsedEvenIfOurClockSaysTheyExpired() async throws {
        let time = VirtualTime()
        let provider = Source(time, lifetime: .seconds(-7200)).provider
        #expect(try await provider.credentials().accessKeyID == "ID1")
        #expect(try await provider.credentials().accessKeyID == "ID1")
        time.advance(by: .seconds(61))
        #expect(try await provider.credentials().accessKeyID == "ID2")
    }

    @Test func oneFetchServesAllWhoWaitForIt() async throws {
        let source = Source(VirtualTime(), gated: true)
        let provider = source.provider
        let ids = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<20 { group.addTask { try await provider.credentials().accessKeyID } }
            source.open()
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(ids == Array(repeating: "ID1", count: 20))
        #expect(source.calls.withLock { $0 } == 1)
    }

    @Test func aKeeperRenewsAheadOfTimeSoThatNobodyWaits() async throws {
        let time = VirtualTime()
        let source = Source(time)
        let provider = source.provider
        #expect(try await provider.credentials().accessKeyID == "ID1")
        let isDue = Mutex<CheckedContinuation<Void, Never>?>(nil)
        // The keeper sleeps until the test lets it go.
        var paused = time.source
        paused.sleep = { _ in
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    if Task.isCancelled { return continuation.resume() }
                    isDue.withLock { $0 = continuation }
                }
            } onCancel: {
                isDue.withLock { $0.take() }?.resume()
            }
            try Task.checkCancellation()
        }
        let kept = RefreshingCredentials(time: paused, seed: 1) { () throws(CredentialError) in
            try await source.fetch()
        }
        #expect(try await kept.credentials().accessKeyID == "ID2")
        let keeper = Task { await kept.keepFresh() }
        func wake() async {
            while true {
                if let continuation = isDue.withLock({ $0.take() }) { return continuation.resume() }
                await Task.yield()
            }
        }
        func rest() async { while isDue.withLock({ $0 == nil }) { await Task.yield() } }
        await wake()
        await rest()
        #expect(source.calls.withLock { $0 } == 2)
        time.advance(by: .seconds(3400))
        // It is due, but nobody who asks renews it.
        #expect(try await kept.credentials().accessKeyID == "ID2")
        #expect(source.calls.withLock { $0 } == 2)
        source.failing.withLock { $0 = true }
        await wake()
        await rest()
        #expect(try await kept.credentials().accessKeyID == "ID2")
        #expect(source.calls.withLock { $0 } == 3)
        source.failing.withLock { $0 = false }
        time.advance(by: .seconds(10))
        await wake()
        await rest()
        #expect(try await kept.credentials().accessKeyID == "ID4")
        keeper.cancel()
        await keeper.value
        // Without a keeper the asker renews.
        time.advance(by: .seconds(3400))
        #expect(try await kept.credentials().accessKeyID == "ID5")
    }

    @Test func whoeverIsCancelledLeavesTheFetchToAnother() async throws {
        let source = Source(VirtualTime(), gated: true)
        let provider = source.provider
        let first = Task { try await provider.credentials() }
        while source.calls.withLock({ $0 }) == 0 { await Task.yield() }
        let second = Task { try await provider.credentials() }
        let third = Task { try await provider.credentials() }
        third.cancel()
        await #expect(throws: CredentialError.self) { try await third.value }
        first.cancel()
        await #expect(throws: CredentialError.self) { try await first.value }
        source.open()
        #expect(try await second.value.accessKeyID == "ID2")
    }
}
