import AWSWire
import Machine
import Synchronization

/// A stream through the simulated network.
///
/// Pieces come one after the other, each after a time of its own, and a few of them wait for a reader that is slow;
/// the service is not asked for more before. A stream that is cut, by chance or because the node is cut off when a
/// piece is on its way, brings nothing more or ends with an error. Whoever lets go of a stream, or is killed, is gone
/// at once; the service learns of it later.
final class FaultyStream: ResponseStream {
    let status: Int
    let headers: [Header]
    private let line: StreamLine

    init(_ inner: any ResponseStream, network: Network, node: Int) {
        status = inner.status
        headers = inner.headers
        line = StreamLine(inner, network, node)
        let line = line
        network.carrier.spawnDetached { await line.carry() }
    }

    deinit { close() }

    func next() async throws(TransportError) -> Bytes? {
        let line = line
        let result = await withTaskCancellationHandler {
            await withUnsafeContinuation { line.take($0) }
        } onCancel: {
            line.abandon(TransportError(.cancelled, "cancelled", requestWasSent: true))
        }
        return try result.get()
    }

    func close() { line.abandon(TransportError(.closed, "the stream was closed", requestWasSent: true)) }
}

/// What lies between the two ends of a stream.
private final class StreamLine: Sendable {
    typealias Piece = Result<Bytes?, TransportError>

    private struct State {
        var pieces: [Bytes] = []
        /// What comes after the pieces.
        var ending: Piece?
        var reader: UnsafeContinuation<Piece, Never>?
        /// The carrier, while there is no room.
        var carrier: UnsafeContinuation<Void, Never>?
        /// The far end was told, or will be.
        var isAbandoned = false
    }

    /// What sockets hold for a reader that is slow.
    private static let piecesMax = 4

    private let state = Mutex(State())
    private let inner: any ResponseStream
    private let network: Network
    private let node: Int

    init(_ inner: any ResponseStream, _ network: Network, _ node: Int) {
        self.inner = inner
        self.network = network
        self.node = node
    }

    /// Brings one piece after the other, outside of any node.
    func carry() async {
        let time = network.carrier.simulator.time
        while await hasRoom() {
            let piece: Piece
            do throws(TransportError) { piece = .success(try await inner.next()) } catch { piece = .failure(error) }
            let leg = network.leg(of: node)
            // The carrier is never cancelled.
            try? await time.sleep(for: leg.duration)
            if network.isCutOff(node) || leg.isCut && leg.isSilent { return cut() }
            if leg.isCut {
                finish(.failure(TransportError(.truncated, "the answer was cut off", requestWasSent: true)))
                return cut()
            }
            guard case .success(let bytes?) = piece else { return finish(piece) }
            put(bytes)
        }
    }

    /// False once nobody wants more.
    private func hasRoom() async -> Bool {
        await withUnsafeContinuation { continuation in
            let waits = state.withLock { state in
                guard state.pieces.count >= Self.piecesMax, state.ending == nil else { return false }
                state.carrier = continuation
                return true
            }
            if !waits { continuation.resume() }
        }
        return state.withLock { $0.ending == nil }
    }

    /// No more arrives; the far end learns of it as it does when it is abandoned.
    private func cut() {
        let isFirst = state.withLock { state in
            defer { state.isAbandoned = true }
            return !state.isAbandoned
        }
        if isFirst { network.abandon(inner, of: node) }
    }

    private func put(_ bytes: Bytes) {
        let reader = state.withLock { state -> UnsafeContinuation<Piece, Never>? in
            if state.ending != nil { return nil }
            if state.reader == nil { state.pieces.append(bytes) }
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(returning: .success(bytes))
    }

    /// The first ending counts; what came before it is read first.
    private func finish(_ ending: Piece) {
        let reader = state.withLock { state -> UnsafeContinuation<Piece, Never>? in
            if state.ending != nil { return nil }
            state.ending = ending
            // Who waits has read all that came.
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(returning: ending)
    }

    func take(_ reader: UnsafeContinuation<Piece, Never>) {
        let (piece, carrier) = state.withLock { state -> (Piece?, UnsafeContinuation<Void, Never>?) in
            if !state.pieces.isEmpty {
                let piece = state.pieces.removeFirst()
                defer { state.carrier = nil }
                return (.success(piece), state.carrier)
            }
            if state.ending == nil { state.reader = reader }
            return (state.ending, nil)
        }
        carrier?.resume()
        if let piece { reader.resume(returning: piece) }
    }

    /// The reader is gone: what waits is thrown away.
    func abandon(_ error: TransportError) {
        let (reader, carrier, isFirst) = state.withLock { state in
            let isOver =
                state.isAbandoned || state.ending.map { if case .success = $0 { true } else { false } } ?? false
            state.isAbandoned = true
            state.pieces = []
            state.ending = .failure(error)
            defer { (state.reader, state.carrier) = (nil, nil) }
            return (state.reader, state.carrier, !isOver)
        }
        reader?.resume(returning: .failure(error))
        carrier?.resume()
        if isFirst { network.abandon(inner, of: node) }
    }
}
