import ArgumentParser
import Simulation

/// Replays a whole fleet from a seed: the failing one of a test, or many in search of one.
struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run a simulated fleet under faults and check its invariants.",
        discussion: """
            Exit status 1 where an invariant was violated; with --sabotage, where none was. A recording opens in \
            `shardtop replay FILE`.
            """, shouldDisplay: false)

    @Option(help: "The seed of one run.")
    var seed: UInt64?

    @Option(help: "Seeds FROM..<TO.")
    var seeds: String?

    @Option(help: "So many of the workers are Java KCL 2.x ones.")
    var java = 0

    @Option(help: "How many workers there are.")
    var workers = SimulationOptions().workers

    @Option(help: "Record the run of --seed for `replay`.")
    var record: String?

    @Option(help: "Break the engine on purpose: \(Sabotage.allCases.map(\.rawValue).joined(separator: ", ")).")
    var sabotage: String?

    @Option(help: "The part of the workers that read by enhanced fan-out, 0 to 1.")
    var fanOut = SimulationOptions().fanOut

    func run() async throws {
        var options = SimulationOptions()
        options.fanOut = fanOut
        guard java >= 0, workers >= max(java, 3) else {
            throw Failure(
                "--workers \(workers) --java \(java): at least three workers, the Java ones among them", status: .usage)
        }
        (options.workers, options.javaWorkers) = (workers, java)
        guard 0...1 ~= fanOut else { throw Failure("--fan-out \(fanOut): write a part, 0 to 1", status: .usage) }
        if let sabotage {
            guard let chosen = Sabotage(rawValue: sabotage) else {
                throw Failure(
                    "no sabotage \(sabotage); there are \(Sabotage.allCases.map(\.rawValue).joined(separator: ", "))",
                    status: .usage)
            }
            options.sabotage = chosen
            options.stopsAtViolation = true
            if chosen.needsFanOut, options.fanOut == 0 { options.fanOut = 1 }
            if chosen.needsJava { options.javaWorkers = max(java, 2) }
        }
        let range = try range()
        let bad = range.count == 1 ? try runOne(range.lowerBound, options) : await run(range, options)
        Output.print("shardtop simulate: \(range.count - bad.count) passed, \(bad.count) failed")
        guard sabotage == nil else {
            if bad.isEmpty { throw Failure("the broken engine went unnoticed") }
            return Output.print("noticed by \(bad.map(String.init).joined(separator: ", "))")
        }
        if let first = bad.first {
            throw Failure(
                "replay the first with: shardtop simulate --seed \(first)\(options.fleetFlags) --record failed.ndjson")
        }
    }

    private func runOne(_ seed: UInt64, _ options: SimulationOptions) throws -> [UInt64] {
        let file = try record.map { try LineFile($0, truncating: true) }
        let report = simulate(seed: seed, options: options, record: file.map { file in { try? file.append($0) } })
        Output.print(report.summary)
        return report.isGood ? [] : [seed]
    }

    /// As many at a time as there are cores; a run has no thread of its own, so that none disturbs another.
    private func run(_ seeds: Range<UInt64>, _ options: SimulationOptions) async -> [UInt64] {
        await withTaskGroup(of: UInt64?.self) { group in
            for seed in seeds {
                group.addTask {
                    let report = simulate(seed: seed, options: options)
                    if !report.isGood, options.sabotage == nil { Output.print(report.summary) }
                    return report.isGood ? nil : seed
                }
            }
            var bad: [UInt64] = []
            for await seed in group { if let seed { bad.append(seed) } }
            return bad.sorted()
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
