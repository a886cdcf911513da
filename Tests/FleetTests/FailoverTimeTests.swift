import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct FailoverTimeTests {
    /// Reads leases that are renewed every `renewal`, every `refresh` or so, for `seconds`.
    private func watch(
        renewal: Duration, refresh: Duration, for seconds: Int, seed: UInt64 = 1, checkpoints: Bool = false
    ) -> Watch {
        var watch = Watch(.test(stream: nil, failover: nil, refresh: refresh))
        var generator = SeededGenerator(seed: seed)
        while watch.now < .zero + .seconds(seconds) {
            let renewals = (watch.now - .zero).wholeNanoseconds / renewal.wholeNanoseconds
            let seconds = (watch.now - .zero).wholeMilliseconds / 1000
            let leases = (0..<4).map { number in
                lease(
                    number, counter: renewals + (checkpoints ? seconds : 0),
                    checkpoint: checkpoints ? checkpoint(age: .seconds(3600 - seconds)) : .latest)
            }
            watch.scan(leases)
            watch.wait(generator.jittered(refresh, by: 0.3))
        }
        return watch
    }

    @Test(arguments: [(3308, 10), (975, 3), (6642, 20), (9975, 30)])
    func `the failover time is inferred from the cadence, whatever the drift of the reads`(
        _ renewalMillis: Int, _ seconds: Int
    ) {
        for seed in UInt64(1)...5 {
            let watch = watch(
                renewal: .milliseconds(renewalMillis), refresh: .seconds(2), for: 60 + seconds * 2, seed: seed)
            let time = watch.snapshot.failoverTime
            #expect(time.source == .inferred)
            #expect(abs(time.duration.inSeconds - Double(seconds)) <= Double(seconds) * 0.2, "seed \(seed)")
        }
    }

    @Test func `checkpoints are no renewals: where every read shows one the failover time stays unknown`() {
        let watch = watch(
            renewal: .milliseconds(3300), refresh: .seconds(5), for: 120, checkpoints: true)
        #expect(watch.snapshot.failoverTime == .assumed)
    }

    @Test func `EXPIRED is never said before the failover time is known`() {
        var watch = Watch(.test(stream: nil, failover: nil))
        watch.scan([lease(0, counter: 1)])
        watch.wait(.seconds(5))
        watch.scan([lease(0, counter: 2)])
        for _ in 0..<60 {
            watch.wait(.seconds(5))
            watch.scan([lease(0, counter: 2)])
        }
        #expect(watch.state(id(0)) == .late)
        #expect(
            watch.view(id(0))?.why
                == "no renewal for 5m00s; the failover time is not known, give --failover-time")
        watch = Watch(.test(stream: nil, failover: nil))
        for _ in 0..<60 {
            watch.scan([lease(0, counter: 2)])
            watch.wait(.seconds(5))
        }
        #expect(watch.state(id(0)) == .learning)
    }

    @Test func `once it is known from the living, the dead are EXPIRED`() {
        var watch = Watch(.test(stream: nil, failover: nil, refresh: .seconds(1)))
        for second in 0..<40 {
            let renewals = Int64(second * 10 / 33)
            watch.scan([lease(0, counter: renewals), lease(1, owner: "dead", counter: 7)])
            watch.wait(.seconds(1))
        }
        #expect(watch.snapshot.failoverTime == FailoverTime(.seconds(10), .inferred))
        #expect(watch.state(id(0)) == .live)
        #expect(watch.state(id(1)) == .expired)
        let worker = watch.snapshot.workers.first { $0.workerID == "dead" }
        #expect(worker?.state == .expired)
        #expect(worker?.activeLeases == 0)
    }

    @Test func `a worker that pauses is no rhythm`() {
        var cadence = Cadence()
        var now = Timestamp.zero
        for counter in Int64(1)...10 {
            cadence.changed(to: counter, at: now, refresh: .milliseconds(500))
            now = now + .seconds(1)
        }
        #expect(cadence.gap == .seconds(1))
        now = now + .seconds(60)
        for counter in Int64(11)...13 {
            cadence.changed(to: counter, at: now, refresh: .milliseconds(500))
            now = now + .seconds(1)
        }
        #expect(cadence.gap == .seconds(1))
    }
}
