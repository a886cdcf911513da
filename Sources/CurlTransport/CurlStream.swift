import AWSWire
import Synchronization

/// The reader's end of a stream whose bytes the network thread brings.
final class CurlStream: ResponseStream {
    let status: Int
    let headers: [Header]
    private let pipe: StreamPipe

    init(status: Int, headers: [Header], _ pipe: StreamPipe) {
        self.status = status
        self.headers = headers
        self.pipe = pipe
    }

    deinit { close() }

    func next() async throws(TransportError) -> Bytes? {
        if !Task.isCancelled, let result = pipe.take() { return try result.get() }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { pipe.take($0) }
        } onCancel: {
            cancel()
        }
        return try result.get()
    }

    func close() { pipe.abandon(TransportError(.closed, "the stream was closed", requestWasSent: true)) }

    private func cancel() { pipe.abandon(TransportError(.cancelled, "cancelled", requestWasSent: true)) }
}

/// What lies between the network thread and the reader of a stream: bytes up to a limit, and the end.
///
/// The network thread fills it and stops the transfer when it is full; only the reader's next call lets it go on.
final class StreamPipe: Sendable {
    typealias Piece = Result<Bytes?, TransportError>
    typealias Reader = CheckedContinuation<Piece, Never>

    typealias Opener = CheckedContinuation<Result<CurlStream, TransportError>, Never>

    private struct State {
        var waiting: [UInt8] = []
        /// The last piece once more, if it was small: its memory takes the next one as soon as the reader let go of it.
        /// Fresh memory costs more than the bytes that are copied into it.
        var spare: [UInt8] = []
        /// The length of the last piece: about as much comes with the next.
        var lastCount = 0
        var isFull = false
        /// The end of the answer, or why there will be none; comes after what waits.
        var ending: Piece?
        var reader: Reader?
        var opener: Opener?
    }

    private static let spareBytesMax = 256 << 10

    private let state: Mutex<State>
    private let bytesMax: Int
    private let id: UInt64
    private let loop: CurlLoop

    /// - Parameters:
    ///   - id: of the exchange that fills the pipe.
    ///   - opener: gets the reader's end once the answer's head has come, or why it did not.
    init(bytesMax: Int, id: UInt64, _ loop: CurlLoop, _ opener: Opener) {
        state = Mutex(State(opener: opener))
        self.bytesMax = bytesMax
        self.id = id
        self.loop = loop
    }
}

// The reader's side.
extension StreamPipe {
    /// All that waits, or the end; `nil` where there is neither yet.
    func take() -> Piece? {
        let (piece, wasFull) = state.withLock { Self.take(&$0) }
        if wasFull { loop.resume(id) }
        return piece
    }

    /// Answers `reader` as soon as there is something.
    func take(_ reader: Reader) {
        let (piece, wasFull) = state.withLock { state -> (Piece?, Bool) in
            let taken = Self.take(&state)
            if taken.piece == nil { state.reader = reader }
            return taken
        }
        if wasFull { loop.resume(id) }
        if let piece { reader.resume(returning: piece) }
    }

    private static func take(_ state: inout sending State) -> (piece: Piece?, wasFull: Bool) {
        guard !state.waiting.isEmpty else { return (state.ending, false) }
        var bytes: [UInt8] = []
        swap(&bytes, &state.waiting)
        state.lastCount = bytes.count
        state.spare = bytes.capacity <= spareBytesMax ? bytes : []
        defer { state.isFull = false }
        return (.success(Bytes(bytes)), state.isFull)
    }

    /// The reader wants no more.
    func abandon(_ error: TransportError) {
        let (reader, wasUnderWay) = state.withLock { state -> (Reader?, Bool) in
            let wasUnderWay = state.ending == nil
            (state.waiting, state.spare) = ([], [])
            state.isFull = false
            state.ending = .failure(error)
            defer { state.reader = nil }
            return (state.reader, wasUnderWay)
        }
        reader?.resume(returning: .failure(error))
        if wasUnderWay { loop.cancel(id) }
    }
}

// The network thread's side.
extension StreamPipe {
    /// The answer's head has come.
    func begin(status: Int, _ headers: [Header]) {
        takeOpener()?.resume(returning: .success(CurlStream(status: status, headers: headers, self)))
    }

    private func takeOpener() -> Opener? {
        state.withLock { state in
            defer { state.opener = nil }
            return state.opener
        }
    }

    /// False where there is no room, and the transfer must stop until `resume`.
    func put(_ bytes: UnsafeRawBufferPointer) -> Bool {
        state.withLock { state in
            // Nobody will read it.
            if state.ending != nil { return true }
            guard state.waiting.isEmpty || bytes.count <= bytesMax - state.waiting.count else {
                state.isFull = true
                return false
            }
            if state.waiting.isEmpty {
                swap(&state.waiting, &state.spare)
                // Where the reader still holds the piece, this is as good as a new one of its size.
                state.waiting.removeAll(keepingCapacity: true)
                state.waiting.reserveCapacity(max(bytes.count, state.lastCount))
            }
            state.waiting.append(contentsOf: bytes)
            return true
        }
    }

    /// Hands what has come to a reader that waits. Not done for each `put`: a reader is woken once for all that a look
    /// at the network has brought.
    func deliver() {
        let woken = state.withLock { state -> (Reader, Piece, wasFull: Bool)? in
            guard let reader = state.reader else { return nil }
            let (piece, wasFull) = Self.take(&state)
            guard let piece else { return nil }
            state.reader = nil
            return (reader, piece, wasFull)
        }
        guard let (reader, piece, wasFull) = woken else { return }
        if wasFull { loop.resume(id) }
        reader.resume(returning: piece)
    }

    /// No more will come. The first end counts.
    func finish(_ error: TransportError?) {
        state.withLock { state in
            if state.ending == nil { state.ending = error.map { .failure($0) } ?? .success(nil) }
        }
        if let opener = takeOpener() {
            opener.resume(
                returning: .failure(error ?? TransportError(.closed, "no answer came", requestWasSent: true)))
        }
        deliver()
    }
}
