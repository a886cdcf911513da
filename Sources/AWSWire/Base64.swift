import CShardtopBytes

/// RFC 4648 base64 with padding, as AWS JSON carries blobs.
public enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    /// 0–63 for a digit, 255 for anything else.
    private static let values: [UInt8] = {
        var table = [UInt8](repeating: 255, count: 256)
        for (value, digit) in alphabet.enumerated() { table[Int(digit)] = UInt8(value) }
        return table
    }()
    /// The 12 bits of two digits, by their two bytes as a little-endian number; what are no digits sets the top bit.
    /// Two lookups for a group instead of four; the rows that digits touch stay in the first cache.
    private static let pairs: [UInt16] = {
        var table = [UInt16](repeating: 0xFFFF, count: 65_536)
        for (high, first) in alphabet.enumerated() {
            for (low, second) in alphabet.enumerated() {
                table[Int(first) | Int(second) << 8] = UInt16(high << 6 | low)
            }
        }
        return table
    }()

    public static func encode(_ bytes: Bytes) -> String {
        var out: [UInt8] = []
        append(bytes, to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// Appends the encoding of `bytes` to `out`.
    public static func append(_ bytes: Bytes, to out: inout [UInt8]) {
        let count = (bytes.count + 2) / 3 * 4
        let start = out.count
        out.append(contentsOf: repeatElement(UInt8(ascii: "="), count: count))
        bytes.withUnsafeBytes { source in
            alphabet.withUnsafeBufferPointer { digits in
                out.withUnsafeMutableBufferPointer { whole in
                    var to = start
                    var from = 0
                    while from + 2 < source.count {
                        let word = UInt32(source[from]) << 16 | UInt32(source[from + 1]) << 8 | UInt32(source[from + 2])
                        whole[to] = digits[Int(word >> 18)]
                        whole[to + 1] = digits[Int(word >> 12 & 63)]
                        whole[to + 2] = digits[Int(word >> 6 & 63)]
                        whole[to + 3] = digits[Int(word & 63)]
                        from += 3
                        to += 4
                    }
                    guard from < source.count else { return }
                    let second = from + 1 < source.count ? UInt32(source[from + 1]) : 0
                    let word = UInt32(source[from]) << 16 | second << 8
                    whole[to] = digits[Int(word >> 18)]
                    whole[to + 1] = digits[Int(word >> 12 & 63)]
                    if from + 1 < source.count { whole[to + 2] = digits[Int(word >> 6 & 63)] }
                }
            }
        }
    }

    /// `nil` where `text` is not base64.
    public static func decode(_ text: String) -> [UInt8]? {
        var bytes = Array(text.utf8)
        let count = bytes.withUnsafeMutableBufferPointer { decodeInPlace(UnsafeMutableRawBufferPointer($0)) }
        guard let count else { return nil }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// Decodes `buffer` onto its own start and returns the count of decoded bytes, `nil` where it is not base64.
    public static func decodeInPlace(_ buffer: UnsafeMutableRawBufferPointer) -> Int? {
        if buffer.count == 0 { return 0 }
        guard buffer.count % 4 == 0 else { return nil }
        var end = buffer.count
        while end > 0, buffer.count - end < 2, buffer[end - 1] == UInt8(ascii: "=") { end -= 1 }
        guard let base = buffer.baseAddress, decodeGroups(base, count: end / 4) else { return nil }
        let from = end / 4 * 4
        let to = end / 4 * 3
        return values.withUnsafeBufferPointer { values in
            guard end > from else { return to }
            let a = values[Int(buffer[from])]
            let b = values[Int(buffer[from + 1])]
            let c = end - from == 3 ? values[Int(buffer[from + 2])] : 0
            guard end - from >= 2, a | b | c < 64 else { return nil }
            buffer[to] = a << 2 | b >> 4
            if end - from == 3 { buffer[to + 1] = b << 4 | c >> 2 }
            return to + end - from - 1
        }
    }

    /// Decodes `count` groups of four digits onto their own start; false where there is something else among them.
    private static func decodeGroups(_ base: UnsafeMutableRawPointer, count: Int) -> Bool {
        pairs.withUnsafeBufferPointer { pairs in
            guard let table = pairs.baseAddress else { return false }
            var invalid: UInt16 = 0
            let done = shardtop_base64_decode(base, count * 4)
            var from = base + done
            var to = base + done / 4 * 3
            let count = count - done / 4
            for _ in 0..<count / 2 {
                let groups = from.loadUnaligned(as: UInt64.self).littleEndian
                let (a, b) = (table[Int(groups & 0xFFFF)], table[Int(groups >> 16 & 0xFFFF)])
                let (c, d) = (table[Int(groups >> 32 & 0xFFFF)], table[Int(groups >> 48)])
                invalid |= a | b | c | d
                let bits = UInt64(a) << 36 | UInt64(b) << 24 | UInt64(c) << 12 | UInt64(d)
                // Eight bytes are written for six: the last two lie within the groups that were just read.
                to.storeBytes(of: (bits << 16).bigEndian, as: UInt64.self)
                from += 8
                to += 6
            }
            if count % 2 == 1 {
                let group = from.loadUnaligned(as: UInt32.self).littleEndian
                let (a, b) = (table[Int(group & 0xFFFF)], table[Int(group >> 16)])
                invalid |= a | b
                to.storeBytes(of: (UInt32(a) << 20 | UInt32(b) << 8).bigEndian, as: UInt32.self)
            }
            return invalid < 0x8000
        }
    }
}
