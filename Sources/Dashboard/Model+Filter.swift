import Fleet
import Machine

/// What a person typed after `/`. Terms between blanks must all match; in each `!term` is the inverse, `~term` needs
/// the letters in order only, `owner:x`, `state:x`, `shard:x`, `stream:x` look at one field, `lag>30s`, `age>5m`,
/// `beat>10s`, `rate<1`, `kbps>100` compare, and in plain terms `.`, `x*`, `^`, `$` and `a|b` work as in regular
/// expressions. Case does not matter.
struct RowFilter: Hashable, Sendable {
    struct Term: Hashable, Sendable {
        enum Kind: Hashable, Sendable {
            case text(field: String?, [TextPattern])
            case fuzzy([UInt8])
            case number(field: String, isGreater: Bool, Double)
        }

        var kind: Kind
        var isInverse: Bool
    }

    let text: String
    let terms: [Term]

    static let fields = ["shard", "stream", "owner", "state"]
    static let numbers = ["lag", "cplag", "age", "beat", "rate", "kbps"]

    init(_ text: String) {
        self.text = text
        terms = text.split(separator: " ").prefix(16).map { Self.term(String($0)) }
    }

    var isEmpty: Bool { terms.isEmpty }

    private static func term(_ text: String) -> Term {
        var rest = Substring(text.lowercased())
        let isInverse = rest.hasPrefix("!") && rest.count > 1
        if isInverse { rest.removeFirst() }
        if rest.hasPrefix("~") {
            return Term(kind: .fuzzy(Array(rest.dropFirst().utf8)), isInverse: isInverse)
        }
        if let sign = rest.firstIndex(where: { $0 == "<" || $0 == ">" }) {
            let field = String(rest[..<sign])
            if numbers.contains(field), let value = number(rest[rest.index(after: sign)...]) {
                return Term(kind: .number(field: field, isGreater: rest[sign] == ">", value), isInverse: isInverse)
            }
        }
        var field: String?
        if let colon = rest.firstIndex(of: ":"), fields.contains(String(rest[..<colon])) {
            field = String(rest[..<colon])
            rest = rest[rest.index(after: colon)...]
        }
        let patterns = rest.split(separator: "|").map { TextPattern(Array($0.utf8)) }
        return Term(kind: .text(field: field, patterns), isInverse: isInverse)
    }

    /// `30`, `30s`, `500ms`, `5m`, `2h`, `1d`, `10k`: seconds where a unit of time is given.
    private static func number(_ text: Substring) -> Double? {
        let units: [(String, Double)] = [
            ("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("k", 1000),
        ]
        for (suffix, scale) in units where text.hasSuffix(suffix) {
            return Double(text.dropLast(suffix.count)).map { $0 * scale }
        }
        return Double(text)
    }

    /// Whether a row of the shards pane is shown.
    func matches(_ lease: LeaseView) -> Bool {
        terms.allSatisfy { term in
            let isMatch =
                switch term.kind {
                case .number(let field, let isGreater, let limit):
                    Self.value(field, lease).map { isGreater ? $0 > limit : $0 < limit } ?? false
                case .fuzzy(let letters):
                    Self.isFuzzyMatch(
                        letters, Self.bytes("\(lease.shardID) \(lease.owner ?? "") \(lease.state.rawValue)"))
                case .text(let field, let patterns): Self.isMatch(patterns, lease, field)
                }
            return isMatch != term.isInverse
        }
    }

    /// Whether a line of another pane is shown. Comparisons say nothing about it.
    func matches(line: String) -> Bool {
        let bytes = Self.bytes(line)
        return terms.allSatisfy { term in
            switch term.kind {
            case .number: true
            case .fuzzy(let letters): Self.isFuzzyMatch(letters, bytes) != term.isInverse
            case .text(_, let patterns): patterns.contains { $0.matches(bytes) } != term.isInverse
            }
        }
    }

    private static func isMatch(_ patterns: [TextPattern], _ lease: LeaseView, _ field: String?) -> Bool {
        var texts: [String]
        switch field {
        case "shard": texts = [lease.shardID]
        case "stream": texts = [lease.streamName, lease.stream].compactMap { $0 }
        case "owner": texts = [lease.owner, lease.checkpointOwner].compactMap { $0 }
        case "state": texts = [lease.state.rawValue]
        default:
            texts = [lease.shardID, lease.state.rawValue]
            texts += [lease.owner, lease.checkpointOwner, lease.stream].compactMap { $0 }
        }
        return texts.contains { text in
            let bytes = bytes(text)
            return patterns.contains { $0.matches(bytes) }
        }
    }

    private static func value(_ field: String, _ lease: LeaseView) -> Double? {
        switch field {
        case "lag": (lease.deliveredLag ?? lease.checkpointLag).map { Double($0.milliseconds) / 1000 }
        case "cplag": lease.checkpointLag.map { Double($0.milliseconds) / 1000 }
        case "age": lease.checkpointAge?.inSeconds
        case "beat": lease.counterAge?.inSeconds
        case "rate": lease.recordsPerSecond
        case "kbps": lease.kilobytesPerSecond
        default: nil
        }
    }

    private static func bytes(_ text: String) -> [UInt8] {
        text.utf8.contains { $0 >= 0x80 }
            ? Array(text.lowercased().utf8) : text.utf8.map { (65...90).contains($0) ? $0 + 32 : $0 }
    }

    private static func isFuzzyMatch(_ letters: [UInt8], _ text: [UInt8]) -> Bool {
        var next = letters.startIndex
        for byte in text where next < letters.endIndex && byte == letters[next] { next += 1 }
        return next == letters.endIndex
    }
}

/// A small regular expression over bytes: literals, `.`, `x*`, `^` and `$` (Kernighan's matcher). At most three stars
/// mean anything, further ones stand for themselves, so that no pattern takes long.
struct TextPattern: Hashable, Sendable {
    private enum Item: Hashable, Sendable {
        case byte(UInt8)
        case any
    }

    private struct Step: Hashable, Sendable {
        var item: Item
        var isRepeated: Bool
    }

    private var steps: [Step] = []
    private var isAtStart = false
    private var isAtEnd = false

    init(_ pattern: [UInt8]) {
        var stars = 0
        for (index, byte) in pattern.prefix(100).enumerated() {
            switch byte {
            case UInt8(ascii: "^") where index == 0: isAtStart = true
            case UInt8(ascii: "$") where index == pattern.count - 1 && index > 0: isAtEnd = true
            case UInt8(ascii: "*") where !steps.isEmpty && steps[steps.count - 1].isRepeated == false && stars < 3:
                steps[steps.count - 1].isRepeated = true
                stars += 1
            case UInt8(ascii: "."): steps.append(Step(item: .any, isRepeated: false))
            default: steps.append(Step(item: .byte(byte), isRepeated: false))
            }
        }
    }

    func matches(_ text: [UInt8]) -> Bool {
        if isAtStart { return matches(steps[...], text[...]) }
        for start in 0...text.count where matches(steps[...], text[start...]) { return true }
        return false
    }

    private func matches(_ steps: ArraySlice<Step>, _ text: ArraySlice<UInt8>) -> Bool {
        guard let step = steps.first else { return !isAtEnd || text.isEmpty }
        let rest = steps.dropFirst()
        guard step.isRepeated else {
            guard let byte = text.first, step.item == .any || step.item == .byte(byte) else { return false }
            return matches(rest, text.dropFirst())
        }
        var text = text
        while true {
            if matches(rest, text) { return true }
            guard let byte = text.first, step.item == .any || step.item == .byte(byte) else { return false }
            text = text.dropFirst()
        }
    }
}
