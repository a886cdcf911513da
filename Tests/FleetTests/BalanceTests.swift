import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct BalanceTests {
    @Test func `a lease whose owner changes four times in five minutes flaps, one that changes slowly does not`() throws
    {
        func watch(every gap: Duration) -> Watch {
            var watch = Watch(.test(stream: nil))
            for round in 0..<5 {
                watch.scan([lease(0, owner: "w\(round % 2)", counter: Int64(round))])
                watch.wait(gap)
            }
            return watch
        }
        let problem = try #require(watch(every: .seconds(20)).problem(.flapping))
        #expect(problem.shardIDs == [id(0)])
        #expect(problem.message.contains("the owner changed 4 times in 5m00s (w0, w1)"))
        #expect(watch(every: .seconds(90)).problem(.flapping) == nil)
    }

    @Test func `a lease that is let go and taken by the same worker does not flap`() {
        var watch = Watch(.test(stream: nil))
        for round in 0..<12 {
            watch.scan([lease(0, owner: round % 2 == 0 ? "w1" : nil, counter: Int64(round))])
            watch.wait(.seconds(5))
        }
        #expect(watch.problem(.flapping) == nil)
    }

    /// Two workers with these times between renewals, in milliseconds, watched for three minutes.
    private func paces(_ first: Int64, _ second: Int64) -> Watch {
        var watch = Watch(.test(stream: nil, failover: .seconds(60), refresh: .seconds(2)))
        while watch.now < .zero + .seconds(180) {
            let time = (watch.now - .zero).wholeMilliseconds
            watch.scan([
                lease(0, owner: "a", counter: time / first), lease(1, owner: "b", counter: time / second),
            ])
            watch.wait(.seconds(2))
        }
        return watch
    }

    @Test func `workers that renew at different paces have different failover times`() throws {
        let problem = try #require(paces(3308, 9975).problem(.failoverDiffers))
        #expect(problem.workerID == "b")
        #expect(problem.message.hasPrefix("b renews as with a failover time of 30s, a as with 10s"))
        #expect(paces(3308, 3500).problem(.failoverDiffers) == nil)
    }

    @Test func `the pace of a worker that is gone is not its successor's`() {
        var watch = paces(3308, 9975)
        watch.scan([lease(0, owner: "a", counter: 1000), lease(1, owner: "a", counter: 1000)])
        #expect(watch.problem(.failoverDiffers) == nil)
    }

    /// Leases shared out as `counts` says, watched for `time` with failover times of 10 s.
    private func shares(
        _ counts: [Int], for time: Duration, before: [Int]? = nil, ended: Int = 0, mode: String? = nil
    ) -> Watch {
        var watch = Watch(.test(stream: nil))
        watch.noMigration()
        let end = watch.now + time
        var counter: Int64 = 0
        while watch.now <= end {
            let present = counter < 3 ? before ?? counts : counts
            var leases: [Item] = []
            for (worker, count) in present.enumerated() {
                for _ in 0..<count {
                    leases.append(item(lease(leases.count, of: 16, owner: "w\(worker)", counter: counter)))
                }
            }
            for _ in 0..<ended {
                leases.append(
                    item(lease(leases.count, of: 16, owner: "w1", counter: 1, checkpoint: .shardEnd)))
            }
            if let mode { leases.append(["leaseKey": .s("Migration3.0"), "cv": .s(mode)]) }
            watch.scan(leases)
            counter += 1
            watch.wait(.seconds(4))
        }
        return watch
    }

    @Test func `leases that stay shared out badly for two runs of the takers are UNEVEN`() throws {
        #expect(shares([6, 2], for: .seconds(30)).problem(.uneven) == nil)
        let problem = try #require(shares([6, 2], for: .seconds(80)).problem(.uneven))
        #expect(problem.severity == .warning)
        #expect(problem.workerID == "w1")
        #expect(problem.message.hasPrefix("w0 has 6 leases, w1 2: its maxLeasesForWorker may be 2"))
        #expect(shares([3, 2], for: .seconds(80)).problem(.uneven) == nil)
    }

    @Test func `a newcomer that still takes leases is a remark`() throws {
        let problem = try #require(shares([6, 2], for: .seconds(80), before: [8]).problem(.uneven))
        #expect(problem.severity == .info)
        #expect(problem.message.contains("and takes about one lease every 20s"))
    }

    @Test func `Java workers count ended leases, a 3-x leader counts load: neither is UNEVEN`() {
        #expect(shares([6, 2], for: .seconds(80), ended: 4).problem(.uneven) == nil)
        #expect(shares([6, 2], for: .seconds(80), mode: "CLIENT_VERSION_3X").problem(.uneven) == nil)
    }
}
