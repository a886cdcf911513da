import AWSWire
import Leases
import Machine
import Testing

private func at(_ seconds: Double) -> Timestamp { Timestamp(nanoseconds: Int64(seconds * 1e9)) }

private func number(_ number: Int) -> Checkpoint {
    Checkpoint(.sequenceNumber(SequenceNumber.zero.advanced(by: UInt64(number))))
}

private func row(
    _ counter: Int, owner: String = "java", checkpoint: Checkpoint = .latest, mark: OwnerMark? = nil
) -> Lease {
    Lease(
        leaseKey: "k", leaseOwner: owner, leaseCounter: Int64(counter), checkpoint: checkpoint, ownerMark: mark)
}

/// A worker that renews every `failover` / 3 − 25 ms and checkpoints where told, seen by an observer that looks every
/// `pause` seconds, at rows that may be up to a second old.
private struct Watched {
    var liveness = Liveness()
    var interval: Double
    let pause: Double
    var generator: SeededGenerator
    var checkpointsEvery: Double?
    private(set) var time = 0.0
    /// When the counter rose: renewals and checkpoints, in order.
    private var writes: [(at: Double, isCheckpoint: Bool)] = []
    private var nextRenewal = 0.0
    private var nextCheckpoint = 0.0

    init(failover: Double, pause: Double, seed: UInt64, checkpointsEvery: Double? = nil) {
        interval = failover / 3 - 0.025
        self.pause = pause
        generator = SeededGenerator(seed: seed)
        self.checkpointsEvery = checkpointsEvery
        nextRenewal = Double.random(in: 0...interval, using: &generator)
    }

    /// `silence`: no renewal happens before then; those that were due by then follow at once, where they are made up.
    mutating func watch(
        until end: Double, silentUntil silence: Double = 0, makingUp: Bool = false,
        _ look: (Liveness, Double) -> Void = { _, _ in }
    ) {
        while time < end {
            time += pause * Double.random(in: 0.8...1.2, using: &generator)
            while nextRenewal <= time {
                if makingUp, time >= silence {
                    writes.append((max(nextRenewal, silence), false))
                } else if makingUp {
                    break
                } else if nextRenewal >= silence {
                    writes.append((nextRenewal, false))
                }
                nextRenewal += interval
            }
            if let every = checkpointsEvery {
                while nextCheckpoint <= time {
                    writes.append((nextCheckpoint, true))
                    nextCheckpoint += every
                }
                writes.sort { $0.at < $1.at }
            }
            let seen = generator.chance(0.2) ? time - Double.random(in: 0...1, using: &generator) : time
            let done = writes.prefix { $0.at <= seen }
            let known = liveness["k"].map { Int($0.counter) } ?? 0
            // An older image than the last one is not taken note of.
            if done.count >= known {
                liveness.observe(
                    row(done.count, checkpoint: number(done.count { $0.isCheckpoint })), at: at(time))
            }
            look(liveness, time)
        }
    }
}

@Suite struct PulseTests {
    @Test(arguments: [1.5, 2, 5, 10, 30, 60], 0..<8 as Range<UInt64>)
    func `a worker's failover time is known by its pulse`(failover: Double, seed: UInt64) throws {
        var watched = Watched(failover: failover, pause: 0.9, seed: seed)
        watched.watch(until: max(40, failover * 4))
        let pulse = try #require(watched.liveness.pulse(of: "java"))
        #expect(pulse.shortestFailoverTime <= .seconds(failover * 1.001))
        #expect(pulse.longestFailoverTime >= .seconds(failover * 0.999))
        #expect(pulse.isSharp)
        // What leases are judged by is known a little later, and as surely.
        watched.watch(until: max(60, failover * 5))
        let settled = try #require(watched.liveness.settledPulse(of: "java"))
        #expect(settled.shortestFailoverTime <= .seconds(failover * 1.001))
        #expect(settled.longestFailoverTime >= .seconds(failover * 0.999))
    }

    @Test(arguments: [0.5, 0.9, 1.8], 0..<12 as Range<UInt64>)
    func `a living worker with a longer failover time is alive at every look`(pause: Double, seed: UInt64) {
        // Ours 2 s, Java's 10 s.
        var watched = Watched(failover: 10, pause: pause, seed: seed)
        watched.watch(until: 200) { liveness, time in
            if let expiry = liveness.expiry(of: "k", configured: .seconds(2)) { #expect(expiry > at(time)) }
        }
    }

    @Test(arguments: 0..<12 as Range<UInt64>)
    func `checkpoints are not taken for renewals`(seed: UInt64) {
        var watched = Watched(failover: 10, pause: 0.9, seed: seed, checkpointsEvery: 0.7)
        watched.watch(until: 60)
        #expect(watched.liveness.pulse(of: "java").map { $0.longestFailoverTime >= .seconds(10) } ?? true)
        // Then it has nothing to do any more, and shows its own pulse.
        watched.checkpointsEvery = nil
        watched.watch(until: 200) { liveness, time in
            if let expiry = liveness.expiry(of: "k", configured: .seconds(2)) { #expect(expiry > at(time)) }
        }
    }

    @Test(arguments: 0..<12 as Range<UInt64>)
    func `a worker with our failover time is judged by it, and one with a shorter one too`(seed: UInt64) {
        for failover in [10.0, 5, 2] {
            var watched = Watched(failover: failover, pause: 0.9, seed: seed)
            watched.watch(until: 100)
            #expect(watched.liveness.failoverTime(of: "java", configured: .seconds(10)) == .seconds(10))
        }
    }

    @Test(arguments: 0..<12 as Range<UInt64>)
    func `an outage that it survived does not make a worker slow for ever`(seed: UInt64) {
        var watched = Watched(failover: 10, pause: 0.9, seed: seed)
        watched.watch(until: 60)
        watched.watch(until: 75, silentUntil: 69)
        #expect(watched.liveness.failoverTime(of: "java", configured: .seconds(10)) == .seconds(10))
    }

    @Test(arguments: 0..<12 as Range<UInt64>)
    func `renewals that an outage held up are no quicker pulse`(seed: UInt64) {
        var watched = Watched(failover: 10, pause: 0.9, seed: seed)
        watched.watch(until: 60)
        watched.watch(until: 95, silentUntil: 90, makingUp: true)
        watched.watch(until: 150) { liveness, time in
            if let expiry = liveness.expiry(of: "k", configured: .seconds(2)) { #expect(expiry > at(time)) }
        }
    }

    @Test(arguments: 0..<12 as Range<UInt64>)
    func `a name that comes back slower is waited for from its second renewal on`(seed: UInt64) {
        var watched = Watched(failover: 3, pause: 0.5, seed: seed)
        watched.watch(until: 60)
        #expect(watched.liveness.failoverTime(of: "java", configured: .seconds(5)) == .seconds(5))
        watched.interval = 10.0 / 3
        watched.watch(until: 69)
        watched.watch(until: 200) { liveness, _ in
            #expect(liveness.failoverTime(of: "java", configured: .seconds(5)) >= .seconds(10))
        }
    }

    @Test(arguments: 0..<12 as Range<UInt64>)
    func `a name that comes back from the dead slower is waited for at once`(seed: UInt64) {
        var watched = Watched(failover: 5, pause: 0.9, seed: seed)
        watched.watch(until: 60)
        #expect(watched.liveness.failoverTime(of: "java", configured: .seconds(5)) < .seconds(7))
        watched.watch(until: 66, silentUntil: 1000)
        watched.interval = 10.0 / 3
        watched.watch(until: 200, silentUntil: 66) { liveness, time in
            guard time > 72 else { return }
            #expect(liveness.failoverTime(of: "java", configured: .seconds(5)) >= .seconds(10))
        }
    }

    /// Java's renewer was held up for a minute, in which its taker took the lease.
    @Test(arguments: 0..<12 as Range<UInt64>)
    func `a worker that is first seen making up for an outage is not taken for a quick one`(seed: UInt64) {
        var watched = Watched(failover: 10, pause: 0.9, seed: seed)
        let interval = watched.interval
        watched.interval = 0.5
        watched.watch(until: 7)
        watched.interval = interval
        watched.watch(until: 150) { liveness, _ in
            #expect(liveness.failoverTime(of: "java", configured: .seconds(5)) >= .seconds(10))
        }
        // It is known for what it is in the end.
        #expect(watched.liveness.failoverTime(of: "java", configured: .seconds(5)) <= .seconds(12))
    }

    @Test func `an owner of which no pulse is known is waited for`() {
        var liveness = Liveness()
        liveness.observe(row(3), at: at(0))
        #expect(liveness.expiry(of: "k", configured: .seconds(2)) == at(10))
        #expect(liveness.expiry(of: "k", configured: .seconds(12)) == at(12))
    }

    @Test func `what a worker of ours says of its failover time holds, if it is longer than ours`() {
        var liveness = Liveness()
        liveness.observe(row(3, mark: OwnerMark(owner: "java", failoverTime: .seconds(20))), at: at(0))
        #expect(liveness.expiry(of: "k", configured: .seconds(2)) == at(20))
        #expect(liveness.expiry(of: "k", configured: .seconds(30)) == at(30))
        liveness.observe(row(4, mark: OwnerMark(owner: "java", failoverTime: .seconds(1))), at: at(5))
        #expect(liveness.expiry(of: "k", configured: .seconds(2)) == at(7))
        // Nobody makes himself immortal.
        liveness.observe(
            row(5, mark: OwnerMark(owner: "java", failoverTime: .milliseconds(Int64.max))), at: at(6))
        #expect(liveness.expiry(of: "k", configured: .seconds(2)) == at(606))
    }

    @Test func `the mark of a former owner says nothing of the present one`() {
        var liveness = Liveness()
        liveness.observe(row(3, mark: OwnerMark(owner: "ours", failoverTime: .seconds(20))), at: at(0))
        #expect(liveness.expiry(of: "k", configured: .seconds(2)) == at(10))
    }

    @Test func `a pulse is forgotten with the last row of its owner`() {
        var watched = Watched(failover: 10, pause: 0.9, seed: 1)
        watched.watch(until: 60)
        watched.liveness.keep(only: [])
        #expect(watched.liveness.pulse(of: "java") == nil)
    }
}
