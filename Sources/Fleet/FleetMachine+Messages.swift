package import AWSWire
package import Leases
package import Machine

extension FleetMachine {
    package enum Event: Hashable, Sendable {
        case woke
        case scanned(TablePage, CallInfo)
        case scanFailed(AWSError, CallInfo)
        case shardsListed([Shard], CallInfo)
        case shardListFailed(AWSError, CallInfo)
        case streamDescribed(StreamSummary, CallInfo)
        case streamDescriptionFailed(AWSError, CallInfo)
        /// Of a stream that a multi-stream table names.
        case streamRead(StreamID, StreamAnswer, CallInfo)
        case tableDescribed(TableDescription, CallInfo)
        case tableDescriptionFailed(AWSError, CallInfo)
        /// `nil`: there is no such item or no such table.
        case migrationItemRead(Item?, CallInfo)
        case migrationItemFailed(AWSError, CallInfo)
        /// The leader's lock in the coordinator table; `nil`: there is none.
        case leaderRead(Item?, CallInfo)
        case leaderFailed(AWSError, CallInfo)
        /// All rows of the metrics table; `nil`: there is no such table.
        case workerMetricsRead([Item]?, CallInfo)
        case workerMetricsFailed(AWSError, CallInfo)
        /// The answer to `readRows`.
        case rowsRead(RowsRead, CallInfo)
        case rowsReadFailed(AWSError, CallInfo)
        case probed(LagProbe, LagProbe.Answer, CallInfo)
        case probeFailed(LagProbe, AWSError, CallInfo)
        case metricLagsRead([MetricLag], CallInfo)
        case metricLagsFailed(AWSError, CallInfo)
        /// Our own engine, the operator or the program says that something happened.
        case happened(WorkerEvent)
        /// An operator's write returned this row.
        case rowWritten(Item)
        case ownWorkersChanged([OwnWorker])
        /// All children that the program runs now, also those that time alone made older.
        case childrenChanged([ChildView])
        case writabilityChanged(Bool)
        case refreshChanged(RefreshRate)
        /// A person looks at the rows of these leases; no longer at others.
        case rowsShown([String])
        /// Read now.
        case refreshRequested
        case stopRequested
    }

    package enum Effect: Hashable, Sendable {
        /// Read one page of the lease table, eventually consistent.
        case scan(startingAfter: Item?)
        case listShards(stream: String)
        case describeStream(String)
        /// Ask for the shards or the summary of a stream that a multi-stream table names.
        case readStream(StreamID, StreamQuestion, address: String)
        case describeTable(String)
        /// Read `Migration3.0` of the coordinator table of KCL 3.0–3.4, where that exists.
        case readMigrationItem(table: String)
        /// Read the leader's lock of the coordinator table.
        case readLeader(table: String)
        /// Read all rows of the table that holds the workers' metrics, eventually consistent.
        case readWorkerMetrics(table: String)
        /// Read these rows of the lease table, at most 100, eventually consistent.
        case readRows([String])
        /// Read what lies after a checkpoint.
        case probe(LagProbe)
        /// Read MillisBehindLatest of the readers of these shards, by the keys of their leases, the newest of the
        /// minutes before `until`.
        case readMetricLags(namespace: String, shards: [String], until: UnixTime)
        case publish(FleetSnapshot)
        /// Append lines to the recording; `number` rises by one.
        case record([String], number: Int)
        case wake(Timestamp)
    }

    /// One page of a scan.
    package struct TablePage: Hashable, Sendable {
        package var items: [Item]
        /// Where the next page begins; `nil` after the last.
        package var next: Item?

        package init(_ items: [Item], next: Item? = nil) {
            self.items = items
            self.next = next
        }
    }

    /// What a read of certain rows brought.
    package struct RowsRead: Hashable, Sendable {
        /// In no particular order; rows that are not there are missing.
        package var items: [Item]
        /// The keys that the service did not come to.
        package var unprocessed: [String]

        package init(_ items: [Item], unprocessed: [String] = []) {
            self.items = items
            self.unprocessed = unprocessed
        }
    }

    /// What an observer wants to know of a call beside its answer.
    package struct CallInfo: Hashable, Sendable {
        /// Our clock when the answer came.
        package var wallClock: UnixTime
        /// The `Date` of the answer.
        package var serviceDate: UnixTime?
        package var readUnits: Double?
        /// How many requests it took.
        package var calls: Int

        package init(wallClock: UnixTime, serviceDate: UnixTime? = nil, readUnits: Double? = nil, calls: Int = 1) {
            self.wallClock = wallClock
            self.serviceDate = serviceDate
            self.readUnits = readUnits
            self.calls = calls
        }
    }
}

/// When the next read of each kind is due, and what is under way.
struct Schedule: Sendable {
    var nextScan: Timestamp
    var nextShardList: Timestamp
    var nextStreamDescription: Timestamp
    var nextTableDescription: Timestamp
    var nextMigrationRead: Timestamp
    /// `never` where there is nothing to read.
    var nextLeaderRead: Timestamp = .never
    var nextMetricsRead: Timestamp = .never
    /// `.never` where nobody asked for it.
    var nextCloudWatchRead: Timestamp
    var nextPublish: Timestamp
    var nextSample: Timestamp
    /// Something is to be published.
    var isDirty = false
    var underWay: Set<FleetMachine.Failing> = []
    /// The earliest wake that was asked for and did not come.
    private var pendingWake: Timestamp?

    init(at now: Timestamp, hasStream: Bool, readsCloudWatch: Bool) {
        nextCloudWatchRead = readsCloudWatch ? now : .never
        nextScan = now
        nextShardList = hasStream ? now : .never
        nextStreamDescription = hasStream ? now : .never
        nextTableDescription = now
        nextMigrationRead = now
        nextPublish = now
        nextSample = now
    }

    mutating func woke(at now: Timestamp) {
        if let wake = pendingWake, wake <= now { pendingWake = nil }
    }

    mutating func dueReads(
        at now: Timestamp, table: String, stream: String?, coordinatorTable: String
    ) -> [FleetMachine.Effect] {
        var effects: [FleetMachine.Effect] = []
        if nextTableDescription <= now, underWay.insert(.table).inserted {
            effects.append(.describeTable(table))
        }
        if nextMigrationRead <= now, underWay.insert(.migration).inserted {
            effects.append(.readMigrationItem(table: coordinatorTable))
        }
        guard let stream else { return effects }
        if nextStreamDescription <= now, underWay.insert(.stream).inserted {
            effects.append(.describeStream(stream))
        }
        if nextShardList <= now, underWay.insert(.shards).inserted {
            effects.append(.listShards(stream: stream))
        }
        return effects
    }

    /// When to be woken, if no wake that is on its way comes in time.
    mutating func wake(at now: Timestamp, isScanning: Bool, heldUntil: Timestamp?) -> Timestamp? {
        var next = nextSample
        if !isScanning { next = min(next, nextScan) }
        if !underWay.contains(.shards) { next = min(next, nextShardList) }
        if !underWay.contains(.stream) { next = min(next, nextStreamDescription) }
        if !underWay.contains(.table) { next = min(next, nextTableDescription) }
        if !underWay.contains(.migration) { next = min(next, nextMigrationRead) }
        if !underWay.contains(.leader) { next = min(next, nextLeaderRead) }
        if !underWay.contains(.metrics) { next = min(next, nextMetricsRead) }
        if !underWay.contains(.cloudWatch) { next = min(next, max(nextCloudWatchRead, nextScan)) }
        if isDirty { next = min(next, nextPublish) }
        if let heldUntil { next = min(next, heldUntil) }
        if let pendingWake, pendingWake <= next { return nil }
        pendingWake = next
        return next
    }
}

/// The service's clock: ours, corrected where the `Date` of an answer shows that ours is off.
struct ServiceClock: Sendable {
    private var anchor: (at: Timestamp, time: UnixTime)
    /// The service's clock minus ours; zero where they agree to the precision of a `Date`.
    private(set) var offset: Duration = .zero

    init(at now: Timestamp, wallClock: UnixTime) { anchor = (now, wallClock) }

    func time(at now: Timestamp) -> UnixTime { anchor.time + (now - anchor.at) }

    mutating func note(_ info: FleetMachine.CallInfo, at now: Timestamp) {
        if let date = info.serviceDate {
            let difference = date - info.wallClock
            // A Date has whole seconds and is as old as its answer took.
            offset = difference > .milliseconds(2500) || difference < .milliseconds(-2500) ? difference : .zero
        }
        anchor = (now, info.wallClock + offset)
    }
}

/// What watching costs, over the last minute.
struct CostMeter: Sendable {
    private var minutes: [(at: Timestamp, units: Double, calls: Int)] = []
    private var totalUnits = 0.0
    private var totalCalls = 0
    private(set) var unitsPerScan = 0.0
    /// 1, doubled by each throttled scan up to 16, halved by each that was not.
    private(set) var slowness = 1
    /// Scans in a row that showed no change of any row: nobody renews, takes or checkpoints.
    private var unchangedScans = 0

    /// Another read than a scan showed a change.
    mutating func moved() { unchangedScans = 0 }

    mutating func note(_ info: FleetMachine.CallInfo, at now: Timestamp) {
        totalUnits += info.readUnits ?? 0
        totalCalls += info.calls
        if let last = minutes.last, now - last.at < .seconds(1) {
            minutes[minutes.count - 1].units += info.readUnits ?? 0
            minutes[minutes.count - 1].calls += info.calls
        } else {
            minutes.append((now, info.readUnits ?? 0, info.calls))
        }
        minutes.removeAll { now - $0.at > .seconds(60) }
    }

    mutating func scanned(units: Double, hasChanged: Bool) {
        unitsPerScan = units
        unchangedScans = hasChanged ? 0 : min(unchangedScans + 1, 1000)
        slowness = max(1, slowness / 2)
    }

    /// 1, then 2 and 4 where nothing changed for 12 and 24 scans: a minute and three of them at 5 s. The first change
    /// ends it.
    var idleness: Int { unchangedScans < 12 ? 1 : unchangedScans < 24 ? 2 : 4 }

    /// How far apart scans must be to take `units` a second.
    func timeOfScan(at units: Double) -> Duration {
        units > 0 && units.isFinite ? .seconds(min(unitsPerScan / units, 86_400)) : .zero
    }

    mutating func throttled() { slowness = min(16, slowness * 2) }

    func cost(at now: Timestamp, watchedFor time: Duration) -> Cost {
        let seconds = max(1, min(60, time.inSeconds))
        let recent = minutes.filter { now - $0.at <= .seconds(60) }
        return Cost(
            readUnitsPerSecond: recent.reduce(0) { $0 + $1.units } / seconds, readUnits: totalUnits,
            callsPerSecond: Double(recent.reduce(0) { $0 + $1.calls }) / seconds, calls: totalCalls)
    }
}
