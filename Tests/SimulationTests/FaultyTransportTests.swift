import AWSWire
import Machine
import Simulation
import Synchronization
import Testing

/// Answers everything with 200 and counts what took effect.
private final class Service: Transport {
    let effects = Mutex(0)

    func send(_ request: Request) async throws(TransportError) -> Response {
        effects.withLock { $0 += 1 }
        return Response(status: 200)
    }
}

/// One world: a service, a network with `faults`, a node.
private struct World {
    let simulator = Simulator(seed: 7)
    let service = Service()
    let node: SimulatedNode
    let network: Network

    init(_ faults: NetworkFaults = .none) {
        let carrier = SimulatedNode("network", number: 0, simulator: simulator)
        network = Network(faults: faults, seed: 7, carrier: carrier)
        node = SimulatedNode("node", number: 1, simulator: simulator)
    }

    var transport: FaultyTransport { FaultyTransport(service, network: network, node: node) }
    var effects: Int { service.effects.withLock { $0 } }

    func request(_ operation: String = "GetRecords") -> Request {
        Request(
            url: Endpoint(scheme: "http", host: "simulated"),
            headers: [Header("X-Amz-Target", "Kinesis_20131202.\(operation)")], timeout: .seconds(5))
    }

    /// Sends once and tells how it ended and when.
    func outcome(_ operation: String = "GetRecords", before: @escaping @Sendable () -> Void = {}) -> String {
        let outcome = Mutex("nothing")
        let (transport, request, simulator) = (transport, request(operation), simulator)
        node.spawn {
            let text: String
            do throws(TransportError) {
                let response = try await transport.send(request)
                text = "\(response.status)"
            } catch { text = "\(error.kind)" }
            let milliseconds = simulator.now.nanoseconds / 1_000_000
            outcome.withLock {
                $0 = "\(text) \(milliseconds >= 5000 ? "late" : milliseconds >= 2 ? "soon" : "at once")"
            }
        }
        before()
        simulator.run()
        return outcome.withLock { $0 }
    }
}

@Test func aCallTakesTimeOnBothWays() {
    let world = World()
    #expect(world.outcome() == "200 soon")
    #expect(world.effects == 1)
}

/// A fault that strikes every call.
enum SomeFault: CaseIterable {
    case requestLost, answerLost, throttled, serverError, serverErrorAfterEffect, expiredIterator

    var faults: NetworkFaults {
        var faults = NetworkFaults()
        faults.lossIsSilent = 0
        faults.latency = .milliseconds(3) ... .milliseconds(4)
        switch self {
        case .requestLost: faults.requestLost = 1
        case .answerLost: faults.answerLost = 1
        case .throttled: faults.throttled = 1
        case .serverError: faults.serverError = 1
        case .serverErrorAfterEffect: faults.serverErrorAfterEffect = 1
        case .expiredIterator: faults.expiredIterator = 1
        }
        return faults
    }

    var outcome: String {
        switch self {
        case .requestLost, .answerLost: "closed soon"
        case .throttled, .expiredIterator: "400 soon"
        case .serverError, .serverErrorAfterEffect: "500 soon"
        }
    }

    var effects: Int { self == .answerLost || self == .serverErrorAfterEffect ? 1 : 0 }
}

@Test(arguments: SomeFault.allCases)
func eachFaultShowsAsItself(fault: SomeFault) {
    let world = World(fault.faults)
    #expect(world.outcome() == fault.outcome)
    #expect(world.effects == fault.effects)
}

@Test(arguments: [
    (Partition.refused, 0, "cannotConnect soon"), (.silent, 0, "timedOut late"), (.oneWay, 1, "timedOut late"),
])
func aPartitionCutsANodeOff(partition: Partition, effects: Int, outcome: String) {
    var faults = NetworkFaults()
    faults.latency = .milliseconds(3) ... .milliseconds(4)
    let world = World(faults)
    world.network.setPartition(partition, of: world.node)
    #expect(world.outcome() == outcome)
    #expect(world.effects == effects)
    world.network.repairAll()
    #expect(world.outcome().hasPrefix("200"))
}

@Test func whatAKilledNodeSentStillTakesEffect() {
    let world = World()
    let outcome = world.outcome {
        world.simulator.run(jobsMax: 2)
        world.node.kill()
    }
    #expect(outcome == "cancelled at once")
    #expect(world.effects == 1)
}

@Test func anAnswerDoesNotReachAPausedNodeBeforeItResumes() {
    let world = World()
    let outcome = world.outcome {
        world.simulator.run(jobsMax: 1)
        world.node.pause()
        world.simulator.run(until: Timestamp(nanoseconds: 9_000_000_000))
        world.node.resume()
    }
    #expect(outcome == "200 late")
    #expect(world.effects == 1)
}
