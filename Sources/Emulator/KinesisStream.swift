import AWSWire
import Machine

/// One stream: its shards and what becomes of them. Mutated in place under the stream's lock.
struct KinesisStream: Sendable {
    enum Status: String, Sendable {
        case creating = "CREATING"
        case active = "ACTIVE"
        case updating = "UPDATING"
        case deleting = "DELETING"
        /// Gone; whoever finds it so removes it.
        case deleted = "DELETED"
    }

    /// A change that was accepted and happens when UPDATING ends.
    enum Update: Hashable, Sendable {
        case split(shard: Int, at: UInt128)
        case merge(shard: Int, adjacent: Int)
        case scale(target: Int)
        case mode(isOnDemand: Bool, warmThroughput: Int?)
        case warmThroughput(Int)
        case encryption(keyID: String?)
        case recordBytesMax(Int)
    }

    let name: String
    let arn: String
    let account: String
    let created: UnixTime
    /// The service's own name for it, which no later stream of this name has.
    let id: String
    var isOnDemand: Bool
    /// MiB a second that an on-demand stream is to be ready for.
    var warmThroughput: Int?
    var recordBytesMax: Int
    var retention: Duration
    var resource = ResourceState()
    var encryption = StreamEncryption()
    var monitoring = StreamMonitoring()
    var status: Status = .creating
    var statusUntil: Timestamp
    var update: Update?
    let initialShards: Int
    /// In the order of their indexes, without the expired ones.
    var shards: [KinesisShard] = []
    var nextIndex = 0
    /// Positions in `shards` of the open ones, in the order of their hash key ranges.
    var routes: [Int] = []
    /// When UpdateShardCount was accepted, within the last day.
    var scalings: [UnixTime] = []
    /// When UpdateStreamMode was, too.
    var modeChanges: [UnixTime] = []
    /// The fan-out consumers in the order of their names.
    var consumers: [StreamConsumer] = []
    /// When the next consumer's status ends.
    var consumersSettleAt = Timestamp.never
    var lastSubscriptionID: UInt64 = 0
    var nextSweep: UnixTime
    /// Where it is kept; `nil` where nothing outlives the process.
    var journal: StreamJournal?

    init(
        name: String, shards: Int, isOnDemand: Bool, recordBytesMax: Int, configuration: EmulatorConfiguration,
        at moment: Moment
    ) {
        self.name = name
        arn = configuration.arn(ofStream: name)
        account = configuration.accountID
        created = moment.wall
        id = Self.id(of: arn, created: created)
        self.isOnDemand = isOnDemand
        self.recordBytesMax = recordBytesMax
        retention = configuration.retention
        initialShards = shards
        statusUntil = moment.now + configuration.streamStatusDelay
        nextSweep = moment.wall
    }

    /// Does what the service has done by itself since the last call: ends a status, reshards, expires.
    mutating func settle(at moment: Moment) {
        if status != .active, status != .deleted, moment.now >= statusUntil {
            // It happened when the delay was over, not when somebody looked.
            let time = moment.wall - (moment.now - statusUntil)
            switch status {
            case .creating:
                for range in HashKeyRange.uniform(initialShards) { open(range, parents: [], at: created) }
                rebuildRoutes()
                status = .active
            case .updating:
                if let update { perform(update, at: time) }
                update = nil
                status = .active
                wakeSubscribers()
            case .deleting:
                status = .deleted
                wakeSubscribers()
                shards = []
                routes = []
                consumers = []
            case .active, .deleted: break
            }
        }
        if moment.now >= consumersSettleAt { settleConsumers(at: moment) }
        if moment.wall >= nextSweep { sweep(at: moment) }
    }

    mutating func startUpdating(_ update: Update, until: Timestamp) {
        self.update = update
        status = .updating
        statusUntil = until
        wakeSubscribers()
    }

    mutating func startDeleting(until: Timestamp) {
        status = .deleting
        statusUntil = until
        wakeSubscribers()
    }

    /// The moment before which everything has expired.
    func trimHorizon(at moment: Moment) -> UnixTime { moment.wall - retention }

    private mutating func sweep(at moment: Moment) {
        nextSweep = moment.wall + min(.seconds(60), .nanoseconds(retention.wholeNanoseconds / 10))
        let horizon = trimHorizon(at: moment)
        for position in shards.indices {
            shards[position].log.trim(before: horizon)
            journal?.trim(shards[position].index, shards[position].log)
        }
        let expired = shards.contains { $0.closedAt.map { $0 < horizon } ?? false }
        guard expired else { return }
        wakeSubscribers()
        shards.removeAll { $0.closedAt.map { $0 < horizon } ?? false }
        rebuildRoutes()
    }

    // MARK: Finding shards

    func position(ofIndex index: Int) -> Int? {
        var low = 0
        var high = shards.count
        while low < high {
            let middle = (low + high) / 2
            if shards[middle].index < index { low = middle + 1 } else { high = middle }
        }
        return low < shards.count && shards[low].index == index ? low : nil
    }

    func position(ofID id: String) -> Int? { KinesisShard.index(ofID: id).flatMap(position(ofIndex:)) }

    /// The open shard whose range holds `hashKey`; open shards always cover the whole space once the stream is ACTIVE.
    func route(_ hashKey: UInt128) -> Int? {
        var low = 0
        var high = routes.count
        while low + 1 < high {
            let middle = (low + high) / 2
            if shards[routes[middle]].range.start <= hashKey { low = middle } else { high = middle }
        }
        return low < routes.count ? routes[low] : nil
    }

    var openShards: Int { routes.count }

    /// Twenty characters and three, as the service's are; the same for the same stream.
    private static func id(of arn: String, created: UnixTime) -> String {
        var generator = SeededGenerator(
            seed: arn.utf8.reduce(UInt64(bitPattern: created.milliseconds)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789")
        let letters = (0..<23).map { _ in alphabet[Int(generator.next() % 36)] }
        return String(letters[..<20]) + "-" + String(letters[20...])
    }

    // MARK: Errors that several operations share

    /// As messages name it.
    var described: String { "stream \(name) under account \(account)" }

    var notFound: ServiceError { .streamNotFound(name, account: account) }

    func shardNotFound(_ id: String) -> ServiceError {
        ServiceError(
            "ResourceNotFoundException", "Could not find shard \(id) in stream \(name) under account \(account).")
    }

    var notActive: ServiceError {
        ServiceError(
            "ResourceInUseException",
            "Stream \(name) under account \(account) not ACTIVE, instead in state \(status.rawValue)")
    }

    func checkActive() throws(ServiceError) {
        guard status == .active else { throw notActive }
    }

    /// Refuses a `StreamCreationTimestamp` that is of an earlier stream of this name.
    func check(created time: UnixTime?) throws(ServiceError) {
        // Clients round it to seconds.
        guard let time, time.milliseconds / 1000 != created.milliseconds / 1000 else { return }
        throw notFound
    }
}

extension ServiceError {
    static func streamNotFound(_ name: String, account: String) -> ServiceError {
        ServiceError("ResourceNotFoundException", "Stream \(name) under account \(account) not found.")
    }

    static var nextTokenExpired: ServiceError {
        ServiceError("ExpiredNextTokenException", "NextToken is expired; it is valid for 300 seconds.")
    }

    static func invalidArgument(_ message: String) -> ServiceError {
        ServiceError("InvalidArgumentException", message)
    }
}

extension HashKeyRange {
    /// The whole space in `count` parts; the last one takes what the division leaves over.
    static func uniform(_ count: Int) -> [HashKeyRange] {
        guard count > 1 else { return [.whole] }
        // 2^128 does not fit; (2^128 - 1) / n differs from it only where n divides 2^128.
        let n = UInt128(count)
        let step = UInt128.max / n + (UInt128.max % n == n - 1 ? 1 : 0)
        return (0..<count).map { index in
            let start = step * UInt128(index)
            return HashKeyRange(start: start, end: index == count - 1 ? .max : start + (step - 1))
        }
    }
}
