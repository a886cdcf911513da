package import AWSWire
import Machine
import Synchronization

/// The conditions between all nodes and the services; they can change while the simulation runs.
package final class Network: Sendable {
    private struct State {
        var faults: NetworkFaults
        var partitions: [Int: Partition] = [:]
        var generator: SeededGenerator
        /// By node: far ends of streams that learn of their end once the node is no longer cut off.
        var unnoticed: [Int: [any ResponseStream]] = [:]
    }

    private let state: Mutex<State>
    let carrier: SimulatedNode

    /// - Parameter carrier: the node on which requests travel; it is never paused.
    package init(faults: NetworkFaults, seed: UInt64, carrier: SimulatedNode) {
        self.carrier = carrier
        state = Mutex(State(faults: faults, generator: SeededGenerator(seed: seed)))
    }

    package func setFaults(_ faults: NetworkFaults) { state.withLock { $0.faults = faults } }

    package func setPartition(_ partition: Partition?, of node: SimulatedNode) {
        state.withLock { $0.partitions[node.number] = partition }
        tellRepaired()
    }

    package func repairAll() {
        state.withLock { $0.partitions = [:] }
        tellRepaired()
    }

    /// Nobody of `node` is at the near end of `stream` any more; its far end learns of it after a while.
    func abandon(_ stream: any ResponseStream, of node: Int) {
        let noticed: Duration? = state.withLock { state in
            if state.partitions[node] != nil {
                state.unnoticed[node, default: []].append(stream)
                return nil
            }
            return Self.duration(state.faults.streamEndNoticed, &state.generator)
        }
        guard let noticed else { return }
        let time = carrier.simulator.time
        carrier.spawnDetached {
            try? await time.sleep(for: noticed)
            stream.close()
        }
    }

    /// Those that could not learn of their end can now.
    private func tellRepaired() {
        let streams = state.withLock { state in
            let nodes = state.unnoticed.keys.filter { state.partitions[$0] == nil }.sorted()
            return nodes.flatMap { node in (state.unnoticed.removeValue(forKey: node) ?? []).map { (node, $0) } }
        }
        for (node, stream) in streams { abandon(stream, of: node) }
    }

    /// What will happen to one piece of a stream.
    struct Leg: Sendable {
        var duration: Duration
        var isCut: Bool
        /// A cut that nobody tells the reader of.
        var isSilent: Bool
    }

    func leg(of node: Int) -> Leg {
        state.withLock { state in
            let duration = Self.way(&state)
            return Leg(
                duration: duration, isCut: state.generator.chance(state.faults.streamCut),
                isSilent: state.generator.chance(state.faults.lossIsSilent))
        }
    }

    /// Whether packets of `node` vanish now; a stream does not survive that.
    func isCutOff(_ node: Int) -> Bool { state.withLock { $0.partitions[node] != nil } }

    private static func way(_ state: inout State) -> Duration {
        let faults = state.faults
        let range = state.generator.chance(faults.slow) ? faults.slowLatency : faults.latency
        return duration(range, &state.generator)
    }

    private static func duration(_ range: ClosedRange<Duration>, _ generator: inout SeededGenerator) -> Duration {
        let nanoseconds = range.lowerBound.wholeNanoseconds...range.upperBound.wholeNanoseconds
        return .nanoseconds(Int64.random(in: nanoseconds, using: &generator))
    }

    /// What will happen to one call.
    struct Journey: Sendable {
        enum Fate: Hashable {
            case arrives, throttled, serverError, serverErrorAfterEffect, expiredIterator
            case refused
            case requestLost(silent: Bool)
            case answerLost(silent: Bool)
        }

        var there: Duration
        var back: Duration
        var fate = Fate.arrives
    }

    /// Draws the fate of a call of `node`.
    func journey(of node: SimulatedNode, operation: String) -> Journey {
        state.withLock { state in
            let faults = state.faults
            let there = Self.way(&state)
            var journey = Journey(there: there, back: Self.way(&state))
            switch state.partitions[node.number] {
            case .refused?: journey.fate = .refused
            case .silent?: journey.fate = .requestLost(silent: true)
            case .oneWay?: journey.fate = .answerLost(silent: true)
            case nil:
                let isSilent = state.generator.chance(faults.lossIsSilent)
                let fates: [(Double, Journey.Fate)] = [
                    (faults.requestLost, .requestLost(silent: isSilent)),
                    (faults.answerLost, .answerLost(silent: isSilent)),
                    (faults.throttled, .throttled), (faults.serverError, .serverError),
                    (faults.serverErrorAfterEffect, .serverErrorAfterEffect),
                    (operation == "GetRecords" ? faults.expiredIterator : 0, .expiredIterator),
                ]
                for (probability, fate) in fates where state.generator.chance(probability) { journey.fate = fate }
            }
            return journey
        }
    }
}

/// Puts the network's conditions between a node and any transport.
///
/// A call takes virtual time before and after it takes effect. It travels outside of the node: when the caller is
/// cancelled (killed) or paused, what it sent still arrives.
package struct FaultyTransport: Transport {
    /// Carries the true time at which a request was sent, in nanoseconds.
    static let sentHeader = "x-simulated-sent"

    private let inner: any Transport
    private let network: Network
    private let node: SimulatedNode

    package init(_ inner: any Transport, network: Network, node: SimulatedNode) {
        self.inner = inner
        self.network = network
        self.node = node
    }

    package func send(_ request: Request) async throws(TransportError) -> Response {
        try await travel(request) { [inner] (request) throws(TransportError) in
            try await inner.send(request)
        } refuse: {
            $0
        } lose: { _ in
        }
    }

    package func open(_ request: Request) async throws(TransportError) -> any ResponseStream {
        let (inner, network, node) = (inner, network, node.number)
        return try await travel(request) { (request) throws(TransportError) in
            FaultyStream(try await inner.open(request), network: network, node: node)
        } refuse: {
            FaultyStream(WholeResponseStream($0), network: network, node: node)
        } lose: { stream in
            // Letting go is enough: the far end learns that there is nobody.
            stream.close()
        }
    }

    /// There and back again, with what may happen on the way.
    private func travel<Answer: Sendable>(
        _ request: Request, perform: @escaping @Sendable (Request) async throws(TransportError) -> Answer,
        refuse: @escaping @Sendable (Response) -> Answer, lose: @escaping @Sendable (Answer) -> Void
    ) async throws(TransportError) -> Answer {
        if Task.isCancelled { throw TransportError(.cancelled, "cancelled", requestWasSent: false) }
        let operation = request.operation
        let waiter = Waiter<Answer>()
        let time = network.carrier.simulator.time
        let sent = time.now()
        var request = request
        request.headers.append(Header(Self.sentHeader, String(sent.nanoseconds)))
        let parcel = Parcel(
            request: request, operation: operation, journey: network.journey(of: node, operation: operation),
            sent: sent, time: time)
        network.carrier.spawnDetached {
            let result = await parcel.travel(perform: perform, refuse: refuse, lose: lose)
            waiter.arrive(result)
        }
        return try await waiter.wait().get()
    }
}

/// A request on its way, outside of any node.
private struct Parcel: Sendable {
    let request: Request
    let operation: String
    let journey: Network.Journey
    let sent: Timestamp
    let time: TimeSource

    func travel<Answer: Sendable>(
        perform: @Sendable (Request) async throws(TransportError) -> Answer,
        refuse: @Sendable (Response) -> Answer, lose: @Sendable (Answer) -> Void
    ) async -> Result<Answer, TransportError> {
        // The carrier is never cancelled, so its sleeps do not throw.
        try? await time.sleep(for: journey.there)
        var result: Result<Answer, TransportError>
        switch journey.fate {
        case .refused:
            return .failure(TransportError(.cannotConnect, "connection refused", requestWasSent: false))
        case .requestLost(let isSilent): return await loss(isSilent)
        case .throttled: result = .success(refuse(request.throttledResponse(operation)))
        case .serverError: result = .success(refuse(request.errorResponse("InternalServerError", status: 500)))
        case .expiredIterator:
            result = .success(refuse(request.errorResponse("ExpiredIteratorException", status: 400)))
        case .serverErrorAfterEffect:
            result = await Self.result(request, perform)
            if case .success(let answer) = result {
                lose(answer)
                result = .success(refuse(request.errorResponse("InternalServerError", status: 500)))
            }
        case .answerLost(let isSilent):
            if case .success(let answer) = await Self.result(request, perform) { lose(answer) }
            return await loss(isSilent)
        case .arrives: result = await Self.result(request, perform)
        }
        try? await time.sleep(for: journey.back)
        return result
    }

    private static func result<Answer: Sendable>(
        _ request: Request, _ perform: @Sendable (Request) async throws(TransportError) -> Answer
    ) async -> Result<Answer, TransportError> {
        do throws(TransportError) { return .success(try await perform(request)) } catch { return .failure(error) }
    }

    /// The caller never learns whether what it sent arrived.
    private func loss<Answer: Sendable>(_ isSilent: Bool) async -> Result<Answer, TransportError> {
        if isSilent {
            try? await time.sleep(sent + request.timeout)
            return .failure(TransportError(.timedOut, "no answer within \(request.timeout)", requestWasSent: true))
        }
        return .failure(TransportError(.closed, "the connection was closed", requestWasSent: true))
    }
}

/// Where a caller waits for its answer, until it comes or the caller is cancelled.
private final class Waiter<Answer: Sendable>: Sendable {
    private enum State {
        case pending
        case waiting(UnsafeContinuation<Result<Answer, TransportError>, Never>)
        case done(Result<Answer, TransportError>)
    }

    private let state = Mutex(State.pending)

    func wait() async -> Result<Answer, TransportError> {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let result: Result<Answer, TransportError>? = state.withLock { state in
                    if case .done(let result) = state { return result }
                    state = .waiting(continuation)
                    return nil
                }
                if let result { continuation.resume(returning: result) }
            }
        } onCancel: {
            arrive(.failure(TransportError(.cancelled, "cancelled", requestWasSent: true)))
        }
    }

    /// The first result counts; the answer to somebody who was cancelled is thrown away.
    func arrive(_ result: Result<Answer, TransportError>) {
        let waiting: UnsafeContinuation<Result<Answer, TransportError>, Never>? = state.withLock { state in
            switch state {
            case .pending:
                state = .done(result)
                return nil
            case .waiting(let continuation):
                state = .done(result)
                return continuation
            case .done: return nil
            }
        }
        waiting?.resume(returning: result)
    }
}

extension Request {
    /// `UpdateItem`, of the header `X-Amz-Target`.
    var operation: String {
        (headers["X-Amz-Target"] ?? "").split(separator: ".").last.map(String.init) ?? ""
    }

    var isForDynamoDB: Bool { (headers["X-Amz-Target"] ?? "").hasPrefix("DynamoDB") }

    /// In the request's own encoding, as the services write their errors.
    func errorResponse(_ type: String, status: Int) -> Response {
        let encoding = WireEncoding(contentType: headers["Content-Type"]) ?? .json
        return Response(
            status: status, headers: [Header("x-amzn-RequestId", "simulated")],
            body: Bytes(encoding.encode(["__type": .string(type), "message": "simulated"])))
    }

    /// The service's throttle for `operation`: data operations run out of throughput, others of their rate.
    func throttledResponse(_ operation: String) -> Response {
        let isData = ["GetRecords", "GetShardIterator", "PutRecord", "PutRecords"].contains(operation)
        let type =
            isForDynamoDB || isData ? "ProvisionedThroughputExceededException" : "LimitExceededException"
        return errorResponse(type, status: 400)
    }
}
