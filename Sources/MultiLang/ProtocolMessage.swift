package import AWSWire
import OrderedCollections

/// What a child says (kcl.md §8.2).
package enum ProtocolMessage: Hashable, Sendable {
    /// The request named is done; Java reads a missing name as null, which answers nothing.
    case status(responseFor: String?)
    /// Both null: at the last record that was delivered.
    case checkpoint(sequenceNumber: String?, subSequenceNumber: Int64?)

    /// A line that is no message; Java logs "Skipping unexpected line".
    package enum Reading: Hashable, Sendable {
        case message(ProtocolMessage)
        case blank
        case stray
    }

    /// The longest line that can be a message. Sequence numbers have at most 77 digits; the rest is white space.
    package static let bytesMax = 64 << 10

    /// Reads a line without its line end. Java's Jackson refuses unknown members, and so the line: it is stray.
    package static func read(_ line: Bytes) -> Reading {
        guard let first = firstByte(line) else { return .blank }
        guard first == UInt8(ascii: "{"), line.count <= bytesMax, case .map(let members)? = try? JSON.decode(line),
            case .string(let action)? = members["action"]
        else { return .stray }
        let known: [String]
        switch action {
        case "status": known = ["action", "responseFor"]
        // Java's class has the error too; a child that sends it back says nothing by it.
        case "checkpoint": known = ["action", "sequenceNumber", "subSequenceNumber", "error"]
        // The daemon's own messages, which Java parses and passes over.
        default: return .stray
        }
        guard members.keys.allSatisfy(known.contains) else { return .stray }
        if action == "status" {
            guard case .some(let name) = text(members["responseFor"]) else { return .stray }
            return .message(.status(responseFor: name))
        }
        guard case .some(let number) = text(members["sequenceNumber"]),
            case .some(let subNumber) = integer(members["subSequenceNumber"])
        else { return .stray }
        return .message(.checkpoint(sequenceNumber: number, subSequenceNumber: subNumber))
    }

    private static func firstByte(_ line: Bytes) -> UInt8? {
        for index in 0..<line.count {
            switch line[index] {
            case 0x20, 0x09, 0x0D, 0x0A: continue
            default: return line[index]
            }
        }
        return nil
    }

    /// A text or a number in place of one, as Jackson takes them; the outer nil where it is neither.
    private static func text(_ value: AWSValue?) -> String?? {
        switch value {
        case nil, .null: .some(nil)
        case .string(let text): .some(text)
        case .int(let number): .some(String(number))
        case .double(let number): .some("\(number)")
        case .bool(let flag): .some(flag ? "true" : "false")
        default: nil
        }
    }

    private static func integer(_ value: AWSValue?) -> Int64?? {
        switch value {
        case nil, .null: .some(nil)
        case .int(let number): .some(Int64(number))
        case .string(let text): text.isEmpty ? .some(nil) : Int64(text).map { .some($0) } ?? nil
        default: nil
        }
    }
}

/// What a piece of a child's output held.
package struct ProtocolReadings: Hashable, Sendable {
    package var messages: [ProtocolMessage] = []
    /// Lines that were none.
    package var stray = 0

    package init(_ messages: [ProtocolMessage] = [], stray: Int = 0) {
        self.messages = messages
        self.stray = stray
    }
}
