import AWSWire
import Machine
import Testing

@Suite struct CRC32Tests {
    /// Bit by bit.
    static func reference(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~UInt32(0)) { crc, byte in
            (0..<8).reduce(crc ^ UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
        }
    }

    @Test func theCheckValueOfTheStandardIsRight() {
        #expect(CRC32.of(Bytes("123456789")) == 0xCBF4_3926)
        #expect(CRC32.of(Bytes()) == 0)
    }

    @Test("Any bytes have the checksum that is reckoned bit by bit", arguments: 0..<200)
    func agrees(count: Int) {
        var generator = SeededGenerator(seed: UInt64(count))
        let bytes = (0..<count * 3).map { _ in UInt8.random(in: 0...255, using: &generator) }
        for start in [0, min(1, bytes.count)] {
            let part = Array(bytes[start...])
            #expect(CRC32.of(Bytes(bytes).slice(start..<bytes.count)) == Self.reference(part))
        }
    }
}
