import AWSWire
import Leases
import Machine

/// Makes a recording that can be shown to anybody: names are replaced, each by the same one throughout, and only what
/// is known to hold no secret is kept at all.
///
/// Application, table, stream and worker names, shard ids that are not the service's own numbers, account, role and
/// endpoint are replaced; free text (messages, a child's reasons, attributes that are not KCL's) is left out. Times,
/// counters, hash keys, sequence numbers, the region and the service's `shardId-000000000007` stay, because the screen
/// is about them.
package struct Anonymizer: Sendable {
    private var names: [String: String] = [:]
    private var counts: [String: Int] = [:]
    private var lineNumber = 0
    /// Keys of rows that are no leases but a worker's metrics.
    private var workerKeys: Set<String> = []

    /// Attributes whose number stays.
    private static let numbers: Set<String> = [
        "leaseCounter", "checkpointSubSequenceNumber", "ownerSwitchesSinceCheckpoint",
        "pendingCheckpointSubSequenceNumber", "throughputKBps", "failoverTimeMillis", "lut", "mts", "sup", "slu",
    ]

    private static let leftOut = "(left out)"
    private static let account = "000000000000"

    package init() {}

    /// The line that takes the place of `line`; `nil` where nothing of it may stay. The first line is the header.
    package mutating func line(_ line: String) throws(Replay.Malformed) -> String? {
        lineNumber += 1
        if line.isEmpty { return nil }
        guard let value = try? JSON.decode(Bytes(line)) else {
            throw Replay.Malformed(line: lineNumber, reason: "it is not JSON")
        }
        if lineNumber == 1 {
            // What is no recording is not passed on.
            _ = try Replay(header: line)
            return JSON.text(header(value))
        }
        return entry(value).map { JSON.text($0) }
    }

    // MARK: - Names

    private mutating func name(_ kind: String, _ original: String?) -> AWSValue? {
        guard let original else { return nil }
        if original.isEmpty { return .string("") }
        let key = kind + "\n" + original
        if let known = names[key] { return .string(known) }
        counts[kind, default: 0] += 1
        let made = "\(kind)-\(counts[kind] ?? 1)"
        names[key] = made
        return .string(made)
    }

    /// A table that is named as its application stays so.
    private mutating func application(_ original: String?) -> AWSValue? { name("application", original) }

    private mutating func worker(_ original: String?) -> AWSValue? { name("worker", original) }

    /// A shard id, or the key of a lease of several streams: `ACCOUNT:STREAM:CREATED:SHARD`.
    private mutating func shard(_ original: String) -> String {
        let parts = original.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 4, parts[2].utf8.allSatisfy({ 48...57 ~= $0 }) else { return shardName(original) }
        let stream = name("stream", parts[1])?.string ?? ""
        return [Self.account, stream, parts[2], shardName(parts[3])].joined(separator: ":")
    }

    private mutating func shardName(_ original: String) -> String {
        if Self.knownKeys.contains(original) { return original }
        if workerKeys.contains(original) { return worker(original)?.string ?? "" }
        let digits = original.utf8.dropFirst(8)
        if original.hasPrefix("shardId-"), digits.count == 12, digits.allSatisfy({ 48...57 ~= $0 }) { return original }
        return name("shard", original)?.string ?? ""
    }

    private mutating func shards(_ value: AWSValue?) -> AWSValue? {
        guard let strings = value?.strings else { return nil }
        return .list(strings.map { .string(shard($0)) })
    }

    // MARK: - Lines

    private mutating func header(_ value: AWSValue) -> AWSValue {
        var header = keep(
            "version at isDemo failoverTimeMillis refreshMillis historyMillis historyCapacity", of: value)
        header["shardtop"] = "recording"
        header["application"] = application(value["application"]?.string)
        header["table"] = application(value["table"]?.string)
        if let stream = name("stream", value["stream"]?.string) { header["stream"] = stream }
        header["region"] = .string(value["region"]?.string ?? "")
        if value["account"] != nil { header["account"] = .string(Self.account) }
        if value["role"] != nil { header["role"] = "role" }
        if value["endpoint"] != nil { header["endpoint"] = "http://endpoint" }
        return header
    }

    /// The numbers and truths of `value` under these names.
    private func keep(_ names: String, of value: AWSValue) -> AWSValue {
        var kept: AWSValue = [:]
        for name in names.split(separator: " ").map(String.init) {
            guard let member = value[name], member.double != nil || member.bool != nil else { continue }
            kept[name] = member
        }
        return kept
    }

    private mutating func entry(_ value: AWSValue) -> AWSValue? {
        guard let kind = value["is"]?.string else { return nil }
        var entry = keep("t wall date units calls retentionHours openShards status", of: value)
        entry["is"] = .string(kind)
        switch kind {
        case "scan":
            if let rows = value["rows"]?.list { entry["rows"] = .list(rows.compactMap { row($0) }) }
            if let gone = shards(value["gone"]) { entry["gone"] = gone }
        case "rows":
            if let rows = value["rows"]?.list { entry["rows"] = .list(rows.compactMap { row($0) }) }
            if let keys = shards(value["keys"]) { entry["keys"] = keys }
        case "row":
            guard let row = value["row"].flatMap({ row($0) }) else { return nil }
            entry["row"] = row
        case "shards":
            if let list = value["shards"]?.list { entry["shards"] = .list(list.map { shardEntry($0) }) }
        case "named":
            entry["stream"] = value["stream"]?.string.map { .string(streamIdentifier($0)) }
            if let created = value["created"], created.int != nil { entry["created"] = created }
            if let list = value["shards"]?.list { entry["shards"] = .list(list.map { shardEntry($0) }) }
        case "stream":
            entry["name"] = name("stream", value["name"]?.string)
            let stream = entry["name"]?.string ?? ""
            entry["arn"] = .string("arn:aws:kinesis:region:\(Self.account):stream/\(stream)")
            entry["status"] = word(value["status"])
        case "migration", "leader": if let item = value["item"] { entry["item"] = attributes(item) }
        case "metrics":
            if let rows = value["rows"]?.list { entry["rows"] = .list(rows.map { attributes($0) }) }
            if let gone = value["gone"]?.strings { entry["gone"] = .list(gone.compactMap { worker($0) }) }
            if value["absent"]?.bool == true { entry["absent"] = true }
        case "probe":
            for name in ["key", "shard"] { entry[name] = .string(shard(value[name]?.string ?? "")) }
            entry["checkpoint"] = checkpoint(value["checkpoint"]?.string).map { .string($0) } ?? "TRIM_HORIZON"
            for (name, number) in ["sub", "unread", "behind"].compactMap({ name in value[name].map { (name, $0) } })
            where number.int != nil { entry[name] = number }
        case "cloudwatch":
            entry["lags"] = .list(
                (value["lags"]?.list ?? []).map { lag in
                    var kept = keep("behind at", of: lag)
                    kept["shard"] = .string(shard(lag["shard"]?.string ?? ""))
                    return kept
                })
        case "failed":
            entry["what"] = word(value["what"])
            entry["operation"] = word(value["operation"])
            if let type = word(value["type"]) { entry["type"] = type }
            if let stream = value["stream"]?.string { entry["stream"] = .string(streamIdentifier(stream)) }
            entry["message"] = .string(Self.leftOut)
        case "workers":
            entry["workers"] = .list(
                (value["workers"]?.list ?? []).map { worker in
                    var kept = keep("paused stopped", of: worker)
                    kept["id"] = self.worker(worker["id"]?.string)
                    return kept
                })
        case "children":
            if let children = value["children"]?.list { entry["children"] = .list(children.map { child($0) }) }
            if let gone = shards(value["gone"]) { entry["gone"] = gone }
        case "event":
            guard let event = value["event"] else { return nil }
            entry["event"] = self.event(event)
        // What a later version records may hold anything.
        default: return nil
        }
        return entry
    }

    /// A word of our own or of the service: letters, digits and dots. Anything else may be a name.
    private func word(_ value: AWSValue?) -> AWSValue? {
        guard let text = value?.string else { return nil }
        let isWord =
            text.utf8.count <= 80
            && text.utf8.allSatisfy { byte in
                48...57 ~= byte || 65...90 ~= byte || 97...122 ~= byte || byte == 46 || byte == 95
            }
        return .string(isWord ? text : Self.leftOut)
    }

    private func digits(_ value: AWSValue?) -> AWSValue? {
        guard let text = value?.string, !text.isEmpty, text.utf8.allSatisfy({ 48...57 ~= $0 }) else { return nil }
        return .string(text)
    }

    private mutating func shardEntry(_ value: AWSValue) -> AWSValue {
        var entry: AWSValue = [:]
        for name in ["id", "parent", "adjacent"] {
            if let id = value[name]?.string { entry[name] = .string(shard(id)) }
        }
        for name in ["start", "end", "from", "to"] {
            if let number = digits(value[name]) { entry[name] = number }
        }
        return entry
    }

    private mutating func child(_ value: AWSValue) -> AWSValue {
        var child = keep(
            "pid messageMillis waitingMillis stray answered checkpoints refused restarts written share resident",
            of: value)
        child["shard"] = .string(shard(value["shard"]?.string ?? ""))
        child["state"] = word(value["state"])
        if let action = word(value["action"]) { child["action"] = action }
        if value["why"] != nil { child["why"] = .string(Self.leftOut) }
        return child
    }

    private mutating func event(_ value: AWSValue) -> AWSValue {
        var event = keep(
            "version seq checkpointSubSequenceNumber records bytes millisBehindLatest leaseCounter stopped", of: value)
        for name in ["event", "source", "reason"] {
            if let word = word(value[name]) { event[name] = word }
        }
        if let time = value["at"]?.string.flatMap(CivilTime.parseISO8601) {
            event["at"] = .string(CivilTime(time).iso8601)
        }
        if let bounds = value["observedBetween"]?.strings {
            event["observedBetween"] = .list(
                bounds.compactMap(CivilTime.parseISO8601).map { .string(CivilTime($0).iso8601) })
        }
        for name in ["workerId", "previousOwner", "owner"] {
            if let worker = worker(value[name]?.string) { event[name] = worker }
        }
        if let shard = value["shardId"]?.string { event["shardId"] = .string(self.shard(shard)) }
        if let children = shards(value["childShardIds"]) { event["childShardIds"] = children }
        if let checkpoint = checkpoint(value["checkpoint"]?.string) { event["checkpoint"] = .string(checkpoint) }
        for name in ["from", "to"] {
            if let number = digits(value[name]) { event[name] = number }
        }
        if value["message"] != nil { event["message"] = .string(Self.leftOut) }
        return event
    }

    private func checkpoint(_ text: String?) -> String? {
        text.flatMap { Checkpoint($0, subSequenceNumber: 0) == nil ? nil : $0 }
    }
}

// MARK: - Rows

extension Anonymizer {
    private mutating func row(_ value: AWSValue) -> AWSValue? {
        guard let key = value["key"]?.string else { return nil }
        if let item = value["new"].flatMap({ Item(wire: $0) }), Self.isWorkerRow(item) { workerKeys.insert(key) }
        var row: AWSValue = ["key": .string(shard(key))]
        if let new = value["new"] { row["new"] = attributes(new) }
        if let set = value["set"] { row["set"] = attributes(set) }
        if let removed = value["remove"]?.strings { row["remove"] = .list(removed.map { .string($0) }) }
        return row
    }

    /// A DynamoDB item: of its attributes only those stay that are known.
    private mutating func attributes(_ value: AWSValue) -> AWSValue {
        guard let item = Item(wire: value) else { return [:] }
        return attributes(item).wire
    }

    private mutating func attributes(_ item: Item) -> Item {
        var kept: Item = [:]
        // In a fixed order, so that the same recording makes the same names.
        for (name, value) in item.sorted(by: { $0.key < $1.key }) { kept[name] = attribute(name, value) }
        return kept
    }

    private mutating func attribute(_ name: String, _ value: AttributeValue) -> AttributeValue? {
        switch (name, value) {
        case ("leaseKey", .s(let key)): .s(shard(key))
        case ("leaseOwner", .s(let owner)), ("checkpointOwner", .s(let owner)), ("leaderName", .s(let owner)),
            ("owner", .s(let owner)), ("wid", .s(let owner)), ("ownerName", .s(let owner)), ("mb", .s(let owner)):
            worker(owner)?.string.map { .s($0) }
        case ("streamName", .s(let stream)): .s(streamIdentifier(stream))
        case ("parentShardId", .ss(let ids)), ("childShardIds", .ss(let ids)):
            .ss(Set(ids.sorted().map { shard($0) }))
        case ("checkpoint", .s(let text)), ("pendingCheckpoint", .s(let text)): checkpoint(text).map { .s($0) }
        case ("startingHashKey", .s(let text)), ("endingHashKey", .s(let text)):
            digits(.string(text)) == nil ? nil : value
        case ("key", .s(let key)): Self.knownKeys.contains(key) ? value : nil
        case ("recordVersionNumber", .s(let version)): self.name("version", version)?.string.map { .s($0) }
        case ("leaseDuration", .s(let text)), ("isReleased", .s(let text)):
            digits(.string(text)) == nil ? nil : value
        case ("sts", .m(let map)), ("opr", .m(let map)): Self.metrics(map)
        case ("entityType", .s(let text)), ("cv", .s(let text)), ("tm", .s(let text)):
            word(.string(text))?.string.map { .s($0) }
        case ("shardtop", .m(let mark)): .m(attributes(mark))
        case (_, .n(let number)) where Self.numbers.contains(name): Double(number) == nil ? nil : value
        default: nil
        }
    }

    /// A name, or `ACCOUNT:STREAM:CREATED` in a table of several streams.
    private mutating func streamIdentifier(_ text: String) -> String {
        let parts = text.split(separator: ":").map(String.init)
        guard parts.count == 3 else { return name("stream", text)?.string ?? "" }
        return "\(Self.account):\(name("stream", parts[1])?.string ?? ""):\(parts[2])"
    }
}
