import AWSWire
import CShardtopCurl

/// One request and what has come back of its answer.
///
/// Sendable unchecked because it has one owner at a time: the caller makes it, the queue hands it over, and from then
/// on only the network thread touches it.
final class Exchange: @unchecked Sendable {
    let id: UInt64
    let request: Request
    /// How much of the request's body libcurl has taken.
    private var bodySent = 0
    private let answer: Answer
    private var isAnswered = false

    /// Who is answered: the caller at the end, or a stream's reader as it comes.
    enum Answer {
        case whole(CheckedContinuation<Result<Response, TransportError>, Never>)
        case stream(StreamPipe)
    }

    private(set) var headers: [Header] = []
    private(set) var body: [UInt8] = []
    private(set) var headerBytes = 0
    /// Bytes of the body that have come.
    private(set) var bodyBytes = 0
    /// The status of the answer whose headers come, as its first line has it.
    private(set) var status = 0
    /// The empty line after the headers of the answer itself, no interim one, was seen; without it libcurl takes
    /// what it has for whole.
    private(set) var headHasCome = false
    /// The pipe is full: libcurl was told to stop.
    var isPaused = false
    /// Something has come for a stream since this was last set to false.
    var hasNews = false
    /// Where a stream says so.
    var news: StreamNews?
    /// Set when a callback gave the transfer up; says more than libcurl's own code for it.
    private(set) var refusal: TransportError?
    var headerBytesMax = Int.max

    init(id: UInt64, request: Request, _ answer: Answer) {
        self.id = id
        self.request = request
        self.answer = answer
    }

    /// The pipe of a stream; `nil` for an exchange that is answered as a whole.
    var pipe: StreamPipe? {
        if case .stream(let pipe) = answer { pipe } else { nil }
    }

    /// Answers the caller; a second answer is nobody's.
    func finish(_ result: Result<Response, TransportError>) {
        guard !isAnswered else { return }
        isAnswered = true
        switch (answer, result) {
        case (.whole(let continuation), _): continuation.resume(returning: result)
        case (.stream(let pipe), .success): pipe.finish(nil)
        case (.stream(let pipe), .failure(let error)): pipe.finish(error)
        }
    }

    /// Fills `buffer` with what is left of the request's body.
    fileprivate func fill(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(buffer.count, request.body.count - bodySent)
        request.body.withUnsafeBytes { body in
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: body[bodySent..<bodySent + count]))
        }
        bodySent += count
        return count
    }

    /// Takes a header line; false gives the transfer up.
    fileprivate func take(header line: UnsafeRawBufferPointer) -> Bool {
        headerBytes += line.count
        guard headerBytes <= headerBytesMax else {
            return refuse(.tooLarge, "\(request.url) sent more than \(headerBytesMax) bytes of headers")
        }
        var end = line.count
        while end > 0, line[end - 1] == 0x0D || line[end - 1] == 0x0A { end -= 1 }
        // What stands behind the body says nothing that we want.
        if headHasCome { return true }
        if end == 0 { return beginBody() }
        let text = UnsafeRawBufferPointer(rebasing: line[..<end])
        if text.starts(with: "HTTP/".utf8) {
            // An answer begins; what stood before it was interim (1xx).
            headers = []
            status =
                text.split(separator: UInt8(ascii: " ")).dropFirst().first.flatMap { digits in
                    Int(String(decoding: digits, as: UTF8.self))
                } ?? 0
        } else if let colon = text.firstIndex(of: UInt8(ascii: ":")) {
            headers.append(Header(trimmed(text[..<colon]), trimmed(text[(colon + 1)...])))
        }
        return true
    }

    /// The headers are over: tells a stream's caller, or makes room for the body that they announce, or refuses it.
    private func beginBody() -> Bool {
        guard status >= 200 else { return true }
        headHasCome = true
        if let pipe {
            tell()
            pipe.begin(status: status, headers)
            return true
        }
        guard let announced = headers["Content-Length"].flatMap({ Int($0) }) else { return true }
        guard announced <= request.responseBytesMax else { return refuseBody() }
        if announced > 0 { body.reserveCapacity(announced) }
        return true
    }

    /// Takes a part of the body and returns what libcurl expects of its write callback.
    fileprivate func take(body bytes: UnsafeRawBufferPointer) -> Int {
        if let pipe {
            tell()
            guard pipe.put(bytes) else {
                isPaused = true
                return Int(CURL_WRITEFUNC_PAUSE)
            }
        } else {
            guard bytes.count <= request.responseBytesMax - body.count else {
                _ = refuseBody()
                return 0
            }
            body.append(contentsOf: bytes)
        }
        bodyBytes += bytes.count
        return bytes.count
    }

    private func tell() {
        if !hasNews { news?.append(self) }
        hasNews = true
    }

    /// The body, which leaves the exchange, so that its bytes have one owner.
    func takeBody() -> [UInt8] {
        defer { body = [] }
        return body
    }

    private func refuseBody() -> Bool {
        refuse(.tooLarge, "the answer of \(request.url) is larger than \(request.responseBytesMax) bytes")
    }

    private func refuse(_ kind: TransportError.Kind, _ message: String) -> Bool {
        refusal = TransportError(kind, message, requestWasSent: true)
        return false
    }
}

private func trimmed(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
    var bytes = bytes
    while let first = bytes.first, first == 0x20 || first == 0x09 { bytes.removeFirst() }
    while let last = bytes.last, last == 0x20 || last == 0x09 { bytes.removeLast() }
    return String(decoding: bytes, as: UTF8.self)
}

// libcurl calls these on the network thread, from within `curl_multi_perform`. `context` is the exchange, which
// `Transfers` holds for as long as its handle is in the multi handle.

func takeHeader(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?)
    -> Int
{
    guard let context else { return 0 }
    let exchange = Unmanaged<Exchange>.fromOpaque(context).takeUnretainedValue()
    return exchange.take(header: UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
}

func takeBody(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?)
    -> Int
{
    guard let context else { return 0 }
    let exchange = Unmanaged<Exchange>.fromOpaque(context).takeUnretainedValue()
    return exchange.take(body: UnsafeRawBufferPointer(start: bytes, count: size * count))
}

func fillBody(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?)
    -> Int
{
    guard let context else { return 0 }
    let exchange = Unmanaged<Exchange>.fromOpaque(context).takeUnretainedValue()
    return exchange.fill(UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
}
