import Machine

extension ScanPage {
    /// Decodes a Scan's answer without building a tree: a table of 10 000 rows is read every few seconds.
    ///
    /// Strict where leniency would lose rows, since those that a scan does not show are taken for deleted: no list must
    /// pass for an empty one, and no item that is none may be left out.
    init(json body: Bytes) throws(MalformedBody) {
        self = try body.withUnsafeBytes { (buffer) throws(MalformedBody) in
            var items: [Item]?
            var lastKey: Item?
            var units: Double?
            var scanner = JSONScanner(buffer)
            var decoder = ItemDecoder()
            try scanner.members { (scanner, name) throws(MalformedBody) in
                if try scanner.spells(name, "Items") {
                    var found: [Item] = []
                    try scanner.elements { (scanner) throws(MalformedBody) in found.append(try decoder.item(&scanner)) }
                    items = found
                } else if try scanner.spells(name, "LastEvaluatedKey") {
                    lastKey = try decoder.item(&scanner)
                } else if try scanner.spells(name, "ConsumedCapacity") {
                    units = try scanner.value(depth: 1)["CapacityUnits"]?.double
                } else {
                    _ = try scanner.value(depth: 1)
                }
            }
            try scanner.end()
            guard let items else { throw scanner.malformed("no Items") }
            return ScanPage(items: items, lastEvaluatedKey: lastKey, consumedReadUnits: units)
        }
    }
}

/// Reads items of one table, which have much the same attributes: their names are made once.
struct ItemDecoder {
    /// Each at the place that its bytes choose; a name that another drove out is made again.
    private var names = [String](repeating: "", count: 64)

    mutating func item(_ scanner: inout JSONScanner) throws(MalformedBody) -> Item {
        var item = Item(minimumCapacity: 12)
        try scanner.members { (scanner, raw) throws(MalformedBody) in
            item[try name(raw, scanner)] = try Self.value(&scanner)
        }
        return item
    }

    private mutating func name(_ raw: JSONScanner.RawString, _ scanner: JSONScanner) throws(MalformedBody) -> String {
        guard !raw.isEscaped, let first = raw.range.first, let last = raw.range.last else {
            return try scanner.text(raw)
        }
        let place = (raw.range.count &* 31 &+ Int(scanner.buffer[first]) &* 7 &+ Int(scanner.buffer[last])) & 63
        if !scanner.equals(raw, names[place]) { names[place] = try scanner.text(raw) }
        return names[place]
    }

    /// The value under its type's tag. Most that leases hold is text and read as it lies, the rest by way of the tree.
    private static func value(_ scanner: inout JSONScanner) throws(MalformedBody) -> AttributeValue {
        let start = scanner
        try scanner.expect("{")
        let tag = try scanner.rawString()
        try scanner.expect(":")
        var value: AttributeValue?
        if scanner.peek() == UInt8(ascii: "\"") {
            if try scanner.spells(tag, "S") {
                value = .s(try scanner.string())
            } else if try scanner.spells(tag, "N") {
                value = .n(try scanner.string())
            }
        }
        if let value, scanner.consume(UInt8(ascii: "}")) { return value }
        scanner = start
        guard let value = AttributeValue(try scanner.value(depth: 3)) else {
            throw scanner.malformed("an item that is none")
        }
        return value
    }
}
