import AWSWire

/// Unpacks requests with `Content-Encoding: gzip` (RFC 1952, 1951), which is how the Java SDK sends PutMetricData.
enum Gzip {
    enum Failure: Error {
        case malformed, tooLarge
    }

    /// - Parameter bytesMax: what the whole may become; a few kilobytes can be made to unpack to gigabytes.
    static func unpack(_ bytes: [UInt8], bytesMax: Int) throws(Failure) -> [UInt8] {
        var inflater = Inflater(bytes, from: try dataStart(bytes), bytesMax: bytesMax)
        let unpacked = try inflater.inflate()
        let trailer = try inflater.trailer()
        guard trailer.checksum == CRC32.of(Bytes(unpacked)), trailer.size == UInt32(truncatingIfNeeded: unpacked.count)
        else { throw .malformed }
        return unpacked
    }

    /// Where the packed data begins: behind ten bytes and what their flags announce.
    private static func dataStart(_ bytes: [UInt8]) throws(Failure) -> Int {
        guard bytes.count >= 18, bytes[0] == 0x1F, bytes[1] == 0x8B, bytes[2] == 8 else { throw .malformed }
        let flags = bytes[3]
        var start = 10
        if flags & 4 != 0 { start += 2 + Int(bytes[10]) + Int(bytes[11]) << 8 }
        for flag: UInt8 in [8, 16] where flags & flag != 0 {
            guard start < bytes.count, let end = bytes[start...].firstIndex(of: 0) else { throw .malformed }
            start = end + 1
        }
        if flags & 2 != 0 { start += 2 }
        guard start < bytes.count else { throw .malformed }
        return start
    }
}

/// The inflate algorithm, bit by bit: requests are small, so it is written to be read.
private struct Inflater {
    private let bytes: [UInt8]
    private let bytesMax: Int
    private var position: Int
    private var bitBuffer: UInt32 = 0
    private var bitCount = 0
    private var out: [UInt8] = []

    init(_ bytes: [UInt8], from start: Int, bytesMax: Int) {
        self.bytes = bytes
        self.bytesMax = bytesMax
        position = start
    }

    mutating func inflate() throws(Gzip.Failure) -> [UInt8] {
        var isLast = false
        while !isLast {
            isLast = try bits(1) == 1
            switch try bits(2) {
            case 0: try copyStored()
            case 1: try inflateBlock(.fixedLiterals, .fixedDistances)
            case 2:
                let (literals, distances) = try readCodes()
                try inflateBlock(literals, distances)
            default: throw .malformed
            }
        }
        return out
    }

    /// Checksum and size of what was packed, which end the bytes.
    mutating func trailer() throws(Gzip.Failure) -> (checksum: UInt32, size: UInt32) {
        bitCount = 0
        guard bytes.count - position == 8 else { throw .malformed }
        func word(_ start: Int) -> UInt32 {
            bytes[start..<start + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
        return (word(position), word(position + 4))
    }

    /// The next `count` bits, at most 15, the first the lowest.
    private mutating func bits(_ count: Int) throws(Gzip.Failure) -> Int {
        while bitCount < count {
            guard position < bytes.count else { throw .malformed }
            bitBuffer |= UInt32(bytes[position]) << UInt32(bitCount)
            position += 1
            bitCount += 8
        }
        let value = bitBuffer & (1 << UInt32(count) - 1)
        bitBuffer >>= UInt32(count)
        bitCount -= count
        return Int(value)
    }

    private mutating func copyStored() throws(Gzip.Failure) {
        (bitBuffer, bitCount) = (0, 0)
        guard bytes.count - position >= 4 else { throw .malformed }
        let count = Int(bytes[position]) | Int(bytes[position + 1]) << 8
        position += 4
        guard bytes.count - position >= count else { throw .malformed }
        guard out.count + count <= bytesMax else { throw .tooLarge }
        out += bytes[position..<position + count]
        position += count
    }

    private mutating func symbol(_ code: PrefixCode) throws(Gzip.Failure) -> Int {
        var (value, first, index) = (0, 0, 0)
        for length in 1..<code.counts.count {
            value |= try bits(1)
            let count = code.counts[length]
            let offset = value - first
            if offset < count {
                guard offset >= 0, index + offset < code.symbols.count else { throw .malformed }
                return code.symbols[index + offset]
            }
            index += count
            first = (first + count) << 1
            value <<= 1
        }
        throw .malformed
    }

    private mutating func inflateBlock(_ literals: PrefixCode, _ distances: PrefixCode) throws(Gzip.Failure) {
        while true {
            let symbol = try self.symbol(literals)
            switch symbol {
            case ..<256:
                guard out.count < bytesMax else { throw .tooLarge }
                out.append(UInt8(symbol))
            case 256: return
            default:
                let length = try extended(symbol - 257, PrefixCode.lengthBases, PrefixCode.lengthBits)
                let distance = try extended(
                    try self.symbol(distances), PrefixCode.distanceBases, PrefixCode.distanceBits)
                guard distance <= out.count else { throw .malformed }
                guard out.count + length <= bytesMax else { throw .tooLarge }
                // Byte by byte, because what is copied may be what this copy writes.
                for _ in 0..<length { out.append(out[out.count - distance]) }
            }
        }
    }

    private mutating func extended(_ index: Int, _ bases: [Int], _ widths: [Int]) throws(Gzip.Failure) -> Int {
        guard index < bases.count else { throw .malformed }
        return bases[index] + (try bits(widths[index]))
    }

    /// The codes of a block that brings its own, themselves packed.
    private mutating func readCodes() throws(Gzip.Failure) -> (PrefixCode, PrefixCode) {
        let literalCount = try bits(5) + 257
        let distanceCount = try bits(5) + 1
        var lengths = [Int](repeating: 0, count: 19)
        for index in 0..<(try bits(4) + 4) { lengths[PrefixCode.lengthOrder[index]] = try bits(3) }
        let lengthCode = try PrefixCode(lengths[...])
        lengths = []
        while lengths.count < literalCount + distanceCount {
            let symbol = try self.symbol(lengthCode)
            switch symbol {
            case ..<16: lengths.append(symbol)
            case 16:
                guard let last = lengths.last else { throw .malformed }
                lengths += Array(repeating: last, count: try bits(2) + 3)
            case 17: lengths += Array(repeating: 0, count: try bits(3) + 3)
            default: lengths += Array(repeating: 0, count: try bits(7) + 11)
            }
        }
        guard lengths.count == literalCount + distanceCount else { throw .malformed }
        return (try PrefixCode(lengths[..<literalCount]), try PrefixCode(lengths[literalCount...]))
    }
}

/// A Huffman code in canonical form: how many codes of each length, and their symbols in order.
private struct PrefixCode: Sendable {
    private(set) var counts = [Int](repeating: 0, count: 16)
    private(set) var symbols: [Int] = []

    /// - Parameter lengths: of each symbol's code, at most 15; 0 for symbols that have none.
    init(_ lengths: ArraySlice<Int>) throws(Gzip.Failure) {
        for length in 1..<16 {
            for (symbol, own) in lengths.enumerated() where own == length {
                symbols.append(symbol)
                counts[length] += 1
            }
        }
        var free = 1
        for count in counts.dropFirst() {
            free = free * 2 - count
            if free < 0 { throw .malformed }
        }
    }

    private init(unchecked counts: [Int], _ symbols: [Int]) { (self.counts, self.symbols) = (counts, symbols) }

    static let fixedLiterals = PrefixCode(
        unchecked: [0, 0, 0, 0, 0, 0, 0, 24, 152, 112, 0, 0, 0, 0, 0, 0],
        Array(256...279) + Array(0...143) + Array(280...287) + Array(144...255))
    static let fixedDistances = PrefixCode(
        unchecked: [0, 0, 0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Array(0...29))

    static let lengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    static let lengthBases = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ]
    static let lengthBits = [
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
    ]
    static let distanceBases = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
        6145, 8193, 12_289, 16_385, 24_577,
    ]
    static let distanceBits = [
        0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
    ]
}
