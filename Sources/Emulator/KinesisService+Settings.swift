import AWSWire
import Machine
import OrderedCollections
import Synchronization

/// What is set on streams, consumers and the account, beside shards.
extension KinesisService {
    static let onDemandStreamsMax = 50
    /// MiB a second that an on-demand stream can be made ready for.
    static let warmThroughputMax = 10_240
    /// A stream changes its mode twice a day.
    static let modeChangesMax = 2

    // MARK: Tags

    func addTagsToStream(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        try withStream(try streamName(input)) { (stream, _) throws(ServiceError) in
            try stream.resource.add(input["Tags"]?.map ?? [:], to: stream.described)
        }
        return .empty
    }

    func removeTagsFromStream(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        try withStream(try streamName(input)) { (stream, _) throws(ServiceError) in
            try stream.resource.remove((input["TagKeys"]?.list ?? []).compactMap(\.string), from: stream.described)
        }
        return .empty
    }

    func listTagsForStream(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let limit = input["Limit"]?.int ?? ResourceState.tagsMax
        return try withStream(try streamName(input), onlyRecords: true) { (stream, _) throws(ServiceError) in
            let tags = stream.resource.listed(after: input["ExclusiveStartTagKey"]?.string)
            return .tree(["Tags": .list(Array(tags.prefix(limit))), "HasMoreTags": .bool(tags.count > limit)])
        }
    }

    func tagResource(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        try withResource(input) { (resource, described) throws(ServiceError) in
            try resource.add(input["Tags"]?.map ?? [:], to: described)
        }
        return .empty
    }

    func untagResource(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        try withResource(input) { (resource, described) throws(ServiceError) in
            try resource.remove((input["TagKeys"]?.list ?? []).compactMap(\.string), from: described)
        }
        return .empty
    }

    func listTagsForResource(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        .tree(["Tags": .list(try withResource(input, onlyRecords: true) { (resource, _) in resource.listed() })])
    }

    // MARK: Policies

    func putResourcePolicy(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        try withResource(input) { (resource, _) throws(ServiceError) in
            try resource.set(policy: input["Policy"]?.string ?? "")
        }
        return .empty
    }

    func getResourcePolicy(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let policy = try withResource(input, onlyRecords: true) { (resource, _) in resource.policy }
        guard let policy else {
            throw ServiceError(
                "ResourceNotFoundException",
                "No resource policy found for resource ARN \(input["ResourceARN"]?.string ?? "").")
        }
        return .tree(["Policy": .string(policy)])
    }

    func deleteResourcePolicy(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        try withResource(input) { (resource, _) throws(ServiceError) in try resource.set(policy: nil) }
        return .empty
    }

    /// Runs `body` with what `ResourceARN` names, a stream or a consumer; `onlyRecords` as for `withStream`.
    private func withResource<T: Sendable>(
        _ input: AWSValue, onlyRecords: Bool = false,
        _ body: (inout ResourceState, _ described: String) throws(ServiceError) -> T
    ) throws(ServiceError) -> T {
        let arn = input["ResourceARN"]?.string ?? ""
        if arn.contains("/consumer/") {
            let reference = try consumer(arn: arn)
            try checkStreamID(input, isOf: reference.stream)
            return try withStream(reference.stream, onlyRecords: onlyRecords) { (stream, _) throws(ServiceError) in
                let position = try stream.position(of: reference)
                return try body(
                    &stream.consumers[position].resource,
                    "consumer \(reference.name) under account \(stream.account)")
            }
        }
        let name = try streamName(["StreamARN": .string(arn)])
        try checkStreamID(input, isOf: name)
        return try withStream(name, onlyRecords: onlyRecords) { (stream, _) throws(ServiceError) in
            let described = stream.described
            return try body(&stream.resource, described)
        }
    }

    private func checkStreamID(_ input: AWSValue, isOf stream: String) throws(ServiceError) {
        guard let id = input["StreamId"] else { return }
        _ = try streamName(["StreamName": .string(stream), "StreamId": id])
    }

    // MARK: Monitoring and encryption

    func changeMonitoring(_ input: AWSValue, isEnabling: Bool) throws(ServiceError) -> ServiceAnswer {
        let metrics = (input["ShardLevelMetrics"]?.list ?? []).compactMap(\.string)
        return try withStream(try streamName(input)) { (stream, _) throws(ServiceError) in
            try stream.checkActive()
            let current = stream.monitoring.description
            stream.monitoring.change(metrics, isEnabling: isEnabling)
            return .tree([
                "StreamName": .string(stream.name), "StreamARN": .string(stream.arn),
                "CurrentShardLevelMetrics": current, "DesiredShardLevelMetrics": stream.monitoring.description,
            ])
        }
    }

    func changeEncryption(_ input: AWSValue, isStarting: Bool) throws(ServiceError) -> ServiceAnswer {
        guard input["EncryptionType"] == "KMS" else {
            throw .invalidArgument("The only valid value of EncryptionType is KMS.")
        }
        let keyID = isStarting ? input["KeyId"]?.string : nil
        try startUpdate(of: try streamName(input)) { (stream, _) in
            stream.encryption.keyID == keyID ? nil : .encryption(keyID: keyID)
        }
        return .empty
    }

    // MARK: Capacity

    func updateMaxRecordSize(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let count = (input["MaxRecordSizeInKiB"]?.int ?? 0) * 1024
        try startUpdate(of: try streamName(input)) { (_, _) in .recordBytesMax(count) }
        return .empty
    }

    func updateStreamMode(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let isOnDemand = input["StreamModeDetails"]?["StreamMode"]?.string == "ON_DEMAND"
        let warmThroughput = input["WarmThroughputMiBps"]?.int
        if let warmThroughput { try checkWarmThroughput(warmThroughput, isOnDemand: isOnDemand, at: moment) }
        let onDemand = onDemandStreams
        let enforces = configuration.enforcesScalingLimits
        let room = shardRoom()
        let configuration = configuration
        try startUpdate(of: try streamName(input)) { (stream, moment) throws(ServiceError) in
            if isOnDemand, !stream.isOnDemand { try Self.checkOnDemandRoom(onDemand, configuration) }
            stream.modeChanges.removeAll { moment.wall - $0 >= .seconds(24 * 3600) }
            if enforces, stream.modeChanges.count >= Self.modeChangesMax {
                throw ServiceError(
                    "LimitExceededException",
                    "The mode of stream \(stream.name) under account \(stream.account) can be changed at most "
                        + "\(Self.modeChangesMax) times in 24 hours.")
            }
            let added = (warmThroughput ?? 0) - stream.openShards
            if added > room { throw .shardLimitExceeded(adding: added, room: room, configuration) }
            if isOnDemand == stream.isOnDemand, warmThroughput == nil { return nil }
            stream.modeChanges.append(moment.wall)
            return .mode(isOnDemand: isOnDemand, warmThroughput: warmThroughput)
        }
        return .empty
    }

    func updateStreamWarmThroughput(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let target = input["WarmThroughputMiBps"]?.int ?? 0
        let room = shardRoom()
        let configuration = configuration
        let isCommitted = account(at: moment.wall).isCommitted
        let delay = configuration.streamStatusDelay
        return try withStream(try streamName(input)) { (stream, moment) throws(ServiceError) in
            try stream.checkActive()
            try Self.checkWarmThroughput(target, isOnDemand: stream.isOnDemand, isCommitted: isCommitted)
            let added = target - stream.openShards
            if added > room { throw .shardLimitExceeded(adding: added, room: room, configuration) }
            stream.startUpdating(.warmThroughput(target), until: moment.now + delay)
            return .tree([
                "StreamARN": .string(stream.arn), "StreamName": .string(stream.name),
                "WarmThroughput": stream.warmThroughput(towards: target),
            ])
        }
    }

    /// Puts an ACTIVE stream into UPDATING, at whose end the update happens that `decide` answers; with none, nothing
    /// is to be done.
    private func startUpdate(
        of name: String, _ decide: (inout KinesisStream, Moment) throws(ServiceError) -> KinesisStream.Update?
    ) throws(ServiceError) {
        let delay = configuration.streamStatusDelay
        try withStream(name) { (stream, moment) throws(ServiceError) in
            try stream.checkActive()
            if let update = try decide(&stream, moment) {
                stream.startUpdating(update, until: moment.now + delay)
            }
        }
    }

    func checkWarmThroughput(_ target: Int, isOnDemand: Bool, at moment: Moment) throws(ServiceError) {
        try Self.checkWarmThroughput(
            target, isOnDemand: isOnDemand, isCommitted: account(at: moment.wall).isCommitted)
    }

    private static func checkWarmThroughput(
        _ target: Int, isOnDemand: Bool, isCommitted: Bool
    ) throws(ServiceError) {
        guard isOnDemand else {
            throw .validation("WarmThroughputMiBps is only supported for streams in On-Demand mode.")
        }
        guard isCommitted else {
            throw .validation(
                "WarmThroughputMiBps is only supported for accounts that have MinimumThroughputBillingCommitment "
                    + "enabled.")
        }
        guard target <= warmThroughputMax else {
            throw ServiceError(
                "LimitExceededException", "WarmThroughputMiBps cannot be more than \(warmThroughputMax).")
        }
    }

    var onDemandStreams: Int { all(\.isOnDemand).count { $0 } }

    /// - Parameter count: of the streams in that mode, without the one that is to get it.
    static func checkOnDemandRoom(_ count: Int, _ configuration: EmulatorConfiguration) throws(ServiceError) {
        guard count < onDemandStreamsMax else {
            throw ServiceError(
                "LimitExceededException",
                "The account \(configuration.accountID) cannot have more than \(onDemandStreamsMax) streams in "
                    + "On-Demand mode.")
        }
    }

    // MARK: The account

    func account(at now: UnixTime) -> AccountSettings {
        accountSettings.withLock { settings in
            settings.settle(at: now)
            return settings
        }
    }

    func updateAccountSettings(_ input: AWSValue) throws(ServiceError) -> ServiceAnswer {
        let isWanted = input["MinimumThroughputBillingCommitment"]?["Status"]?.string == "ENABLED"
        let now = moment.wall
        return try accountSettings.withLock { (settings) throws(ServiceError) in
            var changed = settings
            changed.commit(isWanted, at: now)
            try keep(changed)
            settings = changed
            return .tree(settings.description)
        }
    }
}
