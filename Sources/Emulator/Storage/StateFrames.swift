import AWSWire

/// What a file of the state directory holds; the byte after the magic.
enum StateFileKind: UInt8, Sendable {
    case stream = 0x53
    case records = 0x52
    case table = 0x54
    case transactions = 0x58
    case account = 0x41
}

/// The layout of every file: `shardtop`, its kind, three zeros, the version; then frames of a length, a checksum and a
/// payload that begins with what it is. All numbers are little-endian.
enum StateFormat {
    static let version: UInt32 = 1
    static let magic = Array("shardtop".utf8)
    static let headerCount = 16
    /// Length and checksum.
    static let frameHeaderCount = 8
    /// A request has 10 MiB of records, a stream of 20 000 shards some MiB of description.
    static let payloadBytesMax = 256 << 20

    static func header(_ kind: StateFileKind) -> [UInt8] {
        var bytes = magic + [kind.rawValue, 0, 0, 0]
        bytes.append(little: version)
        return bytes
    }

    /// Fails where `bytes` begin a file of another program, of another kind or of a newer version.
    static func check(_ bytes: Bytes, _ kind: StateFileKind, _ name: String) throws(StateError) {
        guard bytes.count == headerCount, bytes.slice(0..<magic.count).array == magic, bytes[8] == kind.rawValue else {
            throw StateError("\(name) is not what its name says")
        }
        let found = UInt32(truncatingIfNeeded: bytes.little(at: 12, byteCount: 4))
        guard found <= version else {
            throw StateError("\(name) was written by a newer shardtop (format \(found), this one reads \(version))")
        }
    }
}

/// Frames on their way to a file, in one buffer, so that they are written at once.
struct FrameBuffer {
    private(set) var bytes: [UInt8] = []

    init() {}

    /// Begins with the header of a new file.
    init(header kind: StateFileKind) { bytes = StateFormat.header(kind) }

    /// One frame whose payload `body` appends.
    mutating func frame(_ kind: UInt8, reserving count: Int = 0, _ body: (inout [UInt8]) -> Void) {
        let start = bytes.count
        if count > 0 { bytes.reserveCapacity(start + StateFormat.frameHeaderCount + 1 + count) }
        bytes.append(contentsOf: repeatElement(0, count: StateFormat.frameHeaderCount))
        bytes.append(kind)
        body(&bytes)
        let first = start + StateFormat.frameHeaderCount
        let length = UInt32(bytes.count - first)
        let checksum = bytes.withUnsafeBytes { CRC32.of(UnsafeRawBufferPointer(rebasing: $0[first...])) }
        for index in 0..<4 {
            bytes[start + index] = UInt8(truncatingIfNeeded: length >> (8 * index))
            bytes[start + 4 + index] = UInt8(truncatingIfNeeded: checksum >> (8 * index))
        }
    }
}

extension [UInt8] {
    mutating func append<Number: FixedWidthInteger>(little number: Number) {
        for shift in stride(from: 0, to: Number.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: number >> shift)) }
    }
}

extension Bytes {
    /// The number in up to eight bytes from `offset` on; the caller has seen that they are there.
    func little(at offset: Int, byteCount: Int) -> UInt64 {
        withUnsafeBytes { bytes in
            (0..<byteCount).reduce(UInt64(0)) { $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1)) }
        }
    }
}

/// Reads the frames of a file in blocks, one block in memory at a time.
struct FrameReader {
    enum End: Hashable {
        case whole
        /// The last write was cut off; what stands before `offset` is whole.
        case torn
        /// Something is wrong that no interrupted write leaves behind.
        case damaged
    }

    private static let blockBytes = 4 << 20

    private let file: any StateFile
    private let length: Int
    private var block = Bytes()
    private var blockStart = 0
    /// The end of the last whole frame.
    private(set) var offset: Int
    private(set) var end = End.whole

    /// - Throws: StateError where the file is not of `kind` or too new.
    init(_ file: any StateFile, _ kind: StateFileKind, name: String) throws(StateError) {
        self.file = file
        length = try file.length()
        offset = 0
        guard length >= StateFormat.headerCount else {
            // A file that was being made when its process ended.
            end = .torn
            return
        }
        let header = Bytes(try file.read(at: 0, count: StateFormat.headerCount))
        try StateFormat.check(header, kind, name)
        offset = StateFormat.headerCount
    }

    /// The next frame's payload; `nil` at the end, which `end` says more about.
    mutating func next() throws(StateError) -> Bytes? {
        guard end == .whole, offset < length else { return nil }
        guard let header = try bytes(at: offset, count: StateFormat.frameHeaderCount) else { return stop(.torn) }
        let count = Int(header.little(at: 0, byteCount: 4))
        let checksum = UInt32(truncatingIfNeeded: header.little(at: 4, byteCount: 4))
        let start = offset + StateFormat.frameHeaderCount
        guard count > 0 else { return stop(try isZero(from: offset) ? .torn : .damaged) }
        guard start + count <= length, count <= StateFormat.payloadBytesMax,
            let payload = try bytes(at: start, count: count)
        else { return stop(start + count > length ? .torn : .damaged) }
        guard CRC32.of(payload) == checksum else { return stop(start + count == length ? .torn : .damaged) }
        offset = start + count
        return payload
    }

    private mutating func stop(_ end: End) -> Bytes? {
        self.end = end
        return nil
    }

    private mutating func bytes(at position: Int, count: Int) throws(StateError) -> Bytes? {
        if position < blockStart || position + count > blockStart + block.count {
            guard position + count <= length else { return nil }
            block = Bytes(try file.read(at: position, count: min(length - position, max(count, Self.blockBytes))))
            blockStart = position
            guard block.count >= count else { return nil }
        }
        let first = position - blockStart
        return block.slice(first..<first + count)
    }

    private func isZero(from position: Int) throws(StateError) -> Bool {
        var position = position
        while position < length {
            let bytes = try file.read(at: position, count: Self.blockBytes)
            guard !bytes.isEmpty, bytes.allSatisfy({ $0 == 0 }) else { return false }
            position += bytes.count
        }
        return true
    }
}

/// A file that frames are added to. What a failed write left behind is cut off before the next one.
struct JournalFile: Sendable {
    let name: String
    private(set) var length: Int
    private var isTorn = false
    private var handle: (any StateFile)?

    /// An existing file, `length` bytes of which are whole.
    init(name: String, length: Int, isTorn: Bool) {
        self.name = name
        self.length = length
        self.isTorn = isTorn
    }

    /// A new file, not made before the first `append`, which must begin with a header.
    init(name: String) { self.init(name: name, length: 0, isTorn: true) }

    mutating func append(_ bytes: [UInt8], in files: any StateFiles) throws(StateError) {
        let file: any StateFile
        if let handle { file = handle } else { file = try files.open(name) }
        if isTorn {
            try file.truncate(to: length)
            isTorn = false
        }
        do throws(StateError) {
            try file.append(bytes)
            length += bytes.count
            handle = files.isCrowded ? nil : file
        } catch {
            isTorn = true
            throw error
        }
    }

    /// Closes the file until the next `append`.
    mutating func close() { handle = nil }

    /// Takes everything out of the file, with the next `append`.
    mutating func clear() {
        length = 0
        isTorn = true
    }
}
