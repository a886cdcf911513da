import AWSWire
import Machine
import Testing

struct EventStreamTests {
    private static let messages = [
        EventMessage.event("initial-response", Bytes("{}")),
        EventMessage.event("SubscribeToShardEvent", Bytes(String(repeating: "r", count: 5000))),
        EventMessage.exception("ResourceInUseException", Bytes(#"{"message":"in use"}"#)),
        EventMessage(headers: [], payload: Bytes()),
    ]

    /// The empty message of the specification's test vectors.
    @Test("a message without anything is the service's sixteen bytes")
    func empty() {
        let expected: [UInt8] = [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xC2, 0x48, 0xEB, 0x7D, 0x98, 0xC8, 0xFF]
        #expect(EventMessage(headers: [], payload: Bytes()).encoded() == expected)
    }

    @Test("messages come out as they went in, however the stream is cut", arguments: [1, 2, 7, 13, 1000, 100_000])
    func pieces(size: Int) throws {
        let stream = Self.messages.flatMap { $0.encoded() }
        var decoder = EventStreamDecoder()
        var read: [EventMessage] = []
        for start in stride(from: 0, to: stream.count, by: size) {
            read += try decoder.append(Bytes(stream, start..<min(start + size, stream.count)))
        }
        #expect(read == Self.messages)
        #expect(!decoder.isInMessage)
    }

    @Test("headers of every other type are passed over")
    func otherTypes() throws {
        var headers: [UInt8] = []
        for (type, value) in [
            (0, []), (1, []), (2, [1]), (3, [1, 2]), (4, [1, 2, 3, 4]), (5, Array(1...8)), (6, [0, 2, 9, 9]),
            (7, [0, 1, 0x61]), (8, Array(1...8)), (9, Array(1...16)),
        ] as [(UInt8, [UInt8])] {
            headers += [1, 0x61 + type, type] + value
        }
        let message = try EventStreamDecoder.only(Self.frame(headers: headers, payload: [5]))
        #expect(message == EventMessage(headers: [Header("h", "a")], payload: Bytes([5])))
    }

    @Test("a byte that changed on its way is noticed, wherever it stands")
    func corruption() {
        let frame = Self.messages[2].encoded()
        for index in frame.indices {
            var changed = frame
            changed[index] ^= 0x10
            #expect(throws: EventStreamError.self, "byte \(index)") { try EventStreamDecoder.only(changed) }
        }
    }

    @Test("a length that no event has is refused before room is made for it")
    func tooLong() {
        let prelude: [UInt8] = [0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]
        let checksum = CRC32.of(Bytes(prelude))
        let bytes = prelude + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: checksum >> $0) }
        var decoder = EventStreamDecoder()
        #expect(throws: EventStreamError.self) { _ = try decoder.append(Bytes(bytes)) }
    }

    @Test("headers that run out of their room are refused, with right checksums too")
    func cutHeaders() {
        for headers in [[3, 0x61], [1, 0x61], [1, 0x61, 7, 0, 9, 0x61], [1, 0x61, 77]] as [[UInt8]] {
            #expect(throws: EventStreamError.self) {
                try EventStreamDecoder.only(Self.frame(headers: headers, payload: []))
            }
        }
    }

    private static func frame(headers: [UInt8], payload: [UInt8]) -> [UInt8] {
        func bigEndian(_ value: UInt32) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) } }
        var frame = bigEndian(UInt32(16 + headers.count + payload.count)) + bigEndian(UInt32(headers.count))
        frame += bigEndian(CRC32.of(Bytes(frame))) + headers + payload
        return frame + bigEndian(CRC32.of(Bytes(frame)))
    }
}

extension EventStreamDecoder {
    /// The one message of `frame`; a frame that is not whole is an error, too.
    fileprivate static func only(_ frame: [UInt8]) throws -> EventMessage {
        struct NotOne: Error {}
        var decoder = EventStreamDecoder()
        let messages = try decoder.append(Bytes(frame))
        guard messages.count == 1, !decoder.isInMessage else {
            // A length that grew waits for bytes that never come: the prelude's checksum rules that out.
            throw NotOne()
        }
        return messages[0]
    }
}
