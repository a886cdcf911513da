import AWSWire
import Machine
import Synchronization

/// Fan-out: consumers and their subscriptions.
extension KinesisService {
    func registerStreamConsumer(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let name = input["ConsumerName"]?.string ?? ""
        let delay = configuration.streamStatusDelay
        let isCommitted = account(at: moment.wall).isCommitted
        var resource = ResourceState()
        if let tags = input["Tags"]?.map {
            try resource.add(tags, to: "consumer \(name) under account \(configuration.accountID)")
        }
        let tagged = resource
        let consumer = try withStream(try streamName(input)) { (stream, moment) throws(ServiceError) in
            let max = stream.isOnDemand && isCommitted ? 50 : KinesisStream.consumersMax
            return try stream.register(
                consumer: name, resource: tagged, max: max, at: moment, until: moment.now + delay)
        }
        return .tree(["Consumer": consumer.description])
    }

    func deregisterStreamConsumer(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let reference = try consumer(input)
        let delay = configuration.streamStatusDelay
        try withStream(reference.stream) { (stream, moment) throws(ServiceError) in
            try stream.deregister(reference, until: moment.now + delay)
        }
        return .empty
    }

    func describeStreamConsumer(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let reference = try consumer(input)
        return try withStream(reference.stream, onlyRecords: true) { (stream, _) throws(ServiceError) in
            var description = stream.consumers[try stream.position(of: reference)].description
            description["StreamARN"] = .string(stream.arn)
            return .tree(["ConsumerDescription": description])
        }
    }

    func listStreamConsumers(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let name = try streamName(input)
        if input["NextToken"] != nil, input["StreamCreationTimestamp"] != nil {
            throw .invalidArgument("NextToken and StreamCreationTimestamp cannot be provided together.")
        }
        let after = try pageToken(input, of: .consumers(stream: name))?.after ?? ""
        let limit = min(input["MaxResults"]?.int ?? 100, 100)
        let created = input["StreamCreationTimestamp"]?.time
        return try withStream(name, onlyRecords: true) { (stream, moment) throws(ServiceError) in
            try stream.check(created: created)
            let following = stream.consumers.drop { $0.name <= after }
            let consumers = following.prefix(limit)
            var next: AWSValue?
            if following.count > limit, let last = consumers.last {
                let page = PageToken(.consumers(stream: name), after: last.name, created: moment.wall)
                next = .string(page.text)
            }
            return .tree(.members(["Consumers": .list(consumers.map(\.description)), "NextToken": next]))
        }
    }

    /// The consumer that a request is about, from `ConsumerARN`, or from `StreamARN` and `ConsumerName`.
    private func consumer(_ input: AWSValue) throws(ServiceError) -> ConsumerReference {
        let name = input["ConsumerName"]?.string
        guard let arn = input["ConsumerARN"]?.string else {
            guard input["StreamARN"] != nil || input["StreamId"] != nil, let name else {
                throw .invalidArgument("Either ConsumerARN or both StreamARN and ConsumerName should be provided.")
            }
            return ConsumerReference(stream: try streamName(input), name: name)
        }
        let reference = try consumer(arn: arn)
        let namesStream = input["StreamARN"] != nil || input["StreamId"] != nil
        let isOfStream = namesStream ? try streamName(input) == reference.stream : true
        if name.map({ $0 != reference.name }) ?? false || !isOfStream {
            throw .invalidArgument("ConsumerARN \(arn) is of another consumer than StreamARN and ConsumerName.")
        }
        return reference
    }

    /// Reads `arn:aws:kinesis:us-east-1:123456789012:stream/words/consumer/readers:1900000000`.
    func consumer(arn: String) throws(ServiceError) -> ConsumerReference {
        let parts = arn.split(separator: "/", omittingEmptySubsequences: false)
        let account = arn.split(separator: ":", omittingEmptySubsequences: false).dropFirst(4).first ?? ""
        guard parts.count == 4, let colon = parts[3].lastIndex(of: ":"),
            "\(parts[0])/\(parts[1])" == configuration.arn(ofStream: String(parts[1]))
        else {
            throw .consumerNotFound(arn, account: String(account))
        }
        return ConsumerReference(stream: String(parts[1]), name: String(parts[3][..<colon]), arn: arn)
    }

    // MARK: Subscriptions

    func subscribeToShard(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let reference = try consumer(arn: input["ConsumerARN"]?.string ?? "")
        let slot: Slot
        do { slot = try self.slot(reference.stream) } catch {
            throw .consumerNotFound(reference.arn ?? "", account: configuration.accountID)
        }
        let shard = input["ShardId"]?.string ?? ""
        let position = input["StartingPosition"] ?? [:]
        let lifetime = configuration.subscriptionLifetime
        // Subscriptions are not kept.
        let subscriber = try withStream(reference.stream, in: slot, onlyRecords: true) {
            (stream, moment) throws(ServiceError) in
            try stream.subscribe(
                reference, shard: shard, type: position["Type"]?.string ?? "",
                number: position["SequenceNumber"]?.string, timestamp: position["Timestamp"]?.time, at: moment,
                lifetime: lifetime)
        }
        return .subscription(ShardSubscription.Opened(service: self, slot: slot, subscriber: subscriber))
    }

    /// What the reader of a subscription does next.
    func advance(_ subscriber: ShardSubscriber, of slot: Slot) -> ShardSubscriber.Step {
        let moment = moment
        let isPaced = configuration.enforcesShardLimits
        return slot.stream.withLock { stream in
            stream.settle(at: moment)
            return stream.advance(subscriber.id, ofShard: subscriber.shardIndex, at: moment, isPaced: isPaced)
        }
    }

    func end(_ subscriber: ShardSubscriber, of slot: Slot) {
        slot.stream.withLock { $0.unsubscribe(subscriber.id, ofShard: subscriber.shardIndex) }
    }
}
