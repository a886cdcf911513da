import AWSWire
import Leases
import Machine
import OrderedCollections
import Testing

@testable import KinesisConsumer
@testable import MultiLang

private func whole(_ request: ProtocolRequest, atLeast bytes: Int = ProtocolEncoder.pieceBytes) -> [String] {
    var encoder = ProtocolEncoder(request)
    var pieces: [String] = []
    while !encoder.isFinished {
        var piece: [UInt8] = []
        encoder.next(into: &piece, atLeast: bytes)
        pieces.append(String(decoding: piece, as: UTF8.self))
    }
    return pieces
}

private func record(
    _ number: UInt128, data: Bytes = Bytes("hello"), key: Bytes = Bytes("key"), sub: Int64 = 0, at time: Int64? = nil
) -> Record {
    Record(
        sequenceNumber: SequenceNumber(high: 0, low: number), subSequenceNumber: sub, partitionKey: key, data: data,
        approximateArrival: time.map { UnixTime(milliseconds: $0) })
}

@Suite struct ProtocolEncoderTests {
    @Test func `a batch is written as Jackson writes it, nulls among it`() {
        let records = [record(42, at: 1_700_000_000_123), record(43, data: Bytes(), key: Bytes("é"), sub: 7)]
        #expect(
            whole(.processRecords(records, millisBehindLatest: nil)) == [
                #"{"action":"processRecords","records":["#
                    + #"{"data":"aGVsbG8=","partitionKey":"key","sequenceNumber":"42","#
                    + #""approximateArrivalTimestamp":1700000000123,"subSequenceNumber":0,"action":"record"},"#
                    + #"{"data":"","partitionKey":"é","sequenceNumber":"43","#
                    + #""approximateArrivalTimestamp":null,"subSequenceNumber":7,"action":"record"}"#
                    + #"],"millisBehindLatest":null}"# + "\n"
            ])
        #expect(
            whole(.processRecords([], millisBehindLatest: 5)) == [
                #"{"action":"processRecords","records":[],"millisBehindLatest":5}"# + "\n"
            ])
    }

    @Test func `a sentinel is initialized by its name, and requests without members are just their action`() {
        let sentinel = InitializationInput(shardID: "shardId-0", checkpoint: .trimHorizon)
        #expect(
            whole(.initialize(sentinel)) == [
                #"{"action":"initialize","shardId":"shardId-0","sequenceNumber":"TRIM_HORIZON","subSequenceNumber":0}"#
                    + "\n"
            ])
        #expect(whole(.leaseLost) == [#"{"action":"leaseLost"}"# + "\n"])
        #expect(whole(.shardEnded) == [#"{"action":"shardEnded"}"# + "\n"])
        #expect(whole(.shutdownRequested) == [#"{"action":"shutdownRequested"}"# + "\n"])
    }

    @Test func `a reply echoes what was asked for, with the error's name`() {
        let stored = CheckpointReply(sequenceNumber: "12", subSequenceNumber: 3)
        #expect(
            String(decoding: stored.line, as: UTF8.self)
                == #"{"action":"checkpoint","sequenceNumber":"12","subSequenceNumber":3,"error":null}"# + "\n")
        let refused = CheckpointReply(error: "ThrottlingException")
        #expect(
            String(decoding: refused.line, as: UTF8.self)
                == #"{"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":null,"#
                + #""error":"ThrottlingException"}"# + "\n")
    }

    @Test func `a partition key of every plane comes back as it was`() throws {
        let controls = String(String.UnicodeScalarView((0..<0x20).compactMap { Unicode.Scalar(UInt32($0)) }))
        for key in ["a\"b\\c/d", "\u{7F}\u{80}\u{2028}", "x\u{FFFD}\u{1F600}\u{2FA1D}\u{E0001}\u{10FFFD}", controls] {
            let line = whole(.processRecords([record(1, key: Bytes(key))], millisBehindLatest: 0)).joined()
            #expect(line.utf8.filter { $0 < 0x20 } == [0x0A])
            let read = try JSON.decode(Bytes(line))
            guard case .map(let members) = read, case .list(let records)? = members["records"],
                case .map(let first)? = records.first
            else {
                Issue.record("no record in \(line)")
                continue
            }
            #expect(first["partitionKey"] == .string(key))
        }
        var escaped: [UInt8] = []
        escaped.append(jsonString: "\u{8}\u{C}\n\r\t\u{1F}\u{B}")
        #expect(String(decoding: escaped, as: UTF8.self) == #""\b\f\n\r\t\u001F\u000B""#)
    }

    @Test func `a partition key that is no UTF-8 is repaired, for the line must be`() {
        let line = whole(.processRecords([record(1, key: Bytes([0x61, 0xFF, 0x62]))], millisBehindLatest: 0)).joined()
        #expect(line.contains("\"a\u{FFFD}b\""))
    }

    @Test func `a batch in small pieces is the same line, and no piece holds much more than it should`() {
        let records = (0..<200).map { record(UInt128($0), data: Bytes([UInt8](repeating: UInt8($0), count: $0 * 7))) }
        let request = ProtocolRequest.processRecords(records, millisBehindLatest: 1)
        let pieces = whole(request, atLeast: 1000)
        #expect(pieces.count > 50)
        #expect(pieces.allSatisfy { $0.utf8.count < 1000 + 2300 })
        #expect(pieces.joined() == whole(request, atLeast: .max).joined())
    }

    @Test(arguments: [196_607, 196_608, 196_609, 589_824, 1_000_000])
    func `a record of megabytes is written in pieces that join without padding`(size: Int) throws {
        var generator = SeededGenerator(seed: UInt64(size))
        let data = (0..<size / 8 + 1).flatMap { _ in withUnsafeBytes(of: generator.next()) { Array($0) } }.prefix(size)
        let bytes = Bytes(Array(data))
        let pieces = whole(.processRecords([record(1, data: bytes), record(2)], millisBehindLatest: 1))
        #expect(pieces.allSatisfy { $0.utf8.count <= ProtocolEncoder.pieceBytes + 300_000 })
        let line = pieces.joined()
        let start = #"{"action":"processRecords","records":[{"data":""#
        #expect(line.hasPrefix(start + Base64.encode(bytes) + "\","))
        #expect(
            line.hasSuffix(
                #""data":"aGVsbG8=","partitionKey":"key","sequenceNumber":"2","#
                    + #""approximateArrivalTimestamp":null,"subSequenceNumber":0,"action":"record"}],"millisBehindLatest":1}"#
                    + "\n"))
    }

    @Test func `a trace has no data unless it is asked for, and is cut`() {
        let request = ProtocolRequest.processRecords([record(1), record(2)], millisBehindLatest: 0)
        let bare = ProtocolEncoder.trace(request, withData: false, bytesMax: 10_000)
        #expect(bare.contains(#""data":"(5 bytes)""#))
        #expect(!bare.contains("aGVsbG8="))
        #expect(ProtocolEncoder.trace(request, withData: true, bytesMax: 10_000).contains("aGVsbG8="))
        #expect(ProtocolEncoder.trace(request, withData: true, bytesMax: 60).utf8.count == 63)
    }

    @Test func `digits are the description's`() throws {
        var generator = SeededGenerator(seed: 3)
        var numbers = ["0", "9", "10", "18446744073709551615", "18446744073709551616", "10000000000000000000"]
        numbers += ["100000000000000000000000000000000000000", String(repeating: "9", count: 77)]
        for length in 1...77 {
            numbers.append("1" + String((1..<length).map { _ in Character("\(generator.next() % 10)") }))
        }
        for text in numbers {
            var out: [UInt8] = []
            try #require(SequenceNumber(text)).appendDigits(to: &out)
            #expect(String(decoding: out, as: UTF8.self) == text)
        }
    }
}

@Suite struct ProtocolMessageTests {
    private func read(_ line: String) -> ProtocolMessage.Reading { ProtocolMessage.read(Bytes(line)) }

    @Test func `statuses and checkpoints are read as Jackson reads them`() {
        #expect(
            read(#"{"action": "status", "responseFor": "initialize"}"#)
                == .message(.status(responseFor: "initialize")))
        #expect(read(#"  {"responseFor":null,"action":"status"} "#) == .message(.status(responseFor: nil)))
        #expect(
            read(#"{"action":"checkpoint","sequenceNumber":"12","subSequenceNumber":3}"#)
                == .message(.checkpoint(sequenceNumber: "12", subSequenceNumber: 3)))
        #expect(
            read(#"{"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":null}"#)
                == .message(.checkpoint(sequenceNumber: nil, subSequenceNumber: nil)))
        #expect(read(#"{"action":"checkpoint"}"#) == .message(.checkpoint(sequenceNumber: nil, subSequenceNumber: nil)))
        #expect(
            read(#"{"action":"checkpoint","sequenceNumber":17,"subSequenceNumber":"4"}"#)
                == .message(.checkpoint(sequenceNumber: "17", subSequenceNumber: 4)))
        #expect(
            read(#"{"action":"checkpoint","sequenceNumber":"SHARD_END"}"#)
                == .message(.checkpoint(sequenceNumber: "SHARD_END", subSequenceNumber: nil)))
    }

    @Test(arguments: [
        "hello", "{", "[]", "{}", "null", #"{"action":"status","responseFor":"initialize","more":1}"#,
        #"{"action":"processRecords","records":[]}"#, #"{"action":"checkpoint","subSequenceNumber":"x"}"#,
        #"{"action":"status","responseFor":["initialize"]}"#, #"{"action":7}"#, "\u{0}", "{\"action\":\"status\"} x",
    ])
    func `what is no message is stray`(line: String) {
        #expect(read(line) == .stray)
    }

    @Test func `blank lines are nothing`() {
        for line in ["", " ", "\t \r"] { #expect(read(line) == .blank) }
    }
}

@Suite struct ProtocolLinesTests {
    @Test func `lines come out the same however the pieces are cut`() {
        let text = Array("one\r\n\ntwo and a half\nthree\n\n\rfour\r\n".utf8)
        let expected = ["one", "", "two and a half", "three", "", "\rfour"].map { ProtocolLines.Line.text(Bytes($0)) }
        for size in 1...text.count {
            var lines = ProtocolLines(bytesMax: 100, excess: .drop)
            var found: [ProtocolLines.Line] = []
            for start in stride(from: 0, to: text.count, by: size) {
                found += lines.append(Bytes(Array(text[start..<min(start + size, text.count)])))
            }
            #expect(found == expected)
            #expect(lines.finish().isEmpty)
        }
    }

    @Test func `a line beyond the bound is dropped and said to be, and the next one is whole`() {
        for size in [1, 3, 11, 200] {
            var lines = ProtocolLines(bytesMax: 10, excess: .drop)
            var found: [ProtocolLines.Line] = []
            let text = Array("0123456789\n01234567890\nshort\n".utf8)
            for start in stride(from: 0, to: text.count, by: size) {
                found += lines.append(Bytes(Array(text[start..<min(start + size, text.count)])))
            }
            #expect(found == [.text(Bytes("0123456789")), .tooLong, .text(Bytes("short"))])
        }
        var lines = ProtocolLines(bytesMax: 10, excess: .drop)
        #expect(lines.append(Bytes("01234567890123")).isEmpty)
        #expect(lines.finish() == [.tooLong])
        #expect(lines.finish().isEmpty)
    }

    @Test func `where lines may be cut nothing is lost`() {
        var lines = ProtocolLines(bytesMax: 4, excess: .cut)
        var found = lines.append(Bytes("ab"))
        found += lines.append(Bytes("cdefghij"))
        found += lines.append(Bytes("k\nx"))
        found += lines.finish()
        #expect(found == ["abcd", "efgh", "ijk", "x"].map { .text(Bytes($0)) })
    }

    @Test func `nothing of a line can steer a terminal`() {
        #expect(harmless(Bytes("plain é \u{1F600}")) == "plain é \u{1F600}")
        #expect(harmless(Bytes("a\tb\u{1B}[31m\u{9B}\u{202E}\u{7F}")) == "a b\u{FFFD}[31m\u{FFFD}\u{FFFD}\u{FFFD}")
        #expect(harmless(Bytes([0x61, 0xFF])) == "a\u{FFFD}")
    }
}
