package import AWSWire
import Machine
import Synchronization

/// The conditions between all nodes and the services; they can change while the simulation runs.
package final class Network: Sendable {
    private struct State {
        var faults: NetworkFaults
        var partitions: [Int: Partition] = [:]
        var generator: SeededGenerator
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
    }

    package func repairAll() { state.withLock { $0.partitions = [:] } }

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
            func way() -> Duration {
                let range = state.generator.chance(faults.slow) ? faults.slowLatency : faults.latency
                let nanoseconds = range.lowerBound.wholeNanoseconds...range.upperBound.wholeNanoseconds
                return .nanoseconds(Int64.random(in: nanoseconds, using: &state.generator))
            }
            var journey = Journey(there: way(), back: way())
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
        if Task.isCancelled { throw TransportError(.cancelled, "cancelled", requestWasSent: false) }
        let operation = request.operation
        let journey = network.journey(of: node, operation: operation)
        let answer = Answer()
        let (inner, time) = (inner, network.carrier.simulator.time)
        let sent = time.now()
        var request = request
        request.headers.append(Header(Self.sentHeader, String(sent.nanoseconds)))
        let parcel = request
        network.carrier.spawnDetached {
            let result = await Self.travel(parcel, journey, operation, inner: inner, sent: sent, time: time)
            answer.arrive(result)
        }
        return try await answer.wait().get()
    }

    private static func travel(
        _ request: Request, _ journey: Network.Journey, _ operation: String, inner: any Transport, sent: Timestamp,
        time: TimeSource
    ) async -> Result<Response, TransportError> {
        // The carrier is never cancelled, so its sleeps do not throw.
        try? await time.sleep(for: journey.there)
        var result: Result<Response, TransportError>
        switch journey.fate {
        case .refused:
            return .failure(TransportError(.cannotConnect, "connection refused", requestWasSent: false))
        case .requestLost(let isSilent): return await loss(request, isSilent, sent: sent, time: time)
        case .throttled: result = .success(request.throttledResponse(operation))
        case .serverError: result = .success(request.errorResponse("InternalServerError", status: 500))
        case .expiredIterator: result = .success(request.errorResponse("ExpiredIteratorException", status: 400))
        case .serverErrorAfterEffect:
            result = await perform(request, inner)
            if case .success = result {
                result = .success(request.errorResponse("InternalServerError", status: 500))
            }
        case .answerLost(let isSilent):
            _ = await perform(request, inner)
            return await loss(request, isSilent, sent: sent, time: time)
        case .arrives: result = await perform(request, inner)
        }
        try? await time.sleep(for: journey.back)
        return result
    }

    private static func perform(
        _ request: Request, _ inner: any Transport
    ) async -> Result<Response, TransportError> {
        do throws(TransportError) { return .success(try await inner.send(request)) } catch { return .failure(error) }
    }

    /// The caller never learns whether what it sent arrived.
    private static func loss(
        _ request: Request, _ isSilent: Bool, sent: Timestamp, time: TimeSource
    ) async -> Result<Response, TransportError> {
        if isSilent {
            try? await time.sleep(sent + request.timeout)
            return .failure(TransportError(.timedOut, "no answer within \(request.timeout)", requestWasSent: true))
        }
        return .failure(TransportError(.closed, "the connection was closed", requestWasSent: true))
    }
}

/// Where a caller waits for its answer, until it comes or the caller is cancelled.
private final class Answer: Sendable {
    private enum State {
        case pending
        case waiting(UnsafeContinuation<Result<Response, TransportError>, Never>)
        case done(Result<Response, TransportError>)
    }

    private let state = Mutex(State.pending)

    func wait() async -> Result<Response, TransportError> {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let result: Result<Response, TransportError>? = state.withLock { state in
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
    func arrive(_ result: Result<Response, TransportError>) {
        let waiting: UnsafeContinuation<Result<Response, TransportError>, Never>? = state.withLock { state in
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
