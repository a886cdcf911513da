import Machine

/// One service that speaks AWS's query protocol: a signed form goes out, XML comes back.
///
/// It tries again like the other clients, and sets its clock by the service's where that rejects our time.
struct QueryClient: Sendable {
    /// As the service is called in errors: `STS`.
    var name: String
    /// As signatures name it: `sts`.
    var service: String
    var version: String
    var endpoint: Endpoint
    var region: String
    var transport: any Transport
    var time: TimeSource
    var attemptTimeout: Duration = .seconds(10)

    var answerBytesMax = 64 << 10

    /// - Parameters:
    ///   - parameters: those without a value are left out.
    ///   - key: what the request is signed with; `nil` for operations that want no signature.
    ///   - secrets: what an error never quotes, besides the key's own.
    ///   - decode: an answer that it throws at is asked for again.
    func call<Answer>(
        _ action: String, _ parameters: [(String, String?)], signedWith key: Credentials?, secrets: [String?] = [],
        attemptsMax: Int, generator: SeededGenerator, decode: (XMLElement) throws(AWSError) -> Answer
    ) async throws(AWSError) -> Answer {
        let form = ([("Action", action), ("Version", version)] + parameters)
            .compactMap { name, value in value.map { "\(name)=\($0.formEncoded)" } }
            .joined(separator: "&")
        let secrets = secrets + [key?.secretAccessKey, key?.sessionToken]
        var generator = generator
        var clockOffset: Duration?
        var attempt = 1
        while true {
            let error: AWSError
            do throws(AWSError) {
                return try decode(try await sendOnce(action, Array(form.utf8), key, clockOffset ?? .zero, secrets))
            } catch let failure {
                error = failure
            }
            if case .skewed(let offset) = clock(error), clockOffset == nil {
                clockOffset = offset
                continue
            }
            let meaning = error.meaning
            guard meaning == .throttled || meaning == .transient, attempt < attemptsMax, !Task.isCancelled else {
                throw error
            }
            let delay = RetryPolicy(baseDelay: .milliseconds(200)).delay(
                attempt: attempt, meaning: meaning, generator: &generator)
            do { try await time.sleep(for: delay) } catch { throw cancelled(action) }
            attempt += 1
        }
    }

    private func sendOnce(
        _ action: String, _ body: [UInt8], _ key: Credentials?, _ clockOffset: Duration, _ secrets: [String?]
    ) async throws(AWSError) -> XMLElement {
        var request = Request(
            url: endpoint,
            headers: [
                Header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),
                Header("User-Agent", "shardtop"),
            ], body: body, timeout: attemptTimeout, responseBytesMax: answerBytesMax)
        Signature.sign(
            &request, credentials: key ?? .anonymous, region: region, service: service,
            date: time.wallClock() + clockOffset)
        let response: Response
        do { response = try await transport.send(request) } catch {
            throw AWSError(operation: "\(name).\(action)", cause: .transport(error))
        }
        let answer = try? XMLElement(response.body)
        guard response.status == 200 else { throw failure(action, response, answer, secrets) }
        guard let answer else {
            throw malformed(action, "something that is not XML; is \(endpoint) really \(name)?")
        }
        return answer
    }

    func malformed(_ action: String, _ reason: String) -> AWSError {
        AWSError(operation: "\(name).\(action)", cause: .malformed(reason))
    }

    private func failure(
        _ action: String, _ response: Response, _ answer: XMLElement?, _ secrets: [String?]
    ) -> AWSError {
        let error = answer?.first("Error")
        var type = error?.text("Code")?.quoted(without: secrets, max: 60) ?? "HTTP \(response.status)"
        let message = error?.text("Message")?.quoted(without: secrets) ?? ""
        if message.hasPrefix("Signature expired") || message.hasPrefix("Signature not yet current") {
            type = "RequestTimeTooSkewed"
        }
        // Only the date of the answer is kept of it, to set the clock by.
        let date = response.headers["Date"].map { AWSValue.string($0) }
        return AWSError(
            operation: "\(name).\(action)",
            cause: .service(type: type, message: message, status: response.status, body: .members(["Date": date])),
            requestID: answer?.text("RequestId")?.quoted(without: secrets, max: 60))
    }

    private enum Clock {
        case fine
        /// By how much the service's clock is ahead of ours.
        case skewed(Duration)
    }

    private func clock(_ error: AWSError) -> Clock {
        guard error.meaning == .clockSkewed, case .service(_, _, _, let body) = error.cause,
            let date = body["Date"]?.string.flatMap(HTTPDate.parse)
        else { return .fine }
        return .skewed(date - time.wallClock())
    }

    private func cancelled(_ action: String) -> AWSError {
        AWSError(
            operation: "\(name).\(action)",
            cause: .transport(TransportError(.cancelled, "cancelled", requestWasSent: false)))
    }
}
