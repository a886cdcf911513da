import AWSWire
import Leases

/// The words of a chunk: keys of rows, names and texts in them, each written out once.
struct RowWords: Sendable {
    private(set) var texts: [String] = []
    private(set) var values: [AttributeValue] = []
    /// About how much memory they take.
    private(set) var cost = 0

    mutating func add(_ text: String) -> Int {
        texts.append(text)
        cost += MemoryLayout<String>.stride + (text.utf8.count > 15 ? text.utf8.count + 32 : 0)
        return texts.count - 1
    }

    mutating func add(_ value: AttributeValue) -> Int {
        values.append(value)
        cost += 200
        return values.count - 1
    }
}

/// How a value is written: a removal, or a value by itself or against the one before.
private enum Mark: UInt8 {
    case removed
    /// A whole number, less the one before.
    case difference
    /// A number's or a text's digits behind those that it shares with the one before, two in a byte.
    case numberDigits
    case textDigits
    case word
    /// Anything else, kept as it is.
    case value
}

/// Writes rows as what changed since it wrote them last.
struct RowEncoder: Sendable {
    private var places: [String: Int] = [:]
    private var rows: [Item?] = []
    /// The number of each word among the chunk's.
    private var words: [String: Int] = [:]
    private var keys: [Int] = []

    /// The table as it was written last, in the order of its rows.
    var items: [Item] { rows.compactMap { $0 } }

    /// - Parameter isWhole: rows that are not among `items` are gone.
    mutating func encode(
        _ items: [Item], isWhole: Bool, words: inout RowWords, into bytes: inout [UInt8]
    ) {
        var seen = isWhole ? [Bool](repeating: false, count: rows.count) : []
        for item in items {
            let key = item[LeaseTable.hashKey]?.string ?? "?"
            let place = places[key] ?? add(key, &words)
            if place < seen.count { seen[place] = true }
            guard rows[place] != item else { continue }
            encode(item, at: place, &words, into: &bytes)
            rows[place] = item
        }
        for place in seen.indices where !seen[place] && rows[place] != nil {
            bytes.append(varint: keys[place])
            bytes.append(varint: 0)
            rows[place] = nil
        }
    }

    private mutating func add(_ key: String, _ words: inout RowWords) -> Int {
        places[key] = rows.count
        keys.append(word(key, &words))
        rows.append(nil)
        return rows.count - 1
    }

    private mutating func encode(
        _ item: Item, at place: Int, _ words: inout RowWords, into bytes: inout [UInt8]
    ) {
        let old = rows[place] ?? [:]
        var changed = item.keys.filter { old[$0] != item[$0] }
        changed += old.keys.filter { item[$0] == nil }
        changed.sort()
        bytes.append(varint: keys[place])
        bytes.append(varint: changed.count)
        for name in changed {
            bytes.append(varint: word(name, &words))
            encode(item[name], since: old[name], &words, into: &bytes)
        }
    }

    private mutating func encode(
        _ value: AttributeValue?, since old: AttributeValue?, _ words: inout RowWords, into bytes: inout [UInt8]
    ) {
        switch (value, old) {
        case (nil, _): bytes.append(Mark.removed.rawValue)
        case (.n(let text)?, .n(let before)?):
            // Only what is written the same way again.
            if let new = Int64(text), let was = Int64(before), String(new) == text {
                bytes.append(Mark.difference.rawValue)
                bytes.append(signed: new &- was)
            } else {
                fallback(value, &words, into: &bytes)
            }
        case (.n(let text)?, _) where text.isDigits:
            bytes.append(Mark.numberDigits.rawValue)
            bytes.append(digits: text, after: "")
        case (.s(let text)?, _) where text.isDigits && text.utf8.count > 6:
            bytes.append(Mark.textDigits.rawValue)
            bytes.append(digits: text, after: old?.string ?? "")
        case (.s(let text)?, _):
            bytes.append(Mark.word.rawValue)
            bytes.append(varint: word(text, &words))
        default: fallback(value, &words, into: &bytes)
        }
    }

    private func fallback(_ value: AttributeValue?, _ words: inout RowWords, into bytes: inout [UInt8]) {
        bytes.append(Mark.value.rawValue)
        bytes.append(varint: words.add(value ?? .null))
    }

    private mutating func word(_ text: String, _ words: inout RowWords) -> Int {
        if let known = self.words[text] { return known }
        let number = words.add(text)
        self.words[text] = number
        return number
    }
}

/// Reads what a `RowEncoder` wrote, in the same order.
struct RowDecoder {
    private var places: [String: Int] = [:]
    private var rows: [Item?] = []

    /// The table, in the order in which its rows were first written.
    var items: [Item] { rows.compactMap { $0 } }

    /// The row under `key` as it was written last.
    subscript(key: String) -> Item? { places[key].flatMap { rows[$0] } }

    /// Returns the rows that were written, but for those that went.
    @discardableResult
    mutating func decode(_ place: Range<Int>, of chunk: Chunk) -> [Item] {
        var reader = RowReader(bytes: chunk.bytes[place])
        var written: [Item] = []
        while !reader.isAtEnd {
            guard let key = chunk.words.texts[safely: reader.varint()] else { break }
            let row = places[key] ?? add(key)
            let changes = reader.varint()
            guard changes > 0 else {
                rows[row] = nil
                continue
            }
            var item = rows[row] ?? [:]
            rows[row] = nil
            for _ in 0..<changes {
                guard let name = chunk.words.texts[safely: reader.varint()] else { break }
                item[name] = reader.value(since: item[name], chunk.words)
            }
            rows[row] = item
            written.append(item)
        }
        return written
    }

    private mutating func add(_ key: String) -> Int {
        places[key] = rows.count
        rows.append(nil)
        return rows.count - 1
    }
}

private struct RowReader {
    var bytes: ArraySlice<UInt8>

    var isAtEnd: Bool { bytes.isEmpty }

    mutating func byte() -> UInt8 { bytes.popFirst() ?? 0 }

    mutating func varint() -> Int {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 64 {
            let byte = byte()
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { break }
            shift += 7
        }
        return Int(truncatingIfNeeded: value)
    }

    mutating func value(since old: AttributeValue?, _ words: RowWords) -> AttributeValue? {
        switch Mark(rawValue: byte()) {
        case .removed?, nil: nil
        case .difference?: .n((old?.int ?? 0) &+ signed())
        case .numberDigits?: .n(digits(after: ""))
        case .textDigits?: .s(digits(after: old?.string ?? ""))
        case .word?: words.texts[safely: varint()].map { .s($0) }
        case .value?: words.values[safely: varint()]
        }
    }

    private mutating func signed() -> Int64 {
        let value = UInt64(bitPattern: Int64(varint()))
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    private mutating func digits(after old: String) -> String {
        let shared = varint()
        let count = varint()
        var text = Array(old.utf8.prefix(shared))
        var left = count
        while left > 0, !isAtEnd {
            let pair = byte()
            text.append(UInt8(ascii: "0") + pair >> 4)
            if left > 1 { text.append(UInt8(ascii: "0") + pair & 0xF) }
            left -= 2
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension [UInt8] {
    fileprivate mutating func append(varint value: Int) {
        var rest = UInt64(bitPattern: Int64(value))
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    /// Small numbers of either sign in few bytes.
    fileprivate mutating func append(signed value: Int64) {
        append(varint: Int(value << 1 ^ value >> 63))
    }

    fileprivate mutating func append(digits text: String, after old: String) {
        let new = Array(text.utf8)
        let shared = zip(new, old.utf8).prefix { $0 == $1 }.count
        append(varint: shared)
        append(varint: new.count - shared)
        var index = shared
        while index < new.count {
            let high = new[index] - UInt8(ascii: "0")
            let low = index + 1 < new.count ? new[index + 1] - UInt8(ascii: "0") : 0
            append(high << 4 | low)
            index += 2
        }
    }
}

extension String {
    fileprivate var isDigits: Bool { !utf8.isEmpty && utf8.allSatisfy { (48...57).contains($0) } }
}

extension Array {
    fileprivate subscript(safely index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
