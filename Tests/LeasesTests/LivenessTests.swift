import Leases
import Machine
import Testing

private let failover: Duration = .seconds(10)

private func at(_ seconds: Double) -> Timestamp { Timestamp(nanoseconds: Int64(seconds * 1e9)) }

@Suite struct LivenessTests {
    @Test func `what was never seen has no expiry`() {
        #expect(Liveness().expiry(of: "k", configured: failover) == nil)
    }

    @Test func `an owned lease expires when its counter stood still for the failover time`() {
        var liveness = Liveness()
        liveness.observe(key: "k", counter: 1, owner: "a", at: at(5))
        #expect(liveness.expiry(of: "k", configured: failover) == at(15))
        liveness.observe(key: "k", counter: 1, owner: "a", at: at(9))
        #expect(liveness.expiry(of: "k", configured: failover) == at(15))
        liveness.observe(key: "k", counter: 2, owner: "a", at: at(12))
        #expect(liveness.expiry(of: "k", configured: failover) == at(22))
    }

    @Test func `a counter that falls is a change too`() {
        var liveness = Liveness()
        liveness.observe(key: "k", counter: 9, owner: "a", at: at(0))
        liveness.observe(key: "k", counter: 3, owner: "a", at: at(8))
        #expect(liveness.expiry(of: "k", configured: failover) == at(18))
    }

    @Test func `an unowned lease is free as soon as it is seen`() {
        var liveness = Liveness()
        liveness.observe(key: "k", counter: 1, owner: nil, at: at(3))
        #expect(liveness.expiry(of: "k", configured: failover) == at(3))
    }

    @Test func `a new owner starts anew although the counter was not seen to change`() {
        var liveness = Liveness()
        liveness.observe(key: "k", counter: 1, owner: "a", at: at(0))
        liveness.observe(key: "k", counter: 1, owner: "b", at: at(9))
        #expect(liveness.expiry(of: "k", configured: failover) == at(19))
        #expect(liveness["k"]?.hasMoved == false)
    }

    @Test func `rows that are gone are forgotten`() {
        var liveness = Liveness()
        for key in ["a", "b", "c"] { liveness.observe(key: key, counter: 1, owner: "w", at: at(0)) }
        liveness.forget(key: "a")
        liveness.keep(only: ["a", "b"])
        #expect(["a", "b", "c"].map { liveness[$0] != nil } == [false, true, false])
    }

    @Test func `the largest counter does not trap`() {
        var liveness = Liveness()
        for (second, counter) in [(0, 1), (1, .max), (2, .min), (3, .max), (4, 0), (5, .min)] as [(Double, Int64)] {
            liveness.observe(
                Lease(leaseKey: "k", leaseOwner: "a", leaseCounter: counter, checkpoint: .latest), at: at(second))
            if second == 3 { #expect(liveness["k"]?.changedAt == at(3)) }
        }
    }
}

/// A worker that renews at its own pace, and an observer with another clock that looks now and then.
@Suite struct LivenessPropertyTests {
    @Test(arguments: 0..<60 as Range<UInt64>)
    func `no lease is expired before its owner was silent for the failover time`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var liveness = Liveness()
        // Seconds on the observer's clock for one on the true one.
        let drift = Double.random(in: 0.5...2, using: &generator)
        let pause = Double.random(in: 0.1...9, using: &generator)
        var counter: Int64 = 0
        var renewed = 0.0
        var nextLook = 0.0
        var time = 0.0
        while time < 300 {
            if time >= renewed + pause {
                counter += 1
                renewed = time
            }
            if time >= nextLook {
                nextLook = time + Double.random(in: 0.2...25, using: &generator)
                liveness.observe(key: "k", counter: counter, owner: "a", at: at(time * drift))
                let expiry = try #require(liveness.expiry(of: "k", configured: failover))
                #expect(expiry >= at(renewed * drift) + failover)
            }
            time += 0.05
        }
        // Then the worker dies, and the lease does expire: by the configured time, or by its pulse if that is slow.
        for _ in 0..<3 {
            liveness.observe(key: "k", counter: counter, owner: "a", at: at(time * drift))
            time += 100
        }
        let expiry = try #require(liveness.expiry(of: "k", configured: failover))
        #expect(expiry <= at(300 * drift) + max(failover, .seconds(3 * pause * drift)) + .milliseconds(1))
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func `an owner that renews as KCL does is alive at every look, however the clocks drift`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var liveness = Liveness()
        let drift = Double.random(in: 0.5...2, using: &generator)
        var counter: Int64 = 0
        var renewed = 0.0
        var time = 0.0
        for _ in 0..<500 {
            time += Double.random(in: 0.1...3, using: &generator)
            while renewed + 3.308 <= time {
                renewed += 3.308
                counter += 1
            }
            liveness.observe(key: "k", counter: counter, owner: "a", at: at(time * drift))
            let expiry = try #require(liveness.expiry(of: "k", configured: failover))
            #expect(expiry > at(time * drift))
        }
    }
}
