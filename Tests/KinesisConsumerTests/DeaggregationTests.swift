import AWSWire
import Machine
import Testing

@testable import KinesisConsumer

/// Aggregates that aws-kinesis-agg wrote; Referees/kpl.py reads these literals and checks both directions.
private enum Referee {
    static let partitionKeys =
        "f3899ac20a01610a0462c3a4681a0708001a036f6e651a0708011a0374776f1a0408001a0043f66a6d6eb5ca7b98f8329c5ae7b5fe"
    static let hashKeys =
        "f3899ac20a01610a016212013012273334303238323336363932303933383436333436333337343630373433313736383231313435351a09080010001a036f6e651a09080110011a0374776f1a0b080010001a057468726565346f770b528a9aa73b23775290ba3ad9"
    static let mixed =
        "f3899ac20a016112273137303134313138333436303436393233313733313638373330333731353838343130353732381a0708001a036f6e651a08080010001a0200ffab03b71fbfef4e7cb097bc219b70a5f4"
    /// The digest of the aggregate of `manyRecords`.
    static let many = "7ff33f3c405cab5f6f0b6c52757ffdae"

    static let cases: [(hex: String, records: [UserRecord])] = [
        (partitionKeys, [UserRecord("a", "one"), UserRecord("bäh", "two"), UserRecord("a", "")]),
        (hashKeys, [UserRecord("a", "one", 0), UserRecord("b", "two", .max), UserRecord("a", "three", 0)]),
        (mixed, [UserRecord("a", "one"), UserRecord("a", [0, 255], 1 << 127)]),
    ]

    static let manyRecords = (0..<300).map { index in
        UserRecord(
            "key-\(index)", [UInt8](repeating: UInt8(index % 256), count: index),
            index % 3 == 0 ? UInt128(index) * 1_000_000_000_000_000_000_000_000_000_000 : nil)
    }
}

private struct UserRecord: Hashable, CustomStringConvertible {
    var key: String
    var data: [UInt8]
    var hashKey: UInt128?

    init(_ key: String, _ data: [UInt8], _ hashKey: UInt128? = nil) {
        self.key = key
        self.data = data
        self.hashKey = hashKey
    }

    init(_ key: String, _ text: String, _ hashKey: UInt128? = nil) {
        self.init(key, Array(text.utf8), hashKey)
    }

    init(_ record: Record) {
        self.init(record.partitionKey.text, record.data.array, record.explicitHashKey)
    }

    init(_ put: PutRecord) {
        self.init(put.partitionKey, put.data.array, put.explicitHashKey)
    }

    var description: String { "\(key)=\(data) \(hashKey.map(String.init) ?? "")" }
}

private func bytes(hex: String) -> [UInt8] {
    let digits = hex.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

private func wire(_ data: [UInt8], number: UInt128 = 49, key: String = "outer") -> WireRecord {
    WireRecord(
        sequenceNumber: SequenceNumber(high: 0, low: number), partitionKey: Bytes(key), data: Bytes(data),
        approximateArrival: UnixTime(milliseconds: 1234))
}

/// `message` in the KPL's frame, with a digest that matches.
private func framed(_ message: [UInt8]) -> [UInt8] {
    let digest = hashKey(of: Bytes(message)).bigEndian
    return [0xF3, 0x89, 0x9A, 0xC2] + message + withUnsafeBytes(of: digest) { Array($0) }
}

/// Packs `records` into one aggregate.
private func aggregate(_ records: [UserRecord]) throws -> [UInt8] {
    var aggregator = KPLAggregator(maxBytes: KPLAggregator.bytesMax)
    for record in records {
        #expect(
            aggregator.add(Bytes(record.data), partitionKey: record.key, explicitHashKey: record.hashKey) == nil)
    }
    let put = aggregator.flush()
    return try #require(put).data.array
}

@Suite struct DeaggregationTests {
    @Test(arguments: 0..<Referee.cases.count) func `an aggregate of the referee is taken apart`(index: Int) {
        let (hex, expected) = Referee.cases[index]
        let records = deaggregate([wire(bytes(hex: hex))], in: .whole)
        #expect(records.map(UserRecord.init) == expected)
        #expect(records.map(\.subSequenceNumber) == Array(0..<Int64(expected.count)))
        for record in records {
            #expect(record.isAggregated)
            #expect(record.sequenceNumber == SequenceNumber(high: 0, low: 49))
            #expect(record.approximateArrival == UnixTime(milliseconds: 1234))
        }
    }

    @Test(arguments: 0..<Referee.cases.count) func `our aggregate is the referee's byte for byte`(index: Int) throws {
        #expect(try aggregate(Referee.cases[index].records) == bytes(hex: Referee.cases[index].hex))
    }

    @Test func `three hundred records with lengths and indices of two bytes survive the round trip`() throws {
        let packed = try aggregate(Referee.manyRecords)
        #expect(Array(packed.suffix(16)) == bytes(hex: Referee.many))
        #expect(deaggregate([wire(packed)], in: nil).map(UserRecord.init) == Referee.manyRecords)
    }

    @Test func `a batch keeps its order, and each aggregate counts from zero`() {
        let aggregate = bytes(hex: Referee.partitionKeys)
        let batch = [
            wire([1], number: 1), wire(aggregate, number: 2), wire([3], number: 3), wire(aggregate, number: 4),
        ]
        let records = deaggregate(batch, in: .whole)
        let places = records.map { "\($0.sequenceNumber)/\($0.subSequenceNumber)\($0.isAggregated ? "*" : "")" }
        #expect(places == ["1/0", "2/0*", "2/1*", "2/2*", "3/0", "4/0*", "4/1*", "4/2*"])
        #expect(UserRecord(records[0]) == UserRecord("outer", [1]))
    }

    @Test func `data and keys stay in the arena of the answer`() throws {
        let arena = [7, 7] + bytes(hex: Referee.partitionKeys) + [7]
        let record = WireRecord(
            sequenceNumber: .zero, partitionKey: Bytes("outer"), data: Bytes(arena, 2..<arena.count - 1),
            approximateArrival: nil)
        let records = deaggregate([record], in: .whole)
        #expect(records.count == 3)
        Bytes(arena).withUnsafeBytes { whole in
            let first = UInt(bitPattern: whole.baseAddress)
            for part in records.flatMap({ [$0.data, $0.partitionKey] }) {
                let start = part.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
                #expect(first..<first + UInt(whole.count) ~= start)
            }
        }
    }

    @Test func `the hash of a partition key is its MD5 as a number`() {
        #expect(hashKey(of: Bytes("a")) == 0x0CC1_75B9_C0F1_B6A8_31C3_99E2_6977_2661)
        #expect(hashKey(of: Bytes("bäh")) == 0x74E6_AB6C_6A6F_3590_2719_2DE5_C6AB_AF0F)
        #expect(hashKey(of: Bytes()) == 0xD41D_8CD9_8F00_B204_E980_0998_ECF8_427E)
    }
}

@Suite struct HashRangeTests {
    private let a = hashKey(of: Bytes("a"))
    private let b = hashKey(of: Bytes("b"))

    private func survivors(_ records: [UserRecord], _ start: UInt128, _ end: UInt128) throws -> Int {
        deaggregate([wire(try aggregate(records))], in: HashKeyRange(start: start, end: end)).count
    }

    @Test func `both ends of the range belong to the shard`() throws {
        let records = [UserRecord("a", "1"), UserRecord("b", "2"), UserRecord("a", "3")]
        #expect(try survivors(records, a, b) == 3)
    }

    @Test func `one record outside of the range drops the whole aggregate`() throws {
        let records = [UserRecord("a", "1"), UserRecord("a", "2"), UserRecord("b", "3")]
        #expect(try survivors(records, a, b - 1) == 0)
        #expect(try survivors(records, a + 1, b) == 0)
    }

    @Test func `an explicit hash key decides instead of the partition key`() throws {
        #expect(try survivors([UserRecord("b", "1", a), UserRecord("b", "2", a)], a, a) == 2)
        #expect(try survivors([UserRecord("a", "1", b), UserRecord("a", "2", b)], a, a) == 0)
        #expect(try survivors([UserRecord("a", "1", b), UserRecord("a", "2")], a, a) == 0)
    }

    @Test func `a dropped aggregate leaves its neighbours alone`() throws {
        let outside = wire(try aggregate([UserRecord("b", "1"), UserRecord("b", "2")]), number: 2)
        let inside = wire(try aggregate([UserRecord("a", "3"), UserRecord("a", "4")]), number: 3)
        let records = deaggregate([wire([1], number: 1), outside, inside], in: HashKeyRange(start: a, end: a))
        #expect(records.map(\.sequenceNumber) == [1, 3, 3].map { SequenceNumber(high: 0, low: $0) })
    }

    @Test func `a plain record passes whatever its key`() {
        #expect(deaggregate([wire([1])], in: HashKeyRange(start: 0, end: 0)).count == 1)
    }
}

@Suite struct MalformedAggregateTests {
    /// A record with key 0 and the data 0xFF.
    private static let good: [UInt8] = [0x1A, 5, 0x08, 0, 0x1A, 1, 0xFF]
    private static let key: [UInt8] = [0x0A, 1, 0x61]

    private static let malformed: [(String, [UInt8])] = [
        ("a record without key index", key + good + [0x1A, 3, 0x1A, 1, 0xFF]),
        ("a record without data", key + good + [0x1A, 2, 0x08, 0]),
        ("a key index beyond the table", key + good + [0x1A, 5, 0x08, 1, 0x1A, 1, 0xFF]),
        (
            "a key index of 64 bits",
            key + good + [0x1A, 14, 0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0x1A, 1, 0xFF]
        ),
        ("a hash key index beyond the table", key + good + [0x1A, 7, 0x08, 0, 0x10, 0, 0x1A, 1, 0xFF]),
        ("an empty hash key", key + [0x12, 0] + good + [0x1A, 7, 0x08, 0, 0x10, 0, 0x1A, 1, 0xFF]),
        ("a hash key with a letter", key + [0x12, 2, 0x31, 0x78] + good + [0x1A, 7, 0x08, 0, 0x10, 0, 0x1A, 1, 0xFF]),
        (
            "a hash key of 2^128",
            key + [0x12, 39] + Array("340282366920938463463374607431768211456".utf8) + good
                + [0x1A, 7, 0x08, 0, 0x10, 0, 0x1A, 1, 0xFF]
        ),
        ("a length beyond the end", key + good + [0x1A, 100, 0x08]),
        ("a length of 64 bits", key + good + [0x1A, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ("a number that does not end", key + good + [0x08, 255, 255]),
        ("a number of eleven bytes", key + good + [0x20] + [UInt8](repeating: 0x80, count: 10) + [0]),
        ("field number zero", key + good + [0x00, 0]),
        ("a group", key + good + [0x23, 0x24]),
        ("wire type 7", key + good + [0x27, 0]),
        ("a cut 64-bit field", key + good + [0x21, 1, 2, 3]),
        ("no protobuf at all", Array("hello, this is text".utf8)),
    ]

    @Test(arguments: 0..<malformed.count) func `what is malformed passes as one plain record`(index: Int) {
        let (name, message) = Self.malformed[index]
        let data = framed(message)
        let records = deaggregate([wire(data)], in: nil)
        #expect(records.map(UserRecord.init) == [UserRecord("outer", data)], "\(name)")
        #expect(records.map(\.isAggregated) == [false], "\(name)")
    }

    @Test func `unknown fields, tags and odd types are passed over`() {
        let message =
            [0x20, 7, 0x08, 7] + Self.key + [0x29, 1, 2, 3, 4, 5, 6, 7, 8, 0x2D, 1, 2, 3, 4]
            + [0x1A, 13, 0x08, 0, 0x22, 6, 0x0A, 1, 0x6B, 0x12, 1, 0x76, 0x1A, 1, 0xFF]
        #expect(deaggregate([wire(framed(message))], in: nil).map(UserRecord.init) == [UserRecord("a", [255])])
    }

    @Test func `tables may stand behind the records`() {
        #expect(
            deaggregate([wire(framed(Self.good + Self.key))], in: nil).map(UserRecord.init)
                == [UserRecord("a", [255])])
    }

    @Test func `an aggregate without records yields none`() {
        #expect(deaggregate([wire(framed(Self.key))], in: nil).isEmpty)
    }

    @Test func `a wrong digest, a cut frame and an empty message pass as plain records`() {
        let whole = framed(Self.key + Self.good)
        #expect(deaggregate([wire(whole)], in: nil).map(\.isAggregated) == [true])
        for index in whole.indices {
            var broken = whole
            broken[index] ^= 1
            #expect(deaggregate([wire(broken)], in: nil).map(\.isAggregated) == [false])
            let cut = Array(whole[..<index])
            #expect(deaggregate([wire(cut)], in: nil).map(UserRecord.init) == [UserRecord("outer", cut)])
        }
        #expect(deaggregate([wire(framed([]))], in: nil).map(\.isAggregated) == [false])
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func `mutated messages with a good digest never trap`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let original = bytes(hex: Referee.hashKeys).dropFirst(4).dropLast(16)
        for _ in 0..<200 {
            var message = Array(original)
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let index = Int.random(in: message.indices, using: &generator)
                message[index] = UInt8.random(in: 0...255, using: &generator)
            }
            message.removeLast(Int.random(in: 0...2, using: &generator))
            let data = framed(message)
            let records = deaggregate([wire(data)], in: nil)
            let isPlain = records.map(UserRecord.init) == [UserRecord("outer", data)]
            #expect(isPlain || records.allSatisfy(\.isAggregated))
        }
    }
}

@Suite struct KPLAggregatorTests {
    private func fill(_ aggregator: inout KPLAggregator, _ records: [UserRecord]) -> [PutRecord] {
        records.compactMap {
            aggregator.add(Bytes($0.data), partitionKey: $0.key, explicitHashKey: $0.hashKey)
        }
    }

    private func unpack(_ puts: [PutRecord]) -> [UserRecord] {
        let records = puts.map {
            WireRecord(
                sequenceNumber: .zero, partitionKey: Bytes($0.partitionKey), data: $0.data, approximateArrival: nil)
        }
        return deaggregate(records, in: nil).map(UserRecord.init)
    }

    @Test func `nothing was added, nothing comes out`() {
        var aggregator = KPLAggregator()
        #expect(aggregator.flush() == nil)
    }

    @Test func `a record that is alone stays plain`() {
        var aggregator = KPLAggregator()
        #expect(fill(&aggregator, [UserRecord("a", "one", 5)]).isEmpty)
        #expect(aggregator.flush().map(UserRecord.init) == UserRecord("a", "one", 5))
        #expect(aggregator.flush() == nil)
        #expect(aggregator.count == 0)
    }

    @Test func `the first record lends its key and hash key`() {
        var aggregator = KPLAggregator()
        #expect(fill(&aggregator, [UserRecord("a", "one", 5), UserRecord("b", "two", 6)]).isEmpty)
        let put = aggregator.flush()
        #expect(put?.partitionKey == "a")
        #expect(put?.explicitHashKey == 5)
    }

    @Test func `an aggregate is filled to the last byte and not beyond`() throws {
        let records = (0..<40).map { UserRecord("k\($0)", [UInt8](repeating: 1, count: 10), UInt128($0)) }
        let exact = try aggregate(records).count + "k0".utf8.count
        var fits = KPLAggregator(maxBytes: exact)
        #expect(fill(&fits, records).isEmpty)
        #expect(fits.flush()?.data.count == exact - 2)
        var tooSmall = KPLAggregator(maxBytes: exact - 1)
        let full = fill(&tooSmall, records)
        #expect(unpack(full) == Array(records.dropLast()))
        #expect(tooSmall.flush()?.data == Bytes(records[39].data))
    }

    @Test func `the count is limited too`() {
        var aggregator = KPLAggregator(maxRecords: 2)
        let records = (0..<5).map { UserRecord("a", "\($0)") }
        let full = fill(&aggregator, records)
        #expect(full.count == 2)
        #expect(unpack(full + [aggregator.flush()].compactMap { $0 }) == records)
    }

    @Test(arguments: 0..<10 as Range<UInt64>) func `whatever goes in comes out in order`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var aggregator = KPLAggregator(maxBytes: 2000)
        var keyless: [UserRecord] = []
        var puts: [PutRecord] = []
        for _ in 0..<400 {
            let size = generator.chance(0.02) ? 3000 : Int.random(in: 0...200, using: &generator)
            let record = UserRecord(
                "k\(Int.random(in: 0...200, using: &generator))", [UInt8](repeating: 9, count: size))
            keyless.append(record)
            puts += fill(&aggregator, [record])
        }
        puts += [aggregator.flush()].compactMap { $0 }
        #expect(unpack(puts) == keyless)
        for put in puts where put.data.count + put.partitionKey.utf8.count > 2000 {
            #expect(put.data.count == 3000)
        }
    }
}
