import AWSWire
import Leases
import Machine
import Testing

@testable import KinesisConsumer

extension [WorkerMachine.Effect] {
    fileprivate var reports: [WorkerMeasure] {
        compactMap { if case .report(let measure) = $0 { measure } else { nil } }
    }
}

@Suite struct WorkerMeasureTests {
    @Test func `a renewal is reported with the time from its sending, and a lost lease is an answer`() throws {
        var rig = WorkerRig.holding("s1")
        rig.machine.isMeasured = true
        let write = try #require(rig.wake(at: 4000).first { if case .write = $0 { true } else { false } })
        guard case .write(let key, let tenure, _) = write else { return }
        let stored = rig.send(.written(key: key, tenure: tenure, .stored(nil)), at: 4030)
        #expect(stored.reports == [WorkerMeasure(.renewLease, shardID: "s1", duration: .milliseconds(30))])
        _ = rig.wake(at: 8000)
        let robbed = leaseRow("s1", owner: "other", counter: 9)
        let lost = rig.send(.written(key: key, tenure: tenure, .conditionFailed(robbed)), at: 8010)
        #expect(lost.reports == [WorkerMeasure(.renewLease, shardID: "s1", duration: .milliseconds(10))])
    }

    @Test func `a write that failed is no success`() throws {
        var rig = WorkerRig.holding("s1")
        rig.machine.isMeasured = true
        _ = rig.wake(at: 4000)
        let failed = rig.send(.written(key: "s1", tenure: 1, .failed(.throttled, "slow down")), at: 4001)
        #expect(
            failed.reports == [
                WorkerMeasure(.renewLease, shardID: "s1", duration: .milliseconds(1), isSuccess: false)
            ])
    }

    @Test func `a look at the whole table is reported with what it saw`() throws {
        var rig = WorkerRig.holding("s1", shards: listedShards("s1", "s2"))
        rig.machine.isMeasured = true
        var reports: [WorkerMeasure] = []
        let rows: [LeaseRow] = [
            .lease(leaseRow("s1", owner: "me", counter: 5)), .lease(leaseRow("s2", owner: nil, counter: 3)),
        ]
        for scan in rig.wake(at: 20_060).scans {
            reports += rig.send(.scanned(scan, rows, readUnits: 1), at: 20_100).reports
        }
        var taking = WorkerMeasure.Taking()
        taking.leases = 2
        taking.workers = 1
        taking.available = 1
        taking.needed = 1
        taking.toTake = 1
        #expect(reports.map(\.isSuccess) == [true])
        #expect(reports.map(\.duration) == [.milliseconds(40)])
        guard case .takeLeases(var seen?)? = reports.first?.operation else {
            Issue.record("\(reports)")
            return
        }
        seen.veryOld = 0
        #expect(seen == taking)
    }

    @Test func `nothing is reported where nobody measures`() {
        var rig = WorkerRig.holding("s1")
        var effects: [WorkerMachine.Effect] = []
        for now in stride(from: Int64(1000), through: 130_000, by: 1000) {
            let woken = rig.wake(at: now)
            effects += woken
            for scan in woken.scans { effects += rig.send(.scanned(scan, [], readUnits: 1), at: now) }
        }
        #expect(effects.reports == [])
    }
}
