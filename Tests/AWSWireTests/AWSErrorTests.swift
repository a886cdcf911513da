import Testing

@testable import AWSWire

@Suite struct AWSErrorTests {
    static func service(_ type: String, _ status: Int = 400, operation: String = "DynamoDB.UpdateItem") -> AWSError {
        AWSError(operation: operation, cause: .service(type: type, message: "why", status: status, body: .null))
    }

    @Test(
        "Each error means one thing to its caller",
        arguments: [
            ("ProvisionedThroughputExceededException", 400, AWSError.Meaning.throttled),
            ("ThrottlingException", 400, .throttled), ("RequestLimitExceeded", 503, .throttled),
            ("ConditionalCheckFailedException", 400, .conditionFailed), ("ResourceNotFoundException", 400, .notFound),
            ("ResourceInUseException", 400, .inUse), ("ExpiredIteratorException", 400, .expiredIterator),
            ("AccessDeniedException", 400, .denied), ("UnrecognizedClientException", 400, .unauthenticated),
            ("ExpiredTokenException", 400, .unauthenticated), ("InvalidSignatureException", 400, .unauthenticated),
            ("RequestTimeTooSkewed", 403, .clockSkewed), ("InternalServerError", 500, .transient),
            ("InternalFailure", 500, .transient), ("HTTP 502", 502, .transient), ("HTTP 429", 429, .throttled),
            ("ValidationException", 400, .invalid), ("SerializationException", 400, .invalid),
            ("HTTP 302", 302, .invalid),
        ])
    func meanings(_ type: String, _ status: Int, _ meaning: AWSError.Meaning) {
        #expect(Self.service(type, status).meaning == meaning)
    }

    @Test func aLimitIsARateForReadsOfStreamsAndANumberElsewhere() {
        #expect(Self.service("LimitExceededException", operation: "Kinesis.ListShards").meaning == .throttled)
        #expect(
            Self.service("LimitExceededException", operation: "Kinesis.DescribeStreamSummary").meaning == .throttled)
        #expect(Self.service("LimitExceededException", operation: "Kinesis.SplitShard").meaning == .inUse)
        #expect(Self.service("LimitExceededException", operation: "DynamoDB.CreateTable").meaning == .inUse)
    }

    @Test(
        "What was not heard is transient, but for what cannot be sent",
        arguments: [
            (TransportError.Kind.timedOut, AWSError.Meaning.transient), (.cannotConnect, .transient),
            (.truncated, .transient),
            (.closed, .transient), (.cancelled, .cancelled), (.invalidRequest, .invalid),
        ])
    func transport(_ kind: TransportError.Kind, _ meaning: AWSError.Meaning) {
        let error = AWSError(operation: "x", cause: .transport(TransportError(kind, "", requestWasSent: true)))
        #expect(error.meaning == meaning)
    }

    @Test func whetherItTookEffectIsOpenWhereTheAnswerWasLost() {
        func lost(_ wasSent: Bool) -> AWSError {
            AWSError(operation: "x", cause: .transport(TransportError(.timedOut, "", requestWasSent: wasSent)))
        }
        #expect(lost(true).mayHaveTakenEffect)
        #expect(!lost(false).mayHaveTakenEffect)
        #expect(Self.service("InternalServerError", 500).mayHaveTakenEffect)
        #expect(!Self.service("ConditionalCheckFailedException").mayHaveTakenEffect)
        #expect(!AWSError(operation: "x", cause: .credentials(CredentialError("none"))).mayHaveTakenEffect)
        #expect(AWSError(operation: "x", cause: .malformed("")).mayHaveTakenEffect)
        var second = Self.service("ConditionalCheckFailedException")
        second.earlierAttemptMayHaveTakenEffect = true
        #expect(second.mayHaveTakenEffect)
    }

    @Test func theImageOfAFailedConditionIsReadFromTheError() {
        let body: AWSValue = ["__type": "…", "Item": ["leaseKey": ["S": "shardId-0"]]]
        let error = AWSError(
            operation: "x",
            cause: .service(type: "ConditionalCheckFailedException", message: "", status: 400, body: body))
        #expect(error.conditionImage == ["leaseKey": .s("shardId-0")])
    }

    @Test func aDescriptionNamesTheOperationAndTheReason() {
        #expect(Self.service("ValidationException").description == "DynamoDB.UpdateItem: ValidationException: why")
        #expect(
            AWSError(operation: "Kinesis.GetRecords", cause: .malformed("trailing bytes at byte 7")).description
                == "Kinesis.GetRecords: the answer is malformed: trailing bytes at byte 7")
    }
}
