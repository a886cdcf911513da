import Machine

/// The throughput of one shard, in windows of a second that begin with the first call after the last one ended:
/// 5 reads and 2 MiB, 1000 written records and 1 MiB.
///
/// https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
struct ShardLimits: Sendable {
    static let readsPerSecondMax = 5
    static let readBytesPerSecondMax = 2 << 20
    static let recordsPerSecondMax = 1000
    static let writtenBytesPerSecondMax = 1 << 20

    private struct Window {
        var start = Timestamp(nanoseconds: .min)
        var count = 0
        var bytes = 0
        /// After more than a second's worth at once, nothing more until it is paid for.
        var blockedUntil = Timestamp(nanoseconds: .min)

        mutating func open(at now: Timestamp) {
            guard now - start >= .seconds(1) else { return }
            (start, count, bytes) = (now, 0, 0)
        }

        mutating func add(_ added: Int, bytes addedBytes: Int, perSecond: Int, at now: Timestamp) {
            count += added
            bytes += addedBytes
            guard bytes >= perSecond else { return }
            let debt = Duration.nanoseconds(Int64(Double(addedBytes) / Double(perSecond) * 1e9))
            blockedUntil = max(start + .seconds(1), now + debt)
        }
    }

    private var reads = Window()
    private var writes = Window()

    mutating func admitsRead(at now: Timestamp) -> Bool {
        guard now >= reads.blockedUntil else { return false }
        reads.open(at: now)
        return reads.count < Self.readsPerSecondMax
    }

    /// Accounts for a read of `bytes`: one of 10 MiB makes those of the next five seconds fail.
    mutating func didRead(bytes: Int, at now: Timestamp) {
        reads.add(1, bytes: bytes, perSecond: Self.readBytesPerSecondMax, at: now)
    }

    /// Whether a record of `bytes` may be written now; if so it is accounted for.
    mutating func admitWrite(bytes: Int, at now: Timestamp) -> Bool {
        guard now >= writes.blockedUntil else { return false }
        writes.open(at: now)
        let fits = writes.bytes + bytes <= Self.writtenBytesPerSecondMax
        // A record larger than a second's worth is taken by an idle shard, which then pays for it.
        guard writes.count < Self.recordsPerSecondMax, fits || writes.count == 0 else { return false }
        writes.count += 1
        writes.bytes += bytes
        if writes.bytes > Self.writtenBytesPerSecondMax {
            let debt = Double(bytes) / Double(Self.writtenBytesPerSecondMax) * 1e9
            writes.blockedUntil = now + .nanoseconds(Int64(debt))
        }
        return true
    }
}
