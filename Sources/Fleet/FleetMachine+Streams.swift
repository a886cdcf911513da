import AWSWire
import Leases
import Machine

/// The streams that a multi-stream table names: their shards, and whether they are the table's.
extension FleetMachine {
    /// Whether the rows name their streams themselves.
    var namesStreams: Bool { !streams.isEmpty }

    /// The place of the stream that a new row names; `nil` where the table is of one stream.
    mutating func stream(of lease: Lease, at now: Timestamp) -> Int? {
        guard let id = lease.streamID else { return nil }
        if streams.isEmpty { forgetGivenStream() }
        let isWanted = configuration.identity.stream.map { id.isNamed($0) } ?? true
        return streams.place(of: id, isWanted: isWanted, at: now)
    }

    /// The keys name the streams: the one that was given only says which of them are meant.
    private mutating func forgetGivenStream() {
        shards = nil
        shardsListedAt = nil
        isShardListDenied = false
        retention = nil
        recreatedShards = []
        strangeSince = nil
        for what in [Failing.shards, .stream] { failures[what] = nil }
        streamMatch = configuration.identity.stream == nil ? nil : .unverified("its shards are not listed yet")
        for place in rows.slots.indices {
            rows.slots[place].shard = nil
            rows.slots[place].absentSince = nil
        }
    }

    /// Whether a row is left out of the picture: of another stream than the one that was asked for.
    func isHidden(_ row: Row) -> Bool {
        guard let place = row.stream, streams.hasWanted else { return false }
        return !streams.isWanted(place)
    }

    /// Whether a lease is of another stream than the one that was asked for.
    func isHidden(_ lease: Lease) -> Bool {
        guard streams.hasWanted, let place = lease.streamID.flatMap({ streams.place(of: $0) }) else { return false }
        return !streams.isWanted(place)
    }

    // MARK: - Reading

    mutating func dueStreamReads(at now: Timestamp) -> [Effect] {
        guard namesStreams, configuration.readsNamedStreams else { return [] }
        // The stream that was given is one of the named ones, or none that concerns the table.
        schedule.nextShardList = .never
        schedule.nextStreamDescription = .never
        guard knowsAccount else { return [] }
        var effects: [Effect] = []
        while let next = streams.due(at: now) {
            let id = streams[next.place].id
            effects.append(.readStream(id, next.question, address: address(of: id)))
        }
        return effects
    }

    /// When the next of them is due; `nil` where only an answer can tell.
    func streamWake(at now: Timestamp) -> Timestamp? {
        guard namesStreams, configuration.readsNamedStreams, knowsAccount else { return nil }
        return streams.wake(at: now)
    }

    /// Whose account we are in the table's description says; where that is not to be had every stream has an ARN.
    private var knowsAccount: Bool {
        scans > 0 && (configuration.identity.account != nil || !schedule.underWay.contains(.table))
    }

    /// A name is looked for in the caller's account.
    func address(of id: StreamID) -> String {
        let identity = configuration.identity
        if identity.account == id.account { return id.name }
        let partition = identity.tableARN.flatMap { $0.split(separator: ":").dropFirst().first } ?? "aws"
        return "arn:\(partition):kinesis:\(identity.region):\(id.account):stream/\(id.name)"
    }

    mutating func streamRead(_ id: StreamID, _ answer: StreamAnswer, _ info: CallInfo, at now: Timestamp) {
        meter.note(info, at: now)
        guard let place = streams.place(of: id) else { return }
        switch answer {
        case .shards(let shards):
            clock.note(info, at: now)
            listed(shards, place, at: now)
            succeeded(.shards, place)
        case .summary(let summary):
            clock.note(info, at: now)
            described(summary, place, at: now)
            succeeded(.summary, place)
        case .failed(let question, let error): failed(question, error, place, at: now)
        }
        judgeNamedStreams(at: now)
        schedule.isDirty = true
    }

    private mutating func listed(_ shards: [Shard], _ place: Int, at now: Timestamp) {
        let tree = ShardTree(shards)
        let time = clock.time(at: now)
        let isNew = tree != streams[place].shards
        if isNew {
            if let old = streams[place].shards?.shards, isRecreated(tree, from: old) {
                streams[place].match = .unverified("created anew")
                streams.want(place, .summary, at: now)
            }
            streams[place].shards = tree
            order = []
            surveyed = nil
        }
        for row in rows.slots.indices where rows.slots[row].stream == place {
            guard let lease = rows.slots[row].lease else { continue }
            if isNew { rows.slots[row].shard = ShardNote(tree, lease.shardID, now: time) }
            rows.slots[row].absentSince = rows.slots[row].shard == nil ? rows.slots[row].absentSince ?? now : nil
        }
        streams[place].listedAt = now
        streams[place].isListDenied = false
        streams.answered(place, .shards, next: now + streams.listInterval(configuration.shardListInterval))
    }

    private mutating func described(_ summary: StreamSummary, _ place: Int, at now: Timestamp) {
        streams[place].retention = summary.retention
        streams[place].created = summary.created
        streams[place].isDescribed = true
        streams.answered(place, .summary, next: now + NamedStreams.summaryInterval)
    }

    /// A row names a shard or children that its stream's list does not have.
    mutating func wantShards(of lease: Lease, stream place: Int, at now: Timestamp) {
        guard let shards = streams[place].shards else { return }
        if shards[lease.shardID] == nil || lease.childShardIDs.contains(where: { shards[$0] == nil }) {
            wantShards(of: place, at: now)
        }
    }

    /// Somebody asks for what is new: of a handful of streams all are listed at once, of more each in its turn.
    mutating func wantFewStreams(at now: Timestamp) {
        let places = streams.all.indices.filter { streams.isWanted($0) && streams.all[$0].leases > 0 }
        guard places.count <= Self.fewStreams else { return }
        for place in places { wantShards(of: place, at: now) }
    }

    private static let fewStreams = 10

    mutating func wantShards(of place: Int, at now: Timestamp) {
        let earliest = (streams[place].listedAt ?? now) + configuration.shardListIntervalMin
        streams.want(place, .shards, at: max(now, earliest))
    }

    // MARK: - Failures

    private mutating func succeeded(_ question: StreamQuestion, _ place: Int) {
        if streams[place].failures.removeValue(forKey: question) != nil { surveyed = nil }
    }

    private mutating func failed(
        _ question: StreamQuestion, _ error: AWSError, _ place: Int, at now: Timestamp
    ) {
        let failure = FleetFailure(
            error, .stream(streams[place].id.name), region: configuration.identity.region,
            endpoint: configuration.identity.endpoint,
            permission: question == .shards ? "kinesis:ListShards" : "kinesis:DescribeStreamSummary")
        let count = (streams[place].failures[question]?.count ?? 0) + 1
        streams[place].failures[question] = (failure, count)
        let wait = error.meaning == .notFound ? .seconds(60) : max(backOff(after: count, error.meaning), .seconds(5))
        streams.answered(place, question, next: now + wait)
        if question == .shards, error.meaning == .denied { streams[place].isListDenied = true }
        surveyed = nil
    }

    /// What cannot be read, one finding for all streams that fail in the same way.
    func namedStreamFindings() -> [Finding] {
        var failing: [String: [(name: String, failure: FleetFailure, isPassing: Bool)]] = [:]
        for stream in streams.all where stream.isWanted && stream.leases > 0 {
            for (question, entry) in stream.failures {
                let isPassing = entry.failure.meaning == .transient && entry.count < 3
                failing["\(question) \(entry.failure.meaning)", default: []]
                    .append((stream.id.name, entry.failure, isPassing))
            }
        }
        var findings = failing.sorted { $0.key < $1.key }.map { subject, entries in
            let entries = entries.sorted { $0.name < $1.name }
            let isOfShards = subject.hasPrefix("\(StreamQuestion.shards) ")
            let first = entries[0].failure
            let more = entries.count > 1 ? " (and \(entries.count - 1) streams more)" : ""
            let loss =
                isOfShards
                ? "its holes, orphans and missing leases are not looked for"
                : "nothing is said of its records that are about to be lost"
            let kind: Problem.Kind =
                switch first.meaning {
                case .denied: .denied
                case .throttled: .throttled
                default: .stream
                }
            return Finding(
                kind: kind, subject: "named \(subject)", severity: isOfShards ? .warning : .info,
                patience: entries.allSatisfy(\.isPassing) ? .seconds(5) : .zero,
                message: "\(first.message)\(more); \(loss)")
        }
        let wanted = streams.all.count { $0.isWanted && $0.leases > 0 }
        if wanted > NamedStreams.listsPerMinute {
            findings.append(
                Finding(
                    kind: .stream, subject: "many", severity: .info,
                    message: "the table names \(wanted) streams: each is listed every "
                        + "\(streams.listInterval(configuration.shardListInterval).brief), not every minute"))
        }
        return findings
    }

    // MARK: - For a snapshot

    /// The streams that are looked at and that a row names, sorted.
    func streamViews() -> [StreamView] {
        streams.all.filter { $0.isWanted && $0.leases > 0 }.map { stream in
            let failed = [StreamQuestion.shards, .summary].compactMap { stream.failures[$0]?.failure.message }
            return StreamView(
                id: stream.id, address: address(of: stream.id), shards: stream.currentShards, match: stream.match,
                retention: stream.retention, leases: stream.leases, failure: failed.first,
                isSettled: (stream.shards != nil || stream.failures[.shards] != nil)
                    && (stream.isDescribed || stream.failures[.summary] != nil))
        }.sorted { $0.id < $1.id }
    }

    /// For how long the records of a row's stream are kept.
    func retention(of view: LeaseView) -> Duration? {
        guard namesStreams else { return retention }
        guard let id = view.stream.flatMap({ StreamID($0) }), let place = streams.place(of: id) else { return nil }
        return streams[place].retention
    }

    /// The shortest retention that is known.
    var shortestRetention: Duration? {
        namesStreams ? streams.all.lazy.filter(\.isWanted).compactMap(\.retention).min() : retention
    }
}

extension StreamID {
    /// Whether a person means it by this name or ARN.
    func isNamed(_ given: String) -> Bool {
        guard given.hasPrefix("arn:") else { return given == name || given == text }
        let parts = given.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count == 6 && parts[4] == account && parts[5] == "stream/\(name)"
    }
}
