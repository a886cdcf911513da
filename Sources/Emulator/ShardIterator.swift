import AWSWire
import Machine

/// What a shard iterator stands for. Its token carries everything, so that it outlives the process that made it and
/// can be checked; to clients it is opaque.
struct ShardIterator: Hashable, Sendable {
    var stream: String
    /// Milliseconds; tells a stream from a later one of the same name.
    var streamCreated: Int64
    var shardIndex: Int
    /// The number in the shard's log of the next record.
    var position: UInt64
    var created: UnixTime

    init(stream: String, streamCreated: Int64, shardIndex: Int, position: UInt64, created: UnixTime) {
        self.stream = stream
        self.streamCreated = streamCreated
        self.shardIndex = shardIndex
        self.position = position
        self.created = created
    }

    /// The service's iterators begin so.
    private static let prefix: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1]
    private static let fixedCount = 8 + 4 * 8

    var token: String {
        var bytes = Self.prefix
        for word in [
            UInt64(bitPattern: created.milliseconds), UInt64(bitPattern: streamCreated), UInt64(shardIndex), position,
        ] {
            withUnsafeBytes(of: word.bigEndian) { bytes.append(contentsOf: $0) }
        }
        bytes.append(contentsOf: stream.utf8)
        withUnsafeBytes(of: Self.checksum(bytes[...]).bigEndian) { bytes.append(contentsOf: $0) }
        return Base64.encode(Bytes(bytes))
    }

    /// `nil` where `token` is none that we made.
    init?(_ token: String) {
        guard let bytes = Base64.decode(token), bytes.count > Self.fixedCount + 8, bytes.starts(with: Self.prefix),
            Self.word(bytes, at: bytes.count - 8) == Self.checksum(bytes.dropLast(8)),
            let index = Int(exactly: Self.word(bytes, at: 24))
        else { return nil }
        created = UnixTime(milliseconds: Int64(bitPattern: Self.word(bytes, at: 8)))
        streamCreated = Int64(bitPattern: Self.word(bytes, at: 16))
        shardIndex = index
        position = Self.word(bytes, at: 32)
        stream = String(decoding: bytes[Self.fixedCount..<bytes.count - 8], as: UTF8.self)
    }

    private static func word(_ bytes: [UInt8], at offset: Int) -> UInt64 {
        bytes[offset..<offset + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// FNV-1a: tells a token of ours from one that was made up or cut, no more.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325 ^ 0x7368_6172_6474_6F70) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}
