package import AWSWire
import OrderedCollections

/// An error as the service answers it: a type, a message, a status and what else the type carries.
package struct ServiceError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Without namespace: `ResourceNotFoundException`.
    package var type: String
    package var message: String
    /// 400 for the caller's faults, 500 for the service's own.
    package var status: Int
    /// Further members of the body: `Item` of a failed condition, `CancellationReasons`.
    package var extra: [String: AWSValue]

    package init(_ type: String, _ message: String = "", status: Int = 400, extra: [String: AWSValue] = [:]) {
        self.type = type
        self.message = message
        self.status = status
        self.extra = extra
    }

    package var description: String { message.isEmpty ? type : "\(type): \(message)" }

    package static func validation(_ message: String) -> ServiceError { ServiceError("ValidationException", message) }

    package static func serialization(_ message: String = "") -> ServiceError {
        ServiceError("SerializationException", message)
    }

    /// Whether it tells the caller to slow down.
    package var isThrottle: Bool {
        switch type {
        case "ProvisionedThroughputExceededException", "ThrottlingException", "LimitExceededException",
            "RequestLimitExceeded":
            true
        default: false
        }
    }
}

extension ServiceError {
    /// The body of the answer. DynamoDB writes the type with the namespace of the layer that raised it, Kinesis bare;
    /// the layer below both services spells its member `Message`.
    func body(for service: AWSService?) -> AWSValue {
        var body: OrderedDictionary<String, AWSValue> = [:]
        let isFromBelow = Self.typesFromBelow.contains(type)
        body["__type"] = .string(service == .dynamodb ? dynamoDBNamespace(isFromBelow) + type : type)
        if !message.isEmpty {
            let isCapital = isFromBelow && (service == .dynamodb || type == "SerializationException")
            body[isCapital ? "Message" : "message"] = .string(message)
        }
        for (name, value) in extra.sorted(by: { $0.key < $1.key }) { body[name] = value }
        return .map(body)
    }

    private static let typesFromBelow: Set<String> = [
        "SerializationException", "UnknownOperationException", "MissingAuthenticationTokenException",
        "IncompleteSignatureException", "InvalidSignatureException", "UnrecognizedClientException",
        "AccessDeniedException", "InternalFailure", "ServiceUnavailableException",
    ]

    private func dynamoDBNamespace(_ isFromBelow: Bool) -> String {
        if isFromBelow { return "com.amazon.coral.service#" }
        switch type {
        case "ValidationException": return "com.amazon.coral.validate#"
        case "ThrottlingException": return "com.amazon.coral.availability#"
        default: return "com.amazonaws.dynamodb.v20120810#"
        }
    }
}
