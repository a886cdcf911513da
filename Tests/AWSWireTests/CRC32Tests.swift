import AWSWire
import Machine
import Testing

@Suite struct CRC32Tests {
    /// Bit by bit.
    static func reference(_ bytes: [UInt8]) -> UInt32 {
        var crc = ~UInt32(0)
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        return ~crc
    }

    @Test func theCheckValueOfTheStandardIsRight() {
        #expect(CRC32.of(Bytes("123456789")) == 0xCBF4_3926)
        #expect(CRC32.of(Bytes()) == 0)
        #expect(CRC32.of(Bytes("The quick brown fox jumps over the lazy dog")) == 0x414F_A339)
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
