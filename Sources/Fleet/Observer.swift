package import AWSWire
package import Leases
package import Machine
import Synchronization

/// Watches one fleet until its task is cancelled or it is told to stop: the thin shell of `FleetMachine`.
///
/// It survives outages and says in the snapshots what is wrong; it never writes to AWS.
package struct Observer: Sendable {
    private let configuration: FleetConfiguration
    private let dynamoDB: DynamoDBClient
    private let kinesis: KinesisClient?
    private let cloudWatch: CloudWatchClient?
    private let time: TimeSource
    private let publish: @Sendable (FleetSnapshot) -> Void
    private let record: (@Sendable ([String]) -> Void)?
    private let heard: (@Sendable (FleetMachine.Event, Timestamp) -> Void)?
    private let mailbox = Mailbox<FleetMachine.Event>()

    /// - Parameters:
    ///   - kinesis: `nil` where no stream is to be read, whatever the table names.
    ///   - cloudWatch: for a configuration that reads metrics.
    ///   - publish: receives every newer snapshot, in order; must not block.
    ///   - record: receives the lines of a recording, in order.
    ///   - heard: receives every event and when it came, in order; must not block.
    package init(
        _ configuration: FleetConfiguration, dynamoDB: DynamoDBClient, kinesis: KinesisClient?,
        cloudWatch: CloudWatchClient? = nil, time: TimeSource,
        record: (@Sendable ([String]) -> Void)? = nil,
        heard: (@Sendable (FleetMachine.Event, Timestamp) -> Void)? = nil,
        publish: @escaping @Sendable (FleetSnapshot) -> Void
    ) {
        var configuration = configuration
        configuration.isRecording = record != nil
        if kinesis == nil {
            configuration.identity.stream = nil
            configuration.readsNamedStreams = false
        }
        if cloudWatch == nil { configuration.measures.remove(.cloudwatch) }
        self.configuration = configuration
        self.dynamoDB = dynamoDB
        self.kinesis = kinesis
        self.cloudWatch = cloudWatch
        self.time = time
        self.publish = publish
        self.record = record
        self.heard = heard
    }

    /// Tells the observer something from outside: an engine event, a new refresh rate, that it should stop.
    package func post(_ event: FleetMachine.Event) { mailbox.post(event) }

    package func post(_ event: WorkerEvent) { mailbox.post(.happened(event)) }

    /// Makes the outcome of a plan visible at once: its event in the log, its row on the screen.
    package func note(_ plan: Plan, _ outcome: PlanOutcome) {
        if let event = plan.event(for: outcome, at: time.wallClock()) { mailbox.post(.happened(event)) }
        switch outcome {
        case .written(let row?), .intentGone(let row?): mailbox.post(.rowWritten(row))
        case .written(nil), .intentGone(nil), .failed: break
        case .refused: return
        }
        mailbox.post(.refreshRequested)
    }

    /// Returns when told to stop; throws `CancellationError` when its task is cancelled.
    package func run() async throws {
        var machine = FleetMachine(configuration, at: time.now(), wallClock: time.wallClock())
        let starting = machine.start(at: time.now())
        let published = Mutex(0)
        let lines = Mutex(LinesInOrder())
        let outlet = Outlet(
            publish: { snapshot in
                // Effects run concurrently; an older picture never replaces a newer one.
                published.withLock { last in
                    guard snapshot.sequence > last else { return }
                    last = snapshot.sequence
                    publish(snapshot)
                }
            },
            record: { text, number in
                lines.withLock { pending in
                    for lines in pending.take(text, number: number) { record?(lines) }
                }
            })
        _ = try await drive(Overheard(machine: machine, heard: heard), mailbox: mailbox, time: time, starting: starting)
        { effect in
            await perform(effect, outlet)
        }
    }

    private struct Outlet: Sendable {
        var publish: @Sendable (FleetSnapshot) -> Void
        var record: @Sendable ([String], Int) -> Void
    }

    private func perform(_ effect: FleetMachine.Effect, _ outlet: Outlet) async -> FleetMachine.Event? {
        switch effect {
        case .publish(let snapshot):
            outlet.publish(snapshot)
            return nil
        case .record(let lines, let number):
            outlet.record(lines, number)
            return nil
        case .wake(let until):
            do { try await time.sleep(until) } catch { return nil }
            return .woke
        case .scan(let key): return await scan(startingAfter: key)
        case .describeTable(let table):
            return await answer { () async throws(AWSError) in
                .tableDescribed(try await dynamoDB.describeTable(table), info())
            } orElse: {
                .tableDescriptionFailed($0, info())
            }
        case .readMigrationItem(let table): return await readMigrationItem(table)
        case .readLeader(let table): return await readLeader(table)
        case .readWorkerMetrics(let table): return await readWorkerMetrics(table)
        case .readRows(let keys): return await readRows(keys)
        case .listShards(let stream):
            guard let kinesis else { return nil }
            return await answer { () async throws(AWSError) in
                .shardsListed(try await kinesis.listShards(stream: stream), info())
            } orElse: {
                .shardListFailed($0, info())
            }
        case .readStream(let stream, let question, let address):
            guard let kinesis else { return nil }
            return await answer { () async throws(AWSError) in
                switch question {
                case .shards: .streamRead(stream, .shards(try await kinesis.listShards(stream: address)), info())
                case .summary:
                    .streamRead(stream, .summary(try await kinesis.describeStreamSummary(address)), info())
                }
            } orElse: {
                .streamRead(stream, .failed(question, $0), info())
            }
        case .describeStream(let stream):
            guard let kinesis else { return nil }
            return await answer { () async throws(AWSError) in
                .streamDescribed(try await kinesis.describeStreamSummary(stream), info())
            } orElse: {
                .streamDescriptionFailed($0, info())
            }
        case .readMetricLags(let namespace, let shards, let until):
            guard let cloudWatch else { return nil }
            return await answer { () async throws(AWSError) in
                .metricLagsRead(try await cloudWatch.lags(of: shards, namespace, until: until), info())
            } orElse: {
                .metricLagsFailed($0, info())
            }
        case .probe(let probe):
            guard let kinesis else { return nil }
            return await answer { () async throws(AWSError) in
                .probed(probe, try await probe.perform(kinesis), info(calls: LagProbe.calls))
            } orElse: {
                .probeFailed(probe, $0, info())
            }
        }
    }

    private func scan(startingAfter key: Item?) async -> FleetMachine.Event? {
        await answer { () async throws(AWSError) in
            let page = try await dynamoDB.scan(configuration.identity.table, startingAfter: key)
            return .scanned(
                FleetMachine.TablePage(page.items, next: page.lastEvaluatedKey),
                info(date: page.date, readUnits: page.consumedReadUnits))
        } orElse: {
            .scanFailed($0, info())
        }
    }

    private func readRows(_ keys: [String]) async -> FleetMachine.Event? {
        await answer { () async throws(AWSError) in
            // Sent once: the next one comes soon, and knows what may be taken then.
            let read = try await dynamoDB.readItems(
                configuration.identity.table, keys: keys.map { LeaseTable.key($0) }, attemptsMax: 1)
            return .rowsRead(
                FleetMachine.RowsRead(
                    read.items, unprocessed: read.unprocessed.compactMap { $0[LeaseTable.hashKey]?.string }),
                info(date: read.date, readUnits: read.consumedReadUnits))
        } orElse: {
            .rowsReadFailed($0, info())
        }
    }

    private func readMigrationItem(_ table: String) async -> FleetMachine.Event? {
        await answer { () async throws(AWSError) in
            do throws(AWSError) {
                let read = try await dynamoDB.readItem(table, key: ["key": .s(FleetMode.migrationKey)])
                return .migrationItemRead(read.item, info(date: read.date, readUnits: read.consumedReadUnits))
            } catch {
                // Only 3.0 to 3.4 have that table.
                guard error.meaning == .notFound else { throw error }
                return .migrationItemRead(nil, info())
            }
        } orElse: {
            .migrationItemFailed($0, info())
        }
    }

    private func readLeader(_ table: String) async -> FleetMachine.Event? {
        await answer { () async throws(AWSError) in
            let read = try await dynamoDB.readItem(table, key: ["key": .s(FleetMachine.leaderKey)])
            return .leaderRead(read.item, info(date: read.date, readUnits: read.consumedReadUnits))
        } orElse: {
            .leaderFailed($0, info())
        }
    }

    /// More pages of metrics than any fleet has workers are not read to their end.
    private static let metricsPagesMax = 20

    private func readWorkerMetrics(_ table: String) async -> FleetMachine.Event? {
        await answer { () async throws(AWSError) in
            var items: [Item] = []
            var info = info()
            info.calls = 0
            var next: Item?
            repeat {
                let page: ScanPage
                do throws(AWSError) { page = try await dynamoDB.scan(table, startingAfter: next) } catch {
                    guard error.meaning == .notFound else { throw error }
                    return .workerMetricsRead(nil, self.info())
                }
                items += page.items
                next = page.lastEvaluatedKey
                info = self.info(
                    date: page.date, readUnits: (info.readUnits ?? 0) + (page.consumedReadUnits ?? 0),
                    calls: info.calls + 1)
            } while next != nil && info.calls < Self.metricsPagesMax
            return .workerMetricsRead(items, info)
        } orElse: {
            .workerMetricsFailed($0, info())
        }
    }

    private func answer(
        _ call: () async throws(AWSError) -> FleetMachine.Event, orElse failed: (AWSError) -> FleetMachine.Event
    ) async -> FleetMachine.Event? {
        do { return try await call() } catch {
            return error.meaning == .cancelled ? nil : failed(error)
        }
    }

    private func info(date: UnixTime? = nil, readUnits: Double? = nil, calls: Int = 1) -> FleetMachine.CallInfo {
        FleetMachine.CallInfo(wallClock: time.wallClock(), serviceDate: date, readUnits: readUnits, calls: calls)
    }
}

extension Observer {
    /// Watches for `duration` and returns the last picture: what `status`, `check` and the lease commands look at.
    ///
    /// It returns at the first complete picture when `duration` is zero, and early where the table cannot be read at
    /// all: the snapshot's problems then say why.
    package static func observe(
        _ configuration: FleetConfiguration, for duration: Duration, dynamoDB: DynamoDBClient, kinesis: KinesisClient?,
        cloudWatch: CloudWatchClient? = nil, time: TimeSource
    ) async throws -> FleetSnapshot {
        let last = Mutex(FleetSnapshot(identity: configuration.identity))
        let mailbox = StopSwitch()
        let observer = Observer(
            configuration, dynamoDB: dynamoDB, kinesis: kinesis, cloudWatch: cloudWatch, time: time
        ) { snapshot in
            last.withLock { $0 = snapshot }
            let needsShards =
                kinesis != nil && configuration.identity.stream != nil && !snapshot.isShardListDenied
                && snapshot.streams.isEmpty
            if snapshot.isEnough(after: duration, needsShards: needsShards) { mailbox.stop() }
        }
        mailbox.connect(observer.mailbox)
        try await observer.run()
        return last.withLock { $0 }
    }
}

extension CloudWatchClient {
    /// The readers' own word on their lag: KCL's `ProcessTask` metric of each shard (kcl.md §9).
    fileprivate func lags(
        of shards: [String], _ namespace: String, until: UnixTime
    ) async throws(AWSError) -> [MetricLag] {
        let queries = shards.map { key in
            // Where a table is of several streams they have a dimension more.
            let stream = StreamID(leaseKey: key)
            let shard = stream.map { String(key.dropFirst($0.leaseKey("").count)) } ?? key
            return MetricQuery(
                namespace: namespace, name: "MillisBehindLatest",
                dimensions: [.init("Operation", "ProcessTask"), .init("ShardId", shard)]
                    + (stream.map { [.init("StreamId", $0.text)] } ?? []))
        }
        let values = try await newestMaxima(queries, in: until + (.zero - MetricLags.validity)..<until)
        return zip(shards, values).compactMap { shard, value in
            value.map {
                MetricLag(shardID: shard, milliseconds: Int64(min(max($0.value, 0), 1e15)), at: $0.at)
            }
        }
    }
}

/// The machine, and somebody who hears the same.
private struct Overheard: Machine {
    var machine: FleetMachine
    let heard: (@Sendable (FleetMachine.Event, Timestamp) -> Void)?

    var isFinished: Bool { machine.isFinished }

    mutating func handle(_ event: FleetMachine.Event, at now: Timestamp) -> [FleetMachine.Effect] {
        heard?(event, now)
        return machine.handle(event, at: now)
    }
}

/// Lets the first observer's callback reach its own mailbox.
private final class StopSwitch: Sendable {
    private let mailbox = Mutex<Mailbox<FleetMachine.Event>?>(nil)

    func connect(_ mailbox: Mailbox<FleetMachine.Event>) { self.mailbox.withLock { $0 = mailbox } }

    func stop() { mailbox.withLock { $0?.post(.stopRequested) } }
}

extension FleetSnapshot {
    fileprivate func isEnough(after duration: Duration, needsShards: Bool) -> Bool {
        if scans == 0 {
            // What a person must mend does not mend itself while we wait.
            let isHopeless = problems.contains { $0.kind == .table && $0.severity == .critical }
            return isHopeless || observedFor >= max(duration, .seconds(10)) && !problems.isEmpty
        }
        let hasShards =
            (!needsShards || shards != nil || problems.contains { $0.kind == .stream })
            && streams.allSatisfy(\.isSettled)
        return observedFor >= duration
            && (hasShards && mode != nil && !awaitsSides || observedFor >= max(duration, .seconds(10)))
    }
}

/// Puts the lines of a recording into their order again: effects run concurrently.
private struct LinesInOrder {
    private var next = 0
    private var waiting: [Int: [String]] = [:]

    mutating func take(_ lines: [String], number: Int) -> [[String]] {
        waiting[number] = lines
        var ready: [[String]] = []
        while let lines = waiting.removeValue(forKey: next) {
            ready.append(lines)
            next += 1
        }
        return ready
    }
}
