import AWSWire
import Machine
import Simulation
import Synchronization
import Testing

/// The far end: a piece a second, and a note of when it learned of its end.
private final class Source: ResponseStream {
    let status = 200
    let headers: [Header] = []
    let time: TimeSource
    let piecesMax: Int
    let sent = Mutex(0)
    let closed = Mutex<Timestamp?>(nil)

    init(_ time: TimeSource, piecesMax: Int) {
        self.time = time
        self.piecesMax = piecesMax
    }

    func next() async throws(TransportError) -> Bytes? {
        try? await time.sleep(for: .seconds(1))
        if closed.withLock({ $0 }) != nil { throw TransportError(.closed, "closed", requestWasSent: true) }
        let number = sent.withLock { sent in
            sent += 1
            return sent
        }
        return number > piecesMax ? nil : Bytes("\(number)")
    }

    func close() { closed.withLock { $0 = $0 ?? time.now() } }
}

private final class Service: Transport {
    let time: TimeSource
    let piecesMax: Int
    let sources = Mutex<[Source]>([])

    init(_ time: TimeSource, piecesMax: Int) {
        self.time = time
        self.piecesMax = piecesMax
    }

    func send(_ request: Request) async throws(TransportError) -> Response { Response(status: 200) }

    func open(_ request: Request) async throws(TransportError) -> any ResponseStream {
        let source = Source(time, piecesMax: piecesMax)
        sources.withLock { $0.append(source) }
        return source
    }
}

/// One reader of one stream.
private struct World {
    let simulator: Simulator
    let service: Service
    let node: SimulatedNode
    let network: Network
    private let log = Log()

    final class Log: Sendable {
        let lines = Mutex<[String]>([])
    }

    init(_ faults: NetworkFaults = .none, piecesMax: Int = 3, seed: UInt64 = 7) {
        simulator = Simulator(seed: seed)
        service = Service(simulator.time, piecesMax: piecesMax)
        let carrier = SimulatedNode("network", number: 0, simulator: simulator)
        network = Network(faults: faults, seed: seed, carrier: carrier)
        node = SimulatedNode("node", number: 1, simulator: simulator)
    }

    var lines: [String] { log.lines.withLock { $0 } }
    /// When each far end learned of its end.
    var closed: [Timestamp?] { service.sources.withLock { $0.map { source in source.closed.withLock { $0 } } } }

    /// Reads to the end, `pause` between two pieces.
    func read(pause: Duration = .zero) {
        let (transport, log, simulator) = (FaultyTransport(service, network: network, node: node), log, simulator)
        let request = Request(
            url: Endpoint(scheme: "http", host: "simulated"),
            headers: [Header("X-Amz-Target", "Kinesis_20131202.SubscribeToShard")], timeout: .seconds(5))
        node.spawn {
            func note(_ line: String) { log.lines.withLock { $0.append(line) } }
            do throws(TransportError) {
                let stream = try await transport.open(request)
                note("\(stream.status)")
                while let piece = try await stream.next() {
                    note(piece.text)
                    try? await simulator.time.sleep(for: pause)
                }
                note("end")
            } catch {
                note("\(error.kind)")
            }
        }
    }
}

@Test func piecesArriveInOrderAfterATimeOfTheirOwn() {
    var faults = NetworkFaults()
    faults.slow = 0.5
    for seed in 0..<20 as Range<UInt64> {
        let world = World(faults, piecesMax: 9, seed: seed)
        world.read()
        world.simulator.run()
        #expect(world.lines == ["200", "1", "2", "3", "4", "5", "6", "7", "8", "9", "end"])
        #expect(world.simulator.now > Timestamp(nanoseconds: 10_000_000_000))
    }
}

@Test func aSlowReaderHoldsTheServiceBack() {
    let world = World(piecesMax: 1000)
    world.read(pause: .seconds(100))
    world.simulator.run(until: Timestamp(nanoseconds: 90_000_000_000))
    #expect(world.service.sources.withLock { $0[0].sent.withLock { $0 } } <= 6)
    #expect(world.lines == ["200", "1"])
}

@Test(arguments: SomeFault.allCases.filter { $0 != .expiredIterator })
func openingHasTheFatesOfSending(fault: SomeFault) {
    let world = World(fault.faults)
    world.read()
    world.simulator.run()
    #expect(world.lines.first.map { fault.outcome.hasPrefix("\($0) ") } == true)
    // What was opened for nobody does not stay open.
    #expect(world.closed.count == fault.effects)
    #expect(!world.closed.contains(nil))
}

@Test func aStreamThatIsCutAloudEndsWithAnError() {
    var faults = NetworkFaults()
    faults.streamCut = 1
    faults.lossIsSilent = 0
    let world = World(faults)
    world.read()
    world.simulator.run()
    #expect(world.lines == ["200", "truncated"])
    #expect(world.closed.count == 1 && !world.closed.contains(nil))
}

@Test func aStreamThatIsCutSilentlyJustStopsUntilItsReaderGivesUp() {
    var faults = NetworkFaults()
    faults.streamCut = 1
    faults.lossIsSilent = 1
    let world = World(faults)
    world.read()
    world.simulator.run()
    #expect(world.lines == ["200"])
    #expect(world.closed.count == 1 && !world.closed.contains(nil))
    world.node.kill()
    world.simulator.run()
    #expect(world.lines == ["200", "cancelled"])
}

@Test func theServiceLearnsAfterAWhileThatAReaderWasKilled() {
    var faults = NetworkFaults()
    faults.streamEndNoticed = .seconds(4) ... .seconds(5)
    let world = World(faults, piecesMax: 1000)
    world.read()
    world.simulator.run(until: Timestamp(nanoseconds: 2_500_000_000))
    world.node.kill()
    world.simulator.run()
    #expect(world.lines == ["200", "1", "2", "cancelled"])
    let closed = world.closed.first.flatMap { $0 } ?? .zero
    #expect(closed >= Timestamp(nanoseconds: 6_500_000_000) && closed <= Timestamp(nanoseconds: 7_500_000_000))
}

@Test(arguments: [Partition.refused, .silent, .oneWay])
func whileANodeIsCutOffItsStreamsBringNothingAndTheServiceLearnsNothing(partition: Partition) {
    let world = World(piecesMax: 1000)
    world.read()
    world.simulator.run(until: Timestamp(nanoseconds: 2_500_000_000))
    world.network.setPartition(partition, of: world.node)
    world.simulator.run(until: Timestamp(nanoseconds: 60_000_000_000))
    world.node.kill()
    world.simulator.run(until: Timestamp(nanoseconds: 120_000_000_000))
    #expect(world.lines == ["200", "1", "2", "cancelled"])
    #expect(world.closed == [nil])
    world.network.repairAll()
    world.simulator.run()
    let closed = world.closed.first.flatMap { $0 } ?? .zero
    #expect(closed >= Timestamp(nanoseconds: 120_000_000_000))
}

@Test func theSameSeedMakesTheSameStreams() {
    func history(_ seed: UInt64) -> String {
        let world = World(.everything(0.2), piecesMax: 20, seed: seed)
        for _ in 0..<5 { world.read(pause: .milliseconds(300)) }
        world.simulator.run(until: Timestamp(nanoseconds: 100_000_000_000))
        return "\(world.lines) \(world.closed.map { $0?.nanoseconds ?? -1 }) \(world.simulator.jobsRun)"
    }
    var histories: Set<String> = []
    for seed in 0..<20 as Range<UInt64> {
        let first = history(seed)
        #expect(history(seed) == first)
        histories.insert(first)
    }
    #expect(histories.count == 20)
}
