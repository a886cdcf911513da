import Fleet
import Simulation
import Testing

/// What every run must have been about, or it proves nothing.
private func expectATest(_ report: SimulationReport) {
    #expect(report.records > 500)
    #expect(report.deliveries >= report.records)
    #expect(report.checkpoints > 50)
    #expect(report.tenures > 20)
    #expect(report.terminated > 0)
    #expect(report.incidents.contains { $0.contains("kill") })
    #expect(report.incidents.contains { $0.contains("split") })
}

/// A seed takes half a second when optimised and five to fifteen when not: CI runs the others, and all of those that
/// once went wrong, through the command.
#if DEBUG
    private let seedsTested: UInt64 = 2
    private let seedsTwice: [UInt64] = [7, 9]
    private let seedsOnceWrong: [UInt64] = [13]
#else
    private let seedsTested: UInt64 = 40
    private let seedsTwice: [UInt64] = [7, 8, 9]
    private let seedsOnceWrong: [UInt64] = [3, 13, 48]
#endif

extension Simulations {
    /// Half of the turmoil of the command, which runs more seeds: `shardtop simulate --seeds 0..<200`.
    @Test(arguments: 0..<seedsTested)
    func aFleetKeepsEveryInvariant(seed: UInt64) async {
        var options = SimulationOptions()
        options.turmoil = .seconds(45)
        let report = await run(seed: seed, options: options).report
        #expect(report.isGood, "\(report.summary)\nwith a turmoil of 45 s")
        expectATest(report)
    }

    /// Fan-out workers among polling ones, all as one consumer, that change their shards among themselves.
    @Test(arguments: 0..<seedsTested)
    func aFleetWithFanOutKeepsEveryInvariant(seed: UInt64) async {
        var options = SimulationOptions()
        options.turmoil = .seconds(45)
        options.fanOut = seed % 2 == 0 ? 0.6 : 1
        let report = await run(seed: seed, options: options).report
        #expect(report.isGood, "\(report.summary)\nwith a turmoil of 45 s and fan-out \(options.fanOut)")
        expectATest(report)
        #expect(report.actions.contains("kinesis:SubscribeToShard"))
        if options.fanOut == 1 {
            // Whether the consumer is seen from both sides, by name and by ARN, is the same permission.
            let allowed = Set(LeastPolicy.actions(for: .consume, .fanOut(consumer: "simulated")))
            #expect(report.actions.isSubset(of: allowed), "\(report.actions.subtracting(allowed))")
        }
    }

    @Test func oneSeedTwiceIsTheSameRun() async {
        var options = SimulationOptions()
        options.turmoil = .seconds(15)
        var hashes: Set<UInt64> = []
        for seed in seedsTwice {
            options.fanOut = seed == 9 ? 0.7 : 0
            let first = await run(seed: seed, options: options, isTraced: true)
            let second = await run(seed: seed, options: options, isTraced: true)
            #expect(first.report == second.report)
            #expect(zip(first.traced, second.traced).first { $0 != $1 }?.0 == nil)
            #expect(first.traced.count == second.traced.count)
            hashes.insert(first.report.traceHash)
        }
        #expect(hashes.count == seedsTwice.count)
    }

    /// A worker calls nothing else, and the simulation makes it call everything that the policy allows it.
    @Test func theLeastPolicyIsWhatWorkersCall() async {
        var options = SimulationOptions()
        options.turmoil = .seconds(45)
        let called = await run(seed: 1, options: options).report.actions
        #expect(called.union(["cloudwatch:PutMetricData"]) == Set(LeastPolicy.actions(for: .consume)))
    }

    @Test func aRunCanBeRecorded() async {
        var options = SimulationOptions()
        options.turmoil = .seconds(20)
        let lines = await run(seed: 3, options: options, isRecorded: true).recorded
        #expect(lines.count > 100)
        #expect(lines.allSatisfy { $0.hasPrefix("{") && $0.hasSuffix("}") })
    }

    /// Seeds that once found a bug in the engine, with the whole turmoil: a checkpoint that was asked for as the lease
    /// ended (13), a failover stretched by an old renewal gap (3), a completed lease that was created again (48).
    @Test(arguments: seedsOnceWrong)
    func whatOnceWentWrongDoesNotAgain(seed: UInt64) async {
        let report = await run(seed: seed).report
        #expect(report.isGood, "\(report.summary)\nreplay: shardtop simulate --seed \(seed)")
    }
}
