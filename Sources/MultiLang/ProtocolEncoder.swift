import AWSWire
import KinesisConsumer
import Leases
import Machine

/// Writes one request as one line of JSON, byte for byte as the Java daemon's Jackson does: `action` first, nulls
/// written out (kcl.md §8.2).
///
/// It writes in pieces, as the pipe takes them: a batch never exists as JSON as a whole, nor a record of 10 MiB.
package struct ProtocolEncoder: Sendable {
    /// What a piece holds, give or take a record's short members.
    package static let pieceBytes = 256 << 10
    /// Data that is base64 within one piece: a multiple of 3, so that pieces join without padding between.
    private static let dataBytes = 192 << 10

    private let request: ProtocolRequest
    /// Without the records' data: what a trace shows.
    private let isTrace: Bool
    private var index = 0
    /// What is written of the record at `index`; nil before its opening.
    private var offset: Int?
    private var hasBegun = false
    package private(set) var isFinished = false

    package init(_ request: ProtocolRequest, withData: Bool = true) {
        self.request = request
        isTrace = !withData
    }

    /// Appends the next piece to `out`; nothing once the line is complete.
    package mutating func next(into out: inout [UInt8], atLeast bytes: Int = pieceBytes) {
        guard !isFinished else { return }
        switch request {
        case .initialize(let input):
            out.append(text: #"{"action":"initialize","shardId":"#)
            out.append(jsonString: input.shardID)
            out.append(text: #","sequenceNumber":"#)
            out.append(jsonString: input.checkpoint.text)
            out.append(text: #","subSequenceNumber":"#)
            out.append(number: input.checkpoint.subSequenceNumber)
            out.append(text: "}\n")
            isFinished = true
        case .processRecords(let records, let millisBehindLatest):
            append(records, millisBehindLatest, to: &out, atLeast: bytes)
        case .leaseLost, .shardEnded, .shutdownRequested:
            out.append(text: #"{"action":""#)
            out.append(contentsOf: request.action.rawValue.utf8)
            out.append(text: "\"}\n")
            isFinished = true
        }
    }

    private mutating func append(
        _ records: [Record], _ millisBehindLatest: Int64?, to out: inout [UInt8], atLeast bytes: Int
    ) {
        if !hasBegun {
            out.append(text: #"{"action":"processRecords","records":["#)
            hasBegun = true
        }
        while index < records.count {
            guard out.count < bytes else { return }
            append(records[index], to: &out)
        }
        out.append(text: #"],"millisBehindLatest":"#)
        out.append(number: millisBehindLatest)
        out.append(text: "}\n")
        isFinished = true
    }

    /// Appends the record, or as much of its data as belongs into one piece.
    private mutating func append(_ record: Record, to out: inout [UInt8]) {
        var start = offset ?? 0
        if offset == nil {
            if index > 0 { out.append(UInt8(ascii: ",")) }
            out.append(text: #"{"data":""#)
        }
        if isTrace {
            out.append(contentsOf: "(\(record.data.count) bytes)".utf8)
        } else if start == 0, record.data.count <= Self.dataBytes {
            Base64.append(record.data, to: &out)
        } else {
            let end = min(start + Self.dataBytes, record.data.count)
            Base64.append(record.data.slice(start..<end), to: &out)
            start = end
            offset = end
            if end < record.data.count { return }
        }
        offset = nil
        index += 1
        out.append(text: #"","partitionKey":"#)
        record.partitionKey.withUnsafeBytes { out.append(jsonString: $0) }
        out.append(text: #","sequenceNumber":""#)
        record.sequenceNumber.appendDigits(to: &out)
        out.append(text: #"","approximateArrivalTimestamp":"#)
        out.append(number: record.approximateArrival?.milliseconds)
        out.append(text: #","subSequenceNumber":"#)
        out.append(number: record.subSequenceNumber)
        out.append(text: #","action":"record"}"#)
    }

    /// The whole line as text for people, without its line feed and cut at about `bytesMax`.
    package static func trace(_ request: ProtocolRequest, withData: Bool, bytesMax: Int) -> String {
        var encoder = ProtocolEncoder(request, withData: withData)
        var out: [UInt8] = []
        encoder.next(into: &out, atLeast: bytesMax)
        guard encoder.isFinished else { return String(decoding: out.prefix(bytesMax), as: UTF8.self) + "…" }
        return String(decoding: out.dropLast(), as: UTF8.self)
    }
}
