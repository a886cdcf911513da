import AWSWire
import Machine

/// One fan-out subscription as its shard keeps it.
struct ShardSubscriber: Sendable {
    /// What its reader gets next.
    enum Step: Sendable {
        case send([UInt8])
        /// Nothing comes after it.
        case sendLast([UInt8])
        case end
        /// Until that moment, or until the bell rings.
        case wait(until: Timestamp)
    }

    let id: UInt64
    let shardIndex: Int
    let consumerARN: String
    /// The number in the shard's log of the next record.
    var position: UInt64
    /// When it ends by itself.
    let endsAt: Timestamp
    /// When an event is due even where there is nothing to say.
    var idleAt: Timestamp
    /// When records may be sent again: a consumer gets so much a second of each shard.
    var sendsAt: Timestamp
    /// Why it was ended; its reader is told, and then it is forgotten.
    var failure: ServiceError?
    let bell = ShardBell()

    /// Silence of ten seconds makes clients give up.
    static let idle: Duration = .seconds(4)
    /// How soon a consumer may subscribe to the same shard again.
    static let interval: Duration = .seconds(5)
    static let bytesPerSecond = 2 << 20
    static let eventRecordsMax = 10_000
    /// Data and keys in one event, unless one record alone has more.
    static let eventBytesMax = 1 << 20
}

extension KinesisStream {
    mutating func subscribe(
        _ reference: ConsumerReference, shard id: String, type: String, number: String?, timestamp: UnixTime?,
        at moment: Moment, lifetime: Duration
    ) throws(ServiceError) -> ShardSubscriber {
        let consumer = try position(of: reference)
        let arn = consumers[consumer].arn
        guard consumers[consumer].status == .active else {
            throw ServiceError(
                "ResourceInUseException",
                "Consumer \(arn) not ACTIVE, instead in state \(consumers[consumer].status.rawValue)")
        }
        guard status == .active || status == .updating else { throw notActive }
        let position = try readable(shard: id)
        let id = shards[position].id
        let index = shards[position].index
        let start = try start(
            in: shards[position], type, number: number, timestamp: timestamp, at: moment, for: "SubscribeToShard")
        if let last = consumers[consumer].subscribed[index], moment.now - last < ShardSubscriber.interval {
            throw taken(shard: id, by: arn)
        }
        consumers[consumer].subscribed[index] = moment.now
        // Whoever read until now hears that it is over; what has ended anyhow is forgotten.
        shards[position].subscribers.removeAll { $0.endsAt <= moment.now }
        for place in shards[position].subscribers.indices
        where shards[position].subscribers[place].consumerARN == arn {
            shards[position].subscribers[place].failure = taken(shard: id, by: arn)
            shards[position].subscribers[place].bell.ring()
        }
        lastSubscriptionID += 1
        let subscriber = ShardSubscriber(
            id: lastSubscriptionID, shardIndex: index, consumerARN: arn, position: start,
            endsAt: moment.now + lifetime, idleAt: moment.now, sendsAt: moment.now)
        shards[position].subscribers.append(subscriber)
        return subscriber
    }

    private func taken(shard id: String, by consumer: String) -> ServiceError {
        ServiceError(
            "ResourceInUseException",
            "Another active subscription exists for this consumer: \(consumer), shard \(id).")
    }

    mutating func unsubscribe(_ id: UInt64, ofShard index: Int) {
        guard let position = position(ofIndex: index) else { return }
        shards[position].subscribers.removeAll { $0.id == id }
    }

    /// Lets all readers look again: what they wait for, or for how long, has changed.
    func wakeSubscribers() {
        for shard in shards { for subscriber in shard.subscribers { subscriber.bell.ring() } }
    }

    /// What the reader of subscription `id` gets now.
    ///
    /// - Parameter isPaced: whether it gets no more than 2 MiB a second.
    mutating func advance(
        _ id: UInt64, ofShard index: Int, at moment: Moment, isPaced: Bool
    ) -> ShardSubscriber.Step {
        guard status != .deleted, let position = position(ofIndex: index) else {
            return .sendLast(Self.frame(missing(shard: KinesisShard.id(ofIndex: index))))
        }
        guard let place = shards[position].subscribers.firstIndex(where: { $0.id == id }) else { return .end }
        let subscriber = shards[position].subscribers[place]
        var failure = subscriber.failure
        if failure == nil, !consumers.contains(where: { $0.arn == subscriber.consumerARN && $0.status == .active }) {
            failure = .consumerNotFound(subscriber.consumerARN, account: account)
        }
        if let failure {
            shards[position].subscribers.remove(at: place)
            return .sendLast(Self.frame(failure))
        }
        if moment.now >= subscriber.endsAt {
            shards[position].subscribers.remove(at: place)
            return .end
        }
        shards[position].log.trim(before: trimHorizon(at: moment))
        let hasRecords = shards[position].log.end > subscriber.position
        if hasRecords, !isPaced || moment.now >= subscriber.sendsAt {
            return .send(event(position, place, countMax: ShardSubscriber.eventRecordsMax, at: moment))
        }
        if !hasRecords, !shards[position].isOpen {
            shards[position].subscribers.remove(at: place)
            let last = ("ChildShards", children(of: shards[position]))
            return .sendLast(
                Self.event(RecordsWriter(.json, count: 0, bytes: 0).finish(last: last, millisBehindLatest: 0)))
        }
        if moment.now >= subscriber.idleAt { return .send(event(position, place, countMax: 0, at: moment)) }
        var until = min(subscriber.idleAt, subscriber.endsAt)
        if hasRecords { until = min(until, subscriber.sendsAt) }
        if status != .active { until = min(until, statusUntil) }
        return .wait(until: until)
    }

    /// The next event of the subscription at `place`: up to `countMax` records, and where its reader is now.
    private mutating func event(_ position: Int, _ place: Int, countMax: Int, at moment: Moment) -> [UInt8] {
        let shard = shards[position]
        let start = min(max(shard.subscribers[place].position, shard.log.first), shard.log.end)
        let (range, bytes) = shard.log.page(from: start, countMax: countMax, bytesMax: ShardSubscriber.eventBytesMax)
        var writer = RecordsWriter(.json, count: range.count, bytes: bytes)
        shard.append(range, to: &writer, encryption)
        let cost = Duration.nanoseconds(Int64(Double(bytes) / Double(ShardSubscriber.bytesPerSecond) * 1e9))
        shards[position].subscribers[place].position = range.upperBound
        shards[position].subscribers[place].idleAt = moment.now + ShardSubscriber.idle
        shards[position].subscribers[place].sendsAt = max(moment.now, shard.subscribers[place].sendsAt) + cost
        return Self.event(
            writer.finish(
                last: ("ContinuationSequenceNumber", continuation(shard, range.upperBound, at: moment)),
                millisBehindLatest: shard.millisBehind(range.upperBound, at: moment)))
    }

    /// The number after which record `next` comes: that of the record before, or the shard's starting number.
    private func continuation(_ shard: KinesisShard, _ next: UInt64, at moment: Moment) -> AWSValue {
        if next == 0 { return .string(shard.startingNumber.description) }
        let isKept = next > shard.log.first && next <= shard.log.end
        let arrival = isKept ? shard.log.entry(next - 1).arrival : trimHorizon(at: moment).milliseconds
        return .string(shard.number(ofRecord: next - 1, arrival: arrival).description)
    }

    private static func event(_ payload: [UInt8]) -> [UInt8] {
        EventMessage.event("SubscribeToShardEvent", Bytes(payload)).encoded()
    }

    private static func frame(_ error: ServiceError) -> [UInt8] {
        EventMessage.exception(error.type, Bytes(JSON.encode(["message": .string(error.message)]))).encoded()
    }
}
