/// A file of AWS profiles (`~/.aws/config`, `~/.aws/credentials`): sections of properties, some with properties of
/// their own.
///
/// https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
/// Lines that are none of that are passed over: a file that another tool wrote must not stop this one.
struct ProfileFile: Sendable, CustomReflectable {
    struct Property: Hashable, Sendable {
        var value: String
        /// `kinesis =` followed by indented lines: the properties in those lines.
        var nested: [String: String] = [:]
    }

    /// Section names as they stand between the brackets, white space collapsed; property names in lower case. Sections
    /// of one name are one, and what stands later in the file wins.
    private(set) var sections: [String: [String: Property]] = [:]

    init() {}

    init(_ bytes: [UInt8]) {
        var section: String?
        var property: String?
        for line in String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline) {
            let isIndented = line.first == " " || line.first == "\t"
            // A byte order mark is part of nobody's section name.
            let text = (line.first == "\u{FEFF}" ? line.dropFirst() : line).trimmed
            if text.isEmpty || text.first == "#" || text.first == ";" { continue }
            if text.first == "[" {
                property = nil
                section = text.firstIndex(of: "]").map { Self.name(text[text.index(after: text.startIndex)..<$0]) }
                if let section, sections[section] == nil { sections[section] = [:] }
                continue
            }
            guard let section, let equals = text.firstIndex(of: "=") else { continue }
            let name = text[..<equals].trimmed.lowercased()
            let value = Self.withoutComment(text[text.index(after: equals)...])
            if isIndented, let property {
                sections[section]?[property]?.nested[name] = value
            } else {
                sections[section]?[name] = Property(value: value)
                property = name
            }
        }
    }

    subscript(section: String) -> [String: Property]? { sections[section] }

    /// Reflection shows the names of the sections and none of their values, which are secrets in one of the files.
    var customMirror: Mirror { Mirror(self, children: ["sections": sections.keys.sorted()]) }

    /// `profile "a b"` and `profile  x` without quotes and surplus white space.
    private static func name(_ text: Substring) -> String {
        text.split(whereSeparator: \.isWhitespace).joined(separator: " ").filter { $0 != "\"" && $0 != "'" }
    }

    /// A value ends at a `#` or `;` that follows white space.
    private static func withoutComment(_ text: Substring) -> String {
        var end = text.endIndex
        var afterSpace = false
        for index in text.indices {
            if afterSpace, text[index] == "#" || text[index] == ";" {
                end = index
                break
            }
            afterSpace = text[index].isWhitespace
        }
        return text[..<end].trimmed
    }
}
