import AWSWire
import Leases
import Machine
import Synchronization

/// The registered consumer of a fan-out worker (kcl.md §6.2).
extension Worker {
    /// Empty until the consumer is there.
    var consumerARN: String { state.withLock { $0.consumerARN } }

    /// Finds the consumer, registers it where it is missing, and waits until it is ACTIVE. Costs nothing once it is
    /// known. False where a shutdown was requested meanwhile.
    func ensureConsumer() async throws -> Bool {
        guard case .fanOut(let wanted) = configuration.retrieval, consumerARN.isEmpty else { return true }
        guard let consumer = try await activeConsumer(wanted) else { return false }
        state.withLock { $0.consumerARN = consumer.arn }
        return true
    }

    private func activeConsumer(_ wanted: FanOutConsumer) async throws -> StreamConsumer? {
        var streamARN = ""
        if wanted.arn == nil { streamARN = try await kinesis.describeStreamSummary(configuration.streamName).arn }
        var registrations = 0
        var looks = 0
        while true {
            if let consumer = try await existing(wanted, streamARN) {
                if consumer.status == "ACTIVE" { return consumer }
                looks += 1
                guard looks < wanted.describeAttemptsMax else {
                    throw WorkerRefusal(
                        "the consumer \(consumer.name) of \(configuration.streamName) is \(consumer.status) and does "
                            + "not become ACTIVE")
                }
            } else {
                guard registrations < wanted.registerAttemptsMax else {
                    throw WorkerRefusal("the consumer \(name(of: wanted)) was registered and does not appear")
                }
                registrations += 1
                do { try await register(wanted, streamARN) } catch {
                    // Somebody else was faster, the one before is still being deleted, or there are too many just now.
                    guard error.meaning == .inUse || error.meaning == .throttled,
                        registrations < wanted.registerAttemptsMax
                    else { throw explained(error, wanted) }
                    if error.type != "ResourceInUseException" {
                        emit(WorkerEvent(.throttled, at: .zero, message: "cannot register the consumer yet: \(error)"))
                    }
                }
            }
            if isShutdownRequested { return nil }
            try await time.sleep(for: wanted.retryBackoff)
        }
    }

    /// The consumer as it is; `nil` where it has to be registered.
    private func existing(_ wanted: FanOutConsumer, _ streamARN: String) async throws -> StreamConsumer? {
        do {
            if let arn = wanted.arn { return try await kinesis.describeStreamConsumer(arn: arn) }
            return try await kinesis.describeStreamConsumer(streamARN: streamARN, name: name(of: wanted))
        } catch {
            guard error.meaning == .notFound else { throw error }
            guard wanted.arn == nil else {
                throw WorkerRefusal(
                    "the consumer \(wanted.arn ?? "") does not exist; give its name instead to have it registered")
            }
            return nil
        }
    }

    private func register(_ wanted: FanOutConsumer, _ streamARN: String) async throws(AWSError) {
        let consumer = try await kinesis.registerStreamConsumer(streamARN: streamARN, name: name(of: wanted))
        emit(
            WorkerEvent(
                .operatorAction, at: .zero,
                message: "registered the consumer \(consumer.name) of \(configuration.streamName); it is never "
                    + "deregistered by a worker"))
    }

    private func explained(_ error: AWSError, _ wanted: FanOutConsumer) -> any Error {
        guard error.type == "LimitExceededException" else { return error }
        return WorkerRefusal(
            "the consumer \(name(of: wanted)) cannot be registered, because the stream has as many as it may: \(error)")
    }

    private func name(of wanted: FanOutConsumer) -> String { wanted.name(for: configuration.applicationName) }

    /// After ResourceNotFound of a subscription that was asked for as `arn`: what is wrong with our consumer, or `nil`
    /// where it is there, so that it is the stream or the shard that is gone.
    ///
    /// A consumer that was deregistered under a running worker is registered again where it was given by its name. Of
    /// many shards that find it missing, one sees to it.
    func missingConsumer(_ arn: String) async throws -> String? {
        let isBusy = state.withLock { state in
            let isOld = state.consumerARN != arn
            defer { if !isOld { state.isCheckingConsumer = true } }
            return isOld || state.isCheckingConsumer
        }
        if isBusy { return "the consumer was deregistered; it is being looked for" }
        defer { state.withLock { $0.isCheckingConsumer = false } }
        do {
            let consumer = try await kinesis.describeStreamConsumer(arn: arn)
            return consumer.status == "ACTIVE" ? nil : "the consumer \(consumer.name) is \(consumer.status)"
        } catch {
            guard error.meaning == .notFound else { throw error }
        }
        let stream: StreamSummary
        do { stream = try await kinesis.describeStreamSummary(configuration.streamName) } catch {
            if error.meaning == .notFound { return nil }
            throw error
        }
        guard stream.status != "DELETING", case .fanOut(let wanted) = configuration.retrieval else { return nil }
        if let arn = wanted.arn { return "the consumer \(arn) was deregistered; nothing can be read until it is back" }
        guard let consumer = try await existing(wanted, stream.arn) else {
            try await register(wanted, stream.arn)
            return "the consumer \(name(of: wanted)) was deregistered, and is registered again"
        }
        state.withLock { $0.consumerARN = consumer.arn }
        return "the consumer \(consumer.name) was registered anew"
    }
}
