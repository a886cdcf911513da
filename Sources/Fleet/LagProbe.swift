package import AWSWire
package import Leases
package import Machine

/// One look at a shard just after a lease's checkpoint: how long has the first unread record been waiting?
///
/// It shares the shard's five reads a second with the real consumers, so it reads one record, once; `LagProbes` says
/// how often.
package struct LagProbe: Hashable, Sendable {
    package var stream: String
    package var leaseKey: String
    package var shardID: String
    package var checkpoint: Checkpoint

    /// What lies after the checkpoint.
    package struct Answer: Hashable, Sendable {
        /// When the first unread record came; `nil` where the read returned none.
        package var firstUnread: UnixTime?
        /// How far behind the tip the read was, as the service says it.
        package var millisBehindLatest: Int64

        package init(firstUnread: UnixTime?, millisBehindLatest: Int64) {
            self.firstUnread = firstUnread
            self.millisBehindLatest = millisBehindLatest
        }
    }

    /// How many calls a probe makes.
    package static let calls = 2

    package func perform(_ kinesis: KinesisClient) async throws(AWSError) -> Answer {
        // Sent once each: the first throttle is the one that counts.
        let iterator = try await kinesis.shardIterator(stream: stream, shard: shardID, at: position, attemptsMax: 1)
        let batch = try await kinesis.getRecords(iterator: iterator, limit: 1)
        return Answer(
            firstUnread: batch.records.first?.approximateArrival, millisBehindLatest: batch.millisBehindLatest ?? 0)
    }

    /// A rewound lease, `(number, −1)`, begins with that record; a record of an aggregate counts as read with its first
    /// user record.
    private var position: ShardPosition {
        switch checkpoint.position {
        case .sequenceNumber(let number) where checkpoint.subSequenceNumber < 0: .atSequenceNumber(number.description)
        case .sequenceNumber(let number): .afterSequenceNumber(number.description)
        case .trimHorizon, .latest, .atTimestamp, .shardEnd: .trimHorizon
        }
    }
}

/// When the shards are probed, and what that showed: at most one probe a shard in 10 s, suspects first, 20 calls a
/// second in all, and fewer as soon as one is throttled.
struct LagProbes: Sendable {
    private struct Result {
        var checkpoint: Checkpoint
        var answer: LagProbe.Answer
        var at: Timestamp
        /// The service's time of the answer.
        var time: UnixTime
    }

    private static let shardInterval: Duration = .seconds(10)
    private static let spacing: Duration = .milliseconds(1000 * LagProbe.calls / 20)
    /// A suspect's turn comes as if it had waited for so much longer.
    private static let head: Duration = .seconds(30)
    /// A measurement says nothing of now after so long.
    private static let validity: Duration = .seconds(60)
    private static let pauseMax: Duration = .seconds(64)

    /// Those that are due until the next scan, the most urgent last.
    private var queue: [LagProbe] = []
    private var results: [String: Result] = [:]
    private var askedAt: [String: Timestamp] = [:]
    private var underWay: Set<String> = []
    private var next: Timestamp
    private var pause: Duration = .zero

    init(at now: Timestamp) { next = now }

    /// Puts the shards in order after a scan; what is no longer among them is forgotten.
    mutating func plan(_ probes: [(probe: LagProbe, isSuspect: Bool)], at now: Timestamp) {
        let keys = Set(probes.map(\.probe.leaseKey))
        results = results.filter { keys.contains($0.key) }
        askedAt = askedAt.filter { keys.contains($0.key) }
        var due: [(turn: Duration, probe: LagProbe)] = []
        for (probe, isSuspect) in probes where !underWay.contains(probe.leaseKey) {
            // What was never asked for is as urgent as can be.
            let waited = askedAt[probe.leaseKey].map { now - $0 } ?? .seconds(86_400)
            guard waited >= Self.shardInterval else { continue }
            due.append((waited + (isSuspect ? Self.head : .zero), probe))
        }
        queue = due.sorted { ($0.turn, $1.probe.leaseKey) < ($1.turn, $0.probe.leaseKey) }.map(\.probe)
    }

    /// The next probe, where one may be made now.
    mutating func due(at now: Timestamp) -> LagProbe? {
        guard next <= now, let probe = queue.popLast() else { return nil }
        next = now + max(Self.spacing, pause)
        askedAt[probe.leaseKey] = now
        underWay.insert(probe.leaseKey)
        return probe
    }

    /// When `due` is worth asking; `nil` where nothing waits.
    var wake: Timestamp? { queue.isEmpty ? nil : next }

    mutating func answered(_ probe: LagProbe, _ answer: LagProbe.Answer, time: UnixTime, at now: Timestamp) {
        underWay.remove(probe.leaseKey)
        pause = pause <= Self.spacing ? .zero : pause / 2
        results[probe.leaseKey] = Result(checkpoint: probe.checkpoint, answer: answer, at: now, time: time)
    }

    mutating func failed(_ probe: LagProbe, isThrottled: Bool, at now: Timestamp) {
        underWay.remove(probe.leaseKey)
        guard isThrottled else { return }
        pause = min(max(pause * 2, .seconds(1)), Self.pauseMax)
        next = max(next, now + pause)
    }

    /// No more of them: the service does not allow it.
    mutating func clear() { queue = [] }

    /// What the last probe says of a lease now; `nil` where there was none of late.
    func lag(of key: String, _ checkpoint: Checkpoint, serviceTime: UnixTime, at now: Timestamp) -> Lag? {
        guard let result = results[key], now - result.at <= Self.validity else { return nil }
        guard let arrival = result.answer.firstUnread else { return Lag(result.answer.millisBehindLatest, .probe) }
        // While the checkpoint stands, that record goes on waiting.
        let until = checkpoint == result.checkpoint ? serviceTime : result.time
        return Lag(max(0, (until - arrival).wholeMilliseconds), .probe)
    }
}
