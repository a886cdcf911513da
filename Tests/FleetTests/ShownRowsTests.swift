import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

/// The rows that a person looks at are read between two scans.
struct ShownRowsTests {
    private func watching(
        _ items: [Item], shown: [String], units: Double? = nil, refresh: RefreshRate = .auto,
        _ change: (inout FleetConfiguration) -> Void = { _ in }
    ) -> Watch {
        var configuration = FleetConfiguration.test(stream: nil)
        configuration.refresh = refresh
        change(&configuration)
        var watch = Watch(configuration)
        watch.noMigration()
        watch.scan(items, units: units)
        watch.send(.rowsShown(shown))
        return watch
    }

    /// A fleet of four whose first two rows are looked at, read every minute.
    private func watched(_ change: (inout FleetConfiguration) -> Void = { _ in }) -> Watch {
        watching(rows(1), shown: [id(0), id(1)], refresh: .every(.seconds(60)), change)
    }

    private func rows(_ counter: Int64, owner: String? = "w1") -> [Item] {
        (0..<4).map { item(lease($0, owner: owner, counter: counter)) }
    }

    // MARK: - When

    @Test func `they are read once a second until the scan comes, the others are not`() {
        var watch = watching(rows(1), shown: [id(1), id(0), id(1)])
        var asked: [Timestamp] = []
        for _ in 0..<10 {
            watch.wait(.milliseconds(500))
            watch.send(.woke)
            guard let keys = watch.askedRows else { continue }
            #expect(keys == [id(0), id(1)])
            asked.append(watch.now)
            watch.read([item(lease(0)), item(lease(1))])
        }
        #expect(asked == [1, 2, 3, 4].map { .zero + .seconds($0) })
        #expect(watch.effects.contains(.scan(startingAfter: nil)) || watch.machine.pass != nil)
    }

    @Test func `a wake comes for them`() {
        let watch = watched()
        #expect(watch.machine.shownWake(at: watch.now) == .zero + .seconds(1))
        #expect(watching(rows(1), shown: []).machine.shownWake(at: .zero) == nil)
    }

    @Test func `where nobody looks, or a scan comes as soon, nothing is read but the table`() {
        for var watch in [
            watching(rows(1), shown: []), watching(rows(1), shown: [id(0)], refresh: .every(.seconds(1))),
            watching(rows(1), shown: [id(0)]) {
                $0.autoRefresh = .milliseconds(500)
                $0.readUnitsPerSecondMax = .infinity
            },
        ] {
            for _ in 0..<40 {
                watch.wait(.milliseconds(100))
                watch.send(.woke)
                #expect(watch.askedRows == nil)
                if watch.machine.pass != nil { watch.scan(rows(1)) }
            }
        }
    }

    @Test func `while a scan is under way they wait`() {
        var watch = watched()
        watch.send(.refreshRequested)
        #expect(watch.machine.pass != nil)
        watch.wait(.seconds(3))
        watch.send(.woke)
        #expect(watch.askedRows == nil)
        watch.scan(rows(2))
        watch.wait(.milliseconds(900))
        watch.send(.woke)
        #expect(watch.askedRows == nil)
        watch.wait(.milliseconds(100))
        watch.send(.woke)
        #expect(watch.askedRows == [id(0), id(1)])
        watch.wait(.seconds(5))
        watch.send(.woke)
        #expect(watch.askedRows == nil, "one is under way")
    }

    @Test func `what is no longer looked at, ended or no lease is not read`() {
        let ended = item(lease(1, owner: nil, checkpoint: .shardEnd))
        let foreign: Item = ["leaseKey": .s("Leader"), "entityType": .s("LEADER"), "ownerName": .s("w1")]
        var watch = watching(
            [item(lease(0)), ended, foreign], shown: [id(0), id(1), "Leader", "nobody"], refresh: .every(.seconds(60)))
        watch.wait(.seconds(1))
        watch.send(.woke)
        #expect(watch.askedRows == [id(0), "Leader"].sorted())
        watch.read([item(lease(0, counter: 2)), foreign])
        watch.send(.rowsShown([id(1)]))
        watch.wait(.seconds(1))
        watch.send(.woke)
        #expect(watch.askedRows == nil)
    }

    @Test func `never more than a hundred at once`() {
        var watch = watching(
            (0..<150).map { item(lease($0, of: 150)) }, shown: (0..<150).map { id($0) }, refresh: .every(.seconds(60)))
        watch.wait(.seconds(10))
        watch.send(.woke)
        #expect(watch.askedRows?.count == 100)
    }

    // MARK: - The budget

    @Test func `their cost counts with the scans', and both stay below the cap`() throws {
        let many = (0..<100).map { item(lease($0, of: 100)) }
        var watch = watching(many, shown: (0..<100).map { id($0) }, units: 50) { $0.readUnitsPerSecondMax = 25 }
        // 10 of 25 units a second are the scans'; 50 for the rows fit in every 3.3 s.
        #expect(try #require(watch.machine.shownInterval) > .milliseconds(3300))
        #expect(try #require(watch.machine.shownInterval) < .milliseconds(3400))
        var (reads, scans) = (0, 1)
        while watch.now < .zero + .seconds(60) {
            watch.wait(.milliseconds(100))
            watch.send(.woke)
            if watch.askedRows != nil {
                reads += 1
                watch.read(many, units: 50)
            }
            if watch.machine.pass != nil {
                scans += 1
                watch.scan(many, units: 50)
            }
        }
        let cost = watch.snapshot.cost
        #expect(cost.readUnits == Double(reads + scans) * 50)
        #expect(reads > 5)
        #expect(cost.readUnitsPerSecond <= 26)
        #expect(cost.calls == reads + scans + 1)
    }

    @Test func `a table that costs less than they do is scanned once a second instead, as long as they are looked at`()
    {
        var watch = watching(rows(1), shown: [id(0), id(1), id(2)], units: 0.5)
        var scans: [Timestamp] = []
        for second in 1...3 {
            watch.wait(.seconds(1))
            watch.send(.woke)
            #expect(watch.askedRows == nil)
            guard watch.machine.pass != nil else { continue }
            scans.append(watch.now)
            watch.scan(rows(Int64(second)), units: 0.5)
        }
        #expect(scans == [1, 2, 3].map { .zero + .seconds($0) })
        // One row costs as much.
        watch.send(.rowsShown([id(0)]))
        #expect(watch.machine.refreshInterval == .seconds(5))
        #expect(watch.machine.shownInterval == .seconds(1))
    }

    @Test func `a hole that is seen twice within a second waits to be said`() {
        var configuration = FleetConfiguration.test()
        configuration.refresh = .every(.seconds(1))
        var watch = Watch(configuration)
        var narrow = lease(0, of: 1, checkpoint: checkpoint(age: .zero))
        narrow.hashKeyRange = HashKeyRange(start: 0, end: 99)
        watch.scan([narrow])
        watch.list([shard(0, of: 1)])
        for second in 1...7 {
            watch.wait(.seconds(1))
            watch.scan([narrow])
            #expect((watch.problem(.hole) != nil) == (second > 6), "\(second) s")
        }
    }

    @Test func `where the budget is spent, or so small that a scan comes sooner, they are not read`() {
        var watch = watching(rows(1), shown: [id(0), id(1)], units: 1)
        #expect(watch.machine.shownInterval == .seconds(1))
        watch.machine.provisionedReads = 10
        // Half a unit a second, of which the scans take a fifth; the rows would come every 3.3 s.
        #expect(watch.machine.shownInterval.map { $0 > .seconds(3) } == true)
        watch.machine.provisionedReads = 5
        #expect(watch.machine.shownInterval == nil)
        #expect(watch.machine.refreshInterval == .seconds(5))
    }

    @Test func `a table so large that its scans take all of the budget leaves a fifth to them`() {
        var watch = watching(rows(1), shown: [], units: 640)
        #expect(watch.machine.refreshInterval == .seconds(640.0 / 25))
        watch.send(.rowsShown((0..<20).map { id($0) }))
        #expect(watch.machine.refreshInterval == .seconds(32))
        #expect(watch.machine.shownInterval == .seconds(2))
    }

    @Test func `a throttle slows them and the scans, and a scan that was none makes both quicker again`() {
        var watch = watching(rows(1), shown: [id(0)])
        watch.wait(.seconds(1))
        watch.send(.woke)
        #expect(watch.askedRows != nil)
        watch.send(.rowsReadFailed(awsError("ProvisionedThroughputExceededException"), watch.info()))
        #expect(watch.machine.shownInterval == .seconds(2))
        #expect(watch.machine.refreshInterval == .seconds(10))
        #expect(watch.problem(.throttled)?.severity == .warning)
        watch.wait(.milliseconds(1900))
        watch.send(.woke)
        #expect(watch.askedRows == nil)
        watch.scan(rows(2))
        #expect(watch.machine.shownInterval == .seconds(1))
        watch.wait(.seconds(1))
        watch.send(.woke)
        watch.read([item(lease(0, counter: 3))])
        #expect(watch.problem(.throttled) == nil)
    }

    @Test func `keys that the service did not come to are read next, alone and later`() {
        var watch = watched()
        watch.wait(.seconds(1))
        watch.send(.woke)
        watch.read([item(lease(0))], unprocessed: [id(1)])
        #expect(watch.state(id(1)) != nil)
        watch.wait(.milliseconds(1900))
        watch.send(.woke)
        #expect(watch.askedRows == nil)
        watch.wait(.milliseconds(100))
        watch.send(.woke)
        #expect(watch.askedRows == [id(1)])
        watch.read([item(lease(1))])
        watch.wait(.seconds(2))
        watch.send(.woke)
        #expect(watch.askedRows == [id(0), id(1)])
    }

    @Test func `where it is denied, that is said, and the scans go on as if nobody looked`() throws {
        var watch = watching(rows(1), shown: [id(0)], units: 640)
        watch.wait(.seconds(2))
        watch.send(.woke)
        #expect(watch.askedRows != nil)
        watch.send(.rowsReadFailed(awsError("AccessDeniedException"), watch.info()))
        let problem = try #require(watch.problem(.denied))
        #expect(problem.severity == .info)
        #expect(
            problem.message
                == "reading the lease table orders-app is denied: the policy must allow dynamodb:BatchGetItem; rows on "
                + "screen are as old as the last scan")
        #expect(watch.machine.refreshInterval == .seconds(640.0 / 25))
        for _ in 0..<55 {
            watch.wait(.seconds(1))
            watch.send(.woke)
            #expect(watch.askedRows == nil)
            if watch.machine.pass != nil { watch.scan(rows(1), units: 640) }
        }
        #expect(watch.problem(.denied) != nil)
        // Once a minute it is tried whether somebody allowed it.
        for _ in 0..<40 where watch.askedRows == nil {
            watch.wait(.seconds(1))
            watch.send(.woke)
            if watch.machine.pass != nil { watch.scan(rows(1), units: 640) }
        }
        watch.read([item(lease(0, counter: 2))])
        #expect(watch.problem(.denied) == nil)
    }

    @Test func `scans that were slowed because nothing changed are no longer once a row shows a change`() {
        var watch = watching(rows(1), shown: [id(0)])
        for _ in 0..<24 { watch.scan(rows(1)) }
        #expect(watch.machine.refreshInterval == .seconds(20))
        #expect(watch.machine.shownInterval == .seconds(4))
        watch.wait(.seconds(4))
        watch.send(.woke)
        watch.read([item(lease(0, counter: 2))])
        #expect(watch.machine.refreshInterval == .seconds(5))
        #expect(watch.machine.schedule.nextScan == watch.now + .seconds(1))
        // The scan shows nothing that the row did not; the table moves all the same.
        for _ in 0..<12 {
            watch.scan([item(lease(0, counter: 2))] + rows(1).dropFirst())
            watch.wait(.seconds(1))
            watch.send(.woke)
            watch.read([item(lease(0, counter: 2))])
        }
        #expect(watch.machine.refreshInterval == .seconds(5))
    }

    // MARK: - What they show

    @Test func `another owner is an event at once, and none again when the scan shows it`() throws {
        var watch = watched()
        watch.wait(.seconds(20))
        watch.send(.woke)
        watch.read([item(lease(0, counter: 2)), item(lease(1, counter: 2))])
        let before = watch.snapshots.count
        watch.wait(.seconds(1))
        watch.send(.woke)
        watch.read([item(lease(0, owner: "w2", counter: 3)), item(lease(1, counter: 2))])
        watch.settle()
        #expect(watch.snapshots.count > before)
        #expect(watch.snapshots.last?.leases.first?.owner == "w2")
        let event = try #require(watch.snapshot.events.last?.event)
        #expect(event.kind == .ownerChanged && event.previousOwner == "w1" && event.owner == "w2")
        #expect(event.observedBetween == (Watch.noon + .seconds(20))...(Watch.noon + .seconds(21)))
        watch.wait(.seconds(30))
        watch.scan([item(lease(0, owner: "w2", counter: 9))] + rows(2).dropFirst())
        #expect(watch.snapshot.events.count { $0.event.kind == .ownerChanged } == 1)
    }

    @Test func `a checkpoint, a handover and an end are seen as in a scan`() {
        var watch = watched()
        watch.wait(.seconds(20))
        watch.send(.woke)
        let moved = lease(0, counter: 2, checkpoint: checkpoint(age: .seconds(1)))
        watch.read([item(moved), item(lease(1, owner: "w2", counter: 1, checkpointOwner: "w1"))])
        #expect(watch.view(id(0))?.checkpoint == moved.checkpoint)
        #expect(watch.view(id(0))?.checkpointAge == .zero)
        #expect(watch.view(id(0))?.isCheckpointAgeExact == true)
        #expect(watch.state(id(1)) == .handoff)
        watch.wait(.seconds(1))
        watch.send(.woke)
        watch.read([item(lease(0, counter: 3, checkpoint: .shardEnd, children: [id(8)])), item(lease(1, owner: "w2"))])
        #expect(watch.state(id(0)) == .ended)
        let kinds = watch.snapshot.events.map(\.event.kind)
        #expect(kinds == [.handoffStarted, .shardEnded, .handoffCompleted])
    }

    @Test func `a row that is not there is gone when a scan says so, not before; one that is new is a scan's to tell`()
    {
        var watch = watched()
        watch.wait(.seconds(2))
        watch.send(.woke)
        watch.read([item(lease(0, counter: 2)), item(lease(9, owner: "w9"))])
        #expect(watch.view(id(1)) != nil)
        #expect(watch.view(id(9)) == nil)
        watch.wait(.seconds(2))
        watch.send(.woke)
        watch.read([item(lease(0, counter: 2)), item(lease(1))])
        // It was there between two scans: the first that does not show it is enough all the same.
        watch.scan([item(lease(0, counter: 3))])
        #expect(watch.view(id(1)) == nil)
        #expect(watch.snapshot.events.last?.event.kind == .leaseDeleted)
    }

    @Test func `rows that are no leases, or no longer, are taken as they are`() {
        var watch = watched()
        watch.wait(.seconds(2))
        watch.send(.woke)
        watch.read([
            ["leaseKey": .s(id(0)), "leaseCounter": .s("many"), "checkpoint": .m([:])], ["other": .n(1)],
            ["leaseKey": .b(Bytes("x"))], [:],
            ["leaseKey": .s(id(1)), "entityType": .s("FUTURE"), "leaseCounter": .n(1)],
        ])
        #expect(watch.snapshot.leases.map(\.id) == [id(2), id(3)])
        #expect(watch.snapshot.otherRows.map(\.key) == [id(0), id(1)])
        watch.scan(rows(1))
        #expect(watch.snapshot.leases.count == 4)
    }

    @Test func `an older copy of the table undoes nothing, and a lease that is made anew is seen`() {
        var watch = watched()
        watch.wait(.seconds(2))
        watch.send(.woke)
        watch.read([item(lease(0, owner: "w2", counter: 7)), item(lease(1, counter: 7))])
        watch.wait(.seconds(1))
        watch.send(.woke)
        watch.read([item(lease(0, counter: 6)), item(lease(1, counter: 7))])
        #expect(watch.view(id(0))?.owner == "w2")
        watch.scan(rows(6))
        #expect(watch.view(id(0))?.owner == "w2")
        #expect(watch.snapshot.events.count { $0.event.kind == .ownerChanged } == 1)
        // What two scans say is so.
        watch.wait(.seconds(60))
        watch.scan([item(lease(0, owner: nil, counter: 0))] + rows(7).dropFirst())
        #expect(watch.view(id(0))?.owner == nil)
    }

    @Test func `an answer that a scan overtook counts for its cost alone, and one that nobody waits for not at all`() {
        var watch = watched()
        watch.wait(.seconds(2))
        watch.send(.woke)
        #expect(watch.askedRows != nil)
        watch.scan([item(lease(0, owner: "w2", counter: 2))] + rows(2).dropFirst(), units: 1)
        watch.read([item(lease(0, counter: 2)), item(lease(1, counter: 2))], units: 3)
        #expect(watch.view(id(0))?.owner == "w2")
        #expect(watch.snapshot.cost.readUnits == 4)
        watch.read([item(lease(0, owner: "w3", counter: 9))], units: 8)
        #expect(watch.view(id(0))?.owner == "w2")
        #expect(watch.snapshot.cost.readUnits == 4)
    }

    // MARK: - Who lives

    @Test func `an owner is EXPIRED when its counter surely stood for the failover time, and not before`() {
        var watch = watched()
        var expiredAt: Timestamp?
        for second in 1...40 {
            watch.wait(.seconds(1))
            watch.send(.woke)
            guard watch.askedRows != nil else { continue }
            // The first renews until the tenth second, the second for ever.
            watch.read([
                item(lease(0, counter: Int64(min(second, 10) / 3 + 1))), item(lease(1, counter: Int64(second / 3 + 1))),
            ])
            #expect(watch.state(id(1)) != .expired)
            if watch.state(id(0)) == .expired, expiredAt == nil { expiredAt = watch.now }
        }
        // Last seen to change at 9 s.
        #expect(expiredAt == .zero + .seconds(19))
        #expect(watch.state(id(2)) == .learning)
        #expect(watch.snapshots.last?.leases.first { $0.id == id(0) }?.state == .expired)
    }

    @Test func `rows that stay as they are lead to no new picture`() {
        var watch = watched()
        for _ in 0..<30 {
            watch.wait(.seconds(1))
            watch.send(.woke)
            let before = watch.snapshots.count
            let dirty = watch.machine.schedule.isDirty
            watch.read([item(lease(0)), item(lease(1))])
            // At five and ten seconds it is known that nobody renews.
            let isJudged = [5, 10].contains { watch.now == .zero + .seconds($0) }
            #expect((watch.machine.schedule.isDirty != dirty || watch.snapshots.count > before) == isJudged)
        }
    }

    @Test func `an answer that was long on the way makes nobody look dead`() {
        var watch = watched()
        watch.wait(.seconds(1))
        watch.send(.woke)
        watch.read([item(lease(0, counter: 2)), item(lease(1, counter: 2))])
        watch.wait(.seconds(1))
        watch.send(.woke)
        #expect(watch.askedRows != nil)
        watch.wait(.seconds(25))
        watch.read([item(lease(0, counter: 2)), item(lease(1, counter: 2))])
        #expect(watch.state(id(0)) == .live)
    }

    @Test(arguments: [(3308, 10), (9975, 30)])
    func `an owner whose rows are read oftener renews no oftener`(_ renewalMillis: Int64, _ seconds: Int) {
        for seed in UInt64(1)...4 {
            var watch = Watch(.test(stream: nil, failover: nil))
            watch.noMigration()
            var generator = SeededGenerator(seed: seed)
            // The first half of the rows is w1's and in view now and then, the other w2's and never.
            func rows(_ watch: Watch, _ numbers: Range<Int>) -> [Item] {
                numbers.map { number in
                    let milliseconds = (watch.now - .zero).wholeMilliseconds + Int64(number) * 700
                    return item(
                        lease(number, owner: number < 2 ? "w1" : "w2", counter: 1 + milliseconds / renewalMillis))
                }
            }
            watch.scan(rows(watch, 0..<4))
            for step in 0..<900 {
                if step % 150 == 10 { watch.send(.rowsShown(step % 300 == 10 ? [id(0), id(1)] : [])) }
                watch.wait(generator.jittered(.milliseconds(200), by: 0.3))
                watch.send(.woke)
                if watch.askedRows != nil { watch.read(rows(watch, 0..<2)) }
                if watch.machine.pass != nil { watch.scan(rows(watch, 0..<4)) }
                #expect(watch.snapshot.leases.allSatisfy { $0.state != .expired })
            }
            let time = watch.snapshot.failoverTime
            #expect(time.source == .inferred)
            #expect(abs(time.duration.inSeconds - Double(seconds)) <= Double(seconds) * 0.2, "\(time.duration)")
            #expect(watch.problem(.failoverDiffers) == nil)
            for row in watch.machine.rows.slots {
                let gap = row.cadence.gap?.inSeconds ?? 0
                #expect(
                    abs(gap * 1000 - Double(renewalMillis)) <= Double(renewalMillis) * (row.cadence.tolerance + 0.05))
            }
        }
    }

    // MARK: - What is kept

    @Test func `a recording and the past show what the rows showed`() throws {
        var watch = Watch(
            {
                var configuration = FleetConfiguration.test(stream: nil)
                configuration.isRecording = true
                configuration.refresh = .every(.seconds(60))
                return configuration
            }())
        var lines = watch.recorded
        var timeline = Timeline(.test(stream: nil), at: .zero, wallClock: Watch.noon)
        func hear(_ event: FleetMachine.Event) {
            timeline.note(event, at: watch.now)
            watch.send(event)
            lines += watch.recorded
        }
        hear(.migrationItemRead(nil, watch.info()))
        hear(.scanned(FleetMachine.TablePage(rows(1)), watch.info(units: 1)))
        hear(.rowsShown([id(0), id(1)]))
        var seen: [(Timestamp, FleetSnapshot)] = []
        for second in 1...40 {
            watch.wait(.seconds(1))
            hear(.woke)
            guard watch.askedRows != nil else { continue }
            let owner = second < 20 ? "w1" : "w2"
            hear(
                .rowsRead(
                    .init([
                        item(lease(0, owner: owner, counter: Int64(second / 3 + 1))),
                        item(lease(1, counter: Int64(min(second, 9) / 3 + 1))),
                    ]), watch.info(units: 1)))
            seen.append((watch.now, watch.snapshot))
        }
        hear(.rowsReadFailed(awsError("AccessDeniedException"), watch.info()))
        #expect(seen.count == 40)
        #expect(lines.count { $0.contains("\"is\":\"rows\"") } == 40)
        #expect(lines.count { $0.contains("\"keys\"") } == 1, "the same rows are not named again")
        var replay = try Replay(header: try #require(lines.first))
        for line in lines.dropFirst() { _ = try replay.next(line) }
        let last = replay.finish()
        #expect(picture(last) == picture(watch.snapshot))
        #expect(last.cost.readUnits == 41 && last.cost.calls == watch.snapshot.cost.calls)
        #expect(last.problems.contains { $0.kind == .denied && $0.message.contains("BatchGetItem") })
        for (at, live) in seen {
            let past = timeline.snapshot(at: at)
            #expect(picture(past) == picture(live), "\((at - .zero).brief)")
        }
        #expect(seen.last?.1.leases.map(\.state) == [.live, .expired, .learning, .learning])
        var anonymizer = Anonymizer()
        let shared = try lines.compactMap { try anonymizer.line($0) }
        #expect(shared.count == lines.count)
        #expect(!shared.contains { $0.contains("w2") })
        var again = try Replay(header: try #require(shared.first))
        for line in shared.dropFirst() { _ = try again.next(line) }
        #expect(again.finish().leases.map(\.state) == last.leases.map(\.state))
    }

    private func picture(_ snapshot: FleetSnapshot) -> [String] {
        snapshot.leases.map {
            "\($0.id) \($0.state) \($0.owner ?? "-") \($0.leaseCounter ?? -1) \($0.counterAge?.brief ?? "")"
        }
            + snapshot.events.map { "\($0.event.kind) \($0.event.shardID ?? "") \($0.event.owner ?? "")" }
            + snapshot.workers.map { "\($0.workerID) \($0.state) \($0.leases)" }
    }
}

extension Watch {
    /// The keys of the read that the last event led to.
    fileprivate var askedRows: [String]? {
        for case .readRows(let keys) in effects { return keys }
        return nil
    }

    fileprivate mutating func read(_ items: [Item], units: Double? = nil, unprocessed: [String] = []) {
        send(.rowsRead(FleetMachine.RowsRead(items, unprocessed: unprocessed), info(units: units)))
    }

    fileprivate var recorded: [String] {
        var lines: [String] = []
        for case .record(let text, _) in effects { lines += text }
        return lines
    }
}
