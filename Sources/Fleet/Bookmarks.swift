import Leases
package import Machine

/// The moments at which something happened that people look for: steals, ZOMBIE, TERMINATE, reshards and what operators
/// did. Found in the events of the pictures as they come.
package struct Bookmarks: Hashable, Sendable {
    /// In the order of the log, oldest first, bounded.
    package private(set) var events: [LoggedEvent] = []
    private var newest = 0

    /// More than an hour of a fleet in trouble; beyond, the oldest go.
    private static let eventsMax = 2000
    /// Events so close together are one place to jump to.
    private static let closeness: Duration = .seconds(2)

    package init() {}

    /// Takes what is new in `snapshot`.
    package mutating func note(_ snapshot: FleetSnapshot) {
        guard let last = snapshot.events.last, last.seq > newest else { return }
        events += snapshot.events.filter { $0.seq > newest && Self.isOne($0.event) }
        newest = last.seq
        if events.count > Self.eventsMax { events.removeFirst(events.count - Self.eventsMax) }
    }

    /// The nearest place before (or after) `time`, with the events there.
    package func nearest(before time: UnixTime) -> [LoggedEvent] {
        guard let last = events.last(where: { $0.event.at < time }) else { return [] }
        return events.filter { $0.event.at <= last.event.at && last.event.at - $0.event.at <= Self.closeness }
    }

    package func nearest(after time: UnixTime) -> [LoggedEvent] {
        guard let first = events.first(where: { $0.event.at > time }) else { return [] }
        return events.filter { $0.event.at >= first.event.at && $0.event.at - first.event.at <= Self.closeness }
    }

    /// What was known of the past at `time`: all of `present` until then, and what is older and was kept.
    package func events(until time: UnixTime, in present: [LoggedEvent]) -> [LoggedEvent] {
        let first = present.first?.seq ?? .max
        let last = present.last?.seq ?? .min
        let kept = events.filter { $0.seq < first } + present + events.filter { $0.seq > last && $0.seq > first }
        return kept.filter { $0.event.at <= time }
    }

    private static func isOne(_ event: WorkerEvent) -> Bool {
        switch event.kind {
        case .leaseStolen, .leaseEvicted, .leaseLost, .shardEnded, .childLeaseCreated, .operatorAction: true
        // Seen from the table alone a steal is a change from one owner to another.
        case .ownerChanged: event.previousOwner != nil && event.owner != nil
        case .workerStarted, .leaseCreated, .leaseTaken, .leaseReleased, .handoffStarted, .handoffCompleted,
            .initialized, .recordsProcessed, .recordsSkipped, .checkpointed, .shutdownRequested, .shutdownCompleted,
            .leaseDeleted, .processorFailed, .throttled, .subscriptionStarted, .subscriptionEnded, .shardSynced,
            .modeChanged, .workerStopped, .childOutput:
            false
        }
    }
}
