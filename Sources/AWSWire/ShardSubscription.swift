import Machine
import Synchronization

/// The open answer of SubscribeToShard: events with records, pulled one by one. What is not pulled is not sent.
public final class ShardSubscription: Sendable {
    private static let operation = "Kinesis.SubscribeToShard"

    private let stream: any ResponseStream
    private let state = Mutex(State())

    private struct State {
        var decoder = EventStreamDecoder()
        /// Whole messages that came in the last piece, the next one last.
        var messages: [EventMessage] = []
    }

    init(_ stream: any ResponseStream) { self.stream = stream }

    /// The next event; `nil` where the service ended the subscription, which it does after five minutes. One reader,
    /// one call at a time. After an error there is nothing more.
    ///
    /// The event whose `continuationSequenceNumber` is absent is the shard's last.
    public func next() async throws(AWSError) -> RecordBatch? {
        do throws(AWSError) { return try await nextEvent() } catch {
            state.withLock { $0.messages = [] }
            close()
            throw error
        }
    }

    /// Ends the subscription; a `next` that waits ends with an error.
    public func close() { stream.close() }

    private func nextEvent() async throws(AWSError) -> RecordBatch? {
        while true {
            while let message = state.withLock({ $0.messages.popLast() }) {
                if let batch = try Self.batch(message) { return batch }
            }
            let piece: Bytes?
            do { piece = try await stream.next() } catch {
                throw AWSError(operation: Self.operation, cause: .transport(error))
            }
            guard let piece else {
                guard state.withLock({ $0.decoder.isInMessage }) else { return nil }
                throw AWSError(
                    operation: Self.operation,
                    cause: .transport(
                        TransportError(.truncated, "the event stream ends inside a message", requestWasSent: true)))
            }
            do throws(EventStreamError) {
                try state.withLock { (state) throws(EventStreamError) in
                    state.messages = try state.decoder.append(piece).reversed()
                }
            } catch {
                throw Self.malformed(error.description)
            }
        }
    }

    /// The records of an event; `nil` for a message that is about the stream itself.
    private static func batch(_ message: consuming EventMessage) throws(AWSError) -> RecordBatch? {
        let headers = message.headers
        // The decoder gets the only reference, so that it need not copy the payload to decode in place.
        let payload = message.payload
        message.payload = Bytes()
        switch headers[":message-type"] {
        case "event":
            // What later versions of the service may add concerns no record.
            guard headers[":event-type"] == "SubscribeToShardEvent" else { return nil }
            do { return try RecordBatch(json: payload) } catch { throw malformed(error.description) }
        case "exception":
            let body = (try? JSON.decode(payload)) ?? .null
            throw service(
                headers[":exception-type"] ?? "UnknownException",
                body["message"]?.string ?? body["Message"]?.string ?? "", body)
        case "error":
            throw service(
                headers[":error-code"] ?? "InternalFailureException", headers[":error-message"] ?? "", .null)
        case let type: throw malformed("a message of the type \(type ?? "(none)")")
        }
    }

    private static func service(_ type: String, _ message: String, _ body: AWSValue) -> AWSError {
        // A frame has no status of its own; the answer's was 200.
        AWSError(operation: operation, cause: .service(type: type, message: message, status: 200, body: body))
    }

    private static func malformed(_ reason: String) -> AWSError {
        AWSError(operation: operation, cause: .malformed(reason))
    }
}
