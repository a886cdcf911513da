package import AWSWire
package import Machine
import Synchronization

/// The door in process: a `Transport` that hands requests to the emulator without a socket.
///
/// Each way costs at least one scheduling point, because an uncontended await is none and a simulation must be able to
/// interleave; with a latency, each way takes that long on the given clock.
package struct EmulatorTransport: Transport {
    private final class Way: Sendable {
        let generator: Mutex<SeededGenerator>

        init(seed: UInt64) { generator = Mutex(SeededGenerator(seed: seed)) }
    }

    private let emulator: Emulator
    private let time: TimeSource
    private let latency: ClosedRange<Duration>
    private let way: Way

    /// - Parameters:
    ///   - time: the clock of the way, by default the emulator's own; never that of a worker that can be paused.
    ///   - latency: of one way, drawn anew for each.
    package init(
        emulator: Emulator, time: TimeSource? = nil, latency: ClosedRange<Duration> = .zero ... .zero,
        seed: UInt64 = 0
    ) {
        self.emulator = emulator
        self.time = time ?? emulator.time
        self.latency = latency
        way = Way(seed: seed)
    }

    package func send(_ request: Request) async throws(TransportError) -> Response {
        let response = try await carry(request) { (deadline) throws(ConnectionLost) in
            try await emulator.handle(request, requiresSignature: false, deadline: deadline)
        }
        guard response.body.count <= request.responseBytesMax else {
            throw TransportError(
                .tooLarge, "the answer is longer than \(request.responseBytesMax) bytes", requestWasSent: true)
        }
        return response
    }

    package func open(_ request: Request) async throws(TransportError) -> any ResponseStream {
        try await carry(request) { (deadline) throws(ConnectionLost) in
            try await emulator.answer(request, requiresSignature: false, deadline: deadline)
        }.opened
    }

    /// There and back again.
    private func carry<Answer: Sendable>(
        _ request: Request, _ answer: (_ deadline: Timestamp) async throws(ConnectionLost) -> Answer
    ) async throws(TransportError) -> Answer {
        let deadline = emulator.time.now() + request.timeout
        try await travel(requestWasSent: false)
        let result: Answer
        do {
            result = try await answer(deadline)
        } catch {
            try await travel(requestWasSent: true)
            throw TransportError(
                .closed, "the connection was closed before an answer came", requestWasSent: true)
        }
        try await travel(requestWasSent: true)
        if Task.isCancelled { throw Self.cancelled(requestWasSent: true) }
        if emulator.time.now() >= deadline {
            throw TransportError(.timedOut, "no answer within \(request.timeout)", requestWasSent: true)
        }
        return result
    }

    private func travel(requestWasSent: Bool) async throws(TransportError) {
        if Task.isCancelled { throw Self.cancelled(requestWasSent: requestWasSent) }
        guard latency.upperBound > .zero else {
            await Task.yield()
            return
        }
        let range = latency.lowerBound.wholeNanoseconds...latency.upperBound.wholeNanoseconds
        let duration = Duration.nanoseconds(way.generator.withLock { Int64.random(in: range, using: &$0) })
        do { try await time.sleep(for: duration) } catch { throw Self.cancelled(requestWasSent: requestWasSent) }
    }

    private static func cancelled(requestWasSent: Bool) -> TransportError {
        TransportError(.cancelled, "cancelled", requestWasSent: requestWasSent)
    }
}
