import AWSWire
import DequeModule
import Machine

/// The records of one shard, oldest first, numbered from 0 without gaps.
///
/// Data and partition keys lie in chunks of up to 1 MiB that many records share; a record costs its bytes and 24 more.
/// Whole chunks are dropped as they expire.
struct ShardLog: Sendable {
    struct Entry: Sendable {
        /// Milliseconds since 1970; never less than the previous record's.
        var arrival: Int64
        var offset: UInt32
        var dataCount: UInt32
        var keyCount: UInt16
        /// Whether the key needs escapes in JSON.
        var isKeyEscaped: Bool
    }

    struct Chunk: Sendable {
        var firstOrdinal: UInt64
        var bytes: [UInt8]
        var bytesMax: Int
        var entries: [Entry] = []

        var endOrdinal: UInt64 { firstOrdinal + UInt64(entries.count) }
    }

    private(set) var chunks: Deque<Chunk> = []
    /// The oldest record that has not expired; equal to `end` where there is none.
    private(set) var first: UInt64 = 0
    /// The number of the next record.
    private(set) var end: UInt64 = 0
    private(set) var lastArrival: Int64 = .min

    private static let chunkBytesMin = 4 << 10
    private static let chunkBytesMax = 1 << 20

    /// Returns the record's number.
    mutating func append(data: Bytes, key: String, at time: UnixTime) -> UInt64 {
        lastArrival = max(lastArrival, time.milliseconds)
        var key = key
        return key.withUTF8 { key in
            makeRoom(for: data.count + key.count)
            let last = chunks.count - 1
            let entry = Entry(
                arrival: lastArrival, offset: UInt32(chunks[last].bytes.count), dataCount: UInt32(data.count),
                keyCount: UInt16(key.count),
                isKeyEscaped: key.contains { $0 < 0x20 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") })
            data.withUnsafeBytes { chunks[last].bytes.append(contentsOf: $0) }
            chunks[last].bytes.append(contentsOf: key)
            chunks[last].entries.append(entry)
            end += 1
            return end - 1
        }
    }

    private mutating func makeRoom(for count: Int) {
        if let last = chunks.last, last.bytes.count + count <= last.bytesMax { return }
        let grown = min(Self.chunkBytesMax, max(Self.chunkBytesMin, (chunks.last?.bytesMax ?? 0) * 4))
        var chunk = Chunk(firstOrdinal: end, bytes: [], bytesMax: max(grown, count))
        chunk.bytes.reserveCapacity(chunk.bytesMax)
        if let before = chunks.last {
            // Records tend to be alike: with room for as many of them, no array is half empty.
            let many = before.entries.count * (chunk.bytesMax / max(1, before.bytesMax))
            chunk.entries.reserveCapacity(many + many / 32)
        }
        chunks.append(chunk)
    }

    /// Forgets the records that arrived before `time`.
    mutating func trim(before time: UnixTime) {
        let cutoff = time.milliseconds
        while let chunk = chunks.first, let last = chunk.entries.last, last.arrival < cutoff {
            first = chunk.endOrdinal
            chunks.removeFirst()
        }
        guard let chunk = chunks.first, let oldest = chunk.entries.first, oldest.arrival < cutoff else { return }
        first = max(first, chunk.firstOrdinal + UInt64(chunk.entries.firstIndex(reaching: cutoff)))
    }

    /// The oldest kept record that arrived at `time` or later; `end` where there is none.
    func ordinal(atOrAfter time: UnixTime) -> UInt64 {
        var low = 0
        var high = chunks.count
        while low < high {
            let middle = (low + high) / 2
            if (chunks[middle].entries.last?.arrival ?? .max) < time.milliseconds {
                low = middle + 1
            } else {
                high = middle
            }
        }
        guard low < chunks.count else { return end }
        let chunk = chunks[low]
        return max(first, chunk.firstOrdinal + UInt64(chunk.entries.firstIndex(reaching: time.milliseconds)))
    }

    /// The chunk that holds record `ordinal`, which must be kept.
    func chunkIndex(of ordinal: UInt64) -> Int {
        var low = 0
        var high = chunks.count
        while low + 1 < high {
            let middle = (low + high) / 2
            if chunks[middle].firstOrdinal <= ordinal { low = middle } else { high = middle }
        }
        return low
    }

    func entry(_ ordinal: UInt64) -> Entry {
        let chunk = chunks[chunkIndex(of: ordinal)]
        return chunk.entries[Int(ordinal - chunk.firstOrdinal)]
    }

    /// The records from `start` on, at most `countMax`, with data and keys of at most `bytesMax` (but at least one).
    func page(from start: UInt64, countMax: Int, bytesMax: Int) -> (range: Range<UInt64>, bytes: Int) {
        guard start < end else { return (end..<end, 0) }
        var (ordinal, bytes) = (start, 0)
        var index = chunkIndex(of: start)
        let limit = min(end, start + UInt64(countMax))
        scan: while ordinal < limit {
            let chunk = chunks[index]
            for entry in chunk.entries[Int(ordinal - chunk.firstOrdinal)...] {
                let count = Int(entry.dataCount) + Int(entry.keyCount)
                if ordinal == limit || (ordinal > start && bytes + count > bytesMax) { break scan }
                bytes += count
                ordinal += 1
            }
            index += 1
        }
        return (start..<ordinal, bytes)
    }
}

extension [ShardLog.Entry] {
    /// The first index whose entry arrived at `milliseconds` or later; arrivals never fall.
    fileprivate func firstIndex(reaching milliseconds: Int64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].arrival < milliseconds { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

// MARK: Keeping

extension ShardLog {
    /// Records that lie side by side: their entries, and their data and keys in the same order.
    struct Run {
        var entries: ArraySlice<Entry>
        var bytes: ArraySlice<UInt8>
    }

    /// An empty log whose next record is `first`.
    init(first: UInt64, lastArrival: Int64) {
        self.first = first
        end = first
        self.lastArrival = lastArrival
    }

    /// The records from `start` on, which must be kept.
    func runs(from start: UInt64) -> [Run] {
        guard start < end else { return [] }
        return chunks[chunkIndex(of: start)...].compactMap { chunk in
            guard chunk.endOrdinal > start else { return nil }
            let entries = chunk.entries[Int(max(start, chunk.firstOrdinal) - chunk.firstOrdinal)...]
            guard let first = entries.first else { return nil }
            return Run(entries: entries, bytes: chunk.bytes[Int(first.offset)...])
        }
    }

    /// The arrival of the record before `ordinal`, of those that are kept; `lastArrival` where there is none.
    func arrival(before ordinal: UInt64) -> Int64 {
        ordinal > first && ordinal <= end ? entry(ordinal - 1).arrival : lastArrival
    }

    /// Adds records that were kept; `bytes` are their data and keys, and the entries' offsets count from its beginning.
    mutating func append(_ entries: [Entry], _ bytes: UnsafeRawBufferPointer) {
        for entry in entries {
            let count = Int(entry.dataCount) + Int(entry.keyCount)
            makeRoom(for: count)
            let last = chunks.count - 1
            var new = entry
            new.arrival = max(lastArrival, entry.arrival)
            new.offset = UInt32(chunks[last].bytes.count)
            lastArrival = new.arrival
            let start = Int(entry.offset)
            chunks[last].bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]))
            chunks[last].entries.append(new)
            end += 1
        }
    }

    /// Takes the records from `ordinal` on back.
    mutating func takeBack(from ordinal: UInt64) {
        while let chunk = chunks.last, ordinal < chunk.endOrdinal {
            let kept = ordinal > chunk.firstOrdinal ? Int(ordinal - chunk.firstOrdinal) : 0
            if kept == 0 {
                chunks.removeLast()
            } else {
                let last = chunks.count - 1
                chunks[last].bytes.removeLast(chunk.bytes.count - Int(chunk.entries[kept].offset))
                chunks[last].entries.removeLast(chunk.entries.count - kept)
            }
        }
        end = min(end, max(first, ordinal))
    }
}
