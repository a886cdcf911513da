import CShardtopBytes
import Machine

extension RecordBatch {
    /// Decodes a GetRecords answer in either encoding; all its records share one arena, the body.
    package init(_ body: consuming Bytes, in encoding: WireEncoding) throws(MalformedBody) {
        switch encoding {
        case .json: try self.init(json: body)
        case .cbor: try self.init(cbor: body)
        }
    }

    /// Decodes a GetRecords answer without building a tree: data and partition keys stay where they lie in the body.
    ///
    /// Strict where leniency would lose data, as its sibling for JSON is.
    init(cbor body: Bytes) throws(MalformedBody) {
        self = try body.withUnsafeBytes { (buffer) throws(MalformedBody) in
            var scanner = CBORScanner(buffer, of: body)
            return try RecordBatch(&scanner)
        }
    }

    private init(_ scanner: inout CBORScanner) throws(MalformedBody) {
        var hasRecords = false
        var batch = RecordBatch(
            records: [], nextShardIterator: nil, millisBehindLatest: nil, arenaBytes: scanner.buffer.count)
        try scanner.members { (scanner, name) throws(MalformedBody) in
            if scanner.spells(name, "Records") {
                hasRecords = true
                // An answer has at most 10 000 records; most of its bytes are theirs.
                batch.records.reserveCapacity(min(10_000, scanner.buffer.count / 128))
                try scanner.elements { (scanner) throws(MalformedBody) in
                    let start = scanner.index
                    batch.records.append(try WireRecord(&scanner))
                    scanner.expectMore(every: scanner.index - start)
                }
            } else if scanner.spells(name, "NextShardIterator") {
                switch try scanner.value(depth: 1) {
                case .null: batch.nextShardIterator = nil
                case .string(let text) where !text.isEmpty: batch.nextShardIterator = text
                default: throw scanner.malformed("a NextShardIterator that is none")
                }
            } else if scanner.spells(name, "MillisBehindLatest") {
                batch.millisBehindLatest = try scanner.value(depth: 1).int.map { Int64($0) }
            } else if scanner.spells(name, "ChildShards") {
                guard let children = ChildShard.list(try scanner.value(depth: 1)) else {
                    throw scanner.malformed("a child shard that is none")
                }
                batch.childShards = children
            } else {
                try scanner.check(name)
                _ = try scanner.value(depth: 1)
            }
        }
        try scanner.end()
        guard hasRecords else { throw scanner.malformed("an answer without Records") }
        self = batch
    }
}

extension CBORScanner {
    /// Asks for the memory of a record to come, where it lies if all are as long as the last one: of a record only the
    /// ends are looked at, and waiting for them takes longer than reading them.
    fileprivate func expectMore(every count: Int) {
        guard count <= 1 << 20, let base = buffer.baseAddress else { return }
        shardtop_prefetch(base + index + 4 * count)
        shardtop_prefetch(base + index + 4 * count + 64)
    }
}

extension WireRecord {
    fileprivate init(_ scanner: inout CBORScanner) throws(MalformedBody) {
        var number: SequenceNumber?
        var (data, key) = (Bytes(), Bytes())
        var arrival: UnixTime?
        try scanner.members { (scanner, name) throws(MalformedBody) in
            if scanner.spells(name, "SequenceNumber") {
                let raw = try scanner.rawString(.text)
                number =
                    raw.gathered == nil
                    ? SequenceNumber(digits: UnsafeRawBufferPointer(rebasing: scanner.buffer[raw.range]))
                    : SequenceNumber(try scanner.text(raw))
                guard number != nil else { throw scanner.malformed("a sequence number that is none") }
            } else if scanner.spells(name, "Data") {
                data = scanner.bytes(try scanner.rawString(.bytes))
            } else if scanner.spells(name, "PartitionKey") {
                let raw = try scanner.rawString(.text)
                try scanner.check(raw)
                key = scanner.bytes(raw)
            } else if scanner.spells(name, "ApproximateArrivalTimestamp") {
                arrival = try scanner.value(depth: 2).time
            } else {
                try scanner.check(name)
                _ = try scanner.value(depth: 2)
            }
        }
        guard let number else { throw scanner.malformed("a record without SequenceNumber") }
        self.init(sequenceNumber: number, partitionKey: key, data: data, approximateArrival: arrival)
    }
}
