public import Machine
public import OrderedCollections

/// A request or answer as a tree, whatever encoding it came in; operations are written once over it.
///
/// A blob is `bytes` in CBOR and a base64 `string` in JSON; a `timestamp` is a number in JSON (seconds) and a tagged
/// one in CBOR (milliseconds). The accessors below accept either, so that a reader does not ask which it was.
public enum AWSValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    /// A point in time; JSON reads it back as a `double` of seconds.
    case timestamp(UnixTime)
    case string(String)
    case bytes(Bytes)
    case list([AWSValue])
    case map(OrderedDictionary<String, AWSValue>)
}

extension AWSValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByStringInterpolation
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: AWSValue...) { self = .list(elements) }
    public init(dictionaryLiteral elements: (String, AWSValue)...) {
        self = .map(OrderedDictionary(elements, uniquingKeysWith: { $1 }))
    }
}

extension AWSValue {
    /// A map of the members that are present: how a request with optional members is written.
    public static func members(_ members: KeyValuePairs<String, AWSValue?>) -> AWSValue {
        var map: OrderedDictionary<String, AWSValue> = [:]
        for (name, value) in members where value != nil { map[name] = value }
        return .map(map)
    }

    /// The member `name` of a map; `nil` where there is none or it is null.
    public subscript(name: String) -> AWSValue? {
        get {
            guard case .map(let map) = self, let value = map[name], value != .null else { return nil }
            return value
        }
        set {
            var map: OrderedDictionary<String, AWSValue> = [:]
            if case .map(let old) = self { map = old }
            map[name] = newValue
            self = .map(map)
        }
    }

    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// A whole number; a double without fraction counts.
    public var int: Int? {
        switch self {
        case .int(let value): Int(value)
        case .double(let value): Int(exactly: value)
        default: nil
        }
    }

    /// A number; of a timestamp the seconds since 1970.
    public var double: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        case .timestamp(let value): value.seconds
        default: nil
        }
    }

    /// A point in time. A whole number beyond the year 5138 if it were seconds is one of milliseconds: CBOR without the
    /// tag.
    public var time: UnixTime? {
        switch self {
        case .timestamp(let value): value
        case .int(let value) where value.magnitude >= 100_000_000_000: UnixTime(milliseconds: value)
        default: double.map { UnixTime(seconds: $0) }
        }
    }

    public var list: [AWSValue]? {
        if case .list(let value) = self { value } else { nil }
    }

    public var map: OrderedDictionary<String, AWSValue>? {
        if case .map(let value) = self { value } else { nil }
    }

    /// A blob: bytes, or a string that is base64.
    public var blob: Bytes? {
        switch self {
        case .bytes(let value): value
        case .string(let value): Base64.decode(value).map { Bytes($0) }
        default: nil
        }
    }

    /// The strings of a list of strings; `nil` where an element is none.
    public var strings: [String]? {
        guard let list else { return nil }
        let strings = list.compactMap(\.string)
        return strings.count == list.count ? strings : nil
    }
}
