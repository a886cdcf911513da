import AWSWire
import Machine

/// A registered fan-out consumer of a stream.
struct StreamConsumer: Sendable {
    enum Status: String, Sendable {
        case creating = "CREATING"
        case active = "ACTIVE"
        case deleting = "DELETING"
    }

    let name: String
    let arn: String
    let created: UnixTime
    var status = Status.creating
    /// When CREATING or DELETING ends.
    var statusUntil: Timestamp
    var resource: ResourceState
    /// When each shard, by index, was last subscribed to: a subscription may be taken over after some seconds only.
    var subscribed: [Int: Timestamp] = [:]

    /// - Parameter until: when it becomes ACTIVE.
    init(name: String, ofStream streamARN: String, resource: ResourceState, created: UnixTime, until: Timestamp) {
        self.name = name
        self.resource = resource
        arn = "\(streamARN)/consumer/\(name):\(created.milliseconds / 1000)"
        self.created = created
        statusUntil = until
    }

    var description: AWSValue {
        [
            "ConsumerName": .string(name), "ConsumerARN": .string(arn), "ConsumerStatus": .string(status.rawValue),
            "ConsumerCreationTimestamp": .timestamp(created),
        ]
    }
}

/// How a request names a consumer: by its ARN, by its stream and name, or by both.
struct ConsumerReference: Hashable, Sendable {
    var stream: String
    var name: String
    /// `nil` where the request gave none.
    var arn: String?
}

extension KinesisStream {
    static let consumersMax = 20
    /// Consumers that may be CREATING at a time.
    static let consumersCreatingMax = 5

    mutating func register(
        consumer name: String, resource: ResourceState, max: Int, at moment: Moment, until: Timestamp
    ) throws(ServiceError) -> StreamConsumer {
        guard status == .active || status == .updating else { throw notActive }
        if consumers.contains(where: { $0.name == name }) {
            throw ServiceError(
                "ResourceInUseException",
                "Consumer \(name) under stream \(arn) and account \(account) already exists.")
        }
        if consumers.count >= max {
            throw ServiceError(
                "LimitExceededException",
                "Stream \(self.name) under account \(account) has \(consumers.count) consumers already. "
                    + "Limit: \(max).")
        }
        if consumers.count(where: { $0.status == .creating }) >= Self.consumersCreatingMax {
            throw ServiceError(
                "LimitExceededException",
                "No more than \(Self.consumersCreatingMax) consumers of stream \(self.name) under account \(account) "
                    + "can be in the CREATING status at the same time.")
        }
        let consumer = StreamConsumer(
            name: name, ofStream: arn, resource: resource, created: moment.wall, until: until)
        consumers.append(consumer)
        consumers.sort { $0.name < $1.name }
        consumersSettleAt = min(consumersSettleAt, until)
        // What it answers is CREATING, even where that ends at once.
        return consumer
    }

    mutating func deregister(_ reference: ConsumerReference, until: Timestamp) throws(ServiceError) {
        let position = try position(of: reference)
        guard consumers[position].status != .deleting else { return }
        consumers[position].status = .deleting
        consumers[position].statusUntil = until
        consumersSettleAt = min(consumersSettleAt, until)
        wakeSubscribers()
    }

    /// Ends the statuses whose time has come.
    mutating func settleConsumers(at moment: Moment) {
        consumers.removeAll { $0.status == .deleting && moment.now >= $0.statusUntil }
        for position in consumers.indices
        where consumers[position].status == .creating && moment.now >= consumers[position].statusUntil {
            consumers[position].status = .active
        }
        consumersSettleAt = consumers.filter { $0.status != .active }.map(\.statusUntil).min() ?? .never
    }

    func position(of reference: ConsumerReference) throws(ServiceError) -> Int {
        let found = consumers.firstIndex {
            $0.name == reference.name && (reference.arn == nil || $0.arn == reference.arn)
        }
        guard let found else { throw .consumerNotFound(reference.arn ?? reference.name, account: account) }
        return found
    }
}

extension ServiceError {
    static func consumerNotFound(_ named: String, account: String) -> ServiceError {
        ServiceError("ResourceNotFoundException", "Consumer \(named), account \(account) not found.")
    }
}
