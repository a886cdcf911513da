import Machine
import Simulation
import Testing

/// Tests that simulate whole fleets, one at a time.
@Suite(.serialized) struct Simulations {}

struct SimulatedRun: Sendable {
    var report: SimulationReport
    var recorded: [String] = []
    var traced: [String] = []
}

/// `simulate` on a thread of its own. It holds its thread for seconds on end, and those that tests share are as few as
/// the cores: whoever waits for a socket meanwhile would time out.
func run(
    seed: UInt64, options: SimulationOptions = SimulationOptions(), isRecorded: Bool = false, isTraced: Bool = false
) async -> SimulatedRun {
    await withCheckedContinuation { continuation in
        let isStarted = startThread {
            var (recorded, traced): ([String], [String]) = ([], [])
            let report = simulate(
                seed: seed, options: options, record: isRecorded ? { recorded.append($0) } : nil,
                trace: isTraced ? { traced.append($0) } : nil)
            continuation.resume(returning: SimulatedRun(report: report, recorded: recorded, traced: traced))
        }
        if !isStarted { fatalError("no thread") }
    }
}
