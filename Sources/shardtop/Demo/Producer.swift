import AWSWire
import Machine
import Synchronization

/// Which records a producer makes: numbered per key, so that a reader can tell lost from late from twice.
struct Workload: Sendable {
    /// Records a second.
    var rate: Double
    var keys = 64
    /// The share of the records that goes to the hot keys, a narrow band of the hash key space.
    var hotFraction = 0.0
    /// The middle of the hot band.
    var hotPoint: UInt128 = UInt128.max / 8 * 3
    var payloadBytes = 120

    static let hotKeys = 8

    /// The middle of the hot keys: where a split halves their load.
    var hotMiddle: UInt128 { hotPoint &+ UInt128(Self.hotKeys / 2) * (UInt128.max / 256) }
}

/// Makes the records. A batch carries at most one record of a key, so that a throttled record cannot be overtaken.
struct RecordMaker: Sendable {
    var workload: Workload
    private var generator: SeededGenerator
    private var numbers: [Int]
    private var owed = 0.0

    /// A record to put, with what a ledger knows it by.
    struct Made: Sendable {
        var key: Int
        var number: Int
        var record: PutRecord
    }

    init(_ workload: Workload, seed: UInt64) {
        self.workload = workload
        generator = SeededGenerator(seed: seed)
        numbers = Array(repeating: 0, count: workload.keys + Workload.hotKeys)
    }

    /// The records due after `elapsed`, in batches to be put one after another.
    mutating func batches(after elapsed: Duration, at time: UnixTime) -> [[Made]] {
        // A pause of the whole process is not made up for.
        owed += min(elapsed.inSeconds, 2) * workload.rate
        var due = Int(owed)
        owed -= Double(due)
        var batches: [[Made]] = []
        while due > 0 {
            var taken: Set<Int> = []
            var batch: [Made] = []
            while due > 0, batch.count < 200 {
                let key = nextKey()
                guard taken.insert(key).inserted else { break }
                batch.append(make(key, time))
                due -= 1
            }
            batches.append(batch)
        }
        return batches
    }

    private mutating func nextKey() -> Int {
        if generator.chance(workload.hotFraction) {
            return workload.keys + Int.random(in: 0..<Workload.hotKeys, using: &generator)
        }
        return Int.random(in: 0..<workload.keys, using: &generator)
    }

    private mutating func make(_ key: Int, _ time: UnixTime) -> Made {
        numbers[key] += 1
        var text = "\(key) \(numbers[key]) \(time.milliseconds) "
        let padding = max(0, workload.payloadBytes - text.utf8.count)
        text += String(repeating: "·", count: padding / 2)
        let isHot = key >= workload.keys
        return Made(
            key: key, number: numbers[key],
            record: PutRecord(
                data: Bytes(text), partitionKey: isHot ? "hot-\(key - workload.keys)" : "key-\(key)",
                explicitHashKey: hashKey(key)))
    }

    /// Keys are spread evenly over the hash key space; the hot ones lie close together.
    private func hashKey(_ key: Int) -> UInt128 {
        guard key >= workload.keys else {
            let step = UInt128.max / UInt128(workload.keys)
            return step * UInt128(key) + step / 2
        }
        let offset = UInt128(key - workload.keys) * (UInt128.max / 256)
        return workload.hotPoint &+ offset
    }
}

/// Counts what was produced and what was delivered: nothing lost, nothing out of order, and how much twice.
final class DeliveryLedger: Sendable {
    struct Counts: Hashable, Sendable {
        var produced = 0
        var delivered = 0
        var duplicates = 0
        var outOfOrder = 0
        /// Records that a later record of their key overtook and that never came.
        var lost = 0
        var throttledPuts = 0
    }

    fileprivate struct Key: Sendable {
        var highest = 0
        /// Numbers below `highest` that have not come yet.
        var missing: Set<Int> = []
    }

    fileprivate struct State: Sendable {
        var counts = Counts()
        var keys: [Int: Key] = [:]
    }

    private let state = Mutex(State())

    var counts: Counts {
        state.withLock { state in
            var counts = state.counts
            counts.lost = state.keys.values.reduce(0) { $0 + $1.missing.count }
            return counts
        }
    }

    func produced(_ count: Int) { state.withLock { $0.counts.produced += count } }

    func throttled(_ count: Int) { state.withLock { $0.counts.throttledPuts += count } }

    /// Takes note of a batch of one shard.
    func delivered(_ payloads: some Sequence<Bytes>) {
        let parsed = payloads.compactMap(Self.parse)
        state.withLock { state in
            for (key, number) in parsed { state.deliver(key, number) }
        }
    }

    /// Reads `key number …` from the start of a payload; `nil` for a record of somebody else.
    private static func parse(_ data: Bytes) -> (key: Int, number: Int)? {
        var numbers: [Int] = []
        var value = 0
        var hasDigits = false
        for index in 0..<min(data.count, 40) {
            let byte = data[index]
            if 48...57 ~= byte {
                value = value * 10 + Int(byte - 48)
                hasDigits = true
            } else {
                guard byte == 32, hasDigits, value < 1 << 40 else { return nil }
                numbers.append(value)
                if numbers.count == 2 { return (numbers[0], numbers[1]) }
                value = 0
                hasDigits = false
            }
        }
        return nil
    }
}

extension DeliveryLedger.State {
    fileprivate mutating func deliver(_ key: Int, _ number: Int) {
        var known = keys[key] ?? .init()
        if number > known.highest {
            // Records that lie between are on their way in another shard at most; they count as lost until they come.
            if number > known.highest + 1 {
                known.missing.formUnion((known.highest + 1)..<number)
            }
            known.highest = number
            counts.delivered += 1
        } else if known.missing.remove(number) != nil {
            counts.delivered += 1
            counts.outOfOrder += 1
        } else {
            counts.duplicates += 1
        }
        keys[key] = known
    }
}

/// Puts the records of a workload until its task is cancelled.
final class Producer: Sendable {
    private let kinesis: KinesisClient
    private let stream: String
    private let time: TimeSource
    private let ledger: DeliveryLedger
    private let maker: Mutex<RecordMaker>
    private let isStopped = Mutex(false)

    init(
        _ workload: Workload, stream: String, kinesis: KinesisClient, time: TimeSource, ledger: DeliveryLedger,
        seed: UInt64
    ) {
        self.kinesis = kinesis
        self.stream = stream
        self.time = time
        self.ledger = ledger
        maker = Mutex(RecordMaker(workload, seed: seed))
    }

    var workload: Workload {
        get { maker.withLock { $0.workload } }
        set { maker.withLock { $0.workload = newValue } }
    }

    /// Ends the production after the batch in progress.
    func stop() { isStopped.withLock { $0 = true } }

    /// Ends when it is stopped or its task is cancelled; failures are waited out.
    func run() async {
        var last = time.now()
        while !Task.isCancelled, !isStopped.withLock({ $0 }) {
            do { try await time.sleep(for: .milliseconds(100)) } catch { return }
            let now = time.now()
            let batches = maker.withLock { $0.batches(after: now - last, at: time.wallClock()) }
            last = now
            for batch in batches { await put(batch) }
        }
    }

    private func put(_ batch: [RecordMaker.Made]) async {
        var rest = batch
        while !rest.isEmpty, !Task.isCancelled, !isStopped.withLock({ $0 }) {
            do {
                let outcomes = try await kinesis.putRecords(stream: stream, rest.map(\.record))
                let failed = zip(rest, outcomes).filter { if case .failed = $1 { true } else { false } }.map(\.0)
                ledger.produced(rest.count - failed.count)
                ledger.throttled(failed.count)
                rest = failed
            } catch {
                // Before the stream is there nothing is due; after it is deleted nothing can be put.
            }
            if !rest.isEmpty { try? await time.sleep(for: .milliseconds(200)) }
        }
    }
}
