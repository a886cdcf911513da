import Simulation
import Testing

#if DEBUG
    private let seedsTested: [UInt64] = [0, 1, 3]
#else
    private let seedsTested: [UInt64] = [0, 1, 3, 5, 6, 7, 9, 10, 16, 17, 18, 19, 20, 22, 24, 26, 28, 29, 30, 33]
#endif

private func mixed(java: Int, workers: Int = 5, turmoil: Duration = .seconds(45)) -> SimulationOptions {
    var options = SimulationOptions()
    options.workers = workers
    options.javaWorkers = java
    options.turmoil = turmoil
    return options
}

extension Simulations {
    /// Two Java workers and two of ours, and what the seed has in store: kills, restarts, pauses, partitions,
    /// operators, splits and merges. The command runs more: `shardtop simulate --java 2 --workers 4 --seeds 0..<200`.
    @Test(arguments: seedsTested)
    func aMixedFleetKeepsEveryInvariant(seed: UInt64) {
        let report = simulate(seed: seed, options: mixed(java: 2, workers: 4))
        #expect(report.isGood, "\(report.summary)\nwith a turmoil of 45 s, 2 Java workers of 4")
        #expect(report.records > 500)
        #expect(report.tenures > 12)
        #expect(report.terminated > 0)
    }

    /// The model alone keeps the rules that it is to judge by. Seeds of early mistakes: a reader that outlived its
    /// consumer (4), a consumer that goes on initializing without its lease (2), a first sync that was cut short (29).
    @Test(arguments: [2, 4, 29] as [UInt64])
    func aFleetOfJavaWorkersKeepsEveryInvariant(seed: UInt64) {
        let report = simulate(seed: seed, options: mixed(java: 3, workers: 3))
        #expect(report.isGood, "\(report.summary)\nwith a turmoil of 45 s, 3 Java workers of 3")
    }

    @Test func aMixedSeedTwiceIsTheSameRun() {
        let options = mixed(java: 2, workers: 4, turmoil: .seconds(15))
        let first = simulate(seed: 7, options: options)
        #expect(first == simulate(seed: 7, options: options))
        #expect(first.traceHash != simulate(seed: 8, options: options).traceHash)
    }
}
