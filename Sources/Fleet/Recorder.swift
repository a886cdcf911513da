import AWSWire
import Leases
package import Machine

/// Turns what an observer hears into NDJSON: a header, then one line for each read or event, rows as what changed.
///
/// A recording holds lease rows and events, never record data. `Replay` turns it into the same snapshots.
package struct Recorder: Sendable {
    private let configuration: FleetConfiguration
    private var startedAt: Timestamp = .zero
    private var items: [String: Item] = [:]
    private var passKeys: Set<String> = []
    private var passRows: [AWSValue] = []
    private var passUnits = 0.0
    private var passCalls = 0
    /// The rows that the last read of certain ones showed.
    private var rowKeys: [String] = []
    private var shards: [Shard]?
    private var streams = RecordedStreams()
    private var children = Children()
    private var metrics = RecordedMetrics()
    private var number = 0

    package init(_ configuration: FleetConfiguration) { self.configuration = configuration }

    /// The first line.
    package mutating func header(at now: Timestamp, wallClock: UnixTime) -> String {
        startedAt = now
        let identity = configuration.identity
        return JSON.text(
            .members([
                "shardtop": "recording", "version": 1, "at": .int(wallClock.milliseconds),
                "application": .string(identity.application), "table": .string(identity.table),
                "stream": identity.stream.map { .string($0) }, "region": .string(identity.region),
                "account": identity.account.map { .string($0) }, "role": identity.role.map { .string($0) },
                "endpoint": identity.endpoint.map { .string($0) }, "isDemo": .bool(identity.isDemo),
                "failoverTimeMillis": configuration.failoverTime.map { .int($0.wholeMilliseconds) },
                "refreshMillis": .int(configuration.autoRefresh.wholeMilliseconds),
                "historyMillis": .int(configuration.historyInterval.wholeMilliseconds),
                "historyCapacity": .int(Int64(configuration.historyCapacity)),
            ]))
    }

    /// The lines for what was heard at `now`: none or one.
    package mutating func lines(for event: FleetMachine.Event, at now: Timestamp) -> [String] {
        guard let (kind, members) = line(event, at: now) else { return [] }
        var value = members
        value["is"] = .string(kind)
        value["t"] = .int((now - startedAt).wholeNanoseconds)
        return [JSON.text(value)]
    }

    mutating func begin(at now: Timestamp, wallClock: UnixTime) -> [FleetMachine.Effect] {
        [.record([header(at: now, wallClock: wallClock)], number: 0)]
    }

    mutating func record(_ event: FleetMachine.Event, at now: Timestamp) -> [FleetMachine.Effect] {
        let lines = lines(for: event, at: now)
        if lines.isEmpty { return [] }
        number += 1
        return [.record(lines, number: number)]
    }

    private mutating func line(_ event: FleetMachine.Event, at now: Timestamp) -> (String, AWSValue)? {
        switch event {
        case .scanned(let page, let info): return scanned(page, info)
        case .scanFailed(let error, let info):
            passKeys = []
            passRows = []
            return ("failed", Self.failed("scan", error, info))
        case .shardsListed(let shards, let info):
            defer { self.shards = shards }
            return (
                "shards",
                Self.members(
                    info, ["shards": self.shards == shards ? nil : .list(shards.map(\.recorded))])
            )
        case .shardListFailed(let error, let info): return ("failed", Self.failed("shards", error, info))
        case .streamRead(let stream, let answer, let info): return streams.line(stream, answer, info)
        case .streamDescribed(let summary, let info):
            return (
                "stream",
                Self.members(
                    info,
                    [
                        "name": .string(summary.name), "arn": .string(summary.arn),
                        "status": .string(summary.status), "retentionHours": .int(Int64(summary.retentionHours)),
                        "openShards": .int(Int64(summary.openShards)),
                    ])
            )
        case .streamDescriptionFailed(let error, let info): return ("failed", Self.failed("stream", error, info))
        case .tableDescriptionFailed(let error, let info): return ("failed", Self.failed("table", error, info))
        case .migrationItemFailed(let error, let info): return ("failed", Self.failed("migration", error, info))
        case .migrationItemRead(let item, let info):
            return ("migration", Self.members(info, ["item": item.map(\.wire)]))
        case .leaderRead(let item, let info): return ("leader", Self.members(info, ["item": item.map(\.wire)]))
        case .leaderFailed(let error, let info): return ("failed", Self.failed("leader", error, info))
        case .workerMetricsRead(let items, let info):
            return ("metrics", Self.members(info, metrics.changes(to: items)))
        case .workerMetricsFailed(let error, let info): return ("failed", Self.failed("metrics", error, info))
        case .rowsRead(let answer, let info):
            let keys = answer.items.map { $0[LeaseTable.hashKey]?.string ?? "?" }.sorted()
            let changed = answer.items.compactMap { delta($0) }
            defer { rowKeys = keys }
            return (
                "rows",
                Self.members(
                    info,
                    [
                        "keys": keys == rowKeys ? nil : .list(keys.map { .string($0) }),
                        "rows": changed.isEmpty ? nil : .list(changed),
                    ])
            )
        case .rowsReadFailed(let error, let info): return ("failed", Self.failed("rows", error, info))
        case .probed(let probe, let answer, let info):
            return (
                "probe",
                Self.members(
                    info,
                    [
                        "key": .string(probe.leaseKey), "shard": .string(probe.shardID),
                        "checkpoint": .string(probe.checkpoint.text),
                        "sub": probe.checkpoint.subSequenceNumber == 0
                            ? nil : .int(probe.checkpoint.subSequenceNumber),
                        "unread": answer.firstUnread.map { .int($0.milliseconds) },
                        "behind": .int(answer.millisBehindLatest),
                    ])
            )
        case .metricLagsRead(let lags, let info):
            return (
                "cloudwatch",
                Self.members(
                    info,
                    [
                        "lags": .list(
                            lags.map {
                                [
                                    "shard": .string($0.shardID), "behind": .int($0.milliseconds),
                                    "at": .int($0.at.milliseconds),
                                ]
                            })
                    ])
            )
        case .metricLagsFailed(let error, let info): return ("failed", Self.failed("cloudwatch", error, info))
        // A program's own lines may hold what it read; a recording never does.
        case .happened(let event) where event.kind == .childOutput: return nil
        case .happened(let event):
            guard let value = try? JSON.decode(Bytes(event.json(seq: 0))) else { return nil }
            return ("event", ["event": value])
        case .rowWritten(let item): return delta(item).map { ("row", ["row": $0]) }
        case .ownWorkersChanged(let workers):
            return (
                "workers",
                [
                    "workers": .list(
                        workers.map {
                            [
                                "id": .string($0.workerID), "paused": .bool($0.isPaused),
                                "stopped": .bool($0.isStopped),
                            ]
                        })
                ]
            )
        case .childrenChanged(let views): return changes(of: views, at: now)
        case .woke, .tableDescribed, .probeFailed, .writabilityChanged, .refreshChanged, .rowsShown, .refreshRequested,
            .stopRequested:
            return nil
        }
    }

    /// Children as what changed, like rows: they are told every second.
    private mutating func changes(of views: [ChildView], at now: Timestamp) -> (String, AWSValue)? {
        var told = Children()
        told.told(views, at: now)
        let (changed, gone) = told.changes(since: children)
        if changed.isEmpty && gone.isEmpty { return nil }
        children = told
        return (
            "children",
            .members([
                "children": changed.isEmpty ? nil : .list(changed.map(\.recorded)),
                "gone": gone.isEmpty ? nil : .list(gone.map { .string($0) }),
            ])
        )
    }

    /// One line for a scan, with its last page.
    private mutating func scanned(
        _ page: FleetMachine.TablePage, _ info: FleetMachine.CallInfo
    ) -> (String, AWSValue)? {
        for item in page.items {
            passKeys.insert(item[LeaseTable.hashKey]?.string ?? "?")
            if let row = delta(item) { passRows.append(row) }
        }
        passUnits += info.readUnits ?? 0
        passCalls += info.calls
        guard page.next == nil else { return nil }
        let gone = items.keys.filter { !passKeys.contains($0) }.sorted()
        for key in gone { items[key] = nil }
        var info = info
        info.readUnits = passUnits
        info.calls = passCalls
        defer {
            passKeys = []
            passRows = []
            passUnits = 0
            passCalls = 0
        }
        return (
            "scan",
            Self.members(
                info,
                [
                    "rows": passRows.isEmpty ? nil : .list(passRows),
                    "gone": gone.isEmpty ? nil : .list(gone.map { .string($0) }),
                ])
        )
    }

    /// What changed in a row: `nil` where nothing did.
    private mutating func delta(_ item: Item) -> AWSValue? {
        let key = item[LeaseTable.hashKey]?.string ?? "?"
        let old = items[key]
        if old == item { return nil }
        items[key] = item
        guard let old else { return ["key": .string(key), "new": item.wire] }
        let changed = item.filter { old[$0.key] != $0.value }
        let removed = old.keys.filter { item[$0] == nil }.sorted()
        return .members([
            "key": .string(key), "set": changed.isEmpty ? nil : changed.wire,
            "remove": removed.isEmpty ? nil : .list(removed.map { .string($0) }),
        ])
    }

    static func failed(_ what: String, _ error: AWSError, _ info: FleetMachine.CallInfo) -> AWSValue {
        let (type, message, status): (String?, String, Int64?) =
            switch error.cause {
            case .service(let type, let message, let status, _): (type, message, Int64(status))
            case .transport(let error): (nil, error.message, nil)
            case .credentials(let error): ("UnrecognizedClientException", error.message, 400)
            case .malformed(let reason): (nil, "the answer is malformed: \(reason)", nil)
            }
        return members(
            info,
            [
                "what": .string(what), "operation": .string(error.operation), "type": type.map { .string($0) },
                "message": .string(message), "status": status.map { .int($0) },
            ])
    }

    static func members(
        _ info: FleetMachine.CallInfo, _ members: KeyValuePairs<String, AWSValue?>
    ) -> AWSValue {
        var value = AWSValue.members(members)
        value["wall"] = .int(info.wallClock.milliseconds)
        if let date = info.serviceDate { value["date"] = .int(date.milliseconds) }
        if let units = info.readUnits, units != 0 { value["units"] = .double(units) }
        if info.calls != 1 { value["calls"] = .int(Int64(info.calls)) }
        return value
    }
}

extension Shard {
    var recorded: AWSValue {
        .members([
            "id": .string(shardID), "parent": parentShardID.map { .string($0) },
            "adjacent": adjacentParentShardID.map { .string($0) }, "start": .string(String(hashKeyRange.start)),
            "end": .string(String(hashKeyRange.end)), "from": .string(startingSequenceNumber),
            "to": endingSequenceNumber.map { .string($0) },
        ])
    }
}
