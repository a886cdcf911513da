import AWSWire

/// Items as the state directory keeps them: a byte for the type, lengths as LEB128, text as UTF-8.
enum ItemEncoding {
    fileprivate enum Tag: UInt8 {
        case string, number, binary, yes, no, null, list, map, strings, numbers, binaries
    }

    static func append(_ item: Item, to out: inout [UInt8]) {
        append(count: item.count, to: &out)
        for (name, value) in item {
            append(text: name, to: &out)
            append(value, to: &out)
        }
    }

    private static func append(_ value: AttributeValue, to out: inout [UInt8]) {
        switch value {
        case .s(let text):
            out.append(Tag.string.rawValue)
            append(text: text, to: &out)
        case .n(let text):
            out.append(Tag.number.rawValue)
            append(text: text, to: &out)
        case .b(let bytes):
            out.append(Tag.binary.rawValue)
            append(bytes: bytes, to: &out)
        case .bool(let flag): out.append((flag ? Tag.yes : Tag.no).rawValue)
        case .null: out.append(Tag.null.rawValue)
        case .l(let values):
            out.append(Tag.list.rawValue)
            append(count: values.count, to: &out)
            for value in values { append(value, to: &out) }
        case .m(let members):
            out.append(Tag.map.rawValue)
            append(members, to: &out)
        case .ss(let texts):
            out.append(Tag.strings.rawValue)
            append(texts: texts, to: &out)
        case .ns(let numbers):
            out.append(Tag.numbers.rawValue)
            append(texts: numbers, to: &out)
        case .bs(let blobs):
            out.append(Tag.binaries.rawValue)
            append(count: blobs.count, to: &out)
            for blob in blobs { append(bytes: blob, to: &out) }
        }
    }

    static func append(count: Int, to out: inout [UInt8]) {
        var rest = UInt64(count)
        while rest >= 0x80 {
            out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        out.append(UInt8(rest))
    }

    private static func append(texts: Set<String>, to out: inout [UInt8]) {
        append(count: texts.count, to: &out)
        for text in texts { append(text: text, to: &out) }
    }

    private static func append(text: String, to out: inout [UInt8]) {
        append(count: text.utf8.count, to: &out)
        out.append(contentsOf: text.utf8)
    }

    private static func append(bytes: Bytes, to out: inout [UInt8]) {
        append(count: bytes.count, to: &out)
        bytes.withUnsafeBytes { out.append(contentsOf: $0) }
    }
}

/// Reads what `ItemEncoding` wrote; every answer is `nil` once something did not fit.
struct ItemReader {
    private let bytes: Bytes
    private var offset: Int

    init(_ bytes: Bytes, from offset: Int = 0) {
        self.bytes = bytes
        self.offset = offset
    }

    var isAtEnd: Bool { offset == bytes.count }

    mutating func byte() -> UInt8? {
        guard offset < bytes.count else { return nil }
        offset += 1
        return bytes[offset - 1]
    }

    /// A count of things that take a byte each at least.
    mutating func count() -> Int? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 35, by: 7) {
            guard let byte = byte() else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value <= UInt64(bytes.count - offset) ? Int(value) : nil }
        }
        return nil
    }

    mutating func number() -> UInt64? {
        guard bytes.count - offset >= 8 else { return nil }
        offset += 8
        return bytes.little(at: offset - 8, byteCount: 8)
    }

    mutating func blob() -> Bytes? {
        guard let count = count() else { return nil }
        offset += count
        return bytes.slice(offset - count..<offset)
    }

    mutating func item() -> Item? {
        guard let count = count() else { return nil }
        var item = Item(minimumCapacity: count)
        for _ in 0..<count {
            guard let name = blob(), let value = value() else { return nil }
            item[name.text] = value
        }
        return item
    }

    private mutating func value() -> AttributeValue? {
        switch byte().flatMap(ItemEncoding.Tag.init) {
        case .string: return text().map { .s($0) }
        case .number: return text().map { .n($0) }
        case .binary: return copy().map { .b($0) }
        case .yes: return .bool(true)
        case .no: return .bool(false)
        case .null: return .null
        case .list: return list { $0.value() }.map { .l($0) }
        case .map: return item().map { .m($0) }
        case .strings: return list { $0.text() }.map { .ss(Set($0)) }
        case .numbers: return list { $0.text() }.map { .ns(Set($0)) }
        case .binaries: return list { $0.copy() }.map { .bs(Set($0)) }
        case nil: return nil
        }
    }

    private mutating func text() -> String? { blob()?.text }

    /// A blob in its own arena: the one it was read from is a whole block of the file.
    private mutating func copy() -> Bytes? { blob()?.copied() }

    private mutating func list<Element>(_ next: (inout ItemReader) -> Element?) -> [Element]? {
        guard let count = count() else { return nil }
        var elements: [Element] = []
        elements.reserveCapacity(count)
        for _ in 0..<count {
            guard let element = next(&self) else { return nil }
            elements.append(element)
        }
        return elements
    }
}
