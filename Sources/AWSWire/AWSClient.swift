public import Machine
import Synchronization

/// The two services that shardtop speaks to, as the wire names them.
public enum AWSService: String, Sendable, CaseIterable {
    case kinesis, dynamodb

    /// The prefix of `X-Amz-Target`.
    var targetPrefix: String {
        switch self {
        case .kinesis: "Kinesis_20131202"
        case .dynamodb: "DynamoDB_20120810"
        }
    }

    var contentType: String {
        switch self {
        case .kinesis: "application/x-amz-json-1.1"
        case .dynamodb: "application/x-amz-json-1.0"
        }
    }

    var name: String {
        switch self {
        case .kinesis: "Kinesis"
        case .dynamodb: "DynamoDB"
        }
    }
}

/// One service in one region: sign, send, classify, back off, decode.
///
/// A client is shared by everything that talks to its service; its retry budget and its idea of the service's clock are
/// shared with it.
public final class AWSClient: Sendable {
    public let service: AWSService
    public let region: String
    public let endpoint: Endpoint
    public let time: TimeSource
    private let transport: any Transport
    private let credentials: any CredentialProvider
    private let retry: RetryPolicy
    private let state: Mutex<State>

    private struct State {
        var generator: SeededGenerator
        var budget: RetryBudget
        /// The service's clock minus ours, learned from the `Date` of an answer that rejected our time.
        var clockOffset: Duration = .zero
        var calls = 0
    }

    /// - Parameter seed: of the jitter between attempts.
    public init(
        _ service: AWSService, region: String, endpoint: Endpoint? = nil, transport: any Transport,
        credentials: any CredentialProvider, time: TimeSource, retry: RetryPolicy = RetryPolicy(), seed: UInt64
    ) {
        self.service = service
        self.region = region
        self.endpoint = endpoint ?? service.defaultEndpoint(region: region)
        self.transport = transport
        self.credentials = credentials
        self.time = time
        self.retry = retry
        state = Mutex(
            State(generator: SeededGenerator(seed: seed), budget: RetryBudget(tokensMax: retry.budgetTokensMax)))
    }

    /// An answer with what an observer wants of its envelope.
    public struct Answer: Sendable {
        public var body: Bytes
        public var requestID: String?
        /// The service's clock when it answered.
        public var date: UnixTime?
    }

    /// Calls sent so far, retries included.
    public var calls: Int { state.withLock { $0.calls } }

    /// The service's clock now, as far as its answers told: the clock by which lag is reckoned.
    public var serviceTime: UnixTime { time.wallClock() + state.withLock { $0.clockOffset } }

    /// Calls `operation` and decodes the answer into a tree.
    public func call(
        _ operation: String, _ input: AWSValue, attemptsMax: Int? = nil
    ) async throws(AWSError) -> AWSValue {
        let answer = try await send(operation, JSON.encode(input), attemptsMax: attemptsMax)
        return try decode(operation, answer.body)
    }

    /// Calls `operation` and leaves the answer's body to the caller: for the hot shapes, which are not decoded into trees.
    public func send(
        _ operation: String, _ body: [UInt8], attemptsMax: Int? = nil
    ) async throws(AWSError) -> Answer {
        let limit = attemptsMax ?? retry.attemptsMax
        var attempt = 1
        while true {
            do {
                return try await sendOnce(operation, body, attempt: attempt)
            } catch {
                var error = error
                error.attempts = attempt
                guard attempt < limit, let wait = waitBeforeRetry(of: error, attempt: attempt) else { throw error }
                do { try await time.sleep(for: wait) } catch {
                    throw cancelled(operation)
                }
                attempt += 1
            }
        }
    }

    private func waitBeforeRetry(of error: AWSError, attempt: Int) -> Duration? {
        state.withLock { state in
            switch error.meaning {
            case .clockSkewed: return attempt == 1 ? .zero : nil
            case .throttled, .transient:
                guard state.budget.spend(on: error.meaning) else { return nil }
                return retry.delay(attempt: attempt, meaning: error.meaning, generator: &state.generator)
            case .conditionFailed, .notFound, .inUse, .expiredIterator, .denied, .unauthenticated, .invalid,
                .cancelled:
                return nil
            }
        }
    }

    private func sendOnce(_ operation: String, _ body: [UInt8], attempt: Int) async throws(AWSError) -> Answer {
        let name = "\(service.name).\(operation)"
        let signingKey: Credentials
        do { signingKey = try await credentials.credentials() } catch {
            throw AWSError(operation: name, cause: .credentials(error))
        }
        var request = Request(
            url: endpoint,
            headers: [
                Header("Content-Type", service.contentType),
                Header("X-Amz-Target", "\(service.targetPrefix).\(operation)"),
                Header("User-Agent", "shardtop"),
            ], body: body)
        let date = state.withLock { state in
            state.calls += 1
            return time.wallClock() + state.clockOffset
        }
        Signature.sign(&request, credentials: signingKey, region: region, service: service.rawValue, date: date)
        let response: Response
        do { response = try await transport.send(request) } catch {
            throw AWSError(operation: name, cause: .transport(error))
        }
        let answered = response.headers["Date"].flatMap(HTTPDate.parse)
        let requestID = response.headers["x-amzn-RequestId"] ?? response.headers["x-amz-request-id"]
        if response.status == 200 {
            state.withLock { $0.budget.refund() }
            return Answer(body: response.body, requestID: requestID, date: answered)
        }
        let error = serviceError(name, response, requestID: requestID)
        if error.meaning == .clockSkewed, let answered {
            state.withLock { $0.clockOffset = answered - time.wallClock() }
        }
        throw error
    }

    private func serviceError(_ operation: String, _ response: Response, requestID: String?) -> AWSError {
        let body = (try? JSON.decode(response.body)) ?? .null
        let raw = body["__type"]?.string ?? response.headers["x-amzn-ErrorType"] ?? ""
        // `com.amazonaws.dynamodb.v20120810#ResourceNotFoundException` or `Name:http://…`
        var type = raw.split(separator: "#").last.map(String.init) ?? ""
        if let colon = type.firstIndex(of: ":") { type = String(type[..<colon]) }
        let message = body["message"]?.string ?? body["Message"]?.string ?? ""
        if type == "InvalidSignatureException",
            message.hasPrefix("Signature expired") || message.hasPrefix("Signature not yet current")
        {
            type = "RequestTimeTooSkewed"
        }
        if type.isEmpty { type = "HTTP \(response.status)" }
        return AWSError(
            operation: operation,
            cause: .service(type: type, message: message, status: response.status, body: body), requestID: requestID)
    }

    func decode(_ operation: String, _ body: Bytes) throws(AWSError) -> AWSValue {
        if body.isEmpty { return .members([:]) }
        do { return try JSON.decode(body) } catch {
            throw AWSError(operation: "\(service.name).\(operation)", cause: .malformed(error.description))
        }
    }

    func malformed(_ operation: String, _ reason: String) -> AWSError {
        AWSError(operation: "\(service.name).\(operation)", cause: .malformed(reason))
    }

    private func cancelled(_ operation: String) -> AWSError {
        AWSError(
            operation: "\(service.name).\(operation)",
            cause: .transport(TransportError(.cancelled, "cancelled", requestWasSent: false)))
    }
}

extension AWSService {
    /// `https://kinesis.us-east-1.amazonaws.com`; China has its own suffix.
    public func defaultEndpoint(region: String) -> Endpoint {
        let suffix = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
        return Endpoint(scheme: "https", host: "\(rawValue).\(region).\(suffix)")
    }
}
