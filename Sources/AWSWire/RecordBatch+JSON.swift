import Machine

extension RecordBatch {
    /// Decodes a GetRecords answer, or the payload of a `SubscribeToShardEvent`, which is JSON whatever the request was
    /// written in, without building a tree: data is base64-decoded onto its own place in the body, which becomes the
    /// arena that all records share. Whoever holds the only reference to the body and gives it away spares a copy.
    ///
    /// Strict where leniency would lose data: an answer without `Records`, or with a `NextShardIterator` or a child
    /// shard that is none, is malformed and never the end of a shard.
    init(json body: consuming Bytes) throws(MalformedBody) {
        var (arena, place) = body.takeArena()
        var found = Found()
        var failure: MalformedBody?
        arena.withUnsafeMutableBytes { whole in
            let buffer = UnsafeMutableRawBufferPointer(rebasing: whole[place])
            do throws(MalformedBody) { found = try Found(buffer) } catch { failure = error }
        }
        if let failure { throw failure }
        self.init(
            records: found.records.map { $0.record(in: arena, from: place.lowerBound) }, nextShardIterator: found.next,
            millisBehindLatest: found.behind, childShards: found.children, arenaBytes: arena.count)
        continuationSequenceNumber = found.continuation
    }

    private struct Found {
        var records: [RawRecord] = []
        var next: String?
        var continuation: String?
        var behind: Int64?
        var children: [ChildShard] = []

        init() {}

        init(_ buffer: UnsafeMutableRawBufferPointer) throws(MalformedBody) {
            var hasRecords = false
            var scanner = JSONScanner(UnsafeRawBufferPointer(buffer))
            try scanner.members { (scanner, name) throws(MalformedBody) in
                if try scanner.spells(name, "Records") {
                    hasRecords = true
                    // An answer has at most 10 000 records; most of its bytes are theirs.
                    records.reserveCapacity(min(10_000, buffer.count / 128))
                    try scanner.elements { (scanner) throws(MalformedBody) in
                        records.append(try RawRecord(&scanner, buffer))
                    }
                } else if try scanner.spells(name, "NextShardIterator") {
                    next = try Self.iterator(&scanner)
                } else if try scanner.spells(name, "ContinuationSequenceNumber") {
                    continuation = try Self.continuation(&scanner)
                } else if try scanner.spells(name, "MillisBehindLatest") {
                    behind = try scanner.value(depth: 1).int.map { Int64($0) }
                } else if try scanner.spells(name, "ChildShards") {
                    children = try Self.children(&scanner)
                } else {
                    _ = try scanner.value(depth: 1)
                }
            }
            try scanner.end()
            guard hasRecords else { throw scanner.malformed("an answer without Records") }
        }

        private static func iterator(_ scanner: inout JSONScanner) throws(MalformedBody) -> String? {
            switch try scanner.value(depth: 1) {
            case .null: return nil
            case .string(let text) where !text.isEmpty: return text
            default: throw scanner.malformed("a NextShardIterator that is none")
            }
        }

        private static func continuation(_ scanner: inout JSONScanner) throws(MalformedBody) -> String? {
            switch try scanner.value(depth: 1) {
            case .null: return nil
            case .string(let text) where SequenceNumber(text) != nil: return text
            default: throw scanner.malformed("a ContinuationSequenceNumber that is none")
            }
        }

        private static func children(_ scanner: inout JSONScanner) throws(MalformedBody) -> [ChildShard] {
            guard let children = ChildShard.list(try scanner.value(depth: 1)) else {
                throw scanner.malformed("a child shard that is none")
            }
            return children
        }
    }

    /// A record as ranges of the arena.
    private struct RawRecord {
        var sequenceNumber = SequenceNumber.zero
        var data = 0..<0
        var beginsAsAggregate = false
        var key = 0..<0
        /// Data and key that were written with escapes and cannot stay where they lie.
        var unescaped: (data: [UInt8]?, key: [UInt8]?)?
        var arrival: UnixTime?

        init(_ scanner: inout JSONScanner, _ buffer: UnsafeMutableRawBufferPointer) throws(MalformedBody) {
            var hasNumber = false
            try scanner.members { (scanner, name) throws(MalformedBody) in
                if try scanner.spells(name, "SequenceNumber") {
                    sequenceNumber = try Self.number(&scanner, buffer)
                    hasNumber = true
                } else if try scanner.spells(name, "Data") {
                    try readData(&scanner, buffer)
                } else if try scanner.spells(name, "PartitionKey") {
                    try readKey(&scanner)
                } else if try scanner.spells(name, "ApproximateArrivalTimestamp") {
                    arrival = try scanner.value(depth: 2).time
                } else {
                    _ = try scanner.value(depth: 2)
                }
            }
            guard hasNumber else { throw scanner.malformed("a record without SequenceNumber") }
        }

        private static func number(
            _ scanner: inout JSONScanner, _ buffer: UnsafeMutableRawBufferPointer
        ) throws(MalformedBody) -> SequenceNumber {
            let raw = try scanner.rawString()
            let number =
                raw.isEscaped
                ? SequenceNumber(try scanner.text(raw))
                : SequenceNumber(digits: UnsafeRawBufferPointer(rebasing: buffer[raw.range]))
            guard let number else { throw scanner.malformed("a sequence number that is none") }
            return number
        }

        private mutating func readData(
            _ scanner: inout JSONScanner, _ buffer: UnsafeMutableRawBufferPointer
        ) throws(MalformedBody) {
            let raw = try scanner.rawString()
            if raw.isEscaped {
                guard let bytes = Base64.decode(try scanner.text(raw)) else {
                    throw scanner.malformed("data that is not base64")
                }
                unescaped = (bytes, unescaped?.key)
                beginsAsAggregate = bytes.withUnsafeBytes { WireRecord.beginsAsAggregate($0) }
            } else {
                let place = UnsafeMutableRawBufferPointer(rebasing: buffer[raw.range])
                guard let count = Base64.decodeInPlace(place) else {
                    throw scanner.malformed("data that is not base64")
                }
                unescaped?.data = nil
                data = raw.range.lowerBound..<raw.range.lowerBound + count
                beginsAsAggregate = WireRecord.beginsAsAggregate(UnsafeRawBufferPointer(rebasing: place[..<count]))
            }
        }

        private mutating func readKey(_ scanner: inout JSONScanner) throws(MalformedBody) {
            let raw = try scanner.rawString()
            if raw.isEscaped {
                unescaped = (unescaped?.data, try scanner.unescaped(raw.range))
            } else {
                try scanner.check(raw.range)
                unescaped?.key = nil
                key = raw.range
            }
        }

        /// - Parameter start: where in the arena the buffer lay.
        func record(in arena: [UInt8], from start: Int) -> WireRecord {
            func part(_ range: Range<Int>) -> Bytes {
                Bytes(arena, start + range.lowerBound..<start + range.upperBound)
            }
            return WireRecord(
                sequenceNumber: sequenceNumber, partitionKey: unescaped?.key.map { Bytes($0) } ?? part(key),
                data: unescaped?.data.map { Bytes($0) } ?? part(data), approximateArrival: arrival,
                beginsAsAggregate: beginsAsAggregate)
        }
    }
}
