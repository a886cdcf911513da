import DequeModule
import Leases
import Machine

/// The newest events, bounded. What the table shows and what our own engine says of it become one event.
struct EventLog: Sendable {
    private let capacity: Int
    private var entries: Deque<LoggedEvent> = []
    private var nextSeq = 1
    /// How many of the entries are lines of children.
    private var outputCount = 0
    /// Table events that an engine event may still replace.
    private var held: [(event: WorkerEvent, until: Timestamp)] = []
    /// What engines said of late, to recognise the same in the table.
    private var said: [String: [(event: WorkerEvent, at: Timestamp)]] = [:]
    private var saidCount = 0

    /// How long the table may be behind an engine's word, or an engine's word behind the table.
    static let window: Duration = .seconds(12)
    static let holdTime: Duration = .seconds(2)

    init(capacity: Int) { self.capacity = max(1, capacity) }

    var events: [LoggedEvent] { Array(entries) }
    /// The newest event that is ours, not a child's line.
    var last: WorkerEvent? { entries.last { $0.event.kind != .childOutput }?.event }
    var heldUntil: Timestamp? { held.first?.until }

    /// Takes an event in; a table event that an engine already told is dropped.
    mutating func append(_ event: WorkerEvent, at now: Timestamp, isHeld: Bool = false) {
        switch event.source {
        case .table:
            if wasSaid(event, at: now) { return }
            if isHeld { held.append((event, now + Self.holdTime)) } else { log(event) }
        case .engine:
            held.removeAll { Self.isSame($0.event, event) }
            if let shard = event.shardID, Self.showsInTable(event.kind) {
                said[shard, default: []].append((event, now))
                saidCount += 1
                if saidCount > 4 * capacity { forget(at: now) }
            }
            log(event)
        }
    }

    /// Logs the held events whose time is up; true if there were any.
    mutating func settle(at now: Timestamp) -> Bool {
        let isDue = held.prefix { $0.until <= now }
        guard !isDue.isEmpty else { return false }
        held.removeFirst(isDue.count)
        for entry in isDue where !wasSaid(entry.event, at: now) { log(entry.event) }
        return true
    }

    private mutating func log(_ event: WorkerEvent) {
        let isOutput = event.kind == .childOutput
        if isOutput, outputCount >= max(1, capacity / 2) {
            // Children may talk as much as they like: half of the log stays for everything else.
            if let oldest = entries.firstIndex(where: { $0.event.kind == .childOutput }) { remove(at: oldest) }
        }
        while entries.count >= capacity { remove(at: 0) }
        if isOutput { outputCount += 1 }
        entries.append(LoggedEvent(seq: nextSeq, event))
        nextSeq += 1
    }

    private mutating func remove(at index: Int) {
        if entries.remove(at: index).event.kind == .childOutput { outputCount -= 1 }
    }

    private func wasSaid(_ event: WorkerEvent, at now: Timestamp) -> Bool {
        guard let shard = event.shardID, let recent = said[shard] else { return false }
        return recent.contains { now - $0.at <= Self.window && Self.isSame(event, $0.event) }
    }

    private mutating func forget(at now: Timestamp) {
        said = said.compactMapValues { list in
            let kept = list.filter { now - $0.at <= Self.window }
            return kept.isEmpty ? nil : kept
        }
        saidCount = said.values.reduce(0) { $0 + $1.count }
    }

    private static func showsInTable(_ kind: WorkerEvent.Kind) -> Bool {
        switch kind {
        case .leaseCreated, .childLeaseCreated, .leaseTaken, .leaseStolen, .leaseReleased, .leaseEvicted, .leaseLost,
            .handoffStarted, .handoffCompleted, .shardEnded, .leaseDeleted, .operatorAction, .ownerChanged:
            true
        default: false
        }
    }

    /// Whether a table event and an engine's are about the same thing.
    private static func isSame(_ table: WorkerEvent, _ engine: WorkerEvent) -> Bool {
        guard table.shardID == engine.shardID else { return false }
        switch table.kind {
        case .leaseTaken, .ownerChanged:
            guard engine.kind == .leaseTaken || engine.kind == .leaseStolen || engine.kind == .ownerChanged else {
                return false
            }
            return (engine.owner ?? engine.workerID) == table.owner
        case .leaseReleased:
            guard engine.kind == .leaseReleased || engine.kind == .leaseEvicted || engine.kind == .operatorAction else {
                return false
            }
            let owner = engine.previousOwner ?? engine.workerID
            return owner == nil || owner == table.previousOwner || engine.kind != .leaseReleased
        case .leaseCreated, .childLeaseCreated:
            return engine.kind == .leaseCreated || engine.kind == .childLeaseCreated
        default: return engine.kind == table.kind
        }
    }
}
