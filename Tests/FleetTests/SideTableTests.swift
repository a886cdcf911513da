import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct SideTableTests {
    private let tables = Generations.v3()

    private var sideReads: [FleetMachine.Effect] {
        [
            .readLeader(table: "orders-app-CoordinatorState"),
            .readWorkerMetrics(table: "orders-app-WorkerMetricStats"),
        ]
    }

    private func asked(_ watch: Watch) -> [FleetMachine.Effect] { watch.effects.filter { sideReads.contains($0) } }

    @Test func `the tables beside are read only where a migration item shows that they are there`() {
        var plain = Watch(.test(stream: nil))
        plain.scan([lease(0)])
        plain.noMigration()
        plain.wait(.seconds(120))
        plain.send(.woke)
        #expect(asked(plain) == [])
        var single = Watch(.test(stream: nil))
        single.scan(Generations.v35.leases)
        single.noMigration()
        #expect(asked(single) == [])
        var held = Watch(.test(stream: nil))
        held.scan(tables.leases)
        held.send(.migrationItemRead(Generations.migration("CLIENT_VERSION_2X"), held.info()))
        #expect(asked(held) == [])
        #expect(!held.snapshot.awaitsSides)
        var watch = Watch(.test(stream: nil))
        watch.scan(tables.leases)
        watch.send(.migrationItemRead(tables.migration, watch.info()))
        #expect(asked(watch) == sideReads)
        #expect(watch.snapshot.awaitsSides)
        watch.answerSides(tables)
        #expect(!watch.snapshot.awaitsSides)
    }

    @Test func `names from a properties file are used`() {
        var configuration = FleetConfiguration.test(stream: nil)
        configuration.identity.coordinatorTable = "state"
        configuration.identity.workerMetricsTable = "stats"
        var watch = Watch(configuration)
        #expect(watch.effects.contains(.readMigrationItem(table: "state")))
        watch.scan(tables.leases)
        watch.send(.migrationItemRead(tables.migration, watch.info()))
        #expect(watch.effects.contains(.readLeader(table: "state")))
        #expect(watch.effects.contains(.readWorkerMetrics(table: "stats")))
    }

    @Test func `they are read again no sooner than they change, and one read is under way at a time`() {
        var watch = Watch.over(tables)
        watch.wait(.seconds(9))
        watch.send(.woke)
        #expect(asked(watch) == [])
        watch.wait(.seconds(1))
        watch.send(.woke)
        #expect(asked(watch) == [sideReads[0]])
        watch.wait(.seconds(5))
        watch.send(.woke)
        #expect(asked(watch) == [sideReads[1]])
        watch.wait(.seconds(60))
        watch.send(.woke)
        #expect(asked(watch) == [])
    }

    @Test func `what they cost is counted, and a dear table of metrics is read less often`() {
        var watch = Watch(.test(stream: nil))
        watch.scan(tables.leases, units: 1)
        watch.send(.migrationItemRead(tables.migration, watch.info(units: 0.5)))
        let before = watch.snapshot.cost
        watch.send(.leaderRead(tables.leader, watch.info(units: 0.5)))
        watch.send(.workerMetricsRead(tables.metrics, watch.info(units: 200)))
        #expect(watch.snapshot.cost.readUnits == before.readUnits + 200.5)
        #expect(watch.snapshot.cost.calls == before.calls + 2)
        // A fifth of 25 units a second.
        #expect(watch.machine.metricsInterval == .seconds(40))
    }

    @Test func `the leader's heartbeat is judged by its version on our clock`() throws {
        var watch = Watch.over(tables)
        watch.wait(.seconds(10))
        watch.send(.woke)
        watch.answerSides(tables)
        #expect(watch.snapshot.leaderHeartbeat?.brief == "≥10s")
        watch.wait(.seconds(10))
        watch.send(.woke)
        var beaten = tables
        beaten.leader = Generations.leader("v3-worker-a", version: "0b6f-2")
        watch.answerSides(beaten)
        #expect(watch.snapshot.leaderHeartbeat?.brief == "0.0s")
        #expect(watch.snapshot.leaderHeartbeat?.isLost == false)
        for _ in 0..<12 {
            watch.wait(.seconds(10))
            watch.send(.woke)
            watch.answerSides(beaten)
        }
        #expect(watch.snapshot.leaderHeartbeat?.brief == "2m00s")
        #expect(watch.snapshot.leaderHeartbeat?.isLost == true)
        // An outage of ours does not make it older.
        watch.wait(.seconds(600))
        #expect(try #require(watch.snapshot.leaderHeartbeat).age <= .seconds(131))
        // Nor does the lease table, where that is read first.
        watch.scan(tables.leases)
        #expect(try #require(watch.snapshot.leaderHeartbeat).age <= .seconds(131))
        beaten.leader = nil
        watch.send(.leaderRead(nil, watch.info()))
        #expect(watch.snapshot.leader == nil)
    }

    @Test func `a leader without a heartbeat is said, with what waits for it`() throws {
        var watch = Watch.over(tables)
        #expect(watch.problem(.leaderLost) == nil)
        beat(&watch, tables, for: .seconds(120))
        let problem = try #require(watch.problem(.leaderLost))
        #expect(problem.severity == .warning)
        #expect(problem.workerID == "v3-worker-a")
        #expect(
            problem.message
                == "v3-worker-a, the leader, sent no heartbeat for ≥2m00s: another takes its place, until then nobody "
                + "hands out leases")
        beat(&watch, tables, for: .seconds(120))
        #expect(watch.problem(.leaderLost)?.message.contains("≥4m00s: no worker takes its place") == true)
        var followed = tables
        followed.leader = Generations.leader("v3-worker-b", version: "77aa-1")
        watch.wait(.seconds(10))
        watch.send(.woke)
        watch.answerSides(followed)
        #expect(watch.problem(.leaderLost) == nil)
    }

    @Test func `a lock that nobody takes is said once every worker had its try`() throws {
        var watch = Watch.over(tables)
        var leaderless = tables
        leaderless.leader = nil
        beat(&watch, leaderless, for: .seconds(90))
        #expect(watch.problem(.leaderLost) == nil)
        beat(&watch, leaderless, for: .seconds(20))
        #expect(watch.problem(.leaderLost)?.message.hasPrefix("no worker became leader") == true)
    }

    @Test func `of a fleet at rest, or one that takes leases itself, no leader is missed`() {
        var stopped = Watch.over(tables)
        for _ in 0..<30 {
            stopped.wait(.seconds(10))
            stopped.send(.woke)
            stopped.answerSides(tables)
        }
        stopped.scan(tables.leases)
        #expect(stopped.snapshot.leaderHeartbeat?.isLost == true)
        #expect(stopped.problem(.expired)?.message.contains("wait for the leader to hand them out") == true)
        #expect(stopped.problem(.leaderLost) == nil)
        // Of leases that nobody was seen to renew it is not known whether anybody reads.
        var unknown = Watch(.test(stream: nil, failover: nil))
        var leaderless = tables
        leaderless.leader = nil
        unknown.see(leaderless)
        for _ in 0..<30 {
            unknown.wait(.seconds(10))
            unknown.send(.woke)
            unknown.answerSides(leaderless)
            unknown.scan(tables.leases)
            #expect(unknown.problem(.leaderLost) == nil)
        }
        var taking = Watch(.test(stream: nil))
        taking.scan([lease(0)])
        taking.noMigration()
        taking.wait(.seconds(300))
        taking.scan([lease(0, counter: 2)])
        #expect(taking.problem(.leaderLost) == nil)
    }

    /// The workers renew, and the tables beside stay as they are.
    private func beat(_ watch: inout Watch, _ tables: Generations.Tables, for duration: Duration) {
        for _ in 0..<duration.wholeMilliseconds / 10_000 {
            watch.wait(.seconds(10))
            watch.send(.woke)
            watch.answerSides(tables)
            watch.scan(
                watch.snapshot.leases.map { view in
                    let counter = Int(view.lease?.leaseCounter ?? 0)
                    return view.stored.merging(["leaseCounter": .n(counter + 1)]) { $1 }
                })
        }
    }

    /// A worker's row, with a report of so many seconds after noon.
    private func report(of worker: String, at second: Int) -> Item {
        Generations.metrics(worker).merging(["lut": .n(Watch.noon.milliseconds / 1000 + Int64(second))]) { $1 }
    }

    private func read(_ reports: [Item], by watch: inout Watch, after pause: Duration = .seconds(15)) {
        watch.wait(pause)
        watch.send(.woke)
        var read = tables
        read.metrics = reports
        watch.answerSides(read)
        watch.settle()
    }

    /// Reads the reports every 15 s for five minutes. `times` are those of `v3-worker-a`'s reports, in seconds.
    private func reports(_ times: (Int) -> [Int], others: Int = 30) -> Watch {
        var watch = Watch.over(tables)
        for second in stride(from: 15, through: 300, by: 15) {
            var rows = [report(of: "v3-worker-a", at: times(second).max() ?? 0)]
            if others > 0 { rows.append(report(of: "v3-worker-b", at: second / others * others)) }
            read(rows, by: &watch)
        }
        return watch
    }

    @Test func `who reports no more is not two, though its row stays for a day`() {
        var watch = reports { [$0] }
        #expect(watch.problem(.sameID) != nil)
        for second in stride(from: 330, through: 480, by: 30) {
            let rows = [report(of: "v3-worker-a", at: 300), report(of: "v3-worker-b", at: second)]
            read(rows, by: &watch, after: .seconds(30))
        }
        #expect(watch.problem(.sameID) == nil)
    }

    @Test func `nobody is compared with neighbours that are not known yet, or with one that is slow`() {
        var watch = Watch.over(tables)
        for second in stride(from: 15, through: 300, by: 15) {
            var rows = [report(of: "v3-worker-a", at: second)]
            if second > 60 { rows.append(report(of: "v3-worker-b", at: second + 7)) }
            read(rows, by: &watch)
            // As the first is known the second is not; a fleet may be told to report so often.
            #expect(watch.problem(.sameID) == nil)
        }
        var slow = Watch.over(tables)
        for second in stride(from: 15, through: 1200, by: 15) {
            let rows = [
                report(of: "v3-worker-a", at: second / 30 * 30), report(of: "v3-worker-b", at: second / 90 * 90),
            ]
            read(rows, by: &slow)
            #expect(slow.problem(.sameID) == nil)
        }
    }

    @Test func `a pause of ours, or of a neighbour, makes nobody two`() {
        var watch = reports { [$0 / 30 * 30] }
        var second = 300
        for step in 0..<60 {
            second += step == 0 ? 400 : 15
            let isNeighbourDown = 20..<36 ~= step
            let neighbour = isNeighbourDown ? 978 : (second + 12) / 30 * 30 - 12
            let rows = [report(of: "v3-worker-a", at: second / 30 * 30), report(of: "v3-worker-b", at: neighbour)]
            read(rows, by: &watch, after: .seconds(step == 0 ? 400 : 15))
            #expect(watch.problem(.sameID) == nil)
        }
    }

    @Test func `two workers of one id report twice as often as the others`() throws {
        func two(_ second: Int) -> [Int] { [4, 17].map { (second + 30 - $0) / 30 * 30 - 30 + $0 } }
        let watch = reports(two)
        let problem = try #require(watch.problem(.sameID))
        #expect(problem.workerID == "v3-worker-a" && problem.severity == .warning)
        #expect(
            problem.message.hasPrefix("v3-worker-a reports every 15s, the others every 30s: two workers have this id"))
        let alone = try #require(reports(two, others: 0).problem(.sameID))
        #expect(alone.message.contains("where KCL does every 30s unless it is told otherwise"))
        // A fleet that was told to report oftener, and one worker that does as all do.
        #expect(reports({ [$0] }, others: 15).problem(.sameID) == nil)
        #expect(reports({ [$0 / 30 * 30] }).problem(.sameID) == nil)
        // A restart under the same id reports at once.
        #expect(reports({ [$0 < 100 ? $0 / 30 * 30 : ($0 - 10) / 30 * 30 + 10] }).problem(.sameID) == nil)
    }

    @Test func `a denied table of metrics is a remark that names the permission, and assign is off`() throws {
        var watch = Watch(.test(stream: nil))
        watch.scan(tables.leases)
        watch.send(.migrationItemRead(tables.migration, watch.info()))
        watch.send(.workerMetricsFailed(awsError("AccessDeniedException"), watch.info()))
        let problem = try #require(watch.problem(.denied))
        #expect(problem.severity == .info)
        #expect(
            problem.message
                == "reading the table orders-app-WorkerMetricStats is denied: the policy must allow dynamodb:Scan; what "
                + "the workers report is not shown, and assign is off")
        #expect(watch.snapshot.workers.allSatisfy { $0.report == nil })
        watch.wait(.seconds(59))
        watch.send(.woke)
        #expect(!watch.effects.contains(sideReads[1]))
        watch.wait(.seconds(1))
        watch.send(.woke)
        #expect(watch.effects.contains(sideReads[1]))
        watch.send(.workerMetricsRead(tables.metrics, watch.info()))
        #expect(watch.problem(.denied) == nil)
        #expect(watch.snapshot.workers.first?.report != nil)
    }

    @Test func `a missing table of metrics is no problem, and is looked for once a minute`() {
        var watch = Watch(.test(stream: nil))
        watch.scan(tables.leases)
        watch.send(.migrationItemRead(tables.migration, watch.info()))
        watch.send(.leaderRead(tables.leader, watch.info()))
        watch.send(.workerMetricsRead(nil, watch.info()))
        #expect(watch.snapshot.problems.allSatisfy { $0.severity == .info || $0.kind != .table })
        #expect(watch.snapshot.workers.map(\.workerID) == ["v3-worker-a"])
        #expect(watch.machine.schedule.nextMetricsRead == watch.now + .seconds(60))
        #expect(!watch.snapshot.awaitsSides)
    }

    @Test func `where the mode is denied, leases of 3·x are enough to look for metrics`() {
        var watch = Watch(.test(stream: nil))
        watch.scan(tables.leases)
        watch.send(.migrationItemFailed(awsError("AccessDeniedException"), watch.info()))
        watch.settle()
        watch.send(.woke)
        #expect(watch.machine.schedule.underWay.contains(.metrics))
        #expect(!watch.machine.schedule.underWay.contains(.leader))
    }

    @Test func `the newest row of both tables is shown`() {
        var both = Generations.v3()
        both.leases.append(
            Generations.metrics("v3-worker-b", age: .seconds(1), cpu: 71, keyName: "leaseKey")
                .merging(["entityType": .s("WORKER_METRIC_STATS")]) { $1 })
        let reports = Watch.over(both).snapshot.workers.map { $0.report?.values[.cpu] }
        #expect(reports == [37.5, 71, 4])
    }

    // MARK: - Rows

    @Test func `a row that a leader ignores says why`() {
        func report(_ change: (inout Item) -> Void) -> WorkerReport? {
            var item = Generations.metrics("w")
            change(&item)
            return WorkerReport(item, keyName: "wid")
        }
        #expect(report { $0["lut"] = nil }?.oddity == "it has no time")
        #expect(report { $0["opr"] = .m([:]) }?.oddity == "metric C has no operating range")
        #expect(
            report { $0["opr"] = .m(["C": .l([]), "M": .l([.n(1)]), "NI": .l([.n(1)]), "NO": .l([.n(1)])]) }?.oddity
                == "the operating range of metric C is none")
        #expect(report { $0["sts"] = .m(["C": .l([.n(4), .n(-1)])]) }?.failing == ["C"])
        #expect(report { $0["sts"] = .m([:]) }?.values == [:])
        // What cannot be right traps nobody.
        #expect(report { $0["sts"] = .s("x") }?.values == [:])
        #expect(report { $0["lut"] = .n("99999999999999999999") }?.oddity == "it has no time")
        #expect(report { $0["lut"] = .n("-5") }?.reportedAt == nil)
        #expect(report { $0["wid"] = .n(5) } == nil)
        let words = report { _ in }?.aged(at: Watch.noon).words
        #expect(words == "CPU 38 of 80 %, memory 50 %, network in 3 %, network out 2 %; reported 5.0s ago")
    }

    @Test func `a report ages, and a clock ahead of the service's makes none negative`() {
        let report = WorkerReport(Generations.metrics("w", age: .zero), keyName: "wid")
        #expect(report?.aged(at: Watch.noon + .seconds(59)).isFresh == true)
        #expect(report?.aged(at: Watch.noon + .seconds(60)).isFresh == false)
        #expect(report?.aged(at: Watch.noon + .seconds(-30)).age == .zero)
    }

    // MARK: - Reports and recordings

    @Test func `status tells migration, leader, layout and what workers report`() throws {
        let snapshot = Watch.over(tables).snapshot
        let json = StatusReport.json(snapshot)
        #expect(json["version"]?.int == 1)
        #expect(json["migration"]?["clientVersion"]?.string == "CLIENT_VERSION_3X")
        #expect(json["layout"]?.string == "side-tables")
        #expect(json["leaderHeartbeatAgeSeconds"]?.double == 0)
        let worker = try #require(json["workers"]?.list?.first?["report"])
        #expect(worker["percent"]?["cpu"]?.double == 37.5)
        #expect(worker["operatingRange"]?["cpu"]?.int == 80)
        #expect(worker["percent"]?["throughput"] == nil)
        #expect(worker["isFresh"]?.bool == true)
        let text = StatusReport.text(snapshot, as: .table)
        #expect(text.contains("mode 3.x for 2h00m  leader v3-worker-a, heartbeat ≥0.0s ago"))
        #expect(text.contains("REPORTED"))
        #expect(text.contains("38%"))
        let page = StatusReport.text(snapshot, as: .prometheus)
        #expect(page.contains("worker=\"v3-worker-a\",metric=\"cpu\"} 37.5"))
        let plain = StatusReport.text(Watch.over(Generations.v2).snapshot, as: .table)
        #expect(!plain.contains("REPORTED") && !plain.contains("the leader assigns"))
    }

    @Test func `a recording shows the tables beside again, and only what changed is in it`() throws {
        var configuration = FleetConfiguration.test(stream: nil)
        configuration.isRecording = true
        var watch = Watch(configuration)
        var lines: [String] = []
        func collect() { for case .record(let text, _) in watch.effects { lines += text } }
        collect()
        watch.scan(tables.leases)
        collect()
        watch.send(.migrationItemRead(tables.migration, watch.info()))
        collect()
        watch.send(.leaderRead(tables.leader, watch.info()))
        collect()
        watch.send(.workerMetricsRead(tables.metrics, watch.info()))
        collect()
        watch.wait(.seconds(15))
        let later = [Generations.metrics("v3-worker-a", age: .zero, cpu: 99), Generations.metrics("v3-worker-b")]
        watch.send(.workerMetricsRead(later, watch.info()))
        collect()
        let metrics = lines.compactMap { try? JSON.decode(Bytes($0)) }.filter { $0["is"]?.string == "metrics" }
        #expect(metrics.map { $0["rows"]?.list?.count } == [3, 1])
        #expect(metrics.last?["gone"]?.strings == ["v3-worker-idle"])
        let seen = watch.snapshot
        for text in [lines, try anonymized(lines)] {
            var replay = try Replay(header: try #require(text.first))
            for line in text.dropFirst() { _ = try replay.next(line) }
            let shown = replay.finish()
            #expect(shown.mode == seen.mode)
            #expect(shown.workers.map(\.report?.values) == seen.workers.map(\.report?.values))
            #expect(shown.migration?.since == seen.migration?.since)
            #expect(shown.leaderHeartbeat?.leaseDuration == .seconds(120))
            #expect((shown.leader == seen.leader) == (text == lines))
            #expect(shown.workers.first(where: \.isLeader)?.workerID == shown.leader)
        }
        #expect(!(try anonymized(lines)).joined().contains("v3-worker"))
    }

    @Test func `a shared recording of a single table names no worker`() throws {
        var configuration = FleetConfiguration.test(stream: nil)
        configuration.isRecording = true
        var recorder = Recorder(configuration)
        let lines =
            [recorder.header(at: .zero, wallClock: Watch.noon)]
            + recorder.lines(
                for: .scanned(FleetMachine.TablePage(Generations.v35.leases), Watch().info()), at: .zero)
        let shared = try anonymized(lines)
        #expect(!shared.joined().contains("v35-worker") && !shared.joined().contains("somebody"))
        var replay = try Replay(header: try #require(shared.first))
        for line in shared.dropFirst() { _ = try replay.next(line) }
        let snapshot = replay.finish()
        #expect(snapshot.workers.first?.report?.values[.cpu] == 37.5)
        #expect(snapshot.leaderHeartbeat?.workerID == snapshot.workers.first?.workerID)
        #expect(snapshot.layout == .single)
    }

    private func anonymized(_ lines: [String]) throws -> [String] {
        var anonymizer = Anonymizer()
        return try lines.compactMap { try anonymizer.line($0) }
    }
}
