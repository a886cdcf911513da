import ArgumentParser
import Simulation

/// Replays a whole fleet from a seed: the failing one of a test, or many in search of one.
struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run a simulated fleet under faults and check its invariants.",
        discussion: """
            Exit status 1 where an invariant was violated. A recording opens in `shardtop replay FILE`.
            """, shouldDisplay: false)

    @Option(help: "The seed of one run.")
    var seed: UInt64?

    @Option(help: "Seeds FROM..<TO.")
    var seeds: String?

    @Option(help: "Record the run of --seed for `replay`.")
    var record: String?

    @Option(help: "Break the engine on purpose: \(Sabotage.allCases.map(\.rawValue).joined(separator: ", ")).")
    var sabotage: String?

    func run() async throws {
        var options = SimulationOptions()
        if let sabotage {
            guard let chosen = Sabotage(rawValue: sabotage) else {
                throw Failure(
                    "no sabotage \(sabotage); there are \(Sabotage.allCases.map(\.rawValue).joined(separator: ", "))",
                    status: .usage)
            }
            options.sabotage = chosen
        }
        let file = try record.map { try LineFile($0, truncating: true) }
        var bad: [UInt64] = []
        let range = try range()
        for seed in range {
            let report = simulate(seed: seed, options: options, record: file.map { file in { try? file.append($0) } })
            if range.count == 1 || !report.isGood { Output.print(report.summary) }
            if !report.isGood { bad.append(seed) }
        }
        Output.print("shardtop simulate: \(range.count - bad.count) passed, \(bad.count) failed")
        if let first = bad.first {
            throw Failure("replay the first with: shardtop simulate --seed \(first) --record failed.ndjson")
        }
    }

    private func range() throws -> Range<UInt64> {
        if let seed { return seed..<seed + 1 }
        let parts = (seeds ?? "0..<1").split(separator: ".", omittingEmptySubsequences: true)
        guard parts.count == 2, let from = UInt64(parts[0]), let to = UInt64(parts[1].drop { $0 == "<" }), from < to
        else {
            throw Failure("--seeds \(seeds ?? ""): write it 0..<200", status: .usage)
        }
        return from..<to
    }
}
