import AWSWire
import Dashboard
import Fleet
import Leases
import Machine
import Testing

/// Fleets to draw.
enum Fixture {
    static let start = UnixTime(milliseconds: 1_769_860_800_000)
    static let instant = Timestamp(nanoseconds: 1_000_000_000_000)

    static func shardID(_ number: Int) -> String {
        let digits = String(number)
        return "shardId-" + String(repeating: "0", count: 12 - digits.count) + digits
    }

    /// A part of the hash key space, in sixteenths.
    static func range(_ first: Int, _ end: Int) -> HashKeyRange {
        let part = UInt128.max / 16 + 1
        return HashKeyRange(
            start: UInt128(first) * part, end: end == 16 ? .max : UInt128(end) * part - 1)
    }

    static func history(level: Double, slope: Double = 0) -> History {
        let samples = (0..<60).map { index in
            let wave = [0.0, 0.3, 0.7, 1.0, 0.8, 0.4][index % 6]
            let lag = max(0, level * (0.6 + 0.4 * wave) + slope * Double(index))
            return History.Sample(lagMilliseconds: Float(lag), recordsPerSecond: Float(200 + 100 * wave))
        }
        return History(samples)
    }

    static func lease(
        _ number: Int, _ state: LeaseState, owner: String? = nil, range: HashKeyRange, reason: StateReason? = nil,
        lag: Int64? = 200, rate: Double? = 480, checkpoint: Checkpoint? = nil, parents: [Int] = [],
        children: [Int] = [], isOpen: Bool = true, severity: Severity? = nil, isOurs: Bool = false,
        history: History? = nil
    ) -> LeaseView {
        let id = shardID(number)
        let sequence = SequenceNumber("49640000000000000000000000000000000000000000000000889\(800 + number)")
        let checkpoint = checkpoint ?? Checkpoint(sequence.map { .sequenceNumber($0) } ?? .trimHorizon)
        let lease = Lease(
            leaseKey: id, leaseOwner: owner, leaseCounter: Int64(100 + number), checkpoint: checkpoint,
            parentShardIDs: parents.map { shardID($0) }, childShardIDs: children.map { shardID($0) },
            hashKeyRange: range)
        var stored: Item = [
            "leaseKey": .s(id), "leaseCounter": .n(Int64(100 + number)), "checkpoint": .s(checkpoint.text),
            "checkpointSubSequenceNumber": .n(0), "ownerSwitchesSinceCheckpoint": .n(0),
            "startingHashKey": .s(String(range.start)), "endingHashKey": .s(String(range.end)),
        ]
        if let owner { stored["leaseOwner"] = .s(owner) }
        if !parents.isEmpty { stored["parentShardId"] = .ss(Set(parents.map { shardID($0) })) }
        return LeaseView(
            id: id, lease: lease, stored: stored, state: state,
            reason: reason ?? .renewed(ago: .milliseconds(900), counter: Int64(100 + number)), owner: owner,
            isOurs: isOurs, deliveredLag: lag.map { Lag($0, isOurs ? .exact : .probe) },
            checkpointLag: lag.map { Lag($0 + 1500, .estimate) }, checkpointAge: .milliseconds(2100),
            isCheckpointAgeExact: true, counterAge: .milliseconds(900), recordsPerSecond: rate,
            bytesPerSecond: rate.map { $0 * 300 }, history: history ?? Self.history(level: Double(lag ?? 0)),
            parents: parents.map { shardID($0) }, children: children.map { shardID($0) }, hashKeyRange: range,
            isOpen: isOpen, severity: severity)
    }

    static func event(
        _ seq: Int, _ kind: WorkerEvent.Kind, second: Int, shard: Int? = nil, worker: String? = nil,
        from: String? = nil, to: String? = nil, children: [Int] = [], source: WorkerEvent.Source = .table,
        message: String? = nil
    ) -> LoggedEvent {
        LoggedEvent(
            seq: seq,
            WorkerEvent(
                kind, at: start + .seconds(second), source: source, workerID: worker,
                shardID: shard.map { shardID($0) }, previousOwner: from, owner: to,
                childShardIDs: children.map { shardID($0) }, message: message))
    }

    static func tree(_ leases: [LeaseView]) -> ShardTree {
        ShardTree(
            leases.filter { $0.kind != .hole }.map { lease in
                Shard(
                    shardID: lease.shardID, parentShardID: lease.parents.first,
                    adjacentParentShardID: lease.parents.dropFirst().first, hashKeyRange: lease.hashKeyRange ?? .whole,
                    endingSequenceNumber: lease.isOpen == true ? nil : "9")
            })
    }

    static let seven = "ip-10-0-1-7"
    static let eight = "ip-10-0-1-8"
    static let nine = "ip-10-0-1-9"

    /// A production fleet in which a split drains, a merge is over, one worker is late and one is gone.
    static func troubled(isWritable: Bool = false) -> FleetSnapshot {
        let failover = FailoverTime(.seconds(10), .inferred)
        let leases = [
            lease(0, .live, owner: seven, range: range(0, 4), lag: 400, rate: 940),
            lease(
                1, .ended, owner: seven, range: range(4, 6), reason: .shardEnd(children: [shardID(6)]), lag: nil,
                rate: nil, checkpoint: .shardEnd, children: [6], isOpen: false),
            lease(6, .live, owner: eight, range: range(4, 8), lag: 1200, rate: 310, parents: [1, 2]),
            lease(
                2, .ended, owner: seven, range: range(6, 8), reason: .shardEnd(children: [shardID(6)]), lag: nil,
                rate: nil, checkpoint: .shardEnd, children: [6], isOpen: false),
            lease(
                3, .drain, owner: seven, range: range(8, 12),
                reason: .closed(children: [shardID(4), shardID(5)], left: .seconds(6)), lag: 6200, rate: 1830,
                children: [4, 5], isOpen: false, history: history(level: 14_000, slope: -180)),
            lease(
                4, .blocked, range: range(8, 10),
                reason: .waitsFor(parents: [shardID(3)], isMerge: false, left: .seconds(6)), lag: nil, rate: nil,
                checkpoint: .trimHorizon, parents: [3]),
            lease(
                5, .blocked, range: range(10, 12),
                reason: .waitsFor(parents: [shardID(3)], isMerge: false, left: .seconds(6)), lag: nil, rate: nil,
                checkpoint: .trimHorizon, parents: [3]),
            lease(
                7, .expired, owner: nine, range: range(12, 14),
                reason: .expired(since: .seconds(252), failover: failover), lag: 252_000, rate: 0,
                severity: .critical, history: history(level: 4000, slope: 4200)),
            lease(
                8, .late, owner: eight, range: range(14, 16),
                reason: .missedRenewal(since: .seconds(7), failover: failover), lag: 4100, rate: 120,
                severity: .warning, history: history(level: 1000, slope: 50)),
        ]
        var totals = FleetTotals()
        totals.open = 6
        totals.draining = 1
        totals.ended = 2
        totals.unowned = 1
        totals.blocked = 2
        totals.workers = 3
        return FleetSnapshot(
            identity: FleetIdentity(
                application: "orders-app", stream: "orders", region: "us-east-1", account: "123456789012",
                role: "role/ops", isWritable: isWritable),
            sequence: 7, takenAt: start + .seconds(247), takenAtInstant: instant, observedFor: .seconds(240),
            refreshAge: .milliseconds(300), scans: 48, generation: .v2, mode: .takers(clientVersion: nil),
            leader: seven, failoverTime: failover, retention: .seconds(86_400), leases: leases, shards: tree(leases),
            workers: [
                WorkerView(
                    workerID: seven, leases: 2, activeLeases: 2, state: .live, heartbeatAge: .milliseconds(900),
                    isLeader: true, recordsPerSecond: 2770, bytesPerSecond: 831_000),
                WorkerView(
                    workerID: eight, leases: 2, activeLeases: 2, state: .late, heartbeatAge: .milliseconds(7100),
                    recordsPerSecond: 430, bytesPerSecond: 129_000),
                WorkerView(
                    workerID: nine, leases: 1, activeLeases: 0, state: .expired, heartbeatAge: .seconds(252),
                    recordsPerSecond: 0),
            ],
            events: [
                event(1, .leaseTaken, second: 12, shard: 6, to: eight),
                event(2, .checkpointed, second: 60, shard: 0, to: seven),
                event(3, .shardEnded, second: 200, shard: 1, worker: seven, children: [6], source: .engine),
                event(4, .leaseStolen, second: 221, shard: 8, from: seven, to: eight),
                event(5, .leaseLost, second: 222, shard: 8, worker: seven, source: .engine),
                event(6, .ownerChanged, second: 230, shard: 0, from: nine, to: seven),
                event(7, .throttled, second: 241, worker: eight, message: "GetRecords of shardId-000000000008"),
            ],
            problems: [
                Problem(
                    id: "expired", kind: .expired, severity: .critical, since: start, age: .seconds(252),
                    shardIDs: [shardID(7)], workerID: nine,
                    message: "\(nine) is gone since 12:00:00Z and nobody took \(shardID(7))", action: .evict),
                Problem(
                    id: "late", kind: .stuck, severity: .warning, since: start, age: .seconds(7),
                    shardIDs: [shardID(8)], workerID: eight, message: "\(eight) missed a renewal", action: .steal),
            ],
            verdict: Verdict(
                severity: .critical, word: "CRITICAL",
                headline: "1 shard unowned 4m12s (\(nine) gone 12:00:00Z) (+1 more)",
                facts: ["max lag ≤4m12s", "oldest unread expires in 23h41m", "6 open 1 draining 2 ended"],
                lagTrend: .rising),
            totals: totals, cost: Cost(readUnitsPerSecond: 0.6, readUnits: 144, callsPerSecond: 0.4, calls: 96))
    }

    /// The demo: three workers of ours on four shards, all well.
    static func demo(paused: String? = nil) -> FleetSnapshot {
        let owners = ["worker-1", "worker-2", "worker-3", "worker-1"]
        let leases = (0..<4).map { number in
            lease(
                number, .live, owner: owners[number], range: range(number * 4, number * 4 + 4),
                lag: Int64(120 + 90 * number), rate: 50, isOurs: true)
        }
        var totals = FleetTotals()
        totals.open = 4
        totals.workers = 3
        return FleetSnapshot(
            identity: FleetIdentity(
                application: "shardtop-demo", stream: "demo", region: "us-east-1", role: "demo",
                endpoint: "in process", isDemo: true, isWritable: true),
            sequence: 3, takenAt: start + .seconds(31), takenAtInstant: instant, observedFor: .seconds(30),
            refreshAge: .milliseconds(200), refreshInterval: .seconds(1), scans: 30, generation: .v2,
            mode: .takers(clientVersion: nil), failoverTime: FailoverTime(.seconds(10), .given), leases: leases,
            shards: tree(leases),
            workers: (1...3).map { number in
                let id = "worker-\(number)"
                return WorkerView(
                    workerID: id, leases: number == 1 ? 2 : 1, activeLeases: number == 1 ? 2 : 1,
                    state: id == paused ? .paused : .live, heartbeatAge: .milliseconds(400 * Int64(number)),
                    isOurs: true, isPaused: id == paused, recordsPerSecond: number == 1 ? 100 : 50)
            },
            events: [
                event(1, .workerStarted, second: 1, worker: "worker-1", source: .engine),
                event(2, .leaseTaken, second: 2, shard: 0, to: "worker-1", source: .engine),
                event(3, .initialized, second: 3, shard: 0, worker: "worker-1", source: .engine),
            ],
            verdict: Verdict(
                word: "OK", headline: "3 workers read every shard", facts: ["max lag 0.3s", "4 open"]),
            totals: totals)
    }

    /// Nothing was read so far.
    static func unread(_ problems: [Problem] = []) -> FleetSnapshot {
        FleetSnapshot(
            identity: FleetIdentity(
                application: "orders-app", stream: "orders", region: "us-east-1", account: "123456789012"),
            takenAt: start, takenAtInstant: instant, problems: problems)
    }

    static func empty() -> FleetSnapshot {
        var snapshot = unread()
        snapshot.scans = 3
        snapshot.refreshAge = .milliseconds(500)
        snapshot.verdict = Verdict(word: "OK", headline: "no worker ran so far", facts: ["0 open"])
        return snapshot
    }

    /// A fleet of `count` shards over 200 workers.
    static func large(_ count: Int) -> FleetSnapshot {
        var snapshot = troubled()
        let part = UInt128.max / UInt128(count)
        snapshot.leases = (0..<count).map { number in
            let range = HashKeyRange(
                start: UInt128(number) * part, end: number == count - 1 ? .max : UInt128(number + 1) * part - 1)
            return lease(
                number, number % 997 == 5 ? .late : .live, owner: "ip-10-0-\(number % 200)-7", range: range,
                lag: Int64(number * 7919 % 5000), rate: Double(number % 300),
                severity: number % 997 == 5 ? .warning : nil)
        }
        snapshot.shards = tree(snapshot.leases)
        snapshot.workers = (0..<200).map { WorkerView(workerID: "ip-10-0-\($0)-7", leases: count / 200, state: .live) }
            .sorted { $0.workerID < $1.workerID }
        return snapshot
    }

    /// Names that a terminal must never see as they are.
    static func hostile() -> FleetSnapshot {
        var snapshot = demo()
        let evil = "\u{1B}[31mevil\u{07}\u{202E}\u{9B}2J\u{0A}row"
        snapshot.identity.application = "app\u{1B}]0;x\u{07}"
        snapshot.leases[0].owner = evil
        snapshot.leases[0].id = "shard\u{1B}[2J"
        snapshot.leases[0].shardID = "shard\u{1B}[2J"
        snapshot.leases[0].reason = .unowned(since: nil, lastOwner: evil)
        snapshot.leases[0].stored["note\u{1B}"] = .s(evil)
        snapshot.workers[0].workerID = evil
        snapshot.events.append(event(9, .leaseLost, second: 9, shard: 0, worker: evil, message: evil))
        snapshot.problems = [
            Problem(
                id: "x", kind: .oddRow, severity: .warning, since: start, shardIDs: ["shard\u{1B}[2J"], message: evil)
        ]
        snapshot.verdict.headline = evil
        return snapshot
    }
}

/// A model that is driven by keys.
struct Screen {
    var model: Model
    var effects: [ModelEffect] = []
    var look: Look

    init(
        _ purpose: Model.Configuration.Purpose = .watch, _ snapshot: FleetSnapshot? = Fixture.troubled(),
        width: Int = 120, height: Int = 40, theme: String = "shardtop", depth: ColorDepth = .truecolor,
        symbols: Symbols = .unicode
    ) throws {
        model = Model(.init(purpose: purpose), width: width, height: height, now: Fixture.instant)
        look = Look(theme: try #require(BundledThemes.theme(theme)).reduced(to: depth), symbols: symbols)
        if let snapshot { send(.snapshotTaken(snapshot)) }
    }

    mutating func send(_ event: ModelEvent) {
        effects += model.handle(event)
    }

    /// Types keys as `Key.sequence` reads them and returns what they led to.
    @discardableResult
    mutating func press(_ keys: String) throws -> [ModelEffect] {
        effects = []
        for key in try #require(Key.sequence(keys)) { send(.terminal(.key(key))) }
        return effects
    }

    mutating func wait(_ duration: Duration) {
        send(.ticked(model.now + duration))
    }

    var buffer: CellBuffer { render(model, look: look) }
    var text: String { buffer.textDump }
    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
    var foot: String { lines.dropLast().last.map { String($0).trimmingBlanks } ?? "" }
}

extension String {
    var trimmingBlanks: String {
        var text = Substring(self)
        while text.last == " " { text.removeLast() }
        while text.first == " " { text.removeFirst() }
        return String(text)
    }
}
