import AWSWire
import Leases
import Machine

@testable import Fleet

/// A fleet machine with a clock and a table that tests move by hand.
struct Watch {
    var machine: FleetMachine
    var now: Timestamp
    /// Effects of the last event.
    var effects: [FleetMachine.Effect] = []
    var snapshots: [FleetSnapshot] = []

    static let noon = UnixTime(milliseconds: 1_770_000_000_000)
    /// When the stream of the tests was created.
    static let created = noon + .seconds(-30 * 86_400)

    init(_ configuration: FleetConfiguration = .test(), at now: Timestamp = .zero) {
        self.now = now
        machine = FleetMachine(configuration, at: now, wallClock: Watch.noon)
        note(machine.start(at: now))
    }

    private mutating func note(_ effects: [FleetMachine.Effect]) {
        self.effects = effects
        for case .publish(let snapshot) in effects { snapshots.append(snapshot) }
    }

    mutating func send(_ event: FleetMachine.Event) { note(machine.handle(event, at: now)) }

    mutating func wait(_ duration: Duration) { now = now + duration }

    /// Our clock and the service's agree.
    func info(units: Double? = nil, skew: Duration = .zero) -> FleetMachine.CallInfo {
        let time = Watch.noon + (now - Timestamp.zero)
        return FleetMachine.CallInfo(wallClock: time, serviceDate: time + skew, readUnits: units)
    }

    /// Lets what is to be published be published.
    mutating func settle() {
        wait(.milliseconds(300))
        send(.woke)
    }

    /// A whole scan that shows `items`, asked for first where none is under way.
    mutating func scan(_ items: [Item], units: Double? = nil) {
        if machine.pass == nil {
            machine.schedule.nextScan = now
            send(.woke)
        }
        send(.scanned(FleetMachine.TablePage(items), info(units: units)))
    }

    mutating func scan(_ leases: [Lease]) { scan(leases.map { LeaseTable.newItem($0) }) }

    mutating func list(_ shards: [Shard]) { send(.shardsListed(shards, info())) }

    mutating func noMigration() { send(.migrationItemRead(nil, info())) }

    /// The fleet as it is now, published or not.
    var snapshot: FleetSnapshot {
        var machine = machine
        return machine.snapshot(at: now)
    }

    func view(_ id: String) -> LeaseView? { snapshot.leases.first { $0.id == id } }

    func state(_ id: String) -> LeaseState? { view(id)?.state }

    func problem(_ kind: Problem.Kind) -> Problem? { snapshot.problems.first { $0.kind == kind } }

    var wakes: [Timestamp] {
        effects.compactMap { if case .wake(let time) = $0 { time } else { nil } }
    }

    /// The effects but for snapshots, which have tests of their own.
    var calls: [FleetMachine.Effect] {
        effects.filter { if case .publish = $0 { false } else { true } }
    }
}

extension FleetConfiguration {
    static func test(
        stream: String? = "orders", failover: Duration? = .seconds(10), refresh: Duration = .seconds(5)
    ) -> FleetConfiguration {
        FleetConfiguration(
            identity: FleetIdentity(application: "orders-app", stream: stream, region: "us-east-1"),
            failoverTime: failover, autoRefresh: refresh)
    }
}

/// A lease of shard `number` of `count` even ones.
func lease(
    _ number: Int, of count: Int = 4, owner: String? = "w1", counter: Int64 = 1,
    checkpoint: Checkpoint = .trimHorizon, parents: [String] = [], children: [String] = [],
    checkpointOwner: String? = nil
) -> Lease {
    Lease(
        leaseKey: id(number), leaseOwner: owner, leaseCounter: counter, checkpoint: checkpoint,
        parentShardIDs: parents, childShardIDs: children, hashKeyRange: range(number, of: count),
        checkpointOwner: checkpointOwner)
}

func id(_ number: Int) -> String {
    let digits = String(number)
    return "shardId-" + String(repeating: "0", count: 12 - digits.count) + digits
}

func range(_ number: Int, of count: Int) -> HashKeyRange {
    let step = UInt128.max / UInt128(count)
    let place = number % count
    let start = step * UInt128(place)
    return HashKeyRange(start: start, end: place == count - 1 ? .max : start + step - 1)
}

func shard(
    _ number: Int, of count: Int = 4, parent: String? = nil, adjacent: String? = nil, range given: HashKeyRange? = nil,
    isClosed: Bool = false, created: UnixTime = Watch.created
) -> Shard {
    Shard(
        shardID: id(number), parentShardID: parent, adjacentParentShardID: adjacent,
        hashKeyRange: given ?? range(number, of: count), startingSequenceNumber: birth(number, created).description,
        endingSequenceNumber: isClosed ? "999" : nil)
}

/// A row as KCL stores it, with what `newItem` leaves out.
func item(_ lease: Lease, _ more: Item = [:]) -> Item {
    var item = LeaseTable.newItem(lease)
    if let owner = lease.checkpointOwner { item["checkpointOwner"] = .s(owner) }
    item.merge(more) { $1 }
    return item
}

/// The first sequence number of a shard.
func birth(_ number: Int, _ created: UnixTime = Watch.created) -> SequenceNumber {
    SequenceNumberParts(shardCreated: created, recordTime: created, shardIndex: UInt32(number), counter: 0)
        .sequenceNumber
}

/// A checkpoint of shard `number` in the service's layout, made `age` before noon.
func checkpoint(
    age: Duration, of number: Int = 0, from time: UnixTime = Watch.noon, created: UnixTime = Watch.created
) -> Checkpoint {
    let parts = SequenceNumberParts(
        shardCreated: created, recordTime: time + (.zero - age), shardIndex: UInt32(number), counter: 7)
    return Checkpoint(.sequenceNumber(parts.sequenceNumber))
}

func awsError(_ type: String, _ message: String = "no", status: Int = 400, body: AWSValue = .null) -> AWSError {
    AWSError(operation: "DynamoDB.Scan", cause: .service(type: type, message: message, status: status, body: body))
}

let refused = AWSError(
    operation: "DynamoDB.Scan",
    cause: .transport(
        TransportError(.cannotConnect, "cannot connect to 127.0.0.1:4567: refused", requestWasSent: false)))
