import AWSWire
import Machine

/// The records of a GetRecords answer as they come from the log: written without a tree in between.
struct RecordsWriter {
    private let encoding: WireEncoding
    private(set) var out: [UInt8] = []

    /// - Parameters:
    ///   - count: of the records that follow.
    ///   - bytes: of their data and keys.
    init(_ encoding: WireEncoding, count: Int, bytes: Int) {
        self.encoding = encoding
        out.reserveCapacity((encoding == .json ? bytes / 3 * 4 : bytes) + count * 200 + 1024)
        switch encoding {
        case .json: out.append(contentsOf: #"{"Records":["#.utf8)
        case .cbor:
            CBOR.append(.map, 3, to: &out)
            CBOR.append(string: "Records", to: &out)
            CBOR.append(.array, UInt64(count), to: &out)
        }
    }

    mutating func append(_ entry: ShardLog.Entry, number: SequenceNumber, in bytes: [UInt8], isEncrypted: Bool) {
        let dataStart = Int(entry.offset)
        let keyStart = dataStart + Int(entry.dataCount)
        let data = Bytes(bytes, dataStart..<keyStart)
        let key = bytes[keyStart..<keyStart + Int(entry.keyCount)]
        switch encoding {
        case .json: appendJSON(entry, number, data, key, isEncrypted)
        case .cbor: appendCBOR(entry, number, data, key, isEncrypted)
        }
    }

    private mutating func appendJSON(
        _ entry: ShardLog.Entry, _ number: SequenceNumber, _ data: Bytes, _ key: ArraySlice<UInt8>,
        _ isEncrypted: Bool
    ) {
        if out.last != UInt8(ascii: "[") { out.append(UInt8(ascii: ",")) }
        out.append(contentsOf: #"{"SequenceNumber":""#.utf8)
        number.appendDigits(to: &out)
        out.append(contentsOf: #"","ApproximateArrivalTimestamp":"#.utf8)
        let milliseconds = entry.arrival % 1000
        out.append(contentsOf: String(entry.arrival / 1000).utf8)
        out.append(UInt8(ascii: "."))
        for digit in [milliseconds / 100, milliseconds / 10 % 10, milliseconds % 10] {
            out.append(48 + UInt8(truncatingIfNeeded: digit))
        }
        out.append(contentsOf: #","Data":""#.utf8)
        Base64.append(data, to: &out)
        out.append(contentsOf: #"","PartitionKey":"#.utf8)
        if entry.isKeyEscaped {
            JSON.append(string: String(decoding: key, as: UTF8.self), to: &out)
        } else {
            out.append(UInt8(ascii: "\""))
            out.append(contentsOf: key)
            out.append(UInt8(ascii: "\""))
        }
        if isEncrypted { out.append(contentsOf: #","EncryptionType":"KMS""#.utf8) }
        out.append(UInt8(ascii: "}"))
    }

    private mutating func appendCBOR(
        _ entry: ShardLog.Entry, _ number: SequenceNumber, _ data: Bytes, _ key: ArraySlice<UInt8>,
        _ isEncrypted: Bool
    ) {
        CBOR.append(.map, isEncrypted ? 5 : 4, to: &out)
        CBOR.append(string: "SequenceNumber", to: &out)
        append(cbor: number)
        CBOR.append(string: "ApproximateArrivalTimestamp", to: &out)
        CBOR.append(time: UnixTime(milliseconds: entry.arrival), to: &out)
        CBOR.append(string: "Data", to: &out)
        CBOR.append(bytes: data, to: &out)
        CBOR.append(string: "PartitionKey", to: &out)
        CBOR.append(.text, UInt64(key.count), to: &out)
        out.append(contentsOf: key)
        if isEncrypted { for text in ["EncryptionType", "KMS"] { CBOR.append(string: text, to: &out) } }
    }

    /// The digits as text, whose count is known only once they are there.
    private mutating func append(cbor number: SequenceNumber) {
        // A number of the service's layout has 56; up to 255 have a head of the same two bytes.
        CBOR.append(.text, 56, to: &out)
        let start = out.count
        number.appendDigits(to: &out)
        out[start - 1] = UInt8(truncatingIfNeeded: out.count - start)
    }

    /// The whole answer.
    ///
    /// - Parameter last: the place to go on from, or `ChildShards` at the end of the shard.
    consuming func finish(last: (name: String, value: AWSValue), millisBehindLatest behind: Int64) -> [UInt8] {
        switch encoding {
        case .json:
            out.append(contentsOf: #"],"\#(last.name)":"#.utf8)
            JSON.append(last.value, to: &out)
            out.append(contentsOf: #","MillisBehindLatest":\#(behind)}"#.utf8)
        case .cbor:
            CBOR.append(string: last.name, to: &out)
            CBOR.append(last.value, to: &out)
            CBOR.append(string: "MillisBehindLatest", to: &out)
            CBOR.append(int: behind, to: &out)
        }
        return out
    }
}

/// The answer of PutRecords, outcome by outcome.
struct OutcomesWriter {
    private let encoding: WireEncoding
    private var out: [UInt8] = []
    private(set) var refused = 0
    private let isEncrypted: Bool

    init(_ encoding: WireEncoding, count: Int, isEncrypted: Bool) {
        self.encoding = encoding
        self.isEncrypted = isEncrypted
        out.reserveCapacity(count * 128 + 64)
        switch encoding {
        case .json: out.append(contentsOf: #"{"Records":["#.utf8)
        case .cbor:
            CBOR.append(.map, isEncrypted ? 3 : 2, to: &out)
            CBOR.append(string: "Records", to: &out)
            CBOR.append(.array, UInt64(count), to: &out)
        }
    }

    mutating func append(stored number: SequenceNumber, in shard: String) {
        append(("SequenceNumber", number.description), ("ShardId", shard))
    }

    mutating func append(refused error: ServiceError) {
        refused += 1
        append(("ErrorCode", error.type), ("ErrorMessage", error.message))
    }

    private mutating func append(_ first: (name: String, value: String), _ second: (name: String, value: String)) {
        switch encoding {
        case .json:
            out.append(contentsOf: out.last == UInt8(ascii: "[") ? #"{""#.utf8 : #",{""#.utf8)
            out.append(contentsOf: first.name.utf8)
            out.append(contentsOf: #"":"#.utf8)
            JSON.append(string: first.value, to: &out)
            out.append(contentsOf: #",""#.utf8)
            out.append(contentsOf: second.name.utf8)
            out.append(contentsOf: #"":"#.utf8)
            JSON.append(string: second.value, to: &out)
            out.append(UInt8(ascii: "}"))
        case .cbor:
            CBOR.append(.map, 2, to: &out)
            for text in [first.name, first.value, second.name, second.value] { CBOR.append(string: text, to: &out) }
        }
    }

    /// The whole answer.
    consuming func finish() -> [UInt8] {
        switch encoding {
        case .json:
            out.append(contentsOf: #"],"FailedRecordCount":\#(refused)"#.utf8)
            out.append(contentsOf: isEncrypted ? #","EncryptionType":"KMS"}"#.utf8 : "}".utf8)
        case .cbor:
            CBOR.append(string: "FailedRecordCount", to: &out)
            CBOR.append(int: Int64(refused), to: &out)
            if isEncrypted { for text in ["EncryptionType", "KMS"] { CBOR.append(string: text, to: &out) } }
        }
        return out
    }
}
