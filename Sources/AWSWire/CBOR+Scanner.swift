import Glibc
import Machine
import OrderedCollections

/// A pull parser over a buffer of CBOR; the value tree and the streaming decoder of GetRecords share it.
struct CBORScanner {
    let buffer: UnsafeRawBufferPointer
    /// What the buffer lies in: blobs of the tree are parts of it.
    let arena: Bytes
    var index = 0

    init(_ buffer: UnsafeRawBufferPointer, of arena: Bytes) {
        self.buffer = buffer
        self.arena = arena
    }

    /// The first byte of an item and what belongs to it.
    struct Head {
        var major: CBOR.Major
        /// The low five bits: 31 is an item without a length, or the break that ends it.
        var info: UInt8
        var argument: UInt64

        var isIndefinite: Bool { info == 31 }
    }

    /// A byte or text string as it lies in the buffer.
    struct RawString {
        var range: Range<Int>
        /// The bytes of one that was sent in parts, and lies nowhere in one piece.
        var gathered: [UInt8]?
    }

    func malformed(_ reason: String) -> MalformedBody { MalformedBody(reason, at: index) }

    mutating func head() throws(MalformedBody) -> Head {
        guard index < buffer.count else { throw malformed("the body ends in the middle") }
        let first = buffer[index]
        let info = first & 31
        let major = CBOR.Major(rawValue: first >> 5) ?? .simple
        switch info {
        case ..<24:
            index += 1
            return Head(major: major, info: info, argument: UInt64(info))
        case 24...27:
            let count = 1 << Int(info - 24)
            guard buffer.count - index > count else { throw malformed("the body ends in the middle") }
            var argument: UInt64 = 0
            for place in index + 1...index + count { argument = argument << 8 | UInt64(buffer[place]) }
            index += 1 + count
            return Head(major: major, info: info, argument: argument)
        case 31:
            switch major {
            case .unsigned, .negative, .tag: throw malformed("a reserved first byte")
            case .bytes, .text, .array, .map, .simple: break
            }
            index += 1
            return Head(major: major, info: info, argument: 0)
        default: throw malformed("a reserved first byte")
        }
    }

    /// The head of an item of the kind `major`; where another one lies here it stays there, and `reason` is thrown.
    @inline(__always)
    private mutating func head(
        _ major: CBOR.Major, orThrow reason: @autoclosure () -> String
    ) throws(MalformedBody) -> Head {
        let start = index
        let head = try head()
        guard head.major == major else {
            index = start
            throw malformed(reason())
        }
        return head
    }

    mutating func end() throws(MalformedBody) {
        guard index == buffer.count else { throw malformed("trailing bytes") }
    }

    private mutating func consumeBreak() -> Bool {
        guard index < buffer.count, buffer[index] == 0xFF else { return false }
        index += 1
        return true
    }

    private mutating func take(_ count: UInt64) throws(MalformedBody) -> Range<Int> {
        guard count <= UInt64(buffer.count - index) else { throw malformed("a string longer than the body") }
        let start = index
        index += Int(count)
        return start..<index
    }

    /// Throws where so many items cannot be in what is left, each of them of `bytesMin` or more.
    private func check(count: UInt64, bytesMin: Int) throws(MalformedBody) {
        guard count <= UInt64((buffer.count - index) / bytesMin) else {
            throw malformed("more items than the body has bytes")
        }
    }
}

// Strings.
extension CBORScanner {
    /// A string of the kind `major`; text is not checked yet.
    mutating func rawString(_ major: CBOR.Major) throws(MalformedBody) -> RawString {
        try rawString(after: try head(major, orThrow: major == .text ? "expected a text" : "expected a byte string"))
    }

    private mutating func rawString(after head: Head) throws(MalformedBody) -> RawString {
        guard head.isIndefinite else { return RawString(range: try take(head.argument)) }
        var gathered: [UInt8] = []
        while !consumeBreak() {
            let part = try self.head()
            guard part.major == head.major, !part.isIndefinite else {
                throw malformed("a part of a string that is none")
            }
            gathered.append(contentsOf: buffer[try take(part.argument)])
        }
        return RawString(range: index..<index, gathered: gathered)
    }

    /// The text that `raw` spells.
    func text(_ raw: RawString) throws(MalformedBody) -> String {
        let text =
            if let gathered = raw.gathered {
                String(validating: gathered, as: UTF8.self)
            } else {
                String(validating: buffer[raw.range], as: UTF8.self)
            }
        guard let text else { throw MalformedBody("a text that is not UTF-8", at: raw.range.lowerBound) }
        return text
    }

    /// Throws where `raw` is not UTF-8.
    func check(_ raw: RawString) throws(MalformedBody) {
        var all: UInt8 = raw.gathered == nil ? 0 : 0x80
        for byte in buffer[raw.range] { all |= byte }
        if all >= 0x80 { _ = try text(raw) }
    }

    /// Whether `raw` spells `text`, which is ASCII.
    func spells(_ raw: RawString, _ text: StaticString) -> Bool {
        if let gathered = raw.gathered { return gathered.elementsEqual("\(text)".utf8) }
        guard raw.range.count == text.utf8CodeUnitCount, let base = buffer.baseAddress else { return false }
        return memcmp(base + raw.range.lowerBound, text.utf8Start, raw.range.count) == 0
    }

    /// The bytes of `raw`: a part of the arena, unless it was sent in parts.
    func bytes(_ raw: RawString) -> Bytes { raw.gathered.map { Bytes($0) } ?? arena.slice(raw.range) }
}

// Items.
extension CBORScanner {
    /// Calls `body` at the value of each member of a map, with the member's name, which is not checked yet.
    mutating func members(
        _ body: (inout CBORScanner, RawString) throws(MalformedBody) -> Void
    ) throws(MalformedBody) {
        try members(after: try head(.map, orThrow: "expected a map"), body)
    }

    private mutating func members(
        after head: Head, _ body: (inout CBORScanner, RawString) throws(MalformedBody) -> Void
    ) throws(MalformedBody) {
        if head.isIndefinite {
            while !consumeBreak() { try body(&self, try rawString(.text)) }
            return
        }
        try check(count: head.argument, bytesMin: 2)
        for _ in 0..<head.argument { try body(&self, try rawString(.text)) }
    }

    /// Calls `body` at each element of an array.
    mutating func elements(_ body: (inout CBORScanner) throws(MalformedBody) -> Void) throws(MalformedBody) {
        try elements(after: try head(.array, orThrow: "expected an array"), body)
    }

    private mutating func elements(
        after head: Head, _ body: (inout CBORScanner) throws(MalformedBody) -> Void
    ) throws(MalformedBody) {
        if head.isIndefinite {
            while !consumeBreak() { try body(&self) }
            return
        }
        try check(count: head.argument, bytesMin: 1)
        for _ in 0..<head.argument { try body(&self) }
    }

    mutating func value(depth: Int) throws(MalformedBody) -> AWSValue {
        guard depth < CBOR.depthMax else { throw malformed("nested too deeply") }
        let start = index
        let head = try head()
        switch head.major {
        case .unsigned: return Int64(exactly: head.argument).map { .int($0) } ?? .double(Double(head.argument))
        case .negative: return Int64(exactly: head.argument).map { .int(~$0) } ?? .double(-1 - Double(head.argument))
        case .bytes: return .bytes(bytes(try rawString(after: head)))
        case .text: return .string(try text(try rawString(after: head)))
        case .array:
            var list: [AWSValue] = []
            try elements(after: head) { (scanner) throws(MalformedBody) in
                list.append(try scanner.value(depth: depth + 1))
            }
            return .list(list)
        case .map:
            var map: OrderedDictionary<String, AWSValue> = [:]
            try members(after: head) { (scanner, name) throws(MalformedBody) in
                map[try scanner.text(name)] = try scanner.value(depth: depth + 1)
            }
            return .map(map)
        case .tag: return try tagged(head.argument, depth: depth + 1)
        case .simple:
            guard let value = Self.simple(head) else {
                index = start
                throw malformed("unknown simple value")
            }
            return value
        }
    }

    private static func simple(_ head: Head) -> AWSValue? {
        switch head.info {
        case 20: .bool(false)
        case 21: .bool(true)
        // Undefined is as good as null.
        case 22, 23: .null
        case 25: .double(half(head.argument))
        case 26: .double(Double(Float(bitPattern: UInt32(truncatingIfNeeded: head.argument))))
        case 27: .double(Double(bitPattern: head.argument))
        default: nil
        }
    }

    private static func half(_ bits: UInt64) -> Double {
        let exponent = Int(bits >> 10 & 0x1F)
        let fraction = Double(bits & 0x3FF)
        let magnitude =
            switch exponent {
            case 0: fraction * 0x1p-24
            case 31: fraction == 0 ? Double.infinity : .nan
            default: Double(sign: .plus, exponent: exponent - 25, significand: 1024 + fraction)
            }
        return bits & 0x8000 == 0 ? magnitude : -magnitude
    }

    /// The content of a tag: times and big numbers mean something, any other tag is passed over.
    private mutating func tagged(_ tag: UInt64, depth: Int) throws(MalformedBody) -> AWSValue {
        let value = try value(depth: depth)
        switch (tag, value) {
        case (0, .string(let text)):
            guard let time = CivilTime.parseISO8601(text) else { throw malformed("a time that is none") }
            return .timestamp(time)
        // Whole milliseconds by the services' reading, seconds by the RFC's where it is a fraction.
        case (1, .int(let milliseconds)): return .timestamp(UnixTime(milliseconds: milliseconds))
        case (1, .double(let seconds)) where seconds.isFinite: return .timestamp(UnixTime(seconds: seconds))
        case (2, .bytes(let bytes)): return try number(bytes, isNegative: false)
        case (3, .bytes(let bytes)): return try number(bytes, isNegative: true)
        case (0, _), (1, _), (2, _), (3, _): throw malformed("a tag around what it cannot mean")
        default: return value
        }
    }

    private func number(_ bytes: Bytes, isNegative: Bool) throws(MalformedBody) -> AWSValue {
        let digits = bytes.withUnsafeBytes { Array($0.drop { $0 == 0 }) }
        // The largest double has 1024 bits.
        guard digits.count <= 128 else { throw malformed("a number too large") }
        if digits.count <= 8, let whole = Int64(exactly: digits.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }) {
            return .int(isNegative ? ~whole : whole)
        }
        let magnitude = digits.reduce(0.0) { $0 * 256 + Double($1) }
        guard magnitude.isFinite else { throw malformed("a number too large") }
        return .double(isNegative ? -1 - magnitude : magnitude)
    }
}
