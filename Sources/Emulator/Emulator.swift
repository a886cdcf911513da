package import AWSWire
package import Machine
import Synchronization

/// Kinesis and DynamoDB of one account, and of CloudWatch what counts metrics. Both doors
/// (`EmulatorTransport` in process, `EmulatorServer` on a port) lead to `answer`, where the fault plan stands in
/// front of the stores.
///
/// It reads time only from its `TimeSource` and chance only from its seed; what the services do by themselves (a stream
/// becoming ACTIVE, records expiring) is settled when the next call looks, so nothing runs in the background.
package final class Emulator: Sendable {
    package let configuration: EmulatorConfiguration
    package let kinesis: KinesisService
    package let dynamoDB: DynamoDBService
    package let faults: FaultInjector
    package let counters = EmulatorCounters()
    /// What was published with PutMetricData.
    package let cloudWatch = CloudWatchService()
    let time: TimeSource
    private let start: Timestamp
    private let generator: Mutex<SeededGenerator>
    private let onCall: (@Sendable (EmulatedCall) -> Void)?

    /// - Parameters:
    ///   - state: where streams and tables are kept; they are there after `restore`.
    ///   - onCall: called for each call that was answered; must not block.
    package init(
        configuration: EmulatorConfiguration = EmulatorConfiguration(), time: TimeSource, seed: UInt64 = 0,
        faults: FaultPlan = FaultPlan(), state: StateDirectory? = nil, onCall: (@Sendable (EmulatedCall) -> Void)? = nil
    ) {
        self.onCall = onCall
        var generator = SeededGenerator(seed: seed)
        self.configuration = configuration
        self.time = time
        start = time.now()
        kinesis = KinesisService(configuration: configuration, time: time, state: state)
        dynamoDB = DynamoDBService(
            account: configuration.accountID, region: configuration.region, time: time, seed: generator.next(),
            settings: configuration.dynamoDB, state: state)
        self.faults = FaultInjector(faults, seed: generator.next(), start: start)
        self.generator = Mutex(generator)
    }

    /// Takes up what the state directory holds; to be called once, before the first request.
    package func restore() throws(StateError) {
        try kinesis.restore()
        try dynamoDB.restore()
    }

    /// The time since the emulator's start, by which faults are planned.
    package var elapsed: Duration { time.now() - start }

    /// What a request is answered with.
    package enum Answer: Sendable {
        case whole(Response)
        /// Answered with status 200; more comes for as long as somebody reads.
        case stream(any ResponseStream)

        /// As a stream in any case, as `Transport.open` answers.
        package var opened: any ResponseStream {
            switch self {
            case .whole(let response): WholeResponseStream(response)
            case .stream(let stream): stream
            }
        }
    }

    /// Answers one request as the service would. The connection may be lost instead, when the fault plan says so.
    ///
    /// - Parameters:
    ///   - requiresSignature: whether a request without `Authorization` is refused; signatures themselves are not
    ///     verified, only their date.
    ///   - deadline: when the caller gives up. Delays of the fault plan end there: the request is still carried out,
    ///     but nobody waits for the answer.
    package func answer(
        _ request: Request, requiresSignature: Bool = true, deadline: Timestamp = .never
    ) async throws(ConnectionLost) -> Answer {
        if CloudWatchService.isForm(request) {
            return .whole(respondToForm(request, requiresSignature: requiresSignature))
        }
        let call: ServiceCall
        do throws(ServiceError) {
            call = try ServiceCall(request, requiresSignature: requiresSignature)
            try checkDate(of: request)
        } catch {
            let service = ServiceCall.target(of: request).service
            let encoding = ServiceCall.encoding(of: request, for: service)
            return .whole(respond(.failure(error), service: service, operation: nil, in: encoding))
        }
        let decision = faults.decide(call, at: time.now()) { self.shards(touchedBy: call) }
        if decision.delay > .zero {
            do { try await time.sleep(min(deadline, time.now() + decision.delay)) } catch {
                throw ConnectionLost(tookEffect: false)
            }
        }
        if decision.isDropped { throw ConnectionLost(tookEffect: false) }
        let result = result(of: call, decision)
        let response = respond(result, service: call.service, operation: call.operation, in: call.encoding)
        var answer = Answer.whole(response)
        if case .success(.subscription(let opened)) = result {
            answer = .stream(ShardSubscription(opened, headers: response.headers))
        }
        if decision.answerDelay > .zero {
            do { try await time.sleep(min(deadline, time.now() + decision.answerDelay)) } catch {
                throw ConnectionLost(tookEffect: true)
            }
        }
        if decision.isAnswerDropped { throw ConnectionLost(tookEffect: true) }
        return answer
    }

    /// As `answer`, for those that carry no streams: what would begin one is refused.
    package func handle(
        _ request: Request, requiresSignature: Bool = true, deadline: Timestamp = .never
    ) async throws(ConnectionLost) -> Response {
        switch try await answer(request, requiresSignature: requiresSignature, deadline: deadline) {
        case .whole(let response): return response
        case .stream(let stream):
            stream.close()
            let error = ServiceError("ValidationException", "The operation is answered with an event stream.")
            return respond(.failure(error), service: .kinesis, operation: nil, in: .json)
        }
    }

    private func result(of call: ServiceCall, _ decision: FaultDecision) -> Result<ServiceAnswer, ServiceError> {
        do throws(ServiceError) {
            if decision.expiresIterator { throw kinesis.expired(iterator: call.input["ShardIterator"]?.string) }
            if let error = decision.error { throw error }
            switch call.service {
            case .kinesis:
                return .success(
                    try kinesis.handle(
                        operation: call.operation, input: call.input, encoding: call.encoding,
                        throttledShards: decision.throttledShards))
            case .dynamodb:
                return .success(.tree(try dynamoDB.handle(operation: call.operation, input: call.input)))
            }
        } catch {
            return .failure(error)
        }
    }

    /// The shards that a call is about, for faults that name one; for DynamoDB, the `leaseKey` of the row.
    private func shards(touchedBy call: ServiceCall) -> Set<String> {
        switch call.service {
        case .kinesis: kinesis.shards(touchedBy: call.operation, input: call.input)
        case .dynamodb:
            Set(
                ["Key", "Item"].compactMap { call.input[$0]?["leaseKey"]?["S"]?.string }
                    .compactMap { $0.split(separator: ":").last.map(String.init) })
        }
    }

    private func respond(
        _ result: Result<ServiceAnswer, ServiceError>, service: AWSService?, operation: String?,
        in encoding: WireEncoding
    ) -> Response {
        var response = Response(status: 200)
        switch result {
        case .success(let answer): response.body = answer.body(in: encoding)
        case .failure(let error):
            response.status = error.status
            response.body = Bytes(encoding.encode(error.body(for: service)))
            response.headers.append(Header("x-amzn-ErrorType", error.type))
        }
        if let service, let operation {
            counters.count(service, operation, result)
            onCall?(
                EmulatedCall(
                    at: time.wallClock(), service: service.rawValue, operation: operation, status: response.status))
        }
        var contentType = (service ?? .kinesis).contentType(encoding)
        if case .success(.subscription) = result { contentType = "application/vnd.amazon.eventstream" }
        response.headers += [
            Header("x-amzn-RequestId", generator.withLock { $0.uuid() }), Header("Content-Type", contentType),
            Header("Date", HTTPDate.format(time.wallClock())),
        ]
        if service == .dynamodb { response.headers.append(Header("x-amz-crc32", String(CRC32.of(response.body)))) }
        return response
    }

    /// The query protocol, answered in XML. The fault plan knows nothing of it.
    private func respondToForm(_ request: Request, requiresSignature: Bool) -> Response {
        let outcome = cloudWatch.handle(
            request, requiresSignature: requiresSignature, wallClock: time.wallClock())
        let requestID = generator.withLock { $0.uuid() }
        var response = Response(
            status: 200,
            headers: [
                Header("x-amzn-RequestId", requestID), Header("Content-Type", "text/xml"),
                Header("Date", HTTPDate.format(time.wallClock())),
            ])
        let namespace = "http://monitoring.amazonaws.com/doc/2010-08-01/"
        switch outcome.result {
        case .success(let inside):
            let root = "\(outcome.operation ?? "")Response"
            response.body = Bytes(
                "<\(root) xmlns=\"\(namespace)\">\(inside)<ResponseMetadata><RequestId>\(requestID)</RequestId>"
                    + "</ResponseMetadata></\(root)>")
        case .failure(let error):
            response.status = error.status
            response.body = Bytes(
                "<ErrorResponse xmlns=\"\(namespace)\"><Error><Type>Sender</Type><Code>\(error.type)</Code><Message>"
                    + error.message.xmlEscaped + "</Message></Error><RequestId>\(requestID)</RequestId></ErrorResponse>"
            )
        }
        if let operation = outcome.operation {
            counters.count("CloudWatch.\(operation)", isFailure: response.status != 200)
            onCall?(
                EmulatedCall(
                    at: time.wallClock(), service: "monitoring", operation: operation, status: response.status))
        }
        return response
    }

    /// Refuses a signature that is dated too far from the emulator's clock, in the service's words, so that clients
    /// can learn the right time from the answer's `Date`.
    private func checkDate(of request: Request) throws(ServiceError) {
        guard let max = configuration.clockSkewMax, let text = request.headers["X-Amz-Date"],
            let date = ServiceCall.date(basic: text)
        else { return }
        let now = time.wallClock()
        let (nowText, minutes) = (CivilTime(now).basic, max.wholeMilliseconds / 60_000)
        if now - date > max {
            let limit = CivilTime(now - max).basic
            throw ServiceError(
                "InvalidSignatureException",
                "Signature expired: \(text) is now earlier than \(limit) (\(nowText) - \(minutes) min.)")
        }
        if date - now > max {
            let limit = CivilTime(now + max).basic
            throw ServiceError(
                "InvalidSignatureException",
                "Signature not yet current: \(text) is still later than \(limit) (\(nowText) + \(minutes) min.)")
        }
    }
}

/// No answer will come: the connection was closed.
package struct ConnectionLost: Error {
    /// Whether the request had been carried out by then.
    package var tookEffect: Bool

    package init(tookEffect: Bool) { self.tookEffect = tookEffect }
}

/// The body of a successful answer.
enum ServiceAnswer: Sendable {
    /// No body at all, as operations without output answer.
    case empty
    case tree(AWSValue)
    /// The hot shapes, written already in the encoding of the request. `throttledRecords` were refused for their rate.
    case encoded([UInt8], throttledRecords: Int)
    /// What comes from now on, until its reader has enough.
    case subscription(ShardSubscription.Opened)

    func body(in encoding: WireEncoding) -> Bytes {
        switch self {
        case .empty, .subscription: Bytes()
        case .tree(let value): Bytes(encoding.encode(value))
        case .encoded(let bytes, _): Bytes(bytes)
        }
    }
}

extension String {
    var xmlEscaped: String {
        replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    }
}

extension UnixTime {
    static func - (a: UnixTime, b: Duration) -> UnixTime {
        UnixTime(milliseconds: a.milliseconds &- b.wholeMilliseconds)
    }
}
