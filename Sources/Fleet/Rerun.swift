import Machine

/// An observer that hears again what was heard once, in its own time: nothing is asked of anybody.
struct Rerun: Sendable {
    private(set) var machine: FleetMachine
    private(set) var now: Timestamp
    private var wakes: [Timestamp] = []

    init(_ configuration: FleetConfiguration, at start: Timestamp, wallClock: UnixTime) {
        now = start
        machine = FleetMachine(configuration, at: start, wallClock: wallClock)
        note(machine.start(at: start))
    }

    /// Hears an event after the time before it has passed; returns what was published until then.
    mutating func hear(_ event: FleetMachine.Event, at time: Timestamp) -> [FleetSnapshot] {
        let snapshots = wait(until: time)
        // The machine takes an answer only for a question.
        if case .scanned = event { machine.expectScan(at: now) }
        if case .rowsRead = event { machine.expectRows(at: now) }
        return snapshots + note(machine.handle(event, at: now))
    }

    /// Lets the time pass in which nothing is heard.
    @discardableResult
    mutating func wait(until end: Timestamp) -> [FleetSnapshot] {
        var snapshots: [FleetSnapshot] = []
        while let wake = wakes.min(), wake <= end {
            wakes.removeAll { $0 == wake }
            now = max(now, wake)
            snapshots += note(machine.handle(.woke, at: now))
        }
        now = max(now, end)
        return snapshots
    }

    /// The fleet as it is known now.
    mutating func snapshot() -> FleetSnapshot { machine.snapshot(at: now) }

    @discardableResult
    private mutating func note(_ effects: [FleetMachine.Effect]) -> [FleetSnapshot] {
        var snapshots: [FleetSnapshot] = []
        for effect in effects {
            switch effect {
            case .publish(let snapshot): snapshots.append(snapshot)
            case .wake(let time): wakes.append(time)
            case .scan, .listShards, .describeStream, .readStream, .describeTable, .readMigrationItem, .readLeader,
                .readWorkerMetrics, .readRows, .probe, .readMetricLags, .record:
                break
            }
        }
        return snapshots
    }
}
