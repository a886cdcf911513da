import Testing

@testable import MultiLang

struct PropertiesFileTests {
    private func read(_ text: String) throws -> [String: String] {
        let file = try PropertiesFile(Array(text.utf8), path: "app.properties")
        return Dictionary(uniqueKeysWithValues: file.entries.map { ($0.name, $0.value) })
    }

    @Test(arguments: [
        ("a=b", ["a": "b"]), ("a = b", ["a": "b"]), ("a:b", ["a": "b"]), ("a : b", ["a": "b"]), ("a b", ["a": "b"]),
        ("a\tb", ["a": "b"]), ("a\u{C}b", ["a": "b"]), ("a", ["a": ""]), ("a=", ["a": ""]), ("a = = b", ["a": "= b"]),
        ("a := b", ["a": "= b"]), ("a   b = c", ["a": "b = c"]), ("  \t a=b", ["a": "b"]), ("a=b  ", ["a": "b  "]),
        ("a.b-c/d=e", ["a.b-c/d": "e"]),
    ])
    func `a name ends at the first equals sign, colon or blank`(_ text: String, _ expected: [String: String]) throws {
        #expect(try read(text) == expected)
    }

    @Test(arguments: [
        (#"a\ b\=c\:d = e"#, ["a b=c:d": "e"]), (#"a\\=b"#, [#"a\"#: "b"]), (#"a=\t\n\r\f"#, ["a": "\t\n\r\u{C}"]),
        (##"a=\\\=\:\#\!\ "##, ["a": ##"\=:#! "##]), (#"a=C:\\temp"#, ["a": #"C:\temp"#]), (#"a=\q\b"#, ["a": "qb"]),
        (#"\u0061=\u00e9\u4E2D"#, ["a": "é中"]), (#"a=\uD83D\uDE00!"#, ["a": "😀!"]), (#"a\u003d=b"#, ["a=": "b"]),
        (##"\#a=1"##, ["#a": "1"]), (#"a=\ b"#, ["a": " b"]),
    ])
    func `escapes stand for what they stand for in Java`(_ text: String, _ expected: [String: String]) throws {
        #expect(try read(text) == expected)
    }

    @Test(arguments: [
        ("a=b\\\n   c", ["a": "bc"]), ("a=b\\\r\n\tc\r\nd=e", ["a": "bc", "d": "e"]), ("a\\\n  =b", ["a": "b"]),
        ("a=b\\\\\nc=d", ["a": #"b\"#, "c": "d"]), ("a=b\\\\\\\nc", ["a": #"b\c"#]), ("a=b\\", ["a": "b"]),
        ("a=b\\\n", ["a": "b"]), ("a=b\\\n\nc=d", ["a": "b", "c": "d"]), ("a=b,\\\n # c", ["a": "b,# c"]),
        ("a=\\\n\\\n\\\nb", ["a": "b"]), ("# a\\\nb=c", ["b": "c"]), ("a=\\uD83D\\\n  \\uDE00", ["a": "😀"]),
    ])
    func `a backslash at the end of a line continues it, except in a comment`(
        _ text: String, _ expected: [String: String]
    ) throws {
        #expect(try read(text) == expected)
    }

    @Test(arguments: ["\n", "\r", "\r\n"])
    func `every kind of line end counts as one line`(_ end: String) throws {
        let text = ["# first", "", "a=1", "  ! comment", "b=2\\", "  3", "c=4"].joined(separator: end)
        let file = try PropertiesFile(Array(text.utf8), path: "f")
        #expect(
            file.entries == [
                .init(name: "a", value: "1", line: 3), .init(name: "b", value: "23", line: 5),
                .init(name: "c", value: "4", line: 7),
            ])
    }

    @Test(arguments: ["", "\n\n", "# only a comment", "   ", "\\", "\\\n\\\n"])
    func `a file with nothing in it has no entries`(_ text: String) throws {
        #expect(try PropertiesFile(Array(text.utf8), path: "f").entries == [])
    }

    @Test func `of a name given twice the last line counts and a warning names both`() throws {
        let file = try PropertiesFile(Array("a=1\nb=2\n\na=3\na=4\n".utf8), path: "f")
        #expect(
            file.entries == [.init(name: "b", value: "2", line: 2), .init(name: "a", value: "4", line: 5)])
        #expect(
            file.warnings.map(\.description) == [
                "f:4: “a” is given twice, in line 1 and in line 4; line 4 counts",
                "f:5: “a” is given twice, in line 4 and in line 5; line 5 counts",
            ])
    }

    @Test func `bytes that are no UTF-8 are ISO-8859-1`() throws {
        let file = try PropertiesFile(Array("a=caf".utf8) + [0xE9], path: "f")
        #expect(file["a"]?.value == "café")
        #expect(file.warnings == [])
    }

    @Test func `UTF-8 is read as such with a warning that names its first line`() throws {
        let file = try PropertiesFile(Array("a=1\r\nb=café\nc=日本\n".utf8), path: "f")
        #expect(file["b"]?.value == "café")
        #expect(file["c"]?.value == "日本")
        #expect(file.warnings.map(\.place) == ["f:2"])
    }

    @Test func `a byte order mark is no part of the first name`() throws {
        let file = try PropertiesFile([0xEF, 0xBB, 0xBF] + Array("a=1".utf8), path: "f")
        #expect(file["a"] == .init(name: "a", value: "1", line: 1))
        #expect(file.warnings.count == 1)
    }

    @Test(arguments: [[0xFF, 0xFE, 0x61, 0x00], [0xFE, 0xFF, 0x00, 0x61]] as [[UInt8]])
    func `UTF-16 is refused by name`(_ bytes: [UInt8]) {
        #expect(throws: PropertiesError.self) { try PropertiesFile(bytes, path: "f") }
    }

    @Test func `every malformed escape is an error with the line it stands in`() throws {
        let text = #"""
            a=\u12
            b=fine
            c=one\
              two\u00zz
            d=\uD83D alone
            e=\uDE00
            f=\uD83D\u0041
            \u=1
            """#
        let error = #expect(throws: PropertiesError.self) { try PropertiesFile(Array(text.utf8), path: "f") }
        #expect(error?.errors.map(\.place) == ["f:1", "f:4", "f:5", "f:6", "f:7", "f:8"])
        #expect(error?.errors[0].text == "\\u must be followed by four hexadecimal digits")
        #expect(error?.errors[2].text == "\\uD83D is half of a surrogate pair and the other half is missing")
    }

    @Test func `a value without a name is left out with a warning`() throws {
        let file = try PropertiesFile(Array("a=1\n= 2\n".utf8), path: "f")
        #expect(file.entries.map(\.name) == ["a"])
        #expect(file.warnings.map(\.place) == ["f:2"])
    }

    @Test func `lines of a megabyte and half a million continuations are read`() throws {
        let long = String(repeating: "x", count: 1 << 20)
        #expect(try read("a=\(long)\nb=1") == ["a": long, "b": "1"])
        let pieces = String(repeating: "y\\\n  ", count: 200_000)
        #expect(try read("a=\(pieces)z")["a"]?.utf8.count == 200_001)
    }

    @Test func `no bytes whatever trap`() {
        var state: UInt64 = 7
        let alphabet: [UInt8] = Array("\\u=: #!\r\n\tabD83E0".utf8) + [0, 0xC3, 0xA9, 0xFF]
        for _ in 0..<2000 {
            var bytes: [UInt8] = []
            for _ in 0..<40 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes.append(alphabet[Int(state >> 33) % alphabet.count])
            }
            let file = try? PropertiesFile(bytes, path: "f")
            #expect(file?.entries.allSatisfy { !$0.name.isEmpty && $0.line >= 1 } ?? true)
        }
    }
}
