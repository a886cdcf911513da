import AWSWire
import OrderedCollections

/// Reading attribute values with DynamoDB's rules and errors.
///
/// Numbers become their canonical text, so that equal numbers are equal texts everywhere behind this door.
enum DynamoDBValue {
    /// Deeper nesting of lists and maps is refused.
    static let depthMax = 32

    static func item(_ wire: AWSValue) throws(ServiceError) -> Item {
        guard case .map(let map) = wire else {
            throw .serialization("Start of structure or map found where not expected")
        }
        return try members(map, depth: 0)
    }

    private static func members(
        _ map: OrderedDictionary<String, AWSValue>, depth: Int
    ) throws(ServiceError) -> Item {
        var item = Item(minimumCapacity: map.count)
        for (name, value) in map { item[name] = try attribute(value, depth: depth) }
        return item
    }

    static func attribute(_ wire: AWSValue, depth: Int = 0) throws(ServiceError) -> AttributeValue {
        guard case .map(let map) = wire else { throw .serialization("Unexpected value type in payload") }
        let known = map.filter { Self.tags.contains($0.key) && $0.value != .null }
        guard let (tag, value) = known.elements.first.map({ ($0.key, $0.value) }) else {
            throw .validation(
                "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
        }
        guard known.count == 1 else {
            throw .validation(
                "Supplied AttributeValue has more than one datatypes set, "
                    + "must contain exactly one of the supported datatypes")
        }
        guard depth <= depthMax else {
            throw .validation(
                "Nesting Levels have exceeded supported limits: Attributes may not exceed \(depthMax) levels")
        }
        switch (tag, value) {
        case ("S", .string(let text)): return .s(text)
        case ("N", .string(let text)): return .n(try DynamoDBNumber(text: text).text)
        case ("B", .string), ("B", .bytes): return .b(try blob(value))
        case ("BOOL", .bool(let flag)): return .bool(flag)
        case ("NULL", .bool(let flag)):
            guard flag else {
                throw .invalidParameter("Null attribute value types must have the value of true")
            }
            return .null
        case ("L", .list(let list)):
            var values: [AttributeValue] = []
            values.reserveCapacity(list.count)
            for element in list { values.append(try attribute(element, depth: depth + 1)) }
            return .l(values)
        case ("M", .map(let map)): return .m(try members(map, depth: depth + 1))
        case ("SS", .list(let list)), ("NS", .list(let list)), ("BS", .list(let list)): return try set(tag, list)
        default: throw .serialization("Unexpected value type in payload of \(tag)")
        }
    }

    private static let tags: Set = ["S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"]

    private static func blob(_ value: AWSValue) throws(ServiceError) -> Bytes {
        guard let blob = value.blob else { throw .serialization("Invalid Base64 in a binary value") }
        return blob
    }

    private static func set(_ tag: String, _ list: [AWSValue]) throws(ServiceError) -> AttributeValue {
        guard !list.isEmpty else {
            let kind = tag == "SS" ? "An string set  may not be empty" : "An number set  may not be empty"
            throw .invalidParameter(tag == "BS" ? "Binary sets should not be empty" : kind)
        }
        func duplicates(_ shown: [String]) -> ServiceError {
            .invalidParameter("Input collection [\(shown.joined(separator: ", "))] contains duplicates.")
        }
        if tag == "BS" {
            var blobs: Set<Bytes> = []
            for element in list { blobs.insert(try blob(element)) }
            guard blobs.count == list.count else { throw duplicates(list.map { $0.string ?? "" }) }
            return .bs(blobs)
        }
        guard let texts = AWSValue.list(list).strings else {
            throw .serialization("Unexpected value type in payload of \(tag)")
        }
        var members: Set<String> = []
        for text in texts { members.insert(tag == "NS" ? try DynamoDBNumber(text: text).text : text) }
        guard members.count == texts.count else { throw duplicates(texts) }
        return tag == "NS" ? .ns(members) : .ss(members)
    }
}

extension ServiceError {
    /// A request whose parts are well formed but cannot be.
    static func invalidParameter(_ reason: String) -> ServiceError {
        .validation("One or more parameter values were invalid: \(reason)")
    }
}

extension AttributeValue {
    /// The size that counts towards the item limit and the capacity units, without the attribute's name.
    ///
    /// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    var sizeBytes: Int {
        switch self {
        case .s(let text): text.utf8.count
        case .n(let text): Self.sizeBytes(number: text)
        case .b(let bytes): bytes.count
        case .bool, .null: 1
        case .l(let values): values.reduce(3) { $0 + 1 + $1.sizeBytes }
        case .m(let members): members.reduce(3) { $0 + 1 + $1.key.utf8.count + $1.value.sizeBytes }
        case .ss(let texts): texts.reduce(0) { $0 + $1.utf8.count }
        case .ns(let texts): texts.reduce(0) { $0 + Self.sizeBytes(number: $1) }
        case .bs(let blobs): blobs.reduce(0) { $0 + $1.count }
        }
    }

    private static func sizeBytes(number text: String) -> Int {
        var digits = 0
        var trailingZeros = 0
        for byte in text.utf8 where byte != UInt8(ascii: "-") && byte != UInt8(ascii: ".") {
            if digits == 0, byte == UInt8(ascii: "0") { continue }
            digits += 1
            trailingZeros = byte == UInt8(ascii: "0") ? trailingZeros + 1 : 0
        }
        return 1 + (digits - trailingZeros + 1) / 2 + (text.utf8.first == UInt8(ascii: "-") ? 1 : 0)
    }

    /// What `size()` answers; `nil` for types without one.
    var elementCount: Int? {
        switch self {
        case .s(let text): text.utf16.count
        case .b(let bytes): bytes.count
        case .l(let values): values.count
        case .m(let members): members.count
        case .ss(let texts), .ns(let texts): texts.count
        case .bs(let blobs): blobs.count
        case .n, .bool, .null: nil
        }
    }

    var number: DynamoDBNumber? {
        guard case .n(let text) = self else { return nil }
        return try? DynamoDBNumber(text: text)
    }

    /// Equality by bytes: Swift's own takes differently composed characters for equal.
    func isSame(as other: AttributeValue) -> Bool {
        switch (self, other) {
        case (.s(let a), .s(let b)): a.utf8.elementsEqual(b.utf8)
        case (.l(let a), .l(let b)): a.count == b.count && zip(a, b).allSatisfy { $0.isSame(as: $1) }
        case (.m(let a), .m(let b)):
            a.count == b.count && a.allSatisfy { name, value in b[name].map { value.isSame(as: $0) } ?? false }
        default: self == other
        }
    }

    /// Whether the value comes before `other` (strings and binaries by unsigned bytes, numbers by value); `nil` where
    /// the two have no order.
    func precedes(_ other: AttributeValue) -> Bool? {
        switch (self, other) {
        case (.s(let a), .s(let b)): a.utf8.lexicographicallyPrecedes(b.utf8)
        case (.b(let a), .b(let b)): a.array.lexicographicallyPrecedes(b.array)
        case (.n, .n):
            if let a = number, let b = other.number { a < b } else { nil }
        default: nil
        }
    }
}

extension Item {
    /// Names and values: what counts towards the 400 KB.
    var sizeBytes: Int { reduce(0) { $0 + $1.key.utf8.count + $1.value.sizeBytes } }

    /// The value at `path`.
    subscript(path path: DocumentPath) -> AttributeValue? {
        guard case .name(let name)? = path.elements.first, var value = self[name] else { return nil }
        for element in path.elements.dropFirst() {
            switch (element, value) {
            case (.name(let name), .m(let members)):
                guard let member = members[name] else { return nil }
                value = member
            case (.index(let index), .l(let values)):
                guard values.indices.contains(index) else { return nil }
                value = values[index]
            default: return nil
            }
        }
        return value
    }

    /// The parts at `paths` in the shape they have in the item; list elements close up in their order.
    func projected(_ paths: [DocumentPath]) -> Item {
        var tree = ProjectionTree()
        for path in paths { tree.insert(path.elements[...]) }
        guard case .m(let members)? = tree.project(.m(self)) else { return [:] }
        return members
    }
}

/// Which parts of a value are asked for.
private struct ProjectionTree {
    private var isWhole = false
    private var members: [DocumentPath.Element: ProjectionTree] = [:]

    mutating func insert(_ path: ArraySlice<DocumentPath.Element>) {
        guard let first = path.first else {
            isWhole = true
            return
        }
        members[first, default: ProjectionTree()].insert(path.dropFirst())
    }

    /// `nil` where nothing of the value is asked for or exists.
    func project(_ value: AttributeValue) -> AttributeValue? {
        if isWhole { return value }
        switch value {
        case .m(let whole):
            var part: Item = [:]
            for case (.name(let name), let tree) in members {
                if let value = whole[name] { part[name] = tree.project(value) }
            }
            return part.isEmpty ? nil : .m(part)
        case .l(let whole):
            let part = whole.indices.compactMap { index in members[.index(index)]?.project(whole[index]) }
            return part.isEmpty ? nil : .l(part)
        default: return nil
        }
    }
}
