import Machine

extension RecordBatch {
    /// Decodes a GetRecords answer without building a tree: data is base64-decoded onto its own place in the body,
    /// which becomes the arena that all records share.
    init(json body: Bytes) throws(MalformedBody) {
        var arena = body.array
        var found: (records: [RawRecord], next: String?, behind: Int64?, children: [ChildShard]) = ([], nil, nil, [])
        var failure: MalformedBody?
        arena.withUnsafeMutableBytes { buffer in
            do throws(MalformedBody) {
                var scanner = JSONScanner(UnsafeRawBufferPointer(buffer))
                try scanner.members { (scanner, name) throws(MalformedBody) in
                    switch name {
                    case "Records":
                        try scanner.elements { (scanner) throws(MalformedBody) in
                            found.records.append(try RawRecord(&scanner, buffer))
                        }
                    case "NextShardIterator": found.next = try scanner.value(depth: 1).string
                    case "MillisBehindLatest": found.behind = try scanner.value(depth: 1).int.map { Int64($0) }
                    case "ChildShards":
                        found.children = try scanner.value(depth: 1).list?.compactMap(ChildShard.init) ?? []
                    default: _ = try scanner.value(depth: 1)
                    }
                }
                try scanner.end()
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        let shared = arena
        self.init(
            records: found.records.map { $0.record(in: shared) }, nextShardIterator: found.next,
            millisBehindLatest: found.behind, childShards: found.children, arenaBytes: shared.count)
    }

    /// A record as ranges of the arena.
    private struct RawRecord {
        var sequenceNumber = SequenceNumber.zero
        var data = 0..<0
        var key = 0..<0
        /// A partition key with escapes, which cannot stay where it lies.
        var unescapedKey: String?
        var arrival: UnixTime?

        init(_ scanner: inout JSONScanner, _ buffer: UnsafeMutableRawBufferPointer) throws(MalformedBody) {
            var hasNumber = false
            try scanner.members { (scanner, name) throws(MalformedBody) in
                switch name {
                case "SequenceNumber":
                    let range = try scanner.rawString().range
                    guard let number = SequenceNumber(digits: UnsafeRawBufferPointer(rebasing: buffer[range])) else {
                        throw scanner.malformed("a sequence number that is none")
                    }
                    sequenceNumber = number
                    hasNumber = true
                case "Data":
                    let (range, isEscaped) = try scanner.rawString()
                    guard !isEscaped,
                        let count = Base64.decodeInPlace(UnsafeMutableRawBufferPointer(rebasing: buffer[range]))
                    else { throw scanner.malformed("data that is not base64") }
                    data = range.lowerBound..<range.lowerBound + count
                case "PartitionKey":
                    var ahead = scanner
                    let (range, isEscaped) = try ahead.rawString()
                    if isEscaped {
                        unescapedKey = try scanner.string()
                    } else {
                        key = range
                        scanner = ahead
                    }
                case "ApproximateArrivalTimestamp":
                    arrival = try scanner.value(depth: 2).double.map { UnixTime(seconds: $0) }
                default: _ = try scanner.value(depth: 2)
                }
            }
            guard hasNumber else { throw scanner.malformed("a record without SequenceNumber") }
        }

        func record(in arena: [UInt8]) -> WireRecord {
            WireRecord(
                sequenceNumber: sequenceNumber,
                partitionKey: unescapedKey.map { Bytes($0) } ?? Bytes(arena, key), data: Bytes(arena, data),
                approximateArrival: arrival)
        }
    }
}
