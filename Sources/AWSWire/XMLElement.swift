/// An element of an XML answer, as far as AWS's query protocol needs one: its name, its text and what is inside it.
///
/// Attributes are passed over, namespaces are left out of the names, and a document type is an error: no answer of a
/// service has one, and what it can do (entities that grow) is nothing we want.
struct XMLElement: Hashable, Sendable, CustomReflectable {
    /// Without the namespace's prefix.
    var name: String
    /// All text directly in it, entities resolved.
    var text = ""
    var children: [XMLElement] = []

    static let depthMax = 32

    /// The first element called `name` in the order of the document, this one included.
    func first(_ name: String) -> XMLElement? {
        if self.name == name { return self }
        for child in children {
            if let found = child.first(name) { return found }
        }
        return nil
    }

    /// The text of the first element called `name` without the white space around it; `nil` where there is none.
    func text(_ name: String) -> String? { first(name)?.text.trimmed }

    /// Reflection shows the shape and no text, which may be a secret.
    var customMirror: Mirror { Mirror(self, children: ["name": name, "children": children]) }

    init(name: String) { self.name = name }

    /// Reads a document; what follows its root is not looked at.
    init(_ body: Bytes) throws(MalformedBody) {
        var reader = XMLReader(bytes: body.array)
        self = try reader.root()
    }
}

private struct XMLReader {
    let bytes: [UInt8]
    private var index = 0
    private var open: [XMLElement] = []

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func root() throws(MalformedBody) -> XMLElement {
        while index < bytes.count {
            if bytes[index] != UInt8(ascii: "<") {
                try readText()
            } else if starts("<?") {
                index = try end(after: "?>")
            } else if starts("<!--") {
                index = try end(after: "-->")
            } else if starts("<![CDATA[") {
                let start = index + 9
                index = try end(after: "]]>")
                guard start <= index - 3, !open.isEmpty else { throw MalformedBody("text outside the root", at: index) }
                open[open.count - 1].text += String(decoding: bytes[start..<index - 3], as: UTF8.self)
            } else if starts("<!") {
                throw MalformedBody("a document type", at: index)
            } else if starts("</") {
                if let root = try readClosingTag() { return root }
            } else if let root = try readOpeningTag() {
                return root
            }
        }
        throw MalformedBody("the document ends too early", at: index)
    }

    private mutating func readText() throws(MalformedBody) {
        let start = index
        while index < bytes.count, bytes[index] != UInt8(ascii: "<") { index += 1 }
        guard !open.isEmpty else {
            // White space, or a byte order mark.
            let isBlank = bytes[start..<index].allSatisfy { $0 <= 0x20 || [0xEF, 0xBB, 0xBF].contains($0) }
            if isBlank { return }
            throw MalformedBody("text outside the root", at: start)
        }
        open[open.count - 1].text += Self.unescaped(bytes[start..<index])
    }

    /// The root, where the tag closed it.
    private mutating func readClosingTag() throws(MalformedBody) -> XMLElement? {
        index += 2
        let start = index
        let name = readName()
        index = try end(after: ">")
        guard let element = open.popLast(), element.name == name else {
            throw MalformedBody("an end tag without its start tag", at: start)
        }
        return closed(element)
    }

    /// The root, where it is one empty tag.
    private mutating func readOpeningTag() throws(MalformedBody) -> XMLElement? {
        index += 1
        let start = index
        let name = readName()
        guard !name.isEmpty, open.count < XMLElement.depthMax else {
            throw MalformedBody(name.isEmpty ? "a tag without name" : "elements nested too deeply", at: start)
        }
        var quote: UInt8?
        while index < bytes.count, quote != nil || bytes[index] != UInt8(ascii: ">") {
            if bytes[index] == quote {
                quote = nil
            } else if quote == nil, bytes[index] == UInt8(ascii: "\"") || bytes[index] == UInt8(ascii: "'") {
                quote = bytes[index]
            }
            index += 1
        }
        guard index < bytes.count else { throw MalformedBody("a tag that does not end", at: start) }
        index += 1
        let element = XMLElement(name: name)
        if bytes[index - 2] == UInt8(ascii: "/") { return closed(element) }
        open.append(element)
        return nil
    }

    private mutating func closed(_ element: XMLElement) -> XMLElement? {
        guard !open.isEmpty else { return element }
        open[open.count - 1].children.append(element)
        return nil
    }

    private mutating func readName() -> String {
        let start = index
        while index < bytes.count, bytes[index] > 0x20, bytes[index] != UInt8(ascii: ">"),
            bytes[index] != UInt8(ascii: "/")
        {
            index += 1
        }
        let name = String(decoding: bytes[start..<index], as: UTF8.self)
        return name.split(separator: ":").last.map(String.init) ?? ""
    }

    private func starts(_ text: StaticString) -> Bool {
        text.withUTF8Buffer { bytes[index...].starts(with: $0) }
    }

    /// The position behind the next `text`.
    private func end(after text: StaticString) throws(MalformedBody) -> Int {
        let found = text.withUTF8Buffer { text in
            var at = index
            while at + text.count <= bytes.count {
                if bytes[at...].starts(with: text) { return at + text.count }
                at += 1
            }
            return -1
        }
        guard found >= 0 else { throw MalformedBody("a tag that does not end", at: index) }
        return found
    }

    private static func unescaped(_ bytes: ArraySlice<UInt8>) -> String {
        guard bytes.contains(UInt8(ascii: "&")) else { return String(decoding: bytes, as: UTF8.self) }
        var text = ""
        var rest = bytes
        while let ampersand = rest.firstIndex(of: UInt8(ascii: "&")) {
            text += String(decoding: rest[..<ampersand], as: UTF8.self)
            let after = rest[(ampersand + 1)...]
            // No entity's name is longer; a lone ampersand stands for itself.
            if let end = after.prefix(10).firstIndex(of: UInt8(ascii: ";")),
                let character = entity(String(decoding: after[..<end], as: UTF8.self))
            {
                text.unicodeScalars.append(character)
                rest = after[(end + 1)...]
            } else {
                text += "&"
                rest = after
            }
        }
        return text + String(decoding: rest, as: UTF8.self)
    }

    private static func entity(_ name: String) -> Unicode.Scalar? {
        switch name {
        case "amp": return "&"
        case "lt": return "<"
        case "gt": return ">"
        case "quot": return "\""
        case "apos": return "'"
        default:
            guard name.hasPrefix("#") else { return nil }
            let isHex = name.hasPrefix("#x")
            return UInt32(name.dropFirst(isHex ? 2 : 1), radix: isHex ? 16 : 10).flatMap { Unicode.Scalar($0) }
        }
    }
}
