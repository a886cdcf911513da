import Machine
import Simulation
import Synchronization
import Testing

/// A little world of everything the engine is made of: actors, task groups, streams, sleeps and cancellation.
private func history(of seed: UInt64) -> (hash: UInt64, lines: [String], escapes: Int) {
    let lines = Mutex<[String]>([])
    let trace = Trace { line in lines.withLock { $0.append(line) } }
    let simulator = Simulator(seed: seed)
    actor Counter {
        var value = 0
        func add(_ number: Int) -> Int {
            value += number
            return value
        }
    }
    let counter = Counter()
    let (stream, continuation) = AsyncStream.makeStream(of: Int.self)
    let nodes = (0..<3).map { number in
        SimulatedNode(
            "node\(number)", number: number,
            clock: NodeClock(
                origin: Timestamp(nanoseconds: Int64(number) * 1_000_000_000_000), driftPPM: Int64(number) * 100),
            simulator: simulator)
    }
    for node in nodes {
        node.spawn {
            let time = node.time
            await withTaskGroup(of: Int.self) { group in
                for child in 0..<5 {
                    group.addTask {
                        try? await time.sleep(for: .milliseconds(child % 2))
                        let sum = await counter.add(child)
                        continuation.yield(sum)
                        await Task.yield()
                        trace.add("\(node.name) \(child) \(sum) \(time.now().nanoseconds)")
                        return sum
                    }
                }
                for await sum in group { trace.add("\(node.name) done \(sum)") }
            }
        }
    }
    nodes[0].spawn {
        for await sum in stream.prefix(15) { trace.add("heard \(sum)") }
    }
    simulator.run(jobsMax: 10_000)
    return (trace.hash, lines.withLock { $0 }, simulator.escapes)
}

@Test(arguments: UInt64(0)..<50)
func oneSeedTwiceGivesTheSameHistory(seed: UInt64) {
    let (first, second) = (history(of: seed), history(of: seed))
    #expect(first.lines == second.lines)
    #expect(first.hash == second.hash)
    #expect(first.escapes == 0)
    // 15 children, 15 results, 15 heard
    #expect(first.lines.count == 45)
}

@Test func differentSeedsGiveDifferentHistories() {
    let hashes = Set((0..<50).map { history(of: $0).hash })
    #expect(hashes.count == 50)
}

@Test func virtualTimeMovesToTheEarliestSleeperOnly() {
    let simulator = Simulator(seed: 1)
    let node = SimulatedNode("node", number: 0, simulator: simulator)
    let trace = Mutex<[Int64]>([])
    for seconds in [5, 1, 3] {
        node.spawn {
            try? await node.time.sleep(for: .seconds(seconds))
            trace.withLock { $0.append(simulator.now.nanoseconds / 1_000_000_000) }
        }
    }
    #expect(simulator.run(until: Timestamp(nanoseconds: 2_000_000_000)) == .reachedTime)
    #expect(trace.withLock { $0 } == [1])
    #expect(simulator.now == Timestamp(nanoseconds: 2_000_000_000))
    #expect(simulator.run() == .idle)
    #expect(trace.withLock { $0 } == [1, 3, 5])
}

@Test func aKilledSleeperWakesAtOnceAndThrows() {
    let simulator = Simulator(seed: 1)
    let node = SimulatedNode("node", number: 0, simulator: simulator)
    let error = Mutex<String?>(nil)
    node.spawn {
        do { try await node.time.sleep(for: .seconds(100)) } catch {
            let name = "\(type(of: error))"
            _ = name
        }
        error.withLock { $0 = Task.isCancelled ? "cancelled at \(simulator.now.nanoseconds)" : "woke" }
    }
    simulator.run(until: Timestamp(nanoseconds: 7))
    node.kill()
    #expect(simulator.run() == .idle)
    #expect(error.withLock { $0 } == "cancelled at 7")
}

@Test func aPausedNodeStandsStillWhileItsClockGoesOn() {
    let simulator = Simulator(seed: 3)
    let (paused, other) = (
        SimulatedNode("paused", number: 0, simulator: simulator),
        SimulatedNode("other", number: 1, simulator: simulator)
    )
    let trace = Mutex<[String]>([])
    @Sendable func note(_ text: String, _ node: SimulatedNode) {
        trace.withLock { $0.append("\(text) \(node.time.now().nanoseconds / 1_000_000_000)") }
    }
    paused.spawn {
        try? await paused.time.sleep(for: .seconds(1))
        note("paused", paused)
        try? await paused.time.sleep(for: .seconds(1))
        note("paused", paused)
    }
    other.spawn {
        try? await other.time.sleep(for: .seconds(1.5))
        paused.pause()
        try? await other.time.sleep(for: .seconds(10))
        note("other", other)
        paused.resume()
    }
    #expect(simulator.run() == .idle)
    #expect(trace.withLock { $0 } == ["paused 1", "other 11", "paused 11"])
}

@Test(arguments: [-200, -1, 0, 1, 333] as [Int64])
func aDriftingClockWakesItsSleepersByItsOwnTime(driftPPM: Int64) {
    let simulator = Simulator(seed: 1)
    let node = SimulatedNode(
        "node", number: 0, clock: NodeClock(origin: Timestamp(nanoseconds: 12345), driftPPM: driftPPM),
        simulator: simulator)
    let woke = Mutex<(Timestamp, Timestamp)?>(nil)
    node.spawn {
        try? await node.time.sleep(for: .seconds(1000))
        woke.withLock { $0 = (node.time.now(), simulator.now) }
    }
    simulator.run()
    let (local, global) = woke.withLock { $0 } ?? (.zero, .zero)
    #expect(local >= Timestamp(nanoseconds: 12345) + .seconds(1000))
    let expected = 1e12 / (1 + Double(driftPPM) / 1e6)
    #expect(abs(Double(global.nanoseconds) - expected) < 10_000)
}

@Test func theFlagsOfAFleetSayHowItDiffersFromTheStandardOne() {
    var options = SimulationOptions()
    #expect(options.fleetFlags == "")
    options.fanOut = 0.7
    #expect(options.fleetFlags == " --fan-out 0.7")
    options.javaWorkers = 2
    #expect(options.fleetFlags == " --workers 5 --java 2 --fan-out 0.7")
}
