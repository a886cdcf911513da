import AWSWire
package import KinesisConsumer
import Leases
import Machine

/// What the daemon asks of a child; the raw value is the name on the wire (kcl.md §8.2).
package enum ProtocolAction: String, Hashable, Sendable, CaseIterable {
    case initialize
    case processRecords
    case leaseLost
    case shardEnded
    case shutdownRequested

    /// In the others there is no checkpointer: the answer is `InvalidStateException` (kcl.md §8.3).
    package var mayCheckpoint: Bool {
        switch self {
        case .processRecords, .shardEnded, .shutdownRequested: true
        case .initialize, .leaseLost: false
        }
    }
}

/// A request with what it carries.
package enum ProtocolRequest: Sendable {
    case initialize(InitializationInput)
    case processRecords([Record], millisBehindLatest: Int64?)
    case leaseLost
    case shardEnded
    case shutdownRequested

    package var action: ProtocolAction {
        switch self {
        case .initialize: .initialize
        case .processRecords: .processRecords
        case .leaseLost: .leaseLost
        case .shardEnded: .shardEnded
        case .shutdownRequested: .shutdownRequested
        }
    }
}

/// The answer to a child's checkpoint: what it asked for, and the Java class name of the error.
package struct CheckpointReply: Hashable, Sendable {
    package var sequenceNumber: String?
    package var subSequenceNumber: Int64?
    package var error: String?

    package init(sequenceNumber: String? = nil, subSequenceNumber: Int64? = nil, error: String? = nil) {
        self.sequenceNumber = sequenceNumber
        self.subSequenceNumber = subSequenceNumber
        self.error = error
    }

    /// The line, with its line feed.
    package var line: [UInt8] {
        var out: [UInt8] = []
        out.append(text: #"{"action":"checkpoint","sequenceNumber":"#)
        out.append(jsonString: sequenceNumber)
        out.append(text: #","subSequenceNumber":"#)
        out.append(number: subSequenceNumber)
        out.append(text: #","error":"#)
        out.append(jsonString: error)
        out.append(text: "}\n")
        return out
    }
}

extension [UInt8] {
    mutating func append(text: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(number: Int64?) {
        guard let number else { return append(text: "null") }
        append(contentsOf: String(number).utf8)
    }

    mutating func append(jsonString text: String?) {
        guard var text else { return append(text: "null") }
        text.withUTF8 { append(jsonString: UnsafeRawBufferPointer($0)) }
    }

    /// `text` quoted, and escaped as Jackson does; what is not UTF-8 becomes U+FFFD.
    mutating func append(jsonString text: UnsafeRawBufferPointer) {
        // Plain ASCII, the usual partition key, goes through in one piece. A byte is special where it is a control
        // character, a quote, a backslash or part of something longer.
        var isPlain = true
        for byte in text where byte < 0x20 || byte == 0x22 || byte == 0x5C || byte >= 0x80 {
            isPlain = false
            break
        }
        append(0x22)
        if isPlain {
            append(contentsOf: text)
        } else {
            appendEscaped(text)
        }
        append(0x22)
    }

    private mutating func appendEscaped(_ text: UnsafeRawBufferPointer) {
        for byte in String(decoding: text, as: UTF8.self).utf8 {
            switch byte {
            case 0x22: append(text: #"\""#)
            case 0x5C: append(text: #"\\"#)
            case 0x08: append(text: #"\b"#)
            case 0x09: append(text: #"\t"#)
            case 0x0A: append(text: #"\n"#)
            case 0x0C: append(text: #"\f"#)
            case 0x0D: append(text: #"\r"#)
            case 0..<0x20:
                append(text: #"\u00"#)
                append(byte < 0x10 ? 0x30 : 0x31)
                append(contentsOf: String(byte & 0xF, radix: 16, uppercase: true).utf8)
            default: append(byte)
            }
        }
    }
}
