import AWSWire
import Machine

extension KinesisStream {
    /// Appends an open shard and returns its position. Routes are the caller's to rebuild.
    @discardableResult
    mutating func open(_ range: HashKeyRange, parents: [KinesisShard], at time: UnixTime) -> Int {
        shards.append(KinesisShard(index: nextIndex, range: range, parents: parents, openedAt: time))
        nextIndex += 1
        return shards.count - 1
    }

    mutating func rebuildRoutes() {
        routes = shards.indices.filter { shards[$0].isOpen }
            .sorted { shards[$0].range.start < shards[$1].range.start }
    }

    mutating func perform(_ update: Update, at time: UnixTime) {
        switch update {
        case .split(let index, let key):
            guard let position = position(ofIndex: index) else { return }
            _ = split(position, at: key, time)
        case .merge(let index, let adjacent):
            guard let first = position(ofIndex: index), let second = position(ofIndex: adjacent) else { return }
            _ = merge(first, second, time)
        case .scale(let target): scale(to: target, time)
        case .mode(let isOnDemand, let warmThroughput):
            self.isOnDemand = isOnDemand
            self.warmThroughput = isOnDemand ? warmThroughput : nil
            if isOnDemand { scaleUp(to: warmThroughput ?? 0, time) }
        case .warmThroughput(let target):
            warmThroughput = target
            scaleUp(to: target, time)
        case .encryption(let keyID): encryption.set(keyID, at: time)
        case .recordBytesMax(let count): recordBytesMax = count
        }
        rebuildRoutes()
    }

    private mutating func split(_ position: Int, at key: UInt128, _ time: UnixTime) -> (Int, Int) {
        let parent = shards[position]
        shards[position].close(at: time, children: [nextIndex, nextIndex + 1])
        let opened = shards[position].closedAt ?? time
        return (
            open(HashKeyRange(start: parent.range.start, end: key - 1), parents: [parent], at: opened),
            open(HashKeyRange(start: key, end: parent.range.end), parents: [parent], at: opened)
        )
    }

    private mutating func merge(_ first: Int, _ second: Int, _ time: UnixTime) -> Int {
        let parents = [shards[first], shards[second]]
        var opened = time
        for position in [first, second] {
            shards[position].close(at: time, children: [nextIndex])
            opened = max(opened, shards[position].closedAt ?? time)
        }
        return open(
            HashKeyRange(start: parents[0].range.start, end: parents[1].range.end), parents: parents, at: opened)
    }

    /// An open shard takes 1 MiB a second, so there must be as many as that.
    private mutating func scaleUp(to megabytesPerSecond: Int, _ time: UnixTime) {
        if megabytesPerSecond > openShards { scale(to: megabytesPerSecond, time) }
    }

    /// Splits at every border of the new ranges that is none yet, then merges what lies within one range; shards in
    /// between live for an instant and stay empty, as the service's temporary ones.
    private mutating func scale(to target: Int, _ time: UnixTime) {
        let ranges = HashKeyRange.uniform(target)
        var borders = ranges.dropFirst().map(\.start)[...]
        var cut: [Int] = []
        for position in routes {
            var rest = position
            while let border = borders.first, border <= shards[rest].range.end {
                borders.removeFirst()
                if border == shards[rest].range.start { continue }
                let (left, right) = split(rest, at: border, time)
                cut.append(left)
                rest = right
            }
            cut.append(rest)
        }
        var remaining = cut[...]
        for range in ranges {
            guard var merged = remaining.popFirst() else { return }
            while shards[merged].range.end < range.end, let next = remaining.popFirst() {
                merged = merge(merged, next, time)
            }
        }
    }
}

// MARK: Requests

extension KinesisStream {
    /// - Parameter room: how many more open shards the account may have.
    mutating func splitShard(
        _ id: String, at keyText: String, room: Int, until: Timestamp, configuration: EmulatorConfiguration
    ) throws(ServiceError) {
        try checkActive()
        try checkProvisioned()
        guard let position = position(ofID: id) else { throw shardNotFound(id) }
        try checkOpen(position)
        let id = shards[position].id
        let shard = shards[position]
        if room < 1 { throw shardLimitExceeded(adding: 1, room: room, configuration) }
        guard let key = UInt128(keyText), shard.range.start < .max, key > shard.range.start + 1, key < shard.range.end
        else {
            throw .invalidArgument(
                "NewStartingHashKey \(keyText) used in SplitShard() on shard \(id) in stream \(name) under account "
                    + "\(account) is not both greater than one plus the shard's StartingHashKey "
                    + "\(shard.range.start) and less than the shard's EndingHashKey \(shard.range.end).")
        }
        startUpdating(.split(shard: shard.index, at: key), until: until)
    }

    mutating func mergeShards(_ id: String, _ adjacentID: String, until: Timestamp) throws(ServiceError) {
        try checkActive()
        try checkProvisioned()
        guard let first = position(ofID: id) else { throw shardNotFound(id) }
        guard let second = position(ofID: adjacentID) else { throw shardNotFound(adjacentID) }
        try checkOpen(first)
        try checkOpen(second)
        let lower = shards[first]
        let upper = shards[second]
        guard lower.range.end < .max, lower.range.end + 1 == upper.range.start else {
            throw .invalidArgument(
                "Shards \(lower.id) and \(upper.id) in stream \(name) under account \(account) are not an adjacent pair "
                    + "of shards eligible for merging")
        }
        startUpdating(.merge(shard: lower.index, adjacent: upper.index), until: until)
    }

    mutating func updateShardCount(
        to target: Int, room: Int, until: Timestamp, at moment: Moment, configuration: EmulatorConfiguration
    ) throws(ServiceError) {
        try checkActive()
        try checkProvisioned()
        let current = openShards
        if configuration.enforcesScalingLimits {
            let counts = "Current open shard count: \(current) Target shard count: \(target)"
            if target > current * 2 {
                throw .invalidArgument(
                    "UpdateShardCount cannot scale up over double your current open shard count. " + counts)
            }
            if target < (current + 1) / 2 {
                throw .invalidArgument(
                    "UpdateShardCount cannot scale down below half your current open shard count. " + counts)
            }
            if target > 10_000 {
                throw ServiceError(
                    "LimitExceededException",
                    "Stream \(name) under account \(account) cannot be scaled to more than 10000 shards.")
            }
            scalings.removeAll { moment.wall - $0 >= .seconds(24 * 3600) }
            if scalings.count >= 10 {
                throw ServiceError(
                    "LimitExceededException",
                    "Stream \(name) under account \(account) can be scaled at most 10 times in 24 hours.")
            }
        }
        if target - current > room { throw shardLimitExceeded(adding: target - current, room: room, configuration) }
        scalings.append(moment.wall)
        if target != current { startUpdating(.scale(target: target), until: until) }
    }

    /// Refuses what only the service itself may do to an on-demand stream.
    private func checkProvisioned() throws(ServiceError) {
        if isOnDemand {
            throw .validation(
                "Request is invalid. Stream \(name) under account \(account) is in On-Demand mode.")
        }
    }

    private func checkOpen(_ position: Int) throws(ServiceError) {
        guard shards[position].isOpen else {
            throw .invalidArgument(
                "Shard \(shards[position].id) in stream \(name) under account \(account) has already been merged or "
                    + "split, and thus is not eligible for merging or splitting.")
        }
    }

    private func shardLimitExceeded(
        adding count: Int, room: Int, _ configuration: EmulatorConfiguration
    ) -> ServiceError {
        .shardLimitExceeded(adding: count, room: room, configuration)
    }
}

extension ServiceError {
    static func shardLimitExceeded(
        adding count: Int, room: Int, _ configuration: EmulatorConfiguration
    ) -> ServiceError {
        ServiceError(
            "LimitExceededException",
            "This request would exceed the shard limit for the account \(configuration.accountID) in "
                + "\(configuration.region). Current shard count for the account: \(configuration.shardsMax - room). "
                + "Limit: \(configuration.shardsMax). Number of additional shards that would have resulted from this "
                + "request: \(count). Refer to the AWS Service Limits page "
                + "(http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how "
                + "to request higher limits.")
    }
}
