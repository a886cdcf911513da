/// How records are fetched (kcl.md §6).
public enum RetrievalMode: Hashable, Sendable {
    /// GetRecords: at no extra cost; the shard's two megabytes and five reads a second are shared with all others.
    case polling
    /// SubscribeToShard: records are pushed within some 70 ms, at two megabytes a second of our own for each shard,
    /// paid for by the hour and by the gigabyte.
    case fanOut(FanOutConsumer)

    /// Polling: it costs nothing, needs no consumer to be registered and works wherever Kinesis does. KCL 2.x and 3.x
    /// for Java use fan-out where nothing else is said.
    public static let `default` = RetrievalMode.polling
}

/// The registered consumer of a fan-out worker, one for all workers of an application. It is registered where it is
/// missing, and never deregistered, because other workers may use it (kcl.md §6.2).
public struct FanOutConsumer: Hashable, Sendable {
    /// The application's name unless given.
    public var name: String?
    /// Goes before `name`, and is used as it is: a consumer that does not exist is not registered.
    public var arn: String?
    /// So often the consumer is looked at until it is ACTIVE.
    public var describeAttemptsMax = 10
    public var registerAttemptsMax = 10
    /// The pause between these.
    public var retryBackoff: Duration = .seconds(1)

    public init(name: String? = nil, arn: String? = nil) {
        self.name = name
        self.arn = arn
    }

    /// The name in `arn`.
    package var nameInARN: String? {
        arn?.split(separator: "/").last?.split(separator: ":").first.map(String.init)
    }

    /// What the consumer is called, for the workers of `application`.
    package func name(for application: String) -> String { nameInARN ?? name ?? application }

    func mistakes(stream: String) -> [String] {
        var mistakes: [String] = []
        if let arn {
            let parts = arn.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
            let resource = parts.count == 6 ? parts[5].split(separator: "/", omittingEmptySubsequences: false) : []
            if resource.count != 4 || resource[0] != "stream" || resource[2] != "consumer" {
                mistakes.append("consumerArn must be of the form arn:aws:kinesis:…:stream/NAME/consumer/NAME:CREATED")
            } else if resource[1] != stream {
                mistakes.append("consumerArn names a consumer of the stream \(resource[1]), not of \(stream)")
            }
        } else if let name, !(1...128 ~= name.utf8.count) {
            mistakes.append("consumerName must have 1 to 128 characters")
        }
        if describeAttemptsMax < 1 || registerAttemptsMax < 1 {
            mistakes.append("the consumer's attempts must be positive")
        }
        return mistakes
    }
}
