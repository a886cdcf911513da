import AWSWire
import Leases
import Machine

/// Turns a recording back into the snapshots that were seen: the same observer hears the same again.
package struct Replay: Sendable {
    /// A line that cannot be read, with its number.
    package struct Malformed: Error, Hashable, CustomStringConvertible {
        package var line: Int
        package var reason: String

        package var description: String { "line \(line) of the recording: \(reason)" }
    }

    package private(set) var identity: FleetIdentity
    private var rerun: Rerun
    private let wallClock: UnixTime
    /// Where it stands, all of it can be looked at again.
    package private(set) var timeline: Timeline?
    private var items: [String: Item] = [:]
    private var rowKeys: [String] = []
    private var shards: [Shard] = []
    private var streams = RecordedStreams()
    private var children = Children()
    private var metrics = RecordedMetrics()
    private var lineNumber = 1

    /// Begins with the header line of a recording.
    package init(header: String) throws(Malformed) {
        guard let value = try? JSON.decode(Bytes(header)), value["shardtop"]?.string == "recording" else {
            throw Malformed(line: 1, reason: "this is no recording of shardtop")
        }
        guard value["version"]?.int == 1 else {
            throw Malformed(line: 1, reason: "its version is not 1: a newer shardtop wrote it")
        }
        guard let application = value["application"]?.string, let region = value["region"]?.string,
            let started = value["at"]?.int
        else { throw Malformed(line: 1, reason: "the header lacks application, region or time") }
        identity = FleetIdentity(
            application: application, table: value["table"]?.string, stream: value["stream"]?.string,
            region: region, account: value["account"]?.string, role: value["role"]?.string,
            endpoint: value["endpoint"]?.string, isDemo: value["isDemo"]?.bool ?? false, isWritable: false)
        func milliseconds(_ name: String) -> Duration? { value[name]?.int.map { .milliseconds(max(1, $0)) } }
        let configuration = FleetConfiguration(
            identity: identity, failoverTime: milliseconds("failoverTimeMillis"),
            autoRefresh: milliseconds("refreshMillis") ?? .seconds(5),
            historyInterval: milliseconds("historyMillis") ?? .seconds(2),
            historyCapacity: min(max(1, value["historyCapacity"]?.int ?? 60), 3600))
        wallClock = UnixTime(milliseconds: Int64(started))
        rerun = Rerun(configuration, at: .zero, wallClock: wallClock)
    }

    /// Keeps what is heard from now on in a timeline, all of it if `bytesMax` allows.
    ///
    /// - Parameter last: the recording's last line, which tells how long it is.
    package mutating func keepTimeline(until last: String, bytesMax: Int = 64 << 20) {
        let length = (try? JSON.decode(Bytes(last)))?["t"]?.int ?? 0
        timeline = Timeline(
            rerun.machine.configuration, at: .zero, wallClock: wallClock,
            span: max(.seconds(3600), .nanoseconds(Int64(length))), bytesMax: bytesMax)
    }

    /// Hears one line; returns the snapshots that were published until then, with the time since the start in
    /// `takenAtInstant`.
    package mutating func next(_ line: String) throws(Malformed) -> [FleetSnapshot] {
        lineNumber += 1
        if line.isEmpty { return [] }
        guard let value = try? JSON.decode(Bytes(line)) else { throw malformed("it is not JSON") }
        guard let time = value["t"]?.int else { throw malformed("it has no time") }
        let at = max(rerun.now, Timestamp(nanoseconds: Int64(time)))
        let snapshots = rerun.wait(until: at)
        guard let event = try event(value, at: at) else { return snapshots }
        timeline?.note(event, at: at)
        return snapshots + rerun.hear(event, at: at)
    }

    /// The snapshot at the end of what was heard.
    package mutating func finish() -> FleetSnapshot { rerun.snapshot() }

    private mutating func event(_ value: AWSValue, at: Timestamp) throws(Malformed) -> FleetMachine.Event? {
        let info = FleetMachine.CallInfo(
            wallClock: UnixTime(milliseconds: Int64(value["wall"]?.int ?? 0)),
            serviceDate: value["date"]?.int.map { UnixTime(milliseconds: Int64($0)) },
            readUnits: value["units"]?.double, calls: value["calls"]?.int ?? 1)
        switch value["is"]?.string {
        case "scan":
            for row in value["rows"]?.list ?? [] { _ = try apply(row) }
            for key in value["gone"]?.strings ?? [] { items[key] = nil }
            return .scanned(FleetMachine.TablePage(items.keys.sorted().compactMap { items[$0] }), info)
        case "row":
            guard let row = value["row"] else { throw malformed("no row") }
            return .rowWritten(try apply(row))
        case "rows":
            for row in value["rows"]?.list ?? [] { _ = try apply(row) }
            if let keys = value["keys"]?.strings { rowKeys = keys }
            return .rowsRead(FleetMachine.RowsRead(rowKeys.compactMap { items[$0] }), info)
        case "shards":
            if let list = value["shards"]?.list {
                let read = list.compactMap(Shard.init(recorded:))
                guard read.count == list.count else { throw malformed("a shard that is none") }
                shards = read
            }
            return .shardsListed(shards, info)
        case "named":
            do {
                return try streams.read(value).map { .streamRead($0.0, $0.1, info) }
            } catch { throw malformed("a shard that is none") }
        case "stream":
            return .streamDescribed(
                StreamSummary(
                    name: value["name"]?.string ?? "", arn: value["arn"]?.string ?? "",
                    status: value["status"]?.string ?? "", retentionHours: value["retentionHours"]?.int ?? 24,
                    created: nil, openShards: value["openShards"]?.int ?? 0), info)
        case "migration": return .migrationItemRead(value["item"].flatMap { Item(wire: $0) }, info)
        case "leader": return .leaderRead(value["item"].flatMap { Item(wire: $0) }, info)
        case "metrics": return .workerMetricsRead(metrics.read(value), info)
        case "probe":
            guard let probe = LagProbe(recorded: value, stream: rerun.machine.configuration.identity.stream ?? "")
            else {
                throw malformed("a probe that is none")
            }
            let answer = LagProbe.Answer(
                firstUnread: value["unread"]?.int.map { UnixTime(milliseconds: Int64($0)) },
                millisBehindLatest: Int64(value["behind"]?.int ?? 0))
            return .probed(probe, answer, info)
        case "cloudwatch":
            let lags = (value["lags"]?.list ?? []).compactMap { lag in
                lag["shard"]?.string.map {
                    MetricLag(
                        shardID: $0, milliseconds: Int64(lag["behind"]?.int ?? 0),
                        at: UnixTime(milliseconds: Int64(lag["at"]?.int ?? 0)))
                }
            }
            return .metricLagsRead(lags, info)
        case "failed": return failure(value, info)
        case "workers":
            return .ownWorkersChanged(
                (value["workers"]?.list ?? []).compactMap { worker in
                    worker["id"]?.string.map {
                        OwnWorker(
                            $0, isPaused: worker["paused"]?.bool ?? false,
                            isStopped: worker["stopped"]?.bool ?? false)
                    }
                })
        case "children":
            var views = children.views(at: at)
            for shard in value["gone"]?.strings ?? [] { views[shard] = nil }
            for view in (value["children"]?.list ?? []).compactMap(ChildView.init(recorded:)) {
                views[view.shardID] = view
            }
            children.told(views.values.sorted { $0.shardID < $1.shardID }, at: at)
            return .childrenChanged(children.views.values.sorted { $0.shardID < $1.shardID })
        case "event":
            guard let event = value["event"].flatMap({ WorkerEvent(recorded: $0) }) else {
                throw malformed("an event that is none")
            }
            return .happened(event)
        // A later version may record more.
        default: return nil
        }
    }

    private mutating func apply(_ row: AWSValue) throws(Malformed) -> Item {
        guard let key = row["key"]?.string else { throw malformed("a row without key") }
        var item = items[key] ?? [:]
        if let new = row["new"] {
            guard let new = Item(wire: new) else { throw malformed("row \(key) is no item") }
            item = new
        }
        if let set = row["set"] {
            guard let set = Item(wire: set) else { throw malformed("row \(key) is no item") }
            item.merge(set) { $1 }
        }
        for name in row["remove"]?.strings ?? [] { item[name] = nil }
        items[key] = item
        return item
    }

    private func failure(_ value: AWSValue, _ info: FleetMachine.CallInfo) -> FleetMachine.Event? {
        let message = value["message"]?.string ?? ""
        let cause: AWSError.Cause =
            if let type = value["type"]?.string {
                .service(type: type, message: message, status: value["status"]?.int ?? 400, body: .null)
            } else {
                .transport(TransportError(.closed, message, requestWasSent: true))
            }
        let error = AWSError(operation: value["operation"]?.string ?? "", cause: cause)
        switch value["what"]?.string {
        case "scan": return .scanFailed(error, info)
        case "shards": return .shardListFailed(error, info)
        case "stream": return .streamDescriptionFailed(error, info)
        case "migration": return .migrationItemFailed(error, info)
        case "leader": return .leaderFailed(error, info)
        case "metrics": return .workerMetricsFailed(error, info)
        case "table": return .tableDescriptionFailed(error, info)
        case "cloudwatch": return .metricLagsFailed(error, info)
        case "rows": return .rowsReadFailed(error, info)
        case "namedShards", "namedSummary":
            let question = value["what"]?.string == "namedShards" ? StreamQuestion.shards : .summary
            return value["stream"]?.string.flatMap { StreamID($0) }.map {
                .streamRead($0, .failed(question, error), info)
            }
        default: return nil
        }
    }

    private func malformed(_ reason: String) -> Malformed { Malformed(line: lineNumber, reason: reason) }
}

extension FleetMachine {
    /// A recorded scan is an answer whose question was not asked here.
    mutating func expectScan(at now: Timestamp) {
        if pass == nil { pass = ScanPass(startedAt: now) }
    }
}

extension Shard {
    init?(recorded value: AWSValue) {
        guard let id = value["id"]?.string, let start = value["start"]?.string.flatMap({ UInt128($0) }),
            let end = value["end"]?.string.flatMap({ UInt128($0) }), start <= end
        else { return nil }
        self.init(
            shardID: id, parentShardID: value["parent"]?.string, adjacentParentShardID: value["adjacent"]?.string,
            hashKeyRange: HashKeyRange(start: start, end: end), startingSequenceNumber: value["from"]?.string ?? "0",
            endingSequenceNumber: value["to"]?.string)
    }
}

extension LagProbe {
    fileprivate init?(recorded value: AWSValue, stream: String) {
        guard let key = value["key"]?.string, let shard = value["shard"]?.string,
            let checkpoint = Checkpoint(
                value["checkpoint"]?.string ?? "", subSequenceNumber: Int64(value["sub"]?.int ?? 0))
        else { return nil }
        self.init(stream: stream, leaseKey: key, shardID: shard, checkpoint: checkpoint)
    }
}

extension WorkerEvent {
    /// Reads an event as `json(seq:)` writes it.
    init?(recorded value: AWSValue) {
        guard let kind = value["event"]?.string.flatMap(Kind.init(rawValue:)),
            let at = value["at"]?.string.flatMap(CivilTime.parseISO8601),
            let source = value["source"]?.string.flatMap(Source.init(rawValue:))
        else { return nil }
        func number(_ name: String) -> SequenceNumber? { value[name]?.string.flatMap { SequenceNumber($0) } }
        let sub = Int64(value["checkpointSubSequenceNumber"]?.int ?? 0)
        var between: ClosedRange<UnixTime>?
        if let bounds = value["observedBetween"]?.strings?.compactMap(CivilTime.parseISO8601), bounds.count == 2,
            bounds[0] <= bounds[1]
        {
            between = bounds[0]...bounds[1]
        }
        self.init(
            kind, at: at, source: source, workerID: value["workerId"]?.string, shardID: value["shardId"]?.string,
            previousOwner: value["previousOwner"]?.string, owner: value["owner"]?.string,
            checkpoint: value["checkpoint"]?.string.flatMap { Checkpoint($0, subSequenceNumber: sub) },
            records: value["records"]?.int, bytes: value["bytes"]?.int, from: number("from"), to: number("to"),
            millisBehindLatest: value["millisBehindLatest"]?.int.map { Int64($0) },
            leaseCounter: value["leaseCounter"]?.int.map { Int64($0) },
            childShardIDs: value["childShardIds"]?.strings ?? [], observedBetween: between,
            message: value["message"]?.string)
        isStopped = value["stopped"]?.bool ?? false
    }
}
