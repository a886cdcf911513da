import AWSWire
import KinesisConsumer
import Machine

/// How the text of a property becomes a value, and back.
struct PropertyKind<Value: Sendable>: Sendable {
    /// Completes “NAME must be …”.
    let wanted: String
    let read: @Sendable (String) -> Value?
    let show: @Sendable (Value) -> String
    /// A user's name and password may stand in a value that is wrong.
    var mayHoldSecret = false
}

extension PropertyKind where Value == String {
    static var text: Self { Self(wanted: "text without control characters", read: { $0 }, show: { $0 }) }

    /// A name as Kinesis and DynamoDB take them.
    static func name(_ lengths: ClosedRange<Int>) -> Self {
        Self(
            wanted: "\(lengths.lowerBound) to \(lengths.upperBound) letters, digits, dots, hyphens or underscores",
            read: { text in lengths.contains(text.utf8.count) && text.utf8.allSatisfy(\.isNamePart) ? text : nil },
            show: { $0 })
    }

    static var host: Self {
        Self(
            wanted: "a host's name or address",
            read: { text in Endpoint("http://\(text)").flatMap { $0.port == nil ? $0.host : nil } }, show: { $0 },
            mayHoldSecret: true)
    }

    static var region: Self {
        Self(
            wanted: "a region's name, such as us-east-1",
            read: { try? SharedConfiguration.checked(region: $0, from: "") }, show: { $0 })
    }
}

extension PropertyKind where Value == Int {
    static func int(_ range: ClosedRange<Int>) -> Self {
        Self(wanted: "a whole number from \(range.words)", read: { $0.int(range) }, show: { "\($0)" })
    }

    /// A number that Java's `Integer.MAX_VALUE` makes unlimited.
    static var count: Self {
        Self(
            wanted: "a whole number from 1 to \(Int32.max)",
            read: { $0.int(1...Int(Int32.max)).map { $0 == Int(Int32.max) ? Int.max : $0 } },
            show: { "\(min($0, Int(Int32.max)))" })
    }
}

extension PropertyKind where Value == Double {
    static func number(_ range: ClosedRange<Double>) -> Self {
        Self(
            wanted: "a number from \(range.lowerBound) to \(range.upperBound)",
            read: { Double($0).flatMap { range.contains($0) ? $0 : nil } }, show: { "\($0)" })
    }
}

extension PropertyKind where Value == Bool {
    /// The words that commons-beanutils takes, whatever their case.
    static var boolean: Self {
        Self(
            wanted: "true or false",
            read: { text in
                switch text.lowercased() {
                case "true", "yes", "y", "on", "1": true
                case "false", "no", "n", "off", "0": false
                default: nil
                }
            }, show: { "\($0)" })
    }
}

extension PropertyKind where Value == Duration {
    static func milliseconds(_ range: ClosedRange<Int>) -> Self {
        Self(
            wanted: "whole milliseconds from \(range.words)",
            read: { $0.int(range).map { .milliseconds($0) } }, show: { "\($0.wholeMilliseconds)" })
    }

    static func seconds(_ range: ClosedRange<Int>) -> Self {
        Self(
            wanted: "whole seconds from \(range.words)", read: { $0.int(range).map { .seconds($0) } },
            show: { "\($0.wholeMilliseconds / 1000)" })
    }

    static var iso8601: Self {
        Self(
            wanted: "an ISO-8601 duration, such as PT15M or P2D", read: { parseISO8601Duration($0) },
            show: { "PT\($0.wholeMilliseconds / 1000)S" })
    }
}

extension PropertyKind where Value == UnixTime {
    /// Seconds since 1970, before the year 2200: what is later was written in milliseconds.
    static var epochSeconds: Self {
        Self(
            wanted: "a time in seconds since 1970, such as 1767225600 (seconds, not milliseconds)",
            read: { $0.int(0...7_258_118_400).map { UnixTime(milliseconds: Int64($0) * 1000) } },
            show: { "\($0.milliseconds / 1000)" })
    }
}

extension PropertyKind where Value == InitialPosition {
    static var initialPosition: Self {
        Self(
            wanted: "LATEST or TRIM_HORIZON (for a time, set initialPositionInStreamExtended to it, in seconds since "
                + "1970)",
            read: { ["LATEST": .latest, "TRIM_HORIZON": .trimHorizon][$0.uppercased()] },
            show: { position in
                switch position {
                case .latest: "LATEST"
                case .trimHorizon: "TRIM_HORIZON"
                case .atTimestamp: "AT_TIMESTAMP"
                }
            })
    }
}

extension PropertyKind where Value == Endpoint {
    static var endpoint: Self {
        Self(
            wanted: "http:// or https:// with a host and at most a port", read: { Endpoint($0) },
            show: { $0.description }, mayHoldSecret: true)
    }
}

extension PropertyKind where Value == StreamARN {
    static var streamARN: Self {
        Self(
            wanted: "of the form arn:aws:kinesis:REGION:ACCOUNT:stream/NAME", read: { StreamARN($0) },
            show: { $0.description })
    }
}

extension PropertyKind where Value == [String] {
    /// Separated by blanks.
    static var words: Self {
        Self(
            wanted: "a program and its arguments, separated by blanks",
            read: { text in
                let words = text.split { $0.isWhitespace }.map(String.init)
                return words.isEmpty ? nil : words
            }, show: { $0.joined(separator: " ") })
    }

    static var list: Self {
        Self(
            wanted: "a list separated by commas",
            read: { text in
                let parts = text.commaSeparated
                return parts.isEmpty ? nil : parts
            }, show: { $0.joined(separator: ",") })
    }

    /// `key=value,key2=value2`.
    static var tags: Self {
        Self(
            wanted: "tags of the form key=value,key2=value2",
            read: { text in
                let parts = text.commaSeparated
                let isValid = parts.allSatisfy { $0.contains("=") && !$0.hasPrefix("=") }
                return parts.isEmpty || !isValid ? nil : parts
            }, show: { $0.joined(separator: ",") })
    }
}

extension PropertyKind where Value: RawRepresentable & CaseIterable & Equatable, Value.RawValue == String {
    /// One of the cases by its name, whatever its case.
    static var oneOf: Self {
        let names = Value.allCases.map(\.rawValue)
        let wanted = (names.dropLast().joined(separator: ", ") + " or " + (names.last ?? ""))
        return Self(
            wanted: wanted,
            read: { text in Value.allCases.first { $0.rawValue.lowercased() == text.lowercased() } },
            show: { $0.rawValue })
    }
}

/// The ARN of a stream, taken apart.
package struct StreamARN: Hashable, Sendable, CustomStringConvertible {
    package let partition: String
    package let region: String
    package let account: String
    package let name: String

    /// `nil` for what is no ARN of a stream.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 6, parts[0] == "arn", parts[1].hasPrefix("aws"), parts[2] == "kinesis",
            PropertyKind<String>.region.read(parts[3]) != nil,
            parts[4].utf8.count == 12, parts[4].utf8.allSatisfy({ 48...57 ~= $0 }), parts[5].hasPrefix("stream/"),
            let name = PropertyKind<String>.streamName.read(String(parts[5].dropFirst("stream/".count)))
        else { return nil }
        (partition, region, account, self.name) = (parts[1], parts[3], parts[4], name)
    }

    package var description: String { "arn:\(partition):kinesis:\(region):\(account):stream/\(name)" }
}

extension PropertyKind where Value == String {
    static var streamName: Self { .name(1...128) }
    /// DynamoDB takes names of 3 to 255.
    static var tableName: Self { .name(3...255) }
}

/// Reads what Java's `Duration.parse` reads, to the second; `nil` for anything else.
func parseISO8601Duration(_ text: String) -> Duration? {
    var rest = Array(text.uppercased().utf8)[...]
    var sign: Int64 = 1
    if rest.first == UInt8(ascii: "-") { sign = -1 }
    if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
    guard rest.popFirst() == UInt8(ascii: "P"), !rest.isEmpty else { return nil }
    var units: [(letter: UInt8, seconds: Int64)] = [
        (UInt8(ascii: "D"), 86_400), (UInt8(ascii: "H"), 3600), (UInt8(ascii: "M"), 60), (UInt8(ascii: "S"), 1),
    ]
    var total: Int64 = 0
    var isTime = false
    while !rest.isEmpty {
        if !isTime, rest.first == UInt8(ascii: "T") {
            isTime = true
            rest.removeFirst()
            units.removeAll { $0.letter == UInt8(ascii: "D") }
            guard !rest.isEmpty else { return nil }
        }
        let digits = rest.prefix { 48...57 ~= $0 || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }
        rest = rest.dropFirst(digits.count)
        if let point = rest.first, point == UInt8(ascii: ".") || point == UInt8(ascii: ",") {
            let fraction = rest.dropFirst().prefix { 48...57 ~= $0 }
            rest = rest.dropFirst(1 + fraction.count)
            guard fraction.count <= 9, rest.first == UInt8(ascii: "S") else { return nil }
        }
        guard let number = Int64(String(decoding: digits, as: UTF8.self)), let letter = rest.popFirst(),
            let unit = units.firstIndex(where: { $0.letter == letter }), isTime || letter == UInt8(ascii: "D")
        else { return nil }
        let (seconds, isTooMany) = number.multipliedReportingOverflow(by: units[unit].seconds)
        let (sum, isTooMuch) = total.addingReportingOverflow(seconds)
        guard !isTooMany, !isTooMuch else { return nil }
        total = sum
        units.removeFirst(unit + 1)
    }
    // Nearly three centuries, which is what nanoseconds in 64 bits hold.
    guard (-9_000_000_000...9_000_000_000).contains(total) else { return nil }
    return .seconds(sign * total)
}

extension String {
    fileprivate func int(_ range: ClosedRange<Int>) -> Int? {
        Int(self).flatMap { range.contains($0) ? $0 : nil }
    }
}

extension ClosedRange<Int> {
    fileprivate var words: String { "\(lowerBound) to \(upperBound)" }
}

extension UInt8 {
    fileprivate var isNamePart: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
