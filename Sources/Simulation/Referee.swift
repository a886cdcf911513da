import AWSWire
import KinesisConsumer
import Leases
import Machine
import Synchronization

/// Watches a simulated fleet from outside and checks every invariant as things happen, in true time.
///
/// It sees each write to the lease table as it takes effect, each call of a processor and each event of a worker.
final class Referee: Sendable {
    /// One run of a worker: a restart under the same id is another.
    struct Incarnation: Hashable, Sendable {
        var number: Int
        var workerID: String
    }

    /// What is known of a worker from its start.
    struct Traits: Hashable, Sendable {
        var isJava: Bool
        var failoverTime: Duration
    }

    struct State {
        var shards: [String: ShardHistory] = [:]
        /// The lease table as it is now.
        var leases: [String: Lease] = [:]
        var everExisted: Set<String> = []
        /// Who took each lease last.
        var holders: [String: Incarnation] = [:]
        /// When the last effective write of each holder was sent, by lease.
        var confirmed: [String: [Incarnation: Timestamp]] = [:]
        /// Takes from a holder that may still deliver: legal only as a steal.
        var unfencedTakes: [String: (by: Incarnation, from: Incarnation, counter: Int64)] = [:]
        var traits: [Incarnation: Traits] = [:]
        var dead: Set<Incarnation> = []
        var killed: Set<Incarnation> = []
        /// Why each lease came to its holder.
        var causes: [String: String] = [:]
        /// When each row was created.
        var createdAt: [String: Timestamp] = [:]
        /// When each lease that counts no more ended, or was deleted.
        var goneAt: [String: Timestamp] = [:]
        /// Rows that were deleted at SHARD_END.
        var cleanedUp: Set<String> = []
        /// The last time that a row came or went.
        var disturbedAt: Timestamp = .zero
        var tenures: [Int: Tenure] = [:]
        /// How far each holder's processor asked to checkpoint, by lease.
        var asked: [String: [Incarnation: Checkpoint]] = [:]
        /// When each worker last gave a lease up itself.
        var leftAt: [String: [Incarnation: Timestamp]] = [:]
        /// When each lease that nobody holds was given up.
        var releasedAt: [String: Timestamp] = [:]
        /// The fleet came to rest: processors are quick and do not fail, and deadlines count.
        var calmSince: Timestamp?
        var ownershipChanges = 0
        var scannedRows = 0.0
        var report: SimulationReport
    }

    let failoverTime: Duration
    /// How old an eventually consistent read may be; deadlines allow for it.
    let staleness: Duration
    let trace: Trace
    let clock: @Sendable () -> Timestamp
    let state: Mutex<State>

    /// What two clocks may disagree on in one failover time (drift of up to 200 ppm each), and a little.
    func tolerance(_ failoverTime: Duration) -> Duration { failoverTime / 2000 + .milliseconds(1) }

    /// What the whole fleet may read at rest: every row about once a second by segments, and every worker the whole
    /// table at KCL's cadence.
    static func tableReadsPerSecondMax(workers: Int, failoverTime: Duration) -> Double {
        1.2 + Double(workers) / (2 * failoverTime.inSeconds) * 1.1
    }

    private static let violationsKept = 20

    init(
        seed: UInt64, failoverTime: Duration, staleness: Duration, trace: Trace,
        clock: @escaping @Sendable () -> Timestamp
    ) {
        self.failoverTime = failoverTime
        self.staleness = staleness
        self.trace = trace
        self.clock = clock
        state = Mutex(State(report: SimulationReport(seed: seed)))
    }

    var now: Timestamp { clock() }

    func report(_ invariant: Invariant, _ message: String) {
        state.withLock { report(invariant, message, &$0) }
    }

    func report(_ invariant: Invariant, _ message: String, _ state: inout State) {
        let violation = Violation(invariant: invariant, at: now, message: message)
        state.report.violationCount += 1
        if state.report.violations.count < Self.violationsKept { state.report.violations.append(violation) }
        trace.add("VIOLATION \(violation)")
    }

    func note(_ line: String) {
        trace.add("\((now - .zero).wholeMilliseconds) \(line)")
    }

    // MARK: Workers

    func joined(_ incarnation: Incarnation, _ traits: Traits) {
        state.withLock { $0.traits[incarnation] = traits }
    }

    func isJava(_ incarnation: Incarnation, _ state: State) -> Bool { state.traits[incarnation]?.isJava ?? false }

    func failoverTime(of incarnation: Incarnation, _ state: State) -> Duration {
        state.traits[incarnation]?.failoverTime ?? failoverTime
    }

    /// A Java worker logs an error that no service caused.
    func javaError(_ message: String, of incarnation: Incarnation) {
        note("\(incarnation.workerID)#\(incarnation.number) ERROR \(message)")
        report(.javaLogsNoError, "\(incarnation.workerID): \(message)")
    }

    /// Why a read did not show a row.
    enum Absence: Hashable, Sendable {
        /// It is there.
        case staleRead
        /// It was deleted at SHARD_END, by whomever.
        case cleanedUp
        /// It was deleted before, or was never there.
        case lost
    }

    func absence(of key: String) -> Absence {
        state.withLock { state in
            if state.leases[key] != nil { return .staleRead }
            return state.cleanedUp.contains(key) ? .cleanedUp : .lost
        }
    }

    /// The rest of the aggregate at `checkpoint` is skipped by KCL itself: nobody else is to blame.
    func skippedRest(of shardID: String, _ checkpoint: Checkpoint) {
        state.withLock { state in
            guard let number = checkpoint.sequenceNumber, var history = state.shards.removeValue(forKey: shardID)
            else { return }
            if let index = history.indexes[number] {
                let record = history.stored[index]
                for place in record.offset..<record.offset + record.count where history.deliveries[place] <= 0 {
                    history.deliveries[place] = 1
                    state.report.skippedByJava += 1
                }
            }
            state.shards[shardID] = history
        }
    }

    /// Its `run()` returned: it delivers nothing any more, whatever the table says.
    func ended(_ incarnation: Incarnation) {
        state.withLock { _ = $0.dead.insert(incarnation) }
    }

    func killed(_ incarnation: Incarnation) {
        state.withLock { state in
            state.dead.insert(incarnation)
            state.killed.insert(incarnation)
            for id in state.tenures.keys where state.tenures[id]?.owner == incarnation {
                state.tenures[id]?.phase = .crashed
            }
        }
    }

    func happened(_ event: WorkerEvent, at worker: Incarnation) {
        state.withLock { state in
            guard let shard = event.shardID else { return }
            switch event.kind {
            // What Java thinks of other workers' lives is Java's.
            case .leaseTaken where !isJava(worker, state):
                if let take = state.unfencedTakes[shard], take.by == worker, take.counter == event.leaseCounter {
                    report(
                        .oneUnfencedProcessor,
                        "\(worker.workerID) took \(shard) as expired while \(take.from.workerID) may still deliver",
                        &state)
                }
            case .leaseLost: state.report.zombies += 1
            case .shardEnded: state.report.terminated += 1
            default: break
            }
        }
    }
}

/// What is known of one shard: its records in order, and how often each was handed over.
struct ShardHistory: Sendable {
    struct Stored: Sendable {
        var sequenceNumber: SequenceNumber
        /// User records: 1 for a plain one.
        var count: Int
        /// Where its user records start in `deliveries`.
        var offset: Int
        /// What the payload of its first user record says.
        var payload: Int
        var isAggregated: Bool
    }

    var stored: [Stored] = []
    var indexes: [SequenceNumber: Int] = [:]
    var deliveries: [Int] = []
    /// Everything before this user record was found delivered under a checkpoint.
    var checked = 0

    mutating func store(_ sequenceNumber: SequenceNumber, count: Int, payload: Int) {
        indexes[sequenceNumber] = stored.count
        stored.append(
            Stored(
                sequenceNumber: sequenceNumber, count: count, offset: deliveries.count, payload: payload,
                isAggregated: count > 1))
        deliveries += Array(repeating: 0, count: count)
    }

    /// How many user records lie at or below `checkpoint`.
    func count(through checkpoint: Checkpoint) -> Int {
        switch checkpoint.position {
        case .atTimestamp, .trimHorizon, .latest: return 0
        case .shardEnd: return deliveries.count
        case .sequenceNumber(let number):
            var (low, high) = (0, stored.count)
            while low < high {
                let middle = (low + high) / 2
                if stored[middle].sequenceNumber <= number { low = middle + 1 } else { high = middle }
            }
            guard low > 0 else { return 0 }
            let last = stored[low - 1]
            guard last.sequenceNumber == number else { return last.offset + last.count }
            return last.offset + min(last.count, Int(clamping: checkpoint.subSequenceNumber) + 1)
        }
    }

    /// The first user record below `count` that nobody was handed.
    func firstUndelivered(below count: Int) -> Int? { deliveries[..<count].firstIndex { $0 <= 0 } }

    /// `sequence/sub` of the user record at `index`.
    func name(_ index: Int) -> String {
        let record = stored.last { $0.offset <= index }
        return record.map { "\($0.sequenceNumber)/\(index - $0.offset)" } ?? "?"
    }
}
