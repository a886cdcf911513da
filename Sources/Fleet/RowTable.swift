import AWSWire
import Leases
import Machine

/// One row of the table as it was last read, and what its past reads told.
struct Row: Sendable {
    var stored: Item
    /// The row as a lease; `nil` where it is none or cannot be read, `other` then says.
    var lease: Lease?
    var other: LeaseRow?
    /// When it was first read, and in which scan it was last seen.
    var firstSeen: Timestamp
    var scan: Int
    /// When it was last read.
    var readAt: Timestamp
    /// Whether it is known from a read after the last scan: the next one may be of an older copy of the table.
    var isAhead = false
    var ownerSince: Timestamp
    /// Whether the present owner's coming (or the last one's going) was seen.
    var isOwnerChangeSeen = false
    var lastOwner: String?
    /// The newest changes from one owner to another, bounded.
    var takeovers: [Takeover] = []
    var checkpointChangedAt: Timestamp
    var isCheckpointChangeSeen = false
    var handoffSince: Timestamp?
    var cadence = Cadence()
    /// Whether the counter moved since the checkpoint last changed.
    var hasMovedSinceCheckpoint = false
    var history: History
    var progress = Progress()
    /// The place of the stream that its key names; `nil` where the table is of one stream.
    var stream: Int?
    /// What the stream says of its shard; `nil` where it does not list it.
    var shard: ShardNote?
    /// The first full list without its shard, of those since which no list had it.
    var absentSince: Timestamp?

    init(_ item: Item, scan: Int, history: History, at now: Timestamp) {
        stored = item
        firstSeen = now
        readAt = now
        self.scan = scan
        ownerSince = now
        checkpointChangedAt = now
        self.history = history
        decode()
    }

    mutating func takeIsAhead() -> Bool {
        defer { isAhead = false }
        return isAhead
    }

    /// Whether `item` is of before: nobody lowers a counter, though a lease that is made anew begins with a low one.
    func isNewer(than item: Item) -> Bool {
        guard let lease, let counter = item["leaseCounter"]?.int else { return false }
        return counter < lease.leaseCounter
    }

    mutating func decode() {
        switch LeaseTable.row(stored) {
        case .lease(let lease):
            self.lease = lease
            other = nil
        case let row:
            lease = nil
            other = row
        }
    }
}

/// A shard's entry in the list, kept with its lease so that a picture of the fleet needs no look-ups.
struct ShardNote: Hashable, Sendable {
    var isOpen: Bool
    var range: HashKeyRange
    var parents: [String]
    var children: [String]
    /// `nil` where its sequence numbers do not tell.
    var birth: ShardBirth?

    init?(_ tree: ShardTree?, _ id: String, now: UnixTime) {
        guard let shard = tree?[id] else { return nil }
        isOpen = shard.isOpen
        range = shard.hashKeyRange
        parents = shard.parentShardIDs
        children = tree?.children[id] ?? []
        birth = ShardBirth(SequenceNumber(shard.startingSequenceNumber), now: now)
    }
}

/// The rows, dense for passes over all of them and found by key.
struct RowTable: Sendable {
    /// In no particular order.
    var slots: [Row] = []
    private var positions: [String: Int] = [:]
    private var keys: [String] = []

    var count: Int { slots.count }

    func position(of key: String) -> Int? { positions[key] }

    subscript(key: String) -> Row? { positions[key].map { slots[$0] } }

    func contains(_ key: String) -> Bool { positions[key] != nil }

    /// Adds a row whose key is new.
    mutating func append(_ row: Row, key: String) {
        positions[key] = slots.count
        slots.append(row)
        keys.append(key)
    }

    /// Takes out the rows that scan number `scan` did not show; sorted by key.
    mutating func removeUnseen(in scan: Int) -> [(key: String, row: Row)] {
        var gone: [(String, Row)] = []
        var index = 0
        while index < slots.count {
            guard slots[index].scan != scan else {
                index += 1
                continue
            }
            gone.append((keys[index], slots[index]))
            positions[keys[index]] = nil
            slots.swapAt(index, slots.count - 1)
            keys.swapAt(index, keys.count - 1)
            slots.removeLast()
            keys.removeLast()
            if index < slots.count { positions[keys[index]] = index }
        }
        return gone.sorted { $0.0 < $1.0 }
    }
}

/// What a read of a known row shows.
enum RowChange {
    case none
    /// Only what moves all the time: the counter, the checkpoint. The rest need not be decoded again.
    case progress(counter: Int64, checkpoint: Checkpoint)
    case other

    init(from old: Item, lease: Lease?, to new: Item) {
        guard let lease, old.count == new.count else {
            self = old == new ? .none : .other
            return
        }
        var counter = lease.leaseCounter
        var checkpoint: String?
        var sub: Int64?
        var isChanged = false
        for (name, value) in new where old[name] != value {
            isChanged = true
            switch (name, value) {
            case ("leaseCounter", .n):
                guard let number = value.int else {
                    self = .other
                    return
                }
                counter = number
            case ("checkpoint", .s(let text)): checkpoint = text
            case ("checkpointSubSequenceNumber", .n): sub = value.int
            default:
                self = .other
                return
            }
        }
        guard isChanged else {
            self = .none
            return
        }
        var position = lease.checkpoint
        if checkpoint != nil || sub != nil {
            let text = checkpoint ?? new["checkpoint"]?.string ?? ""
            guard let number = sub ?? new["checkpointSubSequenceNumber"]?.int,
                let parsed = Checkpoint(text, subSequenceNumber: number)
            else {
                self = .other
                return
            }
            position = parsed
        }
        self = .progress(counter: counter, checkpoint: position)
    }
}
