import Machine

/// Answers that are streams.
extension AWSClient {
    /// What the body of a refusal may hold; services write a few hundred bytes.
    private static let refusalBytesMax = 1 << 20

    /// Opens `operation`, whose answer is an event stream; spoken to in JSON.
    ///
    /// Sent once, because the caller paces itself: only a wrong clock or credentials that can be renewed are corrected
    /// and tried again, each once.
    ///
    /// - Parameter timeout: how long the head of the answer may take.
    func open(
        _ operation: String, _ input: AWSValue, timeout: Duration? = nil
    ) async throws(AWSError) -> any ResponseStream {
        let body = JSON.encode(input)
        var call = Call()
        while true {
            let key = try await signingCredentials(operation, call)
            if Task.isCancelled { throw cancelled(operation, call) }
            let failure: AWSError
            do throws(AWSError) {
                return try await openOnce(operation, body, key, timeout ?? requestTimeout)
            } catch {
                failure = error
            }
            guard try await isCorrected(failure, key, operation, &call) else { throw failure }
        }
    }

    private func openOnce(
        _ operation: String, _ body: [UInt8], _ key: Credentials, _ timeout: Duration
    ) async throws(AWSError) -> any ResponseStream {
        let name = "\(service.name).\(operation)"
        let sent = time.wallClock()
        let deadline = time.now() + timeout
        let stream: any ResponseStream
        do {
            stream = try await transport.open(signed(operation, body, .json, key, timeout, sent: sent))
        } catch {
            throw AWSError(operation: name, cause: .transport(error))
        }
        learnClock(of: stream.headers, sent: sent)
        if stream.status == 200 {
            let type = stream.headers["Content-Type"] ?? ""
            if type.hasPrefix("application/vnd.amazon.eventstream") { return stream }
            stream.close()
            throw malformed(operation, "no event stream, but \(type.isEmpty ? "something untyped" : type)")
        }
        defer { stream.close() }
        let response: Response
        do {
            response = Response(
                status: stream.status, headers: stream.headers, body: try await refusal(stream, until: deadline))
        } catch {
            throw AWSError(operation: name, cause: .transport(error))
        }
        throw rejection(name, response, .json, key)
    }

    /// The whole body, as far as it comes in time: a refusal is one without its words, too.
    private func refusal(_ stream: any ResponseStream, until deadline: Timestamp) async throws(TransportError) -> Bytes
    {
        let time = time
        let result = await withTaskGroup(of: Void.self) { group -> Result<Bytes, TransportError> in
            group.addTask {
                // Who is cancelled closes nothing, for the reader has to hear that it was cancelled, too.
                do { try await time.sleep(deadline) } catch { return }
                stream.close()
            }
            defer { group.cancelAll() }
            var body: [UInt8] = []
            do throws(TransportError) {
                while body.count < Self.refusalBytesMax, let piece = try await stream.next() {
                    piece.withUnsafeBytes { body.append(contentsOf: $0) }
                }
            } catch {
                if error.kind == .cancelled { return .failure(error) }
            }
            return .success(Bytes(body))
        }
        return try result.get()
    }
}
