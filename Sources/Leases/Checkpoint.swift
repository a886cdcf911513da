public import AWSWire

/// A position in a shard as KCL stores it: a sentinel or a sequence number, and the index of a user record inside a
/// KPL aggregate. KCL calls it `ExtendedSequenceNumber`; the order is KCL's (kcl.md §1.6).
public struct Checkpoint: Hashable, Comparable, Sendable, CustomStringConvertible {
    public enum Position: Hashable, Comparable, Sendable {
        // The order of the cases is the order of the positions.
        case atTimestamp
        case trimHorizon
        case latest
        case sequenceNumber(SequenceNumber)
        case shardEnd
    }

    public var position: Position
    /// 0 for sentinels and plain records. Checkpoint (S, n) means: everything up to and with user record n of S is
    /// done.
    public var subSequenceNumber: Int64

    public init(_ position: Position, subSequenceNumber: Int64 = 0) {
        self.position = position
        self.subSequenceNumber = subSequenceNumber
    }

    public static let trimHorizon = Checkpoint(.trimHorizon)
    public static let latest = Checkpoint(.latest)
    public static let atTimestamp = Checkpoint(.atTimestamp)
    public static let shardEnd = Checkpoint(.shardEnd)

    /// Reads the `checkpoint` attribute; `nil` for what is neither digits nor a sentinel.
    public init?(_ text: String, subSequenceNumber: Int64 = 0) {
        switch text {
        case "TRIM_HORIZON": self = .trimHorizon
        case "LATEST": self = .latest
        case "AT_TIMESTAMP": self = .atTimestamp
        case "SHARD_END": self = .shardEnd
        default:
            guard let number = SequenceNumber(text) else { return nil }
            self.init(.sequenceNumber(number), subSequenceNumber: subSequenceNumber)
        }
    }

    public var sequenceNumber: SequenceNumber? {
        if case .sequenceNumber(let number) = position { number } else { nil }
    }

    public var isSentinel: Bool { sequenceNumber == nil }

    /// The `checkpoint` attribute.
    public var text: String {
        switch position {
        case .atTimestamp: "AT_TIMESTAMP"
        case .trimHorizon: "TRIM_HORIZON"
        case .latest: "LATEST"
        case .sequenceNumber(let number): number.description
        case .shardEnd: "SHARD_END"
        }
    }

    public var description: String { subSequenceNumber == 0 ? text : "\(text)/\(subSequenceNumber)" }

    public static func < (a: Checkpoint, b: Checkpoint) -> Bool {
        a.position != b.position ? a.position < b.position : a.subSequenceNumber < b.subSequenceNumber
    }
}
