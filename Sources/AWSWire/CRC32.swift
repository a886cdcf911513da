import CShardtopBytes

/// The checksum of DynamoDB's answers and of event-stream frames (IEEE 802.3, reflected), eight bytes at a time.
package enum CRC32 {
    /// `table[256 * n + byte]` is what `byte` does to a checksum with `n` bytes after it.
    private static let table: [UInt32] = {
        var table: [UInt32] = []
        for index in 0..<UInt32(256) {
            var value = index
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
            table.append(value)
        }
        for index in 256..<8 * 256 {
            let before = table[index - 256]
            table.append(before >> 8 ^ table[Int(before & 0xFF)])
        }
        return table
    }()

    package static func of(_ bytes: Bytes) -> UInt32 { bytes.withUnsafeBytes { of($0) } }

    package static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        table.withUnsafeBufferPointer { table in
            var crc = ~UInt32(0)
            var index = bytes.baseAddress.map { shardtop_crc32(&crc, $0, bytes.count) } ?? 0
            while index + 8 <= bytes.count {
                let low = bytes.loadUnaligned(fromByteOffset: index, as: UInt32.self).littleEndian ^ crc
                let high = bytes.loadUnaligned(fromByteOffset: index + 4, as: UInt32.self).littleEndian
                crc = table[7 * 256 + Int(low & 0xFF)]
                crc ^= table[6 * 256 + Int(low >> 8 & 0xFF)]
                crc ^= table[5 * 256 + Int(low >> 16 & 0xFF)]
                crc ^= table[4 * 256 + Int(low >> 24)]
                crc ^= table[3 * 256 + Int(high & 0xFF)]
                crc ^= table[2 * 256 + Int(high >> 8 & 0xFF)]
                crc ^= table[256 + Int(high >> 16 & 0xFF)]
                crc ^= table[Int(high >> 24)]
                index += 8
            }
            while index < bytes.count {
                crc = table[Int(UInt8(truncatingIfNeeded: crc) ^ bytes[index])] ^ crc >> 8
                index += 1
            }
            return ~crc
        }
    }
}
