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

    package func contentType(_ encoding: WireEncoding) -> String {
        switch (self, encoding) {
        case (_, .cbor): "application/x-amz-cbor-1.1"
        case (.kinesis, .json): "application/x-amz-json-1.1"
        case (.dynamodb, .json): "application/x-amz-json-1.0"
        }
    }

    /// As it stands before an operation: `Kinesis.GetRecords`.
    package var name: String {
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
    let transport: any Transport
    private let credentials: any CredentialProvider
    private let retry: RetryPolicy
    let requestTimeout: Duration
    private let state: Mutex<State>

    private struct State {
        var generator: SeededGenerator
        var budget: RetryBudget
        /// What is added to our clock in signatures: nothing, until the service rejects our time.
        var signatureOffset: Duration = .zero
        var clock = ServiceClock()
        var calls = 0
        /// What the endpoint speaks; `nil` until it is known.
        var encoding: WireEncoding?
    }

    /// - Parameters:
    ///   - requestTimeout: how long one attempt may take.
    ///   - encoding: of requests to Kinesis; `nil` is CBOR where the endpoint speaks it, and JSON where it does not.
    ///     DynamoDB is spoken to in JSON.
    ///   - seed: of the jitter between attempts.
    public init(
        _ service: AWSService, region: String, endpoint: Endpoint? = nil, transport: any Transport,
        credentials: any CredentialProvider, time: TimeSource, retry: RetryPolicy = RetryPolicy(),
        requestTimeout: Duration = .seconds(30), encoding: WireEncoding? = nil, seed: UInt64
    ) {
        self.service = service
        self.region = region
        self.endpoint = endpoint ?? service.defaultEndpoint(region: region)
        self.transport = transport
        self.credentials = credentials
        self.time = time
        self.retry = retry
        self.requestTimeout = requestTimeout
        state = Mutex(
            State(
                generator: SeededGenerator(seed: seed), budget: RetryBudget(tokensMax: retry.budgetTokensMax),
                encoding: service == .kinesis ? encoding : .json))
    }

    /// An answer with what an observer wants of its envelope.
    public struct Answer: Sendable {
        public var body: Bytes
        public var requestID: String?
        /// The service's clock when it answered.
        public var date: UnixTime?
        /// How the body is written.
        public var encoding = WireEncoding.json
    }

    /// Calls sent so far, retries included.
    public var calls: Int { state.withLock { $0.calls } }

    /// The service's clock now, as far as the `Date` of its answers told: the clock by which lag is reckoned.
    public var serviceTime: UnixTime {
        let offset = state.withLock { $0.clock.offset ?? $0.signatureOffset }
        return time.wallClock() + offset
    }

    /// Calls `operation` and decodes the answer into a tree.
    public func call(
        _ operation: String, _ input: AWSValue, attemptsMax: Int? = nil, timeout: Duration? = nil
    ) async throws(AWSError) -> AWSValue {
        let answer = try await send(operation, input, attemptsMax: attemptsMax, timeout: timeout)
        return try decode(operation, answer)
    }

    /// Calls `operation` and leaves the answer's body to the caller, for the hot shapes that become no trees.
    ///
    /// - Parameter timeout: of each attempt, where the client's own is too long.
    public func send(
        _ operation: String, _ input: AWSValue, attemptsMax: Int? = nil, timeout: Duration? = nil
    ) async throws(AWSError) -> Answer {
        try await send(operation, attemptsMax: attemptsMax, timeout: timeout) { $0.encode(input) }
    }

    /// What the attempts of one call have in common.
    struct Call {
        var attempt = 1
        /// What the attempt under way cost, if it is a retry.
        var cost: Int?
        /// An earlier attempt may be what the answer to this one speaks of.
        var earlierMayHaveTakenEffect = false
        /// The two corrections, each made once and beside the attempts: the service rejected the request for a reason
        /// that is gone, so that it surely had no effect.
        var clockWasCorrected = false
        var rejectedCredentials: Credentials?
    }

    /// The same for a request that is written by `body`, in the encoding that the endpoint speaks.
    package func send(
        _ operation: String, attemptsMax: Int? = nil, timeout: Duration? = nil, _ body: (WireEncoding) -> [UInt8]
    ) async throws(AWSError) -> Answer {
        let limit = attemptsMax ?? retry.attemptsMax
        var call = Call()
        while true {
            let key = try await signingCredentials(operation, call)
            // A cancelled task sends nothing more, whatever the transport makes of it.
            if Task.isCancelled { throw cancelled(operation, call) }
            var error: AWSError
            do throws(AWSError) {
                let answer = try await exchange(operation, body, key, timeout ?? requestTimeout)
                state.withLock { $0.budget.refund(call.cost) }
                return answer
            } catch let failure {
                error = failure
            }
            error.attempts = call.attempt
            error.earlierAttemptMayHaveTakenEffect = call.earlierMayHaveTakenEffect
            if try await isCorrected(error, key, operation, &call) { continue }
            guard call.attempt < limit, let wait = waitBeforeRetry(of: error, &call) else { throw error }
            call.earlierMayHaveTakenEffect = error.mayHaveTakenEffect
            do { try await time.sleep(for: wait) } catch { throw cancelled(operation, call) }
            call.attempt += 1
        }
    }

    /// Whether the reason for which the service rejected the request is gone, so that it can be sent once more.
    func isCorrected(
        _ error: AWSError, _ key: Credentials, _ operation: String, _ call: inout Call
    ) async throws(AWSError) -> Bool {
        if error.meaning == .clockSkewed, !call.clockWasCorrected {
            call.clockWasCorrected = true
            return true
        }
        guard error.credentialsMayBeRenewed, call.rejectedCredentials == nil else { return false }
        credentials.rejected(key)
        call.rejectedCredentials = key
        return try await signingCredentials(operation, call) != key
    }

    func signingCredentials(_ operation: String, _ call: Call) async throws(AWSError) -> Credentials {
        do throws(CredentialError) { return try await credentials.credentials() } catch {
            if Task.isCancelled { throw cancelled(operation, call) }
            var failure = AWSError(operation: "\(service.name).\(operation)", cause: .credentials(error))
            failure.attempts = call.attempt
            failure.earlierAttemptMayHaveTakenEffect = call.earlierMayHaveTakenEffect
            throw failure
        }
    }

    private func waitBeforeRetry(of error: AWSError, _ call: inout Call) -> Duration? {
        let meaning = error.meaning
        guard meaning == .throttled || meaning == .transient else { return nil }
        return state.withLock { state in
            guard let cost = state.budget.spend(on: meaning) else { return nil }
            call.cost = cost
            return retry.delay(attempt: call.attempt, meaning: meaning, generator: &state.generator)
        }
    }

    /// One attempt, in the encoding that the endpoint speaks as far as that is known.
    ///
    /// An unknown endpoint is asked in CBOR by the first operation that only reads, because nothing happens where it is
    /// not understood; until then requests go as JSON, which everybody speaks. An endpoint that does not answer in
    /// CBOR is asked once more in JSON at once, beside the attempts, and where that went better, only so from then on.
    private func exchange(
        _ operation: String, _ body: (WireEncoding) -> [UInt8], _ key: Credentials, _ timeout: Duration
    ) async throws(AWSError) -> Answer {
        let name = "\(service.name).\(operation)"
        if let known = state.withLock({ $0.encoding }) ?? (AWSError.isRead(name) ? nil : .json) {
            return try answer(name, try await sendOnce(operation, body(known), known, key, timeout), key)
        }
        let first = try await sendOnce(operation, body(.cbor), .cbor, key, timeout)
        if first.response.isCBOR {
            state.withLock { $0.encoding = .cbor }
            return try answer(name, first, key)
        }
        let error = serviceError(name, first.response, .cbor, key)
        guard first.response.status == 200 || error.mayMeanTheEncoding, !Task.isCancelled else {
            return try answer(name, first, key)
        }
        let second = try await sendOnce(operation, body(.json), .json, key, timeout)
        let status = second.response.status
        let isBetter =
            status == 200 || status < 500 && serviceError(name, second.response, .json, key).type != error.type
        if isBetter { state.withLock { $0.encoding = .json } }
        return try answer(name, second, key)
    }

    /// What came back for one request.
    private struct Received {
        var response: Response
        /// Of the request.
        var encoding: WireEncoding
        var date: UnixTime?
    }

    private func sendOnce(
        _ operation: String, _ body: [UInt8], _ encoding: WireEncoding, _ key: Credentials, _ timeout: Duration
    ) async throws(AWSError) -> Received {
        let sent = time.wallClock()
        let request = signed(operation, body, encoding, key, timeout, sent: sent)
        let response: Response
        do { response = try await transport.send(request) } catch {
            throw AWSError(operation: "\(service.name).\(operation)", cause: .transport(error))
        }
        return Received(response: response, encoding: encoding, date: learnClock(of: response.headers, sent: sent))
    }

    /// The request, signed and counted.
    func signed(
        _ operation: String, _ body: [UInt8], _ encoding: WireEncoding, _ key: Credentials, _ timeout: Duration,
        sent: UnixTime
    ) -> Request {
        var request = Request(
            url: endpoint,
            headers: [
                Header("Content-Type", service.contentType(encoding)),
                Header("X-Amz-Target", "\(service.targetPrefix).\(operation)"),
                Header("User-Agent", "shardtop"),
            ], body: body, timeout: timeout)
        let signatureDate = state.withLock { state in
            state.calls += 1
            return sent + state.signatureOffset
        }
        Signature.sign(&request, credentials: key, region: region, service: service.rawValue, date: signatureDate)
        return request
    }

    /// Returns the `Date` of the answer.
    @discardableResult
    func learnClock(of headers: [Header], sent: UnixTime) -> UnixTime? {
        guard let answered = headers["Date"].flatMap(HTTPDate.parse) else { return nil }
        let received = time.wallClock()
        let now = time.now()
        state.withLock { $0.clock.learn(answered, sent: sent, received: received, at: now) }
        return answered
    }

    private func answer(_ name: String, _ received: Received, _ key: Credentials) throws(AWSError) -> Answer {
        let response = received.response
        guard response.status == 200 else { throw rejection(name, response, received.encoding, key) }
        return Answer(
            body: response.body, requestID: response.requestID, date: received.date,
            encoding: WireEncoding(ofMap: response.body) ?? received.encoding)
    }

    /// Why the service refused. One that says that our time is wrong sets the time of later signatures.
    func rejection(
        _ name: String, _ response: Response, _ encoding: WireEncoding, _ key: Credentials
    ) -> AWSError {
        let error = serviceError(name, response, encoding, key)
        if error.meaning == .clockSkewed {
            state.withLock { $0.signatureOffset = $0.clock.offset ?? $0.signatureOffset }
        }
        return error
    }

    private func serviceError(
        _ operation: String, _ response: Response, _ encoding: WireEncoding, _ key: Credentials
    ) -> AWSError {
        var body = (try? (WireEncoding(ofMap: response.body) ?? encoding).decode(response.body)) ?? .null
        let raw = body["__type"]?.string ?? response.headers["x-amzn-ErrorType"] ?? ""
        // `com.amazonaws.dynamodb.v20120810#ResourceNotFoundException` or `Name:http://…`
        var type = raw.split(separator: "#").last.map(String.init) ?? ""
        if let colon = type.firstIndex(of: ":") { type = String(type[..<colon]) }
        var message = body["message"]?.string ?? body["Message"]?.string ?? ""
        // Where a signature is wrong the service quotes the request as it should have been signed, session token and
        // all.
        if type.contains("Signature") {
            message = message.quoted(without: [key.secretAccessKey, key.sessionToken])
            body = .members(["__type": .string(raw), "message": .string(message)])
        }
        if type == "InvalidSignatureException",
            message.hasPrefix("Signature expired") || message.hasPrefix("Signature not yet current")
        {
            type = "RequestTimeTooSkewed"
        }
        if type.isEmpty { type = "HTTP \(response.status)" }
        return AWSError(
            operation: operation,
            cause: .service(type: type, message: message, status: response.status, body: body),
            requestID: response.requestID)
    }

    func decode(_ operation: String, _ answer: Answer) throws(AWSError) -> AWSValue {
        if answer.body.isEmpty { return .members([:]) }
        return try decode(operation, answer, as: answer.encoding.decode)
    }

    /// The answer's body as `read` takes it.
    func decode<Value>(
        _ operation: String, _ answer: Answer, as read: (Bytes) throws(MalformedBody) -> Value
    ) throws(AWSError) -> Value {
        do { return try read(answer.body) } catch {
            if !answer.body.isEmpty, answer.body[0] == UInt8(ascii: "<") {
                throw malformed(operation, "a web page; is \(endpoint) really \(service.name)?")
            }
            throw malformed(operation, error.description)
        }
    }

    func malformed(_ operation: String, _ reason: String) -> AWSError {
        AWSError(operation: "\(service.name).\(operation)", cause: .malformed(reason))
    }

    func cancelled(_ operation: String, _ call: Call) -> AWSError {
        var error = AWSError(
            operation: "\(service.name).\(operation)",
            cause: .transport(TransportError(.cancelled, "cancelled", requestWasSent: false)), attempts: call.attempt)
        error.earlierAttemptMayHaveTakenEffect = call.earlierMayHaveTakenEffect
        return error
    }
}

extension AWSError {
    /// Whether this may be how a server says that it cannot read CBOR; not where it did not come to reading the body.
    fileprivate var mayMeanTheEncoding: Bool {
        guard case .service(_, _, let status, _) = cause, ![502, 503, 504].contains(status) else { return false }
        return switch meaning {
        case .transient, .invalid, .notFound: true
        case .throttled, .conditionFailed, .inUse, .expiredIterator, .denied, .unauthenticated, .clockSkewed,
            .cancelled:
            false
        }
    }
}

extension Response {
    /// By the body, and by the content type where there is none.
    fileprivate var isCBOR: Bool {
        WireEncoding(ofMap: body) == .cbor
            || body.isEmpty && WireEncoding(contentType: headers["Content-Type"]) == .cbor
    }

    fileprivate var requestID: String? { headers["x-amzn-RequestId"] ?? headers["x-amz-request-id"] }
}

extension AWSService {
    public func defaultEndpoint(region: String) -> Endpoint { .aws(service: rawValue, region: region) }
}

extension Endpoint {
    /// `https://kinesis.us-east-1.amazonaws.com`; other partitions have suffixes of their own.
    ///
    /// https://docs.aws.amazon.com/general/latest/gr/rande.html
    static func aws(service: String, region: String) -> Endpoint {
        let suffixes = [
            ("cn-", "amazonaws.com.cn"), ("us-isob-", "sc2s.sgov.gov"), ("us-isof-", "csp.hci.ic.gov"),
            ("us-iso-", "c2s.ic.gov"), ("eu-isoe-", "cloud.adc-e.uk"), ("eusc-", "amazonaws.eu"),
        ]
        let suffix = suffixes.first { region.hasPrefix($0.0) }?.1 ?? "amazonaws.com"
        return Endpoint(scheme: "https", host: "\(service).\(region).\(suffix)")
    }
}
