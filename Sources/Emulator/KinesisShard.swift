import AWSWire
import Machine

/// A moment on both of the emulator's clocks: rates and delays go by `now`, what clients see by `wall`.
struct Moment: Sendable {
    var now: Timestamp
    var wall: UnixTime

    /// What the wall clock shows when the other one shows `time`.
    func wall(of time: Timestamp) -> UnixTime { wall + (time - now) }

    /// What the other clock shows when the wall clock shows `time`.
    func timestamp(of time: UnixTime) -> Timestamp { now + (time - wall) }
}

extension AWSValue {
    /// Milliseconds, as the state directory and page tokens keep times.
    var time64: UnixTime? { int.map { UnixTime(milliseconds: Int64($0)) } }
}

/// One shard with its records.
struct KinesisShard: Sendable {
    let index: Int
    let id: String
    let range: HashKeyRange
    let parent: String?
    let adjacentParent: String?
    let openedAt: UnixTime
    /// The creation that its sequence numbers carry: later than its parents', so that its numbers follow theirs.
    let createdSeconds: Int64
    var closedAt: UnixTime?
    /// The shards that took over, by index.
    var children: [Int] = []
    var log = ShardLog()
    var limits = ShardLimits()
    /// Those that read this shard by fan-out, and those that were ended and have not been told yet.
    var subscribers: [ShardSubscriber] = []

    init(index: Int, range: HashKeyRange, parents: [KinesisShard] = [], openedAt: UnixTime) {
        self.init(
            index: index, range: range, parentIDs: parents.map(\.id), openedAt: openedAt,
            createdSeconds: parents.map { $0.createdSeconds + 1 }
                .reduce(openedAt.milliseconds / 1000) { max($0, $1) })
    }

    /// A shard as it was kept.
    init(index: Int, range: HashKeyRange, parentIDs: [String], openedAt: UnixTime, createdSeconds: Int64) {
        self.index = index
        id = Self.id(ofIndex: index)
        self.range = range
        parent = parentIDs.first
        adjacentParent = parentIDs.dropFirst().first
        self.openedAt = openedAt
        self.createdSeconds = createdSeconds
    }

    static func id(ofIndex index: Int) -> String {
        let digits = String(index)
        return "shardId-" + String(repeating: "0", count: max(0, 12 - digits.count)) + digits
    }

    /// Reads a shard's id as the service does, which takes `shardId-7` and `7` for `shardId-000000000007`.
    static func index(ofID id: String) -> Int? {
        let parts = id.split(separator: "-", omittingEmptySubsequences: false)
        let digits = parts.count > 1 && !parts[1].isEmpty ? parts[1] : id[...]
        guard digits.utf8.allSatisfy({ 48...57 ~= $0 }), let index = Int(digits), index <= Int32.max else {
            return nil
        }
        return index
    }

    var isOpen: Bool { closedAt == nil }
    var parents: [String] { [parent, adjacentParent].compactMap { $0 } }

    mutating func close(at time: UnixTime, children: [Int]) {
        closedAt = UnixTime(milliseconds: max(time.milliseconds, log.lastArrival))
        self.children = children
    }

    // MARK: Sequence numbers

    /// The counter of a shard's ending number, as the service writes it.
    private static let endingCounter: UInt64 = 0x7FFF_FFFF_FFFF_FFFF

    /// Counter 0 is the shard's starting number; record n of the log has counter n + 1.
    func number(counter: UInt64, at time: UnixTime) -> SequenceNumber {
        SequenceNumberParts(
            shardCreated: UnixTime(milliseconds: createdSeconds * 1000),
            recordTime: UnixTime(milliseconds: max(time.milliseconds, createdSeconds * 1000)),
            shardIndex: UInt32(truncatingIfNeeded: index), counter: counter
        ).sequenceNumber
    }

    func number(ofRecord ordinal: UInt64, arrival: Int64) -> SequenceNumber {
        number(counter: ordinal + 1, at: UnixTime(milliseconds: arrival))
    }

    var startingNumber: SequenceNumber {
        number(counter: 0, at: UnixTime(milliseconds: createdSeconds * 1000))
    }

    var endingNumber: SequenceNumber? { closedAt.map { number(counter: Self.endingCounter, at: $0) } }

    enum Found {
        /// The number of the record in the log.
        case position(UInt64)
        /// The shard's ending number.
        case end
        /// A number of the layout that belongs to another shard of some stream.
        case otherShard(String)
        /// Of this shard index, but of another stream.
        case otherStream
        case invalid
    }

    /// Where `text` stands in this shard, at the record or after it.
    func find(_ text: String, after: Bool) -> Found {
        guard let number = SequenceNumber(text),
            let parts = SequenceNumberParts(number, now: UnixTime(milliseconds: .max / 2))
        else { return .invalid }
        if Int(parts.shardIndex) != index { return .otherShard(Self.id(ofIndex: Int(parts.shardIndex))) }
        if parts.shardCreated.milliseconds != createdSeconds * 1000 { return .otherStream }
        if parts.counter == Self.endingCounter { return isOpen ? .invalid : .end }
        // The starting number stands before the first record.
        if parts.counter == 0 { return .position(0) }
        guard parts.counter <= log.end else { return .invalid }
        return .position(parts.counter - (after ? 0 : 1))
    }

    // MARK: Descriptions

    var description: AWSValue {
        var numbers: AWSValue = ["StartingSequenceNumber": .string(startingNumber.description)]
        if let endingNumber { numbers["EndingSequenceNumber"] = .string(endingNumber.description) }
        return .members([
            "ShardId": .string(id), "ParentShardId": parent.map { .string($0) },
            "AdjacentParentShardId": adjacentParent.map { .string($0) }, "HashKeyRange": rangeDescription,
            "SequenceNumberRange": numbers,
        ])
    }

    var childDescription: AWSValue {
        [
            "ShardId": .string(id), "ParentShards": .list(parents.map { .string($0) }),
            "HashKeyRange": rangeDescription,
        ]
    }

    private var rangeDescription: AWSValue {
        ["StartingHashKey": .string(String(range.start)), "EndingHashKey": .string(String(range.end))]
    }
}
