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
    private let time: TimeSource
    private let publish: @Sendable (FleetSnapshot) -> Void
    private let record: (@Sendable ([String]) -> Void)?
    private let heard: (@Sendable (FleetMachine.Event, Timestamp) -> Void)?
    private let mailbox = Mailbox<FleetMachine.Event>()

    /// - Parameters:
    ///   - kinesis: `nil` in table-only mode.
    ///   - publish: receives every newer snapshot, in order; must not block.
    ///   - record: receives the lines of a recording, in order.
    ///   - heard: receives every event and when it came, in order; must not block.
    package init(
        _ configuration: FleetConfiguration, dynamoDB: DynamoDBClient, kinesis: KinesisClient?, time: TimeSource,
        record: (@Sendable ([String]) -> Void)? = nil,
        heard: (@Sendable (FleetMachine.Event, Timestamp) -> Void)? = nil,
        publish: @escaping @Sendable (FleetSnapshot) -> Void
    ) {
        var configuration = configuration
        configuration.isRecording = record != nil
        if kinesis == nil { configuration.identity.stream = nil }
        self.configuration = configuration
        self.dynamoDB = dynamoDB
        self.kinesis = kinesis
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
        case .listShards(let stream):
            guard let kinesis else { return nil }
            return await answer { () async throws(AWSError) in
                .shardsListed(try await kinesis.listShards(stream: stream), info())
            } orElse: {
                .shardListFailed($0, info())
            }
        case .describeStream(let stream):
            guard let kinesis else { return nil }
            return await answer { () async throws(AWSError) in
                .streamDescribed(try await kinesis.describeStreamSummary(stream), info())
            } orElse: {
                .streamDescriptionFailed($0, info())
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

    private func readMigrationItem(_ table: String) async -> FleetMachine.Event? {
        await answer { () async throws(AWSError) in
            do throws(AWSError) {
                let item = try await dynamoDB.getItem(table, key: ["key": .s(FleetMode.migrationKey)])
                return .migrationItemRead(item, info())
            } catch {
                // Only 3.0 to 3.4 have that table.
                guard error.meaning == .notFound else { throw error }
                return .migrationItemRead(nil, info())
            }
        } orElse: {
            .migrationItemFailed($0, info())
        }
    }

    private func answer(
        _ call: () async throws(AWSError) -> FleetMachine.Event, orElse failed: (AWSError) -> FleetMachine.Event
    ) async -> FleetMachine.Event? {
        do { return try await call() } catch {
            return error.meaning == .cancelled ? nil : failed(error)
        }
    }

    private func info(date: UnixTime? = nil, readUnits: Double? = nil) -> FleetMachine.CallInfo {
        FleetMachine.CallInfo(wallClock: time.wallClock(), serviceDate: date, readUnits: readUnits)
    }
}

extension Observer {
    /// Watches for `duration` and returns the last picture: what `status`, `check` and the lease commands look at.
    ///
    /// It returns at the first complete picture when `duration` is zero, and early where the table cannot be read at
    /// all: the snapshot's problems then say why.
    package static func observe(
        _ configuration: FleetConfiguration, for duration: Duration, dynamoDB: DynamoDBClient, kinesis: KinesisClient?,
        time: TimeSource
    ) async throws -> FleetSnapshot {
        let last = Mutex(FleetSnapshot(identity: configuration.identity))
        let mailbox = StopSwitch()
        let observer = Observer(configuration, dynamoDB: dynamoDB, kinesis: kinesis, time: time) { snapshot in
            last.withLock { $0 = snapshot }
            if snapshot.isEnough(after: duration, needsShards: kinesis != nil) { mailbox.stop() }
        }
        mailbox.connect(observer.mailbox)
        try await observer.run()
        return last.withLock { $0 }
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
        let hasShards = !needsShards || shards != nil || problems.contains { $0.kind == .stream }
        return observedFor >= duration && (hasShards && mode != nil || observedFor >= max(duration, .seconds(10)))
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
