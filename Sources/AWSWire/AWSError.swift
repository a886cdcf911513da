import Machine

/// Why a call failed: what the service said, or that it could not be heard.
public struct AWSError: Error, Hashable, Sendable, CustomStringConvertible {
    /// `Kinesis.GetRecords`, say.
    public var operation: String
    public var cause: Cause
    /// The request id of the answer, for the audit and for support.
    public var requestID: String?
    /// How many times it was sent.
    public var attempts: Int
    /// An attempt before the last one failed in a way that leaves open whether it took effect.
    public var earlierAttemptMayHaveTakenEffect = false

    public enum Cause: Hashable, Sendable {
        /// The service's own answer: the error type without namespace, its message, the status and the whole body
        /// (`ConditionalCheckFailedException` carries the old item in it).
        case service(type: String, message: String, status: Int, body: AWSValue)
        case transport(TransportError)
        case credentials(CredentialError)
        /// The answer is not what the operation answers.
        case malformed(String)
    }

    public init(operation: String, cause: Cause, requestID: String? = nil, attempts: Int = 1) {
        self.operation = operation
        self.cause = cause
        self.requestID = requestID
        self.attempts = attempts
    }

    /// The service's error type (`ResourceNotFoundException`), `nil` where the service was not heard.
    public var type: String? {
        if case .service(let type, _, _, _) = cause { type } else { nil }
    }

    public var description: String {
        switch cause {
        case .service(let type, let message, let status, _):
            "\(operation): \(type)\(message.isEmpty ? " (HTTP \(status))" : ": \(message)")"
        case .transport(let error): "\(operation): \(error.message)"
        case .credentials(let error): error.message
        case .malformed(let reason): "\(operation): the answer is malformed: \(reason)"
        }
    }
}

extension AWSError {
    /// What a failed call means to its caller. This is the only place that decides it.
    public enum Meaning: Hashable, Sendable {
        /// Slow down and try again: a throughput or rate limit.
        case throttled
        /// Nothing wrong with the request; try again.
        case transient
        /// The condition of a conditional write did not hold: the write did not happen.
        case conditionFailed
        /// The stream, shard, table or row does not exist.
        case notFound
        /// The thing is being created, changed or deleted, or a limit of such operations is reached.
        case inUse
        /// The shard iterator is older than five minutes.
        case expiredIterator
        /// Missing permission.
        case denied
        /// Credentials are missing, wrong or expired.
        case unauthenticated
        /// The signature's time is too far from the service's.
        case clockSkewed
        /// The request itself is wrong; sending it again cannot help.
        case invalid
        /// The task was cancelled.
        case cancelled
    }

    public var meaning: Meaning {
        switch cause {
        case .transport(let error): Self.meaning(of: error.kind)
        case .credentials: .unauthenticated
        // A truncated or garbled answer says nothing about the request.
        case .malformed: .transient
        // Kinesis also limits the rate of its reading operations with the error that elsewhere limits numbers.
        case .service("LimitExceededException", _, _, _):
            Self.isRead(operation) || operation == "Kinesis.SubscribeToShard" ? .throttled : .inUse
        case .service(let type, _, let status, _): Self.meaning(ofType: type, status: status)
        }
    }

    /// Whether `operation` only reads streams.
    static func isRead(_ operation: String) -> Bool {
        ["Kinesis.List", "Kinesis.Describe", "Kinesis.Get"].contains { operation.hasPrefix($0) }
    }

    private static func meaning(of kind: TransportError.Kind) -> Meaning {
        switch kind {
        case .cancelled: .cancelled
        case .invalidRequest: .invalid
        case .cannotConnect, .cannotResolve, .timedOut, .tls, .truncated, .tooLarge, .closed: .transient
        }
    }

    private static func meaning(ofType type: String, status: Int) -> Meaning {
        switch type {
        case "ProvisionedThroughputExceededException", "ThrottlingException", "Throttling", "RequestLimitExceeded",
            "TooManyRequestsException", "ThrottledException", "KMSThrottlingException", "SlowDown",
            "RequestThrottledException", "RequestThrottled", "BandwidthLimitExceeded", "EC2ThrottledException",
            "PriorRequestNotComplete":
            .throttled
        case "ConditionalCheckFailedException": .conditionFailed
        case "ResourceNotFoundException", "TableNotFoundException": .notFound
        case "ResourceInUseException", "TableInUseException": .inUse
        case "ExpiredIteratorException": .expiredIterator
        case "AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "KMSAccessDeniedException",
            "OptInRequired", "NotAuthorized":
            .denied
        case "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException", "ExpiredToken",
            "MissingAuthenticationTokenException", "MissingAuthenticationToken", "InvalidAccessKeyId",
            "IncompleteSignatureException", "IncompleteSignature", "InvalidSignatureException",
            "SignatureDoesNotMatch", "AuthFailure":
            .unauthenticated
        case "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture": .clockSkewed
        case "InternalFailure", "InternalServerError", "InternalServerErrorException", "InternalFailureException",
            "ServiceUnavailable",
            "ServiceUnavailableException", "TransactionInProgressException", "RequestTimeout",
            "RequestTimeoutException", "IDPCommunicationError",
            "ReplicatedWriteConflictException":
            .transient
        default: status >= 500 ? .transient : status == 429 ? .throttled : .invalid
        }
    }

    /// The service does not accept the credentials, and newer ones may be had.
    var credentialsMayBeRenewed: Bool {
        ["ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId"]
            .contains(type)
    }

    /// Whether the request may have taken effect although it failed: its answer, or that of an earlier attempt, may be
    /// what was lost.
    public var mayHaveTakenEffect: Bool {
        if earlierAttemptMayHaveTakenEffect { return true }
        return switch cause {
        case .service(_, _, let status, _): status >= 500
        case .transport(let error): error.requestWasSent
        case .credentials: false
        case .malformed: true
        }
    }
}
