/// A point on a monotonic clock that counts suspend, in nanoseconds since an arbitrary origin.
///
/// Two timestamps are comparable only when they come from the same `TimeSource`.
@frozen
public struct Timestamp: Comparable, Hashable, Sendable {
    public var nanoseconds: Int64

    @inlinable
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// The origin of the clock.
    public static let zero = Timestamp(nanoseconds: 0)
    /// Later than every moment a clock reaches.
    public static let never = Timestamp(nanoseconds: .max)

    @inlinable
    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.nanoseconds < b.nanoseconds }

    @inlinable
    public static func + (a: Timestamp, b: Duration) -> Timestamp {
        let (sum, overflow) = a.nanoseconds.addingReportingOverflow(b.wholeNanoseconds)
        return overflow ? .never : Timestamp(nanoseconds: sum)
    }

    @inlinable
    public static func - (a: Timestamp, b: Duration) -> Timestamp {
        let (difference, overflow) = a.nanoseconds.subtractingReportingOverflow(b.wholeNanoseconds)
        return overflow ? Timestamp(nanoseconds: .min) : Timestamp(nanoseconds: difference)
    }

    /// How long after `b` this moment is; negative when it is before.
    @inlinable
    public static func - (a: Timestamp, b: Timestamp) -> Duration {
        let (difference, overflow) = a.nanoseconds.subtractingReportingOverflow(b.nanoseconds)
        return .nanoseconds(overflow ? (a < b ? .min : .max) : difference)
    }
}

extension Duration {
    /// The duration in nanoseconds, clamped to what an `Int64` holds (292 years).
    @inlinable
    public var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, carried) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carried ? (seconds < 0 ? .min : .max) : sum
    }

    /// The duration in milliseconds, rounded towards zero.
    @inlinable
    public var wholeMilliseconds: Int64 { wholeNanoseconds / 1_000_000 }

    /// The duration in seconds.
    @inlinable
    public var inSeconds: Double { Double(wholeNanoseconds) / 1e9 }
}

/// A point on the wall clock: milliseconds since 1970-01-01T00:00:00Z.
///
/// Used for what the wire and people see (signatures, arrival times, events), never to decide who holds a lease.
@frozen
public struct UnixTime: Comparable, Hashable, Sendable {
    public var milliseconds: Int64

    @inlinable
    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    @inlinable
    public init(seconds: Double) {
        // A time no Int64 holds comes only from a malformed answer; it is clamped rather than trapped on.
        self.milliseconds = Int64(clamping: seconds.isFinite ? Int128(clampingWhole: seconds * 1000) : 0)
    }

    @inlinable
    public var seconds: Double { Double(milliseconds) / 1000 }

    @inlinable
    public static func < (a: UnixTime, b: UnixTime) -> Bool { a.milliseconds < b.milliseconds }

    @inlinable
    public static func - (a: UnixTime, b: UnixTime) -> Duration {
        .milliseconds(a.milliseconds &- b.milliseconds)
    }

    @inlinable
    public static func + (a: UnixTime, b: Duration) -> UnixTime {
        UnixTime(milliseconds: a.milliseconds &+ b.wholeMilliseconds)
    }
}

extension Int128 {
    @usableFromInline
    init(clampingWhole value: Double) {
        let rounded = value.rounded()
        self = rounded > 9e18 ? Int128(Int64.max) : rounded < -9e18 ? Int128(Int64.min) : Int128(rounded)
    }
}
