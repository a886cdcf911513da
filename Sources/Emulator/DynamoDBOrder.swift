/// Values in the order of their keys, in chunks, so that an insertion moves a few hundred elements at most.
struct OrderedChunks<Key: Comparable & Sendable, Value: Sendable>: Sendable {
    private static var chunkMax: Int { 512 }

    struct Position: Comparable {
        var chunk: Int
        var offset: Int

        static func < (a: Position, b: Position) -> Bool { (a.chunk, a.offset) < (b.chunk, b.offset) }
    }

    /// Never an empty chunk.
    private var chunks: [[(key: Key, value: Value)]] = []
    private(set) var count = 0

    var start: Position { Position(chunk: 0, offset: 0) }
    var end: Position { Position(chunk: chunks.count, offset: 0) }

    /// The first position whose key satisfies `predicate`, which must hold for all keys after the first it holds for.
    func firstPosition(where predicate: (Key) -> Bool) -> Position {
        let chunk = chunks.partitionPoint { predicate($0[$0.count - 1].key) }
        guard chunk < chunks.count else { return end }
        return Position(chunk: chunk, offset: chunks[chunk].partitionPoint { predicate($0.key) })
    }

    /// The element at a position that is not `end`.
    subscript(position: Position) -> (key: Key, value: Value) { chunks[position.chunk][position.offset] }

    func after(_ position: Position) -> Position {
        position.offset + 1 < chunks[position.chunk].count
            ? Position(chunk: position.chunk, offset: position.offset + 1)
            : Position(chunk: position.chunk + 1, offset: 0)
    }

    /// `position` must not be `start`.
    func before(_ position: Position) -> Position {
        position.offset > 0
            ? Position(chunk: position.chunk, offset: position.offset - 1)
            : Position(chunk: position.chunk - 1, offset: chunks[position.chunk - 1].count - 1)
    }

    private func position(of key: Key) -> (Position, isFound: Bool) {
        let position = firstPosition { $0 >= key }
        return (position, position < end && self[position].key == key)
    }

    subscript(key: Key) -> Value? {
        let (position, isFound) = position(of: key)
        return isFound ? self[position].value : nil
    }

    /// Changes the value under `key`; `body` gets `nil` where there is none, and leaves `nil` to remove it.
    mutating func update<R>(_ key: Key, _ body: (inout Value?) -> R) -> R {
        let (position, isFound) = position(of: key)
        guard isFound else {
            var value: Value?
            defer { if let value { insert((key, value), at: position) } }
            return body(&value)
        }
        var value: Value? = chunks[position.chunk][position.offset].value
        let result = body(&value)
        if let value { chunks[position.chunk][position.offset].value = value } else { remove(at: position) }
        return result
    }

    private mutating func insert(_ element: (key: Key, value: Value), at position: Position) {
        count += 1
        guard !chunks.isEmpty else {
            chunks = [[element]]
            return
        }
        // What belongs after everything goes to the end of the last chunk.
        let isAtEnd = position.chunk == chunks.count
        let chunk = isAtEnd ? chunks.count - 1 : position.chunk
        chunks[chunk].insert(element, at: isAtEnd ? chunks[chunk].count : position.offset)
        guard chunks[chunk].count > Self.chunkMax else { return }
        let half = chunks[chunk].count / 2
        let tail = Array(chunks[chunk][half...])
        chunks[chunk].removeSubrange(half...)
        chunks.insert(tail, at: chunk + 1)
    }

    private mutating func remove(at position: Position) {
        count -= 1
        chunks[position.chunk].remove(at: position.offset)
        if chunks[position.chunk].isEmpty { chunks.remove(at: position.chunk) }
    }
}

extension Array {
    /// The index of the first element that satisfies `predicate`, by bisection.
    fileprivate func partitionPoint(_ predicate: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if predicate(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// Where a row stands: by the hash of its partition key, the partition key, then the sort key.
///
/// Scans read in this order, so a segment is a range of hashes and a page continues after any key, whether or not its
/// row still exists.
struct RowKey: Hashable, Comparable, Sendable {
    let hash: UInt64
    let partition: [UInt8]
    /// Empty where the table has no sort key.
    let sort: [UInt8]

    init(partition: [UInt8], sort: [UInt8] = []) {
        hash = Self.hash(partition)
        self.partition = partition
        self.sort = sort
    }

    /// FNV-1a, finished by SplitMix64 so that the high bits, which choose the segment, are spread.
    static func hash(_ bytes: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ (hash >> 30)) &* 0xBF58_476D_1CE4_E5B9
        hash = (hash ^ (hash >> 27)) &* 0x94D0_49BB_1331_11EB
        return hash ^ (hash >> 31)
    }

    static func < (a: RowKey, b: RowKey) -> Bool {
        if a.hash != b.hash { return a.hash < b.hash }
        if a.partition != b.partition { return a.partition.lexicographicallyPrecedes(b.partition) }
        return a.sort.lexicographicallyPrecedes(b.sort)
    }

    func isInPartition(of other: RowKey) -> Bool { hash == other.hash && partition == other.partition }
}

/// Where a row stands in a secondary index: by the index's key, then by the table's.
struct IndexKey: Hashable, Comparable, Sendable {
    let key: RowKey
    let base: RowKey

    static func < (a: IndexKey, b: IndexKey) -> Bool { a.key != b.key ? a.key < b.key : a.base < b.base }
}
