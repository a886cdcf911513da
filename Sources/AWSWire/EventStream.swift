/// A message of an `application/vnd.amazon.eventstream` body, in which SubscribeToShard answers.
///
/// A frame is: its length, the length of its headers and the checksum of both (the prelude, 12 bytes); headers;
/// payload; the checksum of all before it. Numbers are big-endian.
///
/// https://smithy.io/2.0/aws/amazon-eventstream.html
package struct EventMessage: Hashable, Sendable {
    /// `:message-type`, `:event-type`, `:exception-type`, `:content-type`; headers that are no text are left out.
    package var headers: [Header]
    package var payload: Bytes

    package init(headers: [Header], payload: Bytes) {
        self.headers = headers
        self.payload = payload
    }

    /// An event of `type`, with a JSON payload.
    package static func event(_ type: String, _ payload: Bytes) -> EventMessage {
        EventMessage(
            headers: [
                Header(":message-type", "event"), Header(":event-type", type),
                Header(":content-type", "application/x-amz-json-1.1"),
            ], payload: payload)
    }

    /// An error that is modelled, such as `ResourceNotFoundException`, after which the stream ends.
    package static func exception(_ type: String, _ payload: Bytes) -> EventMessage {
        EventMessage(
            headers: [
                Header(":message-type", "exception"), Header(":exception-type", type),
                Header(":content-type", "application/x-amz-json-1.1"),
            ], payload: payload)
    }

    package func encoded() -> [UInt8] {
        var frame: [UInt8] = []
        let headerBytes = headers.reduce(0) { $0 + 4 + $1.name.utf8.count + $1.value.utf8.count }
        let length = EventStreamDecoder.preludeBytes + headerBytes + payload.count + 4
        frame.reserveCapacity(length)
        frame.append(bigEndian: UInt32(truncatingIfNeeded: length))
        frame.append(bigEndian: UInt32(truncatingIfNeeded: headerBytes))
        frame.append(bigEndian: CRC32.of(Bytes(frame)))
        for header in headers {
            frame.append(UInt8(truncatingIfNeeded: header.name.utf8.count))
            frame.append(contentsOf: header.name.utf8)
            frame.append(EventStreamDecoder.textType)
            frame.append(UInt8(truncatingIfNeeded: header.value.utf8.count >> 8))
            frame.append(UInt8(truncatingIfNeeded: header.value.utf8.count))
            frame.append(contentsOf: header.value.utf8)
        }
        payload.withUnsafeBytes { frame.append(contentsOf: $0) }
        let checksum = frame.withUnsafeBytes { CRC32.of($0) }
        frame.append(bigEndian: checksum)
        return frame
    }
}

/// Cuts an event stream that comes in pieces into its messages.
package struct EventStreamDecoder: Sendable {
    static let preludeBytes = 12
    static let textType: UInt8 = 7
    /// The service's largest event carries some 2 MB of records; more than this is no event stream.
    private static let messageBytesMax = 24 << 20

    private var buffer: [UInt8] = []
    /// The length of the message that `buffer` begins with, once its prelude was checked.
    private var length: Int?

    package init() {}

    /// Whether a message has begun and is not whole.
    package var isInMessage: Bool { !buffer.isEmpty }

    /// Takes the next piece, and answers the messages that became whole, each payload in an arena of its own.
    package mutating func append(_ piece: Bytes) throws(EventStreamError) -> [EventMessage] {
        var messages: [EventMessage] = []
        var taken = 0
        while taken < piece.count {
            let wanted = (length ?? Self.preludeBytes) - buffer.count
            let count = min(wanted, piece.count - taken)
            piece.withUnsafeBytes { buffer.append(contentsOf: $0[taken..<taken + count]) }
            taken += count
            if count < wanted { break }
            if length == nil {
                let whole = try checkedLength()
                length = whole
                buffer.reserveCapacity(whole)
            } else {
                messages.append(try message())
            }
        }
        return messages
    }

    private func checkedLength() throws(EventStreamError) -> Int {
        let whole = Int(buffer.bigEndian(at: 0))
        let headers = Int(buffer.bigEndian(at: 4))
        guard CRC32.of(Bytes(buffer, 0..<8)) == buffer.bigEndian(at: 8) else {
            throw EventStreamError("the checksum of a message's prelude is wrong")
        }
        guard headers <= 128 << 10, whole >= Self.preludeBytes + headers + 4, whole <= Self.messageBytesMax else {
            throw EventStreamError("a message of \(whole) bytes with \(headers) bytes of headers")
        }
        return whole
    }

    private mutating func message() throws(EventStreamError) -> EventMessage {
        // The whole buffer leaves, so that the payload's arena has one owner and can be decoded in place.
        var frame: [UInt8] = []
        swap(&frame, &buffer)
        length = nil
        let end = frame.count - 4
        guard CRC32.of(Bytes(frame, 0..<end)) == frame.bigEndian(at: end) else {
            throw EventStreamError("the checksum of a message is wrong")
        }
        let payloadStart = Self.preludeBytes + Int(frame.bigEndian(at: 4))
        let headers = try Self.headers(frame[Self.preludeBytes..<payloadStart])
        return EventMessage(headers: headers, payload: Bytes(frame, payloadStart..<end))
    }

    private static func headers(_ bytes: ArraySlice<UInt8>) throws(EventStreamError) -> [Header] {
        var headers: [Header] = []
        var rest = bytes
        func take(_ count: Int) throws(EventStreamError) -> ArraySlice<UInt8> {
            guard count <= rest.count else { throw EventStreamError("a message's headers are cut off") }
            defer { rest = rest.dropFirst(count) }
            return rest.prefix(count)
        }
        func length() throws(EventStreamError) -> Int { try take(2).reduce(0) { $0 << 8 | Int($1) } }
        while let nameLength = rest.popFirst() {
            let name = String(decoding: try take(Int(nameLength)), as: UTF8.self)
            guard let type = rest.popFirst() else { throw EventStreamError("a message's headers are cut off") }
            switch type {
            case 0, 1: break
            case 2: _ = try take(1)
            case 3: _ = try take(2)
            case 4: _ = try take(4)
            case 5, 8: _ = try take(8)
            case 6: _ = try take(try length())
            case textType: headers.append(Header(name, String(decoding: try take(try length()), as: UTF8.self)))
            case 9: _ = try take(16)
            default: throw EventStreamError("a message's header \(name) is of the unknown type \(type)")
            }
        }
        return headers
    }
}

/// Why a body is no event stream.
package struct EventStreamError: Error, Hashable, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }
}

extension [UInt8] {
    fileprivate mutating func append(bigEndian value: UInt32) {
        for shift in [24, 16, 8, 0] { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    /// The caller has made sure of the four bytes.
    fileprivate func bigEndian(at index: Int) -> UInt32 { self[index..<index + 4].reduce(0) { $0 << 8 | UInt32($1) } }
}
