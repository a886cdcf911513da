import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct CheckTests {
    /// Two leases of a living worker, watched for 12 seconds.
    private func fleet(
        _ second: Lease? = nil, failover: Duration? = .seconds(10), stream: String? = nil, age: Duration = .seconds(4)
    ) -> Watch {
        var watch = Watch(.test(stream: stream, failover: failover))
        watch.send(.tableDescribed(.test(), watch.info()))
        watch.noMigration()
        for step in 0..<5 {
            let now = checkpoint(age: age + .seconds(-3 * step))
            let other = second ?? lease(1, counter: Int64(step + 1), checkpoint: now)
            watch.scan([lease(0, counter: Int64(step + 1), checkpoint: now), other])
            watch.wait(.seconds(3))
        }
        watch.wait(.seconds(-3))
        return watch
    }

    private func check(
        _ watch: Watch, lag: Duration? = nil, age: Duration? = nil, hasStream: Bool = false
    ) -> Check {
        Check(watch.snapshot, limits: Check.Limits(lag: lag, checkpointAge: age), hasStream: hasStream)
    }

    @Test func `a healthy fleet is OK, with its figures`() {
        let check = check(fleet(), lag: .seconds(60))
        #expect(check.status == .ok)
        #expect(
            check.line == "SHARDTOP OK - 2 leases, 1 worker, max lag <=4.0s | maxlag=4s;60;;0 "
                + "maxcheckpointage=4s;;;0 leases=2;;;0 workers=1;;;0 unowned=0;;;0 expired=0;;;0 problems=0;;;0")
    }

    @Test func `an estimated lag over its limit warns and is never critical`() {
        let lag = check(fleet(age: .seconds(90_000)), lag: .seconds(60))
        #expect(lag.status == .warning)
        #expect(lag.line.hasPrefix("SHARDTOP WARNING - \(id(0)) lags up to 1d01h, more than 1m00s | "))
        let age = check(fleet(age: .seconds(900)), age: .seconds(300))
        #expect(age.status == .warning)
        #expect(age.line.contains("the checkpoint of \(id(0)) is 15m00s old, more than 5m00s"))
        #expect(check(fleet(age: .seconds(90_000))).status == .ok)
    }

    @Test func `a measured lag over its limit is critical`() {
        var snapshot = fleet().snapshot
        snapshot.leases[1].deliveredLag = Lag(61_000, .probe)
        let check = Check(snapshot, limits: Check.Limits(lag: .seconds(60)), hasStream: false)
        #expect(check.status == .critical)
        #expect(check.line.hasPrefix("SHARDTOP CRITICAL - \(id(1)) lags 1m01s, more than 1m00s | maxlag=61s;60;60;0 "))
    }

    @Test func `a measured lag over its limit is not hidden behind a larger estimate`() {
        var snapshot = fleet(age: .seconds(90_000)).snapshot
        snapshot.leases[1].deliveredLag = Lag(61_000, .exact)
        #expect(Check(snapshot, limits: Check.Limits(lag: .seconds(60)), hasStream: false).status == .critical)
    }

    @Test func `a lease that nobody owns all the while warns before the doctor does, and all of them are critical`() {
        let one = check(fleet(lease(1, owner: nil)))
        #expect(one.status == .warning)
        #expect(one.line.contains("\(id(1)) unowned all the 12s watched"))
        var watch = Watch(.test(stream: nil))
        watch.noMigration()
        watch.scan([lease(0, owner: nil), lease(1, owner: nil)])
        watch.wait(.seconds(12))
        watch.scan([lease(0, owner: nil), lease(1, owner: nil)])
        #expect(check(watch).status == .critical)
        #expect(check(watch).line.hasPrefix("SHARDTOP CRITICAL - nobody reads any of the 2 leases | maxlag=U;"))
    }

    @Test func `a lease that waits for its unread parent does not make the fleet look read`() {
        var watch = Watch(.test(stream: nil))
        watch.noMigration()
        let leases = [lease(0, owner: nil), lease(1, owner: nil, parents: [id(0)])]
        watch.scan(leases)
        watch.wait(.seconds(12))
        watch.scan(leases)
        #expect(watch.state(id(1)) == .blocked)
        #expect(check(watch).status == .critical)
        #expect(check(watch).line.hasPrefix("SHARDTOP CRITICAL - nobody reads any of the 1 lease (+1 more) | "))
    }

    @Test func `an owner that was not seen to renew is UNKNOWN, not OK`() {
        let check = check(fleet(lease(1, owner: "w2", counter: 7), failover: .seconds(60)))
        #expect(check.status == .unknown)
        #expect(check.line.contains("no renewal of 1 lease was seen in 12s"))
    }

    @Test func `problems are CRITICAL, WARNING or nothing by their severity, the worst first`() {
        var snapshot = fleet().snapshot
        func status() -> Check { Check(snapshot, limits: Check.Limits(), hasStream: false) }
        func problem(_ kind: Problem.Kind, _ severity: Severity, _ message: String) -> Problem {
            Problem(
                id: kind.rawValue, kind: kind, severity: severity, since: Watch.noon, shardIDs: [id(0)],
                message: message)
        }
        snapshot.problems = [problem(.clock, .info, "the clock")]
        #expect(status().status == .ok)
        snapshot.problems = [problem(.stuck, .warning, "a|b\nc")]
        #expect(status().status == .warning)
        #expect(status().line.hasPrefix("SHARDTOP WARNING - a/b\u{FFFD}c | "))
        snapshot.problems = [problem(.stuck, .warning, "stuck"), problem(.hole, .critical, "a hole")]
        #expect(status().line.hasPrefix("SHARDTOP CRITICAL - a hole (+1 more) | "))
    }

    @Test(arguments: ["AccessDeniedException", "ProvisionedThroughputExceededException", "ResourceNotFoundException"])
    func `a table that cannot be read is UNKNOWN`(_ error: String) {
        var watch = Watch(.test(stream: nil))
        watch.send(.scanFailed(awsError(error), watch.info()))
        let check = check(watch)
        #expect(check.status == .unknown)
        #expect(check.line.hasPrefix("SHARDTOP UNKNOWN - ") && !check.line.contains("|"))
    }

    @Test func `a stream that cannot be listed is UNKNOWN, and what is wrong in the table goes before it`() {
        var watch = fleet(stream: "orders")
        watch.send(.shardListFailed(awsError("AccessDeniedException"), watch.info()))
        #expect(check(watch, hasStream: true).status == .unknown)
        var broken = fleet(lease(1, owner: nil), stream: "orders")
        broken.send(.shardListFailed(awsError("AccessDeniedException"), broken.info()))
        #expect(check(broken, hasStream: true).status == .warning)
    }

    @Test func `an empty table is UNKNOWN`() {
        var watch = Watch(.test(stream: nil))
        watch.noMigration()
        watch.scan([Item]())
        #expect(check(watch).status == .unknown)
    }
}
