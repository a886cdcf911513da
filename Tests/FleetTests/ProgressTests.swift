import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

/// A lease whose reads tests make up, five seconds apart.
private struct Reader {
    var progress = Progress()
    var now = Timestamp.zero
    /// The time of the record that the checkpoint is at, seconds after noon.
    var place: Double

    init(at place: Double = 0) {
        self.place = place
        progress.note(Progress.Reading(position: position), at: now)
    }

    private var position: Checkpoint { checkpoint(age: .seconds(-place)) }

    /// One read: the checkpoint went `step` seconds of records on; the estimate is what its time says.
    mutating func read(
        step: Double = 0, lag: Lag? = nil, throughput: Double? = nil, after wait: Duration = .seconds(5)
    ) {
        now = now + wait
        place += step
        let estimate = Lag(Int64((now - .zero).inSeconds * 1000 - place * 1000), .estimate)
        progress.note(
            Progress.Reading(
                position: position, lag: lag ?? (step == 0 ? nil : estimate), hasCounterMoved: true,
                throughput: throughput), at: now)
    }

    func view(
        _ attendance: Progress.Attendance = .renewed, isClosed: Bool = false
    ) -> ProgressView? { progress.view(attendance, isClosed: isClosed, patience: .seconds(60)) }
}

struct ProgressTests {
    @Test func `a reader that keeps up is OK as soon as two checkpoints show it, and nothing is said before`() {
        var reader = Reader()
        #expect(reader.view() == nil)
        reader.read(step: 3)
        #expect(reader.view() == nil)
        reader.read(step: 5)
        #expect(reader.view() == ProgressView(.ok, .caughtUp))
    }

    @Test func `an idle shard is OK for ever, though its estimate grows`() {
        var reader = Reader()
        for _ in 0..<5 { reader.read() }
        #expect(reader.view() == nil)
        for _ in 0..<720 {
            reader.read()
            #expect(reader.view() == ProgressView(.ok))
        }
    }

    @Test func `a shard that idles after its backlog was read is OK`() {
        var reader = Reader(at: -3600)
        for _ in 0..<100 { reader.read(step: 30) }
        #expect(reader.view()?.judgement == .ok)
        for _ in 0..<720 { reader.read() }
        #expect(reader.view() == ProgressView(.ok))
    }

    @Test func `a shard with a record now and then is OK`() {
        var reader = Reader()
        for _ in 0..<20 {
            for _ in 0..<60 { reader.read() }
            reader.read(step: 305)
            #expect(reader.view() == ProgressView(.ok, reader.place > 305 ? .caughtUp : nil))
        }
    }

    @Test func `a reader that is slower than the writers gets WARN and never catches up`() {
        var reader = Reader(at: -60)
        for _ in 0..<20 { reader.read(step: 2) }
        #expect(reader.view() == ProgressView(.warn, .never))
        #expect(reader.view()?.brief == "WARN never")
    }

    @Test func `a reader that is faster than the writers is OK, with the time that it needs`() {
        var reader = Reader(at: -600)
        for _ in 0..<20 { reader.read(step: 15) }
        // 400 s behind, ten fewer each five.
        #expect(reader.view() == ProgressView(.ok, .after(.seconds(200))))
        #expect(reader.view()?.secondsToCatchUp == 200)
        #expect(reader.view()?.brief == "OK 3m20s")
    }

    @Test func `measured lags are judged by their own trend`() {
        var slow = Reader()
        var fast = Reader()
        var brisk = Reader()
        for second in Int64(1)...20 {
            slow.read(step: 5, lag: Lag(10_000 + second * 100, .exact))
            fast.read(step: 5, lag: Lag(100_000 - second * 2500, .probe))
            brisk.read(step: 5, lag: Lag(second % 5 == 0 ? 0 : 4000, .cloudwatch))
        }
        #expect(slow.view() == ProgressView(.warn, .never))
        #expect(fast.view() == ProgressView(.ok, .after(.seconds(100))))
        #expect(brisk.view() == ProgressView(.ok, .caughtUp))
        brisk.read(step: 5, lag: Lag(4000, .cloudwatch))
        // It had no lag a moment ago.
        #expect(brisk.view()?.judgement == .ok)
    }

    @Test func `a reader that only renews while the measured lag grows is STALLED after a minute`() {
        var reader = Reader()
        for second in Int64(1)...12 { reader.read(lag: Lag(second * 5000, .probe)) }
        #expect(reader.view()?.judgement == .stalled)
        var early = Reader()
        for second in Int64(1)...11 { early.read(lag: Lag(second * 5000, .probe)) }
        #expect(early.view()?.judgement == .warn)
        reader.read(step: 60, lag: Lag(0, .probe))
        #expect(reader.view() == ProgressView(.ok, .caughtUp))
    }

    @Test func `a reader that checkpoints each ten minutes is not STALLED within twenty`() {
        var reader = Reader()
        for _ in 0..<3 {
            reader.read(step: 600, lag: Lag(0, .exact))
            for second in Int64(1)...119 { reader.read(lag: Lag(second * 20, .exact)) }
        }
        // It falls behind, and that is all.
        #expect(reader.view()?.judgement == .warn)
        for second in Int64(120)...240 { reader.read(lag: Lag(second * 20, .exact)) }
        #expect(reader.view()?.judgement == .stalled)
    }

    @Test func `an owner whose throughput goes on while its checkpoint stands is STALLED, one whose fades is not`() {
        var reads = Reader()
        var faded = Reader()
        for _ in 0..<10 {
            reads.read(step: 5, throughput: 100)
            faded.read(step: 5, throughput: 100)
        }
        for round in 1...60 {
            reads.read(throughput: round.isMultiple(of: 2) ? 101 : 99)
            faded.read(throughput: round == 1 ? 101 : 100 / Double(1 << min(round, 60)))
        }
        #expect(reads.view()?.judgement == .stalled)
        #expect(faded.view() == ProgressView(.ok))
    }

    @Test func `a checkpoint that went back is REWOUND until it is where it was`() {
        var reader = Reader()
        for _ in 0..<10 { reader.read(step: 5) }
        reader.read(step: -40)
        #expect(reader.view()?.judgement == .rewound)
        for _ in 0..<3 { reader.read(step: 10) }
        #expect(reader.view()?.judgement == .rewound)
        reader.read(step: 10)
        #expect(reader.view()?.judgement == .ok)
    }

    @Test
    func `a checkpoint that went back and stands there is REWOUND: the retention may have taken what was between`() {
        var reader = Reader()
        for _ in 0..<10 { reader.read(step: 5) }
        reader.read(step: -40)
        for _ in 0..<200 { reader.read() }
        #expect(reader.view() == ProgressView(.rewound))
    }

    @Test func `a lease that nobody renews is STOPPED, one that is being learnt is not judged`() {
        var reader = Reader()
        for _ in 0..<10 { reader.read(step: 5) }
        #expect(reader.view(.nobody) == ProgressView(.stopped, .never))
        #expect(reader.view(.unknown) == nil)
    }

    @Test func `a closed shard whose checkpoint stands before SHARD_END is STALLED`() {
        var reader = Reader()
        for _ in 0..<10 { reader.read(step: 5) }
        for _ in 0..<12 { reader.read() }
        #expect(reader.view() == ProgressView(.ok))
        #expect(reader.view(isClosed: true)?.judgement == .stalled)
    }

    @Test func `a new owner is given its own time`() {
        var reader = Reader()
        for second in Int64(1)...20 { reader.read(lag: Lag(second * 5000, .probe)) }
        #expect(reader.view()?.judgement == .stalled)
        reader.progress.ownerChanged(at: reader.now)
        reader.read(lag: Lag(105_000, .probe))
        #expect(reader.view()?.judgement == .warn)
    }

    @Test func `lags without measure and times without distance do no harm`() {
        var reader = Reader()
        for lag in [Int64.max, 0, .max, .max, .max, .max, .max, .max, .max - 1_000_000] {
            reader.read(lag: Lag(lag, .probe), after: .seconds(20))
        }
        for _ in 0..<20 { reader.read(lag: Lag(.max, .probe), after: .zero) }
        #expect(reader.view() != nil)
    }
}

struct FleetProgressTests {
    /// Rows of workers that are not ours, each `seconds` of records on with each of `rounds` reads.
    private func watched(
        rounds: Int, step: [Double], from start: Double = 0, throughput: [Double]? = nil
    ) -> Watch {
        var watch = Watch()
        watch.noMigration()
        watch.list(step.indices.map { shard($0, of: step.count) })
        for round in 0..<rounds {
            watch.scan(
                step.indices.map { number in
                    let age = -start - (step[number] * Double(round)).rounded()
                    var more: Item = [:]
                    if let throughput {
                        let wave = round.isMultiple(of: 2) ? 1.0 : 0.9
                        more["throughputKBps"] = .n("\(throughput[number] * wave)")
                    }
                    return item(
                        lease(
                            number, of: step.count, counter: Int64(round),
                            checkpoint: checkpoint(age: .seconds(age), of: number)), more)
                })
            watch.wait(.seconds(5))
        }
        return watch
    }

    @Test func `a foreign worker that reads and never checkpoints is STUCK, one with an idle shard is not`() throws {
        let watch = watched(rounds: 80, step: [0, 0, 5], throughput: [300, 0, 300])
        #expect(watch.view(id(0))?.progress == ProgressView(.stalled, .never))
        #expect(watch.view(id(1))?.progress == ProgressView(.ok))
        #expect(watch.view(id(2))?.progress == ProgressView(.ok, .caughtUp))
        let problem = try #require(watch.problem(.stuck))
        #expect(problem.shardIDs == [id(0)])
        #expect(problem.severity == .warning)
        #expect(problem.action == .evict)
    }

    @Test func `nothing is said of progress in the first seconds, and an idle fleet of old workers has no finding`() {
        let early = watched(rounds: 3, step: [0, 0])
        #expect(early.snapshot.leases.map(\.progress) == [nil, nil])
        let late = watched(rounds: 200, step: [0, 0], from: -40_000)
        #expect(late.snapshot.leases.map(\.progress) == [ProgressView(.ok), ProgressView(.ok)])
        #expect(late.problem(.stuck) == nil)
    }

    @Test func `slow and fast foreign workers are told apart by the times in their checkpoints`() {
        let watch = watched(rounds: 21, step: [2, 15], from: -600)
        #expect(watch.view(id(0))?.progress == ProgressView(.warn, .never))
        #expect(watch.view(id(1))?.progress == ProgressView(.ok, .after(.seconds(200))))
    }

    @Test func `a lease that went back is REWOUND, a free one STOPPED, an ended one not judged`() {
        var watch = watched(rounds: 10, step: [5, 5, 5])
        for counter in Int64(20)...24 {
            watch.scan([
                lease(0, of: 3, counter: counter, checkpoint: .trimHorizon),
                lease(1, of: 3, owner: nil, counter: 20, checkpoint: checkpoint(age: .seconds(-45), of: 1)),
                lease(2, of: 3, owner: nil, counter: 20, checkpoint: .shardEnd),
            ])
            if counter == 20 { #expect(watch.view(id(1))?.progress == nil) }
            watch.wait(.seconds(5))
        }
        #expect(watch.view(id(0))?.progress?.judgement == .rewound)
        #expect(watch.view(id(1))?.progress == ProgressView(.stopped, .never))
        #expect(watch.view(id(2))?.progress == nil)
    }
}
