import AWSWire
import Machine

/// A stream as the state directory keeps it, without its records. Moments are kept by the wall clock, because the other
/// one begins anew with every process.
extension KinesisStream {
    func stored(at moment: Moment) -> AWSValue {
        var tree = AWSValue.members([
            "name": .string(name), "created": .int(created.milliseconds), "isOnDemand": .bool(isOnDemand),
            "recordBytesMax": .int(Int64(recordBytesMax)), "retention": .int(retention.wholeMilliseconds),
            "status": .string(status.rawValue),
            "statusUntil": status == .active ? nil : .int(moment.wall(of: statusUntil).milliseconds),
            "update": update?.stored, "initialShards": .int(Int64(initialShards)),
            "nextIndex": .int(Int64(nextIndex)), "scalings": .list(scalings.map { .int($0.milliseconds) }),
            "shards": .list(shards.map(\.stored)), "consumers": .list(consumers.map { $0.stored(at: moment) }),
        ])
        tree["modeChanges"] = .list(modeChanges.map { .int($0.milliseconds) })
        tree["resource"] = resource.stored
        tree["encryption"] = encryption.stored
        tree["monitoring"] = .list(monitoring.enabled.sorted().map { .string($0) })
        if let warmThroughput { tree["warmThroughput"] = .int(Int64(warmThroughput)) }
        return tree
    }

    /// `nil` where `tree` is no stream.
    init?(stored tree: AWSValue, configuration: EmulatorConfiguration, at moment: Moment) {
        guard let name = tree["name"]?.string, let created = tree["created"]?.time64,
            let isOnDemand = tree["isOnDemand"]?.bool, let recordBytesMax = tree["recordBytesMax"]?.int,
            let retention = tree["retention"]?.int, let status = tree["status"]?.string.flatMap(Status.init),
            let initialShards = tree["initialShards"]?.int,
            let nextIndex = tree["nextIndex"]?.int, let shards = tree["shards"]?.list,
            let consumers = tree["consumers"]?.list
        else { return nil }
        self.init(
            name: name, shards: initialShards, isOnDemand: isOnDemand, recordBytesMax: recordBytesMax,
            configuration: configuration, at: Moment(now: moment.now, wall: created))
        self.retention = .milliseconds(retention)
        self.status = status
        statusUntil = tree["statusUntil"]?.time64.map(moment.timestamp(of:)) ?? moment.now
        update = tree["update"].flatMap(Update.init(stored:))
        warmThroughput = tree["warmThroughput"]?.int
        resource = ResourceState(stored: tree["resource"])
        encryption = StreamEncryption(stored: tree["encryption"])
        monitoring.enabled = Set(tree["monitoring"]?.strings ?? [])
        modeChanges = tree["modeChanges"]?.list?.compactMap(\.time64) ?? []
        self.nextIndex = nextIndex
        scalings = tree["scalings"]?.list?.compactMap(\.time64) ?? []
        self.shards = shards.compactMap(KinesisShard.init(stored:))
        self.consumers = consumers.compactMap { StreamConsumer(stored: $0, ofStream: arn, at: moment) }
        guard self.shards.count == shards.count, self.consumers.count == consumers.count else { return nil }
        nextSweep = moment.wall
        consumersSettleAt = moment.now
        rebuildRoutes()
    }
}

extension KinesisStream.Update {
    fileprivate var stored: AWSValue {
        switch self {
        case .split(let shard, let key): ["split": .int(Int64(shard)), "at": .string(String(key))]
        case .merge(let shard, let adjacent): ["merge": .int(Int64(shard)), "adjacent": .int(Int64(adjacent))]
        case .scale(let target): ["scale": .int(Int64(target))]
        case .mode(let isOnDemand, let warm):
            .members(["isOnDemand": .bool(isOnDemand), "warm": warm.map { .int(Int64($0)) }])
        case .warmThroughput(let target): ["warmThroughput": .int(Int64(target))]
        case .encryption(let key): ["encryption": key.map { .list([.string($0)]) } ?? []]
        case .recordBytesMax(let count): ["recordBytesMax": .int(Int64(count))]
        }
    }

    fileprivate init?(stored tree: AWSValue) {
        if let shard = tree["split"]?.int, let key = tree["at"]?.string.flatMap({ UInt128($0) }) {
            self = .split(shard: shard, at: key)
        } else if let shard = tree["merge"]?.int, let adjacent = tree["adjacent"]?.int {
            self = .merge(shard: shard, adjacent: adjacent)
        } else if let target = tree["scale"]?.int {
            self = .scale(target: target)
        } else if let isOnDemand = tree["isOnDemand"]?.bool {
            self = .mode(isOnDemand: isOnDemand, warmThroughput: tree["warm"]?.int)
        } else if let target = tree["warmThroughput"]?.int {
            self = .warmThroughput(target)
        } else if let key = tree["encryption"]?.list {
            self = .encryption(keyID: key.first?.string)
        } else if let count = tree["recordBytesMax"]?.int {
            self = .recordBytesMax(count)
        } else {
            return nil
        }
    }
}

extension KinesisShard {
    fileprivate var stored: AWSValue {
        .members([
            "index": .int(Int64(index)), "start": .string(String(range.start)), "end": .string(String(range.end)),
            "parents": parents.isEmpty ? nil : .list(parents.map { .string($0) }),
            "openedAt": .int(openedAt.milliseconds), "createdSeconds": .int(createdSeconds),
            "closedAt": closedAt.map { .int($0.milliseconds) },
            "children": children.isEmpty ? nil : .list(children.map { .int(Int64($0)) }),
        ])
    }

    fileprivate init?(stored tree: AWSValue) {
        guard let index = tree["index"]?.int, let start = tree["start"]?.string.flatMap({ UInt128($0) }),
            let end = tree["end"]?.string.flatMap({ UInt128($0) }), start <= end,
            let openedAt = tree["openedAt"]?.time64, let created = tree["createdSeconds"]?.int
        else { return nil }
        self.init(
            index: index, range: HashKeyRange(start: start, end: end), parentIDs: tree["parents"]?.strings ?? [],
            openedAt: openedAt, createdSeconds: Int64(created))
        closedAt = tree["closedAt"]?.time64
        children = tree["children"]?.list?.compactMap(\.int) ?? []
    }
}

extension StreamConsumer {
    fileprivate func stored(at moment: Moment) -> AWSValue {
        .members([
            "name": .string(name), "created": .int(created.milliseconds), "status": .string(status.rawValue),
            "statusUntil": status == .active ? nil : .int(moment.wall(of: statusUntil).milliseconds),
            "resource": resource.stored,
        ])
    }

    fileprivate init?(stored tree: AWSValue, ofStream arn: String, at moment: Moment) {
        guard let name = tree["name"]?.string, let created = tree["created"]?.time64,
            let status = tree["status"]?.string.flatMap(Status.init)
        else { return nil }
        let until = tree["statusUntil"]?.time64.map(moment.timestamp(of:)) ?? moment.now
        self.init(
            name: name, ofStream: arn, resource: ResourceState(stored: tree["resource"]), created: created,
            until: until)
        self.status = status
    }
}

extension ResourceState {
    fileprivate var stored: AWSValue {
        .members([
            "tags": .list(tags.sorted { $0.key < $1.key }.map { [.string($0.key), .string($0.value)] }),
            "policy": policy.map { .string($0) },
        ])
    }

    fileprivate init(stored tree: AWSValue?) {
        for pair in tree?["tags"]?.list ?? [] {
            if let tag = pair.strings, tag.count == 2 { tags[tag[0]] = tag[1] }
        }
        policy = tree?["policy"]?.string
    }
}

extension StreamEncryption {
    fileprivate var stored: AWSValue {
        .members(["key": keyID.map { .string($0) }, "switches": .list(switches.map { .int($0) })])
    }

    fileprivate init(stored tree: AWSValue?) {
        keyID = tree?["key"]?.string
        switches = tree?["switches"]?.list?.compactMap { $0.int.map { Int64($0) } } ?? []
    }
}

extension AccountSettings {
    var stored: AWSValue {
        .members([
            "status": .string(status.rawValue), "startedAt": startedAt.map { .int($0.milliseconds) },
            "endedAt": endedAt.map { .int($0.milliseconds) },
            "earliestEnd": earliestEnd.map { .int($0.milliseconds) },
        ])
    }

    /// `nil` where `tree` is nothing of the kind.
    init?(stored tree: AWSValue) {
        guard let status = tree["status"]?.string.flatMap(Status.init) else { return nil }
        self.status = status
        startedAt = tree["startedAt"]?.time64
        endedAt = tree["endedAt"]?.time64
        earliestEnd = tree["earliestEnd"]?.time64
    }
}
