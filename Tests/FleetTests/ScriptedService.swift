import AWSWire
import Machine
import Synchronization

/// Both services as a list of answers: each request takes the next one and is kept.
final class ScriptedService: Transport {
    enum Answer: Sendable {
        case ok(AWSValue)
        case error(String, AWSValue)
        /// No answer comes; the request may have been done.
        case lost
        case refused
    }

    private let script: Mutex<[Answer]>
    private let kept = Mutex<[(operation: String, body: AWSValue)]>([])

    init(_ script: [Answer]) { self.script = Mutex(script) }

    var requests: [(operation: String, body: AWSValue)] { kept.withLock { $0 } }
    var operations: [String] { requests.map(\.operation) }

    func send(_ request: Request) async throws(TransportError) -> Response {
        let operation = request.headers["X-Amz-Target"]?.split(separator: ".").last.map(String.init) ?? ""
        let body = (try? JSON.decode(Bytes(request.body))) ?? .null
        kept.withLock { $0.append((operation, body)) }
        let answer = script.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        let headers = [Header("x-amzn-RequestId", "request-\(requests.count)")]
        switch answer {
        case .ok(let value)?: return Response(status: 200, headers: headers, body: Bytes(JSON.encode(value)))
        case .error(let type, var body)?:
            body["__type"] = .string(type)
            return Response(status: 400, headers: headers, body: Bytes(JSON.encode(body)))
        case .lost?: throw TransportError(.timedOut, "no answer", requestWasSent: true)
        case .refused?, nil: throw TransportError(.cannotConnect, "refused", requestWasSent: false)
        }
    }

    /// An answer of GetItem.
    static func item(_ item: Item?) -> Answer { .ok(.members(["Item": item.map(\.wire)])) }

    /// UpdateItem's answer with the new row.
    static func updated(_ item: Item) -> Answer { .ok(["Attributes": item.wire]) }

    /// The condition failed on `item`.
    static func conflict(_ item: Item?) -> Answer {
        .error("ConditionalCheckFailedException", .members(["Item": item.map(\.wire)]))
    }
}

/// A clock that stands still; who sleeps does not wait.
let stillTime = TimeSource(
    now: { .zero }, wallClock: { Watch.noon },
    sleep: { _ in
        try Task.checkCancellation()
    })

extension AWSClient {
    static func scripted(_ service: AWSService, _ script: ScriptedService, time: TimeSource = stillTime) -> AWSClient {
        AWSClient(
            service, region: "us-east-1", transport: script,
            credentials: StaticCredentials(accessKeyID: "k", secretAccessKey: "s"), time: time,
            retry: .once, encoding: .json, seed: 1)
    }
}
